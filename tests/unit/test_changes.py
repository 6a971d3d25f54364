"""A change within minutes: detected soon, by two accounts at least, with its end, and by no single account."""

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vedette.messages.changing import own_change
from vedette.messages.queries import ReportRequest
from vedette.testing import EPOCH
from vedette.types import (
    CHANGE_HOLDS_S,
    Figure,
    ModelRef,
    Outcome,
    Performance,
    RunSample,
    Signal,
    Watch,
)
from vedette_recommender.changes import TUNINGS, watched
from vedette_recommender.present import NONE, change_of
from vedette_recommender.reports import Reports

MODEL = ModelRef("box", "m")
WINDOW = timedelta(seconds=10)


def figure(value: float) -> Figure:
    return Figure(n=6, median=value, p95=value, min=value, max=value, spread=0.0)


REST = Performance(
    measured_at=EPOCH - timedelta(hours=1),
    n=6,
    output_tps=figure(40.0),
    ttft_ms=figure(200.0),
    ttft_long_ms=figure(1100.0),
)


def report(
    times: float = 1.0, *, prompt: int = 100, rng: Random | None = None, ok: bool = True
) -> ReportRequest:
    noise = rng.lognormvariate(0, 0.3) if rng else 1.0
    ttft = (200 + max(0, prompt - 100)) * times * noise
    tokens, rate = 100, 40 / times / noise
    return ReportRequest(
        model=MODEL,
        outcome=Outcome.OK if ok else Outcome.SERVER_ERROR,
        ttft_ms=ttft if ok else None,
        e2e_ms=ttft + (tokens - 1) / rate * 1000 if ok else None,
        output_tokens=tokens if ok else None,
        prompt_tokens=prompt,
    )


class Day:
    """Windows of reports, one after the other."""

    def __init__(self) -> None:
        self.now = EPOCH
        self.watches: Mapping[Signal, Watch] = {}

    def window(self, by_account: Mapping[str, Sequence[ReportRequest]]) -> None:
        self.now += WINDOW
        window = Reports()
        for account, told in by_account.items():
            for one in told:
                window.add(MODEL, one, None, self.now, account, REST)
        taken = window.take()
        self.watches = watched(self.watches, taken[MODEL].accounts if taken else {}, self.now)

    def usual(self, windows: int = 12, seed: int = 1) -> None:
        rng = Random(seed)
        for _ in range(windows):
            self.window({name: [report(rng=rng) for _ in range(5)] for name in "ab"})

    @property
    def levels(self) -> dict[str, float]:
        return {signal: watch.level_at(self.now) for signal, watch in self.watches.items()}


def test_ten_times_slower_is_detected_within_a_window_and_so_is_its_end() -> None:
    """One report a second, by two accounts: the first window tells, and the first after recovery."""
    day, rng = Day(), Random(2)
    day.usual()
    assert not any(day.levels.values())
    day.window({name: [report(10.0, rng=rng) for _ in range(5)] for name in "ab"})
    assert day.levels["ttft"] > math.log(3)
    assert day.levels["speed"] > math.log(3)
    day.window({name: [report(10.0, rng=rng) for _ in range(5)] for name in "ab"})
    assert day.levels["ttft"] == pytest.approx(math.log(10), abs=0.5)
    for _ in range(2):
        day.window({name: [report(rng=rng) for _ in range(5)] for name in "ab"})
    assert not any(day.levels.values())
    assert day.watches["ttft"].changed_at is not None


@given(
    st.lists(st.lists(st.builds(report, st.floats(0.001, 1000), ok=st.booleans()), max_size=30), max_size=8)
)
def test_no_single_account_changes_anything(told: list[list[ReportRequest]]) -> None:
    """Whatever it reports, and however often: it takes two."""
    day = Day()
    day.usual(3)
    for window in told:
        day.window({"liar": window})
    assert not any(day.levels.values())


def test_one_account_is_no_more_than_a_suspicion() -> None:
    day = Day()
    day.usual()
    day.window({"a": [report(10.0)] * 10, "b": [report()] * 2})
    assert not any(day.levels.values())
    day.window({"a": [report(10.0)] * 10})
    assert day.watches["ttft"].suspected_at is not None
    assert change_of(day.watches, REST) == NONE


@pytest.mark.parametrize("by", ["network", "prompt"])
def test_a_callers_own_network_and_prompts_change_nothing(by: str) -> None:
    """One caller far away, or with prompts of 4,000 tokens, beside one that is near."""
    day, rng = Day(), Random(3)
    day.usual()
    for _ in range(60):
        far = report(6.0, rng=rng) if by == "network" else report(1.0, prompt=4000, rng=rng)
        day.window({"far": [far] * 3, "b": [report(rng=rng)] * 3})
        assert not any(day.levels.values())


@pytest.mark.parametrize("seed", range(5))
def test_an_hour_of_usual_noise_is_no_change(seed: int) -> None:
    day, rng = Day(), Random(seed)
    day.usual()
    for _ in range(360):
        day.window(
            {
                name: [report(rng=rng, ok=rng.random() > 0.02) for _ in range(rng.randrange(8))]
                for name in "abc"
            }
        )
        assert not any(day.levels.values())


def test_failing_is_detected_and_so_is_its_end() -> None:
    day = Day()
    day.usual()
    for _ in range(2):
        day.window({name: [report(ok=False)] * 3 for name in "ab"})
    assert day.levels["reliability"] > 0.7
    change = change_of(day.watches, REST)
    assert change.failing == pytest.approx(day.levels["reliability"])
    for _ in range(3):
        day.window({name: [report()] * 4 for name in "ab"})
    assert day.levels["reliability"] == 0.0


def test_without_further_reports_a_change_ends() -> None:
    """Agents that were sent elsewhere report nothing: it is tried again."""
    day = Day()
    day.usual()
    day.window({name: [report(10.0)] * 5 for name in "ab"})
    change = change_of(day.watches, REST)
    assert (change.by, change.until) == ("reports", (day.now.timestamp() + CHANGE_HOLDS_S))
    assert day.watches["ttft"].level_at(day.now + timedelta(seconds=CHANGE_HOLDS_S + 1)) == 0.0


def test_what_was_learnt_last_counts() -> None:
    """A benchmark after the reports knows better; reports after it do."""
    day = Day()
    day.usual()
    day.window({name: [report(10.0)] * 5 for name in "ab"})
    later = Performance(measured_at=day.now + WINDOW, n=6, output_tps=figure(40.0), ttft_ms=figure(200.0))
    assert change_of(day.watches, REST).by == "reports"
    assert change_of(day.watches, later) == NONE


@given(st.floats(0.01, 0.9))
def test_reports_make_no_model_faster_than_it_was_measured(times: float) -> None:
    """Two accounts of one will could else lift a model."""
    day = Day()
    day.usual()
    for _ in range(5):
        day.window({name: [report(times)] * 10 for name in "ab"})
    change = change_of(day.watches, REST)
    assert change.ttft == change.speed == 0.0


def runs(job: str, ttft_ms: float, tps: float, minutes: float, **told: Any) -> list[RunSample]:
    at = EPOCH + timedelta(minutes=minutes)
    return [
        RunSample(job_id=job, at=at, prompt="short", cold=False, ttft_ms=ttft_ms, output_tps=tps, **told)
        for _ in range(3)
    ]


def test_the_last_benchmark_counts_at_once_where_it_is_far_from_those_before() -> None:
    before = [*runs("a", 100, 40, 0), *runs("b", 110, 38, 1), *runs("c", 95, 41, 2)]
    rolling = Performance(
        measured_at=EPOCH, n=9, output_tps=figure(40.0), ttft_ms=figure(100.0), samples=tuple(before)
    )

    def after(samples: list[RunSample]) -> Performance:
        return Performance(
            measured_at=EPOCH,
            n=12,
            output_tps=figure(40.0),
            ttft_ms=figure(100.0),
            samples=(*rolling.samples, *samples),
        )

    assert own_change(rolling).ttft == 0.0
    slow = own_change(after(runs("d", 1000, 4, 3)))
    assert slow.ttft == pytest.approx(math.log(10))
    assert slow.speed == pytest.approx(math.log(10))
    assert change_of({}, after(runs("d", 1000, 4, 3))).by == "benchmark"
    assert own_change(after(runs("d", 1000, 4, 3, contended="3 other requests"))).ttft == 0.0
    usual = own_change(after(runs("d", 120, 36, 3)))
    assert (usual.ttft, usual.speed) == (0.0, 0.0)


def test_every_signal_that_reports_tell_of_has_a_detector() -> None:
    assert set(TUNINGS) == {"ttft", "speed", "reliability"}


def seconds(day: Day, times: float, number: int, rng: Random, calls: int = 5) -> None:
    """Let a gateway report so many *calls* a second, for as many seconds."""
    for _ in range(number):
        day.now += timedelta(seconds=1)
        window = Reports()
        for _ in range(calls):
            window.add(MODEL, report(times, rng=rng), None, day.now, None, REST, measured=True)
        day.watches = watched(day.watches, window.take_measured()[MODEL].accounts, day.now)


def test_a_gateway_alone_shows_that_a_model_is_ten_times_slower() -> None:
    """At five calls a second within two seconds of the first slow report, and its end within as many."""
    day, rng = Day(), Random(4)
    seconds(day, 1.0, 20, rng)
    assert not any(day.levels.values())
    seconds(day, 10.0, 2, rng)
    assert day.levels["ttft"] > math.log(3)
    seconds(day, 10.0, 5, rng)
    seconds(day, 1.0, 4, rng)
    assert not any(day.levels.values())


@pytest.mark.parametrize("seed", range(3))
def test_ten_minutes_of_usual_noise_at_a_gateway_are_no_change(seed: int) -> None:
    day, rng = Day(), Random(seed)
    for _ in range(600):
        seconds(day, 1.0, 1, rng)
        assert not any(day.levels.values())


def test_what_one_account_says_does_not_become_usual() -> None:
    """Else the gateway's usual reports would seem to be a change."""
    day, rng = Day(), Random(5)
    seconds(day, 1.0, 5, rng)
    day.window({"liar": [report(30.0) for _ in range(9)]})
    seconds(day, 1.0, 60, rng)
    assert not any(day.levels.values())


@example(
    told=[
        [report(times) for times in (2.0, 3.0, 5.0, 9.0, 22.0, 27.0, 30.0, 30.0, 30.0)],
        [],
        [report(0.125)],
    ]
)
@given(
    st.lists(st.lists(st.builds(report, st.floats(0.001, 1000), ok=st.booleans()), max_size=30), max_size=8)
)
def test_beside_a_gateway_a_single_account_changes_nothing_either(told: list[list[ReportRequest]]) -> None:
    """What the gateway measures as usual speaks for two accounts, and against what one of them says."""
    day, rng = Day(), Random(5)
    seconds(day, 1.0, 5, rng)
    for window in told:
        day.window({"liar": window})
        seconds(day, 1.0, 1, rng)
        assert not any(day.levels.values())
