"""Fixtures of tests that break what they use."""

import pytest

from vedette.runtime.nats_server import NatsServer


@pytest.fixture
def server(own_server: NatsServer) -> NatsServer:
    """Return a nats-server that the test may break."""
    return own_server
