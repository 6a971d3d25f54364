"""The benchmarks as commands."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import cyclopts
import uvloop

from benchmarks import fidelity, recommender

app = cyclopts.App(name="benchmarks", help="Measure what docs/benchmarks.md claims.")


@app.command(name="recommender")
def ask_recommender(*, models: int = 100, requests: int = 4000, rounds: int = 5) -> None:
    """Time the recommender beside a raw echo: requests per second, latency, a changed answer, a warm start."""
    _run(lambda directory: recommender.measure(directory, models=models, requests=requests, rounds=rounds))


@app.command(name="fidelity")
def compare_with_the_socket(*, pairs: int = 30, tokens: int = 128) -> None:
    """Compare what a benchmark measures with what the raw socket saw of the same exchanges."""
    _run(lambda directory: fidelity.measure_fidelity(directory, pairs=pairs, tokens=tokens))


def _run(measure: Callable[[Path], Awaitable[None]]) -> None:
    async def measured() -> None:
        with TemporaryDirectory(prefix="vedette-bench-") as directory:
            await measure(Path(directory))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measured())


app()
