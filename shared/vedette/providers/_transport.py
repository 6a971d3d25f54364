"""Requests over `Guarded` connections of httpcore, with the responses and errors of httpx.

httpx has no parameter for a network backend. Its client would add cookies, redirects, logins and proxies, which is not
wanted, and takes more time than the rest of a short request.
"""

import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, cast

import httpcore
import httpx

from vedette.providers._handshakes import HandshakeBackend
from vedette.providers._outbound import Guarded
from vedette.providers._plain import PlainBackend
from vedette.providers._pool import Pool

_MAX_URLS = 4096  # parsed URLs in the cache: parsing one takes longer than the gateway's choice of a model
_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
IDLE_S = 2.0  # below the idle time of servers (uvicorn, Node: 5 s), which could close during a request
Trace = Callable[[str, object], Awaitable[None]]  # httpcore calls it with each event
# The first match counts: general errors come last.
_ERRORS: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (httpcore.ConnectTimeout, httpx.ConnectTimeout),
    (httpcore.ReadTimeout, httpx.ReadTimeout),
    (httpcore.WriteTimeout, httpx.WriteTimeout),
    (httpcore.PoolTimeout, httpx.PoolTimeout),
    (httpcore.ConnectError, httpx.ConnectError),
    (httpcore.ReadError, httpx.ReadError),
    (httpcore.WriteError, httpx.WriteError),
    (httpcore.UnsupportedProtocol, httpx.UnsupportedProtocol),
    (httpcore.LocalProtocolError, httpx.LocalProtocolError),
    (httpcore.RemoteProtocolError, httpx.RemoteProtocolError),
    (httpcore.TimeoutException, httpx.TimeoutException),
    (httpcore.NetworkError, httpx.NetworkError),
    (httpcore.ProtocolError, httpx.ProtocolError),
)


@contextmanager
def errors_of_httpx() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        for theirs, ours in _ERRORS:
            if isinstance(error, theirs):
                raise ours(str(error)) from error
        raise


@lru_cache(maxsize=_MAX_URLS)
def place_of(url: str) -> tuple[httpcore.URL, bytes]:
    """Return *url* parsed, and its `Host` header. Raises httpx.InvalidURL."""
    request = httpx.Request("POST", url)
    at = request.url
    place = httpcore.URL(scheme=at.raw_scheme, host=at.raw_host, port=at.port, target=at.raw_path)
    return place, request.headers["Host"].encode("ascii")


def raw_headers(headers: Mapping[str, str], host: bytes) -> list[tuple[bytes, bytes]]:
    """Return *headers* as bytes; *host* is added as the first if they have no `Host`."""
    raw = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
    if not any(name.lower() == b"host" for name, _ in raw):
        raw.insert(0, (b"Host", host))
    return raw


class _Body(httpx.AsyncByteStream):
    """The body of a response, as it arrives."""

    def __init__(
        self, response: httpcore.Response, connection: httpcore.AsyncHTTPConnection, pool: Pool
    ) -> None:
        self._response = response
        self._connection: httpcore.AsyncHTTPConnection | None = connection
        self._pool = pool

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with errors_of_httpx():
            async for part in cast("AsyncIterator[bytes]", self._response.stream):
                yield part

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with errors_of_httpx():
            try:
                await self._response.aclose()
            finally:
                await self._pool.give_back(connection)


class Transport:
    """Sends requests to a server, by TCP or by the unix socket *uds*, to places that *allowed* permits.

    *ahead_bytes* is the size of the kernel's receive buffer: it limits how much of an unread reply is held. uvloop
    reads the whole buffer at once. An idle connection is closed after *idle_s*. Without *tls*, requests to https://
    fail.
    """

    def __init__(
        self,
        allowed: Sequence[str],
        *,
        tls: ssl.SSLContext | None,
        uds: str | None = None,
        ahead_bytes: int | None = None,
        idle_s: float = IDLE_S,
    ) -> None:
        guarded = Guarded(allowed, HandshakeBackend() if tls else PlainBackend())
        options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, ahead_bytes)] if ahead_bytes else None
        self._pool = Pool(
            lambda origin: httpcore.AsyncHTTPConnection(
                origin,
                ssl_context=tls,
                keepalive_expiry=idle_s,
                uds=uds,
                network_backend=guarded,
                socket_options=options,
            )
        )

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        connect_s: float,
        trace: Trace | None = None,
    ) -> httpx.Response:
        """Send a request; return the response as soon as its headers have arrived. The caller must close it.

        *connect_s* is the time limit of the connection; there is no other limit. *trace* is called with each event of
        the connection. Raises httpx.TransportError, httpx.InvalidURL.
        """
        place, host = place_of(url)
        raw = raw_headers(headers, host)
        if body is not None or method not in _WITHOUT_BODY:
            raw.append((b"Content-Length", b"%d" % len(body or b"")))
        extensions: dict[str, Any] = {
            "timeout": {"connect": connect_s, "read": None, "write": None, "pool": None}
        }
        if trace is not None:
            extensions["trace"] = trace
        request = httpcore.Request(method, place, headers=raw, content=body, extensions=extensions)
        with errors_of_httpx():
            response, connection = await self._pool.send(request)
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response, connection, self._pool),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        with errors_of_httpx():
            await self._pool.aclose()
