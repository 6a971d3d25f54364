"""The HTTP server of a process: a request must arrive within a time, and what is answered may take longer."""

import asyncio
from collections.abc import AsyncIterator

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
        self.app = Starlette(routes=[Route("/", self._page), Route("/late", self._late)])

    async def _page(self, _: Request) -> Response:
        return Response("here")

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
async def test_a_head_that_is_too_large_closes_the_connection(site: tuple[Site, int]) -> None:
    _, port = site
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(ENOUGH_S):
            writer.write(b"GET / HTTP/1.1\r\nHost: here\r\nX: " + b"x" * 1_000_000)
            await writer.drain()
            assert b" 200 " not in await reader.read()
    except ConnectionError:
        pass  # closed while more was on its way
    finally:
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
