"""Messages of a durable consumer, through one outstanding pull at a time."""

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
    """Yield messages of *durable* in lists, through one outstanding pull at a time.

    *room* says how many may be asked for now, and waits while there is no room. A list waits until it has
    all of them, but no longer than *linger_s* after its first; it is empty when nothing came for a while.
    """
    inbox = connection.new_inbox()
    arrived = _Arrivals()  # never more than were asked for

    async def arrive(message: Msg) -> None:
        arrived.add(message)

    # Not next_msg: in nats-py 2.16 it makes two tasks, a timer and a UUID for every message.
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
                outstanding = 0  # two heartbeats missed: the pull is gone, with its server or its consumer
            yield messages
            ends = {status for message in taken if (status := _status(message)) not in (None, "100")}
            if ends:
                outstanding = 0
            if ends - {"404", "408"}:
                await asyncio.sleep(_HEARTBEAT_S)
    finally:
        # Close the pull first: messages that are given back would be delivered to it again.
        with suppress(nats.errors.Error):
            await subscription.drain()  # type: ignore[no-untyped-call]
        # Messages that were delivered but not taken go back at once, not after the ack wait.
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
    """Return the broker's status of a pull, or None for a delivered message."""
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
        """Wait until there are *count*, but no longer than so."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while len(self._messages) < count:
                    self._added.clear()
                    await self._added.wait()
