"""Converts the rows of a batch to the driver's types, and writes each once, in one transaction.

If a table refuses a row, the writer finds it by halving the batch, and the row becomes a dead letter.
"""

import sqlite3
from collections.abc import Callable, Iterable
from datetime import datetime
from operator import itemgetter
from typing import Any, cast

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.compiler import SQLCompiler

from vedette_recorder import daily_aggregates, renaming, tables
from vedette_recorder.record import Message, Row, dead_letter
from vedette_recorder.renaming import Rename, Written

# Classes of SQLSTATE that a value causes: data exception, constraint violation, program limit exceeded.
_STATES_OF_ROWS = ("22", "23", "54")
# Drivers raise a bare OverflowError, TypeError or ValueError for a value that they cannot take.
_REFUSED = (StatementError, OverflowError, TypeError, ValueError)
_SQLITE_ERRORS_OF_ROWS = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)
# Errors of a value that its column's type cannot convert for the driver.
_UNBINDABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class Bound(Struct, frozen=True):
    """A row in the driver's types, its place in the order of such rows, and its message."""

    key: Any
    values: tuple[Any, ...]
    message: Message


class Target(Struct, frozen=True, kw_only=True):
    """How rows of one kind are written, and the values by which they are ordered.

    `sql` is the statement, compiled once; `parameters` converts each value to the driver's type. If SQLAlchemy did this
    for each row, it would take more time than SQLite takes to store the row.
    """

    name: str
    sql: str
    parameters: tuple[tuple[str, Callable[[Any], Any] | None], ...]
    key: Callable[[Any], Any]

    def bind(self, row: Row) -> Bound:
        """Return *row* as the driver takes it. Raises one of _UNBINDABLE."""
        values = row.values
        bound = [process(values[name]) if process else values[name] for name, process in self.parameters]
        return Bound(self.key(values), tuple(bound), row.message)


class Probed(Struct, frozen=True):
    """A probe that a batch stores: its message, and the model and time by which its day is known."""

    sequence: int
    endpoint: str
    model: str
    at: datetime


class Batch(Struct, frozen=True, kw_only=True):
    """Rows for one transaction, by table. `dead` are rows that the driver cannot convert, as dead letters."""

    groups: tuple[tuple[Target, list[Bound]], ...]
    probed: tuple[Probed, ...]
    written: tuple[Written, ...]  # rows of history, which may be of a model that was renamed
    renames: tuple[Rename, ...]
    dead: tuple[Row, ...]


class Writer:
    """Writes batches by the statements of one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self.insert = (
            cast("daily_aggregates.Insert", sqlite.insert) if dialect.name == "sqlite" else postgresql.insert
        )
        self._targets = _targets(dialect, self.insert)

    def bind(self, rows: Iterable[Row]) -> Batch:
        """Return *rows* in the driver's types, in order of key, so that two recorders do not deadlock.

        Rows come from an iterator, and only the result is kept. So the next event reuses memory that is still in the
        processor's cache.
        """
        groups: dict[str, list[Bound]] = {table: [] for table in self._targets}
        probed: list[Probed] = []
        written: list[Written] = []
        renames: list[Rename] = []
        dead: list[Row] = []
        for row in rows:
            try:
                groups[row.table].append(self._targets[row.table].bind(row))
            except _UNBINDABLE as error:
                dead.append(dead_letter(row.message, _reason(error), table=row.table))
                continue
            if renaming.covers(row.table):
                written.append(Written(row.message.sequence, row.table, *_whose(row.values)))
            elif row.table == tables.model_renames.name:
                renames.append(renaming.rename_of(row.values))
            if row.table == tables.model_availability_history.name:
                probed.append(Probed(row.message.sequence, *_day_of_model(row.values)))
        for group in groups.values():
            group.sort(key=_key_of)
        return Batch(
            groups=tuple((self._targets[table], group) for table, group in groups.items() if group),
            probed=tuple(probed),
            written=tuple(written),
            renames=tuple(renames),
            dead=tuple(dead),
        )

    async def write(self, connection: AsyncConnection, batch: Batch) -> tuple[Row, ...]:
        """Write *batch*; return the dead letters, written as well, of rows that a driver or a table refuses."""
        await (daily_aggregates.alone(connection) if batch.renames else daily_aggregates.share(connection))
        renames = await self._rename(connection, batch)
        dead = (*batch.dead, *await _write_groups(connection, batch.groups))
        moved = await renaming.place(connection, batch.written, renames)
        if dead:
            target = self._targets[tables.dead_letters.name]
            await _execute(connection, target, [target.bind(row) for row in dead])
        refused = {row.message.sequence for row in dead}
        stored = (
            (moved.get(p.sequence, p.endpoint), p.model, p.at)
            for p in batch.probed
            if p.sequence not in refused
        )
        await daily_aggregates.empty(connection, self.insert, stored)
        return dead

    async def _rename(self, connection: AsyncConnection, batch: Batch) -> list[Rename]:
        """Move what is recorded by the renames of *batch* that are new; return all that concern its rows."""
        names = {row.model for row in batch.written} | {rename.model for rename in batch.renames}
        known = await renaming.known(connection, names) if names else []
        recorded = {rename.event_id for rename in known}
        new = [rename for rename in batch.renames if rename.event_id not in recorded]
        await renaming.apply(connection, self.insert, new, known)
        return [*known, *new]


_whose = itemgetter("event_id", "endpoint", "model", "measured_at")
_day_of_model = itemgetter("endpoint", "model", "measured_at")


def _key_of(bound: Bound) -> Any:
    return bound.key


def _targets(dialect: Dialect, insert: daily_aggregates.Insert) -> dict[str, Target]:
    """Return how each kind of row is written, in the order of writing.

    `model_info` comes first: the transaction that forgets a lost model locks it there before its state.
    """
    info, state, position = tables.model_info, tables.current_state, tables.ingest_position
    targets = {
        "model_info": _target(dialect, "model_info", _upsert_model(insert), _key(info)),
        "model_seen": _target(dialect, "model_seen", _see_model(), ("of_endpoint", "of_model")),
        "current_state": _target(dialect, "current_state", _upsert(insert, state), _key(state)),
        "ingest_position": _target(dialect, "ingest_position", _upsert(insert, position), _key(position)),
    }
    for table in tables.metadata.sorted_tables:
        if table.name not in targets:
            once = insert(table).on_conflict_do_nothing()
            targets[table.name] = _target(dialect, table.name, once, _key(table))
    return targets


def _key(table: sa.Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.primary_key.columns)


def _target(dialect: Dialect, name: str, statement: sa.ClauseElement, key: tuple[str, ...]) -> Target:
    compiled = cast("SQLCompiler", statement.compile(dialect=dialect))
    names = compiled.positiontup or ()
    return Target(
        name=name,
        sql=str(compiled),
        parameters=tuple(
            (name, compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect)) for name in names
        ),
        key=itemgetter(*key),
    )


def _upsert(insert: daily_aggregates.Insert, table: sa.Table) -> sa.ClauseElement:
    """Return an insert into *table* that gives way to a message further on in its stream."""
    statement = insert(table)
    held, new = table.c, statement.excluded
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={column.name: new[column.name] for column in table.columns if not column.primary_key},
        where=sa.tuple_(new.stream_created_at, new.sequence)
        > sa.tuple_(held.stream_created_at, held.sequence),
    )


def _upsert_model(insert: daily_aggregates.Insert) -> sa.ClauseElement:
    """Return an insert into `model_info` that keeps the higher revision, whatever comes first."""
    table = tables.model_info
    statement = insert(table)
    held, new = table.c, statement.excluded
    newer = sa.tuple_(new.stream_created_at, new.revision) > sa.tuple_(held.stream_created_at, held.revision)
    changes = {
        column.name: sa.case((newer, new[column.name]), else_=column)
        for column in table.columns
        if not column.primary_key
    }
    first, last = held.first_seen_at, held.last_seen_at
    changes["first_seen_at"] = sa.case((new.first_seen_at < first, new.first_seen_at), else_=first)
    changes["last_seen_at"] = sa.case(
        (last > new.last_seen_at, last), else_=sa.func.coalesce(new.last_seen_at, last)
    )
    return statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=changes)


def _see_model() -> sa.ClauseElement:
    """Return the update that a sign of life makes to `model_info`."""
    table = tables.model_info
    return (
        sa.update(table)
        .where(table.c.endpoint == sa.bindparam("of_endpoint"), table.c.model == sa.bindparam("of_model"))
        .where(table.c.last_seen_at < sa.bindparam("seen_at"))
        .values(last_seen_at=sa.bindparam("seen_at"))
    )


async def _write_groups(
    connection: AsyncConnection, groups: Iterable[tuple[Target, list[Bound]]]
) -> list[Row]:
    """Write *groups* at once; only when the database refuses some of it, group by group."""
    try:
        async with connection.begin_nested():
            for target, group in groups:
                await _execute(connection, target, group)
    except _REFUSED as error:
        if not _blames_row(error):
            raise
        return [dead for target, group in groups for dead in await _write(connection, target, group)]
    return []


async def _write(connection: AsyncConnection, target: Target, group: list[Bound]) -> list[Row]:
    """Write *group*; when the database refuses some, find them by halving and return them as dead letters."""
    try:
        async with connection.begin_nested():
            await _execute(connection, target, group)
    except _REFUSED as error:
        if not _blames_row(error):
            raise
        if len(group) == 1:
            return [dead_letter(group[0].message, _reason(error), table=target.name)]
        middle = len(group) // 2
        first = await _write(connection, target, group[:middle])
        return first + await _write(connection, target, group[middle:])
    return []


async def _execute(connection: AsyncConnection, target: Target, group: list[Bound]) -> None:
    await connection.exec_driver_sql(target.sql, [bound.values for bound in group])


def _blames_row(error: Exception) -> bool:
    """Return whether a value caused *error*, and not the database's own state."""
    if not isinstance(error, DBAPIError):
        return True
    cause = error.orig
    state = getattr(cause, "sqlstate", None)
    if error.connection_invalidated or cause is None:
        return False
    if state:
        return str(state).startswith(_STATES_OF_ROWS)
    return isinstance(cause, _SQLITE_ERRORS_OF_ROWS) or isinstance(cause.__cause__, TypeError | ValueError)


def _reason(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return f"{type(cause).__name__}: {cause}"
