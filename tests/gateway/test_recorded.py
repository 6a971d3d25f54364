"""What a real llama.cpp sent of SmolLM2-135M (xllamacpp, 2026-11): the caller gets it to the byte."""

import json
from pathlib import Path
from typing import Any

import openai
import pytest

from gateways import Door, door
from providers.replay import reply

RECORDED: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "recorded" / "llamacpp-2026-11.json").read_text()
)


def _serve(gate: Door, name: str) -> dict[str, Any]:
    """Have the server reply as it was recorded; return the request that it replied to, for the best model."""
    one = RECORDED[name]
    gate.servers[0].routes["POST", one["path"]] = reply(
        one["status"], one["text"], Content_Type=one["content_type"]
    )
    return one["request"] | {"model": "vedette/chat"}


@pytest.mark.parametrize("name", RECORDED)
async def test_a_real_reply_is_the_same_to_the_byte(name: str) -> None:
    async with door() as gate:
        request = _serve(gate, name)
        response = await gate.client.post(RECORDED[name]["path"], json=request)
        assert response.text == RECORDED[name]["text"]
        assert response.headers["content-type"] == RECORDED[name]["content_type"]
        assert gate.servers[0].requests[-1].body == request | {"model": "m"}


def _client(gate: Door) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{gate.url}/v1", api_key="none", max_retries=0, timeout=60)


async def test_the_client_of_openai_reads_a_real_tool_call() -> None:
    """In one piece, and from a stream in which its arguments come in pieces."""
    async with door() as gate, _client(gate) as client:
        answer = await client.chat.completions.create(**_serve(gate, "tool_call"))
        (call,) = answer.choices[0].message.tool_calls
        assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})
        arguments = ""
        async for chunk in await client.chat.completions.create(**_serve(gate, "tool_call_stream")):
            for piece in (chunk.choices[0].delta.tool_calls or ()) if chunk.choices else ():
                arguments += piece.function.arguments
        assert json.loads(arguments) == {"city": "Paris"}


async def test_the_client_of_openai_reads_a_real_answer_by_a_schema_and_real_embeddings() -> None:
    async with door() as gate, _client(gate) as client:
        answer = await client.chat.completions.create(**_serve(gate, "schema"))
        assert json.loads(answer.choices[0].message.content) == {"colour": "blue", "n": 1}
        request = _serve(gate, "embeddings") | {"model": "vedette/embedding"}
        del request["encoding_format"]  # the client asks for Base64 by itself, and decodes it
        embedded = await client.embeddings.create(**request)
        assert len(embedded.data[0].embedding) == 576
        assert gate.servers[0].requests[-1].body["encoding_format"] == "base64"
