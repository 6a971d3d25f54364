"""The changes of the last day, and the listeners to new changes."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final, Literal, TypeVar

from msgspec import Struct

from vedette.messages.codec import encode
from vedette.messages.events import (
    AnswerChanged,
    EndpointObserved,
    Event,
    ModelChanged,
    ModelEvent,
    ModelFound,
    ModelLost,
    ModelRegressed,
    Progress,
)
from vedette.text.shown import quoted_name
from vedette.types import ModelRef, Outcome

KEPT_FOR: Final = timedelta(hours=24)
_MAX_KEPT: Final = 5000
_MAX_WAITING: Final = 1000  # of one listener; a slower one is disconnected and may connect again
MAX_LISTENERS: Final = 500
MAX_OF_CALLER: Final = 250  # by address; behind a proxy, all callers have the same
# Several consumers read MODELS, one for each kind of event, and one may be a little behind another.
_MAX_BEHIND: Final = 32
_MAX_DIGITS: Final = 20
QUIET_S: Final = 15.0  # without events, before a reader gets a comment that keeps the stream open
_MAX_JOBS: Final = 1000  # running and last ones: hundreds of probes begin at once

Kind = Literal["found", "changed", "lost", "regressed", "winner", "endpoint"]
Stream = Literal["MODELS", "ENDPOINTS", "ANSWERS", "LOADS", "DEFINITIONS", "APPEARED"]
_LETTERS: Final[dict[str, str]] = {"MODELS": "m", "ENDPOINTS": "e", "ANSWERS": "a"}


class Place(Struct, frozen=True):
    """The last sequence read of each stream, as text `m12.e3.a4`. A reader sends it to continue after it."""

    sequences: dict[str, int] = {}

    def __str__(self) -> str:
        return ".".join(f"{letter}{self.sequences.get(stream, 0)}" for stream, letter in _LETTERS.items())

    @classmethod
    def parse(cls, text: str) -> "Place | None":
        """Return the place that *text* names, or None for any other text."""
        found = {part[:1]: part[1:] for part in text.split(".")}
        if set(found) != set(_LETTERS.values()) or not all(map(_is_number, found.values())):
            return None
        return cls({stream: int(found[letter]) for stream, letter in _LETTERS.items()})

    def with_sequence(self, stream: str, sequence: int) -> "Place":
        """Return this place moved on to *sequence* of *stream*."""
        return Place({**self.sequences, stream: max(sequence, self.sequences.get(stream, 0))})


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < _MAX_DIGITS


class Shown(Struct, frozen=True, kw_only=True):
    """A change: its kind, its target, a sentence for people, and its time, if known."""

    kind: Kind
    text: str
    at: datetime | None = None
    model: ModelRef | None = None
    endpoint: str | None = None
    use_case: str | None = None


class Change(Shown, frozen=True, kw_only=True):
    """An event that is a change, and where it is in its stream."""

    at: datetime
    stream: str
    sequence: int
    event: Event


class News:
    """A message to a listener: an event or the progress of a job, and the position in the streams."""

    def __init__(self, place: Place, content: Event | Progress) -> None:
        self.place = place
        self.content = content

    @cached_property
    def data(self) -> bytes:
        """The content as JSON, encoded once for all listeners."""
        return encode(self.content)


class Listener:
    """The news for one reader. Of waiting news with the same value of *alike*, only the last is kept.

    It ends if the reader is too slow, or when the console stops.
    """

    def __init__(self, caller: str, alike: Callable[[News], object] = id) -> None:
        self.caller = caller
        self._alike = alike
        self._waiting: dict[object, News] = {}
        self._there = asyncio.Event()
        self.ended = False
        self.behind = asyncio.Event()  # set when too many wait; then the stream ends

    def tell(self, news: News) -> None:
        """Add *news*, or end if too many news wait."""
        if len(self._waiting) >= _MAX_WAITING:
            self.ended = True
            self.behind.set()
        elif not self.ended:
            self._waiting[self._alike(news)] = news
        self._there.set()

    def end(self) -> None:
        """End after the waiting messages."""
        self.ended = True
        self._there.set()

    async def received(self, quiet_s: Callable[[], float] = lambda: QUIET_S) -> AsyncIterator[News | None]:
        """Yield the news, and None after *quiet_s* seconds without news, until it ends."""
        while (news := await self._next(quiet_s())) is not None or not self.ended:
            yield news

    async def _next(self, within_s: float) -> News | None:
        """Return the next news, or None after *within_s* seconds without news, or at the end."""
        if not self._waiting and not self.ended:
            self._there.clear()
            try:
                async with asyncio.timeout(within_s):
                    await self._there.wait()
            except TimeoutError:
                return None
        return self._waiting.pop(next(iter(self._waiting))) if self._waiting else None

    def taken(self) -> list[News]:
        """Return all waiting news, and remove them."""
        waiting = list(self._waiting.values())
        self._waiting.clear()
        return waiting


class LastProgress(Struct, frozen=True):
    """The last progress of a job, and when it was received."""

    progress: Progress
    at: datetime


class Changes:
    """The changes of the last day, the winners, the last jobs, and the listeners."""

    def __init__(self) -> None:
        self.place = Place()
        self.winners: dict[str, AnswerChanged] = {}
        self.jobs: dict[str, LastProgress] = {}  # by id, the newest last
        self._kept: deque[Change] = deque(maxlen=_MAX_KEPT)
        self._outcomes: dict[str, Outcome] = {}
        self._listeners: set[Listener] = set()

    def apply(self, stream: Stream, event: Event, sequence: int) -> None:
        """Apply *event*, the message *sequence* of *stream*, and notify the listeners."""
        self.place = self.place.with_sequence(stream, sequence)
        if isinstance(event, AnswerChanged):
            self.winners[event.use_case] = event
        if (change := self._change(stream, event, sequence)) is not None:
            self._kept.append(change)
        self._tell(News(self.place, event))

    def progress(self, progress: Progress, at: datetime) -> None:
        """Store the *progress* of a job, received *at*, and notify the listeners."""
        self.jobs.pop(progress.job_id, None)
        self.jobs[progress.job_id] = LastProgress(progress, at)
        while len(self.jobs) > _MAX_JOBS:
            del self.jobs[next(iter(self.jobs))]
        self._tell(News(self.place, progress))

    def since(self, moment: datetime) -> list[Change]:
        """Return the changes from *moment* on, the newest first."""
        return sorted((one for one in self._kept if one.at >= moment), key=lambda one: one.at, reverse=True)

    def after(self, place: Place) -> list[Change]:
        """Return the changes after *place*, the oldest first, and up to 32 sequences of MODELS before it."""
        behind = {"MODELS": _MAX_BEHIND}
        return [
            one
            for one in self._kept
            if one.sequence > place.sequences.get(one.stream, 0) - behind.get(one.stream, 0)
        ]

    @property
    def listeners(self) -> int:
        """The number of listeners."""
        return len(self._listeners)

    @contextmanager
    def listening(self, caller: str = "", alike: Callable[[News], object] = id) -> Iterator[Listener | None]:
        """Yield a listener while the context is open; None if there are too many, in total or of *caller*."""
        listener = Listener(caller, alike)
        open_now = sum(1 for one in self._listeners if one.caller == caller)
        if len(self._listeners) >= MAX_LISTENERS or (caller and open_now >= MAX_OF_CALLER):
            yield None
            return
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def end(self) -> None:
        """End all listeners."""
        for listener in self._listeners:
            listener.end()

    def _tell(self, news: News) -> None:
        for listener in self._listeners:
            listener.tell(news)

    def _change(self, stream: Stream, event: Event, sequence: int) -> Change | None:
        described = describe(event)
        if isinstance(event, EndpointObserved):
            before = self._outcomes.get(event.endpoint)
            self._outcomes[event.endpoint] = event.state.outcome
            if before is event.state.outcome or before is None:
                return None
        if described is None:
            return None
        kind, text = described
        return Change(
            stream=stream,
            sequence=sequence,
            at=event.at,
            kind=kind,
            text=text,
            event=event,
            model=event.model if isinstance(event, ModelEvent | AnswerChanged) else None,
            endpoint=event.endpoint if isinstance(event, EndpointObserved) else None,
            use_case=event.use_case if isinstance(event, AnswerChanged) else None,
        )


def describe(event: Event) -> tuple[Kind, str] | None:
    """Return the kind of *event* and a short text for people, or None if it is not a change."""
    match event:
        case ModelFound(formerly=formerly) if formerly and formerly.model != event.model:
            return "found", f"renamed from {quoted_name(formerly.model)}, with its history"
        case ModelFound():
            return "found", "found"
        case ModelChanged():
            fields = ", ".join(change.field.replace("_", " ") for change in event.changes)
            return "changed", f"changed: {fields or 'description'}"
        case ModelLost():
            return "lost", f"lost: {event.reason.replace('_', ' ')}"
        case ModelRegressed():
            return "regressed", "became worse than it was"
        case AnswerChanged():
            return "winner", event.detail
        case EndpointObserved(state=state):
            return "endpoint", state.detail or (
                "reachable" if state.outcome is Outcome.OK else str(state.outcome)
            )
    return None


T = TypeVar("T", bound=Shown)


def filtered(changes: Sequence[T], kinds: Sequence[str], text: str) -> list[T]:
    """Return the *changes* of *kinds* (if empty, of all kinds) with *text* in the name of their target."""
    wanted = text.casefold()
    return [
        one
        for one in changes
        if (not kinds or one.kind in kinds)
        and wanted in f"{one.model or ''} {one.endpoint or ''} {one.use_case or ''}".casefold()
    ]
