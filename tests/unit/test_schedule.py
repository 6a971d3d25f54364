"""Slots are aligned, shared by all replicas, and caught up once."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.messages.tolerance import FUTURE
from vedette_ticker.schedule import Cron, Interval, due, parse

moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
periods = st.sampled_from([0.5, 1.0, 7.0, 60.0, 1800.0, 21_600.0, 86_400.0])
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@given(moments, periods)
def test_a_slot_holds_its_moment(now: datetime, period_s: float) -> None:
    """The newest slot is not in the future, and the next one is."""
    slots = Interval(period_s)
    slot = slots.slot(now)
    assert slot <= now < slots.after(slot)
    assert slots.slot(slot) == slot
    assert slots.after(slot) - slot == timedelta(seconds=period_s)


@given(moments, periods, st.integers(1, 500))
def test_what_was_missed_is_counted(now: datetime, period_s: float, passed: int) -> None:
    """After *passed* periods one tick is due, and it carries the others."""
    slots = Interval(period_s)
    last = slots.slot(now)
    found = due(slots, now=last + timedelta(seconds=passed * period_s), last=last, run_on_startup=True)
    assert found == (last + timedelta(seconds=passed * period_s), passed - 1)


def test_the_first_tick_is_due_at_once_if_wanted() -> None:
    """Without a last tick, run_on_startup decides."""
    assert due(Interval(3600), now=NOON, last=None, run_on_startup=True) == (NOON, 0)
    assert due(Interval(3600), now=NOON, last=None, run_on_startup=False) is None


@pytest.mark.fault("clock steps back", "I12")
def test_nothing_is_due_twice_nor_when_the_clock_steps_back() -> None:
    """A slot that was ticked is over, even if the clock of another replica says it is yet to come."""
    assert due(Interval(3600), now=NOON, last=NOON, run_on_startup=True) is None
    assert due(Interval(3600), now=NOON - FUTURE, last=NOON, run_on_startup=True) is None


@pytest.mark.parametrize("slots", [Interval(3600), Cron("0 * * * *")])
@pytest.mark.parametrize("ahead", [timedelta(minutes=1), timedelta(days=31), timedelta(days=3650)])
@pytest.mark.fault(
    "a wrong clock ticked a slot of the future",
    "I5",
    without=("vedette_ticker.schedule:is_future", lambda *_: False),
)
def test_a_last_slot_in_the_future_holds_nothing_up(slots: Interval | Cron, ahead: timedelta) -> None:
    """The present slot is due at once, and it alone; from then on all is as ever."""
    assert due(slots, now=NOON, last=NOON + ahead, run_on_startup=False) == (NOON, 0)
    assert due(slots, now=NOON, last=NOON, run_on_startup=False) is None


@pytest.mark.parametrize("slots", [Interval(3600), Cron("0 * * * *")])
@pytest.mark.fault("the machine sleeps for eight hours", "I12")
def test_after_a_sleep_one_tick_is_due(slots: Interval | Cron) -> None:
    """However many slots passed; it says how many were missed."""
    assert due(slots, now=NOON + timedelta(hours=8), last=NOON, run_on_startup=True) == (
        NOON + timedelta(hours=8),
        7,
    )


@pytest.mark.fault("daylight saving begins and ends", "I12")
@pytest.mark.parametrize("day", [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)])
def test_daylight_saving_changes_no_slot(day: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine's time zone, cron fields are in UTC: every hour is one hour, every morning comes once."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        hourly, daily = parse("30 * * * *"), parse("30 2 * * *")
        slots, slot = [], hourly.slot(day)
        while slot < day + timedelta(days=1):
            slot = hourly.after(slot)
            slots.append(slot)
        assert slots == [day + timedelta(hours=n, minutes=30) for n in range(25)]
        assert daily.after(daily.slot(day)) == day + timedelta(hours=2, minutes=30)
        assert due(
            daily, now=day + timedelta(hours=3), last=day - timedelta(hours=21.5), run_on_startup=True
        ) == (
            day + timedelta(hours=2, minutes=30),
            0,
        )
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.fault("a leap second", "I12")
@pytest.mark.parametrize("slots", [Interval(1), Interval(60), Cron("* * * * *")])
def test_a_leap_second_ticks_nothing_twice(slots: Interval | Cron) -> None:
    """Unix time shows the last second of the day twice."""
    midnight = datetime(2027, 1, 1, tzinfo=UTC)
    last = slots.slot(midnight)
    assert due(slots, now=midnight - timedelta(seconds=0.5), last=last, run_on_startup=True) is None


def test_cron_slots_are_found_and_counted() -> None:
    """Four o'clock each morning, in UTC."""
    slots = parse("0 4 * * *")
    assert isinstance(slots, Cron)
    four = datetime(2026, 11, 23, 4, tzinfo=UTC)
    assert slots.slot(NOON) == four
    assert slots.slot(four) == four
    assert slots.after(four) == four + timedelta(days=1)
    assert due(slots, now=NOON, last=four - timedelta(days=3), run_on_startup=True) == (four, 2)


@pytest.mark.parametrize(("text", "period_s"), [("30m", 1800), ("7d", 604800), (2.5, 2.5), ("250ms", 0.25)])
def test_durations_are_read(text: str | float, period_s: float) -> None:
    """Units from milliseconds to weeks, or plain seconds."""
    slots = parse(text)
    assert isinstance(slots, Interval)
    assert slots.period_s == period_s
