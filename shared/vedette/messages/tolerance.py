"""How far clocks may differ, and which times only a wrong clock makes (docs/adr/0013). Pure."""

from datetime import datetime, timedelta

# Between a process, the NATS server and the database. NTP keeps machines within milliseconds; a virtual machine that
# was resumed takes some seconds.
MAX_OFFSET_S = 5.0
# Two processes, each within the tolerance: a time further ahead comes from a wrong clock.
FUTURE = timedelta(seconds=2 * MAX_OFFSET_S)


def is_future(at: datetime, now: datetime) -> bool:
    """Return whether *at* lies so far after *now* that a wrong clock made it."""
    return at - now > FUTURE


def is_within(at: datetime, now: datetime, period: timedelta) -> bool:
    """Return whether *at* lies less than *period* before *now*; what a wrong clock dated after *now* does not."""
    return now - at < period and not is_future(at, now)
