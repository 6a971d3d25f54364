"""A process compares its clock with another before it stamps anything."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette import log
from vedette.bus.comparing import ComparedClock, Moment, compare, in_words
from vedette.messages.tolerance import MAX_OFFSET_S
from vedette.testing import EPOCH, FakeClock

HOUR_S, DAY_S = 3600.0, 86_400.0


class Server:
    """A server whose clock shows the true time, or is off by so much; an answer takes *delay_s*."""

    def __init__(self, clock: FakeClock, *, own_is_ahead_s: float = 0.0, delay_s: float = 0.001) -> None:
        self._clock = clock
        self._delay_s = delay_s
        self.own_is_ahead_s = own_is_ahead_s
        self.there = True
        self.asked = 0

    async def time(self) -> datetime:
        """Return what the server's clock shows."""
        self.asked += 1
        if not self.there:
            raise TimeoutError
        self._clock.advance(self._delay_s / 2)
        shown = self._clock.now() - timedelta(seconds=self.own_is_ahead_s)
        self._clock.advance(self._delay_s / 2)
        return shown


def compared(**about: float) -> tuple[ComparedClock, FakeClock, Server]:
    """Return a clock compared with a server's, its own clock, and the server."""
    own = FakeClock(EPOCH)
    server = Server(own, **about)
    return ComparedClock(own, server.time, log=log.logger("test")), own, server


@given(st.floats(-1e9, 1e9), st.floats(0, 10), st.floats(0, 1))
def test_a_comparison_is_right_within_its_uncertainty(ahead_s: float, took_s: float, read_at: float) -> None:
    """Wherever between question and answer the other clock was read."""
    own = FakeClock(EPOCH + timedelta(days=20_000))
    asked = Moment.of(own)
    own.advance(took_s * read_at)
    other = own.now() - timedelta(seconds=ahead_s)
    own.advance(took_s * (1 - read_at))
    comparison = compare(asked, other, Moment.of(own))
    assert abs(comparison.ahead_s - ahead_s) <= comparison.uncertain_s + 1e-5


@pytest.mark.parametrize("ahead_s", [0.0, 0.9 * MAX_OFFSET_S, -0.9 * MAX_OFFSET_S])
async def test_a_small_difference_is_none(ahead_s: float) -> None:
    """NTP never makes clocks quite equal."""
    clock, own, _ = compared(own_is_ahead_s=ahead_s)
    assert await clock.trouble() is None
    assert clock.now() == own.now()


@pytest.mark.fault(
    "a process has a wrong clock, and compares it",
    "I10",
    "I12",
    without=("vedette.bus.comparing:MAX_OFFSET_S", 1e12),
)
@pytest.mark.parametrize("ahead_s", [31 * DAY_S, HOUR_S, 10.0, -10.0, -HOUR_S, -31 * DAY_S])
async def test_a_wrong_clock_is_said_and_the_other_one_shown(ahead_s: float) -> None:
    """Questions go on being answered by the server's time; whoever stamps is told not to."""
    clock, own, _ = compared(own_is_ahead_s=ahead_s)
    trouble = await clock.trouble()
    assert trouble is not None
    assert ("ahead of" if ahead_s > 0 else "behind") in trouble
    assert abs((own.now() - clock.now()).total_seconds() - ahead_s) < 0.01


@pytest.mark.fault("the clock steps while a process runs", "I10", "I12")
async def test_a_step_is_noticed_before_the_next_stamp() -> None:
    """Not only when it is compared the next time; and it is over as soon as the clock is right again."""
    clock, own, server = compared()
    assert await clock.trouble() is None
    own.step(31 * DAY_S)
    server.own_is_ahead_s = 31 * DAY_S
    assert await clock.trouble() is not None
    own.step(-31 * DAY_S)
    server.own_is_ahead_s = 0.0
    assert await clock.trouble() is None
    assert server.asked == 3


@pytest.mark.fault("the machine sleeps for eight hours", "I5")
@pytest.mark.parametrize("counts", [True, False])
async def test_a_sleep_is_no_wrong_clock(counts: bool) -> None:
    """Whether or not the monotonic clock counts what was slept."""
    clock, own, _ = compared()
    assert await clock.trouble() is None
    (own.advance if counts else own.step)(8 * HOUR_S)
    assert await clock.trouble() is None


async def test_a_process_stopped_while_it_asks_asks_again() -> None:
    """A reading that is hours old tells nothing."""
    own = FakeClock(EPOCH)
    delays = iter([8 * HOUR_S, 0.001])

    async def time() -> datetime:
        shown = own.now()
        own.advance(next(delays))
        return shown

    clock = ComparedClock(own, time, log=log.logger("test"))
    assert await clock.trouble() is None
    assert next(delays, None) is None


async def test_without_the_server_nothing_is_known_at_first_and_the_last_comparison_holds_later() -> None:
    """Unless the clock steps meanwhile: then it is off by as much until the server tells otherwise."""
    clock, own, server = compared()
    server.there = False
    assert await clock.trouble() is not None
    server.there = True
    assert await clock.trouble() is None
    server.there = False
    own.advance(HOUR_S)
    assert await clock.trouble() is None
    own.step(HOUR_S)
    assert await clock.trouble() is not None


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (31 * DAY_S, "31.0 days ahead of"),
        (-HOUR_S, "60.0 minutes behind"),
        (8 * HOUR_S, "8.0 hours ahead of"),
        (-12, "12 s behind"),
    ],
)
def test_it_says_how_far_off_and_what_to_do(seconds: float, told: str) -> None:
    """In the unit that a person would use."""
    said = in_words(seconds, "the NATS server")
    assert f"the clock of this process is {told} that of the NATS server" in said
    assert "NTP" in said
