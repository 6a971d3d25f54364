"""A cache of replies: a fresh reply is returned at once, an older one while it is refreshed.

So a choice costs microseconds, and while NATS or every recommender is away, the last known reply is used.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, Generic, NamedTuple, TypeVar

from msgspec import Struct

from vedette.errors import NoAnswer, RequestError

T = TypeVar("T")
_MAX_KEPT: Final = 1000
_SILENT_S: Final = 0.8  # services reply within milliseconds


class Patience(Struct, frozen=True, kw_only=True):
    """Times in seconds: how long a reply is fresh, how long an older one is used meanwhile, how long to wait."""

    fresh_s: float
    usable_s: float
    wait_s: float = _SILENT_S  # for the reply, before an earlier reply that fits is returned
    give_up_s: float = 2.0  # for the reply in all, if no earlier one fits
    rest_s: float = 0.05  # before a refresh, so that the request that needed it runs first


class Reply(NamedTuple, Generic[T]):
    """A reply, and whether it is an earlier one because no service replies now."""

    value: T
    is_stale: bool


class Silence:
    """Whether services are silent, as the connection, the last query or long waiting queries show. True: no replies."""

    def __init__(self, *, monotonic: Callable[[], float], is_away: Callable[[], bool]) -> None:
        self._now = monotonic
        self._is_away = is_away  # for example, the connection is broken
        self._had_no_answer = False  # whether the last query to end had no reply
        self._asking = 0  # queries in progress
        self._waits_since = 0.0  # time of the last reply, or of the first query in progress

    def __bool__(self) -> bool:
        """Return whether no service replies now."""
        waits = self._asking and self._now() - self._waits_since > _SILENT_S
        return bool(self._had_no_answer or waits or self._is_away())

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Note how the query in the context ends. A RequestError is a reply, too."""
        if not self._asking:
            self._waits_since = self._now()
        self._asking += 1
        try:
            yield
        except NoAnswer:
            self._had_no_answer = True
            raise
        except RequestError:
            self._replied()
            raise
        else:
            self._replied()
        finally:
            self._asking -= 1

    def _replied(self) -> None:
        self._had_no_answer, self._waits_since = False, self._now()


class _Kept(Generic[T]):
    """One reply, when it came, and the running query for the next one."""

    def __init__(self) -> None:
        self.value: T | None = None
        self.at = 0.0
        self.asking: asyncio.Task[T] | None = None


def none_fits(_earlier: Iterable[tuple[bytes, T]], _request: bytes) -> T | None:
    """Return None: no reply to another request fits this one."""
    return None


class Warm(Generic[T]):
    """Cached replies by request. *fitting* finds a reply to another request that fits; it gets the last used first."""

    def __init__(
        self,
        ask: Callable[[bytes], Awaitable[T]],
        *,
        monotonic: Callable[[], float],
        silence: Silence,
        patience: Patience,
        fitting: Callable[[Iterable[tuple[bytes, T]], bytes], T | None],
    ) -> None:
        self._fitting = fitting
        self._ask = ask
        self._silence = silence
        self._now = monotonic
        self._patience = patience
        self._kept: OrderedDict[bytes, _Kept[T]] = OrderedDict()

    async def of(self, request: bytes, *, needed: bool = True) -> Reply[T]:
        """Return the reply to *request*. Raises RequestError, and NoAnswer if no service replies and none is cached.

        Pass `needed=False` if the caller can continue without a reply: it then waits less.
        """
        kept = self._kept.get(request)
        if kept is None:
            kept = self._kept[request] = _Kept()
            while len(self._kept) > _MAX_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(request)
        age_s = self._now() - kept.at
        if kept.value is not None and age_s <= self._patience.fresh_s:
            return Reply(kept.value, is_stale=False)
        silent = bool(self._silence)
        # Otherwise every request would wait for a service that is away.
        given = kept.value if silent or age_s <= self._patience.usable_s else None
        if kept.asking is None:
            rest_s = None if given is None else self._patience.rest_s
            kept.asking = asyncio.create_task(self._refresh(kept, request, rest_s))
            kept.asking.add_done_callback(_take_exception)
        if given is not None:
            return Reply(given, is_stale=silent)
        if silent and (earlier := self._earlier(request)) is not None:
            return Reply(earlier, is_stale=True)
        asking = kept.asking
        for wait_s in self._waits(silent=silent, needed=needed):
            await asyncio.wait((asking,), timeout=wait_s)
            if asking.done() and not isinstance(asking.exception(), NoAnswer):
                return Reply(asking.result(), is_stale=False)
            if (earlier := self._earlier(request)) is not None:
                return Reply(earlier, is_stale=True)
            if asking.done():
                return Reply(asking.result(), is_stale=False)
        raise NoAnswer(
            code="no_answer", message="no recommender replies, and no earlier ranking has a model that fits"
        )

    def _waits(self, *, silent: bool, needed: bool) -> Iterator[float]:
        """Yield the seconds to wait for the reply. After each wait, an earlier reply is looked for."""
        if needed or not silent:
            yield self._patience.wait_s
        if needed and not silent:
            yield self._patience.give_up_s - self._patience.wait_s

    def _earlier(self, request: bytes) -> T | None:
        """Return the last reply to *request*, else a reply to another request that also fits it."""
        if (kept := self._kept.get(request)) is not None and kept.value is not None:
            return kept.value
        return self._fitting(self.replies(), request)

    def replies(self) -> Iterator[tuple[bytes, T]]:
        """Yield the cached replies, by request, the last used first."""
        return ((asked, one.value) for asked, one in reversed(self._kept.items()) if one.value is not None)

    def _forget(self, request: bytes, kept: _Kept[T]) -> None:
        if self._kept.get(request) is kept:
            del self._kept[request]

    def expire(self, matches: Callable[[T], bool]) -> None:
        """Make the replies for which *matches* is true stale, so that their next use refreshes them."""
        for kept in self._kept.values():
            if kept.value is not None and matches(kept.value):
                kept.at = min(kept.at, self._now() - 2 * self._patience.fresh_s)

    async def _refresh(self, kept: _Kept[T], request: bytes, rest_s: float | None) -> T:
        try:
            if rest_s is not None:
                await asyncio.sleep(rest_s)
            value = await self._ask(request)
        except NoAnswer:
            if kept.value is None:
                self._forget(request, kept)
            raise
        except Exception:
            self._forget(request, kept)  # the request is refused now: the older reply no longer holds
            raise
        finally:
            kept.asking = None
        kept.value, kept.at = value, self._now()
        return value


def _take_exception(task: "asyncio.Task[T]") -> None:
    """Read the exception of a query that nothing waits for any more, so that asyncio does not log it."""
    if not task.cancelled():
        task.exception()
