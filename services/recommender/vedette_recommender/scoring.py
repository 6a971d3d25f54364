"""From columns to scores: the utility of each signal, and its confidence. Pure.

u   utility of each signal, in [0, 1], absolute: the same value is worth the same tomorrow
u₀  the expected utility without a measurement
c   confidence: the share of û that comes from measurements
û   the utility that counts: c·u + (1 - c)·u₀; for quality and reliability, u₀ updated by answers and probes
S   raw score:               100 · Σ w·û / Σ w     C   confidence:  Σ w·c / Σ w
score                        S · the multipliers: of the status, of each bound that is exceeded, of the risk

Every formula is computed for many models at once: arrays have one value for each model, in the order of the given rows.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from vedette.messages.queries import Risk
from vedette.types import REPORTS_HALF_LIFE_S, Signal
from vedette.usecases import SIGNALS, UseCase
from vedette.usecases.thinking import half_output_tps
from vedette.usecases.utility import HALF_PRICE_USD_PER_MTOK, Number, blended, falling, rising
from vedette_recommender.candidate import MAX_AHEAD
from vedette_recommender.columns import STATUSES, Columns, Floats, Pace, Rows
from vedette_recommender.constants import (
    DRIFT_PER_WEEK,
    EMBEDDING_UTILITY,
    EXPECTED_SPREAD,
    EXPECTED_UTILITY,
    HALF_FAILURES,
    HALF_TEXTS_PER_S,
    MAX_REPORTED_POINTS,
    MIN_CONTEXT_TOKENS,
    MIN_RUN_SPREAD,
    RELIABILITY_HALF_LIFE_S,
    RELIABILITY_K,
    RELIABILITY_PRIOR,
    RELIABILITY_WINDOW_H,
    REPORT_WEIGHT,
    REPORTED_SPREAD,
    REPORTS_ALONE,
    REPORTS_BESIDE,
    RISK_LAMBDA,
    STATUS_MULTIPLIERS,
    STEEPEST,
)

QUALITY, SPEED, TTFT, RELIABILITY, PRICE, CONTEXT = range(len(SIGNALS))
REPORTED: Final = slice(SPEED, RELIABILITY + 1)  # callers' reports
STATUS_MULTIPLIER: Final = np.array(  # by place in STATUSES
    [STATUS_MULTIPLIERS.get(status, min(STATUS_MULTIPLIERS.values())) for status in STATUSES]
)
_WEEK_S: Final = 7 * 86_400.0


class Evidence(NamedTuple):
    """The evidence of one signal: its value (NaN: unknown), the utility that counts, and the measured share of it."""

    raw: Floats
    utility: Floats
    confidence: Floats
    expected: Floats  # the utility without any measurement
    reported: Floats | None = None  # samples that callers' reports count for; None: they were not asked for


# --- Utility ---------------------------------------------------------------------------------------------------


def succeeding(probability: Number) -> Number:
    """Return the utility of a probability of success: 1 if no call fails, one half if one in ten does."""
    return falling(1.0 - np.minimum(probability, 1.0), HALF_FAILURES)


def half_speed(use_case: UseCase, thoughts: Number) -> Number:
    """Return the speed that earns one half, with *thoughts* tokens before an answer; texts/s of a model that embeds."""
    return HALF_TEXTS_PER_S if use_case.embeds else half_output_tps(use_case, thoughts)


def context_utility(tokens: Number, wanted: int) -> Number:
    """Return the utility of a context of *tokens* where *wanted* are all that is needed: by doublings."""
    if wanted <= MIN_CONTEXT_TOKENS:
        return np.where(np.less(tokens, wanted), 0.0, 1.0)
    doublings = np.log2(np.maximum(tokens, 1.0) / MIN_CONTEXT_TOKENS)
    return np.clip(doublings / np.log2(wanted / MIN_CONTEXT_TOKENS), 0.0, 1.0)


# --- Confidence ------------------------------------------------------------------------------------------------


def timed_confidence(n: Number, spread: Number, age_s: Number, spread_now: Number = 0.0) -> Number:
    """Return the confidence of a speed after *n* runs. The last run is *age_s* seconds old.

    *spread* is their relative interquartile range. *spread_now*, a relative standard deviation, is added for possible
    changes since then.
    """
    drift = DRIFT_PER_WEEK**2 * np.maximum(0.0, age_s) / _WEEK_S
    return _sure(_variance(n, spread) + drift + spread_now**2)


def _variance(n: Number, spread: Number) -> Number:
    """Return the relative variance of a median of *n* runs; of few, their spread says little."""
    n = np.maximum(n, 0.5)
    return (spread**2 + MIN_RUN_SPREAD**2 / n) / n


def _sure(relative: Number) -> Number:
    return 1.0 / (1.0 + relative * (STEEPEST / EXPECTED_SPREAD) ** 2)


def probed_confidence(n: Number, age_s: Number) -> Number:
    """Return how sure *n* probes make of the reliability, the last *age_s* seconds ago."""
    return n / (n + RELIABILITY_K) * np.exp2(np.maximum(0.0, age_s) / -RELIABILITY_HALF_LIFE_S)


def weight_of_reports(signal: Signal, reports: Number, own: Number) -> Number:
    """Return how many of our own samples this number of *reports* counts for, next to *own* ones."""
    most = np.where(own > 0, REPORTS_BESIDE * own, REPORTS_ALONE[signal])
    return np.minimum(REPORT_WEIGHT * reports, most)


# --- Signals ---------------------------------------------------------------------------------------------------


def speed(
    columns: Columns, pace: Pace, at: float, rows: Rows, use_case: UseCase, *, reports: bool = False
) -> Evidence:
    """Return output tokens per second to expect now, or texts per second of a model that embeds."""
    half = half_speed(use_case, columns.thought_tokens[rows])
    if use_case.embeds:
        own, reported = columns.texts_per_s[rows], None
        expected = np.full_like(own, EMBEDDING_UTILITY)
    else:
        own = pace.output_tps
        reported = (
            (columns.reported_output_tps_n[rows], columns.reported_output_tps[rows]) if reports else None
        )
        expected = rising(pace.usual_output_tps, half)
    runs = _Runs(own, columns.output_tps_spread[rows], expected, lambda value: rising(value, half))
    return _timed("speed", columns, at, rows, runs, reported)


def ttft(
    columns: Columns, pace: Pace, at: float, rows: Rows, use_case: UseCase, *, reports: bool = False
) -> Evidence:
    """Return the time to the first token to expect now, warm, or to the vectors of a short call."""
    half = use_case.half_ttft_ms
    if use_case.embeds:
        own, reported = columns.e2e_ms[rows], None
        expected = np.full_like(own, EMBEDDING_UTILITY)
    else:
        own = pace.ttft_ms
        reported = (columns.reported_ttft_n[rows], columns.reported_ttft_ms[rows]) if reports else None
        expected = falling(pace.usual_ttft_ms, half)
    runs = _Runs(own, columns.ttft_spread[rows], expected, lambda value: falling(value, half))
    return _timed("ttft", columns, at, rows, runs, reported)


class _Runs(NamedTuple):
    """Our own runs: the measured value, its spread, the expected utility without them, and the utility of a value."""

    value: Floats
    spread: Floats
    expected: Floats
    utility: Callable[[Floats], Floats]


def _timed(
    signal: Signal,
    columns: Columns,
    at: float,
    rows: Rows,
    runs: _Runs,
    reported: tuple[Floats, Floats] | None,
) -> Evidence:
    """Return what our own *runs* say, together with callers' reports: how many were *reported*, and their value."""
    own, expected, worth = runs.value, runs.expected, runs.utility(runs.value)
    n = np.where(np.isnan(own), 0.0, _known(columns.runs[rows]))
    age_s = _known(at - columns.measured_at[rows])
    spread, unsure = _known(runs.spread), columns.spread_now(at, rows)
    sure = np.where(n > 0, timed_confidence(n, spread, age_s, unsure), 0.0)
    if reported is None:
        return Evidence(own, counted(sure, worth, expected), sure, expected)
    reports = weight_of_reports(signal, reported[0] * _left(columns, at, rows), n)
    beside: Floats = timed_confidence(n + reports, spread, age_s, unsure)
    alone: Floats = _sure(REPORTED_SPREAD**2 / np.maximum(reports, 1e-9))
    all_sure = np.where(n > 0, beside, alone)
    mean = _mean(_known(worth), n, _known(runs.utility(reported[1])), reports)
    raw = np.where(np.isnan(own) & (reports > 0), reported[1], own)
    return Evidence(raw, counted(all_sure, mean, expected), sure, expected, reports)


def counted(sure: Floats, worth: Floats, expected: Floats) -> Floats:
    """Return the utility that counts of what is *worth* that much (NaN: not measured) and so *sure*."""
    return sure * _known(worth) + (1.0 - sure) * expected


def reliability(columns: Columns, at: float, rows: Rows, *, reports: bool = False) -> Evidence:
    """Return the probability that a call succeeds, from the probes of the last week on top of a prior."""
    up, n = columns.daily.before(at, RELIABILITY_WINDOW_H * 3600, rows)
    calls = columns.reported_calls[rows] if reports else np.zeros_like(n)
    reported = weight_of_reports("reliability", calls * _left(columns, at, rows), n)
    share = np.divide(columns.reported_succeeded[rows], calls, out=np.zeros_like(n), where=calls > 0)
    successes, failures = RELIABILITY_PRIOR
    probability = (successes + up + share * reported) / (successes + failures + n + reported)
    checked_at = columns.checked_at[rows]
    raw = np.where((n == 0) & (reported == 0), np.nan, probability)
    sure = np.where(n > 0, probed_confidence(n, _known(at - checked_at)), 0.0)
    expected = np.full_like(n, succeeding(successes / (successes + failures)))
    return Evidence(raw, succeeding(probability), sure, expected, reported)


def context(columns: Columns, rows: Rows, wanted: int) -> Evidence:
    """Return the context that a caller can count on, in tokens."""
    tokens = columns.context_tokens[rows]
    return _declared("context", tokens, context_utility(tokens, wanted))


def price(columns: Columns, rows: Rows) -> Evidence:
    """Return the price of a million tokens, three of four of them input."""
    with np.errstate(over="ignore"):  # of a price that is no price
        usd = blended(columns.price_input[rows], columns.price_output[rows])
    return _declared("price", usd, falling(usd, HALF_PRICE_USD_PER_MTOK))


def _declared(signal: Signal, values: Floats, worth: Floats) -> Evidence:
    unknown = np.isnan(values)
    expected = np.full_like(values, EXPECTED_UTILITY[signal])
    return Evidence(values, np.where(unknown, expected, worth), np.where(unknown, 0.0, 1.0), expected)


def _left(columns: Columns, at: float, rows: Rows) -> Floats:
    """Return the part of callers' reports that still counts; 0 where there are none, or a wrong clock dated them."""
    age_s = at - columns.reported_at[rows]
    left = np.where(
        age_s < -MAX_AHEAD.total_seconds(), 0.0, np.exp2(np.maximum(0.0, age_s) / -REPORTS_HALF_LIFE_S)
    )
    return _known(left)


def _mean(a: Floats, n: Floats, b: Floats, m: Floats) -> Floats:
    total = n + m
    return np.divide(a * n + b * m, total, out=np.zeros_like(total), where=total > 0)


def _known(values: Floats) -> Floats:
    return np.where(np.isnan(values), 0.0, values)


# --- Weighing --------------------------------------------------------------------------------------------------


def points(weight: Number, utility: Number) -> Number:
    """Return the points of a signal in the raw score; *weight* is its share of all weights."""
    return 100.0 * weight * utility


def allowed(moved: Floats) -> Floats:
    """Return by how much callers' reports move raw scores: no more than the limit."""
    size = np.abs(moved)
    return np.divide(MAX_REPORTED_POINTS, size, out=np.ones_like(size), where=size > MAX_REPORTED_POINTS)


def risk_multiplier(risk: Risk, sure: Number) -> Number:
    """Return what not being sure takes off the score, or adds to it."""
    return 1.0 - RISK_LAMBDA[risk] * (1.0 - sure)
