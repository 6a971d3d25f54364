"""Finds the account that sent a request over NATS, and checks the reply subject."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import nats.errors
from msgspec import Struct
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from vedette.tracing import TRACE

# A server adds this header to a request between two accounts. It replaces a header that the client wrote.
REQUEST_INFO: Final = "Nats-Request-Info"
# The inboxes of clients, and their replacements by servers between accounts and clusters.
_ACROSS_ACCOUNTS: Final = "_R_."
_INBOXES: Final = ("_INBOX.", "_INBOX_", _ACROSS_ACCOUNTS, "_GR_.")


class _Info(Struct, frozen=True):
    """The fields that a server writes about the client: its account, and its user if several share the account."""

    acc: str
    user: str = ""


_SERVICE_API: Final = "$SRV."
_INFO = msgspec.json.Decoder(_Info)
Take = Callable[[Msg], Awaitable[None]]


def answerable(reply: str) -> bool:
    """Return whether *reply* is an inbox. A service replies to no other subjects."""
    return reply.startswith(_INBOXES)


def asker(message: Msg) -> str | None:
    """Return the account that sent *message*, as the server reports it, or None if no server does.

    Within one account, the client itself may have written the header. So it counts only for a request between accounts.
    """
    if not message.reply.startswith(_ACROSS_ACCOUNTS):
        return None
    try:
        info = _INFO.decode((message.headers or {}).get(REQUEST_INFO, ""))
    except msgspec.DecodeError:
        return None
    return f"{info.acc}/{info.user}" if info.user else info.acc


def _kept(message: Msg) -> dict[str, str]:
    """Return the headers of *message* that a service reads: the client's account, and the trace."""
    kept = {}
    if who := asker(message):
        kept[REQUEST_INFO] = who
    if trace := (message.headers or {}).get(TRACE):
        kept[TRACE] = trace
    return kept


class Requests:
    """A connection that passes on only requests with an allowed reply subject, and drops most of their headers.

    The trace header stays. nats-py repeats the headers of a `$SRV` request in its reply, so a client could forge the
    headers of an event.
    """

    def __init__(self, connection: NatsClient, refused: Callable[[str], None]) -> None:
        self._connection = connection
        self._refused = refused

    async def subscribe(self, subject: str, queue: str = "", cb: Take | None = None) -> Subscription:
        """Subscribe as `nats.aio.client.Client.subscribe` does."""
        if cb is None:
            raise nats.errors.Error("requests are taken by a callback")
        take = cb

        async def hand_on(message: Msg) -> None:
            if not answerable(message.reply):
                self._refused(subject)
                return
            message.headers = None if subject.startswith(_SERVICE_API) else _kept(message) or None
            await take(message)

        return await self._connection.subscribe(subject, queue=queue, cb=hand_on)

    def __getattr__(self, name: str) -> Any:
        """Return other attributes of the connection."""
        return getattr(self._connection, name)
