"""A rolling update: each replica of each service is replaced in turn while agents ask, and no question fails."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import msgspec
import nats
import nats.errors
import pytest
from nats.aio.client import Client as Connection

from commands import Up, started
from eventually import eventually
from faults.publishing import recorded
from providers.fake_ollama import fake_ollama
from vedette.bus.connection import close
from vedette.runtime.nats_server import NatsServer

QUESTIONS_PER_S = 500
ANSWERED = "answered"
# For a while there are two of each but the recorder: on SQLite it is alone, and nobody waits for it.
REPLICAS = {"recommender": 2, "ticker": 1, "discoverer": 1, "prober": 1, "benchmarker": 1, "recorder": 1}
OFTEN = """
[schedule]
availability = "2s"
discovery = "2s"
[endpoints.box]
url = "{url}"
"""
CONFIG = (
    OFTEN
    + """[database]
url = "sqlite+aiosqlite:///{file}"
"""
)


class Questions:
    """What is asked, so many times a second whether answers come or not, and what became of it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.outcomes: Counter[str] = Counter()
        self.took_ms: list[float] = []
        self.answered_in_a_row = 0

    async def run(self) -> None:
        """Ask until cancelled, then wait for what is still to be answered."""
        began, number = time.perf_counter(), 0
        async with asyncio.TaskGroup() as asked:
            with suppress(asyncio.CancelledError):
                while True:
                    await asyncio.sleep(began + number / QUESTIONS_PER_S - time.perf_counter())
                    asked.create_task(self._ask(number))
                    number += 1

    async def _ask(self, number: int) -> None:
        payload = msgspec.json.encode(
            {
                "use_case": "chat",
                "limit": 1 + number % 3,
                "constraints": {"min_context_tokens": 1 + number % 997},
            }
        )
        sent = time.perf_counter()
        try:
            reply = await self._connection.request("recommend.best", payload, timeout=60)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            self.outcomes[repr(error)] += 1
            self.answered_in_a_row = 0
            return
        self.took_ms.append((time.perf_counter() - sent) * 1000)
        outcome = ANSWERED if b'"name":"a"' in reply.data else reply.data[:200].decode()
        self.outcomes[outcome] += 1
        self.answered_in_a_row = self.answered_in_a_row + 1 if outcome == ANSWERED else 0

    async def all_answer(self) -> bool:
        """Return whether each replica answers: one of two replies to each question, by chance."""
        return self.answered_in_a_row >= 100


@asynccontextmanager
async def asking(server: NatsServer) -> AsyncIterator[Questions]:
    """Have questions asked meanwhile."""
    connection = await nats.connect(server.url("agent"))
    questions = Questions(connection)
    task = asyncio.create_task(questions.run())
    try:
        yield questions
    finally:
        task.cancel()
        await task
        await close(connection)


@pytest.mark.fault(
    "every service replaced in turn under 500 queries/s", "I4", "I11", trials=sum(REPLICAS.values())
)
async def test_no_question_fails_in_a_rolling_update(tmp_path: Path, server: NatsServer) -> None:
    """The next is ready before its forerunner is stopped; what that has accepted it answers. All is recorded after."""
    async with fake_ollama(a="1") as ollama, AsyncExitStack() as stack:
        file = tmp_path / "vedette.toml"
        file.write_text(CONFIG.format(url=ollama.url, file=tmp_path / "vedette.db"))

        async def start(service: str) -> Up:
            arguments = ("run", service, "--nats", server.url("operator"), "--config", str(file))
            running = await stack.enter_async_context(started(tmp_path, *arguments))
            await running.line("ready")
            return running

        running = [
            (service, await start(service)) for service, number in REPLICAS.items() for _ in range(number)
        ]
        async with asking(server) as questions:
            await eventually(questions.all_answer, what="answers that name the model, of both replicas")
            questions.outcomes.clear()
            questions.took_ms.clear()
            began = time.perf_counter()
            for place, (service, old) in enumerate(running):
                if service != "recorder":
                    running[place] = service, await start(service)
                assert await old.stop() == 0, service
                if service == "recorder":
                    running[place] = service, await start(service)
            took_s = time.perf_counter() - began
        assert questions.outcomes.keys() == {ANSWERED}, questions.outcomes
        asked = questions.outcomes[ANSWERED]
        print(f"{asked} questions in {took_s:.0f} s, the slowest took {max(questions.took_ms):.0f} ms")
        assert asked > QUESTIONS_PER_S * took_s / 10  # a busy machine does not ask so often
        connection = await nats.connect(server.url("operator"))
        await eventually(lambda: recorded(connection.jetstream(timeout=60)), what="a record of everything")
        await close(connection)
