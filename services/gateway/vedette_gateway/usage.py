"""What callers have used today (UTC), and whether more is allowed."""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

from msgspec import Struct

from vedette_gateway.keys import Caller
from vedette_gateway.problems import Problem


class Used(Struct, frozen=True, kw_only=True):
    """What one caller used in a day."""

    requests: int = 0
    tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: "Used") -> "Used":
        """Return both together."""
        return Used(
            requests=self.requests + other.requests,
            tokens=self.tokens + other.tokens,
            usd=self.usd + other.usd,
        )


class Usage:
    """The usage of the day, by caller."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self._now = now
        self._day = now().astimezone(UTC).date()
        self._used: dict[str, Used] = {}

    def of(self, caller: str) -> Used:
        """Return what *caller* has used today."""
        today = self._now().astimezone(UTC).date()
        if today != self._day:
            self._day, self._used = today, {}
        return self._used.get(caller, Used())

    def check(self, caller: Caller) -> None:
        """Raise Problem where *caller* has nothing left today."""
        if caller.key is None:
            return
        used, allowed = self.of(caller.name), caller.key
        for what, have, most in (
            ("requests", used.requests, allowed.requests_per_day),
            ("tokens", used.tokens, allowed.tokens_per_day),
            ("US dollars", used.usd, allowed.usd_per_day),
        ):
            if most is not None and have >= most:
                problem = f"{caller.name} has used its {most:g} {what} of today (UTC)"
                raise Problem(429, "insufficient_quota", problem, retry_after_s=self._left_s())

    def add(self, caller: str, used: Used) -> None:
        """Count what *caller* has used."""
        self._used[caller] = self.of(caller) + used

    def _left_s(self) -> float:
        """Return how long today still is."""
        now = self._now().astimezone(UTC)
        tomorrow = datetime.combine(now.date() + timedelta(days=1), time(), UTC)
        return (tomorrow - now).total_seconds()
