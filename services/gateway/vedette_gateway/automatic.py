"""`vedette/auto`: finds the use case in the request. Pure."""

import math
from collections.abc import Collection, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from vedette.types import Capability
from vedette_gateway.features import SHOWN, WEIGHTS, of_form, of_words
from vedette_gateway.said import Said, said
from vedette_gateway.wanted import Wanted

_FAST_TOKENS: Final = 20  # a short request with at most this limit wants a fast answer
_FAST_BYTES: Final = 2000
_OF_SYSTEM: Final = 0.6  # weight of words in the system message; words of the question have 1
_OF_EDGES: Final = 0.4
_OF_BEFORE: Final = 0.6  # and of words in the previous question, if this one is short
_SHORT_CHARACTERS: Final = 100
# Characters of a text to embed: in all, of the system's message, of the question.
_EMBEDDED: Final = 600
_EMBEDDED_SYSTEM: Final = 200
_EMBEDDED_QUESTION: Final = 400


class Guess(Struct, frozen=True):
    """A use case, its confidence (0 to 1), and its reason. *shares*: the share of each use case, 1 in total."""

    use_case: str
    confidence: float
    by: str
    shares: Mapping[str, float] = {}


def guess(wanted: Wanted, known: Collection[str]) -> Guess:
    """Return the use case of *wanted*, one of those *known*."""
    return of_kind(wanted, known) or of_text(wanted, known)


def of_kind(wanted: Wanted, known: Collection[str]) -> Guess | None:
    """Return the use case that the API, the capabilities or the length of a request show, or None."""
    rules = (
        (wanted.api == "embeddings", "embedding", 1.0, "the API"),
        (Capability.VISION in wanted.capabilities, "vision", 1.0, "a picture"),
        (Capability.TOOLS in wanted.capabilities, "agent", 0.95, "tools"),
        (Capability.JSON_SCHEMA in wanted.capabilities, "extraction", 0.8, "a JSON schema"),
        (_is_fast(wanted), "fast", 0.8, "an answer of a few tokens"),
    )
    for holds, use_case, confidence, by in rules:
        if holds and use_case in known:
            return Guess(use_case, confidence, by)
    return None


def _is_fast(wanted: Wanted) -> bool:
    few = wanted.max_tokens is not None and wanted.max_tokens <= _FAST_TOKENS
    return few and len(wanted.fields.get("messages", b"")) <= _FAST_BYTES


def of_text(wanted: Wanted, known: Collection[str]) -> Guess:
    """Return the use case by the text of a request; without features, chat or else the first *known* one."""
    found = said(wanted.api, wanted.fields)
    features = _features(found, wants_json=_wants_json(wanted))
    scores, reasons = scored(features, known)
    if not scores:
        return Guess(next(iter(known), "chat"), 0.0, SHOWN[""])
    best = max(scores, key=lambda use_case: scores[use_case])
    weights = {use_case: math.exp(score - scores[best]) for use_case, score in scores.items()}
    total = sum(weights.values())
    shares = {use_case: weight / total for use_case, weight in weights.items()}
    return Guess(best, shares[best], reasons[best], shares)


def text_of(wanted: Wanted) -> str:
    """Return the text of a request, cut for small embedding models; never empty."""
    found = said(wanted.api, wanted.fields)
    question = found.asked[:_EMBEDDED_QUESTION] or found.edges
    text = "\n".join(filter(None, (found.system[:_EMBEDDED_SYSTEM], question)))
    return text[:_EMBEDDED] or "-"


class _Form(Struct):
    type: str = ""


def _wants_json(wanted: Wanted) -> bool:
    try:
        form = msgspec.json.decode(wanted.fields.get("response_format", b"{}"), type=_Form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return form.type == "json_object"


def _features(found: Said, *, wants_json: bool) -> dict[str, float]:
    """Return every feature of a request, and how much it counts."""
    features = {"": 1.0, **dict.fromkeys(of_form(found), 1.0)}
    if wants_json:
        features["json"] = 1.0
    for weight, words in (
        (1.0, of_words(found.asked)),
        (_OF_EDGES, of_words(found.edges)),
        (_OF_SYSTEM, of_words(found.system)),
        (_OF_BEFORE, of_words(found.before) if len(found.asked) <= _SHORT_CHARACTERS else {}),
    ):
        for feature, strength in words.items():
            features[feature] = max(features.get(feature, 0.0), weight * strength)
    return features


def scored(features: Mapping[str, float], known: Collection[str]) -> tuple[dict[str, float], dict[str, str]]:
    """Return, by *known* use case, the points of *features*, and the reason with the most points."""
    scores: dict[str, float] = {}
    most: dict[str, tuple[float, str]] = {}
    for needed, use_case, weight in _TABLE:
        if use_case not in known:
            continue
        strength = min((features.get(one, 0.0) for one in needed), default=1.0)
        if not strength:
            continue
        scores[use_case] = scores.get(use_case, 0.0) + strength * weight
        most[use_case] = max(most.get(use_case, (0.0, "")), (strength * weight, _shown(needed)))
    return scores, {use_case: shown for use_case, (_, shown) in most.items()}


def _shown(needed: tuple[str, ...]) -> str:
    return " and ".join(SHOWN[one] for one in needed) or SHOWN[""]


_TABLE: Final = [(tuple(needed.split()), use_case, weight) for needed, use_case, weight in WEIGHTS]
