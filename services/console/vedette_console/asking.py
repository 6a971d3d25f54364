"""Sends the queries of the console, as an agent does."""

from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct
from nats.aio.client import Client as Connection

from vedette.client import ask, ask_encoded, patience_s
from vedette.messages.channels import QUERIES
from vedette.messages.codec import encode

T = TypeVar("T", bound=Struct)
_TIMEOUT_S: Final = 2.5
REQUESTS: Final = {query.subject: query.request for query in QUERIES}


class Asking:
    """Asks recommenders and recorders over one connection. Every method raises RequestError and NoAnswer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def ask(self, subject: str, reply: type[T], request: Struct | dict[str, Any] | None = None) -> T:
        """Return the reply to *request* on *subject*."""
        payload = msgspec.json.encode(request or {})
        return await ask(
            self._connection,
            subject,
            payload,
            reply,
            timeout_s=patience_s(subject, _TIMEOUT_S),
        )

    async def encoded(self, subject: str, request: Struct) -> bytes:
        """Return the undecoded reply (JSON) to *request* on *subject*."""
        return await ask_encoded(
            self._connection,
            subject,
            encode(request),
            timeout_s=patience_s(subject, _TIMEOUT_S),
        )
