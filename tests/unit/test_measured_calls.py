"""What Vedette's calls beside probes say: a model that is listed and fails every call is not available."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from vedette.messages.queries import MeasuredCall
from vedette.types import Health, Outcome, Status, Tally
from vedette_recommender.measured_calls import all_failed, with_calls

AT = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)


def call(outcome: Outcome, minutes: int = 0) -> MeasuredCall:
    """Return a benchmark that ended so."""
    return MeasuredCall(at=AT + timedelta(minutes=minutes), purpose="benchmark", outcome=outcome)


def healthy(**fields: object) -> Health:
    """Return the health of a model that was only ever described."""
    blank = Health(status=Status.AVAILABLE, since=AT, checked_at=AT)
    return msgspec.structs.replace(blank, **fields)


@pytest.mark.parametrize(
    ("outcomes", "failing"),
    [
        ([Outcome.SERVER_ERROR], True),
        ([Outcome.SERVER_ERROR, Outcome.GARBAGE], True),
        ([Outcome.OK, Outcome.SERVER_ERROR], False),
        ([Outcome.SERVER_ERROR, Outcome.OK], False),
        ([Outcome.RATE_LIMITED], False),
        ([Outcome.UNSUPPORTED], False),
        ([Outcome.SERVER_ERROR, Outcome.RATE_LIMITED], False),
        ([], False),
    ],
)
def test_a_model_fails_when_every_call_failed(outcomes: list[Outcome], failing: bool) -> None:
    """One that went well, or that says nothing of the model, is enough to give it the benefit."""
    calls = [call(outcome, minute) for minute, outcome in enumerate(outcomes)]
    assert (all_failed(calls, healthy()) is not None) is failing


def test_an_answered_probe_and_a_reported_success_are_calls_that_did_not_fail() -> None:
    """Our benchmark may be what is wrong."""
    calls = [call(Outcome.SERVER_ERROR)]
    assert all_failed(calls, healthy(answered_at=AT)) is None
    assert all_failed(calls, healthy(), reported=3.0) is None
    assert all_failed(calls, None) == calls[-1]


def test_calls_count_in_their_hour_and_their_day_beside_probes() -> None:
    """A failed benchmark is a failure as much as a failed probe is."""
    hour, day = AT.replace(minute=0), AT.replace(hour=0, minute=0)
    health = healthy(
        hourly=(Tally(start=hour, counts={"ok": 3}),), daily=(Tally(start=day, counts={"ok": 40}),)
    )
    seen = with_calls(health, [call(Outcome.SERVER_ERROR), call(Outcome.OK, 60), call(Outcome.OK, 24 * 60)])
    assert seen is not None
    assert seen.hourly[0] == Tally(start=hour, counts={"ok": 3, "server_error": 1})
    assert [tally.start for tally in seen.hourly] == [
        hour,
        hour + timedelta(hours=1),
        hour + timedelta(days=1),
    ]
    assert seen.daily == (
        Tally(start=day, counts={"ok": 41, "server_error": 1}),
        Tally(start=day + timedelta(days=1), counts={"ok": 1}),
    )
    assert health.uptime(AT, hours=24) == 1.0
    assert seen.uptime(AT, hours=24) == pytest.approx(3 / 4)
