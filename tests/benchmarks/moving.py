"""Two real llama.cpp servers with the same model: how soon the answer leaves the one that a second client loads.

An agent asks once a second. After a minute a client keeps all slots of the recommended server busy, for a minute. The
picture shows which server was recommended, and what it was expected to take. Vedette sees the load that the servers
publish; or reports of two agents that call what is recommended, once a second together; or nothing but its own probes.

Or both servers are loaded by chance, equally, all the time: how often does the answer change?
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import groupby, pairwise
from pathlib import Path
from random import Random
from typing import Literal

import httpx
from msgspec import Struct

from benchmarks.running import llama_cpp, say, vedette
from vedette.bus import agents
from vedette.client import Client
from vedette.messages.probe_times import MIN_PROBES
from vedette.types import Level, Outcome

Signal = Literal["load", "reports", "probes"]

_MODEL = "smollm2:135m"
_QUIET_S = 60.0
_NOISY_SLOTS = 4
_MEASURED_WITHIN_S = 1200.0
_CALL_TOKENS = 12
_CONTEXT_TOKENS = 4096


class Seen(Struct, frozen=True):
    """The reply to an agent at a time (s): the server, and the TTFT to expect of each (ms)."""

    at: float
    server: str
    expected_ms: dict[str, float]


class Loading(Struct, frozen=True, kw_only=True):
    """How a server is loaded: its slots, the clients that call it one answer after the other, and the times."""

    slots: int
    clients: int
    loaded_s: float
    after_s: float


Calls = Callable[[str, int], None]  # the server to call, and the number of the call


async def measure(
    directory: Path,
    picture: Path | None,
    signal: Signal,
    loading: Loading,
    probed_every_s: int,
) -> None:
    """Measure, say what was found, and draw it into *picture*."""
    async with (
        _servers(directory, loading.slots) as urls,
        _vedette(directory, urls, signal, probed_every_s) as client,
    ):
        await _until_measured(client, urls)
        if signal == "probes":
            await _until_usual(client, urls)
        async with _calling(directory, urls, signal) as calls:
            seen, loaded = await _watch(client, urls, loading, calls)
    over = _QUIET_S + loading.loaded_s
    left = next((one.at for one in seen if one.at >= _QUIET_S and one.server != loaded), None)
    back = next((one.at for one in seen if one.at >= over and one.server == loaded), None)
    say(
        f"{signal}: left {_since(left, _QUIET_S)} after the load began, back {_since(back, over)} after its end"
    )
    say(f"{_changes(seen)} changes of the answer in {len(seen)} questions; {_ran(seen)}")
    if picture is not None:
        await asyncio.to_thread(picture.write_text, _drawn(seen, loaded, over))


async def noisy(directory: Path, seconds: float) -> None:
    """Load both servers equally by chance, up to two requests in four slots; say how often the answer changes."""
    async with (
        _servers(directory, _NOISY_SLOTS) as urls,
        _vedette(directory, urls, "load") as client,
    ):
        await _until_measured(client, urls)
        seen = list[Seen]()
        async with asyncio.TaskGroup() as group:  # noise that fails is an error
            noise = [
                group.create_task(_noise(url, Random(n))) for n, url in enumerate(sorted(urls.values()) * 2)
            ]
            began = time.monotonic()
            while time.monotonic() - began < seconds:
                seen.append(await _ask(client, began))
                await asyncio.sleep(1.0)
            for task in noise:
                task.cancel()
    say(f"{_changes(seen)} changes of the answer in {len(seen)} questions, {seconds:.0f} s; {_ran(seen)}")


async def _noise(url: str, random: Random) -> None:
    """Ask for an answer now and then: half of the time there is one at work."""
    async with _http() as http:
        while True:
            began = time.monotonic()
            await _complete(http, url, tokens=random.randint(16, 128))
            await asyncio.sleep(random.expovariate(1 / max(0.1, time.monotonic() - began)))


def _changes(seen: Sequence[Seen]) -> int:
    return sum(a.server != b.server for a, b in pairwise(seen))


def _ran(seen: Sequence[Seen]) -> str:
    """Return how long each server was recommended, one run after the other."""
    runs = [(server, len(list(some))) for server, some in groupby(seen, lambda one: one.server)]
    return ", ".join(f"{server} {times}" for server, times in runs)


def _since(at: float | None, begin: float) -> str:
    return "never" if at is None else f"{at - begin:.0f} s"


@asynccontextmanager
async def _servers(directory: Path, slots: int) -> AsyncIterator[dict[str, str]]:
    async with (
        llama_cpp(directory / "a.log", slots=slots, context_tokens=_CONTEXT_TOKENS) as a,
        llama_cpp(directory / "b.log", slots=slots, context_tokens=_CONTEXT_TOKENS) as b,
    ):
        yield {"a": a.url, "b": b.url}


@asynccontextmanager
async def _vedette(
    directory: Path, urls: dict[str, str], signal: Signal, probed_every_s: int = 60
) -> AsyncIterator[Client]:
    more = "" if signal == "load" else "load = { every_s = 0 }\n"
    if signal == "probes":
        more += 'answer = "always"\n'
    entries = (
        f'[endpoints.{name}]\nprovider = "openai-compatible"\nurl = "{url}"\nmeasure = true\nevaluate = false\n{more}'
        for name, url in urls.items()
    )
    often = f'[schedule]\navailability = "{probed_every_s}s"\n' if signal == "probes" else ""
    async with vedette(directory, often + "\n".join(entries)) as client:
        yield client


async def _until_measured(client: Client, urls: dict[str, str]) -> None:
    async with asyncio.timeout(_MEASURED_WITHIN_S):
        while True:
            models = (await client.models()).models
            if len(models) == len(urls) and all(model.performance for model in models):
                break
            await asyncio.sleep(1.0)
    for model in models:
        if (rest := model.performance) is not None:
            say(f"{model.model} at rest: {rest.output_tps:.1f} tokens/s, TTFT {rest.ttft_ms:.0f} ms")


async def _until_usual(client: Client, urls: dict[str, str]) -> None:
    """Wait until answers to probes of each model show what is usual. While it is measured, probes ask for none."""
    answers: dict[str, set[str]] = {server: set() for server in urls}
    async with asyncio.timeout(_MEASURED_WITHIN_S):
        while min(map(len, answers.values())) <= MIN_PROBES:
            for model in (await client.models()).models:
                last = model.availability.last if model.availability else None
                if last is not None and last.level is Level.ANSWER and last.outcome is Outcome.OK:
                    answers[model.model.endpoint].add(last.job_id)
            await asyncio.sleep(1.0)


@asynccontextmanager
async def _calling(directory: Path, urls: dict[str, str], signal: Signal) -> AsyncIterator[Calls | None]:
    """Yield what calls a server and reports how it went, as two agents in turn; nothing where *signal* is another."""
    if signal != "reports":
        yield None
        return
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(_http())
        logins = [(await agents.add(directory / "state", name)).url for name in ("one", "two")]
        clients = [await stack.enter_async_context(Client(login)) for login in logins]
        calls = set[asyncio.Task[None]]()

        def call(server: str, n: int) -> None:
            task = asyncio.create_task(_reported(http, clients[n % 2], server, urls[server]))
            calls.add(task)
            task.add_done_callback(calls.discard)

        yield call
        for task in calls:
            task.cancel()
        for ended in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


async def _reported(http: httpx.AsyncClient, client: Client, server: str, url: str) -> None:
    began = time.monotonic()
    times = await _complete(http, url, tokens=_CALL_TOKENS)
    if len(times) > 1:
        await client.report(
            f"{server}/{_MODEL}",
            ttft_ms=(times[0] - began) * 1000,
            e2e_ms=(times[-1] - began) * 1000,
            prompt_tokens=2,
            output_tokens=_CALL_TOKENS,
        )


async def _ask(client: Client, began: float) -> Seen:
    at = time.monotonic() - began
    reply = await client.top("chat", limit=2)
    expected = {one.model.endpoint: one.expected_ttft_ms or 0.0 for one in reply.recommendations}
    return Seen(at, reply.recommendations[0].model.endpoint, expected)


async def _watch(
    client: Client, urls: dict[str, str], how: Loading, call: Calls | None
) -> tuple[list[Seen], str]:
    """Ask every second; load the recommended server meanwhile. Return what was seen, and which was loaded."""
    seen, began, loading, loaded = list[Seen](), time.monotonic(), list[asyncio.Task[None]](), ""
    probes: dict[str, str] = {}
    async with asyncio.TaskGroup() as group:  # a load that fails is an error
        while (at := time.monotonic() - began) < _QUIET_S + how.loaded_s + how.after_s:
            seen.append(await _ask(client, began))
            await _show_probes(client, probes, at)
            if call is not None:
                call(seen[-1].server, len(seen))
            if at >= _QUIET_S and not loaded:
                loaded = seen[-1].server
                loading = [group.create_task(_load(urls[loaded])) for _ in range(how.clients)]
            if at >= _QUIET_S + how.loaded_s:
                for task in loading:
                    task.cancel()
            await asyncio.sleep(1.0)
    return seen, loaded


async def _show_probes(client: Client, shown: dict[str, str], at: float) -> None:
    """Say how each probe ended that is not among the *shown*, by the id of its job."""
    for model in (await client.models()).models:
        last, server = (model.availability.last if model.availability else None), model.model.endpoint
        if last is not None and shown.get(server) != last.job_id:
            shown[server] = last.job_id
            say(
                f"{at:.0f} s: a probe of {server}: {last.outcome}, {last.level}, {last.latency_ms or 0:,.0f} ms"
            )


async def _load(url: str) -> None:
    """Ask one answer after the other."""
    async with _http() as http:
        while True:
            await _complete(http, url, tokens=200)


def _http() -> httpx.AsyncClient:
    """Return a client with a connection for each request: llama.cpp ends one after a few, at any moment."""
    return httpx.AsyncClient(timeout=300, limits=httpx.Limits(max_keepalive_connections=0))


async def _complete(http: httpx.AsyncClient, url: str, *, tokens: int) -> list[float]:
    """Ask for an answer of *tokens*; return when each piece of it came."""
    body = {"prompt": "Count.", "max_tokens": tokens, "ignore_eos": True, "stream": True}
    async with http.stream("POST", f"{url}/v1/completions", json=body) as stream:
        return [time.monotonic() async for line in stream.aiter_lines() if line.startswith("data: {")]


def _drawn(seen: list[Seen], loaded: str, over: float) -> str:
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
    begin, end_of_load = x(_QUIET_S), x(over)
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
            'font-family="sans-serif" font-size="11">',
            f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>',
            f'<rect x="{begin:.1f}" y="24" width="{end_of_load - begin:.1f}" height="160" fill="#eee"/>',
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
