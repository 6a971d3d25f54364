"""Durations and schedules, in the form of the configuration file."""

import itertools
import re
from datetime import datetime

from cronsim import CronSim, CronSimError

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\Z")
_SLOTS_LOOKED_AT = 50
_CRON_FIELDS = 5
MIN_S, MAX_S = 0.001, 36_500 * _UNITS_S["d"]  # dates can be computed within this range


def seconds(value: str | float) -> float:
    """Return a duration in seconds. Raises ValueError if *value* is not a duration."""
    if isinstance(value, int | float):
        amount = float(value)
    else:
        match = _DURATION.match(value.strip())
        if not match:
            raise ValueError(f'{value!r} is not a duration such as "30s", "30m", "6h" or "7d"')
        amount = float(match[1]) * _UNITS_S[match[2]]
    if amount <= 0:
        raise ValueError("a duration must be positive")
    if not MIN_S <= amount <= MAX_S:
        raise ValueError(f"{value} is not a duration from 1ms to {MAX_S / _UNITS_S['d']:.0f}d")
    return amount


def interval_s(value: str | float) -> float:
    """Return the longest time between two slots of a schedule (s). Raises ValueError."""
    if not (isinstance(value, str) and is_cron(value)):
        return seconds(value)
    slots = list(itertools.islice(CronSim(value, datetime(2000, 1, 1)), _SLOTS_LOOKED_AT))
    return max((b - a).total_seconds() for a, b in itertools.pairwise(slots))


def is_cron(value: str | float) -> bool:
    """Return whether *value* is a schedule of cron fields."""
    return isinstance(value, str) and len(value.split()) >= 5


def wrong_with_interval(value: str | float) -> str | None:
    """Return why *value* is not an interval or cron fields, or None."""
    try:
        if isinstance(value, str) and is_cron(value):
            if len(value.split()) > _CRON_FIELDS:
                raise ValueError(
                    f"{value!r} has more than the five fields of cron: no seconds, and no time zone but UTC"
                )
            CronSim(value, datetime(2000, 1, 1))
        else:
            seconds(value)
    except (CronSimError, ValueError) as error:
        return f'{error}; give a duration ("30m") or cron fields ("0 4 * * *")'
    return None
