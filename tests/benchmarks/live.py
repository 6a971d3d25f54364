"""`vedette top` over a fleet that is probed and benchmarked: its processor time, beside the wall clock.

It is a process of its own on a terminal of its own, on a real nats-server with a real recommender; only the events of
probes and benchmarks are scripted.
"""

import asyncio
import contextlib
import fcntl
import os
import pty
import struct
import sys
import termios
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks import population
from benchmarks.machine import Cpu, resident_mb
from benchmarks.running import Bench, bench, fill, recommender, say
from vedette import Client
from vedette.cli.live.feed import Feed
from vedette.cli.live.screen import Top
from vedette.client.winners import announced
from vedette.messages.codec import encode
from vedette.messages.events import AnswerChanged, Progress
from vedette.types import ModelRef, Status
from vedette.usecases import BUILT_IN

_WARM_UP_S = 15.0
_END_S = 30.0
_BENCHMARK_EVERY = 20  # events: the others are probes
_TARGET = 0.05  # of a core


class Screen(Struct, frozen=True):
    """How large the terminal is, and the arguments of the command."""

    name: str
    columns: int
    rows: int
    arguments: tuple[str, ...] = ()


SCREENS = (
    Screen("80x24", 80, 24),
    Screen("160x50", 160, 50),
    Screen("160x50, `--plain`", 160, 50, ("--plain",)),
)


class Terminal:
    """A terminal whose output is read and counted."""

    def __init__(self, screen: Screen) -> None:
        self._ours, self.theirs = pty.openpty()
        size = struct.pack("HHHH", screen.rows, screen.columns, 0, 0)
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, size)
        self.bytes = 0
        asyncio.get_running_loop().add_reader(self._ours, self._read)

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # Linux says EIO when the last process that had it open has ended
            self.bytes += len(os.read(self._ours, 65_536))

    def close(self) -> None:
        """Read no more."""
        asyncio.get_running_loop().remove_reader(self._ours)
        os.close(self._ours)
        os.close(self.theirs)


@asynccontextmanager
async def top(on: Bench, screen: Screen) -> AsyncIterator[tuple[Process, Terminal]]:
    """Run the command as an agent would, on a terminal."""
    terminal = Terminal(screen)
    command = [sys.executable, "-m", "vedette", "top", "--nats", on.server.url("agent"), *screen.arguments]
    environment = {**os.environ, "TERM": "xterm-256color", "VEDETTE_CONFIG": ""}
    environment.pop("NO_COLOR", None)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=terminal.theirs, stdout=terminal.theirs, stderr=terminal.theirs, env=environment
    )
    try:
        yield process, terminal
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await _ended(process)
        terminal.close()


async def _ended(process: Process) -> None:
    """Return when *process* has ended. Raises RuntimeError when it does not end by itself."""
    try:
        async with asyncio.timeout(_END_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        raise RuntimeError(f"top did not end within {_END_S:g} s of SIGTERM") from None


async def feed(on: Bench, per_s: float) -> None:
    """Publish probes of all models in turn, *per_s* of them, and now and then a benchmark, until cancelled."""
    js, began, number = on.connection.jetstream(), time.perf_counter(), 0
    while True:
        await asyncio.sleep(max(0.0, began + number / per_s - time.perf_counter()))
        now = datetime.now(UTC)
        found, probed, benchmarked, _ = population.events_of(number % on.models, now)
        event = probed
        if number % _BENCHMARK_EVERY == 0 and (rate := benchmarked.performance.output_tps) is not None:
            tps = rate.median * (1 + number % 7 / 10)
            event = population.benchmarked(found.model, now, tps=tps, ttft_ms=100.0, info=found.info)
        number += 1
        if event is probed and probed.health.status is Status.UNREACHABLE:
            continue  # its endpoint would fail and be reachable again in turn
        await js.publish(event.subject, encode(msgspec.structs.replace(event, id=f"{event.id}-{number}")))


async def shoot(on: Bench, file: Path, *, columns: int = 160, rows: int = 40) -> None:
    """Write to *file* what the screen shows after some events, as SVG."""

    async def announced_here() -> list[AnswerChanged]:
        return await announced(on.connection)

    async def no_probe(model: ModelRef, group: str) -> AsyncIterator[Progress]:
        raise NotImplementedError
        yield

    async with Client(on.server.url("agent")) as client:
        shown = Feed(client, use_cases=list(BUILT_IN), announced=announced_here)
        screen = Top(feed=shown, source=client, probe=no_probe)
        async with screen.run_test(size=(columns, rows)):
            publishing = asyncio.create_task(feed(on, 4.0))
            await asyncio.sleep(_WARM_UP_S)
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
            drawn = screen.export_screenshot(title="vedette top", simplify=True)
        await asyncio.to_thread(file.write_text, drawn)


async def _row(on: Bench, screen: Screen, per_s: float, seconds: float) -> str:
    say(f"{screen.name}, {per_s:.1f} events/s")
    async with top(on, screen) as (process, terminal):
        publishing = asyncio.create_task(feed(on, per_s)) if per_s else None
        await asyncio.sleep(_WARM_UP_S)
        if process.returncode is not None:
            raise RuntimeError(f"top ended with {process.returncode}")
        cpu, began, before = Cpu.now(process.pid), time.perf_counter(), terminal.bytes
        await asyncio.sleep(seconds)
        used_s, machine = Cpu.now(process.pid).since(cpu)
        took_s, written = time.perf_counter() - began, terminal.bytes - before
        memory = resident_mb(process.pid)
        if publishing is not None:
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
    return (
        f"| {on.models} | {screen.name} | {per_s:.1f} | {used_s:.2f} | {took_s:.1f} | {used_s / took_s:.1%} | "
        f"{written / took_s / 1000:.2f} | {memory:.0f} | {machine:.0%} |"
    )


async def measure(
    directory: Path, *, models: int, every_s: float, seconds: float, svg: Path | None = None
) -> None:
    """Print a row for each screen: with no events, and with each model probed every *every_s*.

    With *svg*, nothing is measured: what a screen shows is written there.
    """
    await fill(directory, present=0, models=models)
    rows = []
    async with bench(directory, models) as on, recommender(on):
        if svg is not None:
            await shoot(on, svg)
            return
        for screen in SCREENS:
            rows += [await _row(on, screen, per_s, seconds) for per_s in (0.0, models / every_s)]
    print(
        f"\n## `vedette top` (target: at most {_TARGET:.0%} of a core)\n\n"
        "| models | terminal | events/s | CPU s | wall s | of a core | kB/s written | RSS MB | machine busy |\n"
        "|---|---|---|---|---|---|---|---|---|"
    )
    print("\n".join(rows))
