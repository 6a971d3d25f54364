"""Ingest while retention deletes: from publishing an event until its row can be read, with and without."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec
from msgspec import Struct

from benchmarks import months, population
from benchmarks.databases import Bare, Databases, Kind
from benchmarks.recording import Served, ready, recorder, served
from benchmarks.running import say
from eventually import eventually
from vedette import log
from vedette.bus.bus import Bus
from vedette.clock import SystemClock
from vedette.messages import ids
from vedette.messages.codec import encode
from vedette.messages.events import ModelFound, ModelProbed, Tick
from vedette.settings import Nats, Settings

TARGET_P99_MS = 250.0
_MODELS = 1000
_POLL_S = 0.005
_EVERY_S = 0.01
_OLD = timedelta(days=31)
_SETTLE_S = 2.0  # connections, statements and caches are made in it
_MAX_S = 300.0
_LEFT = "SELECT 1 FROM model_availability_history WHERE measured_at < ? LIMIT 1"
_LOOK_EVERY_S = 0.25
_SEEN = "SELECT event_id FROM model_availability_history WHERE measured_at >= ?"


class Latencies(Struct, frozen=True, kw_only=True):
    """What was measured of one phase."""

    ms: Sequence[float]
    took_s: float

    def quantile(self, hundredth: int) -> float:
        """Return a percentile in milliseconds."""
        return statistics.quantiles(self.ms, n=100, method="inclusive")[hundredth - 1]


async def table(directory: Path, databases: Databases, *, old_rows: int, per_s: float, alone_s: float) -> str:
    """Return the table of both databases."""
    rows = [
        "| database | events/s | alone: p50 ms | p95 | p99 | max | rows deleted | deleted/s | "
        "meanwhile: p50 ms | p95 | p99 | max | p99 ÷ alone | p99 ÷ 250 ms |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    settings = Settings(nats=Nats(expected_models=_MODELS))
    for kind in databases.kinds:
        async with served(directory / f"retention-{kind}", settings) as on:
            rows.append(await _row(on, databases, kind, old_rows, per_s, alone_s))
            say(rows[-1])
    return "\n".join(rows)


async def _row(
    on: Served, databases: Databases, kind: Kind, old_rows: int, per_s: float, alone_s: float
) -> str:
    async with databases.empty(kind) as database, database.bare() as bare:
        say(f"{kind}: filling {old_rows} old rows")
        slots = old_rows // _MODELS
        await months.fill_probes(bare, models=_MODELS, slots=slots, until=datetime.now(UTC) - _OLD)
        async with recorder(on, database) as process:
            await ready(process)
            stream = _Stream(on, bare, per_s)
            say(f"{kind}: {per_s:g} events/s alone")
            await stream.flow(_SETTLE_S)
            alone = await stream.flow(alone_s)
            say(f"{kind}: {per_s:g} events/s and retention")
            await _tick(on)
            meanwhile = await stream.flow(None)
    own, other = ([phase.quantile(h) for h in (50, 95, 99)] for phase in (alone, meanwhile))
    return (
        f"| {kind} | {per_s:g} | {_figures(own, alone)} | {old_rows} | {old_rows / meanwhile.took_s:,.0f} | "
        f"{_figures(other, meanwhile)} | **{other[2] / own[2]:.2f}** | **{other[2] / TARGET_P99_MS:.2f}** |"
    )


def _figures(quantiles: Sequence[float], phase: Latencies) -> str:
    return " | ".join(f"{ms:.0f}" for ms in (*quantiles, max(phase.ms)))


async def _tick(on: Served) -> None:
    bus = Bus(on.connection, name="bench", clock=SystemClock(), log=log.logger("bench"))
    now = datetime.now(UTC)
    tick = Tick(id=ids.derive(now, "schedule", "retention"), at=now, job="retention", slot=now)
    await bus.publisher.advance("SCHEDULE", tick.subject, lambda _: tick)
    await bus.close()


class _Stream:
    """Publishes probes at a steady rate and looks for their rows."""

    def __init__(self, on: Served, bare: Bare, per_s: float) -> None:
        self._js = on.connection.jetstream(publish_async_max_pending=4000)
        self._bare = bare
        self._per_s = per_s
        self._templates = [_template(n) for n in range(_MODELS)]
        self._number = 0
        self._outstanding: dict[str, tuple[float, datetime]] = {}  # event id to when it was published
        self._ms: list[float] = []

    async def flow(self, seconds: float | None) -> Latencies:
        """Publish for so many *seconds*, or until nothing old is left; wait for the last row."""
        self._ms, published = [], 0
        began = looked = time.perf_counter()
        looking = asyncio.create_task(self._await_rows())
        try:
            while (now := time.perf_counter()) - began < (seconds or _MAX_S):
                for _ in range(int((now - began) * self._per_s) - published):
                    await self._publish()
                    published += 1
                if seconds is None and now - looked > _LOOK_EVERY_S:
                    looked = now
                    if not await self._old_are_left():
                        break
                await asyncio.sleep(_EVERY_S)
            took_s = time.perf_counter() - began
            await eventually(self._all_seen, within_s=60, what="a row of every event")
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
        if seconds is None and took_s > _MAX_S:
            raise TimeoutError(f"old rows are left after {_MAX_S:g} s")
        return Latencies(ms=self._ms, took_s=took_s)

    async def _publish(self) -> None:
        now = datetime.now(UTC)
        event = self._next(now)
        self._outstanding[UUID(event.id).hex] = (time.perf_counter(), now)
        await self._js.publish_async(event.subject, encode(event))

    async def _all_seen(self) -> bool:
        return not self._outstanding

    async def _old_are_left(self) -> bool:
        return bool(await self._bare.fetch(_LEFT, self._bare.native(datetime.now(UTC) - _OLD / 2)))

    def _next(self, now: datetime) -> ModelProbed:
        self._number += 1
        template = self._templates[self._number % _MODELS]
        return msgspec.structs.replace(
            template, id=ids.derive(now, str(template.model), str(self._number)), at=now
        )

    async def _await_rows(self) -> None:
        while True:
            if self._outstanding:
                _, oldest = next(iter(self._outstanding.values()))
                rows = await self._bare.fetch(_SEEN, self._bare.native(oldest))
                seen = time.perf_counter()
                for (event_id,) in rows:
                    published = self._outstanding.pop(str(event_id).replace("-", ""), None)
                    if published:
                        self._ms.append(1000 * (seen - published[0]))
            await asyncio.sleep(_POLL_S)


def _template(number: int) -> ModelProbed:
    found, probed, _, _ = population.events_of(number, datetime.now(UTC))
    assert isinstance(found, ModelFound)
    return probed
