"""Replies to queries about the past: request → window → rows → reply."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from vedette.clock import Clock
from vedette.errors import NoAnswer, RequestError
from vedette.messages.channels import QUERIES
from vedette.messages.codec import encode
from vedette.messages.queries import (
    AvailabilityHistory,
    HistoryRequest,
    PastReply,
    PastRequest,
    PerformanceHistory,
    SummariesReply,
    SummariesRequest,
)
from vedette.messages.validation import decode, fitting, reference
from vedette.types import ModelRef
from vedette_recorder import history, queries, reconstruct, tables
from vedette_recorder.errors import DatabaseUnavailable
from vedette_recorder.history import Benchmark, Benchmarked, Known
from vedette_recorder.probes import DAY, Probes, unpack
from vedette_recorder.reconstruct import Row, Tallies
from vedette_recorder.store import Store

K = TypeVar("K")
# Less than a client waits (`_HISTORY_TIMEOUT_S`), so that it learns what is wrong.
_DEADLINE_S = 4.0
# More conditions in one statement than SQLite takes are a thousand.
_STALE_AT_ONCE = 200
_AVAILABILITY_USUAL = timedelta(hours=24)
_PERFORMANCE_USUAL = timedelta(days=7)
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    query.subject: msgspec.json.Decoder(query.request) for query in QUERIES if query.service == "recorder"
}


class Answers:
    """Replies to every query of the recorder."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._replies: dict[str, Callable[[Any], Awaitable[Struct]]] = {
            "history.availability": self._availability,
            "history.performance": self._performance,
            "history.models": self._models,
            "history.asof": self._as_of,
        }

    async def answer(self, subject: str, payload: bytes) -> bytes:
        """Return the encoded reply to *payload* on *subject*.

        Raises RequestError, which is a reply too: NoAnswer when the database gives none in time.
        """
        request = decode(payload, _DECODERS[subject])
        try:
            async with asyncio.timeout(_DEADLINE_S):
                return encode(await self._replies[subject](request))
        except DatabaseUnavailable as error:
            raise NoAnswer(code="unavailable", message=f"history cannot be read now: {error}") from error
        except TimeoutError as error:
            problem = f"history cannot be read now: the database took longer than {_DEADLINE_S:g} s"
            raise NoAnswer(code="unavailable", message=problem) from error

    async def _availability(self, request: HistoryRequest) -> AvailabilityHistory:
        of = _of(request)
        window = self._window(request.since, request.until, request.buckets, usual=_AVAILABILITY_USUAL)
        probes = await self._probes(of, window.since, window.until, lambda *_: of)
        return history.availability(of, window, Probes.together(probes.values()))

    async def _performance(self, request: HistoryRequest) -> PerformanceHistory:
        of = _of(request)
        window = self._window(request.since, request.until, request.buckets, usual=_PERFORMANCE_USUAL)
        rows = await self._store.structs(queries.benchmarks(of, window), list[Benchmark])
        _limit(rows, queries.MAX_ROWS)
        rows.sort(key=lambda row: row.measured_at)
        return history.performance(of, window, rows)

    async def _models(self, request: SummariesRequest) -> SummariesReply:
        window = self._window(request.since, request.until, usual=_AVAILABILITY_USUAL)
        named = [reference(model, field="models") for model in request.models]
        known = queries.known(named, request.endpoint, request.after, request.limit + 1)
        found = await self._store.structs(known, list[Known])
        models = found[: request.limit]
        refs = [history.ref(one) for one in models]
        of = queries.some(refs)
        probes, benchmarked = await asyncio.gather(
            self._probes(of, window.since, window.until, ModelRef),
            self._store.structs(queries.benchmarked(of, window), list[Benchmarked]),
        )
        return SummariesReply(
            since=window.since,
            until=window.until,
            models=history.summaries(models, probes, benchmarked),
            next=refs[-1] if len(found) > len(models) else None,
        )

    def _window(
        self, since: datetime | None, until: datetime | None, buckets: int = 1, *, usual: timedelta
    ) -> history.Window:
        return history.window(since, until, buckets, now=self._clock.now(), usual=usual)

    async def _as_of(self, request: PastRequest) -> PastReply:
        at = history.utc(request.at, "at")
        there = await self._read(queries.present(at, request.after, request.limit + 1))
        shown = there[: request.limit]
        models = [ModelRef(row["endpoint"], row["model"]) for row in shown]
        found = await self._read(queries.found(models, at))
        probed = await self._probes(
            queries.some(models), at - reconstruct.DAYS, at + reconstruct.INSTANT, ModelRef
        )
        found_at = {ModelRef(row["endpoint"], row["model"]): row["measured_at"] for row in found}

        def tallies(model: ModelRef) -> Tallies:
            return (
                reconstruct.tallies(probed[model], at, found_at.get(model)) if model in probed else Tallies()
            )

        others = {
            name: await self._last(tables.metadata.tables[name], models, at) for name in reconstruct.EVENTS
        }
        probes = await self._last(tables.model_availability_history, models, at)
        known = fitting(reconstruct.models(shown, found, probes, tallies, others))
        (oldest,) = await self._read(queries.oldest_probe())
        return PastReply(
            at=at,
            models=known,
            probes_since=oldest["at"],
            next=known[-1].model if len(known) < len(there) else None,
        )

    async def _probes(
        self, of: queries.Of, since: datetime, until: datetime, key: Callable[[str, str], K]
    ) -> dict[K, Probes]:
        """Return the probes from *since* until just before *until*, by the *key* of their endpoint and model.

        Past days are read from their daily aggregates; the current day, and days without a complete aggregate, from
        rows. Raises RequestError for too many.
        """
        ((last,),) = await self._store.tuples(queries.packed_until())
        begin = last + DAY if last else since
        days, rows = await asyncio.gather(
            self._store.tuples(queries.packed(of, since, min(begin, until))),
            self._probe_rows(queries.unpacked(of, max(begin, since), until)),
        )
        packed: dict[K, list[bytes]] = defaultdict(list)
        stale: list[tuple[ModelRef, datetime]] = []
        for endpoint, model, day, value in days:
            if value is None:
                stale.append((ModelRef(endpoint, model), day))
            else:
                packed[key(endpoint, model)].append(value)
        for n in range(0, len(stale), _STALE_AT_ONCE):
            rows += await self._probe_rows(queries.stale(stale[n : n + _STALE_AT_ONCE]))
        unpacked: dict[K, list[Sequence[Any]]] = defaultdict(list)
        for row in rows:
            unpacked[key(row[0], row[1])].append(row[2:])
        return {
            about: Probes.together((unpack(packed[about]), Probes.of(unpacked[about]))).between(since, until)
            for about in packed.keys() | unpacked.keys()
        }

    async def _probe_rows(self, query: sa.Select[Any]) -> list[tuple[Any, ...]]:
        rows = await self._store.tuples(query)
        _limit(rows, queries.MAX_PROBES)
        return rows

    async def _last(self, table: sa.Table, models: Sequence[ModelRef], at: datetime) -> Sequence[Row]:
        return await self._read(queries.last(table, models, at))

    async def _read(self, query: sa.Select[Any]) -> Sequence[Row]:
        # By name; to its own type a row's keys are columns as well.
        return cast("Sequence[Row]", await self._store.read(query))


def _limit(rows: Sequence[object], most: int) -> None:
    """Raise RequestError when there are more than *most* rows."""
    if len(rows) > most:
        problem = f"since: more than {most:,} rows are recorded from there; ask for less time"
        raise RequestError(code="too_large", message=problem, field="since")


def _of(request: HistoryRequest) -> ModelRef | str:
    """Return the model, or the endpoint, that *request* asks about. Raises RequestError for none and for both."""
    if request.model is not None and request.endpoint is not None:
        raise RequestError(
            code="invalid_value", message="endpoint: give a model or an endpoint, not both", field="endpoint"
        )
    if request.model is not None:
        return reference(request.model)
    if request.endpoint is not None:
        return request.endpoint
    raise RequestError(
        code="missing_field", message="the field 'model' is required, or 'endpoint'", field="model"
    )
