"""The broker loses its data: the database gives the current state back, and nothing is lost, revived or doubled."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from eventually import eventually
from recorded import all_recorded
from require import missing
from samples import benchmark_event, lifecycle_event, model_info, probe_event, report_event
from vedette import log
from vedette.bus.bus import Bus
from vedette.bus.connection import connect
from vedette.bus.provisioning import provision
from vedette.client import Client, definitions
from vedette.client.definitions import Author
from vedette.clock import SystemClock
from vedette.errors import ConfigurationError, ProvisioningError
from vedette.messages.channels import RECORDED
from vedette.messages.codec import encode
from vedette.messages.events import Event
from vedette.messages.queries import ModelView
from vedette.runtime import nats_server
from vedette.runtime.nats_server import NatsServer
from vedette.settings import Database, Nats, Settings
from vedette.types import Claim, Evidence, ModelRef
from vedette_recommender import app as recommender
from vedette_recorder import app as recorder
from vedette_recorder import tables
from vedette_recorder.rebuilding import Rebuilt, restore
from vedette_recorder.store import Store

pytest_plugins = ("database",)

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)
FAST, SLOW, GONE = (ModelRef("local", name) for name in ("fast", "slow", "gone"))
CHAT = {"chat": Claim(value=True, evidence=Evidence.DECLARED, source="test")}
HISTORY = (
    tables.model_info_history,
    tables.model_availability_history,
    tables.model_performance_history,
    tables.model_reports,
)


def at(minute: float) -> datetime:
    return NOW + timedelta(minutes=minute)


def described(model: ModelRef) -> dict[str, Any]:
    return {"info": model_info(model, capabilities=CHAT, kind="chat")}


def events() -> list[Event]:
    """Return what happened: two models measured and reported, one changed, one lost."""
    return [
        *(lifecycle_event("found", model, at=at(0), **described(model)) for model in (FAST, SLOW, GONE)),
        *(probe_event(model, at=at(n), job_id=f"{n}") for n in (1, 2) for model in (FAST, SLOW, GONE)),
        benchmark_event(FAST, at=at(3), tps=80.0),
        benchmark_event(SLOW, at=at(3), tps=5.0),
        lifecycle_event("changed", SLOW, at=at(4), revision=2, **described(SLOW)),
        lifecycle_event("lost", GONE, at=at(5), revision=2, **described(GONE)),
        report_event(FAST, at=at(6), calls=3),
    ]


@asynccontextmanager
async def broker(directory: Path, url: str) -> AsyncIterator[tuple[NatsServer, Bus, Settings]]:
    """Run a server with its streams made."""
    try:
        nats_server.find_binary()
    except ConfigurationError as error:
        missing("nats-server", str(error))
    async with nats_server.run(directory) as server:
        nats = Nats(url=server.url("operator"), expected_models=10)
        settings = msgspec.structs.replace(Settings(), nats=nats, database=Database(url=url))
        async with connect(Nats(url=server.url("operator")), name="test") as connection:
            await provision(connection, settings)
            yield (
                server,
                Bus(connection, name="operator", clock=SystemClock(), log=log.logger("test")),
                settings,
            )


async def publish(bus: Bus, *published: Event) -> None:
    for event in published:
        headers = {"Nats-Msg-Id": event.id, "Nats-Expected-Last-Subject-Sequence": "0"}
        last = await bus.streams.last("REPORTS" if event.TYPE == "report" else "MODELS", event.subject)
        headers["Nats-Expected-Last-Subject-Sequence"] = str(last.sequence if last else 0)
        await bus.js.publish(event.subject, encode(event), headers=headers)


async def told(server: NatsServer) -> tuple[list[ModelView], ModelRef | None]:
    """Return what the recommender says of every model, and which is best."""
    async with Client(server.url("agent"), timeout_s=60) as client:
        best = (await client.best("chat")).recommendation
        return list((await client.models()).models), best.model if best else None


async def counts(store: Store) -> list[int]:
    return [await store.count(table) for table in HISTORY]


@pytest.mark.fault("broker's store wiped", "I1")
async def test_a_wiped_broker_gets_its_state_back_from_the_database(
    store: Store, url: str, tmp_path: Path
) -> None:
    """The same answers, headers and ids; a second time does nothing; in SQL nothing is doubled."""
    directory = tmp_path / "nats"
    async with (
        broker(directory, url) as (server, bus, settings),
        recorder.serve(settings),
        recommender.serve(settings),
    ):
        await publish(bus, *events())
        await eventually(lambda: all_recorded(bus.js, *RECORDED), what="all recorded")
        before = await told(server)
        rows = await counts(store)
    assert before[1] == FAST

    shutil.rmtree(directory / "jetstream")
    async with broker(directory, url) as (server, bus, settings):
        steps: list[tuple[int, int]] = []
        rebuilt = await restore(bus, store, lambda done, total: steps.append((done, total)))
        assert rebuilt == Rebuilt(restored=11)
        assert steps == [(n, 11) for n in range(1, 12)]
        assert await restore(bus, store) == Rebuilt(present=11)
        last = await bus.js.get_last_msg("MODELS", events()[-2].subject, direct=True)
        assert last.headers is not None
        assert last.headers["Nats-Msg-Id"] == events()[-2].id
        async with recorder.serve(settings), recommender.serve(settings):
            await eventually(lambda: all_recorded(bus.js, *RECORDED), what="all recorded again")
            assert await told(server) == before
        assert await counts(store) == rows
        created = (await bus.js.stream_info("MODELS")).created
        state = tables.current_state
        query = sa.select(state.c.stream_created_at).where(state.c.stream == "MODELS").distinct()
        assert [row["stream_created_at"] for row in await store.read(query)] == [created]
        assert await restore(bus, store) == Rebuilt(present=11)


@pytest.mark.fault("store wiped, found again, then restored", "I2")
async def test_what_was_found_anew_is_not_lost_again_by_an_old_loss(
    store: Store, url: str, tmp_path: Path
) -> None:
    """Services that went on without the past know better; measurements still come back."""
    directory = tmp_path / "nats"
    async with broker(directory, url) as (_, bus, settings), recorder.serve(settings):
        await publish(bus, *events())
        await eventually(lambda: all_recorded(bus.js, *RECORDED), what="all recorded")
    shutil.rmtree(directory / "jetstream")
    async with broker(directory, url) as (_, bus, settings):
        async with recorder.serve(settings):
            for model in (SLOW, GONE):
                await publish(bus, lifecycle_event("found", model, at=at(8), **described(model)))
            await eventually(lambda: all_recorded(bus.js, *RECORDED), what="all recorded")
        rebuilt = await restore(bus, store)
        assert rebuilt == Rebuilt(restored=7, present=2, outdated=2)
        for model in (FAST, SLOW, GONE):
            assert (await bus.streams.read_model(model)).present
        assert (await bus.streams.read_model(SLOW)).performance is not None


@pytest.mark.fault("store wiped, with endpoints that were defined at run time", "I1")
async def test_what_operators_defined_comes_back_first(store: Store, url: str, tmp_path: Path) -> None:
    """The last definition of each endpoint, before any model; one that was defined since stays."""
    directory = tmp_path / "nats"
    anna = Author(by="anna", via="test", reason="new rack")
    async with broker(directory, url) as (_, bus, settings):
        await bus.js.delete_stream(definitions.STREAM)  # as after an upgrade: it is the newest stream
        await provision(bus.connection, settings)
        async with recorder.serve(settings):
            await publish(bus, events()[0])
            for name in ("gpu", "hub"):
                added = definitions.add({"url": f"http://{name}:8000"})
                await definitions.define(bus, name, added, anna, expected=0)
            held = await definitions.last(bus, "gpu")
            assert held is not None
            paused = definitions.pause(author=anna, now=NOW, until=None)
            await definitions.define(bus, "gpu", paused, anna, expected=held.sequence)
            await definitions.define(bus, "old", definitions.remove, anna, expected=0)
            await eventually(lambda: all_recorded(bus.js, *RECORDED), what="all recorded")
    shutil.rmtree(directory / "jetstream")
    async with broker(directory, url) as (_, bus, settings):
        await definitions.define(bus, "hub", definitions.add({"url": "http://new:1"}), anna, expected=0)
        assert await restore(bus, store) == Rebuilt(restored=3, present=1)
        gpu, hub, old = [await definitions.last(bus, name) for name in ("gpu", "hub", "old")]
        model = await bus.streams.first_from("MODELS", 1, events()[0].subject)
        defined = await bus.streams.first_from(definitions.STREAM, 1, definitions.subject("old"))
    assert gpu is not None
    assert gpu.event.paused is not None
    assert gpu.event.settings == {"url": "http://gpu:8000"}
    assert (gpu.event.by, gpu.event.reason) == ("anna", "new rack")
    assert hub is not None
    assert hub.event.settings == {"url": "http://new:1"}
    assert old is not None
    assert old.event.removed
    assert model is not None
    assert defined is not None
    assert defined.at <= model.at


async def test_a_stream_that_is_not_there_is_named(
    bus: Bus, store: Store, url: str, settings: Settings
) -> None:
    """With what makes it."""
    chosen = msgspec.structs.replace(settings, database=Database(url=url))
    async with recorder.serve(chosen):
        await publish(bus, *events()[:1])
        await eventually(lambda: all_recorded(bus.js, *RECORDED), what="recorded")
    await bus.js.delete_stream("MODELS")
    with pytest.raises(ProvisioningError, match="vedette provision"):
        await restore(bus, store)
