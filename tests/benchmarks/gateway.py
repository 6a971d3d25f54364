"""What the gateway adds to a call: beside the call itself, beside a bare pass-through, and beside LiteLLM's proxy.

Every piece carries the time at which the server sent it, so that the time on the way is seen for each: monotonic clocks
of one machine agree. The ways are called in turns, each with as many streams at once. The gateway is `vedette run
gateway` with a recommender of its own; LiteLLM is in an environment of its own that uv makes, and is left out with a
line where it cannot be had.
"""

import asyncio
import json
import os
import re
import shutil
import statistics
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.machine import Cpu, resident_mb
from benchmarks.running import say
from commands import up
from eventually import eventually
from vedette.runtime.subprocesses import child, free_port

PACE_S = 0.05
_FIRST_S = 0.02
_RANDOM = Random(7)
_PACE = (f"{1000 * _FIRST_S:g}", f"{1000 * PACE_S:g}")
_STAMP = re.compile(rb'"content": ?"(\d{10,}) ?"')
_TESTS = Path(__file__).parents[1]
_CONFIGURATION = """
[endpoints.paced]
provider = "openai-compatible"
url = "{url}"
evaluate = false
verify_capabilities = false
benchmark = false
[schedule]
availability = "1h"
[gateway]
port = {port}
at_once = 1000
"""
_LITELLM = """
model_list:
  - model_name: paced
    litellm_params: {{model: openai/paced, api_base: "{url}/v1", api_key: none}}
general_settings: {{master_key: sk-bench}}
litellm_settings: {{telemetry: false}}
"""


class Way:
    """A way to the server: where, how the model is called there, and which process is on it."""

    def __init__(self, name: str, port: int, model: str, pid: int | None = None, key: str = "none") -> None:
        self.name = name
        self.port = port
        self.model = model
        self.pid = pid
        self.key = key
        self.first_ms: list[float] = []
        self.pieces_ms: list[float] = []
        self.cpu_s = 0.0
        self.received = 0
        self.requests = 0

    def request(self, pieces: int, *, stream: bool = True) -> bytes:
        """Return the bytes of a request."""
        messages = [{"role": "user", "content": "Name a colour."}]
        body = json.dumps(
            {"model": self.model, "messages": messages, "max_tokens": pieces, "stream": stream}
        ).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAuthorization: Bearer {self.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


async def stream(way: Way, pieces: int, after_s: float) -> None:
    """Call once, *after_s* from now; note the time to the first piece, and how long each was on its way."""
    await asyncio.sleep(after_s)
    reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
    began = time.monotonic()
    writer.write(way.request(pieces))
    first, seen, rest = None, 0, b""
    try:
        while seen < pieces:
            data = await reader.read(65536)
            now = time.monotonic_ns()
            if not data:
                raise ConnectionError(f"{way.name}: ended after {seen} of {pieces} pieces: {rest[:300]!r}")
            rest += data
            for found in _STAMP.finditer(rest):
                if first is None:
                    first = now / 1e9
                    way.first_ms.append((first - began) * 1000)
                else:
                    way.pieces_ms.append((now - int(found[1])) / 1e6)
                seen += 1
            last = rest.rfind(b'"content"')
            rest = rest[last + 30 :] if last >= 0 and _STAMP.search(rest, last) else rest[-400:]
        way.received += seen
        way.requests += 1
    finally:
        writer.close()


async def rounds(ways: Sequence[Way], *, at_once: int, pieces: int, times: int) -> None:
    """Call all *ways* in turns."""
    for number in range(times + 1):
        for way in ways if number % 2 else reversed(ways):
            before = Cpu.now(way.pid) if way.pid else None
            spread_s = (
                PACE_S * pieces if at_once > 1 else 0.0
            )  # so that there are as many at once, but no burst
            await asyncio.gather(
                *(
                    stream(way, pieces, _RANDOM.uniform(0.0, spread_s))
                    for _ in range(at_once if number else 1)
                )
            )
            if before and way.pid and number:
                way.cpu_s += Cpu.now(way.pid).since(before)[0]
            if not number:  # a warm-up
                way.first_ms, way.pieces_ms, way.received, way.requests = [], [], 0, 0


def _at(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def show(ways: Sequence[Way], *, at_once: int) -> None:
    """Print what each way adds to the direct one."""
    direct = ways[0]
    table = Table(
        "way", "first p50", "p99", "added p50", "added p99", "piece p50", "p99", "added p50", "CPU µs a piece",
        "ms a request",
        title=f"{at_once} streams at once; milliseconds",
    )  # fmt: skip
    for way in ways:
        table.add_row(
            way.name,
            f"{_at(way.first_ms, 50):.2f}",
            f"{_at(way.first_ms, 99):.2f}",
            f"{_at(way.first_ms, 50) - _at(direct.first_ms, 50):.2f}",
            f"{_at(way.first_ms, 99) - _at(direct.first_ms, 99):.2f}",
            f"{_at(way.pieces_ms, 50):.3f}",
            f"{_at(way.pieces_ms, 99):.3f}",
            f"{_at(way.pieces_ms, 50) - _at(direct.pieces_ms, 50):.3f}",
            f"{way.cpu_s * 1e6 / way.received:.0f}" if way.cpu_s else "",
            f"{way.cpu_s * 1e3 / way.requests:.2f}" if way.cpu_s else "",
        )
    Console(width=150).print(table)


@asynccontextmanager
async def process(log: Path, *command: str) -> AsyncIterator[Process]:
    """Run a command of this folder."""
    async with child(command, log=log) as running:
        yield running


async def listening(port: int, path: str = "/v1/models") -> None:
    """Wait until something answers at *port*."""

    async def answers() -> bool:
        try:
            async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
                await client.get(f"http://127.0.0.1:{port}{path}")
        except httpx.HTTPError:
            return False
        return True

    await eventually(answers, within_s=180, what=f"an answer at port {port}")


@asynccontextmanager
async def _ours(directory: Path, url: str, before: Path | None) -> AsyncIterator[list[Way]]:
    """Run the gateway of this checkout, and that of *before*: two replicas, each asked at its own port."""
    pythons = {"gateway": sys.executable}
    if before is not None:
        pythons["gateway before"] = str(before / ".venv" / "bin" / "python")
    async with up(directory / "up", _CONFIGURATION.format(url=url, port=free_port())) as running:
        await running.line("ready")
        operator = running.connection.operator_url
        async with AsyncExitStack() as stack:
            yield [
                await stack.enter_async_context(_gateway(directory, name, python, operator, url))
                for name, python in pythons.items()
            ]


@asynccontextmanager
async def _gateway(directory: Path, name: str, python: str, operator: str, url: str) -> AsyncIterator[Way]:
    port = free_port()
    file = directory / f"{name}.toml"
    file.write_text(_CONFIGURATION.format(url=url, port=port))
    command = (python, "-P", "-m", "vedette", "run", "gateway", "--nats", operator, "--config", str(file))
    async with process(directory / f"{name}.log", *command) as gateway:
        await listening(port)

        async def chosen() -> bool:
            request = Way("", port, "vedette/chat").request(1, stream=False)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            head = await reader.readuntil(b"\r\n")
            writer.close()
            return b"200" in head

        await eventually(chosen, within_s=120, what="a model that is chosen")
        yield Way(name, port, "vedette/chat", gateway.pid)


@asynccontextmanager
async def _litellm(directory: Path, url: str) -> AsyncIterator[Way | None]:
    if shutil.which("uv") is None:
        say("litellm: no uv here")
        yield None
        return
    port = free_port()
    file = directory / "litellm.yaml"
    file.write_text(_LITELLM.format(url=url))
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    command = (
        "uv",
        "run",
        "--quiet",
        "--no-project",
        "--with",
        "litellm[proxy]",
        "litellm",
        "--config",
        str(file),
    )
    try:
        async with process(
            directory / "litellm.log", *command, "--port", str(port), "--host", "127.0.0.1"
        ) as running:
            await listening(port, "/health/liveliness")
            yield Way("LiteLLM proxy", port, "paced", _python_below(running.pid), "sk-bench")
    except AssertionError as error:
        say(f"litellm is left out: {error}")
        yield None


def _python_below(pid: int) -> int:
    """Return the process that *pid* started, which does the work; *pid* itself where it started none."""
    for one in Path("/proc").iterdir():
        if one.name.isdigit():
            try:
                parent = int((one / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                return _python_below(int(one.name))
    return pid


async def main(
    directory: Path,
    *,
    at_once: Sequence[int],
    pieces: int,
    times: int,
    requests: int,
    before: Path | None = None,
) -> None:
    """Print what the gateway adds, that of *before* as well, and how its memory grows with *requests*."""
    async with AsyncExitStack() as stack:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        await stack.enter_async_context(
            process(directory / "paced.log", sys.executable, "-m", "benchmarks.paced", str(port), *_PACE)
        )
        await listening(port)
        bare = free_port()
        bare_process = await stack.enter_async_context(
            process(directory / "bare.log", sys.executable, "-m", "benchmarks.bare", str(bare), f"{url}/v1")
        )
        await listening(bare)
        ours = await stack.enter_async_context(_ours(directory, url, before))
        theirs = await stack.enter_async_context(_litellm(directory, url))
        for number in at_once:
            ways = [Way("direct", port, "paced"), Way("bare pass-through", bare, "paced", bare_process.pid)]
            ways.extend(Way(one.name, one.port, one.model, one.pid) for one in ours)
            if theirs:
                ways.append(Way(theirs.name, theirs.port, theirs.model, theirs.pid, theirs.key))
            await rounds(ways, at_once=number, pieces=pieces, times=times)
            show(ways, at_once=number)
        if requests:
            await memory(ours[0], requests)


async def memory(way: Way, requests: int) -> None:
    """Print the memory of the gateway while it takes *requests* short requests, twenty at once."""
    assert way.pid is not None
    tenth, shown = requests // 10, [f"{resident_mb(way.pid):.1f}"]
    began = time.monotonic()
    for _ in range(10):
        left = iter(range(tenth))
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:

            async def some(
                client: httpx.AsyncClient = client, left: AsyncIterator[int] | object = left
            ) -> None:
                for _ in left:  # type: ignore[attr-defined]
                    reply = await client.post(
                        f"http://127.0.0.1:{way.port}/v1/chat/completions",
                        json={"model": way.model, "messages": [{"role": "user", "content": "hi"}]},
                    )
                    assert reply.status_code == 200, reply.text

            await asyncio.gather(*(some() for _ in range(20)))
        shown.append(f"{resident_mb(way.pid):.1f}")
    per_s = requests / (time.monotonic() - began)
    Console(width=130).print(f"{requests:,} requests, {per_s:.0f}/s: resident MB {' '.join(shown)}")
