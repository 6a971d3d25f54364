"""What a model can be asked to do, from what is declared, from its kind, and from its name. Pure."""

import re
from collections.abc import Iterator

from msgspec import Struct

from vedette.providers import Described
from vedette.types import Capability, Claim, Evidence, Kind


class NameRule(Struct, frozen=True):
    """A pattern in a model's name, what it implies, and where that was read (2026-11-23)."""

    pattern: str
    claims: tuple[Capability, ...]
    source: str
    kind: Kind | None = None


C = Capability
NAME_RULES = (
    NameRule(
        r"(^|[-_/.])(coder|code|codellama|codegemma|codestral|starcoder\d?|devstral)([-_:.\d]|$)",
        (C.CODE_GENERATION, C.CODE_UNDERSTANDING),
        "model cards of Qwen-Coder, CodeLlama, CodeGemma, Codestral, StarCoder, Devstral",
    ),
    NameRule(
        r"(^|[-_/.\d])(vl|vision|llava|moondream|minicpm-v|pixtral)([-_:.\d]|$)",
        (C.VISION,),
        "model cards of Qwen-VL, Llama-Vision, LLaVA, Moondream, MiniCPM-V, Pixtral",
    ),
    NameRule(
        r"(rerank)",
        (C.RERANK,),
        "model cards of BGE-reranker, Qwen3-Reranker, jina-reranker",
        kind="rerank",
    ),
    NameRule(
        r"(embed|minilm|(^|[-_/])(bge|e5|gte)[-_])",
        (C.EMBEDDING,),
        "model cards of nomic-embed, mxbai-embed, all-MiniLM, BGE, E5, GTE",
        kind="embedding",
    ),
    NameRule(
        r"(^|[-_/.])(r1|qwq|think|thinking|reasoner|magistral|o[134])([-_:.]|$)",
        (C.THINKING, C.REASONING),
        "model cards of DeepSeek-R1, QwQ, Qwen3-Thinking, Magistral",
    ),
)

TASKS = (
    C.CODE_GENERATION,
    C.CODE_UNDERSTANDING,
    C.REASONING,
    C.DOCUMENTATION,
    C.SUMMARISATION,
    C.EXTRACTION,
)
_ANY_CHAT = "any chat model can be asked to; how well it does is for its quality to say"
# The interface that each kind of model has; it has none of the others'.
_INTERFACES: dict[Kind, Capability] = {
    "chat": C.CHAT,
    "completion": C.COMPLETION,
    "embedding": C.EMBEDDING,
    "rerank": C.RERANK,
}


def infer(described: Described, name: str) -> tuple[Kind, dict[str, Claim]]:
    """Return a model's kind and its claims: stronger evidence wins, and what contradicts it is recorded."""
    rules = [rule for rule in NAME_RULES if re.search(rule.pattern, name.lower())]
    kind = _kind(described, rules)
    claims: dict[str, Claim] = {str(capability): claim for capability, claim in described.claims.items()}
    for capability, claim in [*_by_name(rules, kind), *_by_kind(kind)]:
        known = claims.get(capability)
        claims[capability] = claim if known is None else known.beside(claim)
    return kind, claims


def _kind(described: Described, rules: list[NameRule]) -> Kind:
    if described.kind != "unknown":
        return described.kind
    named = next((rule.kind for rule in rules if rule.kind is not None), None)
    return named or "chat"


def _by_name(rules: list[NameRule], kind: Kind) -> Iterator[tuple[Capability, Claim]]:
    for rule in rules:
        for capability in rule.claims:
            if _fits(capability, kind):
                yield capability, _inferred(value=True, source=f"name; {rule.source}")


def _fits(capability: Capability, kind: Kind) -> bool:
    """Return whether a model of *kind* can have *capability* at all: a name alone makes no other interface."""
    if capability in _INTERFACES.values():
        return _INTERFACES.get(kind) is capability
    return kind in ("chat", "completion")


def _by_kind(kind: Kind) -> Iterator[tuple[Capability, Claim]]:
    for other, interface in _INTERFACES.items():
        # What chats can also complete; the other way round it cannot.
        value = other == kind or (other == "completion" and kind == "chat")
        yield interface, _inferred(value=value, source=f"it is a {kind} model")
    for task in TASKS:
        if kind == "chat":
            yield task, _inferred(value=True, source=_ANY_CHAT)
        elif kind in ("embedding", "rerank"):
            yield task, _inferred(value=False, source=f"it is a {kind} model")


def _inferred(*, value: bool, source: str) -> Claim:
    return Claim(value=value, evidence=Evidence.INFERRED, source=source)
