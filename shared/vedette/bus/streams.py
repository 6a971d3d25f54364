"""Reads streams: the last message of a subject, a model, single messages, states."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.client import Client as NatsClient
from nats.js import JetStreamContext
from nats.js.api import StreamInfo

from vedette.errors import TooMany, UndecodableMessage
from vedette.messages import subjects
from vedette.messages.catalogue import ModelState, Versioned, fold
from vedette.messages.codec import decode_event
from vedette.messages.consumers import Durable
from vedette.messages.events import Event, ModelEvent
from vedette.types import ModelRef

NEARLY_FULL = 0.8  # of a stream's limit
FULL_REMEDY = "raise [nats] expected_models or give NATS more storage, then run vedette provision"
_REPLY_TIMEOUT_S = 5.0
_TOO_MANY_RESULTS = "413"  # A batched direct get that matches more than 1,024 subjects.
_NO_RESPONDERS = "503"
# Headers that the broker adds when a message is read.
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


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A message as stored in its stream."""

    sequence: int
    at: datetime
    subject: str
    payload: bytes
    headers: dict[str, str]


class Streams:
    """Reads the streams over one connection."""

    def __init__(self, connection: NatsClient, js: JetStreamContext) -> None:
        self._connection = connection
        self._js = js

    async def last(self, stream: str, subject: str) -> Versioned[Event] | None:
        """Return the last event on *subject*, or None."""
        try:
            raw = await self._js.get_last_msg(stream, subject, direct=True)
        except nats.js.errors.NotFoundError:
            return None
        return Versioned(raw.seq or 0, decode_event(raw.subject or subject, raw.data or b""))

    async def last_until(self, stream: str, subject: str, until: datetime) -> Event | None:
        """Return the last event on *subject* that was stored at or before *until*, or None."""
        async for _, event in self.last_of_each(stream, [subject], {"up_to_time": until.isoformat()}):
            return event
        return None

    async def read_model(self, model: ModelRef, *, through: int | None = None) -> ModelState:
        """Return the state of *model* from the last event of each of its subjects, now or as of the sequence *through*.

        An event that only a newer version knows is ignored, but its sequence counts in comparisons.
        """
        state = ModelState(model=model)
        upto = {} if through is None else {"up_to_seq": through}
        async for sequence, event in self.last_of_each("MODELS", [subjects.of_model("*", model)], upto):
            if isinstance(event, ModelEvent):
                state = fold(state, event, sequence)
            else:
                state = msgspec.structs.replace(state, sequence=max(state.sequence, sequence))
        return state

    async def last_of_each(
        self, stream: str, matching: Sequence[str], upto: Mapping[str, int | str]
    ) -> AsyncIterator[tuple[int, Event | None]]:
        """Yield (sequence, event) of the last message of each subject in *matching*; the event is None if undecodable.

        Raises NoRespondersError if the stream does not exist or does not reply, and TooMany.
        """
        # A batched direct get (ADR-31). Status 204 ends the batch; 404 means that there is no message.
        inbox = self._connection.new_inbox()
        subscription = await self._connection.subscribe(inbox)
        try:
            request = json.dumps({"multi_last": matching, **upto}).encode()
            await self._connection.publish(f"$JS.API.DIRECT.GET.{stream}", request, reply=inbox)
            while True:
                message = await subscription.next_msg(timeout=_REPLY_TIMEOUT_S)
                headers = message.headers or {}
                if "Status" in headers:
                    if headers["Status"] == _TOO_MANY_RESULTS:
                        raise TooMany(stream=stream)
                    if headers["Status"] == _NO_RESPONDERS:
                        raise nats.errors.NoRespondersError  # no such stream, or it has no leader now
                    return
                yield int(headers["Nats-Sequence"]), known(headers["Nats-Subject"], message.data)
        finally:
            await subscription.unsubscribe()

    async def first_from(self, stream: str, sequence: int, subject: str = ">") -> Stored | None:
        """Return the first message of *stream* on *subject* with a sequence of at least *sequence*, or None."""
        try:
            raw = await self._js.get_msg(stream, max(1, sequence), subject, direct=True, next=True)
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
        """Return the number of messages of *stream* on *subject*."""
        return sum(((await self._js.stream_info(stream, subject)).state.subjects or {}).values())

    async def last_sequence(self, stream: str) -> int:
        """Return the sequence of the last message that *stream* ever stored."""
        return (await self._js.stream_info(stream)).state.last_seq

    async def last_sequence_of(self, stream: str, matching: str) -> int:
        """Return the sequence of the last message on subjects of *matching*; 0 if there is none, or no such stream."""
        last = 0
        try:
            async for sequence, _ in self.last_of_each(stream, [matching], {}):
                last = max(last, sequence)
        except nats.errors.NoRespondersError:
            with suppress(nats.js.errors.NotFoundError):
                await self._js.stream_info(stream)
                raise
        return last

    async def in_hand(self, durable: Durable) -> tuple[int, datetime | None]:
        """Return the number of messages of *durable* in progress, and the time of its last delivery."""
        info = await self._js.consumer_info(durable.stream, durable.name)
        return info.num_ack_pending or 0, info.delivered.last_active if info.delivered else None

    async def remove(self, stream: str, sequence: int) -> bool:
        """Delete one message of *stream*; return whether it existed."""
        try:
            return await self._js.delete_msg(stream, sequence)
        except nats.js.errors.APIError:
            return False

    async def used(self, stream: str) -> float:
        """Return how full *stream* is (0 to 1): the larger part of its byte and message limits; 0 without limits."""
        info = await self._js.stream_info(stream)
        return used_part(info)


def used_part(info: StreamInfo) -> float:
    """Return how full a stream is (0 to 1): the larger part of its limits in bytes and messages; 0 without limits."""
    limits = (
        (info.state.bytes, limit(info.config.max_bytes)),
        (info.state.messages, limit(info.config.max_msgs)),
    )
    return max((used / limit for used, limit in limits if limit), default=0.0)


def limit(value: N | None) -> N | None:
    """Return the limit *value*, or None if it is off: the server reports that as -1 or 0."""
    return value if value is not None and value > 0 else None


def known(subject: str, payload: bytes) -> Event | None:
    """Return the event in *payload*, or None if this version does not know it."""
    try:
        return decode_event(subject, payload)
    except UndecodableMessage:
        return None
