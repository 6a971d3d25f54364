"""Publishes to streams: compare-and-set, queued jobs, dead letters.

It also tests whether the broker stores messages.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import PubAck

from vedette import tracing
from vedette.bus.comparing import ComparedClock
from vedette.bus.streams import Streams
from vedette.bus.writes import Writes
from vedette.errors import Conflict, MessageTooLarge
from vedette.messages import subjects
from vedette.messages.catalogue import ModelState, Versioned
from vedette.messages.codec import encode
from vedette.messages.events import DeadLetter, Event, Job, Lifecycle
from vedette.types import ModelRef

EventT = TypeVar("EventT", bound=Event)
EXPECTED = "Nats-Expected-Last-Subject-Sequence"
PUBLISH_TIMEOUT_S = 5.0
_WRONG_LAST_SEQUENCE = frozenset({10071, 10164})
_STORE_FAILED = 10077  # also for a full disk
_ALREADY_QUEUED = "maximum messages per subject exceeded"
_CONFLICTS_TOLERATED = 50
# After this time without a write, a process tries one.
_TRY_A_WRITE_AFTER_S = 15.0


def headers_of(event: Event, *, source: str) -> dict[str, str]:
    """Return the headers of *event* from *source*: CloudEvents 1.0 in binary mode, and the id for deduplication."""
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


class Publisher:
    """Publishes the messages of one service or command to streams."""

    def __init__(
        self,
        connection: NatsClient,
        js: JetStreamContext,
        streams: Streams,
        *,
        name: str,
        clock: ComparedClock,
        log: Any,
    ) -> None:
        self._connection = connection
        self._js = js
        self._streams = streams
        self._name = name
        self._clock = clock
        self.log = log
        self._writes = Writes()
        self._written_on = 0  # the number of the connection that carried the last writes
        self.on_stored: Callable[[float], None] | None = None  # called with the duration of each write (s)

    async def advance(
        self,
        stream: str,
        subject: str,
        step: Callable[[Versioned[Any] | None], EventT | None],
        *,
        known: Versioned[Any] | None = None,
    ) -> EventT | None:
        """Publish the next event on *subject*: what *step* returns for its last message; None publishes nothing.

        *known* may be a remembered last message, to save the first read. If it is old, the comparison fails and the
        stream is read. Returns the published event, also one that an earlier attempt published although its
        acknowledgement was lost. Raises Conflict after too many conflicts.
        """
        held = known or await self._streams.last(stream, subject)
        for _ in range(_CONFLICTS_TOLERATED):
            event = step(held)
            if event is None or (held is not None and held.event.id == event.id):
                return event
            expected = str(held.sequence if held else 0)
            if await self._publish(event, {EXPECTED: expected}) is not None:
                return event
            held = await self._streams.last(stream, subject)
            if held is not None and held.event.id == event.id:
                return event
        raise Conflict(subject=subject, attempts=_CONFLICTS_TOLERATED)

    async def advance_model(
        self, model: ModelRef, step: Callable[[ModelState], Lifecycle | None], *, known: ModelState | None
    ) -> Lifecycle | None:
        """Publish a lifecycle event if no subject of the model changed meanwhile; else repeat *step*.

        Raises Conflict.
        """
        subject = subjects.of_model("*", model)
        state = known or ModelState(model=model)
        for _ in range(_CONFLICTS_TOLERATED):
            event = step(state)
            if event is None:
                return None
            headers = {
                EXPECTED: str(state.sequence),
                f"{EXPECTED}-Subject": subject,
            }
            if await self._publish(event, headers) is not None:
                return event
            state = await self._streams.read_model(model)
            if state.lifecycle is not None and state.lifecycle.event.id == event.id:
                return event
        raise Conflict(subject=subject, attempts=_CONFLICTS_TOLERATED)

    async def enqueue(self, job: Job) -> Job:
        """Queue *job* unless its subject already has a job; return the queued job. Raises ClockWrong."""
        await self._clock.require_right()
        try:
            # By comparison, not by a limit of the stream: a job may be replaced by itself (`move_back`).
            headers = headers_of(job, source=self._name) | {EXPECTED: "0"}
            await self.store(job.subject, encode(job), headers)
        except nats.js.errors.APIError as error:
            if not declined(error):
                raise
            held = await self._streams.last("JOBS", job.subject)
            # If that job ended between the two calls, this job can be queued.
            return held.event if held and isinstance(held.event, Job) else await self.enqueue(job)
        return job

    async def move_back(self, sequence: int) -> bool:
        """Move the queued job with *sequence* to the end of its queue; return whether it was still queued."""
        stored = await self._streams.first_from("JOBS", sequence)
        if stored is None or stored.sequence != sequence:
            return False
        again = {"Nats-Msg-Id": f"{stored.headers.get('ce-id', stored.subject)}+{sequence}"}
        try:
            await self.store(
                stored.subject, stored.payload, stored.headers | again | {EXPECTED: str(sequence)}
            )
        except nats.js.errors.APIError as error:
            if not declined(error):
                raise
            return False
        return True

    async def post(self, event: Event) -> None:
        """Publish *event* without waiting until it is stored. A lost event is replaced by the next one.

        Raises ClockWrong and the errors of nats-py.
        """
        await self._clock.require_right()
        if not self._connection.is_connected:
            raise nats.errors.ConnectionClosedError
        await self._connection.publish(
            event.subject, encode(event), headers=headers_of(event, source=self._name)
        )

    async def bury(self, message: Msg, *, reason: str) -> None:
        """Store *message* in the stream DEAD with the *reason*."""
        stored = message.metadata if message.reply.startswith("$JS.ACK") else None
        letter = DeadLetter(
            service=self._name,
            at=self._clock.now(),
            reason=reason[:2000],
            subject=message.subject,
            payload=message.data,
            headers=dict(message.headers or {}),
            stream=stored.stream if stored else None,
            sequence=stored.sequence.stream if stored else None,
            deliveries=stored.num_delivered if stored else 1,
        )
        encoded = encode(letter)
        if len(encoded) > self._connection.max_payload:
            reason = (
                f"{letter.reason}; its payload of {len(message.data)} bytes was left out: too large to keep"
            )
            encoded = encode(msgspec.structs.replace(letter, payload=b"", reason=reason))
        await self.store(f"dead.{self._name}", encoded)

    async def _publish(self, event: Event, headers: dict[str, str]) -> int | None:
        """Publish once; return the sequence, or None if only the stream can show the result."""
        await self._clock.require_right()
        try:
            ack = await self.store(
                event.subject, encode(event), headers_of(event, source=self._name) | headers
            )
        except nats.js.errors.APIError as error:
            if error.err_code in _WRONG_LAST_SEQUENCE:
                return None
            raise
        except nats.errors.TimeoutError:
            return None  # the acknowledgement or the message was lost
        # A duplicate may be a message of another subject with the same id: only the stream shows it.
        return ack.seq if not ack.duplicate or await self._is_stored(event, ack) else None

    async def _is_stored(self, event: Event, ack: PubAck) -> bool:
        """Return whether the original message of the duplicate *ack* is *event*."""
        with suppress(nats.js.errors.NotFoundError):
            raw = await self._js.get_msg(ack.stream, ack.seq, direct=True)
            return raw.subject == event.subject and (raw.headers or {}).get("Nats-Msg-Id") == event.id
        return False

    async def store(self, subject: str, payload: bytes, headers: Mapping[str, str] | None = None) -> PubAck:
        """Publish to a stream; record whether it was stored. Raises MessageTooLarge and the errors of nats-py."""
        if len(payload) > self._connection.max_payload:
            raise MessageTooLarge(subject=subject, size=len(payload), limit=self._connection.max_payload)
        began = self._clock.monotonic()
        try:
            ack = await self._store(subject, payload, headers)
        except nats.js.errors.APIError as error:
            if not declined(error):
                self._note_refusal(subject, error.description or str(error))
            raise
        except nats.js.errors.NoStreamResponseError:
            self._note_refusal(subject, "no stream takes it")
            raise
        except nats.errors.TimeoutError:
            self._note_refusal(subject, "no acknowledgement in time")
            raise
        now = self._clock.monotonic()
        self._writes.stored(subject, now)
        if self.on_stored is not None:
            self.on_stored(now - began)
        return ack

    async def _store(self, subject: str, payload: bytes, headers: Mapping[str, str] | None) -> PubAck:
        if not headers:
            return await self._js.publish(subject, payload, timeout=PUBLISH_TIMEOUT_S)
        with tracing.span("publish", subject, service=self._name):
            carried = {**headers, **tracing.outgoing()}
            return await self._js.publish(subject, payload, timeout=PUBLISH_TIMEOUT_S, headers=carried)

    def _note_refusal(self, subject: str, reason: str) -> None:
        if self._writes_of_now().problem(self._clock.monotonic()) is None:
            self.log.error("write.refused", subject=subject, reason=reason)
        self._writes.refused(subject, reason, now=self._clock.monotonic(), at=self._clock.now())

    def _writes_of_now(self) -> Writes:
        # After a restart, the server accepts writes again.
        if self._written_on != (connection := self._connection.stats["reconnects"]):
            self._written_on = connection
            self._writes.forget()
        return self._writes

    def write_problem(self) -> str | None:
        """Return the streams that refuse writes of this process, with the remedy; None if none does."""
        return self._writes_of_now().problem(self._clock.monotonic())

    def refusing_for(self) -> float:
        """Return how long the broker has refused writes of this process (s); 0 if it accepts them."""
        return self._writes_of_now().refusing_for(self._clock.monotonic())

    async def keep_writing(self) -> None:
        """Until cancelled, try a write after a while without one: only writes show whether messages are stored."""
        while True:
            if self._writes.quiet_for(self._clock.monotonic()) >= _TRY_A_WRITE_AFTER_S:
                with suppress(nats.errors.Error, TimeoutError):
                    await self.store(f"canary.{self._name}", b"")
            await asyncio.sleep(_TRY_A_WRITE_AFTER_S / 3)


def _is_queued(error: nats.js.errors.APIError) -> bool:
    return error.err_code == _STORE_FAILED and _ALREADY_QUEUED in (error.description or "")


def declined(error: nats.js.errors.APIError) -> bool:
    """Return whether the broker rejected the message by a rule (a comparison failed), and not for a fault."""
    return error.err_code in _WRONG_LAST_SEQUENCE or _is_queued(error)
