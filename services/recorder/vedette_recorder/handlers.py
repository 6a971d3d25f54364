"""Ingest: messages of a stream into one transaction, acknowledged after its commit."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TypeVar

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg

from vedette import tracing
from vedette.bus.bus import Bus
from vedette.bus.comparing import COMPARE_EVERY_S, compared, in_words
from vedette.clock import Clock
from vedette.errors import ConsumerVanished, UndecodableMessage, UnknownEvent
from vedette.messages.codec import decode_event
from vedette.messages.consumers import Durable
from vedette.messages.events import Tick
from vedette.messages.tolerance import FUTURE
from vedette.runtime import telemetry
from vedette_recorder import metrics, streams
from vedette_recorder.errors import DatabaseUnavailable
from vedette_recorder.lag_monitor import LagMonitor
from vedette_recorder.record import Message, Row, dead_letter, rows_of
from vedette_recorder.retaining import decide, hours_needed
from vedette_recorder.store import Store

BATCH = 500
LINGER_S = 0.1
# While the database takes one batch, the next is decoded and turned into rows.
_IN_HAND = 2
# Probes of a day come until so long after it; one that comes later has it packed again.
_STILL_COMING = timedelta(hours=1)
# A longer wait would look like a service that hangs.
_TABLES_FIRST_S = 5.0
_FIRST_WAIT_S = 0.25
_MAX_WAIT_S = 5.0
T = TypeVar("T")


class Recording:
    """Records the batches of one stream, and deletes old history."""

    def __init__(
        self, *, bus: Bus, store: Store, lag_monitor: LagMonitor, clock: Clock, retention: timedelta
    ) -> None:
        self._bus = bus
        self._store = store
        self._lag_monitor = lag_monitor
        self._clock = clock
        self._retention = retention
        self._opened = asyncio.Event()
        self._trouble: dict[str, str] = {}
        self._database_clock: str | None = None  # its problem
        self._refused = ""  # why nothing was deleted at the last tick

    async def trouble(self) -> str | None:
        """Return what keeps events from the database now, or its clock from being believed, or None."""
        return next(iter(self._trouble.values()), self._database_clock)

    async def note(self) -> str | None:
        """Return why nothing is deleted, or None."""
        return f"no history is deleted: {self._refused}" if self._refused else None

    async def open(self) -> None:
        """Make the tables: now, or in the background while the database is away or takes long."""
        making = asyncio.create_task(self._make_tables())
        try:
            await asyncio.wait([making], timeout=_TABLES_FIRST_S)
        except asyncio.CancelledError:
            making.cancel()
            raise
        if making.done():
            making.result()
            return
        if "tables" not in self._trouble:
            self._say("tables", "its tables are being brought up to this version; that may take minutes")

        async def finish() -> None:
            await making

        self._bus.spawn(finish())

    async def _make_tables(self) -> None:
        await self._insist("tables", self._store.migrate)
        self._opened.set()

    async def record(self, durable: Durable) -> None:
        """Record the stream of *durable* until cancelled."""
        await self._opened.wait()
        created_at = await self._begin(durable)
        self._bus.spawn(self._lag_monitor.watch(durable))
        in_hand: list[Sequence[Msg]] = []
        turns = asyncio.Semaphore(_IN_HAND)

        async def write(batch: Sequence[Msg]) -> None:
            try:
                await self._record(durable.stream, created_at, batch)
                in_hand.remove(batch)
            finally:
                turns.release()

        try:
            async with aclosing(
                streams.batches(self._bus, durable, most=BATCH, linger_s=LINGER_S)
            ) as batches:
                async for batch in batches:
                    in_hand.append(batch)
                    await self._require_same(durable, created_at)
                    await turns.acquire()
                    self._bus.spawn(write(batch))
        finally:
            await _give_back(in_hand)  # after the pull is over, which would get it again at once

    async def _begin(self, durable: Durable) -> datetime:
        """Return when the stream was made, once broker and database reply: either may fail meanwhile."""
        while True:
            try:
                await self._insist(durable.stream, lambda: self._lag_monitor.begin(durable))
                info = await self._bus.js.stream_info(durable.stream)
            except (nats.errors.TimeoutError, nats.js.errors.ServiceUnavailableError):
                await asyncio.sleep(_FIRST_WAIT_S)
            else:
                return info.created or datetime.fromtimestamp(0, UTC)

    async def _require_same(self, durable: Durable, created_at: datetime) -> None:
        """Raise ConsumerVanished when the stream was recreated, by whomever: its sequences begin again then.

        Asked after a batch has come, so that no message of a new stream is taken for one of the old.
        """
        while True:
            try:
                info = await self._bus.js.stream_info(durable.stream)
            except nats.js.errors.NotFoundError as error:
                raise ConsumerVanished(durable=durable.name, stream=durable.stream) from error
            except (nats.errors.Error, TimeoutError):
                await asyncio.sleep(_FIRST_WAIT_S)  # the broker is away, and so are the messages in progress
                continue
            if info.created != created_at:
                raise ConsumerVanished(durable=durable.name, stream=durable.stream)
            return

    async def _record(self, stream: str, created_at: datetime, batch: Sequence[Msg]) -> None:
        began_ns = time.time_ns()
        outcomes: Counter[str] = Counter()
        dead: list[Row] = []

        def rows() -> Iterator[Row]:
            for message in batch:
                outcome, taken = _take(_as_stored(message, stream, created_at))
                outcomes[outcome] += 1
                if outcome != "recorded":
                    dead.extend(taken)
                yield from taken

        bound = self._store.bind(rows())
        refused = await self._insist(stream, lambda: self._store.put(bound), batch)
        for message in batch:
            await message.ack()
        _trace(batch, began_ns)
        self._log_dead(stream, [*dead, *refused])
        late = len({row.message.sequence for row in refused})
        for outcome, count in {**outcomes, "recorded": outcomes["recorded"] - late, "refused": late}.items():
            metrics.RECORDED.labels(stream, outcome).inc(count)

    def _log_dead(self, stream: str, dead: Sequence[Row]) -> None:
        """Log dead letters, once for each reason in a batch."""
        for reason, count in Counter(str(row.values["reason"]) for row in dead).items():
            self._bus.log.error(
                "dead_letters.added", stream=stream, reason=reason, count=count, remedy="vedette dead list"
            )

    async def _insist(self, what: str, attempt: Callable[[], Awaitable[T]], in_hand: Sequence[Msg] = ()) -> T:
        """Return what *attempt* returns once the database answers; the messages *in_hand* stay ours until then."""
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                result = await attempt()
            except DatabaseUnavailable as error:
                self._say(what, str(error))
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, _MAX_WAIT_S)
                # Without this the broker would deliver them again, here or elsewhere.
                for message in in_hand:
                    await message.in_progress()
                continue
            if self._trouble.pop(what, None):
                metrics.DATABASE_WAITING.labels(what).set(0)
                self._bus.log.warning("database.recovered", what=what)
            return result

    def _say(self, what: str, problem: str) -> None:
        if what not in self._trouble:  # once, not per attempt
            self._bus.log.error("database.unavailable", what=what, error=problem)
            metrics.DATABASE_WAITING.labels(what).set(1)
        self._trouble[what] = problem

    async def on_tick(self, tick: Tick) -> None:
        """Correct dates of a wrong clock, make daily aggregates of past days, and delete what is past the retention.

        Without tables there is nothing yet; the next tick finds them.
        """
        if not self._opened.is_set():
            return
        await self._keep("redating", self._redate)
        await self._keep("aggregation", self._pack)
        await self._keep("retention", self._retain)

    async def pack(self) -> None:
        """Pack the days that were over before this began, as soon as there are tables and the clock is right."""
        await self._opened.wait()
        await self._bus.clock.until_right()
        await self._keep("redating", self._redate)
        await self._keep("aggregation", self._pack)

    async def _keep(self, task: str, work: Callable[[], Awaitable[dict[str, int]]]) -> None:
        """Do *work*, called *task* in the log. If the database is away, the next tick does it."""
        try:
            done = await work()
        except DatabaseUnavailable as error:
            self._bus.log.warning("maintenance.deferred", task=task, error=str(error))
            return
        self._bus.log.info("maintenance.done", task=task, **done)

    async def _pack(self) -> dict[str, int]:
        return {"packed": await self._store.pack(self._clock.now() - _STILL_COMING)}

    async def _redate(self) -> dict[str, int]:
        """Move rows of the future to where they belong; where there are many, this clock may be behind."""
        now, needed = self._clock.now(), hours_needed(self._retention)
        future = await self._store.recorded(most_hours=needed, since=now + FUTURE)
        if await self._clock_trouble() or len(future.hours) >= needed:
            return {"moved": 0}
        return {"moved": await self._store.redate(now)}

    async def _retain(self) -> dict[str, int]:
        cutoff = await self.cutoff()
        return await self._store.delete_older_than(cutoff) if cutoff else {}

    async def cutoff(self) -> datetime | None:
        """Return before when history may be deleted now, or None while the record does not confirm the clock."""
        recorded = await self._store.recorded(most_hours=hours_needed(self._retention) + 1)
        trouble = await self._clock_trouble()
        decision = decide(recorded, now=self._clock.now(), keep=self._retention, trouble=trouble)
        metrics.RETENTION_REFUSED.set(decision.cutoff is None)
        if decision.cutoff is None:
            if not self._refused:  # once, not at each tick
                self._bus.log.error("retention.refused", reason=decision.refused)
            self._refused = decision.refused
            return None
        self._refused = ""
        return decision.cutoff

    async def _clock_trouble(self) -> str | None:
        """Return what speaks against this process's clock: that of NATS, or of the database."""
        await self._compare()
        return await self._bus.clock.trouble() or self._database_clock

    async def watch_clock(self) -> None:
        """Compare with the database's clock, until cancelled; SQLite has none of its own."""
        await self._opened.wait()
        while True:
            await self._compare()
            await asyncio.sleep(COMPARE_EVERY_S)

    async def _compare(self) -> None:
        with suppress(DatabaseUnavailable):
            comparison = await compared(self._clock, self._database_time)
            if comparison is None:
                return
            ahead_s, wrong = comparison.ahead_s, comparison.is_wrong(comparison.moment)
            telemetry.CLOCK_OFFSET.labels("recorder", "database").set(ahead_s)
            problem = in_words(ahead_s, "the database", "no history is deleted") if wrong else None
            if problem and not self._database_clock:
                self._bus.log.error("clock.wrong", offset_s=round(ahead_s, 1), problem=problem)
            elif self._database_clock and not problem:
                self._bus.log.warning("clock.recovered", offset_s=round(ahead_s, 1))
            self._database_clock = problem

    async def _database_time(self) -> datetime:
        shown = await self._store.time()
        if shown is None:
            raise TimeoutError
        return shown


async def _give_back(batches: Iterable[Sequence[Msg]]) -> None:
    """Give unacknowledged messages back, so that they are redelivered at once, not after the ack wait."""
    for message in chain.from_iterable(batches):
        with suppress(nats.errors.Error):
            await message.nak()


def _trace(batch: Iterable[Msg], began_ns: int) -> None:
    """Add to the trace of each message of *batch* that it was recorded between *began_ns* and now."""
    if tracing.is_on():
        for message in batch:
            with tracing.span(
                "process",
                message.subject,
                service="recorder",
                headers=message.headers or {},
                start_ns=began_ns,
            ):
                pass


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


def _take(message: Message) -> tuple[str, tuple[Row, ...]]:
    """Return how *message* counts, and its rows: what cannot be read now is kept whole, for a later version."""
    try:
        return "recorded", rows_of(decode_event(message.subject, message.payload), message)
    except UnknownEvent as error:
        return "unknown", (dead_letter(message, str(error)),)
    except UndecodableMessage as error:
        return "dead", (dead_letter(message, str(error)),)
