"""Starts servers for a command: they listen on loopback, and end with their parent."""

import asyncio
import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from vedette.local import private

_STOP_TIMEOUT_S = 10.0
_PR_SET_PDEATHSIG = 1
_running: set[asyncio.subprocess.Process] = set()


def free_port(port: int = 0) -> int:
    """Return *port* if it is free on loopback; for 0, a free port. Raises OSError if it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def spawned(command: Sequence[str], **pipes: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run *command*; terminate it at the end, or kill it if it does not end. It also ends if this process is killed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        **pipes,
        start_new_session=True,  # Ctrl-C goes to its parent only, which stops it after the services that use it
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,
    )
    _running.add(process)
    try:
        yield process
    finally:
        await _stop(process)
        _running.discard(process)


def kill_all() -> None:
    """Kill every spawned process that still runs, without waiting for its end."""
    for process in _running:
        with suppress(ProcessLookupError):
            process.kill()


@asynccontextmanager
async def child(command: Sequence[str], *, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run *command* with its output appended to *log*; terminate it at the end, or kill it if it does not end."""
    sink = private.open_file(log, os.O_WRONLY | os.O_APPEND)
    try:
        async with spawned(command, stdout=sink, stderr=sink, stdin=subprocess.DEVNULL) as process:
            yield process
    finally:
        os.close(sink)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def last_line(log: Path) -> str:
    """Return the last line of *log*, for an error message."""
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it printed nothing"


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Terminate *process*; kill it if it does not end, or at once if this task is cancelled."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
