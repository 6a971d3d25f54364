"""Refreshes open pages after a change of endpoints, once a recommender knows it: sooner, they would be stale."""

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
    """Wait until a recommender has applied these sequences of DEFINITIONS and APPEARED, at most 5 s."""
    try:
        async with asyncio.timeout(IN_FORCE_WITHIN_S):
            while True:
                reply = await asking.ask("endpoints.list", EndpointsReply)
                if (
                    reply.definitions is None  # this recommender does not follow them
                    or (reply.definitions >= definitions and (reply.appeared or 0) >= appeared)
                ):
                    return
                await asyncio.sleep(_LOOK_EVERY_S)
    except (TimeoutError, RequestError):
        return  # the page itself shows the problem


class Redefining:
    """Passes the last message of DEFINITIONS and of APPEARED to *changes* once it is in force."""

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
        """Notify listeners of changes, until cancelled. Of several during a wait, only the last of a stream counts."""
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
