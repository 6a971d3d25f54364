"""The smallest change of one signal by which a model would win. Pure."""

import math
from typing import Final

import numpy as np

from vedette.messages.queries import Improvement
from vedette.types import Signal
from vedette.usecases import SIGNALS, estimating
from vedette.usecases.utility import HALF_PRICE_USD_PER_MTOK, falling, rising
from vedette_recommender import scoring
from vedette_recommender.bounds import BOUNDS
from vedette_recommender.constants import HALF_FAILURES, MIN_CONTEXT_TOKENS
from vedette_recommender.explain import Account
from vedette_recommender.field import Place
from vedette_recommender.scoring import QUALITY, SPEED

# So that a tie is not a win.
_EPSILON: Final = 1e-9


def improvement(account: Account, standing: Place, needed: float) -> Improvement | None:
    """Return the smallest change by which the model, now at the place *standing*, would score *needed*."""
    multiplier = math.prod(standing.multipliers.values())
    status = scoring.STATUS_MULTIPLIER[account.field.status[account.row]].item()
    aim = needed * (1.0 + _EPSILON)
    if status < 1.0 and standing.raw * multiplier / status >= aim:
        return Improvement(model=account.facts.model, signal="status", to="available")
    if any(name in standing.multipliers for name in BOUNDS):
        return None  # what brings it within its bounds changes more than one signal
    lacking = aim / multiplier - standing.raw
    if lacking < _EPSILON:
        return None  # a tie, which no change that can be shown would end
    found = [
        change
        for place, signal in enumerate(SIGNALS)
        if (change := _change(account, place, signal, lacking)) is not None
    ]
    return min(found, key=lambda change: math.inf if change.by is None else change.by, default=None)


def _change(account: Account, place: int, signal: Signal, lacking: float) -> Improvement | None:
    """Return what *signal* would have to be to add *lacking* points, all else being as it is."""
    share, raw = account.terms.shares[place], account.evidence(signal).raw[0].item()
    if not share or math.isnan(raw):
        return None
    more = lacking / (100.0 * share)
    to = _quality_to(account, more) if place == QUALITY else _measured_to(account, place, signal, raw, more)
    if to is None:
        return None
    by = abs(to - raw) / abs(raw) if raw else None
    return Improvement(
        model=account.facts.model, signal=signal, raw=raw, to=to, unit=account.unit(signal), by=by
    )


def _quality_to(account: Account, more: float) -> float | None:
    """Return the rate of right answers that makes the quality so much *more*, if one does."""
    quality = account.field.quality
    if quality.by_judge[1, account.row]:
        return None  # what a judge found moves with the answers, so that no single change can be named
    effective = quality.effective_trials(account.row)
    wanted: float = account.worth[QUALITY] + more
    if wanted >= 1.0:
        return None
    if math.isinf(effective):
        return wanted
    expected, spread = account.expected_quality, account.quality_spread
    mix = quality.mix(account.row)
    rate: float = estimating.rate_for(wanted, effective, expected, spread, quality.scale, mix)
    return estimating.at_standard(rate, effective, mix) if rate <= 1.0 else None


def _measured_to(account: Account, place: int, signal: Signal, raw: float, more: float) -> float | None:
    part = _own_part(account, place, signal)
    return _value_of(account, signal, _utility_of(account, signal, raw) + more / part) if part else None


def _own_part(account: Account, place: int, signal: Signal) -> float:
    """Return the share by which our own measurement would move the signal: callers' reports keep the rest."""
    if signal in ("reliability", "price", "context"):
        return 1.0
    sure: float = account.evidence(signal).confidence[0].item()
    reported = account.reports(place)
    if not reported or account.field.held_back(account.row, account.terms.shares):
        return sure
    own = account.columns.runs[account.row].item()
    spread = account.columns.output_tps_spread if place == SPEED else account.columns.ttft_spread
    age_s = account.field.at - account.columns.measured_at[account.row]
    unsure = account.columns.spread_now(account.field.at, np.array([account.row]))
    beside = scoring.timed_confidence(own + reported, spread[account.row], age_s, np.max(unsure))
    return float(beside * own / (own + reported))


def _utility_of(account: Account, signal: Signal, value: float) -> float:
    match signal:
        case "speed":
            return float(rising(value, _half_speed(account)))
        case "ttft":
            return float(falling(value, account.field.use_case.half_ttft_ms))
        case "price":
            return float(falling(value, HALF_PRICE_USD_PER_MTOK))
        case "reliability":
            return float(scoring.succeeding(value))
        case "context":
            return float(scoring.context_utility(value, account.terms.wanted_context))
        case _:
            return value


def _value_of(account: Account, signal: Signal, utility: float) -> float | None:
    """Return the value that is worth *utility*, or None where none is."""
    if utility > 1.0 or (utility == 1.0 and signal in ("speed", "ttft")):
        return None
    match signal:
        case "speed":
            return _half_speed(account) * utility / (1.0 - utility)
        case "ttft":
            return account.field.use_case.half_ttft_ms * (1.0 - utility) / utility
        case "price":
            return HALF_PRICE_USD_PER_MTOK * (1.0 - utility) / utility
        case "reliability":
            return float(1.0 - HALF_FAILURES * (1.0 - utility) / utility)
        case "context":
            wanted = max(account.terms.wanted_context, MIN_CONTEXT_TOKENS)
            return float(math.ceil(MIN_CONTEXT_TOKENS * (wanted / MIN_CONTEXT_TOKENS) ** utility))
        case _:
            return utility


def _half_speed(account: Account) -> float:
    return float(scoring.half_speed(account.field.use_case, account.columns.thought_tokens[account.row]))
