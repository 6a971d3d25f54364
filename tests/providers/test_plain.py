"""Connections to endpoints without TLS."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpcore
import pytest

from eventually import eventually
from vedette.providers._plain import PlainBackend

Served = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def connected(serve: Served) -> AsyncIterator[httpcore.AsyncNetworkStream]:
    """Yield a connection to a server that does *serve* with it, and closes it."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(reader, writer)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        stream = await PlainBackend().connect_tcp("127.0.0.1", port, 30.0)
        yield stream
        await stream.aclose()


async def test_what_comes_is_read_up_to_the_end() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(5))

    async with connected(echo) as stream:
        await stream.write(b"hello", 30.0)
        assert await stream.read(3) == b"hel"
        assert stream.get_extra_info("is_readable")
        assert await stream.read(1024, 30.0) == b"lo"
        assert await stream.read(1024) == b""


@pytest.mark.parametrize("sent", [b"HTTP/1.1 408 Request Timeout\r\n\r\n", b""])
async def test_a_connection_that_got_something_unasked_or_was_closed_is_of_no_use(sent: bytes) -> None:
    """Servers close idle connections, some with a last word, which would be read as the reply to the next request."""
    idle, stays = asyncio.Event(), asyncio.Event()

    async def speaks(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await idle.wait()
        writer.write(sent)
        if sent:
            await stays.wait()

    async with connected(speaks) as stream:
        assert not stream.get_extra_info("is_readable")
        idle.set()

        async def readable() -> bool:
            return bool(stream.get_extra_info("is_readable"))

        await eventually(readable)
        stays.set()


async def test_a_connection_that_breaks_off_is_an_error() -> None:
    async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        linger = struct.pack("ii", 1, 0)  # close by a reset
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    async with connected(resets) as stream:
        await stream.write(b"x")
        with pytest.raises(httpcore.ReadError):
            await stream.read(1024)


async def test_a_read_has_a_deadline() -> None:
    stays = asyncio.Event()

    async def silent(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await stays.wait()

    async with connected(silent) as stream:
        with pytest.raises(httpcore.ReadTimeout):
            await stream.read(1024, 0.01)
        stays.set()


async def test_a_server_that_is_not_there_is_named_by_its_cause(tmp_path: Path) -> None:
    with pytest.raises(httpcore.ConnectError) as refused:
        await PlainBackend().connect_tcp("127.0.0.1", 1, 30.0)
    assert isinstance(refused.value.__cause__, ConnectionRefusedError)
    with pytest.raises(httpcore.ConnectError) as missing:
        await PlainBackend().connect_unix_socket(str(tmp_path / "none"), 30.0)
    assert isinstance(missing.value.__cause__, FileNotFoundError)
