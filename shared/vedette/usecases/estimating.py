"""A model's quality: what to expect of it, and what its answers in evaluations make of that. Pure.

Quality is a share of right answers. It is estimated on the scale of logits, where a model that is expected to be good
stays apart from one that is not, even if both answered everything right, or nothing. The expectation is a normal
distribution there, the answers are binomial; the estimate is the mode of what the two say together:

    n · (rate - share(l + ease)) = (l - μ - raise) / τ²        share(x) = 1 / (1 + e^-x)

More right answers never lower it, and neither does a better expectation. What all models that were evaluated do better
than expected, raises what is expected of everybody, so that those that were not evaluated are compared on the same
scale. What goes beyond a limit is put down to the suites: if all models pass a suite, or all fail it, it does not
distinguish them.
"""

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vedette.types import Score

Floats = NDArray[np.float64]

# Between the abilities of one model in two kinds of suites, in logits: what a kind that was not asked leaves open.
KIND_SPREAD: Final = 0.4
# By how many logits suites may be easier or harder than what is published lets expect: standard deviation.
EASE_SPREAD: Final = 0.7
# Between the shares of right answers that one model reaches in several published tests of one use case, in logits.
# Measured from the published facts of Vedette (tests/unit/test_own_tasks.py).
TEST_SPREAD: Final = 0.9
MOST_RAISED: Final = 1.0  # logits; what goes beyond is not put down to the expectations but to the suites

_SURE: Final = 1.96  # standard deviations: 95 % of a normal distribution
_LEAST: Final = 0.01  # an expectation is never nearer to none or all right answers
_LEAST_SPREAD: Final = 0.15  # in logits
_MOST_SPREAD: Final = 2.0
_FARTHEST: Final = 12.0  # logits
_STEP: Final = 0.05  # logits
_HALVINGS: Final = 44  # of 24 logits: below 1e-11


class Answered(NamedTuple):
    """What a model's answers come to for one use case; NaN and 0 where there are none."""

    rate: float  # of right answers, by the weights of the kinds
    effective: float  # answers to one question each that would tell as much
    trials: int  # questions that were asked


NOTHING: Final = Answered(math.nan, 0.0, 0)


def answered(scores: Mapping[str, Score], kinds: Mapping[str, float]) -> Answered:
    """Return what the answers in *scores* say about a use case with these weights of *kinds*.

    Many answers in a kind of little weight say less than their number, and kinds that were not asked leave open what
    asking them would have shown.
    """
    asked = {kind: score for kind in kinds if (score := scores.get(kind)) and score.trials}
    weight = math.fsum(kinds[kind] for kind in asked)
    if not weight:
        return NOTHING
    rate = math.fsum(kinds[kind] * one.successes / one.trials for kind, one in asked.items()) / weight
    counted = {kind: one.counted for kind, one in asked.items()}
    return Answered(rate, effective(counted, kinds), sum(one.trials for one in asked.values()))


def effective(counted: Mapping[str, float], kinds: Mapping[str, float]) -> float:
    """Return how many answers to one question each carry the information of the *counted* answers by kind."""
    asked = [kind for kind in kinds if counted.get(kind)]
    weight = math.fsum(kinds[kind] for kind in asked)
    if not weight:
        return 0.0
    variance = math.fsum((kinds[kind] / weight) ** 2 / counted[kind] for kind in asked)
    total = math.fsum(kinds.values())
    uneven = math.fsum(
        (share / total - (share / weight if counted.get(kind) else 0.0)) ** 2 for kind, share in kinds.items()
    )
    return 1.0 / (variance + 0.25 * KIND_SPREAD**2 * uneven)


def own_tasks(scores: Mapping[str, Score], kinds: Mapping[str, float]) -> tuple[float, float] | None:
    """Return the 95 % interval of the share of right answers to other tasks of a use case; None without answers.

    Suites are a sample of what a use case may ask, and so are the tasks of a caller: both may be easier or harder than
    usual for a model, by TEST_SPREAD. More answers do not make that smaller, more suites only a part of it [prediction
    interval of a random-effects model: Higgins, Thompson & Spiegelhalter 2009].
    """
    told = answered(scores, kinds)
    if not told.trials:
        return None
    asked = [weight for kind, weight in kinds.items() if (score := scores.get(kind)) and score.trials]
    between = math.fsum(weight**2 for weight in asked) / math.fsum(asked) ** 2
    share = (told.rate * told.effective + 0.5) / (told.effective + 1.0)
    sampled = 1.0 / (told.effective * share * (1.0 - share))
    away = _SURE * math.sqrt(sampled + TEST_SPREAD**2 * (1.0 + between))
    middle = math.log(share / (1.0 - share))
    low, high = (1.0 / (1.0 + math.exp(-middle - side)) for side in (-away, away))
    return low, high


class Estimated(NamedTuple):
    """The quality to count with, and how much of it comes from answers."""

    quality: Floats
    confidence: Floats


class Scale(NamedTuple):
    """How the answers of all models together differ from what was expected of them, in logits."""

    raised: float = 0.0  # added to every expectation
    eased: float = 0.0  # by which the suites are too easy to tell models apart; negative: too hard


def scale(rate: Floats, effective: Floats, expected: Floats, spread: Floats) -> Scale:
    """Return by how much the answers of all models together are better than expected, as far as that is sure.

    It does not depend on the order of the models, and it moves in steps, so that one answer does not move everything.
    """
    seen = (effective > 0) & np.isfinite(effective)
    middle, deviation = _expectation(expected[seen], spread[seen])
    right = (rate[seen] * effective[seen] + 0.5) / (effective[seen] + 1.0)
    better = np.log(right / (1.0 - right)) - middle
    precision = 1.0 / (deviation**2 + 1.0 / (effective[seen] * right * (1.0 - right)))
    total = math.fsum(precision.tolist()) + 1.0 / EASE_SPREAD**2
    found = round(math.fsum((better * precision).tolist()) / total / _STEP) * _STEP
    raised = max(-MOST_RAISED, min(MOST_RAISED, found))
    return Scale(raised, found - raised)


def estimate(
    rate: Floats,
    effective: Floats,
    expected: Floats,
    spread: Floats,
    scale: Scale = Scale(),  # noqa: B008 - immutable
) -> Estimated:
    """Return the quality of models by the share *rate* of right answers among *effective* answers."""
    middle, deviation = _expectation(expected, spread)
    middle = middle + scale.raised
    seen = effective > 0
    n, right = np.where(seen, effective, 0.0), np.where(seen, rate, 0.0)
    low, high = np.full_like(middle, -_FARTHEST), np.full_like(middle, _FARTHEST)
    for _ in range(_HALVINGS):
        half = (low + high) / 2
        beyond = n * (right - _share(half + scale.eased)) < (half - middle) / deviation**2
        low, high = np.where(beyond, low, half), np.where(beyond, half, high)
    logit = np.where(seen, (low + high) / 2, middle)
    apart = _share(logit + scale.eased)
    information = n * apart * (1.0 - apart) * deviation**2
    return Estimated(_share(logit), information / (1.0 + information))


def deviation(quality: Floats, effective: Floats, expected: Floats, spread: Floats, scale: Scale) -> Floats:
    """Return the standard deviation (logits) of an estimate of *quality* that rests on *effective* answers."""
    _, before = _expectation(expected, spread)
    sure = np.clip(quality, _LEAST, 1.0 - _LEAST)
    apart = _share(np.log(sure / (1.0 - sure)) + scale.eased)
    after: Floats = before / np.sqrt(1.0 + effective * apart * (1.0 - apart) * before**2)
    return after


def expectation(expected: Floats, spread: Floats, scale: Scale) -> Floats:
    """Return what to expect of models here, given what is published of them."""
    return _share(_expectation(expected, spread)[0] + scale.raised)


def rate_for(quality: float, effective: float, expected: float, spread: float, scale: Scale) -> float:
    """Return the rate of right answers by which the estimate would be *quality*: above 1 where none is enough."""
    middle, deviation = _expectation(np.array(expected), np.array(spread))
    logit = math.log(quality / (1.0 - quality))
    shown = 1.0 / (1.0 + math.exp(-logit - scale.eased))
    return shown + (logit - middle.item() - scale.raised) / (deviation.item() ** 2 * effective)


def _expectation(expected: Floats, spread: Floats) -> tuple[Floats, Floats]:
    share = np.clip(expected, _LEAST, 1.0 - _LEAST)
    deviation = np.clip(spread / (share * (1.0 - share)), _LEAST_SPREAD, _MOST_SPREAD)
    return np.log(share / (1.0 - share)), deviation


def _share(logit: Floats) -> Floats:
    share: Floats = 1.0 / (1.0 + np.exp(-logit))
    return share
