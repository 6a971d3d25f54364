"""Vedette's own usage of an endpoint in a day, and whether its budget covers more. Pure."""

from datetime import datetime, time, timedelta
from typing import Final

import msgspec

from vedette.messages.events import EndpointLoad
from vedette.messages.tolerance import FUTURE
from vedette.settings import Budget, EndpointSettings
from vedette.types import Ledger, ModelInfo, Use

LOAD: Final = "load"  # the purpose of readings of the load
_DAY = timedelta(days=1)
_AHEAD = timedelta(hours=1)  # how far ahead of an even pace a schedule may run


def charge(ledger: Ledger | None, purpose: str, use: Use, now: datetime) -> Ledger:
    """Return the day's usage after *use* for *purpose*. A new day (UTC) starts at zero."""
    day = _day(ledger, now)
    before = ledger if ledger and ledger.day == day else Ledger(day=day)
    return msgspec.structs.replace(before, by=before.by | {purpose: before.by.get(purpose, Use()) + use})


def used(ledger: Ledger | None, now: datetime) -> Use:
    """Return the usage on the day of *now*, for all purposes."""
    return ledger.total if ledger and ledger.day == _day(ledger, now) else Use()


def used_for(ledger: Ledger | None, purpose: str, day: str) -> Use:
    """Return the usage on *day* for one *purpose*."""
    return ledger.by.get(purpose, Use()) if ledger and ledger.day == day else Use()


def cost(
    endpoint: EndpointSettings,
    info: ModelInfo,
    *,
    requests: int,
    prompt_tokens: int = 0,
    output_tokens: int = 0,
) -> Use:
    """Return the cost of calls of *info* (USD): by the configured price, else the model's own; 0 without a price."""
    price = endpoint.price.price if endpoint.price else info.price
    usd = price.usd(prompt_tokens, output_tokens) if price else 0.0
    return Use(requests=requests, tokens=prompt_tokens + output_tokens, usd=usd)


def of_load(last: EndpointLoad | None) -> Ledger | None:
    """Return the usage by readings of the load, on the day of the *last* reading."""
    return Ledger(day=last.day, by={LOAD: last.used}) if last is not None and last.day else None


def with_load(held: Ledger | None, last: EndpointLoad | None) -> Ledger | None:
    """Return an endpoint's usage, including readings of its load on the same day."""
    if held is None or last is None or last.day != held.day or last.used == Use():
        return held
    return msgspec.structs.replace(held, by=held.by | {LOAD: last.used})


def covers(budget: Budget, ledger: Ledger | None, more: Use, now: datetime, *, paced: bool = False) -> bool:
    """Return whether the day's *budget* covers *more*.

    *paced* spreads the budget over the day: at any time, only the share of the past hours and of the next hour may be
    used. So if a schedule is too dense for its budget, its intervals become longer, instead of ending at noon.
    """
    share = _share_of_day(now) if paced else 1.0
    spent = used(ledger, now) + more
    limits = (
        (budget.requests_per_day, spent.requests),
        (budget.tokens_per_day, spent.tokens),
        (budget.usd_per_day, spent.usd),
    )
    return all(limit is None or amount <= limit * share for limit, amount in limits)


def _day(ledger: Ledger | None, now: datetime) -> str:
    """Return the day of *now*, or the next day if another replica, whose clock is ahead, has started it."""
    ahead = (now + FUTURE).date().isoformat()
    return ahead if ledger and ledger.day == ahead else now.date().isoformat()


def _share_of_day(now: datetime) -> float:
    passed = now - datetime.combine(now.date(), time(), tzinfo=now.tzinfo)
    return min(1.0, (passed + _AHEAD) / _DAY)
