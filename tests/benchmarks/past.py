"""Questions about the past over a month of a thousand models, asked of the recorder's process over NATS."""

import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import msgspec
from msgspec import Struct

from benchmarks import months
from benchmarks.databases import Databases, Kind
from benchmarks.recording import Served, ready, recorder, served
from benchmarks.running import say
from vedette.settings import Nats, Settings
from vedette.types import ModelRef
from vedette_recorder.store import Store

TARGET_P95_MS = {"sqlite": 100.0, "postgresql": 50.0}
_DAYS = timedelta(days=30)


_PAGE = 20  # what one reply of `history.models` has, unless asked for more


def _of_model(known: Sequence[ModelRef], rng: Random) -> dict[str, object]:
    return {"model": rng.choice(known)}


def _of_endpoint(known: Sequence[ModelRef], rng: Random) -> dict[str, object]:
    return {"endpoint": rng.choice(known).endpoint}


def _of_candidates(known: Sequence[ModelRef], rng: Random) -> dict[str, object]:
    return {"models": rng.sample(known, _PAGE)}


class Question(Struct, frozen=True):
    """A question, about what, over how many days, and the request for it, given all models."""

    subject: str
    about: str
    days: int
    request: Callable[[Sequence[ModelRef], Random], dict[str, object]]


QUESTIONS = tuple(
    Question(subject, about, days, request)
    for subject, about, request in (
        ("history.availability", "a model", _of_model),
        ("history.performance", "a model", _of_model),
        ("history.availability", "an endpoint", _of_endpoint),
        ("history.performance", "an endpoint", _of_endpoint),
        ("history.models", f"{_PAGE} candidates", _of_candidates),
    )
    for days in (1, 7, 30)
)


async def table(directory: Path, databases: Databases, *, models: int, asked: int) -> str:
    """Return the table of both databases; each question is asked *asked* times, of random models."""
    rows = [
        "| database | question | about | days | p50 ms | p95 ms | target p95 ms | p95 ÷ target | KB of the reply |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    settings = Settings(nats=Nats(expected_models=models))
    for kind in databases.kinds:
        async with served(directory / f"past-{kind}", settings) as on:
            rows += await _rows(on, databases, kind, models, asked)
    return "\n".join(rows)


async def _rows(on: Served, databases: Databases, kind: Kind, models: int, asked: int) -> list[str]:
    until = datetime.now(UTC)
    async with databases.empty(kind) as database:
        async with database.bare() as bare:
            probes, benchmarks = (_DAYS // every for every in (months.PROBE_EVERY, months.BENCHMARK_EVERY))
            say(f"{kind}: filling {models * probes} probes and {models * benchmarks} benchmarks")
            await months.fill_probes(bare, models=models, slots=probes, until=until)
            await months.fill_benchmarks(bare, models=models, slots=benchmarks, until=until)
            await months.fill_infos(bare, models=models, until=until)
        async with Store(database.url) as store:
            began = time.perf_counter()
            packed = await store.pack(until)
            say(f"{kind}: {packed} days of models packed in {time.perf_counter() - began:.1f} s")
        async with recorder(on, database) as process:
            await ready(process)
            say(f"{kind}: asking")
            return [await _row(on, kind, question, models, asked, until) for question in QUESTIONS]


async def _row(on: Served, kind: Kind, question: Question, models: int, asked: int, until: datetime) -> str:
    rng, known = Random(question.days), months.references(models)
    took_ms, sizes = [], []
    for _ in range(asked):
        request = question.request(known, rng) | {"since": until - timedelta(days=question.days)}
        began = time.perf_counter()
        reply = await on.connection.request(question.subject, msgspec.json.encode(request), timeout=10)
        took_ms.append(1000 * (time.perf_counter() - began))
        sizes.append(len(reply.data))
        if "Nats-Service-Error" in (reply.headers or {}):
            raise RuntimeError(f"{question.subject}: {reply.data.decode()}")
    cuts = statistics.quantiles(took_ms, n=100, method="inclusive")
    target = TARGET_P95_MS[kind]
    return (
        f"| {kind} | {question.subject} | {question.about} | {question.days} | {cuts[49]:.1f} | "
        f"{cuts[94]:.1f} | {target:g} | **{cuts[94] / target:.2f}** | {statistics.fmean(sizes) / 1024:.1f} |"
    )
