"""Nothing but what the contracts name, tried against a real nats-server as each of its users.

That everything they do name works is what `tests/e2e` shows: there the services run as these users, and the server's
log has no violation in it.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import nats
import pytest
from nats.aio.client import Client as NatsClient

from vedette.bus import permissions
from vedette.bus.bus import Bus
from vedette.bus.connection import barrier
from vedette.messages.channels import CHANNELS
from vedette.messages.declaring import SERVICES, Role
from vedette.runtime.nats_server import NatsServer

# By anybody but who may, or by nobody at all.
READS = (
    "$JS.API.STREAM.DELETE.MODELS",
    "$JS.API.STREAM.PURGE.MODELS",
    "$JS.API.STREAM.UPDATE.JOBS",
    "$JS.API.STREAM.MSG.DELETE.MODELS",
    "$JS.API.STREAM.SNAPSHOT.MODELS",
    "$JS.API.CONSUMER.CREATE.DEAD.x",
)
EARS = (
    "job.>",
    "report.>",
    "dead.>",
    "schedule.*",
    "model.*.*.*",
    "progress.*",
    "$JS.>",
    "_INBOX.recommender.>",
    ">",
)


@asynccontextmanager
async def user(server: NatsServer, name: str) -> AsyncIterator[tuple[NatsClient, Callable[[], bool]]]:
    """Connect as *name*; yield the connection, and what tells whether the server has refused something since."""
    refused: list[str] = []

    async def on_error(error: Exception) -> None:
        refused.append(str(error))

    connection = await nats.connect(server.url(name), error_cb=on_error, inbox_prefix=permissions.inbox(name))

    def was_refused() -> bool:
        found = [one for one in refused if "permissions violation" in one.lower()]
        refused.clear()
        return bool(found)

    yield connection, was_refused
    await connection.close()


async def refuses_publishing(connection: NatsClient, refused: Callable[[], bool], subject: str) -> bool:
    """Return whether the server refuses a message on *subject*."""
    await connection.publish(subject, b"{}")
    await barrier(connection)
    return refused()


async def refuses_hearing(connection: NatsClient, refused: Callable[[], bool], subject: str) -> bool:
    """Return whether the server refuses a subscription of *subject*."""
    await connection.subscribe(subject)
    await barrier(connection)
    return refused()


def example(subject: str) -> str:
    """Return a subject as a channel names it, with its parts filled in."""
    return ".".join("x" if token in ("*", ">") else token for token in subject.split("."))


@pytest.mark.parametrize("role", SERVICES)
@pytest.mark.fault("a service's user publishes what is another's", "I13")
async def test_a_service_says_nothing_but_its_own(bus: Bus, server: NatsServer, role: Role) -> None:
    """Every channel of the contracts is open to its publishers and closed to the others; its copies to all."""
    async with user(server, role) as (connection, refused):
        for channel in CHANNELS:
            subject = example(channel.filter) if channel.stream != "DEAD" else f"dead.{role}"
            expected = role not in channel.publishers
            assert await refuses_publishing(connection, refused, subject) == expected, subject
            if channel.copy:
                copy = example(channel.copy.replace("{use case}", "*"))
                assert await refuses_publishing(connection, refused, copy), copy
        others = next(one for one in SERVICES if one != role)
        assert await refuses_publishing(connection, refused, f"dead.{others}")


@pytest.mark.parametrize("role", [*SERVICES, "agent"])
@pytest.mark.fault("a service's user reads or breaks what is another's", "I13")
async def test_no_service_reads_or_breaks_what_is_not_its_own(
    bus: Bus, server: NatsServer, role: str
) -> None:
    """Nor hears what it is not told, another's replies among it."""
    async with user(server, role) as (connection, refused):
        for subject in READS:
            # The recorder forgets lost models.
            expected = (role, subject) != ("recorder", "$JS.API.STREAM.PURGE.MODELS")
            assert await refuses_publishing(connection, refused, subject) == expected, subject
        for subject in EARS:
            # The recommender's own; and agents have an account of theirs, in which it is any subject.
            if role in ("recommender", "agent") and subject.startswith("_INBOX"):
                continue
            if (role, subject) == ("console", "progress.*"):  # it shows how far jobs are
                continue
            assert await refuses_hearing(connection, refused, subject), subject
        for owner in SERVICES:
            for durable in permissions.durables(owner):
                name = durable.name.replace("*", "benchmarker-gpu")
                subject = f"$JS.API.CONSUMER.DELETE.{durable.stream}.{name}"
                if owner != role:
                    assert await refuses_publishing(connection, refused, subject), subject


@pytest.mark.fault("an agent forges events and replies", "I2", "I13")
async def test_an_agent_forges_nothing(bus: Bus, server: NatsServer) -> None:
    """No event, no job, no report of what others said, no announcement; nor does it answer for anybody."""
    async with user(server, "agent") as (connection, refused):
        for channel in CHANNELS:
            assert await refuses_publishing(connection, refused, example(channel.filter)), channel.subject
        for subject in (
            "recommend.best",
            "models.list",
            "history.performance",
            "report.outcome",
            "$SRV.PING",
        ):
            assert await refuses_hearing(connection, refused, subject), subject
        for subject in permissions.FOLLOWED:
            assert not await refuses_hearing(connection, refused, subject), subject
        assert not await refuses_publishing(connection, refused, "recommend.best")
