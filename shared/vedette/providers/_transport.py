"""httpx over a pool of httpcore's whose connections are `Guarded`: httpx has no parameter for a network backend."""

import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache

import httpcore
import httpx

from vedette.providers._outbound import Guarded

_MAX_URLS = 256  # kept taken apart: httpx takes longer for one than a gateway takes for its choice
IDLE_S = 2.0  # servers wait longer (uvicorn and Node 5 s), so that none closes under a request
# The first that fits counts: the general ones are last.
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
def _errors_of_httpx() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        for theirs, ours in _ERRORS:
            if isinstance(error, theirs):
                raise ours(str(error)) from error
        raise


def _url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


@lru_cache(maxsize=_MAX_URLS)
def _place(url: str) -> tuple[httpcore.URL, bytes]:
    """Return *url* taken apart, and its `Host`. Raises httpx.InvalidURL."""
    request = httpx.Request("POST", url)
    return _url(request.url), request.headers["Host"].encode("ascii")


class _Body(httpx.AsyncByteStream):
    """The body of a response, as it arrives."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors_of_httpx():
            async for part in self._response.aiter_stream():
                yield part

    async def aclose(self) -> None:
        with _errors_of_httpx():
            await self._response.aclose()


class Transport(httpx.AsyncBaseTransport):
    """Sends requests to a server, by TCP or the unix socket *uds*, where *allowed* lets them go.

    With *ahead_bytes*, the kernel takes about so much of a reply that is not read yet. libuv reads all of it at once.
    A connection without a request is closed after *idle_s*. Connections are made by *backend*, by default httpcore's.
    """

    def __init__(
        self,
        allowed: Sequence[str],
        *,
        tls: ssl.SSLContext,
        uds: str | None = None,
        ahead_bytes: int | None = None,
        idle_s: float = IDLE_S,
        backend: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=None,
            # httpcore counts connections in use here too: with a limit it keeps none while more are in use.
            max_keepalive_connections=None,
            keepalive_expiry=idle_s,
            uds=uds,
            network_backend=Guarded(allowed, backend or httpcore.AnyIOBackend()),
            socket_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, ahead_bytes)] if ahead_bytes else None,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request*; return the response with its body still to come. Raises httpx.TransportError."""
        sent = httpcore.Request(
            method=request.method,
            url=_url(request.url),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        return await self._sent(sent)

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, connect_s: float
    ) -> httpx.Response:
        """POST *body* without a client of httpx: cookies, redirects, logins and proxies are what must not happen.

        Return the response, which the caller closes, as soon as its headers have come. Raises httpx.TransportError.
        """
        place, host = _place(url)
        raw = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
        if not any(name.lower() == b"host" for name, _ in raw):
            raw.insert(0, (b"Host", host))
        sent = httpcore.Request(
            b"POST",
            place,
            headers=[*raw, (b"Content-Length", b"%d" % len(body))],
            content=body,
            extensions={"timeout": {"connect": connect_s, "read": None, "write": None, "pool": None}},
        )
        return await self._sent(sent)

    async def _sent(self, request: httpcore.Request) -> httpx.Response:
        with _errors_of_httpx():
            response = await self._pool.handle_async_request(request)
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        with _errors_of_httpx():
            await self._pool.aclose()
