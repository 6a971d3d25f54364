"""The recommender as a process of its own, beside a raw nats-py echo of the same reply size.

Both are asked by the same client over the same nats-server, in turns, so that what the machine does meanwhile
happens to both.
"""

import asyncio
import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import nats
from msgspec import Struct
from nats.aio.client import Client as NatsClient

from eventually import eventually
from samples import benchmark_event, lifecycle_event, model_info, probe_event
from vedette import identity, log, nats_server
from vedette.bus import Bus, provision
from vedette.children import child
from vedette.clock import SystemClock
from vedette.events import decode_event
from vedette.nats_server import NatsServer
from vedette.settings import Nats, Settings
from vedette.types import Claim, Evidence, ModelRef

REQUEST = b'{"use_case": "chat", "constraints": {"min_context_tokens": 4096}}'
CHANGES = 60
RESTARTS = 5


class Timed(Struct, frozen=True):
    """What a number of requests took."""

    per_s: float
    p50_ms: float
    p99_ms: float


async def measure(directory: Path, *, models: int, requests: int, rounds: int) -> None:
    """Print every figure as a row of a Markdown table."""
    async with nats_server.run(directory / "nats") as server:
        connection = await nats.connect(server.url("service"), pending_size=64 * 2**20)
        settings = msgspec.structs.replace(Settings(), nats=Nats(url=server.url("service")))
        await provision(connection, settings)
        bus = Bus(connection, name="bench", clock=SystemClock(), log=log.logger("bench"))
        names = [ModelRef("gpu", f"model-{n}") for n in range(models)]
        for number, name in enumerate(names):
            await _publish(bus, name, number)
        async with _recommender(server, directory):
            await _throughput(connection, server, directory, requests=requests, rounds=rounds)
            await _to_a_changed_answer(bus, connection, names)
        await _to_warm(server, directory, connection)
        await bus.close()
        await connection.close()


async def _publish(bus: Bus, model: ModelRef, number: int) -> None:
    now = datetime.now(UTC)
    claims = {"chat": Claim(value=True, evidence=Evidence.DECLARED, source="benchmark")}
    info = model_info(
        model,
        capabilities=claims,
        native_context_tokens=32_768,
        locality="local",
        parameters=(1 + number % 30) * 1_000_000_000,
    )
    await bus.advance_model(model, lambda _: lifecycle_event("found", model, at=now, info=info), known=None)
    probe = probe_event(model, at=now, job_id=identity.derive(now, str(model)))
    await bus.advance("MODELS", probe.subject, lambda _: probe)
    await _benchmark(bus, model, 5.0 + number % 40)


async def _benchmark(bus: Bus, model: ModelRef, tps: float) -> float:
    """Publish figures of *model*; return when, on the monotonic clock, the stream had them."""
    event = benchmark_event(model, at=datetime.now(UTC), tps=tps)
    await bus.advance("MODELS", event.subject, lambda _: event)
    return time.perf_counter()


@asynccontextmanager
async def _recommender(server: NatsServer, directory: Path) -> AsyncIterator[None]:
    """Run the recommender as a pod does; yield when it says that it is ready."""
    output = directory / "recommender.log"
    output.unlink(missing_ok=True)
    command = "from vedette.cli import main; main()"
    arguments = ["run", "recommender", "--nats", server.url("service")]
    os.environ["VEDETTE_CONFIG"] = ""
    async with child([sys.executable, "-c", command, *arguments], log=output):

        async def ready() -> bool:
            return "\nready" in output.read_text()

        await eventually(ready, what="the recommender")
        yield


async def _throughput(
    connection: NatsClient, server: NatsServer, directory: Path, *, requests: int, rounds: int
) -> None:
    reply = await connection.request("recommend.best", REQUEST, timeout=10)
    assert json.loads(reply.data)["recommendation"], reply.data
    size = len(reply.data)
    echo = [sys.executable, "-m", "benchmarks.echo", server.url("service"), str(size)]
    async with child(echo, log=directory / "echo.log"):
        await eventually(lambda: _answers(connection, "bench.echo"), what="the echo")
        print(f"reply of {size} bytes; {rounds} rounds of {requests} requests, in turns\n")
        print("| in flight | what | requests/s | p50 ms | p99 ms |\n|---|---|---|---|---|")
        for in_flight in (1, 32):
            taken: dict[str, list[Timed]] = {"bench.echo": [], "recommend.best": []}
            for turn in range(rounds):
                for subject in sorted(taken, reverse=turn % 2 == 0):
                    count = requests if in_flight > 1 else requests // 4
                    taken[subject].append(await _ask(connection, subject, count, in_flight))
            medians = {subject: _medians(times) for subject, times in taken.items()}
            for subject, row in medians.items():
                print(f"| {in_flight} | {subject} | {row.per_s:.0f} | {row.p50_ms:.2f} | {row.p99_ms:.2f} |")
            ratio = medians["recommend.best"].per_s / medians["bench.echo"].per_s
            each = [a.per_s / b.per_s for a, b in zip(*reversed(list(taken.values())), strict=True)]
            print(f"| {in_flight} | ratio | {ratio:.2f} ({min(each):.2f}-{max(each):.2f}) | | |")


async def _answers(connection: NatsClient, subject: str) -> bool:
    try:
        await connection.request(subject, b"{}", timeout=1)
    except nats.errors.Error:
        return False
    return True


async def _ask(connection: NatsClient, subject: str, count: int, in_flight: int) -> Timed:
    took: list[float] = []
    left = itertools.count()

    async def one_by_one() -> None:
        while next(left) < count:
            began = time.perf_counter()
            await connection.request(subject, REQUEST, timeout=10)
            took.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(one_by_one() for _ in range(in_flight)))
    per_s = count / (time.perf_counter() - began)
    cuts = statistics.quantiles(took, n=100)
    return Timed(per_s, cuts[49] * 1000, cuts[98] * 1000)


def _medians(times: list[Timed]) -> Timed:
    return Timed(*(statistics.median(getattr(t, name) for t in times) for name in Timed.__struct_fields__))


async def _to_a_changed_answer(bus: Bus, connection: NatsClient, names: list[ModelRef]) -> None:
    """Make one model after the other the fastest; ask until the answer says so; beside a plain subscriber."""
    heard: asyncio.Queue[tuple[float, str]] = asyncio.Queue()

    async def on_event(message: Any) -> None:
        event = decode_event(message.subject, message.data)
        heard.put_nowait((time.perf_counter(), event.id))

    subscription = await bus.js.subscribe(
        "model.benchmarked.>",
        ordered_consumer=True,
        cb=on_event,
        deliver_policy=nats.js.api.DeliverPolicy.NEW,
    )
    answered, delivered = [], []
    for number in range(CHANGES):
        model = names[number % len(names)]
        published = await _benchmark(bus, model, 1_000.0 * (number + 2))
        at, _ = await heard.get()
        delivered.append((at - published) * 1000)
        while True:
            reply = await connection.request(
                "models.get", msgspec.json.encode({"model": str(model)}), timeout=10
            )
            (view,) = json.loads(reply.data)["models"]
            if view["performance"]["output_tps"] == 1_000.0 * (number + 2):
                break
        answered.append((time.perf_counter() - published) * 1000)
    await subscription.unsubscribe()
    print("\n| from the stream's ack to | p50 ms | p95 ms |\n|---|---|---|")
    for what, times in (("a plain subscriber", delivered), ("a changed answer, read back", answered)):
        cuts = statistics.quantiles(times, n=20)
        print(f"| {what} | {cuts[9]:.2f} | {cuts[18]:.2f} |")


async def _to_warm(server: NatsServer, directory: Path, connection: NatsClient) -> None:
    """Start the recommender again; beside a process that imports the same libraries and ends."""
    started, imported = [], []
    for _ in range(RESTARTS):
        began = time.perf_counter()
        async with _recommender(server, directory):
            await connection.request("recommend.best", REQUEST, timeout=10)
            started.append(time.perf_counter() - began)
        began = time.perf_counter()
        bare = "import faststream.nats, cyclopts, msgspec, rich, starlette, structlog, uvicorn"
        async with child([sys.executable, "-c", bare], log=directory / "bare.log") as process:
            await process.wait()
        imported.append(time.perf_counter() - began)
    print("\n| from the process's start to | median s | max s |\n|---|---|---|")
    for what, times in (("libraries imported, nothing else", imported), ("the first answer, warm", started)):
        print(f"| {what} | {statistics.median(times):.2f} | {max(times):.2f} |")
