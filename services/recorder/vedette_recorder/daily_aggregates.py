"""Daily aggregates of probes: the transactions that keep `probe_days` correct.

A day is opened first: every model that was probed on that day gets a row without probes, in one transaction. Then the
rows are filled, some at a time. A transaction that stores a probe of an open day empties its row again. So a row with
probes always has all probes of the day. On PostgreSQL, aggregation holds a lock exclusively, and storing holds it
shared, so each sees the other. SQLite has only one writer.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from vedette.types import ModelRef
from vedette_recorder import queries
from vedette_recorder.probes import DAY, Probes, day_of, pack
from vedette_recorder.tables import model_availability_history as history
from vedette_recorder.tables import probe_days as days

AT_ONCE = 50
_LOCK = 0x7665_6465_7474 + 1  # next to the lock of migrations

# The two dialects' inserts have no common type that knows ON CONFLICT.
Insert = Callable[[sa.Table], postgresql.Insert]


async def share(connection: AsyncConnection) -> None:
    """Keep packing out until the transaction ends, in which probes are stored."""
    await _lock(connection, sa.func.pg_advisory_xact_lock_shared)


async def alone(connection: AsyncConnection) -> None:
    """Keep packing and storing out until the transaction ends."""
    await _lock(connection, sa.func.pg_advisory_xact_lock)


async def empty(
    connection: AsyncConnection, insert: Insert, stored: Iterable[tuple[str, str, datetime]]
) -> None:
    """Have the open days of probes just *stored*, each the endpoint, the model and the time, packed again."""
    probed = tuple(stored)
    last = (await connection.execute(queries.packed_until())).scalar() if probed else None
    if last is None:
        return
    names = ("endpoint", "model", "day")
    late = {(endpoint, model, day_of(at)) for endpoint, model, at in probed if at < last + DAY}
    if late:
        emptied = insert(days).on_conflict_do_update(index_elements=names, set_={"probes": None})
        await connection.execute(emptied, [dict(zip(names, key, strict=True)) for key in sorted(late)])


async def open_next(connection: AsyncConnection, insert: Insert, until: datetime) -> int:
    """Open the next day with a probe that was over at *until*; return how many were opened, 0 or 1."""
    await _lock(connection, sa.func.pg_advisory_xact_lock)
    last = (await connection.execute(queries.packed_until())).scalar()
    oldest = sa.select(sa.func.min(history.c.measured_at))
    first = (
        await connection.execute(oldest.where(history.c.measured_at >= last + DAY) if last else oldest)
    ).scalar()
    if first is None or day_of(first) + DAY > until:
        return 0
    day = day_of(first)
    probed = sa.select(history.c.endpoint, history.c.model, sa.literal(day, days.c.day.type)).distinct()
    within = (history.c.measured_at >= day, history.c.measured_at < day + DAY)
    opened = insert(days).from_select(["endpoint", "model", "day"], probed.where(*within))
    await connection.execute(opened.on_conflict_do_nothing())
    return 1


async def fill_some(connection: AsyncConnection, most: int) -> int:
    """Pack the probes of at most *most* models and days that are open and empty; return of how many."""
    await _lock(connection, sa.func.pg_advisory_xact_lock)
    empty = sa.select(days.c.endpoint, days.c.model, days.c.day).where(days.c.probes.is_(None)).limit(most)
    keys = [(ModelRef(endpoint, model), day) for endpoint, model, day in await connection.execute(empty)]
    if not keys:
        return 0
    probes: dict[tuple[ModelRef, datetime], list[list[Any]]] = defaultdict(list)
    for endpoint, model, at, *ended in await connection.execute(queries.stale(keys)):
        probes[ModelRef(endpoint, model), day_of(at)].append([at, *ended])
    fill = (
        sa.update(days)
        .where(*(days.c[name] == sa.bindparam(f"of_{name}") for name in ("endpoint", "model", "day")))
        .values(probes=sa.bindparam("packed"))
    )
    await connection.execute(fill, [_filled(model, day, probes[model, day]) for model, day in keys])
    return len(keys)


def _filled(model: ModelRef, day: datetime, rows: list[list[Any]]) -> dict[str, Any]:
    packed = pack(Probes.of(rows))
    return {"of_endpoint": model.endpoint, "of_model": model.name, "of_day": day, "packed": packed}


async def _lock(connection: AsyncConnection, take: Callable[[int], sa.ColumnElement[Any]]) -> None:
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.select(take(_LOCK)))
