"""SIGKILL at any moment, and start again: nothing twice, nothing lost."""

import asyncio
import random
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import msgspec
import nats
import pytest
from nats.js.client import JetStreamContext

from commands import Up, up
from eventually import eventually
from faults.breaking import say_nothing
from faults.publishing import recorded
from providers.fake_ollama import fake_ollama
from redelivery import shorten_ack_wait
from vedette.bus.connection import barrier, close
from vedette.client import Client
from vedette.messages.events import Tick

KILLS = 3
ACK_WAIT_S = 10.0
BUSY = """
[schedule]
availability = "1s"
discovery = "2s"
performance = "3s"
[benchmarking]
runs = 1
output_tokens = 16
"""
QUIET = """
[schedule]
run_on_startup = false
"""
HISTORY = (
    "model_info_history",
    "model_availability_history",
    "model_performance_history",
    "model_quality_history",
    "model_capability_history",
    "endpoint_history",
)


def config(base: str, **urls: str) -> str:
    """Return *base* with an endpoint for each of *urls*."""
    return base + "".join(
        f'[endpoints.{name}]\nurl = "{url}"\nhost_group = "{name}"\n' for name, url in urls.items()
    )


async def stored(js: JetStreamContext, stream: str) -> list[tuple[str, str]]:
    """Return (subject, event id) of every message in *stream*."""
    total = (await js.stream_info(stream)).state.messages
    subscription = await js.subscribe("", stream=stream, ordered_consumer=True)
    found = []
    for _ in range(total):
        message = await subscription.next_msg(timeout=60)
        found.append((message.subject, (message.headers or {})["Nats-Msg-Id"]))
    await subscription.unsubscribe()
    return found


def plain(event_id: object) -> str:
    """Return an event's id as both sides write it."""
    return str(event_id).replace("-", "")


def kept(file: Path) -> Counter[str]:
    """Return how often the database has each event."""
    with closing(sqlite3.connect(file)) as database:
        rows = [row[0] for table in HISTORY for row in database.execute(f"SELECT event_id FROM {table}")]
    return Counter(map(plain, rows))


async def watch_ticks(running: Up, seen: Counter[tuple[str, str]]) -> nats.NATS:
    """Count the ticks that *running* publishes, by job and slot."""

    async def on_tick(message: nats.aio.msg.Msg) -> None:
        tick = msgspec.json.decode(message.data, type=Tick)
        seen[tick.job, tick.slot.isoformat()] += 1

    connection = await nats.connect(
        running.connection.operator_url, error_cb=say_nothing, max_reconnect_attempts=1
    )
    await connection.subscribe("schedule.*", cb=on_tick)
    await barrier(connection)
    return connection


@pytest.mark.fault("everything killed at any moment, and started again", "I1", "I2", "I12", trials=KILLS)
async def test_killed_at_any_moment_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """Warm again, nothing found twice, no slot ticked twice, every event in the database exactly once."""
    moments = random.Random(7)
    ticks: Counter[tuple[str, str]] = Counter()
    state = tmp_path / "state"
    async with fake_ollama(a="1", b="2", c="3") as one, fake_ollama(a="1", d="4") as two:
        for _ in range(KILLS):
            async with up(state, config(BUSY, one=one.url, two=two.url)) as running:
                await running.line("ready")
                watching = await watch_ticks(running, ticks)
                await asyncio.sleep(moments.uniform(0.1, 4))  # the moment is the point
                await running.stop(signal.SIGKILL)
                await close(watching)
        # No more work is begun; what was in hand comes back after its acknowledgement is overdue.
        async with up(state, config(QUIET, one=one.url, two=two.url)) as running:
            await running.line("ready")
            operator = await nats.connect(running.connection.operator_url)
            js = operator.jetstream(timeout=60)
            await shorten_ack_wait(js, ACK_WAIT_S)
            async with Client(running.connection.nats_url, timeout_s=60) as client:

                async def all_known() -> bool:
                    return {str(view.model) for view in (await client.models()).models} == {
                        "one/a",
                        "one/b",
                        "one/c",
                        "two/a",
                        "two/d",
                    }

                await eventually(all_known, what="all models known")
            await eventually(lambda: recorded(js), what="everything recorded")

            async def each_once() -> list[tuple[str, str]]:
                # What was in hand may still publish: then the two are compared again.
                events = await stored(js, "MODELS") + await stored(js, "ENDPOINTS")
                return (
                    events if kept(state / "vedette.db") == Counter(plain(one) for _, one in events) else []
                )

            events = await eventually(each_once, what="every event in the database, once")
            await close(operator)
            assert await running.stop() == 0

    found = Counter(subject for subject, _ in events if subject.startswith("model.found."))
    assert set(found.values()) == {1}
    assert len(found) == 5
    assert ticks
    assert set(ticks.values()) == {1}
