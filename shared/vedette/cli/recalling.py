"""`history`: how a model, an endpoint or many models did over time, as tables or charts."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from cyclopts import Parameter

from vedette.cli import options, plotting
from vedette.cli.entries import NOTHING_FOUND
from vedette.cli.output import Cell, document, name, names, numbers, out, table, words
from vedette.cli.plotting import Chart
from vedette.client import Client
from vedette.errors import RequestError
from vedette.messages.queries import (
    AvailabilityBucket,
    AvailabilityHistory,
    ModelSummary,
    PerformanceHistory,
    PerformancePoint,
    SummariesReply,
)
from vedette.messages.validation import nearest
from vedette.runtime.loop import run
from vedette.text.figures import counted, ms, number, percent
from vedette.text.lookalikes import meant
from vedette.types import ModelRef, Outcome, ProbeCause

_LINES = 24  # of one hour each, in the usual time range
_COLUMNS = 60
_NARROWEST = 10
_MAX_CANDIDATES = 100  # candidates that one query names
_PAGE = 50  # models in one query: a month of 50 models takes the database half a second

Histories = tuple[AvailabilityHistory, PerformanceHistory]


def history(
    model: Annotated[
        str | None, Parameter(help="Model (endpoint/name). Default: all models, one a line.")
    ] = None,
    /,
    *,
    endpoint: Annotated[
        str | None, Parameter(help="Models at this endpoint: each of them, and all together.")
    ] = None,
    use_case: Annotated[
        str | None, Parameter(help="Models that are candidates for this use case now.")
    ] = None,
    since: Annotated[
        str | None,
        Parameter(help=f"Start of the time range: {options.MOMENT} Default: 24h, and 7d of benchmarks."),
    ] = None,
    buckets: Annotated[
        int | None, Parameter(help="Number of time buckets, 1 to 500; --plot draws as many as fit.")
    ] = None,
    plot: Annotated[
        bool, Parameter(negative="", help="Draw tokens/s, TTFT and availability over time.")
    ] = False,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Show how MODEL (endpoint/name), an endpoint, or many models did over time: whether they answered, how fast."""
    if sum(named is not None for named in (model, endpoint, use_case)) > 1:
        raise RequestError(
            code="invalid_value", message="one of MODEL, --endpoint and --use-case, not several"
        )
    begin = options.moment(since, "since") if since else None
    columns = _columns(buckets) if plot and not json else None

    async def ask() -> int:
        async with where.client() as client:
            named = await _candidates(client, use_case) if use_case else []
            if use_case and not named:
                if json:
                    document({"models": {"models": []}})
                else:
                    out.print(f"No model is a candidate for {use_case} now.")
                return NOTHING_FOUND
            histories = None
            if model is not None or endpoint is not None:
                histories = await _histories(
                    client, model, endpoint, since=begin, buckets=buckets, columns=columns
                )
            each = None if model else await _each(client, endpoint, named, since=begin)
        if json:
            document(_documented(histories, each))
        else:
            if histories is not None:
                (_draw if columns else _show)(*histories)
            if each is not None:
                _list(each, use_case or endpoint)
        return 0

    return run(ask())


def _documented(histories: Histories | None, each: SummariesReply | None) -> Mapping[str, object]:
    whole = dict(zip(("availability", "performance"), histories, strict=True)) if histories else {}
    return whole | ({"models": each} if each else {})


def _columns(buckets: int | None) -> int:
    """Return the number of columns to draw: *buckets*, but at most what fits the terminal."""
    return min(buckets or _COLUMNS, max(_NARROWEST, out.width - plotting.GUTTER))


async def _histories(
    client: Client,
    model: str | None,
    endpoint: str | None,
    *,
    since: datetime | None,
    buckets: int | None,
    columns: int | None,
) -> Histories:
    """Return the history of *model* or *endpoint*. Raises RequestError with the nearest known name if it has none."""
    if model is not None and "/" not in model:
        await _refuse_unknown(client, model)
    if model is not None and not model.isascii():
        model = meant(model, [str(view.model) for view in (await client.models()).models]) or model
    up = await client.history_availability(
        model, endpoint=endpoint, since=since, buckets=columns or buckets or _LINES
    )
    fast = await client.history_performance(model, endpoint=endpoint, since=since, buckets=columns or buckets)
    if not up.probes and not fast.points:
        if model is not None:
            await _refuse_unknown(client, model)
        else:
            await _refuse_unknown_endpoint(client, endpoint or "")
    return up, fast


async def _candidates(client: Client, use_case: str) -> list[ModelRef]:
    """Return the candidates for *use_case* now, the best first."""
    return [one.model for one in (await client.top(use_case, limit=_MAX_CANDIDATES)).recommendations]


async def _each(
    client: Client, endpoint: str | None, models: Sequence[ModelRef], *, since: datetime | None
) -> SummariesReply:
    """Return one summary for each of *models*, in their order; without models, for all at *endpoint*, or for all."""
    page = await client.history_models(models, endpoint=endpoint, since=since, limit=_PAGE)
    summaries = list(page.models)
    while page.next is not None:
        page = await client.history_models(
            models, endpoint=endpoint, since=page.since, until=page.until, limit=_PAGE, after=page.next
        )
        summaries += page.models
    places = {model: place for place, model in enumerate(models)}
    summaries.sort(key=lambda one: places.get(one.model, 0))
    return msgspec.structs.replace(page, models=tuple(summaries))


async def _refuse_unknown(client: Client, model: str) -> None:
    known = [str(view.model) for view in (await client.models()).models]
    if model not in known:
        raise RequestError(
            code="unknown_model", message=f"no model {model}; {nearest(model, known)}", field="model"
        )


async def _refuse_unknown_endpoint(client: Client, endpoint: str) -> None:
    known = [view.endpoint for view in (await client.endpoints()).endpoints]
    if endpoint not in known:
        raise RequestError(
            code="unknown_endpoint",
            message=f"no endpoint {endpoint}; {nearest(endpoint, known)}",
            field="endpoint",
        )


# --- Tables ----------------------------------------------------------------------------------------------------


def _show(up: AvailabilityHistory, fast: PerformanceHistory) -> None:
    out.print(_summary(up))
    if up.probes:
        _show_probes(up)
    out.print(f"\n{counted(fast.benchmarks, 'benchmark')} since {_minute(fast.since)} UTC")
    if fast.points:
        _show_benchmarks(fast)


def _summary(up: AvailabilityHistory) -> str:
    down = _causes(up.down_by_cause)
    found = f", uptime {percent(up.uptime)}" if up.uptime is not None else ""
    return (
        f"{name(up.model or up.endpoint)}: {counted(up.probes, 'probe')} since {_minute(up.since)} UTC{found}"
        + (f"; down: {down}" if down else "")
    )


def _others(bucket: AvailabilityBucket) -> str:
    others = (f"{n} {o.replace('_', ' ')}" for o, n in bucket.counts.items() if o is not Outcome.OK)
    return ", ".join(others)


_PROBES: tuple[Cell[AvailabilityBucket], ...] = (
    words("from (UTC)", lambda one: _minute(one.start)),
    numbers("probes", lambda one: str(one.probes), 3),
    numbers("up", lambda one: percent(one.uptime)),
    numbers("p50", lambda one: ms(one.latency_p50_ms), 2),
    numbers("p95", lambda one: ms(one.latency_p95_ms), 4),
    words("other than ok", _others, 1),
)


def _show_probes(up: AvailabilityHistory) -> None:
    table(_PROBES, [bucket for bucket in up.buckets if bucket.probes])


def _ended(point: PerformancePoint) -> str:
    failed = f", {point.failed} of {point.benchmarks} failed" if point.failed and point.benchmarks > 1 else ""
    return point.outcome.replace("_", " ") + failed


_SPEEDS: tuple[Cell[PerformancePoint], ...] = (
    numbers("TTFT", lambda one: ms(one.ttft_ms), 1),
    numbers("cold TTFT", lambda one: ms(one.ttft_cold_ms), 3),
    numbers("load", lambda one: ms(one.load_ms), 4),
    numbers("runs", lambda one: str(one.n) + (f" ({one.contended} disturbed)" if one.contended else ""), 5),
    words("outcome", _ended, 2),
)


def _show_benchmarks(fast: PerformanceHistory) -> None:
    rate, figure = _rate(fast)
    measured: Cell[PerformancePoint] = words("measured (UTC)", lambda one: _minute(one.measured_at))
    speed: Cell[PerformancePoint] = numbers(rate, lambda one: number(getattr(one, figure), 1))
    table((measured, speed, *_SPEEDS), fast.points)


def _last_rate(one: ModelSummary) -> str:
    return "-" if one.last is None else f"{number(one.last, 1)} {'texts/s' if one.embeds else 'tokens/s'}"


_SUMMARIES: tuple[Cell[ModelSummary], ...] = (
    names("model", lambda one: f"{one.model}{' (lost)' if one.lost_at else ''}"),
    numbers("probes", lambda one: str(one.probes), 4),
    numbers("up", lambda one: percent(one.uptime)),
    words("down", lambda one: _causes(one.down_by_cause) or "-", 3),
    numbers("p50", lambda one: ms(one.latency_p50_ms), 5),
    numbers(
        "benchmarks", lambda one: str(one.benchmarks) + (f" ({one.failed} failed)" if one.failed else ""), 6
    ),
    numbers("rate", _last_rate, 1),
    numbers(
        "since then", lambda one: _change(one.first, one.last) if one.benchmarks - one.failed > 1 else "-", 2
    ),
)


def _list(each: SummariesReply, title: str | None) -> None:
    out.print()
    table(_SUMMARIES, each.models, title=f"{title or 'all models'}, since {_minute(each.since)} UTC")


def _causes(down: dict[ProbeCause, int]) -> str:
    return ", ".join(f"{cause} {n}" for cause, n in sorted(down.items()))


def _change(first: float | None, last: float | None) -> str:
    """Return the change between two rates in words."""
    return "-" if not first or last is None else f"{100 * (last / first - 1):+.0f} %"


def _rate(fast: PerformanceHistory) -> tuple[str, str]:
    """Return label and field of the rate by which the model is measured."""
    embeds = any(point.texts_per_s is not None for point in fast.points)
    return ("texts/s", "texts_per_s") if embeds else ("tokens/s", "output_tps")


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


# --- Drawings --------------------------------------------------------------------------------------------------


def _draw(up: AvailabilityHistory, fast: PerformanceHistory) -> None:
    out.print(_summary(up))
    for chart in _charts(up, fast):
        out.print()
        out.print("\n".join(plotting.lines(chart)))


def _charts(up: AvailabilityHistory, fast: PerformanceHistory) -> Iterator[Chart]:
    rate, figure = _rate(fast)
    width = len(up.buckets)
    for title, shown, write in ((rate, figure, lambda value: number(value, 1)), ("TTFT", "ttft_ms", ms)):
        yield Chart(
            title=title,
            since=fast.since,
            until=fast.until,
            values=_over_time(fast, shown, width),
            write=write,
        )
    yield Chart(
        title="availability",
        since=up.since,
        until=up.until,
        values=[bucket.uptime for bucket in up.buckets],
        write=percent,
        top=1.0,
    )


def _over_time(fast: PerformanceHistory, figure: str, width: int) -> list[float | None]:
    """Return *width* values: the last *figure* in each of *width* equal parts of the time range, None where missing."""
    values: list[float | None] = [None] * width
    for point in fast.points:
        value = getattr(point, figure)
        if value is not None:
            values[(point.measured_at - fast.since) * width // (fast.until - fast.since)] = value
    return values
