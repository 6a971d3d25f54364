"""The same exchanges seen twice: by Vedette's benchmark, and by a tee that time-stamps bytes on the raw socket."""

import statistics
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import SystemRandom

import ollama
from benchmarks.tee import Seen, exchanges
from eventually import eventually
from vedette import providers
from vedette.clock import SystemClock
from vedette.demo.server import serving
from vedette.endpoints import OpenEndpoint
from vedette.providers import Listing
from vedette.providers.access import access
from vedette.runtime.subprocesses import child, free_port
from vedette.settings import Benchmarking, EndpointSettings
from vedette.types import ModelInfo, ModelRef, Outcome, RunSample
from vedette_benchmarker.load import measure, plan


async def measure_fidelity(directory: Path, *, pairs: int, tokens: int, also: tuple[str, ...] = ()) -> None:
    """Print, for a real llama.cpp server and a real Ollama, what Vedette and the tee saw of each exchange.

    *also* are servers that run already and speak OpenAI's protocol: `URL MODEL` each.
    """
    print(
        "| server | figure | pairs | Vedette, median | on the socket, median | median difference | largest |"
    )
    print("|---|---|---|---|---|---|---|")
    for number, one in enumerate(also):
        url, _, model = one.partition(" ")
        settings = EndpointSettings(provider="openai-compatible", url=url)
        await _compare(f"{model} ({number})", settings, model, directory, pairs=pairs, tokens=tokens)
    async with serving(directory) as settings:
        await _compare("llama.cpp", settings, "smollm2:135m", directory, pairs=pairs, tokens=tokens)
    async with ollama.serving(directory) as server:
        settings = EndpointSettings(provider="ollama", url=server.url)
        await _compare("Ollama", settings, "first:latest", directory, pairs=pairs, tokens=tokens)


async def _compare(
    name: str, settings: EndpointSettings, model: str, directory: Path, *, pairs: int, tokens: int
) -> None:
    notes = directory / f"{name.replace('/', '-')}.jsonl"
    async with _tee(settings, notes) as through:
        samples = await _measure(through, model, pairs=pairs, tokens=tokens)
    seen = exchanges(notes)[1:]  # the warm-up is no sample
    assert len(seen) == len(samples), (len(seen), len(samples))
    _report(name, "TTFT, ms", samples, seen, lambda s: s.ttft_ms, _ttft_ms)
    _report(name, "output tokens/s", samples, seen, lambda s: s.output_tps, _output_tps)
    own = [s.server_output_tps for s in samples if s.server_output_tps]
    if own:
        print(f"| {name} | output tokens/s by the server's own account | {len(own)} | | "
              f"{statistics.median(own):.1f} | | |")  # fmt: skip


def _ttft_ms(seen: Seen) -> float:
    return (seen.deltas[0] - seen.sent_at) * 1000


def _output_tps(seen: Seen) -> float:
    return ((seen.tokens or len(seen.deltas)) - 1) / (seen.deltas[-1] - seen.deltas[0])


def _report(
    name: str,
    figure: str,
    samples: list[RunSample],
    seen: list[Seen],
    ours: Callable[[RunSample], float | None],
    theirs: Callable[[Seen], float],
) -> None:
    pairs = [(ours(sample), theirs(one)) for sample, one in zip(samples, seen, strict=True)]
    known = [(mine, other) for mine, other in pairs if mine is not None]
    differences = [100 * (mine - other) / other for mine, other in known]
    ours_median, theirs_median = (statistics.median(side) for side in zip(*known, strict=True))
    print(
        f"| {name} | {figure} | {len(known)} | {ours_median:.1f} | {theirs_median:.1f} | "
        f"{statistics.median(differences):+.2f} % | {max(differences, key=abs):+.2f} % |"
    )


@asynccontextmanager
async def _tee(settings: EndpointSettings, notes: Path) -> AsyncIterator[EndpointSettings]:
    """Run a tee in front of an endpoint; yield how to reach it through the tee."""
    port = free_port()
    upstream = settings.url.rpartition(":")[2]
    command = [sys.executable, "-m", "benchmarks.tee", upstream, str(port), str(notes)]
    through = EndpointSettings(provider=settings.provider, url=f"http://127.0.0.1:{port}")

    async def passes() -> bool:
        async with opened(through) as endpoint:
            return (await endpoint.contact()).outcome is Outcome.OK

    async with child(command, log=notes.with_suffix(".log")):
        await eventually(passes, what="the tee")
        yield through


@asynccontextmanager
async def opened(settings: EndpointSettings) -> AsyncIterator[OpenEndpoint]:
    """Open an endpoint as the services do."""
    provider, clock = providers.load(settings.provider), SystemClock()
    async with provider.open(access("tee", settings), clock=clock) as endpoint:
        yield OpenEndpoint(name="tee", settings=settings, provider=provider, endpoint=endpoint, clock=clock)


async def _measure(settings: EndpointSettings, model: str, *, pairs: int, tokens: int) -> list[RunSample]:
    """Benchmark as the service does; return the samples of runs that had the model warm."""
    info = ModelInfo(
        model=ModelRef("tee", model), provider=settings.provider, url=settings.url, api="", kind="chat"
    )
    runs = plan(info, Benchmarking(runs=pairs, output_tokens=tokens))[: pairs + 1]  # the short prompts

    async def on_step(step: int, steps: int, message: str) -> None:
        """Say nothing."""

    async with opened(settings) as there:
        endpoint = there.endpoint
        await endpoint.describe(Listing(name=model))
        items = await measure(
            endpoint,
            info,
            job_id="fidelity",
            rng=SystemRandom(),
            clock=SystemClock(),
            plan=runs,
            on_step=on_step,
        )
    return [sample for sample in items if not sample.cold]
