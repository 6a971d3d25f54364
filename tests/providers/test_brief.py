"""Requests on a connection of their own: what is read, and that each failure is the same as on a kept connection."""

import asyncio
from pathlib import Path

import httpx
import pytest

from providers.replay import Exchange, Handler, Write, hang, replaying, reply, stream, trickle
from vedette.clock import SystemClock
from vedette.errors import ProviderError
from vedette.providers import Access
from vedette.providers._http import Http
from vedette.providers.counting import counting
from vedette.types import Outcome


def raw(*pieces: bytes) -> Handler:
    """Return a handler that sends *pieces* as they are."""

    async def handle(_: Exchange, write: Write) -> None:
        for piece in pieces:
            await write(piece)
            await asyncio.sleep(0)

    return handle


async def outcome_of(http: Http) -> Outcome:
    try:
        await http.get("/load")
    except ProviderError as error:
        return error.outcome
    return Outcome.OK


WELL = {
    "with its length": reply(200, {"running": 3}),
    "in chunks": stream('{"running":', "3}"),
    "up to the end of the connection": raw(b"HTTP/1.1 200 OK\r\n\r\n", b'{"running": 3}'),
    "in single bytes": raw(
        *(bytes([one]) for one in b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"running": 3}')
    ),
    "after an informational one": raw(
        b'HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"running": 3}'
    ),
}
BADLY = {
    "nothing": raw(),
    "no HTTP": raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "half a head": raw(b"HTTP/1.1 200 O"),
    "an endless head": raw(b"HTTP/1.1 200 OK\r\n", *[b"X: " + b"a" * 10_000 + b"\r\n"] * 20),
    "half a body": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
    "chunks that end too soon": stream('{"running":', whole=False),
    "a redirect": reply(302, b"", Location="http://elsewhere/"),
    "not found": reply(404, {"error": "no"}),
    "an error": reply(500, {"error": "no"}),
    "no JSON": reply(200, b"<html>"),
    "too much": reply(200, b" " * 200_000),
    "what was not asked for": reply(200, b"{}", Content_Encoding="br"),
    "silence": hang,
    "a byte now and then": trickle,
}


@pytest.mark.parametrize("what", WELL)
async def test_a_reply_is_read_whole_and_the_connection_is_of_no_further_use(what: str) -> None:
    async with replaying() as replay:
        replay.routes["GET", "/load"] = WELL[what]
        async with Http(Access(endpoint="a", url=replay.url), clock=SystemClock()) as http:
            with counting() as sent:
                assert await http.brief().get("/load") == {"running": 3}
        (request,) = replay.requests
        assert request.headers["connection"] == "close"
        assert request.headers["host"] == replay.url.removeprefix("http://")
        assert sent.requests == 1
        assert sent.bytes >= len('{"running":3}')


@pytest.mark.parametrize("what", BADLY)
async def test_a_failure_is_the_same_as_on_a_kept_connection(what: str) -> None:
    async with replaying() as replay:
        replay.routes["GET", "/load"] = BADLY[what]
        access = Access(endpoint="a", url=replay.url, timeout_s=0.5, max_body_bytes=100_000)
        async with Http(access, clock=SystemClock()) as http:
            kept, brief = await outcome_of(http), await outcome_of(http.brief())
    assert brief is kept
    assert brief is not Outcome.OK


async def test_it_connects_nowhere_else_than_is_allowed() -> None:
    async with replaying() as replay:
        replay.routes["GET", "/load"] = WELL["with its length"]
        access = Access(endpoint="a", url=replay.url, allowed=("10.0.0.0/8",))
        async with Http(access, clock=SystemClock()) as http:
            with pytest.raises(ProviderError, match=r"outbound\.allow"):
                await http.brief().get("/load")
        assert replay.requests == []


async def test_nothing_listens_there() -> None:
    async with replaying() as replay:
        url = replay.url
    async with Http(Access(endpoint="a", url=url), clock=SystemClock()) as http:
        assert await outcome_of(http.brief()) is Outcome.REFUSED


async def test_a_unix_socket(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    path = tmp_path / "a.sock"
    access = Access(endpoint="a", url=f"http+unix://{path}")
    async with (
        await asyncio.start_unix_server(serve, path),
        Http(access, clock=SystemClock()) as http,
    ):
        assert await http.brief().get("/load") == {}


async def test_a_body_is_sent_on_a_kept_connection() -> None:
    """What asks a model for something goes the way that is measured and counted."""
    async with replaying() as replay:
        replay.routes["POST", "/load"] = reply(200, {})
        async with Http(Access(endpoint="a", url=replay.url), clock=SystemClock()) as http:
            assert (await http.brief().call("POST", "/load", {"a": 1}))[0] == {}
        (request,) = replay.requests
        assert request.body == {"a": 1}
        assert httpx.Headers(request.headers).get("connection") != "close"
