"""A broker and databases that break down for a while, and come back with what they had."""

import asyncio
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from pathlib import Path
from typing import Protocol, Self

from msgspec import Struct

import postgres
from vedette.runtime import nats_server
from vedette.runtime.nats_server import NatsServer


async def say_nothing(_: Exception) -> None:
    """Be the callback of a connection that is meant to be cut off."""


class Broker:
    """A nats-server as the product configures it. Killed, it comes back on its directory and port."""

    server: NatsServer

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._start(port=0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._running.aclose()

    async def _start(self, *, port: int) -> None:
        self.server = await self._running.enter_async_context(nats_server.run(self._directory, port=port))

    async def break_down(self, for_s: float) -> None:
        """Kill it, and start it again after *for_s*."""
        await self.kill()
        await asyncio.sleep(for_s)
        await self.come_back()

    async def kill(self) -> None:
        """Kill it."""
        os.kill(self.server.pid, signal.SIGKILL)
        await self._running.aclose()

    async def come_back(self) -> None:
        """Start it again, killed, where it was."""
        await self._start(port=self.server.port)


class Database(Protocol):
    """A database that can be made to break down."""

    @property
    def url(self) -> str:
        """How the recorder finds it."""

    async def break_down(self, for_s: float) -> None:
        """Take no commit for *for_s*."""


class Sqlite(Struct, frozen=True):
    """SQLite breaks down when another process holds the lock of its file."""

    file: Path

    @property
    def url(self) -> str:
        """How the recorder finds it."""
        return f"sqlite+aiosqlite:///{self.file}"

    async def break_down(self, for_s: float) -> None:
        """Hold the lock for *for_s*."""
        with locked(self.file):
            await asyncio.sleep(for_s)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the lock of the SQLite database in *file*, as another process than the recorder."""
    with closing(sqlite3.connect(file, timeout=60, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")  # closing ends it
        yield


class Postgres(Struct, frozen=True):
    """A PostgreSQL that crashes, with every connection, and recovers when it is started again."""

    binaries: Path
    directory: Path
    url: str

    async def break_down(self, for_s: float) -> None:
        """Stop it at once, and start it again after *for_s*."""
        await asyncio.to_thread(postgres.stop, self.binaries, self.directory)
        await asyncio.sleep(for_s)
        await asyncio.to_thread(postgres.start, self.binaries, self.directory)
