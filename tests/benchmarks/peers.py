"""The same question to what one might use instead: LiteLLM's router and llmfit, beside `recommend.best`.

First over real models on this machine (a llama.cpp server and, where there is one, an Ollama, with SmolLM2), which
Vedette has found, probed and benchmarked itself and LiteLLM has called; then over more and more models, where only
the time counts. The peers run in environments of their own, which uv makes; a peer that cannot be had is left out
with a line that says so.
"""

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from nats.aio.client import Client as NatsClient

import ollama
from benchmarks import foreign, inprocess, questions
from benchmarks.foreign import CHOICES, Answered, Served
from benchmarks.running import bench, fill, recommender, say
from commands import up
from eventually import eventually
from vedette import log
from vedette.bus.bus import Bus
from vedette.client import Client
from vedette.clock import SystemClock
from vedette.demo.server import MODEL, serving
from vedette.types import ModelRef
from vedette_recommender.answers import Answers

_QUESTION = {"use_case": "chat", "constraints": {"min_context_tokens": 2048}}
_MEASURED_WITHIN_S = 600.0
_CONFIGURATION = "[schedule]\nrun_on_startup = false\n"
_ENDPOINT = """
[endpoints.{name}]
provider = "{provider}"
url = "{url}"
evaluate = false
verify_capabilities = false
"""


async def measure(directory: Path, *, sizes: Sequence[int]) -> None:
    """Print both tables."""
    answered, times = [], []
    try:
        async with _served(directory) as endpoints:
            answered += await _vedette(directory / "up", endpoints)
            answered += await foreign.litellm(directory, endpoints)
            answered += await foreign.llmfit(directory, endpoints)
        for number, size in enumerate(sorted(sizes)):
            times += await _at_size(directory / f"size-{number}", size)
    finally:
        _print(answered, times)


def _print(answered: Sequence[Answered], times: Sequence[str]) -> None:
    print("\n## The same question, the same machine\n")
    print("| who | answers | served here | what it takes into account | p50 ms |\n|---|---|---|---|---|")
    for row in answered:
        took = f"{row.p50_ms:.3f}" if row.p50_ms is not None else ""
        print(f"| {row.who} | {row.what} | {row.here} | {row.considers} | {took} |")
    print("\n## The time of an answer over more models\n")
    print("| models | who | p50 ms | p99 ms | n | set up, s |\n|---|---|---|---|---|---|")
    print("\n".join(times), flush=True)


@asynccontextmanager
async def _served(directory: Path) -> AsyncIterator[list[Served]]:
    async with AsyncExitStack() as stack:
        llama = await stack.enter_async_context(serving(directory))
        running = [Served(name="llama", provider=llama.provider, url=llama.url, models=(MODEL,))]
        try:
            own = await stack.enter_async_context(ollama.serving(directory))
        except pytest.skip.Exception as skipped:
            say(f"without Ollama: {skipped}")
        else:
            models = ("first:latest", "second:latest")
            running.append(Served(name="ollama", provider="ollama", url=own.url, models=models))
        yield running


# Vedette -----------------------------------------------------------------------------------------------------


async def _vedette(directory: Path, endpoints: Sequence[Served]) -> list[Answered]:
    """Have a Vedette find and measure the models; then time a recommender alone on what it has measured."""
    expected = {str(ModelRef(one.name, model)) for one in endpoints for model in one.models}
    configuration = _CONFIGURATION + "".join(
        _ENDPOINT.format(name=one.name, provider=one.provider, url=one.url) for one in endpoints
    )
    say(f"vedette up: {len(expected)} models to be found, probed and benchmarked")
    async with up(directory, configuration) as running:
        await running.line("ready")
        async with Client(running.connection.nats_url) as agent:

            async def measured() -> bool:
                views = (await agent.models()).models
                return {str(view.model) for view in views if view.performance} >= expected

            await eventually(measured, within_s=_MEASURED_WITHIN_S, what="models that are benchmarked")
    payload = msgspec.json.encode(_QUESTION)
    async with bench(directory, len(expected)) as on, recommender(on):
        took_ms: list[float] = []
        for _ in range(CHOICES):
            began = time.perf_counter()
            reply = await on.connection.request("recommend.best", payload, timeout=10)
            took_ms.append((time.perf_counter() - began) * 1000)
        answers = await _in_process(on.connection)
    best = json.loads(reply.data)["recommendation"]
    name = f"{best['model']['endpoint']}/{best['model']['name']}" if best else "none"
    what = f"{name} at {best['url']}" if best else name
    considers = (
        "use case, capabilities with evidence, context, measured TTFT and tokens/s, quality (not evaluated here, "
        "which takes minutes), uptime, price, residency; every limit of the request"
    )
    here = "yes" if name in expected else "no"
    in_process_ms = _times(lambda number: answers.answer("recommend.best", _another(number)))
    return [
        Answered(
            who="Vedette, over NATS",
            what=what,
            here=here,
            considers=considers,
            p50_ms=statistics.median(took_ms),
        ),
        Answered(
            who="Vedette, in process, each query different",
            what="the same",
            here=here,
            considers="the same",
            p50_ms=statistics.median(in_process_ms),
        ),
    ]


async def _in_process(connection: NatsClient) -> Answers:
    """Return the answers of a catalogue that has been read from the stream."""
    made = inprocess.Filled(SystemClock())
    bus = Bus(connection, name="bench", clock=SystemClock(), log=log.logger("bench"))
    following = await bus.followings.follow("MODELS", "model.>", lambda event, _: made.apply(event))
    async with asyncio.timeout(30):
        await following.warm.wait()
    return made.answers


def _another(number: int) -> bytes:
    constraints = {"min_context_tokens": 2048, "max_ttft_ms": 1e6 + number}
    return msgspec.json.encode({"use_case": "chat", "constraints": constraints})


def _times(ask: Callable[[int], object]) -> list[float]:
    took_ms = []
    for number in range(CHOICES):
        began = time.perf_counter()
        ask(number)
        took_ms.append((time.perf_counter() - began) * 1000)
    return took_ms


# More models -------------------------------------------------------------------------------------------------


async def _at_size(directory: Path, size: int) -> list[str]:
    rows = []
    await fill(directory, present=0, models=size)
    async with bench(directory, size) as on, recommender(on) as running:
        payloads = questions.different(seed=5, models=size)
        took_ms = []
        for _ in range(CHOICES):
            payload = next(payloads)
            began = time.perf_counter()
            await on.connection.request("recommend.best", payload, timeout=60)
            took_ms.append((time.perf_counter() - began) * 1000)
        rows.append(
            _time_row(size, "Vedette, over NATS, each query different", took_ms, running.first_answer_s)
        )
    made, folded_s = inprocess.filled(size)
    payloads = questions.different(seed=6, models=size)
    took_ms = _times(lambda _: made.answers.answer("recommend.best", next(payloads)))
    rows.append(_time_row(size, "Vedette, in process, each query different", took_ms, folded_s))
    say(f"{size} models: LiteLLM")
    deployments = [
        foreign.deployment(f"d{number}", f"m{number}", "http://127.0.0.1:1/v1") for number in range(size)
    ]
    told, problem = await foreign.choices(directory, deployments, calls=0)
    if told is None:
        return [*rows, f"| {size} | LiteLLM: left out: {problem} | | | | |"]
    return rows + [
        f"| {size} | LiteLLM, in process, {one['strategy']} | {one['p50_ms']:.3f} | {one['p99_ms']:.3f} | {one['n']} | "
        f"{one['built_s']:.2f} |"
        for one in told
    ]


def _time_row(size: int, who: str, took_ms: Sequence[float], set_up_s: float) -> str:
    cuts = statistics.quantiles(took_ms, n=100, method="inclusive")
    return f"| {size} | {who} | {cuts[49]:.3f} | {cuts[98]:.3f} | {len(took_ms)} | {set_up_s:.2f} |"
