"""Finds an earlier ranking for a request without one, while no recommender replies. Pure."""

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec.structs import replace

from vedette.messages.constraints import Constraints
from vedette.messages.queries import (
    ModelsReply,
    ModelsRequest,
    ModelView,
    Recommendation,
    RecommendRequest,
    TopReply,
)
from vedette.messages.validation import folded
from vedette.types import Capability, ModelRef

# Sets of capabilities that request bodies need most often.
KINDS: Final = (
    (Capability.CHAT,),
    (Capability.CHAT, Capability.JSON_SCHEMA),
    (Capability.CHAT, Capability.TOOLS),
    (Capability.CHAT, Capability.VISION),
    (Capability.EMBEDDING,),
)
_RANKED: Final = msgspec.json.Decoder(RecommendRequest)
_LISTED: Final = msgspec.json.Decoder(ModelsRequest)
# Constraints that can be checked by a recommendation, so a ranking without them can be filtered.
_SHOWN: Final = (
    *("max_ttft_ms", "min_output_tps", "max_price_usd_per_mtok"),
    *("providers", "endpoints", "exclude"),
)
_FREE: Final = Constraints()


def ranking(earlier: Iterable[tuple[bytes, TopReply]], request: bytes) -> TopReply | None:
    """Return the first of the *earlier* rankings, by their requests, that is valid for *request*, or None.

    It is filtered to the models that can take *request*. A ranking with the same weights, bounds and risk comes before
    others, whose order may be wrong.
    """
    wanted, other = _RANKED.decode(request), None
    for asked, reply in earlier:
        had = _RANKED.decode(asked)
        if not _covers(had, wanted):
            continue
        if reply.unknown_capabilities and wanted.constraints.unknown_capabilities == "reject":
            continue
        models = tuple(one for one in reply.recommendations if takes(one, wanted.constraints))
        if not models:
            continue
        narrowed = replace(reply, recommendations=models[: wanted.limit])
        if (had.weights, had.bounds, had.risk) == (wanted.weights, wanted.bounds, wanted.risk):
            return narrowed
        other = other or narrowed
    return other


def _covers(had: RecommendRequest, wanted: RecommendRequest) -> bool:
    """Return whether models for *had* can take *wanted*, except for constraints that `takes` checks."""
    if had.use_case != wanted.use_case or not set(wanted.capabilities) <= set(had.capabilities):
        return False
    open_ones = [name for name in _SHOWN if getattr(had.constraints, name) == getattr(_FREE, name)]
    shown = (*open_ones, "min_context_tokens", "unmeasured", "unknown_capabilities")
    alike = replace(had.constraints, **{name: getattr(wanted.constraints, name) for name in shown})
    return alike == wanted.constraints


def takes(one: Recommendation, need: Constraints) -> bool:
    """Return whether the recommended model satisfies those constraints of *need* that a recommendation shows."""
    price = max(one.price.input_usd_per_mtok, one.price.output_usd_per_mtok) if one.price else None
    least = ((need.min_context_tokens, one.context_tokens), (need.min_output_tps, one.output_tps))
    most = ((need.max_ttft_ms, one.expected_ttft_ms), (need.max_price_usd_per_mtok, price))
    if any(
        _is_beyond(limit, has, need, sign)
        for limits, sign in ((least, -1), (most, 1))
        for limit, has in limits
    ):
        return False
    places = ((need.endpoints, one.model.endpoint), (need.providers, one.provider))
    if any(names is not None and folded(name) not in map(folded, names) for names, name in places):
        return False
    return str(one.model) not in need.exclude and one.model.name not in need.exclude


def _is_beyond(limit: float | None, has: float | None, need: Constraints, sign: int) -> bool:
    """Return whether what a model *has* is above *limit*, or below it with a negative *sign*."""
    if limit is None:
        return False
    return need.unmeasured == "reject" if has is None else sign * has > sign * limit


def models(earlier: Iterable[tuple[bytes, ModelsReply]], request: bytes) -> ModelsReply | None:
    """Return the models in *earlier* lists whose name is the text of *request*; None where there are none."""
    name, last = _LISTED.decode(request).text, None
    found: dict[ModelRef, ModelView] = {}
    for _, reply in earlier:
        for view in reply.models:
            if view.model.name == name:
                found.setdefault(view.model, view)
                last = last or reply
    return replace(last, models=tuple(found.values()), total=len(found)) if last else None
