"""The recommender as a process of its own, a black box over NATS, over a growing number of models.

Every table compares in one run, in turns where that can be: with a raw nats-py responder, with one replica, with a
plain subscriber, with a Python that only imports the same libraries.
"""

import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from benchmarks import freshness, inprocess, population, throughput
from benchmarks.machine import peak_mb, resident_mb
from benchmarks.running import Bench, bench, fill, recommender, say
from vedette.runtime.subprocesses import child

_FRESH_AT = 1000  # models
_MAX_RESTARTED_MODELS = 10_000  # models


class Plan(Struct, frozen=True, kw_only=True):
    """What is measured, and for how long."""

    models: tuple[int, ...]
    in_flight: tuple[int, ...]
    rounds: int
    seconds: float  # of each round
    clients: int
    restarts: int
    questions_per_s: float
    changes_per_s: float
    fresh_s: float


class _Tables:
    """Tables as they grow; all are printed in the end, and as far as they came when something failed."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {}

    def add(self, title: str, header: Sequence[str], rows: Sequence[str]) -> None:
        self._lines.setdefault(title, [f"\n## {title}\n", *header]).extend(rows)

    def print(self) -> None:
        for lines in self._lines.values():
            print("\n".join(lines), flush=True)


async def measure(directory: Path, plan: Plan) -> None:
    """Print every figure as a row of a Markdown table."""
    tables = _Tables()
    began = time.perf_counter()
    try:
        present, empty_mb = 0, await _empty(directory)
        for models in sorted(plan.models):
            await fill(directory, present=present, models=models)
            present = models
            async with bench(directory, models) as on:
                try:
                    await _measure_one(on, plan, tables, empty_mb)
                except RuntimeError as error:
                    say(f"{models} models: {error}")
                    tables.add("What could not be measured", (), [f"- {models} models: {error}"])
            tables.add(
                "The best ten, in process", _IN_PROCESS_HEADER, [await _in_process(directory, models, plan)]
            )
    finally:
        tables.print()
        say(f"took {time.perf_counter() - began:.0f} s")


async def _empty(directory: Path) -> float:
    """Return the memory of a recommender that knows no model, in MB."""
    async with bench(directory, 1) as on, recommender(on) as running:
        return resident_mb(running.pid)


async def _measure_one(on: Bench, plan: Plan, tables: _Tables, empty_mb: float) -> None:
    tables.add("From the start of a process to its first answer", _WARM_HEADER, [await _warm(on, plan)])
    async with recommender(on) as running:
        warm_mb = resident_mb(running.pid)
        shape: dict[str, Any] = {"rounds": plan.rounds, "seconds": plan.seconds, "processes": plan.clients}
        agents = shape | {"processes": 1}  # which it keeps as busy as it can
        tables.add(
            "Answers per second",
            throughput.header(),
            [
                *await throughput.rows(on, running.pid, by="nats-py", in_flights=plan.in_flight, **agents),
                *await throughput.rows(on, running.pid, by="bare", in_flights=plan.in_flight[-1:], **shape),
            ],
        )
        tables.add(
            f"Two replicas beside one, {throughput.REPLICAS_IN_FLIGHT} in flight",
            throughput.replicas_header(),
            await throughput.replicas(on, running.pid, **shape),
        )
        if on.models == _FRESH_AT:
            fresh = await freshness.rows(
                on,
                questions_per_s=plan.questions_per_s,
                changes_per_s=plan.changes_per_s,
                seconds=plan.fresh_s,
            )
            target = f"target: p99 {freshness.TARGET_P99_MS:g} ms"
            title = f"From a measurement to a changed answer, {plan.questions_per_s:g} questions/s meanwhile ({target})"
            tables.add(title, freshness.header(), fresh)
        per_100_000 = (warm_mb - empty_mb) / on.models * 100_000
        row = (
            f"| {on.models} | {empty_mb:.0f} | {warm_mb:.0f} | {resident_mb(running.pid):.0f} | "
            f"{peak_mb(running.pid):.0f} | {per_100_000:,.0f} |"
        )
        tables.add("Memory of the recommender", _MEMORY_HEADER, [row])


_MEMORY_HEADER = (
    "| models | RSS MB without a model | RSS MB at the first answer | RSS MB after all questions | peak MB | "
    "MB per 100,000 models |",
    "|---|---|---|---|---|---|",
)
_IMPORTED = (
    "vedette.cli",
    "vedette.runtime.process",
    "vedette_recommender.app",
)  # by any recommender, however many models
_WARM_HEADER = (
    "| models | starts | all imported, nothing else: median s (max) | the first answer, warm: median s (max) | "
    "difference of the medians s |",
    "|---|---|---|---|---|",
)


async def _warm(on: Bench, plan: Plan) -> str:
    """Start the recommender again and again; beside a process that imports what it imports and ends."""
    restarts = plan.restarts if on.models <= _MAX_RESTARTED_MODELS else 1
    say(f"{on.models} models: {restarts} starts")
    started, imported = [], []
    for _ in range(restarts):
        async with recommender(on) as running:
            started.append(running.first_answer_s)
        began = time.perf_counter()
        async with child(
            [sys.executable, "-c", f"import {', '.join(_IMPORTED)}"], log=on.directory / "bare.log"
        ) as process:
            await process.wait()
        imported.append(time.perf_counter() - began)
    medians = [statistics.median(times) for times in (imported, started)]
    return (
        f"| {on.models} | {restarts} | {medians[0]:.2f} ({max(imported):.2f}) | "
        f"{medians[1]:.2f} ({max(started):.2f}) | {medians[1] - medians[0]:.2f} |"
    )


_IN_PROCESS_HEADER = (
    f"| models | taking {population.EVENTS_PER_MODEL} events of each in, s | questions (top {inprocess.LIMIT}) | "
    "n | first ms | p50 ms | p99 ms |",
    "|---|---|---|---|---|---|---|",
)


async def _in_process(directory: Path, models: int, plan: Plan) -> str:
    say(f"{models} models: in process")
    output = directory / "inprocess.log"
    output.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.inprocess", str(models), str(5 * plan.seconds)]
    async with child(command, log=output) as process:
        code = await process.wait()
    if code != 0:
        return f"| {models} | failed: {output.read_text().splitlines()[-1]} | | | | | |"
    told = msgspec.json.decode(output.read_text(), type=inprocess.Told)
    return "\n".join(
        f"| {models} | {told.folded_s:.2f} | {kind} | {timed.n} | {timed.first_ms:.2f} | {timed.p50_ms:.2f} | "
        f"{timed.p99_ms:.2f} |"
        for kind, timed in (("unconstrained", told.unconstrained), ("constrained", told.constrained))
    )
