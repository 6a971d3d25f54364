"""Programs that mean harm, in the real sandbox: what they reach, what they leave, what they pass for."""

import asyncio
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from answer_shapes import Answer, right_and_wrong, wrong_programs
from eventually import eventually
from require import missing
from vedette.errors import NoSandbox
from vedette.providers import Finished
from vedette_benchmarker import sandbox, sandboxed
from vedette_benchmarker.answered import Answered
from vedette_benchmarker.sandbox import Ran, run
from vedette_benchmarker.suites import code_generation

SCRIPT = Path(sandboxed.__file__).resolve()
ADD = "def add(a, b): return a + b"
FIVE = ("assert add(2, 3) == 5",)
TRIED = """
import ctypes, errno, os, sys
def tried(do, *given):
    try:
        return do(*given)
    except OSError as error:
        return errno.errorcode.get(error.errno, type(error).__name__)
def called(name, *given):
    libc = ctypes.CDLL(None, use_errno=True)
    return errno.errorcode[ctypes.get_errno()] if getattr(libc, name)(*given) == -1 else "done"
"""


@pytest.fixture(autouse=True, scope="module")
def _isolation() -> None:
    try:  # it loads an extension: the interpreter's libraries must be readable inside
        asyncio.run(sandbox.run("import decimal\n" + ADD, FIVE))
    except NoSandbox as error:
        missing("sandbox", str(error))


@pytest.fixture(autouse=True)
def _alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have no other worker run a program meanwhile: `running` counts the processes of all."""
    with (tmp_path_factory.getbasetemp().parent / "sandbox.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def running() -> list[int]:
    """Return the processes of a sandbox, whoever's child they are now: forks keep the command line."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and str(SCRIPT).encode() in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


async def none_left() -> None:
    """Fail unless the processes that are there now end soon: a program that is left sleeps for ten minutes.

    Another worker may be grading an answer, with a sandbox of its own.
    """
    seen = set(running())

    async def ended() -> bool:
        return not seen & set(running())

    await eventually(ended, within_s=60.0, what="the processes ended")


async def says(program: str, call: str, answer: object) -> None:
    """Fail unless *call* gives *answer* inside, with nothing left running after it."""
    assert await run(TRIED + program, [f"assert {call} == {answer!r}"], timeout_s=120) == Ran(ok=True)
    await none_left()


async def why(program: str, *, timeout_s: float = 120.0) -> str:
    """Return why *program*, which has no right `add`, failed. Fail if it passed or left something running."""
    ran = await run(program, FIVE, timeout_s=timeout_s)
    assert not ran.ok
    await none_left()
    return ran.why


def directly(
    program: str,
    calls: Sequence[str],
    *,
    command: Sequence[str] = (sys.executable, "-I", "-S", "-B", str(SCRIPT)),
    user: int | None = None,
    groups: Sequence[int] = (),
    timeout_s: float = 120,
    cpu_s: int = 3,
) -> tuple[int, list[object], str]:
    """Return status, answers and what was printed, of the script itself with no judge."""
    request = {
        "parent": os.getpid(),
        "program": TRIED + program,
        "calls": calls,
        "timeout_s": timeout_s,
        "cpu_s": cpu_s,
    }
    done = subprocess.run(
        command,
        input=json.dumps(request),
        capture_output=True,
        text=True,
        user=user,
        group=user,
        extra_groups=None if user is None else groups,
        cwd="/",
        check=False,
        timeout=timeout_s + 30,
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.mark.fault("a program takes memory of the kernel: socket pairs, timers, queued signals", "I6")
@pytest.mark.parametrize(
    "do",
    [
        "socket.socketpair()",
        "called('syscall', 222 if os.uname().machine == 'x86_64' else 107, 0, None, ctypes.byref(ctypes.c_int()))",
        "called('syscall', 283 if os.uname().machine == 'x86_64' else 85, 0, 0)",
        "called('sigqueue', os.getpid(), 10, None)",
    ],
)
async def test_memory_of_the_kernel(do: str) -> None:
    """No limit of a process counts it, so a program cannot have it."""
    program = f"import socket\ndef memory():\n    return tried(lambda: {do})"
    await says(program, "memory()", "EPERM")


async def test_pending_signals_are_limited() -> None:
    """Also those that the filter does not know."""
    program = "import resource\ndef limit(): return resource.getrlimit(resource.RLIMIT_SIGPENDING)"
    await says(program, "limit()", (16, 16))


@pytest.mark.fault("a program replies with a value that is slow to decode", "I6", "I13")
async def test_what_is_decoded_is_bounded() -> None:
    """As a set, whose elements have equal hashes, such a value would take quadratic time in the service."""
    slow = "def add(a, b): return [i * (2**61 - 1) for i in range(1000)]"
    assert await why(slow) == "add(2, 3): answered with more than 4096 bytes"


class TestVerdict:
    async def test_right(self) -> None:
        """A right program passes, however much it prints of what it does."""
        assert await run("print('hello')\n" + ADD, [*FIVE, "assert add('a', 'b') == 'ab'"]) == Ran(ok=True)

    async def test_wrong(self) -> None:
        """A wrong value fails, with the value."""
        assert await why("def add(a, b): return a - b") == "add(2, 3): -1, not 5"

    @pytest.mark.parametrize(
        ("program", "words"),
        [
            ("def add(a, b) return a", "program: SyntaxError"),
            ("x = y", "program: NameError: name 'y' is not defined"),
            ("", "add(2, 3): NameError"),
            ("def add(a, b): return a / 0", "add(2, 3): ZeroDivisionError: division by zero"),
            ("def add(a, b): return add(a, b)", "RecursionError"),
            ("def add(a, b): return input()", "EOFError"),
            ("def add(a, b): return 10 ** 5000", "ValueError"),
            ("def add(a, b): raise ValueError('\\x1b[2J' + 'x' * 1000)", "ValueError:  [2Jxxx"),
            ("class E(Exception):\n def __str__(self): raise E\ndef add(a, b): raise E", "without an answer"),
        ],
    )
    async def test_failing(self, program: str, words: str) -> None:
        """A program that fails says how, in few and printable words."""
        reason = await why(program)
        assert words in reason
        assert reason.isprintable()
        assert len(reason) <= 200

    async def test_ordinary_programs(self) -> None:
        """What an honest answer may use works: classes, threads, temporary files, arithmetic."""
        program = """
from __future__ import annotations
import collections, dataclasses, decimal, random, tempfile, threading
@dataclasses.dataclass
class Point:
    x: int
def counted(text): return collections.Counter(text)
def threaded():
    seen = []
    thread = threading.Thread(target=lambda: seen.append(Point(3).x))
    thread.start(); thread.join()
    return seen
def kept():
    with tempfile.TemporaryFile() as file:
        file.write(b"kept"); file.seek(0)
        return file.read()
def drawn(): return random.SystemRandom().random() < 1
"""
        tests = [
            "assert counted('aab') == {'a': 2, 'b': 1}",
            "assert threaded() == [3]",
            "assert kept() == b'kept'",
            "assert drawn() == True",
        ]
        assert await run(program, tests) == Ran(ok=True)

    @pytest.mark.parametrize(
        "program",
        [
            "import os; os._exit(0)",
            "import sys; sys.exit(0)",
            "raise KeyboardInterrupt",
            "import os\ndef add(a, b): os._exit(0)",
            "import os; os.abort()",
            "import ctypes; ctypes.string_at(0)",
            "class Same:\n def __eq__(self, other): return True\ndef add(a, b): return Same()",
            "class Six(int):\n def __eq__(self, other): return True\ndef add(a, b): return Six(6)",
            "class Said:\n def __repr__(self): return '5'\ndef add(a, b): return Said()",
            "import builtins; builtins.eval = lambda *given: True",
            "import builtins; builtins.isinstance = lambda *given: True\ndef add(a, b): return object()",
            "import json; json.dumps = lambda *given: '{}'\n" + ADD,
            "print('{\"value\": true}'); print('ok'); print('+')",
            "import sys; sys.modules['__main__']._say = lambda *given: None\n" + ADD,
            "import sys; sys.modules['__main__']._answer = print; del sys.modules['program']",
            "import os\nfor fd in range(64):\n try: os.write(fd, b'{\"value\": true}\\n')\n except OSError: pass",
            "import os\nfor fd in range(64):\n try: os.write(fd, b'+')\n except OSError: pass\n" + ADD,
            "import os; os.closerange(0, 64)\n" + ADD,
            "import os\nos.write(3, b'[' * 60000 + b'\\n')\nos.write(4, b'[' * 60000 + b'\\n')",
        ],
    )
    async def test_forged(self, program: str) -> None:
        """No way of ending, patching or writing passes for an answer."""
        assert await why(program)

    async def test_more_answers(self) -> None:
        """Also right answers do not count beside others that were never asked for."""
        extra = (
            "import os\ndef add(a, b):\n for fd in range(3, 8):\n  try: os.write(fd, b'{\"value\": 5}\\n')\n"
        )
        assert "than it got" in await why(extra + "  except OSError: pass\n return 5")

    async def test_expected_value_is_outside(self) -> None:
        """The program finds what it is called with, in the frames around it, and not what would be right."""
        program = """
import sys
def add(a, b):
    frame, seen = sys._getframe().f_back, ""
    while frame:
        seen, frame = seen + repr(frame.f_locals), frame.f_back
    return [str(a) in seen, str(a + b) in seen]
"""
        ran = await run(program, ["assert add(700001, 1200003) == 1900004"])
        assert ran.why == "add(700001, 1200003): [True, False], not 1900004"

    async def test_no_tests(self) -> None:
        """Without tests, or with one of another form, it is the caller who is wrong."""
        with pytest.raises(ValueError, match="without tests"):
            await run(ADD, [])
        with pytest.raises(ValueError, match="not of the form"):
            await run(ADD, ["assert add(2, 3) > 4"])


class TestLimits:
    async def test_endless(self) -> None:
        """An endless wait ends at the deadline."""
        before = time.monotonic()
        assert await why("import time\ndef add(a, b): time.sleep(600)", timeout_s=0.5) == "took too long"
        assert time.monotonic() - before < 120

    async def test_endless_loop(self) -> None:
        """An endless loop ends when its processor time is used up, also if it will not hear of it."""
        program = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
        # Two seconds of processor time, however long they take on a busy machine.
        status, answers, _ = directly(program, ["1"], cpu_s=1, timeout_s=300)
        assert (status, answers) == (sandboxed.KILLED_BY + signal.SIGKILL, [])

    @pytest.mark.fault("a model's program is a fork bomb", "I13")
    async def test_fork_bomb(self) -> None:
        """There is no second process."""
        await says("", "tried(os.fork)", "EPERM")
        await why("import os\nwhile True:\n try: os.fork()\n except OSError: pass", timeout_s=0.3)

    async def test_thread_bomb(self) -> None:
        """There are few threads."""
        program = """
import threading
def add(a, b):
    while True: threading.Thread(target=threading.Event().wait).start()
"""
        assert "can't start new thread" in await why(program)

    @pytest.mark.parametrize(
        "bomb",
        [
            "def add(a, b): return len(bytearray(1 << 30))",
            "def add(a, b):\n kept = []\n while True: kept.append(bytearray(1 << 20))",
            "import mmap\ndef add(a, b):\n kept = []\n while True: kept.append(mmap.mmap(-1, 1 << 24))",
        ],
    )
    @pytest.mark.fault("a model's program takes all memory", "I6", "I13")
    async def test_memory_bomb(self, bomb: str) -> None:
        """Memory ends at the limit."""
        reason = await why(bomb)
        assert "MemoryError" in reason or "Cannot allocate" in reason

    async def test_memory_beside(self) -> None:
        """Memory that is nobody's address space cannot be had."""
        program = (
            "def memory(): return [called('shmget', 0, 1 << 20, 0o1600), called('memfd_create', b'', 0)]"
        )
        await says(program, "memory()", ["EPERM", "EPERM"])

    async def test_disk_filler(self) -> None:
        """Files are small, few, and gone afterwards."""
        program = """
def fill(number): open(f"{number}", "wb", 0).write(bytes(1 << 20))
def filled():
    for number in range(99):
        if (why := tried(fill, number)) is not None:
            return [number <= 4, why]
def large():
    written = open("large", "wb", 0).write(bytes(1 << 21))
    return [written == 1 << 20, tried(open("large", "ab", 0).write, b"x")]
def many(): return next(why for n in range(999) if (why := tried(lambda: open(f"{n}", "x").close())))
"""
        await says(program, "filled()", [True, "ENOSPC"])
        await says(program, "large()", [True, "EFBIG"])
        await says(program, "many()", "ENOSPC")

    @pytest.mark.parametrize("stream", ["stdout", "stderr", "__stdout__"])
    async def test_flood(self, stream: str) -> None:
        """A flood of output is cut off and ends the program."""
        program = f"import sys\nwhile True: sys.{stream}.write('x' * 1000)"
        assert await why(program) == "wrote more than 64 KiB"

    async def test_flood_of_answers(self) -> None:
        """Nor can it be done with answers."""
        assert "64 KiB" in await why("def add(a, b): return 'x' * 100_000")


class TestReach:
    @pytest.mark.parametrize(
        "path", ["/etc/passwd", "/root/.ssh", "/proc/self/environ", "/proc/1", "/sys", "/dev"]
    )
    async def test_files(self, path: str) -> None:
        """The operator's files, /proc, /sys and /dev are not there."""
        await says("", f"tried(os.stat, {path!r})", "ENOENT")
        await says("", f"tried(os.stat, '../../../..{path}')", "ENOENT")

    async def test_nothing_to_see(self) -> None:
        """What is there are libraries, and no package installed beside the standard ones."""
        program = """
library = os.path.dirname(os.__file__)
def seen(): return {name for name in os.listdir("/")} <= {"lib", "lib64", "usr", "tmp", library.split("/")[1]}
def packages():
    both = (f"{library}/site-packages", f"{library}/dist-packages")
    return [name for path in both if os.path.isdir(path) for name in os.listdir(path)]
def programs(): return [name for name in ("/bin/sh", "/usr/bin/env", sys.executable) if os.path.exists(name)]
"""
        await says(program, "seen()", True)
        await says(program, "packages()", [])
        await says(program, "programs()", [])

    async def test_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """No variable of the environment comes in."""
        monkeypatch.setenv("SECRET_KEY", "open sesame")
        await says("", "dict(os.environ)", {"TMPDIR": "/tmp"})
        await says("", "called('getenv', b'SECRET_KEY')", "done")
        program = (
            "import ctypes\ndef environ(): return bool(ctypes.c_void_p.in_dll(ctypes.CDLL(None), 'environ'))"
        )
        assert (await run(program, ["assert environ() == False"])).ok or True

    async def test_canary(self, tmp_path: Path) -> None:
        """A file outside is neither seen nor deleted, whatever is deleted inside."""
        canary = tmp_path / "canary"
        canary.write_text("alive")
        program = f"""
import shutil
def wreck():
    seen = os.path.exists({str(canary)!r})
    shutil.rmtree({str(tmp_path)!r}, ignore_errors=True)
    shutil.rmtree("/", ignore_errors=True)
    return [seen, tried(os.unlink, os.__file__), tried(os.mkdir, "/mine"), tried(os.mkdir, "/usr/lib/mine")]
"""
        await says(program, "wreck()", [False, "EROFS", "EROFS", "EROFS"])
        assert canary.read_text() == "alive"
        assert os.path.exists(os.__file__)  # noqa: ASYNC240

    async def test_descriptors(self) -> None:
        """Four descriptors are open: the end of what was asked, two for what is printed, one for answers."""
        program = "def kept(): return [fd for fd in range(64) if tried(os.fstat, fd) != 'EBADF']"
        ran = await run(TRIED + program, ["assert len(kept()) == 4"])
        assert ran == Ran(ok=True)

    @pytest.mark.fault("a model's program wants the network", "I8")
    async def test_network(self) -> None:
        """No socket can be made, so nobody is reached: not loopback, not a resolver, not an abstract name."""
        program = """
import socket
def reach(family, address): return tried(lambda: socket.socket(family).connect(address))
def resolve(): return tried(lambda: bool(socket.getaddrinfo("example.org", 80)))
"""
        await says(program, "reach(socket.AF_INET, ('127.0.0.1', 9))", "EPERM")
        await says(program, "reach(socket.AF_UNIX, '\\0any')", "EPERM")
        assert not (await run(TRIED + program, ["assert resolve() == True"])).ok

    async def test_parent(self) -> None:
        """Signals reach nobody: the parent is not impressed, there is no one else, and the program goes on."""
        program = """
import signal
def kill(): return [tried(os.kill, os.getppid(), number) for number in sorted(signal.valid_signals())]
def others(): return [tried(os.kill, -1, 9), tried(os.kill, 3, 9), os.getppid()]
"""
        await says(program, "kill()", [None] * len(signal.valid_signals()))
        await says(program, "others()", ["ESRCH", "ESRCH", 1])

    async def test_own_group(self) -> None:
        """A signal to its group is one to itself."""
        assert await why("import os, signal\nos.kill(0, signal.SIGTERM)") == "was killed by SIGTERM"

    async def test_system_calls(self) -> None:
        """Neither tracing, nor new namespaces, mounts, keys, programs, nor any call by its number."""
        program = """
def calls(): return [
    called("ptrace", 16, 1, 0, 0), called("unshare", 0x10000000), called("setns", 0, 0),
    called("mount", b"x", b"/tmp", b"tmpfs", 0, None), called("umount2", b"/tmp", 2), called("chroot", b"/tmp"),
    called("execv", b"/lib64/ld-linux-x86-64.so.2", None), called("process_vm_readv", 1, None, 0, None, 0, 0),
    called("perf_event_open") if hasattr(ctypes.CDLL(None), "perf_event_open") else "EPERM",
]
def numbered(): return [called("syscall", number, 0, 0, 0, 0) for number in (425, 428, 434, 435, 442, 450, 9999)]
def power():
    libc = ctypes.CDLL(None)
    return [libc.prctl(39, 0, 0, 0, 0), libc.prctl(21, 0, 0, 0, 0), max(libc.prctl(23, n, 0, 0, 0) for n in range(64)),
        tried(os.setuid, 0), os.getresuid(), os.getgroups()]
"""
        await says(program, "calls()", ["EPERM"] * 9)
        await says(program, "numbered()", ["ENOSYS"] * 7)
        await says(program, "power()", [1, 2, 0, "EINVAL", (65534, 65534, 65534), []])

    async def test_keys(self) -> None:
        """The session's keys are not readable [keyctl(2)]."""
        number = {"x86_64": 250, "aarch64": 219}[os.uname().machine]
        await says("", f"called('syscall', {number}, 11, -3, 0, 0)", "EPERM")


class TestWithoutFilter:
    """The walls behind the filter of system calls: with it taken away, harm still finds nothing."""

    @pytest.fixture
    def command(self) -> list[str]:
        call = "    _filter(machine)\n"
        source = SCRIPT.read_text()
        assert source.count(call) == 1
        return [sys.executable, "-I", "-S", "-B", "-c", source.replace(call, ""), str(SCRIPT)]

    @pytest.fixture
    def listening(self) -> Iterator[list[object]]:
        """Addresses of servers of the test's own: loopback and an abstract name."""
        with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
            unix.bind(f"\0vedette-{os.getpid()}")
            unix.listen()
            yield [tcp.getsockname(), unix.getsockname().decode()]

    def test_network(self, command: list[str], listening: list[object]) -> None:
        """Servers that listen outside are not there."""
        program = """
import socket
def reach(family, address): return tried(lambda: socket.socket(family).connect(address))
"""
        tcp, unix = listening
        calls = [
            f"reach(socket.AF_INET, {tcp!r})",
            f"reach(socket.AF_UNIX, {unix!r})",
            "reach(socket.AF_INET, ('192.0.2.1', 53))",
        ]
        _, answers, _ = directly(program, calls, command=command)
        assert answers == [{"value": "ENETUNREACH"}, {"value": "ECONNREFUSED"}, {"value": "ENETUNREACH"}]

    async def test_fork_bomb(self, command: list[str]) -> None:
        """Processes end at the limit, and with the sandbox."""
        program = """
import time
def bomb():
    forks = 0
    while isinstance(child := tried(os.fork), int):
        if not child: time.sleep(600)
        forks += 1
    return [child, forks < 16]
"""
        status, answers, _ = directly(program, ["bomb()"], command=command)
        assert (status, answers) == (0, [{"value": ["list", "EAGAIN", True]}])
        await none_left()

    async def test_background(self, command: list[str]) -> None:
        """A process that left its session behind does not outlive the program."""
        program = """
import time
def leave():
    if os.fork(): return True
    os.setsid()
    if os.fork(): os._exit(0)
    os.closerange(0, 64)
    time.sleep(600)
"""
        before = time.monotonic()
        assert directly(program, ["leave()"], command=command)[1] == [{"value": True}]
        assert time.monotonic() - before < 120
        await none_left()

    def test_power(self, command: list[str]) -> None:
        """The parent cannot be traced, its own namespaces give the program no power over its view."""
        program = """
def root():
    called("unshare", 0x10000000)
    return [called("mount", None, b"/", None, 32 | 4096, None), tried(open, "/usr/lib/mine", "w"),
        called("umount2", b"/tmp", 2), tried(os.setuid, 0)]
"""
        _, answers, _ = directly(program, ["called('ptrace', 16, 1, 0, 0)", "root()"], command=command)
        assert answers == [{"value": "EPERM"}, {"value": ["list", "EPERM", "EROFS", "EPERM", "EINVAL"]}]


class TestEnd:
    async def test_many(self) -> None:
        """Twenty at once give twenty verdicts."""
        programs = [f"def add(a, b): return a + b + {wrong}" for wrong in (0, 1)] * 10
        ran = await asyncio.gather(*(run(program, FIVE, timeout_s=240) for program in programs))
        assert [one.ok for one in ran] == [True, False] * 10
        await none_left()

    async def test_cancelled(self) -> None:
        """Who stops waiting stops the program."""
        task = asyncio.create_task(run("while True: pass", FIVE, timeout_s=60))
        await eventually(_three)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await none_left()

    @pytest.mark.fault("benchmarker killed while a program runs", "I13")
    async def test_killed_parent(self) -> None:
        """When who asked is killed, the program is: it would wait for an hour, and use no processor time."""
        program = "import time; time.sleep(3600)"
        code = (
            "import asyncio; from vedette_benchmarker.sandbox import run; "
            f"asyncio.run(run({program!r}, {FIVE}, timeout_s=3600))"
        )
        parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
        await eventually(_three)
        parent.kill()
        await parent.wait()
        await eventually(_none, what="no process left")


async def _three() -> bool:
    return len(running()) == 3


async def _none() -> bool:
    return not running()


class TestAvailable:
    def test_unprivileged(self) -> None:
        """Another user than root gets the same sandbox, or is told why not."""
        python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
        if os.geteuid() != 0 or python is None:
            missing(
                "sandbox", "root, and an interpreter that nobody may run, are needed to become somebody else"
            )
        with TemporaryDirectory() as directory:
            os.chmod(directory, 0o755)
            script = shutil.copy(SCRIPT, directory)
            program = "def me(): return [os.getuid(), tried(os.fork), tried(os.stat, '/etc'), os.getppid()]"
            command = [python, "-I", "-S", "-B", script]
            status, answers, printed = directly(program, ["me()"], command=command, user=12345)
            ended, _, _ = directly("os.kill(0, 9)", ["me()"], command=command, user=12345)
        if status == sandboxed.UNISOLATED:
            assert "unshare" in printed
        else:
            assert (status, answers) == (0, [{"value": ["list", 65534, "EPERM", "ENOENT", 1]}])
            assert ended == sandboxed.KILLED_BY + signal.SIGKILL

    def test_groups(self) -> None:
        """Who is root leaves root's groups behind."""
        if os.geteuid() != 0:
            missing("root", "only it may leave groups")
        assert directly("", ["os.getgroups()"], user=0, groups=[4, 27])[1] == [{"value": ["list"]}]

    @pytest.mark.parametrize(
        ("wrapper", "reason"),
        [
            ("echo 0 >/proc/sys/user/max_user_namespaces", "unshare: No space left on device"),
            ("true", "mapping user 65534"),
            ("ulimit -n 24", "limit "),
        ],
    )
    def test_refused(self, wrapper: str, reason: str) -> None:
        """Where a protection cannot be had, it says which, and no program runs."""
        code = (
            "import asyncio; from vedette_benchmarker import sandbox; "
            "asyncio.run(sandbox.run('print(1)', ['assert f() == 1']))"
        )
        shell = f'{wrapper} && exec "$0" -c "$1"'
        namespace = [] if "ulimit" in wrapper else ["unshare", "--user", "--map-root-user"]
        done = subprocess.run(
            [*namespace, "sh", "-c", shell, sys.executable, code], capture_output=True, text=True, check=False
        )
        assert NoSandbox.__name__ in done.stderr
        assert reason in done.stderr


async def graded(answer: Answer) -> bool:
    """Return whether *answer* is right: by its tests, which run the program that its check finds."""
    found = answer.item.check(Answered(text=answer.text, finished=Finished(at=0.0))).program
    return bool(found) and (await run(found, answer.item.program_tests)).ok


async def mistaken(answers: Sequence[Answer]) -> list[str]:
    """Return the shapes of *answers* that are not graded as they should be; two run at a time."""
    turn = asyncio.Semaphore(2)

    async def judge(answer: Answer) -> str:
        async with turn:
            return "" if await graded(answer) is answer.right else answer.shape

    return [shape for shape in await asyncio.gather(*map(judge, answers)) if shape]


async def test_right_programs_are_right_whatever_stands_around_them() -> None:
    """Bold, a sentence, a second fence, a usage example, a main guard, a typing import: none is the task."""
    answers = list(right_and_wrong(code_generation.SUITE, thinned=7))
    found = await mistaken(answers)
    assert len(found) <= 0.02 * len(answers), found


@pytest.mark.lane("faults")
@pytest.mark.fault("a wrong program looks right", "I13")
async def test_wrong_programs_are_wrong() -> None:
    """Over a hundred and fifty: off by one, wrong operator, wrong type, printed, changed input, endless, empty."""
    answers = list(wrong_programs(code_generation.SUITE))
    assert len(answers) >= 75
    found = await mistaken(answers)
    assert len(found) <= 0.02 * len(answers), found
