"""Beats: all open pages refresh at the same moments, so that shared parts are rendered once."""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Final

from vedette.messages.events import Progress
from vedette_console.changes import QUIET_S, Listener, News

_SOON_S: Final = 0.1  # events within this time share one beat
_EVERY_S: Final = 0.85  # shown data is a second old at most
_LATE_S: Final = 2.0


class Beats:
    """The moments at which open pages refresh. There is a beat only if an event waits for an open page."""

    def __init__(self, *, every_s: float = _EVERY_S, soon_s: float = _SOON_S) -> None:
        self.number = 0
        self._every_s = every_s
        self._soon_s = soon_s
        self._last_s = -math.inf
        self._next: asyncio.Task[None] | None = None

    async def next(self) -> None:
        """Wait for the next beat, which all waiting pages share."""
        if self._next is None or self._next.done():
            self._next = asyncio.create_task(self._beat())
        await asyncio.shield(self._next)  # one page that is closed does not end the wait of the others

    async def _beat(self) -> None:
        now_s = asyncio.get_running_loop().time
        await asyncio.sleep(max(self._soon_s, self._last_s + self._every_s - now_s()))
        self._last_s = now_s()
        self.number += 1


async def kinds_at_beats(
    listener: Listener, beats: Beats, late_s: float = _LATE_S
) -> AsyncIterator[set[str]]:
    """Yield at each beat the kinds of events that *listener* received; an empty set after 15 s without events.

    Each kind is yielded once more *late_s* seconds later, because a recommender may have been behind the event.
    """
    now_s = asyncio.get_running_loop().time
    due_s: dict[str, float] = {}  # when each kind is to come once more

    def quiet_s() -> float:
        return max(0.0, min(due_s.values()) - now_s()) if due_s else QUIET_S

    async for news in listener.received(quiet_s):
        if news is None and not due_s:
            yield set()
            continue
        await beats.next()
        again = {kind for kind, at_s in due_s.items() if at_s <= now_s()}
        kinds = {kind_of(one) for one in (news, *listener.taken()) if one is not None}
        for kind in again:
            del due_s[kind]
        due_s |= dict.fromkeys(kinds, now_s() + late_s)
        if kinds or again:
            yield kinds | again


def kind_of(news: News) -> str:
    """Return the kind of *news*. Each part of a page names the kinds that it shows."""
    if isinstance(news.content, Progress):
        return "progress"
    kind = news.content.TYPE
    return "load" if kind == "endpoint.load" else kind.partition(".")[0]
