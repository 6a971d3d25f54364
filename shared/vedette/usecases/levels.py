"""Levels of suites: questions of the same kind that are easier or harder than the standard ones. Pure.

The score of a level is stored under `kind:level`, next to the score of its kind. The difficulty of a level says how
many logits harder it is: a model with even odds at the standard level has odds of 1 to 7 at `hard` [Rasch 1960]. The
difficulties are stated, not measured. LEVEL_SPREAD is how far the levels of one suite may differ from them.
"""

import math
from collections.abc import Collection, Mapping
from functools import cache, lru_cache
from typing import Final, TypeVar

STANDARD: Final = ""
DIFFICULTY: Final[Mapping[str, float]] = {"easy": -2.0, STANDARD: 0.0, "hard": 2.0, "hardest": 4.0}
DIFFICULTIES: Final = tuple(DIFFICULTY.values())  # in logits
STANDARD_PLACE: Final = DIFFICULTIES.index(0.0)
LEVEL_SPREAD: Final = 0.5  # logits, standard deviation

_ABILITY_SPREAD: Final = 2.0  # of a model in one kind, in logits, for the choice of a level
_HALVINGS: Final = 30
_FARTHEST: Final = 12.0

T = TypeVar("T")


def key(kind: str, level: str) -> str:
    """Return the name under which a level of a *kind* has its score."""
    return f"{kind}:{level}" if level else kind


def split(name: str) -> tuple[str, str]:
    """Return the kind and the level that a *name* of a score means."""
    kind, _, level = name.partition(":")
    return kind, level


@cache
def _keys(kind: str) -> tuple[tuple[int, str], ...]:
    return tuple((place, key(kind, level)) for place, level in enumerate(DIFFICULTY))


def of(found: Mapping[str, T], kind: str) -> list[tuple[int, T]]:
    """Return the values of *found* for *kind*, each with the place of its level in DIFFICULTIES, easiest first."""
    return [(place, found[name]) for place, name in _keys(kind) if name in found]


def fitting(answers: Mapping[str, tuple[float, float]], kind: str, declared: Collection[str]) -> str:
    """Return the level whose next questions give the most information: where about half of the answers will be right.

    *answers* has the numbers of right answers and of all answers, by kind and level. *declared* are the existing kinds
    and levels. Without answers, the standard level is returned.
    """
    given = tuple((DIFFICULTIES[place], *counts) for place, counts in of(answers, kind))
    ability = _ability(given) if given else 0.0
    named = [level for level in DIFFICULTY if key(kind, level) in declared]
    return min(named, key=lambda level: (abs(ability - DIFFICULTY[level]), level), default=STANDARD)


@lru_cache(maxsize=100_000)
def _ability(given: tuple[tuple[float, float, float], ...]) -> float:
    """Return the most likely ability (logits). *given*: difficulty (logits), right answers and all answers."""
    low, high = -_FARTHEST, _FARTHEST
    for _ in range(_HALVINGS):
        half = (low + high) / 2
        more = math.fsum(right - of_all / (1.0 + math.exp(hard - half)) for hard, right, of_all in given)
        low, high = (half, high) if more > half / _ABILITY_SPREAD**2 else (low, half)
    return (low + high) / 2
