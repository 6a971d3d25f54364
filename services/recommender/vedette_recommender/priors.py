"""What quality to expect of a model of which nothing was measured. Pure."""

import math
import re
from functools import lru_cache

from vedette_recommender.constants import (
    QUALITY_PRIOR_BASE,
    QUALITY_PRIOR_CAP,
    QUALITY_PRIOR_PER_DOUBLING,
    QUANTIZATION_LOSS,
)


def quality_prior(parameters: int, active: int | None, quantization: str | None) -> float:
    """Return what quality to expect of a model by its size and quantisation alone (uncalibrated).

    Of a mixture of experts the geometric mean of total and active parameters counts.
    """
    effective = math.sqrt(parameters * active) if active else float(parameters)
    size = QUALITY_PRIOR_BASE + QUALITY_PRIOR_PER_DOUBLING * math.log2(1 + effective / 1e9)
    return max(0.0, min(QUALITY_PRIOR_CAP, size) - QUANTIZATION_LOSS.get(_bits(quantization), 0.0))


@lru_cache(maxsize=256)
def _bits(quantization: str | None) -> int:
    match = re.search(r"(?:^|[^A-Z])I?Q(\d)|INT(\d)|(\d)[- ]?BIT", (quantization or "").upper())
    return int(next(group for group in match.groups() if group)) if match else 16
