"""How many tokens a model thinks before an answer to a short question, by published measurements. Pure."""

import csv
import io
from functools import lru_cache
from statistics import fmean
from typing import Final

from msgspec import Struct

from vedette.knowledge import recognition, table
from vedette.types import ModelInfo

THOUGHTS: Final = "thoughts.csv"
# Of the built-in suites, those whose questions take several steps: arithmetic, choice, code_generation,
# code_understanding. The others ask for what is known or stands in the prompt.
_PROBLEMS: Final = 4 / 13


class Measured(Struct, frozen=True):
    """The mean thoughts of one model (tokens, 1,024 at most each): before simple answers, and those to problems."""

    words: tuple[str, ...]
    simple: float
    problem: float

    @property
    def tokens(self) -> float:
        """Before an answer to the suites, on average."""
        return (1 - _PROBLEMS) * self.simple + _PROBLEMS * self.problem


@lru_cache(maxsize=1)
def measured() -> tuple[Measured, ...]:
    """Return what the package knows."""
    rows = csv.DictReader(io.StringIO(table.read(THOUGHTS)))
    return tuple(
        Measured(recognition.spell(row["model"]).words, float(row["simple"]), float(row["problem"]))
        for row in rows
    )


def thoughts_of(info: ModelInfo) -> float:
    """Return the mean tokens of thoughts to expect before an answer to the suites of *info*, if it thinks.

    It is the mean of the models of its family whose names begin with the most words of its own, or of all: gpt-5 is
    no gpt-oss.
    """
    return _of_name(info.canonical or info.model.name)


@lru_cache(maxsize=512)
def _of_name(name: str) -> float:
    words = recognition.spell(name).words
    alike = {one: _shared(words, one.words) for one in measured()}
    most = max(alike.values())
    return fmean(one.tokens for one, shared in alike.items() if shared == most)


def _shared(one: tuple[str, ...], row: tuple[str, ...]) -> int:
    """Return with how many words of *row* the name *one* begins: 0 without all before its first number."""
    pairs = list(zip(one, row, strict=False))
    shared = next((place for place, (a, b) in enumerate(pairs) if a != b), len(pairs))
    numbers = (place for place, word in enumerate(row) if any(map(str.isdigit, word)))
    return shared if shared >= next(numbers, len(row)) else 0
