"""Two equal scripted servers behind a gateway: how soon requests leave the one that becomes slower, and return.

One caller sends five requests a second through `vedette up --gateway`. Both servers are noisy all the time, so that
changes of the choice while both are equal are flaps. The picture shows which server replied, and how long it took.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from random import Random

import httpx
from msgspec import Struct

from benchmarks.paced import Server
from benchmarks.running import say
from commands import Up, up
from eventually import eventually
from vedette.runtime.subprocesses import free_port

_EVERY_S, _TOKENS = 0.2, 16
_FIRST_S, _PACE_S, _NOISE = 0.1, 0.01, 0.3
_CONFIGURATION = """
[schedule]
availability = "1h"
performance = "{every}"
[gateway]
enabled = true
port = {port}
"""
_ENDPOINT = """
[endpoints.{name}]
provider = "openai-compatible"
url = "{url}"
measure = true
evaluate = false
verify_capabilities = false
"""


class Noisy(Server):
    """A server each of whose answers is slower or faster by chance, and all of them `times` slower."""

    def __init__(self, seed: int) -> None:
        super().__init__(_FIRST_S, _PACE_S)
        self.times = 1.0
        self._random = Random(seed)

    async def _stream(self, pieces: int, writer: asyncio.StreamWriter) -> None:
        times = self.times * self._random.lognormvariate(0.0, _NOISE)
        one = Server(_FIRST_S * times, _PACE_S * times)
        await one._stream(pieces, writer)


class Call(Struct, frozen=True):
    """A request: when it was sent (s since the begin), which server replied, and the time to its first byte (ms)."""

    at: float
    server: str
    first_ms: float


async def measure(
    directory: Path, picture: Path, *, quiet_s: float, slow_s: float, after_s: float, times: float, every: str
) -> None:
    """Measure, with a benchmark *every* so long; say what was found, and draw it into *picture*."""
    async with AsyncExitStack() as stack:
        servers = {name: Noisy(seed) for seed, name in enumerate("ab")}
        urls = {name: await stack.enter_async_context(_serving(one)) for name, one in servers.items()}
        port = free_port()
        config = _CONFIGURATION.format(port=port, every=every) + "".join(
            _ENDPOINT.format(name=name, url=url) for name, url in urls.items()
        )
        running = await stack.enter_async_context(up(directory / "up", config))
        await running.line("ready")
        await eventually(lambda: _measured(running), within_s=600, what="a benchmark of both")
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False)
        )
        calls, slowed = await _load(client, servers, quiet_s, slow_s, after_s, times)
    calls.sort(key=lambda one: one.at)
    _tell(calls, slowed, quiet_s, slow_s)
    await asyncio.to_thread(picture.write_text, drawn(calls, slowed, quiet_s, quiet_s + slow_s))


@asynccontextmanager
async def _serving(server: Server) -> AsyncIterator[str]:
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=1024)
    async with listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"


async def _measured(running: Up) -> bool:
    models = (await running.ask("models", "--json")).json()["models"]
    return len(models) == 2 and all(one["performance"] for one in models)


async def _load(
    client: httpx.AsyncClient,
    servers: dict[str, Noisy],
    quiet_s: float,
    slow_s: float,
    after_s: float,
    times: float,
) -> tuple[list[Call], str]:
    """Send requests all the time; make the server slower that is chosen after *quiet_s*, for *slow_s*."""
    calls, began, slowed = list[Call](), time.monotonic(), ""

    async def call() -> None:
        at = time.monotonic()
        async with client.stream("POST", "/v1/chat/completions", content=_BODY) as reply:
            assert reply.status_code == 200, await reply.aread()
            chunks = reply.aiter_bytes()
            await anext(chunks)
            server = reply.headers["x-vedette-model"].partition("/")[0]
            calls.append(Call(at - began, server, (time.monotonic() - at) * 1000))
            async for _ in chunks:
                pass

    async with asyncio.TaskGroup() as tasks:
        number = 0
        while (at := number * _EVERY_S) < quiet_s + slow_s + after_s:
            await asyncio.sleep(max(0.0, began + at - time.monotonic()))
            if slow_s and at >= quiet_s and not slowed:
                slowed = calls[-1].server
                servers[slowed].times = times
            if slowed and at >= quiet_s + slow_s:
                servers[slowed].times = 1.0
            tasks.create_task(call())
            number += 1
    return calls, slowed


_BODY = json.dumps(
    {
        "model": "vedette/chat",
        "messages": [{"role": "user", "content": "Name a colour."}],
        "max_tokens": _TOKENS,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
).encode()


def _tell(calls: Sequence[Call], slowed: str, quiet_s: float, slow_s: float) -> None:
    until = quiet_s + slow_s
    left = [one.at for one in calls if quiet_s <= one.at < until and one.server == slowed]
    back = next((one.at for one in calls if one.at >= until and one.server == slowed), None)
    last = max(left, default=quiet_s)
    say(f"{slowed} became slow; its last request came {_since(last, quiet_s)} later, of {len(left)}")
    say(f"the first after its recovery came {_since(back, until)} later")
    shares = [
        f"{sum(one.server == slowed for one in some) / len(some):.0%}"
        for begin in range(0, int(calls[-1].at), 10)
        if (some := [one for one in calls if begin <= one.at < begin + 10])
    ]
    say(f"its share of the requests, each ten seconds: {' '.join(shares)}")


def _since(at: float | None, begin: float) -> str:
    return "never" if at is None else f"{at - begin:.1f} s"


def drawn(calls: Sequence[Call], slowed: str, begin: float, end: float) -> str:
    """Return an SVG: above, the time to the first byte of each request; below, which server replied."""
    width, last = 640.0, calls[-1].at
    most = max(one.first_ms for one in calls)
    colours = {"a": "#1f6fb4", "b": "#d2691e"}

    def x(at: float) -> float:
        return 40 + (width - 60) * at / last

    dots = [
        f'<circle cx="{x(one.at):.1f}" cy="{140 - 110 * one.first_ms / most:.1f}" r="1.2" '
        f'fill="{colours[one.server]}"/>'
        for one in calls
    ]
    changes = [one for before, one in pairwise(calls) if before.server != one.server]
    starts = [calls[0], *changes]
    ends = [*(one.at for one in changes), last]
    steps = [
        f'<rect x="{x(one.at):.1f}" y="165" width="{max(0.5, x(until) - x(one.at)):.1f}" height="14" '
        f'fill="{colours[one.server]}"/>'
        for one, until in zip(starts, ends, strict=True)
    ]
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} 220" font-family="sans-serif" '
            'font-size="11">',
            f'<rect width="{width:.0f}" height="220" fill="#fff"/>',
            f'<rect x="{x(begin):.1f}" y="24" width="{x(end) - x(begin):.1f}" height="160" fill="#eee"/>',
            f'<text x="{x(begin) + 4:.1f}" y="20">{slowed} is slower</text>',
            f'<text x="4" y="34">{most:,.0f} ms</text><text x="4" y="144">0</text>',
            f'<text x="40" y="158">time to the first byte above; which server replied below: '
            f'<tspan fill="{colours["a"]}">a</tspan>, <tspan fill="{colours["b"]}">b</tspan></text>',
            *dots,
            *steps,
            f'<text x="40" y="200">0 s</text><text x="{width - 60:.0f}" y="200">{last:.0f} s</text>',
            "</svg>",
        )
    )
