"""The differences between servers with OpenAI's protocol: one `Flavour` for each server.

`_native` reads what each says in its own formats.

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

from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

from msgspec import Struct

from vedette.providers import Described, _litellm, _metrics, _native
from vedette.providers._entries import Entry
from vedette.providers._gateways import may_be_litellm
from vedette.providers._lenient import mapping, sequence, text
from vedette.providers._metrics import Metrics
from vedette.types import Kind, Locality


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
    # Each entry of its listing has a `status`, an object with a `value`: loaded or not.
    status_of_each: bool = False
    status_by_owner: bool = False  # as `status_of_each`, and `owned_by` is the author in the model's name
    passes_on: str | None = None  # why calls may go to a paid service; ignored if `flavour` is configured
    locality: Locality = "unknown"
    resident: Literal["always", "by_status", "by_state", "by_list", "by_system", "unknown"] = "unknown"
    held_at: str = ""  # for `by_list` and `lists_more`: the path that lists the loaded models, without `v1/`
    # Reads the reply of `held_at`, with the names of the listing: the names of the loaded models, None if unreadable.
    held: Callable[[Any, Collection[str]], set[str] | None] = lambda body, names: None
    # It also lists models that it does not run; only the models at `held_at` can be called.
    lists_more: bool = False
    health: str | None = None  # the path of its health check: 503 while a model loads
    version: str | None = None  # a path that returns {"version": …}
    props: str | None = None  # a path that describes its one model
    native: str | None = None  # the path of its own listing, in addition to OpenAI's
    native_before: str | None = None  # the path of `native` in older versions
    # Reads the reply of `native`: its entries by name.
    natively: Callable[[Any], dict[str, Entry]] = _native.by_id
    # Reads an entry of the listing, and the details from `props` or `native`.
    reads: Callable[[Entry, Entry], Described] = _native.entry_and_props
    metrics: Metrics | None = None  # the names of its load metrics in /metrics
    load: str | None = None  # a path that reports the number of requests, used if /metrics is off
    load_before: str | None = None  # the path of `load` in older versions
    slots: str | None = None  # a path that lists slots with `is_processing`, used if /metrics is off
    slots_of_each: str | None = None  # as `slots`, for each loaded model of a server that runs several
    # The path of its latest requests, the newest first, each with model and timestamp.
    record: str | None = None
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
        held=_native.held_by_llama_swap,
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
        reads=_native.llama_cpp_router,
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
        natively=_native.omlx_by_name,
        resident="by_state",
        reads=_native.omlx,
    ),
    Flavour(
        name="vllm-mlx",
        runs="chat",
        owned_by=("vllm-mlx", *_native.OWNERS_OF_VLLM_MLX),
        locality="local",
        reads=_native.vllm_mlx,
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
        natively=_native.lm_studio_by_name,
        resident="by_state",
        reads=_native.lm_studio,
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
        reads=_native.text_generation_inference,
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
        reads=_native.koboldcpp,
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
        reads=_native.lemonade,
        resident="by_list",
        held_at="v1/health",
        held=_native.held_by_lemonade,
    ),
    # It lists all models that it knows. A call of one without an instance on its cluster is refused.
    Flavour(
        name="exo",
        runs="chat",
        owned_by=("exo",),
        locality="local",
        resident="always",
        held_at="ollama/api/ps",
        held=_native.held_by_exo,
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
        reads=_native.docker_model_runner,
        resident="by_list",
        held_at="ps",
        held=_native.held_by_docker,
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
        reads=_native.text_embeddings_inference,
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
    reads=_native.localai,
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
    natively=_native.by_loader,
    reads=_native.entry_alone,
    answers_any_name=True,
)
DYNAMO = Flavour(
    name="dynamo",
    runs="chat",
    locality="local",
    resident="always",
    native="health",
    natively=_native.by_instances,
    reads=_native.entry_alone,
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
