"""Discoverer and prober over thousands of models, beside the bound that the endpoints and the broker set.

No discovery can be faster than the endpoints answer, as many requests at a time as they take, or than the broker
syncs as many messages; both are measured in the run. The ticks are the ticker's, and the services are processes.
"""

import asyncio
import itertools
import json
import math
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import nats
from msgspec import Struct
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg

from benchmarks.machine import Cpu, peak_mb
from eventually import eventually
from vedette import log
from vedette.bus.bus import Bus
from vedette.bus.connection import barrier
from vedette.bus.provisioning import provision
from vedette.bus.stream_configs import streams
from vedette.clock import SystemClock
from vedette.messages import ids
from vedette.messages.codec import decode_event
from vedette.messages.events import Job, ModelProbed, ScheduledJob, Tick
from vedette.runtime import nats_server
from vedette.runtime.nats_server import NatsServer
from vedette.runtime.subprocesses import child
from vedette.settings import Nats, Probing, Settings

_MAX_PHASE_S = 1800.0
_RAW_MESSAGES = 2000
# An endpoint's jitter is at most half a minute after the slot: here it has passed, as after any start.
_SLOT_AGE = timedelta(minutes=1)
# Beside one /api/show for each model: /api/tags and /api/version; and for probes /api/ps.
_DISCOVERY_CALLS, _PROBE_CALLS = 2, 3


class Size(Struct, frozen=True, kw_only=True):
    """How much there is to find, how slowly it answers, and how much the services do side by side."""

    models: int
    endpoints: int
    latency_ms: float
    at_once: int
    probing: Probing

    @property
    def each(self) -> int:
        """How many models an endpoint has."""
        return self.models // self.endpoints

    @property
    def rounds(self) -> int:
        """How many times as many endpoints as are worked on at once there are."""
        return math.ceil(self.endpoints / self.probing.concurrency)

    def round_s(self, calls: int) -> float:
        """Return how long one endpoint takes for *calls* and one more per model."""
        return (self.each + calls) * self.latency_ms / 1000 / self.at_once


class Heard:
    """What the stream MODELS has stored since the start, and when."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}  # by kind and cause: when its first job was queued
        self.jobs: dict[str, str] = {}  # job id to cause
        self.found: set[str] = set()
        self.probed: dict[str, set[str]] = {}  # by what caused it: the models probed
        self.messages: dict[str, list[Msg]] = {"model.found": [], "model.probed": []}

    async def on_job(self, message: Msg) -> None:
        """Note when the first job of a kind was queued."""
        job = decode_event(message.subject, message.data)
        if isinstance(job, Job):
            self.began.setdefault(f"{job.kind} {job.cause}", time.perf_counter())
            self.jobs[job.id] = job.cause

    async def on_event(self, message: Msg) -> None:
        """Count a stored event once."""
        event = decode_event((message.headers or {})["Nats-Subject"], message.data)
        self.messages[message.subject].append(message)
        if isinstance(event, ModelProbed):
            cause = self.jobs.get(event.sample.job_id, "?")
            self.probed.setdefault(cause, set()).add(event.subject)
            self.probed.setdefault("any", set()).add(event.subject)
            if event.sample.outcome != "ok":
                self.probed.setdefault(f"{cause} failed", set()).add(event.subject)
        else:
            self.found.add(event.subject)


class Crowd:
    """The endpoints, and what they have counted."""

    def __init__(self, ports: list[int]) -> None:
        self._told_at, *self.ports = ports
        self._before: dict[str, int] = {}

    async def counted(self) -> dict[str, int]:
        """Return the counts since the last time."""
        async with httpx.AsyncClient() as client:
            told: dict[str, int] = (await client.get(f"http://127.0.0.1:{self._told_at}/")).json()
        since = {key: value - self._before.get(key, 0) for key, value in told.items()} | {
            "most": told["most"]
        }
        self._before = told
        return since


async def measure(directory: Path, size: Size) -> None:
    """Print every figure as a row of a Markdown table."""
    async with nats_server.run(directory / "nats") as server, _crowd(directory, size) as crowd:
        connection = await nats.connect(server.url("operator"), pending_size=64 * 2**20)
        settings = Settings(nats=Nats(expected_models=size.models), probing=size.probing)
        await provision(connection, settings)
        heard = Heard()
        await connection.subscribe("job.>", cb=heard.on_job)
        for subject in heard.messages:
            await connection.subscribe(subject, cb=heard.on_event)
        await barrier(connection)
        bus = Bus(connection, name="bench", clock=SystemClock(), log=log.logger("bench"))
        print(
            f"{size.models} models at {size.endpoints} endpoints, {size.latency_ms:g} ms, {size.at_once} at once; "
            f"{size.probing.concurrency} endpoints at once\n\n"
            "| phase | s | bound s | ratio | requests s | publishing s | messages/s | raw messages/s | "
            "requests | most at once | violations | CPU s | machine busy | peak RSS MB |\n"
            "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
        )
        async with _services(server, directory, crowd, size) as process:
            report = _Report(size, connection, settings, crowd, heard, process)
            await report.phase(
                "discovery", began="discover start", subject="model.found", of=lambda: heard.found
            )
            await report.phase(
                "first probes", began="discover start", subject="model.probed", of=lambda: _of(heard, "any")
            )
            await eventually(lambda: _idle(bus), within_s=_MAX_PHASE_S, what="an empty queue")
            await crowd.counted()
            await _tick(bus, "availability")
            await report.phase(
                "probe cycle", began="probe tick", subject="model.probed", of=lambda: _of(heard, "tick")
            )
        failed = {key: len(models) for key, models in heard.probed.items() if "failed" in key}
        print(f"\nprobes that failed: {failed or 'none'}")
        await bus.close()
        await connection.close()


def _of(heard: Heard, cause: str) -> set[str]:
    return heard.probed.get(cause, set())


class _Report:
    """Waits for the end of each phase and prints its row."""

    def __init__(
        self,
        size: Size,
        connection: NatsClient,
        settings: Settings,
        crowd: Crowd,
        heard: Heard,
        services: Process,
    ) -> None:
        self._size = size
        self._connection = connection
        self._settings = settings
        self._crowd = crowd
        self._heard = heard
        self._services = services
        self._cpu = Cpu.now(services.pid)

    async def phase(self, what: str, *, began: str, subject: str, of: Callable[[], set[str]]) -> None:
        """Wait until all models are in what *of* returns; print how long that took since the first job."""

        async def complete() -> bool:
            assert self._services.returncode is None, "the services have ended"
            return len(of()) >= self._size.each * self._size.endpoints

        await eventually(complete, within_s=_MAX_PHASE_S, what=what)
        took_s = time.perf_counter() - self._heard.began[began]
        cpu = Cpu.now(self._services.pid)
        ours_s, busy = cpu.since(self._cpu)
        counted = await self._crowd.counted()
        raw_per_s = await _raw_rate(self._connection, self._settings, self._heard.messages[subject][-1])
        discovering_s, probing_s = (self._size.round_s(calls) for calls in (_DISCOVERY_CALLS, _PROBE_CALLS))
        requests_s, messages = self._size.rounds * probing_s, len(of())
        if what == "discovery":
            requests_s = self._size.rounds * discovering_s
        elif what == "first probes":  # from the same start; the last round of endpoints had to be found first
            requests_s = self._size.rounds * discovering_s + probing_s
            messages *= 2
        publishing_s = messages / raw_per_s
        bound_s = max(requests_s, publishing_s)
        requests = sum(count for path, count in counted.items() if "/api/" in path)
        print(
            f"| {what} | {took_s:.1f} | {bound_s:.1f} | {took_s / bound_s:.2f} | {requests_s:.1f} | "
            f"{publishing_s:.1f} | {messages / took_s:.0f} | {raw_per_s:.0f} | {requests} | {counted['most']} | "
            f"{counted.get('violations', 0)} | {ours_s:.1f} | {busy:.0%} | {peak_mb(self._services.pid):.0f} |",
            flush=True,
        )
        self._cpu = Cpu.now(self._services.pid)


@asynccontextmanager
async def _crowd(directory: Path, size: Size) -> AsyncIterator[Crowd]:
    output = directory / "crowd.log"
    arguments = [size.endpoints, size.each, size.latency_ms, size.at_once]
    async with child([sys.executable, "-m", "benchmarks.crowd", *map(str, arguments)], log=output):

        async def ports() -> list[int]:
            line = output.read_text()
            return json.loads(line) if line.endswith("\n") else []

        yield Crowd(await eventually(ports, what="the endpoints"))


@asynccontextmanager
async def _services(server: NatsServer, directory: Path, crowd: Crowd, size: Size) -> AsyncIterator[Process]:
    """Run discoverer and prober as a pod does; yield their process when they say that they are ready."""
    configuration = directory / "vedette.toml"
    endpoints = [
        f'[endpoints.e{n}]\nurl = "http://127.0.0.1:{port}"\nhost_group = "e{n}"'
        for n, port in enumerate(crowd.ports)
    ]
    configuration.write_text(
        f"[nats]\nexpected_models = {size.models}\n"
        f"[probing]\nconcurrency = {size.probing.concurrency}\nper_endpoint = {size.probing.per_endpoint}\n"
        + "\n".join(endpoints)
    )
    output = directory / "services.log"
    command = "from vedette.cli import main; main()"
    arguments = [
        "run",
        "discoverer",
        "prober",
        "--nats",
        server.url("operator"),
        "--config",
        str(configuration),
    ]
    async with child([sys.executable, "-c", command, *arguments], log=output) as process:

        async def ready() -> bool:
            return "\nready" in output.read_text()

        await eventually(ready, what="discoverer and prober")
        yield process


async def _tick(bus: Bus, job: ScheduledJob) -> None:
    now = datetime.now(UTC)
    slot = now - _SLOT_AGE
    tick = Tick(id=ids.derive(slot, "schedule", job), at=now, job=job, slot=slot)
    await bus.publisher.advance("SCHEDULE", tick.subject, lambda _: tick)


async def _idle(bus: Bus) -> bool:
    state = (await bus.js.stream_info("JOBS")).state
    return state.messages == 0


async def _raw_rate(connection: NatsClient, settings: Settings, like: Msg) -> float:
    """Return how many messages such as *like* a bare publisher stores per second, in a stream such as MODELS."""
    wanted = next(stream for stream in streams(settings) if stream.name == "MODELS")
    wanted.name, wanted.subjects, wanted.republish = "BENCH", ["bench.*"], None
    js = connection.jetstream()
    await js.add_stream(wanted)
    left = itertools.count()
    headers: dict[str, Any] = {k: v for k, v in (like.headers or {}).items() if not k.startswith("Nats-")}

    async def one_by_one() -> None:
        while (number := next(left)) < _RAW_MESSAGES:
            ids = {"Nats-Msg-Id": f"{number}", "Nats-Expected-Last-Subject-Sequence": "0"}
            await js.publish(f"bench.{number}", like.data, headers=headers | ids)

    began = time.perf_counter()
    outstanding = settings.probing.concurrency * settings.probing.per_endpoint
    await asyncio.gather(*(one_by_one() for _ in range(outstanding)))
    per_s = _RAW_MESSAGES / (time.perf_counter() - began)
    await js.delete_stream("BENCH")
    return per_s
