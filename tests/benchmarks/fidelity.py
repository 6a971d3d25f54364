"""The same work seen three times: by Vedette's benchmark, by a tee on its own socket, and by a client of its own.

The tee stamps the bytes of the very exchanges that Vedette measures: a difference there is Vedette's alone. The other
client makes a call of its own before and after each of Vedette's. How much those two differ is the noise of server and
machine: a difference of Vedette's that is no larger shows nothing.
"""

import asyncio
import statistics
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random, SystemRandom
from typing import Any, Literal
from urllib.parse import urlsplit

from msgspec import Struct

import ollama
from benchmarks import raw_client
from benchmarks.raw_client import Timed
from benchmarks.tee import Seen, exchanges
from eventually import eventually
from vedette import providers
from vedette.clock import SystemClock
from vedette.demo.server import serving
from vedette.endpoints import OpenEndpoint
from vedette.errors import ProviderError
from vedette.providers import Listing
from vedette.providers.access import access
from vedette.runtime.subprocesses import child, free_port
from vedette.settings import Benchmarking, EndpointSettings
from vedette.types import ModelInfo, ModelRef, Outcome, RunSample
from vedette_benchmarker.load import EMBEDDED_TEXTS, PROMPT_TOKENS, Run, measure, plan, prompt, text

_INTERVAL = 0.95
_RESAMPLED = 4000
# A server may still tidy up after the last byte of a reply; the next call, of either client, does not pay for that.
_SETTLING_S = 0.3


class Server(Struct, frozen=True, kw_only=True):
    """A server that runs, and the model that is measured there."""

    name: str
    settings: EndpointSettings
    model: str
    kind: Literal["chat", "embedding"] = "chat"

    @property
    def info(self) -> ModelInfo:
        """The model as the benchmarker knows it."""
        return ModelInfo(
            model=ModelRef("tee", self.model),
            provider=self.settings.provider,
            url=self.settings.url,
            api="",
            kind=self.kind,
        )


class Figure(Struct, frozen=True, kw_only=True):
    """A figure and where each of the three has it."""

    name: str
    ours: Callable[[RunSample], float | None]
    on_the_socket: Callable[[Seen], float]
    others: Callable[[Timed], float]


FIGURES = {
    "chat": (
        Figure(
            name="TTFT, ms",
            ours=lambda sample: sample.ttft_ms,
            on_the_socket=lambda seen: (seen.deltas[0] - seen.sent_at) * 1000,
            others=lambda timed: timed.ttft_ms,
        ),
        Figure(
            name="output tokens/s",
            ours=lambda sample: sample.output_tps,
            on_the_socket=lambda seen: (
                ((seen.tokens or len(seen.deltas)) - 1) / (seen.deltas[-1] - seen.deltas[0])
            ),
            others=lambda timed: timed.output_tps,
        ),
    ),
    "embedding": (
        Figure(
            name="whole call, ms",
            ours=lambda sample: sample.e2e_ms,
            on_the_socket=lambda seen: (seen.ended_at - seen.sent_at) * 1000,
            others=lambda timed: timed.took_ms,
        ),
        Figure(
            name="tokens embedded/s",
            ours=lambda sample: sample.embedding_tps,
            on_the_socket=lambda seen: (seen.tokens or 0) / (seen.ended_at - seen.sent_at),
            others=lambda timed: timed.read_tps,
        ),
    ),
}


async def measure_fidelity(
    directory: Path, *, pairs: int, tokens: int, also: tuple[str, ...] = (), own: bool = True
) -> None:
    """Print, for a real llama.cpp server, a real Ollama and *also*, what each of the three saw.

    *also* are servers that run already: `NAME URL MODEL` each. They speak OpenAI's protocol, and the model chats,
    unless `embedding` or `ollama` follows. Without *own*, only those.
    """
    print(
        "| server | figure | pairs | Vedette, median | to the same exchange on the socket "
        "| to another client's calls before and after | those to each other |\n|---|---|---|---|---|---|---|"
    )
    for number, one in enumerate(also):
        name, url, model, *marks = one.split(" ")
        provider = "ollama" if "ollama" in marks else "openai-compatible"
        settings = EndpointSettings(provider=provider, url=url, timeout_s=600)
        kind: Literal["chat", "embedding"] = "embedding" if "embedding" in marks else "chat"
        server = Server(name=name, settings=settings, model=model, kind=kind)
        await _compare(server, directory / f"{number}.jsonl", pairs=pairs, tokens=tokens)
    if not own:
        return
    async with serving(directory) as settings:
        server = Server(name="llama.cpp", settings=settings, model="smollm2:135m")
        await _compare(server, directory / "llamacpp.jsonl", pairs=pairs, tokens=tokens)
    async with ollama.serving(directory) as running:
        settings = EndpointSettings(provider="ollama", url=running.url, timeout_s=600)
        server = Server(name="Ollama", settings=settings, model="first:latest")
        await _compare(server, directory / "ollama.jsonl", pairs=pairs, tokens=tokens)


async def _compare(server: Server, notes: Path, *, pairs: int, tokens: int) -> None:
    async with _tee(server.settings, notes) as through:
        samples, others = await _between(server, through, pairs=pairs, tokens=tokens)
    seen = [one for one in exchanges(notes) if raw_client.MARK not in one.head][
        1:
    ]  # the warm-up is no sample
    assert len(seen) == len(samples), (len(seen), len(samples))
    for figure in FIGURES[server.kind]:
        ours = [figure.ours(sample) for sample in samples]
        known = [
            (mine, figure.on_the_socket(there), figure.others(before), figure.others(after))
            for mine, there, (before, after) in zip(ours, seen, others, strict=True)
            if mine is not None
        ]
        mine = [one for one, _, _, _ in known]
        print(
            f"| {server.name} | {figure.name} | {len(known)} | {statistics.median(mine):.1f} "
            f"| {_ratios([100 * (one / there - 1) for one, there, _, _ in known])} "
            f"| {_ratios([100 * (2 * one / (before + after) - 1) for one, _, before, after in known])} "
            f"| {_ratios([100 * (before / after - 1) for _, _, before, after in known])} |",
            flush=True,
        )


def _ratios(differences: Sequence[float]) -> str:
    """Return the median of *differences* (%) with its interval, by resampling them [Efron 1979, percentiles]."""
    rng = Random(0)
    medians = sorted(
        statistics.median(rng.choices(differences, k=len(differences))) for _ in range(_RESAMPLED)
    )
    low, high = (
        medians[round((_RESAMPLED - 1) * share)] for share in ((1 - _INTERVAL) / 2, (1 + _INTERVAL) / 2)
    )
    return f"**{statistics.median(differences):+.2f} %** ({low:+.2f} to {high:+.2f})"


@asynccontextmanager
async def _tee(settings: EndpointSettings, notes: Path) -> AsyncIterator[EndpointSettings]:
    """Run a tee in front of an endpoint; yield how to reach it through the tee."""
    port = free_port()
    upstream = urlsplit(settings.url)
    command = [sys.executable, "-m", "benchmarks.tee", str(upstream.port), str(port), str(notes)]
    through = EndpointSettings(
        provider=settings.provider,
        url=f"http://127.0.0.1:{port}{upstream.path}",
        timeout_s=settings.timeout_s,
    )

    async def passes() -> bool:
        async with opened(through) as endpoint:
            return (await endpoint.contact()).outcome is Outcome.OK

    async with child(command, log=notes.with_suffix(".log")):
        await eventually(passes, within_s=60.0, what="the tee")
        yield through


@asynccontextmanager
async def opened(settings: EndpointSettings) -> AsyncIterator[OpenEndpoint]:
    """Open an endpoint as the services do."""
    provider, clock = providers.load(settings.provider), SystemClock()
    async with provider.open(access("tee", settings), clock=clock) as endpoint:
        yield OpenEndpoint(name="tee", settings=settings, provider=provider, endpoint=endpoint, clock=clock)


async def _between(
    server: Server, through: EndpointSettings, *, pairs: int, tokens: int
) -> tuple[list[RunSample], list[tuple[Timed, Timed]]]:
    """Benchmark as the service does, each run between two calls of another client; return the samples of each."""
    warm_up, *runs = plan(server.info, Benchmarking(runs=pairs, output_tokens=tokens))[: pairs + 1]
    there_at = urlsplit(through.url)
    rng = SystemRandom()
    samples, others = [], []

    async def ours(run: Run) -> None:
        await asyncio.sleep(_SETTLING_S)
        samples.extend(await _measured(there, server.info, run))

    async def another() -> Timed:
        await asyncio.sleep(_SETTLING_S)
        await _read_state(there)
        path, body = _request(server, tokens, rng)
        return await asyncio.to_thread(raw_client.call, there_at.port or 80, f"{there_at.path}{path}", body)

    async with opened(through) as there:
        await there.endpoint.list_models()
        await there.endpoint.describe(Listing(name=server.model))
        await _measured(there, server.info, warm_up)
        for run in runs:
            before = await another()
            await ours(run)
            others.append((before, await another()))
    return samples, others


async def _read_state(there: OpenEndpoint) -> None:
    """Read what the benchmarker reads before a run, so that the server comes from the same work to either call."""
    with suppress(ProviderError):
        await there.endpoint.resident()
        await there.endpoint.activity()


async def _measured(there: OpenEndpoint, info: ModelInfo, run: Run) -> list[RunSample]:
    async def on_step(step: int, steps: int, message: str) -> None:
        """Say nothing."""

    return await measure(
        there.endpoint,
        info,
        job_id="fidelity",
        rng=SystemRandom(),
        clock=SystemClock(),
        plan=[run],
        on_step=on_step,
    )


def _request(server: Server, tokens: int, rng: Random) -> tuple[str, dict[str, Any]]:
    """Return the path and the body of a call like the benchmarker's, with a prompt of its own."""
    size = PROMPT_TOKENS["short"]
    if server.kind == "embedding":
        texts = [text(rng, size) for _ in range(EMBEDDED_TEXTS)]
        return "/embeddings", {"model": server.model, "input": texts}
    body: dict[str, Any] = {
        "model": server.model,
        "messages": [{"role": "user", "content": prompt(rng, size, chat=True)}],
        "stream": True,
    }
    if server.settings.provider == "ollama":
        return "/api/chat", body | {"options": {"num_predict": tokens, "temperature": 0}}
    asked = {"max_tokens": tokens, "temperature": 0, "stream_options": {"include_usage": True}}
    return "/v1/chat/completions", body | asked
