"""Decides which lost models are forgotten: old ones, and for each endpoint all except the newest. Pure.

Memory of services, stream and SQL each apply this one rule (ADR 0015).
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from vedette.types import ModelRef

MAX_LOST_PER_ENDPOINT = 1000


def forgettable(
    lost: Iterable[tuple[ModelRef, datetime]], *, before: datetime, most: int = MAX_LOST_PER_ENDPOINT
) -> list[ModelRef]:
    """Return which of the *lost* models (with the times of their losses) to forget.

    Those lost before *before*, and for each endpoint all except the newest *most*.
    """
    at_endpoint: dict[str, list[tuple[datetime, str, ModelRef]]] = defaultdict(list)
    for model, at in lost:
        at_endpoint[model.endpoint].append((at, model.name, model))
    found = []
    for models in at_endpoint.values():
        models.sort(key=lambda entry: entry[:2], reverse=True)
        found += [model for at, _, model in models[:most] if at < before]
        found += [model for _, _, model in models[most:]]
    return found
