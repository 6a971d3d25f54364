"""History of models whose endpoint was renamed: it continues under the new name.

A rename is a row, written once. Rows that are already recorded move to the new name in the same transaction. Older
messages that arrive later, for example after a redelivery, are recorded under the new name. If another model had the
new name before, its rows first move to a name that no endpoint can have, so histories of two servers never mix.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from vedette_recorder import daily_aggregates, tables
from vedette_recorder.probes import DAY

_TABLES = tuple(t for t in tables.metadata.sorted_tables if {"measured_at", "model"} <= set(t.c.keys()))
_BY_NAME = {table.name: table for table in _TABLES}


class Rename(Struct, frozen=True, kw_only=True):
    """A row of `model_renames`: until `until`, `model` of `former_endpoint` is now the model of `endpoint`.

    Until `replaced_at`, `endpoint` had another model of that name.
    """

    event_id: str
    endpoint: str
    model: str
    former_endpoint: str
    at: datetime
    until: datetime
    replaced_at: datetime | None = None


class Written(Struct, frozen=True):
    """A row of history as it was published: its table, its key, and the values that show to which model it belongs."""

    sequence: int
    table: str
    event_id: str
    endpoint: str
    model: str
    at: datetime


def covers(table: str) -> bool:
    """Return whether rows of *table* are history of one model."""
    return table in _BY_NAME


def owner(written: Written, renames: Iterable[Rename]) -> str:
    """Return the endpoint under which *written* belongs, after all *renames* in order of their time. Pure."""
    endpoint = written.endpoint
    known = sorted((r for r in renames if r.model == written.model), key=lambda r: (r.at, r.event_id))
    for place, rename in enumerate(known):
        if endpoint == _source(rename, known[:place]) and written.at <= rename.until:
            endpoint = rename.endpoint
        elif rename.replaced_at and endpoint == rename.endpoint and written.at <= rename.replaced_at:
            endpoint = _aside(endpoint, rename.replaced_at)
    return endpoint


def _aside(endpoint: str, until: datetime) -> str:
    """Return the name under which rows of a model that was replaced are kept; a dot is in no endpoint's name."""
    return f"{endpoint}.{(until - datetime.fromtimestamp(0, until.tzinfo)) // timedelta(microseconds=1)}"


def _source(rename: Rename, before: Iterable[Rename]) -> str:
    """Return where the rows of *rename* are after those *before* it: set aside, where its former name was taken."""
    former, until = rename.former_endpoint, rename.until
    taken = any(r.endpoint == former and r.model == rename.model and r.replaced_at == until for r in before)
    return _aside(former, until) if taken else former


async def known(connection: AsyncConnection, models: Iterable[str]) -> list[Rename]:
    """Return the renames of models of these names, in order of time."""
    table = tables.model_renames
    columns = [table.c[name] for name in Rename.__struct_fields__]
    query = (
        sa.select(*columns).where(table.c.model.in_(sorted(models))).order_by(table.c.at, table.c.event_id)
    )
    return [Rename(**row) for row in (await connection.execute(query)).mappings()]


async def apply(
    connection: AsyncConnection,
    insert: daily_aggregates.Insert,
    new: Sequence[Rename],
    before: Sequence[Rename],
) -> None:
    """Move what is recorded by each of the *new* renames, where those *before* were applied: once, and alone."""
    applied = list(before)
    for rename in new:
        source = _source(rename, applied)
        applied.append(rename)
        if rename.replaced_at is not None:
            aside = _aside(rename.endpoint, rename.replaced_at)
            # Where a name comes back to what had it before, that stays.
            since = rename.until if source == rename.endpoint else None
            await _move(
                connection, insert, rename.model, rename.endpoint, aside, rename.replaced_at, since=since
            )
        if source == rename.endpoint:
            continue
        await _move(connection, insert, rename.model, source, rename.endpoint, rename.until)


async def place(
    connection: AsyncConnection, written: Iterable[Written], renames: Sequence[Rename]
) -> dict[int, str]:
    """Put rows that were just *written* where they belong; return the endpoints of those moved, by sequence."""
    moved: dict[int, str] = {}
    for row in written if renames else ():
        if (endpoint := owner(row, renames)) != row.endpoint:
            table = _BY_NAME[row.table]
            await connection.execute(
                sa.update(table).where(table.c.event_id == row.event_id).values(endpoint=endpoint)
            )
            moved[row.sequence] = endpoint
    return moved


async def _move(
    connection: AsyncConnection,
    insert: daily_aggregates.Insert,
    model: str,
    old: str,
    new: str,
    until: datetime,
    since: datetime | None = None,
) -> None:
    """Have what is recorded of *model* at the endpoint *old* until *until* be of the endpoint *new*."""
    for table in _TABLES:
        theirs = sa.and_(table.c.endpoint == old, table.c.model == model, table.c.measured_at <= until)
        if since is not None:
            theirs = sa.and_(theirs, table.c.measured_at > since)
        await connection.execute(sa.update(table).where(theirs).values(endpoint=new))
    await _move_days(connection, insert, model, old, new, until, since)


async def _move_days(
    connection: AsyncConnection,
    insert: daily_aggregates.Insert,
    model: str,
    old: str,
    new: str,
    until: datetime,
    since: datetime | None,
) -> None:
    """Move the daily aggregates that are whole; a day of both names is aggregated again."""
    table = tables.probe_days
    of_old = sa.and_(table.c.endpoint == old, table.c.model == model, table.c.day <= until)
    of_new = sa.and_(table.c.endpoint == new, table.c.model == model)
    theirs = set((await connection.execute(sa.select(table.c.day).where(of_old))).scalars())
    ours = set((await connection.execute(sa.select(table.c.day).where(of_new))).scalars())
    whole = {day for day in theirs - ours if day + DAY <= until and (since is None or day > since)}
    if whole:
        await connection.execute(sa.update(table).where(of_old, table.c.day.in_(whole)).values(endpoint=new))
    if again := theirs - whole:
        await connection.execute(sa.update(table).where(of_old, table.c.day.in_(again)).values(probes=None))
        emptied = insert(table).on_conflict_do_update(
            index_elements=["endpoint", "model", "day"], set_={"probes": None}
        )
        await connection.execute(
            emptied, [{"endpoint": new, "model": model, "day": day} for day in sorted(again)]
        )


def rename_of(values: dict[str, object]) -> Rename:
    """Return the rename that a row's *values* are."""
    return msgspec.convert(values, Rename)
