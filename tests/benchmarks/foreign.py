"""What one might use instead of Vedette, each in a process and an environment of its own, which uv makes.

A peer that cannot be had is left out with a line that says so.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from msgspec import Struct

from benchmarks.running import say
from eventually import eventually
from vedette.runtime.subprocesses import child, free_port, last_line

LITELLM, LLMFIT = "litellm==1.110.2", "llmfit==1.1.17"
CHOICES = 200
_STRATEGIES = ("simple-shuffle", "latency-based-routing")
_INSTALL_WITHIN_S = 600.0


class Answered(Struct, frozen=True, kw_only=True):
    """A row of the first table: what was answered, and how long that took."""

    who: str
    what: str
    here: str  # whether the answer can be called here
    considers: str
    p50_ms: float | None = None


class Served(Struct, frozen=True, kw_only=True):
    """A model server of this run, with its models by the names that it gives them."""

    name: str
    provider: str
    url: str
    models: tuple[str, ...]


# LiteLLM -----------------------------------------------------------------------------------------------------


async def litellm(directory: Path, endpoints: Sequence[Served]) -> list[Answered]:
    deployments = [
        deployment(f"{one.name}/{model}", model, f"{one.url}/v1") for one in endpoints for model in one.models
    ]
    calls = 4 * len(deployments)
    say(f"LiteLLM: {calls} calls through each strategy, then {CHOICES} choices")
    told, problem = await choices(directory, deployments, calls=calls)
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


def deployment(identity: str, model: str, url: str) -> dict[str, Any]:
    return {
        "model_name": "chat",
        "litellm_params": {"model": f"openai/{model}", "api_base": url, "api_key": "none"},
        "model_info": {"id": identity},
    }


async def choices(
    directory: Path, deployments: list[dict[str, Any]], *, calls: int, within_s: float = _INSTALL_WITHIN_S
) -> tuple[list[dict[str, Any]] | None, str]:
    """Return what LiteLLM's strategies chose, or None and why they could not be asked."""
    order, told, output = (directory / f"litellm.{ending}" for ending in ("order", "told", "log"))
    timed = CHOICES if len(deployments) <= 1000 else 20
    asked = {"deployments": deployments, "strategies": _STRATEGIES, "calls": calls, "choices": timed}
    order.write_text(json.dumps(asked))
    script = Path(__file__).parent / "litellm_choice.py"
    command = ["uv", "run", "--no-project", "--with", LITELLM, "python", str(script), str(order), str(told)]
    code = await _run(command, output, within_s=within_s)
    if code != 0:
        return None, f"did not end within {within_s:g} s" if code is None else last_line(output)
    return json.loads(told.read_text()), ""


async def _run(command: Sequence[str], output: Path, *, within_s: float) -> int | None:
    """Return the exit code of *command*, None when it takes too long."""
    try:
        async with asyncio.timeout(within_s), child(["env", *command], log=output) as process:
            return await process.wait()
    except TimeoutError:
        return None


# llmfit ------------------------------------------------------------------------------------------------------


async def llmfit(directory: Path, endpoints: Sequence[Served]) -> list[Answered]:
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
            considers="memory and processor of this machine, size, quantisation, context, estimated speed, "
            "a quality score; says what is installed",
            p50_ms=statistics.median(took_ms),
        )
    ]
