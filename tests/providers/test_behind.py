"""Names of a gateway whose server is an endpoint itself."""

import pytest

from samples import model_info
from vedette.clock import SystemClock
from vedette.endpoints import open_endpoints
from vedette.settings import EndpointSettings, Settings
from vedette.types import ModelRef


@pytest.mark.parametrize(
    ("gateway", "behind", "found"),
    [
        ("http://127.0.0.1:4000", "http://localhost:11434/v1", True),
        ("http://127.0.0.1:4000", "http://[::1]:11434", True),
        ("http://127.0.0.1:4000", "http://127.0.0.1:8000/v1", False),
        ("http://box:4000", "http://127.0.0.1:11434", False),  # the box's own, not ours
        ("http://127.0.0.1:4000", "not a URL", False),
        ("http://127.0.0.1:4000", "http://[", False),
        ("http://127.0.0.1:4000", None, False),
    ],
)
async def test_the_server_behind_a_name_is_told_by_host_and_port(
    gateway: str, behind: str | None, found: bool
) -> None:
    """A loopback address is the gateway's machine."""
    endpoints = {
        "ollama": EndpointSettings(url="http://127.0.0.1:11434", provider="ollama"),
        "gateway": EndpointSettings(url=gateway, provider="openai-compatible"),
    }
    info = model_info(ModelRef("gateway", "fast"), behind=behind)
    async with open_endpoints(Settings(endpoints=endpoints), clock=SystemClock()) as opened:
        here = opened.get("gateway")
        assert here is not None
        server = opened.behind(here, info)
    assert (server.name if server else None) == ("ollama" if found else None)
