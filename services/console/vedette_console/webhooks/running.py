"""Starts, changes and ends the webhooks of one console by the configuration."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import nats.errors
import nats.js.errors

from vedette.bus.bus import Bus
from vedette.bus.provisioning import ensure_durable
from vedette.errors import VedetteError
from vedette.messages.catalogue import Versioned
from vedette.messages.channels import DURABLES
from vedette.messages.consumers import deliveries
from vedette.messages.events import Event, WebhookState
from vedette.settings import Settings, Webhook
from vedette_console import metrics
from vedette_console.webhooks.delivering import Delivering
from vedette_console.webhooks.queueing import Queueing
from vedette_console.webhooks.retrying import folded, registered, stopped
from vedette_console.webhooks.sending import Sender, Target, target

_PUBLISH_EVERY_S: Final = 5.0
_FINISH_S: Final = 4.0  # at the end of the process
STREAM: Final = "WEBHOOKS"


class Webhooks:
    """Queues events for the configured webhooks, and sends them."""

    def __init__(self, bus: Bus, *, publish_every_s: float = _PUBLISH_EVERY_S) -> None:
        self._bus = bus
        self._publish_every_s = publish_every_s
        self._webhooks: tuple[Webhook, ...] = ()
        self._states: dict[str, WebhookState] = {}
        self._senders: dict[str, tuple[Delivering, asyncio.Task[None]]] = {}
        self._retired: set[Delivering] = set()

    async def open(self, settings: Settings) -> None:
        """Start queueing and sending for *settings*. Raises ConfigurationError for a wrong webhook."""
        following = await self._bus.followings.follow(STREAM, "webhook.*", self._apply)
        await following.until_warm()
        await self.take_on(settings)
        queueing = Queueing(self._bus, lambda: self._webhooks, self._states)
        for durable in DURABLES:
            if durable.name == "console-webhooks":
                self._bus.spawn(queueing.run(durable))
        self._bus.spawn(self._publish())

    async def take_on(self, settings: Settings) -> None:
        """Change to the webhooks of *settings*. If one is wrong, it raises ConfigurationError and changes nothing."""
        wanted = {webhook.name: target(webhook, settings.outbound) for webhook in settings.webhooks}
        fresh = {
            name: Sender(one, self._bus.clock)
            for name, one in wanted.items()
            if one.webhook.enabled and not self._is_sent(name, one)
        }
        for one in wanted.values():
            await self._register(one)
        for name in fresh:
            await ensure_durable(self._bus.connection, deliveries(name))
        for name in list(self._senders):
            if name in fresh or name not in wanted or not wanted[name].webhook.enabled:
                self._retire(name)
        for name, sender in fresh.items():
            self._begin(name, sender)
        self._webhooks = settings.webhooks
        for name in set(self._states) - set(wanted):
            await self._forget(name)

    async def finish(self) -> None:
        """Wait 4 s for deliveries in progress, and publish the last results."""
        every = (*self._retired, *(sending for sending, _ in self._senders.values()))
        await asyncio.gather(*(sending.finish(_FINISH_S) for sending in every))
        await self._publish_once()

    def _is_sent(self, name: str, wanted: Target) -> bool:
        return name in self._senders and self._senders[name][0].sender.target == wanted

    def _begin(self, name: str, sender: Sender) -> None:
        async def on_gone(problem: str) -> None:
            await self._stop(sender.target.webhook, problem)

        sending = Delivering(self._bus, sender, on_gone)
        if self._states[name].stopped_at is not None:
            sending.open.clear()
        self._senders[name] = sending, self._bus.spawn(sending.run())

    def _retire(self, name: str) -> None:
        """Stop sending to the webhook *name* with its old settings; deliveries in progress may end."""
        sending, task = self._senders.pop(name)
        task.cancel()
        self._retired.add(sending)

        async def finish() -> None:
            await sending.finish()
            self._retired.discard(sending)

        self._bus.spawn(finish())

    async def _register(self, wanted: Target) -> None:
        webhook, now = wanted.webhook, self._bus.clock.now()
        state = await self._advance(webhook.name, lambda held: registered(webhook, wanted.url, held, now))
        if state is None and webhook.name not in self._states:
            held = await self._bus.streams.last(STREAM, f"webhook.{webhook.name}")
            state = held.event if held and isinstance(held.event, WebhookState) else None
        if state is not None:
            self._states[webhook.name] = state

    async def _stop(self, webhook: Webhook, problem: str) -> None:
        now = self._bus.clock.now()

        def step(held: WebhookState | None) -> WebhookState | None:
            # The reply does not count for a webhook that was changed meanwhile.
            return stopped(held, problem, now) if held and held.fingerprint == webhook.fingerprint else None

        if (state := await self._advance(webhook.name, step)) is not None:
            self._states[webhook.name] = state

    async def _advance(
        self, name: str, step: Callable[[WebhookState | None], WebhookState | None]
    ) -> WebhookState | None:
        def on_last(held: Versioned[WebhookState] | None) -> WebhookState | None:
            return step(held.event if held else None)

        return await self._bus.publisher.advance(STREAM, f"webhook.{name}", on_last)

    def _apply(self, event: Event, _: int) -> None:
        """Store the state that this or another console published."""
        if not isinstance(event, WebhookState):
            return
        self._states[event.webhook] = event
        sending = self._senders.get(event.webhook)
        if sending and sending[0].sender.target.webhook.fingerprint == event.fingerprint:
            (sending[0].open.clear if event.stopped_at else sending[0].open.set)()

    async def _forget(self, name: str) -> None:
        """Delete the state, the consumer and the waiting events of a webhook that is no longer configured."""
        durable = deliveries(name)
        with suppress(nats.js.errors.NotFoundError):
            await self._bus.js.delete_consumer(durable.stream, durable.name)
        await self._bus.js.purge_stream(durable.stream, subject=f"delivery.{name}")
        await self._bus.js.purge_stream(STREAM, subject=f"webhook.{name}")
        self._states.pop(name, None)
        for metric in (metrics.WEBHOOK_PENDING, metrics.WEBHOOK_FAILING):
            with suppress(KeyError):
                metric.remove(name)

    async def _publish(self) -> None:
        """Publish the state of sending every few seconds, until cancelled."""
        while True:
            await self._publish_once()
            await asyncio.sleep(self._publish_every_s)

    async def _publish_once(self) -> None:
        for sending, _ in self._senders.values():
            with suppress(nats.errors.Error, TimeoutError, VedetteError):
                await self._publish_one(sending)

    async def _publish_one(self, sending: Delivering) -> None:
        durable = deliveries(sending.name)
        try:
            info = await self._bus.js.consumer_info(durable.stream, durable.name)
        except (
            nats.js.errors.NotFoundError
        ):  # deleted by another process; the stream still has the waiting events
            self._bus.log.warning("webhook.consumer_made_again", webhook=sending.name)
            await ensure_durable(self._bus.connection, durable)
            return
        pending = (info.num_pending or 0) + (info.num_ack_pending or 0)
        metrics.WEBHOOK_PENDING.labels(sending.name).set(pending)
        tally, sending.tally = sending.tally, None
        if tally is None:
            return
        now = self._bus.clock.now()
        try:
            await self._advance(sending.name, lambda held: folded(held, tally, now) if held else None)
        except BaseException:
            sending.tally = sending.tally or tally
            raise
