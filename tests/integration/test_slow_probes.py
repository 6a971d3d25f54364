"""A model that suddenly takes far longer: the prober asks once more within seconds, and expects it to be slow then."""

import json

import pytest

from probers import probing
from providers.replay import Replay, hang, replaying, reply, stream
from vedette.bus.bus import Bus
from vedette.messages.catalogue import ModelState
from vedette.messages.probe_times import MIN_PROBES, is_late, probe_times
from vedette.settings import EndpointSettings, Settings
from vedette.settings.endpoints import Load
from vedette.types import Level, ModelRef, Outcome, Status

MODEL = ModelRef("box", "m")
WITHIN_S = 90.0


def answering(replay: Replay) -> None:
    """Have *replay* answer as a server whose one model is always loaded."""
    word = json.dumps({"choices": [{"index": 0, "delta": {"content": "ready"}}]})
    replay.routes["GET", "/v1/models"] = reply(
        200, {"object": "list", "data": [{"id": MODEL.name, "owned_by": "vllm"}]}
    )
    replay.routes["POST", "/v1/chat/completions"] = stream(f"data: {word}", "", "data: [DONE]", "")


@pytest.mark.lane("faults")
async def test_a_model_that_answers_late_is_asked_once_more_and_so_is_one_that_recovers(
    bus: Bus, settings: Settings
) -> None:
    async with replaying() as replay:
        answering(replay)
        box = EndpointSettings(
            url=replay.url,
            provider="openai-compatible",
            load=Load(every_s=0),
            answer="always",
            measure=True,
            benchmark=False,
        )
        async with probing(bus, settings, box, MODEL, within_s=WITHIN_S) as prober:

            async def probe(number: int, times: int) -> ModelState:
                await prober.probe(f"job-{number}")
                return await prober.probed(times)

            await prober.probed(1)  # when it is found
            for number in range(MIN_PROBES):
                usual = await probe(number, number + 2)
            replay.routes["POST", "/v1/chat/completions"] = hang
            late = await probe(10, MIN_PROBES + 3)
            answering(replay)
            well = await probe(11, MIN_PROBES + 5)
    assert usual.health is not None
    assert {sample.level for sample in usual.health.outcomes} == {Level.ANSWER}
    assert late.health is not None
    assert [is_late(one) for one in late.health.outcomes[-2:]] == [True, True]
    assert probe_times(late.health).ttft > 0
    assert late.health.status is Status.BUSY
    assert well.health is not None
    assert [one.outcome for one in well.health.outcomes[-2:]] == [Outcome.OK, Outcome.OK]
    assert probe_times(well.health).ttft == 0.0
    assert well.health.status is Status.AVAILABLE
