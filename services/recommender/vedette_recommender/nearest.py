"""What of a request stands between it and the models that it rejects, and how far. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vedette.events import Rejection, Relaxation
from vedette_recommender.columns import Columns, Floats, Mask
from vedette_recommender.filtering import Rule


class Distance(NamedTuple):
    """By row: how many fields of the request are in the way, and how far they are off in all."""

    fields: NDArray[np.int64]
    gap: Floats


def distance(rules: Sequence[Rule], room: int) -> Distance:
    """Return how far each model is from being a candidate: two missing capabilities are one field."""
    fields, gap = np.zeros(room, np.int64), np.zeros(room)
    by_field: dict[str, list[Rule]] = {}
    for rule in rules:
        by_field.setdefault(rule.field, []).append(rule)
    for group in by_field.values():
        hit, farthest = np.zeros(room, np.bool_), np.zeros(room)
        for rule in group:
            hit |= rule.hits
            farthest = np.where(rule.hits, np.maximum(farthest, _gap(rule)), farthest)
        fields += hit
        gap += farthest
    return Distance(fields, gap)


def _gap(rule: Rule) -> Floats | float:
    if rule.values is None or not isinstance(rule.need, int | float):
        return rule.gap
    return np.abs(rule.need - rule.values) / max(abs(rule.need), 1e-9)


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


def rejections(rules: Sequence[Rule], row: int, columns: Columns) -> tuple[Rejection, ...]:
    """Return every reason against the model in *row*."""
    facts = columns.facts[row]
    if facts is None:
        return ()
    return tuple(
        Rejection(model=facts.model, code=rule.code, need=rule.need, value=rule.has(row))
        for rule in rules
        if rule.hits[row]
    )


def relaxation(rules: Sequence[Rule], row: int, columns: Columns, score: float) -> Relaxation | None:
    """Return what admits the model in *row*, which would have the *score* then."""
    facts = columns.facts[row]
    if facts is None:
        return None
    by_field: dict[str, Rule] = {}
    for rule in rules:
        if rule.hits[row]:
            by_field.setdefault(rule.field, rule)
    first, *others = by_field.values()
    unmeasured = first.field == "constraints.unmeasured"
    return Relaxation(
        constraint=first.field,
        need="reject" if unmeasured else first.need,
        to="keep" if unmeasured else None if first.field in ("use_case", "capabilities") else first.has(row),
        model=facts.model,
        also=tuple(rule.field for rule in others),
        score=score,
    )
