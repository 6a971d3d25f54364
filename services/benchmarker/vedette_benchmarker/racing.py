"""Which questions are asked next, and to which models: those whose answers can change a recommendation. Pure.

Every model is asked a few questions of each suite first. After that, models race within each use case. For each of them

    behind   points by which its score is below that of the best; for the best, points by which it leads
    change   standard deviation by which some more questions are expected to move its score (points)
    gain     E[max(0, change · Z - behind)], Z standard normal: the chance that the answer flips, times the gap

[knowledge gradient: Frazier, Powell & Dayanik 2008]. A model far below the best has nearly no gain, so it drops out of
the race. The best among free models is looked for, too: many may call no others.

Scores are as the recommender counts them, from quality, speed, TTFT and price, and from the bounds on seconds and US
dollars; what is the same before and after a question is left out. `docs/benchmarks.md` says what the figures here are
worth.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np
from msgspec import Struct

from vedette.knowledge import Expectation, known
from vedette.messages.catalogue import ModelState
from vedette.types import Capability, Figure, ModelInfo, ModelRef, Rating, Score, Status
from vedette.usecases import UseCase, estimating
from vedette.usecases.estimating import Floats
from vedette.usecases.utility import HALF_PRICE_USD_PER_MTOK, blended, falling, rising

SHARE: Final = 3  # questions of each suite that every model is asked; as few disprove a capability
STEP: Final = 4  # questions that are asked more at a time of the suite that counts most
MAX_TRIALS: Final = 40  # of a suite, after which the race asks no more of it
MIN_GAIN: Final = 0.004  # points of 100 for each question
MIN_RIGHT: Final = (
    0.08  # share of right answers over all models, and of wrong ones, without which there is no race
)
_NEARLY: Final = 0.3  # of the gain of a model's best use case, from which on another one is asked about, too
_USUAL: Final = 0.5  # utility of a speed or price that is not known
_SERVES: Final = frozenset({Status.AVAILABLE, Status.BUSY, Status.DEGRADED, Status.UNKNOWN})
_erf = np.vectorize(math.erf, otypes=[float])


class Entrant(Struct, frozen=True, kw_only=True):
    """What is known of one model that races. `askable` are the kinds of questions that it may be asked."""

    info: ModelInfo
    scores: Mapping[str, Score]
    expected: Mapping[str, Expectation]
    vouched: Mapping[str | None, float]  # by use case, None for all
    askable: frozenset[str]
    output_tps: float | None = None
    ttft_ms: float | None = None
    serves: bool = True
    rests: bool = False  # it is asked nothing now


class Questions(Struct, frozen=True, kw_only=True):
    """How many questions of each kind to ask a model, and what they are expected to gain (points a question)."""

    model: ModelRef
    items: Mapping[str, int]
    gain: float


def entrant(
    state: ModelState, askable: Collection[str], configured: Sequence[Rating] = (), *, rests: bool = False
) -> Entrant | None:
    """Return the model of *state* as it races, or None where it is not there.

    *configured* are the ratings of the model in the configuration. Of several for one use case, the newest holds.
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
        serves=health is None or health.status in _SERVES,
        rests=rests,
    )


def _median(figure: Figure | None) -> float | None:
    return figure.median if figure else None


def race(entrants: Sequence[Entrant], use_cases: Mapping[str, UseCase]) -> list[Questions]:
    """Return the questions that are worth asking, those that gain most first. The order of *entrants* is irrelevant."""
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
        for kind, more in _next(one, use_case).items():
            items[kind] = max(more, items.get(kind, 0))
    return Questions(
        model=one.info.model,
        items=dict(sorted(items.items())),
        gain=round(math.fsum(per_question), 9),
    )


def _next(one: Entrant, use_case: UseCase) -> dict[str, int]:
    """Return how many more questions to ask of each kind that measures *use_case* and is still open for the model.

    They are in proportion to the weights of the kinds, which moves the score most for their number.
    """
    most = max(use_case.kinds.values(), default=0.0)
    steps = {kind: math.ceil(STEP * weight / most) for kind, weight in use_case.kinds.items() if weight}
    return {
        kind: more
        for kind, more in steps.items()
        if kind in one.askable and _trials(one.scores.get(kind)) + more <= MAX_TRIALS
    }


def _trials(score: Score | None) -> int:
    return score.trials if score else 0


def _gains(entrants: Sequence[Entrant], use_case: UseCase) -> Floats:
    """Return for each model what the next questions about *use_case* gain, in points a question."""
    gains = np.zeros(len(entrants))
    places = [place for place, one in enumerate(entrants) if one.serves and _is_able(one, use_case)]
    if len(places) < 2:
        return gains
    able = [entrants[place] for place in places]
    score, change = _scored(able, use_case)
    questions = np.array([sum(_next(one, use_case).values()) for one in able])
    free = np.array([one.info.free for one in able])
    for league in (np.ones_like(free), free):
        if np.count_nonzero(league) < 2:
            continue
        behind = np.where(league, _behind(np.where(league, score, -np.inf)), np.inf)
        gain = np.divide(
            _gain(behind, change), questions, out=np.zeros_like(score), where=(questions > 0) & league
        )
        gains[places] = np.maximum(gains[places], gain)
    return gains


def _is_able(one: Entrant, use_case: UseCase) -> bool:
    """Return whether the model can serve *use_case*, as far as is known."""
    if use_case.embeds is not (one.info.kind == "embedding"):
        return False
    claims = (one.info.capabilities.get(str(needed)) for needed in use_case.requires if needed is not _CHAT)
    return all(claim is None or claim.value for claim in claims)


_CHAT: Final = Capability.CHAT  # what is no chat model is not asked; `askable` says so


def _behind(score: Floats) -> Floats:
    """Return the points by which each is below the best; for the best itself, by which it leads."""
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


def _scored(able: Sequence[Entrant], use_case: UseCase) -> tuple[Floats, Floats]:
    """Return the score of each model (points of 100), and by how much the next questions are expected to move it."""
    kinds, like = use_case.kinds, use_case.like
    answered = [estimating.answered(one.scores, kinds) for one in able]
    rate = np.array([one.rate for one in answered])
    effective = np.array([one.effective for one in answered])
    expected = np.array([one.expected[like].quality if like in one.expected else 0.0 for one in able])
    spread = np.array([one.expected[like].spread if like in one.expected else 0.0 for one in able])
    scale = estimating.scale(rate, effective, expected, spread)
    quality = estimating.estimate(rate, effective, expected, spread, scale).quality
    more = np.array([estimating.effective(_after(one, use_case), kinds) for one in able])
    now, then = (
        estimating.deviation(quality, n, expected, spread, scale)
        for n in (effective, np.maximum(more, effective))
    )
    vouched = [one.vouched.get(use_case.name, one.vouched.get(None)) for one in able]
    sure = np.array([said is not None for said in vouched])
    quality = np.array(
        [q if said is None else said for q, said in zip(quality.tolist(), vouched, strict=True)]
    )
    if not MIN_RIGHT <= _mean(rate) <= 1.0 - MIN_RIGHT:
        then = now  # more of such questions tell no models apart, and favour the model that is asked most
    change = np.where(sure, 0.0, np.sqrt(np.maximum(now**2 - then**2, 0.0)) * quality * (1.0 - quality))
    weights, total = use_case.weights, math.fsum(use_case.weights.values())
    within = np.array([_within(one, use_case) for one in able]) * 100.0 / total
    beside = np.array([_beside(one, use_case) for one in able])
    return within * (weights["quality"] * quality + beside), within * weights["quality"] * change


def _mean(rate: Floats) -> float:
    """Return the mean of the rates of right answers, one half where none is known."""
    seen = np.isfinite(rate)
    return math.fsum(rate[seen].tolist()) / np.count_nonzero(seen) if seen.any() else 0.5


def _after(one: Entrant, use_case: UseCase) -> dict[str, float]:
    """Return how many full answers there will be of each kind once the next questions were asked."""
    counted = {kind: score.counted for kind, score in one.scores.items() if score.trials}
    for kind, more in _next(one, use_case).items():
        held = one.scores.get(kind)
        counted[kind] = counted.get(kind, 0.0) + more * (held.weight if held else 1.0)
    return counted


def _beside(one: Entrant, use_case: UseCase) -> float:
    """Return the weighed utilities of speed, TTFT and price."""
    weights, price = use_case.weights, one.info.price
    usd = (
        0.0
        if one.info.free
        else blended(price.input_usd_per_mtok, price.output_usd_per_mtok)
        if price
        else None
    )
    speed = _USUAL if one.output_tps is None else rising(one.output_tps, use_case.half_output_tps)
    ttft = _USUAL if one.ttft_ms is None else falling(one.ttft_ms, use_case.half_ttft_ms)
    cheap = _USUAL if usd is None else falling(usd, HALF_PRICE_USD_PER_MTOK)
    told: float = weights["speed"] * speed + weights["ttft"] * ttft + weights["price"] * cheap
    return told


def _within(one: Entrant, use_case: UseCase) -> float:
    """Return the multiplier of a score by the bounds on seconds and US dollars of a typical answer: 1 within them."""
    within, bounds, (into, out_of) = 1.0, use_case.bounds, use_case.tokens
    if bounds.answer_s and one.output_tps:
        seconds = (one.ttft_ms or 0.0) / 1000 + out_of / one.output_tps
        within *= min(1.0, bounds.answer_s / max(seconds, 1e-9))
    if bounds.answer_usd and one.info.price and not one.info.free:
        usd = (into * one.info.price.input_usd_per_mtok + out_of * one.info.price.output_usd_per_mtok) / 1e6
        within *= min(1.0, bounds.answer_usd / max(usd, 1e-12))
    return within
