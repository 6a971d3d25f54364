"""A soak: replicas of every service, a thousand models, agents that ask, and a random fault every few seconds.

    python -m faults.soak --minutes 10

At the end everything heals, and what the database holds is compared with what the streams hold. Needs PostgreSQL,
since several recorders share the database.
"""

import argparse
import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from random import Random

import msgspec
import nats
import sqlalchemy as sa
from msgspec import Struct
from nats.aio.client import Client as NatsClient

import postgres
from benchmarks.machine import resident_mb
from eventually import eventually
from faults.asking import Question
from faults.breaking import Broker, Postgres
from faults.publishing import STREAMS, recorded
from faults.replicas import Replica
from providers.fake_ollama import FakeOllama, fake_ollama
from providers.replay import hang, reply
from vedette.bus.connection import RECONNECT_UNLIMITED, close
from vedette.bus.provisioning import provision
from vedette.runtime.subprocesses import child, last_line
from vedette.settings import Nats, Settings
from vedette_recorder import tables
from vedette_recorder.store import Store

SERVICES = ("recorder", "recommender", "benchmarker", "prober", "discoverer", "ticker")
ENDPOINTS = 10
# The client tries twice for two seconds; the rest is this machine's, which runs everything at once.
DEADLINE_S = 6.0
GRACE_S = 45.0  # terminationGracePeriodSeconds of deploy/kubernetes
# What may keep a question from its answer though two other recommenders are there: they are asked through the broker,
# and a replica that is killed or frozen takes what it was asked with it. One that is told to end answers it first.
EXCUSES = ("broker killed", "broker frozen", "recommender SIGKILL", "recommender SIGSTOP")
_BACK_S = 6.0  # until clients have noticed that the broker is back, and tried again
_QUIET_WITHIN_S = 300.0
_CONFIG = """
[nats]
provision = false
expected_models = {models}
[database]
url = "{database}"
[schedule]
availability = "{probe_every_s}s"
discovery = "2m"
performance = "5m"
[benchmarking]
runs = 1
output_tokens = 16
"""
_ENDPOINT = """
[endpoints.host-{n}]
url = "{url}"
host_group = "host-{n}"
evaluate = false
verify_capabilities = false
"""


class Plan(Struct, frozen=True, kw_only=True):
    """How much of everything."""

    minutes: float = 10.0
    replicas: int = 3
    models: int = 1_000
    questions_per_s: float = 200.0
    fault_every_s: float = 5.0
    probe_every_s: int = 60
    settle_s: float = 60.0  # until memory is watched
    seed: int = 8


class Trouble(Struct, frozen=True, kw_only=True):
    """A fault, while it lasts and until all is well again: seconds since 1970."""

    kind: str
    began: float
    ended: float


class Memory(Struct, frozen=True, kw_only=True):
    """What a replica that lived all the time had resident, in MB: when settled, at the end, and the slope between."""

    replica: str
    settled_mb: float
    last_mb: float
    mb_per_minute: float


class Soaked(Struct, frozen=True, kw_only=True):
    """What came of it."""

    minutes: float
    faults: Counter[str]
    answered: int
    refused: dict[str, int]  # typed errors, by what they said
    because: Counter[str]  # of those, by what was broken then; "nothing" is a failure of ours
    late: int  # neither an answer nor a typed error within the deadline
    slowest_s: float
    p99_ms: float
    events: int
    lost: int
    unknown: int | None  # None where a stream has dropped some, so that nobody can tell
    doubled: int  # measurements of one job that stand twice
    memory: tuple[Memory, ...]
    restarts: dict[str, int]
    problems: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """Whether something did not hold."""
        counts = (self.late, self.lost, self.unknown, self.doubled, self.because["nothing"])
        return any(counts) or bool(self.problems)

    def lines(self) -> list[str]:
        """Return it in lines."""
        unknown = "nobody can tell how many" if self.unknown is None else self.unknown
        asked = self.answered + sum(self.refused.values()) + self.late
        return [
            f"{self.minutes:g} minutes, {self.faults.total()} faults: "
            + ", ".join(f"{count} x {kind}" for kind, count in sorted(self.faults.items())),
            f"{asked:,} questions: {self.answered:,} answered (p99 {self.p99_ms:.0f} ms), "
            f"{sum(self.refused.values())} typed errors {self.refused}, during {dict(self.because)}, "
            f"{self.late} without either; the slowest took {self.slowest_s:.1f} s",
            f"{self.events:,} events: {self.lost} lost, {unknown} unknown, {self.doubled} doubled",
            *(
                f"memory of {one.replica}: {one.settled_mb:.0f} MB, {one.last_mb:.0f} MB at the end, "
                f"{one.mb_per_minute:+.2f} MB a minute"
                for one in self.memory
            ),
            *(f"{n} x ended while it started: {words}" for words, n in self.restarts.items()),
            *(f"PROBLEM: {problem}" for problem in self.problems),
        ]


class Soak:
    """A small cluster, the agents that ask it, and what breaks it."""

    def __init__(
        self,
        directory: Path,
        plan: Plan,
        broker: Broker,
        database: Postgres,
        servers: list[FakeOllama],
        replicas: list[Replica],
    ) -> None:
        self._plan = plan
        self._rng = Random(plan.seed)
        self._broker = broker
        self._database = database
        self._servers = servers
        self._directory = directory
        self._replicas = replicas
        self._shared = asyncio.Lock()  # one thing that all depend on is broken at a time
        self.questions: list[Question] = []
        self.troubles: list[Trouble] = []
        self.memory: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self.problems: list[str] = []
        self.restarts: Counter[str] = Counter()  # by the last words of who ended while it started

    # --- Asking ---------------------------------------------------------------------------------------------

    async def ask(self, seconds: float) -> None:
        """Have questions asked by a process of its own, which this one's work does not keep waiting."""
        file = self._directory / "questions.json"
        url = self._broker.server.url("agent")
        wanted = [url, str(self._plan.questions_per_s), str(seconds), str(file)]
        command = [sys.executable, "-m", "faults.asking", *wanted]
        log = self._directory / "asking.log"
        async with child(command, log=log) as process:
            if await process.wait():
                raise RuntimeError(f"who asks has ended: {last_line(log)}")
        self.questions = msgspec.json.decode(file.read_bytes(), type=list[Question])

    # --- Breaking -------------------------------------------------------------------------------------------

    async def break_things(self, until: float) -> None:
        """Begin a fault every few seconds, while the ones before may still last."""
        async with asyncio.TaskGroup() as faults:
            while time.time() < until:
                kind, fault = self._next()
                faults.create_task(self._try(kind, fault))
                await asyncio.sleep(self._plan.fault_every_s)

    def _next(self) -> tuple[str, Callable[[], Awaitable[None]]]:
        rare = self._rng.random()
        if rare < 0.07:
            return "broker killed", self._broker_killed
        if rare < 0.12:
            return "broker frozen", self._broker_frozen
        if rare < 0.2:
            return "database stopped", self._database_stopped
        if rare < 0.3:
            return "endpoint broken", self._endpoint_broken
        kind, fault = self._rng.choice(
            (("SIGKILL", self._killed), ("SIGTERM", self._terminated), ("SIGSTOP", self._frozen))
        )
        # The first of each is only frozen, so that there is one whose memory can be watched all the time.
        first = 0 if kind == "SIGSTOP" else 1
        service = self._rng.choice(SERVICES)
        whole = [replica for replica in self._replicas if replica.service == service and replica.whole]
        able = [replica for replica in whole if replica.place >= first]
        if len(whole) < 2 or not able:
            return self._next()
        victim = self._rng.choice(able)
        victim.whole = False
        return f"{service} {kind}", lambda: fault(victim)

    async def _try(self, kind: str, fault: Callable[[], Awaitable[None]]) -> None:
        began = time.time()
        try:
            await fault()
        except AssertionError as error:
            self.complain(f"{kind}: {error}")
        self.troubles.append(Trouble(kind=kind, began=began, ended=time.time()))

    async def _killed(self, replica: Replica) -> None:
        await replica.end(signal.SIGKILL, within_s=10)
        self.restarts.update(await replica.start_until_ready())

    async def _terminated(self, replica: Replica) -> None:
        code = await replica.end(signal.SIGTERM, within_s=GRACE_S)
        if code:
            self.complain(f"{replica} ended with {code} after SIGTERM: {last_line(replica.log)}")
        self.restarts.update(await replica.start_until_ready())

    async def _frozen(self, replica: Replica) -> None:
        replica.freeze()
        await asyncio.sleep(self._rng.uniform(2, 8))
        replica.resume()

    async def _broker_killed(self) -> None:
        async with self._shared:
            await self._broker.break_down(self._rng.uniform(0, 2))

    async def _broker_frozen(self) -> None:
        async with self._shared:
            os.kill(self._broker.server.pid, signal.SIGSTOP)
            await asyncio.sleep(self._rng.uniform(1, 4))
            os.kill(self._broker.server.pid, signal.SIGCONT)

    async def _database_stopped(self) -> None:
        async with self._shared:
            await self._database.break_down(self._rng.uniform(0.5, 4))

    async def _endpoint_broken(self) -> None:
        replay = self._rng.choice(self._servers).replay
        routes, otherwise = dict(replay.routes), replay.otherwise
        replay.routes.clear()
        replay.otherwise = self._rng.choice(
            (hang, reply(503, {"error": "busy"}), reply(200, "<html>"), reply(500))
        )
        await asyncio.sleep(self._rng.uniform(2, 8))
        replay.otherwise = otherwise
        replay.routes.update(routes)

    def complain(self, problem: str) -> None:
        """Note what did not hold, and say so at once."""
        _say(f"PROBLEM: {problem}")
        self.problems.append(problem)

    # --- Watching -------------------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Note what those have resident that live all the time; forget what servers were asked."""
        while True:
            for replica in self._replicas:
                if replica.starts == 1 and replica.lives:
                    with suppress(OSError, IndexError):  # it may be killed at this moment
                        taken = (time.monotonic(), resident_mb(replica.process.pid))
                        self.memory[str(replica)].append(taken)
            for server in self._servers:
                server.replay.requests.clear()
            await asyncio.sleep(5)

    def memories(self) -> tuple[Memory, ...]:
        """Return what each replica that was never ended had resident."""
        return tuple(
            _memory(str(replica), self.memory[str(replica)], self._plan.settle_s)
            for replica in self._replicas
            if replica.starts == 1 and len(self.memory[str(replica)]) > 3
        )

    def because(self, question: Question) -> str:
        """Return what kept *question* from its answer: the first that was broken while it waited, or `nothing`."""
        for trouble in self.troubles:
            if (
                trouble.kind in EXCUSES
                and trouble.began <= question.at + question.took_s <= trouble.ended + _BACK_S
            ):
                return trouble.kind
        return "nothing"


def _memory(replica: str, taken: list[tuple[float, float]], settle_s: float) -> Memory:
    begin = taken[0][0] + settle_s
    settled = [(at, mb) for at, mb in taken if at >= begin] or taken
    slope = statistics.linear_regression(*zip(*settled, strict=True)).slope * 60 if len(settled) > 2 else 0.0
    return Memory(replica=replica, settled_mb=settled[0][1], last_mb=settled[-1][1], mb_per_minute=slope)


@asynccontextmanager
async def _cluster(
    directory: Path, plan: Plan
) -> AsyncIterator[tuple[Soak, Broker, Postgres, list[Replica]]]:
    binaries = postgres.find_binaries()
    if binaries is None:
        raise SystemExit("PostgreSQL is missing; apt-get install postgresql")
    async with AsyncExitStack() as stack:
        socket = stack.enter_context(postgres.server(binaries))
        database = Postgres(binaries, socket, postgres.create_database(binaries, socket))
        broker = await stack.enter_async_context(Broker(directory / "nats"))
        share = plan.models // ENDPOINTS
        servers = [
            await stack.enter_async_context(
                fake_ollama(**{f"m{n}-{m:04}": f"{n}{m:04}" for m in range(share)})
            )
            for n in range(ENDPOINTS)
        ]
        config = directory / "vedette.toml"
        config.write_text(
            _CONFIG.format(models=plan.models, database=database.url, probe_every_s=plan.probe_every_s)
            + "".join(_ENDPOINT.format(n=n, url=server.url) for n, server in enumerate(servers))
        )
        connection = await nats.connect(broker.server.url("operator"))
        await provision(connection, Settings(nats=Nats(expected_models=plan.models)))
        await close(connection)
        replicas = []
        for service in SERVICES:
            made = [
                Replica(service, place, broker.server.url(service), config) for place in range(plan.replicas)
            ]
            replicas += await asyncio.gather(*(stack.enter_async_context(one) for one in made))
            _say(f"{plan.replicas} of {service} are ready")
        yield Soak(directory, plan, broker, database, servers, replicas), broker, database, replicas


async def soak(directory: Path, plan: Plan) -> Soaked:
    """Run a soak by *plan*; return what came of it."""
    async with _cluster(directory, plan) as (on, broker, database, replicas):
        async with _connected(broker) as connection:
            await eventually(
                lambda: _measured(connection, plan.models), within_s=300, what="every model found and probed"
            )
        seconds = plan.minutes * 60
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(on.watch())
            telling = group.create_task(_tell(on))
            await asyncio.gather(on.ask(seconds), on.break_things(time.time() + seconds))
            watching.cancel()
            telling.cancel()
        for replica in replicas:
            try:
                await eventually(replica.is_ready, what=f"{replica} ready again")
            except AssertionError as error:
                on.complain(f"{error}: {last_line(replica.log)}")
        memory = on.memories()
        await _end_all(on, [replica for replica in replicas if replica.service != "recorder"])
        async with _connected(broker) as connection:
            await eventually(
                lambda: recorded(connection.jetstream(timeout=60)),
                within_s=_QUIET_WITHIN_S,
                what="everything recorded",
            )
            streamed, whole = await _streamed(connection)
        await _end_all(on, [replica for replica in replicas if replica.service == "recorder"])
        held, doubled = await _held(database)
        refused = [q for q in on.questions if q.refused]
        took = sorted(q.took_s for q in on.questions if not q.refused and q.took_s <= DEADLINE_S)
        return Soaked(
            minutes=plan.minutes,
            faults=Counter(trouble.kind for trouble in on.troubles),
            answered=len(took),
            refused=dict(Counter(q.refused for q in refused if q.took_s <= DEADLINE_S)),
            because=Counter(map(on.because, refused)),
            late=sum(q.took_s > DEADLINE_S for q in on.questions),
            slowest_s=max(q.took_s for q in on.questions),
            p99_ms=took[len(took) * 99 // 100] * 1000,
            events=len(streamed),
            lost=len(streamed - held),
            unknown=len(held - streamed) if whole else None,
            doubled=doubled,
            memory=memory,
            restarts=dict(on.restarts),
            problems=tuple(on.problems),
        )


async def _end_all(on: Soak, replicas: list[Replica]) -> None:
    codes = await asyncio.gather(
        *(replica.end(signal.SIGTERM, within_s=GRACE_S) for replica in replicas), return_exceptions=True
    )
    on.problems += [
        f"{replica}, ended with all others: {code!r}"
        for replica, code in zip(replicas, codes, strict=True)
        if code != 0
    ]


@asynccontextmanager
async def _connected(broker: Broker) -> AsyncIterator[NatsClient]:
    connection = await nats.connect(broker.server.url("operator"), **RECONNECT_UNLIMITED)
    try:
        yield connection
    finally:
        await close(connection)


async def _measured(connection: NatsClient, models: int) -> bool:
    state = (
        await connection.jetstream(timeout=60).stream_info("MODELS", subjects_filter="model.probed.>")
    ).state
    return len(state.subjects or ()) >= models


async def _streamed(connection: NatsClient) -> tuple[set[str], bool]:
    """Return the ids of all events that the streams hold, and whether they have dropped none."""
    js = connection.jetstream(timeout=60)
    ids: set[str] = set()
    whole = True
    for stream in STREAMS:
        state = (await js.stream_info(stream)).state
        whole &= state.messages == state.last_seq
        subscription = await js.subscribe("", stream=stream, ordered_consumer=True)
        for _ in range(state.messages):
            message = await subscription.next_msg(timeout=30)
            ids.add(msgspec.json.decode(message.data, type=_Id).id)
        await subscription.unsubscribe()
    return ids, whole


class _Id(Struct):
    id: str


async def _held(database: Postgres) -> tuple[set[str], int]:
    """Return the ids of all events in the database, and how many measurements of one job stand there twice."""
    ids: set[str] = set()
    doubled = 0
    async with Store(database.url) as store:
        for table in tables.metadata.sorted_tables:
            if "event_id" in table.c and table.name not in ("current_state", "model_info"):
                ids |= {row["event_id"] for row in await store.read(sa.select(table.c.event_id))}
        for table in (tables.model_availability_history, tables.model_performance_history):
            of_job = (table.c.endpoint, table.c.model, table.c.job_id)
            again = sa.select(*of_job).group_by(*of_job).having(sa.func.count() > 1)
            doubled += len(await store.read(again))
    return ids, doubled


async def _tell(on: Soak) -> None:
    began = time.monotonic()
    while True:
        await asyncio.sleep(30)
        _say(
            f"{time.monotonic() - began:.0f} s: {len(on.troubles)} faults are over, {len(on.problems)} problems"
        )


def _say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Run it; exit with 1 when something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in msgspec.structs.asdict(Plan()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    plan = Plan(**vars(parser.parse_args()))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory, suppress(KeyboardInterrupt):
        soaked = asyncio.run(soak(Path(directory), plan))
        print("\n".join(soaked.lines()))
        if soaked.failed:
            sys.exit(1)


if __name__ == "__main__":
    main()
