"""From what is known of a candidate to its score: utility, confidence, shrink, weigh, rank. Pure.

u   utility of each signal, in [0, 1], absolute: the same value is worth the same tomorrow
c   confidence in it:        n / (n + k) · 2^(-age / half-life)
û   shrunk utility:          c·u + (1 - c)·u₀
S   raw score:               Σ w·û / Σ w      C   confidence:  Σ w·c / Σ w
score                        100 · S · (1 - λ·(1 - C)) · multipliers
"""

import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from vedette.events import Contribution, Risk, Signal
from vedette.types import NOT_DOWNTIME, UP
from vedette_recommender.candidate import Candidate, median
from vedette_recommender.constants import (
    ERROR_BAND_POINTS,
    FLOORS,
    HALF_LIFE_S,
    HALF_OUTPUT_TPS,
    HALF_PRICE_USD_PER_MTOK,
    HALF_TEXTS_PER_S,
    HALF_TTFT_MS,
    LEAST_CONTEXT_TOKENS,
    PEER_CONFIDENCE,
    PEERS_CAP,
    PEERS_NEEDED,
    PRICE_BLEND,
    QUALITY_PRIOR_BASE,
    QUALITY_PRIOR_CAP,
    QUALITY_PRIOR_PER_DOUBLING,
    QUANTIZATION_LOSS,
    RELIABILITY_NINES,
    RELIABILITY_PRIOR,
    RELIABILITY_WINDOW_H,
    RISK_LAMBDA,
    SAMPLES_K,
    STATUS_MULTIPLIERS,
)
from vedette_recommender.usecases import SIGNALS, UseCase

Kind = Literal["measured", "declared", "inferred", "prior", "peers", "floor", "user"]


class Evidence(Struct, frozen=True, kw_only=True):
    """What is known of one signal: its value, what that is worth, and how sure it is. All absent: unknown."""

    raw: float | None = None
    unit: str = ""
    utility: float = 0.0
    confidence: float = 0.0
    kind: Kind = "floor"
    n: int | None = None
    age_s: float | None = None
    source: str = ""


class Scored(Struct, frozen=True, kw_only=True):
    """A candidate with its score (0 to 100) and every part of it."""

    candidate: Candidate
    score: float
    raw_score: float
    confidence: float
    multipliers: dict[str, float]
    contributions: tuple[Contribution, ...]
    equivalent: bool = False


# --- Utility ---------------------------------------------------------------------------------------------------


def rising(value: float, half: float) -> float:
    """Return the utility of a value of which more is better: 0 at none, one half at *half*, 1 at infinity."""
    return value / (value + half)


def falling(value: float, half: float) -> float:
    """Return the utility of a value of which less is better: 1 at none, one half at *half*."""
    return half / (half + value)


def nines(probability: float) -> float:
    """Return the utility of a probability of success, in nines: 90 % a third, 99.9 % and more one."""
    missing = 1.0 - probability
    return 1.0 if missing <= 0 else min(1.0, -math.log10(missing) / RELIABILITY_NINES)


def context_utility(tokens: int, wanted: int) -> float:
    """Return the utility of a context of *tokens* where *wanted* are all that is needed: by doublings."""
    if wanted <= LEAST_CONTEXT_TOKENS:
        return 1.0 if tokens >= wanted else 0.0
    ratio = math.log2(max(tokens, 1) / LEAST_CONTEXT_TOKENS) / math.log2(wanted / LEAST_CONTEXT_TOKENS)
    return min(1.0, max(0.0, ratio))


# --- Confidence, priors, shrinking -----------------------------------------------------------------------------


def confidence(signal: Signal, n: float, age_s: float) -> float:
    """Return how sure *n* samples, the newest *age_s* seconds old, make of *signal*."""
    if n <= 0:
        return 0.0
    return n / (n + SAMPLES_K[signal]) * float(2 ** (-max(0.0, age_s) / HALF_LIFE_S[signal]))


def quality_prior(parameters: int, active: int | None, quantization: str | None) -> float:
    """Return what quality to expect of a model by its size and quantisation alone (uncalibrated).

    Of a mixture of experts the geometric mean of total and active parameters counts.
    """
    effective = math.sqrt(parameters * active) if active else float(parameters)
    size = QUALITY_PRIOR_BASE + QUALITY_PRIOR_PER_DOUBLING * math.log2(1 + effective / 1e9)
    return max(0.0, min(QUALITY_PRIOR_CAP, size) - QUANTIZATION_LOSS.get(_bits(quantization), 0.0))


def _bits(quantization: str | None) -> int:
    match = re.search(r"(?:^|[^A-Z])I?Q(\d)|INT(\d)|(\d)[- ]?BIT", (quantization or "").upper())
    return int(next(group for group in match.groups() if group)) if match else 16


def own_prior(signal: Signal, candidate: Candidate) -> float | None:
    """Return the prior that the model itself gives for *signal*, if it gives one."""
    info = candidate.info
    if signal != "quality" or info.parameters is None:
        return None
    return quality_prior(info.parameters, info.active_parameters, info.quantization)


def peer_prior(evidence: Sequence[Evidence]) -> float | None:
    """Return the capped median of the peers that are sure enough, or None when they are too few."""
    sure = [peer.utility for peer in evidence if peer.confidence > PEER_CONFIDENCE]
    return min(PEERS_CAP, statistics.median(sure)) if len(sure) >= PEERS_NEEDED else None


# --- Signals ---------------------------------------------------------------------------------------------------


def quality(candidate: Candidate, use_case: UseCase) -> Evidence:
    """Return what a user vouches for, else the rate of right answers over the kinds that tell of *use_case*."""
    rating = candidate.rating(use_case.name)
    if rating is not None:
        return Evidence(
            raw=rating.score,
            unit="fraction",
            utility=rating.score,
            confidence=1.0,
            kind="user",
            source=f"{rating.source}, {rating.as_of}",
        )
    measured = candidate.quality
    scores = measured.scores if measured else {}
    told = [(weight, scores[kind]) for kind, weight in use_case.kinds.items() if kind in scores]
    total = math.fsum(weight for weight, score in told if score.trials)
    if measured is None or not total:
        return Evidence(unit="fraction")
    right = math.fsum(w * score.successes / score.trials for w, score in told if score.trials) / total
    trials = sum(score.trials for _, score in told)
    age_s = (candidate.at - measured.measured_at).total_seconds()
    return Evidence(
        raw=right,
        unit="fraction",
        utility=right,
        confidence=confidence("quality", trials, age_s),
        kind="measured",
        n=trials,
        age_s=age_s,
    )


def speed(candidate: Candidate, *, embeds: bool) -> Evidence:
    """Return output tokens per second, or texts per second of a model that embeds."""
    if embeds:
        figure = candidate.performance.texts_per_s if candidate.performance else None
        return _timed(candidate, "speed", median(figure), "texts/s", lambda v: rising(v, HALF_TEXTS_PER_S))
    return _timed(candidate, "speed", candidate.output_tps, "tokens/s", lambda v: rising(v, HALF_OUTPUT_TPS))


def ttft(candidate: Candidate, *, embeds: bool) -> Evidence:
    """Return the time to the first token, or to the vectors of a short call, warm."""
    figure = candidate.performance.e2e_ms if candidate.performance else None
    value = median(figure) if embeds else candidate.ttft_ms
    return _timed(candidate, "ttft", value, "ms", lambda v: falling(v, HALF_TTFT_MS))


def _timed(
    candidate: Candidate, signal: Signal, value: float | None, unit: str, utility: Callable[[float], float]
) -> Evidence:
    performance = candidate.performance
    if performance is None or value is None:
        return Evidence(unit=unit)
    age_s = (candidate.at - performance.measured_at).total_seconds()
    return Evidence(
        raw=value,
        unit=unit,
        utility=utility(value),
        # A run beside other work is worth half of one that had the endpoint to itself.
        confidence=confidence(signal, performance.n - performance.contended / 2, age_s),
        kind="measured",
        n=performance.n,
        age_s=age_s,
    )


def reliability(candidate: Candidate) -> Evidence:
    """Return the probability that the model is up, from its probes of the last week on top of a prior."""
    health = candidate.health
    if health is None:
        return Evidence(unit="probability")
    counts = health.counts(candidate.at, hours=RELIABILITY_WINDOW_H)
    telling = {outcome: n for outcome, n in counts.items() if outcome not in NOT_DOWNTIME}
    up = sum(n for outcome, n in telling.items() if outcome in UP)
    n = sum(telling.values())
    successes, failures = RELIABILITY_PRIOR
    probability = (successes + up) / (successes + failures + n)
    age_s = (candidate.at - health.checked_at).total_seconds()
    return Evidence(
        raw=probability,
        unit="probability",
        utility=nines(probability),
        confidence=confidence("reliability", n, age_s),
        kind="measured",
        n=n,
        age_s=age_s,
    )


def context(candidate: Candidate, wanted: int) -> Evidence:
    """Return the context that a caller can count on, in tokens."""
    tokens = candidate.info.context_tokens
    if tokens is None:
        return Evidence(unit="tokens")
    return Evidence(
        raw=float(tokens),
        unit="tokens",
        utility=context_utility(tokens, wanted),
        confidence=1.0,
        kind="declared",
    )


def price(candidate: Candidate) -> Evidence:
    """Return the price of a million tokens, three of four of them input."""
    known = candidate.price_usd_per_mtok
    if known is None:
        return Evidence(unit="USD/Mtok")
    parts = sum(PRICE_BLEND)
    blended = (PRICE_BLEND[0] * known[0] + PRICE_BLEND[1] * known[1]) / parts
    return Evidence(
        raw=blended,
        unit="USD/Mtok",
        utility=falling(blended, HALF_PRICE_USD_PER_MTOK),
        confidence=1.0,
        kind="declared" if candidate.info.price else "inferred",
    )


def evidence(candidate: Candidate, use_case: UseCase, wanted_context: int) -> dict[Signal, Evidence]:
    """Return what is known of every signal of *candidate*."""
    return {
        "quality": quality(candidate, use_case),
        "speed": speed(candidate, embeds=use_case.embeds),
        "ttft": ttft(candidate, embeds=use_case.embeds),
        "reliability": reliability(candidate),
        "context": context(candidate, wanted_context),
        "price": price(candidate),
    }


# --- Weighing and ranking --------------------------------------------------------------------------------------


def rank(
    candidates: Sequence[Candidate],
    use_case: UseCase,
    *,
    weights: Mapping[Signal, float],
    risk: Risk,
    wanted_context: int,
) -> list[Scored]:
    """Return *candidates* with their scores, best first; those within the error band of the best are marked.

    *weights* are normalised to a sum of one; at least one must be positive.
    """
    known = [evidence(candidate, use_case, wanted_context) for candidate in candidates]
    peers = {signal: peer_prior([signals[signal] for signals in known]) for signal in SIGNALS}
    total = math.fsum(weights.values())
    normalised = {signal: weights.get(signal, 0.0) / total for signal in SIGNALS}
    scored = [
        score(candidate, signals, peers, weights=normalised, risk=risk)
        for candidate, signals in zip(candidates, known, strict=True)
    ]
    scored.sort(key=_order)
    return [_marked(entry, scored[0]) for entry in scored]


def score(
    candidate: Candidate,
    signals: Mapping[Signal, Evidence],
    peers: Mapping[Signal, float | None],
    *,
    weights: Mapping[Signal, float],
    risk: Risk,
) -> Scored:
    """Return the score of one candidate; *weights* add up to one. The contributions add up to the raw score."""
    contributions = tuple(
        _contribution(signal, signals[signal], candidate, peers[signal], weights[signal])
        for signal in SIGNALS
    )
    raw_score = sum(part.points for part in contributions)
    sure = min(1.0, sum(part.weight * part.confidence for part in contributions))
    multipliers = {"risk": 1.0 - RISK_LAMBDA[risk] * (1.0 - sure)}
    status = STATUS_MULTIPLIERS.get(candidate.status, min(STATUS_MULTIPLIERS.values()))
    if status != 1.0:
        multipliers[candidate.status.value] = status
    return Scored(
        candidate=candidate,
        score=raw_score * math.prod(multipliers.values()),
        raw_score=raw_score,
        confidence=sure,
        multipliers=multipliers,
        contributions=contributions,
    )


def _contribution(
    signal: Signal, known: Evidence, candidate: Candidate, peers: float | None, weight: float
) -> Contribution:
    prior, source = _prior(signal, candidate, peers)
    shrunk = known.confidence * known.utility + (1.0 - known.confidence) * prior
    return Contribution(
        signal=signal,
        raw=known.raw,
        unit=known.unit,
        utility=shrunk,
        confidence=known.confidence,
        weight=weight,
        points=100.0 * weight * shrunk,
        kind=known.kind if known.raw is not None else source,
        n=known.n,
        age_s=known.age_s,
        note=_note(known, prior, source),
    )


def _prior(signal: Signal, candidate: Candidate, peers: float | None) -> tuple[float, Kind]:
    own = own_prior(signal, candidate)
    if own is not None:
        return own, "prior"
    return (peers, "peers") if peers is not None else (FLOORS[signal], "floor")


_PRIORS: dict[Kind, str] = {
    "prior": "size and quantisation",
    "peers": "the median of its peers",
    "floor": "the floor",
}


def _note(known: Evidence, prior: float, source: Kind) -> str:
    if known.confidence >= 1.0:
        return known.source
    if known.raw is None:
        return f"not measured: {_PRIORS[source]} gives {prior:.2f}"
    return f"shrunk towards {prior:.2f} ({_PRIORS[source]})"


def _order(scored: Scored) -> tuple[float, float, float, str]:
    parameters = scored.candidate.info.parameters
    return (
        -scored.score,
        -scored.confidence,
        math.inf if parameters is None else parameters,
        str(scored.candidate.model),
    )


def _marked(scored: Scored, best: Scored) -> Scored:
    if scored is best or best.score - scored.score > ERROR_BAND_POINTS:
        return scored
    return msgspec.structs.replace(scored, equivalent=True)
