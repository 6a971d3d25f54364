"""Collects errors of a service's connection to NATS, for the log, `/readyz` and `vedette doctor`. Pure."""

from typing import Final

from nats.errors import ConnectionClosedError

from vedette.bus.connection import why

# Different errors until the connection is restored; there is an attempt each second.
MAX_REPORTED: Final = 20
_REFUSED: Final = "permissions violation for "


class ConnectionErrors:
    """The errors of one service's connection since it was last made.

    Before the first connection nothing is reported, because the error that is then raised has the reason.
    """

    def __init__(self) -> None:
        self.last: Exception | None = None  # nats-py's own error only says that no server is left
        self._reported: dict[str, None] | None = None

    def take(self, error: Exception) -> str | None:
        """Record *error*; return the text for the log, or None if it was logged before.

        Work that still runs while the service stops finds its connection closed. That is not an error.
        """
        if isinstance(error, ConnectionClosedError):
            return None
        self.last = error
        problem = f"{type(error).__name__}: {error}"
        if self._reported is None or problem in self._reported or len(self._reported) >= MAX_REPORTED:
            return None
        self._reported[problem] = None
        return problem

    def connected(self) -> None:
        """Record that the connection is made: later errors are new."""
        self._reported = {}

    def away(self) -> str:
        """Return a sentence that NATS is away, with the last error, if any."""
        return f"NATS is away: {why(self.last)}" if self.last else "NATS is away"

    def refused(self) -> str | None:
        """Return the permissions that this login lacks, or None."""
        said = [one.partition(_REFUSED)[2] for one in self._reported or () if _REFUSED in one.lower()]
        return f"this login on NATS may not {'; '.join(said)}" if said else None
