"""Which models are candidates at all, and why the others are not. Pure.

Every rule gives a code, what was needed and what the model has. Where a value is not known, the code ends in
`_unknown`. Under a numeric limit the request decides what becomes of an unknown value (`unmeasured`: keep or
reject); where the caller names a set (families, licences, locality), what is not known to be in it is not.
"""

from collections.abc import Callable, Iterable, Iterator

from vedette.events import Constraints, RecommendRequest, Rejection
from vedette.types import Capability, Evidence
from vedette_recommender.candidate import Candidate
from vedette_recommender.constants import STATUS_MULTIPLIERS
from vedette_recommender.usecases import UseCase

DEFAULT_STATUSES = tuple(STATUS_MULTIPLIERS)
# A rule that rejects says: code, need, value.
Verdict = tuple[str, object, object]


def rejections(candidate: Candidate, request: RecommendRequest, use_case: UseCase) -> tuple[Rejection, ...]:
    """Return every reason why *candidate* cannot answer *request*; none when it can."""
    found = (*_conditions(candidate, request, use_case), *_limits(candidate, request.constraints))
    return tuple(
        Rejection(model=candidate.model, code=code, need=need, value=value) for code, need, value in found
    )


def _conditions(candidate: Candidate, request: RecommendRequest, use_case: UseCase) -> Iterator[Verdict]:
    need = request.constraints
    yield from _excluded(candidate, need.exclude)
    statuses = need.statuses or DEFAULT_STATUSES
    if candidate.status not in statuses:
        yield "status", list(statuses), candidate.status
    for capability in dict.fromkeys((*use_case.requires, *request.capabilities)):
        yield from _lacks(candidate, capability, need.evidence)
    yield from _outside("provider", need.providers, candidate.info.provider)
    yield from _outside("endpoint", need.endpoints, candidate.model.endpoint)
    yield from _outside("family", need.families, candidate.info.family)
    yield from _outside("license", need.licenses, candidate.info.license)
    known = None if candidate.info.locality == "unknown" else candidate.info.locality
    yield from _outside("locality", (need.locality,) if need.locality else None, known)


def _excluded(candidate: Candidate, exclude: Iterable[str]) -> Iterator[Verdict]:
    for name in exclude:
        if name in (str(candidate.model), candidate.model.name):
            yield "excluded", None, name
            return


def _lacks(candidate: Candidate, capability: Capability, least: Evidence) -> Iterator[Verdict]:
    claim = candidate.info.capabilities.get(capability)
    if claim is None:
        yield "capability_unknown", capability, None
    elif not claim.value:
        yield "capability", capability, f"no ({claim.evidence})"
    elif claim.evidence.strength < least.strength:
        yield "evidence", f"{capability} {least}", claim.evidence


def _outside(code: str, allowed: tuple[str, ...] | None, value: str | None) -> Iterator[Verdict]:
    if allowed is None or (value is not None and value.casefold() in {a.casefold() for a in allowed}):
        return
    yield code if value is not None else f"{code}_unknown", list(allowed), value


def _limits(candidate: Candidate, need: Constraints) -> Iterator[Verdict]:
    price, parameters = candidate.price_usd_per_mtok, candidate.info.parameters
    checks: tuple[tuple[str, float | None, float | None, Callable[[float, float], bool]], ...] = (
        ("context", need.min_context_tokens, candidate.info.context_tokens, _at_least),
        ("ttft", need.max_ttft_ms, candidate.ttft_ms, _at_most),
        ("output_tps", need.min_output_tps, candidate.output_tps, _at_least),
        ("price", need.max_price_usd_per_mtok, max(price) if price else None, _at_most),
        ("parameters", need.min_parameters, parameters, _at_least),
        ("parameters", need.max_parameters, parameters, _at_most),
        ("uptime", need.min_uptime_24h, candidate.uptime_24h, _at_least),
    )
    for code, limit, value, holds in checks:
        if limit is None or (value is not None and holds(value, limit)):
            continue
        if value is not None:
            yield code, limit, value
        elif need.unmeasured == "reject":
            yield f"{code}_unknown", limit, None


def _at_least(value: float, limit: float) -> bool:
    return value >= limit


def _at_most(value: float, limit: float) -> bool:
    return value <= limit
