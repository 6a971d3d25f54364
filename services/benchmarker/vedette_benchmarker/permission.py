"""Decides whether a model may be measured by schedule: settings, costs, copies, budgets."""

from collections.abc import Callable, Iterable
from datetime import datetime

from vedette.clock import Clock
from vedette.endpoints import Endpoints, OpenEndpoint, spending
from vedette.endpoints.budget import covers
from vedette.messages.catalogue import Catalogue, ModelState
from vedette.messages.events import Job
from vedette.types import ModelRef
from vedette_benchmarker.work import Measure


def copy_measured(
    state: ModelState, beside: Iterable[ModelState], measured_at: Callable[[ModelState], datetime | None]
) -> ModelRef | None:
    """Return which of the models *beside* has the weights of *state* and is measured instead of it, or None. Pure.

    Of several such models, it is one that was measured already, else the first by name.
    """
    digest = state.info.digest if state.info else None
    if digest is None:
        return None
    copies = [state, *(one for one in beside if one.info is not None and one.info.digest == digest)]
    first = min(copies, key=lambda one: (measured_at(one) is None, one.model))
    return None if first is state else first.model


class Permission:
    """Decides by the configuration and the current catalogue."""

    def __init__(self, *, catalogue: Catalogue, endpoints: Endpoints, clock: Clock) -> None:
        self._catalogue = catalogue
        self._endpoints = endpoints
        self._clock = clock

    def why_not(
        self, measure: Measure, endpoint: OpenEndpoint, state: ModelState, job: Job, *, today: bool = True
    ) -> str | None:
        """Return why *job* may not run by schedule *today* (else: on any day), or None."""
        info = state.info
        if job.cause == "manual" or info is None:
            return None
        if not measure.is_wanted(endpoint):
            return f"{job.kind} is switched off for {endpoint.name}"
        why = spending.why_not(info, endpoint.settings)
        paid = why is not None and measure.pays(endpoint, info, job, today=today)
        if why and not paid:
            return f"measured only on request: {why}"
        if endpoint.settings.measure is None and (server := self._endpoints.behind(endpoint, info)):
            return f"{server.name} runs it and is measured itself"
        beside = [one for one in self._catalogue.of_endpoint(endpoint.name) if one.model != state.model]
        # Of several copies, one was already chosen to write or judge.
        if job.kind != "judge" and (copy := copy_measured(state, beside, measure.measured_at)):
            return f"{copy} has the same weights and is measured in its place"
        if (
            today
            and not info.free
            and spending.is_round_full(map(measure.measured_at, beside), self._clock.now())
        ):
            return f"{spending.MAX_MODELS_PER_ROUND} models of {endpoint.name} were measured this hour; the rest later"
        observed = self._catalogue.endpoint(endpoint.name)
        ledger = observed.ledger if observed and today else None
        needed = measure.estimate(endpoint, info, job)
        limits = endpoint.settings.budget if paid else spending.budget(info, endpoint.settings)
        if not covers(limits, ledger, needed, self._clock.now()):
            return f"the day's budget for {endpoint.name} does not cover a {job.kind}"
        return None
