"""JetStream: how state moves forward on its streams.

Nobody else speaks JetStream, but for `provisioning`, which makes the streams, and `pulling`, which reads from them:

- `Bus.advance` publishes an event by compare-and-set against the last message of its subject;
- `Bus.follow` reads the last message of every subject, says when it is warm, and follows live;
- `Bus.batches` and `Bus.work` consume durables through one outstanding pull;
- `Bus.put_back` and `Bus.held` are for who repairs a stream: messages as they were, back in and out;
- `Bus.clock` is this process's clock compared with the server's: while it is wrong, nothing is published;
- `Backoff` is the one policy for what could not be handled: again later, and in the end to `DEAD`.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
import nats.errors
import nats.js.errors
from faststream import BaseMiddleware
from faststream.exceptions import NackMessage, RejectMessage
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import ClusterInfo, DeliverPolicy, DiscardPolicy, PubAck, StreamInfo

from vedette.bus import permissions
from vedette.bus.comparing import ComparedClock
from vedette.bus.provisioning import ACK_WAIT_S, ensure_durable
from vedette.bus.pulling import pull
from vedette.bus.writes import Writes
from vedette.clock import Clock
from vedette.errors import (
    ClockWrong,
    Conflict,
    ConsumerVanished,
    MessageTooLarge,
    NoLeader,
    NotYet,
    TooMany,
    UndecodableMessage,
)
from vedette.messages import subjects
from vedette.messages.catalogue import Held, ModelState, fold
from vedette.messages.codec import decode_event, encode
from vedette.messages.consumers import Durable
from vedette.messages.events import DeadLetter, Event, Job, Lifecycle, ModelEvent, Progress, ProgressState
from vedette.messages.tolerance import is_future
from vedette.types import ModelRef

T = TypeVar("T")
EventT = TypeVar("EventT", bound=Event)
MAX_DELIVERIES = 8
_WRONG_LAST_SEQUENCE = frozenset({10071, 10164})
_STORE_FAILED = 10077  # also of a full disk
_ALREADY_QUEUED = "maximum messages per subject exceeded"
_EXPECTED = "Nats-Expected-Last-Subject-Sequence"
_CONFLICTS_TOLERATED = 50
_PUBLISH_TIMEOUT_S = 5.0
_TIME_TIMEOUT_S = 2.0
_WATCH_EVERY_S = 15.0
_WATCH_SILENT_EVERY_S = 2.0
_SILENT_S = 30.0
_CANCEL_AGAIN_S = 1.0
_FOLLOW_AGAIN_S = 1.0
_TOO_MANY_RESULTS = "413"  # of a batched direct get: more than 1,024 subjects
# Without a write of its own for so long, a process tries one.
_TRY_A_WRITE_AFTER_S = 15.0


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How far a durable has come in its stream, as the broker tells it; 0 is before the first message."""

    created_at: datetime  # of the stream: sequences begin anew when it is made anew
    first: int
    last: int
    messages: int
    bytes: int
    delivered: int  # everything up to here was delivered at least once
    settled: int  # everything up to here was acknowledged
    waiting: int  # messages after `delivered` that the stream still has
    in_hand: int
    most_per_subject: int | None
    most_bytes: int | None  # where reaching it deletes what is oldest
    longest_s: float | None


class _Told(msgspec.Struct):
    """The part of a stream's state that says when the server told it."""

    ts: datetime


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A message as its stream holds it."""

    sequence: int
    at: datetime
    subject: str
    payload: bytes
    headers: dict[str, str]


# --- What could not be handled --------------------------------------------------------------------------------


def redelivery_delay_s(deliveries: int) -> float:
    """Return how long to wait before the next delivery: 1 s, doubling, at most a minute."""
    return float(min(60, 2 ** max(0, deliveries - 1)))


class Backoff:
    """Decides what becomes of a message whose handling failed: again after a delay, or `DEAD`."""

    def __init__(self, bus: "Bus") -> None:
        self._bus = bus

    async def settle(self, message: Msg, error: Exception) -> float | None:
        """Log and count the failure; return the delay in seconds, or None when the message is dead."""
        deliveries = message.metadata.num_delivered if message.reply else 1
        permanent = isinstance(error, UndecodableMessage | MessageTooLarge) or deliveries >= MAX_DELIVERIES
        self._bus.log.error(
            "message.failed",
            subject=message.subject,
            deliveries=deliveries,
            permanent=permanent,
            error=f"{type(error).__name__}: {error}",
            exc_info=error if not isinstance(error, UndecodableMessage) else None,
        )
        if not permanent:
            return redelivery_delay_s(deliveries)
        await self._bus.bury(message, reason=f"{type(error).__name__}: {error}")
        return None

    def middleware(self) -> type[BaseMiddleware]:
        """Return this policy as a FastStream middleware."""
        backoff = self

        class BackoffMiddleware(BaseMiddleware):
            """Turn a handler's exception into a delayed redelivery or a dead letter."""

            async def consume_scope(self, call_next: Any, msg: Any) -> Any:
                try:
                    return await call_next(msg)
                except NotYet as error:
                    raise NackMessage(delay=error.wait_s) from error
                except Exception as error:
                    delay = await backoff.settle(msg.raw_message, error)
                    if delay is None:
                        raise RejectMessage from error
                    raise NackMessage(delay=delay) from error

        return BackoffMiddleware


# --- The bus --------------------------------------------------------------------------------------------------


class Following:
    """A live view of a stream's subjects. `warm` is set when all that was there has been seen."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.warm = asyncio.Event()
        self.sequence = 0
        # The last message's number by its consumer, which counts anew when it is made anew.
        self.delivered = 0
        self.subscription: JetStreamContext.PushSubscription | None = None

    async def until_warm(self) -> None:
        """Wait until it is warm. Raises TimeoutError when nothing comes for too long, however much there is."""
        while not self.warm.is_set():
            seen = self.delivered
            try:
                async with asyncio.timeout(_SILENT_S):
                    await self.warm.wait()
            except TimeoutError:
                if self.delivered == seen:
                    raise

    async def current(self) -> bool:
        """Return whether all that is there now has been seen."""
        if self.subscription is None or not self.warm.is_set():
            return False
        try:
            info = await self.subscription.consumer_info()
        except nats.js.errors.NotFoundError:
            return False  # it is being made anew
        sent = info.delivered.consumer_seq if info.delivered else 0
        return info.num_pending == 0 and sent in (0, self.delivered)


def headers_of(event: Event, *, source: str) -> dict[str, str]:
    """Return the headers of *event* that *source* publishes: CloudEvents 1.0 in binary mode, and no duplicates."""
    return {
        "Nats-Msg-Id": event.id,
        "Content-Type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": event.id,
        "ce-type": f"vedette.{event.TYPE}",
        "ce-source": f"/vedette/{source}",
        "ce-time": event.at.isoformat(),
        "ce-subject": event.subject,
    }


class Bus:
    """One service's use of NATS. Built on a live connection; `fatal` is set when it can serve no longer."""

    def __init__(self, connection: NatsClient, *, name: str, clock: Clock, log: Any) -> None:
        self.connection = connection
        self.js = connection.jetstream(timeout=_PUBLISH_TIMEOUT_S)
        self.name = name
        self.clock = ComparedClock(clock, self._server_time, log=log)
        self.log = log
        self.backoff = Backoff(self)
        self.fatal: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._durables: list[Durable] = []
        self._followings: list[Following] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._writes = Writes()
        self._written_on = 0  # which of our connections to NATS the writes went through
        self._redelivered: set[str] = set()  # the ids of jobs in hand that were in hand before
        self._in_hand: dict[str, Progress | None] = {}  # the last progress of each job in hand, by its id
        self._silent: dict[str, datetime] = {}  # streams and durables that do not answer, since when

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *work* beside the service; its failure is the service's."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)
        return task

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.fail(task.exception())

    def fail(self, error: BaseException | None) -> None:
        """Declare that this service cannot go on, so that its process exits and is started anew."""
        if not self.fatal.done() and error is not None:
            self.log.critical("service.failed", error=f"{type(error).__name__}: {error}")
            self.fatal.set_exception(error)
            self.fatal.exception()  # whoever waits re-raises; nobody waiting is no warning

    async def close(self) -> None:
        """Stop everything that was spawned."""
        tasks = set(self._tasks)
        while tasks:
            for task in tasks:
                task.cancel()
            # Again, when one goes on: before Python 3.12, `wait_for`, by which nats-py awaits replies, loses a
            # cancellation that comes together with the reply.
            _, tasks = await asyncio.wait(tasks, timeout=_CANCEL_AGAIN_S)

    async def _server_time(self) -> datetime:
        """Return what the NATS server's clock shows. Raises TimeoutError or nats.errors.Error."""
        subject = f"$JS.API.STREAM.INFO.{permissions.compared(self.name)}"
        reply = await self.connection.request(subject, timeout=_TIME_TIMEOUT_S)
        try:
            return msgspec.json.decode(reply.data, type=_Told).ts
        except msgspec.DecodeError as error:  # there is no such stream yet
            raise TimeoutError from error

    async def require_right_clock(self) -> None:
        """Return when this process's clock may stamp what is published. Raises ClockWrong."""
        if problem := await self.clock.trouble():
            raise ClockWrong(problem=problem)

    # Publishing ----------------------------------------------------------------------------------------------

    async def _store(self, subject: str, payload: bytes, headers: Mapping[str, str] | None = None) -> PubAck:
        """Publish to a stream; note whether the broker stored it. Raises MessageTooLarge and what nats-py raises."""
        if len(payload) > self.connection.max_payload:
            raise MessageTooLarge(subject=subject, size=len(payload), limit=self.connection.max_payload)
        try:
            ack = await self.js.publish(
                subject, payload, timeout=_PUBLISH_TIMEOUT_S, headers=dict(headers) if headers else None
            )
        except nats.js.errors.APIError as error:
            if not _declined(error):
                self._note_refusal(subject, error.description or str(error))
            raise
        except nats.js.errors.NoStreamResponseError:
            self._note_refusal(subject, "no stream takes it")
            raise
        except nats.errors.TimeoutError:
            self._note_refusal(subject, "no acknowledgement in time")
            raise
        self._writes.stored(subject, self.clock.monotonic())
        return ack

    def _note_refusal(self, subject: str, reason: str) -> None:
        if self._writes_of_now().problem(self.clock.monotonic()) is None:
            self.log.error("write.refused", subject=subject, reason=reason)
        self._writes.refused(subject, reason, now=self.clock.monotonic(), at=self.clock.now())

    def _writes_of_now(self) -> Writes:
        # A server that was restarted takes writes again.
        if self._written_on != (connection := self.connection.stats["reconnects"]):
            self._written_on = connection
            self._writes.forget()
        return self._writes

    def write_problem(self) -> str | None:
        """Return which streams refuse what this process publishes and what to do, or None."""
        return self._writes_of_now().problem(self.clock.monotonic())

    def refusing_for(self) -> float:
        """Return for how many seconds the broker has refused writes of this process; 0 when it takes them."""
        return self._writes_of_now().refusing_for(self.clock.monotonic())

    async def keep_writing(self) -> None:
        """Try a write when there was none for a while, for ever: nothing else shows that the broker stores none."""
        while True:
            if self._writes.quiet_for(self.clock.monotonic()) >= _TRY_A_WRITE_AFTER_S:
                with suppress(nats.errors.Error, TimeoutError):
                    await self._store(f"canary.{self.name}", b"")
            await asyncio.sleep(_TRY_A_WRITE_AFTER_S / 3)

    async def _publish(self, event: Event, headers: dict[str, str]) -> int | None:
        """Publish once; return the sequence, or None when the outcome must be read from the stream."""
        await self.require_right_clock()
        try:
            ack = await self._store(
                event.subject, encode(event), headers_of(event, source=self.name) | headers
            )
        except nats.js.errors.APIError as error:
            if error.err_code in _WRONG_LAST_SEQUENCE:
                return None
            raise
        except nats.errors.TimeoutError:
            return None  # the acknowledgement was lost, or the message was
        # A duplicate may be another subject's message with the same id: only the stream can tell.
        return ack.seq if not ack.duplicate or await self._is_stored(event, ack) else None

    async def _is_stored(self, event: Event, ack: PubAck) -> bool:
        """Return whether the message that *ack* calls the original is *event*: others may have moved on since."""
        with suppress(nats.js.errors.NotFoundError):
            raw = await self.js.get_msg(ack.stream, ack.seq, direct=True)
            return raw.subject == event.subject and (raw.headers or {}).get("Nats-Msg-Id") == event.id
        return False

    async def last_until(self, stream: str, subject: str, until: datetime) -> Event | None:
        """Return the last event on *subject* that was stored until *until*, or None when there is none."""
        async for _, event in self._last_of_each(stream, [subject], {"up_to_time": until.isoformat()}):
            return event
        return None

    async def last(self, stream: str, subject: str) -> Held[Event] | None:
        """Return the last event on *subject*, or None when there is none."""
        try:
            raw = await self.js.get_last_msg(stream, subject, direct=True)
        except nats.js.errors.NotFoundError:
            return None
        return Held(raw.seq or 0, decode_event(raw.subject or subject, raw.data or b""))

    async def advance(
        self,
        stream: str,
        subject: str,
        step: Callable[[Held[Any] | None], EventT | None],
        *,
        known: Held[Any] | None = None,
    ) -> EventT | None:
        """Move the state on *subject* one step: publish what *step* makes of its last message, or nothing.

        *known* may be a remembered last message, to save the first read; when it is stale, the comparison
        fails and the stream is read. Returns the event published, now or by an earlier attempt whose
        acknowledgement was lost. Raises Conflict.
        """
        held = known or await self.last(stream, subject)
        for _ in range(_CONFLICTS_TOLERATED):
            event = step(held)
            if event is None or (held is not None and held.event.id == event.id):
                return event
            expected = str(held.sequence if held else 0)
            if await self._publish(event, {_EXPECTED: expected}) is not None:
                return event
            held = await self.last(stream, subject)
            if held is not None and held.event.id == event.id:
                return event
        raise Conflict(subject=subject, attempts=_CONFLICTS_TOLERATED)

    async def advance_model(
        self, model: ModelRef, step: Callable[[ModelState], Lifecycle | None], *, known: ModelState | None
    ) -> Lifecycle | None:
        """Publish a lifecycle event by comparing against the model as a whole, on all of its subjects."""
        subject = subjects.of_model("*", model)
        state = known or ModelState(model=model)
        for _ in range(_CONFLICTS_TOLERATED):
            event = step(state)
            if event is None:
                return None
            headers = {
                _EXPECTED: str(state.sequence),
                f"{_EXPECTED}-Subject": subject,
            }
            if await self._publish(event, headers) is not None:
                return event
            state = await self.read_model(model)
            if state.lifecycle is not None and state.lifecycle.event.id == event.id:
                return event
        raise Conflict(subject=subject, attempts=_CONFLICTS_TOLERATED)

    async def read_model(self, model: ModelRef, *, through: int | None = None) -> ModelState:
        """Return *model* as the stream holds it, now or as of the sequence *through*: the last of each of its subjects.

        An event of a newer version says nothing here, but what is published next comes after it too.
        """
        state = ModelState(model=model)
        upto = {} if through is None else {"up_to_seq": through}
        async for sequence, event in self._last_of_each("MODELS", [subjects.of_model("*", model)], upto):
            if isinstance(event, ModelEvent):
                state = fold(state, event, sequence)
            else:
                state = msgspec.structs.replace(state, sequence=max(state.sequence, sequence))
        return state

    async def queued(self, durable: Durable) -> list[Job] | None:
        """Return the unfinished jobs that *durable* delivers, oldest first; None where there are too many to list."""
        try:
            found = [
                (sequence, job)
                async for sequence, job in self._last_of_each("JOBS", durable.filters, {})
                if isinstance(job, Job)
            ]
        except TooMany:
            return None
        return [job for _, job in sorted(found, key=lambda pair: pair[0])]

    async def workers(self, durable: Durable) -> tuple[int, int]:
        """Return how many messages of *durable* are in hand, and how many workers ask for one."""
        try:
            info = await self.js.consumer_info(durable.stream, durable.name)
        except nats.js.errors.NotFoundError:
            return 0, 0
        return info.num_ack_pending or 0, info.num_waiting or 0

    async def _last_of_each(
        self, stream: str, matching: Sequence[str], upto: Mapping[str, int | str]
    ) -> AsyncIterator[tuple[int, Event | None]]:
        # A batched direct get (ADR-31); the end of the batch is a message with status 204, nothing is 404.
        inbox = self.connection.new_inbox()
        subscription = await self.connection.subscribe(inbox)
        try:
            request = json.dumps({"multi_last": matching, **upto}).encode()
            await self.connection.publish(f"$JS.API.DIRECT.GET.{stream}", request, reply=inbox)
            while True:
                message = await subscription.next_msg(timeout=_PUBLISH_TIMEOUT_S)
                headers = message.headers or {}
                if "Status" in headers:
                    if headers["Status"] == _TOO_MANY_RESULTS:
                        raise TooMany(stream=stream)
                    return
                yield int(headers["Nats-Sequence"]), _known(headers["Nats-Subject"], message.data)
        finally:
            await subscription.unsubscribe()

    async def enqueue(self, job: Job) -> Job:
        """Queue *job* unless its subject already has one; return the job that is queued. Raises ClockWrong."""
        await self.require_right_clock()
        try:
            await self._store(job.subject, encode(job), headers_of(job, source=self.name))
        except nats.js.errors.APIError as error:
            if not _is_queued(error):
                raise
            held = await self.last("JOBS", job.subject)
            # It may have been finished between the two calls; then ours is free to go in.
            return held.event if held and isinstance(held.event, Job) else await self.enqueue(job)
        return job

    async def tell(
        self,
        job: Job,
        state: ProgressState,
        message: str,
        *,
        step: int = 0,
        steps: int = 0,
        field: str | None = None,
        retry_s: float | None = None,
    ) -> None:
        """Publish how far *job* is, for who listens now. *field* of it is wrong; it is tried again in *retry_s*."""
        progress = Progress(
            job_id=job.id,
            at=self.clock.now(),
            state=state,
            step=step,
            steps=steps,
            message=message,
            model=job.model,
            field=field,
            kind=job.kind,
            waits_for=None if retry_s is None else "retry",
            retry_s=retry_s,
        )
        if job.id in self._in_hand:
            self._in_hand[job.id] = progress
        await self.connection.publish(progress.subject, encode(progress))

    def is_redelivered(self, job: Job) -> bool:
        """Return whether *job*, which is in hand, was in hand before: what it began may have been left undone."""
        return job.id in self._redelivered

    async def bury(self, message: Msg, *, reason: str) -> None:
        """Put *message* into DEAD with the *reason*."""
        stored = message.metadata if message.reply.startswith("$JS.ACK") else None
        letter = DeadLetter(
            service=self.name,
            at=self.clock.now(),
            reason=reason[:2000],
            subject=message.subject,
            payload=message.data,
            headers=dict(message.headers or {}),
            stream=stored.stream if stored else None,
            sequence=stored.sequence.stream if stored else None,
            deliveries=stored.num_delivered if stored else 1,
        )
        encoded = encode(letter)
        if len(encoded) > self.connection.max_payload:
            reason = (
                f"{letter.reason}; its payload of {len(message.data)} bytes was left out: too large to keep"
            )
            encoded = encode(msgspec.structs.replace(letter, payload=b"", reason=reason))
        await self._store(f"dead.{self.name}", encoded)

    # Repairing -----------------------------------------------------------------------------------------------

    async def put_back(
        self,
        subject: str,
        payload: bytes,
        headers: Mapping[str, str],
        *,
        after: tuple[str, int] | None = None,
    ) -> int | None:
        """Publish a message as it was; return its sequence, or None when the stream has it or does not want it.

        *after* is a subject (`*` allowed) and the last sequence that may be on it: 0 for none.
        """
        kept = {key: value for key, value in headers.items() if not key.startswith("Nats-Expected-")}
        if after is not None:
            kept |= {_EXPECTED: str(after[1]), f"{_EXPECTED}-Subject": after[0]}
        try:
            ack = await self._store(subject, payload, kept)
            if ack.duplicate:  # of one that was published a moment ago, and is gone since
                kept.pop("Nats-Msg-Id", None)
                ack = await self._store(subject, payload, kept)
        except nats.js.errors.APIError as error:
            if _declined(error):
                return None
            raise
        return ack.seq

    async def held(self, stream: str) -> AsyncIterator[Stored]:
        """Yield every message that *stream* holds now, oldest first."""
        state = (await self.js.stream_info(stream)).state
        sequence = state.first_seq
        while state.messages and sequence <= state.last_seq:
            stored = await self.first_from(stream, sequence)
            if stored is None:
                return
            yield stored
            sequence = stored.sequence + 1

    async def drop_future_probes(self) -> int:
        """Delete probe jobs that a wrong clock dated in the future; return how many.

        A version that believed such a date gave the job back until then, and no other can be queued in its place.
        Nothing is deleted while this process's own clock is wrong.
        """
        if await self.clock.trouble():
            return 0
        future = []
        stored = await self.first_from("JOBS", 1, "job.probe.>")
        while stored is not None:
            job = _known(stored.subject, stored.payload)
            if job is not None and is_future(job.at, self.clock.now()):
                future.append(stored.sequence)
            stored = await self.first_from("JOBS", stored.sequence + 1, "job.probe.>")
        return sum([await self.remove("JOBS", sequence) for sequence in future])

    async def first_from(self, stream: str, sequence: int, subject: str = ">") -> Stored | None:
        """Return the first message of *stream* on *subject* that has *sequence* or comes after it."""
        try:
            raw = await self.js.get_msg(stream, max(1, sequence), subject, direct=True, next=True)
        except nats.js.errors.NotFoundError:
            return None
        return Stored(
            sequence=raw.seq or 0,
            at=raw.time or datetime.fromtimestamp(0, UTC),
            subject=raw.subject or "",
            payload=raw.data or b"",
            headers={
                key: value for key, value in (raw.headers or {}).items() if key not in _ADDED_ON_READING
            },
        )

    async def count(self, stream: str, subject: str) -> int:
        """Return how many messages *stream* holds on *subject*."""
        return sum(((await self.js.stream_info(stream, subject)).state.subjects or {}).values())

    async def last_sequence(self, stream: str) -> int:
        """Return the sequence of the last message that *stream* ever took."""
        return (await self.js.stream_info(stream)).state.last_seq

    async def in_hand(self, durable: Durable) -> tuple[int, datetime | None]:
        """Return how many messages of *durable* are in hand, and when the last one was delivered."""
        info = await self.js.consumer_info(durable.stream, durable.name)
        return info.num_ack_pending or 0, info.delivered.last_active if info.delivered else None

    async def remove(self, stream: str, sequence: int) -> bool:
        """Delete one message of *stream*; return whether it was there."""
        try:
            return await self.js.delete_msg(stream, sequence)
        except nats.js.errors.APIError:
            return False

    async def used(self, stream: str) -> float:
        """Return the part of its limits in bytes and messages that *stream* uses, the larger; 0 without limits."""
        info = await self.js.stream_info(stream)
        return used_part(info)

    async def purge(self, stream: str, subject: str, *, through: int) -> None:
        """Delete the messages of *stream* on *subject* (`*` allowed) up to and with the sequence *through*."""
        await self.js.purge_stream(stream, seq=through + 1, subject=subject)

    async def standing(self, durable: Durable) -> Standing:
        """Return how far *durable* has come in its stream."""
        # In this order: what is published in between makes too few look missing, never too many.
        stream = await self.js.stream_info(durable.stream)
        consumer = await self.js.consumer_info(durable.stream, durable.name)
        config, state = stream.config, stream.state
        drops = config.discard is not DiscardPolicy.NEW
        return Standing(
            created_at=stream.created or datetime.fromtimestamp(0, UTC),
            first=state.first_seq,
            last=state.last_seq,
            messages=state.messages,
            bytes=state.bytes,
            delivered=consumer.delivered.stream_seq if consumer.delivered else 0,
            settled=consumer.ack_floor.stream_seq if consumer.ack_floor else 0,
            waiting=consumer.num_pending or 0,
            in_hand=consumer.num_ack_pending or 0,
            most_per_subject=_limit(config.max_msgs_per_subject),
            most_bytes=_limit(config.max_bytes) if drops else None,
            longest_s=_limit(config.max_age),
        )

    async def start_over(self, durable: Durable) -> None:
        """Have *durable* deliver its stream from the beginning."""
        with suppress(nats.js.errors.NotFoundError):
            await self.js.delete_consumer(durable.stream, durable.name)
        await ensure_durable(self.connection, durable)

    # Following -----------------------------------------------------------------------------------------------

    async def follow(self, stream: str, subject: str, apply: Callable[[Event, int], object]) -> Following:
        """Call *apply* with the last event of every subject, then with each new one, in order.

        What cannot be decoded is logged and passed over here; the recorder keeps it in DEAD.
        """
        following = Following(stream)

        async def on_message(message: Msg) -> None:
            metadata = message.metadata
            following.sequence = metadata.sequence.stream
            following.delivered = metadata.sequence.consumer
            try:
                apply(decode_event(message.subject, message.data), metadata.sequence.stream)
            except UndecodableMessage as error:
                self.log.warning("event.undecodable", subject=message.subject, error=str(error))
            if metadata.num_pending == 0:
                following.warm.set()

        subscription = await self.js.subscribe(
            subject,
            stream=stream,
            ordered_consumer=True,
            deliver_policy=DeliverPolicy.LAST_PER_SUBJECT,
            cb=on_message,
        )
        info = await subscription.consumer_info()
        if info.num_pending == 0 and not (info.delivered and info.delivered.consumer_seq):
            following.warm.set()
        following.subscription = subscription
        self._followings.append(following)
        return following

    async def follow_retrying(
        self, stream: str, subject: str, apply: Callable[[Event, int], object]
    ) -> Following:
        """Follow as `follow` does, as soon as the broker takes it."""
        while True:
            try:
                return await self.follow(stream, subject, apply)
            except (nats.errors.Error, TimeoutError):
                await asyncio.sleep(_FOLLOW_AGAIN_S)

    async def current(self) -> bool:
        """Return whether everything in what is followed has been seen: not so after a break, or in a burst."""
        return all([await following.current() for following in self._followings])

    # Pulling -------------------------------------------------------------------------------------------------

    def watch(self, durable: Durable) -> None:
        """Have the watchdog look after *durable*."""
        self._durables.append(durable)

    async def watchdog(self) -> None:
        """Watch what this service reads, and note which streams and durables do not answer.

        Fail when a durable was deleted or a followed stream went backwards: either way we stop receiving messages.
        """
        while True:
            await asyncio.sleep(_WATCH_SILENT_EVERY_S if self._silent else _WATCH_EVERY_S)
            await self._watch_once()

    async def _watch_once(self) -> None:
        await asyncio.gather(
            *(
                self._look(f"{durable.stream} (consumer {durable.name})", self._look_at_durable(durable))
                for durable in self._durables
            ),
            *(
                self._look(following.stream, self._look_at_stream(following))
                for following in self._followings
            ),
        )

    async def _look(self, what: str, look: Awaitable[None]) -> None:
        try:
            await look
        except ConsumerVanished as error:
            self.fail(error)
            raise
        except (nats.errors.Error, NoLeader, TimeoutError) as error:
            if what not in self._silent:
                self._silent[what] = self.clock.now()
                self.log.warning("stream.silent", stream=what, error=f"{type(error).__name__}: {error}")
        else:
            if self._silent.pop(what, None):
                self.log.info("stream.answers", stream=what)

    def silence(self) -> str | None:
        """Return which streams and consumers do not answer, since when, and what to do, or None."""
        if not self._silent:
            return None
        since = min(self._silent.values())
        return (
            f"JetStream does not answer for {', '.join(sorted(self._silent))} since {since:%H:%M:%S}Z. A replicated "
            "stream needs most of its NATS servers to elect a leader: start those that are down. If all run, "
            "restart the one whose log names the stream in an error (docs/operate.md)"
        )

    async def _look_at_durable(self, durable: Durable) -> None:
        try:
            info = await self.js.consumer_info(durable.stream, durable.name)
        except nats.js.errors.NotFoundError as error:
            raise ConsumerVanished(durable=durable.name, stream=durable.stream) from error
        _check_leader(durable.stream, info.cluster)

    async def _look_at_stream(self, following: Following) -> None:
        seen = following.sequence  # before asking: what comes meanwhile is ahead of the reply
        info = await self.js.stream_info(following.stream)
        _check_leader(following.stream, info.cluster)  # before its state: that of a follower may be old
        if info.state.last_seq < seen:
            raise ConsumerVanished(durable="(the tail)", stream=following.stream)

    async def batches(
        self, durable: Durable, *, most: int, linger_s: float
    ) -> AsyncGenerator[list[Msg], None]:
        """Yield messages of *durable* in lists: as many as *most*, or what came within *linger_s*."""

        async def room() -> int:
            return most

        async with aclosing(
            pull(self.connection, durable, room, clock=self.clock, linger_s=linger_s)
        ) as source:
            async for batch in source:
                if batch:
                    yield batch

    async def work(
        self,
        durable: Durable,
        handle: Callable[[Job], Awaitable[None]],
        *,
        concurrency: int,
        timeout_s: float,
    ) -> None:
        """Handle jobs of *durable* for ever, at most *concurrency* in hand, each within *timeout_s*.

        A job is kept alive while it is in hand. When this is cancelled, nothing more is taken, and what is
        in hand is given back at once.
        """
        slots = asyncio.Semaphore(concurrency)
        in_hand: set[asyncio.Task[None]] = set()

        async def room() -> int:
            await self.clock.until_right()  # until then, the other replicas take the jobs
            async with slots:
                return max(1, concurrency - len(in_hand))

        async def run(message: Msg) -> None:
            async with slots:
                await self._handle_job(message, handle, timeout_s)

        try:
            async with aclosing(pull(self.connection, durable, room, clock=self.clock)) as source:
                async for messages in source:
                    for message in messages:
                        task = asyncio.create_task(run(message))
                        in_hand.add(task)
                        task.add_done_callback(in_hand.discard)
        finally:
            for task in in_hand:
                task.cancel()
            await asyncio.gather(*in_hand, return_exceptions=True)

    async def _handle_job(
        self, message: Msg, handle: Callable[[Job], Awaitable[None]], timeout_s: float
    ) -> None:
        alive = asyncio.create_task(self._keep_alive(message))
        job = None
        try:
            event = decode_event(message.subject, message.data)
            if not isinstance(event, Job):
                raise UndecodableMessage(subject=message.subject, problem="not a job")
            job = event
            self._in_hand[job.id] = None
            if message.metadata.num_delivered > 1:
                self._redelivered.add(job.id)
            await self.require_right_clock()
            async with asyncio.timeout(timeout_s):
                await handle(job)
        except asyncio.CancelledError:
            await message.nak()
            raise
        except NotYet as error:
            await message.nak(delay=error.wait_s)
            await self._tell_deferred(job, f"deferred: {error}", error.wait_s)
        except Exception as error:  # noqa: BLE001 - the one other place that settles failures
            delay = await self.backoff.settle(message, error)
            await (message.term() if delay is None else message.nak(delay=delay))
            await self._tell_deferred(job, f"failed: {type(error).__name__}: {error}", delay)
        else:
            await message.ack()
        finally:
            alive.cancel()
            if job is not None:
                self._in_hand.pop(job.id, None)
                self._redelivered.discard(job.id)

    async def _tell_deferred(self, job: Job | None, why: str, retry_s: float | None) -> None:
        """Say that *job* waits for its next attempt, or that it is a dead letter now."""
        if job is None:
            return
        target = job.model or job.endpoint
        if retry_s is None:
            await self.tell(job, "failed", f"{target}: {why}; it is a dead letter now: vedette dead list")
        else:
            await self.tell(job, "queued", f"{target}: {why}, retry in {retry_s:.3g} s", retry_s=retry_s)

    async def _keep_alive(self, message: Msg) -> None:
        """Keep the job in hand, and repeat its last progress: who listens sees that its worker lives."""
        job_id = json.loads(message.data).get("id")
        while True:
            await asyncio.sleep(ACK_WAIT_S / 3)
            await message.in_progress()
            if progress := self._in_hand.get(job_id):
                await self.connection.publish(progress.subject, encode(progress))


NEARLY_FULL = 0.8  # of a stream's limit


def used_part(info: StreamInfo) -> float:
    """Return the part of the limits in bytes and messages that a stream uses, the larger; 0 without limits."""
    limits = (
        (info.state.bytes, _limit(info.config.max_bytes)),
        (info.state.messages, _limit(info.config.max_msgs)),
    )
    return max((used / limit for used, limit in limits if limit), default=0.0)


# What the broker adds to a message that is read, as its own headers.
_ADDED_ON_READING = frozenset(
    {
        "Nats-Stream",
        "Nats-Subject",
        "Nats-Sequence",
        "Nats-Time-Stamp",
        "Nats-Num-Pending",
        "Nats-Last-Sequence",
    }
)

N = TypeVar("N", int, float)


def _limit(value: N | None) -> N | None:
    """Return a limit of a stream; the server says that one is off with -1 or 0."""
    return value if value is not None and value > 0 else None


def _is_queued(error: nats.js.errors.APIError) -> bool:
    return error.err_code == _STORE_FAILED and _ALREADY_QUEUED in (error.description or "")


def _declined(error: nats.js.errors.APIError) -> bool:
    """Return whether the broker could store the message and was right not to."""
    return error.err_code in _WRONG_LAST_SEQUENCE or _is_queued(error)


def _check_leader(stream: str, cluster: ClusterInfo | None) -> None:
    """Raise NoLeader when a cluster says that the stream or consumer has none; a single server says nothing."""
    if cluster is not None and not cluster.leader:
        raise NoLeader(stream=stream)


def _known(subject: str, payload: bytes) -> Event | None:
    try:
        return decode_event(subject, payload)
    except UndecodableMessage:
        return None
