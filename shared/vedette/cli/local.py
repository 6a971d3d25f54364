"""Model servers that answer on this machine."""

import asyncio
import os
from collections.abc import Mapping

from vedette.clock import SystemClock
from vedette.endpoints import open_endpoints
from vedette.endpoints.contact import Contact
from vedette.settings import EndpointSettings, Settings, ollama_url
from vedette.types import Outcome

# Where the other usual servers listen unless they are configured otherwise; Ollama's clients have a variable.
_USUAL_PORTS = {"llama-cpp": 8080, "vllm": 8000, "lm-studio": 1234, "sglang": 30000}
_TIMEOUT_S = 2.0


def usual() -> dict[str, EndpointSettings]:
    """Return an endpoint for each usual server, as if it ran here."""
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
    """Return the endpoints of *settings* that answer as they should, by name, and how the contact went."""
    async with open_endpoints(settings, clock=SystemClock()) as endpoints:
        contacts = await asyncio.gather(*(endpoint.contact() for endpoint in endpoints))
        return {
            endpoint.name: contact
            for endpoint, contact in zip(endpoints, contacts, strict=True)
            if contact.outcome is Outcome.OK
        }
