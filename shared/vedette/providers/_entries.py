"""Reads entries of a listing in OpenAI's form: kind, abilities, context, and the day on which a model is retired.

Fields by the API references of Together, Mistral, Groq, Azure OpenAI, LiteLLM, Open WebUI and Xinference, 2026-11-29.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from vedette.providers._lenient import (
    decimal,
    http_date,
    mapping,
    moment,
    number,
    score,
    sequence,
    since_epoch,
    text,
    tokens,
)
from vedette.providers.redaction import REDACTED
from vedette.types import Capability, Claim, Evidence, Kind

Entry = Mapping[str, Any]
# Fields that name the kind of a model, and their values for models that Vedette can call.
_KIND_FIELDS: Final = ("sub_type", "type", "mode", "task", "model_type", "reported_type", "pipeline_tag")
_KINDS: Final[Mapping[str, Kind]] = {
    "chat": "chat",
    "chat-completion": "chat",
    "llm/v1/chat": "chat",  # Databricks
    "llm/v1/completions": "completion",
    "llm/v1/embeddings": "embedding",
    "llm": "chat",
    "vlm": "chat",
    "code": "chat",
    "responses": "chat",
    "text-generation": "chat",
    "image-text-to-text": "chat",
    "audio-text-to-text": "chat",
    "video-text-to-text": "chat",
    "completion": "completion",
    "embedding": "embedding",
    "embeddings": "embedding",
    "feature-extraction": "embedding",
    "sentence-similarity": "embedding",
    "text-embedding": "embedding",
    "ranking": "rerank",
    "text-ranking": "rerank",
    "rerank": "rerank",
    "reranker": "rerank",
    "reranking": "rerank",
}
# Values of these fields for other kinds of models. A value in neither list leaves the kind unknown.
_OTHER: Final = re.compile(
    r"(?:image|audio|speech|video)(?![-_]text[-_]to[-_]text)|music|moderation|transcri|ocr\Z|realtime|diffusion|text-to-(?!text)|search\Z|vector_store"
    r"|classif|segment|detection|inpaint|upscale|\b(?:stt|tts|asr|3d)\b"
)
# Values for models that write text (Vercel, Venice). The name of such a model may show that it does not chat.
_WRITES: Final = frozenset(("text", "language", "multimodal", "text-to-text", "text2text-generation"))
# Field names for the context size, likeliest first, in lower case without `_`.
_CONTEXTS: Final = (
    "maxmodellen", "contextlength", "contextwindow", "maxcontextlength", "maxinputtokens", "maxcontexttokens",
    "maxcontextwindow", "maxcontextwindowtokens", "contextwindowtokens", "contextsize", "availablecontexttokens",
    "inputtokenlimit", "maxsequencelength", "maxseqlen", "maxtotaltokens", "maxrequestcontextlength", "nctx",
)  # fmt: skip
# Names of boolean fields for one ability, in lower case without `_` and `supports`. They are in `capabilities`
# (Mistral, Azure OpenAI; GitHub Copilot: in its `supports`) or in the entry (Fireworks, Requesty, Moonshot, Foundry
# Local, models.dev).
_ABILITIES: Final[Mapping[str, Capability]] = {
    "completionchat": Capability.CHAT,
    "chatcompletion": Capability.CHAT,
    "chat": Capability.CHAT,
    "functioncalling": Capability.TOOLS,
    "toolcalling": Capability.TOOLS,
    "toolcalls": Capability.TOOLS,
    "toolcall": Capability.TOOLS,
    "tools": Capability.TOOLS,
    "vision": Capability.VISION,
    "imageinput": Capability.VISION,
    "imagein": Capability.VISION,
    "completionfim": Capability.INSERT,
    "embeddings": Capability.EMBEDDING,
    "reranker": Capability.RERANK,
    "structuredoutputs": Capability.JSON_SCHEMA,
    "structuredoutput": Capability.JSON_SCHEMA,
    "responseschema": Capability.JSON_SCHEMA,
    "reasoning": Capability.THINKING,
}
# Fields with lists of abilities: infinity and LocalAI (`capabilities`), Xinference (`model_ability`), Cohere
# (`endpoints`, `features`), new-api (`supported_endpoint_types`), Lemonade (`labels`), GPUStack (`categories`), exo
# (`tasks`), and services that serve models through OpenRouter (`supported_features`).
_ABILITY_LISTS: Final = (
    "capabilities", "model_ability", "endpoints", "supported_endpoints", "supported_endpoint_types", "labels",
    "categories", "tasks", "features", "supported_features",
)  # fmt: skip
_ABILITY_WORDS: Final[Mapping[str, Capability]] = {
    "chat": Capability.CHAT,
    "llm": Capability.CHAT,
    "chat/completions": Capability.CHAT,
    "text-generation": Capability.CHAT,
    "generate": Capability.COMPLETION,
    "completion": Capability.COMPLETION,
    "completions": Capability.COMPLETION,
    "embed": Capability.EMBEDDING,
    "embedding": Capability.EMBEDDING,
    "embeddings": Capability.EMBEDDING,
    "rerank": Capability.RERANK,
    "jina-rerank": Capability.RERANK,
    "reranking": Capability.RERANK,
    "reranker": Capability.RERANK,
    "tool-calling": Capability.TOOLS,
    "function-calling": Capability.TOOLS,
    "structured-outputs": Capability.JSON_SCHEMA,
    "json-schema": Capability.JSON_SCHEMA,
    "vision": Capability.VISION,
    "tools": Capability.TOOLS,
    "reasoning": Capability.THINKING,
    "thinking": Capability.THINKING,
}
# Paths and names of other APIs in such a list. Without a path for chat completions too, the model does not chat by them
# (GitHub Copilot's newer models; new-api writes `openai-response`). `response_format` is none of them.
_OTHER_APIS: Final = re.compile(r"(?:^|/|openai-)(?:responses?|messages)(?:-compact)?\Z")
_ENDS: Final = (
    "expiration_date",
    "deprecation",
    "deprecation_date",
    "shutdown_date",
    "retirement_date",
    "sunset_date",
    "end_of_life",
    "eol",
    "end_date",
    "discontinued_at",
    "shutdown_at",
    "retires_at",
)
_FIRST_MODELS: Final = datetime(2000, 1, 1, tzinfo=UTC)  # an earlier date means that no date is set
# `downloaded`: a call makes Lemonade download the model; `available_on_current_plan`: Featherless.
_SWITCHES: Final = (
    "active", "enabled", "available", "is_active", "downloaded", "available_on_current_plan",
)  # fmt: skip
_SWITCHED_OFF: Final = ("archived", "disabled", "retired")
_OFF: Final = frozenset(
    ("offline", "disabled", "retired", "removed", "shutdown", "end_of_life", "downloading")
)
_SHORT_COUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([kKmM])?(?:\s*tokens)?\Z")


def is_offered(entry: Entry, now: datetime) -> bool:
    """Return whether *entry* is a model that can be called: not a name pattern, not switched off, not retired."""
    name = text(entry.get("id")) or ""
    ends = retires_at(entry)
    is_pattern = name.endswith("*") and not name.endswith(REDACTED)
    return (
        not is_pattern
        and all(entry.get(one) is not False for one in _SWITCHES)
        and not _is_switched_off(entry)
        and (ends is None or ends > now)
    )


def _is_switched_off(entry: Entry) -> bool:
    """Return whether *entry* is archived, disabled, retired, off by policy (GitHub Copilot), or offline (Venice).

    Or its weights are not complete yet (llama.cpp's router).
    """
    given = [entry.get(name) for name in ("status", "state", "lifecycle_status")]
    states = (text(one, 32) or text(mapping(one).get("value"), 32) or "" for one in given)
    return (
        any(entry.get(name) is True for name in _SWITCHED_OFF)
        or any(state.lower() in _OFF for state in states)
        or mapping(entry.get("policy")).get("state") == "disabled"
        or mapping(entry.get("model_spec")).get("offline") is True
        or mapping(entry.get("capabilities")).get("inference") is False  # Azure OpenAI: for fine-tuning only
    )


def retires_at(entry: Entry) -> datetime | None:
    """Return the time at which the service retires the model (UTC), or None if *entry* names none."""
    for name in _ENDS:
        if (value := entry.get(name)) is not None:
            for given in (value, mapping(value).get("inference")):
                if at := _moment(given):
                    return at
    return None


def _moment(value: object) -> datetime | None:
    amount = decimal(value) if isinstance(value, str) else score(value)
    at = since_epoch(amount) if amount is not None else moment(value) or http_date(value)
    if at is None or at < _FIRST_MODELS:
        return None
    # A date without a time means the end of that day in UTC.
    is_day = isinstance(value, str) and len(value) == len("2026-01-01") and amount is None
    return at.replace(hour=23, minute=59) if is_day else at


def context(entry: Entry) -> int | None:
    """Return the served context of *entry* in tokens, or None. Entries write a number, or a text such as `128k`."""
    places = (
        mapping(entry.get("top_provider")),
        entry,
        *(mapping(entry.get(name)) for name in ("meta", "metadata", "model_spec", "rayllm_metadata")),
        mapping(entry.get("limits")),  # GitHub Models
        mapping(mapping(entry.get("capabilities")).get("limits")),  # GitHub Copilot
        {"context_length": mapping(entry.get("limit")).get("context")},  # models.dev
    )
    return next(filter(None, map(_named_context, places)), None) or min(
        filter(None, (_named_context(mapping(one)) for one in sequence(entry.get("providers")))), default=None
    )


def _named_context(place: Entry) -> int | None:
    named = (
        one for value in _contexts(place) for one in (value, *_contexts(mapping(value)))
    )  # Poe: an object
    return next(filter(None, map(_tokens, named)), None)


def _contexts(place: Entry) -> list[object]:
    given = {_joined(name): value for name, value in place.items()}
    return [given[name] for name in _CONTEXTS if name in given]


def _joined(name: str) -> str:
    """Return *name* in lower case without `_`, so that `maxTokens` and `max_tokens` are equal."""
    return name.lower().replace("_", "")


def _tokens(value: object) -> int | None:
    if isinstance(value, str) and (found := _SHORT_COUNT.match(value.strip().replace(",", ""))):
        scale = {"k": 1000, "m": 1_000_000}.get((found[2] or "").lower(), 1)
        amount = decimal(found[1])
        return tokens(int(amount * scale)) if amount is not None and amount < 1e9 else None
    return tokens(value)


def kind_and_claims(entry: Entry, source: str) -> tuple[Kind, dict[str, Claim]]:
    """Return the kind of model that *entry* declares ("unknown" if none), and the abilities it declares or denies.

    *source* is named as the source of each claim.
    """
    claims = _declared_abilities(entry, source)
    for name in _KIND_FIELDS:
        kind_text = _word(entry.get(name)) or _word(mapping(entry.get("capabilities")).get(name))
        kind = _KINDS.get(kind_text)
        if kind == "chat" and Capability.COMPLETION in claims and Capability.CHAT not in claims:
            kind = "completion"  # Xinference lists base models with the type LLM too
        if kind is not None:
            chats = claims.setdefault(
                Capability.CHAT, _declared(kind == "chat", f"{source}: {name} {kind_text}")
            )
            return "unknown" if kind == "chat" and not chats.value else kind, claims
        if _OTHER.search(kind_text.replace("-", "_")) or _OTHER.search(kind_text):
            claims[Capability.CHAT] = _declared(False, f"{source}: {name} {kind_text}")
            return "unknown", claims
    answers = given(entry)
    if "embeddings" in answers:
        return "embedding", claims
    if answers and "text" not in answers:
        claims[Capability.CHAT] = _declared(False, f"{source}: its answers are {', '.join(answers)}")
    if taken(entry) == ["audio"]:
        claims[Capability.CHAT] = _declared(False, f"{source}: it takes audio only")
    for capability, kind in _BY_ABILITY:
        if (claim := claims.get(capability)) is not None and claim.value:
            return kind, claims
    return "unknown", claims


def is_of_other_kind(word: str) -> bool:
    """Return whether *word*, an ability or a label, is that of a model that Vedette cannot call."""
    return _OTHER.search(word) is not None


def _word(value: object) -> str:
    """Return *value*, a text or an object with a `name` (Cloudflare), in lower case with `-` between words."""
    found = text(value, 64) or text(mapping(value).get("name"), 64) or ""
    return re.sub(r"[_ ]+", "-", found.lower())


def origin(entry: Entry) -> str | None:
    """Return the repository or file of the weights in *entry* (Lemonade, exo, OpenRouter), or None."""
    return text(entry.get("checkpoint"), 512) or text(entry.get("hugging_face_id"), 512)


def quantization(entry: Entry) -> str | None:
    """Return the quantization of the weights in *entry* (Xinference, services behind OpenRouter), or None."""
    written = text(entry.get("quantization"), 64)
    return None if written is None or written.lower() in ("none", "unknown") else written.upper()


def parameters(entry: Entry) -> int | None:
    """Return the number of parameters in *entry*, or None. Xinference writes billions, and `1_8` for 1.8."""
    size = entry.get("model_size_in_billions")
    billions = number(decimal(size.replace("_", ".")) if isinstance(size, str) else size)
    return round(billions * 1e9) if billions and billions < 1e5 else None


def usual_kind(entry: Entry) -> Kind:
    """Return "chat" if *entry* shows that the model reads and writes text, else "unknown".

    The result does not count if the name of the model shows another kind.
    """
    written, read = given(entry), taken(entry)
    writes = written == ["text"] and (not read or "text" in read)
    return "chat" if writes or any(_word(entry.get(name)) in _WRITES for name in _KIND_FIELDS) else "unknown"


def given(entry: Entry) -> list[str]:
    """Return the output modalities of a model, as far as *entry* says."""
    return _modalities(entry, "output", after_arrow=True)


def taken(entry: Entry) -> list[str]:
    """Return the input modalities of a model, as far as *entry* says."""
    return _modalities(entry, "input", after_arrow=False)


def _modalities(entry: Entry, way: str, *, after_arrow: bool) -> list[str]:
    """Return the modalities of one *way* ("input" or "output").

    Read from OpenRouter's `output_modalities`, models.dev's `modalities`, or `modality` with an arrow (`text->text`).
    """
    for place in (mapping(entry.get("architecture")), entry):
        listed = (
            place.get(f"{way}_modalities")
            or place.get(f"supported_{way}_modalities")  # GitHub Models
            or place.get(f"{way}Modalities")
            or mapping(place.get("modalities")).get(way)
        )
        if found := [word.lower() for one in sequence(listed) if (word := text(one, 32))]:
            return found
        inputs, arrow, outputs = (text(place.get("modality"), 64) or "").partition("->")
        if arrow:
            return [word for word in (outputs if after_arrow else inputs).split("+") if word]
    return []


# The kind of a model by its abilities: the first ability in this order decides.
_BY_ABILITY: Final[tuple[tuple[Capability, Kind], ...]] = (
    (Capability.CHAT, "chat"),
    (Capability.EMBEDDING, "embedding"),
    (Capability.RERANK, "rerank"),
    (Capability.COMPLETION, "completion"),
)


def _declared_abilities(entry: Entry, source: str) -> dict[str, Claim]:
    capabilities = mapping(entry.get("capabilities"))
    found: dict[str, Claim] = {}
    for place in (entry, mapping(capabilities.get("supports")), capabilities):
        for name, value in place.items():
            able = _ABILITIES.get(_joined(name).removeprefix("supports")) if isinstance(value, bool) else None
            if able is not None:
                found[able] = _declared(value, f"{source}: {name}")
    for field in _ABILITY_LISTS:
        words = [
            word.lower().replace("_", "-").lstrip("/").removeprefix("v1/")
            for word in map(text, sequence(entry.get(field)))
            if word
        ]
        for word in words:
            if (able := _ABILITY_WORDS.get(word)) is not None:
                found[able] = _declared(True, f"{source}: {field} {word}")
        if words and all(word == "classify" or _OTHER.search(word) for word in words):
            found[Capability.CHAT] = _declared(False, f"{source}: {field} {', '.join(words)}")
        if words and all(map(_OTHER_APIS.search, words)):
            found[Capability.CHAT] = _declared(False, f"{source}: {field} {', '.join(words)} only")
    return found


def _declared(value: bool, source: str) -> Claim:
    return Claim(value=value, evidence=Evidence.DECLARED, source=source)
