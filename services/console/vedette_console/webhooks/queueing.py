"""Queues each event in the stream DELIVERIES, once for each webhook that wants it."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, Final

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.msg import Msg

from vedette.bus.bus import Bus
from vedette.bus.publishing import headers_of
from vedette.bus.pulling import pull
from vedette.errors import UndecodableMessage
from vedette.messages import ids
from vedette.messages.codec import decode_event, encode
from vedette.messages.consumers import Durable
from vedette.messages.events import Event, WebhookDelivery, WebhookState
from vedette.settings import Webhook
from vedette_console.webhooks.choosing import chosen, kind_of
from vedette_console.webhooks.sending import MAX_BODY_BYTES

_BATCH: Final = 200
_RETRY_S: Final = 5.0


class Queueing:
    """Queues the events that the current webhooks want."""

    def __init__(
        self,
        bus: Bus,
        webhooks: Callable[[], Iterable[Webhook]],
        states: Mapping[str, WebhookState],
    ) -> None:
        self._bus = bus
        self._webhooks = webhooks
        self._states = states

    async def run(self, durable: Durable) -> None:
        """Take the events of *durable* until cancelled."""

        async def room() -> int:
            await self._bus.clock.until_right()
            return _BATCH

        async with aclosing(pull(self._bus.connection, durable, room, clock=self._bus.clock)) as source:
            async for messages in source:
                for message in messages:
                    await self._take(message)

    async def _take(self, message: Msg) -> None:
        """Queue *message* for each webhook that wants it, then acknowledge it. An unreadable one is only logged."""
        try:
            event = decode_event(message.subject, message.data)
            for webhook in chosen(event, message.metadata.timestamp, self._webhooks(), self._states):
                await self._queue(webhook, event, message)
        except UndecodableMessage as error:
            self._bus.log.warning("event.undecodable", subject=message.subject, error=str(error))
        except (nats.errors.Error, TimeoutError) as error:
            self._bus.log.warning("webhook.deferred", subject=message.subject, error=str(error))
            await message.nak(delay=_RETRY_S)
            return
        await message.ack()

    async def _queue(self, webhook: Webhook, event: Event, message: Msg) -> None:
        data: dict[str, Any] = msgspec.json.decode(message.data)  # including fields of a newer version
        delivery = WebhookDelivery(
            id=ids.derive(event.at, "delivery", webhook.name, event.id),
            at=self._bus.clock.now(),
            webhook=webhook.name,
            event=kind_of(event) or event.TYPE,
            event_id=event.id,
            event_at=event.at,
            data=data,
        )
        if len(message.data) > MAX_BODY_BYTES:
            await self._bury(
                delivery, f"the event has {len(message.data)} bytes; {MAX_BODY_BYTES} are sent at most"
            )
            return
        try:
            # The broker drops a second message with the same id, so an event is queued once.
            headers = headers_of(delivery, source=self._bus.name)
            await self._bus.publisher.store(delivery.subject, encode(delivery), headers)
        except nats.js.errors.APIError as error:
            await self._bury(delivery, f"the queue of the webhook is full: {error.description}")

    async def _bury(self, delivery: WebhookDelivery, reason: str) -> None:
        letter = Msg(self._bus.connection, subject=delivery.subject, data=encode(delivery))
        await self._bus.publisher.bury(letter, reason=reason)
