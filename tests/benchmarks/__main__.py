"""The benchmarks as commands."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import cyclopts
import uvloop

from benchmarks import recommender

app = cyclopts.App(name="benchmarks", help="Measure what docs/benchmarks.md claims.")


@app.command(name="recommender")
def ask_recommender(*, models: int = 100, requests: int = 4000, rounds: int = 5) -> None:
    """Time the recommender beside a raw echo: requests per second, latency, a changed answer, a warm start."""

    async def measure() -> None:
        with TemporaryDirectory(prefix="vedette-bench-") as directory:
            await recommender.measure(Path(directory), models=models, requests=requests, rounds=rounds)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure())


app()
