"""`vedette up` that must stop while it starts, clean-ups that never end, and children that do not end by themselves."""

import asyncio
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from commands import started
from eventually import eventually
from vedette.runtime.subprocesses import spawned

_DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"

_CLEANS_WITHOUT_END = """
import asyncio
from contextlib import suppress
from vedette.runtime.stopping import stop_signals

async def main():
    async with stop_signals() as stopped:
        try:
            print("runs", flush=True)
            await stopped.wait()
        finally:
            print("cleans up", flush=True)
            while True:
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()

asyncio.run(main())
"""


def _started_in(tmp_path: Path) -> list[str]:
    """Return the command lines of the processes whose TMPDIR is *tmp_path*."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if f"TMPDIR={tmp_path}\0".encode() in (place / "environ").read_bytes():
                found.append((place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue  # another user's, or it has just ended
    return found


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "the directory is held": lambda directory: (directory / "lock").exists(),
    "the NATS server starts": lambda directory: (directory / "nats" / "nats-server.log").exists(),
    "the recommender starts": lambda directory: any(
        "vedette.runtime.apart_main" in line for line in _started_in(directory.parent)
    ),
}
FIRST = "the directory is held", (signal.SIGTERM,)


@pytest.mark.fault("SIGINT or SIGTERM, once or twice, while `up` starts", "I11")
@pytest.mark.parametrize(
    ("moment", "numbers"),
    [
        pytest.param(*case, marks=pytest.mark.lane("fast" if case == FIRST else "faults"))
        for case in product(MOMENTS, [(signal.SIGTERM,), (signal.SIGINT, signal.SIGINT)])
    ],
)
async def test_up_that_starts_ends_with_all_its_processes(
    tmp_path: Path, moment: str, numbers: tuple[signal.Signals, ...]
) -> None:
    """It does not start to the end first; its exit code names the signal."""
    directory = tmp_path / "state"

    async def come() -> bool:
        return await asyncio.to_thread(MOMENTS[moment], directory)

    async with started(directory, "up", "--state-dir", str(directory), TMPDIR=str(tmp_path)) as starting:
        await eventually(come, what=moment)
        for number in numbers:
            starting.send(number)
        code = await starting.stop(0)
        complaints = await starting.complaints()
    assert code == 128 + numbers[0], complaints
    # Connections that were being drained may say first that their server has gone.
    assert complaints.endswith(f"vedette: stopped by {numbers[0].name}\n")
    assert _started_in(tmp_path) == []
    assert not (directory / "connection.json").exists()


@pytest.mark.fault("Ctrl-C twice, and a clean-up that never ends", "I11")
async def test_a_second_ctrl_c_ends_a_clean_up_that_never_ends() -> None:
    async with (
        spawned(
            [sys.executable, "-c", _CLEANS_WITHOUT_END], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as child,
        asyncio.timeout(120),
    ):
        assert child.stdout is not None
        assert child.stderr is not None
        for said in (b"runs\n", b"cleans up\n"):  # so the second signal comes after the first was handled
            assert await child.stdout.readline() == said
            child.send_signal(signal.SIGINT)
        assert await child.wait() == 128 + signal.SIGINT
        assert await child.stderr.read() == b"vedette: stopped by SIGINT\n"


@pytest.mark.fault(
    "Ctrl-C and SIGTERM while `up` starts on a NATS server that does not reply any more", "I11"
)
async def test_a_second_signal_leaves_nothing_of_what_hangs(tmp_path: Path) -> None:
    """The clean-up would wait for many replies, one after another; nothing is left of `up`, and it says no more."""
    directory = tmp_path / "state"

    async def serves() -> int | None:
        return await asyncio.to_thread(_serving, directory)

    async with started(directory, "up", "--state-dir", str(directory), TMPDIR=str(tmp_path)) as starting:
        nats_server = await eventually(serves, what="a NATS server with streams")
        assert nats_server is not None
        os.kill(nats_server, signal.SIGSTOP)
        for number in (signal.SIGINT, signal.SIGTERM):  # of two equal ones, the system may deliver one
            starting.send(number)
        code = await starting.stop(0)
        complaints = await starting.complaints()
    # Which of them is handled first is up to the system.
    assert code in (128 + signal.SIGINT, 128 + signal.SIGTERM), complaints
    assert complaints.splitlines()[-1] == f"vedette: stopped by {signal.Signals(code - 128).name}"
    assert "Traceback" not in complaints

    async def nothing_left() -> bool:
        return not await asyncio.to_thread(_started_in, tmp_path)

    await eventually(nothing_left, what="all processes ended")


def _serving(directory: Path) -> int | None:
    """Return the process of the NATS server in *directory* once it has made the first stream, else None."""
    if not any((directory / "nats").glob("**/streams/MODELS")):
        return None
    for place in Path("/proc").glob("[0-9]*"):
        try:
            command = (place / "cmdline").read_bytes()
        except OSError:
            continue
        if b"nats-server" in command and str(directory).encode() in command:
            return int(place.name)
    return None


@pytest.mark.fault("the terminal of `up` is closed", "I11")
async def test_up_whose_terminal_is_closed_ends_as_usual(tmp_path: Path) -> None:
    """Each line that it prints from then on would fail."""
    assert await asyncio.to_thread(_close_terminal_of_up, tmp_path) == 0
    assert _started_in(tmp_path) == []
    assert not (tmp_path / "state" / "connection.json").exists()


def _close_terminal_of_up(tmp_path: Path) -> int:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        # A session of its own, with this terminal.
        ["setsid", "--ctty", "--wait", sys.executable, "-m", "vedette", "up"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={
            **os.environ,
            "TMPDIR": str(tmp_path),
            "VEDETTE_STATE_DIR": str(tmp_path / "state"),
            "VEDETTE_CONFIG": "",
            "OLLAMA_HOST": "127.0.0.1:1",
        },
    ) as running:
        os.close(theirs)
        shown = b""
        while not re.search(rb"\nready[^\n]*\n", shown):  # the whole line, not the address of /readyz
            shown += os.read(ours, 65536)
        os.close(ours)
        return running.wait(60)


async def _wait_without_end(process: asyncio.subprocess.Process) -> None:
    process.terminate()
    await process.wait()


@pytest.mark.fault(
    "a child ignores SIGTERM, and a second signal cuts the wait for it short",
    "I11",
    without=("vedette.runtime.subprocesses:_stop", _wait_without_end),
)
async def test_a_child_that_ignores_sigterm_is_killed_when_the_wait_is_cancelled() -> None:
    ready, children = asyncio.Event(), list[asyncio.subprocess.Process]()

    async def use() -> None:
        async with spawned([sys.executable, "-c", _DEAF], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            await child.stdout.readline()
            children.append(child)
            ready.set()
            await asyncio.Event().wait()

    using = asyncio.create_task(use())
    await asyncio.wait_for(ready.wait(), 60)
    for waits_s in (0.5, 60):
        using.cancel()
        await asyncio.wait({using}, timeout=waits_s)
    assert using.done()
    # Without its end the event loop would keep its pipes, into whichever test comes next.
    assert await asyncio.wait_for(children[0].wait(), 60) == -signal.SIGKILL
