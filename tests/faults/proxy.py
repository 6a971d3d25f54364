"""A TCP proxy that stands for a network: it delays, goes silent, cuts, and turns bits over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Proxy:
    """Passes on what connections to `port` and a server say to each other, as far as it is let."""

    port: int

    def __init__(self) -> None:
        self._flows = asyncio.Event()
        self._flows.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._garble = 0
        self.delay_s = 0.0

    def hold(self) -> None:
        """Let nothing through from now on, either way, and say so to nobody."""
        self._flows.clear()

    def heal(self) -> None:
        """Let everything through again, what was held back first."""
        self._flows.set()

    def cut(self) -> None:
        """Break all connections off."""
        for writer in self._writers:
            writer.transport.abort()

    def garble(self, chunks: int) -> None:
        """Turn bits over in so many of the next pieces of what the server says."""
        self._garble = chunks

    async def connected(
        self, server_port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", server_port)
        except OSError:
            writer.transport.abort()  # as nobody listens there, nobody listens here
            return
        self._writers |= {writer, back}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_on(reader, back, says_server=False))
                group.create_task(self._pass_on(there, writer, says_server=True))
        finally:
            self._writers -= {writer, back}
            back.close()
            writer.close()

    async def _pass_on(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, says_server: bool
    ) -> None:
        with suppress(OSError):
            while chunk := await source.read(65_536):
                await self._flows.wait()
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if says_server and self._garble:
                    self._garble -= 1
                    chunk = bytes(byte ^ 0x55 for byte in chunk)
                target.write(chunk)
                await target.drain()
        target.transport.abort()


@asynccontextmanager
async def proxy(server_port: int) -> AsyncIterator[Proxy]:
    """Run one in front of the server on *server_port*."""
    made = Proxy()
    listener = await asyncio.start_server(
        lambda reader, writer: made.connected(server_port, reader, writer), "127.0.0.1", 0
    )
    made.port = listener.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        made.heal()
        listener.close()
        made.cut()
        await asyncio.sleep(0)
