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
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import nats
import pytest
from msgspec import Struct

import ollama
from benchmarks import inprocess, questions
from benchmarks.running import bench, fill, recommender, say
from commands import up
from eventually import eventually
from vedette import log
from vedette.bus import Bus
from vedette.catalogue import Catalogue
from vedette.children import child, free_port, last_line
from vedette.client import Client
from vedette.clock import SystemClock
from vedette.demo.server import MODEL, serving
from vedette.settings import Settings
from vedette.types import ModelRef
from vedette_recommender.answers import Answers
from vedette_recommender.app import base_url
from vedette_recommender.usecases import known

LITELLM, LLMFIT = "litellm==1.110.2", "llmfit==1.1.17"
_STRATEGIES = ("simple-shuffle", "latency-based-routing")
_QUESTION = {"use_case": "chat", "constraints": {"min_context_tokens": 2048}}
_MEASURED_WITHIN_S = 300.0
_CHOICES = 200
_INSTALL_WITHIN_S = 600.0
_CONFIGURATION = """
[schedule]
run_on_startup = false
[endpoints.{name}]
provider = "{provider}"
url = "{url}"
"""


class Answered(Struct, frozen=True, kw_only=True):
    """A row of the first table: what was answered, and how long that took."""

    who: str
    what: str
    here: str  # whether the answer can be called here
    considers: str
    p50_ms: float | None = None


async def measure(directory: Path, *, sizes: Sequence[int]) -> None:
    """Print both tables."""
    answered, times = [], []
    try:
        async with _served(directory) as endpoints:
            answered += await _vedette(directory / "up", endpoints)
            answered += await _litellm(directory, endpoints)
            answered += await _llmfit(directory, endpoints)
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


class Served(Struct, frozen=True, kw_only=True):
    """A model server of this run, with its models by the names that it gives them."""

    name: str
    provider: str
    url: str
    models: tuple[str, ...]


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
    text = "".join(
        _CONFIGURATION.format(name=one.name, provider=one.provider, url=one.url) for one in endpoints
    )
    configuration = text.replace("[schedule]\nrun_on_startup = false\n", "", len(endpoints) - 1)
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
        for _ in range(_CHOICES):
            began = time.perf_counter()
            reply = await on.connection.request("recommend.best", payload, timeout=10)
            took_ms.append((time.perf_counter() - began) * 1000)
        answers = await _in_process(on.connection)
    best = json.loads(reply.data)["recommendation"]
    name = f"{best['model']['endpoint']}/{best['model']['name']}" if best else "none"
    what = f"{name} at {best['url']}" if best else name
    considers = (
        "use case, capabilities with evidence, context, measured TTFT and tokens/s, measured quality, uptime, price, "
        "residency; every limit of the request"
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
            who="Vedette, in process, every question another",
            what="the same",
            here=here,
            considers="the same",
            p50_ms=statistics.median(in_process_ms),
        ),
    ]


async def _in_process(connection: nats.NATS) -> Answers:
    """Return the answers of a catalogue that has been read from the streams."""
    catalogue = Catalogue()
    answers = Answers(
        catalogue=catalogue,
        endpoints=Settings().endpoints,
        use_cases=known({}),
        stale_after=timedelta(hours=1.5),
        base_url=base_url,
        clock=SystemClock(),
    )
    bus = Bus(connection, name="bench", clock=SystemClock(), log=log.logger("bench"))

    def apply(event: Any, sequence: int) -> None:
        if catalogue.apply(event, sequence):
            answers.changed(event)

    following = await bus.follow("MODELS", "model.>", apply)
    async with asyncio.timeout(30):
        await following.warm.wait()
    return answers


def _another(number: int) -> bytes:
    constraints = {"min_context_tokens": 2048, "max_ttft_ms": 1e6 + number}
    return msgspec.json.encode({"use_case": "chat", "constraints": constraints})


def _times(ask: Callable[[int], object]) -> list[float]:
    took_ms = []
    for number in range(_CHOICES):
        began = time.perf_counter()
        ask(number)
        took_ms.append((time.perf_counter() - began) * 1000)
    return took_ms


# LiteLLM -----------------------------------------------------------------------------------------------------


async def _litellm(directory: Path, endpoints: Sequence[Served]) -> list[Answered]:
    deployments = [
        _deployment(f"{one.name}/{model}", model, f"{one.url}/v1")
        for one in endpoints
        for model in one.models
    ]
    calls = 4 * len(deployments)
    say(f"LiteLLM: {calls} calls through each strategy, then {_CHOICES} choices")
    told, problem = await _choices(directory, deployments, calls=calls, within_s=_INSTALL_WITHIN_S)
    if told is None:
        return [Answered(who="LiteLLM", what=f"left out: {problem}", here="", considers="")]
    considers = {
        "simple-shuffle": "weights that the user configures; leaves out what has just failed repeatedly",
        "latency-based-routing": f"seconds per token of its own last calls (here {calls}); leaves out what has just "
        "failed repeatedly",
    }
    return [
        Answered(
            who=f"LiteLLM {LITELLM.partition('==')[2]}, {one['strategy']}",
            what=", ".join(f"{name} {count / one['n']:.0%}" for name, count in one["chosen"].items()),
            here="yes: of the group that the user lists, all taken to be alike",
            considers=considers[one["strategy"]],
            p50_ms=one["p50_ms"],
        )
        for one in told
    ]


def _deployment(identity: str, model: str, url: str) -> dict[str, Any]:
    return {
        "model_name": "chat",
        "litellm_params": {"model": f"openai/{model}", "api_base": url, "api_key": "none"},
        "model_info": {"id": identity},
    }


async def _choices(
    directory: Path, deployments: list[dict[str, Any]], *, calls: int, within_s: float
) -> tuple[list[dict[str, Any]] | None, str]:
    """Return what LiteLLM's strategies chose, or None and why they could not be asked."""
    directory.mkdir(parents=True, exist_ok=True)
    order, told, output = (directory / f"litellm.{ending}" for ending in ("order", "told", "log"))
    choices = _CHOICES if len(deployments) <= 1000 else 20
    asked = {"deployments": deployments, "strategies": _STRATEGIES, "calls": calls, "choices": choices}
    order.write_text(json.dumps(asked))
    script = Path(__file__).parent / "litellm_choice.py"
    command = ["uv", "run", "--no-project", "--with", LITELLM, "python", str(script), str(order), str(told)]
    code = await _run(command, output, within_s=within_s)
    if code != 0:
        return None, f"did not end within {within_s:g} s" if code is None else last_line(output)
    return json.loads(told.read_text()), ""


async def _run(command: Sequence[str], output: Path, *, within_s: float) -> int | None:
    """Return the exit code of *command*, None when it takes too long."""
    output.unlink(missing_ok=True)
    try:
        async with asyncio.timeout(within_s), child(command, log=output) as process:
            return await process.wait()
    except FileNotFoundError as error:
        output.write_text(str(error))
        return 127
    except TimeoutError:
        return None


# llmfit ------------------------------------------------------------------------------------------------------


async def _llmfit(directory: Path, endpoints: Sequence[Served]) -> list[Answered]:
    output = directory / "llmfit.log"
    where = ["python", "-c", "import shutil; print(shutil.which('llmfit'))"]
    code = await _run(["uv", "tool", "run", "--from", LLMFIT, *where], output, within_s=_INSTALL_WITHIN_S)
    if code != 0:
        return [Answered(who="llmfit", what=f"left out: {last_line(output)}", here="", considers="")]
    binary = last_line(output)
    ours = next((one.url for one in endpoints if one.provider == "ollama"), "http://127.0.0.1:1")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = ["env", f"OLLAMA_HOST={ours}", binary, "serve", "--port", str(port), "--no-dashboard"]
    say("llmfit: its server, asked for the best for chat")
    async with child(command, log=output), httpx.AsyncClient(base_url=url, timeout=60) as http:

        async def healthy() -> bool:
            try:
                return (await http.get("/health")).status_code == 200
            except httpx.TransportError:
                return False

        await eventually(healthy, within_s=60, what="llmfit")
        took_ms = []
        for _ in range(20):
            began = time.perf_counter()
            reply = await http.get("/api/v1/models/top", params={"limit": 3, "use_case": "chat"})
            took_ms.append((time.perf_counter() - began) * 1000)
    reply.raise_for_status()
    best = reply.json()["models"]
    installed = [one["name"] for one in best if one.get("installed")]
    return [
        Answered(
            who=f"llmfit {LLMFIT.partition('==')[2]}, over HTTP",
            what="; ".join(
                f"{one['name']} ({one['best_quant'] or 'as published'}, {one['estimated_tps']} tokens/s estimated)"
                for one in best
            ),
            here="yes"
            if installed
            else f"no: the best of {reply.json()['total_models']} published models to install",
            considers="memory and processor of this machine, size, quantisation, context, estimated speed, a quality score",
            p50_ms=statistics.median(took_ms),
        )
    ]


# More models -------------------------------------------------------------------------------------------------


async def _at_size(directory: Path, size: int) -> list[str]:
    rows = []
    directory.mkdir()
    await fill(directory, present=0, models=size)
    async with bench(directory, size) as on, recommender(on) as running:
        payloads = questions.different(seed=5, models=size)
        took_ms = []
        for _ in range(_CHOICES):
            payload = next(payloads)
            began = time.perf_counter()
            await on.connection.request("recommend.best", payload, timeout=60)
            took_ms.append((time.perf_counter() - began) * 1000)
        rows.append(
            _time_row(size, "Vedette, over NATS, every question another", took_ms, running.first_answer_s)
        )
    made, folded_s = inprocess.filled(size)
    payloads = questions.different(seed=6, models=size)
    took_ms = _times(lambda _: made.answers.answer("recommend.best", next(payloads)))
    rows.append(_time_row(size, "Vedette, in process, every question another", took_ms, folded_s))
    say(f"{size} models: LiteLLM")
    deployments = [_deployment(f"d{number}", f"m{number}", "http://127.0.0.1:1/v1") for number in range(size)]
    told, problem = await _choices(directory, deployments, calls=0, within_s=_INSTALL_WITHIN_S)
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
