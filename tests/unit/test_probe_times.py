"""Slow answers to probes: two in a row decide, one alone asks for another at once, and noise changes nothing."""

import math
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from msgspec.structs import replace

from vedette.messages.probe_times import MIN_PATIENCE_S, MIN_PROBES, is_late, probe_times
from vedette.types import (
    CHANGE_HOLDS_S,
    Figure,
    Health,
    Level,
    Outcome,
    Performance,
    ProbeSample,
    RunSample,
    Signal,
    Status,
    Watch,
)
from vedette_prober.verdict import fold, in_doubt, is_suspicious, is_unusual
from vedette_recommender.present import NONE, change_of

START = datetime(2026, 11, 23, tzinfo=UTC)
HALF_HOUR, SECONDS = 1800.0, 3.0
USUAL = [100.0, 120.0, 90.0, 110.0, 100.0]


def answer(ms: float, at_s: float, outcome: Outcome = Outcome.OK, level: Level = Level.ANSWER) -> ProbeSample:
    at = START + timedelta(seconds=at_s)
    return ProbeSample(job_id=f"{at_s}", at=at, outcome=outcome, level=level, latency_ms=ms)


def health(*latencies_ms: float, every_s: float = HALF_HOUR, outcome: Outcome = Outcome.OK) -> Health:
    found: Health | None = None
    for n, ms in enumerate(latencies_ms):
        found = fold(found, answer(ms, n * every_s), None)
    assert found is not None
    return found


def test_one_slow_answer_asks_for_another_and_changes_nothing() -> None:
    """It may have met one long request of another user."""
    once = health(*USUAL, 1000.0)
    assert is_unusual(once)
    assert probe_times(once).ttft == 0.0
    assert change_of({}, None, once) == NONE
    assert not is_unusual(health(*USUAL))


def test_the_second_slow_answer_changes_what_is_expected_and_asks_for_nothing_more() -> None:
    twice = health(*USUAL, 1000.0, 800.0)
    assert not is_unusual(twice)
    change = change_of({}, None, twice)
    assert change.by == "probes"
    assert math.exp(change.ttft) == pytest.approx(8.0, rel=0.1)  # what both reach
    assert change.since == START + timedelta(seconds=5 * HALF_HOUR)


def test_a_wait_is_added_to_the_ttft_of_a_longer_prompt() -> None:
    """A probe of 20 ms that waits 4 s waits for another request: a call of 500 ms takes 4.5 s, not 100."""
    waiting = health(*[20.0] * 5, 4020.0, 4020.0)
    figure = Figure(n=4, median=500.0, p95=500.0, min=500.0, max=500.0, spread=0.0)
    measured = Performance(measured_at=START, n=4, ttft_ms=figure)
    assert 500.0 * math.exp(change_of({}, measured, waiting).ttft) == pytest.approx(4500.0)
    assert math.exp(change_of({}, None, waiting).ttft) == pytest.approx(201.0)


def test_recovery_needs_two_answers_too_and_the_first_one_asks_for_the_second() -> None:
    slow = [*USUAL, 1000.0, 1000.0]
    assert is_unusual(health(*slow, 100.0))
    assert change_of({}, None, health(*slow, 100.0)) == change_of({}, None, health(*slow))
    again = health(*slow, 100.0, 100.0)
    assert not is_unusual(again)
    assert change_of({}, None, again) == NONE
    assert probe_times(again).ended == START + timedelta(seconds=7 * HALF_HOUR)


def test_an_answer_between_usual_and_slow_ends_no_slowness() -> None:
    """Else a server at the limit would be slow and not slow in turns."""
    between = health(*USUAL, 1000.0, 1000.0, 280.0, 280.0)
    assert not is_unusual(between)
    assert change_of({}, None, between).ttft > 0


def test_small_differences_of_fast_servers_are_no_slowness() -> None:
    fast = [4.0] * MIN_PROBES
    assert not is_unusual(health(*fast, 4.0, 60.0))
    assert change_of({}, None, health(*fast, 4.0, 60.0, 60.0)) == NONE


def test_a_slow_answer_that_a_probe_without_one_follows_asks_for_no_more() -> None:
    """A benchmark may have begun, so that the second probe asked for nothing: it would ask without end."""
    once = health(*USUAL, 1000.0)
    described = fold(once, answer(5.0, 6 * HALF_HOUR, level=Level.RESIDENCY), None)
    assert not is_unusual(described)


def test_a_probe_that_waited_in_vain_counts_as_slow_and_a_quick_refusal_does_not() -> None:
    late, refused = answer(3000.0, 9 * HALF_HOUR, Outcome.BUSY), answer(4.0, 9 * HALF_HOUR, Outcome.BUSY)
    assert is_late(late)
    assert not is_late(refused)
    once = fold(health(*USUAL), late, None)
    twice = fold(once, replace(late, job_id="second", at=late.at + timedelta(seconds=SECONDS)), None)
    assert is_suspicious(once)
    assert once.status is Status.AVAILABLE
    assert twice.status is Status.BUSY
    assert math.exp(change_of({}, None, twice).ttft) == pytest.approx(30.0, rel=0.1)
    assert probe_times(fold(health(*USUAL), refused, None)).ttft == 0.0


def test_a_doubtful_status_is_confirmed_also_where_the_answer_is_slow() -> None:
    """Second probes of slow answers are limited: a host that returns would stay unreachable for an interval."""
    away = health(*USUAL)
    for n in (5, 6):
        away = fold(away, answer(5.0, n * HALF_HOUR, Outcome.RESET, Level.REACH), None)
    assert away.status is Status.UNREACHABLE
    for back in (answer(2000.0, 7 * HALF_HOUR), answer(3000.0, 7 * HALF_HOUR, Outcome.BUSY)):
        slow = fold(away, back, None)
        assert is_unusual(slow)
        assert in_doubt(slow) == "status"
    assert in_doubt(health(*USUAL, 2000.0)) == "time"
    assert in_doubt(fold(health(*USUAL), answer(3000.0, 9 * HALF_HOUR, Outcome.BUSY), None)) == "time"
    assert in_doubt(health(*USUAL)) is None


def test_a_probe_waits_no_longer_than_says_that_the_model_is_slow_but_for_one_that_is_known_to_be() -> None:
    assert probe_times(None).patience_s == math.inf
    assert probe_times(health(*USUAL[:MIN_PROBES])).patience_s == math.inf
    assert probe_times(health(*USUAL)).patience_s == MIN_PATIENCE_S
    assert probe_times(health(*[2000.0] * 5)).patience_s == 10.0
    assert probe_times(health(*USUAL, 1000.0)).patience_s == MIN_PATIENCE_S
    assert probe_times(health(*USUAL, 1000.0, 1000.0)).patience_s == math.inf


def test_a_benchmark_at_rest_knows_better_until_two_probes_say_otherwise_again() -> None:
    slow = health(*USUAL, 1000.0, 1000.0)

    def measured(minutes: float) -> Performance:
        at = slow.checked_at + timedelta(minutes=minutes)
        run = RunSample(job_id="b", at=at, prompt="short", cold=False, ttft_ms=100.0, output_tps=40.0)
        return Performance(measured_at=at, n=1, failures=0, digest=None, samples=(run,))

    assert change_of({}, measured(-60), slow).by == "probes"
    assert change_of({}, measured(1), slow) == NONE
    later = health(*USUAL, 1000.0, 1000.0, 1000.0)
    assert change_of({}, measured(1), later) == NONE
    assert change_of({}, measured(1), health(*USUAL, 1000.0, 1000.0, 1000.0, 1000.0)).by == "probes"


def test_the_end_of_slow_probes_leaves_what_a_benchmark_says_of_the_speed() -> None:
    ended = health(*USUAL, 1000.0, 1000.0, 100.0, 100.0)

    def run(job: str, hours: float, ttft_ms: float, tps: float) -> RunSample:
        at = START + timedelta(hours=hours)
        return RunSample(job_id=job, at=at, prompt="short", cold=False, ttft_ms=ttft_ms, output_tps=tps)

    runs = (*(run(f"{n}", -4 + n, 100.0, 30.0) for n in range(3)), run("last", 0, 500.0, 10.0))
    figure = Figure(n=4, median=30.0, p95=30.0, min=30.0, max=30.0, spread=0.0)
    measured = Performance(
        measured_at=START,
        n=4,
        output_tps=figure,
        ttft_ms=replace(figure, median=100.0, p95=100.0, min=100.0, max=100.0),
        samples=runs,
    )
    assert change_of({}, measured).ttft > 0
    change = change_of({}, measured, ended)
    assert (change.ttft, change.by) == (0.0, "benchmark")
    assert math.exp(change.speed) == pytest.approx(3.0)


def test_reports_of_the_speed_and_probes_of_the_ttft_take_no_turns() -> None:
    """Each says something else: whichever came last, both count, the speed for as long as reports hold."""
    slow, later = health(*USUAL, 1000.0, 1000.0), health(*USUAL, 1000.0, 1000.0, 1000.0)
    heard_at = slow.checked_at + timedelta(seconds=SECONDS)
    watches: dict[Signal, Watch] = {"speed": Watch(level=math.log(3), changed_at=START, heard_at=heard_at)}
    first = change_of(watches, None, slow)
    assert first == change_of(watches, None, later)
    assert math.exp(first.ttft) == pytest.approx(10.0)
    assert math.exp(first.speed) == pytest.approx(3.0)
    assert (first.until, first.speed_until) == (math.inf, heard_at.timestamp() + CHANGE_HOLDS_S)


def test_of_the_ttft_what_was_learnt_last_counts_and_the_speed_stays() -> None:
    slow = health(*USUAL, 1000.0, 1000.0)
    usual = health(*USUAL, 1000.0, 1000.0, 100.0, 100.0)

    def reported(at: datetime, speed: float) -> dict[Signal, Watch]:
        return {
            "ttft": Watch(level=math.log(2), changed_at=START, heard_at=at),
            "speed": Watch(level=speed, changed_at=START, heard_at=at),
        }

    before, after = slow.checked_at - timedelta(minutes=1), usual.checked_at + timedelta(minutes=1)
    assert math.exp(change_of(reported(after, 1.0), None, slow).ttft) == pytest.approx(2.0)
    assert math.exp(change_of(reported(before, 1.0), None, slow).ttft) == pytest.approx(10.0)
    assert change_of(reported(before, 1.0), None, slow).speed == 1.0
    over = change_of(reported(before, 1.0), None, usual)
    assert (over.ttft, over.speed, over.by) == (0.0, 1.0, "reports")
    assert change_of(reported(before, 0.0), None, usual) == NONE


def test_a_model_that_stays_slow_is_usual_in_the_end() -> None:
    """Its benchmarks have shown it by then; counted twice, it would be too slow by far."""
    assert change_of({}, None, health(*USUAL, *[1000.0] * 30)) == NONE


@pytest.mark.parametrize("every_s", [60.0, HALF_HOUR])
def test_noise_flips_nothing_in_simulated_days(every_s: float) -> None:
    """Answers differ by a third, one of fifty meets a request of another user and takes ten times as long."""
    rng, state, at_s, flips, asked = Random(7), health(*USUAL), 6 * HALF_HOUR, 0, 0

    def probe() -> None:
        nonlocal state, flips
        times = 10.0 if rng.random() < 0.02 else 1.0
        before = probe_times(state).ttft > 0
        state = fold(state, answer(100.0 * rng.lognormvariate(0, 0.33) * times, at_s), None)
        flips += before is not (probe_times(state).ttft > 0)

    ticks = int(3 * 86_400 / every_s) if every_s > 60 else 24 * 60
    for _ in range(ticks):
        at_s += every_s
        probe()
        if is_unusual(state):
            asked, at_s = asked + 1, at_s + SECONDS
            probe()
            assert not is_unusual(state)  # never a third
    assert flips == 0
    assert 0 < asked < ticks / 20
