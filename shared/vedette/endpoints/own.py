"""The number of Vedette's own requests at an endpoint, because a server's load does not show who sent its requests.

While a benchmarker or prober has requests in progress, it replies to a query for their number. The prober that reads a
load sends this query. If no service has requests, the broker reports no responders at once.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import msgspec
import nats.errors
from nats.aio.msg import Msg

from vedette.bus.bus import Bus
from vedette.messages.codec import encode
from vedette.messages.queries import OwnReply, OwnRequest
from vedette.messages.subjects import OWN_REQUESTS
from vedette.providers.counting import Sent

# The time that a server may take to count our request as ended, and to report when its model will be unloaded.
SETTLES_S: Final = 2.0
_TIMEOUT_S: Final = 1.0
_NONE: Final = OwnReply(requests=0)
_request = msgspec.json.Decoder(OwnRequest)
_reply = msgspec.json.Decoder(OwnReply)


def running(sent: Sent, now: float) -> int:
    """Return how many requests of *sent* a server may count at *now* (monotonic seconds). Pure."""
    if sent.in_flight:
        return sent.in_flight
    return int(sent.ended_at is not None and now - sent.ended_at < SETTLES_S)


@asynccontextmanager
async def shown(
    bus: Bus, endpoint: str, sent: Sent, *, monotonic: Callable[[], float], model: str | None = None
) -> AsyncIterator[None]:
    """While this context is open, reply to queries with the number of requests that *sent* has at *endpoint*.

    It goes on until the server counts none of them any more.
    """

    async def reply(message: Msg) -> None:
        with suppress(msgspec.DecodeError, nats.errors.Error):
            own = running(sent, monotonic())
            if own and _request.decode(message.data).endpoint == endpoint:
                await message.respond(encode(OwnReply(requests=own, model=model)))

    subscription = await bus.connection.subscribe(OWN_REQUESTS, cb=reply)

    async def end() -> None:
        await asyncio.sleep(SETTLES_S)
        with suppress(nats.errors.Error):
            await subscription.unsubscribe()

    try:
        yield
    finally:
        bus.spawn(end())


async def ask(bus: Bus, endpoint: str) -> OwnReply:
    """Return the number of requests that all processes of Vedette have at *endpoint*."""
    try:
        reply = await bus.connection.request(
            OWN_REQUESTS, encode(OwnRequest(endpoint=endpoint)), timeout=_TIMEOUT_S
        )
        return _reply.decode(reply.data)
    except (nats.errors.Error, TimeoutError, msgspec.DecodeError):
        return _NONE
