"""The prober's second probe: a single failure changes no status, and is checked at once, long before the next tick."""

import json

from probers import probing
from providers.replay import FIXTURES, Replay, replaying, reply
from vedette.bus.bus import Bus
from vedette.settings import EndpointSettings, Settings
from vedette.settings.endpoints import Load
from vedette.types import ModelRef, Outcome, Status

MODEL = ModelRef("box", "smollm2:135m")
WITHIN_S = 60.0


def scripted(replay: Replay) -> None:
    """Have *replay* answer as an Ollama with MODEL, which is not loaded."""
    replay.recorded("ollama/0.32.15")
    tags = json.loads((FIXTURES / "ollama" / "0.32.15" / "tags.json").read_text())["json"]
    models = [one for one in tags["models"] if one["name"] == MODEL.name]
    replay.routes["GET", "/api/tags"] = reply(200, {"models": models})
    replay.routes["GET", "/api/ps"] = reply(200, {"models": []})


async def test_a_failure_is_checked_by_a_second_probe_before_it_changes_the_status(
    bus: Bus, settings: Settings
) -> None:
    """Only one probe is asked for; the second follows by itself, and both together are a verdict."""
    async with replaying() as replay:
        scripted(replay)
        box = EndpointSettings(url=replay.url, provider="ollama", load=Load(every_s=0))
        async with probing(bus, settings, box, MODEL, within_s=WITHIN_S) as prober:
            first = await prober.probed(1)
            replay.routes["POST", "/api/show", MODEL.name] = reply(500, {"error": "out of memory"})
            await prober.probe("one")
            last = await prober.probed(3)
    assert first.health is not None
    assert first.health.status is Status.AVAILABLE
    assert last.health is not None
    one, two = last.health.outcomes[-2:]
    assert (one.outcome, two.outcome) == (Outcome.SERVER_ERROR, Outcome.SERVER_ERROR)
    assert (one.job_id, two.job_id != "one") == ("one", True)
    assert (two.at - one.at).total_seconds() >= 2.5
    assert last.health.status is Status.DEGRADED
