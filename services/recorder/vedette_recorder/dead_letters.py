"""Dead letters in two places: those of services in the stream DEAD, the recorder's own in its database."""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Protocol

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from vedette.bus.bus import Bus
from vedette.bus.streams import Stored
from vedette.errors import UndecodableMessage
from vedette.messages.codec import decode_event
from vedette.messages.events import DeadLetter, Job, Tick, WebhookDelivery
from vedette_recorder import streams, tables
from vedette_recorder.record import Message, rows_of
from vedette_recorder.store import Store

DEAD = "DEAD"
_CHUNK = 500
_TABLE = tables.dead_letters
_KEY = ("stream", "stream_created_at", "sequence")
_INSTEAD = {
    "schedule": "the tick is out of date. The next tick starts the same work; "
    "vedette discover, probe or benchmark starts it now",
    "model": "its stream still holds it, and a copy would count as newer than later messages. "
    "Start the missing work with vedette probe, verify, benchmark or evaluate",
}


class Letter(Struct, frozen=True, kw_only=True):
    """A dead letter in a list, without its message."""

    id: str
    where: str  # the service that gave up, or `recorder`
    at: datetime
    subject: str
    reason: str
    bytes: int
    stream: str | None
    sequence: int | None
    # Those that could not take it; none where the recorder could not read the message at all.
    tables: tuple[str, ...] = ()


class Result(Struct, frozen=True, kw_only=True):
    """The result of retrying a dead letter."""

    id: str
    subject: str
    done: bool
    detail: str


class Whole(Protocol):
    """A dead letter with its message, and the actions of its place."""

    letter: Letter
    payload: bytes
    headers: Mapping[str, str]

    async def replay(self) -> Result:
        """Retry it; after a success it is no dead letter any more."""

    async def drop(self) -> bool:
        """Delete it for good; return whether it was there."""


async def letters(*, bus: Bus | None, store: Store | None) -> AsyncIterator[Whole]:
    """Yield every dead letter, the stream's first, each place oldest first. Without *bus* or *store*, the other's."""
    if bus is not None:
        async for stored in streams.held(bus, DEAD):
            yield InStream(bus, stored)
    if store is not None:
        async for rows in _recorded(store):
            yield InDatabase(store, rows)


class InStream:
    """Dead letters of services, in the stream DEAD."""

    def __init__(self, bus: Bus, stored: Stored) -> None:
        dead = _dead_letter(stored)
        self._bus = bus
        self._sequence = stored.sequence
        self.payload = dead.payload
        self.headers: Mapping[str, str] = dead.headers
        self.letter = Letter(
            id=_id(DEAD, stored.at.isoformat(), stored.sequence),
            where=dead.service,
            at=dead.at,
            subject=dead.subject,
            reason=dead.reason,
            bytes=len(dead.payload),
            stream=dead.stream,
            sequence=dead.sequence,
        )

    async def replay(self) -> Result:
        """Queue a job or a delivery again: of anything else, the old message would be taken for the newest."""
        subject = self.letter.subject
        try:
            event = decode_event(subject, self.payload)
        except UndecodableMessage as error:
            return _result(self.letter, done=False, detail=f"still: {error}")
        if not isinstance(event, Job | WebhookDelivery):
            instead = _INSTEAD["schedule" if isinstance(event, Tick) else "model"]
            return _result(self.letter, done=False, detail=f"not put back: {instead}")
        # Under its own id the broker would take it for a repetition of the message that failed.
        headers = {key: value for key, value in self.headers.items() if key != "Nats-Msg-Id"}
        sequence = await streams.put_back(self._bus, subject, self.payload, headers)
        await self.drop()
        return _result(
            self.letter, done=True, detail="queued" if sequence else "another one is queued already"
        )

    async def drop(self) -> bool:
        """Delete it for good; return whether it was there."""
        return await self._bus.streams.remove(DEAD, self._sequence)


class InDatabase:
    """Messages that the recorder could not read, or that a table refused."""

    def __init__(self, store: Store, rows: Sequence[sa.RowMapping]) -> None:
        self._store = store
        self._message = message = Message(**{name: rows[0][name] for name in Message.__struct_fields__})
        self.payload = message.payload
        self.headers: Mapping[str, str] = message.headers
        self.letter = Letter(
            id=_id(message.stream, message.stream_created_at.isoformat(), message.sequence),
            where="recorder",
            at=message.at,
            subject=message.subject,
            reason=rows[0]["reason"],
            bytes=len(message.payload),
            stream=message.stream,
            sequence=message.sequence,
            tables=tuple(row["table_name"] for row in rows if row["table_name"]),
        )

    async def replay(self) -> Result:
        """Record it again; the tables that still refuse it keep their dead letter."""
        try:
            rows = rows_of(decode_event(self._message.subject, self.payload), self._message)
        except UndecodableMessage as error:
            return _result(self.letter, done=False, detail=f"still: {error}")
        refused = await self._store.write(rows)
        left = [row.values["table_name"] for row in refused]
        await self._store.delete(_TABLE, sa.and_(self._is_this(), _TABLE.c.table_name.not_in(left)))
        if refused:
            return _result(self.letter, done=False, detail=f"still: {refused[0].values['reason']}")
        return _result(self.letter, done=True, detail="recorded")

    async def drop(self) -> bool:
        """Delete it for good; return whether it was there."""
        return await self._store.delete(_TABLE, self._is_this()) > 0

    def _is_this(self) -> sa.ColumnElement[bool]:
        return sa.and_(*(_TABLE.c[name] == getattr(self._message, name) for name in _KEY))


async def _recorded(store: Store) -> AsyncIterator[Sequence[sa.RowMapping]]:
    """Yield the rows of each message that became one or more dead letters, a few at a time in memory."""
    order = [_TABLE.c[name] for name in (*_KEY, "table_name")]
    after: tuple[object, ...] | None = None
    more = True
    while more:
        query = sa.select(_TABLE).order_by(*order).limit(_CHUNK)
        if after is not None:
            place = (sa.literal(value, column.type) for value, column in zip(after, order, strict=False))
            query = query.where(sa.tuple_(*order[:-1]) > sa.tuple_(*place))
        rows = await store.read(query)
        more = len(rows) == _CHUNK
        groups = [list(group) for _, group in groupby(rows, key=_place)]
        if more:
            groups.pop()  # the rest of the last one is in the next chunk
        for group in groups:
            yield group
            after = _place(group[0])


def _place(row: sa.RowMapping) -> tuple[object, ...]:
    return tuple(row[name] for name in _KEY)


def _dead_letter(stored: Stored) -> DeadLetter:
    try:
        return msgspec.json.decode(stored.payload, type=DeadLetter)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return DeadLetter(
            service=stored.subject.removeprefix("dead."),
            at=stored.at,
            reason=f"the dead letter itself cannot be read: {error}",
            subject=stored.subject,
            payload=stored.payload,
            headers=stored.headers,
        )


def _result(letter: Letter, *, done: bool, detail: str) -> Result:
    return Result(id=letter.id, subject=letter.subject, done=done, detail=detail)


def _id(*place: object) -> str:
    return hashlib.sha256(repr(place).encode()).hexdigest()[:10]
