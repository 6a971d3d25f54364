"""Passes a request to an endpoint and its reply back to the caller, without decoding the bodies."""

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
# Without this limit, 5 MB of a fast reply were held for a caller that does not read.
_AHEAD_BYTES: Final = 128 * 1024
# Proxies and services with TLS keep idle connections for a minute or longer, and a new handshake is slow.
_IDLE_TLS_S: Final = 30.0
# After this time the server may have worked on the request. A busy machine sees the end of a connection late.
_STALE_WITHIN_S: Final = 2.0
# Response headers that reach the caller. The others concern the connection or the server only.
_PASSED_ON: Final = ("content-type", "retry-after", "x-request-id")


class Refusal(Struct, frozen=True, kw_only=True):
    """An error reply: its status, its body without the endpoint's credentials, and its outcome."""

    status: int
    body: bytes
    media_type: str
    outcome: Outcome
    said: str
    retry_after_s: float | None = None


class Reply:
    """The reply to a request: status and headers. The body is read by `chunks`."""

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

        Raises ProviderError (INCOMPLETE) if the connection breaks off.
        """
        passed = self._secrets.passed()
        with translated(self._url, broken=Outcome.INCOMPLETE):
            async for chunk in self._body:
                if clean := passed.take(chunk):
                    yield clean
        if rest := passed.rest():
            yield rest

    async def refusal(self, now: datetime) -> Refusal | None:
        """Read the body and return the refusal; None if the status is 2xx. Raises ProviderError."""
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
    """Sends the requests of callers to one endpoint, with the endpoint's credentials, TLS and allowed addresses."""

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
        """Close all connections to the endpoint."""
        await self._transport.aclose()

    @asynccontextmanager
    async def post(self, url: str, body: bytes) -> AsyncIterator[Reply]:
        """POST the JSON *body* to *url*; yield the reply as soon as its headers have arrived. Raises ProviderError."""
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
            # The server had closed the idle connection: retry with a new one.
            is_stale = any(isinstance(cause, Stale) for cause in causes(error))
            if not is_stale or time.monotonic() - began > _STALE_WITHIN_S:
                raise
        return await self._sent(at, body)

    async def _sent(self, url: str, body: bytes) -> httpx.Response:
        with translated(self._access.url):
            return await self._transport.send("POST", url, self._headers, body, connect_s=CONNECT_TIMEOUT_S)
