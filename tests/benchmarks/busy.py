"""Whether `vedette up`, one process, still answers while it works.

A process of its own asks `recommend.best` a hundred times a second: first while nothing is done, then while a thousand
models of one endpoint are discovered and another endpoint is benchmarked and evaluated. Beside each, the same process
asks an echo on the same nats-server, so that what the machine is busy with shows in both.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import nats
from msgspec import Struct

from benchmarks.running import say
from commands import Up, up
from eventually import eventually
from providers.fake_ollama import FakeOllama, fake_ollama
from vedette.bus.connection import connect
from vedette.client.jobs import Target, operating
from vedette.settings import Nats
from vedette.types import ModelRef

AIM_P99_MS = 20.0
_EVERY_S = 0.01
CONFIG = """
[schedule]
availability = "1h"
discovery = "1h"
[benchmarking]
runs = 2
output_tokens = 32
[evaluating]
items = 8
least = 8
[endpoints.measured]
url = "{measured}"
host_group = "measured"
[endpoints.filling]
url = "{filling}"
host_group = "filling"
benchmark = false
evaluate = false
verify_capabilities = false
"""


class Asked(Struct, frozen=True, kw_only=True):
    """Milliseconds that questions took, sorted."""

    recommend: list[float]
    echo: list[float]


def quantile(taken: Sequence[float], p: float) -> float:
    """Return the p-quantile of sorted *taken*, the nearest one above."""
    return taken[min(len(taken) - 1, int(p * len(taken)))]


def row(phase: str, what: str, taken: Sequence[float]) -> str:
    """Return a row of the table."""
    figures = " | ".join(f"{quantile(taken, p):.1f}" for p in (0.5, 0.95, 0.99))
    return f"| {phase} | {what} | {len(taken)} | {figures} | {taken[-1]:.1f} |"


async def ask(url: str, operator_url: str, seconds: float) -> Asked:
    """Ask for so long, one after the other at fixed times; a late answer delays no other question."""
    agent, operator = await nats.connect(url), await nats.connect(operator_url)

    async def echo(message: object) -> None:
        await message.respond(b"{}")  # type: ignore[attr-defined]

    await operator.subscribe("benchmark.echo", cb=echo)
    await operator.flush()
    taken: dict[str, list[float]] = {"recommend": [], "echo": []}

    async def one(what: str) -> None:
        began = time.perf_counter()
        if what == "recommend":
            await agent.request("recommend.best", b'{"use_case":"chat"}', timeout=20)
        else:
            await operator.request("benchmark.echo", b"{}", timeout=20)
        taken[what].append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(seconds / _EVERY_S)):
            await asyncio.sleep(max(0.0, began + number * _EVERY_S - time.perf_counter()))
            for what in taken:
                group.create_task(one(what))
    await agent.close()
    await operator.close()
    return Asked(recommend=sorted(taken["recommend"]), echo=sorted(taken["echo"]))


async def _asked_apart(running: Up, seconds: float) -> Asked:
    command = [sys.executable, "-m", "benchmarks.busy", running.connection.nats_url]
    command += [running.connection.operator_url, str(seconds)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    told = json.loads(out)
    return Asked(recommend=told["recommend"], echo=told["echo"])


async def _work(running: Up, filling: FakeOllama, models: int) -> str:
    """Have everything done at once; return how long each took."""
    filling.models = {f"model-{number}:7b": f"digest-{number}" for number in range(models)}
    began, told = time.perf_counter(), []
    async with (
        connect(Nats(url=running.connection.operator_url), name="benchmark") as connection,
        operating(connection) as operation,
    ):
        measured = Target(endpoint="measured", group="measured", model=ModelRef("measured", "a"))
        jobs = [
            *await operation.request("discover", [Target(endpoint="filling", group="filling")]),
            *await operation.request("benchmark", [measured]),
            *await operation.request("evaluate", [measured]),
        ]
        async for job, progress in operation.follow(jobs):
            if progress.state in ("done", "failed"):
                told.append(f"{job.kind} {progress.state} after {time.perf_counter() - began:.1f} s")
    return ", ".join(told)


async def measure(directory: Path, *, models: int, seconds: float) -> None:
    """Print the table."""
    async with fake_ollama(a="1") as measured, fake_ollama(first="1") as filling:
        config = CONFIG.format(measured=measured.url, filling=filling.url)
        async with up(directory / "state", config) as running:
            await running.line("ready")
            say("waiting until the first model is measured")

            async def is_measured() -> bool:
                return "measured/a" in (await running.ask("recommend", "chat")).out

            await eventually(is_measured, within_s=300, what="a recommendation")
            await asyncio.sleep(20)  # its first benchmark and evaluation end
            say(f"asking for {seconds:g} s while nothing is done")
            quiet = await _asked_apart(running, seconds)
            say(f"asking while {models} models are discovered, and one is benchmarked and evaluated")
            busy, told = await asyncio.gather(_asked_apart(running, seconds), _work(running, filling, models))
            await running.stop()
    print("| while | what | n | p50 ms | p95 ms | p99 ms | max ms |\n|---|---|---|---|---|---|---|")
    for phase, asked in (("nothing is done", quiet), ("everything is done", busy)):
        print(row(phase, "recommend.best", asked.recommend))
        print(row(phase, "an echo", asked.echo))
    print(f"\n{told}. Aim: p99 under {AIM_P99_MS:g} ms.")


if __name__ == "__main__":
    asked = asyncio.run(ask(sys.argv[1], sys.argv[2], float(sys.argv[3])))
    print(json.dumps({"recommend": asked.recommend, "echo": asked.echo}))
