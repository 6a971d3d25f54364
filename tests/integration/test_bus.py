"""State on the real server: compare-and-set, warm starts, queues, and what cannot be handled."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import nats.errors
import pytest

from eventually import eventually
from samples import lifecycle_event, probe_event
from vedette.bus.bus import Bus
from vedette.bus.connection import barrier
from vedette.bus.provisioning import ensure_durable, provision
from vedette.errors import ConsumerVanished
from vedette.messages import ids, subjects
from vedette.messages.catalogue import Catalogue, ModelState, Versioned
from vedette.messages.codec import encode
from vedette.messages.consumers import Durable, host_jobs, jobs
from vedette.messages.events import EndpointLoad, Event, Job, Lifecycle, ModelProbed
from vedette.settings import Settings
from vedette.types import ModelRef
from vedette_recorder.streams import batches

LOAD = EndpointLoad.example()

NOW = datetime(2026, 11, 23, tzinfo=UTC)
MODEL = ModelRef("local", "smol lm/2:135m.*>")


def job(n: int, group: str = "host") -> Job:
    name = ModelRef("local", f"m{n}")
    return Job(
        id=ids.derive(NOW, str(n)), at=NOW, kind="benchmark", group=group, endpoint="local", model=name
    )


async def test_provisioning_twice_changes_nothing(bus: Bus, settings: Settings) -> None:
    """A second provisioning finds everything as it wants it."""
    assert await provision(bus.connection, settings) == []


@pytest.mark.fault(
    "three writers of one model at once, acknowledgements lost",
    "I12",
    without=("vedette.bus.publishing:EXPECTED", "X-Ignored"),
)
async def test_racing_writers_lose_no_update_though_acks_are_lost(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three workers with the same jobs, every third ack dropped, leave each job in the state once."""
    publish, calls = bus.js.publish, iter(range(10_000))

    async def forgetful(*args: Any, **kwargs: Any) -> Any:
        ack = await publish(*args, **kwargs)
        if next(calls) % 3 == 0:
            raise nats.errors.TimeoutError
        return ack

    monkeypatch.setattr(bus.js, "publish", forgetful)

    def step_for(n: int) -> Callable[[Versioned[Any] | None], ModelProbed | None]:
        job_id = ids.derive(NOW + timedelta(seconds=n), "job")

        def step(held: Versioned[Any] | None) -> ModelProbed | None:
            before = held.event.health.outcomes if held else ()
            if any(sample.job_id == job_id for sample in before):
                return None
            return probe_event(MODEL, at=NOW + timedelta(seconds=n), job_id=job_id, before=before)

        return step

    async def worker(first: int) -> None:
        for n in (
            *range(first, 18),
            *range(first),
        ):  # each in an order of its own, or all would write the same
            await bus.publisher.advance("MODELS", subjects.of_model("probed", MODEL), step_for(n))

    await asyncio.gather(worker(0), worker(6), worker(12))
    last = await bus.streams.last("MODELS", subjects.of_model("probed", MODEL))
    assert last is not None
    assert len({s.job_id for s in last.event.health.outcomes}) == 18  # type: ignore[attr-defined]
    assert len(last.event.health.outcomes) == 18  # type: ignore[attr-defined]


async def test_lifecycle_events_compare_against_the_model_as_a_whole(bus: Bus) -> None:
    """A `lost` and a `changed` from the same stale state do not both succeed."""

    def found(_: ModelState) -> Lifecycle:
        return lifecycle_event("found", MODEL, at=NOW)

    await bus.publisher.advance_model(MODEL, found, known=None)
    stale = await bus.streams.read_model(MODEL)
    seen: list[int] = []

    def step(kind: str) -> Callable[[ModelState], Lifecycle | None]:
        def decide(state: ModelState) -> Lifecycle | None:
            seen.append(state.revision)
            if state.revision != stale.revision:
                return None
            return lifecycle_event(kind, MODEL, at=NOW, revision=state.revision + 1)

        return decide

    results = await asyncio.gather(
        bus.publisher.advance_model(MODEL, step("lost"), known=stale),
        bus.publisher.advance_model(MODEL, step("changed"), known=stale),
    )
    assert sum(result is not None for result in results) == 1
    assert (await bus.streams.read_model(MODEL)).revision == stale.revision + 1
    assert seen.count(stale.revision) == 2


async def test_following_is_warm_at_once_on_an_empty_stream(bus: Bus) -> None:
    """A follower of nothing has seen all there is."""
    following = await bus.followings.follow("MODELS", "model.>", lambda *_: None)
    assert following.warm.is_set()


async def test_following_gives_the_last_of_each_subject_then_what_comes(bus: Bus) -> None:
    """A follower is warm with one event per subject, and hears the next."""
    for n in range(3):
        event = probe_event(MODEL, at=NOW + timedelta(seconds=n), job_id=str(n))
        await bus.publisher.advance("MODELS", event.subject, lambda _, event=event: event)  # type: ignore[misc]
    await bus.publisher.advance_model(
        MODEL, lambda _: lifecycle_event("found", MODEL, at=NOW), known=await bus.streams.read_model(MODEL)
    )
    catalogue, heard = Catalogue(), []

    def apply(event: Event, sequence: int) -> None:
        catalogue.apply(event, sequence)
        heard.append(type(event).TYPE)

    following = await bus.followings.follow("MODELS", "model.>", apply)
    async with asyncio.timeout(60):
        await following.warm.wait()
    assert sorted(heard) == ["model.found", "model.probed"]
    event = probe_event(MODEL, at=NOW + timedelta(seconds=9), job_id="9")
    await bus.publisher.advance("MODELS", event.subject, lambda _: event)
    async with asyncio.timeout(60):
        while len(heard) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0)
    state = catalogue.get(MODEL)
    assert state is not None
    assert state.health is not None


async def test_a_job_is_queued_once_per_subject(bus: Bus) -> None:
    """The second job for the same work follows the first."""
    first = await bus.publisher.enqueue(job(1))
    again = await bus.publisher.enqueue(
        Job(**{f: getattr(job(1), f) for f in Job.__struct_fields__ if f != "id"}, id="other")
    )
    assert again.id == first.id


def _backwards(queue: Sequence[Job]) -> list[Job]:
    """Return the unrequested jobs, the last model first."""
    return sorted(
        (one for one in queue if one.cause != "manual"), key=lambda one: str(one.model), reverse=True
    )


@pytest.mark.fault("the process ends while it rearranges a queue", "I12")
async def test_jobs_move_back_in_their_queue_and_none_is_lost(bus: Bus) -> None:
    """An operator's job and the one in hand keep their place; it may end after any step."""
    queue, done, finished = host_jobs("host"), list[str](), asyncio.Event()
    await ensure_durable(bus.connection, queue)
    for n in range(5):
        await bus.publisher.enqueue(msgspec.structs.replace(job(n), cause="manual" if n == 2 else "found"))

    async def handle(taken: Job) -> None:
        if not done:
            held = await bus.streams.first_from("JOBS", 1, job(3).subject)
            assert held is not None
            assert await bus.publisher.move_back(held.sequence)  # and the process ends
            assert not await bus.publisher.move_back(held.sequence)
            queued = await bus.jobs.queued(queue) or []
            assert [one.id for one in queued] == [job(n).id for n in (0, 1, 2, 4, 3)]
            assert await bus.jobs.rearrange(queue, _backwards) == 1
            assert await bus.jobs.rearrange(queue, _backwards) == 0
            # One that is queued is still not queued twice, nor replaced.
            assert (await bus.publisher.enqueue(msgspec.structs.replace(job(4), id="other"))).id == job(4).id
        done.append(str(taken.model))
        if len(done) == 5:
            finished.set()

    bus.spawn(bus.jobs.work(queue, handle, concurrency=1, timeout_s=60))
    async with asyncio.timeout(60):
        await finished.wait()
    assert done == [f"local/m{n}" for n in (0, 2, 4, 3, 1)]

    async def all_acknowledged() -> bool:
        return not await bus.jobs.queued(queue) and (await bus.jobs.workers(queue))[0] == 0

    await eventually(all_acknowledged, what="an empty queue")


@pytest.mark.fault("a durable of an earlier version lacks a subject", "I12")
async def test_a_durable_of_an_earlier_version_gets_the_subjects_of_this_one(bus: Bus) -> None:
    """Jobs of a new kind would wait there unseen until they expire."""
    now = host_jobs("host")
    await ensure_durable(bus.connection, msgspec.structs.replace(now, filters=now.filters[:2]))
    await ensure_durable(bus.connection, now)
    await ensure_durable(bus.connection, now)
    info = await bus.js.consumer_info(now.stream, now.name)
    assert set(info.config.filter_subjects or ()) == set(now.filters)


@pytest.mark.fault("two benchmarkers want one host group", "I12")
async def test_a_host_group_is_measured_one_job_at_a_time_by_two_replicas(bus: Bus) -> None:
    """Never are two jobs of one host group in hand, and each is done once."""
    await ensure_durable(bus.connection, host_jobs("host"))
    for n in range(6):
        await bus.publisher.enqueue(job(n))
    in_hand, done, finished = 0, [], asyncio.Event()

    async def handle(taken: Job) -> None:
        nonlocal in_hand
        in_hand += 1
        assert in_hand == 1
        await bus.connection.flush()  # let the other replica try
        in_hand -= 1
        done.append(str(taken.model))
        if len(done) == 6:
            finished.set()

    for _ in range(2):
        bus.spawn(bus.jobs.work(host_jobs("host"), handle, concurrency=1, timeout_s=60))
    async with asyncio.timeout(60):
        await finished.wait()
    assert sorted(done) == [f"local/m{n}" for n in range(6)]


@pytest.mark.fault("a job fails with a bug", "I12")
async def test_a_job_that_fails_comes_again(bus: Bus) -> None:
    """A bug gives the job back with a delay, and it is done when the bug is gone."""
    queue = jobs("prober", "probe")
    await bus.publisher.enqueue(Job(id="1", at=NOW, kind="probe", group="host", endpoint="local"))
    tries, finished = [], asyncio.Event()

    async def handle(taken: Job) -> None:
        tries.append(taken.id)
        if len(tries) == 1:
            raise ZeroDivisionError
        finished.set()

    bus.spawn(bus.jobs.work(queue, handle, concurrency=4, timeout_s=60))
    async with asyncio.timeout(60):
        await finished.wait()
    assert tries == ["1", "1"]


@pytest.mark.fault("bytes that are no job in the queue", "I5", "I13")
async def test_poison_goes_to_dead_and_the_next_job_is_done(bus: Bus) -> None:
    """Bytes that are no job are kept in DEAD with the reason, once, and stop nothing."""
    queue, finished = jobs("prober", "probe"), asyncio.Event()
    await bus.js.publish("job.probe.host.poison", b'{"nonsense": [')

    async def handle(_: Job) -> None:
        finished.set()

    bus.spawn(bus.jobs.work(queue, handle, concurrency=1, timeout_s=60))
    await bus.publisher.enqueue(Job(id="2", at=NOW, kind="probe", group="host", endpoint="local"))
    async with asyncio.timeout(60):
        await finished.wait()
    dead = await bus.js.get_last_msg("DEAD", "dead.test")
    assert dead.data is not None
    assert b"job.probe.host.poison" in dead.data


async def test_batches_give_everything_once_in_order(bus: Bus) -> None:
    """Three hundred messages come in lists, each once, in order."""
    await ensure_durable(bus.connection, whole := Durable(stream="DEAD", name="reader", filters=()))
    for n in range(300):
        await bus.js.publish("dead.test", str(n).encode())
    got: list[int] = []
    async with asyncio.timeout(60), aclosing(batches(bus, whole, most=128, linger_s=0.05)) as source:
        async for batch in source:
            got += [int(message.data) for message in batch]
            for message in batch:
                await message.ack_sync()
            if len(got) >= 300:
                break
    assert got == list(range(300))


@pytest.mark.fault("a consumer deleted under its service", "I5")
async def test_a_deleted_durable_is_fatal(bus: Bus) -> None:
    """The watchdog notices that a consumer is gone, so that the process exits instead of going deaf."""
    queue = jobs("prober", "probe")
    bus.watchdog.watch(queue)
    await bus.js.delete_consumer(queue.stream, queue.name)
    bus.spawn(bus.watchdog.check())
    with pytest.raises(ConsumerVanished):
        await bus.fatal


@pytest.mark.fault("the broker loses the end of a stream that it need not keep", "I5")
async def test_a_stream_that_is_not_kept_is_followed_again(bus: Bus) -> None:
    """No service ends for it, and what is published next is received: it counts from one again."""
    heard: list[int] = []
    await bus.followings.follow("LOADS", "endpoint.load.*", lambda _, sequence: heard.append(sequence))

    async def publish(times: int) -> None:
        for _ in range(times):
            await bus.js.publish(LOAD.subject, encode(LOAD))

    async def has_heard(last: int) -> bool:
        # The stream keeps one: what is replaced before it is delivered is not heard.
        return heard[-1:] == [last]

    await publish(3)
    await eventually(lambda: has_heard(3), what="the third was received")
    config = (await bus.js.stream_info("LOADS")).config
    await bus.js.delete_stream("LOADS")
    await bus.js.add_stream(config)
    await publish(1)
    await bus.watchdog.check()
    await eventually(lambda: has_heard(1), what="what the stream has was received")
    await publish(1)
    await eventually(lambda: has_heard(2), what="what comes next was received")


async def test_a_stream_that_grows_while_the_watchdog_asks_is_no_loss(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the follower hears after the server has told its last sequence does not look like a step back."""
    heard: asyncio.Queue[int] = asyncio.Queue()
    await bus.followings.follow("MODELS", "model.>", lambda _, sequence: heard.put_nowait(sequence))
    stream_info = bus.js.stream_info

    async def late(name: str) -> Any:
        told = await stream_info(name)
        await bus.publisher.advance_model(
            MODEL, lambda _: lifecycle_event("found", MODEL, at=NOW), known=None
        )
        await heard.get()
        return told

    monkeypatch.setattr(bus.js, "stream_info", late)
    await bus.watchdog.check()


async def test_the_bare_event_subject_carries_every_found_model(bus: Bus, server: Any) -> None:
    """An agent that knows only `model.found` hears of each model, with the stream's sequence."""
    import nats as client

    agent = await client.connect(server.url("agent"))
    heard = await agent.subscribe("model.found")
    await barrier(agent)
    event = lifecycle_event("found", MODEL, at=NOW)
    await bus.publisher.advance_model(MODEL, lambda _: event, known=None)
    message = await heard.next_msg(timeout=60)
    assert message.data == encode(event)
    assert message.headers is not None
    assert message.headers["Nats-Sequence"] == "1"
    assert message.headers["ce-type"] == "vedette.model.found"
    await agent.close()
