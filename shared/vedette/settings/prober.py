"""`[probing]`: the keys of the prober, of every worker and of the discoverer."""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from vedette.settings.discoverer import Discovering
from vedette.settings.section import Problem


class Probing(Discovering, frozen=True, kw_only=True):
    """When results change a status: `confirm` of the last `window`; and how often loads are read.

    One prober reads each endpoint's load every `load_every_s` seconds; 0: never.
    """

    confirm: Annotated[int, Meta(ge=1, le=20)] = 2
    window: Annotated[int, Meta(ge=1, le=20)] = 2
    load_every_s: Annotated[float, Meta(ge=0)] = 10.0

    def check(self) -> Iterator[Problem]:
        """Yield a problem if alternating results would change the status each time."""
        if 2 * self.confirm <= self.window:
            yield (
                "confirm",
                "must be more than half of probing.window, else alternating results would change the status each time",
            )
