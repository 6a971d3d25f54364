"""The account of a request over NATS, and whether its reply subject is allowed."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import nats.errors
from msgspec import Struct
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from vedette.tracing import TRACE

# A server adds it to a request that crosses from one account to another, in place of one that the asker wrote.
REQUEST_INFO: Final = "Nats-Request-Info"
# The inboxes of clients, and what servers put in their place between accounts and between clusters.
_ACROSS_ACCOUNTS: Final = "_R_."
_INBOXES: Final = ("_INBOX.", "_INBOX_", _ACROSS_ACCOUNTS, "_GR_.")


class _Info(Struct, frozen=True):
    """Of what the server says of an asker, the account, and the user where accounts share that."""

    acc: str
    user: str = ""


_SERVICE_API: Final = "$SRV."
_INFO = msgspec.json.Decoder(_Info)
Take = Callable[[Msg], Awaitable[None]]


def answerable(reply: str) -> bool:
    """Return whether *reply* is an inbox: a service sends replies nowhere else."""
    return reply.startswith(_INBOXES)


def asker(message: Msg) -> str | None:
    """Return the account of who sent *message*, as the server vouches for it; None where no server does.

    Within one account the header is whatever the asker wrote, so it counts only on a reply between accounts.
    """
    if not message.reply.startswith(_ACROSS_ACCOUNTS):
        return None
    try:
        info = _INFO.decode((message.headers or {}).get(REQUEST_INFO, ""))
    except msgspec.DecodeError:
        return None
    return f"{info.acc}/{info.user}" if info.user else info.acc


def _kept(message: Msg) -> dict[str, str]:
    """Return the headers of *message* that a service reads: its asker, and the trace that the reply belongs to."""
    kept = {}
    if who := asker(message):
        kept[REQUEST_INFO] = who
    if trace := (message.headers or {}).get(TRACE):
        kept[TRACE] = trace
    return kept


class Requests:
    """A connection that hands on requests that may be answered; of the headers that their askers wrote, the trace.

    nats-py's replies on `$SRV` repeat the headers of the request, and so would forge those of an event.
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
