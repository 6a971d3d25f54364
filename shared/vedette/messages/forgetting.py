"""Which lost models are forgotten: the old ones, and of each endpoint all but the newest. Pure.

One rule for the memory of every service, for the stream and for SQL, so that each applies it by itself (ADR 0015).
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from vedette.types import ModelRef

MAX_LOST_PER_ENDPOINT = 1000


def forgettable(
    lost: Iterable[tuple[ModelRef, datetime]], *, before: datetime, most: int = MAX_LOST_PER_ENDPOINT
) -> list[ModelRef]:
    """Return which of the *lost* models (with the time of their loss) to forget.

    Those lost before *before*, and of each endpoint those beyond the newest *most*.
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
