"""The console, when what it needs breaks off or its own process ends."""

import asyncio
import json
import os
import re
import signal
from pathlib import Path

import httpx
import pytest

from commands import Up, up
from eventually import eventually
from providers.fake_ollama import fake_ollama

CONFIG = """
[console]
enabled = true

[schedule]
availability = "1s"

[endpoints.box]
url = "{url}"
benchmark = false
evaluate = false
verify_capabilities = false
"""


@pytest.mark.fault("the broker is killed and comes back under an open event stream", "I11")
async def test_events_go_on_after_the_broker_was_killed(tmp_path: Path) -> None:
    """Consumers are created again, and a reader that comes back hears of what is probed then."""
    async with (
        fake_ollama(**{"small:latest": "1"}) as ollama,
        up(tmp_path / "s", CONFIG.format(url=ollama.url)) as running,
    ):
        url = await _address(running)
        assert await _probed(url) > 0
        (server,) = _started_by(_pid(tmp_path), "nats-server")
        os.kill(server, signal.SIGKILL)
        await running.line("NATS      restarted")
        before = await eventually(lambda: _checked_at(url), what="the model is probed again")
        assert before
        assert await _probed(url) > 0


@pytest.mark.fault("the process of the console is killed", "I11")
async def test_the_console_comes_back_and_nothing_else_ends(tmp_path: Path) -> None:
    """At the same address, while `up` and the recommender went on."""
    async with (
        fake_ollama(**{"small:latest": "1"}) as ollama,
        up(tmp_path / "s", CONFIG.format(url=ollama.url)) as running,
    ):
        url = await _address(running)
        await eventually(lambda: _checked_at(url), what="the model is probed")
        os.kill(_listening_at(int(url.rpartition(":")[2])), signal.SIGKILL)
        best = await running.ask("recommend", "chat", "--json")
        assert best.code == 0
        assert await eventually(lambda: _checked_at(url), what="the console replies again")


async def _address(running: Up) -> str:
    line = await running.line("console")
    await running.line("ready")
    return line.split()[1]


def _pid(directory: Path) -> int:
    return int(json.loads((directory / "s" / "connection.json").read_text())["pid"])


async def _checked_at(url: str) -> str | None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as caller:
        try:
            reply = await caller.get("/api/v1/models")
        except httpx.TransportError:
            return None
    models = reply.json()["models"] if reply.status_code == 200 else []
    return models[0]["availability"]["checked_at"] if models and models[0]["availability"] else None


async def _probed(url: str) -> int:
    """Return how many probes an event stream tells of until the first."""
    async with (
        asyncio.timeout(180),
        httpx.AsyncClient(timeout=180) as caller,
        caller.stream("GET", f"{url}/api/v1/events?events=model.probed") as reply,
    ):
        async for line in reply.aiter_lines():
            if line.startswith("data:"):
                return 1
    return 0


def _started_by(parent: int, name: str) -> list[int]:
    """Return the processes of *name* that *parent* has started."""
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = place.read_text().rpartition(")")[2].split()
            command = (place.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(words[1]) == parent and name.encode() in command:
            found.append(int(place.parent.name))
    return found


def _listening_at(port: int) -> int:
    """Return the process that listens at *port*."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    inodes = {
        line.split()[9]
        for line in lines
        if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
    }
    for place in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = os.readlink(place)
        except OSError:
            continue
        if (match := re.fullmatch(r"socket:\[(\d+)\]", target)) and match[1] in inodes:
            return int(place.parts[2])
    raise AssertionError(f"nothing listens at {port}")
