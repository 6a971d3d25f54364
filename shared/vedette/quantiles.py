"""The one definition of a quantile, for all measurements. Pure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vedette.errors import TooFewSamples


def quantile(values: Sequence[float], p: float) -> float:
    """Return the p-quantile of *values*, linear between closest ranks [Hyndman & Fan 1996, type 7].

    Raises TooFewSamples when there is no value.
    """
    if not values:
        raise TooFewSamples(figure="a quantile", needed=1, given=0)
    return quantile_of_ordered(sorted(values), p)


def quantile_of_ordered(ordered: Sequence[float] | NDArray[np.float64], p: float) -> float:
    """Return the p-quantile as `quantile` does. The values are sorted, and there is at least one."""
    rank = (len(ordered) - 1) * p
    low = ordered[int(rank)]
    high = ordered[min(int(rank) + 1, len(ordered) - 1)]
    # Rounding can carry the interpolated value one step past its upper neighbour.
    return min(high, low + (high - low) * (rank % 1))
