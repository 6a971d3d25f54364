"""An HTTP server as part of a process that handles signals itself."""

import asyncio
import contextlib
import math
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httptools
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from vedette.errors import ConfigurationError

MAX_CONNECTIONS = 2000
MAX_HEAD_BYTES = 64 * 1024
HEAD_S = 10.0  # for the head of a request to arrive
FLUSH_S = 60.0  # for the last response to be read
_HEAD = b"HTTP/1.1 "  # how the head of a response begins, which uvicorn writes alone
_CONTINUE = b"HTTP/1.1 100 "
_CHUNKED = b"transfer-encoding: chunked\r\n"


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to the process it is part of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: Ctrl-C and SIGTERM are `vedette run`'s to handle."""
        yield


class _Transport:
    """A transport whose `close` waits *flush_s* for the other end to read what was written, and then ends it.

    It sends the head of a response together with what follows it: a call of the kernel less before the first piece.
    """

    def __init__(self, transport: asyncio.Transport, flush_s: float) -> None:
        self._transport = transport
        self._flush_s = flush_s
        self._flushing: asyncio.TimerHandle | None = None
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send *data*; a head together with the next data, or alone where none follows at once."""
        if data.startswith(_HEAD) and not self._head:
            self._head = data
            asyncio.get_running_loop().call_soon(self._send_head)
            return
        if self._head:
            data, self._head = self._head + data, b""
        self._transport.write(data)

    def close(self) -> None:
        """Close it, when what was written is read or *flush_s* have passed."""
        self._send_head()
        self._transport.close()
        if self._flushing is None:
            loop = asyncio.get_running_loop()
            self._flushing = loop.call_later(self._flush_s, self._transport.abort)

    def closed(self) -> None:
        """Stop waiting."""
        self._head = b""
        if self._flushing is not None:
            self._flushing.cancel()

    def _send_head(self) -> None:
        head, self._head = self._head, b""
        if head:
            self._transport.write(head)


class _Unchunked:
    """A transport for one response to a client of HTTP/1.0, as nginx is by default: it knows no chunks.

    uvicorn with httptools sends them to every client. Here the body ends where the connection does.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._is_chunked: bool | None = None  # None before the head of the response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send the head without its line about chunks, and chunks without their frames."""
        if self._is_chunked is None and data.startswith(_HEAD) and not data.startswith(_CONTINUE):
            self._is_chunked = _CHUNKED in data
            data = data.replace(_CHUNKED, b"")
        elif self._is_chunked:
            data = b"".join(_bodies(data))
        self._transport.write(data)


def _bodies(chunks: bytes) -> Iterator[bytes]:
    """Yield what is in *chunks*, which are whole."""
    at = 0
    while at < len(chunks):
        begin = chunks.index(b"\r\n", at) + 2
        end = begin + int(chunks[at:begin], 16)
        yield chunks[begin:end]
        at = end + 2


class _Parser:
    """httptools' parser, which leaves a request that offers another protocol without its body: this one reads on.

    Java's HTTP client offers HTTP/2 so with its first request.
    """

    def __init__(self, protocol: "_Protocol") -> None:
        self._protocol = protocol
        self._parser = httptools.HttpRequestParser(protocol)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)

    def feed_data(self, data: bytes) -> None:
        """Parse *data*. Raises httptools.HttpParserError, HttpParserUpgrade (CONNECT)."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if not self._protocol.offers_another:
                raise
            head = self._protocol.head_without_offer()
            self._parser = httptools.HttpRequestParser(self._protocol)
            self._parser.feed_data(head + data[upgrade.args[0] :])


class _Protocol(HttpToolsProtocol):
    """Closes a connection on which no request has begun after *head_s*, or whose head is larger than MAX_HEAD_BYTES.

    uvicorn only limits how long a connection is silent: one byte now and then would keep it open.
    """

    def __init__(self, *args: Any, head_s: float, flush_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser = _Parser(self)  # type: ignore[assignment]
        self._head_s = head_s
        self._flush_s = flush_s
        self._deadline: asyncio.TimerHandle | None = None
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        self._closing = _Transport(transport, self._flush_s)
        super().connection_made(self._closing)  # type: ignore[arg-type]
        self._await_request()

    def data_received(self, data: bytes) -> None:
        """Read on, unless the head is too large."""
        super().data_received(data)
        if self._deadline is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.transport.abort()

    def on_headers_complete(self) -> None:
        """Stop waiting: a request has begun, unless its head comes once more."""
        if self.offers_another:
            return
        self._stop_waiting()
        super().on_headers_complete()
        if self.scope.get("http_version") == "1.0":
            self.cycle.transport = _Unchunked(self.transport)  # type: ignore[assignment]

    def on_message_complete(self) -> None:
        """End the request, unless its body is still to come."""
        if not self.offers_another:
            super().on_message_complete()

    @property
    def offers_another(self) -> bool:
        """Whether the request that is parsed offers another protocol. A CONNECT does nothing else."""
        return self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"

    def head_without_offer(self) -> bytes:
        """Return the head that was parsed last, without the protocol that it offers."""
        headers = [b"%s: %s" % (name, value) for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join((b"%s %s HTTP/1.1" % (self.parser.get_method(), self.url), *headers, b"\r\n"))

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        self._await_request()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        self._closing.closed()
        super().connection_lost(exc)

    def _await_request(self) -> None:
        self._stop_waiting()
        self._head_bytes = 0
        self._deadline = self.loop.call_later(self._head_s, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


@asynccontextmanager
async def listening(
    app: ASGIApp,
    host: str,
    port: int,
    *,
    section: str,
    closing_s: int | None = None,
    head_s: float = HEAD_S,
    flush_s: float = FLUSH_S,
) -> AsyncIterator[str]:
    """Serve *app* and yield its URL; port 0 takes a free one.

    A connection is closed when the head of a request takes longer than *head_s*; what was written is lost where the
    other end does not read it within *flush_s*. Requests that are not done *closing_s*
    after the end are cut off. Raises ConfigurationError, naming the *section*, when the port is taken.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=partial(_Protocol, head_s=head_s, flush_s=flush_s),  # type: ignore[arg-type]
        log_level="critical",
        lifespan="off",
        ws="none",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # any client can send them
        limit_concurrency=MAX_CONNECTIONS,
        # Longer than clients keep an idle connection (httpx 5 s, Node 4 s): a request would meet its end.
        timeout_keep_alive=math.ceil(head_s),
        timeout_graceful_shutdown=closing_s,
    )
    _raise_limit()
    try:
        listener = socket.create_server((host, port), family=family(host))
    except OSError as error:
        raise ConfigurationError(
            where=f"{section}.port", problem=f"{host}:{port}: {error.strerror}"
        ) from error
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    bound = listener.getsockname()[1]
    try:
        await _started(server, task)
        yield url_of(host, bound)
    finally:
        server.should_exit = True
        await task
        listener.close()


async def _started(server: uvicorn.Server, task: "asyncio.Task[None]") -> None:
    """Wait until connections are served: the kernel accepts them before, and their callers would wait without limit."""
    while not server.started:
        if task.done():
            task.result()
            raise RuntimeError("the HTTP server ended before it started")
        await asyncio.sleep(0)


def url_of(host: str, port: int) -> str:
    """Return the URL of a server at *host* and *port*."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def family(host: str) -> socket.AddressFamily:
    """Return the family of addresses that *host* is of."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def is_free(host: str, port: int) -> bool:
    """Return whether nothing listens at *port* of *host* now."""
    try:
        socket.create_server((host, port), family=family(host)).close()
    except OSError:
        return False
    return True


def _raise_limit() -> None:
    """Let this process have as many open files as the system allows it: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * MAX_CONNECTIONS if hard == resource.RLIM_INFINITY else min(hard, 4 * MAX_CONNECTIONS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
