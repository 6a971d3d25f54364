"""Which constraints reject the nearest models, and by how much. Pure."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vedette.messages.queries import Rejection, Relaxation
from vedette.types import Evidence
from vedette_recommender.columns import Columns, Floats, Mask
from vedette_recommender.filtering import Rule

# Fields that no relaxation changes: a model without a capability, or one that fails every call, is never near.
_FIXED: Final = ("use_case", "capabilities", "calls")
_OUT_OF_REACH: Final = 1000  # more than a request has fields


class Distance(NamedTuple):
    """By row: how many fields of the request reject the model, and by how much in total."""

    fields: NDArray[np.int64]
    gap: Floats

    def in_reach(self) -> Mask:
        """Return which models have every capability that is needed, and answer."""
        return self.fields < _OUT_OF_REACH


def distance(rules: Sequence[Rule], room: int) -> Distance:
    """Return how far each model is from being a candidate."""
    fields, gap = np.zeros(room, np.int64), np.zeros(room)
    by_field: dict[str, list[Rule]] = {}
    for rule in rules:
        by_field.setdefault(rule.field, []).append(rule)
    for field, group in by_field.items():
        hit, farthest = np.zeros(room, np.bool_), np.zeros(room)
        for rule in group:
            hit |= rule.hits
            farthest = np.where(rule.hits, np.maximum(farthest, rule.gap()), farthest)
        fields += hit * (_OUT_OF_REACH if field in _FIXED else 1)
        gap += farthest
    return Distance(fields, gap)


def nearest(rejected: Mask, distance: Distance, columns: Columns, most: int) -> list[int]:
    """Return the rows of the *rejected* models that are nearest: fewest fields, then smallest gap, then name."""
    (rows,) = rejected.nonzero()
    fields, gap = distance.fields[rows], distance.gap[rows]
    if len(rows) > most:
        far = fields + gap / (1.0 + gap)  # a gap is never as much as one field more
        near = far <= np.partition(far, most - 1)[most - 1]
        rows, fields, gap = rows[near], fields[near], gap[near]
    order = np.lexsort((columns.rank[rows], gap, fields))[:most]
    return rows[order].tolist()  # type: ignore[no-any-return]


def rejections(rules: Sequence[Rule], rows: Sequence[int], columns: Columns) -> tuple[Rejection, ...]:
    """Return every reason against the models in *rows*, in that order."""
    hits = [rule.hits[rows].tolist() for rule in rules]
    return tuple(
        Rejection(model=facts.model, code=rule.code, need=rule.need, value=rule.has(row))
        for place, row in enumerate(rows)
        if (facts := columns.facts[row]) is not None
        for rule, hit in zip(rules, hits, strict=True)
        if hit[place]
    )


def lacking(rules: Sequence[Rule], columns: Columns) -> list[str]:
    """Return the capabilities that are needed and that no model is known to have."""
    without: dict[str, Mask] = {}
    for rule in rules:
        if rule.code in ("capability", "capability_unknown"):
            name = str(rule.need)
            without[name] = without.get(name, False) | rule.hits
    return [name for name, hits in without.items() if hits[columns.present].all()]


def relaxation(rules: Sequence[Rule], row: int, columns: Columns, score: float) -> Relaxation | None:
    """Return the change that admits the model in *row*, which would then have the *score*."""
    facts = columns.facts[row]
    if facts is None:
        return None
    by_field: dict[str, list[Rule]] = {}
    for rule in rules:
        if rule.hits[row]:
            by_field.setdefault(rule.field, []).append(rule)
    field, *others = by_field
    need, to = _change(by_field[field], row)
    return Relaxation(constraint=field, need=need, to=to, model=facts.model, also=tuple(others), score=score)


def _change(hit: Sequence[Rule], row: int) -> tuple[object, object]:
    """Return a field of the request as it is, and as it must be to admit the model; None: without it."""
    first = hit[0]
    match first.field:
        case "constraints.unmeasured":
            return "reject", "keep"
        case "constraints.evidence":
            has = (rule.has(row) for rule in hit)
            weakest = min(
                has, key=lambda evidence: evidence.strength if isinstance(evidence, Evidence) else 0
            )
            return first.need, weakest
        case _:
            return first.need, first.has(row) or None  # no limit can be nothing
