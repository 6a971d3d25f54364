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

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from vedette.errors import ConfigurationError

MAX_CONNECTIONS = 2000
MAX_CHUNKS = 10_000  # of the body of a request: what they cost does not depend on their size
HEAD_S = 10.0  # for the head of a request to arrive
FLUSH_S = 60.0  # for the last response to be read


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to the process it is part of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: Ctrl-C and SIGTERM are `vedette run`'s to handle."""
        yield


class _Transport:
    """A transport whose `close` waits *flush_s* for the other end to read what was written, and then ends it."""

    def __init__(self, transport: asyncio.Transport, flush_s: float) -> None:
        self._transport = transport
        self._flush_s = flush_s
        self._flushing: asyncio.TimerHandle | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        """Close it, when what was written is read or *flush_s* have passed."""
        self._transport.close()
        if self._flushing is None:
            loop = asyncio.get_running_loop()
            self._flushing = loop.call_later(self._flush_s, self._transport.abort)

    def closed(self) -> None:
        """Stop waiting."""
        if self._flushing is not None:
            self._flushing.cancel()


class _Parser(h11.Connection):
    """Refuses a body of more than MAX_CHUNKS chunks.

    h11 takes 25 µs for each, and uvicorn parses all that has arrived before anything else runs.
    """

    def __init__(self) -> None:
        super().__init__(h11.SERVER)
        self._chunks = 0

    def next_event(self) -> Any:
        """Return what h11 returns. Raises h11.RemoteProtocolError, for too many chunks, too."""
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
    """Closes a connection on which no request has begun after *head_s*.

    uvicorn only limits how long a connection is silent: one byte now and then would keep it open.
    """

    def __init__(self, *args: Any, head_s: float, flush_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = _Parser()
        self._head_s = head_s
        self._flush_s = flush_s
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        self._closing = _Transport(transport, self._flush_s)
        super().connection_made(self._closing)  # type: ignore[arg-type]
        self._await_request()

    def handle_events(self) -> None:
        """Stop waiting where a request has begun."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._stop_waiting()

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
