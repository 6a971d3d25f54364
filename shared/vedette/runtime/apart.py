"""Runs a service in its own process, next to the others of `vedette up`, so that they do not delay it.

All other services share one event loop. While a thousand models are discovered, that loop is busy for seconds, and a
recommendation would have to wait (ADR 0021). The two processes exchange lines of JSON over the child's standard input
and output. Credentials are in no argument and in no environment variable.
"""

import asyncio
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from msgspec import Struct

from vedette import errors
from vedette.errors import ChildFailed, VedetteError
from vedette.runtime import telemetry
from vedette.runtime.subprocesses import spawned
from vedette.settings import Http, Settings

_START_TIMEOUT_S = 180.0  # mostly for imports, which are slow on a busy machine
_RELOAD_TIMEOUT_S = 60.0
MAX_LINE_BYTES = 64 * 2**20  # a configuration
_COMMAND = (sys.executable, "-P", "-m", "vedette.runtime.apart_main")
_PIPES: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "limit": MAX_LINE_BYTES}
_FIRST_WAIT_S, _LAST_WAIT_S = 1.0, 60.0


class Start(Struct, frozen=True):
    """The first line to the child: the service to run, and its settings."""

    name: str
    settings: Settings


class Reload(Struct, frozen=True):
    """Each later line to the child: settings to apply. The reply has the same id."""

    id: int
    settings: Settings


class Said(Struct, frozen=True, omit_defaults=True):
    """A line from the child: its health URL once it is warm, or the result of applying the settings of *id*."""

    id: int = 0  # 0: the reply to Start
    health_url: str = ""
    error: str | None = None  # the name of a class of `vedette.errors`, with its `fields`
    fields: dict[str, Any] = {}

    @classmethod
    def of(cls, error: VedetteError, reply_to: int = 0) -> "Said":
        """Return the line that reports *error*."""
        fields = msgspec.to_builtins(error.fields, enc_hook=str)  # msgspec has no paths
        return cls(id=reply_to, error=type(error).__name__, fields=fields)

    def check(self) -> None:
        """Raise the error that the child has reported, if any."""
        if self.error is not None:
            raise getattr(errors, self.error)(**self.fields)


class Apart:
    """A service in a child process, with the methods that `vedette.runtime.process` needs."""

    def __init__(self, name: str, settings: Settings, child: Process) -> None:
        self.name = name
        self.settings = settings
        self.health_url = ""
        self.fatal: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._child = child
        self._reloads = 0
        self._away: str | None = None  # why there is no child now; None: it runs

    async def start(self) -> None:
        """Start the child; return when it is warm. Raises the errors of the service."""
        settings = msgspec.structs.replace(self.settings, http=Http())
        self._write(Start(self.name, settings))
        said = await self._read(0, _START_TIMEOUT_S)
        said.check()
        self.health_url = said.health_url

    async def watch(self) -> None:
        """Wait until the child ends, then fail."""
        code = await self._child.wait()
        if not self.fatal.done():
            self.fatal.set_exception(self._ended(code))
            self.fatal.exception()

    async def replace(self) -> None:
        """Whenever the child ends, start another one: after 1 s, doubled up to 60 s while the start fails."""
        wait_s = _FIRST_WAIT_S
        while True:
            self._away = str(self._ended(await self._child.wait()))
            await asyncio.sleep(wait_s)
            async with spawned(_COMMAND, **_PIPES) as child:
                self._child = child
                try:
                    await self.start()
                except VedetteError:
                    wait_s = min(_LAST_WAIT_S, 2 * wait_s)
                    continue
                self._away, wait_s = None, _FIRST_WAIT_S
                await child.wait()

    async def reload(self, settings: Settings, *, timeout_s: float = _RELOAD_TIMEOUT_S) -> None:
        """Apply *settings*. Raises the errors of the service; then the earlier settings stay in force."""
        if self._away:
            self.settings = settings  # the next child starts with them
            return
        self._reloads += 1
        self._write(Reload(self._reloads, msgspec.structs.replace(settings, http=Http())))
        (await self._read(self._reloads, timeout_s)).check()
        self.settings = settings

    async def ready(self) -> str | None:
        """Return None if the service can do its work, else the problem.

        None also while a child is replaced, because the other services work without it.
        """
        if self._away:
            return None
        return next(iter((await self._readiness()).problems.values()), None)

    async def notes(self) -> str | None:
        """Return a note for the operator about the service, although it is ready, or None."""
        if self._away:
            return f"{self._away}; it is started again"
        return next(iter((await self._readiness()).notes.values()), None)

    def refusing_for(self) -> float:
        """Return 0: other services in this process detect a broker that stores nothing."""
        return 0.0

    async def _readiness(self) -> telemetry.Readiness:
        return await asyncio.to_thread(telemetry.readiness, self.health_url)

    def _write(self, line: Struct) -> None:
        assert self._child.stdin is not None  # noqa: S101 - a pipe
        self._child.stdin.write(msgspec.json.encode(line) + b"\n")

    async def _read(self, reply_to: int, timeout_s: float) -> Said:
        """Return the reply with the id *reply_to*. Late replies to earlier requests are dropped."""
        assert self._child.stdout is not None  # noqa: S101 - a pipe
        try:
            async with asyncio.timeout(timeout_s):
                while line := await self._child.stdout.readline():
                    said = msgspec.json.decode(line, type=Said)
                    if said.id == reply_to:
                        return said
        except TimeoutError as error:
            raise ChildFailed(
                problem=f"the process of the {self.name} did not reply within {timeout_s:g} s"
            ) from error
        raise self._ended(await self._child.wait())

    def _ended(self, code: int) -> ChildFailed:
        return ChildFailed(problem=f"the process of the {self.name} ended with code {code}; its log says why")


@asynccontextmanager
async def serve(name: str, settings: Settings, *, replaced: bool = False) -> AsyncIterator[Apart]:
    """Run the service *name* in its own process; yield when it is warm, stop it at the end.

    If the process ends, the service fails. If *replaced*, the process is started again instead.
    """
    async with spawned(_COMMAND, **_PIPES) as child:
        made = Apart(name, settings, child)
        await made.start()
        watching = asyncio.create_task(made.replace() if replaced else made.watch())
        try:
            yield made
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
