"""A model's quality: the expectation, and the estimate after its answers in evaluations. Pure.

Quality is a share of right answers. It is estimated on the scale of logits. There, a model with a higher expectation
keeps a higher estimate, even if two models answered everything right, or nothing. The expectation is a normal
distribution in logits, the answers are binomial. The estimate is the mode of both together:

    n · (rate - shown(l + ease)) = (l - μ - raise) / τ²        shown(x) = Σ mix · share(x - difficulty)
                                                              share(x) = 1 / (1 + e^-x)

`mix` is the share of the answers at each level of difficulty (`levels.py`). Quality is the share of right answers at
the standard level. It never falls with more right answers or a higher expectation. If the evaluated models together are
better or worse than expected (`Scale.raised`), the expectation of all models moves in the same direction, so that
evaluated and other models are compared on one scale. A difference beyond a limit is attributed to the suites
(`Scale.eased`): a suite that all models pass, or all fail, does not distinguish them.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vedette.types import Score
from vedette.usecases import levels
from vedette.usecases.levels import DIFFICULTIES, LEVEL_SPREAD, STANDARD_PLACE

Floats = NDArray[np.float64]

# Standard deviation between the abilities of one model in different kinds of suites, in logits. It applies to kinds
# without answers.
KIND_SPREAD: Final = 0.4
# How much easier or harder suites may be than published results suggest: standard deviation in logits.
EASE_SPREAD: Final = 0.7
# Standard deviation between the results of one model in several published tests for a use case, in logits. Editions
# of one test count as one test. Measured from the published facts of Vedette (tests/unit/test_own_tasks.py).
TEST_SPREAD: Final = 1.09
TEST_FREEDOM: Final = (
    4  # degrees of freedom that this counts for: some models differ more between tests than others
)
MAX_RAISED: Final = 1.0  # logits; a difference beyond it is attributed to the suites (`Scale.eased`)

_SURE: Final = 1.96  # standard deviations: 95 % of a normal distribution
_MIN_SHARE: Final = 0.01  # an expectation is never nearer to none or all right answers
_MIN_SPREAD: Final = 0.15  # in logits
_MAX_SPREAD: Final = 2.0
_FARTHEST: Final = 12.0  # logits
_STEP: Final = 0.05  # logits
_HALVINGS: Final = 44  # of 24 logits: below 1e-11


Mix = tuple[
    float, ...
]  # how much of the answers is at each level, in the order of DIFFICULTIES; the sum is 1
STANDARD_MIX: Final[Mix] = tuple(float(place == STANDARD_PLACE) for place in range(len(DIFFICULTIES)))
_STANDARD: Final[Floats] = np.array(STANDARD_MIX).reshape(-1, 1)


class Answered(NamedTuple):
    """The sums of a model's answers for one use case; NaN and 0 if there are none."""

    rate: float  # share of right answers, weighted by kind, at all levels together
    effective: float  # number of answers to one kind of question with the same information
    trials: int  # questions that were asked
    logit: float = 0.0  # log odds of a right answer at the standard level
    mix: Mix = STANDARD_MIX


NOTHING: Final = Answered(math.nan, 0.0, 0)


def answered(scores: Mapping[str, Score], kinds: Mapping[str, float]) -> Answered:
    """Return the evidence of the answers in *scores* for a use case with these weights of *kinds*.

    Many answers in a kind of little weight count less than their number. Kinds without answers make the result less
    certain.
    """
    given = {name: score for name, score in scores.items() if score.trials}
    asked = {kind: found for kind in kinds if (found := levels.of(given, kind))}
    weight = math.fsum(kinds[kind] for kind in asked)
    if not weight:
        return NOTHING
    rate = (
        math.fsum(kinds[kind] * _rate([score for _, score in found]) for kind, found in asked.items())
        / weight
    )
    worth, mix = weighed({name: score.counted for name, score in given.items()}, kinds)
    trials = sum(score.trials for found in asked.values() for _, score in found)
    return Answered(rate, worth, trials, logit(rate, worth, mix), mix)


def _rate(scores: Sequence[Score]) -> float:
    """Return the rate of right answers in *scores* of one kind."""
    if len(scores) == 1:
        return scores[0].successes / scores[0].trials
    right = math.fsum(score.weight * score.successes for score in scores)
    return right / math.fsum(score.counted for score in scores)


def weighed(counted: Mapping[str, float], kinds: Mapping[str, float]) -> tuple[float, Mix]:
    """Return the effective number of the *counted* answers, and their mix.

    That is the number of answers to one kind of question with the same information. *counted* is by kind and level.
    Levels may be easier or harder than stated, so answers at other levels than the standard one contain less of it.
    """
    asked = {kind: found for kind in kinds if (found := levels.of(counted, kind))}
    weight = math.fsum(kinds[kind] for kind in asked)
    if not weight:
        return 0.0, STANDARD_MIX
    total = math.fsum(kinds.values())
    mix, variance, uneven, level = [0.0] * len(DIFFICULTIES), [], [], []
    for kind, share in kinds.items():
        found = asked.get(kind, [])
        uneven.append((share / total - (share / weight if found else 0.0)) ** 2)
        if not found:
            continue
        answers = math.fsum(count for _, count in found)
        variance.append((share / weight) ** 2 / answers)
        for place, count in found:
            part = share / weight * count / answers
            mix[place] += part
            level.append(part**2 if place != STANDARD_PLACE else 0.0)
    unsure = KIND_SPREAD**2 * math.fsum(uneven) + LEVEL_SPREAD**2 * math.fsum(level)
    if not any(level):
        return 1.0 / (math.fsum(variance) + 0.25 * unsure), STANDARD_MIX
    return 1.0 / (math.fsum(variance) + 0.25 * unsure), tuple(mix)


def logit(rate: float, effective: float, mix: Mix = STANDARD_MIX) -> float:
    """Return the logit of a right answer at the standard level by the *rate* at a *mix* of levels.

    Half an answer counts as right and half as wrong, so that all right ones do not make it infinite.
    """
    right = (rate * effective + 0.5) / (effective + 1.0)
    if mix == STANDARD_MIX:
        return math.log(right / (1.0 - right))
    parts = [(part, hard) for part, hard in zip(mix, DIFFICULTIES, strict=True) if part]
    low, high = -_FARTHEST, _FARTHEST
    for _ in range(_HALVINGS):
        half = (low + high) / 2
        shown = sum(part / (1.0 + math.exp(hard - half)) for part, hard in parts)
        low, high = (half, high) if shown < right else (low, half)
    return (low + high) / 2


def at_standard(rate: float, effective: float, mix: Mix) -> float:
    """Return the rate of right answers at the standard level of a model that has *rate* at a *mix* of levels."""
    return rate if mix == STANDARD_MIX else 1.0 / (1.0 + math.exp(-logit(rate, effective, mix)))


def own_tasks(scores: Mapping[str, Score], kinds: Mapping[str, float]) -> tuple[float, float] | None:
    """Return the 95 % interval of the share of right answers to other tasks of a use case; None without answers.

    Suites are a sample of the tasks of a use case, and so are the tasks of a caller. Both may be easier or harder than
    usual for a model: by TEST_SPREAD, and by more if the scores of the suites differ more for this model. More answers
    do not narrow this spread; more suites narrow only a part of it [prediction interval of a random-effects model:
    Higgins, Thompson & Spiegelhalter 2009].
    """
    seen = answered(scores, kinds)
    if not seen.trials:
        return None
    suites = {kind: found for kind in kinds if (found := answered(scores, {kind: 1.0})).trials}
    weights = [kinds[kind] for kind in suites]
    share = math.fsum(weight**2 for weight in weights) / math.fsum(weights) ** 2
    between, freedom = _between([(one.logit, _variance(one)) for one in suites.values()])
    away = _surely(freedom) * math.sqrt(_variance(seen) + between * (1.0 + share))
    low, high = (1.0 / (1.0 + math.exp(-seen.logit - side)) for side in (-away, away))
    return low, high


def _variance(seen: Answered) -> float:
    """Return the variance by chance of the logit of these answers."""
    slope: float = _slope(np.array([seen.logit]), np.array(seen.mix).reshape(-1, 1))[0].item()
    return 1.0 / (seen.effective * slope)


def _between(suites: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the variance between tests for a model, and its degrees of freedom.

    *suites* has the logit and its variance for each suite. The result combines the variance of other models
    (TEST_SPREAD) with the differences between these suites that chance does not explain.
    """
    middle = math.fsum(logit for logit, _ in suites) / len(suites)
    free = len(suites) - 1
    chance = math.fsum(variance for _, variance in suites) * free / len(suites)
    squares = max(0.0, math.fsum((logit - middle) ** 2 for logit, _ in suites) - chance)
    return (TEST_FREEDOM * TEST_SPREAD**2 + squares) / (TEST_FREEDOM + free), float(TEST_FREEDOM + free)


def _surely(freedom: float) -> float:
    """Return the half width of the central 95 % of Student's t, in standard deviations [Cornish-Fisher, four terms]."""
    z, n = _SURE, freedom
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )


class Estimated(NamedTuple):
    """The estimated quality (0 to 1), and the share of it that comes from answers (0 to 1)."""

    quality: Floats
    confidence: Floats


class Scale(NamedTuple):
    """The difference between the answers of all models together and their expectations, in logits."""

    raised: float = 0.0  # added to every expectation
    eased: float = 0.0  # by which the suites are too easy to distinguish models; negative: too hard


def scale(
    logit: Floats, effective: Floats, expected: Floats, spread: Floats, mix: Floats = _STANDARD
) -> Scale:
    """Return by how much the answers of all models together are better than expected, shrunk towards 0.

    *logit* and *mix* (one row for each level) are as in `Answered`. The result does not depend on the order of the
    models. It changes in steps, so that one answer does not change the scores of all models.
    """
    seen = (effective > 0) & np.isfinite(effective)
    middle, deviation = _expectation(expected[seen], spread[seen])
    logits, slope = logit[seen], _slope(logit[seen], mix[:, seen] if mix.shape[1] > 1 else mix)
    precision = 1.0 / (deviation**2 + 1.0 / (effective[seen] * slope))
    total = math.fsum(precision.tolist()) + 1.0 / EASE_SPREAD**2
    found = round(math.fsum(((logits - middle) * precision).tolist()) / total / _STEP) * _STEP
    raised = max(-MAX_RAISED, min(MAX_RAISED, found))
    return Scale(raised, found - raised)


def estimate(
    rate: Floats,
    effective: Floats,
    expected: Floats,
    spread: Floats,
    scale: Scale = Scale(),  # noqa: B008 - immutable
    mix: Floats = _STANDARD,
) -> Estimated:
    """Return the quality of models by the share *rate* of right answers among *effective* ones at a *mix* of levels."""
    middle, deviation = _expectation(expected, spread)
    middle = middle + scale.raised
    seen = effective > 0
    n, right = np.where(seen, effective, 0.0), np.where(seen, rate, 0.0)
    low, high = np.full_like(middle, -_FARTHEST), np.full_like(middle, _FARTHEST)
    for _ in range(_HALVINGS):
        half = (low + high) / 2
        beyond = n * (right - shown(half + scale.eased, mix)) < (half - middle) / deviation**2
        low, high = np.where(beyond, low, half), np.where(beyond, half, high)
    found = np.where(seen, (low + high) / 2, middle)
    information = n * _slope(found + scale.eased, mix) * deviation**2
    return Estimated(_share(found), information / (1.0 + information))


def deviation(
    quality: Floats,
    effective: Floats,
    expected: Floats,
    spread: Floats,
    scale: Scale,
    mix: Floats = _STANDARD,
) -> Floats:
    """Return the standard deviation (logits) of an estimate of *quality* that rests on *effective* answers."""
    _, before = _expectation(expected, spread)
    information = effective * _slope(log_odds(quality) + scale.eased, mix)
    after: Floats = before / np.sqrt(1.0 + information * before**2)
    return after


def interval(
    quality: Floats,
    effective: Floats,
    expected: Floats,
    spread: Floats,
    scale: Scale,
    mix: Floats = _STANDARD,
) -> tuple[Floats, Floats]:
    """Return the ends of the 95 % interval of an estimate of *quality* that rests on *effective* answers."""
    away = _SURE * deviation(quality, effective, expected, spread, scale, mix)
    middle = log_odds(quality)
    return np.minimum(_share(middle - away), quality), np.maximum(_share(middle + away), quality)


def log_odds(quality: Floats) -> Floats:
    """Return the logits of *quality*, which is first limited to 0.01 to 0.99."""
    sure = np.clip(quality, _MIN_SHARE, 1.0 - _MIN_SHARE)
    found: Floats = np.log(sure / (1.0 - sure))
    return found


def expectation(expected: Floats, spread: Floats, scale: Scale) -> Floats:
    """Return the expected quality of models here, from the published expectation and the *scale*."""
    return _share(_expectation(expected, spread)[0] + scale.raised)


def rate_for(
    quality: float, effective: float, expected: float, spread: float, scale: Scale, mix: Mix = STANDARD_MIX
) -> float:
    """Return the rate of right answers that makes the estimate *quality*; below 0 or above 1 if no rate does."""
    middle, deviation = _expectation(np.array(expected), np.array(spread))
    wanted = math.log(quality / (1.0 - quality))
    rate = sum(
        part / (1.0 + math.exp(hard - wanted - scale.eased))
        for part, hard in zip(mix, DIFFICULTIES, strict=True)
    )
    return rate + (wanted - middle.item() - scale.raised) / (deviation.item() ** 2 * effective)


def shown(logit: Floats, mix: Floats) -> Floats:
    """Return the share of right answers at a *mix* of levels of a model with that *logit* at the standard level."""
    found: Floats = np.asarray(sum(part * _share(logit - hard) for part, hard in _present(mix)))
    return found


def _slope(logit: Floats, mix: Floats) -> Floats:
    """Return the derivative of `shown` by the logit: the information of one answer."""
    parts = ((part, _share(logit - hard)) for part, hard in _present(mix))
    found: Floats = np.asarray(sum(part * share * (1.0 - share) for part, share in parts))
    return found


def _present(mix: Floats) -> list[tuple[Floats, float]]:
    """Return the levels at which anything was asked, and how much of it."""
    return [(part, hard) for part, hard in zip(mix, DIFFICULTIES, strict=True) if part.any()]


def _expectation(expected: Floats, spread: Floats) -> tuple[Floats, Floats]:
    share = np.clip(expected, _MIN_SHARE, 1.0 - _MIN_SHARE)
    deviation = np.clip(spread / (share * (1.0 - share)), _MIN_SPREAD, _MAX_SPREAD)
    return np.log(share / (1.0 - share)), deviation


def _share(logit: Floats) -> Floats:
    share: Floats = 1.0 / (1.0 + np.exp(-logit))
    return share
