"""Which questions are asked next, and which models get them: questions that can change a recommendation. Pure.

First, every model gets a few questions of each suite. After that, models race within each use case. For each model:

    behind   points by which its score is below the score of the best model; for the best model, its lead
    change   standard deviation by which more questions are expected to move its score (points)
    gain     E[max(0, change · Z - behind)], Z standard normal: the probability of another winner, times the improvement

[knowledge gradient: Frazier, Powell & Dayanik 2008]. A few questions seldom change the winner, although more questions
would. So the gain is computed for several numbers of questions, and the highest gain for each question counts [KG(*):
Frazier & Powell 2010]. A model far below the best has nearly no gain, so it drops out of the race. There is a second
race among the free models, because many agents may call no others.

Scores are computed as in the recommender, from quality, speed, TTFT and price, and from the bounds on seconds, US
dollars and context. Terms that a question cannot change are left out. `docs/benchmarks.md` shows the effect of the
constants here.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vedette.knowledge import Expectation, known
from vedette.messages.catalogue import ModelState
from vedette.types import CALLABLE, Capability, Figure, ModelInfo, ModelRef, Rating, Score
from vedette.usecases import UseCase, estimating, levels
from vedette.usecases.estimating import Floats, Scale
from vedette.usecases.thinking import half_output_tps, thought_tokens
from vedette.usecases.utility import HALF_PRICE_USD_PER_MTOK, blended, falling, rising

PART: Final = 4  # questions of a suite that are asked at one level before it is chosen again
SHARE: Final = 2  # questions of each suite for every model
STEP: Final = 4  # further questions at a time, of all suites of a use case together
AHEAD: Final = (4, 8, 16, 32)  # numbers of questions for which the gain is computed
MAX_TRIALS: Final = 40  # of one suite; the race then asks no more of it
MIN_GAIN: Final = 0.005  # points of 100 for each question
# Share of the next answers over all models that are expected to be right, or wrong, without which there is no race.
MIN_RIGHT: Final = 0.08
_NEARLY: Final = 0.3  # of the best use case's gain; from this share on, another one is asked too
_USUAL: Final = 0.5  # utility of an unknown speed or price
Rows = NDArray[np.intp]
_erf = np.vectorize(math.erf, otypes=[float])


class Entrant(Struct, frozen=True, kw_only=True):
    """One model in a race.

    `askable` has the kinds and levels of questions that it may get, under the names of their scores.
    """

    info: ModelInfo
    scores: Mapping[str, Score]
    expected: Mapping[str, Expectation]
    vouched: Mapping[str | None, float]  # by use case; None: for all
    askable: frozenset[str]
    output_tps: float | None = None
    ttft_ms: float | None = None
    thought_tokens: float = 0.0  # expected reasoning tokens before an answer
    serves: bool = True
    rests: bool = False  # it gets no questions now

    @property
    def right(self) -> dict[str, tuple[float, float]]:
        """The number of right answers, and of all answers, by kind and level."""
        return {name: (score.successes * score.weight, score.counted) for name, score in self.scores.items()}


class Questions(Struct, frozen=True, kw_only=True):
    """The number of questions of each kind for a model, and their expected gain (points a question)."""

    model: ModelRef
    items: Mapping[str, int]
    gain: float


def entrant(
    state: ModelState, askable: Collection[str], configured: Sequence[Rating] = (), *, rests: bool = False
) -> Entrant | None:
    """Return the model of *state* for a race, or None if it is not present.

    *configured* are the ratings of the model in the configuration. Of several for one use case, the newest counts.
    """
    info = state.known
    if info is None or not state.present:
        return None
    performance, health = state.performance, state.health
    imported = state.rated.event.ratings if state.rated else ()
    ratings = sorted((*configured, *imported), key=lambda one: one.as_of)
    return Entrant(
        info=info,
        scores=state.quality.scores if state.quality else {},
        expected=known(info).expectations,
        vouched={rating.use_case: rating.score for rating in ratings},
        askable=frozenset(askable),
        output_tps=_median(performance.output_tps) if performance else None,
        ttft_ms=_median(performance.ttft_ms) if performance else None,
        thought_tokens=thought_tokens(info.thinks, state.quality.thoughts if state.quality else None),
        serves=health is None or health.status in CALLABLE,
        rests=rests,
    )


def _median(figure: Figure | None) -> float | None:
    return figure.median if figure else None


def race(entrants: Sequence[Entrant], use_cases: Mapping[str, UseCase]) -> list[Questions]:
    """Return the questions that are worth asking, highest gain first. The order of *entrants* is irrelevant."""
    ordered = sorted(entrants, key=lambda one: one.info.model)
    gains = [_gains(ordered, use_case) for use_case in use_cases.values()]
    found = [_questions(one, place, use_cases, gains) for place, one in enumerate(ordered) if not one.rests]
    return sorted(filter(None, found), key=lambda one: (-one.gain, one.model))


def _questions(
    one: Entrant, place: int, use_cases: Mapping[str, UseCase], gains: Sequence[Floats]
) -> Questions | None:
    per_question = [gain[place].item() for gain in gains]
    most = max(per_question, default=0.0)
    if most < MIN_GAIN:
        return None
    asked_about = [
        use_case
        for use_case, gain in zip(use_cases.values(), per_question, strict=True)
        if gain >= max(MIN_GAIN, _NEARLY * most)
    ]
    items: dict[str, int] = {}
    for use_case in asked_about:
        for kind, more in Counter(_next(one, use_case, STEP)).items():
            items[kind] = max(more, items.get(kind, 0))
    return Questions(
        model=one.info.model,
        items=dict(sorted(items.items())),
        gain=round(math.fsum(per_question), 9),
    )


def _next(one: Entrant, use_case: UseCase, most: int) -> list[str]:
    """Return the kinds, with their levels, of at most *most* next questions about *use_case*, in order.

    Each question is of the kind that improves the estimate most: a kind with much weight and few questions so far.
    """
    asked = {kind: _trials(one, kind) for kind in use_case.kinds if kind in one.askable}
    names = {kind: levels.key(kind, levels.fitting(one.right, kind, one.askable)) for kind in asked}
    found: list[str] = []
    while len(found) < most:
        left = {
            kind: weight**2 / (asked[kind] * (asked[kind] + 1) or 0.5)
            for kind, weight in use_case.kinds.items()
            if asked.get(kind, MAX_TRIALS) < MAX_TRIALS
        }
        if not left:
            break
        kind = max(left, key=lambda one: left[one])
        asked[kind] += 1
        found.append(names[kind])
    return found


def _trials(one: Entrant, kind: str) -> int:
    return sum(score.trials for _, score in levels.of(one.scores, kind))


def _gains(entrants: Sequence[Entrant], use_case: UseCase) -> Floats:
    """Return for each model the gain of the next questions about *use_case* (points for each question)."""
    gains = np.zeros(len(entrants))
    places = np.array([place for place, one in enumerate(entrants) if one.serves and _is_able(one, use_case)])
    if len(places) < 2:
        return gains
    able = [entrants[place] for place in places]
    scored = _scored(able, use_case)
    free = np.array([one.info.free for one in able])
    behind = np.minimum(
        *(_behind(np.where(league, scored.score, -np.inf)) for league in (np.ones_like(free), free))
    )
    # No number of questions can gain more than perfect knowledge of the quality.
    (open_,) = (_gain(behind, scored.points * scored.deviation) >= MIN_GAIN).nonzero()
    orders = [_next(able[place], use_case, max(AHEAD)) for place in open_.tolist()]
    if not orders or not scored.distinguished(open_, orders, use_case):
        return gains
    for number in AHEAD:
        asked = [Counter(order[:number]) for order in orders]
        change = scored.change(open_, able, asked, use_case)
        questions = np.array([max(1, one.total()) for one in asked])
        gains[places[open_]] = np.maximum(gains[places[open_]], _gain(behind[open_], change) / questions)
    return gains


def _is_able(one: Entrant, use_case: UseCase) -> bool:
    """Return whether the model can serve *use_case*; an unknown capability counts as present."""
    if use_case.embeds is not (one.info.kind == "embedding"):
        return False
    claims = (one.info.capabilities.get(str(needed)) for needed in use_case.requires if needed is not _CHAT)
    return all(claim is None or claim.value for claim in claims)


_CHAT: Final = Capability.CHAT  # other models than chat models are not asked; `askable` is empty for them


def _behind(score: Floats) -> Floats:
    """Return the points of each model below the best; for the best, its lead. Infinite for a single model."""
    if np.count_nonzero(score > -np.inf) < 2:
        return np.full_like(score, np.inf)
    best = int(score.argmax())
    others = np.delete(score, best)
    behind: Floats = score[best] - score
    behind[best] = score[best] - others.max()
    return behind


def _gain(behind: Floats, change: Floats) -> Floats:
    """Return E[max(0, change · Z - behind)]."""
    moved = np.maximum(change, 1e-12)
    z = np.maximum(-behind / moved, -40.0)
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    gain: Floats = moved * (density + z * 0.5 * (1 + _erf(z / math.sqrt(2))))
    return np.maximum(gain, 0.0)


class _Scored(NamedTuple):
    """The models that can serve a use case: the figures of each by present knowledge."""

    score: Floats  # points of 100
    points: Floats  # of the score for one logit of quality; 0 if a user rated the model
    quality: Floats
    rate: Floats  # of right answers, over all levels
    logit: Floats
    effective: Floats
    expected: Floats
    spread: Floats
    scale: Scale
    deviation: Floats  # of the quality, in logits

    def distinguished(self, places: Rows, orders: Sequence[Sequence[str]], use_case: UseCase) -> bool:
        """Return whether more such questions distinguish models, and do not only favour the most questioned model."""
        right = self.rate.copy()
        mix = np.array([estimating.weighed(Counter(order), use_case.kinds)[1] for order in orders]).T
        right[places] = estimating.shown(self.logit[places], mix)
        seen = right[self.effective > 0].tolist()
        return not seen or MIN_RIGHT <= math.fsum(seen) / len(seen) <= 1.0 - MIN_RIGHT

    def change(
        self, places: Rows, able: Sequence[Entrant], asked: Sequence[Mapping[str, int]], use_case: UseCase
    ) -> Floats:
        """Return by how many points the questions *asked* are expected to change the scores of *places*."""
        after = [
            estimating.weighed(_after(able[place], items), use_case.kinds)
            for place, items in zip(places.tolist(), asked, strict=True)
        ]
        then = estimating.deviation(
            self.quality[places],
            np.maximum(self.effective[places], [worth for worth, _ in after]),
            self.expected[places],
            self.spread[places],
            self.scale,
            np.array([mix for _, mix in after]).T,
        )
        moved: Floats = self.points[places] * np.sqrt(np.maximum(self.deviation[places] ** 2 - then**2, 0.0))
        return moved


def _scored(able: Sequence[Entrant], use_case: UseCase) -> _Scored:
    """Return the scores of models, and the values by which questions change them."""
    kinds, like = use_case.kinds, use_case.like
    answered = [estimating.answered(one.scores, kinds) for one in able]
    rate, effective, logit = np.array([(one.rate, one.effective, one.logit) for one in answered]).T
    mix = np.array([one.mix for one in answered]).T
    expected = np.array([one.expected[like].quality if like in one.expected else 0.0 for one in able])
    spread = np.array([one.expected[like].spread if like in one.expected else 0.0 for one in able])
    scale = estimating.scale(logit, effective, expected, spread, mix)
    quality = estimating.estimate(rate, effective, expected, spread, scale, mix).quality
    vouched = [one.vouched.get(use_case.name, one.vouched.get(None)) for one in able]
    counted = np.array(
        [q if said is None else said for q, said in zip(quality.tolist(), vouched, strict=True)]
    )
    unsure = np.array([said is None for said in vouched])
    weights, total = use_case.weights, math.fsum(use_case.weights.values())
    within = np.array([_within(one, use_case) for one in able]) * 100.0 / total
    beside = np.array([_beside(one, use_case) for one in able])
    return _Scored(
        score=within * (weights["quality"] * counted + beside),
        points=np.where(unsure, within * weights["quality"] * quality * (1.0 - quality), 0.0),
        quality=quality,
        rate=rate,
        logit=logit,
        effective=effective,
        expected=expected,
        spread=spread,
        scale=scale,
        deviation=estimating.deviation(quality, effective, expected, spread, scale, mix),
    )


def _after(one: Entrant, items: Mapping[str, int]) -> dict[str, float]:
    """Return the weighted number of answers by kind and level after the next questions *items*."""
    counted = {kind: score.counted for kind, score in one.scores.items() if score.trials}
    for kind, more in items.items():
        held = one.scores.get(kind)
        counted[kind] = counted.get(kind, 0.0) + more * (held.weight if held else 1.0)
    return counted


def _beside(one: Entrant, use_case: UseCase) -> float:
    """Return the weighted sum of the utilities of speed, TTFT and price."""
    weights, price = use_case.weights, one.info.price
    usd = (
        0.0
        if one.info.free
        else blended(price.input_usd_per_mtok, price.output_usd_per_mtok)
        if price
        else None
    )
    half = half_output_tps(use_case, one.thought_tokens)
    speed = _USUAL if one.output_tps is None else rising(one.output_tps, half)
    ttft = _USUAL if one.ttft_ms is None else falling(one.ttft_ms, use_case.half_ttft_ms)
    cheap = _USUAL if usd is None else falling(usd, HALF_PRICE_USD_PER_MTOK)
    utility: float = weights["speed"] * speed + weights["ttft"] * ttft + weights["price"] * cheap
    return utility


def _within(one: Entrant, use_case: UseCase) -> float:
    """Return the factor of a score by the bounds on seconds, US dollars and context of a typical call; 1: within."""
    within, bounds, (into, answer) = 1.0, use_case.bounds, use_case.tokens
    out_of = answer + one.thought_tokens
    if bounds.answer_s and one.output_tps:
        seconds = (one.ttft_ms or 0.0) / 1000 + out_of / one.output_tps
        within *= min(1.0, bounds.answer_s / max(seconds, 1e-9))
    if bounds.answer_usd and one.info.price and not one.info.free:
        within *= min(1.0, bounds.answer_usd / max(one.info.price.usd(into, out_of), 1e-12))
    if bounds.context_tokens and one.info.context_tokens:
        within *= min(1.0, one.info.context_tokens / bounds.context_tokens)
    return within
