"""Whether the broker stores what this process publishes: remembered from each write, reported to readiness. Pure.

A nats-server whose disk was full accepts connections and answers requests, and refuses every write to the streams that
failed, until it is restarted, even when there is room again (tried on 2.15.1). Only writes show that.
"""

from datetime import datetime

from msgspec import Struct

# A stream that was refused a write and was not tried again says nothing after this.
_FORGET_AFTER_S = 300.0


class Refusal(Struct, frozen=True, kw_only=True):
    """A stream that takes no writes: since when, when last tried, and the broker's reason."""

    since: float  # monotonic seconds, as `last`
    last: float
    at: datetime  # of the first refusal
    reason: str


class Writes:
    """The last outcome of the writes to each stream, by the first token of the subject."""

    def __init__(self) -> None:
        self._refused: dict[str, Refusal] = {}
        self._stored_at: float | None = None

    def stored(self, subject: str, now: float) -> None:
        """Note that a message on *subject* was stored."""
        self._stored_at = now
        self._refused.pop(_kind(subject), None)

    def refused(self, subject: str, reason: str, *, now: float, at: datetime) -> None:
        """Note that the broker did not store a message on *subject*."""
        kind = _kind(subject)
        first = self._refused.get(kind)
        self._refused[kind] = Refusal(
            since=first.since if first else now, last=now, at=first.at if first else at, reason=reason
        )

    def forget(self) -> None:
        """Forget all refusals: another server answers now, or the same one after a restart."""
        self._refused.clear()

    def quiet_for(self, now: float) -> float:
        """Return the seconds since a message was last stored; infinity when none was."""
        return float("inf") if self._stored_at is None else now - self._stored_at

    def refusing_for(self, now: float) -> float:
        """Return for how many seconds some stream has refused writes; 0 when none does."""
        return max((now - refusal.since for _, refusal in self._current(now)), default=0.0)

    def problem(self, now: float) -> str | None:
        """Return which streams refuse writes and what to do about it, or None."""
        refused = self._current(now)
        if not refused:
            return None
        kinds = ", ".join(f"{kind}.*" for kind, _ in refused)
        first = min((refusal for _, refusal in refused), key=lambda refusal: refusal.since)
        return (
            f"NATS stores no messages on {kinds} since {first.at:%H:%M:%S}Z ({first.reason}); "
            "free space on its disk, then restart the NATS server (`vedette up` restarts its own)"
        )

    def _current(self, now: float) -> list[tuple[str, Refusal]]:
        return [
            (kind, refusal)
            for kind, refusal in sorted(self._refused.items())
            if now - refusal.last < _FORGET_AFTER_S
        ]


def _kind(subject: str) -> str:
    return subject.partition(".")[0]
