"""The loss of quality by quantisation, from published comparisons with 16 bits. Pure."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal

SizeClass = Literal["small", "middle", "large"]
SIZES: Final[tuple[SizeClass, ...]] = ("small", "middle", "large")
BITS: Final = (8, 6, 5, 4, 3, 2, 1)
FULL: Final = 16
_BITS: Final = re.compile(r"(?:^|[^a-z])(?:i?q|tq|int|fp|w)(\d)|(\d)(?:\.\d+)?[- _]?bit|(\d)(?:\.\d+)?bpw")
_BY_METHOD: Final = {"awq": 4, "gptq": 4, "nf4": 4, "exl2": 4, "exl3": 4, "hqq": 4}


def size_class(size_b: float) -> SizeClass:
    """Return the class of a model with *size_b* billion parameters."""
    return "small" if size_b < 2 else "middle" if size_b <= 10 else "large"


@lru_cache(maxsize=512)
def bits(quantization: str | None) -> int:
    """Return the bits of a weight by the name of the quantisation; 16 if unknown, and for formats of the training."""
    written = (quantization or "").lower()
    if "mxfp4" in written or "nvfp4" in written:
        return FULL  # trained in this format: published scores are of these weights
    if match := _BITS.search(written):
        return min(FULL, int(next(group for group in match.groups() if group)))
    return next((count for method, count in _BY_METHOD.items() if method in written), FULL)


def kept(losses: Mapping[tuple[int, str], float], size_b: float | None, quantization: str | None) -> float:
    """Return the share of its quality that a model keeps (0 to 1)."""
    count = bits(quantization)
    if count > max(BITS):
        return 1.0
    nearest = min(BITS, key=lambda known: (abs(known - count), known))
    return 1.0 - losses.get((nearest, size_class(size_b) if size_b else "middle"), 0.0)
