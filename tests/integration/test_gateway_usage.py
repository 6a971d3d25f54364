"""Usage of the gateway's callers on a real server: replicas that share it, end, start again, and lose the broker."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import nats
import pytest

from eventually import eventually
from vedette import log
from vedette.bus import permissions
from vedette.bus.bus import Bus
from vedette.bus.connection import RECONNECT_UNLIMITED, close, connect
from vedette.bus.provisioning import provision
from vedette.clock import SystemClock
from vedette.messages.queries import Used
from vedette.runtime.nats_server import NatsServer
from vedette.settings import Nats, Settings
from vedette_gateway.sharing import Sharing
from vedette_gateway.usage import Usage

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)  # no midnight falls into a test
CALL = Used(requests=1, tokens=10, usd=0.25)


@asynccontextmanager
async def replica(server: NatsServer) -> AsyncIterator[Usage]:
    """Run what one gateway shares usage with, as the user that it is; at the end it is killed."""
    connection = await nats.connect(
        server.url("gateway"), inbox_prefix=permissions.inbox("gateway"), **RECONNECT_UNLIMITED
    )
    bus = Bus(connection, name="gateway", clock=SystemClock(), log=log.logger("gateway"))
    usage = Usage(now=lambda: NOON, replica=secrets.token_hex(6))
    sharing = Sharing(bus, usage)
    await sharing.follow()
    running = asyncio.create_task(sharing.run())
    try:
        yield usage
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await bus.close()
        await close(connection)


async def have(calls: int, *usages: Usage) -> None:
    """Wait until so many calls are known to all of *usages*."""

    async def ask() -> bool:
        return all(usage.of("team-a").requests == calls for usage in usages)

    await eventually(ask, what=f"{calls} calls")


@pytest.mark.usefixtures("bus")
async def test_replicas_share_usage_and_a_new_one_knows_it_at_once(server: NatsServer) -> None:
    async with replica(server) as one, replica(server) as two:
        for _ in range(3):
            one.add("team-a", CALL)
        two.add("team-a", CALL)
        await have(4, one, two)
    async with replica(server) as three:
        assert three.of("team-a") == Used(requests=4, tokens=40, usd=1.0)
        three.add("team-a", CALL)
        async with replica(server) as four:
            await have(5, three, four)


@pytest.mark.lane("faults")
@pytest.mark.fault("the broker is away while callers use the gateway", "I5", "I13")
async def test_what_is_used_without_a_broker_counts_afterwards(own_server: NatsServer) -> None:
    settings = Settings(nats=Nats(url=own_server.url("operator"), expected_models=10))
    async with connect(settings.nats, name="test") as operator:
        await provision(operator, settings)
    async with replica(own_server) as one, replica(own_server) as two:
        one.add("team-a", CALL)
        await have(1, one, two)
        await own_server.stop()
        one.add("team-a", CALL)
        two.add("team-a", CALL)
        assert one.of("team-a").requests == two.of("team-a").requests == 2
        await own_server.restart()
        await have(3, one, two)
