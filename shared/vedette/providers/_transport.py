"""Requests by httpcore over connections that are `Guarded`, with the responses and errors of httpx."""

import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import httpcore
import httpx

from vedette.providers._outbound import Guarded

Headers = Sequence[tuple[bytes, bytes]]
Trace = Callable[[str, object], Awaitable[None]]
_IDLE_S = 2.0  # servers wait longer (uvicorn and Node 5 s), so that none closes under a request
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


def encoded(*headers: Mapping[str, str]) -> Headers:
    """Return *headers*, encoded once for many requests; later ones replace earlier ones."""
    whole = httpx.Headers({"Accept": "*/*"})
    for more in headers:
        whole.update(more)
    return whole.raw


class _Body(httpx.AsyncByteStream):
    """The body of a response, as it arrives. Closing it releases its connection."""

    def __init__(self, response: httpcore.Response, release: Callable[[], Awaitable[None]]) -> None:
        self._response = response
        self._release = release
        self._is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors_of_httpx():
            async for part in self._response.aiter_stream():
                yield part

    async def aclose(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        with _errors_of_httpx():
            try:
                await self._response.aclose()
            finally:
                await self._release()


class Transport:
    """Sends requests to one server, by TCP or the unix socket *uds*, where *allowed* lets them go.

    With *ahead_bytes*, the kernel takes about so much of a reply that is not read yet. libuv reads all of it at once.

    The connections are httpcore's, its pool is not: that looks at each connection twice for a request, and keeps none
    where more than its limit are in use (httpcore 1.0.9).
    """

    def __init__(
        self,
        allowed: Sequence[str],
        *,
        tls: ssl.SSLContext,
        uds: str | None = None,
        ahead_bytes: int | None = None,
    ) -> None:
        self._tls = tls
        self._uds = uds
        self._backend = Guarded(allowed)
        self._options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, ahead_bytes)] if ahead_bytes else None
        self._open: set[httpcore.AsyncHTTPConnection] = set()
        self._idle: list[httpcore.AsyncHTTPConnection] = []  # the last used is the last

    async def send(
        self,
        method: str,
        url: httpx.URL,
        headers: Headers,
        body: bytes | None = None,
        *,
        connect_s: float,
        trace: Trace | None = None,
    ) -> httpx.Response:
        """Send a request; return the response, which the caller closes, as soon as its headers have come.

        There is no client of httpx around it: cookies, redirects, logins and proxies are what must not happen, and it
        takes as much time as all the rest. *trace* receives the events of the connection. Raises httpx.TransportError.
        """
        sent = list(headers)
        if not any(name.lower() == b"host" for name, _ in sent):
            sent.insert(0, (b"Host", url.netloc))
        if body is not None:
            sent.append((b"Content-Length", b"%d" % len(body)))
        timeouts = {"connect": connect_s, "read": None, "write": None, "pool": None}
        request = httpcore.Request(
            method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=sent,
            content=body,
            extensions={"timeout": timeouts, "trace": trace} if trace else {"timeout": timeouts},
        )
        with _errors_of_httpx():
            connection = await self._connection(request.url.origin)
            try:
                response = await connection.handle_async_request(request)
            except BaseException:
                self._open.discard(connection)
                raise
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response, partial(self._release, connection)),
            extensions=response.extensions,
        )

    async def _connection(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
        """Return the connection that was idle for the shortest time, or a new one."""
        while self._idle:
            connection = self._idle.pop()
            if connection.can_handle_request(origin) and not connection.has_expired():
                return connection
            await self._close(connection)
        connection = httpcore.AsyncHTTPConnection(
            origin,
            ssl_context=self._tls,
            keepalive_expiry=_IDLE_S,
            uds=self._uds,
            network_backend=self._backend,
            socket_options=self._options,
        )
        self._open.add(connection)
        return connection

    async def _release(self, connection: httpcore.AsyncHTTPConnection) -> None:
        """Keep *connection* for the next request, if it can be, and close those that were idle for too long."""
        if connection not in self._open:
            return  # closed meanwhile, with all others
        if connection.is_available():
            self._idle.append(connection)
        else:
            self._open.discard(connection)
        while self._idle and self._idle[0].has_expired():
            await self._close(self._idle.pop(0))

    async def _close(self, connection: httpcore.AsyncHTTPConnection) -> None:
        self._open.discard(connection)
        await connection.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        self._idle.clear()
        with _errors_of_httpx():
            while self._open:
                await self._close(next(iter(self._open)))
