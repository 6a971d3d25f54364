"""One model: its known facts, and those that count at a given moment. Pure."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache

import msgspec
from msgspec import Struct

from vedette.knowledge import known
from vedette.messages.catalogue import ModelState
from vedette.messages.queries import MeasuredCall
from vedette.messages.tolerance import FUTURE
from vedette.settings import Vouched
from vedette.types import (
    Figure,
    Health,
    Judged,
    ModelInfo,
    ModelRef,
    Outcome,
    Performance,
    Price,
    Quality,
    Rating,
    Reported,
    Status,
    Value,
)
from vedette_recommender.constants import USUAL_BITS
from vedette_recommender.measured_calls import all_failed, is_only_listed, measured_calls
from vedette_recommender.present import NONE, Change, change_of

# How far after the moment of an answer, which is floored to a minute, something can have been measured; what is dated
# later comes from a wrong clock.
MAX_AHEAD = timedelta(minutes=1) + FUTURE
_OF_LOCAL = Price(input_usd_per_mtok=0.0, output_usd_per_mtok=0.0, source="local")


class Facts(Value, frozen=True, kw_only=True):
    """The known facts of a present model that do not depend on the time of a query."""

    info: ModelInfo
    health: Health | None = None
    performance: Performance | None = None
    quality: Quality | None = None
    judged: Judged | None = None  # a judge's results for its texts
    calls: tuple[MeasuredCall, ...] = ()  # by benchmarks, capability checks and evaluations
    ratings: tuple[Rating, ...] = ()  # ratings by users; the newest of a use case counts
    reports: Reported | None = None
    measured_as: ModelRef | None = None  # the other name under which it was measured
    change: Change = NONE  # changes detected within minutes

    @property
    def model(self) -> ModelRef:
        """Which model it is."""
        return self.info.model

    @property
    def never_answered(self) -> MeasuredCall | None:
        """The last call, if every call of the model failed: also every run of a benchmark."""
        if self.performance and any(one.outcome is Outcome.OK for one in self.performance.samples):
            return None
        return all_failed(self.calls, self.health, reported=self.reports.succeeded if self.reports else 0.0)

    def status(self) -> Status:
        """Return its status by its last probes; a listed model is not necessarily available.

        A model that fails every call is degraded. A model that only a gateway's listing shows is unknown.
        """
        if self.health is None:
            return Status.UNKNOWN
        if self.health.status is not Status.AVAILABLE:
            return self.health.status
        if self.never_answered is not None:
            return Status.DEGRADED
        return Status.UNKNOWN if is_only_listed(self.info, self.calls, self.health) else Status.AVAILABLE

    def rating(self, use_case: str) -> Rating | None:
        """Return its newest rating by users for *use_case*, else for all use cases."""
        said = [rating for rating in self.ratings if rating.use_case in (use_case, None)]
        return max(said, key=lambda rating: (rating.use_case is not None, rating.as_of), default=None)

    @property
    def output_tps(self) -> float | None:
        """Median output tokens per second, warm."""
        return median(self.performance.output_tps) if self.performance else None

    @property
    def ttft_ms(self) -> float | None:
        """Median time to first token in milliseconds: warm, short prompt."""
        return median(self.performance.ttft_ms) if self.performance else None

    @property
    def ttft_cold_ms(self) -> float | None:
        """Median time to first token in milliseconds when the model had to be loaded first."""
        return median(self.performance.ttft_cold_ms) if self.performance else None

    @property
    def price(self) -> Price | None:
        """Its known price; a local model costs nothing per token."""
        return self.info.price or (_OF_LOCAL if self.info.locality == "local" else None)

    @property
    def price_usd_per_mtok(self) -> tuple[float, float] | None:
        """Price of input and of output."""
        price = self.price
        return (price.input_usd_per_mtok, price.output_usd_per_mtok) if price else None


class Candidate(Struct, frozen=True, kw_only=True):
    """A model at the moment `at`, with its status: `unknown` if the last probe is too old then."""

    facts: Facts
    at: datetime
    status: Status
    stale: bool = False  # its health is too old to count
    resident: bool | None = None

    @property
    def model(self) -> ModelRef:
        """Which model it is."""
        return self.facts.info.model


def median(figure: Figure | None) -> float | None:
    """Return the median of a figure that may not have been measured."""
    return figure.median if figure else None


def bytes_per_token(info: ModelInfo) -> float | None:
    """Return how many bytes of weights are read for a token, as far as size and quantisation are known."""
    active = info.active_parameters or info.parameters
    return active * _bits(info.quantization) / 8 if active else None


@lru_cache(maxsize=256)
def _bits(quantization: str | None) -> float:
    named = (quantization or "").upper()
    if match := re.search(r"(?:^|[^A-Z])I?Q(\d)|INT(\d)|(\d)[- ]?BIT|[NM]?X?FP(\d)\b", named):
        return int(next(group for group in match.groups() if group)) + 0.8
    return 16.0 if re.search(r"F16|FP16|BF16", named) else 32.0 if "F32" in named else USUAL_BITS


def ends_at(info: ModelInfo) -> datetime | None:
    """Return when the service of a model ends, by its own date, else by a published one."""
    if info.retires_at is not None or info.locality == "local":
        return info.retires_at
    shutdown = known(info).shutdown
    return datetime.combine(shutdown, time.max, tzinfo=UTC) if shutdown else None


def facts_of(state: ModelState, *, configured: Sequence[Vouched] = ()) -> Facts | None:
    """Return the facts of the model *state*, or None if it is not present.

    *configured* are the ratings of the configuration, of all models.
    """
    info = state.known
    if info is None or not state.present:
        return None
    health = state.health
    seen = health.residency.context_tokens if health and health.residency else None
    if seen is not None and info.served_context_tokens is None:
        # What the server allots when it loads the model, which can be less than the model was made for.
        info = msgspec.structs.replace(info, served_context_tokens=seen)
    return Facts(
        info=info,
        health=health,
        performance=state.performance,
        quality=state.quality,
        judged=state.judged,
        calls=measured_calls(state),
        ratings=(
            *(rating for rating in configured if rating.is_of(info.model)),
            *(state.rated.event.ratings if state.rated else ()),
        ),
        reports=state.reports,
        measured_as=state.measured_as,
        change=change_of(state.watches, state.performance, health),
    )


def candidate(facts: Facts, at: datetime, *, stale_after: timedelta, loaded: bool | None = None) -> Candidate:
    """Return the model of *facts* at the moment *at*.

    *loaded* says whether the model is loaded by the server's last load, which is newer than the last probe.
    """
    health = facts.health
    stale = health is not None and not -MAX_AHEAD <= at - health.checked_at <= stale_after
    believed = None if stale else health
    residency = believed.residency if believed else None
    return Candidate(
        facts=facts,
        at=at,
        status=facts.status() if believed else Status.UNKNOWN,
        stale=stale,
        resident=loaded if loaded is not None else residency.is_resident(at) if residency else None,
    )
