"""Health follows from probes: slowly enough not to flap, fast enough to be of use."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.types import NOT_DOWNTIME, UP, Health, Level, Outcome, ProbeSample, Published, Status
from vedette_prober import verdict as deciding
from vedette_prober.verdict import fold, is_suspicious, verdict

START = datetime(2026, 11, 23, tzinfo=UTC)
outcomes = st.sampled_from(list(Outcome))


def sample(outcome: Outcome, minutes: float, cause: str = "model") -> ProbeSample:
    return ProbeSample(
        job_id=f"{minutes}",
        at=START + timedelta(minutes=minutes),
        outcome=outcome,
        level=Level.ANSWER,
        cause=cause,  # type: ignore[arg-type]
    )


def folded(results: list[Outcome], every_min: float = 30, confirm: int = 2, window: int = 2) -> Health:
    health: Health | None = None
    for n, outcome in enumerate(results):
        health = fold(health, sample(outcome, n * every_min), None, confirm=confirm, window=window)
    assert health is not None
    return health


@given(outcomes)
def test_the_first_probe_decides_at_once(outcome: Outcome) -> None:
    """Nothing is known before it, so nothing speaks against it."""
    assert folded([outcome]).status is verdict(sample(outcome, 0))


@given(st.integers(2, 30), st.sampled_from([(2, 2), (3, 3), (3, 4), (4, 5)]))
@pytest.mark.fault("an endpoint flaps", "I9")
def test_alternating_results_never_flap(length: int, n_of_m: tuple[int, int]) -> None:
    """The status stays what it was first."""
    confirm, window = n_of_m
    results = [Outcome.OK if n % 2 == 0 else Outcome.REFUSED for n in range(length)]
    for end in range(1, length + 1):
        assert folded(results[:end], confirm=confirm, window=window).status is Status.AVAILABLE


@given(st.lists(outcomes, min_size=1, max_size=20), st.integers(1, 4))
def test_a_lasting_change_is_seen_within_as_many_probes_as_confirm(
    before: list[Outcome], confirm: int
) -> None:
    """As many results in a row as asked for are always enough."""
    health = folded([*before, *[Outcome.REFUSED] * confirm], confirm=confirm, window=confirm)
    assert health.status is Status.UNREACHABLE


@pytest.mark.fault(
    "a wrong clock dated a model's health",
    "I10",
    "I9",
    without=("vedette_prober.verdict:is_future", lambda *_: False),
)
@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(days=31)])
def test_health_of_the_future_gives_way_to_the_next_probe(ahead: timedelta) -> None:
    """What a wrong clock dated counts for nothing; what was before it, and the probes since, do."""
    health = folded([Outcome.OK, Outcome.OK], every_min=1)
    for minutes in (2, 3, 4):
        good = sample(Outcome.OK, minutes + ahead.total_seconds() / 60)
        health = fold(health, good, None)
    assert health.checked_at > START + ahead
    for minutes in (5, 6):
        health = fold(health, sample(Outcome.REFUSED, minutes), None)
    now = START + timedelta(minutes=6)
    assert (health.status, health.since, health.checked_at) == (Status.UNREACHABLE, now, now)
    assert [one.outcome for one in health.outcomes] == [Outcome.OK] * 2 + [Outcome.REFUSED] * 2
    assert health.answered_at is None  # the last answer has no date any more
    assert health.counts(now, hours=24) == {"ok": 2, "refused": 2}


def test_health_only_of_the_future_keeps_its_status_until_probes_agree() -> None:
    """It was seen by somebody, at a time that nobody knows."""
    health = fold(None, sample(Outcome.OK, 60), None)
    health = fold(health, sample(Outcome.REFUSED, 0), None)
    assert (health.status, health.checked_at) == (Status.AVAILABLE, START)
    health = fold(health, sample(Outcome.REFUSED, 1), None)
    assert (health.status, health.since) == (Status.UNREACHABLE, START + timedelta(minutes=1))


@given(st.lists(outcomes, min_size=1, max_size=60))
def test_uptime_folded_equals_uptime_computed_from_all_probes(results: list[Outcome]) -> None:
    """The tallies lose nothing that the last 24 hours and 30 days need."""
    health = folded(results, every_min=20)
    now = health.checked_at
    since = (now - timedelta(hours=24)).replace(minute=0)
    told = [
        outcome
        for n, outcome in enumerate(results)
        if (START + timedelta(minutes=20 * n)).replace(minute=0) > since and outcome not in NOT_DOWNTIME
    ]
    expected = sum(outcome in UP for outcome in told) / len(told) if told else None
    assert health.uptime(now, hours=24) == expected


@given(st.lists(outcomes, min_size=1, max_size=80))
def test_state_is_bounded(results: list[Outcome]) -> None:
    """However long a model is watched, its health stays small."""
    health = folded(results, every_min=600)
    assert len(health.outcomes) <= 20
    assert len(health.hourly) <= 24
    assert len(health.daily) <= 30
    assert health.outcomes[-1].outcome is results[-1]


def test_a_model_that_alone_times_out_is_degraded_an_endpoint_unreachable() -> None:
    """The same time-out means different things, by its cause."""
    assert verdict(sample(Outcome.TIMEOUT, 0)) is Status.DEGRADED
    assert verdict(sample(Outcome.TIMEOUT, 0, cause="endpoint")) is Status.UNREACHABLE


def test_since_is_when_the_status_last_changed() -> None:
    """Not when it was first suspected."""
    health = folded([Outcome.OK, Outcome.REFUSED, Outcome.REFUSED, Outcome.REFUSED])
    assert health.status is Status.UNREACHABLE
    assert health.since == START + timedelta(minutes=60)
    assert health.streak == 3


def test_what_its_service_published_last_is_kept() -> None:
    """A probe to which the service published nothing does not take back what it said before."""
    said = (Published(source="a service", as_of=START, uptime=0.99),)
    first = fold(None, sample(Outcome.OK, 0), None, published=said)
    second = fold(first, sample(Outcome.OK, 30), None)
    assert first.published == second.published == said
    later = (Published(source="a service", as_of=START, uptime=0.5),)
    assert fold(second, sample(Outcome.OK, 60), None, published=later).published == later


@pytest.mark.fault(
    "a server is killed between two probes",
    "I9",
    without=("vedette_prober.verdict:needs_confirmation", lambda *_: False),
)
@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.UNREACHABLE])
def test_that_nothing_is_there_is_confirmed_at_once(outcome: Outcome) -> None:
    """Until enough probes agree; whoever answers meanwhile ends it."""
    up = folded([Outcome.OK] * 3)
    once = fold(up, sample(outcome, 120), None)
    assert deciding.needs_confirmation(outcome, [up, once])
    twice = fold(once, sample(outcome, 120.1), None)
    assert not deciding.needs_confirmation(outcome, [twice])
    assert not deciding.needs_confirmation(outcome, [])


@pytest.mark.parametrize("outcome", [Outcome.TIMEOUT, Outcome.RESET, Outcome.SERVER_ERROR, Outcome.OK])
def test_a_contact_that_comes_further_is_not_confirmed_at_once(outcome: Outcome) -> None:
    """A server that is slow, or fails, is not asked more often for that."""
    assert not deciding.needs_confirmation(outcome, [folded([Outcome.OK])])


@pytest.mark.parametrize("outcome", [Outcome.BUSY, Outcome.SERVER_ERROR, Outcome.TIMEOUT, Outcome.GARBAGE])
def test_a_single_failure_is_a_suspicion_and_no_verdict(outcome: Outcome) -> None:
    """It changes no status, and asks for a second probe; whatever that says, for no third."""
    up = folded([Outcome.OK] * 3)
    once = fold(up, sample(outcome, 120), None)
    assert (once.status, is_suspicious(up), is_suspicious(once)) == (up.status, False, True)
    again, back = fold(once, sample(outcome, 121), None), fold(once, sample(Outcome.OK, 121), None)
    assert again.status is verdict(sample(outcome, 121))
    assert not is_suspicious(again)
    assert not is_suspicious(back)
    assert is_suspicious(fold(again, sample(Outcome.OK, 150), None))
    assert is_suspicious(folded([outcome]))


@pytest.mark.parametrize("outcome", [*sorted(NOT_DOWNTIME), Outcome.LOADING])
def test_what_would_be_the_same_in_a_few_seconds_asks_for_no_second_probe(outcome: Outcome) -> None:
    assert not is_suspicious(fold(folded([Outcome.OK] * 3), sample(outcome, 120), None))
    assert not is_suspicious(fold(folded([Outcome.OK] * 3), sample(Outcome.REFUSED, 120, "endpoint"), None))
