"""Wrong clocks: of one process, of one replica of many, and what a wrong clock has left in the streams."""

import asyncio
import sqlite3
import urllib.error
import urllib.request
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from commands import Up, started, up
from eventually import eventually
from faketime import faked
from providers.fake_ollama import fake_ollama
from samples import lifecycle_event, probe_event, recorded_rows, winner_event
from vedette import Client, log
from vedette.bus.bus import Bus
from vedette.bus.connection import connect
from vedette.clock import SystemClock
from vedette.messages import ids
from vedette.messages.codec import decode_event
from vedette.messages.events import AnswerChanged, Event, Job, ModelProbed, Tick
from vedette.messages.tolerance import FUTURE, is_future
from vedette.runtime import process
from vedette.runtime.nats_server import NatsServer
from vedette.settings import EndpointSettings, Nats, Schedule, Settings
from vedette.types import ModelRef, Status
from vedette_recorder import tables
from vedette_recorder.handlers import Recording
from vedette_recorder.lag_monitor import LagMonitor
from vedette_recorder.store import Store
from vedette_recorder.streams import held as held_by

CONFIG = """
[endpoints.box]
url = "{url}"
benchmark = false
evaluate = false
verify_capabilities = false
[schedule]
availability = "1s"
retention = "1s"
"""
MODEL = ModelRef("box", "a:1b")
MONTH = timedelta(days=31)
HELD = 5  # seconds for which nothing may happen that would happen every second


def _read(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=60) as reply:
            return str(reply.read().decode())
    except urllib.error.HTTPError as error:
        return str(error.read().decode())


async def read(running: Up, path: str) -> str:
    """Return what *running* serves at *path*."""
    return await asyncio.to_thread(_read, running.connection.health_url + path)


def recorded(state: Path) -> tuple[int, int]:
    """Return how many probes are recorded, and how many of them lie in the future."""
    with closing(sqlite3.connect(state / "vedette.db")) as database:
        (count,) = database.execute("SELECT count(*) FROM model_availability_history").fetchone()
        future = "SELECT count(*) FROM model_availability_history WHERE measured_at > ?"
        (ahead,) = database.execute(future, (f"{datetime.now(UTC) + FUTURE:%Y-%m-%d %H:%M:%S}",)).fetchone()
    return count, ahead


async def until_more(state: Path, than: int) -> int:
    """Wait until more probes are recorded than so many; return how many."""

    async def ask() -> int:
        count, _ = recorded(state)
        return count if count > than else 0

    return await eventually(ask, what=f"more than {than} probes recorded")


async def ticks(running: Up) -> list[datetime]:
    """Return the last slot of every job that ticks."""
    async with connect(Nats(url=running.connection.operator_url), name="test") as connection:
        bus = Bus(connection, name="test", clock=SystemClock(), log=log.logger("test"))
        events = [decode_event(held.subject, held.payload) async for held in held_by(bus, "SCHEDULE")]
        return [event.slot for event in events if isinstance(event, Tick)]


@pytest.mark.fault("a process has a wrong clock", "I1", "I5", "I10")
@pytest.mark.parametrize(("offset", "told"), [("+31d", "31.0 days ahead of"), ("-1h", "60.0 minutes behind")])
async def test_a_process_with_a_wrong_clock_touches_nothing_and_says_so(
    tmp_path: Path, offset: str, told: str
) -> None:
    """It neither ticks nor deletes nor stamps; it answers; when its clock is right again, all goes on."""
    state, environment = tmp_path / "state", faked(offset)
    async with fake_ollama() as ollama:
        ollama.models[MODEL.name] = "d1"
        config = CONFIG.format(url=ollama.url)
        async with up(state, config) as running:
            await running.line("ready")
            await until_more(state, 3)
            await running.stop()
        async with up(state, config, **environment) as running:
            assert told in await running.line("clock")
            await running.line("ready")

            async def unready() -> bool:
                return told in await read(running, "/readyz")

            await eventually(unready, what="said by /readyz")
            # What the first had published when it stopped is recorded by now, too.
            slots, (before, _) = await ticks(running), recorded(state)
            await asyncio.sleep(HELD)  # what must not happen cannot be waited for
            assert await ticks(running) == slots
            assert recorded(state) == (before, 0)
            ahead = next(
                float(line.split()[1])
                for line in (await read(running, "/metrics/")).splitlines()
                if line.startswith('vedette_clock_offset_seconds{of="nats",vedette_service="ticker"}')
            )
            assert abs(ahead) > 3000
            doctor = await running.ask("doctor", "--config", str(state.with_suffix(".toml")))
            assert doctor.code == 1
            assert told in doctor.out.replace("\n", " ")
            # Answers are by the time of the server: the last 24 hours have the probes in them.
            (model,) = (await running.ask("models", "--json")).json()["models"]
            assert model["availability"]["uptime_24h"] == 1.0
            await running.stop()
        async with up(state, config) as running:
            await until_more(state, before)
            assert not any(is_future(slot, datetime.now(UTC)) for slot in await ticks(running))
            assert recorded(state)[1] == 0


class Wrong(Store):
    """A store whose database has a clock of its own, a month ahead."""

    async def time(self) -> datetime | None:
        """Return what that clock shows."""
        return datetime.now(UTC) + MONTH


def old_and_new(hours: int) -> list[Event]:
    """Return a probe that is older than is kept, and then one in each of the last *hours*."""
    now = datetime.now(UTC)
    times = [now - MONTH, *(now - timedelta(hours=n) for n in range(hours))]
    return [probe_event(MODEL, at=at, job_id=f"{at:%d%H%M}") for at in times]


@pytest.mark.fault("the database has a wrong clock", "I1", "I5")
@pytest.mark.parametrize(("store_of", "hours"), [(Wrong, 20), (Store, 3), (Store, 20)])
async def test_history_is_deleted_by_no_clock_that_is_in_doubt(
    bus: Bus, tmp_path: Path, store_of: type[Store], hours: int
) -> None:
    """Neither while that of the database differs, nor before hours were recorded after a long break."""
    async with store_of(f"sqlite+aiosqlite:///{tmp_path}/vedette.db") as store:
        await store.migrate()
        await store.write(recorded_rows(old_and_new(hours), at=datetime.now(UTC)))
        recorder = Recording(
            bus=bus,
            store=store,
            lag_monitor=LagMonitor(bus=bus, store=store, clock=bus.clock),
            clock=bus.clock,
            retention=timedelta(days=30),
        )
        await recorder.open()
        now = datetime.now(UTC)
        for _ in range(3):  # saying it again confirms nothing
            await recorder.on_tick(Tick(id=ids.derive(now, "t"), at=now, job="retention", slot=now))
        left = await store.count(tables.model_availability_history)
        trouble, note = await recorder.trouble(), await recorder.note()
    if store_of is Wrong:
        assert (left, "behind that of the database" in (trouble or "")) == (hours + 1, True)
    else:
        assert trouble is None
        assert left == (hours + 1 if hours < 12 else hours)
        assert (note is None) == (hours >= 12)


@pytest.mark.fault("a wrong clock has left its dates in the streams", "I5")
async def test_a_job_that_was_given_back_until_the_future_makes_room(bus: Bus) -> None:
    """An older version gave it back for a month, for which the endpoint would not have been probed."""
    await ruin(bus)
    now = Job(id="n", at=datetime.now(UTC), kind="probe", group="h", endpoint="other", cause="tick")
    await bus.publisher.enqueue(now)
    assert await bus.drop_future_probes() == 1
    assert [held.subject async for held in held_by(bus, "JOBS")] == [now.subject]


@pytest.mark.fault("one replica of many has a wrong clock", "I5", "I12")
async def test_one_replica_with_a_wrong_clock_changes_nothing_for_the_others(
    bus: Bus, server: NatsServer, settings: Settings, tmp_path: Path
) -> None:
    """Ticks and probes go on at the right time, and nobody dates anything in the future."""
    async with fake_ollama() as ollama:
        ollama.models[MODEL.name] = "d1"
        endpoint = EndpointSettings(url=ollama.url, benchmark=False, evaluate=False)
        chosen = msgspec.structs.replace(
            settings,
            endpoints={"box": endpoint},
            schedule=Schedule(availability="1s", retention="24h"),
        )
        config = tmp_path / "wrong.toml"
        config.write_text(CONFIG.format(url=ollama.url))
        command = (
            "run",
            "ticker",
            "prober",
            "discoverer",
            "--nats",
            server.url("operator"),
            "--config",
            str(config),
        )
        async with (
            started(tmp_path, *command, **faked("+31d")) as wrong,
            process.run(chosen, ["ticker", "prober", "discoverer"]),
        ):
            await wrong.line("ready")
            since = datetime.now(UTC)

            async def probed() -> bool:
                held = await bus.streams.last("MODELS", f"model.probed.box.{MODEL.name.replace(':', '=3A')}")
                return held is not None and held.event.at > since + timedelta(seconds=HELD)

            await eventually(probed, what="probed on and on")
            await wrong.lives()
        for stream in ("SCHEDULE", "MODELS", "ENDPOINTS", "JOBS"):
            async for held in held_by(bus, stream):
                event = decode_event(held.subject, held.payload)
                assert not is_future(event.at, datetime.now(UTC)), event


async def ruin(bus: Bus) -> None:
    """Leave in the streams what a version left that believed its clock, a month ahead."""
    now = datetime.now(UTC)
    future = now + MONTH
    events: list[tuple[str, Event]] = [
        ("MODELS", lifecycle_event("found", MODEL, at=now)),
        ("MODELS", probe_event(MODEL, at=future, job_id="p")),
        *(
            ("SCHEDULE", Tick(id=ids.derive(future, job), at=future, job=job, slot=future))  # type: ignore[arg-type]
            for job in ("availability", "discovery", "retention")
        ),
        ("ANSWERS", winner_event(MODEL, at=future)),
    ]
    for stream, event in events:
        await bus.publisher.advance(stream, event.subject, lambda _, event=event: event)
    await bus.publisher.enqueue(Job(id="j", at=future, kind="probe", group="h", endpoint="box", cause="tick"))


@pytest.mark.fault(
    "a wrong clock has left its dates in the streams",
    "I5",
    "I10",
    without=("vedette_ticker.schedule:is_future", lambda *_: False),
)
async def test_what_a_wrong_clock_left_heals_by_itself(bus: Bus, settings: Settings) -> None:
    """Ticks go on, a job of the future is done, a dead endpoint is seen to be dead, and that is announced."""
    endpoint = EndpointSettings(url="http://127.0.0.1:1", benchmark=False, evaluate=False, host_group="h")
    chosen = msgspec.structs.replace(
        settings, endpoints={"box": endpoint}, schedule=Schedule(availability="1s", discovery="1h")
    )
    await ruin(bus)
    async with (
        process.run(chosen, ["recommender", "prober", "ticker"]) as running,
        Client(running.connection.nats_url, timeout_s=60) as client,
    ):

        async def dead() -> bool:
            (model,) = (await client.models()).models
            return model.status == Status.UNREACHABLE

        await eventually(dead, what="the dead endpoint unreachable")
        now = datetime.now(UTC)
        probed = await bus.streams.last("MODELS", f"model.probed.box.{MODEL.name.replace(':', '=3A')}")
        assert probed is not None
        assert isinstance(probed.event, ModelProbed)
        assert not is_future(probed.event.health.checked_at, now)
        tick = await bus.streams.last("SCHEDULE", "schedule.availability")
        assert tick is not None
        assert not is_future(tick.event.at, now)

        async def announced() -> bool:
            answer = await bus.streams.last("ANSWERS", "answer.chat")
            return isinstance(answer and answer.event, AnswerChanged) and answer.event.model is None

        await eventually(announced, what="that no model is a candidate")

        async def no_job() -> bool:
            return [held async for held in held_by(bus, "JOBS") if b'"j"' in held.payload] == []

        await eventually(no_job, what="the job of the future done")
