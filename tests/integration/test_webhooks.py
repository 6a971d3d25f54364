"""Webhooks on a real broker, with receivers that verify by the official library: nothing is lost, and none waits."""

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import nats
import pytest
from standardwebhooks.webhooks import Webhook as Verifier
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from eventually import eventually
from samples import lifecycle_event
from vedette import log
from vedette.bus.bus import Bus
from vedette.bus.connection import RECONNECT_UNLIMITED, close
from vedette.bus.publishing import headers_of
from vedette.clock import SystemClock
from vedette.errors import ConfigurationError
from vedette.messages.codec import encode
from vedette.messages.consumers import deliveries
from vedette.messages.events import DeadLetter, ModelEvent, WebhookState
from vedette.runtime import web
from vedette.runtime.nats_server import NatsServer
from vedette.settings import Outbound, Secret, Settings, Webhook
from vedette.types import ModelRef
from vedette_console.webhooks.running import Webhooks
from vedette_recorder.dead_letters import letters

Reply = Callable[[], Response]


class Receiver:
    """A receiver that verifies what comes. `replies` are given in turn, then 204; while `held`, none."""

    def __init__(self, secret: str) -> None:
        self.url = ""
        self.ids: list[str] = []  # of what was verified
        self.bodies: list[Any] = []
        self.replies: list[Reply] = []
        self.held = asyncio.Event()
        self.held.set()
        self._verifier = Verifier(secret)
        self.app = Starlette(routes=[Route("/hook", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        self.bodies.append(self._verifier.verify(body, dict(request.headers)))
        self.ids.append(request.headers["webhook-id"])
        await self.held.wait()
        return self.replies.pop(0)() if self.replies else Response(status_code=204)


class Rig:
    """Receivers, and webhooks that send to them."""

    def __init__(self, directory: Path) -> None:
        self.secret = "whsec_" + base64.b64encode(os.urandom(32)).decode()
        self.file = directory / "secret"
        self.file.write_text(self.secret)
        self.stack = AsyncExitStack()

    async def receiver(self) -> Receiver:
        """Start a receiver."""
        made = Receiver(self.secret)
        serving = web.listening(made.app, "127.0.0.1", 0, section="test", closing_s=1)
        made.url = f"{await self.stack.enter_async_context(serving)}/hook?token=t0p"
        self.stack.callback(made.held.set)
        return made

    def settings(self, outbound: Outbound | None = None, **receivers: Receiver | Webhook) -> Settings:
        """Return settings with a webhook for each of *receivers*."""
        return Settings(
            outbound=outbound or Outbound(),
            webhooks=tuple(
                one
                if isinstance(one, Webhook)
                else Webhook(name=name, url=one.url, secret=Secret(file=str(self.file)))
                for name, one in receivers.items()
            ),
        )


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """Give receivers and webhooks."""
    made = Rig(tmp_path)
    async with made.stack:
        yield made


@asynccontextmanager
async def console(server: NatsServer, settings: Settings) -> AsyncIterator[Webhooks]:
    """Run the webhooks of a console as one of its processes does, on a connection of its own."""
    connection = await nats.connect(server.url("operator"), **RECONNECT_UNLIMITED)
    bus = Bus(connection, name="console", clock=SystemClock(), log=log.logger("console"))
    webhooks = Webhooks(bus, publish_every_s=0.1)
    try:
        await webhooks.open(settings)
        yield webhooks
    finally:
        await bus.close()
        await webhooks.finish()
        await close(connection)


async def publish(bus: Bus, *names: str) -> list[str]:
    """Publish that models were found; return the ids of the events."""
    events: list[ModelEvent] = [
        lifecycle_event("found", ModelRef("gpu", name), at=bus.clock.now()) for name in names
    ]
    for event in events:
        await bus.publisher.store(event.subject, encode(event), headers_of(event, source="test"))
    return [event.id for event in events]


async def all_there(receiver: Receiver, ids: list[str]) -> None:
    """Wait until *receiver* has had all of *ids*."""

    async def ask() -> bool:
        return set(ids) <= set(receiver.ids)

    await eventually(ask, what="all events are there")


async def state(bus: Bus, name: str) -> WebhookState | None:
    """Return what was last published of a webhook."""
    held = await bus.streams.last("WEBHOOKS", f"webhook.{name}")
    return held.event if held and isinstance(held.event, WebhookState) else None


async def test_each_event_comes_once_signed_and_whole(bus: Bus, server: NatsServer, rig: Rig) -> None:
    """With its own id, also of a process that begins while another goes on; nothing from before."""
    await publish(bus, "earlier")
    ops = await rig.receiver()
    async with console(server, rig.settings(ops=ops)), console(server, rig.settings(ops=ops)):
        ids = await publish(bus, *(f"m{number}" for number in range(20)))
        await all_there(ops, ids)
        await settled(bus, "ops")
    assert sorted(ops.ids) == sorted(ids)
    body = ops.bodies[ops.ids.index(ids[0])]
    assert body["type"] == "model.found"
    assert body["timestamp"] == body["data"]["at"]
    assert body["data"]["id"] == ids[0]
    assert body["data"]["model"] == {"endpoint": "gpu", "name": "m0"}


async def settled(bus: Bus, name: str) -> None:
    """Wait until nothing of a webhook is queued or in hand."""

    async def ask() -> bool:
        return await bus.streams.count("DELIVERIES", f"delivery.{name}") == 0

    await eventually(ask, what="nothing is queued")


async def test_one_that_hangs_delays_no_other_and_loses_nothing(
    bus: Bus, server: NatsServer, rig: Rig
) -> None:
    """Nor does it lose what its process had in hand: another sends it again."""
    ops, slow = await rig.receiver(), await rig.receiver()
    slow.held.clear()
    settings = rig.settings(ops=ops, slow=slow)
    names = [f"m{number}" for number in range(12)]
    async with console(server, settings):
        ids = await publish(bus, *names)
        await all_there(ops, ids)
        assert len(slow.ids) <= 4
    slow.held.set()
    async with console(server, settings):
        await all_there(slow, ids)
        await settled(bus, "slow")
    assert set(ops.ids) == set(slow.ids) == set(ids)


async def test_a_failure_is_retried_and_told(bus: Bus, server: NatsServer, rig: Rig) -> None:
    ops = await rig.receiver()

    def broken() -> Response:
        ops.held.clear()  # the next attempt waits until the failure was seen
        return Response("broken", status_code=500)

    ops.replies = [broken]
    async with console(server, rig.settings(ops=ops)):
        ids = await publish(bus, "m")

        async def failing() -> WebhookState | None:
            told = await state(bus, "ops")
            return told if told and told.failing_since else None

        async def well() -> WebhookState | None:
            told = await state(bus, "ops")
            return told if told and told.delivered_at and not told.failing_since else None

        told = await eventually(failing, what="it is told that it fails")
        assert told is not None
        assert told.problem == "HTTP 500: broken"
        assert told.receiver == ops.url.partition("/hook")[0]
        ops.held.set()
        await eventually(well, what="it is told that it is well again")
    assert len(ops.ids) >= 2
    assert set(ops.ids) == set(ids)


async def test_410_stops_it_until_its_table_changes(bus: Bus, server: NatsServer, rig: Rig) -> None:
    """Also in a process that begins later. The event is a dead letter; put back, it is sent."""
    ops = await rig.receiver()
    ops.replies = [lambda: Response(status_code=410)]
    settings = rig.settings(ops=ops)
    async with console(server, settings):
        ids = await publish(bus, "first")
        await all_there(ops, ids)
        dead = await eventually(lambda: dead_letter(bus), what="a dead letter")
        assert dead is not None
        assert dead.reason == "webhook ops: HTTP 410"
    async with console(server, settings) as webhooks:
        told = await state(bus, "ops")
        assert told is not None
        assert told.stopped_at is not None
        await publish(bus, "while it is stopped")
        changed = msgspec.structs.replace(settings.webhooks[0], models=("gpu/*",))
        await webhooks.take_on(rig.settings(ops=changed))
        ids += await publish(bus, "second")
        await all_there(ops, ids)
        (letter,) = [whole async for whole in letters(bus=bus, store=None)]
        assert (await letter.replay()).done
        await settled(bus, "ops")
    assert ops.ids.count(ids[0]) == 2
    assert set(ops.ids) >= set(ids)


async def dead_letter(bus: Bus) -> DeadLetter | None:
    """Return the first dead letter, or None."""
    stored = await bus.streams.first_from("DEAD", 1)
    return msgspec.json.decode(stored.payload, type=DeadLetter) if stored else None


@pytest.mark.parametrize("allow", [("10.0.0.0/8",), ()], ids=["not allowed", "metadata"])
async def test_no_connection_goes_where_none_may(
    bus: Bus, server: NatsServer, rig: Rig, allow: tuple[str, ...]
) -> None:
    ops = await rig.receiver()
    url = ops.url if allow else "http://169.254.169.254/latest/meta-data"
    webhook = msgspec.structs.replace(rig.settings(ops=ops).webhooks[0], url=url)
    async with console(server, rig.settings(Outbound(allow=allow), ops=webhook)):
        await publish(bus, "m")

        async def problem() -> str | None:
            told = await state(bus, "ops")
            return told.problem if told else None

        said = await eventually(problem, what="it is told why it fails")
    assert ops.ids == []
    assert said is not None
    assert "outbound.allow" in said if allow else "that Vedette never connects to" in said


async def test_a_redirect_is_not_followed(bus: Bus, server: NatsServer, rig: Rig) -> None:
    ops, elsewhere = await rig.receiver(), await rig.receiver()
    ops.replies = [lambda: Response(status_code=307, headers={"location": elsewhere.url})] * 99
    async with console(server, rig.settings(ops=ops)):
        ids = await publish(bus, "m")
        await all_there(ops, ids)

        async def problem() -> str | None:
            told = await state(bus, "ops")
            return told.problem if told else None

        said = await eventually(problem, what="it is told why it fails")
    assert said is not None
    assert "redirects" in said
    assert elsewhere.ids == []


async def test_a_webhook_that_is_removed_leaves_nothing(bus: Bus, server: NatsServer, rig: Rig) -> None:
    ops, other = await rig.receiver(), await rig.receiver()
    async with console(server, rig.settings(ops=ops, other=other)) as webhooks:
        await webhooks.take_on(rig.settings(other=other))
        ids = await publish(bus, "m")
        await all_there(other, ids)
        assert await state(bus, "ops") is None
        assert await bus.streams.count("DELIVERIES", "delivery.ops") == 0
        with pytest.raises(nats.js.errors.NotFoundError):
            await bus.js.consumer_info("DELIVERIES", deliveries("ops").name)
    assert ops.ids == []


async def test_a_consumer_that_was_deleted_is_made_again(bus: Bus, server: NatsServer, rig: Rig) -> None:
    """Nothing is lost: the stream has what waits."""
    ops, durable = await rig.receiver(), deliveries("ops")
    async with console(server, rig.settings(ops=ops)):
        await bus.js.delete_consumer(durable.stream, durable.name)
        await all_there(ops, await publish(bus, "m"))


async def test_a_wrong_secret_changes_nothing(bus: Bus, server: NatsServer, rig: Rig) -> None:
    """What was configured before goes on."""
    ops = await rig.receiver()
    async with console(server, rig.settings(ops=ops)) as webhooks:
        wrong = Webhook(name="wrong", url=ops.url, secret=Secret(env="NEVER_SET"))
        with pytest.raises(ConfigurationError, match=r"webhooks\.wrong\.secret"):
            await webhooks.take_on(rig.settings(wrong=wrong))
        await all_there(ops, await publish(bus, "m"))


async def test_what_comes_when_the_queue_is_full_is_a_dead_letter(
    bus: Bus, server: NatsServer, rig: Rig
) -> None:
    """And other webhooks get it."""
    ops, full = await rig.receiver(), await rig.receiver()
    full.held.clear()
    config = (await bus.js.stream_info("DELIVERIES")).config
    await bus.js.update_stream(config.evolve(max_msgs_per_subject=5))
    async with console(server, rig.settings(ops=ops, full=full)):
        ids = await publish(bus, *(f"m{number}" for number in range(8)))
        await all_there(ops, ids)
        dead = await eventually(lambda: dead_letter(bus), what="a dead letter")
        full.held.set()
    assert dead is not None
    assert dead.subject == "delivery.full"
    assert "queue of the webhook is full" in dead.reason
    assert json.loads(dead.payload)["event_id"] in ids
