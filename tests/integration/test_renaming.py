"""An endpoint gets another name: its models keep what is known of them, whatever breaks meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client as Connection

from eventually import eventually
from providers.fake_ollama import FakeOllama, fake_ollama
from recorded import all_recorded
from samples import benchmark_event, probe_event, rating_event, report_event
from vedette import log
from vedette.bus.bus import Bus
from vedette.bus.publishing import Publisher
from vedette.clock import SystemClock
from vedette.endpoints import Endpoints, open_endpoints
from vedette.messages import subjects
from vedette.messages.catalogue import Catalogue, ModelState
from vedette.messages.codec import decode_event, encode
from vedette.messages.events import Event, Job, JobCause
from vedette.messages.queries import (
    AvailabilityHistory,
    HistoryRequest,
    PastReply,
    PastRequest,
    SummariesReply,
    SummariesRequest,
)
from vedette.settings import Database, EndpointSettings, Probing, Settings
from vedette.types import ModelRef, Rating
from vedette_discoverer.handlers import Discovery
from vedette_recorder import app as recorder
from vedette_recorder import tables
from vedette_recorder.answers import Answers
from vedette_recorder.compaction import Compaction
from vedette_recorder.record import Message, rows_of
from vedette_recorder.store import Store
from vedette_recorder.streams import held as held_by

pytest_plugins = ("database",)

OLD, NEW = ModelRef("gpu", "m:1b"), ModelRef("gpu-box", "m:1b")
A, B = ModelRef("a", "m:1b"), ModelRef("b", "m:1b")
_jobs = count()
TPS = {OLD: 10.0, A: 20.0, B: 30.0}


class KilledError(Exception):
    """The process ends here."""


class MortalPublisher(Publisher):
    """A publisher whose process is killed before it moves a state for the time after *left* times."""

    left = 10**6

    async def advance(self, *args: Any, **kwargs: Any) -> Any:
        self._live()
        return await super().advance(*args, **kwargs)

    async def advance_model(self, *args: Any, **kwargs: Any) -> Any:
        self._live()
        return await super().advance_model(*args, **kwargs)

    def _live(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise KilledError


class Mortal(Bus):
    """A bus with a publisher whose process may be killed."""

    def __init__(self, connection: Connection, *, name: str) -> None:
        super().__init__(connection, name=name, clock=SystemClock(), log=log.logger(name))
        self.publisher: MortalPublisher = MortalPublisher(
            connection, self.js, self.streams, name=name, clock=self.clock, log=self.log
        )


class Replica:
    """A discoverer."""

    def __init__(self, bus: Mortal, catalogue: Catalogue, discovery: Discovery, endpoints: Endpoints) -> None:
        self.bus = bus
        self.catalogue = catalogue
        self.discovery = discovery
        self._do = endpoints.during(bus, discovery.on_job)

    async def discover(self, *endpoints: str, cause: JobCause = "start") -> None:
        """Do a job at each of *endpoints*."""
        for endpoint in endpoints:
            at = datetime.now(UTC)
            job = Job(id=f"j{next(_jobs)}", at=at, kind="discover", group="h", endpoint=endpoint, cause=cause)
            await self._do(job)
            await eventually(self.bus.followings.current, what="all seen")


@asynccontextmanager
async def replica(bus: Bus, **urls: str) -> AsyncIterator[Replica]:
    """Run a discoverer with endpoints at *urls*."""
    names = {name.replace("_", "-"): EndpointSettings(url=url) for name, url in urls.items()}
    own = Mortal(bus.connection, name="discoverer")
    catalogue = Catalogue()
    async with open_endpoints(Settings(endpoints=names), clock=SystemClock()) as endpoints:
        for stream, subject in (("MODELS", "model.>"), ("ENDPOINTS", "endpoint.observed.*")):
            await (await own.followings.follow(stream, subject, catalogue.apply)).until_warm()
        discovery = Discovery(
            bus=own, catalogue=catalogue, endpoints=endpoints, settings=Probing(), clock=SystemClock()
        )
        yield Replica(own, catalogue, discovery, endpoints)
        await own.close()


async def publish(bus: Bus, *events: Event) -> None:
    for event in events:
        await bus.js.publish(event.subject, encode(event))


async def measure(bus: Bus, model: ModelRef, probes: int = 3) -> None:
    """Publish all that services and people have to say of *model*."""
    state = await bus.streams.read_model(model)
    assert state.info is not None
    now, samples = datetime.now(UTC), ()
    for n in range(probes):
        event = probe_event(
            model, at=now - timedelta(days=probes - n), job_id=f"{model.endpoint}-{n}", before=samples
        )
        samples = event.health.outcomes
        await publish(bus, event)
    digest = state.info.digest
    speed = benchmark_event(model, at=now, tps=TPS[model])
    figures = msgspec.structs.replace(speed.performance, digest=digest)
    await publish(
        bus,
        msgspec.structs.replace(speed, performance=figures),
        rating_event(model, Rating(score=0.5, source=str(model), as_of=now.date()), at=now),
        report_event(model, at=now, calls=int(TPS[model]), digest=digest),
    )


async def is_now(bus: Bus, old: ModelRef, new: ModelRef) -> ModelState:
    """Assert that *new* is *old* under another name, with everything that it had; return its state."""
    state = await has_all(bus, old, new)
    assert state.formerly is not None
    assert state.formerly.model == old
    return state


async def has_all(bus: Bus, old: ModelRef, new: ModelRef, *, found_again: bool = False) -> ModelState:
    """Assert that *new* has everything that was measured as *old*; return its state."""
    state = await bus.streams.read_model(new)
    assert state.present
    assert state.health is not None or found_again
    if state.health is not None:
        assert {sample.job_id for sample in state.health.outcomes} == {
            f"{old.endpoint}-{n}" for n in range(3)
        }
    assert state.performance is not None
    assert state.performance.output_tps is not None
    assert state.performance.output_tps.median == TPS[old]
    assert state.rated is not None
    assert state.rated.event.ratings[0].source == str(old)
    reported = await bus.streams.last("REPORTS", subjects.of_report(new))
    assert reported is not None
    assert reported.event.reported.calls == int(TPS[old])  # type: ignore[attr-defined]
    return state


@pytest.fixture
async def ollama() -> AsyncIterator[FakeOllama]:
    async with fake_ollama(**{"m:1b": "d1"}) as server:
        yield server


@pytest.fixture
async def other() -> AsyncIterator[FakeOllama]:
    """Run a second server, with the same weights."""
    async with fake_ollama(**{"m:1b": "d1"}) as server:
        yield server


async def test_everything_known_goes_on_under_the_new_name(bus: Bus, ollama: FakeOllama) -> None:
    async with replica(bus, gpu=ollama.url) as before:
        await before.discover("gpu")
    await measure(bus, OLD)
    first = await bus.streams.read_model(OLD)
    async with replica(bus, gpu_box=ollama.url) as after:
        await after.discovery.on_start()
        assert await bus.streams.count("JOBS", "job.discover.>") == 1
        assert (await bus.streams.read_model(OLD)).present, "until it is found under the new name"
        await after.discover("gpu-box")
        state = await is_now(bus, OLD, NEW)
        assert state.found_at == first.found_at
        assert (await bus.streams.read_model(OLD)).renamed_to == NEW
        # Another job of the same finds nothing to do; and so does a start.
        sequence = (await bus.js.stream_info("MODELS")).state.last_seq
        await after.discover("gpu-box")
        await after.discovery.on_start()
        assert (await bus.js.stream_info("MODELS")).state.last_seq == sequence


async def test_other_weights_begin_afresh(bus: Bus, ollama: FakeOllama) -> None:
    async with replica(bus, gpu=ollama.url) as before:
        await before.discover("gpu")
    await measure(bus, OLD)
    ollama.models["m:1b"] = "d2"
    async with replica(bus, gpu_box=ollama.url) as after:
        await after.discovery.on_start()
        await after.discover("gpu-box")
    new, old = await bus.streams.read_model(NEW), await bus.streams.read_model(OLD)
    assert new.present
    assert (new.formerly, new.health, new.performance, new.rated) == (None, None, None, None)
    assert not old.present
    assert old.renamed_to is None


async def test_two_names_for_one_server_are_two_endpoints(bus: Bus, ollama: FakeOllama) -> None:
    async with replica(bus, gpu=ollama.url) as before:
        await before.discover("gpu")
    await measure(bus, OLD)
    async with replica(bus, gpu=ollama.url, gpu_box=ollama.url) as after:
        await after.discovery.on_start()
        await after.discover("gpu-box", "gpu")
    assert (await bus.streams.read_model(OLD)).present
    assert (await bus.streams.read_model(NEW)).performance is None


async def test_an_endpoint_that_was_away_comes_back_under_another_name(bus: Bus, ollama: FakeOllama) -> None:
    async with replica(bus, gpu=ollama.url) as before:
        await before.discover("gpu")
    await measure(bus, OLD)
    async with replica(bus) as without:
        await without.discovery.on_start()
    lost = await bus.streams.read_model(OLD)
    assert lost.lost_at is not None
    async with replica(bus, gpu_box=ollama.url) as after:
        await after.discovery.on_start()
        await after.discover("gpu-box")
    state = await is_now(bus, OLD, NEW)
    assert state.formerly is not None
    assert state.formerly.until == lost.lost_at


@pytest.mark.fault(
    "a server that is down when its endpoint is renamed",
    "I10",
    without=("vedette_discoverer.renaming:former", lambda *_: None),
)
async def test_a_server_that_is_down_gets_its_models_back(bus: Bus, ollama: FakeOllama) -> None:
    """They are lost while it does not answer, as those of any endpoint that nobody can reach under its name."""
    async with replica(bus, gpu=ollama.url) as before:
        await before.discover("gpu")
    await measure(bus, OLD)
    routes = dict(ollama.replay.routes)
    ollama.replay.routes.clear()
    async with replica(bus, gpu_box=ollama.url) as after:
        await after.discovery.on_start()
        await after.discover("gpu-box")
        assert not (await bus.streams.read_model(OLD)).present
        ollama.replay.routes.update(routes)
        await after.discover("gpu-box")
    await is_now(bus, OLD, NEW)


@pytest.mark.parametrize("after", range(10))
@pytest.mark.fault(
    "the discoverer killed between any two messages of a rename",
    "I10",
    "I12",
    without=("vedette_discoverer.renaming:measured", lambda *_: iter(())),
)
async def test_killed_half_way(bus: Bus, ollama: FakeOllama, after: int) -> None:
    """At no moment is the model there under the new name without what is known of it; the next start does the rest."""
    async with replica(bus, gpu=ollama.url) as before:
        await before.discover("gpu")
    await measure(bus, OLD)
    async with replica(bus, gpu_box=ollama.url) as dies:
        dies.bus.publisher.left = after
        try:
            await dies.discover("gpu-box")
        except* KilledError:
            old, new = await bus.streams.read_model(OLD), await bus.streams.read_model(NEW)
            assert old.present or new.present
            assert not new.present or (new.health and new.performance and new.rated)
    async with replica(bus, gpu_box=ollama.url) as goes_on:
        await goes_on.discovery.on_start()
        await goes_on.discover("gpu-box")
    await is_now(bus, OLD, NEW)
    assert (await bus.streams.read_model(OLD)).renamed_to == NEW
    assert await bus.streams.count("MODELS", subjects.of_model("found", NEW)) == 1


# Every moment between two of the sixteen events of a swap; some of them also in the lane `fast`.
MOMENTS = [
    pytest.param(after, marks=pytest.mark.lane("fast" if after in (0, 4, 8, 12, 100) else "faults"))
    for after in (*range(16), 100)
]


async def swapped_until_killed(bus: Bus, ollama: FakeOllama, other: FakeOllama, after: int) -> None:
    """Measure A and B, swap the names of their endpoints, and kill the discoverer *after* that many events."""
    async with replica(bus, a=ollama.url, b=other.url) as before:
        await before.discover("a", "b")
    await measure(bus, A)
    await measure(bus, B)
    async with replica(bus, a=other.url, b=ollama.url) as dies:
        dies.bus.publisher.left = after
        try:
            await dies.discover("a", "b")
        except* KilledError:
            pass


@pytest.mark.parametrize("after", MOMENTS)
@pytest.mark.fault(
    "two endpoints swap names, and the discoverer is killed meanwhile",
    "I10",
    "I12",
    without=("vedette_discoverer.renaming:former", lambda *_: None),
)
async def test_swapped_names_do_not_mix(bus: Bus, ollama: FakeOllama, other: FakeOllama, after: int) -> None:
    """The weights are the same on both servers: only the URL tells whose figures they are."""
    await swapped_until_killed(bus, ollama, other, after)
    async with replica(bus, a=other.url, b=ollama.url) as goes_on:
        await goes_on.discovery.on_start()
        await goes_on.discover("b", "a")
    await is_now(bus, A, B)
    await is_now(bus, B, A)


@pytest.mark.parametrize("after", MOMENTS)
@pytest.mark.fault("a swap of names that was done half is taken back", "I10", "I12")
async def test_a_swap_that_is_taken_back(bus: Bus, ollama: FakeOllama, other: FakeOllama, after: int) -> None:
    """Each name has the figures it had, wherever the discoverer was killed.

    Of a model that was lost and is found again under its own name, health begins anew, as always.
    """
    await swapped_until_killed(bus, ollama, other, after)
    async with replica(bus, a=ollama.url, b=other.url) as again:
        await again.discovery.on_start()
        await again.discover("a", "b")
    await has_all(bus, A, A, found_again=True)
    await has_all(bus, B, B, found_again=True)


@pytest.mark.fault(
    "two discoverers rename the same endpoint at once",
    "I12",
    without=("vedette_discoverer.renaming:former", lambda *_: None),
)
async def test_two_discoverers(bus: Bus, ollama: FakeOllama) -> None:
    ollama.models |= {f"m{n}:1b": "d" for n in range(5)}
    async with replica(bus, gpu=ollama.url) as before:
        await before.discover("gpu")
    await measure(bus, OLD)
    async with replica(bus, gpu_box=ollama.url) as one, replica(bus, gpu_box=ollama.url) as two:
        await asyncio.gather(one.discover("gpu-box"), two.discover("gpu-box"))
    await is_now(bus, OLD, NEW)
    for name in ollama.models:
        for event in ("found", "benchmarked", "rated"):
            subject = subjects.of_model(event, ModelRef("gpu-box", name))
            assert await bus.streams.count("MODELS", subject) <= 1
        assert (await bus.streams.read_model(ModelRef("gpu", name))).renamed_to == ModelRef("gpu-box", name)


async def _does_nothing(*_: object) -> None: ...


# --- The record ------------------------------------------------------------------------------------------------


async def rows(store: Store, endpoint: str) -> dict[str, int]:
    """Return how many rows of history are of *endpoint*, by table."""
    found = {}
    for table in tables.metadata.sorted_tables:
        if {"measured_at", "model"} <= set(table.c.keys()):
            found[table.name] = len(await store.read(table.select().where(table.c.endpoint == endpoint)))
    return {name: n for name, n in found.items() if n}


async def history(store: Store, model: ModelRef) -> AvailabilityHistory:
    request = HistoryRequest(model=str(model), since=datetime.now(UTC) - timedelta(days=30))
    reply = await Answers(store=store, clock=SystemClock()).answer("history.availability", encode(request))
    return msgspec.json.decode(reply, type=AvailabilityHistory)


@pytest.mark.fault(
    "no recorder runs while an endpoint is renamed",
    "I1",
    "I2",
    without=("vedette_recorder.renaming:apply", _does_nothing),
)
async def test_history_goes_on_under_the_new_name(
    bus: Bus, settings: Settings, store: Store, url: str, ollama: FakeOllama
) -> None:
    """What was recorded and packed before, and what is recorded later; then nothing is left of the old name."""
    recording_here = msgspec.structs.replace(settings, database=Database(url=url))
    async with replica(bus, gpu=ollama.url) as before:
        await before.discover("gpu")
    await publish(
        bus,
        *(probe_event(OLD, at=datetime.now(UTC) - timedelta(days=n), job_id=f"early-{n}") for n in (9, 8)),
    )
    async with recorder.serve(recording_here):
        await eventually(lambda: all_recorded(bus.js, "MODELS", "REPORTS"), what="recorded")
        await store.pack(datetime.now(UTC))
    await measure(bus, OLD)  # recorded only after the rename
    async with replica(bus, gpu_box=ollama.url) as after:
        await after.discover("gpu-box")
    at_rename = datetime.now(UTC)
    async with recorder.serve(recording_here):
        await eventually(lambda: all_recorded(bus.js, "MODELS", "REPORTS"), what="recorded")

    assert await rows(store, "gpu") == {}
    assert await rows(store, "gpu-box") == {
        "model_availability_history": 5,
        "model_info_history": 2,
        "model_performance_history": 1,
        "model_rating_history": 1,
        "model_reports": 1,
    }
    assert (await history(store, NEW)).probes == 5
    answers = Answers(store=store, clock=SystemClock())
    listed = msgspec.json.decode(
        await answers.answer("history.models", encode(SummariesRequest())), type=SummariesReply
    )
    assert [one.model for one in listed.models] == [NEW]

    for at in (at_rename, datetime.now(UTC)):
        reply = await answers.answer("history.asof", encode(PastRequest(at=at)))
        (past,) = msgspec.json.decode(reply, type=PastReply).models
        state = Catalogue.of(
            (event.sequence, decode_event(event.subject, bytes(event.event)))
            for event in past.events
            if not event.subject.startswith("report.")
        ).get(NEW)
        assert state is not None
        assert state.info is not None
        assert state.info.model == NEW
        assert state.health is not None
        assert state.performance is not None
        assert sum(sum(day.counts.values()) for day in state.health.daily) == 0, "those before it was found"

    async def cutoff() -> None:
        return None

    assert await Compaction(bus=bus, store=store, cutoff=cutoff).forget() == 1
    assert await bus.streams.count("MODELS", subjects.of_model("*", OLD)) == 0
    await is_now(bus, OLD, NEW)


Messages = Sequence[tuple[int, Event]]


async def stored(bus: Bus) -> Messages:
    """Return what MODELS holds."""
    return [(one.sequence, decode_event(one.subject, one.payload)) async for one in held_by(bus, "MODELS")]


def in_one(messages: Messages) -> list[Messages]:
    return [messages]


def one_by_one(messages: Messages) -> list[Messages]:
    return [[one] for one in messages]


def backwards(messages: Messages) -> list[Messages]:
    """As two batches in hand may be: the later is committed first; then all of it comes again."""
    middle = len(messages) // 2
    return [[one] for one in reversed(messages)] + [messages[middle:], messages[:middle]]


@pytest.mark.parametrize("split", [in_one, one_by_one, backwards])
@pytest.mark.fault(
    "messages of swapped endpoints are recorded late, twice and out of order",
    "I1",
    "I2",
    without=("vedette_recorder.renaming:_aside", lambda endpoint, _: endpoint),
)
async def test_the_record_of_swapped_names_does_not_mix(
    bus: Bus,
    store: Store,
    ollama: FakeOllama,
    other: FakeOllama,
    split: Callable[[Messages], list[Messages]],
) -> None:
    async with replica(bus, a=ollama.url, b=other.url) as before:
        await before.discover("a", "b")
    await measure(bus, A)
    await measure(bus, B)
    async with replica(bus, a=other.url, b=ollama.url) as after:
        await asyncio.gather(after.discover("b"), after.discover("a"))
    messages = await stored(bus)
    for batch in split(messages):
        await store.write(row for one in batch for row in _rows(*one))
    for new, old in ((A, B), (B, A)):
        table = tables.model_availability_history
        probes = await store.read(table.select().where(table.c.endpoint == new.endpoint))
        assert {row["job_id"] for row in probes} == {f"{old.endpoint}-{n}" for n in range(3)}
        speed = tables.model_performance_history
        (row,) = await store.read(speed.select().where(speed.c.endpoint == new.endpoint))
        assert row["output_tps"] == TPS[old]
    assert await store.count(tables.model_availability_history) == 6


def _rows(sequence: int, event: Event) -> Any:
    created = datetime(2026, 1, 1, tzinfo=UTC)
    return rows_of(
        event,
        Message(
            stream="MODELS",
            stream_created_at=created,
            sequence=sequence,
            at=event.at,
            subject=event.subject,
            payload=encode(event),
        ),
    )
