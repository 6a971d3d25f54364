"""What each service costs: its processor time from start to ready, and its memory then, with so many models."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import population
from benchmarks.machine import Cpu, peak_mb, resident_mb
from benchmarks.running import bench, fill, say
from eventually import eventually
from vedette.runtime.process import service_names
from vedette.runtime.subprocesses import child

_READY_S = 120.0
_NOBODY = "http://127.0.0.1:9"


async def measure(directory: Path, *, models: Sequence[int]) -> None:
    """Print a table: a row for each service, and for each number of *models*."""
    print("| service | models | ready after s | processor s until then | memory MB | peak MB |")
    print("|---|---|---|---|---|---|")
    present = 0
    for number in sorted(models):
        await fill(directory, present=present, models=number)
        present = number
        async with bench(directory, number) as on:
            for service in service_names():
                print(await _row(directory, service, on.server.url(service), number), flush=True)


def _endpoints(models: int) -> str:
    """Return the settings of those that serve the *models*: of no other would a discoverer keep them."""
    names = dict.fromkeys(population.reference(number).endpoint for number in range(models))
    of_each = f'provider = "openai-compatible"\nurl = "{_NOBODY}"\n'
    return "".join(f"[endpoints.{name}]\n{of_each}" for name in names)


async def _row(directory: Path, service: str, url: str, models: int) -> str:
    say(f"{service} with {models} models")
    log = directory / f"{service}-{models}.log"
    configuration = directory / "costs.toml"
    database = directory / f"{service}-{models}.db"
    configuration.write_text(
        f"[nats]\nprovision = false\nexpected_models = {population.expected_models(models)}\n"
        f'[database]\nurl = "sqlite+aiosqlite:///{database}"\n{_endpoints(models)}'
    )
    arguments = ["run", service, "--nats", url, "--config", str(configuration)]
    began = time.perf_counter()
    async with child(
        [sys.executable, "-c", "from vedette.cli import main; main()", *arguments], log=log
    ) as process:

        async def ready() -> bool:
            return "ready" in log.read_text()

        await eventually(ready, within_s=_READY_S, what=f"{service} ready")
        took_s = time.perf_counter() - began
        used_s, _ = Cpu.now(process.pid).since(Cpu(process=0, total=0, idle=0))
        row = (service, models, took_s, used_s, resident_mb(process.pid), peak_mb(process.pid))
    return "| {} | {:,} | {:.1f} | {:.1f} | {:.0f} | {:.0f} |".format(*row)
