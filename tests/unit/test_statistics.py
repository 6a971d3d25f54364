"""Figures and the fold of samples."""

import statistics as reference
from datetime import UTC, datetime, timedelta
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.errors import TooFewSamples
from vedette.quantiles import quantile
from vedette.types import Outcome, Performance, RunSample, Sweep
from vedette_benchmarker.statistics import KEPT, figure, fold

START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(days=30)
DIGEST = "sha256:a"

values = st.lists(st.floats(min_value=1e-3, max_value=1e9), min_size=1, max_size=50)
# Hypothesis draws sizes and a seed, not each field: a history of hundreds of samples stays cheap.
sizes = st.lists(st.integers(1, 24), min_size=1, max_size=12)
seeds = st.integers(0, 2**32)


def taken(job: int, rng: Random) -> RunSample:
    """Return a sample of the job number *job*, one in four a failure, some at the same second."""
    blank = RunSample(
        job_id=f"job-{job}",
        at=START + timedelta(hours=job, seconds=rng.randrange(6)),
        prompt=rng.choice(["short", "long"]),
        cold=rng.random() < 0.3,
    )
    if rng.random() < 0.25:
        return msgspec.structs.replace(blank, outcome=Outcome.TIMEOUT)
    measured = ("ttft_ms", "output_tps", "e2e_ms", "itl_p50_ms", "load_ms")
    return msgspec.structs.replace(blank, **{name: rng.uniform(1, 1e5) for name in measured})


def history_of(sizes: list[int], seed: int) -> list[list[RunSample]]:
    """Return one job of each size."""
    rng = Random(seed)
    return [[taken(job, rng) for _ in range(size)] for job, size in enumerate(sizes)]


histories = st.builds(history_of, sizes, seeds)


def folded(
    previous: Performance | None, job: list[RunSample], *, at: datetime = END, digest: str | None = DIGEST
) -> Performance:
    """Fold with what these tests seldom vary."""
    return fold(previous, job, at=at, digest=digest, server_version="1.0")


def run(job: str, *, minutes: int = 0, **fields: object) -> RunSample:
    """Return a warm sample of a short prompt, *minutes* after the start."""
    blank = RunSample(job_id=job, at=START + timedelta(minutes=minutes), prompt="short", cold=False)
    return msgspec.structs.replace(blank, **fields)


def test_quantile_interpolates_between_closest_ranks() -> None:
    """Type 7, worked by hand: the rank is (n - 1) p, counted from zero."""
    assert quantile([1, 2, 3, 4], 0.25) == 1.75
    assert quantile([10, 20, 30], 0.95) == 29
    assert quantile([5.0, 1.0, 9.0], 0.5) == reference.median([5.0, 1.0, 9.0])


def test_quantile_of_nothing_is_refused() -> None:
    """No samples carry no figure."""
    with pytest.raises(TooFewSamples, match="needs 1 samples and has 0"):
        quantile([], 0.5)


@given(values, st.floats(0, 1), st.floats(0, 1))
def test_quantiles_are_bounded_and_ordered(given_values: list[float], p: float, q: float) -> None:
    """A quantile lies between the extremes and grows with its probability, within rounding."""
    low, high = sorted((p, q))
    assert min(given_values) <= quantile(given_values, low) <= max(given_values)
    assert quantile(given_values, low) <= quantile(given_values, high) * (1 + 1e-12)


@given(values)
def test_quartiles_agree_with_the_standard_library(given_values: list[float]) -> None:
    """The inclusive method of `statistics.quantiles` is the same definition."""
    if len(given_values) > 1:
        expected = reference.quantiles(given_values, n=4, method="inclusive")
        assert [quantile(given_values, p) for p in (0.25, 0.5, 0.75)] == pytest.approx(expected)


@given(values)
def test_a_figure_is_ordered_and_survives_the_wire(given_values: list[float]) -> None:
    """Median and p95 lie within min and max, and no field is infinite."""
    found = figure([*given_values, None])
    assert found is not None
    assert found.n == len(given_values)
    assert found.min <= found.median <= found.max
    assert found.min <= found.p95 <= found.max
    assert msgspec.json.decode(msgspec.json.encode(found), type=type(found)) == found


def test_a_figure_of_nothing_known_is_unknown() -> None:
    """Unknown is not zero."""
    assert figure([]) is None
    assert figure([None, None]) is None


@given(histories)
def test_folding_job_by_job_equals_computing_from_the_whole_history(history: list[list[RunSample]]) -> None:
    """The rolling figures are those of the last samples of the full history."""
    rolling = None
    for job in history:
        rolling = folded(rolling, job)
    assert rolling == folded(None, [sample for job in history for sample in job])


@pytest.mark.fault(
    "a wrong clock dated a benchmark",
    "I10",
    without=("vedette_benchmarker.statistics:is_future", lambda *_: False),
)
def test_samples_of_the_future_do_not_stay_the_newest() -> None:
    """They count as taken by now, and go when newer ones come."""
    future = [run("late", minutes=60 * 24 * 31)]
    after = folded(folded(None, future, at=START), [run("now", minutes=1)], at=START + timedelta(minutes=1))
    assert [sample.job_id for sample in after.samples] == ["late", "now"]
    assert all(sample.at <= after.measured_at for sample in after.samples)


@given(histories, seeds)
def test_the_order_of_samples_within_a_job_changes_nothing(history: list[list[RunSample]], seed: int) -> None:
    """Samples are ordered by their own time, not by their arrival."""
    rng = Random(seed)
    in_order = shuffled = None
    for job in history:
        in_order = folded(in_order, job)
        shuffled = folded(shuffled, rng.sample(job, len(job)))
    assert in_order == shuffled


@given(histories)
def test_a_redelivered_job_counts_once(history: list[list[RunSample]]) -> None:
    """Folding the last job again, later and even measured anew, returns the same state."""
    rolling = None
    for job in history:
        rolling = folded(rolling, job)
    again = [msgspec.structs.replace(sample, at=sample.at + timedelta(minutes=9)) for sample in history[-1]]
    assert folded(rolling, again, at=START + timedelta(days=1)) is rolling


@given(histories)
def test_cold_and_warm_never_mix(history: list[list[RunSample]]) -> None:
    """Each half of a history alone gives the same figures as both together."""
    everything = [sample for job in history for sample in job]
    both = folded(None, everything)
    warm = folded(None, [sample for sample in everything if not sample.cold])
    cold = folded(None, [sample for sample in everything if sample.cold])
    assert (warm.ttft_cold_ms, warm.load_ms) == (None, None)
    assert (cold.n, cold.output_tps, cold.ttft_ms, cold.ttft_long_ms, cold.itl_ms) == (0, *[None] * 4)
    assert (both.n, both.output_tps, both.ttft_ms) == (warm.n, warm.output_tps, warm.ttft_ms)
    assert (both.ttft_cold_ms, both.load_ms) == (cold.ttft_cold_ms, cold.load_ms)


@given(histories)
def test_no_group_grows_beyond_what_is_kept(history: list[list[RunSample]]) -> None:
    """At most 30 samples per prompt length and temperature stay, oldest first."""
    kept = folded(None, [sample for job in history for sample in job]).samples
    for prompt in ("short", "long"):
        for cold in (False, True):
            assert sum(s.prompt == prompt and s.cold == cold for s in kept) <= KEPT
    assert [s.at for s in kept] == sorted(s.at for s in kept)


def test_disturbed_runs_stand_in_until_there_are_enough_quiet_ones() -> None:
    """And how many of those behind the figures were disturbed is said."""
    disturbed = [run(f"d{n}", e2e_ms=1.0, output_tps=5.0, contended="2 other requests") for n in range(4)]
    quiet = [run(f"q{n}", minutes=n, e2e_ms=1.0, output_tps=50.0) for n in range(3)]
    few = folded(None, [*disturbed, *quiet[:2]])
    assert few.output_tps is not None
    assert (few.n, few.contended, few.output_tps.n) == (6, 4, 6)
    enough = folded(None, [*disturbed, *quiet])
    assert enough.output_tps is not None
    assert (enough.n, enough.contended, enough.output_tps.min) == (3, 0, 50.0)


def test_a_sweep_stays_until_the_next_one_or_other_weights() -> None:
    sweep = Sweep(measured_at=START, loads=())
    first = fold(None, [run("a")], at=START, digest=DIGEST, server_version=None, sweep=sweep)
    assert folded(first, [run("b")]).sweep == sweep
    assert folded(first, [run("b")], digest="sha256:b").sweep is None


def test_failures_are_counted_and_never_averaged() -> None:
    """A slow timeout is a failure, not a latency; a model that cannot be asked has not failed."""
    job = [
        run("a", ttft_ms=100.0, e2e_ms=900.0),
        run("a", minutes=1, outcome=Outcome.TIMEOUT, e2e_ms=60_000.0),
        run("a", minutes=2, outcome=Outcome.UNSUPPORTED),
    ]
    performance = folded(None, job)
    assert (performance.n, performance.failures) == (1, 1)
    assert performance.e2e_ms is not None
    assert performance.e2e_ms.max == 900.0
    assert len(performance.samples) == 3


def test_old_failures_leave_the_window() -> None:
    """Thirty later successes push a failure out."""
    rolling = folded(None, [run("bad", outcome=Outcome.RESET)])
    later = [run("good", minutes=minute, ttft_ms=5.0, e2e_ms=9.0) for minute in range(1, KEPT + 1)]
    rolling = folded(rolling, later)
    assert (rolling.n, rolling.failures) == (KEPT, 0)


def test_a_run_without_figures_is_not_behind_the_figures() -> None:
    """A success whose clock stepped counts neither as a sample behind the figures nor as a failure."""
    performance = folded(None, [run("a", detail="no figures: the clock stepped during the run")])
    assert (performance.n, performance.failures) == (0, 0)


def test_other_weights_start_anew() -> None:
    """A new digest, or one that became known, resets every figure."""
    before = folded(None, [run("a", ttft_ms=100.0, e2e_ms=1.0)])
    after = folded(before, [run("b", minutes=1, ttft_ms=7.0, e2e_ms=1.0)], digest="sha256:b")
    assert after.ttft_ms is not None
    assert (after.digest, after.n, after.ttft_ms.median) == ("sha256:b", 1, 7.0)
    unknown = folded(before, [run("b", minutes=1)], digest=None)
    assert [sample.job_id for sample in unknown.samples] == ["b"]


def test_prompt_lengths_are_apart_where_they_differ() -> None:
    """TTFT is reported by prompt length, the decode rate over both."""
    job = [run("a", ttft_ms=10.0, output_tps=50.0), run("a", prompt="long", ttft_ms=90.0, output_tps=40.0)]
    performance = folded(None, job)
    assert performance.ttft_ms is not None
    assert performance.ttft_long_ms is not None
    assert performance.output_tps is not None
    assert (performance.ttft_ms.median, performance.ttft_long_ms.median) == (10.0, 90.0)
    assert (performance.output_tps.n, performance.output_tps.median) == (2, 45.0)
