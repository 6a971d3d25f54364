"""Quality is what published facts and right answers say together, on one scale for everybody."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.types import Score
from vedette.usecases.estimating import (
    NOTHING,
    Floats,
    Scale,
    answered,
    estimate,
    interval,
    logit,
    rate_for,
    scale,
)

SHARES = st.floats(0.0, 1.0)
SPREADS = st.floats(0.02, 0.4)
COUNTS = st.floats(1.0, 2000.0)


def one(rate: float, n: float, expected: float, spread: float, eased: float = 0.0) -> float:
    """Return the estimate of a single model."""
    found = estimate(
        np.array([rate]), np.array([n]), np.array([expected]), np.array([spread]), Scale(0.0, eased)
    )
    return float(found.quality[0])


def logits(rate: Floats, n: Floats) -> Floats:
    """Return the logits of right answers."""
    return np.array([logit(one, of) for one, of in zip(rate.tolist(), n.tolist(), strict=True)])


def score(right: int, of: int) -> Score:
    """Return so many right answers."""
    return Score(successes=right, trials=of, suite="x@1")


def test_without_answers_it_is_the_expectation() -> None:
    """And with very many it is what was answered."""
    assert one(np.nan, 0.0, 0.62, 0.1) == pytest.approx(0.62)
    assert one(0.31, 1e6, 0.62, 0.1) == pytest.approx(0.31, abs=0.001)


def test_it_lies_between_the_expectation_and_the_answers() -> None:
    """Nearer to the answers the more there are, and the less sure the expectation is."""
    few, many = one(0.3, 10, 0.7, 0.1), one(0.3, 100, 0.7, 0.1)
    assert 0.3 < many < few < 0.7
    assert one(0.3, 10, 0.7, 0.3) < few


@given(quality=SHARES, n=st.floats(0.0, 2000.0), more=COUNTS, expected=SHARES, spread=SPREADS)
def test_the_interval_holds_the_quality(
    quality: float, n: float, more: float, expected: float, spread: float
) -> None:
    """And more answers make it narrower."""

    def ends(answers: float) -> tuple[float, float]:
        given = (np.array([one]) for one in (quality, answers, expected, spread))
        low, high = interval(*given, Scale())
        return float(low[0]), float(high[0])

    low, high = ends(n)
    assert 0.0 <= low <= quality <= high <= 1.0
    narrow, wide = ends(n + more), (low, high)
    assert wide[0] - 1e-9 <= narrow[0] <= narrow[1] <= wide[1] + 1e-9


@given(rate=SHARES, more=SHARES, n=COUNTS, expected=SHARES, spread=SPREADS, eased=st.floats(-4, 4))
def test_more_right_answers_never_lower_it(
    rate: float, more: float, n: float, expected: float, spread: float, eased: float
) -> None:
    """Nor does expecting more; and it is a share."""
    low, high = sorted((rate, more))
    worse, better = one(low, n, expected, spread, eased), one(high, n, expected, spread, eased)
    assert 0.0 <= worse <= better + 1e-9 <= 1.0 + 1e-9
    assert one(rate, n, low, 0.1) <= one(rate, n, high, 0.1) + 0.05  # the spread in logits is another


@given(quality=st.floats(0.05, 0.95), n=COUNTS, expected=st.floats(0.05, 0.95), spread=SPREADS)
def test_the_rate_that_is_needed_is_enough(quality: float, n: float, expected: float, spread: float) -> None:
    """The inverse of the estimate, where a rate exists."""
    rate = rate_for(quality, n, expected, spread, Scale(0.0, 0.3))
    if 0.0 <= rate <= 1.0:
        assert one(rate, n, expected, spread, 0.3) == pytest.approx(quality, abs=1e-6)


def test_who_passes_everything_stays_apart_from_who_was_expected_to() -> None:
    """Suites that everybody passes tell nothing, so what is published still counts."""
    rate, n = np.ones(6), np.full(6, 100.0)
    expected = np.array([0.3, 0.4, 0.5, 0.6, 0.8, 0.95])
    spread = np.full(6, 0.08)
    found = scale(logits(rate, n), n, expected, spread)
    assert found.raised == 1.0
    assert found.eased > 0.5
    quality = estimate(rate, n, expected, spread, found).quality
    assert (np.diff(quality) > 0.005).all()
    assert quality[-1] - quality[0] > 0.15


def test_the_scale_does_not_depend_on_the_order() -> None:
    """To the last bit, so that replicas agree."""
    rng = np.random.default_rng(1)
    rate, n, expected = rng.random(50), rng.integers(1, 200, 50).astype(float), rng.random(50)
    spread = np.full(50, 0.1)
    order, told = rng.permutation(50), logits(rate, n)
    assert scale(told, n, expected, spread) == scale(told[order], n[order], expected[order], spread[order])


def test_without_answers_the_scale_is_as_expected() -> None:
    """Nothing was answered."""
    assert scale(np.array([np.nan]), np.array([0.0]), np.array([0.5]), np.array([0.1])) == Scale()


def test_irrelevant_answers_do_not_make_sure() -> None:
    """A thousand answers in a kind of little weight tell less than twenty in the one that counts."""
    kinds = {"tools": 9.0, "choice": 1.0}
    little, much = answered({"choice": score(900, 1000)}, kinds), answered({"tools": score(18, 20)}, kinds)
    assert little.effective < much.effective < 20
    assert (little.trials, much.trials) == (1000, 20)
    assert answered({"poetry": score(9, 9)}, kinds) == NOTHING


def test_all_kinds_together_tell_what_their_answers_tell() -> None:
    """With equal weights and trials, an answer counts for one."""
    told = answered({"a": score(10, 20), "b": score(20, 20)}, {"a": 1.0, "b": 1.0})
    assert told.rate == 0.75
    assert told.effective == pytest.approx(40.0)


def test_answers_that_could_not_be_graded_fully_tell_less() -> None:
    """Programs judged by their syntax alone count for half."""
    half = Score(successes=10, trials=20, suite="code_generation@2", weight=0.5, note="syntax only")
    told = answered({"code_generation": half}, {"code_generation": 1.0})
    assert told.effective == pytest.approx(10.0)
    assert told.trials == 20
