"""From the columns to scores: utility, confidence, shrink, weigh. Pure.

u   utility of each signal, in [0, 1], absolute: the same value is worth the same tomorrow
c   confidence in it:        n / (n + k) · 2^(-age / half-life)
û   shrunk utility:          c·u + (1 - c)·u₀
S   raw score:               Σ w·û / Σ w      C   confidence:  Σ w·c / Σ w
score                        100 · S · (1 - λ·(1 - C)) · multiplier of the status

Every formula is worked out for many models at once: arrays have a place per model, in the order of the rows asked for.
"""

from typing import Any, Final, NamedTuple

import numpy as np

from vedette.messages.queries import Risk, Signal
from vedette.types import REPORTS_HALF_LIFE_S
from vedette_recommender.candidate import MAX_AHEAD
from vedette_recommender.columns import STATUSES, Columns, Floats, Mask, Rows
from vedette_recommender.constants import (
    FLOORS,
    HALF_LIFE_S,
    HALF_OUTPUT_TPS,
    HALF_PRICE_USD_PER_MTOK,
    HALF_TEXTS_PER_S,
    HALF_TTFT_MS,
    LEAST_CONTEXT_TOKENS,
    MAX_REPORTED_POINTS,
    PEER_CONFIDENCE,
    PEERS_CAP,
    PEERS_NEEDED,
    PEERS_STEPS,
    PRICE_BLEND,
    RELIABILITY_NINES,
    RELIABILITY_PRIOR,
    RELIABILITY_WINDOW_H,
    REPORT_WEIGHT,
    REPORTS_ALONE,
    REPORTS_BESIDE,
    RISK_LAMBDA,
    SAMPLES_K,
    STATUS_MULTIPLIERS,
)
from vedette_recommender.usecases import SIGNALS

# A number, or an array of them.
Number = Any
QUALITY, SPEED, TTFT, RELIABILITY, PRICE, CONTEXT = range(len(SIGNALS))
REPORTED: Final = slice(SPEED, RELIABILITY + 1)  # what callers' reports tell of
STATUS_MULTIPLIER: Final = np.array(  # by place in STATUSES
    [STATUS_MULTIPLIERS.get(status, min(STATUS_MULTIPLIERS.values())) for status in STATUSES]
)
_FLOORS: Final = np.array([FLOORS[signal] for signal in SIGNALS])


class Evidence(NamedTuple):
    """What is known of one signal: the value (NaN: nothing), what it is worth, how sure that is."""

    raw: Floats
    utility: Floats  # 0 where nothing is known
    confidence: Floats
    told: Floats | None = (
        None  # of the samples behind it, what callers' reports count for, where they are asked for
    )


# --- Utility ---------------------------------------------------------------------------------------------------


def rising(value: Number, half: float) -> Number:
    """Return the utility of a value of which more is better: 0 at none, one half at *half*, 1 at infinity."""
    return value / (value + half)


def falling(value: Number, half: float) -> Number:
    """Return the utility of a value of which less is better: 1 at none, one half at *half*."""
    return half / (half + value)


def nines(probability: Number) -> Number:
    """Return the utility of a probability of success, in nines: 90 % a third, 99.9 % and more one."""
    with np.errstate(divide="ignore"):
        return np.minimum(1.0, -np.log10(1.0 - np.minimum(probability, 1.0)) / RELIABILITY_NINES)


def context_utility(tokens: Number, wanted: int) -> Number:
    """Return the utility of a context of *tokens* where *wanted* are all that is needed: by doublings."""
    if wanted <= LEAST_CONTEXT_TOKENS:
        return np.where(np.less(tokens, wanted), 0.0, 1.0)
    doublings = np.log2(np.maximum(tokens, 1.0) / LEAST_CONTEXT_TOKENS)
    return np.clip(doublings / np.log2(wanted / LEAST_CONTEXT_TOKENS), 0.0, 1.0)


# --- Confidence ------------------------------------------------------------------------------------------------


def decay(signal: Signal, age_s: Number) -> Number:
    """Return what is left of the confidence in a measurement of *signal* that is *age_s* seconds old."""
    return np.exp2(np.maximum(0.0, age_s) / -HALF_LIFE_S[signal])


def confidence(signal: Signal, n: Number, age_s: Number) -> Number:
    """Return how sure *n* samples, the newest *age_s* seconds old, make of *signal*."""
    return n / (n + SAMPLES_K[signal]) * decay(signal, age_s)


def weight_of_reports(signal: Signal, reports: Number, own: Number) -> Number:
    """Return how many of our own samples so many *reports* count for, beside *own* ones."""
    most = np.where(own > 0, REPORTS_BESIDE * own, REPORTS_ALONE[signal])
    return np.minimum(REPORT_WEIGHT * reports, most)


# --- Signals ---------------------------------------------------------------------------------------------------


def quality(known: Floats, at: float) -> Evidence:
    """Return what a user vouches for (of which there is no end of trials), else the rate of right answers.

    *known* are three rows: value, trials, and when it was measured.
    """
    value, trials, measured_at = known
    with np.errstate(invalid="ignore"):
        sure = np.where(np.isinf(trials), 1.0, confidence("quality", trials, at - measured_at))
    return Evidence(value, _known(value), _known(sure))


def speed(columns: Columns, at: float, rows: Rows, *, embeds: bool, reports: bool = False) -> Evidence:
    """Return output tokens per second, or texts per second of a model that embeds."""
    if embeds:
        return _timed("speed", columns, at, rows, columns.texts_per_s[rows], None, HALF_TEXTS_PER_S, rising)
    told = (columns.reported_output_tps_n[rows], columns.reported_output_tps[rows]) if reports else None
    return _timed("speed", columns, at, rows, columns.output_tps[rows], told, HALF_OUTPUT_TPS, rising)


def ttft(columns: Columns, at: float, rows: Rows, *, embeds: bool, reports: bool = False) -> Evidence:
    """Return the time to the first token, or to the vectors of a short call, warm."""
    if embeds:
        return _timed("ttft", columns, at, rows, columns.e2e_ms[rows], None, HALF_TTFT_MS, falling)
    told = (columns.reported_ttft_n[rows], columns.reported_ttft_ms[rows]) if reports else None
    return _timed("ttft", columns, at, rows, columns.ttft_ms[rows], told, HALF_TTFT_MS, falling)


def _timed(
    signal: Signal,
    columns: Columns,
    at: float,
    rows: Rows,
    own: Floats,
    told: tuple[Floats, Floats] | None,
    half: float,
    utility: Any,
) -> Evidence:
    """Return what our own runs say, and beside them what callers have *told*."""
    n = np.where(np.isnan(own), 0.0, columns.runs[rows])
    reports = np.zeros_like(n)
    worth_told: Floats | float = 0.0
    raw = own
    if told is not None:
        reports = weight_of_reports(signal, told[0] * _left(columns, at, rows), n)
        worth_told = _known(utility(told[1], half))
        raw = np.where(np.isnan(own) & (reports > 0), told[1], own)
    worth = _mean(_known(utility(own, half)), n, worth_told, reports)
    age_s = at - columns.measured_at[rows]
    return Evidence(raw, worth, _sure(signal, n, age_s, reports), reports)


def reliability(columns: Columns, at: float, rows: Rows, *, reports: bool = False) -> Evidence:
    """Return the probability that the model is up, from its probes of the last week on top of a prior."""
    up, n = columns.daily.before(at, RELIABILITY_WINDOW_H * 3600, rows)
    calls = columns.reported_calls[rows] if reports else np.zeros_like(n)
    told = weight_of_reports("reliability", calls * _left(columns, at, rows), n)
    share = np.divide(columns.reported_succeeded[rows], calls, out=np.zeros_like(n), where=calls > 0)
    successes, failures = RELIABILITY_PRIOR
    probability = (successes + up + share * told) / (successes + failures + n + told)
    checked_at = columns.checked_at[rows]
    raw = np.where(np.isnan(checked_at) & (told == 0), np.nan, probability)
    return Evidence(raw, _known(nines(raw)), _sure("reliability", n, at - checked_at, told), told)


def context(columns: Columns, rows: Rows, wanted: int) -> Evidence:
    """Return the context that a caller can count on, in tokens."""
    tokens = columns.context_tokens[rows]
    return Evidence(tokens, _known(context_utility(tokens, wanted)), _certain(tokens))


def price(columns: Columns, rows: Rows) -> Evidence:
    """Return the price of a million tokens, three of four of them input."""
    into, out_of = PRICE_BLEND
    blended = (into * columns.price_input[rows] + out_of * columns.price_output[rows]) / sum(PRICE_BLEND)
    return Evidence(blended, _known(falling(blended, HALF_PRICE_USD_PER_MTOK)), _certain(blended))


def _left(columns: Columns, at: float, rows: Rows) -> Floats:
    """Return what is left of the callers' reports by now; nothing of none, nor of those that a wrong clock dated."""
    age_s = at - columns.reported_at[rows]
    left = np.where(
        age_s < -MAX_AHEAD.total_seconds(), 0.0, np.exp2(np.maximum(0.0, age_s) / -REPORTS_HALF_LIFE_S)
    )
    return _known(left)


def _sure(signal: Signal, n: Floats, age_s: Floats, reports: Floats) -> Floats:
    """Return the confidence of *n* samples of that age and of reports, whose age is in their number."""
    fresh = np.where(n > 0, n * decay(signal, age_s), 0.0)
    return (fresh + reports) / (n + reports + SAMPLES_K[signal])


def _mean(a: Floats, n: Floats, b: Floats | float, m: Floats) -> Floats:
    total = n + m
    return np.divide(a * n + b * m, total, out=np.zeros_like(total), where=total > 0)


def _known(values: Floats) -> Floats:
    return np.where(np.isnan(values), 0.0, values)


def _certain(values: Floats) -> Floats:
    return np.where(np.isnan(values), 0.0, 1.0)


# --- Priors and shrinking --------------------------------------------------------------------------------------


class Peers:
    """The median utility of those that are sure enough, signal by signal, kept current by counting.

    Counts are by thousandths, so the median is one, too; it does not depend on the order in which models came.
    """

    def __init__(self, room: int) -> None:
        self._places = np.full((len(SIGNALS), room), -1, np.int16)  # where each model is counted; -1: nowhere
        self._counts = np.zeros((len(SIGNALS), PEERS_STEPS + 1), np.int64)

    def put(self, rows: Rows, utility: Floats, confidence: Floats, among: Mask) -> None:
        """Count the models of *rows* again: by what they are worth, those *among* which it is to be told."""
        sure = (confidence > PEER_CONFIDENCE) & among
        places = np.where(sure, np.rint(utility * PEERS_STEPS), -1).astype(np.int16)
        before = self._places[:, rows]
        for signal in range(len(SIGNALS)):
            self._counts[signal] -= self._count(before[signal])
            self._counts[signal] += self._count(places[signal])
        self._places[:, rows] = places

    @staticmethod
    def _count(places: Any) -> Any:
        return np.bincount(places[places >= 0], minlength=PEERS_STEPS + 1)

    def priors(self) -> Floats:
        """Return, by signal, the capped median; NaN where too few are sure."""
        summed = self._counts.cumsum(axis=1)
        priors = np.full(len(SIGNALS), np.nan)
        for signal, counted in enumerate(summed):
            if (n := int(counted[-1])) >= PEERS_NEEDED:
                low, high = np.searchsorted(counted, [(n - 1) // 2 + 1, n // 2 + 1])
                priors[signal] = min(PEERS_CAP, (low + high) / 2 / PEERS_STEPS)
        return priors


def expected(peers: Floats) -> Floats:
    """Return, by signal, what to expect of a model of which nothing is known: what its peers do, else the floor."""
    return np.where(np.isnan(peers), _FLOORS, peers)


def priors(peers: Floats, quality_priors: Floats) -> Floats:
    """Return what to expect, by signal and model: of quality, what the model itself lets expect."""
    common = expected(peers)
    by_model = np.repeat(common[:, None], len(quality_priors), axis=1)
    by_model[QUALITY] = np.where(np.isnan(quality_priors), common[QUALITY], quality_priors)
    return by_model


def shrink(utility: Number, confidence: Number, prior: Number) -> Number:
    """Return the utility to count with, between what was seen and what was to be expected."""
    return confidence * utility + (1.0 - confidence) * prior


# --- Weighing --------------------------------------------------------------------------------------------------


def points(weight: Number, shrunk: Number) -> Number:
    """Return what a signal adds to the raw score; *weight* is its share of all weights."""
    return 100.0 * weight * shrunk


def allowed(moved: Floats) -> Floats:
    """Return the part that counts of what callers' reports would move raw scores by: no more than the limit."""
    size = np.abs(moved)
    return np.divide(MAX_REPORTED_POINTS, size, out=np.ones_like(size), where=size > MAX_REPORTED_POINTS)


def risk_multiplier(risk: Risk, sure: Number) -> Number:
    """Return what not being sure takes off the score, or adds to it."""
    return 1.0 - RISK_LAMBDA[risk] * (1.0 - sure)
