"""A measurement keeps no model of a user's out of its place: looks before each request and while one waits."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from vedette.endpoints import OpenEndpoint
from vedette.errors import ProviderError
from vedette.providers import Activity, Generation
from vedette.providers.counting import Sent
from vedette.settings import EndpointSettings
from vedette.testing import FakeEndpoint, FakeProvider
from vedette.types import Outcome, Residency
from vedette_benchmarker.place import InTurn, Loaded, Looks, Place, is_lost
from vedette_benchmarker.yielding import DEFER, QUIET, GaveWay

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
IDLE: dict[str, Residency] = {}


class Over(Exception):
    """The script has ended."""


class Box(FakeEndpoint):
    """A server whose listing of what is loaded takes as long as its script says."""

    async def resident(self) -> Mapping[str, Residency] | None:
        assert isinstance(self.clock, Script)
        await self.clock.sleep(self.clock.look_takes_s)
        return await super().resident()


class Script:
    """A clock and a server: at its moments the script changes the server, and at the last one it ends."""

    def __init__(self, *changes: tuple[float, Callable[["Script"], object]]) -> None:
        self.passed = 0.0
        self.sent = Sent()
        self.changes = sorted(changes, key=lambda change: change[0])
        self.look_takes_s = 0.0
        self.fake = Box(self, residency={})

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        until = self.passed + seconds
        while self.changes and self.changes[0][0] <= until:
            at, change = self.changes.pop(0)
            self.passed = max(self.passed, at)
            change(self)
        self.passed = until

    def place(self, *, loaded: Loaded | None) -> Place:
        endpoint = OpenEndpoint(
            name="box",
            settings=EndpointSettings(provider="fake", url="http://box"),
            provider=FakeProvider({"http://box": self.fake}),
            endpoint=self.fake,
            clock=self,
        )
        return Place(endpoint, {"ours"}, self.sent, self, loaded=loaded, sleep=self.sleep)

    def looks(self, method: str) -> int:
        return sum(called == method for called, _ in self.fake.calls)


def over(_: Script) -> None:
    raise Over


def begin(script: Script) -> None:
    script.sent.in_flight, script.sent.began_at = 1, script.passed


def end(script: Script) -> None:
    script.sent.in_flight, script.sent.ended_at = 0, script.passed


def holds(*names: str) -> Callable[[Script], None]:
    """Return the change after which models with these *names* are loaded, of two."""

    def change(script: Script) -> None:
        script.fake.residency = {
            name: Residency(resident=name in names, swaps=True) for name in ("ours", "theirs")
        }

    return change


def fails(outcome: Outcome | None) -> Callable[[Script], None]:
    def change(script: Script) -> None:
        script.fake.failures = {"resident": ProviderError(outcome, "no reply")} if outcome else {}

    return change


def does(*activities: Activity) -> Callable[[Script], None]:
    def change(script: Script) -> None:
        script.fake.activities = list(activities)

    return change


def loaded(names: Iterable[str]) -> Loaded:
    return dict.fromkeys(names)


@pytest.mark.parametrize(
    ("before", "now", "lost"),
    [
        ("ours", "ours", False),
        ("ours", "theirs", True),
        ("ours", "", None),
        ("ours", "ours theirs", False),
        ("ours theirs", "theirs", True),
        ("theirs", "theirs", False),  # ours waits for its first load
        ("theirs", "", False),
        ("", "theirs", True),
        ("", "", False),
    ],
)
def test_a_place_is_lost_to_a_model_that_came(before: str, now: str, *, lost: bool | None) -> None:
    """An empty place of ours may be a swap; what was there before ours, and still is, took no place."""
    assert is_lost(loaded(before.split()), loaded(now.split()), {"ours"}) is lost


def test_other_requests_count_at_the_second_look() -> None:
    """One look may meet the end of one request of ours and the beginning of the next."""
    two = Activity(running=2)
    looks, why = Looks().then(two, at=0.0, names={"ours"}, ours=1, ended_at=None)
    assert why is None
    again, why = looks.then(two, at=2.0, names={"ours"}, ours=1, ended_at=None)
    assert why == "1 other request runs"
    calm, _ = looks.then(Activity(running=1), at=2.0, names={"ours"}, ours=1, ended_at=None)
    assert calm.then(two, at=4.0, names={"ours"}, ours=1, ended_at=None)[1] is None
    assert again.suspected


async def watched(script: Script, *, before: Loaded | None) -> GaveWay | None:
    """Return how watching ends by *script*; None where it goes on until the script is over."""
    try:
        return await script.place(loaded=before).until_used()
    except Over:
        return None


@pytest.mark.fault(
    "a user's short call swaps the model of a waiting request of ours",
    "I13",
    without=("vedette_benchmarker.place:is_lost", lambda *_: False),
)
@pytest.mark.parametrize("lasts_s", [0.2, 0.5, 1.5])
@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.1])
async def test_a_short_call_is_seen_while_ours_waits(lasts_s: float, after_s: float) -> None:
    """Before it ends, and with it the time in which our request can be taken back."""
    sent_at = 10.0
    script = Script(
        (0.0, holds("ours")),
        (1.0, begin),
        (2.0, end),
        (sent_at, begin),
        (sent_at + after_s, holds("theirs")),
        (sent_at + after_s + lasts_s, over),
    )
    gave_way = await watched(script, before=loaded(["ours"]))
    assert gave_way
    assert (gave_way.why, gave_way.wait) == ("another model is in use", DEFER)


async def test_an_empty_place_under_a_waiting_request_is_a_swap() -> None:
    """The one model is stopped before the other starts."""
    script = Script((0.0, holds("ours")), (10.0, begin), (10.4, holds()), (11.0, over))
    assert await watched(script, before=loaded(["ours"]))


@pytest.mark.parametrize("name", ["ours", "theirs"])
async def test_a_model_that_ollama_unloads_after_its_request_shows_another_user(name: str) -> None:
    """Its time of unloading is now: a request of another model waits. Theirs has the place, ours loses it."""

    def expires(script: Script) -> None:
        script.fake.residency = {name: Residency(resident=True, expires_at=script.now())}

    script = Script((0.0, holds("ours")), (1.0, begin), (1.2, expires), (3.0, over))
    assert await watched(script, before=loaded(["ours"]))


async def test_a_request_of_ours_that_outlives_the_time_of_unloading_keeps_its_place() -> None:
    """While a request runs, Ollama keeps the time that was set before it."""
    ends = NOW + timedelta(seconds=32)
    held = {
        "ours": Residency(resident=True, expires_at=ends),
        "theirs": Residency(resident=True, expires_at=ends),
    }

    def holds_until(script: Script) -> None:
        script.fake.residency = dict(held)

    for before in ({"ours": ends}, {"ours": ends, "theirs": ends}):
        script = Script((0.0, holds_until), (10.0, begin), (55.0, over))
        assert await watched(script, before=before) is None
        assert script.looks("resident") > 20


async def test_a_place_that_empties_after_the_request_is_no_swap() -> None:
    """A slow look that was sent while it ran comes back when the server has unloaded the model."""
    script = Script((0.0, holds("ours")), (10.0, begin), (10.25, end), (10.3, holds()), (14.0, over))
    script.look_takes_s = 0.3
    assert await watched(script, before=loaded(["ours"])) is None


@pytest.mark.parametrize("sleeps", [False, True])
async def test_a_server_that_swaps_nothing_is_not_looked_at_again(*, sleeps: bool) -> None:
    """As vLLM, and llama.cpp with one model."""
    script = Script((5.0, begin), (60.0, over))
    script.fake.residency = {"ours": Residency(resident=not sleeps)}
    place = script.place(loaded=loaded([] if sleeps else ["ours"]))
    await place.turn()
    with pytest.raises(Over):
        await place.until_used()
    assert script.looks("resident") == 1


async def test_a_server_that_reports_no_requests_is_asked_for_them_once() -> None:
    script = Script((0.0, begin), (600.0, over))
    assert await watched(script, before=None) is None
    assert script.looks("activity") == 1


async def test_our_own_load_takes_no_place_of_ours() -> None:
    """What was at rest there is stopped for it, and then ours starts."""
    script = Script(
        (0.0, holds("theirs")), (1.0, begin), (1.5, holds()), (4.0, holds("ours")), (9.0, end), (20.0, over)
    )
    assert await watched(script, before=loaded(["theirs"])) is None
    assert script.looks("resident")


async def test_nothing_is_read_before_the_first_request() -> None:
    """That would wake a server that sleeps."""
    script = Script((0.0, holds("theirs")), (60.0, over))
    assert await watched(script, before={}) is None
    assert not script.fake.calls


async def test_looks_are_close_where_a_request_was_sent_and_then_rare() -> None:
    """A request that runs for a minute costs a look every two seconds."""
    script = Script((0.0, holds("ours")), (0.0, begin), (60.0, over))
    assert await watched(script, before=loaded(["ours"])) is None
    assert script.looks("resident") < 45
    assert script.looks("activity") <= 30


async def test_a_look_that_fails_shows_nothing_and_the_next_does() -> None:
    script = Script(
        (0.0, fails(Outcome.TIMEOUT)),
        (1.0, begin),
        (1.2, holds("theirs")),
        (1.7, fails(None)),
        (4.0, over),
    )
    assert await watched(script, before=loaded(["ours"]))


async def test_another_request_at_the_same_model_ends_the_measurement() -> None:
    """Where the server counts its requests, at two looks; where it reports neither that nor loads, never."""
    both = Activity(running=2)
    script = Script((0.0, holds("ours")), (0.0, does(both)), (0.0, begin), (9.0, over))
    gave_way = await watched(script, before=loaded(["ours"]))
    assert gave_way
    assert (gave_way.why, gave_way.wait) == ("1 other request runs", QUIET)
    silent = Script((0.0, begin), (30.0, over))
    assert await watched(silent, before=None) is None
    assert not silent.looks("resident")


async def test_a_call_that_waited_for_ours_begins_before_our_next() -> None:
    """At the moment when ours ends its model is still loaded: a moment later it is not."""
    script = Script((0.0, holds("ours")), (0.05, holds("theirs")))
    end(script)
    with pytest.raises(GaveWay, match="another model is in use"):
        await script.place(loaded=loaded(["ours"])).turn()


async def test_a_swap_that_stops_our_model_is_waited_for() -> None:
    """Until the other is there. An empty place that stays empty is free: a server unloads what is idle."""
    swapping = Script((0.0, holds()), (0.5, holds("theirs")))
    idle = Script((0.0, holds()))
    for script in (swapping, idle):
        end(script)
    with pytest.raises(GaveWay):
        await swapping.place(loaded=loaded(["ours"])).turn()
    await idle.place(loaded=loaded(["ours"])).turn()


def expires(at: datetime) -> Callable[[Script], None]:
    """Return the change after which ours is loaded, to be unloaded *at* a time, and nothing else."""

    def change(script: Script) -> None:
        script.fake.residency = {"ours": Residency(resident=True, expires_at=at)}

    return change


@pytest.mark.fault(
    "a user's model loads for seconds before the server lists it",
    "I13",
    without=("vedette_benchmarker.place:_SHOWS_AFTER_S", ()),
)
@pytest.mark.parametrize("shows_after_s", [4.0, 9.0, 20.0])
async def test_a_load_that_does_not_show_yet_is_waited_for(shows_after_s: float) -> None:
    """On a busy machine, Ollama 0.12.11 listed a user's model 8 s after it had unloaded ours for it.

    Ours had been told to go while it started, so it was never seen with another time of unloading than now.
    """
    script = Script(
        (1.0, begin),
        (2.0, expires(NOW + timedelta(seconds=2))),
        (5.0, expires(NOW + timedelta(seconds=5))),
        (5.5, end),
        (5.5, holds()),
        (5.5 + shows_after_s, holds("theirs")),
        (6.0, over),
    )
    place = script.place(loaded={})
    with pytest.raises(Over):
        await place.until_used()
    with pytest.raises(GaveWay, match="another model is in use"):
        await place.turn()


async def test_a_model_that_goes_before_its_time_made_room_for_another() -> None:
    """Nothing else need show: its next request would wait behind the load of the other, and then push it out."""
    script = Script((0.0, expires(NOW + timedelta(minutes=5))), (1.0, begin), (9.0, over))
    place = script.place(loaded={})
    with pytest.raises(Over):
        await place.until_used()
    end(script)
    holds()(script)
    began_at = script.passed
    with pytest.raises(GaveWay, match="another model is in use"):
        await place.turn()
    assert script.passed - began_at < 1.0


async def test_a_server_that_keeps_nothing_loaded_is_watched_once() -> None:
    """As Ollama with `OLLAMA_KEEP_ALIVE=0`: each request loads the model, and a benchmark has dozens."""
    script, took = Script(), list[float]()
    place = script.place(loaded={})
    await place.turn()
    for _ in range(3):
        begin(script)
        script.fake.residency = {"ours": Residency(resident=True, expires_at=script.now())}
        script.changes = [(script.passed + 2.0, over)]
        with pytest.raises(Over):
            await place.until_used()
        end(script)
        script.fake.residency = {}
        began_at = script.passed
        await place.turn()
        took.append(script.passed - began_at)
    assert took[0] > 20
    assert max(took[1:]) < 3


async def test_a_user_who_came_before_the_first_request_is_not_pushed_out() -> None:
    """Since the look that began the measurement. What was there then may go."""
    script = Script((0.0, holds("theirs")))
    await script.sleep(0)
    await script.place(loaded=loaded(["theirs"])).turn()
    with pytest.raises(GaveWay):
        await script.place(loaded={}).turn()


@pytest.mark.fault(
    "what is loaded cannot be read before a request of a measurement",
    "I13",
    without=("vedette_benchmarker.place:RECOUNTS_S", ()),
)
async def test_what_is_not_known_counts_as_taken() -> None:
    """Unless the failure is not one of a moment: then the request shows what there is."""
    script = Script((0.0, fails(Outcome.TIMEOUT)))
    end(script)
    with pytest.raises(GaveWay, match="not known"):
        await script.place(loaded=loaded(["ours"])).turn()
    for outcome in (Outcome.REFUSED, Outcome.AUTH_FAILED, Outcome.RATE_LIMITED):
        gone = Script((0.0, fails(outcome)))
        end(gone)
        await gone.place(loaded=loaded(["ours"])).turn()


async def test_while_one_request_runs_others_need_no_turn() -> None:
    """A model that answers keeps its place; several streams at once are one measurement."""
    script = Script((0.0, holds("ours")))
    begin(script)
    await script.place(loaded=loaded(["ours"])).turn()
    assert not script.fake.calls


async def test_each_request_to_a_model_takes_its_turn() -> None:
    """Also one that a measure sends again by itself."""
    script, turns = Script(), 0

    async def turn() -> None:
        nonlocal turns
        turns += 1
        if turns > 3:
            raise GaveWay("others use it")

    endpoint = InTurn(script.fake, turn)
    request = Generation(model="ours", prompt="Say yes.", max_tokens=4)
    assert [item async for item in endpoint.generate(request)]
    await endpoint.embed("ours", ["text"])
    await endpoint.rerank("ours", "query", ["text"])
    with pytest.raises(GaveWay):
        await anext(endpoint.generate(request))
    assert [method for method, _ in script.fake.calls] == ["generate", "embed", "rerank"]
