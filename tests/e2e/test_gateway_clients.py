"""The unmodified client of OpenAI and a real model behind the gateway: it reads what the model says, to the byte."""

import asyncio
import signal
from pathlib import Path

import openai
import pytest

from commands import up
from eventually import eventually
from providers.replay import replaying, reply, stream
from vedette.settings import EndpointSettings

CONFIG = """
[gateway]
enabled = true
port = 0
[benchmarking]
runs = 1
output_tokens = 16
[endpoints.local]
provider = "openai-compatible"
url = "{url}"
evaluate = false
"""


async def _is_listed(client: openai.AsyncOpenAI, model: str) -> bool:
    return model in [one.id async for one in client.models.list()]


async def _said(client: openai.AsyncOpenAI, model: str) -> list[str | None]:
    """Return the pieces in which the model's answer comes."""
    stream = await client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Name three colours."}],
        max_tokens=24,
        temperature=0,
        seed=7,
        stream=True,
    )
    return [chunk.choices[0].delta.content async for chunk in stream if chunk.choices]


async def test_a_real_stream_is_the_same_through_the_gateway(
    tmp_path: Path, model_server: EndpointSettings
) -> None:
    async with up(tmp_path / "state", CONFIG.format(url=model_server.url)) as running:
        await running.line("found")
        gateway = f"{running.connection.gateway_url}/v1"
        async with (
            openai.AsyncOpenAI(base_url=f"{model_server.url}/v1", api_key="none", timeout=300) as direct,
            openai.AsyncOpenAI(base_url=gateway, api_key="none", timeout=300) as through,
        ):
            await eventually(lambda: _is_listed(through, "local/smollm2:135m"), what="listed")
            await _said(direct, "smollm2:135m")  # from then on the prompt is in the server's cache
            expected = await _said(direct, "smollm2:135m")
            assert "".join(one or "" for one in expected)
            assert await _said(through, "local/smollm2:135m") == expected


async def test_an_open_stream_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """It goes on for a moment, and then ends with an error event; what is told says so."""
    async with replaying() as server:
        server.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m", "object": "model"}]})
        server.routes["POST", "/v1/completions"] = stream(*['data: {"choices": []}\n'] * 10_000, pace_s=0.05)
        config = CONFIG.format(url=server.url) + "benchmark = false\n"
        async with up(tmp_path / "state", config) as running:
            await running.line("found")
            gateway = f"{running.connection.gateway_url}/v1"
            async with openai.AsyncOpenAI(base_url=gateway, api_key="none", timeout=300) as client:
                await eventually(lambda: _is_listed(client, "local/m"), what="listed")
                pieces = await client.completions.create(model="local/m", prompt="hi", stream=True)
                await anext(aiter(pieces))
                stopping = asyncio.create_task(running.stop(signal.SIGINT))
                with pytest.raises(openai.APIError, match="the gateway stops"):
                    async for _ in pieces:
                        pass
                assert await stopping == 0
            assert any(
                "replies of the gateway that are in progress have 3 s" in line for line in running.lines
            )
