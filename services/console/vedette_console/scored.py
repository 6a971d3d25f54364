"""The interval of a score. Pure."""

import math

from vedette.messages.queries import Recommendation


def score_interval(one: Recommendation) -> tuple[float, float] | None:
    """Return the 95 % interval of the score of *one* (0 to 100), from the interval of its quality.

    None if its quality has no interval, or if a weighted speed or TTFT is not measured: that may change the score more
    than the quality does.
    """
    if any(
        part.raw is None and part.weight for part in one.contributions if part.signal in ("speed", "ttft")
    ):
        return None
    for part in one.contributions:
        if part.signal == "quality" and part.low is not None and part.high is not None:
            points = 100.0 * part.weight * math.prod(one.multipliers.values())
            low, high = (one.score + points * (end - part.utility) for end in (part.low, part.high))
            return max(0.0, low), min(100.0, high)
    return None
