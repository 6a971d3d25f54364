"""`history`: how one model did over time, as tables or drawn."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table
from rich.text import Text

from vedette.cli import options, plotting
from vedette.cli.output import document, ms, number, out, percent, run, table
from vedette.cli.plotting import Chart
from vedette.client import Client
from vedette.errors import RequestError
from vedette.events import AvailabilityHistory, PerformanceHistory
from vedette.requests import nearest
from vedette.settings import seconds
from vedette.types import Outcome

_LINES = 24  # an hour each, in the usual window
_COLUMNS = 60
_NARROWEST = 10

Told = tuple[AvailabilityHistory, PerformanceHistory]


def history(
    model: str,
    *,
    since: Annotated[
        str | None,
        Parameter(help="How far back, such as 90m, 24h, 30d. Default: 24h of probes, 7d of benchmarks."),
    ] = None,
    buckets: Annotated[
        int | None, Parameter(help="In how many parts the time is told, 1 to 500; drawn, as many as fit.")
    ] = None,
    plot: Annotated[
        bool, Parameter(negative="", help="Draw tokens/s, TTFT and availability over time.")
    ] = False,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Show how MODEL (endpoint/name) did over time: whether it answered, and how fast."""
    columns = _columns(buckets) if plot and not json else None

    async def ask() -> int:
        async with where.client() as client:
            told = await _told(client, model, since=since, buckets=buckets, columns=columns)
        if json:
            document(dict(zip(("availability", "performance"), told, strict=True)))
        elif columns:
            _draw(*told)
        else:
            _show(*told)
        return 0

    return run(ask())


def _columns(buckets: int | None) -> int:
    """Return how many columns to draw: as many as *buckets*, but no more than the terminal has."""
    return min(buckets or _COLUMNS, max(_NARROWEST, out.width - plotting.GUTTER))


async def _told(
    client: Client, model: str, *, since: str | None, buckets: int | None, columns: int | None
) -> Told:
    """Return the past of *model*. Raises RequestError with the nearest known one when it has none."""
    if "/" not in model:
        await _refuse_unknown(client, model)
    begin = _time(since) if since else None
    up = await client.history_availability(model, since=begin, buckets=columns or buckets or _LINES)
    fast = await client.history_performance(model, since=begin, buckets=columns or buckets)
    if not up.probes and not fast.points:
        await _refuse_unknown(client, model)
    return up, fast


def _time(since: str) -> datetime:
    try:
        return datetime.now(UTC) - timedelta(seconds=seconds(since))
    except (ValueError, OverflowError) as error:
        raise RequestError(code="invalid_value", message=f"--since: {error}", field="since") from error


async def _refuse_unknown(client: Client, model: str) -> None:
    known = [str(view.model) for view in (await client.models()).models]
    if model not in known:
        raise RequestError(
            code="unknown_model", message=f"no model {model}; {nearest(model, known)}", field="model"
        )


# --- Tables ----------------------------------------------------------------------------------------------------


def _show(up: AvailabilityHistory, fast: PerformanceHistory) -> None:
    out.print(Text(_summary(up)))
    if up.probes:
        out.print(_probes(up))
    out.print(Text(f"\n{_counted(fast.benchmarks, 'benchmark')} since {_minute(fast.since)} UTC"))
    if fast.points:
        out.print(_benchmarks(fast))


def _summary(up: AvailabilityHistory) -> str:
    down = ", ".join(f"{cause} {n}" for cause, n in sorted(up.down_by_cause.items()))
    found = f", up in {percent(up.uptime)} of those that tell" if up.uptime is not None else ""
    return f"{up.model}: {_counted(up.probes, 'probe')} since {_minute(up.since)} UTC{found}" + (
        f"; down: {down}" if down else ""
    )


def _probes(up: AvailabilityHistory) -> Table:
    rows = table("from (UTC)", ">probes", ">up", ">p50", ">p95", "other than ok")
    for bucket in up.buckets:
        if bucket.probes:
            others = (f"{n} {o.replace('_', ' ')}" for o, n in bucket.counts.items() if o is not Outcome.OK)
            rows.add_row(
                _minute(bucket.start),
                str(bucket.probes),
                percent(bucket.uptime),
                ms(bucket.latency_p50_ms),
                ms(bucket.latency_p95_ms),
                ", ".join(others),
            )
    return rows


def _benchmarks(fast: PerformanceHistory) -> Table:
    rate, figure = _rate(fast)
    rows = table("measured (UTC)", f">{rate}", ">TTFT", ">cold TTFT", ">load", ">runs", "outcome")
    for point in fast.points:
        failed = (
            f", {point.failed} of {point.benchmarks} failed" if point.failed and point.benchmarks > 1 else ""
        )
        rows.add_row(
            _minute(point.measured_at),
            number(getattr(point, figure), 1),
            ms(point.ttft_ms),
            ms(point.ttft_cold_ms),
            ms(point.load_ms),
            str(point.n) + (f" ({point.contended} disturbed)" if point.contended else ""),
            point.outcome.replace("_", " ") + failed,
        )
    return rows


def _rate(fast: PerformanceHistory) -> tuple[str, str]:
    """Return the name and the field of the rate by which the model is measured."""
    embeds = any(point.texts_per_s is not None for point in fast.points)
    return ("texts/s", "texts_per_s") if embeds else ("tokens/s", "output_tps")


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


# --- Drawings --------------------------------------------------------------------------------------------------


def _draw(up: AvailabilityHistory, fast: PerformanceHistory) -> None:
    out.print(Text(_summary(up)))
    for chart in _charts(up, fast):
        out.print()
        out.print(Text("\n".join(plotting.lines(chart))))


def _charts(up: AvailabilityHistory, fast: PerformanceHistory) -> Iterator[Chart]:
    rate, figure = _rate(fast)
    width = len(up.buckets)
    for title, name, write in ((rate, figure, lambda value: number(value, 1)), ("TTFT", "ttft_ms", ms)):
        yield Chart(
            title=title,
            since=fast.since,
            until=fast.until,
            values=_over_time(fast, name, width),
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
    """Return the last *figure* of each of *width* equal parts of the time."""
    values: list[float | None] = [None] * width
    for point in fast.points:
        value = getattr(point, figure)
        if value is not None:
            values[(point.measured_at - fast.since) * width // (fast.until - fast.since)] = value
    return values
