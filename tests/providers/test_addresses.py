"""Addresses of endpoints beside plain URLs: unix sockets, and Azure OpenAI's older paths with their query."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from providers.conftest import opened
from providers.replay import Replay, reply, stream
from vedette.errors import ConfigurationError, ProviderError
from vedette.providers import Generation, Listing, load
from vedette.providers.addresses import http_url, query_of, socket_of, wrong_with
from vedette.providers.openai_compatible import is_ours
from vedette.settings import EndpointSettings
from vedette.types import Outcome
from vedette_discoverer.capabilities import infer

END = 'data: {"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]}'
AZURE = "/openai/deployments/prod-eu/chat/completions?api-version=2024-10-21"


@pytest.mark.parametrize(
    ("url", "socket", "http"),
    [
        ("http+unix:///run/llama.sock", "/run/llama.sock", "http://localhost"),
        ("http+unix:///run/llama.sock/v1", "/run/llama.sock", "http://localhost/v1"),
        ("http+unix:///run/a.socket/v1/chat/completions", "/run/a.socket", None),
        ("http+unix:///run/user/1000/model", "/run/user/1000/model", "http://localhost"),
        ("http+unix://%2Frun%2Fa%20b.sock/v1", "/run/a b.sock", "http://localhost/v1"),
        ("http+unix:///run/a%20b.sock", "/run/a b.sock", "http://localhost"),
    ],
)
def test_a_unix_socket_is_read_in_both_forms(url: str, socket: str, http: str | None) -> None:
    """It is a place on this machine, whose processor it shares with what is on loopback."""
    assert wrong_with(url) is None
    assert (socket_of(url) or ("",))[0] == socket
    assert http is None or http_url(url) == http
    assert is_ours(url)
    assert EndpointSettings(url=url).group == EndpointSettings(url="http://127.0.0.1:8080").group


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("unix:///run/llama.sock", "'http+unix:///run/llama.sock'"),
        ("/run/llama.sock", "'http+unix:///run/llama.sock'"),
        ("http+unix://", "names no socket"),
        ("http+unix://run.sock", "names no socket"),
        ("gpu:8000", "did you mean 'http://gpu:8000'?"),
        ("http:/gpu:8000", "did you mean 'http://gpu:8000'?"),
        ("http//gpu:8000", "did you mean 'http://gpu:8000'?"),
        ('"http://gpu:8000"', "it has quotes, write 'http://gpu:8000'"),
        ("http://<host>:8000", "'<host>' stands for a value"),
        ("${OLLAMA_URL}", "stands for a value"),
        ("http://gpu:3000/#/", "which is the address of a page; write 'http://gpu:3000/'"),
        ("http://h/v1?key=s3cr3t", "has a query"),
        ("http://h/v1?key=s3cr3t#x", "has a query"),
        ("http://u:p$s3cr3t@h", "holds a secret"),
        ("http://h/v1?api-version=1&key=s3cr3t", "has a query"),
    ],
)
def test_what_is_no_address_is_refused_with_what_to_write(url: str, told: str) -> None:
    """A key in a query would be published with the URL."""
    assert told in (wrong_with(url) or "")


@pytest.fixture
async def socket(replay: Replay, tmp_path: Path) -> AsyncIterator[str]:
    """Yield the URL of a server on a unix socket, which plays *replay* back."""
    path = tmp_path / "llama.sock"
    async with await asyncio.start_unix_server(replay.serve, path):
        yield f"http+unix://{path}"


async def test_a_server_on_a_unix_socket_is_used_as_any_other(socket: str, replay: Replay) -> None:
    """It runs here; OpenAI clients get no base URL, since none leads to it."""
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m", "owned_by": "llamacpp"}]})
    replay.routes["POST", "/v1/chat/completions"] = stream(END, "")
    async with opened("openai-compatible", socket) as endpoint:
        assert [entry.name for entry in await endpoint.list_models()] == ["m"]
        told = await endpoint.describe(Listing(name="m"))
        _ = [item async for item in endpoint.generate(Generation(model="m", prompt="x", max_tokens=4))]
        assert endpoint.features.free_to_ask
    assert (told.locality, told.base_url) == ("local", None)
    assert load("openai-compatible").base_url(socket) is None


@pytest.mark.fault(
    "a socket is named that outbound.allow does not",
    "I8",
    without=("vedette.providers._outbound:socket_refused", lambda *_: None),
)
async def test_the_outbound_policy_counts_for_sockets(socket: str, replay: Replay, tmp_path: Path) -> None:
    """By their path: an allowed host or network allows none."""
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m"}]})
    async with opened("openai-compatible", socket, allowed=("localhost", "127.0.0.0/8")) as endpoint:
        with pytest.raises(ProviderError, match=r"is not in outbound\.allow") as refused:
            await endpoint.list_models()
    assert refused.value.outcome is Outcome.UNREACHABLE
    async with opened("openai-compatible", socket, allowed=(f"{tmp_path}/*.sock",)) as endpoint:
        assert await endpoint.list_models()


async def test_a_socket_that_is_not_there_is_a_server_that_does_not_run(tmp_path: Path) -> None:
    """The error names it."""
    async with opened("openai-compatible", f"http+unix://{tmp_path}/gone.sock") as endpoint:
        with pytest.raises(ProviderError, match=r"gone\.sock: there is no such socket") as gone:
            await endpoint.list_models()
    assert gone.value.outcome is Outcome.REFUSED


async def test_azures_deployment_is_taken_as_it_is_pasted(replay: Replay) -> None:
    """The model is named by the path, and every request carries the version."""
    path = AZURE.partition("?")[0]
    replay.routes["POST", path] = stream(END, "")
    async with opened("openai-compatible", replay.url + AZURE) as endpoint:
        [listed] = await endpoint.list_models()
        told = await endpoint.describe(listed)
        _ = [item async for item in endpoint.generate(Generation(model="prod-eu", prompt="x", max_tokens=4))]
    assert listed.name == "prod-eu"
    assert infer(told, listed.name)[0] == "chat"  # by the request whose URL was pasted
    assert told.base_url == f"{replay.url}/openai/deployments/prod-eu"
    assert {request.path.partition("?")[2] for request in replay.requests} == {"api-version=2024-10-21"}
    assert replay.requests[-1].path == AZURE


async def test_configured_models_win_over_the_one_that_the_path_names(replay: Replay) -> None:
    """A deployment of embeddings is none of chat."""
    url = replay.url + AZURE.replace("chat/completions", "embeddings")
    async with opened("openai-compatible", url, models=("mine",)) as endpoint:
        [listed] = await endpoint.list_models()
        told = await endpoint.describe(listed)
    assert (listed.name, infer(told, "mine")[0]) == ("mine", "embedding")


async def test_a_version_that_azure_does_not_know_is_named(replay: Replay) -> None:
    """Its 404 says no more than that a resource was not found."""
    async with opened("openai-compatible", replay.url + AZURE) as endpoint:
        with pytest.raises(ProviderError, match=r"with the query api-version=2024-10-21"):
            _ = [
                item
                async for item in endpoint.generate(Generation(model="prod-eu", prompt="x", max_tokens=4))
            ]


def test_a_query_is_kept_by_name() -> None:
    """Nothing else of the URL is."""
    assert query_of(f"https://x.openai.azure.com{AZURE}") == {"api-version": "2024-10-21"}
    assert query_of("http://h/v1") == {}


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("olama", 'did you mean "ollama"?'),
        ("openai_compatible", 'did you mean "openai-compatible"?'),
        ("llamacpp", '"openai-compatible" is for llama.cpp'),
        ("vllm", '"openai-compatible" is for llama.cpp, vLLM'),
        ("lmstudio", '"openai-compatible" is for'),
    ],
)
def test_a_provider_that_there_is_not_leads_to_the_right_one(name: str, hint: str) -> None:
    """The name of a server is near that of another provider by chance, which would not do."""
    with pytest.raises(ConfigurationError, match=re.escape(hint)):
        load(name)
