"""The context of every screen: the caller, the services that reply, and the parameters of the URL."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from msgspec import Struct

from vedette.clock import Clock
from vedette.errors import RequestError
from vedette_console.access import Caller
from vedette_console.addresses import named
from vedette_console.asking import Asking
from vedette_console.changes import Changes

T = TypeVar("T")
_AT_ONCE = 8
_OLDEST, _NEWEST = 2000, 9000


class Sources(Struct, frozen=True, kw_only=True):
    """The sources of values of screens: queries, changes, the clock, and the names of use cases."""

    asking: Asking
    changes: Changes
    clock: Clock
    use_cases: Callable[[], Sequence[str]]


class View(Struct, frozen=True, kw_only=True):
    """A request for a screen: its parameters, the parts of its path, and its caller."""

    pairs: tuple[tuple[str, str], ...] = ()
    path: dict[str, str] = {}
    caller: Caller = Caller("viewer")

    def get(self, name: str, default: str = "") -> str:
        """Return the last value of the parameter *name*, or *default*."""
        return next((value for key, value in reversed(self.pairs) if key == name), default)

    def all(self, name: str) -> list[str]:
        """Return all values of the parameter *name*, which may be repeated and have several values with commas."""
        return [part for value in self.repeated(name) for part in value.split(",") if part]

    def repeated(self, name: str) -> list[str]:
        """Return the values of the parameter *name*, which may be repeated. Commas do not separate."""
        return [value for key, value in self.pairs if key == name and value]

    @property
    def model(self) -> str:
        """The model of the page."""
        return named(self.path["model"], self.get("name"))

    def without(self, *names: str) -> list[tuple[str, str]]:
        """Return the parameters without *names* and without empty ones."""
        return [(key, value) for key, value in self.pairs if key not in names and value]

    @property
    def at(self) -> datetime | None:
        """The time of the parameter `at` (UTC by default), or None. Raises RequestError if it is not a time."""
        text = self.get("at")
        if not text:
            return None
        try:
            # In a URL, the + of a time zone arrives as a space. People also write a space between date and time.
            moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        except ValueError:
            message = f"at: {text!r} is no time; write it as 2026-11-28T14:00Z"
            raise RequestError(code="invalid_value", message=message, field="at") from None
        if not _OLDEST < moment.year < _NEWEST:
            message = f"at: {text!r} is not in the history"
            raise RequestError(code="invalid_value", message=message, field="at")
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def gathered(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results of *works* in order. At most eight run at once."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(work: Coroutine[Any, Any, T]) -> T:
        async with room:
            return await work

    return list(await asyncio.gather(*map(one, works)))


class Fresh:
    """Caches expensive values for some seconds, so that all open pages cost as much as one."""

    def __init__(self, for_s: float, clock: Clock) -> None:
        self._for_s = for_s
        self._clock = clock
        self._kept: dict[Any, tuple[float, asyncio.Task[Any]]] = {}

    async def get(self, key: object, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the cached result for *key*, or the result of *make*. Readers of one key share one call."""
        now = self._clock.monotonic()
        for old in [old for old, (until, _) in self._kept.items() if until <= now]:
            del self._kept[old]
        if key not in self._kept:
            self._kept[key] = now + self._for_s, asyncio.create_task(make())
        try:
            # One reader that leaves does not end the work for the others.
            result: T = await asyncio.shield(self._kept[key][1])
        except Exception:
            self._kept.pop(key, None)  # only a result is kept
            raise
        return result
