"""An HTTP server as part of a process that handles signals itself."""

import asyncio
import contextlib
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from vedette.errors import ConfigurationError

MAX_CONNECTIONS = 2000


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to the process it is part of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: Ctrl-C and SIGTERM are `vedette run`'s to handle."""
        yield


@asynccontextmanager
async def listening(
    app: ASGIApp, host: str, port: int, *, section: str, closing_s: int | None = None
) -> AsyncIterator[str]:
    """Serve *app* and yield its URL; port 0 takes a free one.

    Requests that are not done *closing_s* after the end are cut off. Raises ConfigurationError, naming the *section*,
    when the port is taken.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="critical",
        lifespan="off",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # anybody can send them
        limit_concurrency=MAX_CONNECTIONS,
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
        yield url_of(host, bound)
    finally:
        server.should_exit = True
        await task
        listener.close()


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
