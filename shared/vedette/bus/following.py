"""Follows streams live: first the last message of each subject, or all messages since a time, then new ones."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from vedette.errors import UndecodableMessage
from vedette.messages.codec import decode_event
from vedette.messages.events import Event

_SILENT_S = 30.0
_FOLLOW_AGAIN_S = 1.0


def _rfc3339(moment: datetime) -> Any:
    # nats-py declares a number here, but passes on any value; the server expects this text.
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Following:
    """A live view of subjects of a stream. `warm` is set when all earlier messages were read."""

    def __init__(self, stream: str, subject: str, apply: Callable[[Event, int], object]) -> None:
        self.stream = stream
        self.subject = subject
        self.apply = apply
        self.warm = asyncio.Event()
        self.sequence = 0
        # The consumer's number of the last message. It starts at 1 again when the consumer is recreated.
        self.delivered = 0
        self.subscription: JetStreamContext.PushSubscription | None = None

    async def until_warm(self) -> None:
        """Wait until all earlier messages were read. Raises TimeoutError if no message arrives for too long."""
        while not self.warm.is_set():
            seen = self.delivered
            try:
                async with asyncio.timeout(_SILENT_S):
                    await self.warm.wait()
            except TimeoutError:
                if self.delivered == seen:
                    raise

    async def current(self, js: JetStreamContext) -> bool:
        """Return whether all messages that are in the stream now were read."""
        if self.subscription is None or not self.warm.is_set():
            return False
        try:
            info = await self.subscription.consumer_info()
        except nats.js.errors.NotFoundError:
            return False  # it is being recreated
        sent = info.delivered.consumer_seq if info.delivered else 0
        if info.num_pending or sent not in (0, self.delivered):
            return False
        try:
            # The broker counts a message for a consumer a moment after it has stored it.
            await js.get_msg(self.stream, self.sequence + 1, self.subject, direct=True, next=True)
        except nats.js.errors.NotFoundError:
            return True
        return False


class Followings:
    """All streams that one service follows."""

    def __init__(self, js: JetStreamContext, log: Any) -> None:
        self._js = js
        self._log = log
        self.all: list[Following] = []

    async def follow(
        self,
        stream: str,
        subject: str,
        apply: Callable[[Event, int], object],
        *,
        since: datetime | None = None,
    ) -> Following:
        """Call *apply* with the last event of each subject, then with each new event, in order.

        With *since*, the first ones are all events stored from that time on. Events that cannot be decoded are logged
        and skipped here; the recorder stores them in DEAD.
        """
        following = Following(stream, subject, apply)
        await self._subscribe(following, await self._first_since(stream, subject, since) if since else None)
        self.all.append(following)
        return following

    async def again(self, following: Following) -> None:
        """Follow again, after the broker lost the end of the stream and its sequences went back."""
        if following.subscription is not None:
            await following.subscription.unsubscribe()
        following.sequence = following.delivered = 0
        await self._subscribe(following, None)

    async def _subscribe(self, following: Following, first: int | None) -> None:
        """Consume from the sequence *first* on; None: from the last message of each subject on."""

        async def on_message(message: Msg) -> None:
            metadata = message.metadata
            following.sequence = metadata.sequence.stream
            following.delivered = metadata.sequence.consumer
            try:
                following.apply(decode_event(message.subject, message.data), metadata.sequence.stream)
            except UndecodableMessage as error:
                self._log.warning("event.undecodable", subject=message.subject, error=str(error))
            if metadata.num_pending == 0:
                following.warm.set()

        subscription = await self._js.subscribe(
            following.subject,
            stream=following.stream,
            ordered_consumer=True,
            config=ConsumerConfig(opt_start_seq=first) if first else None,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE if first else DeliverPolicy.LAST_PER_SUBJECT,
            cb=on_message,
        )
        info = await subscription.consumer_info()
        if info.num_pending == 0 and not (info.delivered and info.delivered.consumer_seq):
            following.warm.set()
        following.subscription = subscription

    async def _first_since(self, stream: str, subject: str, since: datetime) -> int:
        """Return the first sequence whose message is not older than *since*.

        An ordered consumer cannot start at a time, because nats-py 2.16 cannot recreate it after a break.
        """
        config = ConsumerConfig(
            filter_subject=subject,
            deliver_policy=DeliverPolicy.BY_START_TIME,
            opt_start_time=_rfc3339(since),
            ack_policy=AckPolicy.NONE,
            inactive_threshold=_SILENT_S,
            mem_storage=True,
            num_replicas=1,
        )
        info = await self._js.add_consumer(stream, config)
        await self._js.delete_consumer(stream, info.name)
        return (info.delivered.stream_seq if info.delivered else 0) + 1

    async def follow_retrying(
        self, stream: str, subject: str, apply: Callable[[Event, int], object]
    ) -> Following:
        """Follow as `follow` does; retry until the broker accepts it."""
        while True:
            try:
                return await self.follow(stream, subject, apply)
            except (nats.errors.Error, TimeoutError):
                await asyncio.sleep(_FOLLOW_AGAIN_S)

    async def current(self) -> bool:
        """Return whether all followed streams were read to their end. False after a lost connection, and in a burst."""
        return all([await following.current(self._js) for following in self.all])
