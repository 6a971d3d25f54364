"""The usage of callers today (UTC), by all replicas together, and whether more is allowed. Pure."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from typing import Final

from msgspec import Struct

from vedette.messages import ids
from vedette.messages.events import CallerUsage, Event
from vedette.messages.queries import CallerView, Left, UsageReply, Used
from vedette.settings import CallerKey
from vedette_gateway.keys import Caller
from vedette_gateway.problems import Problem

_NOTHING: Final = Used()
_UNLIMITED: Final = Left()


class _Day(Struct, frozen=True):
    day: str
    used: Used


class Usage:
    """The usage of the day by caller: of this replica, and of the other replicas from the stream USAGE."""

    def __init__(self, *, now: Callable[[], datetime], replica: str) -> None:
        self._now = now
        self._replica = replica
        self._today = ""
        self._used: defaultdict[str, dict[str, _Day]] = defaultdict(dict)  # by caller and replica
        self._pending: Counter[str] = Counter()  # requests to which no model has begun to reply, by caller
        self._stored: dict[str, _Day] = {}  # ours, by caller, as the stream has it

    def of(self, caller: str) -> Used:
        """Return the usage of *caller* today."""
        today = self._day()
        return sum((one.used for one in self._used.get(caller, {}).values() if one.day == today), _NOTHING)

    def add(self, caller: str, used: Used) -> None:
        """Count usage of *caller* at this replica."""
        today = self._day()
        ours = self._used[caller].get(self._replica)
        before = ours.used if ours is not None and ours.day == today else _NOTHING
        self._used[caller][self._replica] = _Day(today, before + used)

    def on_caller_usage(self, event: Event, sequence: int = 0) -> None:
        """Take the sums of another replica from the stream. An event of this replica only shows what is stored."""
        if not isinstance(event, CallerUsage):
            return
        sums = _Day(event.day, Used(requests=event.requests, tokens=event.tokens, usd=event.usd))
        if event.replica == self._replica:
            self._stored[event.caller] = sums
        elif event.day >= self._day():  # a clock that is ahead has tomorrow already
            self._used[event.caller][event.replica] = sums

    def unstored(self) -> Iterator[CallerUsage]:
        """Yield an event for each sum of this replica that the stream does not have yet."""
        today, now = self._day(), self._now()
        for caller, replicas in self._used.items():
            ours = replicas.get(self._replica)
            if ours is None or ours.day != today or self._stored.get(caller) == ours:
                continue
            used = ours.used
            yield CallerUsage(
                id=ids.derive(now, CallerUsage.TYPE, self._replica, caller, repr(used)),
                at=now,
                caller=caller,
                replica=self._replica,
                day=today,
                requests=used.requests,
                tokens=used.tokens,
                usd=used.usd,
            )

    @contextmanager
    def pending(self, caller: Caller) -> Iterator[None]:
        """Reserve one request of *caller* while the context is open. Raises Problem if it has nothing left today."""
        self.check(caller)
        self._pending[caller.name] += 1
        try:
            yield
        finally:
            self._pending[caller.name] -= 1

    def check(self, caller: Caller) -> None:
        """Raise Problem (429) if *caller* has nothing left today.

        A reply in progress reserves no tokens and no dollars, so replies in progress may exceed these budgets.
        """
        if caller.key is None:
            return
        remaining, key = left(self.of(caller.name), caller.key), caller.key
        for what, rest, most in (
            ("requests", remaining.requests, key.requests_per_day),
            ("tokens", remaining.tokens, key.tokens_per_day),
            ("US dollars", remaining.usd, key.usd_per_day),
        ):
            if rest is not None and rest <= 0:
                problem = f"{caller.name} has used its {most:,} {what} of today (UTC)"
                raise Problem(429, "insufficient_quota", problem, retry_after_s=self._resets_in_s())
        if remaining.requests is not None and remaining.requests <= self._pending[caller.name]:
            problem = f"the last of {caller.name}'s {key.requests_per_day:,} requests of today (UTC) have no reply yet"
            raise Problem(429, "rate_limit_exceeded", problem, retry_after_s=1)

    def headers(self, caller: Caller) -> dict[str, str]:
        """Return the headers on the budgets of *caller*, by OpenAI's names."""
        if caller.key is None:
            return {}
        remaining, key, resets_in_s = left(self.of(caller.name), caller.key), caller.key, self._resets_in_s()
        headers: dict[str, str] = {}
        if remaining.requests is not None:
            headers |= limit("requests", key.requests_per_day, remaining.requests, resets_in_s)
        if remaining.tokens is not None:
            headers |= limit("tokens", key.tokens_per_day, remaining.tokens, resets_in_s)
        if remaining.usd is not None:
            headers["x-vedette-remaining-usd"] = f"{remaining.usd:.6f}"
        return headers

    def reply(self, keys: Mapping[str, CallerKey]) -> UsageReply:
        """Return the usage of callers that have a key or have used something today."""
        today = self._day()
        names = {*keys, *(name for name in self._used if self.of(name) != _NOTHING)}
        return UsageReply(day=today, callers=tuple(self._view(name, keys) for name in sorted(names)))

    def _view(self, name: str, keys: Mapping[str, CallerKey]) -> CallerView:
        used, key = self.of(name), keys.get(name)
        return CallerView(
            name=name,
            used=used,
            left=left(used, key) if key else _UNLIMITED,
            known=key is not None or not keys,
        )

    def _day(self) -> str:
        """Return the day (UTC). Forget older days, but keep the last one: a wrong clock may go back to it."""
        today = self._now().astimezone(UTC).date().isoformat()
        if today != self._today:
            oldest, self._today = min(self._today, today), today
            for caller, replicas in [*self._used.items()]:
                kept = {name: one for name, one in replicas.items() if one.day >= oldest}
                if kept:
                    self._used[caller] = kept
                else:
                    del self._used[caller]
        return today

    def _resets_in_s(self) -> float:
        """Return the seconds until the end of today (UTC)."""
        now = self._now().astimezone(UTC)
        tomorrow = datetime.combine(now.date() + timedelta(days=1), time(), UTC)
        return (tomorrow - now).total_seconds()


def left(used: Used, key: CallerKey) -> Left:
    """Return the rest of the budgets of *key* today."""
    return Left(
        requests=None if key.requests_per_day is None else max(0, key.requests_per_day - used.requests),
        tokens=None if key.tokens_per_day is None else max(0, key.tokens_per_day - used.tokens),
        usd=None if key.usd_per_day is None else max(0.0, key.usd_per_day - used.usd),
    )


def limit(what: str, most: int | None, rest: int, resets_in_s: float) -> dict[str, str]:
    """Return the headers on the limit *most* of *what*, of which *rest* is left, by OpenAI's names."""
    return {
        f"x-ratelimit-limit-{what}": str(most),
        f"x-ratelimit-remaining-{what}": str(rest),
        f"x-ratelimit-reset-{what}": f"{math.ceil(resets_in_s)}s",
    }
