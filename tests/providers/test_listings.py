"""Listings and addresses as people have them: what is listed, where, and what it says of a model."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from providers.conftest import opened
from providers.replay import Replay, reply, stream
from vedette.clock import SystemClock
from vedette.errors import ProviderError
from vedette.providers import Access, Described, Generation, Listing, load
from vedette.providers._entries import given, taken, usual_kind
from vedette.providers._lenient import moment
from vedette.providers._native import entry_and_props
from vedette.providers._places import is_ours
from vedette.settings import EndpointSettings
from vedette.types import Capability, Outcome
from vedette_discoverer.capabilities import infer


async def described(
    replay: Replay, *entries: Any, provider: str = "openai-compatible"
) -> dict[str, Described]:
    """Return what is described of each model in a listing of *entries*."""
    replay.routes["GET", "/v1/models"] = reply(200, {"data": list(entries)})
    async with opened(provider, replay.url) as endpoint:
        return {entry.name: await endpoint.describe(entry) for entry in await endpoint.list_models()}


@pytest.mark.parametrize(
    ("path", "base"),
    [
        ("", "/v1"),
        ("/v1", "/v1"),
        ("/v1/", "/v1"),
        ("/openai/v1", "/openai/v1"),
        ("/llm", "/llm/v1"),
        ("/api/paas/v4", "/api/paas/v4"),
        ("/v1beta/openai", "/v1beta/openai"),
        ("/v1/openai", "/v1/openai"),
        ("/v1/chat/completions", "/v1"),
        ("/api/v3/chat/completions", "/api/v3"),
        ("/v1/models", "/v1"),
        ("/docs", "/v1"),
        ("/llm/docs#/default", "/llm/v1"),
        ("/#/models", "/v1"),
        ("/v1/models#top", "/v1"),
        ("/health", "/v1"),
        ("/openapi.json", "/v1"),
        ("/ui/", "/v1"),
        ("/api/v0", "/v1"),
    ],
)
async def test_a_base_url_is_taken_as_people_paste_it(path: str, base: str, replay: Replay) -> None:
    """It is used as it is where it answers; agents are given the one that did."""
    replay.routes["GET", f"{base}/models"] = reply(200, {"data": [{"id": "m"}]})
    end = 'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}'
    replay.routes["POST", f"{base}/chat/completions"] = stream(end, "")
    async with opened("openai-compatible", replay.url + path) as endpoint:
        _ = [item async for item in endpoint.generate(Generation(model="m", prompt="x", max_tokens=4))]
        told = await endpoint.describe(Listing(name="m"))
    assert told.base_url == replay.url + base


async def test_a_server_without_a_version_in_its_paths_is_found(replay: Replay) -> None:
    """Infinity 0.0.78 lists at /models, and answers 404 to /v1/models (recorded)."""
    replay.recorded("infinity/0.0.78")
    async with opened("openai-compatible", replay.url) as endpoint:
        [listed] = await endpoint.list_models()
        told = await endpoint.describe(listed)
        assert (await endpoint.reach()).product == "infinity"
        assert (await endpoint.embed("all-minilm", ["a", "b"])).vectors == 2
    assert (listed.name, told.kind, told.base_url) == ("all-minilm", "embedding", replay.url)


@pytest.mark.fault("another server takes a port and lists at another path", "I10")
async def test_a_server_that_takes_the_port_is_found_at_its_own_path(replay: Replay) -> None:
    """What answered before says nothing of where the next one lists."""
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "before"}]})
    async with opened("openai-compatible", replay.url) as endpoint:
        assert [entry.name for entry in await endpoint.list_models()] == ["before"]
        replay.recorded("infinity/0.0.78")
        [listed] = await endpoint.list_models()
        assert (await endpoint.describe(listed)).base_url == replay.url
        replay.routes = {("GET", "/v1/models"): reply(200, {"data": [{"id": "after"}]})}
        assert [entry.name for entry in await endpoint.list_models()] == ["after"]


@pytest.mark.parametrize("path", ["/v1", "/api", "/api/chat", "/v1/chat/completions", "/"])
async def test_ollamas_other_addresses_lead_to_it(path: str, replay: Replay) -> None:
    """Its OpenAI address, and the path of a request."""
    replay.routes["GET", "/api/tags"] = reply(200, {"models": [{"name": "m"}]})
    async with opened("ollama", replay.url + path) as endpoint:
        assert [entry.name for entry in await endpoint.list_models()] == ["m"]
    assert load("ollama").base_url(replay.url + path) == f"{replay.url}/v1"


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ([{"id": "a"}, {"id": "b"}], ["a", "b"]),
        ({"object": "list", "data": None}, []),
        ({"data": [{"id": "openai/*"}, {"id": "*"}, {"id": "a.b*c>d"}]}, ["a.b*c>d"]),
        ({"data": [{"id": "a"}, {"id": "off", "active": False}]}, ["a"]),
        ({"data": [{"id": "a"}, {"id": "tune", "capabilities": {"inference": False}}]}, ["a"]),
        ({"data": [{"id": "a"}, {"id": "old", "deprecation": "2026-01-01T00:00:00Z"}]}, ["a"]),
        ({"data": [{"id": "a"}, {"id": "old", "deprecation": {"inference": 1700000000}}]}, ["a"]),
        ({"data": [{"id": "a"}, 7, None, {"id": None}]}, ["a"]),
        ({"data": [{"id": "a"}, {"id": "off", "enabled": False}, {"id": "away", "available": False}]}, ["a"]),
        ({"data": [{"id": "a"}, {"id": "old", "sunset_date": "2024-01-01"}]}, ["a"]),
        (
            {
                "data": [
                    {"id": "a"},
                    {"id": "b", "archived": True},
                    {"id": "c", "policy": {"state": "disabled"}},
                ]
            },
            ["a"],
        ),
        ({"data": [{"id": "a"}, {"id": "off", "model_spec": {"offline": True}}]}, ["a"]),
        ({"data": [{"id": "a", "downloaded": True}, {"id": "away", "downloaded": False}]}, ["a"]),
        ({"data": [{"id": "a"}, {"id": "dear", "available_on_current_plan": False}]}, ["a"]),
        ({"data": [{"id": "a"}, {"id": "old", "deprecation": 1700000000000}]}, ["a"]),
        ({"data": [{"id": "a"}, {"id": "old", "shutdown_date": "Tue, 30 Jun 2020 10:00:00 GMT"}]}, ["a"]),
        ({"data": [{"id": "a", "deprecation": "0001-01-01T00:00:00Z"}]}, ["a"]),
        (
            {"data": [{"id": "a", "expiration_date": "1970-01-01"}, {"id": "b", "expiration_date": 1}]},
            ["a", "b"],
        ),
        ({"data": [{"id": "a", "expiration_date": "9999-12-31T23:59:59-05:00"}]}, ["a"]),
        ({"data": [{"id": 7, "name": "a"}, {"id": {"model_name": "x"}}]}, ["a"]),
        (
            {
                "data": [
                    {"id": "a", "status": "deprecated", "end_of_life": False},
                    {"id": "b", "status": "offline"},
                    {"id": "c", "disabled": True},
                    {"id": "d", "end_of_life": "2026-01-01"},
                ]
            },
            ["a"],
        ),
        ([], []),
    ],
)
async def test_what_can_be_asked_is_listed(body: Any, names: list[str], replay: Replay) -> None:
    """Patterns, models that are switched off and models past their end are none."""
    replay.routes["GET", "/v1/models"] = reply(200, body)
    async with opened("openai-compatible", replay.url) as endpoint:
        assert [entry.name for entry in await endpoint.list_models()] == names


async def test_models_of_a_server_without_a_listing_are_named(replay: Replay) -> None:
    """By the configuration (Azure OpenAI, Perplexity)."""
    access = Access(endpoint="x", url=replay.url, models=("sonar",))
    async with load("openai-compatible").open(access, clock=SystemClock()) as endpoint:
        assert [entry.name for entry in await endpoint.list_models()] == ["sonar"]


async def test_an_end_that_lies_ahead_is_told(replay: Replay) -> None:
    """So that agents can be moved in time."""
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    told = await described(replay, {"id": "m", "deprecation": ends.isoformat()})
    assert told["m"].facts["retires_at"] == ends
    told = await described(replay, {"id": "m", "expiration_date": ends.isoformat()}, provider="openrouter")
    assert told["m"].facts["retires_at"] == ends


@pytest.mark.parametrize(
    ("told", "context"),
    [
        ({"context_length": "131072"}, 131_072),
        ({"context_length": "128k"}, 128_000),
        ({"context_length": 131072.0}, 131_072),
        ({"context_window": 8192}, 8192),
        ({"max_context_length": 8192}, 8192),
        ({"contextWindow": "8,192 tokens"}, 8192),
        ({"top_provider": {"context_length": 4096}, "context_length": 8192}, 4096),
        ({"metadata": {"context_length": 8192}}, 8192),
        ({"limit": {"context": 8192, "output": 64}}, 8192),
        ({"providers": [{"context_length": 8192}, {"context_length": 16384}, "acme"]}, 8192),
        *[({"context_length": value}, None) for value in (0, None, -1, 1e300, [], "x", "9" * 400)],
    ],
)
async def test_a_context_is_a_number_in_any_form(
    told: dict[str, Any], context: int | None, replay: Replay
) -> None:
    """What is none is not known."""
    found = await described(replay, {"id": "m", **told})
    assert found["m"].facts.get("served_context_tokens") == context


KINDS = [
    ({"type": "chat"}, True),
    ({"mode": "chat"}, True),
    ({"capabilities": {"completion_chat": True}}, True),
    ({"capabilities": {"chat_completion": True, "embeddings": False}}, True),
    ({"type": "image"}, False),
    ({"type": "audio"}, False),
    ({"type": "moderation"}, False),
    ({"type": "embedding"}, False),
    ({"mode": "image_generation"}, False),
    ({"mode": "audio_transcription"}, False),
    ({"capabilities": {"completion_chat": False}}, False),
    ({"architecture": {"output_modalities": ["image"]}}, False),
    ({"architecture": {"output_modalities": ["embeddings"]}}, False),
    ({"architecture": {"modality": "text->image"}}, False),
    ({"architecture": {"modality": "->image"}}, False),
    ({"supports_chat": True}, True),
    ({"supports_chat": False}, False),
    ({"capabilities": {"type": "chat", "limits": {}}}, True),
    ({"capabilities": {"type": "embeddings"}}, False),
    ({"type": "text", "sub_type": "chat"}, True),
    ({"type": "text", "sub_type": "reranker"}, False),
    ({"endpoints": ["chat", "generate"]}, True),
    ({"endpoints": ["embed", "classify"]}, False),
    ({"endpoints": ["transcriptions"]}, False),
    ({"supported_endpoint_types": ["image-generation"]}, False),
    ({"labels": ["reranking"]}, False),
    ({"type": "Text Generation"}, True),
    ({"type": "language"}, True),
    ({"type": "text-to-text"}, True),
    ({"type": "tts"}, False),
    ({"type": "classifier"}, False),
    ({"task": {"name": "Text-to-Image"}}, False),
    ({"task": "sentence-similarity"}, False),
    ({"pipeline_tag": "text-generation"}, True),
    ({"pipeline_tag": "audio-text-to-text"}, True),
    ({"task": "video_text_to_text"}, True),
    ({"pipeline_tag": "text-to-video"}, False),
    ({"architecture": {"modality": "text+image->text"}}, True),
    ({"input_modalities": ["text"], "output_modalities": ["text"]}, True),
    ({"modalities": {"input": ["text"], "output": ["audio"]}}, False),
    ({"outputModalities": ["IMAGE"]}, False),
    ({"supported_endpoints": ["/v1/chat/completions", "/v1/responses"]}, True),
    ({"supported_endpoints": ["/v1/images/generations"]}, False),
    # GitHub Copilot: newer models have the Responses API only, though their type is chat.
    ({"supported_endpoints": ["/responses", "ws:/responses"], "capabilities": {"type": "chat"}}, False),
    ({"supported_endpoints": ["/v1/messages", "/chat/completions"], "capabilities": {"type": "chat"}}, True),
    ({"supported_endpoint_types": ["openai-response"]}, False),
    ({"supported_features": ["response_format"], "type": "chat"}, True),
    ({"categories": ["llm"]}, True),
    ({"categories": ["reranker"]}, False),
    ({"categories": ["speech_to_text"]}, False),
    ({"capabilities": {"reranker": True}}, False),
    ({"modalities": {"input": ["audio"], "output": ["text"]}}, False),
]


def preset(name: str, *arguments: str, value: str = "unloaded") -> dict[str, Any]:
    """Return an entry of llama.cpp's router (bifrost#969, pi-llama#19)."""
    started = ["/app/llama-server", "--port", "0", "--alias", name, *arguments]
    return {
        "id": name,
        "owned_by": "llamacpp",
        "status": {"value": value, "args": started},
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
    }


@pytest.mark.parametrize(
    ("arguments", "kind", "context", "origin"),
    [
        ((), "chat", None, None),
        (("--embeddings", "--pooling", "mean"), "embedding", None, None),
        (("--embedding", "--reranking"), "rerank", None, None),
        (
            ("-hf", "unsloth/Qwen3-8B-GGUF:Q4_K_M", "-c", "16384"),
            "chat",
            16_384,
            "unsloth/Qwen3-8B-GGUF:Q4_K_M",
        ),
        (
            ("--model", "/models/x.gguf", "--ctx-size", "65536", "--parallel", "4"),
            "chat",
            16_384,
            "/models/x.gguf",
        ),
        (("--ctx-size", "65536", "-np", "4", "--kv-unified"), "chat", 65_536, None),
        (("--ctx-size", "0"), "chat", None, None),
        (("--ctx-size",), "chat", None, None),
    ],
)
async def test_a_preset_is_known_by_the_arguments_that_start_it(
    arguments: tuple[str, ...], kind: str, context: int | None, origin: str | None, replay: Replay
) -> None:
    """A router says nothing else of a model that is not loaded; its name need not say what it is for."""
    told = (await described(replay, preset("m", *arguments)))["m"]
    assert infer(told, "m")[0] == kind
    assert (told.facts.get("served_context_tokens"), told.origin) == (context, origin)


async def test_a_preset_whose_arguments_are_no_arguments_is_described(replay: Replay) -> None:
    """Whatever a server lists there."""
    for arguments in (None, "x", [7, None, ["--embedding"]], {}):
        entry = preset("m") | {"status": {"value": "unloaded", "args": arguments}}
        assert infer((await described(replay, entry))["m"], "m")[0] == "chat"


async def test_what_a_model_was_loaded_with_comes_before_its_arguments(replay: Replay) -> None:
    """Where the router tells both."""
    entry = preset("m", "--ctx-size", "65536", value="loaded") | {"meta": {"n_ctx": 32_768}}
    assert (await described(replay, entry))["m"].facts["served_context_tokens"] == 32_768


async def test_weights_that_are_still_downloaded_are_not_offered(replay: Replay) -> None:
    """A router lists them (letta-code#3496); a sleeping model wakes when it is called (pi#8235)."""
    entries = [preset("a", value="downloading"), preset("b", value="sleeping"), preset("c")]
    assert list(await described(replay, *entries)) == ["b", "c"]


def lemonade(name: str, *labels: str, **more: Any) -> dict[str, Any]:
    """Return an entry of Lemonade's listing (its API description, August 2026)."""
    return {"id": name, "owned_by": "lemonade", "recipe": "llamacpp", "labels": list(labels), **more}


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        (lemonade("m", "hot"), "chat"),
        (lemonade("m", "chat", "chat-transcription", "vision"), "chat"),
        (lemonade("m", "reasoning", recipe="flm"), "chat"),
        (lemonade("m", "embeddings"), "embedding"),
        (lemonade("m", "reranking"), "rerank"),
        (lemonade("m", "hot", "image", recipe="sd-cpp"), "unknown"),
        (lemonade("m", "transcription", "realtime-transcription", "hot", recipe="whispercpp"), "unknown"),
        (lemonade("m", "hot", "classification", recipe="onnxruntime"), "unknown"),
        (lemonade("m", recipe="collection.omni"), "unknown"),
    ],
)
async def test_lemonade_says_what_a_model_is_for_by_its_labels(
    entry: dict[str, Any], kind: str, replay: Replay
) -> None:
    """Else by its recipe, the engine that runs it."""
    assert infer((await described(replay, entry))["m"], "m")[0] == kind


async def test_lemonade_serves_less_than_the_weights_could(replay: Replay) -> None:
    """Its `max_context_window` is theirs (lemonade#3046)."""
    told = await described(
        replay,
        lemonade("now", max_context_window=1_048_576, context_length=8192),
        lemonade("before", max_context_window=1_048_576, recipe_options={"ctx_size": 131_072}),
        lemonade("auto", max_context_window=40_960, recipe_options={"ctx_size": -1}),
    )
    contexts = {
        name: (one.facts.get("native_context_tokens"), one.facts.get("served_context_tokens"))
        for name, one in told.items()
    }
    assert contexts == {"now": (1_048_576, 8192), "before": (1_048_576, 131_072), "auto": (40_960, None)}


async def test_docker_model_runner_lists_for_clients_under_another_path(replay: Replay) -> None:
    """At its root it lists digests, which no call takes (docker/model-runner, July 2026)."""
    about = {
        "context_window": 8192,
        "architecture": "llama",
        "parameters": "361.82 M",
        "quantization": "Q4_K_M",
    }
    entry = {"id": "docker.io/ai/smollm2:latest", "object": "model", "owned_by": "docker", "dmr": about}
    native = [{"id": "sha256:354bf30d0aa3", "tags": [entry["id"]], "config": {"format": "gguf"}}]
    replay.routes["GET", "/models"] = reply(200, native)
    replay.routes["GET", "/engines/v1/models"] = reply(200, {"object": "list", "data": [entry]})
    replay.routes["GET", "/engines/ps"] = reply(200, [{"model_name": "ai/smollm2", "mode": "completion"}])
    for path in ("", "/engines", "/engines/v1"):
        async with opened("openai-compatible", replay.url + path) as endpoint:
            (listed,) = await endpoint.list_models()
            told = await endpoint.describe(listed)
            assert ((await endpoint.resident()) or {})[listed.name].resident
        assert (listed.name, told.base_url) == (entry["id"], f"{replay.url}/engines/v1")
        assert told.facts["parameters"] == 361_820_000
        assert told.facts["served_context_tokens"] == 8192
        assert told.facts["quantization"] == "Q4_K_M"


LOADED = {
    "lemonade": ("/v1/health", {"all_models_loaded": [{"model_name": "a", "type": "llm"}]}),
    "docker": ("/ps", [{"model_name": "a:latest"}]),
    "llama-swap": ("/running", {"running": [{"model": "a", "state": "ready"}]}),
    "omlx": ("/v1/models/status", {"models": [{"id": "a", "loaded": True}, {"id": "b", "loaded": False}]}),
}


@pytest.mark.parametrize("owner", LOADED)
async def test_a_server_lists_what_it_has_loaded(owner: str, replay: Replay) -> None:
    """Where the list is missing or no list, nothing is known of any model."""
    path, body = LOADED[owner]
    entries = [{"id": name, "owned_by": owner, "max_model_len": 4096} for name in ("a", "b")]
    replay.routes["GET", "/v1/models"] = reply(200, {"data": entries})
    replay.routes["GET", path] = reply(200, body)
    async with opened("openai-compatible", replay.url) as endpoint:
        found = await endpoint.resident() or {}
        assert {name: one.resident for name, one in found.items()} == {"a": True, "b": False}
        for other in (reply(404), reply(200, {"error": "no"}), reply(200, "<html>")):
            replay.routes["GET", path] = other
            assert await endpoint.resident() is None


async def test_omlx_is_no_vllm_for_its_contexts(replay: Replay) -> None:
    """It lists `max_model_len` as vLLM does, but loads models when they are called."""
    listed = [{"id": name, "owned_by": "omlx", "max_model_len": 4096} for name in ("talk", "docs", "alias")]
    status = [
        {"id": "talk", "loaded": True, "model_type": "vlm"},
        {"id": "docs", "loaded": False, "model_type": "embedding"},
        {"id": "ears", "model_alias": "alias", "loaded": False, "model_type": "audio_stt"},
    ]
    replay.routes["GET", "/v1/models/status"] = reply(200, {"models": status})
    told = await described(replay, *listed)
    kinds = {name: infer(one, name)[0] for name, one in told.items()}
    assert kinds == {"talk": "chat", "docs": "embedding", "alias": "unknown"}
    assert told["talk"].claims[Capability.VISION].value
    assert told["talk"].facts["served_context_tokens"] == 4096


async def test_exo_lists_more_than_its_cluster_runs(replay: Replay) -> None:
    """It answers 404 to a call of the others (source code, June 2026). Where it does not say, all are listed."""
    entries = [{"id": name, "owned_by": "exo", "context_length": 0} for name in ("runs", "may")]
    replay.routes["GET", "/ollama/api/ps"] = reply(200, {"models": [{"name": "runs", "size": 0}]})
    assert list(await described(replay, *entries)) == ["runs"]
    replay.routes["GET", "/ollama/api/ps"] = reply(200, {"models": []})
    assert not await described(replay, *entries)
    replay.routes["GET", "/ollama/api/ps"] = reply(404)
    assert list(await described(replay, *entries)) == ["runs", "may"]
    replay.routes["GET", "/ollama/api/ps"] = reply(500)
    with pytest.raises(
        ProviderError
    ):  # else one failure would list models that are lost again a moment later
        await described(replay, *entries)


async def test_vllm_mlx_says_by_its_owner_what_a_model_is_for(replay: Replay) -> None:
    """It lists embedding and rerank models beside the others (source code, August 2026)."""
    owners = {"talk": "vllm-mlx", "docs": "vllm-mlx-embedding", "order": "vllm-mlx-reranker"}
    told = await described(replay, *({"id": name, "owned_by": owner} for name, owner in owners.items()))
    kinds = {name: infer(one, name)[0] for name, one in told.items()}
    assert kinds == {"talk": "chat", "docs": "embedding", "order": "rerank"}


def test_a_model_that_writes_text_need_not_chat() -> None:
    """What it was asked with, and its name, may say otherwise."""
    heard = {"input_modalities": ["audio"], "output_modalities": ["text"]}
    assert infer(entry_and_props({"id": "acme-8b", **heard}, {}), "acme-8b")[0] == "unknown"
    half = {"id": "acme", "architecture": {"modality": "->text"}}
    assert (taken(half), given(half), usual_kind(half)) == ([], ["text"], "chat")
    guard = {"id": "acme-guard", "architecture": {"modality": "text->text"}}
    assert infer(entry_and_props(guard, {}), "acme-guard")[0] == "unknown"


@pytest.mark.fault("a server lists hundreds of thousands of entries", "I6")
async def test_a_listing_that_would_stop_everything_else_is_refused(replay: Replay) -> None:
    """To read 700,000 entries took more than a minute, in which a service did nothing else."""
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "x"}] * 50_001})
    async with opened("openai-compatible", replay.url) as endpoint:
        with pytest.raises(ProviderError, match="more than 50,000 models are listed") as caught:
            await endpoint.list_models()
    assert caught.value.outcome is Outcome.TOO_LARGE
    assert 'models = ["…"]' in (caught.value.remedy or "")


@pytest.mark.parametrize("path", ["/v1/models", "/models"])
@pytest.mark.parametrize("entries", [[{"id": "x"}] * 50_001, [{"id": "x", "description": "y" * (1 << 20)}]])
async def test_of_a_listing_that_is_too_large_those_are_used_that_are_named(
    path: str, entries: list[dict[str, str]], replay: Replay
) -> None:
    """As the remedy says, which `exclude` would not be: it comes after the listing."""
    replay.routes["GET", path] = reply(200, {"data": entries})
    async with opened("openai-compatible", replay.url) as endpoint:
        with pytest.raises(ProviderError) as caught:
            await endpoint.list_models()
        assert caught.value.remedy is not None
        assert "name those that you use" in caught.value.remedy
    async with opened("openai-compatible", replay.url, models=("mine",)) as endpoint:
        (mine,) = await endpoint.list_models()
        assert mine.name == "mine"
        described = await endpoint.describe(mine)
    assert described.base_url == replay.url + path.removesuffix("/models")
    assert described.facts["free"] is False  # nothing shows whose models they are


@pytest.mark.parametrize(
    ("body", "said", "remedy"),
    [
        # LM Studio answers every path with 200 (lmstudio-bug-tracker#618, #1323).
        (
            {"error": "Unexpected endpoint or method. (GET /api/tags)"},
            "Unexpected endpoint",
            "openai-compatible",
        ),
        # llama.cpp lists under Ollama's path as well, and has another /api/chat.
        (
            {"models": [{"name": "x.gguf"}], "object": "list", "data": [{"id": "x.gguf"}]},
            "llama.cpp's server, not Ollama",
            'set provider = "openai-compatible"',
        ),
        ({"status": "ok"}, "no models field", 'set provider = "openai-compatible"'),
    ],
)
async def test_another_server_under_ollamas_paths_is_named(
    body: Any, said: str, remedy: str, replay: Replay
) -> None:
    """With the provider that it needs."""
    replay.routes["GET", "/api/tags"] = reply(200, body)
    async with opened("ollama", replay.url) as endpoint:
        with pytest.raises(ProviderError, match=said) as caught:
            await endpoint.list_models()
    assert remedy in (caught.value.remedy or "")


@pytest.mark.parametrize("path", ["", "/api", "/v1"])
async def test_the_ollama_of_an_open_webui_is_found_by_its_remedy(path: str, replay: Replay) -> None:
    """It shows its page at every path that it does not know; Ollama's own path comes off a url again."""
    page = "<!doctype html><html><head><title>Open WebUI</title></head></html>"
    replay.otherwise = reply(200, page)
    replay.routes["GET", "/api/version"] = reply(200, {"version": "0.6.36"})
    replay.routes["GET", "/ollama/api/tags"] = reply(200, {"models": [{"name": "qwen3:8b"}]})
    replay.routes["GET", "/api/models"] = reply(200, {"data": [{"id": "deep"}]})
    async with opened("ollama", replay.url + path) as endpoint:
        with pytest.raises(ProviderError, match="Open WebUI") as caught:
            await endpoint.list_models()
    remedy = caught.value.remedy or ""
    assert caught.value.detail.endswith(f"; {remedy}")
    for_ollama, for_all = re.findall(r'url = "([^"]+)"', remedy)
    async with opened("ollama", for_ollama) as endpoint:
        assert [entry.name for entry in await endpoint.list_models()] == ["qwen3:8b"]
    async with opened("openai-compatible", for_all) as endpoint:
        assert [entry.name for entry in await endpoint.list_models()] == ["deep"]


async def test_a_page_in_place_of_ollama_has_one_remedy(replay: Replay) -> None:
    replay.otherwise = reply(404, "<html><head><title>Not Found</title></head></html>")
    async with opened("ollama", replay.url) as endpoint:
        with pytest.raises(ProviderError, match="it is not Ollama") as caught:
            await endpoint.list_models()
    assert caught.value.detail == f"HTTP 404: Not Found; {caught.value.remedy}"


async def test_a_listing_without_names_is_none(replay: Replay) -> None:
    """LM Studio's own listing, say, at an address that agents cannot call."""
    replay.routes["GET", "/v1/models"] = reply(200, {"models": [{"key": "m"}]})
    async with opened("openai-compatible", replay.url + "/v1") as endpoint:
        with pytest.raises(ProviderError, match="without a name"):
            await endpoint.list_models()


@pytest.mark.parametrize("path", ["", "/v1", "/v1/messages"])
async def test_anthropics_paths_are_understood_and_pages_end(path: str, replay: Replay) -> None:
    """A gateway may ignore `after_id`, and write an empty list as null."""
    page = {"data": [{"id": "m"}], "has_more": True, "last_id": "m"}
    replay.routes["GET", "/v1/models"] = reply(200, page)
    async with opened("anthropic", replay.url + path) as endpoint:
        assert [entry.name for entry in await endpoint.list_models()] == ["m"]
        replay.routes["GET", "/v1/models"] = reply(200, {"data": None})
        assert await endpoint.list_models() == []


async def test_anthropics_models_are_named_where_nothing_lists_them(replay: Replay) -> None:
    """Services with Anthropic's API often have no listing."""
    access = Access(endpoint="x", url=replay.url, models=("kimi-k2",))
    async with load("anthropic").open(access, clock=SystemClock()) as endpoint:
        assert [entry.name for entry in await endpoint.list_models()] == ["kimi-k2"]


@pytest.mark.parametrize("path", ["", "/v1beta", "/v1beta/models", "/v1beta/openai/"])
async def test_geminis_paths_are_understood(path: str, replay: Replay) -> None:
    """People paste the address of one request, or that for OpenAI clients."""
    replay.routes["GET", "/v1beta/models"] = reply(200, {"models": [{"name": "models/m"}]})
    async with opened("gemini", replay.url + path) as endpoint:
        assert [entry.name for entry in await endpoint.list_models()] == ["m"]


@pytest.mark.parametrize(("told", "chats"), KINDS)
async def test_the_kind_that_a_listing_declares_is_taken(
    told: dict[str, Any], chats: bool, replay: Replay
) -> None:
    """Before anything that a name suggests."""
    found = await described(replay, {"id": "acme-8b", **told})
    _, claims = infer(found["acme-8b"], "acme-8b")
    assert claims[Capability.CHAT].value is chats


# What a listing declares: a capability and whether it is there, or a fact and its value.
DECLARED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"supports_vision": True, "supports_tool_calling": True}, {"vision": True, "tools": True}),
    ({"supports_image_in": True, "supports_reasoning": True}, {"vision": True, "thinking": True}),
    ({"toolCalling": True, "maxInputTokens": 28672}, {"tools": True, "served_context_tokens": 28672}),
    ({"features": ["function-calling", "structured-outputs"]}, {"tools": True, "json_schema": True}),
    ({"features": ["json_schema", "tools", "strict_tools"]}, {"tools": True, "json_schema": True}),
    ({"supported_features": ["structured_outputs", "reasoning"]}, {"json_schema": True, "thinking": True}),
    ({"tool_call": False, "reasoning": True}, {"tools": False, "thinking": True}),
    ({"quantization": "fp8"}, {"quantization": "FP8"}),
    ({"quantization": "none"}, {"quantization": None}),
    ({"model_size_in_billions": 7}, {"parameters": 7_000_000_000}),
    ({"model_size_in_billions": "1_8"}, {"parameters": 1_800_000_000}),
    ({"model_size_in_billions": True}, {"parameters": None}),
    ({"context_window": {"context_length": 195_000}}, {"served_context_tokens": 195_000}),
    ({"context_window": {"context_window": [1]}}, {"served_context_tokens": None}),
    ({"limits": {"max_input_tokens": 1_048_576}}, {"served_context_tokens": 1_048_576}),
    ({"rayllm_metadata": {"max_request_context_length": 4096}}, {"served_context_tokens": 4096}),
    ({"supported_input_modalities": ["text", "image"]}, {"input_modalities": ("text", "image")}),
    ({"input_modalities": ["text", "image"]}, {"input_modalities": ("text", "image")}),
]


@pytest.mark.parametrize(("listed", "expected"), DECLARED)
async def test_what_a_listing_declares_is_taken(
    listed: dict[str, Any], expected: dict[str, Any], replay: Replay
) -> None:
    """Under whatever name, and in lists, objects and texts."""
    told = (await described(replay, {"id": "acme-8b", **listed}))["acme-8b"]
    able = {name: claim.value for name, claim in told.claims.items()}
    assert {name: able.get(name, told.facts.get(name)) for name in expected} == expected


@pytest.mark.parametrize(
    ("listed", "kind"),
    [
        ({"task": "chat-completion"}, "chat"),
        ({"task": "llm/v1/embeddings"}, "embedding"),
        ({"supported_output_modalities": ["embeddings"]}, "embedding"),
    ],
)
async def test_a_kind_has_many_words(listed: dict[str, Any], kind: str, replay: Replay) -> None:
    """Azure's catalogue, Databricks, GitHub's catalogue."""
    assert (await described(replay, {"id": "acme", **listed}))["acme"].kind == kind


@pytest.mark.parametrize(
    ("owned", "free"),
    [
        ({"owned_by": "lemonade", "checkpoint": "unsloth/Qwen3-0.6B-GGUF:Q4_0"}, True),
        ({"owned_by": "exo"}, True),
        ({"owned_by": "Triton Inference Server"}, True),
        ({"owned_by": "organization-owner", "rayllm_metadata": {}}, True),
        ({"owned_by": "organization-owner"}, False),
        ({"owned_by": "gpustack"}, False),
    ],
)
async def test_an_engine_is_known_by_its_listing(owned: dict[str, Any], free: bool, replay: Replay) -> None:
    """One that lists its own weights costs nothing; GPUStack may pass requests on."""
    told = (await described(replay, {"id": "m", **owned}))["m"]
    assert (told.facts["free"], told.origin) == (free, owned.get("checkpoint"))


OTHERS = (
    "whisper-large-v3",
    "tts-1-hd",
    "dall-e-3",
    "gpt-image-1",
    "sora-2",
    "omni-moderation-latest",
    "playai-tts",
    "FLUX.1-schnell",
    "stabilityai/stable-diffusion-xl-base-1.0",
    "llama-prompt-guard-2-86m",
    "Llama-Guard-3-8B",
    "gpt-4o-realtime-preview",
    "gpt-4o-transcribe",
    "kokoro",
    "bark",
    "parakeet-tdt-0.6b-v2",
    "voyage-3",
    "all-mpnet-base-v2",
    "Qwen/Qwen-Image",
    "cross-encoder/ms-marco-MiniLM-L-6-v2",
    "Wan-AI/Wan2.2-T2V-A14B",
    "musicgen-small",
    "imagen-4",
    "openai/*",
    "openrouter/auto",
    "veo-3.0-generate-001",
    "lyria-3-clip",
    "acestep-v15-turbo",
    "nano-banana-pro",
    "stable-audio-open-1.0",
    "faster-whisper-small",
    "whisperx",
    "OuteTTS-0.2",
    "CosyVoice2-0.5B",
    "SenseVoiceSmall",
    "nvidia/canary-qwen-2.5b",
    "Z-Image-Turbo",
    "PixArt-XL-2",
    "Lykon/dreamshaper-8",
    "tencent/Hunyuan3D-2",
    "facebook/sam2-hiera-large",
    "openai/gpt-oss-safeguard-20b",
    "Skywork-Reward-V2-Llama-3.1-8B",
    "Qwen2.5-Math-PRM-7B",
    "deepseek-ai/DeepSeek-OCR",
    "allenai/olmOCR-7B",
    "jinaai/jina-clip-v2",
    "FacebookAI/roberta-large-mnli",
    "google-bert/bert-base-uncased",
    "facebook/nllb-200-distilled-600M",
    "colbert-ir/colbertv2.0",
    "vidore/colqwen2-v1.0",
    "sentence-transformers/LaBSE",
    "moka-ai/m3e-base",
    "kyutai/moshika-pytorch-bf16",
    "GPT-SoVITS",
    "gemini-live-2.5-flash-preview",
    "Qwen/Qwen3-ForcedAligner-0.6B",
    "pyannote/speaker-diarization-3.1",
    "minimax/music-2.0",
    "doubao-seededit-3-0-i2i-250628",
    "gpt-4o-mini-audio-preview",
    "deepseek-ai/Janus-Pro-7B",
    "tencent/HunyuanImage-3.0",
    "sd_xl_base_1.0.safetensors",
    "step-1x-medium",
    "wan2.2-s2v",
    "viduq3-pro",
    "ibm-granite/granite-docling-258M",
    "bytedance/dolphin-1.5",
    "nvidia/nemotron-content-safety-reasoning-4b",
    "PolyGuard-Ministral",
    "infly/INF-ORM-Llama3.1-70B",
    "google/translategemma-4b-it",
    "qwen-mt-turbo",
    "time-series-foundation-models/Lag-Llama",
    "ibm-granite/granite-timeseries-ttm-r2",
    "allenai/MolmoAct-7B-D-0812",
    "lmsys/gpt-oss-120b-Eagle3",
    "mmproj-Qwen2.5-VL-7B.gguf",
    "Alibaba-NLP/gme-Qwen2-VL-7B-Instruct",
    "zeroentropy/zerank-2",
    "castorini/rank_zephyr_7b_v1_full",
    "amazon/chronos-bolt-base",
    "amazon/chronos-t5-small",
    "amazon/chronos-2",
    "Falconsai/nsfw_image_detection",
    "unitary/toxic-bert",
    "s-nlp/toxicity-classifier",
    "minimax-music-2.0",
    "google/musiclm",
    "@cf/deepgram/aura-1",
    "@cf/deepgram/nova-3",
    "cartesia/sonic",
    "@cf/leonardo/phoenix-1.0",
    "@cf/pipecat-ai/smart-turn-v2",
    "google/deplot",
)
CHATS = (
    "llama-3.3-70b-versatile",
    "openai/gpt-oss-120b",
    "Qwen/Qwen3-VL-8B-Instruct",
    "mistral-small-latest",
    "gemma-3-27b-it",
    "olive-7b",
    "influx-coder",
    "autodidact-7b",
    "qwen2-audio-7b-instruct",
    "robert-7b-chat",
    "charm-7b",
    "mistralai/Voxtral-Small-24B-2507",
    "prometheus-8x7b",
    "sambanova-llama-8b",
    "command-r-plus",
    "whisperer-rp-12b",
    "bark-llama-8b",
    "embedded-coder-7b",
    "router-llm-7b-instruct",
    "llava-next-video-7b",
    "qwen3-8b-live",
    "us.amazon.nova-2-lite-v1:0",
    "jondurbin/bagel-7b-v0.5",
    "steelskull/l3.3-electra-r1-70b",
    "universal-7b",
    "gemma-3-4b-it-mmproj",
    "llama-base",
    "TheBloke/Chronos-Hermes-13B-v2-GGUF",
    "elinas/Chronos-Gold-12B-1.0",
    "chronos-2-13b",
    "UnfilteredAI/NSFW-3B",
    "DavidAU/NSFW-Llama",
    "toxicqa-llama-3-8b",
    "Llama-3-Music",
    "Llama-3-Music-8B",
    "CEIA-UFG/Gemma-3-Gaia-PT-BR-4b-it",
    "gemma-2-9b-it-pt-br",
    "gemma-2-9b-pt-br",
    "OpenAssistant/oasst-sft-4-pythia-12b-epoch-3.5",
    "togethercomputer/Pythia-Chat-Base-7B",
    "togethercomputer/GPT-NeoXT-Chat-Base-20B",
    "pythia-2.8b-sft",
    "vicgalle/gpt2-alpaca",
    "acme/Qwen3-8B-Base-Instruct",
)


@pytest.mark.parametrize("name", OTHERS)
def test_a_name_of_another_kind_is_no_chat(name: str) -> None:
    """Speech, pictures, video, music, moderation, vectors, patterns."""
    _, claims = infer(Described(), name)
    assert claims[Capability.CHAT].value is False


@pytest.mark.parametrize("name", CHATS)
def test_a_name_that_only_sounds_like_one_chats(name: str) -> None:
    """A part of a word is not the word: nothing denies that such a model chats."""
    _, claims = infer(Described(usual_kind="chat"), name)
    assert claims[Capability.CHAT].value is True


THINKERS = """
    deepseek-r1:14b qwq:32b o4-mini gpt-oss:20b openai/gpt-oss-120b gpt-5 gpt-5-mini-2025-08-07 gpt-5-codex
    gemini-2.5-pro gemini-3-pro-preview grok-4-0709 grok-4-fast-reasoning MiniMaxAI/MiniMax-M1-80k
    seed-oss-36b zai-org/GLM-4.6 smollm3:3b EXAONE-Deep-7.8B qwen3:8b Qwen/Qwen3-30B-A3B qwen3-8b-q4_k_m.gguf
    microsoft/Phi-4-mini-reasoning qwen3:30b-a3b-thinking-2507 Qwen/Qwen3-235B-A22B-Thinking-2507
""".split()  # noqa: SIM905 - a line each would be a page
OTHERS_OF_THEIR_NAMES = """
    gpt-5-chat-latest gpt-5.1 gpt-4o gemini-2.5-flash grok-4-fast-non-reasoning qwen3-coder:30b
    Qwen/Qwen3-30B-A3B-Instruct-2507 qwen3-embedding:0.6b Qwen3-8B-Base qwen3-max minimax-text-01 glm-4-9b smollm2 phi-4
    qwen/qwen3-235b-a22b-2507 qwen3-30b-a3b-2507 Qwen3-8B-nothink qwen3-vl-plus glm-4.6-no-think smollm3-3b-nonthinking
""".split()  # noqa: SIM905


@pytest.mark.parametrize(("names", "thinks"), [(THINKERS, True), (OTHERS_OF_THEIR_NAMES, False)])
def test_names_say_who_thinks_unless_asked_not_to(names: Sequence[str], thinks: bool) -> None:
    """Their thoughts are waited for: a hybrid model thinks by default, its instruct and chat variants do not."""
    claims = {name: infer(Described(), name)[1].get(Capability.THINKING) for name in names}
    assert [name for name, claim in claims.items() if bool(claim and claim.value) is not thinks] == []


FAMILIES = (
    "gpt-4o",
    "chatgpt-4o-latest",
    "o4-mini",
    "claude-sonnet-4-5",
    "gemini-2.5-pro",
    "llama3.1:8b",
    "meta-llama/Llama-3.3-70B-Instruct",
    "Qwen/Qwen3-8B",
    "qwen3:0.6b",
    "mistral-large-2411",
    "mixtral-8x7b-32768",
    "deepseek-chat",
    "moonshotai/kimi-k2",
    "grok-4",
    "command-r-plus",
    "glm-4.6",
    "phi4",
    "SmolLM2-135M-Instruct.Q4_1.gguf",
    "acme-8b-instruct",
    "sonar-pro",
    "mistralai/Voxtral-Mini-3B-2507",
    "rwkv-7-world",
    "groq/compound",
    "stepfun-ai/step3",
    "ByteDance-Seed/UI-TARS-1.5-7B",
    "TheDrummer/Cydonia-24B-v4.1",
    "codex-mini-latest",
    "tencent/hy3:free",
    "poolside/laguna-xs.2",
    "nex-agi/nex-n2-mini",
    "cohere/north-mini-code",
    "Nanbeige4.2-3B-OptiQ-4bit",
    "sakana/fugu-ultra",
)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_name_of_a_family_is_evidence_enough(name: str) -> None:
    """As is a publisher's word for a model that was tuned to chat."""
    kind, claims = infer(Described(), name)
    assert (kind, claims[Capability.CHAT].value) == ("chat", True)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Qwen/Qwen3-8B-Base", "completion"),
        ("qwen2.5-coder:1.5b-base-q8_0", "completion"),
        ("google/gemma-3-4b-pt", "completion"),
        ("gemma3:4b-pt-q4_0", "completion"),
        ("unsloth/Qwen3-8B-Base-unsloth-bnb-4bit", "completion"),
        ("Mistral-Small-24B-Base-2501-GGUF", "completion"),
        ("zai-org/chatglm3-6b-base", "completion"),
        ("EleutherAI/pythia-2.8b-deduped", "completion"),
        ("chat-lab/gpt2", "completion"),
        ("llama3.1:8b-text-q4_0", "completion"),
        ("facebook/opt-125m", "completion"),
        ("gpt-3.5-turbo-instruct", "completion"),
        ("bigcode/starcoder2-15b", "completion"),
        ("bigcode/starcoder2-15b-instruct-v0.1", "chat"),
        ("nvidia/nvclip", "embedding"),
        ("togethercomputer/m2-bert-80M-8k-retrieval", "embedding"),
        ("McGill-NLP/LLM2Vec-Mistral-7B-Instruct-v2-mntp", "embedding"),
        ("Salesforce/Llama-Rank-v1", "rerank"),
        ("cross-encoder/mmarco-mMiniLMv2-L12-H384-v1", "rerank"),
    ],
)
def test_a_name_says_which_kind_of_request_a_model_takes(name: str, expected: str) -> None:
    """Also on an engine for text, whose own word is that of all its models."""
    assert {infer(Described(usual_kind=usual), name)[0] for usual in ("chat", "unknown")} == {expected}


@pytest.mark.parametrize(
    ("name", "sees", "thinks"),
    [
        ("glm-4.6v-flash", True, None),
        ("smolvlm2-2.2b-instruct", True, None),
        ("OpenGVLab/InternVL3-8B", True, None),
        ("qvq-72b-preview", True, True),
        ("phi-4-reasoning-plus", None, True),
        ("grok-4-1-fast-non-reasoning", None, None),
        ("qwen3-4b-no-think", None, None),
    ],
)
def test_a_name_says_what_a_model_can(name: str, sees: bool | None, thinks: bool | None) -> None:
    claims = infer(Described(), name)[1]
    found = tuple(
        claims[what].value if what in claims else None for what in (Capability.VISION, Capability.THINKING)
    )
    assert found == (sees, thinks)


@pytest.mark.parametrize("name", ["acme-voice-9", "zorblax-3", "default", "my-model", "itinerary", "gpts"])
@pytest.mark.fault(
    "a server lists a model, and nothing shows whether it chats",
    "I10",
    without=("vedette_discoverer.capabilities:_chats_by_name", lambda _: True),
)
def test_a_model_of_which_nothing_tells_its_kind_is_unknown(name: str) -> None:
    """It is claimed to have no ability, and to lack none."""
    kind, claims = infer(Described(), name)
    assert (kind, claims) == ("unknown", {})


def test_what_a_server_runs_counts_where_no_name_tells() -> None:
    """An engine for text: its aliases chat. A name still says that a model does something else."""
    engine = Described(usual_kind="chat")
    assert infer(engine, "default")[0] == "chat"
    assert infer(engine, "whisper-large-v3")[0] == "unknown"
    assert infer(engine, "nomic-embed-text")[0] == "embedding"
    assert infer(Described(usual_kind="embedding"), "mine")[0] == "embedding"


def test_the_name_of_the_weights_behind_an_alias_counts() -> None:
    """The folders of a path do not: they are the operator's."""
    assert infer(Described(origin="Qwen/Qwen3-8B"), "fast")[0] == "chat"
    assert infer(Described(origin="BAAI/bge-m3"), "fast")[0] == "embedding"
    kind, claims = infer(Described(usual_kind="chat", origin="openai/whisper-large-v3"), "fast")
    assert (kind, claims[Capability.CHAT].value) == ("unknown", False)
    assert infer(Described(origin="/srv/whisper/smollm2-135m.gguf"), "fast")[0] == "chat"


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("http://127.0.0.1:1", True),
        ("http://[::1]:1", True),
        ("http://10.0.0.7:1", True),
        ("http://100.77.243.5:8000", True),
        ("http://[fd7a:115c:a1e0::1]:8000", True),
        ("http://gpu.tail1234.ts.net:8000", True),
        ("http://gpu.home.arpa:8000", True),
        ("http://ollama.ai.svc.cluster.local", True),
        ("http://gpu-box", True),
        ("http://localhost.:1", True),
        ("https://llm.example.com", False),
        ("http://8.8.8.8:1", False),
        ("http://[::ffff:8.8.8.8]:1", False),
        ("http://127.1:1", True),
        ("http://0x7f000001:1", True),
        ("http://134744072", False),
        ("http://8.8", False),
        ("http://[::ffff:100.64.0.1]:1", True),
        ("http://[fe80::1%25eth0]:1", True),
        ("http://100.128.0.1", False),
        ("http://172.32.0.1", False),
        ("http://host.docker.internal:11434", True),
        ("http://box.localdomain", True),
        ("http://MAC.LOCAL.", True),
        ("http://192.168.1.2.nip.io", False),
        ("http://evil-ts.net", False),
    ],
)
def test_a_place_is_told_by_its_address(url: str, ours: bool) -> None:
    """Loopback, private networks, tailnets, names that only such networks know."""
    assert is_ours(url) is ours


ENGINES = {
    "openai-compatible": {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 4096}]},
    "ollama": {"models": [{"name": "m"}]},
}


@pytest.mark.parametrize("provider", ENGINES)
@pytest.mark.parametrize("leads_to", ["127.0.0.1", "8.8.8.8"])
@pytest.mark.fault("a hosted service that lists as an engine of one's own does", "I8", "I10")
async def test_a_public_name_is_remote(
    provider: str, leads_to: str, replay: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it lists, and though somebody else's name leads to loopback: no prompt is said to stay at home."""
    replay.otherwise = reply(200, ENGINES[provider])
    port = replay.url.rpartition(":")[2]
    loop = asyncio.get_running_loop()
    real = loop.getaddrinfo

    async def resolved(host: Any, *rest: Any, **more: Any) -> Any:
        # The look-up before a connection is made has a port; the other only asks where the name leads.
        place = leads_to if rest == (None,) else "127.0.0.1"
        return await real(place if host == "llm.example.com" else host, *rest, **more)

    monkeypatch.setattr(loop, "getaddrinfo", resolved)
    async with opened(provider, f"http://llm.example.com:{port}") as endpoint:
        (entry,) = await endpoint.list_models()
        told = await endpoint.describe(entry)
        assert not endpoint.features.free_to_ask
    assert told.locality == "remote"


async def test_a_public_name_that_leads_home_is_local(
    replay: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A company's own names look like anybody's; where they lead to a private network they are its own."""
    replay.otherwise = reply(200, ENGINES["openai-compatible"])
    port = replay.url.rpartition(":")[2]
    loop = asyncio.get_running_loop()
    real = loop.getaddrinfo

    async def resolved(host: Any, *rest: Any, **more: Any) -> Any:
        place = "10.1.2.3" if rest == (None,) else "127.0.0.1"
        return await real(place if host == "gpu.corp.example.com" else host, *rest, **more)

    monkeypatch.setattr(loop, "getaddrinfo", resolved)
    async with opened("openai-compatible", f"http://gpu.corp.example.com:{port}") as endpoint:
        assert endpoint.features.free_to_ask


@pytest.mark.parametrize("configured", ["local", "remote"])
async def test_the_configuration_says_where_a_server_is(configured: Any, replay: Replay) -> None:
    """Before its address does."""
    replay.otherwise = reply(200, ENGINES["openai-compatible"])
    access = msgspec.structs.replace(Access(endpoint="x", url=replay.url), locality=configured)
    async with load("openai-compatible").open(access, clock=SystemClock()) as endpoint:
        (entry,) = await endpoint.list_models()
        assert (await endpoint.describe(entry)).locality == configured
        assert endpoint.features.free_to_ask is (configured == "local")


def test_names_of_one_machine_are_one_host_group() -> None:
    """Its processor is one."""
    hosts = (
        "localhost",
        "LOCALHOST",
        "localhost.",
        "127.0.0.1",
        "127.0.0.5",
        "[::1]",
        "app.localhost",
        "0.0.0.0",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[0:0:0:0:0:0:0:1]",
    )
    assert {EndpointSettings(url=f"http://{host}:1").group for host in hosts} == {"localhost"}
    assert EndpointSettings(url="http://gpu:1").group == "gpu"


async def test_a_status_in_words_is_no_sign_of_llama_cpp(replay: Replay) -> None:
    """Azure OpenAI and gateways tell one of each model."""
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m", "status": "succeeded"}]})
    async with opened("openai-compatible", replay.url) as endpoint:
        await endpoint.list_models()
        assert await endpoint.resident() is None
        assert (await endpoint.describe(Listing(name="m"))).locality != "local"


async def test_what_is_loaded_is_asked_each_time(replay: Replay) -> None:
    """llama.cpp's router tells it in its listing, llama-swap at a place of its own."""

    def listing(status: str) -> Any:
        return reply(200, {"data": [{"id": "m", "status": {"value": status}}]})

    replay.routes["GET", "/v1/models"] = listing("unloaded")
    async with opened("openai-compatible", replay.url) as endpoint:
        await endpoint.list_models()
        for status in ("loaded", "unloaded"):
            replay.routes["GET", "/v1/models"] = listing(status)
            assert ((await endpoint.resident()) or {})["m"].resident is (status == "loaded")


_DEFAULT_TEMPLATE = (
    "{%- for message in messages -%}\n  {{- '<|im_start|>' + message.role + '\n' + message.content"
    " + '<|im_end|>\n' -}}\n{%- endfor -%}\n{%- if add_generation_prompt -%}\n  {{- '<|im_start|>assistant\n' -}}"
    "\n{%- endif -%}"
)


@pytest.mark.parametrize(
    ("name", "vocab_type", "kind"),
    [
        ("all-minilm-l6:f32", 3, "embedding"),
        ("our-own", 3, "embedding"),  # BERT's vocabulary
        ("bge-m3", 4, "embedding"),  # T5's, which generative models have too: its name tells
        ("qwen3-reranker-0.6b", 2, "rerank"),
        ("stories15m", 1, "completion"),
    ],
)
async def test_llama_cpp_shows_its_default_template_for_models_that_embed_too(
    replay: Replay, name: str, vocab_type: int, kind: str
) -> None:
    """Recorded: all-MiniLM-L6-v2 on xllamacpp 2026.10, whose listing says `completion`."""
    replay.routes["GET", "/props"] = reply(200, {"chat_template": _DEFAULT_TEMPLATE})
    entry = {"id": name, "owned_by": "llamacpp", "meta": {"vocab_type": vocab_type, "n_embd": 384}}
    found = (await described(replay, entry))[name]
    told, claims = infer(found, name)
    assert told == kind
    assert claims[Capability.CHAT].value is False
    assert (claim := claims.get(Capability.EMBEDDING)) is not None
    assert claim.value is (kind == "embedding")


async def test_weights_without_a_template_are_for_completion(replay: Replay) -> None:
    """llama.cpp shows its own default template then (recorded: stories15M on xllamacpp 2026.10)."""
    template = _DEFAULT_TEMPLATE
    replay.routes["GET", "/props"] = reply(200, {"chat_template": template})
    found = (await described(replay, {"id": "stories", "owned_by": "llamacpp"}))["stories"]
    kind, claims = infer(found, "stories")
    assert kind == "completion"
    assert claims[Capability.CHAT].value is False
    replay.routes["GET", "/props"] = reply(200, {"chat_template": template.replace("im_start", "turn")})
    found = (await described(replay, {"id": "stories", "owned_by": "llamacpp"}))["stories"]
    assert infer(found, "stories")[0] == "chat"


async def test_a_state_of_a_wrong_type_is_no_state(replay: Replay) -> None:
    """A model is not held by it, and nothing fails."""
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "a", "owned_by": "llama-swap"}]})
    states: list[Any] = [["ready"], {"value": "ready"}, 7, None]
    replay.routes["GET", "/running"] = reply(
        200, {"running": [{"model": "a", "state": one} for one in states]}
    )
    async with opened("openai-compatible", replay.url) as endpoint:
        await endpoint.list_models()
        assert {name: one.resident for name, one in (await endpoint.resident() or {}).items()} == {"a": False}


async def test_llama_swap_tells_what_runs(replay: Replay) -> None:
    """Recorded: commit 0bdb372."""
    entries = [{"id": name, "owned_by": "llama-swap", "status": {"value": "unloaded"}} for name in ("a", "b")]
    replay.routes["GET", "/v1/models"] = reply(200, {"data": entries})
    replay.routes["GET", "/running"] = reply(200, {"running": [{"model": "b", "state": "ready", "ttl": 60}]})
    async with opened("openai-compatible", replay.url) as endpoint:
        held = await endpoint.resident()
    assert held is not None
    assert {name: one.resident for name, one in held.items()} == {"a": False, "b": True}


MOMENTS = [
    ("2026-11-30T10:00:00", datetime(2026, 11, 30, 10, tzinfo=UTC)),
    ("2026-11-30 10:00:00 UTC", datetime(2026, 11, 30, 10, tzinfo=UTC)),
    ("2026-11-30t10:00:00z", datetime(2026, 11, 30, 10, tzinfo=UTC)),
    ("2026-11-30T10:00:00.123456789-08:00", datetime(2026, 11, 30, 18, 0, 0, 123456, tzinfo=UTC)),
    ("0001-01-01T00:00:00Z", None),
    ("9999-12-31T23:59:59-05:00", None),
    ("never", None),
]


@pytest.mark.parametrize(("told", "at"), MOMENTS)
@pytest.mark.fault("a server writes times in its own way", "I10")
def test_a_time_does_not_depend_on_the_zone_of_this_machine(
    told: str, at: datetime | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a zone it is UTC; the year 1 means that none is set."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert moment(told) == at
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.fault("a server's clock is an hour behind", "I10")
async def test_what_is_loaded_is_read_by_the_servers_clock(replay: Replay) -> None:
    """Its `Date` says how far it is off."""
    behind = datetime.now(UTC) - timedelta(hours=1)
    body = {"models": [{"name": "m", "expires_at": (behind + timedelta(minutes=4)).isoformat()}]}
    replay.routes["GET", "/api/ps"] = reply(200, body, Date=behind.strftime("%a, %d %b %Y %H:%M:%S GMT"))
    async with opened("ollama", replay.url) as endpoint:
        held = await endpoint.resident()
    assert held is not None
    assert held["m"].is_resident(datetime.now(UTC))


@pytest.mark.fault("a request takes longer than a model stays loaded", "I13")
async def test_a_model_whose_end_has_passed_is_in_use(replay: Replay) -> None:
    """Ollama tells the end of the request before; one that has just passed is an end."""
    now = datetime.now(UTC)
    ends = {"busy": now - timedelta(minutes=2), "ending": now - timedelta(seconds=1)}
    body = {"models": [{"name": name, "expires_at": end.isoformat()} for name, end in ends.items()]}
    replay.routes["GET", "/api/ps"] = reply(200, body)
    async with opened("ollama", replay.url) as endpoint:
        held = await endpoint.resident()
    assert held is not None
    assert [name for name, one in held.items() if one.is_resident(datetime.now(UTC))] == ["busy"]
    assert not held["busy"].is_pinned(
        datetime.now(UTC)
    )  # it goes after its request: another may have its place then


@asynccontextmanager
async def closing(body: bytes) -> AsyncIterator[tuple[str, list[asyncio.Task[None] | None]]]:
    """Run a server that answers the first request of a connection with *body*, and closes under the second."""
    handlers: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.current_task())
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            await writer.drain()
            await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", handlers
        await asyncio.gather(*filter(None, handlers))


@pytest.mark.fault("a server closes an idle connection under a request", "I10")
async def test_a_connection_that_was_closed_meanwhile_is_made_again() -> None:
    """A listing can be asked for again; it is no failure of the server."""
    async with (
        closing(b'{"data": [{"id": "m"}]}') as (url, handlers),
        opened("openai-compatible", url) as endpoint,
    ):
        for _ in range(3):
            assert len(await endpoint.list_models()) == 1
    assert len(handlers) == 3


@pytest.mark.fault(
    "a server closes an idle connection under a generation",
    "I10",
    without=("vedette.providers._http:_RACE_S", 0.0),
)
async def test_a_closed_connection_is_no_failure_of_the_model() -> None:
    """The call is made on a new connection: the server had not begun to answer."""
    body = b'{"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]}'
    request = Generation(model="m", prompt="hello", max_tokens=8, chat=True, deadline_s=60.0)
    async with closing(body) as (url, handlers), opened("openai-compatible", url, models=("m",)) as endpoint:
        for _ in range(3):
            assert [item async for item in endpoint.generate(request)]
    assert len(handlers) >= 3


@pytest.mark.fault("a user's model is being loaded between two questions of an evaluation", "I13")
async def test_a_model_that_is_being_loaded_pushes_out_the_one_before(replay: Replay) -> None:
    """llama-swap 0bdb372 says `stopping` and `starting` for seconds: to ask the old one then would swap back."""
    listed = [{"id": name, "owned_by": "llama-swap"} for name in ("ours", "theirs")]
    replay.routes["GET", "/v1/models"] = reply(200, {"data": listed})
    states = [{"model": "ours", "state": "stopping"}, {"model": "theirs", "state": "starting"}]
    replay.routes["GET", "/running"] = reply(200, {"running": states})
    async with opened("openai-compatible", replay.url) as endpoint:
        loaded = await endpoint.resident() or {}
        assert await endpoint.activity() is None
    assert not [one.path for one in replay.requests if "upstream" in one.path]  # it would wait, and swap back
    assert {name: one.resident for name, one in loaded.items()} == {"ours": False, "theirs": True}


async def test_llama_swap_records_the_last_use_of_each_model(replay: Replay) -> None:
    """Its record has the latest requests first (`/api/metrics/activity`, llama-swap 0bdb372); older ones have none."""
    listed = [{"id": name, "owned_by": "llama-swap"} for name in ("ours", "theirs")]
    replay.routes["GET", "/v1/models"] = reply(200, {"data": listed})
    replay.routes["GET", "/running"] = reply(200, {"running": [{"model": "ours", "state": "ready"}]})
    async with opened("openai-compatible", replay.url) as endpoint:
        await endpoint.list_models()
        assert await endpoint.activity() is None
    rows = [("ours", "19:20:05"), ("theirs", "19:20:02.5"), ("ours", "19:20:00")]
    data = [{"id": 1, "model": name, "timestamp": f"2026-11-30T{at}Z"} for name, at in rows]
    replay.routes["GET", "/api/metrics/activity"] = reply(200, {"data": data, "total": 3})
    async with opened("openai-compatible", replay.url) as endpoint:
        await endpoint.list_models()
        seen = await endpoint.activity()
    assert seen
    assert seen.used == {"ours": "2026-11-30T19:20:05+00:00", "theirs": "2026-11-30T19:20:02.500000+00:00"}


@pytest.mark.fault("a router loads a user's model between two questions of an evaluation", "I13")
async def test_a_routers_model_that_is_being_loaded_pushes_out_the_one_before(replay: Replay) -> None:
    """llama.cpp's router says `loading` for the one and `unloaded` for the other."""
    states = {"ours": "unloaded", "theirs": "loading"}
    listed = [{"id": name, "status": {"value": value}} for name, value in states.items()]
    replay.routes["GET", "/v1/models"] = reply(200, {"data": listed})
    async with opened("openai-compatible", replay.url) as endpoint:
        loaded = await endpoint.resident() or {}
    assert {name: one.resident for name, one in loaded.items()} == {"ours": False, "theirs": True}
