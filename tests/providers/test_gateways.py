"""Whether calls of a listed model are known to cost nothing: engines, gateways, and what LiteLLM tells."""

import json
from contextlib import suppress
from typing import Any

import pytest

from providers.conftest import opened
from providers.replay import FIXTURES, Replay, reply
from vedette.errors import ProviderError
from vedette.providers import Described
from vedette.types import Capability, Price


async def described(replay: Replay, *entries: dict[str, Any], **headers: str) -> dict[str, Described]:
    """Return what is told of each model of a listing at an address of one's own."""
    replay.routes["GET", "/v1/models"] = reply(200, {"object": "list", "data": list(entries)}, **headers)
    async with opened("openai-compatible", replay.url) as endpoint:
        return {one.name: await endpoint.describe(one) for one in await endpoint.list_models()}


ENGINES = {
    "llama.cpp": {"owned_by": "llamacpp"},
    "llama.cpp's router": {"owned_by": "llamacpp", "status": {"value": "unloaded"}},
    "llama-swap": {"owned_by": "llama-swap", "meta": {"llamaswap": {"type": "model"}}},
    "vLLM": {"owned_by": "vllm", "max_model_len": 4096},
    "SGLang": {"owned_by": "sglang", "max_model_len": 4096},
    "LM Studio": {"owned_by": "organization_owner"},
    "Text Generation Inference": {"owned_by": "m"},
    "Ollama": {"owned_by": "library"},
    "llama-cpp-python": {"owned_by": "me"},
    "KoboldCpp": {"owned_by": "koboldcpp"},
    "TabbyAPI": {"owned_by": "tabbyAPI"},
    "LMDeploy": {"owned_by": "lmdeploy"},
    "TensorRT-LLM": {"owned_by": "tensorrt_llm"},
    "MLC-LLM": {"owned_by": "MLC-LLM"},
    "OpenVINO": {"owned_by": "OVMS"},
    "Docker Model Runner": {"owned_by": "docker"},
    "Lemonade": {"owned_by": "lemonade", "recipe": "llamacpp"},
    "oMLX": {"owned_by": "omlx", "max_model_len": 4096},
    "vllm-mlx": {"owned_by": "vllm-mlx"},
    "Aphrodite": {"owned_by": "aphrodite", "max_model_len": 4096},
    "infinity": {"owned_by": "infinity"},
    "Xinference": {"owned_by": "xinference"},
}


@pytest.mark.parametrize("engine", ENGINES)
async def test_an_engine_that_lists_its_own_weights_costs_nothing(engine: str, replay: Replay) -> None:
    """At an address of one's own."""
    told = await described(replay, {"id": "m", "object": "model", **ENGINES[engine]})
    assert told["m"].facts["free"] is True, told["m"].sources["free"]
    assert "passed_on" not in told["m"].facts


GATEWAYS: dict[str, tuple[list[dict[str, Any]], dict[str, str]]] = {
    "nothing tells which server it is": ([{"id": "m"}], {}),
    "an owner nobody knows": ([{"id": "m", "owned_by": "acme"}], {}),
    "a service owns a model": ([{"id": "m", "owned_by": "vllm"}, {"id": "n", "owned_by": "anthropic"}], {}),
    "a service's model by its name": ([{"id": "gpt-4o", "owned_by": "vllm", "max_model_len": 9}], {}),
    "a service's model behind a prefix": ([{"id": "anthropic/claude-3-5-haiku", "owned_by": "vllm"}], {}),
    "Gemini among engines": ([{"id": "m", "owned_by": "vllm"}, {"id": "gemini-2.5-pro"}], {}),
    "Olla's owner": ([{"id": "m", "owned_by": "olla"}], {}),
    "Olla's header": ([{"id": "m", "owned_by": "vllm"}], {"X_Olla_Endpoint": "gpu"}),
    "one-api's header": ([{"id": "m", "owned_by": "vllm"}], {"X_Oneapi_Request_Id": "1"}),
    "LiteLLM's header": ([{"id": "m", "owned_by": "vllm"}], {"x_litellm_version": "1.80"}),
    "Portkey's header": ([{"id": "m", "owned_by": "vllm"}], {"x_portkey_trace_id": "1"}),
    "new-api's field": ([{"id": "m", "owned_by": "vllm", "supported_endpoint_types": ["openai"]}], {}),
    "Open WebUI's field": ([{"id": "m", "owned_by": "ollama", "urlIdx": 0}], {}),
    "a peer of llama-swap": (
        [{"id": "m", "owned_by": "llama-swap", "meta": {"llamaswap": {"peerID": "openrouter"}}}],
        {},
    ),
    "Ollama's cloud": ([{"id": "gpt-oss:120b-cloud", "owned_by": "library"}], {}),
    "Lemonade's cloud": ([{"id": "fireworks.kimi-k2", "owned_by": "lemonade", "recipe": "cloud"}], {}),
}


@pytest.mark.parametrize("case", GATEWAYS)
async def test_a_gateway_or_an_unknown_server_may_cost(case: str, replay: Replay) -> None:
    """Whatever its address; why is said."""
    entries, headers = GATEWAYS[case]
    for told in (await described(replay, *entries, **headers)).values():
        assert told.facts["free"] is False
        assert told.sources["free"]


@pytest.mark.fault(
    "a gateway at an address of one's own lists what an engine would, and passes calls on to a paid service",
    "I5",
    without=("vedette.providers._openai_listing:gateway", lambda *_: None),
)
async def test_a_gateway_is_known_by_its_headers(replay: Replay) -> None:
    """The marks of an engine beside them prove nothing."""
    told = await described(replay, {"id": "m", "owned_by": "vllm"}, X_Olla_Endpoint="gpu")
    assert told["m"].facts["free"] is False
    assert "Olla" in told["m"].sources["free"]


def swapped(name: str, kind: str, **more: Any) -> dict[str, Any]:
    """Return an entry of llama-swap's listing (source code, August 2026)."""
    return {"id": name, "owned_by": "llama-swap", "meta": {"llamaswap": {"type": kind, **more}}}


async def test_what_a_server_marks_as_passed_on_says_nothing_of_its_own_models(replay: Replay) -> None:
    """The names of a service among them, too. Where calls end is not here, or not known."""
    told = await described(
        replay,
        {"id": "Qwen3-8B-GGUF", "owned_by": "lemonade", "recipe": "llamacpp"},
        {"id": "openai.gpt-5", "owned_by": "lemonade", "recipe": "cloud", "cloud_provider": "openai"},
    )
    assert {name: (one.facts["free"], one.locality) for name, one in told.items()} == {
        "Qwen3-8B-GGUF": (True, "local"),
        "openai.gpt-5": (False, "remote"),
    }
    assert told["openai.gpt-5"].facts["passed_on"] == "Lemonade passes calls on to openai"
    assert "passed_on" not in told["Qwen3-8B-GGUF"].facts


async def test_a_selector_of_llama_swap_is_as_dear_as_the_peer_that_it_may_choose(replay: Replay) -> None:
    """Its targets are listed, those of a profile are not. Without a peer, neither leads out."""
    own = [
        swapped("small", "model", aliases=["quick"]),
        swapped("warm", "selector", targets=["quick", "small"]),
        swapped("pinned", "profile"),
    ]
    told = await described(replay, *own)
    assert all(one.facts["free"] and one.locality == "local" for one in told.values())
    spills = swapped("spills", "selector", targets=["small", "far/gpt-5"])
    told = await described(replay, *own, spills, swapped("far/gpt-5", "peer", peerID="far"))
    assert {name: one.facts["free"] for name, one in told.items()} == {
        "small": True,
        "warm": True,
        "pinned": False,
        "spills": False,
        "far/gpt-5": False,
    }
    assert told["spills"].locality == told["far/gpt-5"].locality == "unknown"


async def test_open_weights_with_a_vendors_name_are_no_service(replay: Replay) -> None:
    """gpt-oss runs anywhere."""
    told = await described(replay, {"id": "openai/gpt-oss-20b", "owned_by": "vllm"}, Server="uvicorn")
    assert told["openai/gpt-oss-20b"].facts["free"] is True


async def test_the_configuration_says_which_engine_it_is(replay: Replay) -> None:
    """LocalAI and MLX list nothing that tells them apart."""
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m"}]})
    for flavour, free in (("localai", True), ("mlx", True), ("generic", False), ("litellm", False)):
        async with opened("openai-compatible", replay.url, flavour=flavour) as endpoint:
            (entry,) = await endpoint.list_models()
            assert (await endpoint.describe(entry)).facts["free"] is free


BY_REPLY = {
    "text-generation-webui": ("user", "/v1/internal/model/info", {"model_name": "m", "loader": "llama.cpp"}),
    "dynamo": ("nvidia", "/health", {"status": "healthy", "instances": [{"endpoint": "generate"}]}),
}


@pytest.mark.parametrize("product", BY_REPLY)
async def test_an_engine_whose_owner_others_list_too_is_known_by_its_reply(
    product: str, replay: Replay
) -> None:
    """Without the reply, or with another, it may be a gateway."""
    owner, path, body = BY_REPLY[product]
    replay.routes["GET", path] = reply(200, body)
    told = (await described(replay, {"id": "m", "owned_by": owner}))["m"]
    assert (told.usual_kind, told.facts["free"], told.locality) == ("chat", True, "local")
    async with opened("openai-compatible", replay.url) as endpoint:
        await endpoint.list_models()
        assert {name: one.resident for name, one in (await endpoint.resident() or {}).items()} == {"m": True}
    for other in (reply(404), reply(200, {"status": "healthy"}), reply(200, [])):
        replay.routes["GET", path] = other
        told = (await described(replay, {"id": "m", "owned_by": owner}))["m"]
        assert (told.usual_kind, told.facts["free"], told.locality) == ("unknown", False, "unknown")


@pytest.mark.parametrize("product", [*BY_REPLY, "omlx"])
@pytest.mark.parametrize("status", [500, 503])
async def test_an_engine_that_fails_for_a_moment_stays_known(
    product: str, status: int, replay: Replay
) -> None:
    """Its models would change, and change back. A server without the path is another."""
    status_of_omlx = {"models": [{"id": "m", "loaded": True, "model_type": "embedding"}]}
    owner, path, body = {**BY_REPLY, "omlx": ("omlx", "/v1/models/status", status_of_omlx)}[product]
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m", "owned_by": owner}]})
    replay.routes["GET", path] = reply(200, body)
    async with opened("openai-compatible", replay.url) as endpoint:
        (entry,) = await endpoint.list_models()
        known = await endpoint.describe(entry)
        replay.routes["GET", path] = reply(status)
        for _ in range(2):
            await endpoint.list_models()
            with suppress(ProviderError):
                await endpoint.resident()
            assert await endpoint.describe(entry) == known
        replay.routes["GET", path] = reply(404)
        await endpoint.list_models()
        assert await endpoint.describe(entry) != known


async def test_elsewhere_nothing_is_said_of_engines(replay: Replay) -> None:
    """A public host with an engine's marks may charge: what counts is the address."""
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m", "owned_by": "vllm"}]})
    async with opened("openai-compatible", replay.url, locality="remote") as endpoint:
        (entry,) = await endpoint.list_models()
        assert "free" not in (await endpoint.describe(entry)).facts


def recorded(name: str) -> Any:
    """Return a recorded reply of LiteLLM's."""
    return json.loads((FIXTURES / "litellm" / "1.108.7" / f"{name}.json").read_text())


async def litellm(replay: Replay) -> dict[str, Described]:
    """Return what is told of each model of the recorded proxy."""
    replay.routes["GET", "/v1/models"] = reply(200, recorded("models"))
    replay.routes["GET", "/model/info"] = reply(200, recorded("model-info"))
    async with opened("openai-compatible", replay.url) as endpoint:
        listed = await endpoint.list_models()
        assert (await endpoint.reach()).product == "litellm"
        return {one.name: await endpoint.describe(one) for one in listed}


async def test_litellm_is_known_by_its_model_info_and_tells_prices(replay: Replay) -> None:
    """Recorded. Its listing alone looks like OpenAI's. Nothing but listings is asked, above all not `/health`."""
    told = await litellm(replay)
    assert told["gpt-4o"].price == Price(
        input_usd_per_mtok=2.5, output_usd_per_mtok=10.0, source="LiteLLM /model/info"
    )
    assert {name for name, one in told.items() if one.facts["free"]} == {"zero"}
    assert told["zero"].price is not None
    assert {(one.method, one.path) for one in replay.requests} == {
        ("GET", "/v1/models"),
        ("GET", "/model/info"),
    }


async def test_litellm_tells_the_real_model_behind_a_name(replay: Replay) -> None:
    """A famous name in front of a small model; of a group whose deployments differ, no one model is behind it."""
    told = await litellm(replay)
    assert told["gpt-4o"].origin == "smollm2:135m"
    assert told["claude-paid"].origin == "claude-3-5-sonnet-20241022"
    assert told["fast"].origin is None
    assert told["gpt-4o"].facts["served_context_tokens"] == 2048
    assert "served_context_tokens" not in told["fast"].facts
    assert told["gpt-4o"].kind == "chat"
    assert told["gpt-4o"].claims[Capability.CHAT].value


async def test_where_litellm_calls_end_is_told(replay: Replay) -> None:
    """A model behind it is local only where every deployment is at an address of one's own."""
    told = await litellm(replay)
    assert told["fast"].locality == "local"
    assert told["claude-paid"].locality == "remote"


async def test_names_of_a_wildcard_are_no_models_unless_they_are_named(replay: Replay) -> None:
    """LiteLLM makes 211 of one `openai/*`; none of them need exist."""
    assert not [name for name in await litellm(replay) if name.startswith("wild/")]
    async with opened("openai-compatible", replay.url, models=("wild/gpt-4o",)) as endpoint:
        assert "wild/gpt-4o" in {one.name for one in await endpoint.list_models()}


@pytest.mark.parametrize(
    "answer", [reply(404), reply(403, {"error": "no"}), reply(500), reply(200, "<html>")]
)
async def test_a_server_without_model_info_stays_unknown(answer: Any, replay: Replay) -> None:
    """Whatever it says to being asked."""
    replay.routes["GET", "/model/info"] = answer
    told = await described(replay, {"id": "m", "owned_by": "openai"})
    assert told["m"].facts["free"] is False


@pytest.mark.parametrize(
    ("info", "free"),
    [
        ({"input_cost_per_token": 0, "output_cost_per_token": 0}, True),
        ({"input_cost_per_token": 0, "output_cost_per_token": 0, "input_cost_per_query": 0.002}, False),
        ({"input_cost_per_token": "0", "output_cost_per_token": "0.0"}, True),
        ({"input_cost_per_token": 0, "output_cost_per_token": 0, "input_cost_per_second": "1e-3"}, False),
        ({"input_cost_per_token": 0, "output_cost_per_token": 0, "cost_per_query": {"low": 0.01}}, False),
        ({"input_cost_per_token": "1e-6", "output_cost_per_token": "2e-6"}, False),
        ({"input_cost_per_token": 0}, False),
        ({"input_cost_per_token": None, "output_cost_per_token": None}, False),
        ({}, False),
    ],
)
async def test_only_a_price_of_zero_for_everything_is_nothing(
    info: dict[str, Any], free: bool, replay: Replay
) -> None:
    """Rerankers cost by the query."""
    deployment = {"model_name": "m", "litellm_params": {"model": "cohere/m"}, "model_info": info}
    replay.routes["GET", "/model/info"] = reply(200, {"data": [deployment]})
    told = await described(replay, {"id": "m", "owned_by": "openai"})
    assert told["m"].facts["free"] is free


async def test_litellm_tells_the_server_behind_a_name(replay: Replay) -> None:
    """Where all its deployments have the same."""
    told = {name: one.facts.get("behind") for name, one in (await litellm(replay)).items()}
    bases = {
        one["litellm_params"].get("api_base")
        for one in recorded("model-info")["data"]
        if one["model_name"] in told
    }
    assert set(told.values()) <= bases
    assert any(told.values())


async def test_every_name_of_litellm_is_passed_on(replay: Replay) -> None:
    """Also where its calls cost nothing: a listed name does not show that anything answers for it."""
    assert {one.facts["passed_on"] for one in (await litellm(replay)).values()} == {
        "LiteLLM passes requests on"
    }
