"""What contacts with an endpoint leave behind."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from vedette.endpoints.contact import Contact, after, count_misses, pause
from vedette.providers import Listing, Server
from vedette.settings import EndpointSettings
from vedette.types import EndpointState, Listed, Outcome

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ENDPOINT = EndpointSettings(url="http://h:1")


def met(before: EndpointState | None, contact: Contact, now: datetime = NOW) -> EndpointState:
    return after(before, endpoint=ENDPOINT, contact=contact, now=now, purpose="probe")


def contact(outcome: Outcome, **fields: object) -> Contact:
    return Contact(**{"outcome": outcome, "latency_ms": 1.0} | fields)  # type: ignore[arg-type]


def test_a_refused_key_pauses_until_the_configuration_changes() -> None:
    """401 stops the asking; a new configuration starts it again at once."""
    state = met(None, contact(Outcome.AUTH_FAILED))
    assert pause(state, ENDPOINT, NOW + timedelta(minutes=59)) is not None
    assert pause(state, msgspec.structs.replace(ENDPOINT, verify=False), NOW) is None


@pytest.mark.fault(
    "a wrong clock dated an endpoint's pause",
    "I5",
    without=("vedette.endpoints.contact:is_future", lambda *_: False),
)
def test_a_pause_that_a_wrong_clock_dated_holds_for_nobody() -> None:
    """Else the endpoint would be left alone until that date; an outage did not begin in the future either."""
    future = NOW + timedelta(days=31)
    state = met(None, contact(Outcome.AUTH_FAILED), future)
    assert pause(state, ENDPOINT, NOW) is None
    assert met(state, contact(Outcome.REFUSED)).failing_since == NOW


def test_retry_after_is_honoured_within_reason() -> None:
    """What the server asks for, but never more than a day."""
    asked = met(None, contact(Outcome.RATE_LIMITED, retry_after_s=30))
    assert asked.paused_until == NOW + timedelta(seconds=30)
    absurd = met(None, contact(Outcome.RATE_LIMITED, retry_after_s=1e9))
    assert absurd.paused_until == NOW + timedelta(days=1)
    assert pause(asked, ENDPOINT, NOW + timedelta(seconds=31)) is None
    spent = met(None, contact(Outcome.NO_CREDIT, retry_after_s=7200))
    assert spent.paused_until == NOW + timedelta(hours=2)


def test_failing_since_is_the_first_failure_and_ends_with_success() -> None:
    """An outage has one beginning."""
    first = met(None, contact(Outcome.REFUSED))
    second = met(first, contact(Outcome.TIMEOUT), NOW + timedelta(hours=1))
    assert second.failing_since == NOW
    healed = met(second, contact(Outcome.OK), NOW + timedelta(hours=2))
    assert healed.failing_since is None


def test_a_failure_forgets_neither_listing_nor_server() -> None:
    """A failed contact tells nothing about what is there."""
    told = contact(Outcome.OK, server=Server(product="ollama", version="1"))
    state = msgspec.structs.replace(met(None, told), listing=(Listed(name="m"),))
    failed = met(state, contact(Outcome.REFUSED))
    assert failed.listing == state.listing
    assert failed.server_version == "1"


def test_misses_count_up_in_a_row_and_end_when_the_model_is_back() -> None:
    """Absent twice is two misses; listed again is none; neither listed nor known is dropped."""
    once = count_misses([], [Listing(name="here")], ["here", "gone"])
    assert {entry.name: entry.misses for entry in once} == {"here": 0, "gone": 1}
    twice = count_misses(once, [], ["here", "gone"])
    assert {entry.name: entry.misses for entry in twice} == {"here": 1, "gone": 2}
    back = count_misses(twice, [Listing(name="gone")], ["here"])
    assert {entry.name: entry.misses for entry in back} == {"gone": 0, "here": 2}
    assert count_misses(back, [], []) == ()
