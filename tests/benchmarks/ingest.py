"""Ingest: from a full stream through the recorder's process into a database, beside the bare driver.

The driver executes what SQLAlchemy handed it for the same batches, a transaction each, so both do the same work
in the database. They take turns, and each time the tables are empty.
"""

import gc
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from benchmarks import mixture
from benchmarks.databases import Databases, Kind, Statement, noted
from benchmarks.recording import Drained, Served, drained, served
from benchmarks.running import filling, say
from vedette.messages.codec import decode_event, encode
from vedette.messages.events import EndpointObserved, Event
from vedette_recorder.handlers import BATCH
from vedette_recorder.record import Message, Row, rows_of
from vedette_recorder.store import Store


class Parts(Struct, frozen=True, kw_only=True):
    """Microseconds for an event: of the pure parts, of the store, and of the bare driver."""

    decode: float
    rows: float
    store: float
    bare: float

    @property
    def bare_per_s(self) -> float:
        """How many events the bare driver writes in a second."""
        return 1e6 / self.bare


async def tables(directory: Path, databases: Databases, *, events: int, of_round: int, rounds: int) -> str:
    """Return the table of throughput, the table of where time goes, and the table of memory."""
    throughput: list[str] = []
    parts: list[str] = []
    memory: list[str] = []
    await _fill(directory, of_round, 0, events)
    async with served(directory, mixture.settings(events)) as on:
        batches = _batches(list(mixture.events(events, first=0, until=of_round)))
        for kind in databases.kinds:
            taken = [await _round(on, databases, kind, batches, of_round, turn) for turn in range(rounds)]
            throughput.append(_throughput_row(kind, taken))
            parts.append(_parts_row(kind, taken))
            say(f"{throughput[-1]} {parts[-1]}")
    del batches
    await _fill(directory, events, of_round, events)
    async with served(directory, mixture.settings(events)) as on:
        for kind in databases.kinds:
            async with databases.empty(kind) as database:
                say(f"{kind}: {events} events in one go")
                memory.append(_memory_row(kind, events, await drained(on, database, events)))
    return "\n".join(
        (
            "| database | recorder, events/s | bare driver, events/s | ratio (of the rounds) | "
            "recorder µs CPU/event | machine busy |",
            "|---|---|---|---|---|---|",
            *throughput,
            "",
            "| database | µs/event, recorder | decode | rows_of | store above the driver | driver | "
            "the rest: fetching, acknowledging |",
            "|---|---|---|---|---|---|---|",
            *parts,
            "",
            "| database | events | events/s | RSS MB after a tenth | half | all | all ÷ tenth | peak |",
            "|---|---|---|---|---|---|---|---|",
            *memory,
        )
    )


async def _fill(directory: Path, until: int, first: int, events: int) -> None:
    async with filling(directory / "nats", mixture.settings(events)) as connection:
        await mixture.fill(connection, events, first=first, until=until)


def _batches(events: Sequence[Event]) -> list[list[Message]]:
    """Return *events* as the recorder takes them: stream by stream, in full batches."""
    streams: dict[str, list[Message]] = {"MODELS": [], "ENDPOINTS": []}
    created_at = datetime.now(UTC)
    for event in events:
        stream = "ENDPOINTS" if isinstance(event, EndpointObserved) else "MODELS"
        message = Message(
            stream=stream,
            stream_created_at=created_at,
            sequence=len(streams[stream]) + 1,
            at=event.at,
            subject=event.subject,
            payload=encode(event),
            headers={"Nats-Msg-Id": event.id},
        )
        streams[stream].append(message)
    return [held[n : n + BATCH] for held in streams.values() for n in range(0, len(held), BATCH)]


async def _round(
    on: Served, databases: Databases, kind: Kind, batches: list[list[Message]], events: int, turn: int
) -> tuple[Drained, Parts]:
    say(f"{kind}: round {turn + 1}")
    parts = await _parts(databases, kind, batches, events) if turn % 2 else None
    async with databases.empty(kind) as database:
        whole = await drained(on, database, events)
    return whole, parts or await _parts(databases, kind, batches, events)


async def _parts(databases: Databases, kind: Kind, batches: list[list[Message]], events: int) -> Parts:
    decode_s = rows_s = 0.0
    rows: list[list[Row]] = []
    for batch in batches:
        began = time.perf_counter()
        decoded = [decode_event(m.subject, m.payload) for m in batch]
        decode_s += time.perf_counter() - began
        began = time.perf_counter()
        rows.append([row for e, m in zip(decoded, batch, strict=True) for row in rows_of(e, m)])
        rows_s += time.perf_counter() - began
    gc.freeze()  # the rows are kept here, not in a recorder: its collector never walks over so many
    async with databases.empty(kind) as database, Store(database.url) as store:
        began = time.perf_counter()
        for written in rows:
            await store.write(written)
        store_s = time.perf_counter() - began
    handed: list[list[Statement]] = []
    async with databases.empty(kind) as database, Store(database.url) as store:
        for written in rows:
            with noted() as statements:
                await store.write(written)
            handed.append(statements)
    async with databases.empty(kind) as database, database.bare() as bare:
        began = time.perf_counter()
        for statements in handed:
            await bare.transact(statements)
        bare_s = time.perf_counter() - began
    gc.unfreeze()
    return Parts(**{name: s / events * 1e6 for name, s in _named(decode_s, rows_s, store_s, bare_s).items()})


def _named(*seconds: float) -> dict[str, float]:
    return dict(zip(("decode", "rows", "store", "bare"), seconds, strict=True))


def _throughput_row(kind: Kind, taken: Sequence[tuple[Drained, Parts]]) -> str:
    ratios = [whole.per_s / parts.bare_per_s for whole, parts in taken]
    return (
        f"| {kind} | {statistics.median(whole.per_s for whole, _ in taken):,.0f} | "
        f"{statistics.median(parts.bare_per_s for _, parts in taken):,.0f} | "
        f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f}-{max(ratios):.2f}) | "
        f"{statistics.fmean(whole.cpu_us for whole, _ in taken):.0f} | "
        f"{statistics.fmean(whole.busy for whole, _ in taken):.0%} |"
    )


def _parts_row(kind: Kind, taken: Sequence[tuple[Drained, Parts]]) -> str:
    whole = statistics.median(1e6 / drained.per_s for drained, _ in taken)
    decode, rows, store, bare = (
        statistics.median(getattr(parts, name) for _, parts in taken) for name in Parts.__struct_fields__
    )
    shares = (decode, rows, store - bare, bare, whole - decode - rows - store)
    return f"| {kind} | {whole:.0f} | {' | '.join(f'{us:.0f} ({us / whole:.0%})' for us in shares)} |"


def _memory_row(kind: Kind, events: int, whole: Drained) -> str:
    first, middle, last = whole.resident_mb
    return (
        f"| {kind} | {events} | {whole.per_s:,.0f} | {first:.0f} | {middle:.0f} | {last:.0f} | "
        f"**{last / first:.2f}** | {whole.peak_mb:.0f} |"
    )
