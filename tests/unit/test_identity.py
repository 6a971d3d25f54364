"""Ids are versioned, ordered by time, and the same for the same work."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from vedette.messages import ids

moments = st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


@given(moments, st.text(max_size=30), st.text(max_size=30).filter(lambda t: "\ud800" not in t))
def test_an_id_is_a_uuid_of_version_8(at: datetime, one: str, two: str) -> None:
    """The version and variant bits are those of RFC 9562."""
    made = UUID(
        ids.derive(at, one.encode("utf-8", "replace").decode(), two.encode("utf-8", "replace").decode())
    )
    assert made.version == 8
    assert made.variant == "specified in RFC 4122"


@given(moments)
def test_ids_sort_by_time(at: datetime) -> None:
    """A later millisecond gives a greater id, whatever the rest."""
    assert ids.derive(at, "z") < ids.derive(at + timedelta(milliseconds=2), "a")


def test_the_same_work_gives_the_same_id_and_other_work_another() -> None:
    """Parts are kept apart: joining them differently is other work."""
    at = datetime(2026, 11, 23, tzinfo=UTC)
    assert ids.derive(at, "a", "b") == ids.derive(at, "a", "b")
    assert ids.derive(at, "a", "b") != ids.derive(at, "ab")
