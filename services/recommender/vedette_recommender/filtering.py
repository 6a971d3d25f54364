"""Which models are candidates at all, and why the others are not. Pure.

Every rule gives a code, what was needed and what the model has. Where a value is not known, the code ends in
`_unknown`. Under a numeric limit the request decides what becomes of an unknown value (`unmeasured`: keep or
reject); where the caller names a set (families, licences, locality), what is not known to be in it is not.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vedette.events import Constraints, ModelsRequest, RecommendRequest
from vedette.types import Capability, Evidence, ModelRef, Status
from vedette_recommender.candidate import Facts
from vedette_recommender.columns import (
    CAPABILITIES,
    LOCALITIES,
    STATUSES,
    Codes,
    Columns,
    Floats,
    Mask,
    Names,
)
from vedette_recommender.constants import STATUS_MULTIPLIERS
from vedette_recommender.field import ALL, Field, Narrowed

DEFAULT_STATUSES = tuple(STATUS_MULTIPLIERS)
_DAY_S = 86_400.0
# What has no distance is taken to be farther than any number that is off by less than this many times itself.
_SET_GAP: Final = 10.0
_UNKNOWN_GAP: Final = 5.0


class Rule(Struct, frozen=True, kw_only=True):
    """One reason to reject: which models it hits, and what of the request would have to change for them."""

    code: str
    field: str
    need: object
    hits: Mask
    has: Callable[[int], object]  # by row
    values: Floats | None = None  # what the models have, where that has a distance from the need
    gap: float = _SET_GAP  # how far away they are otherwise, relative to the need


def narrow(field: Field, columns: Columns, request: RecommendRequest) -> Narrowed:
    """Return who can answer *request*."""
    everybody = Narrowed(candidates=columns.present, left=len(columns), rejected={})
    if request.constraints.statuses or request.constraints.evidence.strength:
        return _apply(rules(field, columns, request), everybody)
    if field.narrowed is None:
        field.narrowed = _apply(_first(field, columns, Constraints()), everybody)
    return _apply(_further(field, columns, request), field.narrowed)


def _apply(rules: Iterable[Rule], before: Narrowed) -> Narrowed:
    candidates, left, rejected = before.candidates, before.left, dict(before.rejected)
    for rule in rules:
        candidates = candidates > rule.hits  # and not
        were, left = left, int(np.count_nonzero(candidates))
        if left < were:
            rejected[rule.code] = rejected.get(rule.code, 0) + were - left
    return Narrowed(candidates=candidates, left=left, rejected=rejected)


def rules(field: Field, columns: Columns, request: RecommendRequest) -> Iterator[Rule]:
    """Yield the rules of *request*, in the order in which they count."""
    yield from _first(field, columns, request.constraints)
    yield from _further(field, columns, request)


def _first(field: Field, columns: Columns, need: Constraints) -> Iterator[Rule]:
    """Yield what nearly all requests for a use case have in common."""
    yield _status(field, need.statuses or DEFAULT_STATUSES)
    for capability in field.use_case.requires:
        yield from _able(columns, capability, need.evidence, "use_case")


def _further(field: Field, columns: Columns, request: RecommendRequest) -> Iterator[Rule]:
    need = request.constraints
    for capability in dict.fromkeys(request.capabilities):
        if capability not in field.use_case.requires:
            yield from _able(columns, capability, need.evidence, "capabilities")
    if need.exclude:
        yield _excluded(columns, need.exclude)
    if need.providers is not None:
        yield from _within(columns, "provider", columns.provider, columns.providers, need.providers)
    if need.endpoints is not None:
        yield from _within(columns, "endpoint", columns.endpoint, columns.endpoints, need.endpoints)
    if need.families is not None:
        yield from _within(columns, "family", columns.family, columns.families, need.families)
    if need.licenses is not None:
        yield from _within(columns, "license", columns.license, columns.licenses, need.licenses)
    if need.locality is not None:
        yield from _located(columns, need.locality)
    yield from _limits(columns, need, field.at)


def _status(field: Field, allowed: tuple[Status, ...]) -> Rule:
    table = np.array([status not in allowed for status in STATUSES])
    return Rule(
        code="status",
        field="constraints.statuses",
        need=list(allowed),
        hits=table[field.status],
        has=lambda row: STATUSES[field.status[row]],
    )


def _able(columns: Columns, capability: Capability, least: Evidence, field: str) -> Iterator[Rule]:
    claims = columns.claims[CAPABILITIES.index(capability)]

    def evidence(row: int) -> Evidence | None:
        facts = columns.facts[row]
        claim = facts.info.capabilities.get(capability) if facts else None
        return claim.evidence if claim else None

    yield Rule(
        code="capability_unknown", field=field, need=capability, hits=claims == 0, has=lambda row: None
    )
    yield Rule(
        code="capability",
        field=field,
        need=capability,
        hits=claims < 0,
        has=lambda row: f"no ({evidence(row)})",
    )
    if least.strength:
        yield Rule(
            code="evidence",
            field="constraints.evidence",
            need=f"{capability} {least}",
            hits=(claims > 0) & (claims <= least.strength),
            has=evidence,
        )


def _excluded(columns: Columns, exclude: Iterable[str]) -> Rule:
    hits = np.zeros(columns.room, np.bool_)
    by_row: dict[int, str] = {}
    for name in exclude:
        for row in columns.named.get(name, ()):
            by_row.setdefault(row, name)
        endpoint, slash, rest = name.partition("/")
        found = columns.rows.get(ModelRef(endpoint, rest)) if slash else None
        if found is not None:
            by_row.setdefault(found, name)
    hits[list(by_row)] = True
    return Rule(code="excluded", field="constraints.exclude", need=None, hits=hits, has=by_row.get)


def _within(
    columns: Columns, code: str, values: Codes, names: Names, allowed: tuple[str, ...]
) -> Iterator[Rule]:
    field = {"license": "constraints.licenses", "family": "constraints.families"}.get(
        code, f"constraints.{code}s"
    )
    inside = np.zeros(columns.room, np.bool_)
    for name in allowed:
        inside |= values == names.find(name)
    unknown = values == 0
    yield Rule(
        code=code,
        field=field,
        need=list(allowed),
        hits=~(inside | unknown),
        has=lambda row: _described(columns, row, code),
    )
    yield Rule(code=f"{code}_unknown", field=field, need=list(allowed), hits=unknown, has=lambda row: None)


def _located(columns: Columns, wanted: str) -> Iterator[Rule]:
    unknown = columns.locality == 0
    other = ~unknown & (columns.locality != LOCALITIES.index(wanted))
    yield Rule(
        code="locality",
        field="constraints.locality",
        need=[wanted],
        hits=other,
        has=lambda row: LOCALITIES[columns.locality[row]],
    )
    yield Rule(
        code="locality_unknown",
        field="constraints.locality",
        need=[wanted],
        hits=unknown,
        has=lambda row: None,
    )


def _described(columns: Columns, row: int, code: str) -> str | None:
    facts: Facts | None = columns.facts[row]
    if facts is None:
        return None
    if code == "endpoint":
        return facts.model.endpoint
    return getattr(facts.info, code)  # type: ignore[no-any-return]


def _limits(columns: Columns, need: Constraints, at: float) -> Iterator[Rule]:
    if (tokens := need.min_context_tokens) is not None:
        yield from _limit("context", "min_context_tokens", tokens, columns.context_tokens, need)
    if (ttft := need.max_ttft_ms) is not None:
        yield from _limit("ttft", "max_ttft_ms", ttft, columns.ttft_ms, need)
    if (tps := need.min_output_tps) is not None:
        yield from _limit("output_tps", "min_output_tps", tps, columns.output_tps, need)
    if (usd := need.max_price_usd_per_mtok) is not None:
        yield from _limit("price", "max_price_usd_per_mtok", usd, columns.price_usd_per_mtok, need)
    if (least := need.min_parameters) is not None:
        yield from _limit("parameters", "min_parameters", least, columns.parameters, need)
    if (most := need.max_parameters) is not None:
        yield from _limit("parameters", "max_parameters", most, columns.parameters, need)
    if (up := need.min_uptime_24h) is not None:
        yield from _limit("uptime", "min_uptime_24h", up, uptime(columns, at, hours=24), need)


_WHOLE: Final = frozenset({"context", "parameters"})


def _limit(code: str, name: str, limit: float, values: Floats, need: Constraints) -> Iterator[Rule]:
    def has(row: int) -> object:
        value = values[row].item()
        return int(value) if code in _WHOLE else value

    yield Rule(
        code=code,
        field=f"constraints.{name}",
        need=limit,
        hits=values < limit if name.startswith("min_") else values > limit,
        has=has,
        values=values,
    )
    if need.unmeasured == "reject":
        yield Rule(
            code=f"{code}_unknown",
            field="constraints.unmeasured",
            need=limit,
            hits=np.isnan(values),
            has=lambda row: None,
            gap=_UNKNOWN_GAP,
        )


def listed(columns: Columns, request: ModelsRequest, statuses: NDArray[np.int8]) -> Mask:
    """Return the models that a list is to hold, by everything but the text in their names."""
    among = columns.present.copy()
    for values, names, wanted in (
        (columns.provider, columns.providers, request.provider),
        (columns.endpoint, columns.endpoints, request.endpoint),
        (columns.family, columns.families, request.family),
    ):
        if wanted is not None:
            among &= values == names.find(wanted)
    if request.status is not None:
        among &= statuses == STATUSES.index(request.status)
    for capability in request.capabilities:
        among &= columns.claims[CAPABILITIES.index(capability)] > 0
    return among


def uptime(columns: Columns, at: float, *, hours: int) -> Floats:
    """Return the fraction of telling probes that found each model up; NaN where none was telling."""
    up, telling = columns.hourly.since(at - hours * 3600, ALL)
    fraction: Floats = np.divide(up, telling, out=np.full(columns.room, np.nan), where=telling > 0)
    return fraction
