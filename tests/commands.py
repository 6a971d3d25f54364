"""The command line as processes: commands that end, and `vedette up` until it is told to stop."""

import asyncio
import fcntl
import functools
import json
import os
import pty
import re
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

import preloaded
from sqlite import make_tables
from vedette import Client
from vedette.local import instance, private
from vedette.local.instance import Connection

READY_WITHIN_S = 600.0


def edit(file: Path, text: str) -> None:
    """Have *text* in *file* at once, as an editor does: who watches it reads no half of it."""
    new = file.with_name(f"{file.name}.new")
    new.write_text(text)
    new.replace(file)


class Ended(Struct, frozen=True):
    """A command that ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Return what it printed, as one JSON document."""
        return json.loads(self.out)

    @property
    def said(self) -> list[str]:
        """Its lines on standard error for people: a slow service also logs there what it waits for."""
        return [line for line in self.err.splitlines() if line.strip() and not line.startswith("{")]

    @property
    def is_unanswered(self) -> bool:
        """Whether services were too busy to reply in time."""
        return self.code == 4 and "was not answered within" in self.err


# What must be there from a process's first moment: the loader and Python read it, /proc shows it.
_FROM_THE_START = ("LD_PRELOAD", "PYTHON", "TMPDIR")
_preloaded = functools.cache(preloaded.Server)


class Command:
    """A process that runs a command, and what it prints."""

    def __init__(self, number: int, ended: Coroutine[Any, Any, int], out: "Pipe", err: "Pipe") -> None:
        self.stdout, self.stderr = out.reader, err.reader
        self._number, self._pipes = number, (out, err)
        self._ended = asyncio.create_task(ended)

    @property
    def returncode(self) -> int | None:
        """Its exit code, once it has ended."""
        return self._ended.result() if self._ended.done() else None

    def send_signal(self, number: int) -> None:
        """Send it a signal if it has not ended."""
        if not self._ended.done():
            with suppress(ProcessLookupError):
                os.kill(self._number, number)

    async def wait(self) -> int:
        """Return its exit code when it has ended."""
        return await asyncio.shield(self._ended)

    def close(self) -> None:
        """Hear no more of it. Its pipes may be open in a child that it has left."""
        for pipe in self._pipes:
            pipe.transport.close()
        self._ended.cancel()


class Pipe(Struct, frozen=True):
    """A pipe from another process: the end to read from, and the one that it gets."""

    reader: asyncio.StreamReader
    transport: asyncio.ReadTransport
    theirs: int


async def _pipe() -> Pipe:
    ours, theirs = os.pipe()
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb", 0)
    )
    return Pipe(reader, transport, theirs)


async def _start(*arguments: str, **environment: str) -> Command:
    # The machine's own Ollama and configuration are none of a test's business.
    whole = {**os.environ, "OLLAMA_HOST": "127.0.0.1:1", "VEDETTE_CONFIG": "", "NO_COLOR": "1", **environment}
    out, err = await _pipe(), await _pipe()
    try:
        if any(name.startswith(_FROM_THE_START) for name in environment):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "vedette", *arguments),
                stdout=out.theirs,
                stderr=err.theirs,
                env=whole,
            )
            return Command(process.pid, process.wait(), out, err)
        number, ended = await _fork(arguments, whole, out.theirs, err.theirs)
        return Command(number, ended, out, err)
    finally:
        os.close(out.theirs)
        os.close(err.theirs)


async def _fork(
    arguments: tuple[str, ...], environment: dict[str, str], out: int, err: int
) -> tuple[int, Coroutine[Any, Any, int]]:
    """Start a command that prints to *out* and *err*; return its process, and what waits for its exit code."""
    status = await _pipe()
    os.umask(umask := os.umask(0))  # there is no other way to learn it
    request = preloaded.Request(arguments, environment, os.getcwd(), umask)
    _preloaded().run(request, (out, err, status.theirs))
    os.close(status.theirs)

    async def ended() -> int:
        try:
            return int(await status.reader.readline())
        finally:
            status.transport.close()

    return int(await status.reader.readline()), ended()


async def vedette(*arguments: str, within_s: float = 900.0, **environment: str) -> Ended:
    """Run a command to its end."""
    command = await _start(*arguments, **environment)
    try:
        async with asyncio.timeout(within_s):
            out, err, code = await asyncio.gather(
                command.stdout.read(), command.stderr.read(), command.wait()
            )
    finally:
        command.close()
    return Ended(code, out.decode(), err.decode())


async def answered(*arguments: str, within_s: float = 900.0) -> Ended:
    """Run a command to its end, again while services are too busy to reply in time."""
    async with asyncio.timeout(within_s):
        while (ended := await vedette(*arguments, within_s=within_s)).is_unanswered:
            pass
        return ended


class Up:
    """A command that runs until it is told to stop, in or against a state directory: `vedette up`, for one."""

    def __init__(self, process: Command, directory: Path) -> None:
        self._process = process
        self._directory = directory
        self._reader = asyncio.create_task(self._read())
        self._changed = asyncio.Event()
        self.lines: list[str] = []

    async def _read(self) -> None:
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
        async with asyncio.timeout(READY_WITHIN_S):
            return (await self._process.stderr.readline()).decode().rstrip()

    async def complaints(self) -> str:
        """Return what it said on standard error, once it has ended."""
        return (await self._process.stderr.read()).decode()

    async def last_words(self) -> str:
        """End it; return what it printed, what it said on standard error, and the end of its broker's log."""
        await self.stop(signal.SIGKILL)
        said, log = "", self._directory / "nats" / "nats-server.log"
        with suppress(TimeoutError):
            async with asyncio.timeout(10):  # a child of it may have the pipe open
                said = await self.complaints()
        broker = log.read_text()[-4000:] if log.exists() else ""
        return "\n".join(["it printed:", *self.lines, "and said:", said, "its broker logged:", broker])

    @property
    def connection(self) -> Connection:
        """How to reach it, as every command finds it."""
        return msgspec.json.decode((self._directory / "connection.json").read_bytes(), type=Connection)

    async def ask(self, *arguments: str, within_s: float = 900.0) -> Ended:
        """Run a command against it, again while its services are too busy to reply in time."""
        return await answered(*arguments, "--state-dir", str(self._directory), within_s=within_s)

    def client(self) -> Client:
        """Return a client of an agent: to ask it again and again costs less than commands do."""
        return Client(self.connection.nats_url, timeout_s=60)

    def send(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal and return its exit code."""
        if self._process.returncode is None:
            self._process.send_signal(number)
        async with asyncio.timeout(READY_WITHIN_S):
            code = await self._process.wait()
        await self._reader
        return code


@asynccontextmanager
async def up(
    directory: Path,
    config: str | None = None,
    *arguments: str,
    first_start: bool = False,
    **environment: str,
) -> AsyncIterator[Up]:
    """Run `vedette up` in *directory* on a configuration (TOML); kill it on the way out if it still runs.

    Without the console, whose process takes a second of a processor to start, unless the configuration has it. Unless
    it is its *first_start*, the directory has a database: to make the tables takes half a second.
    """
    if not first_start:
        await _database_in(directory)
    options = ["--state-dir", str(directory), *arguments]
    if config is not None:
        file = directory.with_suffix(".toml")
        file.write_text(config if "[console]" in config else f"{config}\n[console]\nenabled = false\n")
        options += ["--config", str(file)]
    async with started(directory, "up", *options, **environment) as running:
        yield running
    log = directory / "nats" / "nats-server.log"
    refused = [line for line in log.read_text().splitlines() if "iolation" in line] if log.exists() else []
    # Each service runs as a user that may do no more than it does. What agents and operators try is up to the test.
    assert not [line for line in refused if "user:agent" not in line and "user:operator" not in line]


async def _database_in(directory: Path) -> None:
    file = instance.database_file(directory)
    if not file.exists():
        private.make_directory(directory)
        await make_tables(file)
        file.chmod(0o600)


@asynccontextmanager
async def started(directory: Path, *arguments: str, **environment: str) -> AsyncIterator[Up]:
    """Start a command; kill it on the way out if it still runs."""
    process = await _start(*arguments, **environment)
    running = Up(process, directory)
    try:
        yield running
    except Exception as error:
        error.add_note(await running.last_words())
        raise
    finally:
        await running.stop(signal.SIGKILL)
        process.close()


async def watching(running: Up) -> None:
    """Return when *running* says that it watches."""
    async with asyncio.timeout(READY_WITHIN_S):
        while "watching" not in await running.complaint():
            pass


async def on_screen(width: int, *arguments: str) -> str:
    """Run a command on a terminal that is *width* characters wide; return what it showed, without colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    environment |= {"TERM": "xterm", "NO_COLOR": "1", "VEDETTE_CONFIG": ""}
    try:
        _, ended = await _fork(arguments, environment, theirs, theirs)
        os.close(theirs)
        shown = await asyncio.to_thread(_read, ours)
        await ended
    finally:
        os.close(ours)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()).replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    shown = b""
    # Linux says EIO when the last process that had the terminal open has ended.
    with suppress(OSError):
        while part := os.read(terminal, 65536):
            shown += part
    return shown
