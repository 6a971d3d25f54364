"""Connections of httpcore's own backend that are closed when their TLS handshake is cancelled.

httpcore 1.0 leaves such a connection open (`AnyIOStream.start_tls` closes it after errors only). A server that accepts
connections and does not answer would leave one open connection for each reading of its load.
"""

import ssl
from collections.abc import Iterable
from typing import Any

import httpcore


class NoHandshake(httpcore.ConnectTimeout):
    """The server accepted the connection, but did not complete the TLS handshake in time."""


class _New(httpcore.AsyncNetworkStream):
    """A connection before its handshake."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return the received bytes. Raises httpcore.ReadError, ReadTimeout."""
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send *buffer*. Raises httpcore.WriteError, WriteTimeout."""
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        """Return information about the connection."""
        return self._stream.get_extra_info(info)

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Return the connection with TLS. Raises httpcore.ConnectError, NoHandshake."""
        try:
            return await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except httpcore.ConnectTimeout as error:
            await self._stream.aclose()
            raise NoHandshake from error
        except BaseException:
            await self._stream.aclose()
            raise


class HandshakeBackend(httpcore.AnyIOBackend):
    """Makes connections that are closed when their TLS handshake fails or is cancelled."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to *host*. Raises httpcore.ConnectError, ConnectTimeout."""
        return _New(await super().connect_tcp(host, port, timeout, local_address, socket_options))

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the socket at *path*. Raises httpcore.ConnectError, ConnectTimeout."""
        return _New(await super().connect_unix_socket(path, timeout, socket_options))
