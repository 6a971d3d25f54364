"""What evaluations cost, and what their answers are worth: as many questions to every model, or a race of models.

The race is the benchmarker's own, over the catalogue that the events of a fleet give. It asks the best question of each
endpoint, reads the answers, and decides again, until no question is worth asking. Answers are right by chance, by the
true rate of the model in that kind of question. Everything but the answers is known as in the condition "everything
measured". Tokens are those of the built-in suites: prompts as estimated, answers a tenth of the most that is allowed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from random import Random
from statistics import fmean, stdev
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from benchmarks.regret import asker, knowledge, worlds
from benchmarks.regret.answers import FIRST, NAMES, Answers
from benchmarks.regret.table import NOW, UTILITIES, Regret, lost_by
from benchmarks.regret.worlds import USE_CASES, Truth
from vedette.messages.catalogue import Catalogue
from vedette.messages.events import ModelEvaluated, ModelEvent
from vedette.types import ModelRef, Score
from vedette.usecases import BUILT_IN
from vedette_benchmarker.racing import Entrant, entrant, race
from vedette_benchmarker.suites import Item
from vedette_benchmarker.suites.registry import SUITES
from vedette_recommender.as_of import At

SIZES: Final = (5, 20, 60)
PROMPT_TPS: Final = 1000.0  # tokens/s of the stated speed
ANSWER_TPS: Final = 40.0
_TERSE: Final = 0.1  # of the most tokens that an answer may have
_MEASURED: Final = knowledge.CONDITIONS[0]
_SURE: Final = 1.96

Asked = Mapping[ModelRef, Mapping[str, int]]  # questions by model, and by kind and level


class Fleet:
    """One fleet, all known but the answers, which come in the same order whoever asks."""

    def __init__(self, seed: int | str, truths: Sequence[Truth]) -> None:
        self.seed = seed
        self.truths = {ModelRef(truth.endpoint, truth.name): truth for truth in truths}
        measured = knowledge.events(truths, _MEASURED, NOW, seed)
        self.events: list[ModelEvent] = [one for one in measured if not isinstance(one, ModelEvaluated)]
        catalogue = Catalogue()
        for sequence, event in enumerate(self.events, 1):
            catalogue.apply(event, sequence)
        made = (
            entrant(state, [name for kind in self.kinds(state.model) for name in NAMES[kind]])
            for state in catalogue.present()
        )
        self.entrants: list[Entrant] = [one for one in made if one is not None]
        self._answers = Answers(seed)

    @classmethod
    def simulated(cls, seed: int, models: int) -> "Fleet":
        """Return the fleet number *seed* of so many models."""
        return cls(seed, worlds.world(seed, models=(models, models)))

    def kinds(self, model: ModelRef) -> list[str]:
        """Return the kinds of questions that a model may be asked."""
        truth = self.truths[model]
        return [kind for kind in truth.rates if truth.tools or not kind.startswith("tool")]

    def scores(self, model: ModelRef, items: Mapping[str, int]) -> dict[str, Score]:
        """Return the scores of so many answers by kind and level."""
        return self._answers.scores(self.truths[model], items)

    def fitted(self, model: ModelRef, items: int) -> dict[str, int]:
        """Return by kind and level what is asked if each kind is asked *items* times, at the levels that fit."""
        return {
            name: score.trials
            for kind in self.kinds(model)
            for name, score in self._answers.fitted(self.truths[model], kind, items).items()
        }

    def regret(self, asked: Asked) -> dict[str, float]:
        """Return by utility what the recommendations lose after so many questions, the mean of all use cases."""
        events = [*self.events, *self.evaluated(asked)]
        chosen = asker.chosen(asker.answers_to(events, At(NOW)), USE_CASES)
        return lost_by(tuple(self.truths.values()), chosen)

    def evaluated(self, asked: Asked) -> list[ModelEvaluated]:
        """Return the events after so many questions."""
        return [
            knowledge.evaluated(model, self.truths[model], NOW, self.scores(model, items))
            for model, items in asked.items()
        ]


def alike(items: int) -> Callable[[Fleet], Asked]:
    """Return the plan that asks every model so many questions of each kind."""
    return lambda fleet: {model: dict.fromkeys(fleet.kinds(model), items) for model in fleet.truths}


def fitted(items: int) -> Callable[[Fleet], Asked]:
    """Return the plan that asks every model so many questions of each kind, at the levels that fit its answers."""
    return lambda fleet: {model: fleet.fitted(model, items) for model in fleet.truths}


def first_shares(fleet: Fleet) -> Asked:
    """Return what every model is asked before the race."""
    return {model: {kind: FIRST[kind] for kind in fleet.kinds(model)} for model in fleet.truths}


def raced(fleet: Fleet) -> Asked:
    """Return what the race asks, until nothing is worth asking."""
    asked = {model: dict(items) for model, items in first_shares(fleet).items()}
    entrants = {
        one.info.model: replace(one, scores=fleet.scores(one.info.model, asked[one.info.model]))
        for one in fleet.entrants
    }
    while wanted := race(list(entrants.values()), BUILT_IN):
        served: set[str] = set()
        for questions in wanted:
            model = questions.model
            if model.endpoint in served:
                continue
            served.add(model.endpoint)
            for kind, items in questions.items.items():
                asked[model][kind] = asked[model].get(kind, 0) + items
            entrants[model] = replace(entrants[model], scores=fleet.scores(model, asked[model]))
    return asked


class Spent(Struct, frozen=True):
    """What a plan costs a model, and what its recommendations lose (points of 100), over fleets."""

    questions: float
    tokens: float
    minutes: float
    regrets: Mapping[str, Regret]


def spent(plan: Callable[[Fleet], Asked], fleets: Sequence[Fleet]) -> Spent:
    """Return the means of *plan* over *fleets*: for each model, and the regret of the use cases."""
    asked = [plan(fleet) for fleet in fleets]
    models = sum(map(len, asked))
    by_kind = [items for one in asked for items in one.values()]
    lost = [fleet.regret(one) for fleet, one in zip(fleets, asked, strict=True)]
    tokens = [_tokens(items) for items in by_kind]
    return Spent(
        questions=sum(sum(items.values()) for items in by_kind) / models,
        tokens=sum(prompt + answer for prompt, answer in tokens) / models,
        minutes=sum(prompt / PROMPT_TPS + answer / ANSWER_TPS for prompt, answer in tokens) / models / 60,
        regrets={
            name: Regret(
                fmean(one[name] for one in lost), _SURE * stdev(one[name] for one in lost) / len(lost) ** 0.5
            )
            for name in UTILITIES
        },
    )


def _tokens(items: Mapping[str, int]) -> tuple[float, float]:
    """Return the tokens of prompts and of answers."""
    each = _tokens_by_kind()
    return (
        sum(each[kind][0] * count for kind, count in items.items()),
        sum(each[kind][1] * count for kind, count in items.items()),
    )


@cache
def _tokens_by_kind() -> Mapping[str, tuple[float, float]]:
    """Return the tokens of one question of each kind and of its answer."""
    found = {}
    for suite in (level for one in SUITES for level in one.asked.values()):
        items = [item for item in islice(suite.items(Random(0)), 40) if isinstance(item, Item)]
        if items:
            found[suite.kind] = (
                fmean(item.prompt_tokens for item in items),
                _TERSE * fmean(item.max_tokens for item in items),
            )
    return found


def lines(fleets: int, sizes: Sequence[int] = SIZES) -> Iterator[str]:
    """Yield the table as Markdown: *fleets* of each size."""
    yield "| models | questions to each | questions | tokens | minutes | regret, own | regret, plain |"
    yield "|---:|---|---:|---:|---:|---:|---:|"
    for size in sizes:
        made = [Fleet.simulated(seed, size) for seed in range(fleets)]
        plans = {"none": alike(0), "first share": first_shares, "race": raced, "12, fitting": fitted(12)}
        plans |= {f"{items} of each": alike(items) for items in (5, 12, 14, 20)}
        for name, plan in plans.items():
            told = spent(plan, made)
            yield (
                f"| {size} | {name} | {told.questions:.0f} | {told.tokens:,.0f} | {told.minutes:.1f} "
                f"| {told.regrets['own']} | {told.regrets['plain']} |"
            )
