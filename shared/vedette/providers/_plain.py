"""Connections without TLS for httpcore, over asyncio's own streams.

httpcore's own connections use anyio, which starts and stops reading for every piece of a reply. That takes a quarter of
the CPU time of a piece, and a quarter of the CPU time of a short request.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from ssl import SSLContext
from typing import Any, Final

import httpcore

_AHEAD_BYTES: Final = 64 * 1024  # read before the caller needs them; asyncio stops at twice this size
_MAX_UNSENT_BYTES: Final = 64 * 1024  # head and body of a request, which are sent together


class _Reader(asyncio.StreamReader):
    """A stream reader that counts the received bytes that were not read yet."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=_AHEAD_BYTES, loop=loop)
        self.unread = 0  # bytes

    def feed_data(self, data: bytes) -> None:  # type: ignore[override] # transports give no other
        """Take *data* from the connection."""
        self.unread += len(data)
        super().feed_data(data)

    @property
    def is_readable(self) -> bool:
        """Whether a read returns at once. An idle connection with this state cannot be reused."""
        return self.unread > 0 or self.at_eof() or self.exception() is not None


class _Stream(httpcore.AsyncNetworkStream):
    """Sends written data at the next read: httpcore writes head and body of a request separately."""

    def __init__(self, reader: _Reader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._unsent = bytearray()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Send the written data; return the received data. Raises httpcore.ReadError, ReadTimeout."""
        if self._unsent:
            with suppress(httpcore.WriteError):  # the server may have replied before it closed
                await self._send(timeout)
        try:
            if timeout is None:  # the usual case: each piece of a stream
                part = await self._reader.read(max_bytes)
            else:
                async with asyncio.timeout(timeout):
                    part = await self._reader.read(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error
        self._reader.unread -= len(part)
        return part

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send *buffer* before the next read. Raises httpcore.WriteError, WriteTimeout."""
        self._unsent += buffer
        if len(self._unsent) > _MAX_UNSENT_BYTES:
            await self._send(timeout)

    async def _send(self, timeout: float | None) -> None:
        unsent, self._unsent = self._unsent, bytearray()
        with _translated(httpcore.WriteError, httpcore.WriteTimeout):
            self._writer.write(unsent)
            if timeout is None:
                await self._writer.drain()
            else:
                async with asyncio.timeout(timeout):
                    await self._writer.drain()

    async def aclose(self) -> None:
        """Close the connection and drop unsent data."""
        self._writer.transport.abort()

    async def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Raise httpcore.UnsupportedProtocol, because these connections have no TLS."""
        raise httpcore.UnsupportedProtocol("TLS over a plain connection")

    def get_extra_info(self, info: str) -> Any:
        """Return `is_readable` for the key "is_readable", else None. httpcore needs no other key."""
        return self._reader.is_readable if info == "is_readable" else None


class PlainBackend(httpcore.AsyncNetworkBackend):
    """Connects to an address or a unix socket, without TLS."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to *port* of *host*. Raises httpcore.ConnectError, ConnectTimeout."""
        loop, (reader, protocol) = asyncio.get_running_loop(), _reading()
        with _translated(httpcore.ConnectError, httpcore.ConnectTimeout):
            async with asyncio.timeout(timeout):
                local = (local_address, 0) if local_address else None
                transport, _ = await loop.create_connection(lambda: protocol, host, port, local_addr=local)
        return _stream(transport, protocol, reader, socket_options)

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the socket at *path*. Raises httpcore.ConnectError, ConnectTimeout."""
        loop, (reader, protocol) = asyncio.get_running_loop(), _reading()
        with _translated(httpcore.ConnectError, httpcore.ConnectTimeout):
            async with asyncio.timeout(timeout):
                transport, _ = await loop.create_unix_connection(lambda: protocol, path)
        return _stream(transport, protocol, reader, socket_options)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def _reading() -> tuple[_Reader, asyncio.StreamReaderProtocol]:
    loop = asyncio.get_running_loop()
    reader = _Reader(loop)
    return reader, asyncio.StreamReaderProtocol(reader, loop=loop)


def _stream(
    transport: asyncio.Transport,
    protocol: asyncio.StreamReaderProtocol,
    reader: _Reader,
    options: Iterable[Any] | None,
) -> _Stream:
    for option in options or ():
        transport.get_extra_info("socket").setsockopt(*option)
    return _Stream(reader, asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop()))


@contextmanager
def _translated(broken: type[Exception], late: type[Exception]) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise late(str(error)) from error
    except (OSError, RuntimeError) as error:  # RuntimeError: by uvloop, for a connection that was just closed
        raise broken(str(error)) from error
