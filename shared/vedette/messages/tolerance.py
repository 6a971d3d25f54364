"""How far clocks may differ, and which times only a wrong clock can give (docs/adr/0013). Pure."""

from datetime import datetime, timedelta

# Between a process, the NATS server and the database. NTP keeps machines within milliseconds. A virtual machine that
# was resumed needs some seconds.
MAX_OFFSET_S = 5.0
# Two processes, each within the tolerance: a time further in the future comes from a wrong clock.
FUTURE = timedelta(seconds=2 * MAX_OFFSET_S)


def is_future(at: datetime, now: datetime) -> bool:
    """Return whether *at* is so far after *now* that a wrong clock must have given it."""
    return at - now > FUTURE


def is_within(at: datetime, now: datetime, period: timedelta) -> bool:
    """Return whether *at* is less than *period* before *now*; False for a time in the future from a wrong clock."""
    return now - at < period and not is_future(at, now)
