"""The limit for the cost of evaluations and judges: `[evaluating] usd_per_day`, or the limit of a job."""

from collections.abc import Iterator
from contextlib import contextmanager

from vedette.clock import Clock
from vedette.endpoints import OpenEndpoint, evaluating, spending
from vedette.messages.catalogue import Catalogue
from vedette.messages.events import Job
from vedette.settings import Evaluating
from vedette.types import ModelInfo


class DayLimit:
    """The limit of a day (UTC) for all endpoints together, and the possible cost of running jobs."""

    def __init__(self, *, settings: Evaluating, catalogue: Catalogue, clock: Clock) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._clock = clock
        self._reserved: dict[str, float] = {}  # by job (USD)

    def gives_leave(
        self, endpoint: OpenEndpoint, info: ModelInfo, usd: float | None, *, today: bool = True
    ) -> bool:
        """Return whether *usd* for paid calls fits the rest of the limit *today*, else the limit of a whole day."""
        limit = self._settings.usd_per_day
        if not limit or usd is None or endpoint.settings.measure is False or info.disturbs:
            return False
        return usd <= limit - (self._spent_today() if today else 0.0)

    @contextmanager
    def reserved(
        self, endpoint: OpenEndpoint, info: ModelInfo, job: Job, most_usd: float | None
    ) -> Iterator[float | None]:
        """Yield the maximum cost of *job* (USD), None without a limit. In this context it counts as spent.

        *most_usd* is its expected maximum cost; None: unknown.
        """
        limit_usd = self._limit_usd(endpoint, info, job, most_usd)
        if limit_usd is not None:
            self._reserved[job.id] = limit_usd
        try:
            yield limit_usd
        finally:
            self._reserved.pop(job.id, None)

    def _spent_today(self) -> float:
        """Return today's cost, including the possible cost of running jobs."""
        now = self._clock.now()
        names = {state.model.endpoint for state in self._catalogue.present()}
        spent = evaluating.spent_today(self._catalogue, sorted(names), now.date().isoformat())
        return spent + sum(self._reserved.values())

    def _limit_usd(
        self, endpoint: OpenEndpoint, info: ModelInfo, job: Job, most_usd: float | None
    ) -> float | None:
        if job.max_usd is not None or job.cause == "manual":
            return job.max_usd
        limit = self._settings.usd_per_day
        if limit is None or info.price is None or info.free or not spending.why_not(info, endpoint.settings):
            return None
        left = max(0.0, limit - self._spent_today())
        return left if most_usd is None else min(left, most_usd)
