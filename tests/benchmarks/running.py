"""The processes that are measured: a nats-server with so many models, recommenders, the echo, clients, Vedette."""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import nats
from msgspec import Struct
from nats.aio.client import Client as NatsClient

from benchmarks import population, questions
from benchmarks.asking import Client
from eventually import eventually
from vedette import client as agents
from vedette.bus.provisioning import provision
from vedette.runtime import nats_server
from vedette.runtime.nats_server import NatsServer
from vedette.runtime.subprocesses import child, free_port, last_line
from vedette.settings import Settings

_START_TIMEOUT_S = 180.0
_ASK_AGAIN_S = 0.01


def say(text: str) -> None:
    """Tell whoever waits how far it is."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


class Bench(Struct, frozen=True, kw_only=True):
    """A nats-server whose streams hold so many models, and the parent's own connection to it."""

    server: NatsServer
    connection: NatsClient
    directory: Path
    models: int

    @property
    def url(self) -> str:
        """Where services and clients connect."""
        return self.server.url("operator")


async def fill(directory: Path, *, present: int, models: int) -> None:
    """Bring the streams in *directory* from *present* models to *models*."""
    async with filling(directory / "nats", population.settings("", models)) as connection:
        took_s = await population.fill(connection, present, models)
    events = (models - present) * population.EVENTS_PER_MODEL
    say(f"{models} models: {events} events published in {took_s:.1f} s ({events / took_s:.0f}/s)")


@asynccontextmanager
async def filling(directory: Path, settings: Settings) -> AsyncIterator[NatsClient]:
    """Connect to a nats-server that takes what fills the streams in *directory*.

    It does not sync every write, which nobody measures here; the one after it does.
    """
    async with nats_server.run(directory) as server:  # writes credentials and configuration
        connection = await nats.connect(server.url("operator"))
        await provision(connection, settings)
        await connection.close()
    configuration = json.loads((directory / "nats-server.conf").read_text())
    configuration["jetstream"]["sync_interval"] = "10m"
    unsynced = directory / "unsynced.conf"
    unsynced.write_text(json.dumps(configuration))
    command = [nats_server.find_binary(), "--config", str(unsynced)]
    async with child(command, log=directory / "unsynced.log"):

        async def up() -> NatsClient | None:
            try:
                return await nats.connect(
                    server.url("operator"),
                    allow_reconnect=False,
                    pending_size=64 * 2**20,
                    error_cb=_say_nothing,  # refused until it is up
                )
            except (OSError, nats.errors.Error):
                return None

        connection = await eventually(up, what="the nats-server that is filled")
        yield connection
        await connection.close()


async def _say_nothing(_: Exception) -> None:
    pass


@asynccontextmanager
async def bench(directory: Path, models: int) -> AsyncIterator[Bench]:
    """Run a nats-server, as `vedette up` does, on the streams in *directory*, which hold *models* models."""
    async with nats_server.run(directory / "nats") as server:
        connection = await nats.connect(server.url("operator"), pending_size=64 * 2**20)
        await provision(connection, population.settings(server.url("operator"), models))
        yield Bench(server=server, connection=connection, directory=directory, models=models)
        await connection.close()


class Recommender(Struct, frozen=True):
    """A recommender's process, and how long it took from its start to its first answer."""

    pid: int
    first_answer_s: float


@asynccontextmanager
async def recommender(on: Bench, *, replica: int = 0) -> AsyncIterator[Recommender]:
    """Run the recommender as a pod does; yield when it answers, as it does only when it is warm.

    A further *replica* is waited for until it says that it is ready. Raises RuntimeError when it does not come up.
    """
    output = on.directory / f"recommender-{replica}.log"
    output.unlink(missing_ok=True)
    configuration = on.directory / "recommender.toml"
    configuration.write_text(
        f"[nats]\nprovision = false\nexpected_models = {population.expected_models(on.models)}\n"
    )
    command = "from vedette.cli import main; main()"
    arguments = ["run", "recommender", "--nats", on.server.url("recommender"), "--config", str(configuration)]
    os.environ["VEDETTE_CONFIG"] = ""
    began = time.perf_counter()
    async with child([sys.executable, "-c", command, *arguments], log=output) as process:
        while not await (_answers(on.connection) if replica == 0 else _says_ready(output)):
            if process.returncode is not None or time.perf_counter() - began > _START_TIMEOUT_S:
                raise RuntimeError(f"the recommender did not come up: {last_line(output)}")
            await asyncio.sleep(_ASK_AGAIN_S)
        yield Recommender(process.pid, time.perf_counter() - began)


async def _answers(connection: NatsClient, subject: str = "recommend.best") -> bool:
    try:
        await connection.request(subject, questions.SAME, timeout=60)
    except nats.errors.NoRespondersError:
        return False
    return True


async def _says_ready(output: Path) -> bool:
    return "\nready" in await asyncio.to_thread(output.read_text)


@asynccontextmanager
async def echo(on: Bench, size: int) -> AsyncIterator[Process]:
    """Run the raw responder that sends back *size* bytes."""
    command = [sys.executable, "-m", "benchmarks.echo", on.url, str(size)]
    async with child(command, log=on.directory / "echo.log") as process:
        await eventually(lambda: _answers(on.connection, "bench.echo"), what="the echo")
        yield process


@asynccontextmanager
async def clients(on: Bench, number: int) -> AsyncIterator[list[Client]]:
    """Run *number* client processes that wait for orders."""
    async with AsyncExitStack() as stack:
        running = []
        for n in range(number):
            command = [sys.executable, "-m", "benchmarks.asking", on.url, f"c{n}"]
            log = on.directory / f"client-{n}.log"
            process = await stack.enter_async_context(child(command, log=log))
            running.append(Client(f"c{n}", process.pid))
        for client in running:
            await eventually(lambda name=client.name: _listens(on.connection, name), what=client.name)  # type: ignore[misc]
        yield running


async def _listens(connection: NatsClient, name: str) -> bool:
    """Return whether the client *name* takes orders: one to ask nothing is carried out at once."""
    order = b'{"subject":"","kind":"same","seconds":0,"models":0,"seed":0}'
    try:
        await connection.request(f"bench.ask.{name}", order, timeout=5)
    except nats.errors.Error:
        return False
    return True


@asynccontextmanager
async def vedette(directory: Path, config: str) -> AsyncIterator[agents.Client]:
    """Run `vedette up` on a configuration (TOML), with its state in `directory/state`; yield a client of it."""
    file, state = directory / "vedette.toml", directory / "state"
    file.write_text(config)
    command = [sys.executable, "-m", "vedette", "up", "--config", str(file), "--state-dir", str(state)]
    async with child(command, log=directory / "vedette.log"):
        connected = (state / "connection.json").exists
        await eventually(lambda: asyncio.to_thread(connected), what="Vedette")
        async with agents.Client(state_dir=state) as client:
            yield client


class LlamaCpp(Struct, frozen=True):
    """A real llama.cpp that was started: it may still be loading its model."""

    url: str
    pid: int


@asynccontextmanager
async def llama_cpp(
    log: Path, *, slots: int, threads: int = 1, context_tokens: int = 8192
) -> AsyncIterator[LlamaCpp]:
    """Run a real llama.cpp with the demo's weights."""
    port = free_port()
    arguments = map(str, (port, slots, threads, context_tokens))
    async with child([sys.executable, "-m", "benchmarks.llamacpp", *arguments], log=log) as process:
        yield LlamaCpp(f"http://127.0.0.1:{port}", process.pid)
