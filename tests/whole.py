"""All services in the process of a test, on its nats-server: for a fraction of the price of `vedette up`.

`process.up` starts a nats-server and a process for the recommender, which imports for two seconds. That these work is
for the tests of `up` itself.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from commands import Ended, answered
from eventually import eventually
from sqlite import make_tables
from vedette import Client
from vedette.bus.connection import connect
from vedette.bus.provisioning import provision
from vedette.local import instance
from vedette.local.instance import Connection
from vedette.runtime import process
from vedette.runtime.nats_server import NatsServer
from vedette.runtime.process import Running
from vedette.settings import Console, Nats, Settings, load


@asynccontextmanager
async def whole(
    settings: Settings, server: NatsServer, directory: Path
) -> AsyncIterator[tuple[Running, Client]]:
    """Run every service that *settings* want, each by its own login of *server*; and a client of an agent.

    History is in *directory*. Streams stay on *server*, so another run goes on where this one ended.
    """
    settings = process.with_database(settings, directory)
    if not instance.database_file(directory).exists():
        await make_tables(instance.database_file(directory))
    async with connect(Nats(url=server.url("operator")), name="test") as connection:
        await provision(connection, settings)
    async with (
        process.run(settings, process.wanted(settings), server=server) as running,
        Client(server.url("agent"), timeout_s=60) as client,
    ):
        yield running, client


class Found(Struct, frozen=True):
    """A Vedette as commands find it."""

    directory: Path
    connection: Connection
    client: Client

    async def ask(self, *arguments: str) -> Ended:
        """Run a command against it, again while its services are too busy to reply in time."""
        return await answered(*arguments, "--state-dir", str(self.directory))

    async def knows(self, count: int) -> None:
        """Return when the recommender, which commands ask, has *count* models."""

        async def known() -> bool:
            return (await self.client.models()).total == count

        await eventually(known, what=f"{count} models known")


@asynccontextmanager
async def found(config: str, server: NatsServer, directory: Path) -> AsyncIterator[Found]:
    """Run everything but the console on a configuration (TOML), where commands with this state directory find it."""
    file = _written(config, directory)
    settings = msgspec.structs.replace(load(file, environ={}), console=Console(enabled=False))
    async with whole(settings, server, directory) as (running, client):
        connection = msgspec.structs.replace(running.connection, config=file)
        with instance.announced(directory, connection):
            yield Found(directory, connection, client)


def _written(config: str, directory: Path) -> str:
    """Make *directory*, and return the file next to it that has *config*."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory.with_suffix(".toml")
    file.write_text(config)
    return str(file)
