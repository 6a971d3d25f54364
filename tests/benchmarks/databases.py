"""Databases of each kind, spoken to by their bare drivers: rows in large numbers, and the recorder's statements."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol, Self
from uuid import UUID, uuid4

import aiosqlite
import asyncpg
import sqlalchemy as sa
from msgspec import Struct

import postgres
from vedette_recorder.store import Store

Kind = Literal["sqlite", "postgresql"]
KINDS: tuple[Kind, ...] = ("sqlite", "postgresql")
_AT_ONCE = 50_000


class Statement(Struct, frozen=True):
    """SQL as the driver gets it, and the values of each of its executions."""

    sql: str
    parameters: Sequence[Any]


class Bare(Protocol):
    """A driver's connection, with what is measured beside the recorder."""

    async def transact(self, statements: Sequence[Statement]) -> None:
        """Execute *statements* in one transaction."""

    async def fetch(self, sql: str, *values: object) -> list[Any]:
        """Return the rows of *sql*, whose parameters are `?`."""

    async def fill(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Insert *rows* as fast as it goes, with fresh statistics afterwards."""

    def native(self, value: object) -> object:
        """Return *value*, a time or an id, as the tables hold it."""


class Database(Struct, frozen=True, kw_only=True):
    """A database with the recorder's tables."""

    kind: Kind
    url: str

    @asynccontextmanager
    async def bare(self) -> AsyncIterator[Bare]:
        """Connect by the bare driver."""
        if self.kind == "sqlite":
            path = self.url.partition(":///")[2]
            async with aiosqlite.connect(path, isolation_level=None) as connection:
                for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                    await connection.execute(f"PRAGMA {pragma}")
                yield _Sqlite(connection)
        else:
            connection = await asyncpg.connect(self.url.replace("+asyncpg", ""))
            try:
                yield _Postgres(connection)
            finally:
                await connection.close()


class Databases:
    """Makes databases in *directory* and on a PostgreSQL server with the settings it is installed with."""

    def __init__(self, directory: Path, binaries: Path | None, socket: Path | None) -> None:
        self._directory = directory
        self._postgres = (binaries, socket) if binaries and socket else None

    @classmethod
    @contextmanager
    def open(cls, directory: Path) -> Iterator[Self]:
        """Run the PostgreSQL server, where there is one."""
        binaries = postgres.find_binaries()
        if binaries is None:
            yield cls(directory, None, None)
        else:
            with postgres.server(binaries, fsync=True) as socket:
                yield cls(directory, binaries, socket)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Which kinds there are on this machine."""
        return KINDS if self._postgres else KINDS[:1]

    @asynccontextmanager
    async def empty(self, kind: Kind) -> AsyncIterator[Database]:
        """Make a database with empty tables; on the way out, drop it."""
        path = self._directory / f"{uuid4().hex}.db"
        if kind == "sqlite":
            url = f"sqlite+aiosqlite:///{path}"
        else:
            assert self._postgres is not None
            url = await asyncio.to_thread(postgres.create_database, *self._postgres)
        async with Store(url) as store:
            await store.migrate()
        yield Database(kind=kind, url=url)
        if kind == "sqlite":
            for file in self._directory.glob(f"{path.name}*"):
                file.unlink()
        elif self._postgres is not None:
            await asyncio.to_thread(postgres.drop_database, *self._postgres, url)


class _Sqlite:
    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def transact(self, statements: Sequence[Statement]) -> None:
        await self._connection.execute("BEGIN IMMEDIATE")
        for statement in statements:
            await self._connection.executemany(statement.sql, statement.parameters)
        await self._connection.execute("COMMIT")

    async def fetch(self, sql: str, *values: object) -> list[Any]:
        async with self._connection.execute(sql, values) as cursor:
            return list(await cursor.fetchall())

    async def fill(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        await self._connection.execute("PRAGMA synchronous = OFF")
        sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        for chunk in _chunks(rows):
            await self.transact([Statement(sql, [tuple(map(self.native, row)) for row in chunk])])
        for pragma in ("synchronous = FULL", "wal_checkpoint(TRUNCATE)"):
            await self._connection.execute(f"PRAGMA {pragma}")
        await self._connection.execute("ANALYZE")

    def native(self, value: object) -> object:
        if isinstance(value, datetime):
            return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
        return value.hex if isinstance(value, UUID) else value


class _Postgres:
    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._turn = asyncio.Lock()  # asyncpg does one thing at a time, and says so

    async def transact(self, statements: Sequence[Statement]) -> None:
        async with self._connection.transaction():
            for statement in statements:
                await self._connection.executemany(statement.sql, statement.parameters)

    async def fetch(self, sql: str, *values: object) -> list[Any]:
        first, *others = sql.split("?")
        numbered = first + "".join(f"${n}{part}" for n, part in enumerate(others, 1))
        async with self._turn:
            return list(await self._connection.fetch(numbered, *values))

    async def fill(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        for chunk in _chunks(rows):
            await self._connection.copy_records_to_table(table, records=chunk, columns=columns)
        await self._connection.execute(f"VACUUM ANALYZE {table}")

    def native(self, value: object) -> object:
        return value


def _chunks(rows: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, _AT_ONCE)):
        yield chunk


@contextmanager
def noted() -> Iterator[list[Statement]]:
    """Note every statement that changes rows, with its values, as SQLAlchemy hands it to a driver."""
    statements: list[Statement] = []

    def note(_: Any, __: Any, sql: str, parameters: Any, ___: Any, many: bool) -> None:
        if sql.startswith(("INSERT", "UPDATE")):
            statements.append(Statement(sql, list(parameters) if many else [parameters]))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
