"""The differences between servers with OpenAI's protocol: one `Flavour` for each server, and a reader of its facts.

Sources of the flavours:

- recorded replies: llama.cpp (PyPI xllamacpp 2026.10) and vLLM 0.32, 2026-11-23; transformers 5.23 and MLX 0.32,
  2026-11-29
- API descriptions: LM Studio (/api/v0; /api/v1 on 2026-11-29) and Text Generation Inference (/info, metrics),
  2026-11-27
- source code: infinity, text-embeddings-inference, KoboldCpp, Xinference and LocalAI, and the `owned_by` of the servers
  from SGLang on, 2026-11-29; Lemonade, exo, Ray Serve, Triton and GPUStack, 2026-11-30; llama.cpp's router, Docker
  Model Runner, vllm-mlx and Aphrodite, Lemonade's API description, and reports of oMLX, 2026-12-01;
  exo, text-generation-webui and reports of NVIDIA Dynamo, 2026-12-01
"""

import re
from collections.abc import Callable, Collection, Mapping
from itertools import pairwise
from typing import Any, Literal

import msgspec
from msgspec import Struct

from vedette.providers import Described, _entries, _litellm, _metrics
from vedette.providers._entries import Entry, context, kind_and_claims, usual_kind
from vedette.providers._gateways import may_be_litellm
from vedette.providers._lenient import (
    count,
    is_name,
    known,
    mapping,
    parameter_count,
    sequence,
    text,
    tokens,
)
from vedette.providers._metrics import Metrics
from vedette.providers._prices import price
from vedette.types import Capability, Claim, Evidence, Kind, Locality


def modalities(value: object) -> tuple[str, ...] | None:
    """Return the texts in the list *value* as a tuple for the facts of a model; None if there are none."""
    return tuple(filter(None, map(text, sequence(value)))) or None


def declared(source: str, values: Mapping[Capability, object]) -> dict[str, Claim]:
    """Return a claim for each capability whose value is a boolean; other values are left out."""
    return {
        capability: Claim(value=value, evidence=Evidence.DECLARED, source=source)
        for capability, value in values.items()
        if isinstance(value, bool)
    }


def entry_and_props(entry: Entry, details: Entry) -> Described:
    """Read one *entry* of a listing, with the extra fields of llama.cpp and vLLM; *details* is llama.cpp's /props."""
    meta = mapping(entry.get("meta"))
    # For an adapter (LoRA), vLLM's `root` is the path of the adapter, not of the base model.
    root = None if entry.get("parent") else text(entry.get("root"))
    origin = text(details.get("model_path")) or _entries.origin(entry) or root
    facts = known(
        native_context_tokens=tokens(meta.get("n_ctx_train")) or None,
        served_context_tokens=context(entry),
        parameters=count(meta.get("n_params")) or _entries.parameters(entry),
        size_bytes=count(meta.get("size")) or None,
        quantization=text(meta.get("ftype"))
        or text(details.get("model_ftype"))
        or _entries.quantization(entry),
        format="gguf" if meta.get("ftype") else None,
        embedding_dimensions=count(meta.get("n_embd")) or None,
        input_modalities=tuple(_entries.taken(entry)) or None,
        output_modalities=tuple(_entries.given(entry)) or None,
    )
    kind, claims = kind_and_claims(entry, "/v1/models")
    claims |= _props(details)
    if _has_default_template(details) and kind == "unknown":
        kind = "embedding" if meta.get("vocab_type") == _WORD_PIECES else "completion"
    chats = claims.get(Capability.CHAT)
    return Described(
        kind="chat" if chats is not None and chats.value else kind,
        facts=facts,
        sources=dict.fromkeys(facts, "/v1/models"),
        claims=claims,
        origin=origin,
        price=price(entry, "/v1/models"),
        usual_kind=usual_kind(entry),
    )


def _props(details: Entry) -> dict[str, Claim]:
    """Return the claims in llama.cpp's /props: abilities of the chat template, and modalities."""
    if not details:
        return {}
    caps, can = mapping(details.get("chat_template_caps")), mapping(details.get("modalities"))
    if _has_default_template(details):
        source = "llama.cpp /props: its default template, for weights without one"
        return {Capability.CHAT: Claim(value=False, evidence=Evidence.INFERRED, source=source)}
    return declared(
        "llama.cpp /props",
        {
            Capability.CHAT: isinstance(details.get("chat_template"), str) and bool(details["chat_template"]),
            Capability.TOOLS: caps.get("supports_tools"),
            Capability.VISION: can.get("vision"),
            Capability.AUDIO: can.get("audio"),
        },
    )


# The template that llama.cpp reports for weights without a template (common/chat.cpp, recorded 2026-11-29).
_DEFAULT_TEMPLATE = (
    "{%- for message in messages -%}{{- '<|im_start|>' + message.role + '' + message.content + '<|im_end|>' -}}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{- '<|im_start|>assistant' -}}{%- endif -%}"
)


_WORD_PIECES = 3  # llama.cpp's number for the vocabulary of BERT, whose models embed and do not generate text


def _has_default_template(details: Entry) -> bool:
    """Return whether /props shows llama.cpp's default template: the weights have no chat template."""
    template = details.get("chat_template")
    return isinstance(template, str) and _plain(template) == _plain(_DEFAULT_TEMPLATE)


def _plain(template: str) -> str:
    return re.sub(r"\s|\\n", "", template)


# Arguments of llama-server that say what a model is started for (common/arg.cpp, 2026-09).
_STARTED_FOR: dict[str, Kind] = {
    "--rerank": "rerank",
    "--reranking": "rerank",
    "--embedding": "embedding",
    "--embeddings": "embedding",
}
_CONTEXT_ARGUMENTS = ("--ctx-size", "-c")
_SLOT_ARGUMENTS = ("--parallel", "-np")
_WEIGHT_ARGUMENTS = ("--hf-repo", "-hfr", "-hf", "--model", "-m")


def _llama_cpp_router(entry: Entry, _: Entry) -> Described:
    """Read an entry of llama.cpp's router: it also lists the arguments with which it starts the model."""
    described, source = entry_and_props(entry, {}), "/v1/models: arguments of llama-server"
    words = [text(one, 512) for one in sequence(mapping(entry.get("status")).get("args"))]
    values = {name: value for name, value in pairwise(words) if name}

    def value(names: tuple[str, ...]) -> str | None:
        return next((found for name in names if (found := values.get(name))), None)

    # The slots share the context only if it is not divided among a number of them.
    shares = 1 if {"--kv-unified", "-kvu"}.intersection(words) else tokens(value(_SLOT_ARGUMENTS)) or 1
    started = known(served_context_tokens=(tokens(value(_CONTEXT_ARGUMENTS)) or 0) // shares or None)
    kind = next((kind for name, kind in _STARTED_FOR.items() if name in words), described.kind)
    return msgspec.structs.replace(
        described,
        kind=kind,
        facts={**started, **described.facts},
        sources={**dict.fromkeys(started, source), **described.sources},
        origin=described.origin or value(_WEIGHT_ARGUMENTS),
    )


# Recipes of Lemonade whose models chat, unless their labels say otherwise (`oga`, `hf`: versions of 2025).
_CHAT_RECIPES = re.compile(r"(?:llamacpp|flm|ryzenai|vllm|cloud|oga|hf)\b")
# What a chat model can also take or write down; other labels with these words are those of models that do not chat.
_OF_CHAT_MODELS = frozenset(("vision", "chat-transcription"))


def _lemonade(entry: Entry, _: Entry) -> Described:
    """Read an entry of Lemonade's listing. `max_context_window` is the context of the weights, not of the server.

    Before `context_length` (August 2026), only the options of the recipe have the context size.
    """
    described, source = entry_and_props(entry, {}), "/v1/models"
    options = mapping(entry.get("recipe_options"))
    facts = {name: fact for name, fact in described.facts.items() if name != "served_context_tokens"}
    facts |= known(
        native_context_tokens=tokens(entry.get("max_context_window")) or None,
        served_context_tokens=tokens(entry.get("context_length")) or tokens(options.get("ctx_size")) or None,
    )
    kind, claims = described.kind, dict(described.claims)
    labels = {label for label in map(text, sequence(entry.get("labels"))) if label} - _OF_CHAT_MODELS
    recipe = text(entry.get("recipe"), 64) or ""
    if kind == "unknown" and Capability.CHAT not in claims:
        others = sorted(filter(_entries.is_of_other_kind, labels))
        chats = not others and _CHAT_RECIPES.match(recipe) is not None
        if others or chats:
            claims |= declared(f"{source}: {', '.join(others) or recipe}", {Capability.CHAT: chats})
        kind = "chat" if chats else kind
    return msgspec.structs.replace(
        described, kind=kind, facts=facts, sources=dict.fromkeys(facts, source), claims=claims
    )


def _docker_model_runner(entry: Entry, _: Entry) -> Described:
    """Read an entry of Docker Model Runner's listing, which has facts of the model under `dmr`."""
    about, source = mapping(entry.get("dmr")), "/v1/models: dmr"
    described = entry_and_props({**about, **entry}, {})
    facts = known(
        parameters=parameter_count(about.get("parameters")), architecture=text(about.get("architecture"))
    )
    return msgspec.structs.replace(
        described,
        facts={**described.facts, **facts},
        sources={**described.sources, **dict.fromkeys(facts, source)},
    )


def _omlx(entry: Entry, details: Entry) -> Described:
    """Read an entry, and from oMLX's own listing (*details*) the type of the model."""
    source = "oMLX /v1/models/status"
    described = entry_and_props(entry, {})
    kind, claims = kind_and_claims({"model_type": details.get("model_type")}, source)
    if details.get("model_type") == "vlm":
        claims |= declared(source, {Capability.VISION: True})
    return msgspec.structs.replace(described, kind=kind, claims={**described.claims, **claims})


def _omlx_by_name(body: Any) -> dict[str, Entry]:
    """Return oMLX's entries by name and alias, each with its `state`."""
    entries = [mapping(one) for one in sequence(mapping(body).get("models"))]
    states = {True: "loaded", False: "not-loaded"}
    return {
        str(name): {**entry, "state": states[entry.get("loaded") is True]}
        for entry in entries
        for name in (entry.get("id"), entry.get("model_alias"))
        if is_name(name)
    }


def _entry_alone(entry: Entry, _: Entry) -> Described:
    return entry_and_props(entry, {})


def _by_loader(body: Any) -> dict[str, Entry]:
    """Return text-generation-webui's loaded model by name, if *body* says which loader runs it."""
    name = mapping(body).get("model_name")
    return {str(name): mapping(body)} if is_name(name) and "loader" in body else {}


def _by_instances(body: Any) -> dict[str, Entry]:
    """Return NVIDIA Dynamo's instances by their endpoint."""
    entries = map(mapping, sequence(mapping(body).get("instances")))
    return {str(entry["endpoint"]): entry for entry in entries if is_name(entry.get("endpoint"))}


def _held_by_exo(body: Any, names: Collection[str]) -> set[str] | None:
    held = mapping(body).get("models")
    if not isinstance(held, list):
        return None
    return {name for one in map(mapping, held) if (name := text(one.get("name")))}


_OWNERS_OF_VLLM_MLX: dict[str, Kind] = {
    "vllm-mlx-embedding": "embedding",
    "vllm-mlx-reranker": "rerank",
}


def _vllm_mlx(entry: Entry, _: Entry) -> Described:
    """Read an entry of vllm-mlx's listing, whose owner shows the kind of the model."""
    described = entry_and_props(entry, {})
    kind = _OWNERS_OF_VLLM_MLX.get(text(entry.get("owned_by")) or "", described.kind)
    return msgspec.structs.replace(described, kind=kind)


def _held_by_llama_swap(body: Any, names: Collection[str]) -> set[str] | None:
    """Return the models that run. One that is loading counts: it was just called, and a call of another unloads it."""
    if "running" not in mapping(body):
        return None
    entries = [mapping(one) for one in sequence(body["running"])]
    return {name for one in entries if one.get("state") in LOADED and (name := text(one.get("model")))}


def _held_by_lemonade(body: Any, names: Collection[str]) -> set[str] | None:
    held = mapping(body).get("all_models_loaded")
    if not isinstance(held, list):
        return None
    return {name for one in map(mapping, held) if (name := text(one.get("model_name")))}


def _held_by_docker(body: Any, names: Collection[str]) -> set[str] | None:
    """Return the models that run. The runner names each as its caller did: `ai/smollm2`, or in full."""
    if not isinstance(body, list):
        return None
    held = {_in_full(name) for one in map(mapping, body) if (name := text(one.get("model_name")))}
    return {name for name in names if _in_full(name) in held}


def _in_full(name: str) -> str:
    """Return the name of a model in Docker's registry without the registry, with its namespace and tag."""
    path = name.removeprefix("index.").removeprefix("docker.io/")
    path = path if "/" in path else f"ai/{path}"
    return path if ":" in path.rpartition("/")[2] else f"{path}:latest"


# States of a loaded model (llama-swap, llama.cpp's router). A model that is loading counts as loaded: it was just
# called, and a call of another model would unload it.
LOADED: frozenset[object] = frozenset({"ready", "starting", "loaded", "loading"})
_LM_STUDIO_KINDS: dict[str | None, Kind] = {"llm": "chat", "vlm": "chat", "embeddings": "embedding"}


def _lm_studio(entry: Entry, details: Entry) -> Described:
    """Read LM Studio's own listing (*details*), which has more fields than its OpenAI listing."""
    kind = _LM_STUDIO_KINDS.get(text(details.get("type")), "unknown")
    facts = known(
        native_context_tokens=tokens(details.get("max_context_length")) or None,
        served_context_tokens=tokens(details.get("loaded_context_length")) or None,
        size_bytes=count(details.get("size_bytes")) or None,
        architecture=text(details.get("arch")),
        quantization=text(details.get("quantization")),
        format=text(details.get("compatibility_type")),
        input_modalities=("text", "image") if details.get("type") == "vlm" else None,
    )
    able = sequence(details.get("capabilities"))
    source = "LM Studio's own listing"
    claims = declared(
        source,
        {
            Capability.CHAT: True if kind == "chat" else None,
            Capability.EMBEDDING: True if kind == "embedding" else None,
            Capability.VISION: details.get("type") == "vlm" if kind == "chat" else None,
            # Versions before 0.3.16 have no `capabilities`: then tools are unknown.
            Capability.TOOLS: "tool_use" in able if "capabilities" in details and kind == "chat" else None,
        },
    )
    publisher, name = text(details.get("publisher")), text(entry.get("id"))
    return Described(
        kind=kind,
        facts=facts,
        sources=dict.fromkeys(facts, source),
        claims=claims,
        origin=f"{publisher}/{name}" if publisher and name and "/" not in name else None,
    )


def _text_generation_inference(entry: Entry, details: Entry) -> Described:
    """Read Text Generation Inference's /info (*details*), which describes its one model."""
    facts = known(
        served_context_tokens=tokens(details.get("max_total_tokens")) or None,
        quantization=text(details.get("quantize")) or text(details.get("model_dtype")),
    )
    generates = details.get("model_pipeline_tag", "text-generation") in (
        "text-generation",
        "image-text-to-text",
    )
    return Described(
        kind="chat" if generates else "unknown",
        facts=facts,
        sources=dict.fromkeys(facts, "Text Generation Inference /info"),
        claims=declared(
            "Text Generation Inference /info",
            {
                Capability.VISION: details.get("model_pipeline_tag") == "image-text-to-text"
                if details
                else None
            },
        ),
        origin=text(details.get("model_id")) or text(entry.get("id")),
    )


def _koboldcpp(entry: Entry, details: Entry) -> Described:
    """Read a listing, and from *details* the context size with which KoboldCpp was started."""
    described = entry_and_props(entry, {})
    served = tokens(details.get("value"))
    if not served:
        return described
    return msgspec.structs.replace(
        described,
        facts={**described.facts, "served_context_tokens": served},
        sources={
            **described.sources,
            "served_context_tokens": "KoboldCpp /api/extra/true_max_context_length",
        },
    )


def _localai(entry: Entry, details: Entry) -> Described:
    """Read LocalAI's abilities of a model (*details*): complete for a configured model, none for a bare file."""
    source = "LocalAI /v1/models/capabilities"
    kind, claims = kind_and_claims(details, source)
    if details.get("capabilities") and Capability.CHAT not in claims:
        claims |= declared(source, {Capability.CHAT: False})
    facts = known(
        input_modalities=modalities(details.get("input_modalities")),
        output_modalities=modalities(details.get("output_modalities")),
    )
    return Described(kind=kind, facts=facts, sources=dict.fromkeys(facts, source), claims=claims)


_EMBEDDERS: dict[str, Kind] = {"embedding": "embedding", "reranker": "rerank"}


def _text_embeddings_inference(entry: Entry, details: Entry) -> Described:
    """Read text-embeddings-inference's /info (*details*), which describes its one model."""
    source = "text-embeddings-inference /info"
    facts = known(served_context_tokens=tokens(details.get("max_input_length")) or None)
    kinds = (_EMBEDDERS[name] for name in mapping(details.get("model_type")) if name in _EMBEDDERS)
    return Described(
        kind=next(kinds, "unknown"),
        facts=facts,
        sources=dict.fromkeys(facts, source),
        claims=declared(source, {Capability.CHAT: False}),
        origin=text(details.get("model_id")),
    )


def listed_by_info(details: Any) -> list[Entry]:
    """Return the one entry for a server without a listing, from its `/info` (*details*); empty if there is no model."""
    info = mapping(details)
    name = info.get("served_model_name") or info.get("model_id")
    if not (is_name(name) and mapping(info.get("model_type"))):
        return []
    return [{"id": name, "owned_by": "text-embeddings-inference"}]


def _lm_studio_by_name(body: Any) -> dict[str, Entry]:
    """Return LM Studio's entries by name, in the form of `/api/v0/models`; entries of `/api/v1/models` are converted.

    An instance that is loaded under another name has an entry of its own, because requests can use that name.
    """
    entries = map(mapping, sequence(mapping(body).get("models")))
    named = {entry["key"]: entry for entry in entries if is_name(entry.get("key"))}
    return _by_id(body) | {
        name: _as_in_v0(entry, loaded)
        for key, entry in named.items()
        for name, loaded in _instances(key, entry).items()
    }


def _instances(key: str, entry: Entry) -> dict[str, Entry]:
    """Return the loaded instances of a model by name; under *key*, the model itself, the first instance."""
    loaded = [mapping(one) for one in sequence(entry.get("loaded_instances"))]
    by_name = {one["id"]: one for one in loaded if is_name(one.get("id"))}
    return {key: loaded[0] if loaded else {}} | by_name


def _as_in_v0(entry: Entry, loaded: Entry) -> Entry:
    able = mapping(entry.get("capabilities"))
    tools = able.get("trained_for_tool_use")
    sees = able.get("vision") is True
    details = {
        "id": entry["key"],
        "type": {"llm": "vlm" if sees else "llm", "embedding": "embeddings"}.get(
            text(entry.get("type")) or ""
        ),
        "publisher": entry.get("publisher"),
        "arch": entry.get("architecture"),
        "quantization": mapping(entry.get("quantization")).get("name"),
        "compatibility_type": entry.get("format"),
        "size_bytes": entry.get("size_bytes"),
        "state": "loaded" if loaded else "not-loaded",
        "max_context_length": entry.get("max_context_length"),
        "loaded_context_length": mapping(loaded.get("config")).get("context_length"),
    }
    return details | ({"capabilities": ["tool_use"] if tools else []} if isinstance(tools, bool) else {})


def _by_id(body: Any) -> dict[str, Entry]:
    """Return the entries of the listing *body* by their id."""
    entries = map(mapping, sequence(mapping(body).get("data")))
    return {entry["id"]: entry for entry in entries if is_name(entry.get("id"))}


def _is_loading_state(chunk: Mapping[str, Any]) -> bool:
    """Return whether *chunk* is llama-swap's progress report while it loads the model (`sendLoadingState`).

    Such a chunk has no id, and only reasoning (source code of llama-swap, 2026-11).
    """
    choice = mapping(next(iter(sequence(chunk.get("choices"))), None))
    return chunk.keys() == {"choices"} and mapping(choice.get("delta")).keys() == {"reasoning_content"}


class Flavour(Struct, frozen=True, kw_only=True):
    """How one server differs from the bare protocol."""

    name: str
    serves_own: bool = True  # it runs the models that it lists: at an address of your own, calls are free
    runs: Kind = "unknown"  # the kind of its models if neither the listing nor a name shows it
    owned_by: tuple[str, ...] = ()  # values of `owned_by` in its listing
    owned_by_itself: bool = False  # in its listing, `owned_by` is the id of the model
    server_header: str | None = None
    entry_field: str | None = None  # a field of its listing
    status_of_each: bool = (
        False  # each entry of its listing has a `status`, an object with a `value`: loaded or not
    )
    status_by_owner: bool = False  # as `status_of_each`, and `owned_by` is the author in the model's name
    passes_on: str | None = None  # why calls may go to a paid service; ignored if `flavour` is configured
    locality: Locality = "unknown"
    resident: Literal["always", "by_status", "by_state", "by_list", "by_system", "unknown"] = "unknown"
    held_at: str = ""  # for `by_list` and `lists_more`: the path that lists the loaded models, without `v1/`
    # Reads the reply of `held_at`, with the names of the listing: the names of the loaded models, None if unreadable.
    held: Callable[[Any, Collection[str]], set[str] | None] = lambda body, names: None
    lists_more: bool = (
        False  # it also lists models that it does not run; only those at `held_at` can be called
    )
    health: str | None = None  # the path of its health check: 503 while a model loads
    version: str | None = None  # a path that returns {"version": …}
    props: str | None = None  # a path that describes its one model
    native: str | None = None  # the path of its own listing, in addition to OpenAI's
    native_before: str | None = None  # the path of `native` in older versions
    natively: Callable[[Any], dict[str, Entry]] = _by_id  # reads the reply of `native`: entries by name
    reads: Callable[[Entry, Entry], Described] = (
        entry_and_props  # reads an entry, and the details from `props` or `native`
    )
    metrics: Metrics | None = None  # the names of its load metrics in /metrics
    load: str | None = None  # a path that reports the number of requests, used if /metrics is off
    load_before: str | None = None  # the path of `load` in older versions
    slots: str | None = None  # a path that lists slots with `is_processing`, used if /metrics is off
    slots_of_each: str | None = None  # as `slots`, for each loaded model of a server that runs several
    record: str | None = (
        None  # the path of its latest requests, the newest first, each with model and timestamp
    )
    reranks_texts: bool = False  # its `/rerank` takes `texts` and returns an array of scores
    quiet: str | None = None  # if its listing disturbs it: the path of its OpenAPI document, which does not
    titled: str = ""  # the title of the document at `quiet`
    disturbs: str | None = None  # why a call breaks off the answers to other callers
    answers_any_name: bool = False  # it answers a request for an unknown model with another model
    # Returns whether the server, not the model, wrote a chunk of a stream.
    writes_into_streams: Callable[[Mapping[str, Any]], bool] | None = None
    reasons: bool = False  # its models may reason: no temperature; the token limit includes reasoning


# Each request takes the lock of its one model, except requests for its API documents. By default
# (`interrupt_requests`) a stream ends when another request, such as a listing, waits for that lock
# (llama_cpp/server/app.py, 0.3.36).
LLAMA_CPP_PYTHON = Flavour(
    name="llama-cpp-python",
    runs="chat",
    owned_by=("me",),
    locality="local",
    quiet="openapi.json",
    titled="llama.cpp Python API",
    disturbs="llama-cpp-python ends a running stream when another request comes in (interrupt_requests)",
    answers_any_name=True,
)
FLAVOURS = (
    Flavour(
        name="llama-swap",
        runs="chat",
        owned_by=("llama-swap",),
        locality="local",
        resident="by_list",
        held_at="running",
        held=_held_by_llama_swap,
        health="health",
        # Not `upstream/{model}/slots`: it would reload a model that was just swapped out.
        record="api/metrics/activity?limit=50",
        writes_into_streams=_is_loading_state,
    ),
    # It downloads a model that is not listed, as mlx does. answers_any_name prevents such a request.
    Flavour(
        name="transformers",
        runs="chat",
        status_by_owner=True,
        locality="local",
        resident="by_status",
        health="health",
        answers_any_name=True,
    ),
    Flavour(
        name="llama.cpp-router",
        runs="chat",
        status_of_each=True,
        locality="local",
        resident="by_status",
        health="health",
        reads=_llama_cpp_router,
        slots_of_each="slots?model={model}&autoload=false",
    ),
    Flavour(
        name="llama.cpp",
        runs="chat",
        owned_by=("llamacpp",),
        server_header="llama.cpp",
        locality="local",
        resident="always",
        health="health",
        props="props",
        metrics=_metrics.LLAMA_CPP,
        slots="slots",
        answers_any_name=True,
    ),
    Flavour(
        name="sglang",
        runs="chat",
        owned_by=("sglang",),
        locality="local",
        resident="always",
        # Not its /health, which generates a token.
        metrics=_metrics.SGLANG,
        load="v1/loads?include=core",
        load_before="get_load",
    ),
    Flavour(
        name="omlx",
        runs="chat",
        owned_by=("omlx",),
        locality="local",
        health="health",
        native="v1/models/status",
        natively=_omlx_by_name,
        resident="by_state",
        reads=_omlx,
    ),
    Flavour(
        name="vllm-mlx",
        runs="chat",
        owned_by=("vllm-mlx", *_OWNERS_OF_VLLM_MLX),
        locality="local",
        reads=_vllm_mlx,
        answers_any_name=True,
    ),
    Flavour(
        name="aphrodite",
        runs="chat",
        owned_by=("aphrodite",),
        locality="local",
        resident="always",
        health="health",
        metrics=_metrics.APHRODITE,
    ),
    Flavour(
        name="vllm",
        runs="chat",
        owned_by=("vllm",),
        entry_field="max_model_len",
        locality="local",
        resident="always",
        health="health",
        version="version",
        metrics=_metrics.VLLM,
        load="load",
    ),
    Flavour(
        name="lm-studio",
        runs="chat",
        owned_by=("organization_owner",),
        locality="local",
        native="api/v1/models",
        native_before="api/v0/models",
        natively=_lm_studio_by_name,
        resident="by_state",
        reads=_lm_studio,
        answers_any_name=True,  # it loads the named model, or answers with the loaded model
    ),
    Flavour(
        name="text-generation-inference",
        runs="chat",
        owned_by_itself=True,
        locality="local",
        resident="always",
        health="health",
        version="info",
        props="info",
        reads=_text_generation_inference,
        metrics=_metrics.TGI,
        answers_any_name=True,
    ),
    Flavour(name="ollama", runs="chat", owned_by=("library",), version="api/version"),
    LLAMA_CPP_PYTHON,
    Flavour(
        name="koboldcpp",
        runs="chat",
        owned_by=("koboldcpp",),
        locality="local",
        resident="always",
        version="api/extra/version",
        props="api/extra/true_max_context_length",
        reads=_koboldcpp,
        load="api/extra/perf",
        answers_any_name=True,
    ),
    Flavour(name="tabbyapi", runs="chat", owned_by=("tabbyAPI",), locality="local", answers_any_name=True),
    Flavour(
        name="lmdeploy",
        runs="chat",
        owned_by=("lmdeploy",),
        locality="local",
        metrics=_metrics.LMDEPLOY,
    ),
    Flavour(name="tensorrt-llm", runs="chat", owned_by=("tensorrt_llm",), locality="local"),
    Flavour(name="mlc-llm", runs="chat", owned_by=("MLC-LLM",), locality="local"),
    Flavour(name="openvino", owned_by=("OVMS",), locality="local"),
    Flavour(
        name="lemonade",
        owned_by=("lemonade",),
        locality="local",
        reads=_lemonade,
        resident="by_list",
        held_at="v1/health",
        held=_held_by_lemonade,
    ),
    # It lists all models that it knows. A call of one without an instance on its cluster is refused.
    Flavour(
        name="exo",
        runs="chat",
        owned_by=("exo",),
        locality="local",
        resident="always",
        held_at="ollama/api/ps",
        held=_held_by_exo,
        lists_more=True,
    ),
    Flavour(name="ray-serve", runs="chat", entry_field="rayllm_metadata", locality="local"),
    Flavour(name="triton", owned_by=("Triton Inference Server",), locality="local"),
    Flavour(
        name="gpustack",
        owned_by=("gpustack",),
        locality="local",
        passes_on="GPUStack may pass calls on to a hosted service (its providers)",
    ),
    Flavour(
        name="docker-model-runner",
        runs="chat",
        owned_by=("docker",),
        locality="local",
        reads=_docker_model_runner,
        resident="by_list",
        held_at="ps",
        held=_held_by_docker,
    ),
    Flavour(
        name="infinity",
        runs="embedding",
        owned_by=("infinity",),
        locality="local",
        resident="always",
        health="health",
    ),
    # Xinference lists only models that run.
    Flavour(name="xinference", owned_by=("xinference",), locality="local", resident="always"),
    # Its listing has no mark. It is recognised only by the setting `flavour`.
    Flavour(name="mlx", runs="chat", locality="local", health="health", answers_any_name=True),
    Flavour(
        name="text-embeddings-inference",
        runs="embedding",
        owned_by=("text-embeddings-inference",),
        locality="local",
        resident="always",
        health="health",
        version="info",
        props="info",
        reads=_text_embeddings_inference,
        reranks_texts=True,
        answers_any_name=True,
    ),
)
GENERIC = Flavour(name="generic", serves_own=False, answers_any_name=True)
# Recognised by its reply to `/model/info`, because its listing looks like OpenAI's.
LITELLM = Flavour(
    name="litellm",
    serves_own=False,
    native="model/info",
    natively=_litellm.by_name,
    reads=_litellm.read,
    metrics=_metrics.LITELLM,
    load="health/backlog",
    answers_any_name=True,
)
# Recognised by its reply to `/v1/models/capabilities`, because its listing has only names.
LOCALAI = Flavour(
    name="localai",
    passes_on="LocalAI may pass calls on to a hosted service (backend cloud-proxy)",
    locality="local",
    native="v1/models/capabilities",
    reads=_localai,
    resident="by_system",
    health="readyz",
)


# Recognised by their replies to `native`, because other servers list these owners too.
TEXT_GENERATION_WEBUI = Flavour(
    name="text-generation-webui",
    runs="chat",
    locality="local",
    resident="always",  # it lists the model that it has loaded
    native="v1/internal/model/info",
    natively=_by_loader,
    reads=_entry_alone,
    answers_any_name=True,
)
DYNAMO = Flavour(
    name="dynamo",
    runs="chat",
    locality="local",
    resident="always",
    native="health",
    natively=_by_instances,
    reads=_entry_alone,
    metrics=_metrics.DYNAMO,
)
_BY_REPLY = {"user": TEXT_GENERATION_WEBUI, "nvidia": DYNAMO}  # by the owner of all entries
RECOGNISED_BY_REPLY = (LITELLM, LOCALAI, *_BY_REPLY.values())


def likely(entries: list[Entry], headers: Mapping[str, str]) -> Flavour | None:
    """Return the flavour whose reply to `native` is worth a request, or None."""
    if may_be_litellm(entries, headers):
        return LITELLM
    if may_be_localai(entries):
        return LOCALAI
    owners = {text(entry.get("owned_by")) or "" for entry in entries}
    return _BY_REPLY.get(owners.pop()) if len(owners) == 1 else None


def may_be_localai(entries: list[Entry]) -> bool:
    """Return whether *entries* may be LocalAI's: each has `id` and `object`, and no other field."""
    return bool(entries) and all(entry.keys() == {"id", "object"} for entry in entries)


def _has_status_and_author(entry: Entry) -> bool:
    """Return whether the status of *entry* is only a `value`, and its owner is the author in its name, or `local`."""
    owner, name = text(entry.get("owned_by")), text(entry.get("id")) or ""
    is_author = owner == "local" or (bool(owner) and name.startswith(f"{owner}/"))
    return is_author and mapping(entry.get("status")).keys() == {"value"}


def detect(entries: list[Entry], server_header: str) -> Flavour:
    """Return the flavour of the server that sent *entries* with *server_header*; GENERIC if it is not recognised.

    A field counts only if no other mark shows the server: several servers list vLLM's `max_model_len`.
    """
    marked = (flavour for flavour in FLAVOURS if _is_marked(flavour, entries, server_header))
    fields = {name for entry in entries for name in entry}
    with_field = (flavour for flavour in FLAVOURS if flavour.entry_field in fields)
    return next(marked, None) or next(with_field, GENERIC)


def _is_marked(flavour: Flavour, entries: list[Entry], server_header: str) -> bool:
    by_owner = any(entry.get("owned_by") in flavour.owned_by for entry in entries)
    by_itself = flavour.owned_by_itself and any(e.get("owned_by") == e.get("id") for e in entries)
    by_status = flavour.status_of_each and any("value" in mapping(e.get("status")) for e in entries)
    by_author = flavour.status_by_owner and any(map(_has_status_and_author, entries))
    by_header = flavour.server_header is not None and flavour.server_header == server_header
    return by_owner or by_itself or by_status or by_author or by_header
