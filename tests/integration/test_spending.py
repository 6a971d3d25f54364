"""What costs money is not asked for unasked: all services together, at servers that count what is generated."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from eventually import eventually
from providers.replay import FIXTURES, Replay, replaying, reply, stream
from vedette import Client
from vedette.endpoints import spending
from vedette.messages.queries import EndpointView
from vedette.runtime.nats_server import NatsServer
from vedette.settings import (
    Benchmarking,
    Budget,
    Console,
    EndpointSettings,
    Evaluating,
    Rates,
    Schedule,
    Settings,
)
from whole import whole

VLLM = {"id": "own", "object": "model", "owned_by": "vllm", "max_model_len": 4096}
WORDS = [f'data: {{"choices": [{{"delta": {{"content": "word{n} "}}}}]}}\n' for n in range(24)]
USAGE = '"usage": {"prompt_tokens": 9, "completion_tokens": 24}'
END = f'data: {{"choices": [{{"delta": {{}}, "finish_reason": "stop"}}], {USAGE}}}\n'
Run = Callable[..., AbstractAsyncContextManager[Client]]


@asynccontextmanager
async def serving(listing: Any, info: Any = None) -> AsyncIterator[Replay]:
    """Run a server of OpenAI's protocol that lists *listing*, and answers whatever it is asked."""
    async with replaying() as replay:
        replay.routes["GET", "/v1/models"] = reply(200, listing)
        if info is not None:
            replay.routes["GET", "/model/info"] = reply(200, info)
        for path in ("/v1/chat/completions", "/v1/completions"):
            replay.routes["POST", path] = stream(*WORDS, END, "data: [DONE]\n", pace_s=0.002)
        yield replay


def generated(replay: Replay) -> list[str]:
    """Return the models that a server was asked to generate with."""
    return [str(one.model) for one in replay.requests if one.method == "POST"]


def recorded(name: str) -> Any:
    """Return a recorded reply of LiteLLM's."""
    return json.loads((FIXTURES / "litellm" / "1.108.7" / f"{name}.json").read_text())


@pytest.fixture
def running(server: NatsServer, tmp_path: Path) -> Run:
    """Give what runs everything, with every schedule at its shortest, and yields a client of it."""

    @asynccontextmanager
    async def run(
        evaluating: Evaluating | None = None, **endpoints: EndpointSettings
    ) -> AsyncIterator[Client]:
        settings = Settings(
            console=Console(enabled=False),
            endpoints=endpoints,
            schedule=Schedule(availability="1s", discovery="2s", performance="2s", quality="2s"),
            benchmarking=Benchmarking(runs=1, output_tokens=16),
            evaluating=evaluating or Evaluating(),
        )
        async with whole(settings, server, tmp_path) as (_, client):
            yield client

    return run


async def view(client: Client, name: str) -> EndpointView:
    """Return what is told of an endpoint."""
    return next(one for one in (await client.endpoints()).endpoints if one.endpoint == name)


def at(replay: Replay, **settings: Any) -> EndpointSettings:
    return EndpointSettings(provider="openai-compatible", url=replay.url, evaluate=False, **settings)


@pytest.mark.fault(
    "a LiteLLM proxy on loopback passes calls on to paid services",
    "I5",
    without=("vedette.endpoints.spending:why_not", lambda *_: None),
)
async def test_a_gateway_is_left_alone_while_an_engine_is_measured(running: Run) -> None:
    """Of the gateway only what has the price 0 is asked; the others wait for leave, which is said."""
    async with (
        serving(recorded("models"), recorded("model-info")) as gateway,
        serving({"data": [VLLM]}) as engine,
        running(gateway=at(gateway, host_group="a"), engine=at(engine, host_group="b")) as client,
    ):

        async def probed_often() -> bool:
            listed = sum(one.path == "/v1/models" for one in gateway.requests)
            return listed >= 8 and "own" in generated(engine) and "zero" in generated(gateway)

        await eventually(probed_often, what="eight listings, and an engine that was measured")
        assert set(generated(gateway)) == {"zero"}
        told = await view(client, "gateway")
        assert told.unmeasured == 4
        assert "calls may cost" in told.unmeasured_why
        assert told.unmeasured_why in (await client.explain("chat")).unmeasured
        assert (await view(client, "engine")).unmeasured == 0


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({"measure": True}, True),
        ({"budget": Budget(tokens_per_day=10**6)}, True),
        ({"measure": False}, False),
    ],
)
async def test_leave_is_given_or_not(settings: dict[str, Any], asked: bool, running: Run) -> None:
    """To an unknown server; one that nobody may measure is still listed."""
    async with (
        serving({"data": [{"id": "m", "object": "model"}]}) as server,
        running(box=at(server, **settings)) as client,
    ):

        async def settled() -> bool:
            listed = sum(one.path == "/v1/models" for one in server.requests)
            return bool(generated(server)) if asked else listed >= 6

        await eventually(settled, what="measured, or listed often")
        assert bool(generated(server)) is asked
        assert (await view(client, "box")).unmeasured == 0


@pytest.mark.lane("faults")
@pytest.mark.fault(
    "a service with many models is opened to measurements",
    "I5",
    without=("vedette.endpoints.spending:is_round_full", lambda *_: False),
)
async def test_many_models_that_may_cost_are_not_measured_at_once(running: Run) -> None:
    """Ten within the hour, though every schedule is at its shortest."""
    names = [f"m{n:02}" for n in range(24)]
    async with (
        serving({"data": [{"id": name, "object": "model"} for name in names]}) as server,
        running(box=at(server, measure=True, verify_capabilities=False)) as client,
    ):

        async def measured() -> set[str]:
            return {view.model.name for view in (await client.models()).models if view.performance}

        async def ten() -> bool:
            return len(await measured()) >= spending.MAX_MODELS_PER_ROUND

        await eventually(ten, what="ten models measured")
        listed = len(server.requests)

        async def ticked() -> bool:
            return sum(one.path == "/v1/models" for one in server.requests[listed:]) >= 8

        await eventually(ticked, what="more ticks")
        assert len(await measured()) == spending.MAX_MODELS_PER_ROUND
        assert len(set(generated(server))) == spending.MAX_MODELS_PER_ROUND


HOSTED = {"data": [{"id": "gpt-5", "object": "model", "owned_by": "openai"}]}
DEAR = Rates(input_usd_per_mtok=1.0, output_usd_per_mtok=1.0)
# What a server says that counts many tokens: 0.0045 USD a call.
COSTLY = '"usage": {"prompt_tokens": 4000, "completion_tokens": 500}'


def costly(replay: Replay) -> None:
    """Have the server count a call dearly."""
    end = f'data: {{"choices": [{{"delta": {{}}, "finish_reason": "stop"}}], {COSTLY}}}\n'
    replay.routes["POST", "/v1/chat/completions"] = stream(*WORDS, end, "data: [DONE]\n", pace_s=0.0)


async def test_a_hosted_model_is_not_evaluated_unasked_and_that_is_said(running: Run) -> None:
    """With its cost and the command."""
    async with (
        serving(HOSTED) as server,
        running(hosted=at(server, price=DEAR)) as client,
    ):

        async def listed() -> bool:
            return sum(one.path == "/v1/models" for one in server.requests) >= 8

        await eventually(listed, what="eight listings")
        (told,) = (await client.explain("chat")).unmeasured
        assert "never evaluated: hosted/gpt-5 (about 0.10 USD)" in told
        assert "vedette evaluate --hosted --budget 0.11" in told
        assert generated(server) == []


@pytest.mark.fault("an evaluation would cost more than its budget", "I5")
async def test_hosted_models_are_evaluated_within_the_day_s_usd(running: Run) -> None:
    """It is asked until one more question could exceed the limit; then no more that day, whatever the schedule."""
    async with serving(HOSTED) as server:
        costly(server)
        hosted = msgspec.structs.replace(at(server), price=DEAR, evaluate=True)
        async with running(Evaluating(usd_per_day=0.05), hosted=hosted) as client:

            async def evaluated() -> bool:
                return any(model.quality for model in (await client.models()).models)

            await eventually(evaluated, what="an evaluation")
            listed = len(server.requests)

            async def ticked() -> bool:
                return sum(one.path == "/v1/models" for one in server.requests[listed:]) >= 8

            await eventually(ticked, what="more ticks")
            assert 5 <= len(generated(server)) <= 11  # each question costs 0.0045 USD
            assert 0 < (await view(client, "hosted")).used.usd <= 0.05
            assert (await client.explain("chat")).unmeasured[0].find("never evaluated") < 0
