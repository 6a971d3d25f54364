"""How the database is opened: its URL, connections for reading and for writing, and its tables.

The URL decides between SQLite and PostgreSQL.
"""

import os
import sqlite3
import time
from asyncio import sleep
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from vedette.errors import ConfigurationError
from vedette.local import installing, private
from vedette_recorder import postgres
from vedette_recorder.errors import DatabaseUnavailable

_UNAVAILABLE: tuple[type[Exception], ...] = (DBAPIError, sa.exc.TimeoutError, OSError)
with suppress(ImportError):  # of the extra "postgres"
    from asyncpg import InterfaceError, PostgresError

    # SQLAlchemy lets them through as they are when a connection breaks while it is being set up.
    _UNAVAILABLE += (InterfaceError, PostgresError)

_SQLITE = "sqlite+aiosqlite"
SUPPORTED = (_SQLITE, postgres.DRIVER)
_SPELT = dict.fromkeys(postgres.DRIVERS, postgres.DRIVER)
CONNECT_TIMEOUT_S = 10
COMMAND_TIMEOUT_S = 60
# Another version may have months of rows to rewrite.
CHANGE_TIMEOUT_S = 3600
# How long another process that makes or changes the tables of an SQLite file is waited for at a time.
_ANOTHER_MIGRATES_S = 30
_MIGRATION_LOCK = 0x7665_6465_7474  # "vedett": what PostgreSQL's advisory lock is known by
_MIGRATIONS = Path(__file__).parent / "migrations"


def parse(url: str) -> sa.URL:
    """Return *url* taken apart, by the driver that is used. Raises ConfigurationError."""
    try:
        parsed = sa.make_url(postgres.with_hosts_in_query(url))
    except (ArgumentError, ValueError) as error:
        problem = "is not a database URL such as postgresql://user:password@host/database"
        raise ConfigurationError(where="database.url", problem=problem) from error
    parsed = parsed.set(drivername=_SPELT.get(parsed.drivername, parsed.drivername))
    if parsed.drivername not in SUPPORTED:
        problem = f'"{parsed.drivername}" is not supported; use {" or ".join(SUPPORTED)}'
        raise ConfigurationError(where="database.url", problem=problem)
    if "@" in (parsed.host or ""):
        problem = "its user or password has an @; write that one as %40"
        raise ConfigurationError(where="database.url", problem=problem)
    if is_sqlite(parsed) and parsed.database in (None, "", ":memory:"):
        raise ConfigurationError(where="database.url", problem="names no file")
    if is_sqlite(parsed):
        _require_meant(url, Path(parsed.database or ""))
    return parsed


def _require_meant(url: str, path: Path) -> None:
    """Raise ConfigurationError when *url* was written with a plain % and so names another directory than meant."""
    written = Path(url.partition(":///")[2].partition("?")[0])
    if written.parent != path.parent and written.parent.is_dir() and not path.parent.is_dir():
        problem = f"names {path}, because %40 stands for @ in a URL; for {written} write each % as %25"
        raise ConfigurationError(where="database.url", problem=problem)


def is_sqlite(url: sa.URL) -> bool:
    """Return whether *url*, as `parse` returns it, names an SQLite file."""
    return url.drivername == _SQLITE


def reading(url: sa.URL, pooler: postgres.Pooler) -> AsyncEngine:
    """Return an engine whose statements are each read by themselves: a transaction would cost three round trips."""
    # After five times PostgreSQL plans a query for any window of time, and reads all models of it: 190 ms, not 50.
    planned_anew = {"server_settings": {"plan_cache_mode": "force_custom_plan"}}
    return _engine(url, pooler, COMMAND_TIMEOUT_S, planned_anew, isolation_level="AUTOCOMMIT")


def writing(url: sa.URL, pooler: postgres.Pooler, command_timeout_s: float) -> AsyncEngine:
    """Return an engine for transactions that write; a statement may take *command_timeout_s* on PostgreSQL."""
    engine = _engine(url, pooler, command_timeout_s, {})
    if is_sqlite(url):
        sa.event.listen(engine.sync_engine, "begin", _begin_immediate)
    return engine


def _engine(
    url: sa.URL,
    pooler: postgres.Pooler,
    command_timeout_s: float,
    of_asyncpg: dict[str, Any],
    **options: str,
) -> AsyncEngine:
    arguments: dict[str, Any] = {}
    if is_sqlite(url):
        if command_timeout_s > COMMAND_TIMEOUT_S and "timeout" not in url.query:
            arguments = {"timeout": _ANOTHER_MIGRATES_S}
    else:
        url, asked = postgres.split(url)
        waiting = {"timeout": CONNECT_TIMEOUT_S, "command_timeout": command_timeout_s}
        arguments = waiting | of_asyncpg | asked
    try:
        engine = create_async_engine(
            url,
            connect_args=arguments,
            hide_parameters=True,
            json_serializer=_to_json,
            json_deserializer=msgspec.json.decode,
            pool_use_lifo=True,
            **options,
        )
    except (ImportError, NoSuchModuleError) as error:
        problem = (
            f"{url.drivername} is not installed ({error}); install it ({installing.command('postgres')})"
        )
        raise ConfigurationError(where="database.url", problem=problem) from error
    if is_sqlite(url):
        sa.event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    else:
        pooler.follow(engine.sync_engine)
    return engine


def _to_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _prepare_sqlite(connection: Any, _: object) -> None:
    # The driver's own transactions leave DDL out and begin late; `begin` below says it instead.
    connection.isolation_level = None
    # The busy timeout is the driver's: 5 s, or `?timeout=` in the URL.
    connection.run_async(_write_ahead)
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous = FULL")  # NORMAL lost acknowledged events in a power cut
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


async def _write_ahead(connection: Any) -> None:
    """Give the file of *connection* a write-ahead log, while other processes may be doing the same.

    SQLite refuses this at once, whatever the busy timeout, when two connections to a new file ask for it together.
    """
    give_up = time.monotonic() + _ANOTHER_MIGRATES_S
    while True:
        try:
            await connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
        await sleep(0.02)


def _begin_immediate(connection: sa.Connection) -> None:
    # A deferred transaction that turns out to write fails at once when another one has written meanwhile.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def require_writable(url: sa.URL) -> None:
    """Make the database's file and directory, for their user alone. Raises ConfigurationError when it cannot."""
    path = Path(url.database or "").absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        problem = f"the directory {path.parent} cannot be made: {error.strerror}"
        raise ConfigurationError(where="database.url", problem=problem) from error
    for needed in (path.parent, path):
        if needed.exists() and not os.access(needed, os.W_OK):
            raise ConfigurationError(where="database.url", problem=f"{needed} cannot be written")
    # SQLite gives its log and shared memory the mode of the file; those of an earlier version may be there.
    for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
        try:
            if file == path or os.path.lexists(file):
                os.close(private.open_file(file, os.O_RDWR))
        except OSError as error:
            problem = (
                f"{file} is a link; name the file itself"
                if file.is_symlink()
                else f"{file}: {error.strerror}"
            )
            raise ConfigurationError(where="database.url", problem=problem) from error


async def migrate(run: Any, revision: str, connection: AsyncConnection) -> None:
    """Have Alembic *run* a command up or down to *revision*. Raises ConfigurationError and DatabaseUnavailable."""
    if connection.dialect.name == "postgresql":
        await _require_primary(connection)
        # On SQLite the transaction itself is the lock.
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
    await connection.run_sync(_alembic, run, revision)


async def _require_primary(connection: AsyncConnection) -> None:
    """Raise DatabaseUnavailable when nothing can be written here, also where no table needs a change."""
    if (await connection.execute(postgres.IS_READ_ONLY)).scalar_one():
        raise DatabaseUnavailable(url=_shown(connection.engine.url), problem=postgres.READ_ONLY)


def _alembic(connection: sa.Connection, run: Any, revision: str) -> None:
    config = Config()
    # Alembic reads its options through configparser, to which a percent sign is special.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        run(config, revision)
    except CommandError as error:
        problem = (
            f"its tables are of another version of Vedette, or of another program ({error}). Run the version that "
            "made them, or give Vedette a database or a schema of its own"
        )
        raise ConfigurationError(where="database.url", problem=problem) from error


@contextmanager
def translated(url: sa.URL) -> Iterator[None]:
    """Raise DatabaseUnavailable for any error of the database at *url* in this context."""
    try:
        yield
    except _UNAVAILABLE as error:
        cause = getattr(error, "orig", None) or error
        problem = str(cause) or type(error).__name__
        if getattr(cause, "sqlstate", None) == postgres.READ_ONLY_STATE:
            problem = postgres.READ_ONLY
        elif getattr(cause, "sqlstate", None) == postgres.NO_PRIVILEGE_STATE:
            problem = f"{problem}. {postgres.GRANT}"
        raise DatabaseUnavailable(url=_shown(url), problem=problem) from error


def _shown(url: sa.URL) -> str:
    """Return *url* without its secrets; a password can stand in the query as well."""
    hosts = {name: value for name, value in url.query.items() if name == "host"}
    return url.set(query=hosts).render_as_string(hide_password=True)
