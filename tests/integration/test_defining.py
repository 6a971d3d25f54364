"""Endpoints that operators define at run time, and those that appear: in force without a restart, and at the start."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.crowd import OllamaServer
from eventually import eventually
from vedette.bus.bus import Bus
from vedette.client import definitions
from vedette.client.definitions import Author, Change
from vedette.errors import RequestError
from vedette.messages import ids
from vedette.messages.catalogue import Catalogue
from vedette.messages.events import EndpointAppeared
from vedette.runtime import process
from vedette.runtime.defining import FOLLOWERS, following
from vedette.runtime.nats_server import NatsServer
from vedette.runtime.reloading import Reloading
from vedette.settings import Defined, EndpointSettings, Seen, Settings, Source

MODELS = 3
ANNA = Author(by="anna", via="test", reason="a trial")


class Running:
    """Services of a process with their definitions, and the lines that it says."""

    def __init__(self) -> None:
        self.reloading: Reloading
        self.catalogue: Catalogue
        self.lines: list[str] = []

    async def until(self, name: str, *, models: int) -> None:
        """Take definitions on until *name* has *models* that are there."""

        async def ask() -> bool:
            await self.reloading.redefine()
            return len(self.catalogue.of_endpoint(name)) == models

        await eventually(ask, what=f"{models} models at {name}")

    async def until_said(self, words: str) -> None:
        """Take definitions on until a line has *words*."""

        async def ask() -> bool:
            await self.reloading.redefine()
            return any(words in line for line in self.lines)

        await eventually(ask, what=f"{words!r} among what is said")


@asynccontextmanager
async def running(settings: Settings, *names: str, **endpoints: EndpointSettings) -> AsyncIterator[Running]:
    """Run services, whose file names *endpoints*."""
    started = msgspec.structs.replace(settings, endpoints=endpoints)
    made = Running()
    source = Source(Path("vedette.toml"), lambda: started, started)
    async with process.run(started, [*names], source=source, say=made.lines.append) as up:
        assert up.reloading is not None
        made.reloading, made.catalogue = up.reloading, up.services[0].catalogue
        yield made


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Return the URL of a model server."""
    async with OllamaServer(models=MODELS, latency_s=0.0, at_once=16, counts=Counter()).listening() as url:
        yield url


async def define(bus: Bus, name: str, change: Change) -> None:
    """Publish *change* of the endpoint *name*."""
    held = await definitions.last(bus, name)
    await definitions.define(bus, name, change, ANNA, expected=held.sequence if held else 0)


async def appear(bus: Bus, name: str, url: str, **fields: Any) -> None:
    """Publish that *name* appeared at *url*."""
    at = bus.clock.now()
    event = EndpointAppeared(
        id=ids.derive(at, name, str(fields)),
        at=at,
        source="kubernetes",
        endpoint=name,
        settings={"url": url},
        **fields,
    )
    await bus.publisher.advance("APPEARED", event.subject, lambda _: event)


async def lost(bus: Bus) -> int:
    """Return how many models were lost."""
    return await bus.streams.count("MODELS", "model.lost.>")


async def test_an_endpoint_is_added_paused_resumed_and_removed_without_a_restart(
    bus: Bus, settings: Settings, url: str
) -> None:
    async with running(settings, "discoverer", "prober") as up:
        await define(bus, "box", definitions.add({"url": url}))
        await up.until("box", models=MODELS)
        until = bus.clock.now() + timedelta(hours=1)
        await define(bus, "box", definitions.pause(author=ANNA, now=bus.clock.now(), until=until))
        await up.until_said("endpoint box paused by anna until")
        assert await lost(bus) == 0
        probed = await bus.streams.count("ENDPOINTS", "endpoint.observed.box")
        await define(bus, "box", definitions.resume)
        await up.until_said("endpoint box resumed")

        async def probed_again() -> bool:
            return await bus.streams.count("ENDPOINTS", "endpoint.observed.box") > probed

        await eventually(probed_again, what="box contacted again at once")
        await define(bus, "box", definitions.remove)
        await up.until("box", models=0)
        assert await lost(bus) == MODELS


async def test_what_appears_is_discovered_and_lost_when_it_is_gone(
    bus: Bus, settings: Settings, url: str
) -> None:
    async with running(settings, "discoverer") as up:
        await appear(bus, "ml-box", url)
        await up.until("ml-box", models=MODELS)
        await appear(bus, "ml-box", url, state="asleep", reason="scaled to zero")
        await up.until_said("endpoint ml-box asleep: scaled to zero")
        await up.until("ml-box", models=MODELS)
        await appear(bus, "ml-box", url, state="gone", reason="its Service was deleted")
        await up.until("ml-box", models=0)


async def test_a_process_that_starts_knows_the_definitions_before_anything_else(
    bus: Bus, settings: Settings, url: str
) -> None:
    """No model is lost as of an endpoint that left the configuration, whose file never had it."""
    async with running(settings, "discoverer") as up:
        await define(bus, "box", definitions.add({"url": url}))
        await appear(bus, "paused", url + "/", state="there")
        await up.until("box", models=MODELS)
    async with running(settings, "discoverer", other=EndpointSettings(url="http://127.0.0.1:9")) as up:
        assert set(up.reloading.current.endpoints) == {"other", "box"}
        await define(bus, "box", definitions.edit({"timeout_s": 5}))
        await up.until_said("endpoint box changed")
        assert await lost(bus) == 0
    async with running(settings, "discoverer", other=EndpointSettings(url="http://127.0.0.1:9")) as up:
        await define(bus, "box", definitions.remove)
        await up.until("box", models=0)


async def test_a_replica_that_lags_behind_loses_no_model(bus: Bus, settings: Settings, url: str) -> None:
    """It has yet to take on a definition by which another replica has found them."""
    async with running(settings, "discoverer") as up:
        await define(bus, "box", definitions.add({"url": url}))
        await up.until("box", models=MODELS)
    other = {"other": EndpointSettings(url="http://127.0.0.1:9")}
    late = msgspec.structs.replace(settings, endpoints=other, defined=Defined(seen=Seen()))

    async def seen_other() -> bool:
        return await bus.streams.last("JOBS", "job.discover.*.other") is not None or bool(
            await bus.streams.count("ENDPOINTS", "endpoint.observed.other")
        )

    async with process.run(late, ["discoverer"]):
        # It has queued what it has to discover, and decided what is lost, in this order.
        await eventually(seen_other, what="the other endpoint discovered")
    assert await lost(bus) == 0
    knows = msgspec.structs.replace(late, defined=Defined(seen=Seen(definitions=2**40)))

    async def all_lost() -> bool:
        return await lost(bus) == MODELS

    async with process.run(knows, ["discoverer"]):
        await eventually(all_lost, what="the models of an endpoint that is not in force lost")


async def test_a_definition_that_cannot_be_used_here_is_the_trouble_of_that_endpoint_alone(
    bus: Bus, settings: Settings, url: str
) -> None:
    """A missing secret, an unknown provider: the others are taken on, and a service that starts does so."""
    await define(bus, "keyed", definitions.add({"url": url, "api_key": {"env": "NOT_SET_ANYWHERE"}}))
    await define(bus, "strange", definitions.add({"url": url, "provider": "nonesuch"}))
    await define(bus, "box", definitions.add({"url": url}))
    async with running(settings, "discoverer") as up:
        await up.until("box", models=MODELS)
        assert {"keyed", "strange"} < set(up.reloading.current.endpoints)


async def test_the_second_of_two_operators_gets_an_error(bus: Bus, settings: Settings) -> None:
    """It changes nothing; what the first did is in force."""
    await define(bus, "box", definitions.add({"url": "http://box:1"}))
    seen = await definitions.last(bus, "box")
    assert seen is not None
    first = await definitions.define(
        bus, "box", definitions.edit({"timeout_s": 5}), ANNA, expected=seen.sequence
    )
    bob = Author(by="bob", via="test")
    with pytest.raises(RequestError, match=r"changed meanwhile by anna \(edit, "):
        await definitions.define(bus, "box", definitions.remove, bob, expected=seen.sequence)
    now = await definitions.last(bus, "box")
    assert now is not None
    assert now.event == first


@pytest.mark.parametrize("role", sorted(FOLLOWERS))
async def test_a_service_follows_definitions_by_its_own_login(
    bus: Bus, settings: Settings, server: NatsServer, role: str
) -> None:
    """As in a cluster, where each process has the login of its service: what is there, and what comes."""
    await define(bus, "box", definitions.add({"url": "http://box:1"}))
    await appear(bus, "ml-box", "http://ml-box:1")
    login = msgspec.structs.replace(settings.nats, url=server.url(role))
    async with following(login, [role]) as defining:
        assert defining is not None
        assert set(defining.overlay(settings).endpoints) == {"box", "ml-box"}
        await define(bus, "box", definitions.remove)

        async def gone() -> bool:
            assert defining is not None
            return set(defining.overlay(settings).endpoints) == {"ml-box"}

        await eventually(gone, what="the removal taken on")


async def test_a_process_whose_services_need_no_endpoint_follows_none(settings: Settings) -> None:
    async with following(settings.nats, ["ticker", "recorder"]) as defining:
        assert defining is None
