"""The HTTP server of a process: a request must arrive within a time, and what is answered may take longer."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from vedette.runtime import web

HEAD_S = 1.0
ENOUGH_S = 60
BEGUN = b"GET /late HTTP/1.1\r\nHost: here\r\n"


class Site:
    """A page, and one that goes on when it is let go."""

    def __init__(self) -> None:
        self.may_go_on = asyncio.Event()
        routes = [
            Route("/", self._page),
            Route("/late", self._late),
            Route("/size", self._size, methods=["POST"]),
        ]
        self.app = Starlette(routes=routes)

    async def _page(self, _: Request) -> Response:
        return Response("here")

    async def _size(self, request: Request) -> Response:
        return Response(f"{len(await request.body())} bytes")

    async def _late(self, _: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"first"
            await self.may_go_on.wait()
            yield b"last"

        return StreamingResponse(parts())


@pytest.fixture
async def site() -> AsyncIterator[tuple[Site, int]]:
    site = Site()
    async with web.listening(site.app, "127.0.0.1", 0, section="http", closing_s=1, head_s=HEAD_S) as url:
        yield site, int(url.rpartition(":")[2])


async def _dribbled(port: int, begun: bytes) -> bytes:
    """Return what is replied to one who sends *begun*, then a byte now and then, until the other end closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    replied = b""
    try:
        async with asyncio.timeout(ENOUGH_S):
            writer.write(begun)
            while not reader.at_eof():
                writer.write(b"x")
                try:
                    replied += await asyncio.wait_for(reader.read(4096), HEAD_S / 10)
                except TimeoutError:
                    continue
    except ConnectionError:
        pass  # closed while a byte was on its way
    finally:
        writer.close()
    return replied


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(BEGUN, id="a head that does not end"),
        pytest.param(b"", id="a first line that does not end"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: here\r\n\r\nGET /", id="a second request"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 99999\r\n\r\n", id="an unread body"),
    ],
)
@pytest.mark.fault("requests whose heads never end", "I13")
async def test_a_request_that_never_comes_holds_no_connection(site: tuple[Site, int], begun: bytes) -> None:
    """However it is sent, byte by byte or after a request that was answered. Others are answered meanwhile."""
    replied = await _dribbled(site[1], begun)
    assert (b"200 OK" in replied) == (b"Host: here\r\n\r\nGET" in begun)


async def test_a_response_may_take_longer_than_a_request(site: tuple[Site, int]) -> None:
    """An event stream stays open while slow senders are cut off."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site[1])
    async with asyncio.timeout(ENOUGH_S):
        writer.write(BEGUN + b"\r\n")
        await reader.readuntil(b"first")
        await _dribbled(site[1], BEGUN)
        site[0].may_go_on.set()
        assert await reader.readuntil(b"last")
    writer.close()


@pytest.mark.fault("a request whose head never ends in size", "I13")
@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: here\r\nX: ", id="one header"),
        pytest.param(b"GET /", id="the path"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: here\r\n\r\nGET / HTTP/1.1\r\nX: ", id="the second request"),
    ],
)
async def test_a_head_that_is_too_large_is_refused_at_once(begun: bytes) -> None:
    """However long a head may take to come."""
    async with web.listening(Site().app, "127.0.0.1", 0, section="http", closing_s=1, head_s=1e6) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        replied = b""
        with suppress(ConnectionError):  # closed while more was on its way
            async with asyncio.timeout(ENOUGH_S):
                writer.write(begun + b"x" * 10_000_000)
                await writer.drain()
                replied = await reader.read()
        writer.close()
    assert replied.count(b" 200 ") <= begun.count(b"\r\n\r\n")


async def test_a_large_body_is_no_large_head(site: tuple[Site, int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site[1])
    body = b"x" * 300_000
    request = b"POST /size HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    async with asyncio.timeout(ENOUGH_S):
        for _ in range(2):
            writer.write(request)
            assert await reader.readuntil(b"%d bytes" % len(body))
    writer.close()


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket"])
async def test_a_request_that_offers_another_protocol_is_served_by_this_one(
    site: tuple[Site, int], upgrade: bytes
) -> None:
    """Java's HTTP client offers HTTP/2 with each first request, its body included."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site[1])
    request = (
        b"POST /size HTTP/1.1\r\nHost: here\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: %s\r\n"
        b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nContent-Length: 5\r\n\r\nhello"
        % upgrade
    )
    async with asyncio.timeout(ENOUGH_S):
        for _ in range(2):
            writer.write(request)
            assert await reader.readuntil(b"5 bytes")
    writer.close()


async def test_requests_that_come_at_once_are_served_in_order(site: tuple[Site, int]) -> None:
    running, port = site
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write((BEGUN + b"\r\n") * 2 + b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(ENOUGH_S):
        await reader.readuntil(b"first")
        await _dribbled(port, BEGUN)  # as long as a head may take: none is awaited here
        running.may_go_on.set()
        words = re.findall(b"first|last|here", await reader.read())
    assert words == [b"last", b"first", b"last", b"here"]
    writer.close()


async def test_a_client_of_http_1_0_reads_to_the_end_of_the_connection(site: tuple[Site, int]) -> None:
    """As nginx asks by default. It knows no chunks."""
    running, port = site
    running.may_go_on.set()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /late HTTP/1.0\r\nHost: here\r\n\r\n")
    async with asyncio.timeout(ENOUGH_S):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert b"chunked" not in head.lower()
    assert body == b"firstlast"
    writer.close()


@pytest.mark.fault("a body in chunks of one byte", "I13")
@pytest.mark.parametrize(
    ("chunks", "replied"), [(web.MAX_CHUNKS, b"%d bytes" % web.MAX_CHUNKS), (web.MAX_CHUNKS + 1, b" 400 ")]
)
async def test_a_body_has_a_limit_of_chunks(site: tuple[Site, int], chunks: int, replied: bytes) -> None:
    """Each takes time from all other requests: those of a process share one thread."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site[1])
    head = b"POST /size HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with asyncio.timeout(ENOUGH_S):
        for _ in range(2 if b"bytes" in replied else 1):
            writer.write(head + b"1\r\nx\r\n" * chunks + b"0\r\n\r\n")
            assert await reader.readuntil(replied)
    writer.close()


@pytest.mark.lane("faults")
@pytest.mark.fault("a client keeps its connection for a while", "I10")
async def test_an_idle_connection_stays_open_longer_than_clients_keep_it() -> None:
    """Clients by httpx keep one for 5 s: as long as uvicorn does, so that requests met the end of their connection."""
    async with web.listening(Site().app, "127.0.0.1", 0, section="http", closing_s=1) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        async with asyncio.timeout(ENOUGH_S):
            writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\nhere")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 6.0)
        writer.close()
