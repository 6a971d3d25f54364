"""Fixtures that every tier may use: a real nats-server, a bus on it, settings that point there, a real model."""

import gc
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import nats
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings
from nats.aio.client import Client
from nats.js.api import StreamInfo

import preloaded
from ports import reserved
from require import missing
from vedette import log
from vedette.bus.bus import Bus
from vedette.bus.connection import RECONNECT_UNLIMITED, close
from vedette.bus.provisioning import ensure_durable, provision, provision_stream
from vedette.bus.stream_configs import streams
from vedette.clock import SystemClock
from vedette.demo.server import serving, weights
from vedette.errors import ConfigurationError
from vedette.messages.channels import DURABLES
from vedette.runtime import nats_server
from vedette.runtime.nats_server import NatsServer
from vedette.settings import EndpointSettings, Nats, Settings

pytest_plugins = ("faults.table", "lanes", "limit", "order")

# Tests start processes by the hundred: without bytecode each would spend seconds on compiling what it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A test is right or wrong: how long it takes says only how busy the machine is. The examples are the same each time.
# The profile `ci`, which Hypothesis brings, tries a hundred of them; `wide` looks for new ones.
_ALWAYS: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("vedette", max_examples=15, derandomize=True, **_ALWAYS)
settings.register_profile("wide", max_examples=300, **_ALWAYS)
settings.load_profile("vedette")

preloaded.offer()

# Modules and tests, a hundred megabytes, live until the end: no collection of garbage looks at them.
if "PYTEST_XDIST_WORKER" in os.environ:
    gc.disable()


def pytest_collection_finish() -> None:
    """Collect garbage from now on, as often as services do."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
    gc.enable()


def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes run tests: many wait most of the time, so three more than there are processors."""
    return (os.cpu_count() or 1) + 3


@pytest.fixture
def needs_nats() -> None:
    """Say so when there is no nats-server."""
    try:
        nats_server.find_binary()
    except ConfigurationError as error:
        missing("nats-server", str(error))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NatsServer]:
    """Run one private nats-server for all tests of a worker."""
    async with nats_server.run(tmp_path_factory.mktemp("nats")) as running:
        yield running


@pytest.fixture
async def server(needs_nats: None, shared_server: NatsServer, request: pytest.FixtureRequest) -> NatsServer:
    """Return the shared nats-server without any stream; for a test with a `bus`, with those that none has used yet."""
    connection = await nats.connect(shared_server.url("operator"))
    manager = connection.jetstream(timeout=60)
    for stream in await manager.streams_info():
        if "bus" not in request.fixturenames or not _unused(stream):
            await manager.delete_stream(str(stream.config.name))
    await close(connection)
    return shared_server


@pytest.fixture
def port() -> Iterator[int]:
    """Return a port that refuses connections, until a server is told to listen on it."""
    with reserved() as number:
        yield number


@pytest.fixture
async def own_server(needs_nats: None, tmp_path: Path) -> AsyncIterator[NatsServer]:
    """Run a private nats-server of the test's own, which it may stop or configure."""
    async with nats_server.run(tmp_path / "nats") as running:
        yield running


@pytest.fixture
def settings(server: NatsServer) -> Settings:
    """Return settings whose services connect to the test's server."""
    return msgspec.structs.replace(Settings(), nats=Nats(url=server.url("operator"), expected_models=10))


@pytest.fixture
async def bus(server: NatsServer, settings: Settings) -> AsyncIterator[Bus]:
    """Yield a provisioned bus, each of whose streams is as it was when it had just been made."""
    connection = await nats.connect(server.url("operator"), **RECONNECT_UNLIMITED)
    await _provision(connection, settings)
    made = Bus(connection, name="test", clock=SystemClock(), log=log.logger("test"))
    yield made
    await made.close()
    await close(connection)


# What a server says of each stream that has just been made: to make all of them takes longer than most tests.
_new: dict[str | None, StreamInfo] = {}


def _unused(stream: StreamInfo) -> bool:
    """Return whether *stream* is as it was when `bus` made it: it has had no message, and has the same consumers."""
    new = _new.get(stream.config.name)
    return (
        new is not None
        and new.config == stream.config
        and stream.state.last_seq == 0
        and stream.state.consumer_count == new.state.consumer_count
    )


async def _provision(connection: Client, settings: Settings) -> None:
    """Do what `provision` does, for those streams that are not there."""
    js = connection.jetstream(timeout=60)
    there = {stream.config.name for stream in await js.streams_info()}
    if not there:
        await provision(connection, settings)
    else:
        for config in streams(settings):
            if config.name not in there:
                await provision_stream(js, config, most_bytes=config.max_bytes)
        for durable in DURABLES:
            if durable.stream not in there:
                await ensure_durable(connection, durable)
    if not _new:
        _new.update({stream.config.name: stream for stream in await js.streams_info()})


@pytest.fixture
async def model_server(tmp_path: Path) -> AsyncIterator[EndpointSettings]:
    """Serve SmolLM2-135M-Instruct on a free port, by one thread: two that wait for each other crawl beside others."""
    try:
        weights()
    except ConfigurationError as error:
        missing("model-server", str(error))
    async with serving(tmp_path, threads=1) as endpoint:
        yield endpoint
