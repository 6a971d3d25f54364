"""Events as they happen, as a stream, for `Client.watch`."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

import nats.errors
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from vedette.bus.connection import barrier
from vedette.errors import FellBehind, UndecodableMessage
from vedette.messages.channels import COPIED_FROM, PUBLIC_ANSWERS
from vedette.messages.codec import decode_event
from vedette.messages.events import AnswerChanged, Event

# Standard logging, which an agent configures itself; structlog is set up only in Vedette's processes.
_log = logging.getLogger("vedette.watching")
MAX_WAITING = 10_000  # events: one probe of 10,000 models


_STREAM, _SUBJECT, _SEQUENCE = "Nats-Stream", "Nats-Subject", "Nats-Sequence"


def repeated(message: Msg) -> bool:
    """Return whether the headers of *message* show that the broker copied it from the stream of its subject."""
    headers = message.headers or {}
    named, kind = headers.get(_SUBJECT, ""), message.subject
    if kind.startswith(PUBLIC_ANSWERS):
        stream: str | None = "ANSWERS"
        is_its_own = named == f"{AnswerChanged.TYPE}.{kind.removeprefix(PUBLIC_ANSWERS)}"
    else:
        stream, is_its_own = COPIED_FROM.get(kind), named.startswith(f"{kind}.")
    return is_its_own and headers.get(_STREAM) == stream and headers.get(_SEQUENCE, "").isdigit()


class Watching:
    """The events of public subjects, in the order in which they came, for one reader.

    It subscribes when it is entered, or else when the first event is asked for. It ends when it is left or when
    its client is closed. It yields only events that the broker copied from a stream, and ignores messages that other
    programs send to these subjects. The broker does not store the copies: events are missed while the connection is
    broken. The logger `vedette.watching` then gets a warning before the next event. A reader that is too slow gets
    the events that were kept for it, then FellBehind.
    """

    def __init__(
        self,
        connected: Callable[[], Awaitable[NatsClient]],
        subjects: Sequence[str],
        *,
        most_waiting: int = MAX_WAITING,
    ) -> None:
        self._connected = connected
        self._subjects = subjects
        self._most_waiting = most_waiting
        self._waiting: asyncio.Queue[Msg | None] = asyncio.Queue()  # None is the end
        self._subscriptions: list[Subscription] = []
        self._connection: NatsClient | None = None
        self._reconnects = 0
        self._behind = False
        self._ended = False

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        await self._begin()
        while True:
            message = None if self._ended and self._waiting.empty() else await self._waiting.get()
            if message is None:
                await self.close()
                if self._behind:
                    raise FellBehind(most=self._most_waiting)
                raise StopAsyncIteration
            self._mention_a_break()
            try:
                event = decode_event(message.subject, message.data)
            except UndecodableMessage as error:
                _log.warning("skipped an event: %s", error)
                continue
            if event.subject == (message.headers or {})[_SUBJECT]:
                return event

    @property
    def reconnects(self) -> int:
        """How often the connection was restored. Events before each time may be missing."""
        return self._connection.stats["reconnects"] if self._connection is not None else 0

    def end(self) -> None:
        """End the stream after the received events."""
        if not self._ended:
            self._ended = True
            self._waiting.put_nowait(None)

    async def close(self) -> None:
        """Unsubscribe. Events that were received before can still be read."""
        self.end()
        subscriptions, self._subscriptions = self._subscriptions, []
        with suppress(nats.errors.Error):  # closed with its connection
            for subscription in subscriptions:
                await subscription.unsubscribe()

    async def _begin(self) -> None:
        if self._connection is not None or self._ended:
            return
        self._connection = await self._connected()
        self._reconnects = self._connection.stats["reconnects"]
        for subject in self._subjects:
            self._subscriptions.append(await self._connection.subscribe(subject, cb=self._receive))
        await barrier(self._connection)

    async def _receive(self, message: Msg) -> None:
        if self._ended or not repeated(message):
            return
        if self._waiting.qsize() < self._most_waiting:
            self._waiting.put_nowait(message)
        else:
            self._behind = True
            self.end()

    def _mention_a_break(self) -> None:
        if self._connection is not None and self._connection.stats["reconnects"] != self._reconnects:
            self._reconnects = self._connection.stats["reconnects"]
            _log.warning("the connection to NATS was broken; events before the next one may be missing")
