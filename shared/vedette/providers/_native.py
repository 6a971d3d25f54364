"""Reads what servers with OpenAI's protocol say of their models in their own formats.

A flavour (`_flavours`) names its readers: of an entry of a listing, of the server's own listing, of the list of loaded
models. The sources of the formats are given there.
"""

import re
from collections.abc import Collection, Mapping
from itertools import pairwise
from typing import Any

import msgspec

from vedette.providers import Described, _entries
from vedette.providers._entries import Entry, context, kind_and_claims, usual_kind
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
from vedette.providers._prices import price
from vedette.types import Capability, Claim, Evidence, Kind


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


def llama_cpp_router(entry: Entry, _: Entry) -> Described:
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


def lemonade(entry: Entry, _: Entry) -> Described:
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


def docker_model_runner(entry: Entry, _: Entry) -> Described:
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


def omlx(entry: Entry, details: Entry) -> Described:
    """Read an entry, and from oMLX's own listing (*details*) the type of the model."""
    source = "oMLX /v1/models/status"
    described = entry_and_props(entry, {})
    kind, claims = kind_and_claims({"model_type": details.get("model_type")}, source)
    if details.get("model_type") == "vlm":
        claims |= declared(source, {Capability.VISION: True})
    return msgspec.structs.replace(described, kind=kind, claims={**described.claims, **claims})


def omlx_by_name(body: Any) -> dict[str, Entry]:
    """Return oMLX's entries by name and alias, each with its `state`."""
    entries = [mapping(one) for one in sequence(mapping(body).get("models"))]
    states = {True: "loaded", False: "not-loaded"}
    return {
        str(name): {**entry, "state": states[entry.get("loaded") is True]}
        for entry in entries
        for name in (entry.get("id"), entry.get("model_alias"))
        if is_name(name)
    }


def entry_alone(entry: Entry, _: Entry) -> Described:
    return entry_and_props(entry, {})


def by_loader(body: Any) -> dict[str, Entry]:
    """Return text-generation-webui's loaded model by name, if *body* says which loader runs it."""
    name = mapping(body).get("model_name")
    return {str(name): mapping(body)} if is_name(name) and "loader" in body else {}


def by_instances(body: Any) -> dict[str, Entry]:
    """Return NVIDIA Dynamo's instances by their endpoint."""
    entries = map(mapping, sequence(mapping(body).get("instances")))
    return {str(entry["endpoint"]): entry for entry in entries if is_name(entry.get("endpoint"))}


def held_by_exo(body: Any, names: Collection[str]) -> set[str] | None:
    held = mapping(body).get("models")
    if not isinstance(held, list):
        return None
    return {name for one in map(mapping, held) if (name := text(one.get("name")))}


OWNERS_OF_VLLM_MLX: dict[str, Kind] = {
    "vllm-mlx-embedding": "embedding",
    "vllm-mlx-reranker": "rerank",
}


def vllm_mlx(entry: Entry, _: Entry) -> Described:
    """Read an entry of vllm-mlx's listing, whose owner shows the kind of the model."""
    described = entry_and_props(entry, {})
    kind = OWNERS_OF_VLLM_MLX.get(text(entry.get("owned_by")) or "", described.kind)
    return msgspec.structs.replace(described, kind=kind)


def held_by_llama_swap(body: Any, names: Collection[str]) -> set[str] | None:
    """Return the models that run. One that is loading counts: it was just called, and a call of another unloads it."""
    if "running" not in mapping(body):
        return None
    entries = [mapping(one) for one in sequence(body["running"])]
    return {name for one in entries if text(one.get("state")) in LOADED and (name := text(one.get("model")))}


def held_by_lemonade(body: Any, names: Collection[str]) -> set[str] | None:
    held = mapping(body).get("all_models_loaded")
    if not isinstance(held, list):
        return None
    return {name for one in map(mapping, held) if (name := text(one.get("model_name")))}


def held_by_docker(body: Any, names: Collection[str]) -> set[str] | None:
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


def lm_studio(entry: Entry, details: Entry) -> Described:
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


def text_generation_inference(entry: Entry, details: Entry) -> Described:
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


def koboldcpp(entry: Entry, details: Entry) -> Described:
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


def localai(entry: Entry, details: Entry) -> Described:
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


def text_embeddings_inference(entry: Entry, details: Entry) -> Described:
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


def lm_studio_by_name(body: Any) -> dict[str, Entry]:
    """Return LM Studio's entries by name, in the form of `/api/v0/models`; entries of `/api/v1/models` are converted.

    An instance that is loaded under another name has an entry of its own, because requests can use that name.
    """
    entries = map(mapping, sequence(mapping(body).get("models")))
    named = {entry["key"]: entry for entry in entries if is_name(entry.get("key"))}
    return by_id(body) | {
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


def by_id(body: Any) -> dict[str, Entry]:
    """Return the entries of the listing *body* by their id."""
    entries = map(mapping, sequence(mapping(body).get("data")))
    return {entry["id"]: entry for entry in entries if is_name(entry.get("id"))}
