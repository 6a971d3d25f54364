"""Commands that wait for a job: what they say meanwhile, and when Ctrl-C ends them."""

import asyncio
import json
import signal
from pathlib import Path

import pytest

from commands import Up, started
from providers.fake_ollama import fake_ollama
from providers.replay import Exchange, Write
from vedette.runtime.nats_server import NatsServer
from whole import found

CONFIG = """
[endpoints.box]
url = "{url}"
benchmark = false
evaluate = false
verify_capabilities = false
"""


async def _says(command: Up, words: str) -> str:
    """Wait for a line on standard error that has *words*."""
    lines = []
    while line := await command.complaint():
        if words in line:
            return line
        lines.append(line)
    raise AssertionError(f"ended without {words!r}: {lines}")


@pytest.mark.fault("Ctrl-C while a command waits for its job", "I11")
async def test_a_command_says_what_it_waits_for_and_what_goes_on(server: NatsServer, tmp_path: Path) -> None:
    """On standard error, while --json goes to standard output; the job that waits is done all the same."""
    goes_on = asyncio.Event()
    directory = tmp_path / "state"
    here = ("--state-dir", str(directory))
    async with fake_ollama(a="1", b="2") as ollama:
        usual = ollama.replay.routes["POST", "/api/chat"]

        async def slow(exchange: Exchange, write: Write) -> None:
            await goes_on.wait()
            await usual(exchange, write)

        ollama.replay.routes["POST", "/api/chat"] = slow
        async with found(CONFIG.format(url=ollama.url), server, directory) as running:
            await running.knows(2)
            async with started(directory, "benchmark", "box/a", *here) as first:
                await _says(first, "started")
                async with started(directory, "benchmark", "box/b", "--json", *here) as second:
                    line = await _says(second, "waiting")
                    second.send(signal.SIGINT)
                    assert await second.stop(0) == 130
                    said = await second.complaints()
                goes_on.set()
                assert await first.stop(0) == 0
            assert "another measurement runs on this host (benchmark of box/a), position 2 of 2" in line
            assert said.startswith("The benchmark of box/b is queued and will run in the background.\n")
            follow = f"vedette watch --event benchmarked --model box/b --state-dir {directory}\n"
            assert f"vedette benchmark box/b --state-dir {directory}\n" in said
            assert follow in said
            assert "Traceback" not in said
            (job,) = json.loads("\n".join(second.lines))["jobs"]
            assert (job["target"], job["state"], job["waits_for"]) == ("box/b", "queued", "turn")
            assert (job["position"], job["queue"], job["behind"]) == (2, 2, "benchmark of box/a")
            # It was abandoned, not taken back: asked again, its command follows the same job or finds it done.
            assert (await running.ask("benchmark", "box/b")).code == 0


@pytest.mark.fault("the host of a model is busy with another job when its command is stopped", "I11")
async def test_several_jobs_are_counted(server: NatsServer, tmp_path: Path) -> None:
    """The first five are named."""
    directory = tmp_path / "state"
    here = ("--state-dir", str(directory))
    names = {f"m{number}": "1" for number in range(7)}
    async with fake_ollama(**names) as ollama:
        ollama.replay.routes["POST", "/api/chat"] = _never
        async with found(CONFIG.format(url=ollama.url), server, directory) as running:
            await running.knows(7)
            async with started(directory, "benchmark", "box", *here) as command:
                await _says(command, "position 7 of 7")
                command.send(signal.SIGINT)
                assert await command.stop(0) == 130
                said = await command.complaints()
    assert said.count("in the background.") == 5
    assert "So do 2 more.\n" in said
    assert f"vedette watch --event benchmarked --state-dir {directory}\n" in said


async def _never(exchange: Exchange, write: Write) -> None:
    await asyncio.Event().wait()
