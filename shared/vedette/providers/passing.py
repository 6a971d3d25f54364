"""Passes a request on to an endpoint unchanged, and its reply back, without decoding them."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, cast

import httpx
from msgspec import Struct

from vedette import __version__
from vedette.errors import ProviderError
from vedette.providers import Access
from vedette.providers._http import CONNECT_TIMEOUT_S, causes, tls, translated
from vedette.providers._pool import Stale
from vedette.providers._refusals import judged, wait_s
from vedette.providers._transport import IDLE_S, Transport
from vedette.providers.addresses import query_of, socket_of
from vedette.providers.redaction import Secrets
from vedette.types import Outcome

_MAX_REFUSAL_BYTES: Final = 64 * 1024
# For a caller who reads nothing, 5 MB of a fast reply were held without it.
_AHEAD_BYTES: Final = 128 * 1024
# What speaks TLS is a proxy or a service, which waits a minute or longer; a handshake takes several round trips.
_IDLE_TLS_S: Final = 30.0
# Later, a server that took the request may have worked on it. A busy machine shows the end of a connection late.
_STALE_WITHIN_S: Final = 2.0
# Only of these a caller learns: the others are of the connection, or of the server's own house.
_PASSED_ON: Final = ("content-type", "retry-after", "x-request-id")


class Refusal(Struct, frozen=True, kw_only=True):
    """A reply that is an error: its status, its body without the endpoint's credentials, and what it means."""

    status: int
    body: bytes
    media_type: str
    outcome: Outcome
    said: str
    retry_after_s: float | None = None


class Reply:
    """The reply to a request: its status and headers, and its body, which is still to come."""

    def __init__(self, response: httpx.Response, url: str, secrets: Secrets) -> None:
        self.status = response.status_code
        self.headers = {
            name: secrets.redact(response.headers[name]) for name in _PASSED_ON if name in response.headers
        }
        self._response = response
        self._body = cast("httpx.AsyncByteStream", response.stream)
        self._url = url
        self._secrets = secrets

    @property
    def is_stream(self) -> bool:
        """Whether the body is server-sent events."""
        return self.headers.get("content-type", "").startswith("text/event-stream")

    @property
    def is_json(self) -> bool:
        """Whether the body is JSON in one piece."""
        return "json" in self.headers.get("content-type", "")

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, without the endpoint's credentials.

        Raises ProviderError (INCOMPLETE) where it breaks off.
        """
        passed = self._secrets.passed()
        with translated(self._url, broken=Outcome.INCOMPLETE):
            async for chunk in self._body:
                if clean := passed.take(chunk):
                    yield clean
        if rest := passed.rest():
            yield rest

    async def refusal(self, now: datetime) -> Refusal | None:
        """Return the refusal of the server, or None if its status is a success. Raises ProviderError."""
        if 200 <= self.status < 300:
            return None
        raw = bytearray()
        async for chunk in self.chunks():
            raw += chunk
            if len(raw) > _MAX_REFUSAL_BYTES:
                break
        body = self._secrets.clean(bytes(raw[:_MAX_REFUSAL_BYTES]))
        refused = judged(self.status, self._response.headers, body)
        redirected = 300 <= self.status < 400
        return Refusal(
            status=self.status,
            body=body,
            media_type=self.headers.get("content-type", "application/json"),
            outcome=Outcome.GARBAGE if redirected else refused.outcome,
            said=refused.said,
            retry_after_s=wait_s(self._response.headers, body, now),
        )


class Passing:
    """The way to one endpoint for other people's requests: its credentials, its TLS, and where it may be."""

    def __init__(self, access: Access) -> None:
        socket, trusted = socket_of(access.url), tls(access)
        self._access = access
        self._secrets = access.redaction
        self._query = query_of(access.url)
        self._headers = {
            "User-Agent": f"vedette/{__version__}",
            "Accept-Encoding": "identity",
            **access.headers,
            "Content-Type": "application/json",
        }
        self._transport = Transport(
            access.allowed,
            tls=trusted,
            uds=socket[0] if socket else None,
            ahead_bytes=_AHEAD_BYTES,
            idle_s=_IDLE_TLS_S if trusted else IDLE_S,
        )

    async def close(self) -> None:
        """Close its connections."""
        await self._transport.aclose()

    @asynccontextmanager
    async def post(self, url: str, body: bytes) -> AsyncIterator[Reply]:
        """POST the JSON *body* to *url*; yield the reply as soon as its headers have come. Raises ProviderError."""
        response = await self._send(url, body)
        try:
            if response.headers.get("Content-Encoding", "identity") not in ("", "identity"):
                raise ProviderError(
                    Outcome.GARBAGE, "the reply is compressed, although the request allowed no compression"
                )
            yield Reply(response, self._access.url, self._secrets)
        finally:
            await response.aclose()

    async def _send(self, url: str, body: bytes) -> httpx.Response:
        at = str(httpx.URL(url, params=self._query)) if self._query else url
        began = time.monotonic()
        try:
            return await self._sent(at, body)
        except ProviderError as error:
            # An idle connection that the server closed at this moment: a new one shows what there is.
            is_stale = any(isinstance(cause, Stale) for cause in causes(error))
            if not is_stale or time.monotonic() - began > _STALE_WITHIN_S:
                raise
        return await self._sent(at, body)

    async def _sent(self, url: str, body: bytes) -> httpx.Response:
        with translated(self._access.url):
            return await self._transport.send("POST", url, self._headers, body, connect_s=CONNECT_TIMEOUT_S)
