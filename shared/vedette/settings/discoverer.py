"""The keys of `[probing]` that the discoverer reads."""

from typing import Annotated

from msgspec import Meta

from vedette.settings.endpoints import Working


class Discovering(Working, frozen=True, kw_only=True):
    """When a model counts as lost, and how many new models an endpoint may add."""

    misses_until_lost: Annotated[int, Meta(ge=1, le=100)] = 2
    new_models_per_day: Annotated[int, Meta(ge=0)] = 1000  # for each endpoint, after its first listing
