"""Watches ingest: its lag, messages that are near loss or lost, and recreated streams.

One check costs the broker three small requests for a stream.
"""

import asyncio
from contextlib import suppress

import nats.errors
import nats.js.errors

from vedette.bus.bus import Bus
from vedette.clock import Clock
from vedette.errors import ConsumerVanished
from vedette.messages.consumers import Durable
from vedette_recorder import metrics, streams
from vedette_recorder.backlog import (
    FAR_FROM_LOSS,
    NEAR_LOSS,
    Backlog,
    ConsumerLag,
    Oldest,
    backlog,
    gap,
    is_doubtful,
    unrecorded,
)
from vedette_recorder.errors import DatabaseUnavailable
from vedette_recorder.record import Position
from vedette_recorder.store import Store

CHECK_EVERY_S = 15.0


class LagMonitor:
    """Checks how far streams are recorded, reports it in metrics and log, and stores positions and gaps."""

    def __init__(self, *, bus: Bus, store: Store, clock: Clock) -> None:
        self._bus = bus
        self._store = store
        self._clock = clock
        self._known: dict[str, int] = {}  # recorded before this process read the stream
        self._seen: dict[str, ConsumerLag] = {}
        self._noted: dict[str, Position] = {}
        self._near_loss: set[str] = set()

    async def begin(self, durable: Durable) -> None:
        """Compare the stream with its recorded position. If the stream ends before it, read it from its start again.

        A recreated stream has a new durable consumer, which reads it from its start anyway.
        """
        stream, lag = durable.stream, await streams.lag(self._bus, durable)
        held = await self._store.position(stream)
        self._known[stream], self._seen[stream] = 0, lag
        if held is None:
            return
        if held.stream_created_at != lag.created_at:
            self._bus.log.warning(
                "stream.recreated",
                stream=stream,
                recorded=held.sequence,
                remedy="vedette rebuild puts the last known state back",
            )
        elif lag.last < held.sequence:
            self._bus.log.error("stream.went_back", stream=stream, recorded=held.sequence, last=lag.last)
            await streams.start_over(self._bus, durable)
            await self._store.reach(stream, Position(stream_created_at=lag.created_at, sequence=lag.last))
            self._known[stream] = lag.last
        else:
            self._known[stream] = held.sequence

    async def watch(self, durable: Durable) -> None:
        """Check *durable* until cancelled. Raises ConsumerVanished when its stream is no longer the one it was."""
        while True:
            # The broker and the database have their own alarms.
            with suppress(nats.errors.Error, TimeoutError, DatabaseUnavailable):
                await self.check(durable)
            await asyncio.sleep(CHECK_EVERY_S)

    async def check(self, durable: Durable) -> Backlog:
        """Check once: set the metrics, say what is near loss, note what is lost and how far recording has come."""
        stream = durable.stream
        try:
            lag = await streams.lag(self._bus, durable)
        except nats.js.errors.NotFoundError as error:
            raise ConsumerVanished(durable=durable.name, stream=stream) from error
        before = self._seen.get(stream, lag)
        if lag.created_at != before.created_at or lag.last < before.settled:
            raise ConsumerVanished(durable=durable.name, stream=stream)
        self._seen[stream] = lag
        waiting = backlog(lag, await self._oldest(stream, lag))
        metrics.LAG_MESSAGES.labels(stream).set(waiting.messages)
        metrics.LAG_SECONDS.labels(stream).set(waiting.oldest_s)
        metrics.LAG_ROOM_USED.labels(stream).set(waiting.used)
        self._warn(stream, waiting)
        await self._note(stream, lag)
        return waiting

    async def _oldest(self, stream: str, lag: ConsumerLag) -> Oldest | None:
        if not unrecorded(lag):
            return None
        oldest = await self._bus.streams.first_from(stream, lag.settled + 1)
        if oldest is None:
            return None
        now = self._clock.now()
        age_s = max(0.0, (now - oldest.at).total_seconds())
        first = await self._bus.streams.first_from(stream, 1, oldest.subject) if is_doubtful(lag) else None
        if first is None:
            return Oldest(age_s=age_s)
        return Oldest(
            age_s=age_s,
            on_subject=await self._bus.streams.count(stream, oldest.subject),
            subject_age_s=(now - first.at).total_seconds(),
        )

    def _warn(self, stream: str, waiting: Backlog) -> None:
        if stream in self._near_loss:
            if waiting.used < FAR_FROM_LOSS:
                self._near_loss.discard(stream)
                self._bus.log.warning("lag.recovered", stream=stream, messages=waiting.messages)
        elif waiting.used >= NEAR_LOSS:
            self._near_loss.add(stream)
            self._bus.log.error(
                "lag.near_loss",
                stream=stream,
                messages=waiting.messages,
                oldest_s=round(waiting.oldest_s),
                used=round(waiting.used, 2),
                limit=waiting.limit,
            )

    async def _note(self, stream: str, lag: ConsumerLag) -> None:
        lost = gap(stream, lag, known=self._known.get(stream, 0), at=self._clock.now())
        noted = await self._store.note(lost) if lost else None
        if noted:
            metrics.LOST.labels(stream).set(noted.missing)
            metrics.LAST_LOSS.labels(stream).set(self._clock.now().timestamp())
            self._bus.log.error(
                "stream.gap",
                stream=stream,
                first=noted.first_sequence,
                last=noted.last_sequence,
                missing=noted.missing,
            )
        position = Position(stream_created_at=lag.created_at, sequence=lag.settled)
        # Further back while it is read again: what was known stays known.
        if lag.settled > self._known.get(stream, 0) and self._noted.get(stream) != position:
            await self._store.reach(stream, position)
            self._noted[stream] = position
