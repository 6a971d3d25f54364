"""*Models*: the fleet as a table that sorts, filters and pages. The bars of a page load after the page is shown."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from markupsafe import Markup
from msgspec import Struct

from vedette.errors import NoAnswer
from vedette.messages.parameters import Pairs, request_from
from vedette.messages.queries import (
    AvailabilityHistory,
    EndpointsReply,
    HistoryRequest,
    ModelsRequest,
    ModelView,
    PerformanceHistory,
)
from vedette.text.shown import shown_name
from vedette.types import Capability, ModelRef, SortKey, Status
from vedette_console import drawing, parameters
from vedette_console.screens import past
from vedette_console.screens.constraining import FORM, LABELS
from vedette_console.screens.context import Fresh, Sources, View, gathered

ROWS: Final = 50
DAYS: Final = 30
_MAX_DIGITS: Final = 9
_FIGURES: Final = 24  # points of a sparkline
_IN_FORM: Final = frozenset(
    {"text", "endpoint", "status", "capabilities", "sort", "descending", "locality", *LABELS}
)
# The sort key of each column that sorts.
_COLUMNS: Final = (
    ("model", SortKey.NAME),
    ("size", SortKey.PARAMETERS),
    ("context", SortKey.CONTEXT),
    ("up 24 h", SortKey.UPTIME),
    ("tokens/s", SortKey.OUTPUT_TPS),
    ("TTFT", SortKey.TTFT_MS),
)
_FALLING: Final = frozenset({SortKey.PARAMETERS, SortKey.CONTEXT, SortKey.UPTIME, SortKey.OUTPUT_TPS})


class Bars(Struct, frozen=True):
    """The last DAYS of one model: its uptime by day, its speed and its TTFT."""

    uptime: Markup
    output_tps: Markup
    ttft_ms: Markup


class Column(Struct, frozen=True, kw_only=True):
    """A column that sorts: the address of the page sorted by it, and the current value of aria-sort (or empty)."""

    title: str
    link: str
    sorted: str


class Line(Struct, frozen=True, kw_only=True):
    """One row."""

    view: ModelView
    bars: Bars | None
    again: bool  # whether an earlier row of this page has the same weights


async def models(sources: Sources, fresh: Fresh, view: View) -> dict[str, object]:
    """Return the values of the page."""
    number = _page(view.get("page", "1"))
    pairs = view.without("page", "bars", "group", "at")
    given = {"limit": ROWS, "offset": ROWS * (number - 1), "distinct": bool(view.get("group"))}
    asked = request_from(ModelsRequest, pairs, given)
    reply, unknown = await past.models(sources, asked, view.at)
    endpoints = await sources.asking.ask("endpoints.list", EndpointsReply)
    shown = reply.models[:ROWS]
    bars = await _bars(sources, fresh, shown, view.at) if view.get("bars") else {}
    limits = parameters.pairs_of(asked, leave_out=("limit", "offset", "distinct"))
    kept = limits + [(name, view.get(name)) for name in ("group", "at") if view.get(name)]
    return {
        "at": view.at,
        "unknown": unknown,
        "lines": _lines(shown, bars),
        "reply": reply,
        "page": number,
        "pages": max(1, -(-reply.total // ROWS)),
        "first": ROWS * (number - 1) + 1,
        "kept": kept,
        "form": FORM,
        "labels": LABELS,
        "given": dict(limits),
        "limited": any(name in LABELS or name == "locality" for name, _ in limits),
        "others": [(name, value) for name, value in limits if name not in _IN_FORM],
        "columns": {one.title: one for one in _columns(kept, asked)},
        "asked": asked,
        "grouped": bool(view.get("group")),
        "has_bars": bool(view.get("bars")),
        "query": parameters.query(view.without("bars")),
        "endpoints": [one.endpoint for one in endpoints.endpoints],
        "closed": {} if view.at else {one.endpoint: one.closed_state for one in endpoints.endpoints},
        "statuses": list(Status),
        "capabilities": list(Capability),
        "sorts": list(SortKey),
        "as_of": reply.as_of,
    }


def _columns(kept: Pairs, asked: ModelsRequest) -> Iterator[Column]:
    """Yield the columns that sort. The link of the current sort column reverses the order."""
    others = [(name, value) for name, value in kept if name not in ("sort", "descending")]
    for title, key in _COLUMNS:
        is_sorted = asked.sort is key
        falling = not asked.descending if is_sorted else key in _FALLING
        pairs = [*others, ("sort", str(key)), *([("descending", "true")] if falling else [])]
        yield Column(
            title=title,
            link=f"/models{parameters.query(pairs)}",
            sorted=("descending" if asked.descending else "ascending") if is_sorted else "",
        )


def _page(text: str) -> int:
    """Return the page number in *text*; 1 if it is not a number."""
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < _MAX_DIGITS else 1


def _lines(views: Sequence[ModelView], bars: dict[ModelRef, Bars]) -> list[Line]:
    seen: set[ModelRef] = set()
    found = []
    for one in views:
        found.append(Line(view=one, bars=bars.get(one.model), again=bool(seen & set(one.same_weights))))
        seen.add(one.model)
    return found


async def _bars(
    sources: Sources, fresh: Fresh, views: Sequence[ModelView], at: datetime | None
) -> dict[ModelRef, Bars]:
    """Return the bars of *views* by model; empty if no recorder replies."""

    async def of_one(model: ModelRef) -> Bars:
        return await fresh.get((model, at), lambda: history(sources, model, at))

    try:
        found = await gathered(of_one(view.model) for view in views)
    except NoAnswer:
        return {}
    return {view.model: one for view, one in zip(views, found, strict=True)}


async def history(sources: Sources, model: ModelRef, at: datetime | None) -> Bars:
    """Return the bars of *model* as of *at* (None: now). Raises NoAnswer."""
    since = (at or sources.clock.now()) - timedelta(days=DAYS)
    up = await sources.asking.ask(
        "history.availability",
        AvailabilityHistory,
        HistoryRequest(model=model, since=since, until=at, buckets=DAYS),
    )
    fast = await sources.asking.ask(
        "history.performance",
        PerformanceHistory,
        HistoryRequest(model=model, since=since, until=at, buckets=_FIGURES),
    )
    name = shown_name(model)
    rates = [point.texts_per_s if point.output_tps is None else point.output_tps for point in fast.points]
    return Bars(
        drawing.bars([bucket.uptime for bucket in up.buckets], f"uptime of {name} by day, last {DAYS} days"),
        drawing.sparkline(rates, f"output rate of {name}, last {DAYS} days"),
        drawing.sparkline([point.ttft_ms for point in fast.points], f"TTFT of {name}, last {DAYS} days"),
    )
