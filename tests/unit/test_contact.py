"""What contacts with an endpoint leave behind."""

from datetime import UTC, datetime, timedelta

import msgspec

from vedette.contact import Contact, after, count_misses, pause
from vedette.providers import Listing, Server
from vedette.settings import EndpointSettings
from vedette.types import Listed, Outcome

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ENDPOINT = EndpointSettings(url="http://h:1")


def contact(outcome: Outcome, **fields: object) -> Contact:
    return Contact(**{"outcome": outcome, "latency_ms": 1.0} | fields)  # type: ignore[arg-type]


def test_a_refused_key_pauses_until_the_configuration_changes() -> None:
    """401 stops the asking; a new configuration starts it again at once."""
    state = after(None, endpoint=ENDPOINT, contact=contact(Outcome.AUTH_FAILED), now=NOW)
    assert pause(state, ENDPOINT, NOW + timedelta(minutes=59)) is not None
    assert pause(state, msgspec.structs.replace(ENDPOINT, verify=False), NOW) is None


def test_retry_after_is_honoured_within_reason() -> None:
    """What the server asks for, but never more than a day."""
    asked = after(None, endpoint=ENDPOINT, contact=contact(Outcome.RATE_LIMITED, retry_after_s=30), now=NOW)
    assert asked.paused_until == NOW + timedelta(seconds=30)
    absurd = after(None, endpoint=ENDPOINT, contact=contact(Outcome.RATE_LIMITED, retry_after_s=1e9), now=NOW)
    assert absurd.paused_until == NOW + timedelta(days=1)
    assert pause(asked, ENDPOINT, NOW + timedelta(seconds=31)) is None


def test_failing_since_is_the_first_failure_and_ends_with_success() -> None:
    """An outage has one beginning."""
    first = after(None, endpoint=ENDPOINT, contact=contact(Outcome.REFUSED), now=NOW)
    second = after(first, endpoint=ENDPOINT, contact=contact(Outcome.TIMEOUT), now=NOW + timedelta(hours=1))
    assert second.failing_since == NOW
    healed = after(second, endpoint=ENDPOINT, contact=contact(Outcome.OK), now=NOW + timedelta(hours=2))
    assert healed.failing_since is None


def test_a_failure_forgets_neither_listing_nor_server() -> None:
    """A failed contact tells nothing about what is there."""
    told = contact(Outcome.OK, server=Server(product="ollama", version="1"))
    state = msgspec.structs.replace(
        after(None, endpoint=ENDPOINT, contact=told, now=NOW), listing=(Listed(name="m"),)
    )
    failed = after(state, endpoint=ENDPOINT, contact=contact(Outcome.REFUSED), now=NOW)
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


def test_what_probes_use_is_counted_by_day() -> None:
    """A new day begins at nothing."""
    state = after(None, endpoint=ENDPOINT, contact=contact(Outcome.OK, requests=3, tokens=24), now=NOW)
    more = after(state, endpoint=ENDPOINT, contact=contact(Outcome.OK, requests=2), now=NOW)
    assert more.spent is not None
    assert (more.spent.requests, more.spent.tokens) == (5, 24)
    tomorrow = after(more, endpoint=ENDPOINT, contact=contact(Outcome.OK), now=NOW + timedelta(days=1))
    assert tomorrow.spent is not None
    assert tomorrow.spent.requests == 1
