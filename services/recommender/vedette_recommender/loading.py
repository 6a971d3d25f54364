"""How much slower a model is next to the requests that its server works on now. Pure.

A server gives each of c requests `1 / (1 + p · (c - 1))` of what it gives to one. p is 0 if requests do not slow each
other down, and 1 if they share what there is. p is learnt of each endpoint: from concurrency sweeps, and from benchmark
runs that met other requests. Where all slots are taken, a further request waits until one is free: for as many answers
as are ahead of it, over the number of slots [Little 1961].
"""

import math
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from vedette.messages.events import EndpointLoad
from vedette.types import Outcome, Performance, Value
from vedette_recommender.candidate import median

USUAL_SHARING: Final = (
    0.4  # p where nothing was measured: between a graphics card with batching and a processor
)
BUSY_TOKENS: Final = 200.0  # of an answer that is waited for
_USUAL_WEIGHT: Final = 1.0  # of the usual p, in sweeps of two streams
_MAX_SHARING: Final = 1.5  # a server that swaps is worse than one that shares
_RUN_WEIGHT: Final = 0.25  # of a benchmark that ran at the same time as others, in sweeps of two streams


class Shared(NamedTuple):
    """Evidence for p by the benchmarks of a model: the weighted sum, and the weight."""

    total: float = 0.0
    weight: float = 0.0


def shared(performance: Performance | None) -> Shared:
    """Return how much requests slow each other down, by the measurements of one model."""
    if performance is None:
        return Shared()
    found = list(_measured(performance))
    return Shared(math.fsum(p * weight for p, weight in found), math.fsum(weight for _, weight in found))


def sharing(totals: Iterable[float], weights: Iterable[float]) -> float:
    """Return p of an endpoint, by the measurements of its models in any order."""
    weight = math.fsum((_USUAL_WEIGHT, *weights))
    return math.fsum((USUAL_SHARING * _USUAL_WEIGHT, *totals)) / weight


def _measured(performance: Performance) -> Iterator[tuple[float, float]]:
    """Yield each p that was seen, with its weight."""
    alone = median(performance.output_tps)
    if performance.sweep is not None:
        loads = performance.sweep.loads
        one = next((load.output_tps.median for load in loads if load.streams == 1), alone)
        for load in loads:
            if load.streams > 1 and one:
                yield _p(one, load.output_tps.median, load.streams - 1), math.log2(load.streams)
    for run in performance.samples:
        if run.others and run.output_tps and alone and run.outcome is Outcome.OK and not run.cold:
            yield _p(alone, run.output_tps, run.others), _RUN_WEIGHT


def _p(alone: float, beside: float, others: int) -> float:
    slower = alone / beside - 1.0 if beside else _MAX_SHARING * others
    return max(0.0, min(_MAX_SHARING, slower / others))


class Load(Value, frozen=True, kw_only=True):
    """The last load of an endpoint, and how much its requests slow each other down."""

    event: EndpointLoad
    sharing: float = USUAL_SHARING

    @property
    def until(self) -> float:
        """Until when it counts, in seconds since 1970."""
        return self.event.stale_at

    def requests(self, name: str) -> tuple[int | None, int | None, int | None]:
        """Return what runs and what waits at the model *name*, and its slots: else of the whole server."""
        event, own = self.event, self.event.models.get(name)
        if event.outcome is not Outcome.OK:
            return None, None, None
        if own is None:
            return event.running, event.waiting, event.slots
        return (
            event.running if own.running is None else own.running,
            event.waiting if own.waiting is None else own.waiting,
            event.slots if own.slots is None else own.slots,
        )

    def pressure(self, name: str) -> tuple[float, float]:
        """Return how many times slower the model *name* is for a further request, and how many answers are ahead.

        Of answers ahead, those that must be complete, over the slots that work on them.
        """
        running, waiting, slots = self.requests(name)
        if running is None:
            return 1.0, 0.0
        everywhere = max(running, self.event.running or 0)  # models of one server share its processor
        full = bool(waiting) or (slots is not None and running >= slots > 0)
        beside = max(0, everywhere - full)  # it begins when another ends
        ahead = ((waiting or 0) + 1) / max(1, running) if full else 0.0
        return 1.0 + self.sharing * beside, ahead

    def figures(self, names: Iterable[str]) -> list[tuple[float, float, float]]:
        """Return of each model its `pressure`, and whether it is loaded: 1, 0, or NaN where the server does not say."""
        usual = self.pressure("")  # of all models of which the server says nothing of their own
        named = self.event.models
        return [
            (*(self.pressure(name) if name in named else usual), _flag(self.resident(name))) for name in names
        ]

    def busy(self, name: str) -> float:
        """Return how many requests a slot of the model *name* has; one half where a busy server has no slots."""
        running, waiting, slots = self.requests(name)
        if not running and not waiting:
            return 0.0
        if slots:
            return ((running or 0) + (waiting or 0)) / slots
        return 1.0 + (waiting or 0) / max(1, running or 0) if waiting else 0.5

    def resident(self, name: str) -> bool | None:
        """Return whether the model *name* is loaded, None where the server does not say."""
        loaded = self.event.loaded
        if loaded is None or self.event.outcome is not Outcome.OK:
            return None
        held = loaded.get(name)
        return held is not None and held.is_resident(self.event.at)

    def others(self, name: str) -> tuple[str, ...]:
        """Return the models that are loaded while the model *name* is not."""
        if self.resident(name) is not False:
            return ()
        return tuple(filter(self.resident, self.event.loaded or ()))

    def words(self, name: str) -> str:
        """Return the load of the server of the model *name* in words."""
        running, waiting, slots = self.requests(name)
        if not running and not waiting:
            return ""
        of = f" of {slots} slots" if slots is not None else ""
        return f"{running or 0} running{of}" + (f", {waiting} waiting" if waiting else "")


def _flag(value: bool | None) -> float:
    return math.nan if value is None else float(value)
