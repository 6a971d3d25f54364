"""The benchmarks as commands."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory

import cyclopts
import uvloop

from benchmarks import fidelity, quality, recommender, scale
from vedette.settings import Probing

app = cyclopts.App(name="benchmarks", help="Measure what docs/benchmarks.md claims.")


@app.command(name="recommender")
def ask_recommender(*, models: int = 100, requests: int = 4000, rounds: int = 5) -> None:
    """Time the recommender beside a raw echo: requests per second, latency, a changed answer, a warm start."""
    _run(lambda directory: recommender.measure(directory, models=models, requests=requests, rounds=rounds))


@app.command(name="fidelity")
def compare_with_the_socket(*, pairs: int = 30, tokens: int = 128) -> None:
    """Compare what a benchmark measures with what the raw socket saw of the same exchanges."""
    _run(lambda directory: fidelity.measure_fidelity(directory, pairs=pairs, tokens=tokens))


@app.command(name="quality")
def evaluate_real_models(*, items: int = 40, repetitions: int = 20) -> None:
    """Score a model and a clearly weaker one by every suite; compare the scores of two seeds, often."""
    _run(lambda directory: quality.measure(directory, items=items, repetitions=repetitions))


@app.command(name="scale")
def discover_and_probe_many(
    *, models: int = 10_000, endpoints: int = 50, latency_ms: float = 250.0, at_once: int = 4
) -> None:
    """Time a discovery and a probe cycle of many models beside the bound of latency and synced publishing."""
    size = scale.Size(
        models=models,
        endpoints=endpoints,
        latency_ms=latency_ms,
        at_once=at_once,
        probing=Probing(per_endpoint=at_once),
    )
    _run(lambda directory: scale.measure(directory, size))


def _run(measure: Callable[[Path], Coroutine[None, None, None]]) -> None:
    with (
        TemporaryDirectory(prefix="vedette-bench-") as directory,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(measure(Path(directory)))


app()
