"""Corrects rows that a wrong clock dated in the future (ADR 0013).

A clock that was ahead leaves a few hours of rows in the future, recorded after rows of the past. These rows move back
together, until the first one follows the row that was recorded before it. With a clock that is behind, all history
looks like the future: then nothing moves.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from vedette_recorder import daily_aggregates, tables
from vedette_recorder.probes import day_of

AT_ONCE = 500
_WITNESSES = (tables.endpoint_history, tables.model_availability_history)
_PROBES = tables.model_availability_history


def dated() -> Iterator[tuple[sa.Table, str]]:
    """Yield every column that says when something happened, with its table."""
    for table in tables.metadata.sorted_tables:
        if "measured_at" in table.c:
            yield table, "measured_at"
    for column in ("first_seen_at", "last_seen_at", "lost_at"):
        yield tables.model_info, column
    for table in (tables.current_state, tables.dead_letters, tables.stream_gaps):
        yield table, "at"


async def shift(connection: AsyncConnection, horizon: datetime) -> timedelta | None:
    """Return by how much rows dated after *horizon* must move back, or None where nothing was recorded before them."""
    for table in _WITNESSES:
        at, sequence = table.c.measured_at, table.c.sequence
        first = (
            await connection.execute(sa.select(sequence, at).where(at > horizon).order_by(sequence).limit(1))
        ).first()
        if first is None:
            continue
        before = sa.select(sa.func.max(at)).where(at <= horizon, sequence < first.sequence)
        if (anchor := (await connection.execute(before)).scalar()) is not None:
            moved: timedelta = first.measured_at - anchor
            return moved
    return None


async def move_some(
    connection: AsyncConnection,
    insert: daily_aggregates.Insert,
    of: tuple[sa.Table, str],
    by: timedelta,
    *,
    now: datetime,
    horizon: datetime,
) -> int:
    """Move some rows that are dated after *horizon* back; return how many."""
    table, name = of
    keys, column = list(table.primary_key.columns), table.c[name]
    if table is _PROBES:
        await daily_aggregates.share(connection)
    also = [table.c.endpoint, table.c.model, table.c.status_since] if table is _PROBES else []
    some = sa.select(column.label("dated"), *keys, *also).where(column > horizon).limit(AT_ONCE)
    rows = (await connection.execute(some)).mappings().all()
    if not rows:
        return 0
    changed = {name: sa.bindparam("of_time", type_=column.type)}
    if table is _PROBES:
        changed["status_since"] = sa.bindparam("of_status", type_=column.type)
    statement = (
        sa.update(table)
        .where(*(key == sa.bindparam(f"of_{key.name}", type_=key.type) for key in keys))
        .values(changed)
    )
    await connection.execute(statement, [_moved(row, keys, min(row["dated"] - by, now)) for row in rows])
    if table is _PROBES:
        moved = ((row["endpoint"], row["model"], min(row["dated"] - by, now)) for row in rows)
        await daily_aggregates.empty(connection, insert, moved)
    return len(rows)


def _moved(row: Mapping[Any, Any], keys: list[sa.Column[Any]], at: datetime) -> dict[str, Any]:
    values = {f"of_{key.name}": row[key.name] for key in keys} | {"of_time": at}
    return values | {"of_status": min(row["status_since"], at)} if "status_since" in row else values


async def close_future_days(connection: AsyncConnection, now: datetime) -> int:
    """Delete the daily aggregates of days in the future, whose probes were moved; return how many."""
    table = tables.probe_days
    return (await connection.execute(sa.delete(table).where(table.c.day > day_of(now)))).rowcount
