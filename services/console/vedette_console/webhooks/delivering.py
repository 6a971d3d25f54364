"""Sends queued events to one webhook, retries after failures, and turns undeliverable events into dead letters."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from random import SystemRandom
from typing import Final

import nats.errors
from nats.aio.msg import Msg

from vedette.bus.bus import Bus
from vedette.bus.pulling import pull
from vedette.errors import UndecodableMessage
from vedette.messages.codec import decode_event
from vedette.messages.consumers import deliveries
from vedette.messages.events import WebhookDelivery
from vedette.text.figures import times
from vedette_console import metrics
from vedette_console.webhooks.retrying import Attempt, Tally, delay_s, pause_s
from vedette_console.webhooks.sending import DEADLINE_S, Payload, Sender

CONCURRENCY: Final = 4
_GIVEN_BACK_S: Final = 5.0
_RNG: Final = SystemRandom()


class Delivering:
    """Sends the deliveries of one webhook, with its own consumer and slots, so that no webhook waits for another."""

    def __init__(self, bus: Bus, sender: Sender, on_gone: Callable[[str], Awaitable[None]]) -> None:
        self.name = sender.target.webhook.name
        self.sender = sender
        self.tally: Tally | None = None  # not published yet
        self.open = asyncio.Event()  # not set: its receiver wants nothing more
        self.open.set()
        self._bus = bus
        self._on_gone = on_gone
        self._failures = 0  # in a row
        self._paused_until = 0.0  # monotonic
        self._in_hand: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Send deliveries until cancelled. Those in progress continue: call `finish` then."""
        durable = deliveries(self.name)
        async with aclosing(pull(self._bus.connection, durable, self._room, clock=self._bus.clock)) as source:
            async for messages in source:
                for message in messages:
                    task = asyncio.create_task(self._deliver(message))
                    self._in_hand.add(task)
                    task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._in_hand.discard(task)
        if not task.cancelled():
            self._bus.fail(task.exception())

    async def finish(self, within_s: float = DEADLINE_S) -> None:
        """Wait *within_s* for deliveries in progress, return late ones to the queue, and close the connections."""
        if tasks := set(self._in_hand):
            _, late = await asyncio.wait(tasks, timeout=within_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self.sender.aclose()

    async def _room(self) -> int:
        """Wait until events may be sent; return how many. While the receiver fails, it is one at a time."""
        await self._bus.clock.until_right()
        await self._until_open()
        most = 1 if self._failures else CONCURRENCY
        while len(self._in_hand) >= most:
            await asyncio.wait(set(self._in_hand), return_when=asyncio.FIRST_COMPLETED)
        return max(1, most - len(self._in_hand))

    async def _until_open(self) -> None:
        await self.open.wait()
        if (wait_s := self._closed_for_s()) > 0:
            await asyncio.sleep(wait_s)
            await self._until_open()

    def _closed_for_s(self) -> float:
        return max(0.0, self._paused_until - self._bus.clock.monotonic())

    async def _deliver(self, message: Msg) -> None:
        try:
            # The broker delivered this before the receiver failed.
            if not self.open.is_set() or self._closed_for_s() > 0:
                await message.nak(delay=max(_GIVEN_BACK_S, self._closed_for_s()))
                return
            delivery = decode_event(message.subject, message.data)
            assert isinstance(delivery, WebhookDelivery)  # noqa: S101 - by the subject
            payload = Payload(type=delivery.event, timestamp=delivery.event_at, data=delivery.data)
            await self._settle(message, await self.sender.send(delivery.event_id, payload))
        except UndecodableMessage as error:
            await self._give_up(message, str(error))
        except (nats.errors.Error, TimeoutError) as error:  # the broker delivers it again
            self._bus.log.warning(
                "webhook.unsettled", webhook=self.name, error=f"{type(error).__name__}: {error}"
            )
        except asyncio.CancelledError:
            await message.nak()
            raise

    async def _settle(self, message: Msg, attempt: Attempt) -> None:
        now = self._bus.clock.now()
        tally = self.tally or Tally()
        if attempt.problem is None:
            await message.ack()
            self._failures = 0
            self.tally = tally.delivered(now)
            self._count("delivered")
            return
        self._failures += 1
        self._paused_until = self._bus.clock.monotonic() + pause_s(self._failures, attempt.retry_after_s)
        self.tally = tally.failed(now, attempt.problem)
        self._count("failed")
        if attempt.gone:
            self.open.clear()
            await self._on_gone(attempt.problem)
            await self._give_up(message, attempt.problem)
            return
        attempts = message.metadata.num_delivered
        wait_s = delay_s(attempts, _age_s(message, now), attempt.retry_after_s, _RNG.random())
        if wait_s is None:
            await self._give_up(message, f"{attempt.problem} (tried {times(attempts)})")
            return
        self._bus.log.warning(
            "webhook.failed",
            webhook=self.name,
            attempts=attempts,
            problem=attempt.problem,
            retry_s=round(wait_s),
        )
        await message.nak(delay=wait_s)

    async def _give_up(self, message: Msg, reason: str) -> None:
        self._bus.log.error("webhook.given_up", webhook=self.name, reason=reason)
        await self._bus.publisher.bury(message, reason=f"webhook {self.name}: {reason}")
        await message.term()
        self._count("dead")

    def _count(self, outcome: str) -> None:
        metrics.WEBHOOK_DELIVERIES.labels(self.name, outcome).inc()
        metrics.WEBHOOK_FAILING.labels(self.name).set(min(1, self._failures))


def _age_s(message: Msg, now: datetime) -> float:
    """Return for how long *message* has been queued."""
    return (now - message.metadata.timestamp.astimezone(UTC)).total_seconds()
