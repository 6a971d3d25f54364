"""A handler behind FastStream's in-memory broker: what it gets, and what becomes of what it cannot handle."""

from typing import Any

import pytest
from faststream.exceptions import NackMessage, RejectMessage
from faststream.nats import NatsBroker, TestNatsBroker

from vedette import log
from vedette.bus.backoff import MAX_DELIVERIES, Backoff, redelivery_delay_s
from vedette.messages.codec import encode
from vedette.messages.events import DeadLetter, Event, Tick
from vedette.runtime.routes import EventCodec
from vedette.testing import EPOCH

TICK = Tick(id="1", at=EPOCH, job="discovery", slot=EPOCH)


class FakeBurial:
    """A bus that keeps what is buried."""

    def __init__(self) -> None:
        self.log = log.logger("test")
        self.buried: list[str] = []

    async def bury(self, message: Any, *, reason: str) -> None:
        self.buried.append(reason)


class Delivered:
    """A message as JetStream delivers it, for the n-th time."""

    def __init__(self, subject: str, deliveries: int) -> None:
        self.subject = subject
        self.reply = "$JS.ACK"
        self.metadata = type("Metadata", (), {"num_delivered": deliveries})()


async def _handle(payload: bytes, handler: Any, fake: FakeBurial) -> None:
    """Publish *payload* on a tick's subject; a handler's exception is raised here, as the middleware made it."""
    broker = NatsBroker(apply_types=False, serializer=None, codec=EventCodec(), logger=None)
    broker.add_middleware(Backoff(fake).middleware())
    broker.subscriber("schedule.*")(handler)
    async with TestNatsBroker(broker):
        await broker.publish(payload, "schedule.discovery")


async def test_a_handler_gets_the_event_that_the_subject_promises() -> None:
    got: list[Event] = []

    async def handler(event: Event) -> None:
        got.append(event)

    await _handle(encode(TICK), handler, FakeBurial())
    assert got == [TICK]


@pytest.mark.fault("a job that cannot be decoded, to a handler", "I5", "I13")
async def test_what_cannot_be_decoded_is_buried_at_once() -> None:
    """No handler sees it, and it is not tried again."""
    fake = FakeBurial()

    async def handler(event: Event) -> None:
        raise AssertionError("not to be called")

    await _handle(b'{"id": 1}', handler, fake)
    assert len(fake.buried) == 1
    assert "UndecodableMessage" in fake.buried[0]


@pytest.mark.parametrize(("deliveries", "delay_s"), [(1, 1.0), (2, 2.0), (5, 16.0), (7, 60.0)])
async def test_what_a_handler_failed_at_comes_again_later_and_later(deliveries: int, delay_s: float) -> None:
    fake = FakeBurial()
    message = Delivered("schedule.discovery", deliveries)
    assert await Backoff(fake).settle(message, RuntimeError("no")) == delay_s
    assert redelivery_delay_s(deliveries) == delay_s
    assert not fake.buried


async def test_the_last_delivery_is_buried() -> None:
    fake = FakeBurial()
    message = Delivered("schedule.discovery", MAX_DELIVERIES)
    assert await Backoff(fake).settle(message, RuntimeError("no")) is None
    assert fake.buried == ["RuntimeError: no"]


@pytest.mark.parametrize(("deliveries", "settled"), [(1, NackMessage), (MAX_DELIVERIES, RejectMessage)])
async def test_the_middleware_tells_faststream_what_was_decided(
    deliveries: int, settled: type[Exception]
) -> None:
    """A delayed redelivery is a nack, a dead letter a reject: FastStream settles the message by these."""
    middleware = Backoff(FakeBurial()).middleware()

    async def failing(_: Any) -> None:
        raise RuntimeError("no")

    message: Any = type("Stream", (), {"raw_message": Delivered("schedule.discovery", deliveries)})()
    with pytest.raises(settled):
        await middleware(None, context=None).consume_scope(failing, message)


def test_a_dead_letter_holds_the_whole_message() -> None:
    assert {"reason", "subject", "payload", "headers", "stream", "sequence"} <= set(
        DeadLetter.__struct_fields__
    )
