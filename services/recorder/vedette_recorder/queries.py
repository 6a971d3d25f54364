"""What is read of history: the columns that are told, of one model in one window, oldest first.

Rows of one model, or of the models of an endpoint, are a range of the index over endpoint, model and time for each,
and one row more than may be told, so that whoever has too many knows. What is told of many models at once is counted
and ranked by the database.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from vedette.events import SummariesRequest
from vedette.types import UP, ModelRef, Outcome
from vedette_recorder.history import PERCENTS, Window
from vedette_recorder.tables import model_availability_history as availability
from vedette_recorder.tables import model_info, model_info_history
from vedette_recorder.tables import model_performance_history as performance

# A month of probes every five minutes. Reading so many takes an eighth of a second, during which other services
# may share the process.
MOST_ROWS = 10_000

_EPOCH, _MICROSECOND = datetime.fromtimestamp(0, UTC), timedelta(microseconds=1)

Of = ModelRef | str  # a model, or all of an endpoint
Condition = sa.ColumnElement[bool]


class Microseconds(FunctionElement[int]):
    """Microseconds from 1970 to a time, exactly."""

    type = sa.BigInteger()
    inherit_cache = True
    name = "microseconds"


@compiles(Microseconds, "sqlite")
def _sqlite(element: Microseconds, compiler: SQLCompiler, **options: Any) -> str:
    at = compiler.process(element.clauses, **options)
    # The text has six digits behind the point, from its 21st character on; strftime rounds to three.
    return f"(CAST(strftime('%s', substr({at}, 1, 19)) AS INTEGER) * 1000000 + CAST(substr({at}, 21) AS INTEGER))"


@compiles(Microseconds, "postgresql")
def _postgresql(element: Microseconds, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST(extract(epoch FROM {compiler.process(element.clauses, **options)}) * 1000000 AS BIGINT)"


def probes(model: ModelRef, window: Window) -> sa.Select[Any]:
    """Return the query for the rows of `history.Probe`."""
    columns = (availability.c.outcome, availability.c.cause, availability.c.latency_ms)
    return _rows(availability, model, window, *columns)


def benchmarks(of: Of, window: Window) -> sa.Select[Any]:
    """Return the query for the rows of `history.Benchmark`."""
    contended = performance.c.figures["contended"].as_integer()  # absent when it is zero
    return _rows(
        performance,
        of,
        window,
        performance.c.outcome,
        performance.c.n,
        sa.func.coalesce(contended, 0).label("contended"),
        performance.c.output_tps,
        performance.c.ttft_ms,
        performance.c.ttft_cold_ms,
        performance.c.load_ms,
        performance.c.texts_per_s,
    )


def _rows(table: sa.Table, of: Of, window: Window, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    at = table.c.measured_at
    return (
        sa.select(at, *columns)
        .where(_about(table, of), *_within(table, window))
        .order_by(at)
        .limit(MOST_ROWS + 1)
    )


def _about(table: sa.Table, of: Of) -> Condition:
    if isinstance(of, ModelRef):
        return sa.and_(table.c.endpoint == of.endpoint, table.c.model == of.name)
    # By name, so that the index is of use beyond the endpoint.
    names = sa.select(model_info.c.model).where(model_info.c.endpoint == of)
    return sa.and_(table.c.endpoint == of, table.c.model.in_(names))


def _within(table: sa.Table, window: Window) -> tuple[Condition, Condition]:
    return table.c.measured_at >= window.since, table.c.measured_at < window.until


# --- Counted and ranked by the database ------------------------------------------------------------------------


def counts_at(endpoint: str, window: Window) -> sa.Select[Any]:
    """Return the query for the rows of `history.CountedInBucket` of all models at *endpoint*."""
    probes = sa.select(_bucket(window), availability.c.outcome, availability.c.cause)
    return _counted(probes.where(_about(availability, endpoint), *_within(availability, window)))


def latencies_at(endpoint: str, window: Window) -> sa.Select[Any]:
    """Return the query for the rows of `history.RankedInBucket` of all models at *endpoint*."""
    probes = sa.select(_bucket(window), availability.c.latency_ms)
    return _ranked(probes.where(_about(availability, endpoint), *_within(availability, window)))


def counts_of(models: Iterable[ModelRef], window: Window) -> sa.Select[Any]:
    """Return the query for the rows of `history.CountedOfModel`."""
    columns = (availability.c.endpoint, availability.c.model, availability.c.outcome, availability.c.cause)
    return _counted(sa.select(*columns).where(_of_each(availability, models, window)))


def latencies_of(models: Iterable[ModelRef], window: Window) -> sa.Select[Any]:
    """Return the query for the rows of `history.RankedOfModel`."""
    columns = (availability.c.endpoint, availability.c.model, availability.c.latency_ms)
    return _ranked(sa.select(*columns).where(_of_each(availability, models, window)))


def benchmarked(models: Iterable[ModelRef], window: Window) -> sa.Select[Any]:
    """Return the query for the rows of `history.Benchmarked`."""
    key = (performance.c.endpoint, performance.c.model)
    failed = sa.func.sum(sa.case((performance.c.outcome == Outcome.OK, 0), else_=1))
    return (
        sa.select(*key, sa.func.count().label("benchmarks"), failed.label("failed"))
        .where(_of_each(performance, models, window))
        .group_by(*key)
    )


def rates(models: Iterable[ModelRef], window: Window) -> sa.Select[Any]:
    """Return the query for the rows of `history.Rate`: the first and the last of each model."""
    key = (performance.c.endpoint, performance.c.model)
    place = sa.func.row_number().over(partition_by=key, order_by=performance.c.measured_at)
    good = (
        sa.select(
            *key,
            performance.c.output_tps,
            performance.c.texts_per_s,
            place.label("place"),
            sa.func.count().over(partition_by=key).label("n"),
        )
        .where(performance.c.outcome == Outcome.OK)
        .where(_of_each(performance, models, window))
        .subquery()
    )
    return sa.select(good).where(sa.or_(good.c.place == 1, good.c.place == good.c.n))


def known(request: SummariesRequest, models: Sequence[ModelRef]) -> sa.Select[Any]:
    """Return the query for the rows of `history.Known` that *request* asks for, and one more."""
    key = (model_info.c.endpoint, model_info.c.model)
    query = sa.select(*key, model_info.c.lost_at).order_by(*key).limit(request.limit + 1)
    if models:
        query = query.where(_among(model_info, models))
    if request.endpoint is not None:
        query = query.where(model_info.c.endpoint == request.endpoint)
    return query if request.after is None else query.where(_behind(request.after))


def _bucket(window: Window) -> sa.ColumnElement[int]:
    since, length = (window.since - _EPOCH) // _MICROSECOND, (window.until - window.since) // _MICROSECOND
    passed = Microseconds(availability.c.measured_at) - since
    return (passed * window.buckets // length).label("bucket")


def _among(table: sa.Table, models: Iterable[ModelRef]) -> Condition:
    return sa.tuple_(table.c.endpoint, table.c.model).in_([(model.endpoint, model.name) for model in models])


def _of_each(table: sa.Table, models: Iterable[ModelRef], window: Window) -> Condition:
    # One by one, or SQLite would read all models of the time: a list of pairs is not what it looks up in an index.
    each = (sa.and_(_about(table, model), *_within(table, window)) for model in models)
    return sa.or_(sa.false(), *each)


def _behind(model: ModelRef) -> Condition:
    place = sa.tuple_(model_info.c.endpoint, model_info.c.model)
    return place > sa.tuple_(sa.literal(model.endpoint), sa.literal(model.name))


def _counted(probes: sa.Select[Any]) -> sa.Select[Any]:
    """Return how many rows of *probes* are alike."""
    # Grouped from without: the same expression twice, with parameters in it, is not the same to PostgreSQL.
    rows = probes.subquery()
    return sa.select(*rows.c, sa.func.count().label("n")).group_by(*rows.c)


def _ranked(probes: sa.Select[Any]) -> sa.Select[Any]:
    """Return those rows of *probes*, within all else that they tell, between which a percentile of the latency lies."""
    up = probes.where(availability.c.outcome.in_(UP), availability.c.latency_ms.is_not(None)).subquery()
    key = [column for column in up.c if column.name != "latency_ms"]
    place = sa.func.row_number().over(partition_by=key, order_by=up.c.latency_ms) - 1
    n = sa.func.count().over(partition_by=key)
    ranked = sa.select(*up.c, place.label("rank"), n.label("n")).subquery()
    low = [(ranked.c.n - 1) * percent // 100 for percent in PERCENTS]
    return sa.select(ranked).where(ranked.c.rank.in_([place for one in low for place in (one, one + 1)]))


# --- As of a time ----------------------------------------------------------------------------------------------


def present(at: datetime, after: ModelRef | None, most: int) -> sa.Select[Any]:
    """Return the query for the last description of the first *most* models behind *after* that were there at *at*."""
    query = _last(model_info_history, at).where(model_info_history.c.event != "lost")
    if after is not None:
        query = query.where(_behind(after))
    return query.order_by(model_info.c.endpoint, model_info.c.model).limit(most)


def found(models: Iterable[ModelRef], at: datetime) -> sa.Select[Any]:
    """Return the query for the last time until *at* that each of the *models* was found."""
    return _last(model_info_history, at, event="found").where(_among(model_info, models))


def last(table: sa.Table, models: Iterable[ModelRef], at: datetime) -> sa.Select[Any]:
    """Return the query for the last row of *table* until *at* of each of the *models*."""
    return _last(table, at).where(_among(model_info, models))


def _last(table: sa.Table, at: datetime, **having: str) -> sa.Select[Any]:
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


def tallies(since: Mapping[ModelRef, datetime], at: datetime, length_s: int) -> sa.Select[Any]:
    """Return the query for the rows of `past.Tallied`: probes by outcome in spans of *length_s*, of each model."""
    probed_at = availability.c.measured_at
    columns = (availability.c.endpoint, availability.c.model, availability.c.outcome)
    span = (Microseconds(probed_at) // (length_s * 1_000_000)).label("span")
    chosen = (
        sa.and_(_about(availability, model), probed_at >= begin, probed_at <= at)
        for model, begin in since.items()
    )
    return _counted(
        sa.select(*columns, span).where(sa.or_(sa.false(), *chosen), availability.c.measured_at <= at)
    )


def oldest_probe() -> sa.Select[Any]:
    """Return the query for when the oldest recorded probe was."""
    return sa.select(sa.func.min(availability.c.measured_at).label("at"))
