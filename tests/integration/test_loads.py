"""Loads on the bus: one prober for each endpoint, the others take over, and followers have the last one at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

import pytest

from eventually import eventually
from providers.replay import Replay, replaying, reply
from vedette.bus.bus import Bus
from vedette.clock import SystemClock
from vedette.endpoints import Endpoints, open_endpoints, own
from vedette.messages import ids
from vedette.messages.catalogue import Catalogue
from vedette.messages.consumers import jobs
from vedette.messages.events import EndpointLoad, EndpointObserved, Job
from vedette.providers.counting import Sent
from vedette.settings import EndpointSettings, Load, Settings
from vedette.types import EndpointState, Outcome
from vedette_prober.loads import Loads

EVERY_S = 0.3
pytestmark = pytest.mark.usefixtures("needs_nats")


class Prober:
    """What one replica of the prober reads loads with."""

    def __init__(self, bus: Bus, endpoints: Endpoints, seed: int) -> None:
        self.catalogue = Catalogue()
        self.loads = Loads(
            bus=bus,
            catalogue=self.catalogue,
            endpoints=endpoints,
            every_s=EVERY_S,
            clock=SystemClock(),
            rng=Random(seed),
        )
        self.task: asyncio.Task[None] | None = None

    async def start(self, bus: Bus) -> None:
        for stream, subject in (("ENDPOINTS", "endpoint.observed.*"), ("LOADS", "endpoint.load.*")):
            following = await bus.followings.follow(stream, subject, self.catalogue.apply)
            await following.until_warm()
        self.task = bus.spawn(self.loads.run())

    def last(self) -> EndpointLoad | None:
        return self.catalogue.load("box")


async def observed(bus: Bus, url: str) -> None:
    """Publish that the endpoint box answers."""
    now = bus.clock.now()
    state = EndpointState(
        url=url,
        provider="openai-compatible",
        fingerprint="",
        checked_at=now,
        outcome=Outcome.OK,
        server="vllm",
    )
    event = EndpointObserved(id=ids.derive(now, "o"), at=now, endpoint="box", state=state)
    await bus.publisher.advance("ENDPOINTS", event.subject, lambda _: event)


@asynccontextmanager
async def probers(bus: Bus, replay: Replay, count: int, **load: float) -> AsyncIterator[list[Prober]]:
    settings = Settings(
        endpoints={
            "box": EndpointSettings(provider="openai-compatible", url=replay.url, load=Load(**load)),
        }
    )
    async with AsyncExitStack() as stack:
        made = []
        for seed in range(count):
            endpoints = await stack.enter_async_context(open_endpoints(settings, clock=SystemClock()))
            made.append(Prober(bus, endpoints, seed))
            await made[-1].start(bus)
        yield made


def vllm(replay: Replay, running: int) -> None:
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m", "owned_by": "vllm"}]})
    replay.routes["GET", "/metrics"] = reply(200, f'vllm:num_requests_running{{model_name="m"}} {running}\n')


async def test_one_prober_reads_and_another_takes_over(bus: Bus) -> None:
    """What it tells is there for whoever follows. Nothing is asked before the endpoint was observed."""
    async with replaying() as replay, probers(bus, replay, 3) as replicas:
        vllm(replay, 3)
        assert not any(one.loads.due() for one in replicas)
        await observed(bus, replay.url)

        async def reader() -> Prober | None:
            return next((one for one in replicas if one.loads.is_reader("box")), None)

        first = await eventually(reader, what="one replica reads")
        last = first.last() if first else None
        assert last is not None
        assert (last.running, last.source, last.every_s) == (3, "vllm metrics", EVERY_S)
        vllm(replay, 5)
        seen: set[str] = set()

        async def some() -> bool:
            readers = [one for one in replicas if one.loads.is_reader("box")]
            seen.update(one.last().id for one in readers)  # type: ignore[union-attr]
            return len(seen) >= 4

        await eventually(some, what="loads are published")
        asked = [one.path for one in replay.requests if one.path == "/metrics"]
        published = (await bus.js.stream_info("LOADS")).state.last_seq
        assert len(asked) <= published + len(replicas)
        gone = await eventually(reader, what="one replica reads")
        assert gone is not None
        assert gone.task is not None
        gone.task.cancel()
        replicas.remove(gone)
        await eventually(reader, what="another replica reads")
        held = await bus.streams.last("LOADS", "endpoint.load.box")
    assert held is not None
    assert held.event.running == 5


@pytest.mark.parametrize(("wrong", "outcome"), [(404, "unsupported"), (500, "server_error")])
@pytest.mark.fault("a server reports no load, or fails", "I5")
async def test_what_tells_nothing_is_said_and_asked_less(wrong: int, outcome: str, bus: Bus) -> None:
    """Followers see that there are no figures, instead of those of before."""
    async with replaying() as replay:
        vllm(replay, 3)
        replay.routes["GET", "/metrics"] = reply(wrong, "x")
        async with probers(bus, replay, 1) as (prober,):
            await observed(bus, replay.url)

            async def told() -> EndpointLoad | None:
                return prober.last()

            last = await eventually(told, what="a load is published")
    assert last is not None
    assert (last.outcome, last.running, last.source) == (outcome, None, "")
    assert last.every_s >= 2 * EVERY_S  # each reading of nothing doubles it


async def test_a_server_that_went_is_probed_at_once(bus: Bus) -> None:
    """Not with the next tick, half an hour later."""
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(AsyncExitStack())
        replay = await servers.enter_async_context(replaying())
        vllm(replay, 3)
        (prober,) = await stack.enter_async_context(probers(bus, replay, 1))
        await observed(bus, replay.url)

        async def ends(outcome: Outcome) -> bool:
            last = prober.last()
            return last is not None and last.outcome is outcome

        await eventually(lambda: ends(Outcome.OK), what="a load")
        probes = jobs("prober", "probe")
        assert await bus.jobs.queued(probes) == []
        await servers.aclose()
        await eventually(lambda: ends(Outcome.REFUSED), what="a reading that finds nothing there")

        async def queued() -> list[Job]:
            return await bus.jobs.queued(probes) or []

        (job,) = await eventually(queued, what="a probe")
    assert (job.endpoint, job.model, job.cause) == ("box", None, "suspicion")


async def test_readings_can_be_turned_off(bus: Bus) -> None:
    async with replaying() as replay, probers(bus, replay, 1, every_s=0) as (prober,):
        await observed(bus, replay.url)

        async def heard() -> bool:
            return prober.catalogue.endpoint("box") is not None

        await eventually(heard, what="the endpoint is known")
        assert not prober.loads.due()
        assert not replay.requests


async def test_requests_of_another_process_of_vedette_are_no_load(bus: Bus) -> None:
    """While a benchmarker has two requests at the server, one of the three that run is of somebody else."""
    sent = Sent(in_flight=2)
    async with replaying() as replay, probers(bus, replay, 1) as (prober,):
        vllm(replay, 3)

        async def is_told(running: int, ours: int) -> bool:
            last = prober.last()
            return last is not None and (last.running, last.own) == (running, ours)

        async with (
            own.shown(bus, "elsewhere", Sent(in_flight=1), monotonic=SystemClock().monotonic),
            own.shown(bus, "box", sent, monotonic=SystemClock().monotonic),
        ):
            await observed(bus, replay.url)
            await eventually(lambda: is_told(1, 2), what="a load without the benchmarker's requests")
            sent.in_flight = 0
            await eventually(lambda: is_told(3, 0), what="a load while the benchmarker has no request")
        await eventually(lambda: is_told(3, 0), what="a load without a benchmarker")
