"""Requests that each use a connection of their own, which the server closes after its reply.

Load is read every ten seconds, and most servers close idle connections after five. httpcore spends half of the CPU time
of a reading on keeping a connection. h11, the parser of httpcore, does not. A server with one thread for each
connection (llama.cpp) gets its thread back at once.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

import h11
import httpcore
import httpx

from vedette.providers._outbound import Guarded
from vedette.providers._plain import PlainBackend
from vedette.providers._transport import Trace, Transport, errors_of_httpx, place_of, raw_headers

_PIECE_BYTES: Final = 64 * 1024
_MAX_HEADER_BYTES: Final = 100 * 1024  # httpcore's limit


class Brief:
    """Sends each plain GET without a body over a connection of its own; all other requests by *otherwise*.

    *otherwise* also sends requests over TLS.
    """

    def __init__(self, otherwise: Transport, allowed: Sequence[str], *, uds: str | None) -> None:
        self._otherwise = otherwise
        self._uds = uds
        self._backend = Guarded(allowed, PlainBackend())

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
        """Send a request; return the response as soon as its headers have arrived. The caller must close it."""
        place, host = place_of(url)
        if method != "GET" or body is not None or place.scheme != b"http":
            return await self._otherwise.send(method, url, headers, body, connect_s=connect_s, trace=trace)
        with errors_of_httpx():
            exchange = await self._connected(place, connect_s)
            try:
                if trace is not None:
                    await trace("connection.connected", None)
                response = await exchange.ask(place.target, host, headers, trace)
            except BaseException:
                await exchange.aclose()
                raise
        return httpx.Response(response.status_code, headers=response.headers.raw_items(), stream=exchange)

    async def _connected(self, place: httpcore.URL, connect_s: float) -> "_Exchange":
        if self._uds is not None:
            return _Exchange(await self._backend.connect_unix_socket(self._uds, connect_s))
        origin = place.origin
        return _Exchange(await self._backend.connect_tcp(origin.host.decode(), origin.port, connect_s))


class _Exchange(httpx.AsyncByteStream):
    """One request and its response, over a connection of its own."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._state = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEADER_BYTES)

    async def ask(
        self, target: bytes, host: bytes, headers: Mapping[str, str], trace: Trace | None
    ) -> h11.Response:
        """Send the request; return the head of the response. Raises what httpcore raises."""
        raw = [*raw_headers(headers, host), (b"Connection", b"close")]
        try:
            request = h11.Request(method=b"GET", target=target, headers=raw)
            sent = (self._state.send(request) or b"") + (self._state.send(h11.EndOfMessage()) or b"")
        except h11.LocalProtocolError as error:
            raise httpcore.LocalProtocolError(str(error)) from error
        await self._stream.write(sent)
        if trace is not None:
            await trace("http11.send_request_headers.complete", None)
        while not isinstance(event := await self._event(), h11.Response):
            pass  # informational responses (1xx)
        return event

    async def _event(self) -> h11.Event:
        while True:
            try:
                event = self._state.next_event()
                if event is not h11.NEED_DATA:
                    break
                data = await self._stream.read(_PIECE_BYTES)
                if not data and self._state.their_state is h11.SEND_RESPONSE:
                    # h11 would report an empty reply as unreadable.
                    raise httpcore.RemoteProtocolError("Server disconnected without sending a response.")
                self._state.receive_data(data)
            except h11.RemoteProtocolError as error:
                raise httpcore.RemoteProtocolError(str(error)) from error
        if isinstance(event, h11.Event):
            return event
        raise httpcore.RemoteProtocolError("Server closed the connection.")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with errors_of_httpx():
            while isinstance(event := await self._event(), h11.Data):
                yield bytes(event.data)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()
