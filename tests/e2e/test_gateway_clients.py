"""The unmodified client of OpenAI and a real model behind the gateway: it reads what the model says, to the byte."""

from pathlib import Path

import openai

from commands import up
from eventually import eventually
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

            async def is_listed() -> bool:
                return "local/smollm2:135m" in [one.id async for one in through.models.list()]

            await eventually(is_listed, what="listed")
            await _said(direct, "smollm2:135m")  # from then on the prompt is in the server's cache
            expected = await _said(direct, "smollm2:135m")
            assert "".join(one or "" for one in expected)
            assert await _said(through, "local/smollm2:135m") == expected
