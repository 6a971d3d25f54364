"""Queries of history: the columns of replies, for some models and a time range.

For each model, a query reads one range of the index over endpoint, model and time. It reads one row more than a reply
may have, which shows that there are too many.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from vedette.types import ModelRef, Outcome
from vedette_recorder.history import Benchmark, Window
from vedette_recorder.probes import DAY, day_of
from vedette_recorder.tables import model_availability_history as probes
from vedette_recorder.tables import model_info, model_info_history
from vedette_recorder.tables import model_performance_history as performance
from vedette_recorder.tables import model_renames as renames
from vedette_recorder.tables import probe_days as days

# Reading this many takes an eighth of a second, during which other services may share the process.
MAX_ROWS = 10_000
# Probes without a daily aggregate: of today, and of yesterday until it is aggregated.
MAX_PROBES = 200_000

Some = sa.Select[tuple[str, str]]  # the endpoint and the name of each
Of = ModelRef | str | Some  # a model, all of an endpoint, or some
Condition = sa.ColumnElement[bool]


def some(models: Sequence[ModelRef]) -> Some:
    """Return the query for those of *models* that are known, as other queries are about them.

    From a query, SQLite looks pairs up in an index; from a list, it does not.
    """
    return sa.select(model_info.c.endpoint, model_info.c.model).where(_among(model_info, models))


def packed_until() -> sa.Select[Any]:
    """Return the query for the last day of which probes are packed, or are to be: `day`, None when there is none."""
    return sa.select(sa.func.max(days.c.day).label("day"))


def packed(of: Of, since: datetime, until: datetime) -> sa.Select[Any]:
    """Return the query for the daily aggregates that the time from *since* to *until* reaches into."""
    return sa.select(days).where(_range(days.c.day, of, day_of(since), until))


def unpacked(of: Of, since: datetime, until: datetime) -> sa.Select[Any]:
    """Return the query for probes as rows, in no order."""
    return _probes(_range(probes.c.measured_at, of, since, until))


def stale(packed: Iterable[tuple[ModelRef, datetime]]) -> sa.Select[Any]:
    """Return the query for the probes, as rows, of days that are to be packed again."""
    return _probes(sa.or_(*(_range(probes.c.measured_at, model, day, day + DAY) for model, day in packed)))


def _probes(where: Condition) -> sa.Select[Any]:
    columns = ("endpoint", "model", "measured_at", "outcome", "cause", "latency_ms")
    return sa.select(*(probes.c[name] for name in columns)).where(where).limit(MAX_PROBES + 1)


def benchmarks(of: Of, window: Window) -> sa.Select[Any]:
    """Return the query for the rows of `history.Benchmark`, in no order.

    Asked to put them in order, PostgreSQL reads all models of the time by the index over time.
    """
    names = (field.name for field in msgspec.structs.fields(Benchmark))
    columns = (performance.c[name] for name in names)
    where = _range(performance.c.measured_at, of, window.since, window.until)
    return sa.select(*columns).where(where).limit(MAX_ROWS + 1)


def _range(at: sa.Column[datetime], of: Of, since: datetime, until: datetime) -> Condition:
    """Return what is true of the rows of *at*'s table about *of*, from *since* until just before *until*."""
    of_table = at.table.c
    within = sa.and_(at >= since, at < until)
    if isinstance(of, str):
        # By name, so that the index is of use beyond the endpoint.
        names = sa.select(model_info.c.model).where(model_info.c.endpoint == of)
        return sa.and_(of_table.endpoint == of, of_table.model.in_(names), within)
    if isinstance(of, ModelRef):
        return sa.and_(of_table.endpoint == of.endpoint, of_table.model == of.name, within)
    return sa.and_(sa.tuple_(of_table.endpoint, of_table.model).in_(of), within)


# --- Summed up by the database ---------------------------------------------------------------------------------


def benchmarked(models: Some, window: Window) -> sa.Select[Any]:
    """Return the query for the rows of `history.Benchmarked`, one for each of the *models*."""
    of = models.subquery()
    at, good = performance.c.measured_at, performance.c.outcome == Outcome.OK

    def aggregate(what: sa.ColumnElement[Any], *where: Condition) -> sa.Select[Any]:
        mine = (performance.c.endpoint == of.c.endpoint, performance.c.model == of.c.model)
        return sa.select(what).where(*mine, at >= window.since, at < window.until, *where)

    counts = (aggregate(sa.func.count()), aggregate(sa.func.count(), ~good))
    rates = (
        aggregate(column, good).order_by(order).limit(1)
        for column in (performance.c.output_tps, performance.c.texts_per_s)
        for order in (at, at.desc())
    )
    return sa.select(of.c.endpoint, of.c.model, *(one.scalar_subquery() for one in (*counts, *rates)))


def known(
    models: Sequence[ModelRef], endpoint: str | None, after: ModelRef | None, most: int
) -> sa.Select[Any]:
    """Return the query for the rows of `history.Known` of the first *most* models behind *after*.

    Of all models, of *models* where any are named, and of *endpoint* where it is given.
    """
    key = (model_info.c.endpoint, model_info.c.model)
    renamed = sa.exists().where(
        renames.c.former_endpoint == model_info.c.endpoint,
        renames.c.model == model_info.c.model,
        renames.c.until == model_info.c.lost_at,
    )
    query = sa.select(*key, model_info.c.lost_at).where(~renamed).order_by(*key).limit(most)
    if models:
        query = query.where(_among(model_info, models))
    if endpoint is not None:
        query = query.where(model_info.c.endpoint == endpoint)
    return query if after is None else query.where(_behind(after))


def _among(table: sa.Table, models: Iterable[ModelRef]) -> Condition:
    return sa.tuple_(table.c.endpoint, table.c.model).in_([(model.endpoint, model.name) for model in models])


def _behind(model: ModelRef) -> Condition:
    place = sa.tuple_(model_info.c.endpoint, model_info.c.model)
    return place > sa.tuple_(sa.literal(model.endpoint), sa.literal(model.name))


# --- As of a time ----------------------------------------------------------------------------------------------


def present(at: datetime, after: ModelRef | None, most: int) -> sa.Select[Any]:
    """Return the query for the last description of the first *most* models behind *after* that were there at *at*."""
    query = _last(model_info_history, at).where(model_info_history.c.event != "lost")
    if after is not None:
        query = query.where(_behind(after))
    return query.order_by(model_info.c.endpoint, model_info.c.model).limit(most)


def found(models: Iterable[ModelRef], at: datetime) -> sa.Select[Any]:
    """Return the query for the last time until *at* that each of the *models* was found."""
    return _last(model_info_history, at, event="found", reason=None).where(_among(model_info, models))


def last(table: sa.Table, models: Iterable[ModelRef], at: datetime) -> sa.Select[Any]:
    """Return the query for the last row of *table* until *at* of each of the *models*."""
    return _last(table, at).where(_among(model_info, models))


def _last(table: sa.Table, at: datetime, **having: str | None) -> sa.Select[Any]:
    of = table.alias()
    newest = (
        sa.select(of.c.event_id)
        .where(of.c.endpoint == model_info.c.endpoint, of.c.model == model_info.c.model)
        .where(of.c.measured_at <= at, *(of.c[name] == value for name, value in having.items()))
        .order_by(of.c.measured_at.desc(), of.c.sequence.desc())
        .limit(1)
        .correlate(model_info)
        .scalar_subquery()
    )
    return sa.select(table).select_from(model_info).join(table, table.c.event_id == newest)


def oldest_probe() -> sa.Select[Any]:
    """Return the query for when the oldest recorded probe was."""
    return sa.select(sa.func.min(probes.c.measured_at).label("at"))
