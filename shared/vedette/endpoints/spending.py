"""Calls that Vedette may make by schedule: without permission, only known free calls. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from vedette.endpoints import evaluating
from vedette.messages.catalogue import Catalogue
from vedette.messages.tolerance import is_within
from vedette.settings import Budget, EndpointSettings
from vedette.text.figures import counted, plural
from vedette.types import ModelInfo

# If calls may cost and `measure = true` permits them without a budget, a day may use these tokens (input + output).
DEFAULT_TOKENS_PER_DAY: Final = 100_000
# At an endpoint where calls may cost, at most this many models are measured in one way within an hour.
MAX_MODELS_PER_ROUND: Final = 10
ROUND: Final = timedelta(hours=1)
_UNKNOWN: Final = "its cost is not known yet"


class Unmeasured(Struct, frozen=True, kw_only=True):
    """Models of one endpoint that wait for permission, and why: calls may cost, or harm others."""

    endpoint: str
    models: int
    why: str
    leave: str = "measure = true or a budget"  # the setting that gives permission
    never: str = ""  # models that were never evaluated, the cost, and the command

    def __str__(self) -> str:
        return (
            f"{counted(self.models, 'model')} behind {self.endpoint} {plural(self.models, 'is', 'are')} not measured: "
            f"{self.why}; set {self.leave} in [endpoints.{self.endpoint}]{f'; {self.never}' if self.never else ''}"
        )


def why_not(info: ModelInfo, endpoint: EndpointSettings) -> str | None:
    """Return why *info* may not be measured by schedule, or None if it may be.

    It may be measured if its calls are known to cost nothing, with `measure = true`, or with a budget that limits the
    cost. If a call would interrupt answers to other users, only `measure = true` allows it.
    """
    if endpoint.measure is not None:
        return None if endpoint.measure else "measure = false"
    if info.disturbs:
        return f"calls may interrupt others: {info.disturbs}"
    return None if info.free or _bounds(endpoint.budget, info) else f"calls may cost: {_why(info)}"


def waiting(catalogue: Catalogue, endpoints: Mapping[str, EndpointSettings]) -> dict[str, Unmeasured]:
    """Return, by endpoint, the models that wait for permission, without those that `measure = false` forbids."""
    found: dict[str, Unmeasured] = {}
    for name, settings in sorted(endpoints.items()):
        held = [
            (state, state.info)
            for state in catalogue.of_endpoint(name)
            if state.info and settings.measure is None and why_not(state.info, settings)
        ]
        if held:
            never = [info for state, info in held if state.quality is None and _is_for_sale(info)]
            found[name] = _waits(name, [info for _, info in held], never)
    return found


def is_evaluable(info: ModelInfo) -> bool:
    """Return whether there are suites for models of this kind."""
    return info.asked_as in ("chat", "embedding")


def budget(info: ModelInfo, endpoint: EndpointSettings) -> Budget:
    """Return the daily budget for *info*: as configured; without a limit if its calls are free."""
    if info.free or _bounds(endpoint.budget, info):
        return endpoint.budget
    limits = endpoint.budget
    return Budget(tokens_per_day=DEFAULT_TOKENS_PER_DAY, usd_per_day=limits.usd_per_day)


def limits(endpoint: EndpointSettings, infos: Iterable[ModelInfo]) -> Budget:
    """Return the daily limits of an endpoint: as configured, else those for models whose calls may cost."""
    held = (budget(info, endpoint) for info in infos if not info.free and why_not(info, endpoint) is None)
    return next(held, endpoint.budget)


def is_round_full(measured: Iterable[datetime | None], now: datetime) -> bool:
    """Return whether enough models were *measured* within the last hour, so that the rest must wait."""
    return sum(at is not None and is_within(at, now, ROUND) for at in measured) >= MAX_MODELS_PER_ROUND


def _bounds(limits: Budget, info: ModelInfo) -> bool:
    """Return whether *limits* limit the cost of *info*: a limit in USD does so only with a known price."""
    if limits.requests_per_day is not None or limits.tokens_per_day is not None:
        return True
    return limits.usd_per_day is not None and info.price is not None


def _is_for_sale(info: ModelInfo) -> bool:
    """Return whether an evaluation needs nothing but money."""
    return is_evaluable(info) and not info.disturbs


def _waits(endpoint: str, held: list[ModelInfo], never: list[ModelInfo]) -> Unmeasured:
    """Return the note about the models *held* back at *endpoint*, of which some were *never* evaluated."""
    if (harm := held[0].disturbs) is not None:
        why = f"calls may interrupt others ({harm})"
        return Unmeasured(endpoint=endpoint, models=len(held), why=why, leave="measure = true")
    why = f"calls may cost ({_why(held[0])})"
    return Unmeasured(endpoint=endpoint, models=len(held), why=why, never=evaluating.never_evaluated(never))


def _why(info: ModelInfo) -> str:
    return info.sources.get("free", _UNKNOWN)
