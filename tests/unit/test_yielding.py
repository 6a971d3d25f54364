"""Who else uses a server that swaps models, and for how long it is left alone."""

from datetime import UTC, datetime, timedelta

import pytest

from vedette.types import Occupancy
from vedette_benchmarker import yielding
from vedette_benchmarker.yielding import DEFER, Loaded, after, left_alone_s

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
SOON = NOW + timedelta(minutes=5)
MINUTE = timedelta(minutes=1)


def seen(
    loaded: Loaded, *, before: Occupancy | None = None, ours: tuple[str, ...] = (), now: datetime = NOW
) -> Occupancy:
    return after(before, loaded, ours=ours, now=now)


@pytest.mark.fault(
    "a user's model is loaded at a server that swaps",
    "I13",
    without=("vedette_benchmarker.yielding:left_alone_s", lambda *_: 0.0),
)
def test_a_model_that_somebody_loaded_is_not_pushed_out_for_a_while() -> None:
    """A quarter of an hour after its last use was seen."""
    told = seen({"theirs": SOON})
    assert yielding.left_alone_s(told, {"ours"}, NOW) == DEFER.total_seconds()
    assert yielding.left_alone_s(told, {"ours"}, NOW + 5 * MINUTE) == (DEFER - 5 * MINUTE).total_seconds()
    assert yielding.left_alone_s(told, {"ours"}, NOW + DEFER) == 0


def test_what_is_loaded_may_be_measured_and_so_may_anything_where_nothing_is() -> None:
    """By any of its names. Neither pushes anything out."""
    assert left_alone_s(seen({"theirs": SOON}), {"alias", "theirs"}, NOW) == 0
    assert left_alone_s(seen({}, before=seen({"theirs": SOON})), {"ours"}, NOW) == 0


def test_what_we_loaded_ourselves_is_nobodys() -> None:
    """Nor what was there before and was not used since."""
    measured = seen({"ours": SOON}, ours=("ours",))
    assert left_alone_s(measured, {"next"}, NOW) == 0
    assert left_alone_s(seen({"ours": SOON}, before=measured, now=NOW + MINUTE), {"next"}, NOW + MINUTE) == 0


def test_a_use_shows_in_when_a_model_will_be_unloaded() -> None:
    """Each puts it off; by less than a few seconds it is the same, as servers tell it."""
    measured = seen({"ours": SOON}, ours=("ours",))
    later = NOW + 2 * MINUTE
    same = seen({"ours": SOON + timedelta(seconds=2)}, before=measured, now=later)
    assert left_alone_s(same, {"next"}, later) == 0
    used = seen({"ours": SOON + 2 * MINUTE}, before=measured, now=later)
    assert left_alone_s(used, {"next"}, later) == DEFER.total_seconds()
    by_probe = seen({"ours": SOON + 2 * MINUTE}, before=measured, ours=("ours",), now=later)
    assert left_alone_s(by_probe, {"next"}, later) == 0


def test_a_use_is_remembered_over_looks_that_show_none() -> None:
    """Until its quarter of an hour is over."""
    first = seen({"theirs": None})
    second = seen({"theirs": None}, before=first, now=NOW + 10 * MINUTE)
    assert left_alone_s(second, {"ours"}, NOW + 10 * MINUTE) == 300
