"""*Model*: one model with all its fields, its history, its evidence and its wrong answers."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import fields, replace

from vedette.errors import NoAnswer
from vedette.messages.queries import (
    AvailabilityHistory,
    EndpointsReply,
    HistoryRequest,
    ModelView,
    PerformanceHistory,
)
from vedette.types import Figure, ModelRef, Reported
from vedette_console import drawing
from vedette_console.changes import KEPT_FOR
from vedette_console.screens import past, working
from vedette_console.screens.context import Sources, View

DAYS: Final = 30
PROMPT_TOKENS: Final = 1000  # of a call whose price is shown
OUTPUT_TOKENS: Final = 500
# Shown elsewhere on the page, or not useful to people.
_NOT_FACTS: Final = frozenset(
    {
        "model",
        "capabilities",
        "sources",
        "price",
        "described",
        "description_error",
        "free",
        "behind",
        "passed_on",
        "disturbs",
    }
)
_FIGURES: Final = (
    ("output_tps", "output tokens/s"),
    ("ttft_ms", "TTFT, short prompt, ms"),
    ("ttft_long_ms", "TTFT, long prompt, ms"),
    ("ttft_cold_ms", "TTFT, cold, ms"),
    ("itl_ms", "time between tokens, ms"),
    ("e2e_ms", "whole answer, ms"),
    ("load_ms", "load, ms"),
    ("texts_per_s", "texts/s"),
    ("server_output_tps", "output tokens/s by its server"),
)


class Reports(Struct, frozen=True, kw_only=True):
    """Outcome reports of callers: how many calls count, which share succeeded, failures by outcome, geometric means."""

    calls: float
    succeeded: float | None
    failures: Sequence[tuple[str, float]]
    ttft_ms: float | None
    output_tps: float | None


class Fact(Struct, frozen=True):
    """One fact of a model's description, and its source."""

    name: str
    value: object
    source: str


async def model(sources: Sources, view: View) -> dict[str, object]:
    """Return the values of the page."""
    reply, unknown = await past.model(sources, view.model, view.at)
    (one,) = reply.models
    up, fast = await _history(sources, one.model, view.at)
    closed = await _closed(sources, one.model.endpoint) if view.at is None else ""
    # The console keeps winners and changes only for now, not for the past.
    recent = sources.changes.since(sources.clock.now() - KEPT_FOR) if view.at is None else []
    winners = sources.changes.winners if view.at is None else {}
    return {
        "at": view.at,
        "unknown": unknown,
        "one": one,
        "closed": closed,
        "facts": facts(one),
        "figures": figures(one),
        "up": up,
        "up_bars": drawing.bars([bucket.uptime for bucket in up.buckets], f"uptime by day, last {DAYS} days")
        if up
        else "",
        "fast": fast,
        "reports": reports(one.reported) if one.reported else None,
        "call_usd": call_usd(one),
        "changes": [change for change in recent if change.model == one.model][:20],
        "wins": [name for name, changed in sorted(winners.items()) if changed.model == one.model],
        "days": DAYS,
        "prompt_tokens": PROMPT_TOKENS,
        "output_tokens": OUTPUT_TOKENS,
        "as_of": reply.as_of,
        **working.jobs(sources, model=str(one.model)),
    }


async def _closed(sources: Sources, endpoint: str) -> str:
    """Return `paused` or `asleep`, or an empty text if *endpoint* is contacted."""
    reply = await sources.asking.ask("endpoints.list", EndpointsReply)
    return next((one.closed_state for one in reply.endpoints if one.endpoint == endpoint), "")


async def _history(
    sources: Sources, ref: ModelRef, at: datetime | None
) -> tuple[AvailabilityHistory | None, PerformanceHistory | None]:
    """Return the history of *ref*; None twice if no recorder replies."""
    since = (at or sources.clock.now()) - timedelta(days=DAYS)
    wanted = HistoryRequest(model=ref, since=since, until=at, buckets=DAYS)
    try:
        up = await sources.asking.ask("history.availability", AvailabilityHistory, wanted)
        fast = await sources.asking.ask(
            "history.performance", PerformanceHistory, replace(wanted, buckets=60)
        )
    except NoAnswer:
        return None, None
    return up, fast


def facts(one: ModelView) -> list[Fact]:
    """Return the facts of *one* that its server, its name or the configuration show, each with its source."""
    found = [Fact("name", str(one.model), "")]
    found += [
        Fact(field.name.replace("_", " "), value, one.info.sources.get(field.name, ""))
        for field in fields(one.info)
        if field.name not in _NOT_FACTS and (value := getattr(one.info, field.name)) not in (None, (), {})
    ]
    if one.info.price is not None:
        price = one.info.price
        value = f"{price.input_usd_per_mtok:g} in, {price.output_usd_per_mtok:g} out (USD per million tokens)"
        found.append(Fact("price", value, price.source))
    if one.info.free is not None:
        found.append(Fact("free", "yes" if one.info.free else "no", one.info.sources.get("free", "")))
    return found


def figures(one: ModelView) -> list[tuple[str, Figure]]:
    """Return the measured figures of *one*, by name."""
    measured = one.figures
    if measured is None:
        return []
    return [(name, figure) for key, name in _FIGURES if (figure := getattr(measured, key)) is not None]


def reports(reported: Reported) -> Reports:
    """Return callers' reports, in figures for people."""
    return Reports(
        calls=reported.calls,
        succeeded=reported.succeeded / reported.calls if reported.calls else None,
        failures=sorted(reported.failures.items()),
        ttft_ms=reported.ttft_ms,
        output_tps=reported.output_tps,
    )


def call_usd(one: ModelView) -> float | None:
    """Return the cost (USD) of a call of PROMPT_TOKENS and OUTPUT_TOKENS, or None without a known price."""
    price = one.info.price
    if price is None:
        return None
    return (PROMPT_TOKENS * price.input_usd_per_mtok + OUTPUT_TOKENS * price.output_usd_per_mtok) / 1e6


async def series(sources: Sources, view: View) -> dict[str, object]:
    """Return the measured history of a model for a chart: times in seconds since 1970, tokens/s, TTFT in ms."""
    wanted = HistoryRequest(
        model=view.model,
        since=(view.at or sources.clock.now()) - timedelta(days=DAYS),
        until=view.at,
        buckets=200,
    )
    fast = await sources.asking.ask("history.performance", PerformanceHistory, wanted)
    return {
        "at": [point.measured_at.timestamp() for point in fast.points],
        "output_tps": [point.output_tps or point.texts_per_s for point in fast.points],
        "ttft_ms": [point.ttft_ms for point in fast.points],
    }
