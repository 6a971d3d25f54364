"""Budgets: what a caller used today by all replicas, what is left, and what each reply says of it."""

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.messages.events import CallerUsage
from vedette.messages.queries import Used
from vedette.settings import CallerKey
from vedette_gateway.keys import Caller
from vedette_gateway.problems import Problem
from vedette_gateway.usage import Usage

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> datetime:
        return self.at


def replicas(clock: Clock, number: int = 2) -> list[Usage]:
    return [Usage(now=clock, replica=f"r{place}") for place in range(number)]


def share(*usages: Usage) -> None:
    """Have every replica hear what the stream would have."""
    for event in [event for usage in usages for event in usage.unstored()]:
        for usage in usages:
            usage.on_caller_usage(event, 1)


def caller(**limits: float) -> Caller:
    return Caller("team-a", CallerKey(sha256="0" * 64, **limits))  # type: ignore[arg-type]


def refused(usage: Usage, who: Caller) -> Problem:
    with pytest.raises(Problem) as caught:
        usage.check(who)
    return caught.value


def test_replicas_count_together() -> None:
    clock = Clock()
    one, two = replicas(clock)
    one.add("team-a", Used(requests=2, tokens=30, usd=0.5))
    two.add("team-a", Used(requests=1, tokens=10))
    share(one, two)
    for usage in (one, two):
        assert usage.of("team-a") == Used(requests=3, tokens=40, usd=0.5)
        assert not [*usage.unstored()]


def test_a_restart_of_all_knows_the_sums_of_today() -> None:
    clock = Clock()
    (old,) = replicas(clock, 1)
    old.add("team-a", Used(tokens=30))
    new = Usage(now=clock, replica="new")
    share(old, new)
    new.add("team-a", Used(tokens=1))
    assert new.of("team-a").tokens == 31


def test_what_did_not_arrive_is_published_again() -> None:
    (usage,) = replicas(Clock(), 1)
    usage.add("team-a", Used(tokens=1))
    (lost,) = usage.unstored()
    usage.add("team-a", Used(tokens=1))
    usage.on_caller_usage(lost)  # the stream has an older sum
    (event,) = usage.unstored()
    assert event.tokens == 2
    assert event.subject == "usage.team-a.r0"


STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["team-a", "team-b"]),
        st.integers(0, 9),
        st.sampled_from(["use", "publish", "lose", "read"]),
    ),
    max_size=40,
)


@given(STEPS)
def test_in_the_end_every_replica_has_the_sum(steps: list[tuple[int, str, int, str]]) -> None:
    """Whatever is lost on the way, published twice, or read late."""
    usages, stream, seen, total = replicas(Clock(), 3), list[CallerUsage](), [0, 0, 0], Counter[str]()

    def read(place: int) -> None:
        for event in stream[seen[place] :]:
            usages[place].on_caller_usage(event)
        seen[place] = len(stream)

    for place, name, tokens, what in steps:
        match what:
            case "use":
                usages[place].add(name, Used(requests=1, tokens=tokens))
                total[name] += tokens
            case "publish":
                stream.extend(usages[place].unstored())
            case "lose":
                [*usages[place].unstored()]
            case _:
                read(place)
        for name, most in total.items():
            assert max(usage.of(name).tokens for usage in usages) <= most
    for place in (0, 1, 2):
        read(place)
        stream.extend(usages[place].unstored())
    for place, usage in enumerate(usages):
        read(place)
        assert {name: usage.of(name).tokens for name in total} == total
        assert not [*usage.unstored()]


def test_midnight_begins_a_new_day() -> None:
    clock = Clock()
    one, two = replicas(clock)
    one.add("team-a", Used(tokens=30))
    share(one, two)
    clock.at = datetime(2026, 12, 1, 0, 0, 1, tzinfo=UTC)
    assert one.of("team-a") == two.of("team-a") == Used()
    assert not [*one.unstored()]
    two.add("team-a", Used(tokens=1))
    share(one, two)
    assert one.of("team-a").tokens == 1


def test_a_replica_whose_clock_is_ahead_is_counted_when_its_day_begins() -> None:
    behind, ahead = Clock(), Clock()
    behind.at, ahead.at = (
        datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC) + timedelta(seconds=s) for s in (0, 2)
    )
    one, two = Usage(now=behind, replica="one"), Usage(now=ahead, replica="two")
    two.add("team-a", Used(tokens=5))
    share(one, two)
    assert one.of("team-a").tokens == 0
    behind.at = ahead.at
    assert one.of("team-a").tokens == 5


@pytest.mark.fault("the machine's clock is a year ahead for a minute", "I10")
def test_a_clock_that_goes_back_finds_the_usage_of_its_day() -> None:
    clock = Clock()
    (usage,) = replicas(clock, 1)
    usage.add("team-a", Used(tokens=5))
    clock.at = NOON + timedelta(days=365)
    assert usage.of("team-a").tokens == 0
    clock.at = NOON + timedelta(minutes=1)
    assert usage.of("team-a").tokens == 5


LIMITS = [
    ({"requests_per_day": 3}, Used(requests=3), "3 requests"),
    ({"tokens_per_day": 1000}, Used(tokens=1001), "1,000 tokens"),
    ({"usd_per_day": 0.5}, Used(usd=0.5), "0.5 US dollars"),
    ({"requests_per_day": 0}, Used(), "0 requests"),
]


@pytest.mark.parametrize(("limits", "used", "words"), LIMITS)
def test_a_caller_over_its_budget_is_refused_until_midnight(
    limits: dict[str, float], used: Used, words: str
) -> None:
    (usage,) = replicas(Clock(), 1)
    usage.add("team-a", used)
    problem = refused(usage, caller(**limits))
    assert (problem.status, problem.code) == (429, "insufficient_quota")
    assert words in problem.message
    assert problem.headers["retry-after"] == str(12 * 3600)
    usage.check(Caller("team-b", caller(**limits | {"requests_per_day": 1}).key))


def test_requests_at_once_do_not_exceed_a_budget_of_requests() -> None:
    """Each of fifty callers finds what the others have reserved."""
    who, usage = caller(requests_per_day=10), Usage(now=Clock(), replica="one")
    with ExitStack() as pending:
        let_in = 0
        for _ in range(50):
            with suppress(Problem):
                pending.enter_context(usage.pending(who))
                let_in += 1
        assert let_in == 10
    with usage.pending(who):  # none of them reached a model, so none counts
        pass


def test_other_replicas_use_the_same_budget() -> None:
    one, two = replicas(Clock())
    one.add("team-a", Used(tokens=10))
    two.check(caller(tokens_per_day=10))
    share(one, two)
    assert refused(two, caller(tokens_per_day=10)).status == 429


def test_a_reply_says_what_is_left() -> None:
    (usage,) = replicas(Clock(), 1)
    usage.add("team-a", Used(requests=1, tokens=40, usd=0.25))
    assert usage.headers(caller()) == {}
    assert usage.headers(Caller("anybody")) == {}
    assert usage.headers(caller(tokens_per_day=100, requests_per_day=1, usd_per_day=1.0)) == {
        "x-ratelimit-limit-requests": "1",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "43200s",
        "x-ratelimit-limit-tokens": "100",
        "x-ratelimit-remaining-tokens": "60",
        "x-ratelimit-reset-tokens": "43200s",
        "x-vedette-remaining-usd": "0.750000",
    }


def test_the_query_lists_keys_and_whoever_used_something() -> None:
    (usage,) = replicas(Clock(), 1)
    usage.add("gone", Used(tokens=1))
    usage.add("team-a", Used(tokens=40))
    keys = {name: CallerKey(sha256="0" * 64, tokens_per_day=100) for name in ("team-a", "team-b")}
    reply = usage.reply(keys)
    assert reply.day == "2026-11-30"
    assert [(one.name, one.used.tokens, one.left.tokens, one.known) for one in reply.callers] == [
        ("gone", 1, None, False),
        ("team-a", 40, 60, True),
        ("team-b", 0, 100, True),
    ]


def days() -> Iterator[datetime]:
    return (NOON + timedelta(days=day) for day in itertools.count())


def test_days_that_are_over_are_forgotten() -> None:
    """Years of replicas that come and go leave nothing behind."""
    clock = Clock()
    (usage,) = replicas(clock, 1)
    for at in itertools.islice(days(), 50):
        clock.at = at
        other = Usage(now=clock, replica=f"{at:%j}")
        other.add("team-a", Used(tokens=1))
        share(usage, other)
        assert usage.of("team-a").tokens == 1
