"""The expected reasoning tokens before an answer to a short question, by published measurements. Pure."""

import csv
import io
from functools import lru_cache
from statistics import fmean
from typing import Final

from msgspec import Struct

from vedette.knowledge import recognition, table
from vedette.types import ModelInfo

THOUGHTS: Final = "thoughts.csv"
# Built-in suites whose questions take several steps: arithmetic, choice, code_generation, code_understanding. The
# others ask for facts that are known or in the prompt.
_PROBLEMS: Final = 4 / 13


class Measured(Struct, frozen=True):
    """Mean reasoning tokens of one model (each at most 1,024): before simple answers, and before problems."""

    words: tuple[str, ...]
    simple: float
    problem: float

    @property
    def tokens(self) -> float:
        """The mean before an answer to the suites."""
        return (1 - _PROBLEMS) * self.simple + _PROBLEMS * self.problem


@lru_cache(maxsize=1)
def measured() -> tuple[Measured, ...]:
    """Return the measurements in the package."""
    rows = csv.DictReader(io.StringIO(table.read(THOUGHTS)))
    return tuple(
        Measured(recognition.spell(row["model"]).words, float(row["simple"]), float(row["problem"]))
        for row in rows
    )


def thoughts_of(info: ModelInfo) -> float:
    """Return the expected mean of reasoning tokens before an answer to the suites, if the model reasons.

    It is the mean over the measured models whose names share the most leading words with the model's name; without a
    shared word, over all. A shared start must include the first number: gpt-5 and gpt-oss share nothing.
    """
    return _of_name(info.canonical or info.model.name)


@lru_cache(maxsize=512)
def _of_name(name: str) -> float:
    words = recognition.spell(name).words
    alike = {one: _shared(words, one.words) for one in measured()}
    most = max(alike.values())
    return fmean(one.tokens for one, shared in alike.items() if shared == most)


def _shared(one: tuple[str, ...], row: tuple[str, ...]) -> int:
    """Return the number of common leading words of *one* and *row*; 0 unless they include the first number of *row*."""
    pairs = list(zip(one, row, strict=False))
    shared = next((place for place, (a, b) in enumerate(pairs) if a != b), len(pairs))
    numbers = (place for place, word in enumerate(row) if any(map(str.isdigit, word)))
    return shared if shared >= next(numbers, len(row)) else 0
