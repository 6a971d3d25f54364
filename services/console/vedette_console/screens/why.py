"""*Why*: the ranking of a use case with its points, the rejections, and what would change the winner."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, get_args

import msgspec
from msgspec import Struct

from vedette.endpoints.judging import SERIES
from vedette.errors import RequestError
from vedette.messages.parameters import request_from
from vedette.messages.queries import Recommendation, RecommendRequest
from vedette.types import Signal
from vedette_console import drawing, parameters
from vedette_console.drawing import Segment
from vedette_console.scored import score_interval
from vedette_console.screens import past
from vedette_console.screens.constraining import FORM, LABELS
from vedette_console.screens.context import Sources, View

SIGNALS: Final[tuple[Signal, ...]] = get_args(Signal)
_SHOWN: Final = 10


class Row(Struct, frozen=True, kw_only=True):
    """One model of the ranking and its bar of points."""

    one: Recommendation
    bar: str
    interval: tuple[float, float] | None


async def why(sources: Sources, view: View) -> dict[str, object]:
    """Return the values of the page."""
    use_case = view.path["use_case"]
    pairs = weights_as_shares(view.without("at"))
    asked = request_from(RecommendRequest, pairs, {"use_case": use_case})
    shown = asked if view.get("limit") else msgspec.structs.replace(asked, limit=_SHOWN)
    reply, unknown = await past.explained(sources, shown, view.at)
    kept = parameters.pairs_of(asked, leave_out=("use_case",))
    return {
        "use_case": use_case,
        "judges": use_case in SERIES,
        "reply": reply,
        "rows": [
            Row(one=one, bar=bar(one, 100.0), interval=score_interval(one)) for one in reply.recommendations
        ],
        "unknown": unknown,
        "at": view.at,
        "signals": SIGNALS,
        "sliders": {signal: round(100 * share) for signal, share in reply.weights.items()},
        "form": FORM,
        "labels": LABELS,
        "given": dict(kept),
        "others": [(name, value) for name, value in kept if not _in_form(name)],
        "link": parameters.query(view.without()),
        "page": f"/why/{use_case}{parameters.query(view.without())}",
        "command": parameters.as_command(use_case, asked)
        + (f" --at {view.at.isoformat()}" if view.at else ""),
        "python": parameters.as_python(use_case, asked),
        "api": _address(use_case, kept, view.at),
    }


def _address(use_case: str, pairs: list[tuple[str, str]], at: datetime | None) -> str:
    """Return the address of the same query in the HTTP API."""
    if at is None:
        return f"/api/v1/explain/{use_case}{parameters.query(pairs)}"
    return f"/api/v1/recommend/{use_case}/asof{parameters.query([*pairs, ('at', at.isoformat())])}"


def _in_form(name: str) -> bool:
    return name in (*LABELS, "locality", "risk", "capabilities") or name.startswith("weights.")


def weights_as_shares(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return *pairs*. Raises RequestError if all weights in them are zero: all sliders are at the bottom."""
    weights = [value for name, value in pairs if name.startswith("weights.")]
    if weights and all(value in ("0", "0.0", "") for value in weights):
        raise RequestError(
            code="invalid_value", message="weights: at least one must be positive", field="weights"
        )
    return list(pairs)


def bar(one: Recommendation, most: float) -> str:
    """Return the stacked bar (SVG) of the points of *one*; *most* points fill its width."""
    segments = [
        Segment(part.signal, part.points, f"{part.signal}: {part.points:.1f} points")
        for part in one.contributions
    ]
    points = ", ".join(f"{part.signal} {part.points:.1f}" for part in one.contributions)
    return drawing.stacked(segments, most, f"{one.model}: {points}")
