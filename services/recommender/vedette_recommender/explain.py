"""Why the answer is what it is, in words, and which constraint stands in the way. Pure."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from vedette.events import RecommendRequest, Rejection, Relaxation
from vedette_recommender.scoring import Scored
from vedette_recommender.usecases import UseCase

# By rejection code: the field of the request to change. `parameters` and `capability…` depend on more.
_FIELDS = {
    "excluded": "constraints.exclude",
    "status": "constraints.statuses",
    "evidence": "constraints.evidence",
    "provider": "constraints.providers",
    "endpoint": "constraints.endpoints",
    "family": "constraints.families",
    "license": "constraints.licenses",
    "locality": "constraints.locality",
    "context": "constraints.min_context_tokens",
    "ttft": "constraints.max_ttft_ms",
    "output_tps": "constraints.min_output_tps",
    "price": "constraints.max_price_usd_per_mtok",
    "uptime": "constraints.min_uptime_24h",
}
# What has no distance is taken to be farther than any number that is off by less than this many times itself.
_SET_GAP = 10.0
_UNKNOWN_GAP = 5.0
_LIMITS = ("context", "ttft", "output_tps", "price", "parameters", "uptime")


class _Step(Struct, frozen=True, kw_only=True):
    """One constraint in the way of one model, and how far away it is."""

    field: str
    need: object
    to: object
    gap: float


def relaxation(
    rejected: Iterable[Sequence[Rejection]], request: RecommendRequest, use_case: UseCase
) -> Relaxation | None:
    """Return what admits the nearest of the *rejected* models: the fewest constraints, by the least.

    *rejected* holds the rejections of each model. None when there is no model at all.
    """
    nearest: tuple[tuple[int, float, str], list[_Step], Sequence[Rejection]] | None = None
    for reasons in rejected:
        steps = _merge(_step(reason, request, use_case) for reason in reasons)
        key = (len(steps), sum(step.gap for step in steps), str(reasons[0].model))
        if nearest is None or key < nearest[0]:
            nearest = key, steps, reasons
    if nearest is None:
        return None
    _, (first, *others), reasons = nearest
    return Relaxation(
        constraint=first.field,
        need=first.need,
        to=first.to,
        model=reasons[0].model,
        also=tuple(step.field for step in others),
    )


def _merge(steps: Iterable[_Step]) -> list[_Step]:
    """Return one step per field: two missing capabilities are one constraint to relax."""
    return list({step.field: step for step in steps}.values())


def _step(reason: Rejection, request: RecommendRequest, use_case: UseCase) -> _Step:
    code = reason.code.removesuffix("_unknown")
    if code in _LIMITS and reason.value is None:
        return _Step(field="constraints.unmeasured", need="reject", to="keep", gap=_UNKNOWN_GAP)
    if code == "capability":
        required = reason.need in use_case.requires
        return _Step(
            field="use_case" if required else "capabilities", need=reason.need, to=None, gap=_SET_GAP
        )
    if isinstance(reason.need, int | float) and isinstance(reason.value, int | float):
        gap = abs(reason.need - reason.value) / max(abs(reason.need), 1e-9)
        return _Step(field=_number_field(code, reason), need=reason.need, to=reason.value, gap=gap)
    return _Step(field=_FIELDS[code], need=reason.need, to=reason.value, gap=_SET_GAP)


def _number_field(code: str, reason: Rejection) -> str:
    if code != "parameters":
        return _FIELDS[code]
    below = isinstance(reason.value, int) and isinstance(reason.need, int) and reason.value < reason.need
    return "constraints.min_parameters" if below else "constraints.max_parameters"


def summary(
    ranked: Sequence[Scored], considered: int, relax: Relaxation | None, use_case: str
) -> tuple[str, ...]:
    """Return the answer in one or two sentences."""
    if not ranked:
        return (f"No model is a candidate for {use_case}; {considered} considered.", *_advice(relax))
    best = ranked[0]
    strongest = max(best.contributions, key=lambda part: part.points)
    weakest = max(best.contributions, key=lambda part: part.weight * (1.0 - part.utility))
    opening = (
        f"{best.candidate.model} is best for {use_case} with {best.score:.1f} of 100: most of it from "
        f"{strongest.signal} ({strongest.points:.1f}), least of what it could have from {weakest.signal}."
    )
    return opening, _rivals(ranked)


def _rivals(ranked: Sequence[Scored]) -> str:
    if len(ranked) == 1:
        return "There is no other candidate."
    second, margin = ranked[1], ranked[0].score - ranked[1].score
    if second.equivalent:
        return f"{second.candidate.model} is its equal: {margin:.1f} points behind, within the error band."
    return f"{second.candidate.model} follows {margin:.1f} points behind{_lead(ranked[0], second)}."


def _lead(best: Scored, second: Scored) -> str:
    gaps = [
        (a.points - b.points, a.signal) for a, b in zip(best.contributions, second.contributions, strict=True)
    ]
    lead, signal = max(gaps)
    return f", mostly for its {signal} ({lead:+.1f})" if lead > 0 else ""


def _advice(relax: Relaxation | None) -> tuple[str, ...]:
    if relax is None:
        return ("Nothing is in the catalogue yet.",)
    also = f" and {', '.join(relax.also)}" if relax.also else ""
    if relax.constraint == "use_case":
        return (f"{relax.model} is nearest, but is not known to have the capability {relax.need}{also}.",)
    change = f"changing {relax.constraint} from {relax.need} to {relax.to}"
    if relax.to is None:
        change = f"dropping {relax.need} from {relax.constraint}"
    return (f"{relax.model} is nearest: {change}{also} admits it.",)
