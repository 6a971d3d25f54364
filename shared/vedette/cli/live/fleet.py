"""The current state of a fleet, and how rows and one line show it. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from vedette.cli.fitting import Column
from vedette.cli.output import one_line
from vedette.cli.showing import rate
from vedette.messages.events import AnswerChanged
from vedette.messages.queries import BestReply, EndpointView, ModelsReply, ModelView
from vedette.text.figures import counted, ms, percent
from vedette.text.shown import shown_name
from vedette.types import ModelRef, Status

Row = tuple[str, ...]
MODELS = (
    Column("model", 0, "name"),
    Column("status"),
    Column("loaded", 6),
    Column("tokens/s", 0, "number"),
    Column("TTFT", 3, "number"),
    Column("up 24 h", 5, "number"),
    Column("probed", 4),
)
WINNERS = (Column("use case"), Column("model", 0, "name"), Column("score", 0, "number"), Column("since"))
_STATUSES = {status: place for place, status in enumerate(reversed(Status))}
_DAY = timedelta(days=1)


class Fleet:
    """The models, the winners and the endpoints, from the last replies. Rows are made once for each reply."""

    def __init__(self) -> None:
        self.views: dict[ModelRef, ModelView] = {}
        self.rows: dict[ModelRef, Row] = {}
        self.winners: dict[str, BestReply | None] = {}  # by use case; None: not asked yet
        self.announced: dict[str, AnswerChanged] = {}  # the last winner change of a use case
        self.endpoints: tuple[EndpointView, ...] = ()
        self._closed: dict[str, str] = {}  # by endpoint: `paused`, `asleep`, or empty
        self.silent_since: datetime | None = None  # None: Vedette replies
        self.version = 0  # counts the changes

    def listed(self, reply: ModelsReply, endpoints: Iterable[EndpointView], now: datetime) -> None:
        """Replace all models and endpoints with *reply*, which lists all models, and *endpoints*."""
        self.endpoints = tuple(endpoints)
        self._closed = {one.endpoint: one.closed_state for one in self.endpoints}
        self.views = {view.model: view for view in reply.models}
        self.rows = {
            view.model: row(view, now, self._closed.get(view.model.endpoint, "")) for view in reply.models
        }
        self.version += 1

    def add_view(self, model: ModelRef, view: ModelView | None, now: datetime) -> None:
        """Replace the *view* of one model; None removes the model."""
        if view is None:
            self.views.pop(model, None)
            self.rows.pop(model, None)
        else:
            self.views[model] = view
            self.rows[model] = row(view, now, self._closed.get(model.endpoint, ""))
        self.version += 1

    def best(self, use_case: str, reply: BestReply | None) -> None:
        """Set the winner of *use_case*."""
        self.winners[use_case] = reply
        self.version += 1

    def silent(self, since: datetime | None) -> None:
        """Set the time since which Vedette does not reply; None: it replies."""
        self.silent_since = since
        self.version += 1

    def models_at(self, endpoint: str) -> int:
        """Return the number of known models at *endpoint*."""
        return sum(model.endpoint == endpoint for model in self.views)

    def group(self, endpoint: str) -> str | None:
        """Return the host group of *endpoint*, if it is known."""
        return next((view.group for view in self.endpoints if view.endpoint == endpoint), None)


def row(view: ModelView, now: datetime, closed: str = "") -> Row:
    """Return *view* as cells of the table MODELS; *closed* is shown instead of its status: paused, asleep."""
    speed = view.performance
    return (
        one_line(shown_name(view.model)),
        closed or view.status.replace("_", " ") + (" (stale)" if view.stale else ""),
        {True: "yes", False: "no", None: "-"}[view.resident],
        rate(speed),
        ms(speed.ttft_ms if speed else None),
        percent(view.availability.uptime_24h if view.availability else None),
        clock(view.availability.checked_at, now) if view.availability else "-",
    )


def clock(at: datetime, now: datetime) -> str:
    """Return *at* as local time, with the date if it is more than 24 hours ago."""
    return f"{at.astimezone():%m-%d %H:%M}" if now - at > _DAY else f"{at.astimezone():%H:%M:%S}"


# --- Order and filter ------------------------------------------------------------------------------------------


class Order(NamedTuple):
    """The column of MODELS by which rows are sorted, and whether the order is reversed."""

    column: int = 0
    reverse: bool = False

    @property
    def descending(self) -> bool:
        """Whether the largest is first, which is the usual order of a rate."""
        return _KEYS[self.column][1] != self.reverse

    def next(self) -> "Order":
        """Return the order by the next column, in its usual direction."""
        return Order((self.column + 1) % len(MODELS))


def _last_probe(view: ModelView) -> float | None:
    return view.availability.checked_at.timestamp() if view.availability else None


def _uptime(view: ModelView) -> float | None:
    return view.availability.uptime_24h if view.availability else None


def _rate(view: ModelView) -> float | None:
    speed = view.performance
    if speed is None:
        return None
    return speed.output_tps if speed.texts_per_s is None else speed.texts_per_s


# The value of each column of MODELS for sorting (None: unknown), and whether the largest is usually first.
_KEYS: tuple[tuple[Callable[[ModelView], float | str | None], bool], ...] = (
    (lambda view: str(view.model), False),
    (lambda view: _STATUSES[view.status], False),  # problems first
    (lambda view: view.resident, True),
    (_rate, True),
    (lambda view: view.performance.ttft_ms if view.performance else None, False),
    (_uptime, False),
    (_last_probe, True),
)


def ordered(views: Iterable[ModelView], order: Order, text: str = "") -> list[ModelRef]:
    """Return the models that match *text*, in *order*: models without the value last, equal ones by name.

    Each word of *text* must occur in endpoint/name or in the status of the model; case does not matter.
    """
    words = text.casefold().split()
    key = _KEYS[order.column][0]
    matching = [(key(view), view.model) for view in views if _matches(view, words)]
    known = sorted((pair for pair in matching if pair[0] is not None), key=lambda pair: pair[1])
    known.sort(key=lambda pair: pair[0], reverse=order.descending)  # type: ignore[arg-type, return-value]
    return [model for _, model in known] + sorted(model for figure, model in matching if figure is None)


def _matches(view: ModelView, words: list[str]) -> bool:
    if not words:
        return True
    text = f"{view.model} {view.status.replace('_', ' ')}".casefold()
    return all(word in text for word in words)


# --- Winners and the summary -----------------------------------------------------------------------------------


def winner_rows(fleet: Fleet, now: datetime) -> dict[str, Row]:
    """Return the cells of WINNERS by use case."""
    return {use_case: _winner_row(fleet, use_case, reply, now) for use_case, reply in fleet.winners.items()}


def _winner_row(fleet: Fleet, use_case: str, reply: BestReply | None, now: datetime) -> Row:
    name = one_line(shown_name(use_case))
    if reply is None:
        return name, "…", "-", "-"
    best = reply.recommendation
    if best is None:
        return name, "no model", "-", "-"
    changed = fleet.announced.get(use_case)
    since = clock(changed.at, now) if changed and changed.model == best.model else "-"
    return name, one_line(shown_name(best.model)), f"{best.score:.1f}", since


def summary(fleet: Fleet) -> str:
    """Return the fleet in one line: models by status, failing endpoints, and since when Vedette does not reply."""
    counts = Counter(view.status.replace("_", " ") for view in fleet.views.values())
    parts = [counted(len(fleet.views), "model")]
    if counts:
        parts[0] += f": {', '.join(f'{n:,} {status}' for status, n in counts.most_common())}"
    failing = sum(bool(view.state and view.state.failing_since) for view in fleet.endpoints)
    parts.append(counted(len(fleet.endpoints), "endpoint") + (f", {failing:,} failing" if failing else ""))
    if fleet.endpoints and not fleet.views:
        parts.append('"vedette doctor" shows what is reachable')
    if fleet.silent_since is not None:
        parts.insert(0, f"NO REPLY since {fleet.silent_since.astimezone():%H:%M:%S}, retrying")
    return " · ".join(parts)


def winner(fleet: Fleet, use_case: str) -> str:
    """Return the winner of *use_case* in a few words."""
    reply = fleet.winners.get(use_case)
    best = reply.recommendation if reply else None
    if best is None:
        return f"{use_case}: {'no model' if reply else '…'}"
    return f"{use_case}: {one_line(shown_name(best.model))} {best.score:.1f}"
