"""The database: migrations, writing rows once, quarantine of what cannot be stored, retention.

The statements are the same on SQLite and PostgreSQL (`opening.py`). If the database does not reply for any reason,
DatabaseUnavailable is raised, and the whole transaction is undone: try again with the same rows.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime
from functools import partial
from typing import Any, Self, TypeVar

import msgspec
import sqlalchemy as sa
from alembic import command
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from vedette.messages.tolerance import FUTURE
from vedette.types import ModelRef
from vedette_recorder import daily_aggregates, postgres, redating, tables
from vedette_recorder.opening import (
    CHANGE_TIMEOUT_S,
    COMMAND_TIMEOUT_S,
    is_sqlite,
    migrate,
    parse,
    reading,
    require_writable,
    translated,
    writing,
)
from vedette_recorder.probes import DAY
from vedette_recorder.record import CurrentRow, Gap, Position, Row
from vedette_recorder.retaining import Recorded
from vedette_recorder.writing import Batch, Writer

T = TypeVar("T")
S = TypeVar("S", bound=Struct)
DELETE_BATCH = 500
# Every contact with an endpoint is in the one, every probe in the other.
_WITNESSES = (tables.endpoint_history.c.measured_at, tables.model_availability_history.c.measured_at)


class Store:
    """The recorder's database. Enter it, `migrate`, then write and read."""

    def __init__(self, url: str) -> None:
        self._url = parse(url)
        self._pooler = postgres.Pooler()
        self._reading = reading(self._url, self._pooler)
        self._writing = writing(self._url, self._pooler, COMMAND_TIMEOUT_S)
        self._under_way: set[asyncio.Task[Any]] = set()  # reads and transactions, awaited or not
        self._writer = Writer(self._writing.dialect)
        self._insert = self._writer.insert
        # SQLite has one writer; waiting here costs less than waiting for its lock.
        self._turn: AbstractAsyncContextManager[None] = (
            asyncio.Lock() if is_sqlite(self._url) else nullcontext()
        )

    async def __aenter__(self) -> Self:
        if is_sqlite(self._url):
            require_writable(self._url)
        return self

    async def __aexit__(self, *_: object) -> None:
        await _end(self._under_way, cancel=not is_sqlite(self._url))
        await self._reading.dispose()
        await self._writing.dispose()

    async def migrate(self, revision: str = "head") -> None:
        """Bring the tables up to *revision*; processes that do so at once wait for each other."""
        await self._change_tables(command.upgrade, revision)

    async def downgrade(self, revision: str) -> None:
        """Take the tables back to *revision* (`base`: none at all), and what they held with them."""
        await self._change_tables(command.downgrade, revision)

    def bind(self, rows: Iterable[Row]) -> Batch:
        """Return *rows* as `put` takes them; of what they were made from nothing is kept."""
        return self._writer.bind(rows)

    async def put(self, batch: Batch) -> tuple[Row, ...]:
        """Write *batch* in one transaction, each row once; return the dead letters of rows that cannot be stored."""
        return await self._transact(lambda connection: self._writer.write(connection, batch))

    async def write(self, rows: Iterable[Row]) -> tuple[Row, ...]:
        """Bind *rows* and put them."""
        return await self.put(self.bind(rows))

    async def position(self, stream: str) -> Position | None:
        """Return how far *stream* was recorded, or None when it never was."""
        table = tables.ingest_position
        query = sa.select(table.c.stream_created_at, table.c.sequence).where(table.c.stream == stream)
        rows = await self.read(query)
        return Position(**rows[0]) if rows else None

    async def reach(self, stream: str, position: Position) -> None:
        """Note that *stream* is recorded up to *position*, further on or further back than before."""
        values = {"stream": stream, **msgspec.structs.asdict(position)}

        async def upsert(connection: AsyncConnection) -> None:
            statement = self._insert(tables.ingest_position).values(values)
            await connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["stream"], set_=msgspec.structs.asdict(position)
                )
            )

        await self._transact(upsert)

    async def note(self, gap: Gap) -> Gap | None:
        """Note *gap*, as one with those it overlaps; return what is noted then, or None if nothing is new."""
        return await self._transact(partial(_note, gap, self._insert))

    async def count(self, table: sa.Table) -> int:
        """Return how many rows *table* has."""
        rows = await self.read(sa.select(sa.func.count().label("n")).select_from(table))
        return int(rows[0]["n"])

    async def read(self, query: sa.Select[Any]) -> Sequence[sa.RowMapping]:
        """Return the rows of *query*, by name."""
        return [row._mapping for row in await self._rows(query)]

    async def tuples(self, query: sa.Select[Any]) -> list[tuple[Any, ...]]:
        """Return the rows of *query* as tuples, which is quicker than by name for thousands of them."""
        # A slice of all is the tuple that the row keeps; `tuple` would make another.
        return [row[:] for row in await self._rows(query)]

    async def structs(self, query: sa.Select[Any], kind: type[list[S]]) -> list[S]:
        """Return the rows of *query*, which selects what the fields of *kind*'s structs are, in their order."""
        return msgspec.convert(await self.tuples(query), kind)

    async def stream(
        self, query: sa.Select[Any], key: Sequence[sa.Column[Any]], *, chunk: int = 1_000
    ) -> AsyncIterator[Sequence[sa.RowMapping]]:
        """Yield the rows of *query* in the order of the unique *key*, *chunk* at a time, each read by itself.

        So neither memory nor a transaction grows with them; *query* must select the columns of the key.
        """
        ordered = query.order_by(*key).limit(chunk)
        rows = await self.read(ordered)
        while rows:
            yield rows
            if len(rows) < chunk:
                return
            reached = [sa.literal(rows[-1][column.name], column.type) for column in key]
            rows = await self.read(ordered.where(sa.tuple_(*key) > sa.tuple_(*reached)))

    async def pack(self, until: datetime, *, batch: int = daily_aggregates.AT_ONCE) -> int:
        """Pack the probes of days that were over at *until*, in short transactions; return how many rows that made."""

        async def open_next(connection: AsyncConnection) -> int:
            return await daily_aggregates.open_next(connection, self._insert, until)

        async def fill_some(connection: AsyncConnection) -> int:
            return await daily_aggregates.fill_some(connection, batch)

        packed = 0
        while await self._in_batches(open_next, 1):
            packed += await self._in_batches(fill_some, batch)
        return packed + await self._in_batches(fill_some, batch)

    async def time(self) -> datetime | None:
        """Return the time of the database's own clock, or None for SQLite, which has none."""
        if is_sqlite(self._url):
            return None
        rows = await self.read(sa.select(sa.func.clock_timestamp().label("now")))
        shown: datetime = rows[0]["now"]
        return shown

    async def recorded(self, *, most_hours: int, since: datetime | None = None) -> Recorded:
        """Return the oldest time that ages, and the newest hours (after *since*) in which something was recorded."""
        columns = [table.c[name] for table, name in redating.dated() if table is not tables.current_state]
        oldest = [found for column in columns if (found := await self._end(sa.func.min(column)))]
        hours: list[datetime] = []
        while len(hours) < most_hours:
            before = hours[-1].replace(minute=0, second=0, microsecond=0) if hours else None
            newest = [found for at in _WITNESSES if (found := await self._newest(at, before, since))]
            if not newest:
                break
            hours.append(max(newest))
        return Recorded(oldest=min(oldest, default=None), hours=hours)

    async def _newest(
        self, at: sa.Column[Any], before: datetime | None, since: datetime | None
    ) -> datetime | None:
        limits = [at < before] if before else []
        return await self._end(sa.func.max(at), *limits, *([at > since] if since else []))

    async def _end(self, of: sa.ColumnElement[Any], *where: sa.ColumnElement[bool]) -> datetime | None:
        found: datetime | None = (await self.read(sa.select(of.label("at")).where(*where)))[0]["at"]
        return found

    async def redate(self, now: datetime) -> int:
        """Move rows that a wrong clock dated in the future back, in short transactions; return how many."""
        horizon = now + FUTURE
        by = await self._transact(lambda connection: redating.shift(connection, horizon))
        if by is None:
            return 0
        moved = 0
        for of in redating.dated():

            async def move(connection: AsyncConnection, of: tuple[sa.Table, str] = of) -> int:
                return await redating.move_some(connection, self._insert, of, by, now=now, horizon=horizon)

            moved += await self._in_batches(move, redating.AT_ONCE)
        await self._transact(lambda connection: redating.close_future_days(connection, now))
        return moved

    async def delete_older_than(self, cutoff: datetime, *, batch: int = DELETE_BATCH) -> dict[str, int]:
        """Delete history before *cutoff* and models lost before it; return how many rows by table.

        No transaction deletes more than *batch* rows of a table, so that recording does not wait for long. Current
        state does not age: only models that were lost before *cutoff* are forgotten.
        """
        deleted: dict[str, int] = {}
        for table, old in _aged(cutoff):
            deleted[table.name] = deleted.get(table.name, 0) + await self._delete(table, old, batch)
        deleted[tables.model_info.name] = await self._forget_lost(cutoff, batch)
        return deleted

    async def delete(self, table: sa.Table, where: sa.ColumnElement[bool]) -> int:
        """Delete the rows of *table* for which *where* holds; return how many."""

        async def delete(connection: AsyncConnection) -> int:
            return (await connection.execute(sa.delete(table).where(where))).rowcount

        return await self._transact(delete)

    async def lost_models(self) -> list[tuple[ModelRef, datetime]]:
        """Return the lost models that are remembered, and when each was lost."""
        info = tables.model_info.c
        query = sa.select(info.endpoint, info.model, info.lost_at).where(info.lost_at.is_not(None))
        return [(ModelRef(endpoint, model), at) for endpoint, model, at in await self.tuples(query)]

    async def renamed_models(self) -> list[ModelRef]:
        """Return the former names of renamed models that are still remembered as lost."""
        info, renames = tables.model_info.c, tables.model_renames.c
        same = sa.and_(info.endpoint == renames.former_endpoint, info.model == renames.model)
        query = sa.select(info.endpoint, info.model).join(tables.model_renames, same).distinct()
        return [ModelRef(*row) for row in await self.tuples(query.where(info.lost_at == renames.until))]

    async def current_rows(self, models: Sequence[ModelRef]) -> list[CurrentRow]:
        """Return where the last recorded messages of *models* stand."""
        state = tables.current_state.c
        columns = [state[name] for name in CurrentRow.__struct_fields__]
        query = sa.select(*columns).where(
            sa.tuple_(state.endpoint, state.model).in_([(model.endpoint, model.name) for model in models])
        )
        return [CurrentRow(**row) for row in await self.read(query)]

    async def forget(self, models: Sequence[ModelRef]) -> int:
        """Delete the description and the current state of *models* that are still lost; return how many."""

        async def forget(connection: AsyncConnection) -> int:
            return await _forget_models(connection, [(model.endpoint, model.name) for model in models])

        return await self._transact(forget) if models else 0

    async def _rows(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        async def read() -> Sequence[sa.Row[Any]]:
            async with self._reading.connect() as connection:
                rows: Sequence[sa.Row[Any]] = (await connection.execute(query)).all()
            return rows

        with translated(self._url):
            return await self._run(read(), leave=is_sqlite(self._url))

    async def _run(self, work: Coroutine[Any, Any, T], *, leave: bool = False) -> T:
        """Return what *work* returns, in a task that the store ends before it closes the database.

        When this is cancelled, work on PostgreSQL is cancelled too, and this waits for it. Work on SQLite continues
        to its end, because a connection that is closed during a statement keeps its lock until it is garbage
        (sqlite3_close_v2). This waits for that end, unless *leave* is set.
        """
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._done)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not is_sqlite(self._url):
                task.cancel()
            if not leave:
                await asyncio.wait([task])
            raise

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # of one that is not waited for any more

    async def _delete(self, table: sa.Table, old: sa.ColumnElement[bool], batch: int) -> int:
        key = sa.tuple_(*table.primary_key.columns)
        some = sa.select(*table.primary_key.columns).where(old).limit(batch)
        statement = sa.delete(table).where(key.in_(some))

        async def delete(connection: AsyncConnection) -> int:
            return (await connection.execute(statement)).rowcount

        return await self._in_batches(delete, batch)

    async def _forget_lost(self, cutoff: datetime, batch: int) -> int:
        async def forget(connection: AsyncConnection) -> int:
            return await _forget_some(connection, cutoff, batch)

        return await self._in_batches(forget, batch)

    async def _in_batches(self, work: Callable[[AsyncConnection], Awaitable[int]], batch: int) -> int:
        """Call *work* in a transaction of its own until it does fewer than *batch*; return how many in all.

        After each it rests as long as that took, so that at least half of the database's time is ingest's.
        """
        total = 0
        while True:
            began = time.monotonic()
            count = await self._transact(work)
            total += count
            if count < batch:
                return total
            await asyncio.sleep(time.monotonic() - began)

    async def _change_tables(self, run: Any, revision: str) -> None:
        patient = writing(self._url, self._pooler, CHANGE_TIMEOUT_S)

        async def change() -> None:
            try:
                await _begin(patient, partial(migrate, run, revision))
            finally:
                await patient.dispose()

        await self._in_turn(change)

    async def _transact(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Return the result of *work* in a transaction of its own."""
        return await self._in_turn(partial(_begin, self._writing, work))

    async def _in_turn(self, transaction: Callable[[], Coroutine[Any, Any, T]]) -> T:
        with translated(self._url):
            async with self._turn:
                return await self._run(transaction())


async def _end(tasks: Iterable["asyncio.Task[Any]"], *, cancel: bool) -> None:
    """Return when all *tasks* have ended. A connection that is in use when its engine is disposed is never closed."""
    left = list(tasks)
    if cancel:
        for task in left:
            task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


async def _begin(engine: AsyncEngine, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    async with engine.begin() as connection:
        return await work(connection)


# --- Gaps -----------------------------------------------------------------------------------------------------


async def _note(gap: Gap, insert: daily_aggregates.Insert, connection: AsyncConnection) -> Gap | None:
    table = tables.stream_gaps
    overlapping = sa.and_(
        table.c.stream == gap.stream,
        table.c.stream_created_at == gap.stream_created_at,
        table.c.first_sequence <= gap.last_sequence,
        table.c.last_sequence >= gap.first_sequence,
    )
    rows = (await connection.execute(sa.select(table).where(overlapping).with_for_update())).mappings()
    held = [Gap(**row) for row in rows]
    merged = gap.with_all(held)
    if held == [merged]:
        return None
    await connection.execute(sa.delete(table).where(overlapping))
    # Another recorder may have noted the same at the same moment.
    statement = insert(table).values(msgspec.structs.asdict(merged)).on_conflict_do_nothing()
    await connection.execute(statement)
    return merged


# --- Retention ----------------------------------------------------------------------------------------------


def _aged(cutoff: datetime) -> Iterator[tuple[sa.Table, sa.ColumnElement[bool]]]:
    """Yield the deletions, in order. A description is deleted if a later one was already valid at *cutoff*."""
    info = tables.model_info_history
    for table in tables.metadata.sorted_tables:
        if "measured_at" in table.c and table is not info:
            yield table, table.c.measured_at < cutoff
    # Only when the whole day is too old: its probes are gone by now, above.
    yield tables.probe_days, tables.probe_days.c.day < cutoff - DAY
    for table in (tables.dead_letters, tables.stream_gaps, tables.model_renames):
        yield table, table.c.at < cutoff
    other = info.alias()
    same = sa.and_(other.c.endpoint == info.c.endpoint, other.c.model == info.c.model)
    later = sa.exists().where(same, other.c.measured_at > info.c.measured_at, other.c.measured_at < cutoff)
    yield info, sa.and_(info.c.measured_at < cutoff, later)
    # The loss itself goes last: without it, an earlier description would seem to be valid still.
    earlier = sa.exists().where(same, other.c.measured_at < info.c.measured_at)
    yield info, sa.and_(info.c.measured_at < cutoff, info.c.event == "lost", ~earlier)


async def _forget_some(connection: AsyncConnection, cutoff: datetime, batch: int) -> int:
    """Delete some models lost before *cutoff*, with their current state; return how many."""
    info = tables.model_info
    some = (
        sa.select(info.c.endpoint, info.c.model)
        .where(info.c.lost_at < cutoff)
        .order_by(info.c.endpoint, info.c.model)
    )
    lost = [tuple(row) for row in await connection.execute(some.limit(batch).with_for_update())]
    return await _forget_models(connection, lost)


async def _forget_models(connection: AsyncConnection, models: Sequence[tuple[Any, ...]]) -> int:
    """Delete *models* (endpoint, name) that are lost, with their current state; return how many."""
    info, state = tables.model_info, tables.current_state
    model = sa.tuple_(info.c.endpoint, info.c.model)
    lost = sa.and_(model.in_(models), info.c.lost_at.is_not(None))
    held = [
        tuple(row) for row in await connection.execute(sa.select(info.c.endpoint, info.c.model).where(lost))
    ]
    if held:
        await connection.execute(sa.delete(state).where(sa.tuple_(state.c.endpoint, state.c.model).in_(held)))
        await connection.execute(sa.delete(info).where(model.in_(held)))
    return len(held)
