"""The count of requests is what servers received: pages, optional questions, refused and broken ones too."""

import asyncio
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import pytest

from eventually import eventually
from providers.conftest import opened
from providers.fake_ollama import fake_ollama
from providers.replay import Handler, Replay, replaying, reply, stream
from vedette.errors import ProviderError
from vedette.providers import Endpoint, Generation
from vedette.providers.counting import counting
from vedette.runtime.nats_server import NatsServer
from whole import found

WORDS: Handler = stream(
    *(f'data: {{"choices": [{{"index": 0, "delta": {{"content": "w{n} "}}}}]}}\n' for n in range(20)),
    'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n',
    'data: {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 20}}\n',
    "data: [DONE]\n",
)


def vllm(replay: Replay) -> None:
    """Have *replay* be a server with two models, of which the second fails to answer."""
    listed = [{"id": name, "owned_by": "vllm", "max_model_len": 4096} for name in ("a", "broken")]
    replay.routes["GET", "/v1/models"] = reply(200, {"object": "list", "data": listed})
    replay.routes["POST", "/v1/chat/completions", "a"] = WORDS
    replay.routes["POST", "/v1/chat/completions", "broken"] = stream("data: {", whole=False)


async def _everything(endpoint: Endpoint) -> None:
    with suppress(ProviderError):
        await endpoint.reach()
    for entry in await endpoint.list_models():
        await endpoint.describe(entry)
        request = Generation(model=entry.name, prompt="hello", max_tokens=8, chat=True, deadline_s=60.0)
        with suppress(ProviderError):
            async with aclosing(endpoint.generate(request)) as answer:
                async for _ in answer:
                    pass
    await endpoint.resident()


@pytest.mark.fault(
    "requests that a budget does not see: optional questions, refused and broken calls",
    "I10",
    without=("vedette.providers.counting:count", lambda: None),
)
@pytest.mark.parametrize("provider", ["openai-compatible", "ollama"])
async def test_what_is_counted_was_received(provider: str) -> None:
    """Also of tasks that are started meanwhile; what nobody listens to is not sent."""
    async with fake_ollama(a="d1", b="d2") as ollama, replaying() as other:
        vllm(other)
        replay = ollama.replay if provider == "ollama" else other
        async with opened(provider, replay.url) as endpoint:
            with counting() as sent:
                await asyncio.gather(_everything(endpoint), _everything(endpoint))
            assert sent.requests == len(replay.requests) > 8
    async with opened(provider, replay.url) as endpoint:
        with counting() as sent, pytest.raises(ProviderError):
            await endpoint.list_models()
        assert sent.requests == 0


@pytest.mark.fault("usage that is estimated, and not what the server received", "I10")
async def test_the_usage_that_is_shown_is_what_servers_received(server: NatsServer, tmp_path: Path) -> None:
    """After discovery, probes, benchmarks and capability checks, for each kind of server."""
    async with fake_ollama(**{"a:latest": "d1", "b:latest": "d2"}) as ollama, replaying() as other:
        vllm(other)
        servers = {"ollama": ollama.replay, "vllm": other}
        config = f"""
[benchmarking]
runs = 1
output_tokens = 16
[endpoints.ollama]
url = "{ollama.url}"
evaluate = false
[endpoints.vllm]
provider = "openai-compatible"
url = "{other.url}"
evaluate = false
"""
        async with found(config, server, tmp_path / "state") as running:

            async def used() -> dict[str, dict[str, int]]:
                ledgers = {
                    one.endpoint: one.state.ledger
                    for one in (await running.client.endpoints()).endpoints
                    if one.state and one.state.ledger
                }
                return {
                    name: {kind: use.requests for kind, use in ledger.by.items()}
                    for name, ledger in ledgers.items()
                }

            async def all_told() -> Any:
                told = await used()
                kinds = {"discover", "probe", "benchmark", "verify"}
                counted = {name: sum(by.values()) for name, by in told.items()}
                received = {name: len(replay.requests) for name, replay in servers.items()}
                return counted == received and all(kinds <= by.keys() for by in told.values())

            await eventually(all_told, what="usage as received")
            for command in ("probe", "discover", "benchmark"):
                assert (await running.ask(command)).code in (0, 1)
            await eventually(all_told, what="usage as received")
            shown = (await running.ask("endpoints", "--json")).json()["endpoints"]
            assert {one["endpoint"] for one in shown if one["state"]["ledger"]["by"]} == servers.keys()
