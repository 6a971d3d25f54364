"""Strengths of models, from a judge's answers about their texts. Pure.

Each answer compares two texts for one task; one text comes first. The model is that of Bradley and Terry with ties
[Davidson 1970] and an effect of the order [Davidson & Beaver 1977]:

    first : second : tie  =  e^(θᵢ + δ) : e^θⱼ : e^(λ + (θᵢ + θⱼ + δ)/2)

θ are the strengths of the models, δ is the judge's preference for the first text, λ its tendency to ties. The fit uses
normal priors around 0. If a judge always prefers the first text, or always answers with a tie, its answers contain no
information about θ, and the errors stay those of the prior.

Answers about one task are not independent, because each text is compared several times. So the variance is also
computed from the sums over each of the G tasks [sandwich with clusters: Liang & Zeger 1986, with the factor G/(G-1)].
The larger variance counts. A t distribution with G-1 degrees of freedom widens it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vedette.types import Bias, ModelRef
from vedette.usecases.judging import STRENGTH_SPREAD

Floats = NDArray[np.float64]
Preferred = Literal["first", "second", "tie"]

# Prior standard deviations of the preference for the first text, and of the tendency to ties (logits): nearly flat.
ORDER_SPREAD: Final = 10.0
_Z95: Final = 1.959964
_STEPS: Final = 60
_NEAR: Final = 1e-10
_OUTCOMES: Final[tuple[Preferred, ...]] = ("first", "second", "tie")


class Vote(Struct, frozen=True, kw_only=True):
    """One answer of a judge: which of two texts for one task it prefers."""

    task: int
    first: ModelRef
    second: ModelRef
    preferred: Preferred

    def points(self, model: ModelRef) -> float:
        """Return the points of *model*: 1 if it is preferred, one half for a tie."""
        if self.preferred == "tie":
            return 0.5
        return float((self.first if self.preferred == "first" else self.second) == model)


class Strength(Struct, frozen=True, kw_only=True):
    """The strength of a model, and its error: half the width of the 95 % interval is 1.96 times the error."""

    value: float
    error: float


class Fit(Struct, frozen=True, kw_only=True):
    """Strengths by model, with mean 0, and the preference for the first text, in logits."""

    strengths: Mapping[ModelRef, Strength]
    order: float


def fit(votes: Sequence[Vote]) -> Fit:
    """Return the strengths that *votes* show. The order of the votes is irrelevant."""
    models = sorted({model for vote in votes for model in (vote.first, vote.second)})
    if not models:
        return Fit(strengths={}, order=0.0)
    place = {model: number for number, model in enumerate(models)}
    seen = np.array([_OUTCOMES.index(vote.preferred) for vote in votes])
    options = np.array([_options(place[vote.first], place[vote.second], len(models)) for vote in votes])
    precision = np.diag([STRENGTH_SPREAD**-2] * len(models) + [ORDER_SPREAD**-2] * 2)
    found, information, scores = _newton(options, seen, precision)
    covariance = np.linalg.inv(information)
    spread = covariance @ _between_tasks(scores, np.array([vote.task for vote in votes])) @ covariance
    centred = np.eye(len(found))[: len(models)]
    centred[:, : len(models)] -= 1.0 / len(models)
    variance = np.maximum(*(np.diag(centred @ one @ centred.T) for one in (covariance, spread)))
    wider = _t95(len({vote.task for vote in votes}) - 1) / _Z95
    values = centred @ found
    return Fit(
        strengths={
            model: Strength(value=values[number].item(), error=wider * math.sqrt(variance[number]))
            for model, number in place.items()
        },
        order=found[len(models)].item(),
    )


def _options(first: int, second: int, models: int) -> Floats:
    """Return the coefficients of the three outcomes: a row for each, a column for each parameter."""
    rows = np.zeros((3, models + 2))
    order, ties = models, models + 1
    rows[0, [first, order]] = 1.0
    rows[1, second] = 1.0
    rows[2, [first, second, order]] = 0.5
    rows[2, ties] = 1.0
    return rows


def _newton(options: Floats, seen: NDArray[np.int_], precision: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the mode of the posterior, the information there, and the score of each vote. The posterior is concave.

    A step that does not improve is halved, so it converges from any start.
    """
    found = np.zeros(options.shape[2])
    chosen = options[np.arange(len(seen)), seen]
    for _ in range(_STEPS):
        share = _softmax(options @ found)
        scores = chosen - np.einsum("vo,vop->vp", share, options)
        gradient = scores.sum(axis=0) - precision @ found
        information = precision + _information(options, share)
        step = np.linalg.solve(information, gradient)
        if np.abs(step).max() < _NEAR:
            break
        now = _log_posterior(found, options, chosen, precision)
        while _log_posterior(found + step, options, chosen, precision) < now - _NEAR:
            step /= 2.0
        found = found + step
    return found, information, scores


def _softmax(worth: Floats) -> Floats:
    weight = np.exp(worth - worth.max(axis=1, keepdims=True))
    share: Floats = weight / weight.sum(axis=1, keepdims=True)
    return share


def _information(options: Floats, share: Floats) -> Floats:
    mean = np.einsum("vo,vop->vp", share, options)
    information: Floats = np.einsum("vo,vop,voq->pq", share, options, options) - mean.T @ mean
    return information


def _log_posterior(found: Floats, options: Floats, chosen: Floats, precision: Floats) -> float:
    worth = options @ found
    most = worth.max(axis=1)
    normal = most + np.log(np.exp(worth - most[:, None]).sum(axis=1))
    return float((chosen @ found - normal).sum() - 0.5 * found @ precision @ found)


def _between_tasks(scores: Floats, tasks: NDArray[np.int_]) -> Floats:
    """Return the variance of the summed scores, by their sums over each task."""
    _, task = np.unique(tasks, return_inverse=True)
    groups = int(task.max()) + 1
    sums = np.zeros((groups, scores.shape[1]))
    np.add.at(sums, task, scores)
    variance: Floats = sums.T @ sums * groups / max(1, groups - 1)
    return variance


def _t95(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t [expansion of Cornish & Fisher; within 0.02 from 3 on]."""
    n, z = float(max(3, freedom)), _Z95
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )


def position_bias(votes: Iterable[Vote]) -> Bias | None:
    """Return how often the first text is preferred, of all answers without a tie; None if there are only ties."""
    decided = [vote.preferred == "first" for vote in votes if vote.preferred != "tie"]
    return bias([float(one) for one in decided], [0.5] * len(decided))


def preference(
    votes: Iterable[Vote], favoured: Iterable[ModelRef], ability: Mapping[ModelRef, float]
) -> Bias | None:
    """Return how often texts of the *favoured* models are preferred to others, ties as one half.

    The expected rate follows from the *ability* of the models by checked answers (logits).
    """
    known = frozenset(favoured)
    points, expected = [], []
    for vote in votes:
        if (vote.first in known) is (vote.second in known):
            continue
        own, other = (vote.first, vote.second) if vote.first in known else (vote.second, vote.first)
        points.append(vote.points(own))
        expected.append(1.0 / (1.0 + math.exp(ability[other] - ability[own])))
    return bias(points, expected)


def bias(points: Sequence[float], expected: Sequence[float]) -> Bias | None:
    """Return the mean of *points* and of *expected*, with the 95 % interval of the first [Wilson 1927]."""
    if not points:
        return None
    n, share = len(points), math.fsum(points) / len(points)
    middle = (share + _Z95**2 / (2 * n)) / (1 + _Z95**2 / n)
    reach = _Z95 / (1 + _Z95**2 / n) * math.sqrt(share * (1 - share) / n + _Z95**2 / (4 * n * n))
    return Bias(
        n=n,
        share=share,
        expected=math.fsum(expected) / n,
        low=max(0.0, middle - reach),
        high=min(1.0, middle + reach),
    )
