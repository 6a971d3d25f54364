"""The command line as a subprocess: commands that end, and `vedette up` until it is told to stop."""

import asyncio
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from vedette.local.instance import Connection

READY_WITHIN_S = 120.0


class Ended(Struct, frozen=True):
    """A command that ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Return what it printed, as one JSON document."""
        return json.loads(self.out)


async def _start(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from vedette.cli import main; main()",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # The machine's own Ollama and configuration are none of a test's business.
        env={
            **os.environ,
            "OLLAMA_HOST": "127.0.0.1:1",
            "VEDETTE_CONFIG": "",
            "NO_COLOR": "1",
            **environment,
        },
    )


async def vedette(*arguments: str, within_s: float = 900.0, **environment: str) -> Ended:
    """Run a command to its end."""
    process = await _start(*arguments, **environment)
    async with asyncio.timeout(within_s):
        out, err = await process.communicate()
    return Ended(process.returncode or 0, out.decode(), err.decode())


class Up:
    """A command that runs until it is told to stop, in or against a state directory: `vedette up`, for one."""

    def __init__(self, process: asyncio.subprocess.Process, directory: Path) -> None:
        self._process = process
        self._directory = directory
        self._reader = asyncio.create_task(self._read())
        self._changed = asyncio.Event()
        self.lines: list[str] = []

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.lines.append(line.decode().rstrip())
            self._changed.set()
        self._changed.set()

    async def line(self, begins: str) -> str:
        """Wait for a line that begins so."""
        async with asyncio.timeout(READY_WITHIN_S):
            while True:
                self._changed.clear()
                for line in self.lines:
                    if line.startswith(begins):
                        return line
                if self._reader.done():
                    raise AssertionError(f"ended without {begins!r}: {self.lines} {await self.complaints()}")
                await self._changed.wait()

    async def lives(self) -> None:
        """Fail with what it said if it has ended."""
        assert self._process.returncode is None, f"ended: {self.lines} {await self.complaints()}"

    async def complaint(self) -> str:
        """Wait for the next line on standard error."""
        assert self._process.stderr is not None
        async with asyncio.timeout(READY_WITHIN_S):
            return (await self._process.stderr.readline()).decode().rstrip()

    async def complaints(self) -> str:
        """Return what it said on standard error, once it has ended."""
        assert self._process.stderr is not None
        return (await self._process.stderr.read()).decode()

    @property
    def connection(self) -> Connection:
        """How to reach it, as every command finds it."""
        return msgspec.json.decode((self._directory / "connection.json").read_bytes(), type=Connection)

    async def ask(self, *arguments: str) -> Ended:
        """Run a command against it."""
        return await vedette(*arguments, "--state-dir", str(self._directory))

    def send(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal and return its exit code."""
        if self._process.returncode is None:
            self._process.send_signal(number)
        async with asyncio.timeout(60):
            code = await self._process.wait()
        await self._reader
        return code


@asynccontextmanager
async def up(
    directory: Path, config: str | None = None, *arguments: str, **environment: str
) -> AsyncIterator[Up]:
    """Run `vedette up` in *directory* on a configuration (TOML); kill it on the way out if it still runs."""
    options = ["--state-dir", str(directory), *arguments]
    if config is not None:
        file = directory.with_suffix(".toml")
        file.write_text(config)
        options += ["--config", str(file)]
    async with started(directory, "up", *options, **environment) as running:
        yield running
    log = directory / "nats" / "nats-server.log"
    refused = [line for line in log.read_text().splitlines() if "iolation" in line] if log.exists() else []
    # Each service runs as a user that may do no more than it does. What agents and operators try is up to the test.
    assert not [line for line in refused if "user:agent" not in line and "user:operator" not in line]


@asynccontextmanager
async def started(directory: Path, *arguments: str, **environment: str) -> AsyncIterator[Up]:
    """Start a command; kill it on the way out if it still runs."""
    process = await _start(*arguments, **environment)
    running = Up(process, directory)
    try:
        yield running
    finally:
        await running.stop(signal.SIGKILL)
        transport = getattr(process, "_transport", None)
        if transport is not None:
            transport.close()


async def watching(running: Up) -> None:
    """Return when *running* says that it watches."""
    async with asyncio.timeout(60):
        while "watching" not in await running.complaint():
            pass


async def on_screen(width: int, *arguments: str) -> str:
    """Run a command on a terminal that is *width* characters wide; return what it showed, without colours."""
    return await asyncio.to_thread(_on_screen, width, arguments)


def _on_screen(width: int, arguments: tuple[str, ...]) -> str:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    with subprocess.Popen(
        [sys.executable, "-c", "from vedette.cli import main; main()", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environment, "TERM": "xterm", "NO_COLOR": "1", "VEDETTE_CONFIG": ""},
    ) as process:
        os.close(theirs)
        shown = b""
        # Linux says EIO when the last one who had the terminal open has ended.
        with suppress(OSError):
            while part := os.read(ours, 65536):
                shown += part
        process.wait(60)
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()).replace("\r\n", "\n")
