"""Finds the events of models that show an outage of their endpoint, or its end. Pure."""

from typing import NamedTuple

from vedette.messages.events import Event, ModelBenchmarked, ModelEvaluated, ModelProbed, ModelVerified
from vedette.types import Outcome, ProbeSample

_NO_CONNECTION = frozenset({Outcome.REFUSED, Outcome.UNREACHABLE})
_WORDS = {Outcome.REFUSED: "connection refused", Outcome.RESET: "connection reset"}
_NOT_REACHED = _NO_CONNECTION | {Outcome.RESET, Outcome.TIMEOUT}


class Turn(NamedTuple):
    """An endpoint fails, or works again."""

    endpoint: str
    works: bool
    what: str
    why: str = ""


class Outages:
    """Finds the event that begins or ends an outage of an endpoint, and the events that only repeat it."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}

    def to_show(self, event: Event) -> Turn | Event | None:
        """Return the turn that *event* shows, else the event itself if it is new, else None."""
        if not isinstance(event, ModelProbed | ModelBenchmarked | ModelVerified | ModelEvaluated):
            return event
        endpoint = event.model.endpoint
        if (failure := _failure(event)) is not None:
            return failure if self._is_new(failure) else None
        if not isinstance(event, ModelProbed):
            return event
        again = Turn(endpoint, True, "is reachable again")
        returned = _follows_an_outage(event)
        if (returned or endpoint in self._states) and self._is_new(again):
            return again
        return None if returned and event.sample.outcome is Outcome.OK else event

    def _is_new(self, turn: Turn) -> bool:
        before, self._states[turn.endpoint] = self._states.get(turn.endpoint), turn.what
        return before != turn.what


def _failure(event: ModelProbed | ModelBenchmarked | ModelVerified | ModelEvaluated) -> Turn | None:
    if isinstance(event, ModelProbed):
        outcome, detail = event.sample.outcome, event.sample.detail
        failed = _failed(event.sample)
    else:
        outcome, detail = event.outcome, getattr(event, "detail", None)
        failed = outcome in _NO_CONNECTION
    if not failed:
        return None
    what = "is unreachable" if outcome in _NOT_REACHED else "fails"
    why = _WORDS.get(outcome, outcome.replace("_", " "))
    return Turn(event.model.endpoint, False, what, f"{why}, {detail}" if detail else why)


def _failed(sample: ProbeSample) -> bool:
    """Return whether *sample* shows a failure of the whole endpoint."""
    return sample.outcome is not Outcome.OK and (
        sample.cause == "endpoint" or sample.outcome in _NO_CONNECTION
    )


def _follows_an_outage(event: ModelProbed) -> bool:
    before = event.health.outcomes[-2:-1]
    return bool(before) and _failed(before[0])
