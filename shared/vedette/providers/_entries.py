"""What entries of a listing in OpenAI's form say, apart from a name: kind, abilities, context, and when a model ends.

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
    score,
    sequence,
    since_epoch,
    text,
    tokens,
)
from vedette.providers.redaction import REDACTED
from vedette.types import Capability, Claim, Evidence, Kind

Entry = Mapping[str, Any]
# Where a listing says what kind of model it lists, and its words for those that are asked for text.
_KIND_FIELDS: Final = ("sub_type", "type", "mode", "task", "model_type", "reported_type")
_KINDS: Final[Mapping[str, Kind]] = {
    "chat": "chat",
    "llm": "chat",
    "vlm": "chat",
    "code": "chat",
    "responses": "chat",
    "text-generation": "chat",
    "image-text-to-text": "chat",
    "completion": "completion",
    "embedding": "embedding",
    "embeddings": "embedding",
    "feature-extraction": "embedding",
    "rerank": "rerank",
    "reranker": "rerank",
    "reranking": "rerank",
}
# Its words for those that are not. What is in neither list is not known.
_OTHER: Final = re.compile(
    r"image|audio|speech|video|moderation|transcri|ocr\Z|realtime|diffusion|text-to-|search\Z|vector_store"
)
_CONTEXTS: Final = (
    "max_model_len",
    "context_length",
    "context_window",
    "max_context_length",
    "max_input_tokens",
)
# Names of one ability: in the `capabilities` of Mistral, Azure OpenAI and (`supports`) GitHub Copilot, or in the entry
# itself (Fireworks).
_ABILITIES: Final[Mapping[str, Capability]] = {
    "completion_chat": Capability.CHAT,
    "chat_completion": Capability.CHAT,
    "function_calling": Capability.TOOLS,
    "vision": Capability.VISION,
    "completion_fim": Capability.INSERT,
    "embeddings": Capability.EMBEDDING,
    "tool_calls": Capability.TOOLS,
    "structured_outputs": Capability.JSON_SCHEMA,
    "supports_chat": Capability.CHAT,
    "supports_tools": Capability.TOOLS,
    "supports_image_input": Capability.VISION,
}
# Words in the lists of abilities of infinity and LocalAI (`capabilities`), Xinference (`model_ability`), Cohere
# (`endpoints`), new-api (`supported_endpoint_types`) and Lemonade (`labels`).
_ABILITY_LISTS: Final = ("capabilities", "model_ability", "endpoints", "supported_endpoint_types", "labels")
_ABILITY_WORDS: Final[Mapping[str, Capability]] = {
    "chat": Capability.CHAT,
    "generate": Capability.COMPLETION,
    "completion": Capability.COMPLETION,
    "embed": Capability.EMBEDDING,
    "embeddings": Capability.EMBEDDING,
    "rerank": Capability.RERANK,
    "jina-rerank": Capability.RERANK,
    "reranking": Capability.RERANK,
    "tool-calling": Capability.TOOLS,
    "vision": Capability.VISION,
    "tools": Capability.TOOLS,
    "reasoning": Capability.THINKING,
    "thinking": Capability.THINKING,
}
_ENDS: Final = (
    "expiration_date",
    "deprecation",
    "deprecation_date",
    "shutdown_date",
    "retirement_date",
    "sunset_date",
)
_FIRST_MODELS: Final = datetime(2000, 1, 1, tzinfo=UTC)  # an earlier end means that none is set
_SWITCHES: Final = ("active", "enabled", "available", "is_active")
_SHORT_COUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([kKmM])?\Z")


def is_offered(entry: Entry, now: datetime) -> bool:
    """Return whether *entry* is a model that can be asked: no pattern for names, not switched off, not at its end."""
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
    """Return whether *entry* is in the archive, switched off by policy (GitHub Copilot), or offline (Venice)."""
    return (
        entry.get("archived") is True
        or mapping(entry.get("policy")).get("state") == "disabled"
        or mapping(entry.get("model_spec")).get("offline") is True
    )


def retires_at(entry: Entry) -> datetime | None:
    """Return when the service says that the model ends, or None."""
    for name in _ENDS:
        value = entry.get(name)
        for given in (value, mapping(value).get("inference")):
            if at := _moment(given):
                return at
    return None


def _moment(value: object) -> datetime | None:
    amount = decimal(value) if isinstance(value, str) else score(value)
    at = since_epoch(amount) if amount is not None else moment(value) or http_date(value)
    if at is None or at < _FIRST_MODELS:
        return None
    # A day without a time is a day in UTC, and the model is there until its end.
    is_day = isinstance(value, str) and len(value) == len("2026-01-01") and amount is None
    return at.replace(hour=23, minute=59) if is_day else at


def context(entry: Entry) -> int | None:
    """Return the context that *entry* says is served, in tokens: a number, or a text such as `131072` or `128k`."""
    limits = mapping(mapping(entry.get("capabilities")).get("limits"))  # GitHub Copilot
    given = (
        *(entry.get(name) for name in _CONTEXTS),
        mapping(entry.get("meta")).get("n_ctx"),
        limits.get("max_context_window_tokens"),
    )
    return next((n for n in map(_tokens, given) if n), None)


def _tokens(value: object) -> int | None:
    if isinstance(value, str) and (found := _SHORT_COUNT.match(value.strip())):
        scale = {"k": 1000, "m": 1_000_000}.get((found[2] or "").lower(), 1)
        amount = decimal(found[1])
        return tokens(int(amount * scale)) if amount is not None and amount < 1e9 else None
    return tokens(value)


def kind_and_claims(entry: Entry, source: str) -> tuple[Kind, dict[str, Claim]]:
    """Return the kind of model that *entry* declares, and the abilities that it declares or denies."""
    claims = _declared_abilities(entry, source)
    for name in _KIND_FIELDS:
        kind_text = text(entry.get(name), 64) or text(mapping(entry.get("capabilities")).get(name), 64) or ""
        kind_text = kind_text.lower().replace("_", "-")
        kind = _KINDS.get(kind_text)
        if kind == "chat" and Capability.COMPLETION in claims and Capability.CHAT not in claims:
            kind = "completion"  # Xinference: a base model is an LLM too
        if kind is not None:
            claims.setdefault(Capability.CHAT, _declared(kind == "chat", f"{source}: {name} {kind_text}"))
            return kind, claims
        if _OTHER.search(kind_text.replace("-", "_")) or _OTHER.search(kind_text):
            claims[Capability.CHAT] = _declared(False, f"{source}: {name} {kind_text}")
            return "unknown", claims
    given = _given(mapping(entry.get("architecture")))
    if "embeddings" in given:
        return "embedding", claims
    if given and "text" not in given:
        claims[Capability.CHAT] = _declared(False, f"{source}: its answers are {', '.join(given)}")
    for capability, kind in _BY_ABILITY:
        if (claim := claims.get(capability)) is not None and claim.value:
            return kind, claims
    return "unknown", claims


def _given(architecture: Entry) -> list[str]:
    """Return what a model answers with: OpenRouter's `output_modalities`, else behind the arrow of its `modality`."""
    listed = [text(one, 32) for one in sequence(architecture.get("output_modalities"))]
    _, arrow, outputs = (text(architecture.get("modality"), 64) or "").partition("->")
    return list(filter(None, listed)) or (outputs.split("+") if arrow else [])


# The kind of a model that declares an ability, the first that it has.
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
        for name, capability in _ABILITIES.items():
            if isinstance(place.get(name), bool):
                found[capability] = _declared(place[name], f"{source}: {name}")
    for field in _ABILITY_LISTS:
        words = [word for word in map(text, sequence(entry.get(field))) if word]
        for word in words:
            if (able := _ABILITY_WORDS.get(word)) is not None:
                found[able] = _declared(True, f"{source}: {field} {word}")
        if words and all(word == "classify" or _OTHER.search(word) for word in words):
            found[Capability.CHAT] = _declared(False, f"{source}: {field} {', '.join(words)}")
    return found


def _declared(value: bool, source: str) -> Claim:
    return Claim(value=value, evidence=Evidence.DECLARED, source=source)
