"""Records whether the broker stores what this process publishes, from each write, for readiness. Pure.

A nats-server whose disk was full accepts connections and replies to requests, but refuses all writes to the failed
streams until it is restarted, even when there is room again (tried on 2.15.1). Only writes show this.
"""

from datetime import datetime

from msgspec import Struct

# After this time without another write to the stream, a refusal does not count.
_FORGET_AFTER_S = 300.0


class Refusal(Struct, frozen=True, kw_only=True):
    """A stream that refuses writes: since when, the last attempt, and the broker's reason."""

    since: float  # monotonic seconds, like `last`
    last: float
    at: datetime  # time of the first refusal
    reason: str


class Writes:
    """The result of the last write to each stream, by the first token of the subject."""

    def __init__(self) -> None:
        self._refused: dict[str, Refusal] = {}
        self._stored_at: float | None = None

    def stored(self, subject: str, now: float) -> None:
        """Record that a message on *subject* was stored."""
        self._stored_at = now
        self._refused.pop(_kind(subject), None)

    def refused(self, subject: str, reason: str, *, now: float, at: datetime) -> None:
        """Record that the broker did not store a message on *subject*."""
        kind = _kind(subject)
        first = self._refused.get(kind)
        self._refused[kind] = Refusal(
            since=first.since if first else now, last=now, at=first.at if first else at, reason=reason
        )

    def forget(self) -> None:
        """Drop all refusals: after a reconnect, another server or a restarted one replies."""
        self._refused.clear()

    def quiet_for(self, now: float) -> float:
        """Return the time since a message was last stored (s); infinity if none was."""
        return float("inf") if self._stored_at is None else now - self._stored_at

    def refusing_for(self, now: float) -> float:
        """Return how long some stream has refused writes (s); 0 if none does."""
        return max((now - refusal.since for _, refusal in self._current(now)), default=0.0)

    def problem(self, now: float) -> str | None:
        """Return the streams that refuse writes, with the remedy; None if none does."""
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
