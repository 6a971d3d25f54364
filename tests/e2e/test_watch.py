"""`vedette watch` as people and scripts run it."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from commands import Up, started, vedette, watching
from eventually import eventually
from providers.fake_ollama import fake_ollama
from vedette.runtime.nats_server import NatsServer
from whole import Found, found

CONFIG = """
[schedule]
discovery = "1h"
availability = "1s"
performance = "1h"
quality = "1h"
[benchmarking]
runs = 1
output_tokens = 16
[endpoints.box]
url = "{url}"
evaluate = false
"""


async def until_seen(running: Up, words: str) -> str:
    """Return the first line with *words* in it."""

    async def ask() -> str:
        return next((line for line in running.lines if words in line), "")

    return await eventually(ask, what=words)


async def test_what_happens_is_shown_as_it_happens(server: NatsServer, tmp_path: Path) -> None:
    """A line each for people, a document each for programs; Ctrl-C is the usual end."""
    state = tmp_path / "state"
    here = ("--state-dir", str(state))
    async with fake_ollama(a="1") as ollama, found(CONFIG.format(url=ollama.url), server, state) as running:
        await until_best(running, "box/a")
        async with (
            subscriber(running.connection.nats_url) as stranger,
            started(state, "watch", *here) as everything,
            started(state, "watch", "chat", *here) as chat,
            started(state, "watch", "--event", "lost", "--model", "box/a*", "--json", *here) as programs,
        ):
            assert (await chat.complaint()).startswith("chat: box/a is best now with ")
            for watcher in (everything, chat, programs):
                await watching(watcher)
            ollama.models = {"b": "2"}
            line = await until_seen(everything, "box/a lost: its endpoint no longer lists it")
            assert line[:4].isdigit()
            await until_seen(everything, "box/b found: 135M, context 8k")
            await until_seen(everything, "chat: ")
            told = await until_seen(chat, "box/b")
            assert "box/b" in told
            document = json.loads(await until_seen(programs, "{"))
            assert (document["event"], document["model"]["name"]) == ("model.lost", "a")
            assert not [shown for shown in chat.lines if "chat: " not in shown]
            for watcher in (everything, chat, programs):
                assert await watcher.stop(signal.SIGINT) == 0
                assert await watcher.complaints() == ""
            assert len(programs.lines) == 1
            await until_every_kind(stranger)
            assert not [told for told in stranger if told["problems"]]


@asynccontextmanager
async def subscriber(url: str) -> AsyncIterator[list[dict[str, Any]]]:
    """Run the program that knows only the AsyncAPI document; yield what it tells of each event, as it comes."""
    tests = Path(__file__).parents[1]
    arguments = [tests / "subscriber.py", tests.parent / "docs" / "asyncapi.json", url]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *map(str, arguments), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    told: list[dict[str, Any]] = []

    async def read(lines: asyncio.StreamReader) -> None:
        async for line in lines:
            told.append(json.loads(line))  # noqa: PERF401 - as they come

    async with asyncio.timeout(60):
        assert await process.stdout.readline() == b"listening\n"
    reading = asyncio.create_task(read(process.stdout))
    try:
        yield told
    finally:
        process.kill()
        await process.wait()
        await reading


async def until_every_kind(told: list[dict[str, Any]]) -> None:
    """Return when one event of each kind was heard that a model's coming and going makes."""

    async def heard() -> bool:
        kinds = {
            "ModelFound",
            "ModelLost",
            "ModelProbed",
            "ModelBenchmarked",
            "ModelVerified",
            "AnswerChanged",
        }
        return kinds <= {one["message"] for one in told}

    await eventually(heard, what="every kind of event")


async def until_best(running: Found, model: str) -> None:
    """Return when *model* is recommended and measured."""

    async def ask() -> bool:
        models = (await running.client.models()).models
        best = (await running.client.best("chat")).recommendation
        return best is not None and str(best.model) == model and all(one.performance for one in models)

    await eventually(ask, what=f"{model} best")


async def test_a_dead_server_is_one_line_and_so_is_its_return(
    server: NatsServer, tmp_path: Path, port: int
) -> None:
    """However many models it has; programs get every event, an object a line."""
    state = tmp_path / "state"
    models = {f"m{number}": str(number) for number in range(9)}
    here = ("--state-dir", str(state))
    async with contextlib.AsyncExitStack() as stack:
        async with fake_ollama(port, **models) as ollama:
            config = CONFIG.format(url=ollama.url) + "benchmark = false\nverify_capabilities = false\n"
            running = await stack.enter_async_context(found(config, server, state))
            await eventually(lambda: _probed(running, len(models)), what="all were probed")
            people = await stack.enter_async_context(started(state, "watch", *here))
            programs = await stack.enter_async_context(started(state, "watch", "--json", *here))
            await watching(people)
            await watching(programs)
        down = await until_seen(people, "is unreachable")
        assert "endpoint box is unreachable: connection refused, nothing listens at " in down
        assert down.endswith("; 9 models")
        await eventually(lambda: _failed(programs, 2 * len(models)), what="two rounds of failed probes")
        async with fake_ollama(port, **models):
            await until_seen(people, "endpoint box is reachable again: 9 models")
        assert len([line for line in people.lines if "is unreachable:" in line]) == 1
        assert all(isinstance(json.loads(line), dict) for line in programs.lines)


async def _probed(running: Found, count: int) -> bool:
    return sum(bool(one.availability) for one in (await running.client.models()).models) == count


async def _failed(programs: Up, count: int) -> bool:
    told = map(json.loads, programs.lines)
    return sum(one.get("sample", {}).get("cause") == "endpoint" for one in told) >= count


async def test_a_bounded_watch_ends_by_itself(server: NatsServer, tmp_path: Path) -> None:
    """With nothing said on standard output; what is wrongly named is said at once."""
    async with found('[endpoints.none]\nurl = "http://127.0.0.1:1"\n', server, tmp_path / "state") as running:
        ended = await running.ask("watch", "--recommendations", "--seconds", "0.2")
        assert (ended.code, ended.out) == (0, "")
        wrong = await running.ask("watch", "--event", "fund")
        assert wrong.code == 2
        assert 'did you mean "model.found"?' in wrong.err
        unknown = await running.ask("watch", "chatt", "--seconds", "5")
        assert unknown.code == 2
        assert 'did you mean "chat"?' in unknown.err
    gone = await vedette("watch", "--state-dir", str(tmp_path / "state"))
    assert gone.code == 4
