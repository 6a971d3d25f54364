"""Clients of the bus that mean no good: what they send is answered, told off or cut, and harms nobody else."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random

import msgspec
import nats
import nats.errors
import pytest
from nats.aio.client import Client as NatsClient

from benchmarks.machine import resident_mb
from eventually import eventually
from faults.breaking import say_nothing
from faults.replicas import Replica
from samples import lifecycle_event
from vedette.bus.bus import Bus
from vedette.bus.connection import barrier, close
from vedette.client import Client
from vedette.messages.channels import QUERIES
from vedette.messages.queries import ErrorReply
from vedette.runtime.nats_server import NatsServer
from vedette.testing import EPOCH
from vedette.types import ModelRef

MODEL = ModelRef("host", "model:1b")
MAX_BYTES = 1024 * 1024
STREAMS = ("MODELS", "ENDPOINTS", "JOBS", "SCHEDULE", "DEAD", "REPORTS")
FLOOD = 20_000
_WISH = {
    "use_case": "chat",
    "capabilities": ["chat"],
    "limit": 3,
    "constraints": {"min_context_tokens": 1, "exclude": ["a/b"]},
    "weights": {"speed": 1.0},
    "risk": "neutral",
    "caller": "me",
}
_WINDOW = {"since": "2026-11-01T00:00:00Z", "until": "2026-11-02T00:00:00Z"}
_PAST = {"model": str(MODEL), "buckets": 10, **_WINDOW}
VALID = {
    **dict.fromkeys(("recommend.best", "recommend.top", "recommend.explain"), _WISH),
    "recommend.asof": {**_WISH, "at": "2026-11-01T00:00:00Z"},
    "models.list": {"capabilities": ["chat"], "text": "model", "limit": 10, "offset": 0},
    "models.asof": {"at": "2026-11-01T00:00:00Z", "text": "model", "limit": 10},
    "models.get": {"model": str(MODEL)},
    "endpoints.list": {},
    "report.outcome": {
        "model": str(MODEL),
        "outcome": "ok",
        "ttft_ms": 12.0,
        "output_tokens": 7,
        "caller": "me",
    },
    "report.measured": {"reports": [{"model": str(MODEL), "outcome": "ok", "ttft_ms": 12.0}]},
    "history.availability": _PAST,
    "history.performance": _PAST,
    "history.models": {"models": [str(MODEL)], **_WINDOW},
    "history.asof": {"at": "2026-11-01T00:00:00Z", "limit": 5},
}
# No word of where it runs, of what, or how it asks its database.
LEAKS = ("Traceback", "site-packages", ".py", str(Path(__file__).parents[2]), sys.prefix, "sqlite", "SELECT ")


@pytest.fixture
async def services(bus: Bus, server: NatsServer, tmp_path: Path) -> AsyncIterator[list[Replica]]:
    """Run a recommender and a recorder, each as its own user."""
    config = tmp_path / "vedette.toml"
    config.write_text(
        f'[nats]\nprovision = false\n[database]\nurl = "sqlite+aiosqlite:///{tmp_path / "vedette.db"}"\n'
    )
    await bus.publisher.advance_model(MODEL, lambda _: lifecycle_event("found", MODEL, at=EPOCH), known=None)
    async with (
        Replica("recommender", 0, server.url("recommender"), config) as recommender,
        Replica("recorder", 0, server.url("recorder"), config) as recorder,
    ):
        yield [recommender, recorder]


@asynccontextmanager
async def agent(server: NatsServer, user: str = "agent") -> AsyncIterator[NatsClient]:
    """Connect as an agent of one's own, or as another *user*."""
    connection = await nats.connect(server.url(user), error_cb=say_nothing, max_reconnect_attempts=0)
    yield connection
    with suppress(nats.errors.Error):
        await close(connection)


def payloads(valid: bytes, rng: Random) -> Iterator[bytes]:
    """Yield what no honest client sends, some of it nearly right."""
    yield from (
        b"",
        b"null",
        b"[]",
        b"\xff\xfe\x00",
        b"{",
        b'{"use_case": NaN}',
        b'"' + b"\\u0000" * 50 + b'"',
    )
    yield b"[" * 100_000
    yield b'{"a":' * 50_000 + b"1" + b"}" * 50_000
    yield b'{"use_case": "' + b"x" * (MAX_BYTES - 100) + b'"}'
    document = json.loads(valid)
    for key in document:
        for value in (
            None,
            -1,
            2**70,
            1e999,
            "\x00\x1b[2J",
            "../../etc/passwd",
            ["x"] * 5_000,
            {"$gt": ""},
            True,
        ):
            yield json.dumps({**document, key: value}).encode()
    for _ in range(100):
        broken = bytearray(valid)
        for _ in range(rng.randint(1, 6)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        yield bytes(broken)
        yield rng.randbytes(rng.randint(1, 300))


@pytest.mark.fault("random bytes, deep nesting, a megabyte, mutated requests", "I4", "I5", "I13")
async def test_whatever_is_asked_is_answered_or_told_off(
    services: list[Replica], server: NatsServer, record_property: Callable[[str, object], None]
) -> None:
    """Each question of the contracts; no reply tells of our insides, and both services live."""
    rng = Random(5)
    trials = 0
    async with agent(server) as agents, agent(server, "operator") as operators:
        for question in QUERIES:
            if question.service not in ("recommender", "recorder"):
                continue
            connection = agents if question.public else operators
            valid = json.dumps(VALID[question.subject]).encode()
            for payload in payloads(valid, rng):
                reply = await connection.request(question.subject, payload, timeout=60)
                trials += 1
                text = reply.data.decode()
                assert not any(leak in text for leak in LEAKS), (question.subject, payload[:200], text[:500])
                if "Nats-Service-Error-Code" in (reply.headers or {}):
                    error = msgspec.json.decode(reply.data, type=ErrorReply)
                    assert error.error.code != "internal", (question.subject, payload[:200], error)
                else:
                    msgspec.json.decode(reply.data, type=question.reply)
    record_property("trials", trials)
    assert [await service.health() for service in services] == [200, 200]


@pytest.mark.fault("an agent floods with queries and reads no reply", "I4", "I6", "I13", trials=FLOOD)
async def test_a_flood_keeps_nobody_else_from_an_answer(
    services: list[Replica], server: NatsServer, tmp_path: Path
) -> None:
    """The broker cuts it off; another asks meanwhile and is answered, and nobody keeps what it does not take."""

    async def cut() -> bool:
        return "Slow Consumer" in (tmp_path / "nats" / "nats-server.log").read_text()

    before_mb = resident_mb(services[0].process.pid)
    slowest, asked = 0.0, 0
    async with Client(server.url("agent"), timeout_s=60) as honest:
        flooding = asyncio.create_task(_flood(server, cut))
        while not flooding.done() or asked < 50:
            began = time.monotonic()
            await honest.best("chat")
            slowest = max(slowest, time.monotonic() - began)
            asked += 1
        await flooding
        await honest.best("chat")
    grown_mb = resident_mb(services[0].process.pid) - before_mb
    print(
        f"{asked} honest questions, the slowest took {slowest:.2f} s; the recommender grew by {grown_mb:.0f} MB"
    )
    assert grown_mb < 50
    assert await services[0].health() == 200


async def _flood(server: NatsServer, cut: Callable[[], Awaitable[bool]]) -> None:
    """Ask FLOOD questions over a bare socket that is never read, and wait until it is *cut*."""
    login, _, where = server.url("agent").removeprefix("nats://").partition("@")
    user, _, password = login.partition(":")
    host, _, port = where.partition(":")
    _, writer = await asyncio.open_connection(host, int(port), limit=1)  # it stops reading after two bytes
    connect = json.dumps({"user": user, "pass": password, "verbose": False, "headers": True})
    writer.write(f"CONNECT {connect}\r\nSUB _INBOX.flood 1\r\n".encode())
    # Its replies are larger than what the kernel's buffers between the two hold.
    asking = b"PUB models.list _INBOX.flood 2\r\n{}\r\n"
    with suppress(OSError):
        for _ in range(FLOOD // 100):
            writer.write(asking * 100)
            await writer.drain()
            await asyncio.sleep(0.01)
    await eventually(cut, what="the broker to cut who reads nothing")
    writer.transport.abort()


@pytest.mark.fault("a query whose reply is to go to an internal subject", "I2", "I13")
async def test_answers_go_nowhere_but_to_agents(
    services: list[Replica], bus: Bus, server: NatsServer
) -> None:
    """Whatever reply subject an agent names: no stream takes it, no service hears it, no watcher believes it."""
    before = {name: (await bus.js.stream_info(name)).state.last_seq for name in STREAMS}
    subjects = (
        "model.found.host.forged",
        "model.found",
        "recommend.changed.chat",
        "job.probe.host.x",
        "dead.recorder",
        "report.host.model",
        "schedule.discovery",
        "$JS.API.STREAM.DELETE.MODELS",
        "$JS.API.STREAM.PURGE.MODELS",
        "$KV.x.y",
        "_INBOX.recommender.x",
    )
    async with (
        Client(server.url("agent"), timeout_s=60) as watcher,
        agent(server) as hostile,
        watcher.watch(events=["model.found"]) as watching,
    ):
        for subject in subjects:
            for question in ("recommend.best", "models.list", "$SRV.INFO"):
                await hostile.publish(question, b'{"use_case": "chat"}', reply=subject)
        await barrier(hostile)
        for _ in range(20):
            await watcher.best("chat")  # what was asked before is answered by now
        found = lifecycle_event("found", ModelRef("host", "real"), at=EPOCH)
        await bus.publisher.advance_model(found.model, lambda _: found, known=None)
        event = await anext(watching)
    assert event == found  # and nothing that was forged before it
    after = {name: (await bus.js.stream_info(name)).state.last_seq for name in STREAMS}
    assert {**after, "MODELS": after["MODELS"] - 1} == before
    assert [await service.health() for service in services] == [200, 200]
