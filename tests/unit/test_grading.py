"""From verdicts to scores: intervals, when to stop, what tells most, what proves, what has become worse."""

import math
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.settings import Evaluating
from vedette.types import Capability, Miss, Quality, Score, Thoughts
from vedette_benchmarker.grading import (
    MISSES_KEPT,
    UNRUN_WEIGHT,
    Graded,
    claims,
    compared,
    drops,
    fold,
    miss,
    most_useful,
    planned,
    together,
)
from vedette_benchmarker.suites import Suite

NOW = datetime(2026, 11, 25, tzinfo=UTC)
SETTINGS = Evaluating(items=40, least=8, interval_width=0.3)


def suite(kind: str, capability: Capability | None = None, version: int = 1) -> Suite:
    return Suite(kind=kind, version=version, items=lambda _: iter(()), capability=capability)


LEVELLED = Suite(kind="tools", version=1, items=lambda _: iter(()), levels=(("hard", lambda _: iter(())),))


def score(successes: int, trials: int, name: str = "tools@1") -> Score:
    return Score(successes=successes, trials=trials, suite=name)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Worked from Wilson's formula by hand; the second is the textbook's rule of three and a bit.
    [
        (0, 0, 0.0, 1.0),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (81, 263, 0.2553, 0.3662),
    ],
)
def test_the_interval_is_wilsons(successes: int, trials: int, low: float, high: float) -> None:
    assert score(successes, trials).interval == pytest.approx((low, high), abs=5e-4)


@given(trials=st.integers(1, 500), data=st.data())
def test_an_interval_holds_its_rate_and_narrows_with_trials(trials: int, data: st.DataObject) -> None:
    """Ten times the trials at the same rate leave it inside the first."""
    successes = data.draw(st.integers(0, trials))
    low, high = score(successes, trials).interval
    assert 0 <= low <= successes / trials + 1e-12
    assert successes / trials - 1e-12 <= high <= 1
    inner_low, inner_high = score(10 * successes, 10 * trials).interval
    assert low <= inner_low + 1e-12
    assert inner_high <= high + 1e-12


def test_fewer_are_asked_once_the_interval_is_narrow() -> None:
    """All right or all wrong is sure soon; in between takes more. A read-only score is half as sure."""
    assert planned((), SETTINGS) == 40
    assert planned([score(10, 10)], SETTINGS) == 8
    assert planned([score(0, 12)], SETTINGS) == 8
    assert planned([score(8, 16)], SETTINGS) == 40
    assert planned([score(20, 40)], SETTINGS) == 8
    assert planned([msgspec.structs.replace(score(10, 10), weight=0.5)], SETTINGS) == 40


def test_answers_at_all_levels_make_a_suite_sure() -> None:
    """A model that went on to harder questions keeps few at the standard level."""
    assert planned([score(4, 4), score(16, 36, "tools:hard@1")], SETTINGS) == 8
    assert planned([score(4, 4), score(6, 12, "tools:hard@1")], SETTINGS) == 40


def test_new_weights_are_asked_each_level_as_the_old_ones_were_and_no_more_than_one_suite() -> None:
    before = {"tools": score(3, 3), "tools:hard": score(9, 18, "tools:hard@1"), "other": score(1, 9)}
    assert compared(LEVELLED, before, 12) == {"tools": 2, "tools:hard": 11}
    assert compared(LEVELLED, {"tools": score(2, 2)}, 12) == {"tools": 12}
    assert compared(LEVELLED, {"tools": score(2, 2, "tools@0")}, 12) == {}


def told(rate: float, settings: Evaluating) -> float:
    """Return the rate that two evaluations tell on average of a model of true *rate*: exactly, over all outcomes."""

    def chance(right: int, of: int) -> float:
        return math.comb(of, right) * rate**right * (1 - rate) ** (of - right)

    first, mean = planned((), settings), 0.0
    for right in range(first + 1):
        more = planned([score(right, first)], settings)
        for also in range(more + 1):
            mean += chance(right, first) * chance(also, more) * (right + also) / (first + more)
    return mean


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3, 0.5, 0.9, 0.98])
def test_the_rate_told_is_not_biased_by_when_asking_stops(rate: float) -> None:
    """When the answers decided it, a model of .02 was told as .014; over two evaluations half a point is left."""
    assert told(rate, Evaluating()) == pytest.approx(rate, abs=0.005)
    assert told(0.02, Evaluating()) == pytest.approx(0.02, abs=0.001)


def a_miss(name: str, place: int) -> Miss:
    return Miss(suite=name, prompt=f"q{place}", answer="a", why="w")


def graded(kind: str, successes: int, missed: int, capability: Capability | None = None) -> Graded:
    return Graded(
        suite=suite(kind, capability),
        successes=successes,
        trials=successes + missed,
        misses=tuple(a_miss(f"{kind}@1", place) for place in range(missed)),
    )


def test_the_most_telling_misses_come_from_what_is_usually_right() -> None:
    """Each kind in turn, so that one bad kind does not fill the list."""
    kept = most_useful([graded("bad", 0, 20), graded("good", 18, 2)])
    assert [m.suite for m in kept[:4]] == ["good@1", "bad@1", "good@1", "bad@1"]
    assert len(kept) == MISSES_KEPT
    assert most_useful([]) == ()


def test_a_long_prompt_keeps_its_end() -> None:
    """The question of a haystack stands there."""
    cut = miss(suite("needle"), "hay " * 1000 + "What is the code?", "7", "wrong").prompt
    assert len(cut) < 600
    assert cut.endswith("What is the code?")


def test_items_prove_by_the_way() -> None:
    """One success proves; a few failures without any disprove; fewer prove nothing."""
    tools = Capability.TOOLS
    assert claims([graded("tools", 1, 9, tools)])["tools"].value
    assert not claims([graded("tools", 0, 3, tools)])["tools"].value
    assert claims([graded("tools", 0, 2, tools), graded("arithmetic", 9, 0)]) == {}


def quality(
    previous: Quality | None,
    scores: dict[str, Score],
    *,
    digest: str = "a",
    version: str = "1",
    thoughts: Thoughts = Thoughts(answers=0, tokens=0),  # noqa: B008 - it is frozen
) -> Quality:
    return fold(previous, scores, (), at=NOW, digest=digest, server_version=version, thoughts=thoughts)


def test_scores_add_up_until_something_changes() -> None:
    """The same weights, server and suite version add; another version of the suite begins anew."""
    first = quality(None, {"tools": score(3, 8), "json": score(1, 8, "json@1")})
    second = quality(first, {"tools": score(5, 8)})
    assert second.scores == {"tools": score(8, 16), "json": score(1, 8, "json@1")}
    assert second.baseline is None
    third = quality(second, {"tools": score(1, 8, "tools@2")})
    assert third.scores["tools"] == score(1, 8, "tools@2")


def test_levels_do_not_outlive_the_version_of_their_suite() -> None:
    """Else easier questions of one version would be counted with harder ones of another."""
    first = quality(
        None, {"tools": score(8, 8), "tools:hard": score(3, 8, "tools:hard@1"), "json": score(1, 8)}
    )
    second = quality(first, {"tools:hard": score(5, 8, "tools:hard@1")})
    assert second.scores["tools:hard"] == score(8, 16, "tools:hard@1")
    third = quality(second, {"tools": score(1, 3, "tools@2")})
    assert set(third.scores) == {"tools", "json"}


def test_thoughts_add_up_as_scores_do() -> None:
    """An evaluation that counted none keeps those before; new weights begin again."""
    few, more = Thoughts(answers=2, tokens=800), Thoughts(answers=8, tokens=1200)
    first = quality(None, {}, thoughts=few)
    assert quality(first, {}, thoughts=more).thoughts == Thoughts(answers=10, tokens=2000)
    assert quality(first, {}).thoughts == few
    assert quality(first, {}, thoughts=more, digest="b").thoughts == more


def test_parts_of_a_suite_are_one_score() -> None:
    """Levels are asked a few questions at a time."""
    parts = [graded("sums", 3, 1), graded("words", 2, 2), graded("sums", 1, 3)]
    (sums, words) = together(parts)
    assert (sums.score, len(sums.misses)) == (score(4, 8, "sums@1"), 4)
    assert words == parts[1]


def test_a_part_that_ended_before_its_first_answer_does_not_hide_how_the_others_were_graded() -> None:
    """A limit of USD can end any part."""
    read = msgspec.structs.replace(graded("sums", 3, 1), unrun="no sandbox")
    (both,) = together([read, Graded(suite=read.suite)])
    assert both.score == read.score
    assert both.score.weight == UNRUN_WEIGHT


def test_what_was_graded_in_two_ways_is_not_added() -> None:
    """The better graded score stands, whichever came first."""
    run, read = score(3, 8), msgspec.structs.replace(score(7, 8), weight=0.5, note="read only")
    assert quality(quality(None, {"tools": run}), {"tools": read}).scores["tools"] == run
    assert quality(quality(None, {"tools": read}), {"tools": run}).scores["tools"] == run
    assert quality(quality(None, {"tools": read}), {"tools": read}).scores["tools"].counted == 8.0


@pytest.mark.parametrize("change", [{"digest": "b"}, {"version": "2"}])
def test_new_weights_or_server_begin_anew_and_remember_what_was(change: dict[str, str]) -> None:
    before = quality(None, {"tools": score(20, 20)})
    after = quality(before, {"tools": score(1, 8)}, **change)
    assert after.scores == {"tools": score(1, 8)}
    assert after.baseline is not None
    assert after.baseline.scores == before.scores
    more = quality(after, {"tools": score(1, 8)}, **change)
    assert more.baseline == after.baseline
    assert more.scores == {"tools": score(2, 16)}


def test_worse_beyond_both_intervals_is_a_drop() -> None:
    """Noise is none, nor is better, nor another version of the suite."""
    before = quality(None, {"tools": score(19, 20)})
    (drop,) = drops(quality(before, {"tools": score(5, 20)}, digest="b"))
    assert (drop.kind, drop.before, drop.after) == ("tools", score(19, 20), score(5, 20))
    for scores in (
        {"tools": score(16, 20)},
        {"tools": score(20, 20)},
        {"tools": score(0, 20, "tools@2")},
        {"json": score(0, 20, "json@1")},
    ):
        assert drops(quality(before, scores, digest="b")) == ()
    assert drops(before) == ()


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["tools", "json"]),
            st.integers(1, 20).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_folding_run_by_run_equals_adding_the_whole_history(runs: list[dict[str, tuple[int, int]]]) -> None:
    rolling = None
    for run in runs:
        rolling = quality(rolling, {kind: score(*pair, f"{kind}@1") for kind, pair in run.items()})
    assert rolling is not None
    for kind in ("tools", "json"):
        pairs = [run[kind] for run in runs if kind in run]
        expected = (sum(s for s, _ in pairs), sum(t for _, t in pairs))
        found = rolling.scores.get(kind)
        assert ((found.successes, found.trials) if found else (0, 0)) == expected


def test_a_quality_survives_the_wire() -> None:
    made = quality(quality(None, {"tools": score(20, 20)}), {"tools": score(1, 8)}, digest="b")
    assert msgspec.json.decode(msgspec.json.encode(made), type=Quality) == made
