"""Converts ability to the share of right answers in Vedette's evaluation, by use case. Pure.

`quality = CEILING / (1 + exp(-(ability - middle) * slope))`. Two points fix middle and slope of each use case:
Vedette's measurement of SmolLM2-135M-Instruct (docs/benchmarks.md, 2026-11-25, 40 items for each suite, weighted by the
suites of the use case), and 0.95 for the best models of mid-2026. ADR 0026 gives the reasons.
"""

import math
from typing import Final

from msgspec import Struct

from vedette.knowledge.values import Basis

CEILING: Final = 0.97  # even a good model fails some items by format or chance
BEST_ABILITY: Final = 2.1  # of the best models of mid-2026
BEST_QUALITY: Final = 0.95
SMALL_ABILITY: Final = -1.9  # of SmolLM2-135M-Instruct
# Share of right answers of SmolLM2-135M-Instruct at 16 bits, from docs/benchmarks.md, raised by about 0.03,
# because 40 items cannot show that a model never succeeds.
SMALL_QUALITY: Final[dict[str, float]] = {
    "chat": 0.16,  # with general_knowledge: 38 of 120 right (docs/knowledge.md)
    "code_generation": 0.13,  # code_generation@2, whose tests are run: docs/knowledge.md
    "code_understanding": 0.06,
    "reasoning": 0.11,
    "documentation": 0.14,
    "agent": 0.14,
    "summarisation": 0.18,
    "extraction": 0.25,
    "vision": 0.10,
    "fast": 0.11,
}
# Embedding has a scale of its own: ability in standard deviations of the models of MTEB's retrieval tasks.
EMBEDDING_ANCHORS: Final = ((-2.0, 0.40), (2.0, 0.95))
# The minimum spread of quality by basis. Near the ceiling the curve is flat, but a guess there is not more certain.
MIN_SPREAD: Final[dict[Basis, float]] = {
    "model": 0.03,
    "family": 0.05,
    "tier": 0.06,
    "size_and_date": 0.06,
    "size": 0.08,
    "nothing": 0.10,
}


class Curve(Struct, frozen=True):
    """The logistic curve of one use case."""

    middle: float
    slope: float

    def quality(self, ability: float) -> float:
        """Return the expected share of right answers at *ability*."""
        return CEILING / (1.0 + math.exp(-max(-40.0, min(40.0, (ability - self.middle) * self.slope))))

    def ability(self, quality: float) -> float:
        """Return the ability at which *quality* is expected: the inverse of `quality`, limited to its range."""
        share = min(max(quality / CEILING, 1e-6), 1.0 - 1e-6)
        return self.middle + math.log(share / (1.0 - share)) / self.slope


def _through(low: tuple[float, float], high: tuple[float, float]) -> Curve:
    odds = [math.log(quality / (CEILING - quality)) for _, quality in (low, high)]
    slope = (odds[1] - odds[0]) / (high[0] - low[0])
    return Curve(low[0] - odds[0] / slope, slope)


CURVES: Final[dict[str, Curve]] = {
    **{
        use_case: _through((SMALL_ABILITY, quality), (BEST_ABILITY, BEST_QUALITY))
        for use_case, quality in SMALL_QUALITY.items()
    },
    "embedding": _through(*EMBEDDING_ANCHORS),
}


def spread(curve: Curve, ability: float, deviation: float, basis: Basis) -> float:
    """Return the standard deviation of quality, if *ability* has the standard deviation *deviation*."""
    between = curve.quality(ability + deviation) - curve.quality(ability - deviation)
    return max(MIN_SPREAD[basis], between / 2.0)
