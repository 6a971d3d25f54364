"""The recorder as a process of its own, on a nats-server of its own, and how far it is."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
from msgspec import Struct
from nats.aio.client import Client as NatsClient

from benchmarks.databases import Database
from benchmarks.machine import Cpu, peak_mb, resident_mb
from eventually import eventually
from vedette.bus.provisioning import ensure_durable, provision
from vedette.messages.consumers import recording
from vedette.runtime import nats_server
from vedette.runtime.nats_server import NatsServer
from vedette.runtime.subprocesses import child, last_line
from vedette.settings import Settings

STREAMS = ("MODELS", "ENDPOINTS")
_POLL_S = 0.02


class Served(Struct, frozen=True, kw_only=True):
    """A nats-server and the parent's own connection to it."""

    server: NatsServer
    connection: NatsClient
    directory: Path
    settings: Settings


@asynccontextmanager
async def served(directory: Path, settings: Settings) -> AsyncIterator[Served]:
    """Run a nats-server, as `vedette up` does, on the streams in *directory*."""
    async with nats_server.run(directory / "nats") as server:
        connection = await nats.connect(server.url("operator"), pending_size=64 * 2**20)
        try:
            await provision(connection, settings)
            yield Served(server=server, connection=connection, directory=directory, settings=settings)
        finally:
            await connection.close()


class Recorder(Struct, frozen=True, kw_only=True):
    """A recorder's process, and what it says."""

    pid: int
    log: Path

    def says(self, words: str) -> bool:
        """Return whether it has said *words*."""
        return words in self.log.read_text()


@asynccontextmanager
async def recorder(on: Served, database: Database) -> AsyncIterator[Recorder]:
    """Run the recorder as a pod does, from the moment that its process is there."""
    configuration, output = on.directory / "recorder.toml", on.directory / "recorder.log"
    configuration.write_text(
        f"[nats]\nexpected_models = {on.settings.nats.expected_models}\n[database]\nurl = '{database.url}'\n"
    )
    output.unlink(missing_ok=True)
    arguments = ["run", "recorder", "--nats", on.server.url("operator"), "--config", str(configuration)]
    command = [sys.executable, "-c", "from vedette.cli import main; main()", *arguments]
    async with child(command, log=output) as process:
        yield Recorder(pid=process.pid, log=output)
        if process.returncode is not None:
            raise RuntimeError(f"the recorder has ended: {last_line(output)}")


async def ready(recorder: Recorder) -> None:
    """Wait until *recorder* says that it is."""

    async def says_so() -> bool:
        return recorder.says("\nready")

    await eventually(says_so, within_s=60, what="a recorder that is ready")


async def read_anew(on: Served) -> None:
    """Have the next recorder read the streams from their starts."""
    for stream in STREAMS:
        await on.connection.jetstream().delete_consumer(stream, recording(stream).name)
        await ensure_durable(on.connection, recording(stream))


class Drained(Struct, frozen=True, kw_only=True):
    """What it took a recorder to read all that there was."""

    per_s: float
    cpu_us: float  # of the recorder for an event
    busy: float  # share of the machine, of everybody
    resident_mb: tuple[float, float, float]  # when a tenth, half and all was read
    peak_mb: float


async def drained(on: Served, database: Database, events: int) -> Drained:
    """Run a recorder until *events* are acknowledged; the time counts from the first that is."""
    await read_anew(on)
    resident: list[float] = []
    async with recorder(on, database) as process:
        began, done_before = 0.0, 0
        cpu = Cpu.now(process.pid)
        done = 0
        while done < events:
            await asyncio.sleep(_POLL_S)
            done = await _acknowledged(on)
            if done and not began:
                began, done_before, cpu = time.perf_counter(), done, Cpu.now(process.pid)
            if done >= events * (0.1, 0.5, 1.0)[len(resident)]:
                resident.append(resident_mb(process.pid))
            if process.says("database.unavailable"):
                raise RuntimeError(f"the recorder cannot record: {last_line(process.log)}")
        took_s = time.perf_counter() - began
        used_s, busy = Cpu.now(process.pid).since(cpu)
        first, middle, last = (resident[0], resident[min(1, len(resident) - 1)], resident[-1])
        return Drained(
            per_s=(events - done_before) / took_s,
            cpu_us=used_s / (events - done_before) * 1e6,
            busy=busy,
            resident_mb=(first, middle, last),
            peak_mb=peak_mb(process.pid),
        )


async def _acknowledged(on: Served) -> int:
    js = on.connection.jetstream()
    floors = [(await js.consumer_info(stream, "recorder")).ack_floor for stream in STREAMS]
    return sum(floor.stream_seq for floor in floors if floor)
