"""Facts about endpoints from outside the configuration file. Set by `vedette.endpoints.merging`, never by a file."""

from datetime import datetime

from msgspec import Struct

from vedette.types import LeftOut, Origin


class Seen(Struct, frozen=True, kw_only=True):
    """The sequence of the last definition of each stream that is included."""

    definitions: int = 0
    appeared: int = 0


class Defined(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The origin of each endpoint, the definitions that were left out, and the state of the streams."""

    origins: dict[str, Origin] = {}
    left_out: tuple[LeftOut, ...] = ()
    seen: Seen | None = None  # None: this process follows no definitions

    @property
    def closed(self) -> dict[str, str]:
        """Why endpoints are not contacted (paused or asleep), by name."""
        return {name: one.closed for name, one in self.origins.items() if one.closed is not None}

    def until(self, now: datetime) -> datetime | None:
        """Return when the first pause ends after *now*, or None."""
        ends = (one.paused.until for one in self.origins.values() if one.paused)
        return min((end for end in ends if end is not None and end > now), default=None)
