"""One contract, kept by every registered provider, over what servers have said, or are described to say."""

from collections.abc import Callable
from contextlib import aclosing

import pytest
from msgspec import Struct

from providers import written
from providers.conftest import opened
from providers.replay import Replay, recorded_stream, reply
from vedette import providers
from vedette.errors import ProviderError
from vedette.providers import Delta, Finished, Generation, Listing
from vedette.types import Claim, Outcome
from vedette_discoverer.capabilities import infer


class Case(Struct, frozen=True, kw_only=True):
    """A server, recorded or written after its description, and what is true of it."""

    provider: str
    prepare: Callable[[Replay], object]
    product: str
    version: str | None
    model: str
    listed: int
    facts: dict[str, object]
    loaded: tuple[str, ...] | None  # names among those loaded; None where the server does not tell
    embeds: str | None = None  # an embedding model
    digests: bool = False
    claims: dict[str, bool] = {}  # some of what it declares of the model
    counts_texts: bool = True  # it tells how many tokens it embedded


def _ollama(version: str) -> Callable[[Replay], object]:
    return lambda replay: replay.recorded(f"ollama/{version}")


def _llamacpp(replay: Replay) -> None:
    replay.recorded("llamacpp/2026.10")
    replay.routes["GET", "/v1/models"] = replay.recorded("llamacpp/2026.10").routes["GET", "/v1/models"]
    stream = recorded_stream("llamacpp/2026.10/chat_stream_usage.stream.txt")
    replay.routes["POST", "/v1/chat/completions"] = stream


def _vllm(replay: Replay) -> None:
    replay.recorded("vllm/0.32.0")
    stream = recorded_stream("vllm/0.32.0/chat_stream_usage.stream.txt")
    replay.routes["POST", "/v1/chat/completions", "smollm2-135m"] = stream


PINNED = "/models/SmolLM2-135M-Instruct"


def _transformers(replay: Replay) -> None:
    replay.recorded("transformers/5.23.0")
    written.answering(replay, PINNED)


SMOLLM2 = {"native_context_tokens": 8192, "parameters": 134_515_008, "family": "llama"}
CASES = {
    "ollama-0.12.11": Case(
        provider="ollama",
        prepare=_ollama("0.12.11"),
        product="ollama",
        version="0.12.11",
        model="smollm2:135m",
        listed=9,
        facts=SMOLLM2,
        loaded=("smollm2:135m",),
        embeds="all-minilm",
        digests=True,
    ),
    "ollama-0.32.15": Case(
        provider="ollama",
        prepare=_ollama("0.32.15"),
        product="ollama",
        version="0.32.15",
        model="smollm2:135m",
        listed=9,
        facts=SMOLLM2,
        loaded=("smollm2:135m",),
        embeds="all-minilm",
        digests=True,
    ),
    "llama.cpp": Case(
        provider="openai-compatible",
        prepare=_llamacpp,
        product="llama.cpp",
        version="b0-unknown",
        model="smollm2:135m",
        listed=1,
        facts={"native_context_tokens": 8192, "served_context_tokens": 2048, "parameters": 134_515_008},
        loaded=("smollm2:135m",),
    ),
    "vllm": Case(
        provider="openai-compatible",
        prepare=_vllm,
        product="vllm",
        version="0.32.0",
        model="smollm2-135m",
        listed=2,
        facts={"served_context_tokens": 2048},
        loaded=("smollm2-135m",),
    ),
    "llama.cpp router": Case(
        provider="openai-compatible",
        prepare=written.router,
        product="llama.cpp-router",
        version=None,
        model="qwen3-8b",
        listed=2,
        facts={},
        loaded=("qwen3-8b",),
    ),
    "LM Studio": Case(
        provider="openai-compatible",
        prepare=written.lm_studio,
        product="lm-studio",
        version=None,
        model="qwen2.5-coder-7b-instruct",
        listed=3,
        facts={
            "native_context_tokens": 32_768,
            "served_context_tokens": 8192,
            "quantization": "Q4_K_M",
            "format": "gguf",
            "architecture": "qwen2",
        },
        claims={"chat": True, "tools": True, "vision": False},
        loaded=("qwen2.5-coder-7b-instruct",),
        embeds="text-embedding-nomic-embed-text-v1.5",
    ),
    "LM Studio 0.4": Case(
        provider="openai-compatible",
        prepare=written.lm_studio_v1,
        product="lm-studio",
        version=None,
        model="qwen2.5-coder-7b-instruct",
        listed=3,
        facts={
            "native_context_tokens": 32_768,
            "served_context_tokens": 8192,
            "quantization": "Q4_K_M",
            "format": "gguf",
            "architecture": "qwen2",
            "size_bytes": 4_683_073_952,
        },
        claims={"chat": True, "tools": True, "vision": False},
        loaded=("qwen2.5-coder-7b-instruct",),
        embeds="text-embedding-nomic-embed-text-v1.5",
    ),
    "Text Generation Inference": Case(
        provider="openai-compatible",
        prepare=written.text_generation_inference,
        product="text-generation-inference",
        version="3.3.5",
        model="Qwen/Qwen2.5-7B-Instruct",
        listed=1,
        facts={"served_context_tokens": 4096},
        loaded=("Qwen/Qwen2.5-7B-Instruct",),
    ),
    "KoboldCpp": Case(
        provider="openai-compatible",
        prepare=written.koboldcpp,
        product="koboldcpp",
        version="1.101",
        model="koboldcpp/SmolLM2-135M-Instruct.Q4_1",
        listed=1,
        facts={"served_context_tokens": 8192},
        loaded=("koboldcpp/SmolLM2-135M-Instruct.Q4_1",),
    ),
    "Xinference": Case(
        provider="openai-compatible",
        prepare=written.xinference,
        product="xinference",
        version=None,
        model="my-alias",
        listed=6,
        facts={"served_context_tokens": 32_768},
        claims={"chat": True, "tools": True},
        loaded=("my-alias",),
    ),
    "SGLang": Case(
        provider="openai-compatible",
        prepare=written.sglang,
        product="sglang",
        version=None,
        model="Qwen/Qwen2.5-7B-Instruct",
        listed=2,
        facts={"served_context_tokens": 32_768},
        loaded=("Qwen/Qwen2.5-7B-Instruct",),
    ),
    "LocalAI": Case(
        provider="openai-compatible",
        prepare=written.localai,
        product="localai",
        version=None,
        model="talks",
        listed=6,
        facts={"input_modalities": ("text",), "free": False},
        claims={"chat": True, "tools": True, "vision": True},
        loaded=("talks",),
        embeds="vectors",
    ),
    "transformers": Case(
        provider="openai-compatible",
        prepare=_transformers,
        product="transformers",
        version=None,
        model=PINNED,
        listed=1,
        facts={"free": True},
        loaded=(PINNED,),
    ),
    "OpenAI": Case(
        provider="openai",
        prepare=written.openai,
        product="openai",
        version=None,
        model="gpt-5-mini",
        listed=5,
        facts={},
        loaded=None,
        embeds="text-embedding-3-small",
    ),
    "OpenRouter": Case(
        provider="openrouter",
        prepare=written.openrouter,
        product="openrouter",
        version=None,
        model="qwen/qwen3-coder",
        listed=2,
        facts={"native_context_tokens": 262_144, "served_context_tokens": 131_072},
        claims={"chat": True, "tools": True, "json_schema": True, "vision": False, "thinking": False},
        loaded=None,
    ),
    "Groq": Case(
        provider="groq",
        prepare=written.groq,
        product="groq",
        version=None,
        model="llama-3.3-70b-versatile",
        listed=2,
        facts={"served_context_tokens": 131_072},
        loaded=None,
    ),
    "Mistral": Case(
        provider="mistral",
        prepare=written.mistral,
        product="mistral",
        version=None,
        model="mistral-medium-latest",
        listed=2,
        facts={"served_context_tokens": 131_072},
        claims={"chat": True, "tools": True, "vision": True},
        loaded=None,
    ),
    "Together": Case(
        provider="together",
        prepare=written.together,
        product="together",
        version=None,
        model="Qwen/Qwen2.5-7B-Instruct-Turbo",
        listed=2,
        facts={"served_context_tokens": 32_768},
        claims={"chat": True},
        loaded=None,
    ),
    "DeepSeek": Case(
        provider="deepseek",
        prepare=written.deepseek,
        product="deepseek",
        version=None,
        model="deepseek-chat",
        listed=2,
        facts={},
        loaded=None,
    ),
    "xAI": Case(
        provider="xai",
        prepare=written.xai,
        product="xai",
        version=None,
        model="grok-4",
        listed=2,
        facts={},
        loaded=None,
    ),
    "Hugging Face": Case(
        provider="hugging-face",
        prepare=written.hugging_face,
        product="hugging-face",
        version=None,
        model="openai/gpt-oss-120b",
        listed=1,
        facts={"input_modalities": ("text",)},
        loaded=None,
    ),
    "Anthropic": Case(
        provider="anthropic",
        prepare=written.anthropic,
        product="anthropic",
        version=None,
        model="claude-haiku-4-5",
        listed=2,
        facts={"native_context_tokens": 200_000},
        claims={"chat": True, "tools": True, "json_schema": True, "vision": True, "thinking": True},
        loaded=None,
    ),
    "Gemini": Case(
        provider="gemini",
        prepare=written.gemini,
        product="gemini",
        version=None,
        model="gemini-2.5-flash",
        listed=3,
        facts={"native_context_tokens": 1_048_576},
        claims={"chat": True, "embedding": False, "thinking": True},
        loaded=None,
        embeds="gemini-embedding-001",
        counts_texts=False,
    ),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, replay: Replay) -> Case:
    """Return one recorded server, playing."""
    chosen = CASES[request.param]
    chosen.prepare(replay)
    return chosen


def test_every_registered_provider_is_under_contract() -> None:
    """A provider without a case would be trusted unseen."""
    assert {chosen.provider for chosen in CASES.values()} == set(providers.names())


async def test_it_lists_models(case: Case, replay: Replay) -> None:
    """Names as the server has them, each once, with digests where there are any."""
    async with opened(case.provider, replay.url) as endpoint:
        listing = await endpoint.list_models()
    names = [entry.name for entry in listing]
    assert len(names) == len(set(names)) == case.listed
    assert case.model in names
    assert all(entry.digest is not None for entry in listing) is case.digests


async def test_it_describes_a_model(case: Case, replay: Replay) -> None:
    """Facts with where each is from, claims with their evidence."""
    async with opened(case.provider, replay.url) as endpoint:
        listing = {entry.name: entry for entry in await endpoint.list_models()}
        described = await endpoint.describe(listing[case.model])
    facts = {**listing[case.model].facts, **described.facts}
    assert {name: facts.get(name) for name in case.facts} == case.facts
    assert described.sources.keys() == described.facts.keys()
    assert {name: described.claims[name].value for name in case.claims} == case.claims
    assert all(isinstance(claim, Claim) and claim.source for claim in described.claims.values())


async def test_it_tells_what_answers(case: Case, replay: Replay) -> None:
    """Product and version, once the listing has told which server it is."""
    async with opened(case.provider, replay.url) as endpoint:
        await endpoint.list_models()
        server = await endpoint.reach()
    assert (server.product, server.version) == (case.product, case.version)


async def test_it_tells_what_is_loaded(case: Case, replay: Replay) -> None:
    """Names that are loaded, or None where the server does not tell."""
    async with opened(case.provider, replay.url) as endpoint:
        await endpoint.list_models()
        loaded = await endpoint.resident()
    if case.loaded is None:
        assert loaded is None
    else:
        assert loaded is not None
        assert all(loaded[name].resident for name in case.loaded)


async def test_it_streams_an_answer(case: Case, replay: Replay) -> None:
    """Pieces in order of time, none of them empty, then the end with the server's own count."""
    async with opened(case.provider, replay.url) as endpoint:
        items = [item async for item in endpoint.generate(asking(case.model))]
    *deltas, finished = items
    assert isinstance(finished, Finished)
    assert finished.output_tokens
    assert finished.reason
    assert deltas
    for delta in deltas:
        assert isinstance(delta, Delta)
        assert delta.text or delta.thinking
    times = [item.at for item in items]
    assert times == sorted(times)


async def test_a_stream_may_be_left_early(case: Case, replay: Replay) -> None:
    """Whoever has seen enough closes it, and nothing is left open."""
    async with (
        opened(case.provider, replay.url) as endpoint,
        aclosing(endpoint.generate(asking(case.model))) as answer,
    ):
        async for _ in answer:
            break


async def test_it_embeds(case: Case, replay: Replay) -> None:
    """As many vectors as texts, all of one dimension; what cannot embed says so."""
    async with opened(case.provider, replay.url) as endpoint:
        await endpoint.list_models()
        if case.embeds is None:
            with pytest.raises(ProviderError) as caught:
                await endpoint.embed(case.model, ["hello"])
            assert caught.value.outcome in (Outcome.UNSUPPORTED, Outcome.NOT_FOUND)
            return
        embedded = await endpoint.embed(case.embeds, ["hello", "world"])
    assert (embedded.vectors, embedded.dimensions) == (2, 384)
    assert (embedded.prompt_tokens is not None) is case.counts_texts
    assert embedded.done_at >= embedded.sent_at


async def test_a_model_that_is_not_there_is_not_found(case: Case, replay: Replay) -> None:
    """Also on a server that would answer as another model."""
    async with opened(case.provider, replay.url) as endpoint:
        await endpoint.list_models()
        with pytest.raises(ProviderError) as asked:
            _ = [item async for item in endpoint.generate(asking("nope"))]
        with pytest.raises(ProviderError) as described:
            await endpoint.describe(Listing(name="nope"))
    assert asked.value.outcome is Outcome.NOT_FOUND
    assert described.value.outcome is Outcome.NOT_FOUND


async def test_nothing_sent_changes_the_server(case: Case, replay: Replay) -> None:
    """No request carries a keep-alive, a context size or any other runner option."""
    async with opened(case.provider, replay.url) as endpoint:
        listing = {entry.name: entry for entry in await endpoint.list_models()}
        await endpoint.describe(listing[case.model])
        await endpoint.resident()
        await endpoint.reach()
        _ = [item async for item in endpoint.generate(asking(case.model))]
    allowed = {"temperature", "num_predict"}
    assert replay.requests
    for request in replay.requests:
        body = request.body or {}
        assert not {"keep_alive", "num_ctx"} & body.keys()
        assert set(body.get("options", {})) <= allowed


def asking(model: str) -> Generation:
    """Return a small question to *model*."""
    return Generation(
        model=model, prompt="Write two sentences about the sea.", max_tokens=24, deadline_s=60.0
    )


async def _kinds(replay: Replay) -> dict[str, str]:
    """Return the kind of each listed model, as the discoverer takes it."""
    async with opened("openai-compatible", replay.url) as endpoint:
        return {
            entry.name: infer(await endpoint.describe(entry), entry.name)[0]
            for entry in await endpoint.list_models()
        }


async def test_xinference_tells_kinds_whatever_the_alias(replay: Replay) -> None:
    """A base model is for completion; what draws or hears is asked nothing."""
    written.xinference(replay)
    assert await _kinds(replay) == {
        "my-alias": "chat",
        "base-one": "completion",
        "vectors": "embedding",
        "ranks": "rerank",
        "draws": "unknown",
        "hears": "unknown",
    }


async def test_infinity_is_found_at_its_root_and_tells_kinds(replay: Replay) -> None:
    """It embeds and ranks; nothing it lists chats."""
    written.infinity(replay)
    assert await _kinds(replay) == {"mine": "embedding", "ranks": "rerank", "sorts": "unknown"}
    async with opened("openai-compatible", replay.url) as endpoint:
        await endpoint.list_models()
        assert (await endpoint.reach()).product == "infinity"
        assert (await endpoint.embed("mine", ["a", "b"])).dimensions == 384
        assert (await endpoint.rerank("ranks", "q", ["a", "b"])).scores == [0.1, 0.9]
        loaded = await endpoint.resident()
    assert loaded is not None
    assert loaded["mine"].resident


async def test_localai_tells_kinds_and_what_is_loaded(replay: Replay) -> None:
    """Of a file without a configuration it tells nothing; who is no admin is not told what is loaded."""
    written.localai(replay)
    kinds = await _kinds(replay)
    assert {name: kinds[name] for name in ("talks", "continues", "vectors", "ranks", "speaks")} == {
        "talks": "chat",
        "continues": "completion",
        "vectors": "embedding",
        "ranks": "rerank",
        "speaks": "unknown",
    }
    async with opened("openai-compatible", replay.url) as endpoint:
        await endpoint.list_models()
        loaded = await endpoint.resident()
        replay.routes["GET", "/system"] = reply(403, {"error": {"message": "admin access required"}})
        assert await endpoint.resident() is None
    assert loaded is not None
    assert [name for name, one in loaded.items() if one.resident] == ["talks"]


async def test_mlx_is_what_the_configuration_says(replay: Replay) -> None:
    """Its listing names paths and nothing else; a name that is not listed is not sent: MLX would download it."""
    replay.recorded("mlx/0.32.2")
    written.answering(replay, PINNED)
    async with opened("openai-compatible", replay.url, flavour="mlx") as endpoint:
        [entry] = await endpoint.list_models()
        described = await endpoint.describe(entry)
        assert (await endpoint.reach()).product == "mlx"
        assert [item async for item in endpoint.generate(asking(PINNED))]
        sent = len(replay.requests)
        with pytest.raises(ProviderError):
            _ = [item async for item in endpoint.generate(asking("nope"))]
    assert (entry.name, described.facts["free"], infer(described, entry.name)[0]) == (PINNED, True, "chat")
    assert all(request.model != "nope" for request in replay.requests[sent:])


async def test_olla_is_a_gateway(replay: Replay) -> None:
    """Recorded in front of llama.cpp: its `owned_by` and headers tell, and its refusal is bare text."""
    replay.recorded("olla/200c24f")
    async with opened("openai-compatible", f"{replay.url}/olla/openai") as endpoint:
        [entry] = await endpoint.list_models()
        described = await endpoint.describe(entry)
        assert [item async for item in endpoint.generate(asking(entry.name))]
        with pytest.raises(ProviderError) as caught:
            _ = [item async for item in endpoint.generate(asking("nope"))]
        assert await endpoint.resident() is None
    assert described.facts["free"] is False
    assert caught.value.outcome is Outcome.NOT_FOUND


async def test_open_webui_is_a_gateway(replay: Replay) -> None:
    """Each of its models is another server's."""
    written.open_webui(replay)
    async with opened("openai-compatible", f"{replay.url}/api") as endpoint:
        listing = await endpoint.list_models()
        free = [(await endpoint.describe(entry)).facts["free"] for entry in listing]
        assert [item async for item in endpoint.generate(asking("qwen3:8b"))]
        with pytest.raises(ProviderError) as caught:
            _ = [item async for item in endpoint.generate(asking("nope"))]
    assert free == [False] * len(listing)
    assert caught.value.outcome is Outcome.NOT_FOUND


@pytest.mark.parametrize(("served", "kind"), [("reranker", "rerank"), ("embedding", "embedding")])
async def test_text_embeddings_inference_is_known_without_a_listing(
    served: str, kind: str, replay: Replay
) -> None:
    """Its `/info` names the one model, and its kind wins over the name."""
    written.text_embeddings_inference(replay, served)
    name = "BAAI/bge-reranker-base"
    assert await _kinds(replay) == {name: kind}
    async with opened("openai-compatible", replay.url) as endpoint:
        [entry] = await endpoint.list_models()
        described = await endpoint.describe(entry)
        server = await endpoint.reach()
        assert (await endpoint.embed(name, ["a", "b"])).vectors == 2
        assert (await endpoint.rerank(name, "q", ["a", "b"])).scores == [0.1, 0.9]
    assert (server.product, server.version) == ("text-embeddings-inference", "1.8.2")
    assert (described.locality, described.facts["served_context_tokens"]) == ("local", 512)


async def test_telling_what_a_server_runs_asks_for_nothing_to_be_generated(replay: Replay) -> None:
    """Listing, describing, what is loaded, how busy it is: all by GET."""
    for play in (
        written.koboldcpp,
        written.xinference,
        written.infinity,
        written.text_embeddings_inference,
        written.localai,
        written.sglang,
        _transformers,
    ):
        replay.routes.clear()
        replay.requests.clear()
        play(replay)
        async with opened("openai-compatible", replay.url) as endpoint:
            for entry in await endpoint.list_models():
                await endpoint.describe(entry)
            await endpoint.reach()
            await endpoint.resident()
            await endpoint.activity()
        assert {request.method for request in replay.requests} == {"GET"}
