"""Finds model servers on this machine."""

import asyncio
import os
from collections.abc import Mapping

from vedette.clock import SystemClock
from vedette.endpoints import open_endpoints
from vedette.endpoints.contact import Contact
from vedette.settings import EndpointSettings, Settings, ollama_url
from vedette.types import Outcome

# The default addresses of other servers. Ollama's clients have a variable for theirs.
_USUAL_PORTS = {"llama-cpp": 8080, "vllm": 8000, "lm-studio": 1234, "sglang": 30000}
_TIMEOUT_S = 2.0


def usual() -> dict[str, EndpointSettings]:
    """Return an endpoint at the default address of each usual server, on this machine."""
    ollama = EndpointSettings(
        provider="ollama", url=ollama_url(os.environ.get("OLLAMA_HOST", "")), timeout_s=_TIMEOUT_S
    )
    return {"ollama": ollama} | {
        name: EndpointSettings(
            provider="openai-compatible", url=f"http://127.0.0.1:{port}", timeout_s=_TIMEOUT_S
        )
        for name, port in _USUAL_PORTS.items()
    }


async def answering(settings: Settings) -> Mapping[str, Contact]:
    """Return the endpoints of *settings* whose contact succeeded, with the contact, by name."""
    async with open_endpoints(settings, clock=SystemClock()) as endpoints:
        contacts = await asyncio.gather(*(endpoint.contact() for endpoint in endpoints))
        return {
            endpoint.name: contact
            for endpoint, contact in zip(endpoints, contacts, strict=True)
            if contact.outcome is Outcome.OK
        }
