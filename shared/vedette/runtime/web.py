"""An HTTP server inside a process that handles signals itself."""

import asyncio
import contextlib
import math
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from vedette.errors import ConfigurationError

MAX_CONNECTIONS = 2000
MAX_CHUNKS = 10_000  # of a request body, because the cost of a chunk does not depend on its size
HEAD_S = 10.0  # to receive the head of a request
FLUSH_S = 60.0  # for the client to read the last response


class _Server(uvicorn.Server):
    """A uvicorn server that does not handle signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: the process handles Ctrl-C and SIGTERM."""
        yield


class _Transport:
    """A transport whose `close` gives the client *flush_s* to read what was written, and then aborts."""

    def __init__(self, transport: asyncio.Transport, flush_s: float) -> None:
        self._transport = transport
        self._flush_s = flush_s
        self._flushing: asyncio.TimerHandle | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        """Close the transport when everything written was read, or after *flush_s*."""
        self._transport.close()
        if self._flushing is None:
            loop = asyncio.get_running_loop()
            self._flushing = loop.call_later(self._flush_s, self._transport.abort)

    def closed(self) -> None:
        """Cancel the timer, because the connection is closed."""
        if self._flushing is not None:
            self._flushing.cancel()


class _Parser(h11.Connection):
    """Refuses a body of more than MAX_CHUNKS chunks.

    h11 takes 25 µs for each chunk, and uvicorn parses all received data before it does anything else.
    """

    def __init__(self) -> None:
        super().__init__(h11.SERVER)
        self._chunks = 0

    def next_event(self) -> Any:
        """Return the next event. Raises h11.RemoteProtocolError, also for too many chunks."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._chunks = 0
        elif isinstance(event, h11.Data) and event.chunk_start:
            self._chunks += 1
            if self._chunks > MAX_CHUNKS:
                raise h11.RemoteProtocolError(
                    f"a body has at most {MAX_CHUNKS} chunks", error_status_hint=413
                )
        return event


class _Protocol(H11Protocol):
    """Closes a connection if no complete request head arrives within *head_s*.

    uvicorn only limits the time without any data, so single bytes at intervals would keep a connection open.
    """

    def __init__(self, *args: Any, head_s: float, flush_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = _Parser()
        self._head_s = head_s
        self._flush_s = flush_s
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer for the first request."""
        self._closing = _Transport(transport, self._flush_s)
        super().connection_made(self._closing)  # type: ignore[arg-type]
        self._await_request()

    def handle_events(self) -> None:
        """Stop the timer if a request has begun."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Start the timer for the next request."""
        self._await_request()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        self._stop_waiting()
        self._closing.closed()
        super().connection_lost(exc)

    def _await_request(self) -> None:
        self._stop_waiting()
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

    A connection is closed if the head of a request takes longer than *head_s*. Written data is lost if the client does
    not read it within *flush_s*. At the end, requests have *closing_s* to finish. Raises ConfigurationError, which
    names the *section*, if the port is taken.
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
        proxy_headers=False,  # because any client can send them
        limit_concurrency=MAX_CONNECTIONS,
        # Longer than clients keep an idle connection (httpx 5 s, Node 4 s): else a request could meet the close.
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
    """Wait until connections are served.

    The kernel accepts them earlier, and their clients would wait without limit.
    """
    while not server.started:
        if task.done():
            task.result()
            raise RuntimeError("the HTTP server ended before it started")
        await asyncio.sleep(0)


def url_of(host: str, port: int) -> str:
    """Return the URL of a server at *host* and *port*."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def family(host: str) -> socket.AddressFamily:
    """Return the address family of *host*."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def is_free(host: str, port: int) -> bool:
    """Return whether nothing listens at *port* of *host* now."""
    try:
        socket.create_server((host, port), family=family(host)).close()
    except OSError:
        return False
    return True


def _raise_limit() -> None:
    """Raise the limit of open files of this process to the maximum: each connection needs one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * MAX_CONNECTIONS if hard == resource.RLIM_INFINITY else min(hard, 4 * MAX_CONNECTIONS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
