"""The recommender's own process in `vedette up`: it ends with its parent, its end is said, its metrics are shown."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from commands import up
from eventually import eventually
from providers.fake_ollama import fake_ollama
from vedette.errors import BusError, ConfigurationError
from vedette.runtime.apart import Apart
from vedette.runtime.subprocesses import spawned
from vedette.settings import Settings

CONFIG = """
[schedule]
availability = "1s"
[endpoints.box]
url = "{url}"
benchmark = false
evaluate = false
verify_capabilities = false
"""


def child_of(parent: int) -> int:
    """Return the process in which the recommender of *parent* runs."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            fields = (place / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent and b"vedette.runtime.apart_main" in (place / "cmdline").read_bytes():
                return int(place.name)
        except OSError:
            continue
    raise AssertionError(f"process {parent} has no such child")


async def gone(pid: int) -> bool:
    try:
        return (await asyncio.to_thread(Path(f"/proc/{pid}/stat").read_text)).rpartition(")")[2].split()[
            0
        ] == "Z"
    except OSError:
        return True


@pytest.mark.fault("the recommender's process of `up` is killed", "I5")
async def test_up_ends_when_its_recommender_ends_and_says_why(tmp_path: Path) -> None:
    """Alive without answers would be worse: whoever started it starts it again."""
    async with fake_ollama(a="1") as ollama, up(tmp_path / "state", CONFIG.format(url=ollama.url)) as running:
        await running.line("ready")
        os.kill(child_of(running.connection.pid), signal.SIGKILL)
        code = await running.stop(0)
        assert code != 0
        assert "the process of the recommender ended with code -9" in await running.complaints()


@pytest.mark.fault("`up` is killed", "I5")
async def test_the_recommender_ends_with_its_parent(tmp_path: Path) -> None:
    """No process is left behind."""
    async with fake_ollama(a="1") as ollama, up(tmp_path / "state", CONFIG.format(url=ollama.url)) as running:
        await running.line("ready")
        child = child_of(running.connection.pid)
        await running.stop(signal.SIGKILL)
        await eventually(lambda: gone(child), what="the recommender's end")


# Replies to the first reload only when the second is there: to the first that it is done, to the second that it is not.
LATE = """
import json, sys
read = lambda: json.loads(sys.stdin.readline())
say = lambda **reply: print(json.dumps(reply), flush=True)
read()
say(health_url="http://127.0.0.1:1")
first, second = read(), read()
say(id=first["id"])
say(id=second["id"], error="ConfigurationError", fields={"where": "here", "problem": "refused"})
sys.stdin.read()
"""


@pytest.mark.fault("the recommender's process replies to a reload after the deadline", "I5")
async def test_a_late_reply_is_not_taken_for_that_to_the_next_request() -> None:
    """Else the settings that were refused would be said to be in force."""
    command = [sys.executable, "-c", LATE]
    async with spawned(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        apart = Apart("recommender", Settings(), child)
        await apart.start()
        with pytest.raises(BusError, match=r"did not reply within 0\.2 s"):
            await apart.reload(Settings(), timeout_s=0.2)
        with pytest.raises(ConfigurationError, match="refused"):
            await apart.reload(Settings())


async def test_metrics_of_the_recommender_stand_among_those_of_up(tmp_path: Path) -> None:
    """Each family once: what it has answered beside what the others have handled."""
    async with fake_ollama(a="1") as ollama, up(tmp_path / "state", CONFIG.format(url=ollama.url)) as running:
        await running.line("found     box/a")
        assert (await running.ask("recommend", "chat", "--unmeasured", "keep")).code == 0

        def read() -> str:
            with urllib.request.urlopen(f"{running.connection.health_url}/metrics/", timeout=60) as reply:
                return str(reply.read().decode())

        text = await asyncio.to_thread(read)
        assert 'vedette_request_seconds_count{outcome="ok",subject="recommend.best"}' in text
        assert 'service="prober"' in text
        assert re.search(
            r'^vedette_write_seconds_count\{vedette_service="discoverer"\} [1-9]', text, re.MULTILINE
        )
        families = [line for line in text.splitlines() if line.startswith("# TYPE")]
        assert len(families) == len(set(families))
        assert await running.stop() == 0
