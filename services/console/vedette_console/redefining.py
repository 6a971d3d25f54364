"""After a change of endpoints, open pages refresh when a recommender replies with it. Before, they would be stale."""

import asyncio
from typing import Final

from vedette.errors import RequestError
from vedette.messages.events import Event
from vedette.messages.queries import EndpointsReply
from vedette_console.asking import Asking
from vedette_console.changes import Changes, Stream

IN_FORCE_WITHIN_S: Final = 5.0
_LOOK_EVERY_S: Final = 0.25


async def until_in_force(asking: Asking, *, definitions: int = 0, appeared: int = 0) -> None:
    """Return when a recommender has taken on these messages of the two streams, or a few seconds have passed."""
    try:
        async with asyncio.timeout(IN_FORCE_WITHIN_S):
            while True:
                reply = await asking.ask("endpoints.list", EndpointsReply)
                if (
                    reply.definitions is None  # it follows none
                    or (reply.definitions >= definitions and (reply.appeared or 0) >= appeared)
                ):
                    return
                await asyncio.sleep(_LOOK_EVERY_S)
    except (TimeoutError, RequestError):
        return  # a page says itself what it cannot show


class Redefining:
    """Passes the last message of each of the two streams to *changes* when it is in force."""

    def __init__(self, asking: Asking, changes: Changes) -> None:
        self._asking = asking
        self._changes = changes
        self._last: dict[Stream, tuple[int, Event]] = {}
        self._news = asyncio.Event()

    def on_defined(self, event: Event, sequence: int) -> None:
        """Take in a message of DEFINITIONS."""
        self._take("DEFINITIONS", event, sequence)

    def on_appeared(self, event: Event, sequence: int) -> None:
        """Take in a message of APPEARED."""
        self._take("APPEARED", event, sequence)

    def _take(self, stream: Stream, event: Event, sequence: int) -> None:
        self._last[stream] = (sequence, event)
        self._news.set()

    async def run(self) -> None:
        """Publish what was taken in, until cancelled. Messages that come while one is waited for become one."""
        while True:
            await self._news.wait()
            self._news.clear()
            last, self._last = self._last, {}
            sequences = {stream: sequence for stream, (sequence, _) in last.items()}
            await until_in_force(
                self._asking,
                definitions=sequences.get("DEFINITIONS", 0),
                appeared=sequences.get("APPEARED", 0),
            )
            for stream, (sequence, event) in last.items():
                self._changes.apply(stream, event, sequence)
