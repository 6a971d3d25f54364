"""Connections of httpcore, kept for the next request.

httpcore's own pool compares all pairs of its connections, twice for each request. With 100 connections in use and 100
idle, a request took 8 ms of CPU time.
"""

from collections import OrderedDict
from collections.abc import Callable

import httpcore


class Stale(httpcore.ReadError):
    """A reused connection broke off during a request: usually the server had closed it while it was idle."""


class Pool:
    """Connections that *connect* makes, each for one request at a time. The most recently used one is reused first."""

    def __init__(self, connect: Callable[[httpcore.Origin], httpcore.AsyncHTTPConnection]) -> None:
        self._connect = connect
        self._open: set[httpcore.AsyncHTTPConnection] = set()
        self._idle: OrderedDict[httpcore.AsyncHTTPConnection, None] = (
            OrderedDict()
        )  # the longest idle is first

    async def send(self, request: httpcore.Request) -> tuple[httpcore.Response, httpcore.AsyncHTTPConnection]:
        """Send *request*; return the response and its connection. The caller must call `give_back` with the connection.

        Raises Stale if a reused connection broke off, else httpcore's errors.
        """
        while self._idle and (oldest := next(iter(self._idle))).has_expired():
            await self._close(oldest)
        connection = await self._taken(request.url.origin)
        is_used = connection.is_idle()
        try:
            return await connection.handle_async_request(request), connection
        except (httpcore.NetworkError, httpcore.RemoteProtocolError) as error:
            await self._close(connection)
            if not is_used:
                raise
            for other in [one for one in self._idle if one.can_handle_request(request.url.origin)]:
                await self._close(
                    other
                )  # the server has probably closed it too: the next request gets a new connection
            raise Stale(str(error)) from error
        except BaseException:
            await self._close(connection)
            raise

    async def give_back(self, connection: httpcore.AsyncHTTPConnection) -> None:
        """Keep *connection* for the next request, or close it if it cannot be reused. Its response must be closed."""
        if connection.is_idle() and connection in self._open:
            self._idle[connection] = None
        else:
            await self._close(connection)

    async def aclose(self) -> None:
        """Close every connection."""
        for connection in list(self._open):
            await self._close(connection)

    async def _taken(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
        while one := next((one for one in reversed(self._idle) if one.can_handle_request(origin)), None):
            if not one.has_expired():
                del self._idle[one]
                return one
            await self._close(one)
        made = self._connect(origin)
        self._open.add(made)
        return made

    async def _close(self, connection: httpcore.AsyncHTTPConnection) -> None:
        self._open.discard(connection)
        self._idle.pop(connection, None)
        await connection.aclose()
