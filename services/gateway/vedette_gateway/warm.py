"""Replies that are kept warm: one asked for a moment ago is given at once, an older one while it is asked for again.

So a choice costs microseconds, and the last reply there was is given while NATS or every recommender is away.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, Generic, NamedTuple, TypeVar

from vedette.errors import NoAnswer

T = TypeVar("T")
_MAX_KEPT: Final = 1000
_STALE_S: Final = 10.0


class Reply(NamedTuple, Generic[T]):
    """A reply, and how many seconds ago it came."""

    value: T
    age_s: float

    @property
    def is_stale(self) -> bool:
        """Whether it is so old that the service that gives it must be away."""
        return self.age_s > _STALE_S


class _Kept(Generic[T]):
    """One reply, when it came, and the query that is on its way."""

    def __init__(self) -> None:
        self.value: T | None = None
        self.at = 0.0
        self.asking: asyncio.Task[T] | None = None


class Warm(Generic[T]):
    """Replies by the bytes of their request: fresh for *fresh_s*, given at once for *usable_s*."""

    def __init__(
        self,
        ask: Callable[[bytes], Awaitable[T]],
        *,
        monotonic: Callable[[], float],
        fresh_s: float,
        usable_s: float,
    ) -> None:
        self._ask = ask
        self._now = monotonic
        self._fresh_s = fresh_s
        self._usable_s = usable_s
        self._kept: OrderedDict[bytes, _Kept[T]] = OrderedDict()

    async def of(self, request: bytes) -> Reply[T]:
        """Return the reply to *request*. Raises RequestError, and NoAnswer where there never was one."""
        kept = self._kept.get(request)
        if kept is None:
            kept = self._kept[request] = _Kept()
            while len(self._kept) > _MAX_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(request)
        age_s = self._now() - kept.at
        if kept.value is not None and age_s <= self._fresh_s:
            return Reply(kept.value, age_s)
        if kept.asking is None:
            kept.asking = asyncio.create_task(self._refresh(kept, request))
            kept.asking.add_done_callback(_take_exception)
        if kept.value is not None and age_s <= self._usable_s:
            return Reply(kept.value, age_s)
        try:
            return Reply(await asyncio.shield(kept.asking), 0.0)
        except NoAnswer:
            if kept.value is None:
                self._kept.pop(request, None)
                raise
            return Reply(kept.value, age_s)
        except Exception:
            self._kept.pop(request, None)
            raise

    def expire(self, matches: Callable[[T], bool]) -> None:
        """Have the replies that *matches* says asked for again at their next use."""
        for kept in self._kept.values():
            if kept.value is not None and matches(kept.value):
                kept.at = min(kept.at, self._now() - 2 * self._fresh_s)

    async def _refresh(self, kept: _Kept[T], request: bytes) -> T:
        try:
            value = await self._ask(request)
        finally:
            kept.asking = None
        kept.value, kept.at = value, self._now()
        return value


def _take_exception(task: "asyncio.Task[T]") -> None:
    """Take the exception of a query that nothing waits for any more."""
    if not task.cancelled():
        task.exception()
