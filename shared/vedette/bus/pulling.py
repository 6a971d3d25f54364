"""Reads messages of a durable consumer, with one open pull request at a time."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress

import nats.errors
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg

from vedette.clock import Clock
from vedette.messages.consumers import Durable

_EXPIRES_S = 5.0
_HEARTBEAT_S = 1.0


async def pull(
    connection: NatsClient,
    durable: Durable,
    room: Callable[[], Awaitable[int]],
    *,
    clock: Clock,
    linger_s: float = 0.0,
) -> AsyncGenerator[list[Msg], None]:
    """Yield messages of *durable* in lists, with one open pull request at a time.

    *room* returns how many messages to request, and waits until there is room. A list is complete when all requested
    messages have arrived, or *linger_s* after the first one. It is empty if none arrived for a while.
    """
    inbox = connection.new_inbox()
    arrived = _Arrivals()  # never more than were requested

    async def arrive(message: Msg) -> None:
        arrived.add(message)

    # Not next_msg: nats-py 2.16 creates two tasks, a timer and a UUID for each message.
    subscription = await connection.subscribe(inbox, cb=arrive)
    outstanding, silent_since = 0, 0.0
    try:
        while True:
            if outstanding <= 0:
                outstanding = await room()
                await _ask(connection, durable, inbox, outstanding)
                silent_since = clock.monotonic()
            await arrived.reach(1, _HEARTBEAT_S)
            await arrived.reach(outstanding, linger_s)
            taken = arrived.take()
            messages = [message for message in taken if _status(message) is None]
            outstanding -= len(messages)
            if taken:
                silent_since = clock.monotonic()
            elif clock.monotonic() - silent_since > 2.5 * _HEARTBEAT_S:
                outstanding = 0  # two heartbeats missing: the server or the consumer of this pull is gone
            yield messages
            ends = {status for message in taken if (status := _status(message)) not in (None, "100")}
            if ends:
                outstanding = 0
            if ends - {"404", "408"}:
                await asyncio.sleep(_HEARTBEAT_S)
    finally:
        # Close the pull first: it would receive again the messages that are given back.
        with suppress(nats.errors.Error):
            await subscription.drain()  # type: ignore[no-untyped-call]
        # Delivered messages that were not taken go back at once, not after the ack deadline.
        for left in arrived.take():
            if left.reply.startswith("$JS.ACK"):
                await left.nak()


async def _ask(connection: NatsClient, durable: Durable, inbox: str, batch: int) -> None:
    request = {
        "batch": batch,
        "expires": int(_EXPIRES_S * 1e9),
        "idle_heartbeat": int(_HEARTBEAT_S * 1e9),
    }
    await connection.publish(
        f"$JS.API.CONSUMER.MSG.NEXT.{durable.stream}.{durable.name}",
        json.dumps(request).encode(),
        reply=inbox,
    )


def _status(message: Msg) -> str | None:
    """Return the broker's status message of a pull, or None for a delivered message."""
    return None if message.data else (message.headers or {}).get("Status")


class _Arrivals:
    """Messages that have arrived and were not taken yet."""

    def __init__(self) -> None:
        self._messages: list[Msg] = []
        self._added = asyncio.Event()

    def add(self, message: Msg) -> None:
        self._messages.append(message)
        self._added.set()

    def take(self) -> list[Msg]:
        taken, self._messages = self._messages, []
        return taken

    async def reach(self, count: int, within_s: float) -> None:
        """Wait until there are *count* messages, at most *within_s* (s)."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while len(self._messages) < count:
                    self._added.clear()
                    await self._added.wait()
