"""The inside of the sandbox: a script that `sandbox.py` starts. It imports only the standard library.

There are three processes. The supervisor (the one that is started) makes the namespaces and keeps the deadline; the
program cannot reach it. Init is process 1 in the namespaces; it builds the view of the file system and drops its
capabilities. The program is a child of init, with limits and a filter of system calls. If a step fails, all ends
before the program starts. When the supervisor dies, the kernel kills init, and with it everything in its namespace.

Sources: user_namespaces(7), pid_namespaces(7), mount_namespaces(7), pivot_root(2), mount_setattr(2), open_tree(2),
capabilities(7), prctl(2), seccomp(2), getrlimit(2); `linux/{sched,mount,prctl,capability,filter,seccomp}.h` of 6.1.
"""

import ctypes
import errno
import json
import os
import resource
import signal
import struct
import sys
from contextlib import suppress
from types import ModuleType
from typing import Any, NoReturn

ENDED, UNISOLATED, TIMED_OUT = 0, 70, 71  # exit statuses of the supervisor
KILLED_BY = 100  # plus the signal that killed the program

_NOBODY = 65534
_PROTECTED = b"+"
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
_MIB = 1 << 20

# The program's limits. Its address space bounds the memory of all its threads: it can have no other process.
_MEMORY_BYTES = 256 * _MIB
_FILE_BYTES = _MIB
_DISK_AT = "/tmp"  # noqa: S108 - a file system of its own
_DISK = "size=4m,nr_inodes=256,mode=0700"
_OPEN_FILES = 32
_THREADS = 16
_PENDING_SIGNALS = 16

_NAMESPACES = {
    "mount": 0x0002_0000,
    "uts": 0x0400_0000,
    "ipc": 0x0800_0000,
    "user": 0x1000_0000,
    "pid": 0x2000_0000,
    "network": 0x4000_0000,
}
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE = 2, 4, 8, 1 << 14, 1 << 18
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_NOSUID, _MOUNT_ATTR_NODEV = 1, 2, 4
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_OPEN_TREE_CLONE, _MOVE_MOUNT_F_EMPTY_PATH = 1, 4
_MNT_DETACH = 2
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442  # the same on every machine; Linux 5.12

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 1, 4, 22, 24
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4
_CAPABILITY_VERSION_3 = 0x2008_0522

# System calls, by their numbers on x86_64 (asm/unistd_64.h) and aarch64 (asm-generic/unistd.h).
_MACHINES = ("x86_64", "aarch64")
_AUDIT_ARCH = (0xC000_003E, 0xC000_00B7)
_PIVOT_ROOT = (155, 41)
_CLONE = (56, 220)
_CLONE_THREAD = 0x1_0000
_REFUSED = {
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": _PIVOT_ROOT,
    "chroot": (161, 51),
    "socket": (41, 198),
    "socketpair": (53, 199),
    # Memory that no limit of a process counts.
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "memfd_create": (319, 279),
    # Timers and queued signals are memory of the kernel, and a timer can go off after the program's end.
    "timer_create": (222, 107),
    "timerfd_create": (283, 85),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    # Keys are not in a namespace: the operator's session keyring would be readable [keyrings(7)].
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_setup": (206, 0),
    "fanotify_init": (300, 262),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "modify_ldt": (154, None),
    "personality": (135, 92),
}
# All from here on answer "not there", for which libc has older ways: clone3, io_uring, the new mounts, pidfds, and
# later kernels may add calls. x32 calls are above it too.
_FIRST_UNKNOWN = 424

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> int:
    """Run the request that standard input holds. Returns the exit status; answers are lines on standard output."""
    request = json.loads(sys.stdin.buffer.read())
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # init has no handlers: signals from inside cannot reach it
    try:
        machine = _machine()
        _unshare()
        _die_with(request["parent"])
    except OSError as error:
        return _unisolated(str(error))
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD, signal.SIGTERM))
    status, report_fd = os.pipe()
    init = os.fork()
    if init == 0:
        os.close(status)
        _init(request, report_fd, machine)
    os.close(report_fd)
    return _supervise(init, status, request["timeout_s"])


def encoded(value: object) -> object:
    """Return *value* as JSON carries it, a container as [kind, *items]. Raises TypeError for what is not plain."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return ["dict", *([encoded(key), encoded(item)] for key, item in value.items())]
    if isinstance(value, bytes | bytearray):
        return ["bytes", value.hex()]
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind):
            return [kind.__name__, *map(encoded, value)]
    raise TypeError(f"a {type(value).__name__} is no plain value")


def _machine() -> int:
    """Return the column of this machine in the tables of numbers."""
    name = os.uname().machine
    if name not in _MACHINES or sys.maxsize < 1 << 32:
        raise OSError(f"no filter of system calls is written for {name} ({sys.maxsize.bit_length() + 1} bit)")
    return _MACHINES.index(name)


def _unshare() -> None:
    """Put this process into new namespaces, in which it is user 65534 with every capability [user_namespaces(7)].

    Root becomes user 65534 outside too; any other user stays the same outside.
    """
    root = os.geteuid() == 0
    uid, gid = (_NOBODY, _NOBODY) if root else (os.geteuid(), os.getegid())
    maps = {
        "setgroups": "allow" if root else "deny",
        "gid_map": f"{_NOBODY} {gid} 1",
        "uid_map": f"{_NOBODY} {uid} 1",
    }
    unshared, done = os.pipe()
    mapper = os.fork()
    if mapper == 0:
        os.close(done)
        _map(maps, unshared)
    os.close(unshared)
    try:
        _checked("unshare", _libc.unshare(sum(_NAMESPACES.values())))
        os.write(done, _PROTECTED)
    finally:
        os.close(done)
        code = os.waitstatus_to_exitcode(os.waitpid(mapper, 0)[1])
    if code:
        raise OSError(code, f"mapping user {uid}: {os.strerror(code)}")
    if root:  # no other user may; groups give access to files, none of which are seen inside
        os.setgroups([])


def _map(maps: dict[str, str], unshared: int) -> NoReturn:
    """Write the maps of the parent once it has unshared: only from outside can they name another than oneself."""
    code = 0
    try:
        if os.read(unshared, 1):
            for name, line in maps.items():
                _write(f"/proc/{os.getppid()}/{name}", line)
    except OSError as error:
        code = error.errno or errno.EPERM
    os._exit(code)


def _write(path: str, text: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when *parent* dies, also if it has by now [PR_SET_PDEATHSIG(2const)]."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise OSError("the process that started this one has ended")


def _supervise(init: int, status: int, timeout_s: float) -> int:
    """Wait for *init*, or until the deadline or SIGTERM; kill what is left. Nothing of it runs when this returns."""
    reply = os.read(status, 4096)
    if reply != _PROTECTED:
        os.waitpid(init, 0)
        return _unisolated(reply.decode(errors="replace") or "it broke off")
    got = signal.sigtimedwait((signal.SIGCHLD, signal.SIGTERM), timeout_s)
    os.kill(init, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(init, 0)[1])
    if got is None or got.si_signo == signal.SIGTERM:
        return TIMED_OUT
    return code if code == ENDED or code > KILLED_BY else KILLED_BY + signal.SIGKILL


def _unisolated(reason: str) -> int:
    os.write(2, reason.encode(errors="replace"))
    return UNISOLATED


def _init(request: dict[str, Any], report_fd: int, machine: int) -> NoReturn:
    """Build the walls, run the program behind them and report by the exit status how it ended."""
    try:
        _hide_files(machine)
        os.environ.clear()
        os.environ["TMPDIR"] = _DISK_AT
        _give_up_power()
        program = os.fork()
        if program == 0:
            _program(request, report_fd, machine)
    except OSError as error:
        os.write(report_fd, str(error).encode(errors="replace"))
        os._exit(UNISOLATED)
    os.close(report_fd)
    code = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
    os._exit(KILLED_BY - code if code < 0 else ENDED)


def _hide_files(machine: int) -> None:
    """Make only libraries and the standard library visible, read-only, and an empty /tmp [pivot_root(2)].

    Paths are opened as the user that started us, who alone may be able to reach them, and seen as user 65534.
    """
    _checked("mount private", _libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None))
    trees = {path: _tree(path) for path in _seen() if not os.path.islink(path)}
    links = {path: os.readlink(path) for path in _LIBRARIES if os.path.islink(path)}
    packages = [f"{path}/{name}" for path in sys.path for name in ("site-packages", "dist-packages")]
    packages = [path for path in packages if os.path.isdir(path)]
    _become_nobody()
    _empty_root(machine)
    for path, tree in trees.items():
        _attach(tree, path)
    for path, target in links.items():
        os.symlink(target, path)
    for path in packages:
        _tmpfs(path, "size=4k,nr_inodes=1,mode=0555")
    os.mkdir(_DISK_AT)
    _make_all_read_only()
    _tmpfs(_DISK_AT, _DISK)
    os.chdir(_DISK_AT)


def _become_nobody() -> None:
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # for another user the kernel has forgotten it


def _empty_root(machine: int) -> None:
    """Put an empty file system in the place of the root, and the old one out of reach."""
    os.umask(0o022)
    anywhere = "/usr"
    _tmpfs(anywhere, "size=64k,nr_inodes=256,mode=0755")
    os.chdir(anywhere)
    _syscall("pivot_root", _PIVOT_ROOT[machine], b".", b".")
    _checked("umount", _libc.umount2(b".", _MNT_DETACH))
    os.chdir("/")


def _attach(tree: int, path: str) -> None:
    os.makedirs(path, exist_ok=True)
    _syscall(f"move_mount {path}", _MOVE_MOUNT, tree, b"", _AT_FDCWD, path.encode(), _MOVE_MOUNT_F_EMPTY_PATH)
    os.close(tree)


def _seen() -> list[str]:
    """Return the directories that the program may read, none within another."""
    seen: list[str] = []
    for path in sorted((*_LIBRARIES, *sys.path), key=len):
        if os.path.isdir(path) and not any(f"{path}/".startswith(f"{other}/") for other in seen):
            seen.append(path)
    return seen


def _tree(path: str) -> int:
    """Return the directory *path*, with what is mounted below, as a tree that is mounted nowhere yet [open_tree(2)]."""
    flags = _OPEN_TREE_CLONE | _AT_RECURSIVE
    return _syscall(f"open_tree {path}", _OPEN_TREE, _AT_FDCWD, path.encode(), flags)


def _make_all_read_only() -> None:
    """Make every mount that there is read-only, without devices and set-user-id programs [mount_setattr(2)]."""
    attributes = struct.pack("=QQQQ", _MOUNT_ATTR_RDONLY | _MOUNT_ATTR_NOSUID | _MOUNT_ATTR_NODEV, 0, 0, 0)
    _syscall("mount_setattr", _MOUNT_SETATTR, _AT_FDCWD, b"/", _AT_RECURSIVE, attributes, len(attributes))


def _tmpfs(path: str, options: str) -> None:
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    _checked(f"mount {path}", _libc.mount(b"tmpfs", path.encode(), b"tmpfs", flags, options.encode()))


def _give_up_power() -> None:
    """Drop every capability, for good [capabilities(7)], and keep others out of this process's memory."""
    capability = 0
    while _libc.prctl(_PR_CAPBSET_DROP, *_longs(capability, 0, 0, 0)) == 0:
        capability += 1
    if ctypes.get_errno() != errno.EINVAL:  # there are no more
        raise OSError(ctypes.get_errno(), "dropping capabilities")
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    none = struct.pack("=6I", *[0] * 6)
    _checked("capset", _libc.capset(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), none))
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_DUMPABLE, 0)


def _program(request: dict[str, Any], report_fd: int, machine: int) -> NoReturn:
    """Run the program under limits and the filter. Raises OSError before it when either cannot be set."""
    os.setsid()  # out of the supervisor's process group: kill(0, …) reaches across namespaces
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGCHLD, signal.SIGTERM))
    answers = os.dup(1)
    os.dup2(2, 1)
    _limit(request["cpu_s"])
    _filter(machine)
    os.write(report_fd, _PROTECTED)
    os.close(report_fd)
    with suppress(BaseException):  # it has been answered, or there is no answer
        _answer(request["program"], request["calls"], answers)
    os._exit(0)


def _limit(cpu_s: int) -> None:
    for limited, limits in (
        (resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES)),
        (resource.RLIMIT_CPU, (cpu_s, cpu_s + 1)),  # SIGXCPU, then SIGKILL
        (resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES)),
        (resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES)),
        (resource.RLIMIT_NPROC, (_THREADS, _THREADS)),
        (resource.RLIMIT_CORE, (0, 0)),
        (resource.RLIMIT_MEMLOCK, (0, 0)),
        (resource.RLIMIT_MSGQUEUE, (0, 0)),
        (resource.RLIMIT_SIGPENDING, (_PENDING_SIGNALS, _PENDING_SIGNALS)),
    ):
        try:
            resource.setrlimit(limited, limits)
        except ValueError as error:  # the hard limit is already lower; the requested limit is not possible
            raise OSError(f"limit {limited}: {error}") from error


def _filter(machine: int) -> None:
    """Refuse, for good, the system calls that no function needs and an attack would [seccomp(2)]."""
    code = filter_code(machine)
    instructions = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(instructions))  # struct sock_fprog
    _checked("seccomp", _libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(2), program))


def filter_code(machine: int) -> bytes:
    """Return the filter as classic BPF, for the *machine* of that column [linux/filter.h, linux/seccomp.h]."""
    load, jump_equal, jump_at_least, jump_any_bit, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    kill, allow, refuse, unknown = 0x8000_0000, 0x7FFF_0000, 0x5_0000 | errno.EPERM, 0x5_0000 | errno.ENOSYS
    number, architecture, first_argument = 0, 4, 16  # offsets in struct seccomp_data
    steps = [
        (load, 0, 0, architecture),
        (jump_equal, 1, 0, _AUDIT_ARCH[machine]),
        (answer, 0, 0, kill),
        (load, 0, 0, number),
        (jump_at_least, 0, 1, _FIRST_UNKNOWN),
        (answer, 0, 0, unknown),
    ]
    for numbers in _REFUSED.values():
        if (refused := numbers[machine]) is not None:
            steps += [(jump_equal, 0, 1, refused), (answer, 0, 0, refuse)]
    steps += [
        (jump_equal, 0, 3, _CLONE[machine]),
        (load, 0, 0, first_argument),
        (jump_any_bit, 1, 0, _CLONE_THREAD),
        (answer, 0, 0, refuse),
        (answer, 0, 0, allow),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def _answer(program: str, calls: list[str], answers: int) -> None:
    """Write a line for each call, {"value": …}, until the first that fails, {"error": …}.

    Nothing here can be trusted once the program has run: only the outside knows the expected results.
    """
    module = sys.modules["program"] = ModuleType("program")
    doing = "program"
    try:
        exec(compile(program, "program.py", "exec"), module.__dict__)  # noqa: S102 - what this file is for
        for doing in calls:
            value = encoded(eval(doing, module.__dict__))  # noqa: S307
            _say({"value": value}, answers)
    except BaseException as error:  # noqa: BLE001 - also SystemExit is an answer
        _say({"error": f"{doing}: {type(error).__name__}: {str(error)[:200]}"}, answers)


def _say(line: dict[str, object], answers: int) -> None:
    text = memoryview(f"{json.dumps(line)}\n".encode())
    while text:
        text = text[os.write(answers, text) :]


def _prctl(option: int, *arguments: int) -> None:
    _checked(f"prctl {option}", _libc.prctl(option, *_longs(*arguments, *[0] * (4 - len(arguments)))))


def _syscall(name: str, number: int, *arguments: int | bytes) -> int:
    given = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
    return _checked(name, int(_libc.syscall(ctypes.c_long(number), *given)))


def _longs(*numbers: int) -> list[ctypes.c_ulong]:
    return [ctypes.c_ulong(number) for number in numbers]


def _checked(name: str, result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


if __name__ == "__main__":
    sys.exit(main())
