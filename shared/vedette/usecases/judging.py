"""How a judge's preferences count for the quality of models, and how certain a quality is without them. Pure.

A judge says only which model writes better, never how well. So a session moves its models apart around the mean of
their qualities by checked answers, and does not change that mean:

    l* = mean of l + SLOPE · (θ - mean of θ)          in logits, over the models of the session

This counts as a number of answers with that share of right ones. The number follows from how much the judge's answers
reduced the uncertainty of θ; it is at most MAX_SHARE of the checked answers. Without checked answers, the session does
not count.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vedette.types import Judgement, Score
from vedette.usecases import UseCase, estimating
from vedette.usecases.estimating import Floats, Scale

MAX_SHARE: Final = 0.25  # of the checked answers that judged answers count as, at most
SLOPE: Final = 0.5  # logits of quality by logit of being preferred: prose is only a part of a use case
STRENGTH_SPREAD: Final = 2.0  # standard deviation of strengths before any answer of a judge, in logits
SURE: Final = 1.96  # standard deviations
_MIN_SHARE: Final = 0.01
_MIN_ERROR: Final = 1e-3


class Worth(NamedTuple):
    """The worth of a judge's session: a number of answers to one question each, and the share of right ones."""

    rate: Floats
    effective: Floats


def judged(
    quality: Floats,
    effective: Floats,
    scale: Scale,
    judgements: Sequence[Judgement | None],
    mix: Floats | None = None,
) -> Worth:
    """Return what *judgements* (by model) add to *quality*, which rests on *effective* checked answers.

    A session adds nothing if it does not count, or if fewer than two of its models have checked answers.
    """
    rate, more = np.zeros_like(quality), np.zeros_like(quality)
    sessions: dict[str, list[int]] = {}
    for place, one in enumerate(judgements):
        if one is not None and one.counts and effective[place] > 0 and math.isfinite(effective[place]):
            sessions.setdefault(one.session, []).append(place)
    logit = estimating.log_odds(quality)
    for places in sessions.values():
        if len(places) > 1:
            among = np.array(places, np.intp)
            strength, error = (
                np.array(column) for column in zip(*_strengths(judgements, places), strict=True)
            )
            target = logit[among].mean() + SLOPE * (strength - strength.mean())
            share = _shown(target + scale.eased, mix, among)
            # The prior precision of a strength minus the session's mean, which varies less than the strength.
            before = 1.0 / (STRENGTH_SPREAD**2 * (1.0 - 1.0 / len(places)))
            surer = np.maximum(0.0, np.maximum(error, _MIN_ERROR) ** -2 - before)
            answers = surer / (SLOPE**2 * np.maximum(share * (1.0 - share), _MIN_SHARE))
            rate[among], more[among] = share, np.minimum(answers, MAX_SHARE * effective[among])
    return Worth(rate, more)


def _shown(logit: Floats, mix: Floats | None, among: NDArray[np.intp]) -> Floats:
    """Return the share of right answers of models with that *logit*, at the *mix* of levels that they were asked."""
    return 1.0 / (1.0 + np.exp(-logit)) if mix is None else estimating.shown(logit, mix[:, among])


def _strengths(judgements: Sequence[Judgement | None], places: Sequence[int]) -> list[tuple[float, float]]:
    held = (judgements[place] for place in places)
    return [(one.strength or 0.0, one.error or 0.0) for one in held if one is not None]


def together(rate: Floats, effective: Floats, judge: Worth) -> tuple[Floats, Floats]:
    """Return the rate and the number of checked answers together with those that a judge's session counts as."""
    total, counts = effective + judge.effective, judge.effective > 0
    mixed = rate * effective + judge.rate * judge.effective
    return np.where(counts, np.divide(mixed, total, out=np.zeros_like(total), where=counts), rate), total


class Able(NamedTuple):
    """The quality of a model for a use case by checked answers and published facts, with its 95 % bounds; in logits."""

    middle: float
    low: float
    high: float


def ability(
    scores: Sequence[Mapping[str, Score]], expected: Sequence[tuple[float, float]], use_case: UseCase
) -> list[Able]:
    """Return the quality of models, from their *scores* and their *expected* quality (value and standard deviation)."""
    if not scores:
        return []
    answers = [estimating.answered(one, use_case.kinds) for one in scores]
    rate, effective, asked = (
        np.array([getattr(one, name) for one in answers]) for name in ("rate", "effective", "logit")
    )
    mix = np.array([one.mix for one in answers]).T
    middle, spread = np.array(expected).T
    scale = estimating.scale(asked, effective, middle, spread, mix)
    quality = estimating.estimate(rate, effective, middle, spread, scale, mix).quality
    away = SURE * estimating.deviation(quality, effective, middle, spread, scale, mix)
    logit = estimating.log_odds(quality)
    return [
        Able(*values)
        for values in zip(logit.tolist(), (logit - away).tolist(), (logit + away).tolist(), strict=True)
    ]
