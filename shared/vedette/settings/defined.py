"""What was decided of endpoints outside of the configuration file. Never in the file: `vedette.endpoints.merging`."""

from datetime import datetime

from msgspec import Struct

from vedette.types import EndpointName, Pause, UtcTime


class Origin(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where an endpoint in force is from. One that only the file names, and no operator touched, has none."""

    source: str = "file"  # or `operator`, or that of an endpoint that appeared
    seen_as: str = ""  # what its source read it from, such as `Service ml/vllm`
    changed: tuple[str, ...] = ()  # keys that an operator set over those of the source
    by: str = ""  # who defined it last, and when, and why
    at: UtcTime | None = None
    reason: str = ""
    paused: Pause | None = None
    asleep: str | None = None  # why its source keeps it scaled to zero
    trouble: str = ""  # why what an operator set is not in force

    @property
    def closed(self) -> str | None:
        """Why the endpoint is not contacted, or None."""
        if self.paused is not None:
            return paused_in_words(self.paused)
        return f"asleep: {self.asleep}" if self.asleep is not None else None


class LeftOut(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A definition that is not in force, and why."""

    endpoint: EndpointName
    source: str
    why: str
    url: str = ""
    by: str = ""
    at: UtcTime | None = None
    wrong: bool = False  # no one decided it: it cannot be used


class Seen(Struct, frozen=True, kw_only=True):
    """Up to which message of each stream the definitions are taken into account."""

    definitions: int = 0
    appeared: int = 0


class Defined(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of endpoints in addition to their settings."""

    origins: dict[str, Origin] = {}
    left_out: tuple[LeftOut, ...] = ()
    seen: Seen | None = None  # None: this process follows no definitions

    def until(self, now: datetime) -> datetime | None:
        """Return when the first pause ends after *now*, or None."""
        ends = (one.paused.until for one in self.origins.values() if one.paused)
        return min((end for end in ends if end is not None and end > now), default=None)


def paused_in_words(pause: Pause) -> str:
    """Return by whom, until when and why an endpoint is paused."""
    by = f" by {pause.by}" if pause.by else ""
    until = f" until {pause.until:%Y-%m-%d %H:%M}Z" if pause.until else ""
    return f"paused{by}{until}" + (f": {pause.reason}" if pause.reason else "")
