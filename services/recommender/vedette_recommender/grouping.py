"""Which models have the same weights, at several endpoints or under several names. Pure."""

from collections import defaultdict
from collections.abc import Iterable

from vedette.types import ModelInfo, ModelRef


def same_weights(models: Iterable[ModelInfo]) -> dict[ModelRef, tuple[ModelRef, ...]]:
    """Return the other models with the same weights, in order, for each of *models* that has such others.

    Models with the same digest have the same weights. If one model has no digest, or another kind of digest (servers
    hash different files), the same canonical identity is enough. Different digests at one endpoint are never joined.
    """
    known = list(models)
    by_digest: dict[str, list[ModelInfo]] = defaultdict(list)
    by_name: dict[str, list[ModelInfo]] = defaultdict(list)
    for info in known:
        if info.digest:
            by_digest[info.digest].append(info)
        if info.canonical:
            by_name[info.canonical].append(info)
    found = {}
    for info in known:
        others = {other.model for other in by_digest.get(info.digest or "", ())}
        others |= {other.model for other in by_name.get(info.canonical or "", ()) if not _differ(info, other)}
        if others := others - {info.model}:
            found[info.model] = tuple(sorted(others))
    return found


def _differ(one: ModelInfo, other: ModelInfo) -> bool:
    """Return whether two digests of the same kind say that these are different weights."""
    comparable = one.provider == other.provider and one.digest and other.digest
    return bool(comparable) and one.digest != other.digest
