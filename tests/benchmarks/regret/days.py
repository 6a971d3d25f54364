"""How an answer moves with time: how soon a better newcomer wins, and how often near equals take turns.

A newcomer is right .10 more often than the model that is best so far, and as fast. Within a day of being found it has
48 probes, one benchmark and one evaluation. Near equals are two models that are truly the same, measured for 30 days:
a benchmark every six hours and an evaluation every seven days, each with its noise.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from random import Random
from statistics import fmean
from typing import Final

from msgspec.structs import replace

from benchmarks.regret import asker, knowledge, worlds
from benchmarks.regret.table import NOW
from benchmarks.regret.worlds import USE_CASES, Truth
from vedette.messages.events import ModelEvaluated
from vedette.types import ModelRef
from vedette_recommender.as_of import At
from vedette_recommender.constants import SWITCH_MARGIN_POINTS

BETTER: Final = 0.10
_DAYS: Final = 30
_EVALUATED_EVERY_DAYS: Final = 7  # as by default
_MEASURED: Final = knowledge.CONDITIONS[0]


def newcomers(runs: int) -> Mapping[str, float]:
    """Return by use case the share of *runs* in which the newcomer is the best after its first day."""
    return {use_case: fmean(_wins(use_case, run) for run in range(runs)) for use_case in USE_CASES}


def _wins(use_case: str, run: int) -> bool:
    rng = Random(f"newcomer {use_case} {run}")
    incumbent, newcomer = _pair(rng, use_case, BETTER)
    events = list(knowledge.events((incumbent, newcomer), _MEASURED, NOW, run))
    chosen = asker.chosen(asker.answers_to(events, At(NOW)), (use_case,))
    return chosen[use_case] == (newcomer.endpoint, newcomer.name)


def _pair(rng: Random, use_case: str, better: float) -> tuple[Truth, Truth]:
    """Return a model of one's own, and one of an unknown name that is so much *better*, on the same machine."""
    incumbent = _one(rng, use_case)
    rates = {kind: min(0.98, rate + better) for kind, rate in incumbent.rates.items()}
    quality = {name: min(0.98, share + better) for name, share in incumbent.quality.items()}
    other = replace(
        incumbent,
        name=f"acme-{rng.getrandbits(24):06x}",
        family=None,
        rates=rates,
        quality=quality,
        tools=True,
    )
    return replace(incumbent, tools=True), other


def _one(rng: Random, use_case: str) -> Truth:
    while True:
        for truth in worlds.world(rng.randrange(10**9), models=(20, 20)):
            if not truth.hosted and 0.3 < truth.quality[use_case] < 0.85 and truth.output_tps > 10:
                return truth


def flips_a_day(runs: int) -> float:
    """Return how often a day the announced winner of two equals changes, over all use cases."""
    return fmean(_flips(run) for run in range(runs)) / _DAYS


def _flips(run: int) -> float:
    rng = Random(f"equals {run}")
    use_case = rng.choice(USE_CASES)
    one, two = _pair(rng, use_case, 0.0)
    announced, flips = None, 0
    for scores in _moments(one, two, use_case, run):
        best = max(scores, key=lambda name: scores[name])
        if announced is None:
            announced = best
        elif scores[best] >= scores[announced] + SWITCH_MARGIN_POINTS:
            announced, flips = best, flips + 1
    return flips


def _moments(one: Truth, two: Truth, use_case: str, run: int) -> Iterator[Mapping[str, float]]:
    """Yield the scores of both every six hours."""
    rng = Random(f"moments {run}")
    models = {truth.name: truth for truth in (one, two)}
    for quarter in range(4 * _DAYS):
        now = NOW + timedelta(hours=6 * quarter)
        if quarter % (4 * _EVALUATED_EVERY_DAYS) == 0:
            answered = {
                name: knowledge.evaluated(ModelRef(truth.endpoint, name), truth, now, 0.0, _MEASURED, rng)
                for name, truth in models.items()
            }
        events = [
            event
            for event in knowledge.events(tuple(models.values()), _MEASURED, now, run * 1000 + quarter)
            if not isinstance(event, ModelEvaluated)
        ]
        events += answered.values()
        answers = asker.answers_to(events, At(now))
        yield {name: score for (_, name), score in asker.scores(answers, use_case).items()}
