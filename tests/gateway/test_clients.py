"""What clients send besides: paths as they join them, methods, protocols, and the requests of known programs."""

import asyncio
import gzip
import json
from typing import Any
from urllib.parse import urlsplit

import httpx
import openai
import pytest
from starlette.requests import Request

from gateways import MESSAGES, Door, Ranking, door
from providers.replay import reply, stream
from vedette.errors import ConfigurationError
from vedette.messages.queries import ModelView
from vedette.settings import Gateway, parse
from vedette.testing import EPOCH
from vedette_gateway import api
from vedette_gateway.usage import Usage

CHAT = ("POST", "/v1/chat/completions")
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "red"}, "finish_reason": "stop"}],
}
_CHUNKS: tuple[dict[str, Any], ...] = (
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "re"}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {"content": "d"}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}},
)
_HEAD: dict[str, Any] = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
EMBEDDED = {
    "object": "list",
    "model": "m",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}],
    "usage": {"prompt_tokens": 1, "total_tokens": 1},
}
EVENTS = (*(f"data: {json.dumps(_HEAD | chunk)}\n" for chunk in _CHUNKS), "data: [DONE]\n")
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}}
# What these programs sent for a chat, as a server saw it (2026-11-30): headers that they add, and fields beside `model`
# and `messages`, with one tool of many. The last was written by hand, by what browsers send.
RECORDED: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "openai 3.57.0 (Python)": (
        {
            "user-agent": "OpenAI/Python 3.57.0",
            "accept-encoding": "gzip, deflate",
            "authorization": "Bearer none",
            "x-stainless-lang": "python",
            "x-stainless-retry-count": "0",
            "x-stainless-read-timeout": "600",
        },
        {"max_tokens": 8, "seed": 1},
    ),
    "openai 3.57.0 (Python), AzureOpenAI": (
        {"user-agent": "AzureOpenAI/Python 3.57.0", "api-key": "none", "x-stainless-lang": "python"},
        {},
    ),
    "langchain-openai 1.7.4": (
        {"user-agent": "OpenAI/Python 3.57.0", "accept-encoding": "gzip, deflate"},
        {"stream": False, "max_completion_tokens": 16},
    ),
    "Continue's cn 1.5.47": (
        {"user-agent": "ls/JS 5.23.2", "accept-encoding": "gzip, deflate, br", "x-stainless-lang": "js"},
        {"stream": True, "tools": [TOOL], "stream_options": {"include_usage": True}},
    ),
    "opencode 1.18.33": (
        {
            "user-agent": "opencode/1.18.33 ai-sdk/provider-utils/4.0.23 runtime/bun/1.3.14",
            "accept-encoding": "gzip, deflate, br, zstd",
            "x-session-affinity": "ses_dd4cac676ffesW3M4qZXT4Rlnn",
            "x-session-id": "ses_dd4cac676ffesW3M4qZXT4Rlnn",
        },
        {
            "max_tokens": 32_000,
            "tools": [TOOL],
            "tool_choice": "auto",
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    ),
    "Cline's cline 3.0.65": (
        {"user-agent": "ai-sdk/openai-compatible/3.0.37 ai-sdk/provider-utils/5.0.30 runtime/bun/1.3.13"},
        {"tools": [TOOL], "tool_choice": "auto", "stream": True, "stream_options": {"include_usage": True}},
    ),
    "a browser on this machine": (
        {"sec-fetch-site": "none", "accept": "text/event-stream"},
        {"stream": True, "tools": []},
    ),
}


def _request(protocol: str, *headers: str) -> tuple[bytes, bytes]:
    """Return the head and the body of a request for a chat."""
    body = json.dumps({"model": "vedette/chat", "messages": MESSAGES}).encode()
    lines = (
        f"POST /v1/chat/completions {protocol}",
        "Host: localhost",
        f"Content-Length: {len(body)}",
        *headers,
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode(), body


def _serve(gate: Door) -> None:
    """Have the server give one answer in one piece."""
    gate.servers[0].routes[CHAT] = reply(200, ANSWER, Content_Type="application/json")


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions/", "//v1/chat/completions", "/v1//chat/completions?api-version=1"]
)
async def test_paths_are_taken_as_clients_join_them(path: str) -> None:
    async with door() as gate:
        _serve(gate)
        body = {"model": "vedette/chat", "messages": MESSAGES}
        # A URL without its host is what the client would take `//v1` for.
        assert (await gate.client.post(f"{gate.url}{path}", json=body)).json() == ANSWER
        for models in ("/v1/models/", "//v1/models", "/v1/models?limit=100"):
            assert (await gate.client.get(f"{gate.url}{models}")).json()["data"][0]["id"] == "vedette/auto"
        assert (await gate.client.get("/v1/models/vedette/chat")).json()["id"] == "vedette/chat"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("OPTIONS", "/v1/chat/completions"),
        ("GET", "/v1/chat/completions"),
        ("DELETE", "/v1/models"),
        ("GET", "/"),
        ("POST", "/v1/images/generations"),
        ("POST", "/v1/v1/chat/completions"),
        ("POST", "/openai/deployments//chat/completions"),
    ],
)
async def test_what_is_not_served_is_an_error_of_openais_form(method: str, path: str) -> None:
    async with door() as gate:
        response = await gate.client.request(method, path)
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "not_found"
        assert f"{gate.url}/v1" in response.json()["error"]["message"]


async def test_a_whole_url_in_place_of_a_path_gets_an_error_of_openais_form() -> None:
    """As clients send it to a proxy."""
    async with door() as gate:
        parts = urlsplit(gate.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(
            b"GET http://evil.example/v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        async with asyncio.timeout(60):
            assert b'"code":"not_found"' in await reader.read()
        writer.close()


async def test_the_list_can_be_asked_for_by_head() -> None:
    async with door() as gate:
        response = await gate.client.head("/v1/models")
        assert response.status_code == 200
        assert not response.content


async def test_the_list_comes_in_time_without_the_models_that_do_not() -> None:
    class Slow(Ranking):
        async def listed(self) -> list[ModelView]:
            await asyncio.Event().wait()
            return []

    settings = Gateway()
    entrance = api.Entrance(settings, Usage(now=lambda: EPOCH, replica="one"), now=lambda: 0.0)
    listed = api.Listed(entrance=entrance, finding=Slow(), use_cases=lambda: ("chat",), within_s=0.01)  # type: ignore[arg-type]
    request = Request(
        {"type": "http", "method": "GET", "path": "/v1/models", "headers": [(b"host", b"localhost")]}
    )
    async with asyncio.timeout(30):
        response = await listed.all(request)
    assert [one["id"] for one in json.loads(bytes(response.body))["data"]] == ["vedette/auto", "vedette/chat"]


async def test_a_compressed_body_is_refused() -> None:
    async with door() as gate:
        response = await gate.client.post(
            "/v1/chat/completions", content=gzip.compress(b"{}"), headers={"content-encoding": "gzip"}
        )
        assert response.status_code == 415
        assert response.json()["error"]["code"] == "unsupported_encoding"


async def test_a_client_may_wait_until_its_body_is_expected() -> None:
    """Curl does for bodies of more than a kilobyte."""
    async with door() as gate:
        _serve(gate)
        head, body = _request("HTTP/1.1", "Expect: 100-continue", "Connection: close")
        parts = urlsplit(gate.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(head)
        async with asyncio.timeout(60):
            assert b" 100 " in await reader.readline()
            writer.write(body)
            assert b'"red"' in await reader.read()
        writer.close()


async def test_one_connection_takes_many_requests() -> None:
    async with door() as gate:
        _serve(gate)
        one = httpx.Limits(max_connections=1)
        async with httpx.AsyncClient(base_url=gate.url, limits=one, trust_env=False, timeout=60) as client:
            for _ in range(3):
                response = await client.post(
                    "/v1/chat/completions", json={"model": "vedette/chat", "messages": MESSAGES}
                )
                assert response.json() == ANSWER


@pytest.mark.parametrize("program", RECORDED)
async def test_recorded_requests_reach_the_model_as_they_were(program: str) -> None:
    headers, more = RECORDED[program]
    async with door() as gate:
        gate.servers[0].routes[CHAT] = stream(*EVENTS) if more.get("stream") else reply(200, ANSWER)
        response = await gate.chat(headers=headers, **more)
        assert response.status_code == 200
        (sent,) = gate.servers[0].requests
        assert sent.body == {"model": "m", "messages": MESSAGES, **more}
        assert not [
            name
            for name in sent.headers
            if name.startswith(("x-stainless", "x-session")) or name == "api-key"
        ]


async def test_the_client_of_openai_reads_lists_answers_streams_and_errors() -> None:
    async with door() as gate:
        _serve(gate)
        async with openai.AsyncOpenAI(
            base_url=f"{gate.url}/v1", api_key="none", max_retries=0, timeout=60
        ) as client:
            assert [one.id async for one in client.models.list()] == ["vedette/auto", "vedette/chat"]
            answer = await client.chat.completions.create(model="vedette/chat", messages=MESSAGES)
            assert answer.choices[0].message.content == "red"
            gate.servers[0].routes[CHAT] = stream(*EVENTS)
            stream_of = await client.chat.completions.create(
                model="vedette/chat", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
            )
            chunks = [chunk async for chunk in stream_of]
            assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "red"
            assert chunks[-1].usage is not None
            assert chunks[-1].usage.total_tokens == 5
            gate.servers[0].routes[CHAT] = reply(400, {"error": {"message": "no such role"}})
            with pytest.raises(openai.BadRequestError, match="no such role"):
                await client.chat.completions.create(model="vedette/chat", messages=MESSAGES)


async def test_the_client_of_azure_names_the_model_in_the_path_or_in_the_body() -> None:
    async with door() as gate:
        _serve(gate)
        gate.servers[0].routes["POST", "/v1/embeddings"] = reply(200, EMBEDDED)
        settings = {"azure_endpoint": gate.url, "api_key": "none", "api_version": "2026-10-21", "timeout": 60}
        async with openai.AsyncAzureOpenAI(**settings) as client:
            answer = await client.chat.completions.create(model="vedette/chat", messages=MESSAGES)
            assert answer.choices[0].message.content == "red"
            assert [one.id async for one in client.models.list()] == ["vedette/auto", "vedette/chat"]
            embedded = await client.embeddings.create(model="vedette/embedding", input="hi")
            assert embedded.data[0].embedding == [0.5, 0.25]
        async with openai.AsyncAzureOpenAI(azure_deployment="vedette/reasoning", **settings) as client:
            await client.chat.completions.create(model="gpt-4", messages=MESSAGES)
        asked = [(one.api, one.target.name) for one in gate.ranking.asked]
        assert asked == [
            ("chat/completions", "chat"),
            ("embeddings", "embedding"),
            ("chat/completions", "reasoning"),
        ]
        assert all(sent.body["model"] == "m" for sent in gate.servers[0].requests)


ASKED_BEFORE = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}


async def test_pages_of_a_configured_site_may_call_from_a_browser() -> None:
    """And read which model replied; pages of others may not, keys or none."""
    ours = {"origin": "https://chat.example.com", "sec-fetch-site": "cross-site"}
    async with door(origins=("https://chat.example.com",)) as gate:
        _serve(gate)
        before = await gate.client.options("/v1/chat/completions", headers=ours | ASKED_BEFORE)
        assert before.status_code == 200
        assert before.headers["access-control-allow-origin"] == "https://chat.example.com"
        assert "authorization" in before.headers["access-control-allow-headers"]
        response = await gate.chat(headers=ours)
        assert response.json() == ANSWER
        assert response.headers["access-control-allow-origin"] == "https://chat.example.com"
        assert "x-vedette-model" in response.headers["access-control-expose-headers"]
        theirs = ours | {"origin": "https://elsewhere.example.com"}
        assert (await gate.chat(headers=theirs)).json()["error"]["code"] == "cross_site"
        refused = await gate.client.options("/v1/chat/completions", headers=theirs | ASKED_BEFORE)
        assert "access-control-allow-origin" not in refused.headers


@pytest.mark.parametrize("origin", ["*", "chat.example.com", "https://chat.example.com/"])
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(ConfigurationError, match="origin"):
        parse({"gateway": {"origins": [origin]}}, where="vedette.toml")
