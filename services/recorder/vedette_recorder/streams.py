"""Operations on streams that only the recorder needs: repair, replay, purge, and the lag of its consumers."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, suppress
from datetime import UTC, datetime

import nats.js.errors
from nats.aio.msg import Msg
from nats.js.api import ConsumerInfo, DiscardPolicy, SequenceInfo

from vedette.bus.bus import Bus
from vedette.bus.provisioning import ensure_durable
from vedette.bus.publishing import EXPECTED, declined
from vedette.bus.pulling import pull
from vedette.bus.streams import Stored, limit
from vedette.messages.consumers import Durable
from vedette_recorder.backlog import ConsumerLag

# nats-server counts a stored message for a consumer a moment later: up to 2 ms on an idle machine (2.15.1).
_COUNTED_AFTER_S = 0.5


async def put_back(
    bus: Bus,
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
        kept |= {EXPECTED: str(after[1]), f"{EXPECTED}-Subject": after[0]}
    try:
        ack = await bus.publisher.store(subject, payload, kept)
        if ack.duplicate:  # of a message that was published a moment ago and is already gone
            kept.pop("Nats-Msg-Id", None)
            ack = await bus.publisher.store(subject, payload, kept)
    except nats.js.errors.APIError as error:
        if declined(error):
            return None
        raise
    return ack.seq


async def held(bus: Bus, stream: str) -> AsyncIterator[Stored]:
    """Yield every message that *stream* holds now, oldest first."""
    state = (await bus.js.stream_info(stream)).state
    sequence = state.first_seq
    while state.messages and sequence <= state.last_seq:
        stored = await bus.streams.first_from(stream, sequence)
        if stored is None:
            return
        yield stored
        sequence = stored.sequence + 1


async def purge(bus: Bus, stream: str, subject: str, *, through: int) -> None:
    """Delete the messages of *stream* on *subject* (`*` allowed) up to and with the sequence *through*."""
    await bus.js.purge_stream(stream, seq=through + 1, subject=subject)


async def lag(bus: Bus, durable: Durable) -> ConsumerLag:
    """Return how far *durable* has come in its stream; where messages look missing, after a second look."""
    # In this order: messages that are published in between make too few look missing, never too many.
    stream = await bus.js.stream_info(durable.stream)
    consumer = await bus.js.consumer_info(durable.stream, durable.name)
    config, state = stream.config, stream.state
    delivered, waiting = _delivered(consumer), consumer.num_pending or 0
    if state.last_seq > delivered.stream_seq + waiting:
        await asyncio.sleep(_COUNTED_AFTER_S)
        later = await bus.js.consumer_info(durable.stream, durable.name)
        meanwhile = _delivered(later).consumer_seq - delivered.consumer_seq
        waiting = max(waiting, meanwhile + (later.num_pending or 0))
    drops = config.discard is not DiscardPolicy.NEW
    return ConsumerLag(
        created_at=stream.created or datetime.fromtimestamp(0, UTC),
        first=state.first_seq,
        last=state.last_seq,
        messages=state.messages,
        bytes=state.bytes,
        delivered=delivered.stream_seq,
        settled=consumer.ack_floor.stream_seq if consumer.ack_floor else 0,
        waiting=waiting,
        in_hand=consumer.num_ack_pending or 0,
        most_per_subject=limit(config.max_msgs_per_subject),
        most_bytes=limit(config.max_bytes) if drops else None,
        longest_s=limit(config.max_age),
    )


def _delivered(consumer: ConsumerInfo) -> SequenceInfo:
    return consumer.delivered or SequenceInfo(consumer_seq=0, stream_seq=0)


async def start_over(bus: Bus, durable: Durable) -> None:
    """Let *durable* deliver its stream from the beginning."""
    with suppress(nats.js.errors.NotFoundError):
        await bus.js.delete_consumer(durable.stream, durable.name)
    await ensure_durable(bus.connection, durable)


async def batches(
    bus: Bus, durable: Durable, *, most: int, linger_s: float
) -> AsyncGenerator[list[Msg], None]:
    """Yield messages of *durable* in lists: as many as *most*, or what came within *linger_s*."""

    async def room() -> int:
        return most

    async with aclosing(pull(bus.connection, durable, room, clock=bus.clock, linger_s=linger_s)) as source:
        async for batch in source:
            if batch:
                yield batch
