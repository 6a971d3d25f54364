"""Replies of services that cannot be had here, written by hand after their API descriptions; none is recorded.

Descriptions: OpenAI's and Anthropic's Python SDKs, Google's and OpenRouter's API references, LM Studio's REST
documentation, Text Generation Inference's OpenAPI document. All as of 2026-11-27. KoboldCpp (koboldcpp.py), Xinference,
infinity (fastapi_schemas/pymodels.py), text-embeddings-inference (docs/openapi.json) after their sources, 2026-11-29.
So LocalAI (82c191a), SGLang and Open WebUI, and the streams of transformers 5.23 and MLX 0.32, whose listings are
recorded.
"""

import json
from typing import Any

from providers.replay import Exchange, Handler, Replay, Write, reply, stream

EMBEDDED = [0.5, -0.5] * 192  # of 384 dimensions


def _paged(pages: dict[str, Any], parameter: str) -> Handler:
    """Return a handler that answers with the page that *parameter* of the query asks for."""

    async def handle(exchange: Exchange, write: Write) -> None:
        query = dict(part.partition("=")[::2] for part in exchange.path.partition("?")[2].split("&"))
        await reply(200, pages[query.get(parameter, "")])(exchange, write)

    return handle


def _found(known: tuple[str, ...], handler: Handler, missing: Handler) -> Handler:
    """Return a handler that knows some models, named in the body or in the path, and no others."""

    async def handle(exchange: Exchange, write: Write) -> None:
        named = exchange.model or ""
        await (handler if named in known else missing)(exchange, write)

    return handle


def _sse(*events: dict[str, Any], named: bool = False) -> tuple[str, ...]:
    lines: list[str] = []
    for event in events:
        lines += [f"event: {event['type']}"] if named else []
        lines += [f"data: {json.dumps(event)}", ""]
    return tuple(lines)


def _completion(model: str) -> Handler:
    def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return {"id": "c", "object": "chat.completion.chunk", "model": model, "choices": [choice]}

    usage = {
        "prompt_tokens": 14,
        "completion_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    return stream(
        ": OPENROUTER PROCESSING",
        *_sse(
            chunk({"role": "assistant", "content": ""}),
            chunk({"content": "The sea "}),
            chunk({"content": "is wide."}),
            chunk({}, "stop"),
            {"id": "c", "object": "chat.completion.chunk", "model": model, "choices": [], "usage": usage},
        ),
        "data: [DONE]",
    )


def _openai_error(message: str) -> Handler:
    return reply(
        404, {"error": {"message": message, "type": "invalid_request_error", "code": "model_not_found"}}
    )


def openai(replay: Replay) -> None:
    names = ("gpt-5-mini", "gpt-5-pro", "text-embedding-3-small", "whisper-1", "gpt-3.5-turbo-instruct")
    entries = [{"id": n, "object": "model", "created": 1_700_000_000, "owned_by": "system"} for n in names]
    replay.routes["GET", "/v1/models"] = reply(200, {"object": "list", "data": entries})
    replay.routes["POST", "/v1/chat/completions"] = _found(
        ("gpt-5-mini",), _completion("gpt-5-mini"), _openai_error("The model `nope` does not exist")
    )
    vectors = [{"object": "embedding", "index": n, "embedding": EMBEDDED} for n in (0, 1)]
    usage = {"prompt_tokens": 2, "total_tokens": 2}
    replay.routes["POST", "/v1/embeddings"] = reply(
        200, {"object": "list", "data": vectors, "model": "text-embedding-3-small", "usage": usage}
    )


def openrouter(replay: Replay) -> None:
    entry = {
        "id": "qwen/qwen3-coder",
        "canonical_slug": "qwen/qwen3-coder-480b-a35b-07-25",
        "hugging_face_id": "Qwen/Qwen3-Coder-480B-A35B-Instruct",
        "name": "Qwen: Qwen3 Coder",
        "created": 1_753_230_546,
        "context_length": 262_144,
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"], "tokenizer": "Qwen3"},
        "pricing": {"prompt": "0.00000022", "completion": "0.00000095", "request": "0"},
        "top_provider": {"context_length": 131_072, "max_completion_tokens": 65_536, "is_moderated": False},
        "supported_parameters": ["max_tokens", "temperature", "tools", "structured_outputs"],
        "knowledge_cutoff": None,
    }
    upstream = {
        "provider_name": "DeepInfra",
        "tag": "deepinfra/fp4",
        "quantization": "fp4",
        "status": 0,
        "uptime_last_1d": 99.8,
        "uptime_last_30m": 100,
        "latency_last_30m": {"p50": 420, "p75": 610, "p90": 980, "p99": 2100},
        "throughput_last_30m": {"p50": 45.2, "p75": 38.5, "p90": 28.3, "p99": 15.1},
    }
    # To who shows no key it tells no percentiles; of who has not been asked lately, nothing.
    unasked = {"latency_last_30m": None, "throughput_last_30m": None, "uptime_last_1d": None}
    told = {"id": entry["id"], "endpoints": [upstream, upstream | unasked]}
    replay.routes["GET", "/v1/models/qwen/qwen3-coder/endpoints"] = reply(200, {"data": told})
    router = entry | {"id": "openrouter/auto", "pricing": {"prompt": "-1", "completion": "-1"}}
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [entry, router]})
    replay.routes["POST", "/v1/chat/completions"] = _found(
        ("qwen/qwen3-coder",),
        _completion("qwen/qwen3-coder"),
        reply(404, {"error": {"code": 404, "message": "No endpoints found for nope."}}),
    )


def _service(replay: Replay, listing: Any, model: str) -> None:
    replay.routes["GET", "/v1/models"] = reply(200, listing)
    replay.routes["POST", "/v1/chat/completions"] = _found(
        (model,), _completion(model), _openai_error("The model `nope` does not exist")
    )


def groq(replay: Replay) -> None:
    blank = {
        "object": "model",
        "created": 1_693_721_698,
        "owned_by": "Meta",
        "active": True,
        "public_apps": None,
    }
    entries = [
        blank | {"id": "llama-3.3-70b-versatile", "context_window": 131_072, "max_completion_tokens": 32_768},
        blank | {"id": "whisper-large-v3", "owned_by": "OpenAI", "context_window": 448},
        blank | {"id": "retired", "active": False, "context_window": 8192},
    ]
    _service(replay, {"object": "list", "data": entries}, "llama-3.3-70b-versatile")


def mistral(replay: Replay) -> None:
    able = {"completion_chat": True, "completion_fim": False, "function_calling": True, "vision": True}
    entry = {
        "id": "mistral-medium-latest",
        "object": "model",
        "owned_by": "mistralai",
        "capabilities": able | {"fine_tuning": False, "classification": False},
        "max_context_length": 131_072,
        "aliases": ["mistral-medium"],
        "deprecation": None,
        "type": "base",
    }
    ocr = entry | {"id": "mistral-ocr-latest", "capabilities": dict.fromkeys(able, False)}
    _service(replay, {"object": "list", "data": [entry, ocr]}, "mistral-medium-latest")


def together(replay: Replay) -> None:
    entry = {
        "id": "Qwen/Qwen2.5-7B-Instruct-Turbo",
        "object": "model",
        "created": 0,
        "type": "chat",
        "running": False,
        "organization": "Qwen",
        "context_length": 32_768,
        "pricing": {"hourly": 0, "input": 0.3, "output": 0.3, "base": 0, "finetune": 0},
    }
    image = entry | {"id": "black-forest-labs/FLUX.1-schnell", "type": "image"}
    _service(replay, [entry, image], "Qwen/Qwen2.5-7B-Instruct-Turbo")


def deepseek(replay: Replay) -> None:
    entries = [
        {"id": name, "object": "model", "owned_by": "deepseek"}
        for name in ("deepseek-chat", "deepseek-reasoner")
    ]
    _service(replay, {"object": "list", "data": entries}, "deepseek-chat")


def xai(replay: Replay) -> None:
    names = ("grok-4", "grok-2-image-1212")
    entries = [{"id": name, "object": "model", "created": 1_752_019_200, "owned_by": "xai"} for name in names]
    _service(replay, {"object": "list", "data": entries}, "grok-4")


def hugging_face(replay: Replay) -> None:
    upstream = {"provider": "groq", "status": "live", "context_length": 131_072, "supports_tools": True}
    entry = {
        "id": "openai/gpt-oss-120b",
        "object": "model",
        "created": 1_754_000_000,
        "owned_by": "openai",
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
        "providers": [upstream | {"pricing": {"input": 0.15, "output": 0.75}}],
    }
    _service(replay, {"object": "list", "data": [entry]}, "openai/gpt-oss-120b")


def lm_studio(replay: Replay) -> None:
    names = ("qwen2.5-coder-7b-instruct", "text-embedding-nomic-embed-text-v1.5", "gemma-3-4b-it")
    entries = [{"id": name, "object": "model", "owned_by": "organization_owner"} for name in names]
    replay.routes["GET", "/v1/models"] = reply(200, {"object": "list", "data": entries})
    gguf = {"object": "model", "compatibility_type": "gguf", "publisher": "lmstudio-community"}
    native = [
        gguf
        | {
            "id": names[0],
            "type": "llm",
            "arch": "qwen2",
            "quantization": "Q4_K_M",
            "state": "loaded",
            "max_context_length": 32_768,
            "loaded_context_length": 8192,
            "capabilities": ["tool_use"],
        },
        gguf | {"id": names[1], "type": "embeddings", "state": "not-loaded", "max_context_length": 2048},
        gguf | {"id": names[2], "type": "vlm", "state": "not-loaded", "capabilities": []},
    ]
    replay.routes["GET", "/api/v0/models"] = reply(200, {"object": "list", "data": native})
    replay.routes["POST", "/v1/chat/completions"] = _completion(names[0])
    vectors = [{"object": "embedding", "index": n, "embedding": EMBEDDED} for n in (0, 1)]
    replay.routes["POST", "/v1/embeddings"] = reply(200, {"data": vectors, "usage": {"prompt_tokens": 2}})


def lm_studio_v1(replay: Replay) -> None:
    """LM Studio from 0.4 on, after the documentation of its native API (lmstudio.ai/docs/developer/rest/list)."""
    lm_studio(replay)
    del replay.routes["GET", "/api/v0/models"]
    names = ("qwen2.5-coder-7b-instruct", "text-embedding-nomic-embed-text-v1.5", "gemma-3-4b-it")
    common = {"publisher": "lmstudio-community", "format": "gguf", "params_string": None}
    loaded = {"id": names[0], "config": {"context_length": 8192, "flash_attention": True}}
    models = [
        common
        | {
            "type": "llm",
            "key": names[0],
            "display_name": "Qwen2.5 Coder 7B Instruct",
            "architecture": "qwen2",
            "quantization": {"name": "Q4_K_M", "bits_per_weight": 4},
            "size_bytes": 4_683_073_952,
            "loaded_instances": [loaded],
            "max_context_length": 32_768,
            "capabilities": {"vision": False, "trained_for_tool_use": True},
        },
        common
        | {
            "type": "embedding",
            "key": names[1],
            "quantization": None,
            "size_bytes": 84_106_624,
            "loaded_instances": [],
            "max_context_length": 2048,
        },
        common
        | {
            "type": "llm",
            "key": names[2],
            "architecture": "gemma3",
            "quantization": {"name": "Q4_0", "bits_per_weight": 4},
            "size_bytes": 3_034_755_901,
            "loaded_instances": [],
            "max_context_length": 131_072,
            "capabilities": {"vision": True, "trained_for_tool_use": False},
        },
    ]
    replay.routes["GET", "/api/v1/models"] = reply(200, {"models": models})


def text_generation_inference(replay: Replay) -> None:
    name = "Qwen/Qwen2.5-7B-Instruct"
    entry = {"id": name, "object": "model", "created": 0, "owned_by": name}
    replay.routes["GET", "/v1/models"] = reply(200, {"object": "list", "data": [entry]})
    replay.routes["GET", "/info"] = reply(
        200,
        {
            "model_id": name,
            "model_sha": "a09a35458c702b33eeacc393d103063234e8bc28",
            "model_pipeline_tag": "text-generation",
            "max_concurrent_requests": 128,
            "max_input_tokens": 4095,
            "max_total_tokens": 4096,
            "version": "3.3.5",
            "router": "text-generation-router",
        },
    )
    replay.routes["GET", "/health"] = reply(200)
    replay.routes["GET", "/metrics"] = reply(
        200, "tgi_batch_current_size 2\ntgi_queue_size 0\ntgi_request_generated_tokens_sum 4100\n"
    )
    replay.routes["POST", "/v1/chat/completions"] = _completion(name)


def koboldcpp(replay: Replay) -> None:
    name = "koboldcpp/SmolLM2-135M-Instruct.Q4_1"
    entry = {
        "id": name,
        "object": "model",
        "created": 1,
        "owned_by": "koboldcpp",
        "permission": [],
        "root": "koboldcpp",
    }
    replay.routes["GET", "/v1/models"] = reply(200, {"object": "list", "data": [entry]})
    replay.routes["GET", "/api/extra/version"] = reply(
        200, {"result": "KoboldCpp", "version": "1.101", "protected": False, "llm": True, "txt2img": False}
    )
    replay.routes["GET", "/api/extra/true_max_context_length"] = reply(200, {"value": 8192})
    replay.routes["POST", "/v1/chat/completions"] = _completion(name)


def xinference(replay: Replay) -> None:
    """Play Xinference, which lists the models that run."""
    base = {"object": "model", "created": 0, "owned_by": "xinference", "replica": 1}
    entries = [
        {
            "id": "my-alias",
            "model_type": "LLM",
            "model_name": "qwen2.5-instruct",
            "model_ability": ["chat", "tools"],
            "context_length": 32_768,
            "model_format": "ggufv2",
            "quantization": "q4_k_m",
        },
        {"id": "base-one", "model_type": "LLM", "model_name": "llama-2", "model_ability": ["generate"]},
        {
            "id": "vectors",
            "model_type": "embedding",
            "model_name": "bge-m3",
            "dimensions": 1024,
            "max_tokens": 8192,
        },
        {"id": "ranks", "model_type": "rerank", "model_name": "bge-reranker-base"},
        {"id": "draws", "model_type": "image", "model_name": "sd3", "model_ability": ["text2image"]},
        {"id": "hears", "model_type": "audio", "model_name": "whisper", "model_ability": ["audio2text"]},
    ]
    replay.routes["GET", "/v1/models"] = reply(
        200, {"object": "list", "data": [base | one for one in entries]}
    )
    missing = reply(400, {"detail": "Model not found in the model list, uid: no-such-model"})
    replay.routes["POST", "/v1/chat/completions"] = _found(("my-alias",), _completion("my-alias"), missing)


def infinity(replay: Replay) -> None:
    """Play infinity, whose protocol is at its root unless it is started with a prefix."""
    base = {
        "object": "model",
        "owned_by": "infinity",
        "created": 1,
        "backend": "torch",
        "stats": {"queue_fraction": 0.0},
    }
    entries = [
        base | {"id": "mine", "capabilities": ["embed"]},
        base | {"id": "ranks", "capabilities": ["rerank"]},
        base | {"id": "sorts", "capabilities": ["classify"]},
    ]
    replay.routes["GET", "/models"] = reply(200, {"object": "list", "data": entries})
    replay.routes["GET", "/health"] = reply(200, {"unix": 1.0})
    vectors = [{"object": "embedding", "index": n, "embedding": EMBEDDED} for n in (0, 1)]
    replay.routes["POST", "/embeddings"] = reply(200, {"data": vectors, "usage": {"prompt_tokens": 2}})
    ranked = [{"relevance_score": 0.9, "index": 1}, {"relevance_score": 0.1, "index": 0}]
    replay.routes["POST", "/rerank"] = reply(200, {"results": ranked, "usage": {"prompt_tokens": 9}})


def text_embeddings_inference(replay: Replay, kind: str = "reranker") -> None:
    """Play text-embeddings-inference, which lists nothing and serves one model of *kind*."""
    told = {
        "reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}},
        "embedding": {"pooling": "cls"},
    }
    info = {
        "model_id": "BAAI/bge-reranker-base",
        "model_sha": None,
        "model_dtype": "float16",
        "served_model_name": "BAAI/bge-reranker-base",
        "model_type": {kind: told[kind]},
        "max_concurrent_requests": 512,
        "max_input_length": 512,
        "version": "1.8.2",
    }
    replay.routes["GET", "/info"] = reply(200, info)
    replay.routes["GET", "/health"] = reply(200)
    replay.routes["POST", "/rerank"] = reply(200, [{"index": 1, "score": 0.9}, {"index": 0, "score": 0.1}])
    vectors = [{"object": "embedding", "index": n, "embedding": EMBEDDED} for n in (0, 1)]
    replay.routes["POST", "/v1/embeddings"] = reply(200, {"data": vectors, "usage": {"prompt_tokens": 2}})


def router(replay: Replay) -> None:
    """Play llama.cpp's server in router mode: models with a state each, loaded when they are asked."""

    def entry(name: str, state: str) -> dict[str, Any]:
        return {
            "id": name,
            "object": "model",
            "owned_by": "llamacpp",
            "created": 1_764_000_000,
            "in_cache": True,
            "status": {"value": state, "args": ["llama-server", "--model", f"/models/{name}.gguf"]},
        }

    entries = [entry("qwen3-8b", "loaded"), entry("gemma-3-4b", "unloaded")]
    replay.routes["GET", "/v1/models"] = reply(200, {"object": "list", "data": entries})
    replay.routes["GET", "/health"] = reply(200, {"status": "ok"})
    replay.routes["POST", "/v1/chat/completions"] = _found(
        ("qwen3-8b",),
        _completion("qwen3-8b"),
        reply(404, {"error": {"message": "model 'nope' not found", "code": 404}}),
    )


def anthropic(replay: Replay) -> None:
    def supported(yes: bool) -> dict[str, bool]:
        return {"supported": yes}

    def entry(name: str, lifecycle: str = "active") -> dict[str, Any]:
        return {
            "id": name,
            "type": "model",
            "display_name": name.title(),
            "created_at": "2026-02-04T00:00:00Z",
            "lifecycle": lifecycle,
            "max_input_tokens": 200_000,
            "max_tokens": 64_000,
            "capabilities": {
                "image_input": supported(True),
                "structured_outputs": supported(True),
                "thinking": {"supported": True, "types": {}},
            },
        }

    first = {"data": [entry("claude-opus-4-6")], "has_more": True, "last_id": "claude-opus-4-6"}
    last = {
        "data": [entry("claude-haiku-4-5"), entry("claude-2.1", "retired")],
        "has_more": False,
        "last_id": "claude-2.1",
    }
    replay.routes["GET", "/v1/models"] = _paged({"": first, "claude-opus-4-6": last}, "after_id")
    text = {"type": "content_block_delta", "index": 0}
    message = {"id": "msg", "type": "message", "role": "assistant", "usage": {"input_tokens": 14}}
    answer = stream(
        *_sse(
            {"type": "message_start", "message": message},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "ping"},
            text | {"delta": {"type": "text_delta", "text": "The sea "}},
            text | {"delta": {"type": "text_delta", "text": "is wide."}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
            {"type": "message_stop"},
            named=True,
        )
    )
    missing = reply(404, {"type": "error", "error": {"type": "not_found_error", "message": "model: nope"}})
    replay.routes["POST", "/v1/messages"] = _found(("claude-haiku-4-5",), answer, missing)


def gemini(replay: Replay) -> None:
    def entry(name: str, method: str, **more: object) -> dict[str, Any]:
        return {
            "name": f"models/{name}",
            "version": "001",
            "inputTokenLimit": 1_048_576,
            "outputTokenLimit": 65_536,
            "supportedGenerationMethods": [method, "countTokens"],
            **more,
        }

    first = {"models": [entry("gemini-2.5-flash", "generateContent", thinking=True)], "nextPageToken": "p2"}
    last = {
        "models": [
            entry("gemini-embedding-001", "embedContent"),
            entry("gemini-2.5-flash-preview-tts", "generateContent"),
        ]
    }
    replay.routes["GET", "/v1beta/models"] = _paged({"": first, "p2": last}, "pageToken")

    def chunk(text: str, reason: str | None = None, **more: object) -> dict[str, Any]:
        content = {"role": "model", "parts": [{"text": text}]}
        candidate = {"content": content, "index": 0} | ({"finishReason": reason} if reason else {})
        return {"candidates": [candidate], "modelVersion": "gemini-2.5-flash", **more}

    usage = {"promptTokenCount": 14, "candidatesTokenCount": 9, "thoughtsTokenCount": 3}
    replay.routes["POST", "/v1beta/models/gemini-2.5-flash:streamGenerateContent"] = stream(
        *_sse(chunk("The sea "), chunk("is wide.", "STOP", usageMetadata=usage))
    )
    replay.routes["POST", "/v1beta/models/gemini-embedding-001:batchEmbedContents"] = reply(
        200, {"embeddings": [{"values": EMBEDDED}, {"values": EMBEDDED}]}
    )
    replay.otherwise = reply(
        404, {"error": {"code": 404, "message": "models/nope is not found", "status": "NOT_FOUND"}}
    )


def sglang(replay: Replay) -> None:
    name = "Qwen/Qwen2.5-7B-Instruct"
    base = {"id": name, "object": "model", "created": 1_764_000_000, "owned_by": "sglang"}
    entry = base | {"root": name, "parent": None, "max_model_len": 32_768}
    adapter = base | {"id": "an-adapter", "root": "/adapters/a", "parent": name, "max_model_len": None}
    replay.routes["GET", "/v1/models"] = reply(200, {"object": "list", "data": [entry, adapter]})
    missing = {
        "object": "error",
        "message": "The model `nope` does not exist.",
        "type": "NotFound",
        "code": 404,
    }
    replay.routes["POST", "/v1/chat/completions"] = _found((name,), _completion(name), reply(404, missing))


def localai(replay: Replay) -> None:
    """Play LocalAI: names alone in its listing, abilities and loaded models on paths of its own."""
    able = {
        "talks": ["chat", "completion", "vision", "tools"],
        "continues": ["completion"],
        "vectors": ["embeddings"],
        "ranks": ["rerank"],
        "speaks": ["tts"],
        "loose-file.gguf": None,
    }
    entries = [{"id": name, "object": "model"} for name in able]
    replay.routes["GET", "/v1/models"] = reply(200, {"object": "list", "data": entries})
    told = [entry | {"capabilities": able[entry["id"]], "input_modalities": ["text"]} for entry in entries]
    replay.routes["GET", "/v1/models/capabilities"] = reply(200, {"object": "list", "data": told})
    loaded = {"backends": ["llama-cpp"], "loaded_models": [{"id": "talks", "backend": "llama-cpp"}]}
    replay.routes["GET", "/system"] = reply(200, loaded)
    replay.routes["GET", "/readyz"] = reply(200)
    missing = {"error": {"code": 404, "message": 'model "nope" not found', "type": ""}}
    replay.routes["POST", "/v1/chat/completions"] = _found(
        ("talks",), _completion("talks"), reply(404, missing)
    )
    vectors = [{"object": "embedding", "index": n, "embedding": EMBEDDED} for n in (0, 1)]
    replay.routes["POST", "/v1/embeddings"] = reply(200, {"data": vectors, "usage": {"prompt_tokens": 2}})


def answering(replay: Replay, model: str) -> None:
    """Add a stream to recorded replies of a server whose own stream was not recorded."""
    replay.routes["POST", "/v1/chat/completions"] = _completion(model)


def open_webui(replay: Replay) -> None:
    """Play Open WebUI, which lists what its connections list, under `/api`."""
    shared = {"object": "model", "created": 1_764_000_000, "actions": [], "filters": [], "tags": []}
    entries = [
        shared
        | {"id": "qwen3:8b", "name": "qwen3:8b", "owned_by": "ollama", "urlIdx": 0, "ollama": {"size": 5}},
        shared
        | {"id": "deep", "name": "deep", "owned_by": "openai", "connection_type": "external", "urlIdx": 1},
        shared | {"id": "arena-model", "name": "Arena Model", "owned_by": "arena", "arena": True},
    ]
    replay.routes["GET", "/api/models"] = reply(200, {"data": entries})
    replay.routes["POST", "/api/chat/completions"] = _found(
        ("qwen3:8b",), _completion("qwen3:8b"), reply(400, {"detail": "Model not found"})
    )
