"""Errors of a service's connection to NATS: for the log, `/readyz` and `vedette doctor`. Pure."""

from typing import Final

from nats.errors import ConnectionClosedError

from vedette.bus.connection import why

# Different errors of one connection until it is made again; there is an attempt each second.
MAX_REPORTED: Final = 20
_REFUSED: Final = "permissions violation for "


class ConnectionErrors:
    """The errors of one service's connection, since it was made for the last time.

    Until the first connection nothing is reported: the error that is raised then has the reason.
    """

    def __init__(self) -> None:
        self.last: Exception | None = None  # nats-py itself only says that no attempt was left
        self._reported: dict[str, None] | None = None

    def take(self, error: Exception) -> str | None:
        """Take in *error*; return what the log says of it, or None where it has said so already.

        Work that still runs while the service stops finds its connection closed. That is no error.
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
        """Note that the connection is made: later errors are new."""
        self._reported = {}

    def away(self) -> str:
        """Return in words that NATS is away, and why, as far as that is known."""
        return f"NATS is away: {why(self.last)}" if self.last else "NATS is away"

    def refused(self) -> str | None:
        """Return the permissions that this login lacks, or None."""
        said = [one.partition(_REFUSED)[2] for one in self._reported or () if _REFUSED in one.lower()]
        return f"this login on NATS may not {'; '.join(said)}" if said else None
