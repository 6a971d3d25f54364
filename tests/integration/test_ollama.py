"""On a real Ollama: watching a model does not keep it loaded, load it, or push another out."""

from pathlib import Path

import pytest

from commands import up
from eventually import eventually
from ollama import Ollama, ollama
from vedette.client import Client
from vedette.types import Level

__all__ = ["ollama"]
CYCLES = 50
# Nothing but availability: benchmarks load models, which is what they are for.
CONFIG = """
[schedule]
availability = "200ms"
[endpoints.box]
url = "{url}"
benchmark = false
verify_capabilities = false
evaluate = false
"""


@pytest.mark.lane("real")
async def test_fifty_cycles_leave_residency_as_it_was(ollama: Ollama, tmp_path: Path) -> None:
    """Of the one that is loaded an answer is asked for to begin with; then it is left to expire."""
    await ollama.load("first", "10m")
    before = await ollama.resident()
    assert set(before) == {"first:latest"}
    seen = [before]
    async with up(tmp_path / "state", CONFIG.format(url=ollama.url)) as running:
        await running.line("ready")
        async with Client(running.connection.nats_url, timeout_s=60) as client:

            async def probed() -> bool:
                now = await ollama.resident()
                if now != seen[-1]:
                    seen.append(now)
                return await _probes(client, "first") >= CYCLES

            await eventually(probed, what=f"{CYCLES} cycles")
            (first,) = (await client.model("box/first:latest")).models
            (second,) = (await client.model("box/second:latest")).models
    assert all(set(state) == {"first:latest"} for state in seen)
    # As its user left it, and after our one question.
    assert len(seen) <= 2
    assert first.resident is True
    assert second.resident is False
    assert second.availability is not None
    assert second.availability.last is not None
    assert second.availability.last.level is Level.RESIDENCY


async def _probes(client: Client, name: str) -> int:
    """Return how many probes of the model are counted."""
    models = [view for view in (await client.models()).models if view.model.name.startswith(name)]
    if not models or models[0].availability is None:
        return 0
    return models[0].availability.probes_24h
