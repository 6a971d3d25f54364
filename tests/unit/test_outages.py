"""One outage of an endpoint is one line of `watch`, however many models the endpoint has."""

from collections.abc import Sequence

import pytest

from samples import benchmark_event, lifecycle_event, probe_event
from vedette.cli.outages import Outages, Turn
from vedette.cli.watching import turn_line
from vedette.messages.events import Event, ModelProbed
from vedette.testing import EPOCH
from vedette.types import Level, ModelRef, Outcome, ProbeCause, ProbeSample

MODELS = [ModelRef("gpu", f"m{number}") for number in range(9)]
REFUSED = "nothing listens at http://gpu:1"
DOWN = Turn("gpu", works=False, what="is unreachable", why=f"connection refused, {REFUSED}")
AGAIN = Turn("gpu", works=True, what="is reachable again")


def sample(outcome: Outcome, cause: ProbeCause = "endpoint", detail: str | None = REFUSED) -> ProbeSample:
    return ProbeSample(job_id="j", at=EPOCH, outcome=outcome, level=Level.REACH, cause=cause, detail=detail)


def failed(
    model: ModelRef, outcome: Outcome = Outcome.REFUSED, cause: ProbeCause = "endpoint"
) -> ModelProbed:
    """Return a failed probe of *model*."""
    event = probe_event(model, at=EPOCH, job_id="j")
    return ModelProbed(
        id=event.id, at=event.at, model=model, sample=sample(outcome, cause), health=event.health
    )


def answered(model: ModelRef, before: Outcome = Outcome.REFUSED) -> ModelProbed:
    """Return a successful probe of *model* after one that ended otherwise."""
    return probe_event(model, at=EPOCH, job_id="k", before=(sample(before),))


def lines(events: Sequence[Event]) -> list[Turn | Event]:
    """Return what is shown of *events*."""
    outages = Outages()
    return [told for event in events if (told := outages.to_show(event)) is not None]


@pytest.mark.fault("an endpoint with many models goes down and comes back", "I13")
def test_an_outage_is_one_line_and_so_is_its_end() -> None:
    """Further rounds of probes that fail in the same way are no news."""
    down, again = [failed(model) for model in MODELS], [answered(model) for model in MODELS]
    assert lines([*down, *down, *again]) == [DOWN, AGAIN]
    assert lines([*down, *again, *down, *again]) == [DOWN, AGAIN, DOWN, AGAIN]


def test_who_begins_to_watch_during_an_outage_sees_its_end() -> None:
    """Known from the probe before, which each event carries."""
    assert lines([answered(model) for model in MODELS]) == [AGAIN]


def test_another_reason_is_another_line() -> None:
    """A server that runs and refuses the key is not unreachable."""
    events = [*map(failed, MODELS), *(failed(model, Outcome.AUTH_FAILED) for model in MODELS)]
    assert [turn.what for turn in lines(events) if isinstance(turn, Turn)] == ["is unreachable", "fails"]


def test_what_is_of_one_model_stays_its_line() -> None:
    """A model that hangs, works, or fails while its endpoint works; and what becomes of it otherwise."""
    works = probe_event(MODELS[0], at=EPOCH, job_id="j")
    events: list[Event] = [
        works,
        works,
        failed(MODELS[1], Outcome.TIMEOUT, "model"),
        benchmark_event(MODELS[2], at=EPOCH, tps=10.0),
        lifecycle_event("lost", MODELS[3], at=EPOCH),
    ]
    assert lines(events) == events


def test_a_model_that_still_loads_after_an_outage_has_its_line_too() -> None:
    """Its endpoint is reachable; the model is not ready."""
    loading = failed(MODELS[1], Outcome.LOADING, "model")
    assert lines([failed(MODELS[0]), loading, answered(MODELS[0])]) == [DOWN, AGAIN]
    assert lines([failed(MODELS[0]), answered(MODELS[0]), loading]) == [DOWN, AGAIN, loading]


@pytest.mark.parametrize(
    ("models", "says"),
    [
        (9, "; 9 models"),
        (1, "; 1 model"),
        (None, ""),
    ],
)
def test_the_line_says_why_and_how_many(models: int | None, says: str) -> None:
    assert turn_line(DOWN, EPOCH, models).plain.endswith(
        f"endpoint gpu is unreachable: connection refused, {REFUSED}{says}"
    )
    assert turn_line(AGAIN, EPOCH, 9).plain.endswith("endpoint gpu is reachable again: 9 models")
