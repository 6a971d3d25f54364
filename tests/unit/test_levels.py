"""Easier and harder questions: which are asked next, and one scale for the answers to all of them."""

import math
from random import Random
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.types import Score
from vedette.usecases import levels
from vedette.usecases.estimating import (
    STANDARD_MIX,
    Answered,
    Scale,
    answered,
    at_standard,
    estimate,
    own_tasks,
    rate_for,
    scale,
)
from vedette.usecases.levels import DIFFICULTY, fitting, key
from vedette_benchmarker.suites.registry import SUITES

KINDS = {"sums": 2.0, "words": 1.0}
NAMES = [key(kind, level) for kind in KINDS for level in DIFFICULTY]
FLAT = (0.5, 0.4)  # an expectation that says next to nothing
SCORES = st.dictionaries(
    st.sampled_from(NAMES), st.tuples(st.integers(0, 12), st.integers(0, 12)).filter(any), min_size=1
)


def score(right: int, wrong: int) -> Score:
    return Score(successes=right, trials=right + wrong, suite="x@1")


def quality(told: Answered, expected: float = FLAT[0], spread: float = FLAT[1], eased: float = 0.0) -> float:
    """Return what a single model's answers come to."""
    rate, n, prior, apart = (np.array([value]) for value in (told.rate, told.effective, expected, spread))
    return float(estimate(rate, n, prior, apart, Scale(0.0, eased), np.array([told.mix]).T).quality[0])


def fitted(answers: dict[str, tuple[float, float]], *declared: str) -> str:
    return fitting(answers, "sums", declared or [key("sums", level) for level in DIFFICULTY])


def test_without_answers_it_is_the_standard_level() -> None:
    assert fitted({}) == levels.STANDARD
    assert fitted({"words": (12.0, 12.0)}) == levels.STANDARD


def test_who_is_nearly_always_right_gets_harder_questions_and_who_is_nearly_always_wrong_easier_ones() -> (
    None
):
    assert fitted({"sums": (3.0, 3.0)}) == fitted({"sums": (11.0, 12.0)}) == "hard"
    assert fitted({"sums": (0.0, 3.0)}) == fitted({"sums": (1.0, 12.0)}) == "easy"
    assert fitted({"sums": (2.0, 3.0)}) == fitted({"sums": (5.0, 12.0)}) == levels.STANDARD
    assert fitted({"sums": (3.0, 3.0), "sums:hard": (4.0, 4.0)}) == "hardest"
    assert fitted({"sums": (3.0, 3.0), "sums:hard": (2.0, 4.0)}) == "hard"
    assert fitted({"sums": (3.0, 3.0), "sums:hard": (0.0, 4.0)}) == levels.STANDARD


def test_only_declared_levels_are_asked() -> None:
    assert fitted({"sums": (12.0, 12.0)}, "sums") == levels.STANDARD
    assert fitted({"sums": (12.0, 12.0)}, "sums", "sums:hard") == "hard"
    assert fitted({"sums": (0.0, 12.0)}, "sums", "sums:hard") == levels.STANDARD


def test_answers_at_the_standard_level_count_as_before() -> None:
    """Recordings from before there were levels have no others."""
    told = answered({"sums": score(6, 2), "words": score(1, 3)}, KINDS)
    assert told.rate == pytest.approx((2 * 0.75 + 0.25) / 3)
    assert told.effective == pytest.approx(1 / ((2 / 3) ** 2 / 8 + (1 / 3) ** 2 / 4))
    assert (told.trials, told.mix) == (12, STANDARD_MIX)
    assert told.logit == pytest.approx(
        math.log((told.rate * told.effective + 0.5) / ((1 - told.rate) * told.effective + 0.5))
    )


def test_a_level_that_is_not_known_here_is_left_out() -> None:
    """A later release may have others."""
    assert answered({"sums": score(6, 2), "sums:odd": score(0, 9)}, KINDS) == answered(
        {"sums": score(6, 2)}, KINDS
    )


@pytest.mark.parametrize("ability", [-3.0, -1.0, 0.0, 1.5, 4.0])
def test_many_answers_at_any_level_tell_the_same_quality(ability: float) -> None:
    """A share of right answers at the standard level."""
    many = 4_000_000
    for level, hard in DIFFICULTY.items():
        right = round(many / (1 + math.exp(hard - ability)))
        told = answered({key("sums", level): score(right, many - right)}, {"sums": 1.0})
        if abs(hard - ability) <= 2.0:  # else half an answer each way is felt: few count at another level
            assert told.logit == pytest.approx(ability, abs=0.4)
            found = at_standard(told.rate, told.effective, told.mix)
            assert found == pytest.approx(1 / (1 + math.exp(-ability)), abs=0.07)


@given(scores=SCORES, more=st.sampled_from(NAMES), expected=st.floats(0.02, 0.98), eased=st.floats(-4, 4))
def test_one_more_right_instead_of_wrong_never_lowers_the_quality(
    scores: dict[str, tuple[int, int]], more: str, expected: float, eased: float
) -> None:
    """At whatever level; nor does expecting more, and it is a share."""
    right, wrong = scores.get(more, (0, 1))
    scores = {**scores, more: (right, max(1, wrong))}
    better = {**scores, more: (right + 1, max(1, wrong) - 1)}
    told, then = (
        answered({name: score(*one) for name, one in found.items()}, KINDS) for found in (scores, better)
    )
    before, after = (quality(one, expected, 0.1, eased) for one in (told, then))
    assert 0.0 <= before <= after + 1e-9 <= 1.0 + 1e-9


@given(scores=SCORES, quality_wanted=st.floats(0.05, 0.95))
def test_the_rate_that_is_needed_is_enough_at_any_mix_of_levels(
    scores: dict[str, tuple[int, int]], quality_wanted: float
) -> None:
    told = answered({name: score(*one) for name, one in scores.items()}, KINDS)
    rate = rate_for(quality_wanted, told.effective, 0.6, 0.1, Scale(0.0, 0.3), told.mix)
    if 0.0 <= rate <= 1.0:
        found = quality(told._replace(rate=rate), 0.6, 0.1, 0.3)
        assert found == pytest.approx(quality_wanted, abs=1e-6)


def test_harder_right_answers_say_more_and_easier_wrong_ones() -> None:
    """For each of the same number."""

    def told(right: int, wrong: int) -> list[float]:
        found = [answered({key("sums", level): score(right, wrong)}, {"sums": 1.0}) for level in DIFFICULTY]
        return [quality(one) for one in found]

    assert told(8, 0) == sorted(told(8, 0))
    assert told(0, 8) == sorted(told(0, 8))
    assert told(8, 0)[-1] > told(8, 0)[1] + 0.05


def test_answers_at_another_level_say_less_for_it_may_be_easier_than_it_states() -> None:
    standard = answered({"sums": score(500, 500)}, {"sums": 1.0})
    hard = answered({"sums:hard": score(500, 500)}, {"sums": 1.0})
    assert hard.effective < 1 / (0.25 * levels.LEVEL_SPREAD**2) < standard.effective


def test_models_at_different_levels_are_on_one_scale() -> None:
    """Suites that are too easy for everybody: with harder questions, they are found to be as easy as they are."""
    rng, ease = Random(5), 3.0
    abilities = [rng.gauss(0.8, 1.0) for _ in range(60)]
    found = [asked(rng, ability + ease, 20) for ability in abilities]
    told = [answered(one, {"sums": 1.0}) for one in found]
    expected = np.array([1 / (1 + math.exp(-ability)) for ability in abilities])
    logit, effective = (
        np.array(column) for column in zip(*((one.logit, one.effective) for one in told), strict=True)
    )
    spread = np.full(60, 0.1)
    scaled = scale(logit, effective, expected, spread, np.array([one.mix for one in told]).T)
    assert scaled.raised + scaled.eased == pytest.approx(ease, abs=0.5)


def asked(rng: Random, ability: float, items: int) -> dict[str, Score]:
    """Return the scores of a model that was asked so many questions, four at a time at the level that fits."""
    given: dict[str, list[int]] = {}
    for _ in range(items // 4):
        right = {name: (float(one[0]), float(sum(one))) for name, one in given.items()}
        name = key("sums", fitted(right))
        chance = 1 / (1 + math.exp(DIFFICULTY[levels.split(name)[1]] - ability))
        for _ in range(4):
            given.setdefault(name, [0, 0])[rng.random() >= chance] += 1
    return {name: score(*one) for name, one in given.items()}


@pytest.mark.parametrize("ability", [-2.5, -0.5, 1.0, 3.5])
def test_the_choice_of_the_level_does_not_bias_the_quality(ability: float) -> None:
    """Though the answers decide it: what they say is weighed by how hard the questions were."""
    rng, truth = Random(8), 1 / (1 + math.exp(-ability))
    found = [quality(answered(asked(rng, ability, 40), {"sums": 1.0})) for _ in range(300)]
    assert fmean(found) == pytest.approx(truth, abs=0.03)


def test_own_tasks_are_foretold_from_every_level() -> None:
    """Answers to harder questions do not look like a bad model."""
    low, high = own_tasks({"sums": score(3, 0), "sums:hard": score(5, 4)}, {"sums": 1.0}) or (0.0, 0.0)
    standard = own_tasks({"sums": score(8, 4)}, {"sums": 1.0}) or (0.0, 0.0)
    assert low > standard[0]
    assert high > standard[1]


def test_suites_declare_known_levels() -> None:
    """Each once, and their scores are named by them."""
    for suite in SUITES:
        named = [level for level, _ in suite.levels]
        assert len(set(named)) == len(named)
        assert set(named) <= set(DIFFICULTY) - {levels.STANDARD}
        assert {levels.split(name) for name in suite.asked} == {(suite.kind, level) for level in ("", *named)}
    assert sum(bool(suite.levels) for suite in SUITES) >= 9
