"""Nothing is deleted by a clock that what was recorded does not bear out."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette_recorder.retaining import Recorded, decide, hours_needed, longest_break

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
KEEP = 30 * DAY


def recorded(*spans: tuple[timedelta, timedelta], now: datetime = NOW, keep: timedelta = KEEP) -> Recorded:
    """Return what the recorder reads of events every hour in *spans*, each from and to so long before *now*."""
    times = sorted(
        {now - first + n * HOUR for first, last in spans for n in range((first - last) // HOUR + 1)}
    )
    return Recorded(oldest=times[0], hours=times[::-1][: hours_needed(keep) + 1])


@pytest.mark.parametrize(
    ("spans", "keep"),
    [
        ([(31 * DAY, 0 * DAY)], KEEP),  # every day
        (
            [(31 * DAY, 0 * DAY)],
            1 * DAY,
        ),  # the retention was shortened: most goes, and all bears the clock out
        ([(60 * DAY, 20 * DAY), (DAY, 0 * DAY)], KEEP),  # off for weeks, and on since yesterday
        ([(31 * DAY, 16 * HOUR), (8 * HOUR, 0 * DAY)], KEEP),  # a laptop that is off at night
        ([(3 * DAY, DAY), (6 * HOUR, 0 * DAY)], DAY),
    ],
)
def test_what_is_old_goes(spans: list[tuple[timedelta, timedelta]], keep: timedelta) -> None:
    """Where hours were recorded without a long break."""
    assert decide(recorded(*spans, keep=keep), now=NOW, keep=keep, trouble=None).cutoff == NOW - keep


@pytest.mark.fault("all clocks are wrong together", "I1")
@pytest.mark.parametrize(
    ("spans", "why"),
    [
        ([(31 * DAY + HOUR, 31 * DAY)], "nothing was recorded since"),  # before the first event by this clock
        (
            [(31 * DAY + HOUR, 31 * DAY), (0 * DAY, 0 * DAY)],
            "1 so far",
        ),  # an hour of events does not bear it out
        ([(61 * DAY, 31 * DAY), (10 * HOUR, 0 * DAY)], "nothing was recorded for long before"),
        ([(61 * DAY, 2 * DAY), (0 * DAY, 0 * DAY)], "nothing was recorded for long before"),
        ([(31 * DAY, 0 * DAY), (-31 * DAY, -31 * DAY)], "after now"),  # an event of the future
    ],
)
def test_nothing_goes_by_a_clock_that_may_have_jumped(
    spans: list[tuple[timedelta, timedelta]], why: str
) -> None:
    """A clock that jumped and a machine that was off look alike until hours were recorded."""
    decision = decide(recorded(*spans), now=NOW, keep=KEEP, trouble=None)
    assert decision.cutoff is None
    assert why in decision.refused


@pytest.mark.fault("a process has a wrong clock, and may delete", "I1")
def test_nothing_goes_by_a_clock_that_another_contradicts() -> None:
    """Whatever was recorded."""
    assert decide(recorded((60 * DAY, 0 * DAY)), now=NOW, keep=KEEP, trouble="wrong").cutoff is None


def test_where_nothing_is_old_nothing_is_refused() -> None:
    """A new database waits for nothing, and says nothing."""
    for known in (Recorded(oldest=None), recorded((DAY, DAY))):
        assert decide(known, now=NOW, keep=KEEP, trouble="wrong").refused == ""


@pytest.mark.fault("all clocks are wrong together", "I1")
@given(
    jump=st.floats(25, 24 * 400),
    history=st.integers(0, 24 * 90),
    since=st.integers(0, 10),
    keep_days=st.integers(4, 90),
)
def test_no_jump_deletes_anything_for_hours(jump: float, history: int, since: int, keep_days: int) -> None:
    """However long the history, and however far the clock jumps."""
    keep, before = timedelta(days=keep_days), timedelta(hours=jump + since)
    known = recorded((before + history * HOUR, before), (since * HOUR, 0 * HOUR), keep=keep)
    decision = decide(known, now=NOW, keep=keep, trouble=None)
    assert decision.cutoff is None or known.oldest is None or known.oldest >= decision.cutoff


@given(st.integers(1, 3650))
def test_what_is_needed_fits_into_what_is_kept(days: int) -> None:
    """Else it could never be borne out."""
    keep = timedelta(days=days)
    assert hours_needed(keep) * HOUR < keep
    assert longest_break(keep) < keep
