"""Who else uses a server that swaps models, and for how long it is left alone."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from vedette.endpoints import OpenEndpoint
from vedette.providers import Activity
from vedette.settings import EndpointSettings
from vedette.testing import FakeClock, FakeEndpoint, FakeProvider
from vedette.types import Occupancy, Residency
from vedette_benchmarker import yielding
from vedette_benchmarker.yielding import DEFER, Loaded, after, defer_s, used_lately

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
SOON = NOW + timedelta(minutes=5)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
NEVER = NOW + timedelta(days=292 * 365)
BOX = EndpointSettings(provider="fake", url="http://box")


def seen(
    loaded: Loaded, *, before: Occupancy | None = None, ours: tuple[str, ...] = (), now: datetime = NOW
) -> Occupancy:
    return after(before, loaded, ours=ours, now=now)


def pinned(before: Occupancy, names: set[str], now: datetime, settings: EndpointSettings = BOX) -> str | None:
    return yielding.pinned(before, names, now, settings=settings)


@pytest.mark.fault(
    "a user's model is loaded at a server that swaps",
    "I13",
    without=("vedette_benchmarker.yielding:defer_s", lambda *_: 0.0),
)
def test_a_model_that_somebody_loaded_is_not_pushed_out_for_a_while() -> None:
    """A quarter of an hour after its last use was seen."""
    told = seen({"theirs": SOON})
    assert yielding.defer_s(told, {"ours"}, NOW) == DEFER.total_seconds()
    assert yielding.defer_s(told, {"ours"}, NOW + 5 * MINUTE) == (DEFER - 5 * MINUTE).total_seconds()
    assert yielding.defer_s(told, {"ours"}, NOW + DEFER) == 0
    assert yielding.defer_s(told, {"ours"}, NOW - timedelta(days=365)) == 0  # seen by a clock a year ahead


def test_what_is_loaded_may_be_measured_and_so_may_anything_where_nothing_is() -> None:
    """By any of its names. Neither pushes anything out."""
    assert defer_s(seen({"theirs": SOON}), {"alias", "theirs"}, NOW) == 0
    assert defer_s(seen({}, before=seen({"theirs": SOON})), {"ours"}, NOW) == 0


def test_what_we_loaded_ourselves_is_nobodys() -> None:
    """Nor what was there before and was not used since."""
    measured = seen({"ours": SOON}, ours=("ours",))
    assert defer_s(measured, {"next"}, NOW) == 0
    assert defer_s(seen({"ours": SOON}, before=measured, now=NOW + MINUTE), {"next"}, NOW + MINUTE) == 0


def test_a_use_shows_in_when_a_model_will_be_unloaded() -> None:
    """Each puts it off; by less than a few seconds it is the same, as servers tell it."""
    measured = seen({"ours": SOON}, ours=("ours",))
    later = NOW + 2 * MINUTE
    same = seen({"ours": SOON + timedelta(seconds=2)}, before=measured, now=later)
    assert defer_s(same, {"next"}, later) == 0
    used = seen({"ours": SOON + 2 * MINUTE}, before=measured, now=later)
    assert defer_s(used, {"next"}, later) == DEFER.total_seconds()
    by_probe = seen({"ours": SOON + 2 * MINUTE}, before=measured, ours=("ours",), now=later)
    assert defer_s(by_probe, {"next"}, later) == 0


def test_a_use_is_remembered_over_looks_that_show_none() -> None:
    """Until its quarter of an hour is over."""
    first = seen({"theirs": None})
    second = seen({"theirs": None}, before=first, now=NOW + 10 * MINUTE)
    assert defer_s(second, {"ours"}, NOW + 10 * MINUTE) == 300


def test_where_a_measurement_gave_way_the_next_does_not_begin() -> None:
    """Not even for a user's model that was loaded seconds before, by Vedette, and is loaded again."""
    before = seen({"theirs": SOON}, ours=("theirs",))
    now = NOW + 4 * SECOND
    again = {"theirs": SOON + 4 * SECOND}
    assert defer_s(after(before, again, ours={"ours"}, now=now), {"ours"}, now) == 0
    left = after(before, again, ours={"ours"}, now=now, gave_way=True)
    assert defer_s(left, {"ours"}, now) == DEFER.total_seconds()


def used(**marks: datetime) -> Activity:
    return Activity(used={name: at.isoformat() for name, at in marks.items()})


def other_use(
    before: Activity | None, now: Activity, *, ours: int = 1, ours_ended: bool = False
) -> str | None:
    """Return what is seen while the model `m` is measured."""
    return yielding.other_use(before, now, names={"m"}, ours=ours, ours_ended=ours_ended)


@pytest.mark.fault(
    "a user calls the model that is being benchmarked",
    "I13",
    without=("vedette_benchmarker.yielding:other_use", lambda *_, **__: None),
)
def test_a_request_of_another_shows_while_ours_runs() -> None:
    """Running or waiting, where the server counts them; else by the time of unloading, which each use moves."""
    assert other_use(None, Activity(running=2)) == "1 other request runs"
    assert other_use(None, Activity(running=1)) is None
    assert other_use(used(m=SOON), used(m=SOON + timedelta(seconds=8))) == "m used by others"
    assert other_use(used(m=SOON), used(m=SOON + timedelta(seconds=1))) is None


def test_what_our_own_request_moves_is_no_use_of_others() -> None:
    """Nor is what was loaded since the look before: that may be ours."""
    assert other_use(used(m=SOON), used(m=SOON + MINUTE), ours=0, ours_ended=True) is None
    assert other_use(used(), used(m=SOON + MINUTE)) is None
    assert other_use(None, used(m=SOON + MINUTE)) is None


def test_a_model_that_loads_for_our_first_request_is_not_used_by_others() -> None:
    """Ollama counts the time of unloading from the moment it is asked, until a first request of the model ended."""
    looks = [used(m=SOON + seconds * SECOND, n=SOON) for seconds in (0, 3)]
    first, second = (yielding.without_marks(one, {"m"}) for one in looks)
    assert other_use(first, second) is None
    assert (
        other_use(first, yielding.without_marks(used(m=SOON, n=SOON + MINUTE), {"m"})) == "n used by others"
    )
    assert other_use(first, yielding.without_marks(used(m=SOON, o=SOON), {"m"})) == "o loaded by others"


@pytest.mark.parametrize("ours_ended", [False, True])
def test_another_model_that_takes_the_place_of_ours_is_use_of_others(ours_ended: bool) -> None:
    """Also where a request of ours ended just before and the next waits in the server's queue."""
    assert other_use(used(m=SOON), used(n=SOON), ours_ended=ours_ended) == "n loaded by others"
    assert other_use(used(n=SOON), used(m=SOON), ours_ended=ours_ended) is None
    assert other_use(None, used(n=SOON), ours_ended=ours_ended) is None


def test_the_same_model_in_use_is_seen_by_its_next_time_of_unloading() -> None:
    """A model that is merely loaded is measured."""
    before = seen({"m": SOON})
    assert used_lately(before, {"m": SOON + MINUTE}, names={"m"}, ours=())
    assert not used_lately(before, {"m": SOON + MINUTE}, names={"m"}, ours={"m"})
    assert not used_lately(before, {"m": SOON}, names={"m"}, ours=())
    assert not used_lately(None, {"m": SOON}, names={"m"}, ours=())
    assert not used_lately(before, {"other": SOON + MINUTE}, names={"m"}, ours=())


@pytest.mark.fault(
    "a user's model stays loaded at llama-swap for longer than it is left alone",
    "I13",
    without=("vedette_benchmarker.yielding:by_record", lambda loaded, _: loaded),
)
async def test_a_server_that_swaps_shows_a_use_by_its_record() -> None:
    """It does not report when it unloads a model: the time of the last request takes its place."""
    fake = FakeEndpoint(FakeClock(), residency={"theirs": Residency(resident=True, swaps=True)})
    endpoint = OpenEndpoint(
        name="box",
        settings=EndpointSettings(provider="fake", url="http://box"),
        provider=FakeProvider({"http://box": fake}),
        endpoint=fake,
        clock=FakeClock(),
    )
    before, now = None, NOW
    for minute in range(0, 40, 20):
        now = NOW + timedelta(minutes=minute)
        fake.activities = [Activity(used={"theirs": now.isoformat()})]
        loaded = await yielding.read_loaded(endpoint, now)
        assert loaded == {"theirs": now}
        before = seen(loaded, before=before, now=now)
    assert before
    assert defer_s(before, {"ours"}, now) == DEFER.total_seconds()


@pytest.mark.fault(
    "a user keeps a model loaded for good",
    "I13",
    without=("vedette_benchmarker.yielding:pinned", lambda *_, **__: None),
)
def test_a_model_that_others_keep_loaded_is_not_pushed_out_at_all() -> None:
    """However long ago its last use was; by any name of its own it may be measured."""
    told = seen({"theirs": NEVER, "else": SOON})
    assert pinned(told, {"next"}, NOW + 3 * DEFER) == "theirs"
    assert pinned(told, {"alias", "theirs"}, NOW) is None
    assert pinned(seen({"theirs": SOON, "swapped": None}), {"next"}, NOW) is None


def test_what_vedette_loaded_is_kept_by_others_once_they_use_it() -> None:
    """With `OLLAMA_KEEP_ALIVE=-1` every model stays loaded, those that Vedette measured too."""
    measured = after(seen({}), {"first": NEVER}, ours={"first"}, now=NOW, measured={"first"})
    later = NOW + MINUTE
    rest = seen({"first": NEVER}, before=yielding.claimed(measured, {"next"}), now=later)
    assert pinned(rest, {"next"}, later) is None
    used = seen({"first": NEVER + MINUTE}, before=measured, now=later)
    assert pinned(used, {"next"}, later) == "first"
    # What was there before its measurement stays theirs.
    again = after(used, {"first": NEVER + 2 * MINUTE}, ours={"first"}, now=later, measured={"first"})
    assert pinned(again, {"next"}, later) == "first"


def test_what_an_operator_allows_is_loaded_where_others_keep_a_model() -> None:
    """With `answer = "always"`, each probe loads its model: to wait with the measurements would keep nothing."""
    theirs = seen({"theirs": NEVER})
    assert pinned(theirs, {"next"}, NOW) == "theirs"
    assert pinned(theirs, {"next"}, NOW, replace(BOX, measure=True)) is None
    assert pinned(theirs, {"next"}, NOW, replace(BOX, answer="always")) is None


@pytest.mark.parametrize("redelivered", [False, True])
def test_what_vedette_loaded_is_its_own_also_where_the_end_of_the_measurement_was_not_written(
    redelivered: bool,
) -> None:
    """Its process ended, or the last look at what is loaded failed: only the claim is kept."""
    claimed = yielding.claimed(seen({}), {"first"})
    later = NOW + MINUTE
    rest = seen({"first": NEVER}, before=claimed, ours=("first",) if redelivered else (), now=later)
    assert rest.ours == ("first",)
    assert pinned(rest, {"next"}, later) is None
    again = after(claimed, {"first": NEVER}, ours={"first"}, now=later, measured={"first"})
    assert pinned(again, {"next"}, later) is None


def test_a_claim_takes_nothing_from_a_user() -> None:
    """Neither what is there before the measurement, nor what a user loads after ours was unloaded."""
    theirs = yielding.claimed(seen({"theirs": NEVER}), {"theirs"})
    assert pinned(seen({"theirs": NEVER}, before=theirs), {"next"}, NOW) == "theirs"
    gone = seen({}, before=yielding.claimed(seen({}), {"first"}))
    assert pinned(seen({"first": NEVER}, before=gone), {"next"}, NOW) == "first"
