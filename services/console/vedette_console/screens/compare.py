"""*Compare*: quality against speed or price for a use case, and some models side by side."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from vedette.messages.parameters import request_from
from vedette.messages.queries import (
    Contribution,
    ExplainReply,
    ModelsReply,
    ModelView,
    Recommendation,
    RecommendRequest,
)
from vedette.types import Score
from vedette_console import drawing
from vedette_console.drawing import Dot
from vedette_console.screens.context import Sources, View, gathered

MAX_BESIDE: Final = 5
_MAX_DOTS: Final = 100
_AXES: Final = {"speed": "speed", "price": "price"}


class Point(Struct, frozen=True, kw_only=True):
    """One model of the chart, with the figures of its dot."""

    one: Recommendation
    quality: float
    low: float | None
    high: float | None
    x: float | None
    note: str


async def compare(sources: Sources, view: View) -> dict[str, object]:
    """Return the values of the page."""
    names = sources.use_cases()
    use_case = view.get("use_case") or (names[0] if names else "chat")
    axis = _AXES.get(view.get("axis", "speed"), "speed")
    pairs = view.without("use_case", "axis", "beside")
    asked = request_from(RecommendRequest, pairs, {"use_case": use_case, "limit": _MAX_DOTS})
    reply = await sources.asking.ask("recommend.explain", ExplainReply, asked)
    beside = await side_by_side(sources, view.all("beside")[:MAX_BESIDE])
    points = [point(one, axis) for one in reply.recommendations]
    best = reply.recommendations[0].model if reply.recommendations else None
    dots = [
        Dot(
            name=str(one.one.model),
            x=one.x,
            y=one.quality,
            low=one.low,
            high=one.high,
            measured=one.low is not None,
            best=one.one.model == best,
        )
        for one in points
        if one.x is not None and one.x > 0
    ]
    x_label = "output tokens per second" if axis == "speed" else "USD per million tokens"
    return {
        "use_case": use_case,
        "axis": axis,
        "points": points,
        "chart": drawing.scatter(
            dots, x_label=x_label, y_label=f"quality for {use_case}", less_is_better=axis == "price"
        ),
        "x_label": x_label,
        "free": sum(1 for one in points if one.x == 0),
        "beside": beside,
        "chosen": view.all("beside")[:MAX_BESIDE],
        "as_of": reply.as_of,
    }


def point(one: Recommendation, axis: str) -> Point:
    """Return where *one* stands: its quality with the interval of its answers, and its speed or price."""
    parts = {part.signal: part for part in one.contributions}
    quality, other = parts["quality"], parts["speed" if axis == "speed" else "price"]
    low, high = interval(quality)
    return Point(one=one, quality=quality.utility, low=low, high=high, x=other.raw, note=quality.note)


def interval(quality: Contribution) -> tuple[float | None, float | None]:
    """Return the 95 % interval of the rate of right answers, or None twice where nothing was asked."""
    if quality.raw is None or not quality.n:
        return None, None
    return Score(successes=round(quality.raw * quality.n), trials=quality.n, suite="").interval


async def side_by_side(sources: Sources, models: Sequence[str]) -> list[ModelView]:
    """Return *models* whole. Raises RequestError for one that is unknown."""
    replies = await gathered(
        sources.asking.ask("models.get", ModelsReply, {"model": model}) for model in models
    )
    return [reply.models[0] for reply in replies]
