"""A process of a busy machine may take seconds between its connection to the private NATS server and its login."""

import asyncio
from urllib.parse import urlsplit

import pytest

from vedette.runtime.nats_server import NatsServer


@pytest.mark.lane("faults")
async def test_a_late_login_is_accepted(server: NatsServer) -> None:
    """A nats-server closes such a connection after two seconds unless it is configured otherwise."""
    url = urlsplit(server.url("operator"))
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        assert (await reader.readline()).startswith(b"INFO ")
        closed = asyncio.create_task(reader.read())
        assert await asyncio.wait({closed}, timeout=4) == (set(), {closed})
        closed.cancel()
    finally:
        writer.close()
