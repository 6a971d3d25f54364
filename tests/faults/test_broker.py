"""The broker goes away, hangs, or is cut off from some: nobody is deaf and says nothing, and nothing is lost."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import nats
import pytest
from nats.aio.client import Client as NatsClient

from eventually import eventually, until_ready
from faults.breaking import Broker, Sqlite, say_nothing
from faults.proxy import Proxy, proxy
from faults.publishing import Publisher, events, recorded
from faults.replicas import Replica
from faults.storm import Findings, findings
from redelivery import shorten_ack_wait
from vedette.bus.connection import RECONNECT_UNLIMITED
from vedette.bus.provisioning import provision
from vedette.client import Client
from vedette.errors import VedetteError
from vedette.runtime.nats_server import NatsServer
from vedette.runtime.service import open_service
from vedette.settings import Nats, Settings

EVENTS = 400
# What a service held when its connection broke comes again after so long.
ACK_WAIT_S = 5.0
# A half-open connection is noticed after two pings of five seconds, a broken one at once; on a busy machine later.
NOTICED_WITHIN_S = 60.0
# Longer than the attempts that nats-py makes by default, at one a second.
LONG_S = 15.0


class Scene:
    """A recommender and a recorder that reach the broker through a network, and others that reach it directly."""

    def __init__(self, broker: Broker, network: Proxy, services: list[Replica]) -> None:
        self.broker = broker
        self.network = network
        self.services = services

    async def all_ready(self) -> bool:
        """Return whether all services say so, none having been started again."""
        return all([await service.is_ready() for service in self.services])

    async def all_say_so(self) -> bool:
        """Return whether all services say that they are not ready."""
        return all([await service.health() == 503 for service in self.services])


async def _killed(on: Scene) -> None:
    await on.broker.kill()
    await eventually(on.all_say_so, within_s=NOTICED_WITHIN_S, what="all not ready")
    await asyncio.sleep(LONG_S)
    await on.broker.come_back()


async def _frozen(on: Scene) -> None:
    os.kill(on.broker.server.pid, signal.SIGSTOP)
    try:
        await eventually(on.all_say_so, within_s=NOTICED_WITHIN_S, what="all not ready")
    finally:
        os.kill(on.broker.server.pid, signal.SIGCONT)


async def _silent(on: Scene) -> None:
    on.network.hold()
    await eventually(on.all_say_so, within_s=NOTICED_WITHIN_S, what="all not ready")
    await asyncio.sleep(5)
    on.network.heal()


async def _cut(on: Scene) -> None:
    for _ in range(5):
        on.network.cut()
        await asyncio.sleep(0.3)


async def _garbled(on: Scene) -> None:
    on.network.garble(3)
    await asyncio.sleep(3)


async def _slow(on: Scene) -> None:
    on.network.delay_s = 0.3
    await asyncio.sleep(3)
    on.network.delay_s = 0.0


def _fault(broken: Callable[[Scene], Awaitable[None]], what: str, *invariants: str) -> Any:
    return pytest.param(broken, marks=pytest.mark.fault(what, *invariants), id=broken.__name__.strip("_"))


@asynccontextmanager
async def scene(directory: Path) -> AsyncIterator[tuple[Scene, Sqlite, NatsClient]]:
    """Run a broker, and behind a network a recommender and a recorder."""
    database = Sqlite(directory / "vedette.db")
    config = directory / "vedette.toml"
    config.write_text(f'[nats]\nprovision = false\n[database]\nurl = "{database.url}"\n')
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(Broker(directory / "nats"))
        connection = await nats.connect(
            broker.server.url("operator"), error_cb=say_nothing, **RECONNECT_UNLIMITED
        )
        stack.push_async_callback(connection.close)
        await provision(connection, Settings(nats=Nats(expected_models=10)))
        await shorten_ack_wait(connection.jetstream(timeout=60), ACK_WAIT_S)
        network = await stack.enter_async_context(proxy(broker.server.port))

        def url(user: str) -> str:
            return broker.server.url(user).replace(f":{broker.server.port}", f":{network.port}")

        services = [Replica(name, 0, url(name), config) for name in ("recorder", "recommender")]
        await asyncio.gather(*(stack.enter_async_context(service) for service in services))
        yield Scene(broker, network, services), database, connection


@pytest.mark.parametrize(
    "broken",
    [
        _fault(_killed, "broker gone for longer than a default client tries", "I1", "I4", "I5"),
        _fault(_frozen, "broker frozen, connections half open", "I1", "I4", "I5"),
        _fault(_silent, "network to the broker silent", "I1", "I4", "I5"),
        _fault(_cut, "connections to the broker cut again and again", "I1", "I4"),
        _fault(_garbled, "what the broker says garbled on the way", "I1", "I4", "I5"),
        _fault(_slow, "network to the broker slow", "I1", "I4"),
    ],
)
async def test_services_say_so_and_go_on_by_themselves(
    broken: Callable[[Scene], Awaitable[None]], tmp_path: Path
) -> None:
    """Not ready while they cannot work, ready again without a restart, every question ends, every event is kept."""
    asked: list[str] = []
    async with scene(tmp_path) as (on, database, connection):
        publisher = Publisher(connection)

        client = Client(on.broker.server.url("agent"), timeout_s=1)
        await client.connect()

        async def ask() -> None:
            while True:
                try:
                    async with asyncio.timeout(30):
                        await client.best("chat")
                    asked.append("answered")
                except VedetteError as error:
                    asked.append(type(error).__name__)
                except TimeoutError:
                    asked.append("neither answer nor error")
                await asyncio.sleep(0.05)

        asking = asyncio.create_task(ask())
        await asyncio.gather(broken(on), publisher.publish(events(EVENTS, seed=3)))
        await eventually(on.all_ready, what="all ready again")
        before = len(asked)

        async def answered() -> bool:
            return "answered" in asked[before:]

        await eventually(answered, what="an answer")
        asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled(), asking.exception()
        await client.close()
        await eventually(lambda: recorded(connection.jetstream(timeout=60)), what="everything recorded")
    assert "neither answer nor error" not in asked
    assert await findings(publisher, database.url) == Findings(
        events=EVENTS, lost=0, doubled=0, unknown=0, stale=0
    )


@pytest.mark.fault("broker responds to a health check too late", "I5")
async def test_a_late_pong_leaves_nobody_deaf(server: NatsServer, settings: Settings) -> None:
    """Whoever asked is not ready meanwhile, and hears as before from the moment that the network is back."""
    async with proxy(server.port) as network:
        url = server.url("operator").replace(f":{server.port}", f":{network.port}")
        behind = msgspec.structs.replace(settings, nats=msgspec.structs.replace(settings.nats, url=url))
        async with open_service("recommender", behind) as service:
            await until_ready(service)
            network.hold()
            assert await service.ready() == "NATS does not answer"
            assert await service.ready() == "NATS does not answer"
            network.heal()
            await until_ready(service)
            await service.bus.connection.jetstream(timeout=60).account_info()
            assert service.bus.connection.stats["reconnects"] == 0
