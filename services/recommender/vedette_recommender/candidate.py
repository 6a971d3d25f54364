"""One model as a request sees it: what is known of it at one moment. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from vedette.catalogue import ModelState
from vedette.settings import Vouched
from vedette.types import Figure, Health, ModelInfo, ModelRef, Performance, Quality, Rating, Status


class Candidate(Struct, frozen=True, kw_only=True):
    """A present model at the moment `at`, with the status that may still be believed then."""

    at: datetime
    info: ModelInfo
    status: Status
    stale: bool = False  # its health is too old to count
    resident: bool | None = None
    health: Health | None = None
    performance: Performance | None = None
    quality: Quality | None = None
    ratings: tuple[Rating, ...] = ()  # what users vouch for; the newest of a use case holds

    @property
    def model(self) -> ModelRef:
        """Which model it is."""
        return self.info.model

    def rating(self, use_case: str) -> Rating | None:
        """Return what users say of it for *use_case*, else for all use cases; of several, the newest."""
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
    def expected_ttft_ms(self) -> float | None:
        """Time to first token to expect now: the cold one where the model is known not to be loaded."""
        return self.ttft_cold_ms if self.resident is False else self.ttft_ms

    @property
    def uptime_24h(self) -> float | None:
        """Fraction of the telling probes of the last 24 hours that found it up."""
        return self.health.uptime(self.at, hours=24) if self.health else None

    @property
    def price_usd_per_mtok(self) -> tuple[float, float] | None:
        """Price of input and of output; a local model costs nothing per token."""
        if self.info.price is not None:
            return self.info.price.input_usd_per_mtok, self.info.price.output_usd_per_mtok
        return (0.0, 0.0) if self.info.locality == "local" else None


def median(figure: Figure | None) -> float | None:
    """Return the median of a figure that may not have been measured."""
    return figure.median if figure else None


def candidate(
    state: ModelState,
    info: ModelInfo,
    at: datetime,
    *,
    stale_after: timedelta,
    configured: Sequence[Vouched] = (),
) -> Candidate:
    """Return the model *state*, described by *info*, as it must be seen at the moment *at*.

    *configured* are the ratings of the configuration, of whatever model.
    """
    health = state.health
    stale = health is not None and at - health.checked_at > stale_after
    believed = None if stale else health
    residency = believed.residency if believed else None
    seen = health.residency.context_tokens if health and health.residency else None
    if seen is not None and info.served_context_tokens is None:
        # What the server allots when it loads the model, which can be less than the model was made for.
        info = msgspec.structs.replace(info, served_context_tokens=seen)
    return Candidate(
        at=at,
        info=info,
        status=believed.status if believed else Status.UNKNOWN,
        stale=stale,
        resident=residency.is_resident(at) if residency else None,
        health=health,
        performance=state.performance,
        quality=state.quality,
        ratings=(
            *(rating for rating in configured if rating.model in (str(info.model), info.model.name)),
            *(state.rated.event.ratings if state.rated else ()),
        ),
    )
