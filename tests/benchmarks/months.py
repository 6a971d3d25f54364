"""Months of history, made straight in the database: probes every half hour, benchmarks every six."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import msgspec

from benchmarks import mixture, population
from benchmarks.databases import Bare
from vedette.types import ModelRef
from vedette_recorder import tables

PROBE_EVERY = timedelta(minutes=30)
BENCHMARK_EVERY = timedelta(hours=6)
_OUTCOMES, _WEIGHTS = ("ok", "timeout", "refused", "busy"), (96, 2, 1, 1)


async def fill_probes(bare: Bare, *, models: int, slots: int, until: datetime) -> None:
    """Insert *slots* probes of each of *models*, the last just before *until*, in the order of time."""
    table = tables.model_availability_history
    columns = [column.name for column in table.columns]
    await bare.fill(table.name, columns, _probes(columns, models, slots, until))


async def fill_benchmarks(bare: Bare, *, models: int, slots: int, until: datetime) -> None:
    """Insert *slots* benchmarks of each of *models*, likewise."""
    table = tables.model_performance_history
    columns = [column.name for column in table.columns]
    await bare.fill(table.name, columns, _benchmarks(columns, models, slots, until))


async def fill_infos(bare: Bare, *, models: int, until: datetime) -> None:
    """Insert what *models* are, found a year before *until*."""
    table = tables.model_info
    columns = [column.name for column in table.columns]
    await bare.fill(table.name, columns, _infos(columns, models, until))


def references(models: int) -> list[ModelRef]:
    """Return the models of which there is history."""
    return [population.reference(n) for n in range(models)]


def _infos(columns: list[str], models: int, until: datetime) -> Iterator[list[Any]]:
    for n in range(models):
        found = population.events_of(n, until - timedelta(days=365))[0]
        row = dict.fromkeys(columns) | {
            "endpoint": found.model.endpoint,
            "model": found.model.name,
            "stream_created_at": found.at,
            "revision": 1,
            "event_id": UUID(found.id),
            "provider": found.info.provider,
            "kind": found.info.kind,
            "first_seen_at": found.at,
            "last_seen_at": until,
            "info": msgspec.json.encode(found.info).decode(),
        }
        yield [row[name] for name in columns]


def _about(models: int, slots: int, until: datetime, every: timedelta) -> Iterator[dict[str, Any]]:
    known = references(models)
    for n in range(slots * models):
        slot, model = divmod(n, models)
        at = until - every * (slots - slot) + every * model / models
        yield {
            "event_id": UUID(int=(int(at.timestamp() * 1000) << 80) + n),
            "endpoint": known[model].endpoint,
            "model": known[model].name,
            "measured_at": at,
            "sequence": n,
            "job_id": f"job-{slot}",
        }


def _probes(columns: list[str], models: int, slots: int, until: datetime) -> Iterator[list[Any]]:
    rng = Random(models)
    for about in _about(models, slots, until, PROBE_EVERY):
        outcome = rng.choices(_OUTCOMES, _WEIGHTS)[0]
        row = about | {
            "outcome": outcome,
            "level": "answer",
            "cause": "model",
            "latency_ms": rng.uniform(20, 200),
            "status": "available",
            "status_since": until,
            "resident": None,
            "detail": None,
            "residency": None,
            "published": None,
        }
        yield [row[name] for name in columns]


def _benchmarks(columns: list[str], models: int, slots: int, until: datetime) -> Iterator[list[Any]]:
    rng = Random(models)
    event = mixture.benchmark()
    figures = msgspec.json.encode(msgspec.structs.replace(event.performance, samples=())).decode()
    samples = msgspec.json.encode(event.samples).decode()
    for about in _about(models, slots, until, BENCHMARK_EVERY):
        row = dict.fromkeys(columns) | about
        row |= {"outcome": "ok", "n": 18, "failures": 0, "contended": 0, "output_tps": rng.uniform(20, 100)}
        row |= {"ttft_ms": rng.uniform(80, 400), "figures": figures, "samples": samples}
        yield [row[name] for name in columns]
