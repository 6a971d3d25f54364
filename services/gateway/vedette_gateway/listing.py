"""`GET /v1/models`: the virtual models first, then every model that may be called now. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from vedette.messages.queries import ModelView, Recommendation
from vedette.types import ModelRef
from vedette_gateway.wanted import AUTO, VIRTUAL

OWNER: Final = "vedette"


class Own(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Vedette's own fields of a model. A virtual model has those of the winner of its use case."""

    status: str | None = None
    score: float | None = None
    ttft_ms: float | None = None
    output_tps: float | None = None
    use_case: str | None = None
    winner: str | None = None


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model in OpenAI's shape, with Vedette's own fields."""

    id: str
    object: str
    created: int
    owned_by: str
    context_length: int | None = None
    capabilities: tuple[str, ...] = ()
    pricing: Mapping[str, Any] | None = None  # US dollars a million tokens
    vedette: Own = Own()


class Listing(Struct, frozen=True, kw_only=True):
    """The reply."""

    object: str
    data: list[Entry]


def listing(
    winners: Mapping[str, Recommendation | None],
    models: Sequence[ModelView],
    scores: Mapping[ModelRef, float],
) -> Listing:
    """Return `vedette/auto`, then a virtual model for each use case of *winners*, then *models*."""
    auto = Entry(id=f"{VIRTUAL}{AUTO}", object="model", created=0, owned_by=OWNER)
    virtual = [_virtual(use_case, winner) for use_case, winner in winners.items()]
    real = [entry(view, scores.get(view.model)) for view in models]
    return Listing(object="list", data=[auto, *virtual, *real])


def _virtual(use_case: str, winner: Recommendation | None) -> Entry:
    own = Own(use_case=use_case)
    if winner is not None:
        own = Own(
            use_case=use_case,
            winner=str(winner.model),
            status=winner.status,
            score=winner.score,
            ttft_ms=winner.expected_ttft_ms or winner.ttft_ms,
            output_tps=winner.expected_output_tps or winner.output_tps,
        )
    return Entry(
        id=f"{VIRTUAL}{use_case}",
        object="model",
        created=0,
        owned_by=OWNER,
        context_length=winner.context_tokens if winner else None,
        vedette=own,
    )


def entry(view: ModelView, score: float | None) -> Entry:
    """Return *view* as an entry."""
    info, speed = view.info, view.performance
    price = info.price
    return Entry(
        id=str(view.model),
        object="model",
        created=int(view.found_at.timestamp()) if view.found_at else 0,
        owned_by=view.provider,
        context_length=info.context_tokens,
        capabilities=tuple(sorted(name for name, claim in view.capabilities.items() if claim.value)),
        pricing={
            "input_usd_per_mtok": price.input_usd_per_mtok,
            "output_usd_per_mtok": price.output_usd_per_mtok,
        }
        if price
        else None,
        vedette=Own(
            status=view.status,
            score=score,
            ttft_ms=speed.ttft_ms if speed else None,
            output_tps=speed.output_tps if speed else None,
        ),
    )
