"""Services that run take on other settings: endpoints that come, go and move, with jobs in hand."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest
from nats.aio.msg import Msg

from benchmarks.crowd import OllamaServer
from eventually import eventually
from vedette.bus.bus import Bus
from vedette.messages.catalogue import Catalogue
from vedette.messages.events import Job, JobKind, Progress
from vedette.runtime import process
from vedette.runtime.reloading import Reloading
from vedette.settings import Budget, EndpointSettings, Settings, Source
from vedette.types import ModelRef

MODELS = 3
NEVER_S = 3600.0


class Server:
    """A model server that answers after *latency_s*, and what it was asked."""

    def __init__(self, *, latency_s: float = 0.0) -> None:
        self.asked: Counter[str] = Counter()
        self.url = ""
        self.ollama = OllamaServer(models=MODELS, latency_s=latency_s, at_once=16, counts=self.asked)


class Serve(Protocol):
    """Starts a model server."""

    async def __call__(self, *, latency_s: float = 0.0) -> Server: ...


class Running:
    """Services, and how they are given other endpoints."""

    def __init__(self, settings: Settings) -> None:
        self.wanted = settings
        self.reloading: Reloading
        self.catalogue: Catalogue
        self.lines: list[str] = []

    async def reload(self, **endpoints: EndpointSettings) -> None:
        """Have the services take on *endpoints* in place of those they have."""
        self.wanted = msgspec.structs.replace(self.wanted, endpoints=endpoints)
        assert await self.reloading.reload()

    async def models(self, endpoint: str, count: int) -> None:
        """Wait until *endpoint* has *count* models that are there."""

        async def ask() -> bool:
            return len(self.catalogue.of_endpoint(endpoint)) == count

        await eventually(ask, what=f"{count} models at {endpoint}")


@asynccontextmanager
async def running(settings: Settings, *names: str, **endpoints: EndpointSettings) -> AsyncIterator[Running]:
    """Run services at *endpoints*."""
    started = msgspec.structs.replace(settings, endpoints=endpoints)
    made = Running(started)
    source = Source(Path("vedette.toml"), lambda: made.wanted, started)
    async with process.run(started, [*names], source=source, say=made.lines.append) as up:
        assert up.reloading is not None
        made.reloading, made.catalogue = up.reloading, up.services[0].catalogue
        yield made


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Return what starts a model server."""
    async with AsyncExitStack() as stack:

        async def start(*, latency_s: float = 0.0) -> Server:
            server = Server(latency_s=latency_s)
            server.url = await stack.enter_async_context(server.ollama.listening())
            return server

        yield start


def at(server: Server, **fields: Any) -> EndpointSettings:
    """Return the settings of an endpoint at *server*."""
    return EndpointSettings(url=server.url, timeout_s=NEVER_S, **fields)


async def told(bus: Bus) -> list[Progress]:
    """Return a list to which is added what is said of jobs."""
    heard: list[Progress] = []

    async def hear(message: Msg) -> None:
        heard.append(msgspec.json.decode(message.data, type=Progress))

    await bus.connection.subscribe("progress.>", cb=hear)
    await bus.connection.flush()
    return heard


async def test_endpoints_come_and_go(bus: Bus, settings: Settings, serve: Serve) -> None:
    """And one that comes back with the same settings is discovered again at once."""
    a, b = await serve(), await serve()
    async with running(settings, "discoverer", "prober", a=at(a)) as up:
        await up.models("a", MODELS)
        await up.reload(a=at(a), b=at(b))
        await up.models("b", MODELS)
        await up.reload(b=at(b))
        await up.models("a", 0)
        await up.models("b", MODELS)
        await up.reload(a=at(a), b=at(b))
        await up.models("a", MODELS)


@pytest.mark.parametrize(
    ("service", "kind"), [("discoverer", "discover"), ("prober", "probe"), ("benchmarker", "benchmark")]
)
async def test_a_job_at_an_endpoint_that_is_not_configured_says_so(
    bus: Bus, settings: Settings, serve: Serve, service: str, kind: JobKind
) -> None:
    """Whatever the job is, and whether it names a model."""
    heard = await told(bus)
    job = Job(id="1", at=bus.clock.now(), kind=kind, group="host", endpoint="gone", cause="manual")
    of_a_model = msgspec.structs.replace(job, id="2", model=ModelRef("gone", "m"))

    async def ended() -> bool:
        return {one.job_id for one in heard if one.state == "failed"} >= {"1", "2"}

    async with running(settings, service, here=at(await serve(), host_group="host")):
        for one in (job, of_a_model):
            await bus.publisher.enqueue(one)
        await eventually(ended, what="both jobs failed")
    said = {one.message for one in heard if one.job_id in ("1", "2") and one.state == "failed"}
    assert said == {"gone: not a configured endpoint"}


@pytest.mark.fault("an endpoint removed while a job there is in hand", "I12")
async def test_a_job_at_an_endpoint_that_is_removed_ends(bus: Bus, settings: Settings, serve: Serve) -> None:
    """The server would never answer: the job ends at once, says why, and is not done again."""
    stuck = await serve(latency_s=NEVER_S)
    heard = await told(bus)

    async def asked() -> bool:
        return bool(stuck.asked)

    async def queued() -> bool:
        return (await bus.js.stream_info("JOBS")).state.messages > 0

    async def ended() -> bool:
        return not await queued() and bool(heard) and heard[-1].state == "failed"

    async with running(settings, "discoverer", stuck=at(stuck)) as up:
        await eventually(asked, what="asked")
        assert await queued()
        await up.reload()
        await eventually(ended, what="the job gone, and that it failed")
        assert heard[-1].message == "stuck: removed from the configuration"


async def test_a_job_at_an_endpoint_that_moves_is_done_where_it_is_now(
    bus: Bus, settings: Settings, serve: Serve
) -> None:
    stuck, server = await serve(latency_s=NEVER_S), await serve()

    async def asked() -> bool:
        return bool(stuck.asked)

    async with running(settings, "discoverer", box=at(stuck)) as up:
        await eventually(asked, what="asked")
        await up.reload(box=at(server))
        await up.models("box", MODELS)


async def test_a_job_goes_on_when_only_the_budget_changes(bus: Bus, settings: Settings, serve: Serve) -> None:
    """What is being measured is not lost."""
    slow = await serve(latency_s=1.0)
    heard = await told(bus)

    async def asked() -> bool:
        return bool(slow.asked)

    async with running(settings, "discoverer", box=at(slow)) as up:
        await eventually(asked, what="asked")
        await up.reload(box=at(slow, budget=Budget(requests_per_day=100)))
        await up.models("box", MODELS)
        assert [one.state for one in heard if one.state == "failed"] == []


async def test_an_unknown_provider_changes_nothing(bus: Bus, settings: Settings, serve: Serve) -> None:
    a = await serve()
    async with running(settings, "discoverer", "prober", a=at(a)) as up:
        await up.models("a", MODELS)
        await up.reload(b=at(a, provider="nonesuch"))
        assert "refused: provider 'nonesuch': not installed" in up.lines[-1]
        await up.models("a", MODELS)
        await up.reload(a=at(a), b=at(a))
        await up.models("b", MODELS)
