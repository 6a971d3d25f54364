"""What a speed, a time or a price is worth, between 0 and 1. Pure.

A half is the value with a utility of one half; `docs/adr/0004-scoring-constants.md` gives the reasons.
"""

from typing import Any, Final

# A number, or an array of them.
Number = Any

HALF_PRICE_USD_PER_MTOK: Final = 5.0  # US dollars per million tokens
PRICE_BLEND: Final = (3.0, 1.0)  # input to output tokens: the blend in which providers are usually compared


def rising(value: Number, half: float) -> Number:
    """Return the utility of a value of which more is better: 0 at none, one half at *half*, 1 at infinity."""
    return value / (value + half)


def falling(value: Number, half: float) -> Number:
    """Return the utility of a value of which less is better: 1 at none, one half at *half*."""
    return half / (half + value)


def blended(input_usd_per_mtok: Number, output_usd_per_mtok: Number) -> Number:
    """Return the price of a million tokens (US dollars), three quarters of them input."""
    into, out_of = PRICE_BLEND
    return (into * input_usd_per_mtok + out_of * output_usd_per_mtok) / sum(PRICE_BLEND)
