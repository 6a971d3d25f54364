"""How much slower a model is next to the current requests of its server. Pure.

With c requests, each gets `1 / (1 + p · (c - 1))` of the output rate of a single request. p is 0 if requests do not
slow each other down, and 1 if they divide a fixed rate. p is estimated from how fast the model reads a prompt. It is
also measured for each endpoint, by concurrency sweeps and by benchmark runs next to other requests (docs/adr/0074).
Other requests hardly delay the first token, because a prompt goes through the model in one batch with their next
tokens. If all slots are taken, a further request waits for one: for the number of answers ahead of it, divided by the
number of slots [Little 1961].
"""

import math
import statistics
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from vedette.messages.events import EndpointLoad
from vedette.types import Outcome, Performance, PromptLength, Value
from vedette_recommender.candidate import median

USUAL_SHARING: Final = (
    0.4  # p where nothing was measured: between a graphics card with batching and a processor
)
TTFT_SHARING: Final = 0.05  # the same of the first token, where a slot is free: 0.0 to 0.1 as measured
BUSY_TOKENS: Final = 200.0  # of an answer that is waited for
_USUAL_WEIGHT: Final = 1.0  # of the usual p, in sweeps of two streams
_MAX_SHARING: Final = 1.5  # a server that swaps is worse than one that shares
_RUN_WEIGHT: Final = 0.25  # of a benchmark that ran at the same time as others, in sweeps of two streams
# A token of a second request costs this many times as much as one of a prompt: small batches gain less than large ones.
_SMALL_BATCH: Final = 2.0
_MIN_ESTIMATE, _MAX_ESTIMATE = 0.05, 1.0
_PROMPT_TOKENS: Final = {"short": 100, "long": 1000}  # where the server does not count them


class Shared(NamedTuple):
    """Evidence for p by the benchmarks of a model: the weighted sum, and the weight; and an estimate without it."""

    total: float = 0.0
    weight: float = 0.0
    estimate: float = math.nan


class Pressure(NamedTuple):
    """How many times slower a model is for a further request, and how long that request waits for a slot.

    `ahead` is the number of answers that must end before a slot is free, divided by the number of slots.
    """

    ttft: float = 1.0
    output: float = 1.0
    ahead: float = 0.0


def shared(performance: Performance | None) -> Shared:
    """Return how much requests slow each other down, by the measurements of one model."""
    if performance is None:
        return Shared()
    found = list(_measured(performance))
    return Shared(
        math.fsum(p * weight for p, weight in found),
        math.fsum(weight for _, weight in found),
        _estimate(performance),
    )


def sharing(totals: Iterable[float], weights: Iterable[float], estimates: Iterable[float] = ()) -> float:
    """Return p of an endpoint, by the measurements and the estimates of its models in any order."""
    known = [estimate for estimate in estimates if not math.isnan(estimate)]
    usual = statistics.median(known) if known else USUAL_SHARING
    weight = math.fsum((_USUAL_WEIGHT, *weights))
    return math.fsum((usual * _USUAL_WEIGHT, *totals)) / weight


def _estimate(performance: Performance) -> float:
    """Return p from the time of a prompt token, divided by the time of an output token; NaN if one is unknown.

    This is the cost of a token in a batch, divided by the cost of a token alone.
    """
    rate, short = median(performance.output_tps), median(performance.ttft_ms)
    if not rate or short is None:
        return math.nan
    took_ms, tokens = short, _tokens(performance, "short")
    if (long := median(performance.ttft_long_ms)) and long > short and _tokens(performance, "long") > tokens:
        # The difference is without what each request costs, as its way through the network.
        took_ms, tokens = long - short, _tokens(performance, "long") - tokens
    return max(_MIN_ESTIMATE, min(_MAX_ESTIMATE, _SMALL_BATCH * took_ms / tokens * rate / 1000.0))


def _tokens(performance: Performance, length: PromptLength) -> float:
    """Return how many tokens the prompts of this *length* had."""
    counted = [run.prompt_tokens for run in performance.samples if run.prompt == length and run.prompt_tokens]
    return statistics.median(counted) if counted else _PROMPT_TOKENS[length]


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

    def pressure(self, name: str) -> Pressure:
        """Return what the load means for a further request to the model *name*."""
        running, waiting, slots = self.requests(name)
        if running is None:
            return Pressure()
        everywhere = max(running, self.event.running or 0)  # models of one server share its processor
        full = bool(waiting) or (slots is not None and running >= slots > 0)
        ahead = ((waiting or 0) + 1) / max(1, running) if full else 0.0
        return self._next_to(max(0, everywhere - full), ahead)  # it begins when another ends

    def lasting_pressure(self, name: str) -> Pressure:
        """Return what the requests that last mean, as long as a slot is free; else what those of now do."""
        now, lasting = self.pressure(name), self.event.lasting
        return now if now.ahead or lasting is None else self._next_to(lasting)

    def _next_to(self, others: float, ahead: float = 0.0) -> Pressure:
        return Pressure(1.0 + TTFT_SHARING * others, 1.0 + self.sharing * others, ahead)

    def figures(self, names: Iterable[str]) -> list[tuple[float, float, float, float]]:
        """Return of each model its `lasting_pressure`, and whether it is loaded: 1, 0, or NaN if that is not known."""
        usual = self.lasting_pressure("")  # of all models of which the server says nothing of their own
        named = self.event.models
        return [
            (*(self.lasting_pressure(name) if name in named else usual), _flag(self.resident(name)))
            for name in names
        ]

    def busy(self, name: str) -> float:
        """Return how many requests a slot of the model *name* has; one half where a busy server has no slots."""
        running, waiting, slots = self.requests(name)
        if not running and not waiting:
            return 0.0
        if slots:
            return ((running or 0) + (waiting or 0)) / slots
        return 1.0 + (waiting or 0) / max(1, running or 0) if waiting else 0.5

    def lastingly_busy(self, name: str) -> float:
        """Return how many requests that last a slot of the model *name* has; where that is not known, those of now."""
        slots, lasting = self.requests(name)[2], self.event.lasting
        return lasting / slots if slots and lasting is not None else self.busy(name)

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
        lasting = "" if self.event.lasting is None else f"{self.event.lasting:.1f} lasting"
        if not running and not waiting and lasting in ("", "0.0 lasting"):
            return ""
        of = f" of {slots} slots" if slots is not None else ""
        return ", ".join(
            filter(None, (f"{running or 0} running{of}", f"{waiting} waiting" if waiting else "", lasting))
        )


def _flag(value: bool | None) -> float:
    return math.nan if value is None else float(value)
