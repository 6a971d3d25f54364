"""Which models are candidates, and why the others are not. Pure.

Every rule gives a code, the needed value, and the value of the model. If the value of the model is unknown, the code
ends in `_unknown`. The request decides about unknown values under a numeric limit (`unmeasured`), and about unknown
capabilities (`unknown_capabilities`). If the caller names a set (families, licences, locality), an unknown value is
not in it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from vedette.messages.constraints import Constraints
from vedette.messages.queries import ModelsRequest, RecommendRequest
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
from vedette_recommender.field import FilterResult, UseCaseScores
from vedette_recommender.standing import ALL

DEFAULT_STATUSES = tuple(STATUS_MULTIPLIERS)
# What has no distance is taken to be farther than any number that is off by less than this many times itself.
_SET_GAP: Final = 10.0
_UNKNOWN_GAP: Final = 5.0
_MAX_SORTED: Final = 8192
# Which kind of model it is: what is not known to chat is never tried as a chat model (ADR 0024).
_INTERFACES: Final = frozenset(
    {Capability.CHAT, Capability.COMPLETION, Capability.EMBEDDING, Capability.RERANK}
)


class Rule(Struct, frozen=True):
    """One reason to reject: the models that it rejects, and the change of the request that would admit them."""

    code: str
    field: str
    need: object
    hits: Mask

    def has(self, row: int) -> object:
        """Return what the model in *row* has of what is needed; None where nothing is known."""
        return None

    def gap(self) -> Floats | float:
        """Return how far away the models are, relative to the need."""
        return _SET_GAP


class FactRule(Rule, frozen=True):
    """A rule about a value that is not a number."""

    value: Callable[[int], object]

    def has(self, row: int) -> object:
        """Return the value of the model in *row*."""
        return self.value(row)


class LimitRule(Rule, frozen=True):
    """A numeric limit that the models' *values* exceed."""

    need: float
    values: Floats
    whole: bool

    def has(self, row: int) -> int | float:
        """Return the value of the model in *row*."""
        value = self.values[row].item()
        return int(value) if self.whole else value

    def gap(self) -> Floats:
        """Return how far each value is from the limit, relative to it."""
        return np.abs(self.need - self.values) / max(abs(self.need), 1e-9)


class Unmeasured(Rule, frozen=True):
    """The value for a numeric limit is not known."""

    def gap(self) -> float:
        """Return the distance that stands for not being known."""
        return _UNKNOWN_GAP


def alike(field: UseCaseScores, columns: Columns, request: RecommendRequest) -> Hashable:
    """Return a key with everything that a ranking for *request* depends on: equal keys mean equal rankings.

    Of a limit, the key contains its place among the values of the models. (All candidates have the requested context,
    so its size does not distinguish them.)
    """
    need, places = request.constraints, []
    free: dict[str, None] = {}
    for limit in _LIMITS:
        if (value := getattr(need, limit.name)) is not None:
            places.append(limit.place(field, columns, value))
            free[limit.name] = None
    return (
        request.use_case,
        request.capabilities,
        request.limit,
        request.risk,
        tuple(request.weights.items()),
        tuple(request.bounds.items()),
        replace(need, **free),
        *free,
        *places,
    )


class Limit(NamedTuple):
    """A numeric limit that a request may set: the code of its rejections, and the values that it limits."""

    name: str
    code: str
    values: Callable[[UseCaseScores, Columns], Floats]
    whole: bool = False  # whether the values are whole numbers

    def place(self, field: UseCaseScores, columns: Columns, limit: float) -> float:
        """Return the place of *limit* among the values of the models: limits with the same place admit the same models.

        With too many models, sorting takes more time than filtering: then return the limit itself.
        """
        if columns.room > _MAX_SORTED:
            return limit
        ordered = field.ordered.get(self.name)
        if ordered is None:
            values = self.values(field, columns)
            ordered = field.ordered[self.name] = np.sort(values[~np.isnan(values)]).tolist()
        return (bisect_left if self.name.startswith("min_") else bisect_right)(ordered, limit)

    def rules(self, field: UseCaseScores, columns: Columns, need: Constraints) -> list[Rule]:
        """Return who is beyond the limit, and who is not known to be within where that is refused, too."""
        limit, values = getattr(need, self.name), self.values(field, columns)
        hits = values < limit if self.name.startswith("min_") else values > limit
        found: list[Rule] = [
            LimitRule(self.code, f"constraints.{self.name}", limit, hits, values, self.whole)
        ]
        if need.unmeasured == "reject":
            unknown = np.isnan(values)
            found.append(Unmeasured(f"{self.code}_unknown", "constraints.unmeasured", limit, unknown))
        return found


def uptime(columns: Columns, at: float, *, hours: int) -> Floats:
    """Return the fraction of probes that count that found each model up; NaN where none counts."""
    up, counted = columns.hourly.before(at, hours * 3600, ALL)
    fraction: Floats = np.divide(up, counted, out=np.full(columns.room, np.nan), where=counted > 0)
    return fraction


_LIMITS: Final = (
    Limit("min_context_tokens", "context", lambda _, columns: columns.context_tokens, whole=True),
    # About the next call, which may have to wait for a model to load.
    Limit("max_ttft_ms", "ttft", lambda field, _: field.expected_ttft_ms),
    Limit("min_output_tps", "output_tps", lambda _, columns: columns.output_tps),
    Limit("max_price_usd_per_mtok", "price", lambda _, columns: columns.price_usd_per_mtok),
    Limit("min_parameters", "parameters", lambda _, columns: columns.parameters, whole=True),
    Limit("max_parameters", "parameters", lambda _, columns: columns.parameters, whole=True),
    Limit("min_uptime_24h", "uptime", lambda field, columns: uptime(columns, field.at, hours=24)),
)


class Choice(NamedTuple):
    """A set of values that a request may allow: the code of its rejections, and the column of the values' codes."""

    name: str
    code: str
    codes: Callable[[Columns], Codes]
    names: Callable[[Columns], Names]

    def rules(self, _: UseCaseScores, columns: Columns, need: Constraints) -> list[Rule]:
        """Return who is outside, and who is not known to be inside."""
        allowed, field, codes = getattr(need, self.name), f"constraints.{self.name}", self.codes(columns)
        outside, named = self.names(columns).all_but(allowed)[codes], list(allowed)
        return [
            FactRule(self.code, field, named, outside, lambda row: _described(columns, row, self.code)),
            Rule(f"{self.code}_unknown", field, named, codes == 0),
        ]


_CHOICES: Final = (
    Choice("providers", "provider", lambda columns: columns.provider, lambda columns: columns.providers),
    Choice("endpoints", "endpoint", lambda columns: columns.endpoint, lambda columns: columns.endpoints),
    Choice("families", "family", lambda columns: columns.family, lambda columns: columns.families),
    Choice("licenses", "license", lambda columns: columns.license, lambda columns: columns.licenses),
)
_ELSEWHERE: Final = {  # by place in LOCALITIES
    wanted: np.array([place not in ("unknown", wanted) for place in LOCALITIES]) for wanted in LOCALITIES
}


def narrow(field: UseCaseScores, columns: Columns, request: RecommendRequest) -> FilterResult:
    """Return the candidates for *request*.

    If no remaining model is known to have a needed capability, and the request keeps unknown ones, models that may have
    it are candidates.
    """
    all_models = FilterResult(columns.present, len(columns), {})
    if request.constraints.unknown_capabilities == "keep":
        surely = narrow(field, columns, replace(request, constraints=_known_only(request.constraints)))
        if surely.left:
            return surely
        found = _apply(rules(field, columns, request), all_models)
        return replace(found, unknown=_unknown(field, columns, request, found.candidates))
    if request.constraints.statuses or request.constraints.evidence.strength:
        return _apply(rules(field, columns, request), all_models)
    if field.narrowed is None:
        field.narrowed = _apply(_first(field, columns, Constraints()), all_models)
    return _apply(_further(field, columns, request), field.narrowed)


def _known_only(need: Constraints) -> Constraints:
    """Return *need* for models that are known to have the capabilities needed."""
    return replace(need, unknown_capabilities="reject")


def _unknown(
    field: UseCaseScores, columns: Columns, request: RecommendRequest, candidates: Mask
) -> tuple[Capability, ...]:
    """Return the needed capabilities of which nothing is known of some of the *candidates*."""
    needed = dict.fromkeys((*field.use_case.requires, *request.capabilities))
    return tuple(one for one in needed if (candidates & (columns.claims[CAPABILITIES.index(one)] == 0)).any())


def _apply(rules: Iterable[Rule], before: FilterResult) -> FilterResult:
    candidates, left, rejected = before.candidates, before.left, before.rejected.copy()
    for rule in rules:
        candidates = candidates > rule.hits  # and not
        were, left = left, int(np.count_nonzero(candidates))
        if left < were:
            rejected[rule.code] = rejected.get(rule.code, 0) + were - left
    return FilterResult(candidates, left, rejected)


def rules(field: UseCaseScores, columns: Columns, request: RecommendRequest) -> list[Rule]:
    """Return the rules of *request*, in the order in which they count."""
    return [*_first(field, columns, request.constraints), *_further(field, columns, request)]


def _first(field: UseCaseScores, columns: Columns, need: Constraints) -> list[Rule]:
    """Return the part that nearly all requests for a use case share."""
    found = [_closed(columns)] if columns.why_closed else []
    found += [_status(field, need.statuses or DEFAULT_STATUSES), _answers(columns), _ended(field, columns)]
    for capability in field.use_case.requires:
        found += _able(columns, capability, need, "use_case")
    return found


def _further(field: UseCaseScores, columns: Columns, request: RecommendRequest) -> list[Rule]:
    need = request.constraints
    found: list[Rule] = []
    for capability in dict.fromkeys(request.capabilities):
        if capability not in field.use_case.requires:
            found += _able(columns, capability, need, "capabilities")
    for name, rules in FILTERS.items():
        if getattr(need, name) is not None:
            found += rules(field, columns, need)
    return found


def satisfying(field: UseCaseScores, columns: Columns, request: ModelsRequest) -> Mask:
    """Return the models that satisfy the constraints of *request*, which names no use case: any *field* will do."""
    need = request.constraints
    if need.unknown_capabilities == "keep":
        surely = satisfying(field, columns, replace(request, constraints=_known_only(need)))
        if surely.any():
            return surely
    rules = [] if need.statuses is None else [_status(field, need.statuses)]
    for capability in request.capabilities:
        rules += _able(columns, capability, need, "capabilities")
    for name, made in FILTERS.items():
        if getattr(need, name) is not None:
            rules += made(field, columns, need)
    among = columns.present.copy()
    for rule in rules:
        among &= ~rule.hits
    return among


def _status(field: UseCaseScores, allowed: tuple[Status, ...]) -> Rule:
    table = np.array([status not in allowed for status in STATUSES])
    hits = table[field.status]
    return FactRule(
        "status", "constraints.statuses", list(allowed), hits, lambda row: STATUSES[field.status[row]]
    )


def _closed(columns: Columns) -> Rule:
    """Return the models of endpoints that an operator paused, or that are scaled to zero."""

    def why(row: int) -> str | None:
        facts = columns.facts[row]
        return columns.why_closed.get(facts.model.endpoint) if facts else None

    return FactRule("endpoint_closed", "calls", "an endpoint that is in use", columns.closed, why)


def _answers(columns: Columns) -> Rule:
    """Return the models of which every call failed: being listed is no sign that they answer."""

    def last(row: int) -> str | None:
        facts = columns.facts[row]
        call = facts.never_answered if facts else None
        return f"{call.purpose}: {call.outcome}{f', {call.detail}' if call.detail else ''}" if call else None

    return FactRule("never_answered", "calls", "a call that was answered", columns.never_answered, last)


def _ended(field: UseCaseScores, columns: Columns) -> Rule:
    """Return the models that their services have ended, by the services' own dates; a published date only warns."""

    def ended(row: int) -> str:
        return f"ended on {datetime.fromtimestamp(columns.ends_at[row].item(), UTC):%Y-%m-%d}"

    return FactRule("retired", "calls", "a model that is served", columns.ends_at < field.at, ended)


def _able(columns: Columns, capability: Capability, need: Constraints, field: str) -> list[Rule]:
    least, keeps = need.evidence, need.unknown_capabilities == "keep" and capability not in _INTERFACES
    claims = columns.claims[CAPABILITIES.index(capability)]

    def evidence(row: int) -> Evidence | None:
        facts = columns.facts[row]
        claim = facts.info.capabilities.get(capability) if facts else None
        return claim.evidence if claim else None

    def kind(row: int) -> str | None:
        facts = columns.facts[row]
        return "a model of unknown kind" if facts and facts.info.kind == "unknown" else None

    found: list[Rule] = (
        [] if keeps else [FactRule("capability_unknown", field, capability, claims == 0, kind)]
    )
    found.append(FactRule("capability", field, capability, claims < 0, lambda row: f"no ({evidence(row)})"))
    if least.strength:
        weak = (claims > 0) & (claims <= least.strength)
        found.append(FactRule("evidence", "constraints.evidence", f"{capability} {least}", weak, evidence))
    return found


def _excluded(_: UseCaseScores, columns: Columns, need: Constraints) -> list[Rule]:
    by_row: dict[int, str] = {}
    for name in need.exclude:
        for row in columns.named.get(name, ()):
            by_row.setdefault(row, name)
        endpoint, slash, rest = name.partition("/")
        found = columns.rows.get(ModelRef(endpoint, rest)) if slash else None
        if found is not None:
            by_row.setdefault(found, name)
    if not by_row:
        return []
    hits = np.zeros(columns.room, np.bool_)
    hits[list(by_row)] = True
    return [FactRule("excluded", "constraints.exclude", None, hits, by_row.get)]


def _located(_: UseCaseScores, columns: Columns, need: Constraints) -> list[Rule]:
    if need.locality is None:
        return []
    field, wanted, elsewhere = "constraints.locality", [need.locality], _ELSEWHERE[need.locality]
    return [
        FactRule(
            "locality",
            field,
            wanted,
            elsewhere[columns.locality],
            lambda row: LOCALITIES[columns.locality[row]],
        ),
        Rule("locality_unknown", field, wanted, columns.locality == 0),
    ]


# What each constraint rejects, in the order in which rejections count. Four constraints are not here: `statuses` is
# in `_first`, `evidence` and `unknown_capabilities` in `_able`, and `unmeasured` in `Limit.rules`.
FILTERS: Final[dict[str, Callable[[UseCaseScores, Columns, Constraints], list[Rule]]]] = {
    "exclude": _excluded,
    **{choice.name: choice.rules for choice in _CHOICES},
    "locality": _located,
    **{limit.name: limit.rules for limit in _LIMITS},
}


def _described(columns: Columns, row: int, code: str) -> str | None:
    facts: Facts | None = columns.facts[row]
    if facts is None:
        return None
    if code == "endpoint":
        return facts.model.endpoint
    return getattr(facts.info, code)  # type: ignore[no-any-return]
