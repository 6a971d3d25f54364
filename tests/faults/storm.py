"""The recorder in a storm: killed while it works, its database and its broker gone for a while, again and again.

Then everything heals, the last message is recorded, and what the database holds is compared with what the broker
had acknowledged.
"""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import islice
from pathlib import Path
from random import Random

import nats
import sqlalchemy as sa
from msgspec import Struct
from nats.aio.client import Client as NatsClient

from commands import Up, started
from eventually import eventually
from faults.breaking import Broker, Database, say_nothing
from faults.publishing import TABLES, Publisher, events, recorded
from redelivery import shorten_ack_wait
from vedette.bus.connection import RECONNECT_UNLIMITED, close
from vedette.bus.provisioning import provision
from vedette.messages.events import Event
from vedette.settings import Nats, Settings
from vedette_recorder import tables
from vedette_recorder.store import Store

_EXPECTED_MODELS = 10
_QUIET_WITHIN_S = 300.0


class Plan(Struct, frozen=True, kw_only=True):
    """How much of everything. *ack_wait_s* is the product's own unless it is given."""

    events: int = 50_000
    kills: int = 20
    database_outages: int = 5
    broker_kills: int = 5
    longest_outage_s: float = 7.0
    ack_wait_s: float | None = None
    seed: int = 6


class Round(Struct, frozen=True, kw_only=True):
    """A recorder's life, from its start or, not being `early`, from when it is ready, until it is killed."""

    events: int
    early: bool
    kill_after_s: float
    break_after_s: float
    database_down_s: float | None
    broker_down_s: float | None


def rounds(plan: Plan) -> Iterator[Round]:
    """Yield as many rounds as *plan* has kills; the last outage of each kind is left for afterwards."""
    rng = Random(plan.seed)
    order = rng.sample(range(plan.kills), plan.kills)
    outages, broken = plan.database_outages - 1, plan.broker_kills - 1
    for place in order:
        database_down_s = rng.uniform(0.5, plan.longest_outage_s) if place < outages else None
        broker_down_s = rng.uniform(0, 2) if outages <= place < outages + broken else None
        early = outages + broken <= place < outages + broken + plan.kills // 5
        yield Round(
            events=plan.events // (plan.kills + 1),
            early=early,
            # Half of those that meet an outage live to see its end.
            kill_after_s=rng.uniform(0, 2 * (database_down_s or broker_down_s or 0.75)),
            break_after_s=rng.uniform(0, 0.2),
            database_down_s=database_down_s,
            broker_down_s=broker_down_s,
        )


class Findings(Struct, frozen=True, kw_only=True):
    """What the database holds, beside what the broker had acknowledged."""

    events: int  # acknowledged
    lost: int  # acknowledged, and not in the table where they belong
    doubled: int  # rows too many of one event
    unknown: int  # rows of what was never acknowledged
    stale: int  # subjects whose current state is not their newest message


class Outcome(Struct, frozen=True, kw_only=True):
    """What happened in the storm, and what was found after it."""

    kills: int
    database_outages: int
    broker_kills: int
    again: int  # events published again, their acknowledgement being lost
    findings: Findings
    seconds: float

    def line(self, database: str) -> str:
        """Return it in a line."""
        found = self.findings
        return (
            f"{database}: {found.events} events ({self.again} published again), {self.kills} recorder kills, "
            f"{self.database_outages} database outages, {self.broker_kills} broker kills: "
            f"{found.lost} lost, {found.doubled} doubled, {found.unknown} unknown, {found.stale} stale; "
            f"{self.seconds:.0f} s"
        )


class Scene:
    """A broker, a database, and events that are published to the one and should get into the other."""

    def __init__(
        self,
        *,
        directory: Path,
        broker: Broker,
        connection: NatsClient,
        database: Database,
        source: Iterator[Event],
    ) -> None:
        self._directory = directory
        self._broker = broker
        self._js = connection.jetstream(timeout=60)
        self._database = database
        self._source = source
        self.publisher = Publisher(connection)
        self.database_outages = 0
        self.broker_kills = 0

    async def publish(self, number: int) -> None:
        """Have the next *number* events acknowledged."""
        await self.publisher.publish(islice(self._source, number))

    async def database_down(self, for_s: float) -> None:
        """Have the database take nothing for *for_s*."""
        self.database_outages += 1
        await self._database.break_down(for_s)

    async def broker_down(self, for_s: float) -> None:
        """Kill the broker, and start it again after *for_s*."""
        self.broker_kills += 1
        await self._broker.break_down(for_s)

    def recorder(self) -> AbstractAsyncContextManager[Up]:
        """Start a recorder."""
        config = self._directory / "recorder.toml"
        config.write_text(
            f'[nats]\nexpected_models = {_EXPECTED_MODELS}\n[database]\nurl = "{self._database.url}"\n'
        )
        url = self._broker.server.url("operator")
        return started(self._directory, "run", "recorder", "--nats", url, "--config", str(config))

    async def recorded(self) -> bool:
        """Return whether the recorder has acknowledged everything there is."""
        return await recorded(self._js)

    async def findings(self) -> Findings:
        """Compare the database with what was acknowledged."""
        return await findings(self.publisher, self._database.url)

    async def shorten_ack_wait(self, to_s: float) -> None:
        """Have what a killed recorder held delivered again after *to_s*."""
        await shorten_ack_wait(self._js, to_s)


async def findings(publisher: Publisher, url: str) -> Findings:
    """Compare the database at *url* with what *publisher* knows to be acknowledged."""
    published = Counter((table, event_id) for event_id, table in publisher.acknowledged.items())
    held: Counter[tuple[str, str]] = Counter()
    async with Store(url) as store:
        for table in {table.name: table for table in TABLES.values()}.values():
            rows = await store.read(sa.select(table.c.event_id))
            held.update((table.name, row["event_id"]) for row in rows)
        current = tables.current_state
        rows = await store.read(sa.select(current.c.subject, current.c.sequence, current.c.payload))
    state = {row["subject"]: (row["sequence"], row["payload"]) for row in rows}
    newest = publisher.newest
    return Findings(
        events=published.total(),
        lost=len(published - held),
        doubled=held.total() - len(held),
        unknown=len(held.keys() - published.keys()),
        stale=sum(state.get(subject) != newest.get(subject) for subject in state.keys() | newest.keys()),
    )


@asynccontextmanager
async def scene(directory: Path, database: Database, *, number: int, seed: int) -> AsyncIterator[Scene]:
    """Run a broker with its streams made, for *number* events into *database*."""
    async with Broker(directory / "nats") as broker:
        url = broker.server.url("operator")
        connection = await nats.connect(url, error_cb=say_nothing, **RECONNECT_UNLIMITED)
        try:
            await provision(connection, Settings(nats=Nats(url=url, expected_models=_EXPECTED_MODELS)))
            yield Scene(
                directory=directory,
                broker=broker,
                connection=connection,
                database=database,
                source=events(number, seed=seed),
            )
        finally:
            await close(connection)


async def weather(directory: Path, database: Database, plan: Plan) -> Outcome:
    """Bring the storm of *plan* over a recorder that writes into *database*; return what was found after it."""
    began = time.monotonic()
    async with scene(directory, database, number=plan.events, seed=plan.seed) as on:
        if plan.ack_wait_s:
            await on.shorten_ack_wait(plan.ack_wait_s)
        for one in rounds(plan):
            await _live_and_die(on, one)
        async with on.recorder() as last:
            await last.line("ready")
            await asyncio.gather(
                on.publish(plan.events),
                on.database_down(plan.longest_outage_s),
                on.broker_down(1.0),
            )

            async def quiet() -> bool:
                await last.lives()
                return await on.recorded()

            await eventually(quiet, within_s=_QUIET_WITHIN_S, what="everything recorded")
            code = await last.stop()
            assert code == 0, await last.complaints()
        return Outcome(
            kills=plan.kills,
            database_outages=on.database_outages,
            broker_kills=on.broker_kills,
            again=on.publisher.again,
            findings=await on.findings(),
            seconds=time.monotonic() - began,
        )


async def _live_and_die(on: Scene, one: Round) -> None:
    waiting = 0 if one.early else one.events // 2
    async with on.recorder() as recorder:
        if not one.early:
            await asyncio.gather(on.publish(waiting), recorder.line("ready"))

        async def kill() -> None:
            await asyncio.sleep(one.kill_after_s)  # the moment is the point
            code = await recorder.stop(signal.SIGKILL)
            # It lives through whatever else happens.
            assert code == -signal.SIGKILL, await recorder.complaints()

        async def break_down() -> None:
            await asyncio.sleep(one.break_after_s)
            if one.database_down_s is not None:
                await on.database_down(one.database_down_s)
            if one.broker_down_s is not None:
                await on.broker_down(one.broker_down_s)

        await asyncio.gather(on.publish(one.events - waiting), kill(), break_down())
