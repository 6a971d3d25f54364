"""Two real llama.cpp servers with the same model: how soon the answer leaves the one that a second client loads.

An agent asks once a second. After a minute a client keeps all slots of the recommended server busy, for a minute. The
picture shows which server was recommended, and what it was expected to take.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path

import httpx
from msgspec import Struct

from benchmarks.running import say
from eventually import eventually
from vedette.client import Client
from vedette.demo.server import weights
from vedette.runtime.subprocesses import child, free_port

_MODEL = "smollm2:135m"
_SLOTS, _QUIET_S, _LOADED_S, _AFTER_S = 2, 60.0, 60.0, 60.0
_MEASURED_WITHIN_S = 600.0
_SERVE = """
import signal, sys, xllamacpp
p = xllamacpp.CommonParams()
p.model.path = sys.argv[2]
p.model_alias = sys.argv[3] if isinstance(p.model_alias, str) else [sys.argv[3]]
p.hostnames, p.port = ["127.0.0.1"], int(sys.argv[1])
p.n_ctx, p.n_parallel = 4096, int(sys.argv[4])
p.endpoint_metrics = p.endpoint_slots = p.endpoint_props = True
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(p)
signal.sigwait({signal.SIGTERM, signal.SIGINT})
del server
"""


class Seen(Struct, frozen=True):
    """What an agent was told at a time (s): the server, and the TTFT to expect of each (ms)."""

    at: float
    server: str
    expected_ms: dict[str, float]


async def measure(directory: Path, picture: Path) -> None:
    """Measure, say what was found, and draw it into *picture*."""
    async with _servers(directory) as urls, _vedette(directory, urls) as client:
        await _until_measured(client, urls)
        seen, loaded = await _watch(client, urls)
    left = next((one.at for one in seen if one.at >= _QUIET_S and one.server != loaded), None)
    back = next((one.at for one in seen if one.at >= _QUIET_S + _LOADED_S and one.server == loaded), None)
    flaps = sum(a.server != b.server for a, b in pairwise(seen))
    say(
        f"left {_since(left, _QUIET_S)} after the load began, back {_since(back, _QUIET_S + _LOADED_S)} after its end"
    )
    say(f"{flaps} changes of the answer in {len(seen)} questions")
    await asyncio.to_thread(picture.write_text, _drawn(seen, loaded))


def _since(at: float | None, begin: float) -> str:
    return "never" if at is None else f"{at - begin:.0f} s"


@asynccontextmanager
async def _servers(directory: Path) -> AsyncIterator[dict[str, str]]:
    ports = {"a": free_port(0), "b": free_port(0)}
    model = str(weights())

    def command(name: str) -> list[str]:
        return [sys.executable, "-c", _SERVE, str(ports[name]), model, _MODEL, str(_SLOTS)]

    async with (
        child(command("a"), log=directory / "a.log"),
        child(command("b"), log=directory / "b.log"),
    ):
        yield {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}


@asynccontextmanager
async def _vedette(directory: Path, urls: dict[str, str]) -> AsyncIterator[Client]:
    config, state = directory / "vedette.toml", directory / "state"
    entries = (
        f'[endpoints.{name}]\nprovider = "openai-compatible"\nurl = "{url}"\nmeasure = true\nevaluate = false\n'
        for name, url in urls.items()
    )
    config.write_text("\n".join(entries))
    command = [sys.executable, "-m", "vedette", "up", "--config", str(config), "--state-dir", str(state)]
    async with child(command, log=directory / "vedette.log"):
        await eventually(partial(_is_up, state), what="Vedette")
        async with Client(state_dir=state) as client:
            yield client


async def _is_up(state: Path) -> bool:
    return await asyncio.to_thread((state / "connection.json").exists)


async def _until_measured(client: Client, urls: dict[str, str]) -> None:
    async with asyncio.timeout(_MEASURED_WITHIN_S):
        while True:
            models = (await client.models()).models
            if len(models) == len(urls) and all(model.performance for model in models):
                return
            await asyncio.sleep(1.0)


async def _watch(client: Client, urls: dict[str, str]) -> tuple[list[Seen], str]:
    """Ask every second; load the recommended server meanwhile. Return what was seen, and which was loaded."""
    seen, began, loading, loaded = list[Seen](), time.monotonic(), list[asyncio.Task[None]](), ""
    while (at := time.monotonic() - began) < _QUIET_S + _LOADED_S + _AFTER_S:
        reply = await client.top("chat", limit=2)
        expected = {one.model.endpoint: one.expected_ttft_ms or 0.0 for one in reply.recommendations}
        seen.append(Seen(at, reply.recommendations[0].model.endpoint, expected))
        if at >= _QUIET_S and not loaded:
            loaded = seen[-1].server
            loading = [asyncio.create_task(_load(urls[loaded])) for _ in range(_SLOTS + 1)]
        if at >= _QUIET_S + _LOADED_S:
            for task in loading:
                task.cancel()
        await asyncio.sleep(1.0)
    await asyncio.gather(*loading, return_exceptions=True)
    return seen, loaded


async def _load(url: str) -> None:
    """Ask one answer after the other."""
    body = {"prompt": "Count.", "max_tokens": 200, "ignore_eos": True, "stream": True}
    async with httpx.AsyncClient(timeout=120) as http:
        while True:
            async with http.stream("POST", f"{url}/v1/completions", json=body) as stream:
                async for _ in stream.aiter_bytes():
                    pass


def _drawn(seen: list[Seen], loaded: str) -> str:
    """Return an SVG: below, which server was recommended; above, the expected TTFT of both."""
    width, height, end = 640.0, 220.0, seen[-1].at
    most = max(max(one.expected_ms.values()) for one in seen) or 1.0

    def x(at: float) -> float:
        return 40 + (width - 60) * at / end

    def line(name: str, colour: str) -> str:
        drawn = [(x(one.at), 140 - 110 * one.expected_ms.get(name, 0.0) / most) for one in seen]
        points = " ".join(f"{left:.1f},{top:.1f}" for left, top in _thinned(drawn))
        return f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{points}"/>'

    colours = {"a": "#1f6fb4", "b": "#d2691e"}
    runs = [(server, list(some)) for server, some in groupby(seen, lambda one: one.server)]
    ends = [*(some[0].at for _, some in runs[1:]), end]
    steps = [
        f'<rect x="{x(some[0].at):.1f}" y="165" width="{x(until) - x(some[0].at):.1f}" height="14" '
        f'fill="{colours[server]}"/>'
        for (server, some), until in zip(runs, ends, strict=True)
    ]
    begin, over = x(_QUIET_S), x(_QUIET_S + _LOADED_S)
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
            'font-family="sans-serif" font-size="11">',
            f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>',
            f'<rect x="{begin:.1f}" y="24" width="{over - begin:.1f}" height="160" fill="#eee"/>',
            f'<text x="{begin + 4:.1f}" y="20">a second client loads {loaded}</text>',
            line("a", colours["a"]),
            line("b", colours["b"]),
            f'<text x="4" y="34">{most:,.0f} ms</text><text x="4" y="144">0</text>',
            f'<text x="40" y="158">expected TTFT above; recommended below: '
            f'<tspan fill="{colours["a"]}">a</tspan>, <tspan fill="{colours["b"]}">b</tspan></text>',
            *steps,
            f'<text x="40" y="200">0 s</text><text x="{width - 60:.0f}" y="200">{end:.0f} s</text>',
            "</svg>",
        )
    )


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return *points* without those between two of the same height."""
    return [
        point
        for n, point in enumerate(points)
        if n in (0, len(points) - 1) or not points[n - 1][1] == point[1] == points[n + 1][1]
    ]
