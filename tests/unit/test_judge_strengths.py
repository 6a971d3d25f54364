"""What a judge's answers come to: true strengths through its biases, with intervals that cover them."""

from collections.abc import Sequence
from itertools import combinations
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.types import Bias, ModelRef
from vedette.usecases.judging import STRENGTH_SPREAD
from vedette_benchmarker.judging import strengths
from vedette_benchmarker.judging.strengths import Preferred, Vote, fit

MODELS = tuple(ModelRef("box", name) for name in "abcd")
TRUE = (1.2, 0.4, -0.4, -1.2)


def session(
    rng: Random,
    true: Sequence[float] = TRUE,
    *,
    tasks: int = 8,
    order: float = 0.0,
    ties: float = 0.2,
    by_task: float = 0.0,
) -> list[Vote]:
    """Return the answers of a judge that prefers the first text by *order* logits, to texts that differ *by_task*."""
    votes = []
    for task in range(tasks):
        worth = {model: value + rng.gauss(0.0, by_task) for model, value in zip(MODELS, true, strict=False)}
        for pair in combinations(worth, 2):
            for first, second in (pair, pair[::-1]):
                weights = np.exp(
                    [worth[first] + order, worth[second], ties + (worth[first] + worth[second] + order) / 2]
                )
                said: Preferred = rng.choices(("first", "second", "tie"), weights.tolist())[0]  # type: ignore[assignment]
                votes.append(Vote(task=task, first=first, second=second, preferred=said))
    return votes


def is_shown(bias: Bias) -> bool:
    """Return whether the interval excludes what is expected."""
    return not bias.low <= bias.expected <= bias.high


@pytest.mark.parametrize("order", [0.0, 1.5, -1.5])
def test_strengths_are_recovered_through_a_preference_for_a_place(order: float) -> None:
    """However much the judge prefers the first text, or the second, the order of the models is the true one."""
    found = fit(session(Random(1), tasks=150, order=order))
    values = [found.strengths[model].value for model in MODELS]
    assert values == pytest.approx(TRUE, abs=0.25)
    assert found.order == pytest.approx(order, abs=0.25)


@pytest.mark.parametrize(("order", "by_task"), [(0.0, 0.0), (1.0, 0.0), (0.5, 1.0)])
def test_intervals_cover(order: float, by_task: float) -> None:
    """Also where texts of one task depend on each other: nine of ten intervals at least hold the true strength."""
    rng = Random(2)
    # What is true there is what ever more tasks would show: differences between tasks flatten the strengths.
    true = [
        one.value for one in fit(session(rng, tasks=600, order=order, by_task=by_task)).strengths.values()
    ]
    covered = []
    for _ in range(60):
        found = fit(session(rng, order=order, by_task=by_task)).strengths
        covered += [
            abs(one.value - value) <= 1.96 * one.error
            for one, value in zip(found.values(), true, strict=True)
        ]
    assert np.mean(covered) >= 0.9


@pytest.mark.parametrize("always", ["first", "second", "tie"])
def test_a_judge_that_always_says_the_same_gives_no_evidence(always: Preferred) -> None:
    """All strengths are alike, and as little is known of them as before."""
    votes = [
        Vote(task=task, first=one, second=other, preferred=always)
        for task in range(8)
        for pair in combinations(MODELS, 2)
        for one, other in (pair, pair[::-1])
    ]
    for one in fit(votes).strengths.values():
        assert one.value == pytest.approx(0.0, abs=1e-6)
        assert one.error > 0.75 * STRENGTH_SPREAD
    bias = strengths.position_bias(votes)
    assert bias is None if always == "tie" else bias is not None and is_shown(bias)


def test_no_answers_are_no_evidence() -> None:
    assert fit([]).strengths == {}
    assert strengths.position_bias([]) is None


votes_of = st.lists(
    st.builds(
        lambda task, pair, said: Vote(task=task, first=pair[0], second=pair[1], preferred=said),
        st.integers(0, 5),
        st.sampled_from([(one, other) for one in MODELS for other in MODELS if one != other]),
        st.sampled_from(["first", "second", "tie"]),
    ),
    min_size=1,
    max_size=40,
)


@given(votes=votes_of, seed=st.integers(0, 99))
def test_strengths_are_finite_centred_and_of_no_order(votes: list[Vote], seed: int) -> None:
    """Whatever is answered, the mean is 0, and the order of the answers does not matter."""
    found = fit(votes).strengths
    assert sum(one.value for one in found.values()) == pytest.approx(0.0, abs=1e-6)
    assert all(np.isfinite(one.value) and 0 < one.error < 10 * STRENGTH_SPREAD for one in found.values())
    shuffled = Random(seed).sample(votes, len(votes))
    assert {model: one.value for model, one in fit(shuffled).strengths.items()} == pytest.approx(
        {model: one.value for model, one in found.items()}, abs=1e-6
    )


@given(votes=votes_of)
def test_another_answer_for_a_model_never_weakens_it(votes: list[Vote]) -> None:
    """In both orders, so that it is none for a place."""
    model, other = votes[0].first, votes[0].second
    more = [
        Vote(task=9, first=model, second=other, preferred="first"),
        Vote(task=9, first=other, second=model, preferred="second"),
    ]
    gap = [
        found[model].value - found[other].value
        for found in (fit(votes).strengths, fit(votes + more).strengths)
    ]
    assert gap[1] >= gap[0] - 1e-6


@given(votes=votes_of)
def test_texts_that_change_places_turn_the_preference_for_a_place_around(votes: list[Vote]) -> None:
    """The same texts are preferred, from the other place."""
    turned: dict[Preferred, Preferred] = {"first": "second", "second": "first", "tie": "tie"}
    mirrored = [
        Vote(task=one.task, first=one.second, second=one.first, preferred=turned[one.preferred])
        for one in votes
    ]
    both = fit([*votes, *mirrored])
    assert both.order == pytest.approx(0.0, abs=1e-6)


def test_a_preference_for_itself_is_seen_beside_what_is_expected() -> None:
    """A judge that is clearly better wins more often than not; only what goes beyond that is a bias."""
    judge, other = ModelRef("box", "judge"), MODELS[0]
    ability = {judge: 1.0, other: 0.0}
    rng = Random(3)
    fair, vain = (
        [
            Vote(task=n, first=judge, second=other, preferred="first" if rng.random() < share else "second")
            for n in range(60)
        ]
        for share in (0.73, 0.99)
    )
    seen = strengths.preference(fair, [judge], ability)
    assert seen is not None
    assert not is_shown(seen)
    assert seen.expected == pytest.approx(0.731, abs=0.001)
    seen = strengths.preference(vain, [judge], ability)
    assert seen is not None
    assert is_shown(seen)
    assert strengths.preference(fair, [MODELS[3]], ability) is None
