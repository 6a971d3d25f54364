"""Which models are candidates at all, and why the others are not. Pure.

Every rule gives a code, what was needed and what the model has. Where a value is not known, the code ends in
`_unknown`. Under a numeric limit the request decides what becomes of an unknown value (`unmeasured`: keep or
reject); where the caller names a set (families, licences, locality), what is not known to be in it is not.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

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
_PLURALS: Final = {
    "provider": "providers",
    "endpoint": "endpoints",
    "family": "families",
    "license": "licenses",
}


class Limit(NamedTuple):
    """A numeric limit of a request: the code of its rejections, and the column that it is about."""

    code: str
    column: str | None  # None: worked out when asked for
    whole: bool = False  # whether the values are whole numbers


_LIMITS: Final = {
    "min_context_tokens": Limit("context", "context_tokens", whole=True),
    "max_ttft_ms": Limit("ttft", None),
    "min_output_tps": Limit("output_tps", "output_tps"),
    "max_price_usd_per_mtok": Limit("price", "price_usd_per_mtok"),
    "min_parameters": Limit("parameters", "parameters", whole=True),
    "max_parameters": Limit("parameters", "parameters", whole=True),
    "min_uptime_24h": Limit("uptime", None),
}


class Rule(Struct, frozen=True):
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
    everybody = Narrowed(columns.present, len(columns), {})
    if request.constraints.statuses or request.constraints.evidence.strength:
        return _apply(rules(field, columns, request), everybody)
    if field.narrowed is None:
        field.narrowed = _apply(_first(field, columns, Constraints()), everybody)
    return _apply(_further(field, columns, request), field.narrowed)


def _apply(rules: Iterable[Rule], before: Narrowed) -> Narrowed:
    candidates, left, rejected = before.candidates, before.left, before.rejected.copy()
    for rule in rules:
        candidates = candidates > rule.hits  # and not
        were, left = left, int(np.count_nonzero(candidates))
        if left < were:
            rejected[rule.code] = rejected.get(rule.code, 0) + were - left
    return Narrowed(candidates, left, rejected)


def rules(field: Field, columns: Columns, request: RecommendRequest) -> list[Rule]:
    """Return the rules of *request*, in the order in which they count."""
    return [*_first(field, columns, request.constraints), *_further(field, columns, request)]


def _first(field: Field, columns: Columns, need: Constraints) -> list[Rule]:
    """Return what nearly all requests for a use case have in common."""
    found = [_status(field, need.statuses or DEFAULT_STATUSES)]
    for capability in field.use_case.requires:
        found += _able(columns, capability, need.evidence, "use_case")
    return found


def _further(field: Field, columns: Columns, request: RecommendRequest) -> list[Rule]:
    need = request.constraints
    found: list[Rule] = []
    for capability in dict.fromkeys(request.capabilities):
        if capability not in field.use_case.requires:
            found += _able(columns, capability, need.evidence, "capabilities")
    if need.exclude:
        found.append(_excluded(columns, need.exclude))
    if need.providers is not None:
        found += _within(columns, "provider", columns.provider, columns.providers, need.providers)
    if need.endpoints is not None:
        found += _within(columns, "endpoint", columns.endpoint, columns.endpoints, need.endpoints)
    if need.families is not None:
        found += _within(columns, "family", columns.family, columns.families, need.families)
    if need.licenses is not None:
        found += _within(columns, "license", columns.license, columns.licenses, need.licenses)
    if need.locality is not None:
        found += _located(columns, need.locality)
    for name in _LIMITS:
        if (limit := getattr(need, name)) is not None:
            found += _limit(field, columns, name, limit, need)
    return found


def _status(field: Field, allowed: tuple[Status, ...]) -> Rule:
    table = np.array([status not in allowed for status in STATUSES])
    hits = table[field.status]
    return Rule(
        "status", "constraints.statuses", list(allowed), hits, lambda row: STATUSES[field.status[row]]
    )


def _able(columns: Columns, capability: Capability, least: Evidence, field: str) -> list[Rule]:
    claims = columns.claims[CAPABILITIES.index(capability)]

    def evidence(row: int) -> Evidence | None:
        facts = columns.facts[row]
        claim = facts.info.capabilities.get(capability) if facts else None
        return claim.evidence if claim else None

    found = [
        Rule("capability_unknown", field, capability, claims == 0, _unknown),
        Rule("capability", field, capability, claims < 0, lambda row: f"no ({evidence(row)})"),
    ]
    if least.strength:
        weak = (claims > 0) & (claims <= least.strength)
        found.append(Rule("evidence", "constraints.evidence", f"{capability} {least}", weak, evidence))
    return found


def _unknown(_: int) -> None:
    """Return what a model has of which nothing is known."""


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
    return Rule("excluded", "constraints.exclude", None, hits, by_row.get)


def _within(columns: Columns, code: str, values: Codes, names: Names, allowed: tuple[str, ...]) -> list[Rule]:
    field, need = f"constraints.{_PLURALS[code]}", list(allowed)
    inside = np.zeros(columns.room, np.bool_)
    for name in allowed:
        inside |= values == names.find(name)
    unknown = values == 0
    return [
        Rule(code, field, need, ~(inside | unknown), lambda row: _described(columns, row, code)),
        Rule(f"{code}_unknown", field, need, unknown, _unknown),
    ]


def _located(columns: Columns, wanted: str) -> list[Rule]:
    field, unknown = "constraints.locality", columns.locality == 0
    other = ~unknown & (columns.locality != LOCALITIES.index(wanted))
    return [
        Rule("locality", field, [wanted], other, lambda row: LOCALITIES[columns.locality[row]]),
        Rule("locality_unknown", field, [wanted], unknown, _unknown),
    ]


def _described(columns: Columns, row: int, code: str) -> str | None:
    facts: Facts | None = columns.facts[row]
    if facts is None:
        return None
    if code == "endpoint":
        return facts.model.endpoint
    return getattr(facts.info, code)  # type: ignore[no-any-return]


def _limit(field: Field, columns: Columns, name: str, limit: float, need: Constraints) -> list[Rule]:
    code, column, whole = _LIMITS[name]
    values: Floats
    if column:
        values = getattr(columns, column)
    else:
        # A limit on the time to the first token is about the next call, which may have to wait for a model to load.
        values = field.expected_ttft_ms if code == "ttft" else uptime(columns, field.at, hours=24)

    def has(row: int) -> object:
        value = values[row].item()
        return int(value) if whole else value

    hits = values < limit if name.startswith("min_") else values > limit
    found = [Rule(code, f"constraints.{name}", limit, hits, has, values)]
    if need.unmeasured == "reject":
        unknown = np.isnan(values)
        found.append(
            Rule(f"{code}_unknown", "constraints.unmeasured", limit, unknown, _unknown, None, _UNKNOWN_GAP)
        )
    return found


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
