"""Ingest: messages of a stream into one transaction, acknowledged after its commit."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg

from vedette import telemetry
from vedette.bus import Bus, Durable
from vedette.clock import Clock
from vedette.errors import UndecodableMessage
from vedette.events import Tick, decode_event
from vedette_recorder.errors import DatabaseUnavailable
from vedette_recorder.record import Message, Row, dead_letter, rows_of
from vedette_recorder.store import Store

BATCH = 500
LINGER_S = 0.1
_LONGEST_WAIT_S = 30.0
_ASK_AGAIN_S = 1.0


class Recording:
    """Records one stream after another batch, and deletes what is old."""

    def __init__(self, *, bus: Bus, store: Store, clock: Clock, retention: timedelta) -> None:
        self._bus = bus
        self._store = store
        self._clock = clock
        self._retention = retention
        self._trouble: dict[str, str] = {}

    async def trouble(self) -> str | None:
        """Return what keeps events from the database now, or None."""
        return next(iter(self._trouble.values()), None)

    async def record(self, durable: Durable) -> None:
        """Record the stream of *durable* for ever."""
        created_at = await self._created_at(durable.stream)
        async with aclosing(self._bus.batches(durable, most=BATCH, linger_s=LINGER_S)) as batches:
            async for batch in batches:
                await self._record(durable.stream, created_at, batch)

    async def _created_at(self, stream: str) -> datetime:
        """Return when *stream* was made, as soon as the broker says so: it may break down while we start."""
        while True:
            try:
                info = await self._bus.js.stream_info(stream)
            except (nats.errors.TimeoutError, nats.js.errors.ServiceUnavailableError):
                await asyncio.sleep(_ASK_AGAIN_S)
            else:
                return info.created or datetime.fromtimestamp(0, UTC)

    async def _record(self, stream: str, created_at: datetime, batch: Sequence[Msg]) -> None:
        rows = [row for message in batch for row in _rows(_as_stored(message, stream, created_at))]
        dead = await self._write(stream, rows, batch)
        for row in dead:
            self._bus.log.error("event.dead", subject=row.message.subject, reason=row.values["reason"])
        for message in batch:
            await message.ack()
        telemetry.RECORDED.labels(stream, "dead").inc(len(dead))
        telemetry.RECORDED.labels(stream, "recorded").inc(len(batch) - len(dead))

    async def _write(self, stream: str, rows: list[Row], batch: Sequence[Msg]) -> list[Row]:
        """Write *rows* as soon as the database takes them; return those that became dead letters."""
        quarantined = [row for row in rows if row.table == "dead_letters"]
        wait_s = 0.25
        while True:
            try:
                refused = await self._store.write(rows)
            except DatabaseUnavailable as error:
                await self._wait(stream, str(error), wait_s, batch)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
                continue
            if self._trouble.pop(stream, None):
                self._bus.log.warning("database.back", stream=stream)
            return [*quarantined, *refused]

    async def _wait(self, stream: str, problem: str, wait_s: float, batch: Sequence[Msg]) -> None:
        if stream not in self._trouble:  # once, not per attempt
            self._bus.log.error("database.unavailable", stream=stream, problem=problem)
        self._trouble[stream] = problem
        await asyncio.sleep(wait_s)
        # What is in hand stays ours: without this the broker would deliver it again, here or elsewhere.
        for message in batch:
            await message.in_progress()

    async def on_tick(self, tick: Tick) -> None:
        """Delete history that is older than the retention."""
        deleted = await self._store.delete_older_than(self._clock.now() - self._retention)
        self._bus.log.info("retention.done", **deleted)


def _as_stored(message: Msg, stream: str, created_at: datetime) -> Message:
    metadata = message.metadata
    return Message(
        stream=stream,
        stream_created_at=created_at,
        sequence=metadata.sequence.stream,
        at=metadata.timestamp,
        subject=message.subject,
        payload=message.data,
        headers=dict(message.headers or {}),
    )


def _rows(message: Message) -> tuple[Row, ...]:
    try:
        return rows_of(decode_event(message.subject, message.payload), message)
    except UndecodableMessage as error:
        return (dead_letter(message, str(error)),)
