"""What Vedette's calls beside probes say: a model that is listed and fails every call is not available."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from samples import model_info
from vedette.messages.queries import MeasuredCall
from vedette.types import Health, Level, ModelRef, Outcome, ProbeSample, Reported, Status, Tally
from vedette_recommender.candidate import Facts
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


ALIAS = model_info(ModelRef("gateway", "fast"), passed_on="litellm")
OWN = model_info(ModelRef("gpu", "m"))
LISTED = ProbeSample(job_id="p", at=AT, outcome=Outcome.OK, level=Level.LIST)
LOST = ProbeSample(job_id="q", at=AT, outcome=Outcome.TIMEOUT, level=Level.REACH, cause="endpoint")


@pytest.mark.parametrize(
    ("probes", "outcomes", "reported", "status"),
    [
        ((LISTED,), [], 0, Status.UNKNOWN),
        ((LISTED, LOST), [], 0, Status.UNKNOWN),
        ((LISTED,), [Outcome.RATE_LIMITED], 0, Status.UNKNOWN),
        ((LISTED,), [Outcome.SERVER_ERROR], 0, Status.DEGRADED),
        ((LISTED,), [Outcome.OK], 0, Status.AVAILABLE),
        ((LISTED,), [], 3, Status.UNKNOWN),
        ((msgspec.structs.replace(LISTED, level=Level.DESCRIBE),), [], 0, Status.AVAILABLE),
        ((msgspec.structs.replace(LISTED, level=Level.ANSWER),), [], 0, Status.AVAILABLE),
    ],
)
def test_a_model_is_available_when_more_of_it_is_seen_than_a_listing(
    probes: tuple[ProbeSample, ...], outcomes: list[Outcome], reported: int, status: Status
) -> None:
    """By a probe, or by a call of Vedette's own that was answered; callers' reports only claim that."""
    facts = Facts(
        info=ALIAS,
        health=healthy(outcomes=probes),
        calls=tuple(map(call, outcomes)),
        reports=Reported(as_of=AT, succeeded=float(reported)) if reported else None,
    )
    assert facts.status() is status


def test_a_listing_is_enough_where_the_server_has_the_model_itself() -> None:
    """As of an endpoint whose budget of the day is used: it is only listed until midnight."""
    assert Facts(info=OWN, health=healthy(outcomes=(LISTED,))).status() is Status.AVAILABLE


def test_probes_of_a_listing_are_no_uptime() -> None:
    """Calls alone are: none of them, no uptime."""
    health = healthy(outcomes=(LISTED,), hourly=(Tally(start=AT.replace(minute=0), counts={"ok": 3}),))
    failed = [call(Outcome.SERVER_ERROR)]
    for calls, uptime in (([], None), (failed, 0.0), ([*failed, call(Outcome.OK)], 0.8)):
        seen = with_calls(ALIAS, calls, health)
        assert seen is not None
        assert seen.uptime(AT, hours=24) == uptime


def test_calls_count_in_their_hour_and_their_day_beside_probes() -> None:
    """A failed benchmark is a failure as much as a failed probe is."""
    hour, day = AT.replace(minute=0), AT.replace(hour=0, minute=0)
    health = healthy(
        hourly=(Tally(start=hour, counts={"ok": 3}),), daily=(Tally(start=day, counts={"ok": 40}),)
    )
    calls = [call(Outcome.SERVER_ERROR), call(Outcome.OK, 60), call(Outcome.OK, 24 * 60)]
    seen = with_calls(OWN, calls, health)
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
