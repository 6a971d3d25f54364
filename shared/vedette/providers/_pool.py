"""Connections of httpcore, kept for the next request.

httpcore's own pool compares its connections in pairs, twice for each request: with 100 in use and 100 idle, a request
took 8 ms of processor time.
"""

from collections import OrderedDict
from collections.abc import Callable

import httpcore


class Stale(httpcore.ReadError):
    """A connection that was used before broke off under a request: the server has closed it meanwhile, as a rule."""


class Pool:
    """Connections that *connect* makes, each for one request at a time; the one that was used last goes first."""

    def __init__(self, connect: Callable[[httpcore.Origin], httpcore.AsyncHTTPConnection]) -> None:
        self._connect = connect
        self._open: set[httpcore.AsyncHTTPConnection] = set()
        self._idle: OrderedDict[httpcore.AsyncHTTPConnection, None] = (
            OrderedDict()
        )  # the longest idle is first

    async def send(self, request: httpcore.Request) -> tuple[httpcore.Response, httpcore.AsyncHTTPConnection]:
        """Return the response and its connection, which the caller gives back. Raises httpcore's errors, Stale."""
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
                )  # most likely closed by the server, too: the next request gets a new one
            raise Stale(str(error)) from error
        except BaseException:
            await self._close(connection)
            raise

    async def give_back(self, connection: httpcore.AsyncHTTPConnection) -> None:
        """Keep *connection*, whose response is closed, for the next request, if it can take one."""
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
