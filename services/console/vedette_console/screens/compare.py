"""*Compare*: quality against speed or price for a use case, and some models side by side."""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from vedette.errors import NoAnswer, RequestError
from vedette.messages.parameters import request_from
from vedette.messages.queries import ModelView, Recommendation, RecommendRequest
from vedette.text.shown import shown
from vedette_console import drawing, parameters
from vedette_console.drawing import Dot
from vedette_console.screens import past
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
    measured: bool
    x: float | None
    note: str
    beside: bool  # whether it is one of those side by side
    link: str  # the address of the page with it side by side, or without it


class Beside(Struct, frozen=True, kw_only=True):
    """A model side by side: its name in the address, its view or why it is missing, and the address without it."""

    asked: str
    view: ModelView | None
    problem: str
    without: str


async def compare(sources: Sources, view: View) -> dict[str, object]:
    """Return the values of the page."""
    names = sources.use_cases()
    use_case = view.get("use_case") or (names[0] if names else "chat")
    axis = _AXES.get(view.get("axis", "speed"), "speed")
    pairs = view.without("use_case", "axis", "model", "at")
    asked = request_from(RecommendRequest, pairs, {"use_case": use_case, "limit": _MAX_DOTS})
    reply, unknown = await past.explained(sources, asked, view.at)
    chosen = list(dict.fromkeys(view.repeated("model")))
    links = _Links(view, chosen)
    beside = await side_by_side(sources, view, links)
    points = [point(one, axis, links) for one in reply.recommendations]
    best = reply.recommendations[0].model if reply.recommendations else None
    dots = [
        Dot(
            name=str(one.one.model),
            x=one.x,
            y=one.quality,
            low=one.low,
            high=one.high,
            measured=one.measured,
            best=one.one.model == best,
        )
        for one in points
        if one.x is not None and one.x > 0
    ]
    x_label = "output tokens per second" if axis == "speed" else "USD per million tokens"
    candidates = [str(one.one.model) for one in points if not one.beside]
    return {
        "at": view.at,
        "unknown": unknown,
        "use_case": use_case,
        "axis": axis,
        "points": points,
        "chart": drawing.scatter(
            dots, x_label=x_label, y_label=f"quality for {use_case}", less_is_better=axis == "price"
        ),
        "x_label": x_label,
        "unmeasured": sum(1 for one in points if one.x is None),
        "free": sum(1 for one in points if one.x == 0),
        "chosen": beside,
        "beside": [one.view for one in beside if one.view],
        "most": MAX_BESIDE,
        # A list of suggestions cannot escape names, so names with invisible characters are left out.
        "candidates": [name for name in candidates if shown(name) == name],
        "others": [(key, value) for key, value in pairs if value],
        "as_of": reply.as_of,
    }


class _Links:
    """Addresses of this page with other models side by side."""

    def __init__(self, view: View, chosen: Sequence[str]) -> None:
        self._pairs = view.without("model")
        self.chosen = chosen

    def of(self, models: Iterable[str]) -> str:
        """Return the address of the page with *models*."""
        return f"/compare{parameters.query([*self._pairs, *(('model', one) for one in models)])}"

    def without(self, model: str) -> str:
        """Return the address of the page without *model*."""
        return self.of(one for one in self.chosen if one != model)

    def toggled(self, model: str) -> str:
        """Return the address without *model* if it is chosen, with it if there is room, else an empty text."""
        if model in self.chosen:
            return self.without(model)
        return self.of([*self.chosen, model]) if len(self.chosen) < MAX_BESIDE else ""


def point(one: Recommendation, axis: str, links: _Links) -> Point:
    """Return the point of *one*: its quality with its interval, and its speed or price (*axis*)."""
    parts = {part.signal: part for part in one.contributions}
    quality, other = parts["quality"], parts["speed" if axis == "speed" else "price"]
    name = str(one.model)
    return Point(
        one=one,
        quality=quality.utility,
        low=quality.low,
        high=quality.high,
        measured=quality.raw is not None,
        x=other.raw,
        note=quality.note,
        beside=name in links.chosen,
        link=links.toggled(name),
    )


async def side_by_side(sources: Sources, view: View, links: _Links) -> list[Beside]:
    """Return the chosen models with all fields, at most five, or why one is missing. Raises NoAnswer."""

    async def of(asked: str) -> Beside:
        without = links.without(asked)
        try:
            reply, _ = await past.model(sources, asked, view.at)
        except NoAnswer:
            raise
        except RequestError as error:
            return Beside(asked=asked, view=None, problem=error.message, without=without)
        return Beside(asked=asked, view=reply.models[0], problem="", without=without)

    return await gathered(of(model) for model in links.chosen[:MAX_BESIDE])
