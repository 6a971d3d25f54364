"""The keys of `[probing]` that the discoverer reads."""

from typing import Annotated

from msgspec import Meta

from vedette.settings.endpoints import Working


class Discovering(Working, frozen=True, kw_only=True):
    """When a model is lost, and how many new ones an endpoint may bring."""

    misses_until_lost: Annotated[int, Meta(ge=1, le=100)] = 2
    new_models_per_day: Annotated[int, Meta(ge=0)] = 1000  # per endpoint, after its first listing
