"""Answers to questions about the past: request → window → rows → reply."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from vedette.clock import Clock
from vedette.errors import NoAnswer, RequestError
from vedette.events import QUESTIONS, AvailabilityHistory, HistoryRequest, PerformanceHistory, encode
from vedette.requests import decode, reference
from vedette_recorder import history, queries
from vedette_recorder.errors import DatabaseUnavailable
from vedette_recorder.history import Benchmark, Probe
from vedette_recorder.store import Store

T = TypeVar("T", bound=Struct)
# Less than a client waits, so that it hears what is wrong.
_DEADLINE_S = 1.5
_AVAILABILITY_USUAL = timedelta(hours=24)
_PERFORMANCE_USUAL = timedelta(days=7)
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    question.subject: msgspec.json.Decoder(question.request)
    for question in QUESTIONS
    if question.service == "recorder"
}


class Answers:
    """Answers every question of the recorder."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._questions: dict[str, Callable[[Any], Awaitable[Struct]]] = {
            "history.availability": self._availability,
            "history.performance": self._performance,
        }

    async def answer(self, subject: str, payload: bytes) -> bytes:
        """Return the encoded reply to *payload* on *subject*. Raises RequestError, which is a reply too."""
        return encode(await self._questions[subject](decode(payload, _DECODERS[subject])))

    async def _availability(self, request: HistoryRequest) -> AvailabilityHistory:
        model = reference(request.model)
        window = history.window(request, now=self._clock.now(), usual=_AVAILABILITY_USUAL)
        return history.availability(model, window, await self._rows(queries.probes(model, window), Probe))

    async def _performance(self, request: HistoryRequest) -> PerformanceHistory:
        model = reference(request.model)
        window = history.window(request, now=self._clock.now(), usual=_PERFORMANCE_USUAL)
        rows = await self._rows(queries.benchmarks(model, window), Benchmark)
        return history.performance(model, window, rows)

    async def _rows(self, query: sa.Select[Any], kind: type[T]) -> list[T]:
        """Return the rows of *query*. Raises RequestError when they are too many, NoAnswer when none come."""
        try:
            async with asyncio.timeout(_DEADLINE_S):
                rows = await self._store.read(query)
        except DatabaseUnavailable as error:
            raise NoAnswer(code="unavailable", message=f"history cannot be read now: {error}") from error
        except TimeoutError as error:
            problem = f"history cannot be read now: the database took longer than {_DEADLINE_S:g} s"
            raise NoAnswer(code="unavailable", message=problem) from error
        if len(rows) > queries.MOST_ROWS:
            raise RequestError(
                code="too_large",
                message=f"since: more than {queries.MOST_ROWS:,} rows are recorded from there; ask for less time",
                field="since",
            )
        return msgspec.convert(rows, list[kind])  # type: ignore[valid-type]
