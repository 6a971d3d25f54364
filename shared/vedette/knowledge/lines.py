"""The expected ability of a model by its size, its date and its name alone. Pure."""

import math
import re
from collections.abc import Sequence
from datetime import date
from typing import Final, Literal

from msgspec import Struct

from vedette.knowledge.abilities import Mode

YEAR_ZERO: Final = 2024.5
Tier = Literal["large", "mid", "small"]

# Words for sizes in hosted names, smallest first: "flash-lite" is small.
_TIERS: Final[tuple[tuple[Tier, str], ...]] = (
    ("small", r"nano|lite|haiku|micro|tiny|small|\d{1,2}b"),
    ("mid", r"mini|flash|medium|fast|turbo|air|instant|spark"),
)


def tier(words: Sequence[str]) -> Tier:
    """Return the tier by the *words* of a hosted name; large if no word shows it."""
    return next((name for name, said in _TIERS if any(re.fullmatch(said, word) for word in words)), "large")


def year(day: date) -> float:
    """Return *day* as a year with a fraction."""
    return day.year + (day.timetuple().tm_yday - 0.5) / 365.25


class Line(Struct, frozen=True, kw_only=True):
    """A prior of ability: its mean is linear in the known features of a model."""

    intercept: float
    deviation: float
    per_doubling: float = 0.0
    per_year: float = 0.0
    thinking: float = 0.0
    base: float = 0.0

    def mean(self, size_b: float | None, when: float | None, mode: Mode) -> float:
        """Return the expected ability of a model with *size_b* billion parameters, released in the year *when*."""
        doublings = math.log2(size_b) if size_b else 0.0
        years = when - YEAR_ZERO if when is not None else 0.0
        extra = {"thinking": self.thinking, "base": self.base}.get(mode, 0.0)
        return self.intercept + self.per_doubling * doublings + self.per_year * years + extra
