"""The answers of simulated models to questions of every kind and level: right by chance, by the true rate.

What a model answers does not depend on who asks, nor on what else is asked. The levels are those of the built-in
suites. They are not quite as hard as they state, and no model finds a level exactly as hard as others do.
"""

import math
from collections.abc import Mapping
from random import Random
from typing import Final, NamedTuple

from benchmarks.regret.worlds import Truth
from vedette.types import ModelRef, Score
from vedette.usecases import levels
from vedette_benchmarker.grading import first_share
from vedette_benchmarker.racing import PART
from vedette_benchmarker.suites.registry import SUITES

NAMES: Final[Mapping[str, tuple[str, ...]]] = {suite.kind: tuple(suite.asked) for suite in SUITES}
FIRST: Final[Mapping[str, int]] = {suite.kind: first_share(suite) for suite in SUITES}
_MODEL_SPREAD: Final = 0.25  # logits: between levels of one kind, of one model


class Wrong(NamedTuple):
    """By how many logits levels are farther from the standard one than stated: all of them, and each by chance, ±."""

    farther: float = 0.0
    either: float = 0.0


class Answers:
    """The answers in one world; *shift* is by how many logits all suites are easier, *wrong* of what is stated."""

    def __init__(self, seed: int | str, shift: float = 0.0, wrong: Wrong = Wrong()) -> None:  # noqa: B008
        self._seed = seed
        self._shift = shift
        self._wrong = wrong
        self._given: dict[tuple[ModelRef, str], tuple[Random, float, list[bool]]] = {}

    def score(self, truth: Truth, name: str, trials: int) -> Score:
        """Return the score of the first *trials* answers to questions of a kind and level, by its *name*."""
        model = ModelRef(truth.endpoint, truth.name)
        if (model, name) not in self._given:
            self._given[model, name] = (Random(f"{self._seed} {model} {name}"), self._rate(truth, name), [])
        rng, rate, answers = self._given[model, name]
        while len(answers) < trials:
            answers.append(rng.random() < rate)
        return Score(successes=sum(answers[:trials]), trials=trials, suite=f"{name}@1")

    def scores(self, truth: Truth, items: Mapping[str, int]) -> dict[str, Score]:
        """Return the scores of so many answers by kind and level."""
        return {name: self.score(truth, name, trials) for name, trials in items.items() if trials}

    def fitted(self, truth: Truth, kind: str, trials: int) -> dict[str, Score]:
        """Return the scores of *trials* answers, a few at a time at the level that fits those before."""
        items = {kind: min(FIRST[kind], trials)}
        while (left := trials - sum(items.values())) > 0:
            scores = self.scores(truth, items)
            right = {name: (float(one.successes), one.counted) for name, one in scores.items()}
            name = levels.key(kind, levels.fitting(right, kind, NAMES[kind]))
            items[name] = items.get(name, 0) + min(PART, left)
        return self.scores(truth, items)

    def _rate(self, truth: Truth, name: str) -> float:
        kind, level = levels.split(name)
        logit = math.log(truth.rates[kind] / (1.0 - truth.rates[kind])) + self._shift
        if level:
            suite = Random(f"{self._seed} {name}").gauss(0.0, levels.LEVEL_SPREAD)
            own = Random(f"{self._seed} {truth.endpoint} {truth.name} {name} rate").gauss(0.0, _MODEL_SPREAD)
            logit -= levels.DIFFICULTY[level] + suite + own + self._error(name, level)
        return 1.0 / (1.0 + math.exp(-logit))

    def _error(self, name: str, level: str) -> float:
        """Return by how many logits a level is harder than stated because that is wrong."""
        either = Random(f"{self._seed} {name} wrong").choice((-1.0, 1.0)) * self._wrong.either
        return math.copysign(1.0, levels.DIFFICULTY[level]) * self._wrong.farther + either
