"""Connections that are kept for the next request."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import pytest

from eventually import eventually
from vedette.providers import Access
from vedette.providers._http import tls
from vedette.providers._transport import Transport
from vedette.providers.passing import Passing

ENOUGH_S = 60
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Counts its connections, and which of them each request came by."""

    def __init__(self) -> None:
        self.open: list[asyncio.StreamWriter | None] = []
        self.requests: list[int] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Reply to what comes by one connection."""
        number = len(self.open)
        self.open.append(writer)
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(2)
                self.requests.append(number)
                writer.write(REPLY)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.open[number] = None
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0, backlog=200) as listening:
        made.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
        yield made


@asynccontextmanager
async def transport(url: str, idle_s: float = ENOUGH_S) -> AsyncIterator[Transport]:
    """Yield a way to *url*."""
    access = Access(endpoint="a", url=url)
    made = Transport(access.allowed, tls=tls(access), idle_s=idle_s)
    yield made
    await made.aclose()


async def post(way: Transport, url: str) -> httpx.Response:
    """Return a response that holds its connection."""
    return await way.send("POST", url, {}, b"{}", connect_s=ENOUGH_S)


async def requested(way: Transport, url: str) -> None:
    """Send one request, and read the response."""
    await read(await post(way, url))


async def read(response: httpx.Response) -> None:
    """Read *response*, so that its connection is free."""
    await response.aread()
    await response.aclose()


async def _with_idle(server: Server, connections: int) -> int:
    """Return how many functions a request calls beside so many idle *connections*, and as many in use."""
    async with transport(server.url) as way:
        held = [await post(way, server.url) for _ in range(2 * connections)]
        for one in held[connections:]:
            await read(one)
        calls = 0

        def count(_frame: object, event: str, _argument: object) -> None:
            nonlocal calls
            calls += event == "call"

        await requested(way, server.url)
        sys.setprofile(count)
        try:
            await requested(way, server.url)
        finally:
            sys.setprofile(None)
        for one in held[:connections]:
            await one.aclose()
    return calls


async def test_a_request_costs_the_same_however_many_connections_there_are(server: Server) -> None:
    few, many = await _with_idle(server, 1), await _with_idle(server, 50)
    assert many < 1.5 * few


async def test_head_and_body_of_a_request_are_sent_together(server: Server) -> None:
    async with transport(server.url) as way:
        await requested(way, server.url)
        sends = 0

        def count(_frame: object, event: str, called: object) -> None:
            nonlocal sends
            sends += event == "c_call" and getattr(called, "__name__", "") == "send"

        sys.setprofile(count)
        try:
            await requested(way, server.url)
        finally:
            sys.setprofile(None)
    assert sends == 2  # the request, and the response


@pytest.mark.fault("a server closes an idle connection under a request", "I10")
async def test_a_request_is_sent_again_once_however_many_connections_were_idle() -> None:
    """The server may have taken it: each time more costs tokens."""
    requests = Counter[int]()
    served = list[asyncio.Task[None] | None]()
    every = asyncio.Barrier(3)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(served)
        served.append(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"{}")
                requests[number] += 1
                if requests[number] > 1:
                    break
                if number < every.parties:
                    await every.wait()
                writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        way = Passing(Access(endpoint="x", url=url))

        async def post() -> bytes:
            async with way.post(url, b"{}") as reply:
                return b"".join([part async for part in reply.chunks()])

        async with asyncio.timeout(ENOUGH_S):
            assert await asyncio.gather(*[post() for _ in range(every.parties)]) == [b"{}"] * every.parties
            assert await post() == b"{}"
            await way.close()
            await asyncio.gather(*[task for task in served if task])
    assert sorted(requests.values()) == [1, 1, 1, 2]


async def test_the_connection_that_was_used_last_goes_first(server: Server) -> None:
    """So that those that a burst needed grow old, and are closed."""
    async with transport(server.url) as way:
        held = [await post(way, server.url) for _ in range(3)]
        for one in (held[2], held[0], held[1]):
            await read(one)
        for _ in range(3):
            await requested(way, server.url)
    assert server.requests == [0, 1, 2, 1, 1, 1]


async def test_a_connection_that_was_idle_for_too_long_is_closed(server: Server) -> None:
    async with transport(server.url, idle_s=0.0) as way:
        for _ in range(2):
            await requested(way, server.url)
        assert server.requests == [0, 1]
        await eventually(lambda: _is(server.open[0] is None))


async def test_a_connection_that_the_server_closed_gets_no_request(server: Server) -> None:
    async with transport(server.url) as way:
        await requested(way, server.url)
        writer = server.open[0]
        assert writer is not None
        writer.close()

        async def gets_another() -> bool:
            with suppress(httpx.TransportError):  # it was closed, but the news had not come
                await requested(way, server.url)
            return server.requests[-1] == 1

        await eventually(gets_another)


async def test_a_response_that_is_left_unread_costs_its_connection(server: Server) -> None:
    """What is left of it would be read as the next response."""
    async with transport(server.url) as way:
        await (await post(way, server.url)).aclose()
        await requested(way, server.url)
        assert server.requests == [0, 1]
        await eventually(lambda: _is(server.open[0] is None))


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_request_that_is_cancelled_closes_its_connection(scheme: str) -> None:
    """At a server that accepts and says nothing: in the handshake, or while its head is waited for."""
    came, gone = asyncio.Event(), asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            came.set()
        gone.set()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as listening:
        url = f"{scheme}://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
        async with transport(url) as way:
            asking = asyncio.create_task(post(way, url))
            async with asyncio.timeout(ENOUGH_S):
                await came.wait()
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
                await gone.wait()


async def test_closing_ends_what_is_in_use(server: Server) -> None:
    async with transport(server.url) as way:
        response = await post(way, server.url)
    await eventually(lambda: _is(server.open == [None]))
    await response.aclose()


async def _is(it: bool) -> bool:
    return it
