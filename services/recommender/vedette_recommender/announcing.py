"""Announces the new winner of a use case, once for all replicas."""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from vedette.bus.bus import Bus
from vedette.clock import Clock
from vedette.errors import ClockWrong
from vedette.messages import subjects
from vedette.messages.catalogue import Versioned
from vedette.messages.events import AnswerChanged, Event
from vedette.messages.tolerance import FUTURE
from vedette_recommender.announcement_policy import decide, knows_more
from vedette_recommender.answers import Answers

_REST_S = 0.25  # between two rounds, so that one round checks several changes
_SHARE = 5  # a round is followed by a rest of four times its length: answering comes first
_MINUTE_S = 60


class Announcing:
    """Checks every use case after a change of the catalogue (`poke`) and at each new minute."""

    def __init__(
        self, *, bus: Bus, answers: Answers, use_cases: Iterable[str], clock: Clock, log: Any
    ) -> None:
        self._bus = bus
        self._answers = answers
        self._use_cases = tuple(use_cases)
        self._clock = clock
        self._log = log
        self._received: dict[str, Versioned[AnswerChanged]] = {}
        self._poked = asyncio.Event()

    def reload(self, answers: Answers, use_cases: Iterable[str]) -> None:
        """Look at *use_cases* in *answers* from now on."""
        self._answers = answers
        self._use_cases = tuple(use_cases)
        self.poke()

    def poke(self) -> None:
        """Have every use case looked at soon."""
        self._poked.set()

    async def listen(self) -> None:
        """Follow what has been announced; return when the last announcement of each use case is known."""
        following = await self._bus.followings.follow("ANSWERS", "answer.*", self._receive)
        await following.until_warm()

    def _receive(self, event: Event, sequence: int) -> None:
        if isinstance(event, AnswerChanged):
            self._received[event.use_case] = Versioned(sequence, event)

    async def run(self) -> None:
        """Announce until cancelled, once the catalogue is warm and `listen` has returned."""
        while True:
            self._poked.clear()
            began = self._clock.monotonic()
            for use_case in self._use_cases:
                await self._look_at(use_case)
                await asyncio.sleep(0)  # queries that came meanwhile are answered before the next one
            took_s = self._clock.monotonic() - began
            await asyncio.sleep(max(_REST_S, (_SHARE - 1) * took_s))
            await self._until_poked(_to_next_minute_s(self._clock.now()))

    async def _until_poked(self, longest_s: float) -> None:
        try:
            async with asyncio.timeout(longest_s):
                await self._poked.wait()
        except TimeoutError:
            return

    async def _look_at(self, use_case: str) -> None:
        try:
            await self._announce(use_case)
        except ClockWrong:
            return  # said where the clock is compared; the next minute tries again
        except Exception as error:  # noqa: BLE001 - what is announced must not end what is answered
            self._log.error("announcement.failed", use_case=use_case, exc_info=error)

    async def _announce(self, use_case: str) -> None:
        received = self._received.get(use_case)

        def step(held: Versioned[AnswerChanged] | None) -> AnswerChanged | None:
            return self._next(use_case, held, received)

        if step(received) is None:
            return
        if not await self._bus.followings.current():
            self.poke()  # the catalogue lags: a new connection, or a burst of events
            return
        subject = f"answer.{subjects.escape(use_case)}"
        announced = await self._bus.publisher.advance("ANSWERS", subject, step, known=received)
        if announced is not None:
            self._log.info("winner.changed", use_case=use_case, detail=announced.detail)

    def _next(
        self, use_case: str, held: Versioned[AnswerChanged] | None, received: Versioned[AnswerChanged] | None
    ) -> AnswerChanged | None:
        """Return what to announce after *held*, unless the replica that announced it knew more than this one.

        This replica has read the streams to their end after *received* came, so it has all that *received* knew. If
        the streams end before that, they were recreated.
        """
        before = held.event if held else None
        now = self._clock.now()
        announced, since = (before.model, before.as_of.sequence) if before else (None, 0)
        standing = self._answers.winner_status(use_case, announced, since=since)
        if before is not None and (
            # Later than now, it was decided by a wrong clock, which another decision puts right.
            standing.as_of.scored_at < before.as_of.scored_at <= now + FUTURE
            or (held is not received and knows_more(before, standing.as_of))
        ):
            return None
        return decide(use_case, before, standing, now=now)


def _to_next_minute_s(now: datetime) -> float:
    return _MINUTE_S - now.second - now.microsecond / 1e6
