"""Replies that are kept warm: one asked for a moment ago is given at once, an older one while it is asked for again.

So a choice costs microseconds, and the last reply there was is given while NATS or every recommender is away.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, Generic, NamedTuple, TypeVar

from vedette.errors import NoAnswer, RequestError

T = TypeVar("T")
_MAX_KEPT: Final = 1000
_PATIENCE_S: Final = 0.8  # until another reply that fits is given, or none while no service replies


class Reply(NamedTuple, Generic[T]):
    """A reply, and whether it is an earlier one because no service replies now."""

    value: T
    is_stale: bool


class _Kept(Generic[T]):
    """One reply, when it came, and the query that is on its way."""

    def __init__(self) -> None:
        self.value: T | None = None
        self.at = 0.0
        self.asking: asyncio.Task[T] | None = None


def none_fits(_asked: bytes, _request: bytes) -> bool:
    """Return that no reply to one request is one to another."""
    return False


class Warm(Generic[T]):
    """Replies by the bytes of their request: fresh for *fresh_s*, given at once for *usable_s*."""

    def __init__(
        self,
        ask: Callable[[bytes], Awaitable[T]],
        *,
        monotonic: Callable[[], float],
        is_away: Callable[[], bool],
        fresh_s: float,
        usable_s: float,
        fits: Callable[[bytes, bytes], bool],
    ) -> None:
        self._fits = fits  # whether the reply to the first request is one to the second
        self._ask = ask
        self._is_away = is_away  # known without a query
        self._now = monotonic
        self._fresh_s = fresh_s
        self._usable_s = usable_s
        self._kept: OrderedDict[bytes, _Kept[T]] = OrderedDict()
        self._silent = False  # the last query had no answer

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
            return Reply(kept.value, is_stale=False)
        if kept.asking is None:
            kept.asking = asyncio.create_task(self._refresh(kept, request))
            kept.asking.add_done_callback(_take_exception)
        silent = self._silent or self._is_away()
        # Who waited for a service that is away would wait at each request.
        if kept.value is not None and (silent or age_s <= self._usable_s):
            return Reply(kept.value, is_stale=silent)
        if silent and (like := self._like(request)) is not None:
            return Reply(like, is_stale=True)
        asking = kept.asking
        await asyncio.wait((asking,), timeout=_PATIENCE_S)
        if not asking.done():
            if (like := self._like(request)) is not None:
                return Reply(like, is_stale=True)
            if silent:
                raise NoAnswer(
                    code="no_answer", message="no recommender replies, and none has replied to this before"
                )
        try:
            return Reply(await asyncio.shield(asking), is_stale=False)
        except NoAnswer:
            if (like := self._like(request)) is not None:
                return Reply(like, is_stale=True)
            self._forget(request, kept)
            raise
        except Exception:
            self._forget(request, kept)
            raise

    def _like(self, request: bytes) -> T | None:
        """Return the last reply to *request*, else to another request that is one to it as well."""
        if (kept := self._kept.get(request)) is not None and kept.value is not None:
            return kept.value
        for asked, other in reversed(self._kept.items()):
            if other.value is not None and self._fits(asked, request):
                return other.value
        return None

    def _forget(self, request: bytes, kept: _Kept[T]) -> None:
        if self._kept.get(request) is kept:
            del self._kept[request]

    def expire(self, matches: Callable[[T], bool]) -> None:
        """Have the replies that *matches* says asked for again at their next use."""
        for kept in self._kept.values():
            if kept.value is not None and matches(kept.value):
                kept.at = min(kept.at, self._now() - 2 * self._fresh_s)

    async def _refresh(self, kept: _Kept[T], request: bytes) -> T:
        try:
            value = await self._ask(request)
        except NoAnswer:
            self._silent = True
            raise
        except RequestError:
            self._silent = False
            self._forget(request, kept)  # what was true before is refused now: no reply to give
            raise
        finally:
            kept.asking = None
        self._silent = False
        kept.value, kept.at = value, self._now()
        return value


def _take_exception(task: "asyncio.Task[T]") -> None:
    """Take the exception of a query that nothing waits for any more."""
    if not task.cancelled():
        task.exception()
