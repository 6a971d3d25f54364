"""What reading loads costs: processor time and bytes of a reading by kind of server, and of a prober of many.

The servers are scripted, in a process of their own, and answer with recorded pages; the nats-server is real. Times are
processor time of this process: how busy the machine is changes them little.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import httpx
import nats
from msgspec import Struct

from benchmarks.machine import Cpu
from benchmarks.running import llama_cpp
from eventually import eventually
from providers.replay import FIXTURES, Replay, replaying, reply
from vedette import log
from vedette.bus.bus import Bus
from vedette.bus.connection import close
from vedette.bus.provisioning import provision
from vedette.clock import SystemClock
from vedette.endpoints import Endpoints, OpenEndpoint, open_endpoints
from vedette.errors import ProviderError
from vedette.messages import ids
from vedette.messages.catalogue import Catalogue
from vedette.messages.events import EndpointObserved
from vedette.providers import Generation, Metered
from vedette.providers.counting import counting
from vedette.runtime import nats_server
from vedette.runtime.subprocesses import child
from vedette.settings import EndpointSettings, Nats, Settings
from vedette.types import EndpointState, Outcome
from vedette_prober.loads import Loads

KINDS = (
    "ollama",
    "llama.cpp idle",
    "llama.cpp busy",
    "vllm selected",
    "vllm whole",
    "a server that says nothing",
)


class Cost(Struct, frozen=True, kw_only=True):
    """What one reading of a kind of server costs: requests, bytes, milliseconds of processor time.

    Bytes of the replies' bodies, and what connections carry there and back, with headers.
    """

    kind: str
    requests: float
    bytes: float
    there: float
    back: float
    cpu_ms: float


class Rest(Struct, frozen=True, kw_only=True):
    """The share of a processor that a prober of *endpoints* uses, without and with readings of their load."""

    endpoints: int
    readings: int
    idle: float
    reading: float


def scripted(kind: str, replay: Replay) -> None:
    """Have *replay* answer as a server of *kind*."""
    if kind == "ollama":
        replay.recorded("ollama/0.32.15")
    elif kind.startswith("llama.cpp"):
        replay.recorded("llamacpp/2026.10")
        replay.routes["GET", "/props"] = reply(200, {})  # of a version that never sleeps
        if kind.endswith("busy"):
            # As a real one has them while it works (xllamacpp 2026.10): 1,000 bytes of parameters each.
            slot = {"id": 0, "is_processing": True, "params": "x" * 1000, "next_token": [{"n_decoded": 9}]}
            replay.routes["GET", "/slots"] = reply(200, [slot, {"id": 1, "is_processing": False}])
            page = json.loads((FIXTURES / "llamacpp" / "2026.10" / "metrics.json").read_text())["text"]
            works = {"requests_processing": 1, "tokens_predicted_total": 100, "n_decode_total": 120}
            for name, figure in (works | {"n_busy_slots_per_decode": 1}).items():
                page = page.replace(f"llamacpp:{name} 0", f"llamacpp:{name} {figure}")
            replay.routes["GET", "/metrics"] = reply(200, page)
    elif kind.startswith("vllm"):
        replay.recorded("vllm/0.32.0")
        if kind.endswith("selected"):
            page = json.loads((FIXTURES / "vllm" / "0.32.0" / "metrics.json").read_text())["text"]
            names = ("vllm:num_requests_", "vllm:kv_cache_usage_perc", "vllm:generation_tokens_total")
            lines = [line for line in page.splitlines() if any(name in line for name in names)]
            replay.routes["GET", "/metrics/"] = reply(200, "\n".join(lines) + "\n")
    else:
        replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m"}]})


async def serve() -> None:
    """Run a scripted server of each kind until stdin closes; print their URLs."""
    async with AsyncExitStack() as stack:
        urls = {}
        for kind in KINDS:
            replay = await stack.enter_async_context(replaying())
            scripted(kind, replay)
            urls[kind] = replay.url
        print(json.dumps(urls), flush=True)
        await asyncio.Event().wait()


@asynccontextmanager
async def servers() -> AsyncIterator[dict[str, str]]:
    """Run `serve` as a child; yield the URLs by kind."""
    with TemporaryDirectory() as directory:
        output = Path(directory) / "out"
        async with child([sys.executable, "-m", "benchmarks.loads"], log=output):

            async def told() -> str:
                return output.read_text() if output.exists() and "}" in output.read_text() else ""

            yield json.loads((await eventually(told, what="the servers are up")).splitlines()[-1])


async def costs(readings: int) -> tuple[list[Cost], float]:
    """Return what a reading of each kind costs, and a bare GET of httpx of the smallest page (ms)."""
    async with servers() as urls:
        found = [await _cost(kind, urls[kind], readings) for kind in KINDS]
        # Each on a connection of its own, as readings ten seconds apart are: most servers close idle ones after five.
        once = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=urls["llama.cpp idle"], limits=once) as bare:
            for _ in range(20):
                await bare.get("/slots")
            began = time.process_time()
            for _ in range(readings):
                await bare.get("/slots")
            return found, (time.process_time() - began) / readings * 1000


async def _cost(kind: str, url: str, readings: int) -> Cost:
    there, back = await carried(kind, url)
    async with _metered(kind, url) as meter:
        began = time.process_time()
        with counting() as sent:
            for _ in range(readings):
                await meter.load(None)
        cpu_s = time.process_time() - began
    return Cost(
        kind=kind,
        requests=sent.requests / readings,
        bytes=sent.bytes / readings,
        there=there,
        back=back,
        cpu_ms=cpu_s / readings * 1000,
    )


@asynccontextmanager
async def _metered(kind: str, url: str) -> AsyncIterator[Metered]:
    """Yield what reads the load of the server at *url*, after what it does at first alone."""
    provider = "ollama" if kind == "ollama" else "openai-compatible"
    settings = Settings(endpoints={"one": EndpointSettings(provider=provider, url=url)})
    async with open_endpoints(settings, clock=SystemClock()) as (endpoint,):
        assert endpoint.meter is not None
        for _ in range(20):
            await endpoint.meter.load(None)
        yield endpoint.meter


async def carried(kind: str, url: str, readings: int = 5) -> tuple[float, float]:
    """Return how many bytes a reading sends to the server at *url*, and how many come back, by a relay."""
    sizes: Counter[str] = Counter()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server, back = await asyncio.open_connection(urlsplit(url).hostname, urlsplit(url).port)

        async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter, direction: str) -> None:
            with suppress(ConnectionError):
                while piece := await source.read(65536):
                    sizes[direction] += len(piece)
                    target.write(piece)
            target.close()

        await asyncio.gather(pass_on(reader, back, "there"), pass_on(server, writer, "back"))

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with _metered(kind, f"http://127.0.0.1:{port}") as meter:
            before = Counter(sizes)
            for _ in range(readings):
                await meter.load(None)
            there, back = ((sizes[way] - before[way]) / readings for way in ("there", "back"))
            return there, back


async def rest(endpoints: int, seconds: float, every_s: float) -> Rest:
    """Return the processor time of a prober's readings of *endpoints* servers, half of them vLLM, half llama.cpp."""
    async with AsyncExitStack() as stack:
        urls = await stack.enter_async_context(servers())
        directory = Path(stack.enter_context(TemporaryDirectory()))
        server = await stack.enter_async_context(nats_server.run(directory))
        connection = await nats.connect(server.url("operator"))
        await provision(connection, Settings(nats=Nats(expected_models=10)))
        bus = Bus(connection, name="prober", clock=SystemClock(), log=log.logger("prober"))
        shares = []
        for every in (0.0, every_s):
            settings = Settings(
                endpoints={
                    f"box-{n}": EndpointSettings(
                        provider="openai-compatible",
                        url=urls["vllm selected" if n % 2 else "llama.cpp idle"],
                    )
                    for n in range(endpoints)
                }
            )
            opened = await stack.enter_async_context(open_endpoints(settings, clock=SystemClock()))
            shares.append(await _share(bus, opened, every, seconds))
        readings = await bus.streams.last_sequence("LOADS")
        await bus.close()
        await close(connection)
    return Rest(endpoints=endpoints, readings=readings, idle=shares[0], reading=shares[1])


async def _share(bus: Bus, endpoints: Endpoints, every_s: float, seconds: float) -> float:
    catalogue = Catalogue()
    for n, endpoint in enumerate(endpoints):
        now = bus.clock.now()
        state = EndpointState(
            url=endpoint.settings.url,
            provider=endpoint.settings.provider,
            fingerprint="",
            checked_at=now,
            outcome=Outcome.OK,
            server="vllm" if n % 2 else "llama.cpp",
        )
        event = EndpointObserved(
            id=ids.derive(now, endpoint.name), at=now, endpoint=endpoint.name, state=state
        )
        catalogue.apply(event, n + 1)
    following = await bus.followings.follow("LOADS", "endpoint.load.*", catalogue.apply)
    await following.until_warm()
    loads = Loads(bus=bus, catalogue=catalogue, endpoints=endpoints, every_s=every_s, clock=SystemClock())
    running = asyncio.create_task(loads.run())
    await asyncio.sleep(1.5 * every_s + 1)  # the first of each opens its connection and lists
    began, at = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    share = (time.process_time() - began) / (time.monotonic() - at)
    running.cancel()
    return share


class Pair(Struct, frozen=True, kw_only=True):
    """Two answers of one real server, one after the other: without readings, and with readings of its load.

    Tokens per second, and milliseconds of the server's processor per token.
    """

    alone_tps: float
    read_tps: float
    alone_ms: float
    read_ms: float


async def paired(pairs: int, every_s: float, tokens: int = 96) -> list[Pair]:
    """Return *pairs* of answers of a real llama.cpp; which of the two comes first alternates."""
    with TemporaryDirectory() as directory:
        async with llama_cpp(Path(directory) / "llama", slots=2) as llama:
            one = EndpointSettings(provider="openai-compatible", url=llama.url, timeout_s=60)
            settings = Settings(endpoints={"one": one})
            async with (
                open_endpoints(settings, clock=SystemClock()) as answering,
                open_endpoints(settings, clock=SystemClock()) as reading,
            ):
                (server,), (read,) = answering, reading

                async def up() -> bool:
                    with suppress(ProviderError):
                        return bool(await server.endpoint.list_models())
                    return False

                await eventually(up, within_s=120, what="the server is up")
                await _answer(server, llama.pid, tokens)
                found = []
                for n in range(pairs):
                    figures = {}
                    for with_readings in (n % 2 == 0, n % 2 == 1):
                        task = asyncio.create_task(_keep_reading(read, every_s)) if with_readings else None
                        figures[with_readings] = await _answer(server, llama.pid, tokens)
                        if task is not None:
                            task.cancel()
                    alone, beside = figures[False], figures[True]
                    found.append(
                        Pair(alone_tps=alone[0], read_tps=beside[0], alone_ms=alone[1], read_ms=beside[1])
                    )
    return found


async def _keep_reading(endpoint: OpenEndpoint, every_s: float) -> None:
    assert endpoint.meter is not None
    while True:
        await endpoint.meter.load("llama.cpp")
        await asyncio.sleep(every_s)


async def _answer(endpoint: OpenEndpoint, pid: int, tokens: int) -> tuple[float, float]:
    """Return tokens per second of an answer, and milliseconds of the server's processor per token."""
    asked = Generation(
        model="smollm2:135m",
        prompt="Count from one to a thousand, in words.",
        max_tokens=tokens,
        deadline_s=300,
    )
    before = Cpu.now(pid)
    times = [item.at async for item in endpoint.endpoint.generate(asked)]
    used_s, _ = Cpu.now(pid).since(before)
    return (len(times) - 1) / (times[-1] - times[0]), used_s / len(times) * 1000


def lines_of_pairs(found: list[Pair], every_s: float) -> list[str]:
    """Return the ratios of pairs, with the quartiles of each."""
    speed = quantiles([pair.read_tps / pair.alone_tps for pair in found], n=4)
    work = quantiles([pair.read_ms / pair.alone_ms for pair in found], n=4)
    return [
        f"A real llama.cpp, {len(found)} pairs of answers, its load read every {every_s:g} s in one of each:",
        f"tokens/s {speed[1]:.3f} times those without readings (quartiles {speed[0]:.3f} to {speed[2]:.3f}), "
        f"processor time per token {work[1]:.3f} times (quartiles {work[0]:.3f} to {work[2]:.3f}).",
    ]


def lines(found: list[Cost], bare_ms: float, kept: Rest, every_s: float) -> list[str]:
    """Return the tables of docs/benchmarks.md."""
    rows = [
        f"| {one.kind} | {one.requests:.1f} | {one.bytes:,.0f} | {one.there:,.0f} | {one.back:,.0f} "
        f"| {one.cpu_ms:.2f} | {one.cpu_ms / bare_ms:.1f} |"
        for one in found
    ]
    return [
        "| reading of | requests | bytes of the replies | with headers: sent | received | CPU ms "
        "| times a bare GET of httpx |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *rows,
        f"| a bare GET of httpx | 1.0 | 129 | | | {bare_ms:.2f} | 1.0 |",
        "",
        f"A prober of {kept.endpoints} endpoints, read every {every_s:g} s ({kept.readings} readings): "
        f"{kept.reading:.2%} of a core; {kept.idle:.2%} with readings turned off.",
    ]


if __name__ == "__main__":
    asyncio.run(serve())
