"""A connection whose server goes away in the moment in which it is closed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import nats
import pytest

from faults.breaking import say_nothing
from vedette.bus.connection import close

_INFO = b'INFO {"server_id":"x","version":"2.12.0","max_payload":1048576,"headers":true}\r\n'
# More than nats-py takes from the end of its socket to its next attempt to connect.
MOMENTS = 12


class Going:
    """A NATS server that accepts, and goes when it is told to."""

    port: int
    _writer: asyncio.StreamWriter

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        writer.write(_INFO)
        async for line in reader:
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")

    def go(self) -> None:
        self._writer.transport.abort()


@asynccontextmanager
async def going() -> AsyncIterator[Going]:
    made = Going()
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as listener:
        made.port = listener.sockets[0].getsockname()[1]
        yield made


async def _as_it_is(closing: Awaitable[None]) -> None:
    await closing


@pytest.mark.fault(
    "the NATS server goes in the moment in which a client closes",
    "I11",
    trials=MOMENTS,
    without=("vedette.bus.connection:_unless_cancelled", _as_it_is),
)
async def test_closing_ends_at_any_moment() -> None:
    """Turns of the event loop after the server's end; in one of them nats-py's own `close` raises CancelledError."""
    async with going() as server:
        for moment in range(MOMENTS):
            connection = await nats.connect(f"nats://127.0.0.1:{server.port}", error_cb=say_nothing)
            server.go()
            for _ in range(moment):
                await asyncio.sleep(0)
            await close(connection)
            assert connection.is_closed, moment


async def test_closing_can_be_cancelled() -> None:
    """A cancellation of the closing task takes effect."""
    begun = asyncio.Event()

    class Slow:
        async def close(self) -> None:
            begun.set()
            await asyncio.Event().wait()

    closing = asyncio.create_task(close(Slow()))  # type: ignore[arg-type]
    await begun.wait()
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
