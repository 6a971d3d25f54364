"""Serve a model that embeds on loopback: `python -m benchmarks.heldout.embedding_server PORT GGUF NAME`."""

import asyncio
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from eventually import eventually
from vedette.runtime.subprocesses import child, free_port

_CONTEXT_TOKENS = 512


@asynccontextmanager
async def serving(directory: Path, model: Path, name: str) -> AsyncIterator[str]:
    """Run the server as a child process that logs into *directory*; yield its URL when it is up."""
    port = free_port(0)
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "benchmarks.heldout.embedding_server", str(port), str(model), name]
    async with child(command, log=directory / f"embedding-{port}.log"):
        await eventually(lambda: asyncio.to_thread(_is_up, url), within_s=300, what=name)
        yield url


def _is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=30) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def serve(port: int, model: str, name: str) -> None:
    """Serve until told to stop."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = model
    parameters.model_alias = name if isinstance(parameters.model_alias, str) else [name]
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = _CONTEXT_TOKENS
    parameters.n_parallel = 1
    parameters.embedding = True
    parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    parameters.endpoint_props = True
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(parameters)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    del server


if __name__ == "__main__":
    serve(int(sys.argv[1]), *sys.argv[2:])
