"""From a reading of a server's load to an answer that tells it, while the recommender answers other questions.

Two recommenders with the same models, each with a nats-server of its own. Servers publish loads to one of them, each
load another than the last of its endpoint. A paced client asks both the same questions, in rounds in turns. Of the
loads, some are followed: from the stream's acknowledgement, who asks for a model of that endpoint must be told it.
"""

import asyncio
import json
import shutil
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import msgspec
import nats
from msgspec import Struct
from nats.aio.msg import Msg

from benchmarks import freshness, population, questions
from benchmarks.asking import Client, Order, Told
from benchmarks.machine import Cpu
from benchmarks.running import Bench, Recommender, bench, clients, fill, recommender, say
from vedette.messages import ids
from vedette.messages.codec import decode_event, encode
from vedette.messages.events import EndpointLoad
from vedette.types import Outcome

_SLOTS = 4
_MAX_RUNNING = 9
_EVERY_S = 10.0
_WARM_S = 2.0


class Plan(Struct, frozen=True, kw_only=True):
    """What is measured, and for how long."""

    models: int
    questions_per_s: float
    loads_per_s: float
    followed_per_s: float
    rounds: int  # of each of the two
    seconds: float  # of each round


class Side(Struct, frozen=True, kw_only=True):
    """A recommender, its nats-server, and its client."""

    on: Bench
    running: Recommender
    client: Client


class Round(Struct, frozen=True, kw_only=True):
    """What the questions of a round took, and the seconds of processor time of the recommender for each second."""

    told: Told
    busy: float

    def ms(self, percentile: int) -> float:
        """Return a percentile of what the questions took, from when they were due."""
        cuts = statistics.quantiles(self.told.took_us, n=100, method="inclusive")
        return cuts[percentile - 1] / 1000


class Followed(Struct, frozen=True):
    """Milliseconds from the acknowledgement of a load until a subscriber had it, and an answer told it."""

    delivered: float
    answered: float | None


async def measure(directory: Path, plan: Plan) -> None:
    """Print both tables."""
    alone, loaded = directory / "alone", directory / "loaded"
    await fill(alone, present=0, models=plan.models)
    shutil.copytree(alone, loaded)
    rounds: dict[bool, list[Round]] = {False: [], True: []}
    followed: list[Followed] = []
    async with (
        bench(alone, plan.models) as one,
        bench(loaded, plan.models) as other,
        recommender(one) as quiet,
        recommender(other) as busy,
        clients(one, 1) as (asking,),
        clients(other, 1) as (asking_other,),
    ):
        sides = {
            False: Side(on=one, running=quiet, client=asking),
            True: Side(on=other, running=busy, client=asking_other),
        }
        loads = _Loads(sides[True].on, plan)
        await loads.first()
        for side in sides.values():
            await _warm(side, plan)
        for turn in range(plan.rounds):
            for with_loads in (False, True) if turn % 2 == 0 else (True, False):
                say(f"round {turn + 1} {'with' if with_loads else 'without'} loads")
                following = asyncio.create_task(loads.publish()) if with_loads else None
                rounds[with_loads].append(await _round(sides[with_loads], plan, seed=turn))
                if following is not None:
                    followed += await following
    print("\n".join(lines(plan, rounds[False], rounds[True], followed)))


async def _warm(side: Side, plan: Plan) -> None:
    for use_case in questions.USE_CASES:
        payload = json.dumps({"use_case": use_case}).encode()
        await side.on.connection.request("recommend.best", payload, timeout=60)
    await _round(side, msgspec.structs.replace(plan, seconds=_WARM_S), seed=99)


async def _round(side: Side, plan: Plan, *, seed: int) -> Round:
    order = Order(
        subject="recommend.best",
        kind="different",
        seconds=plan.seconds,
        models=plan.models,
        seed=seed,
        per_s=plan.questions_per_s,
    )
    before = Cpu.now(side.running.pid)
    told = await side.client.do(side.on.connection, order)
    used_s, _ = Cpu.now(side.running.pid).since(before)
    return Round(told=told, busy=used_s / plan.seconds)


class _Loads:
    """Publishes loads of the endpoints, one after the other; no two in a row of one endpoint are the same."""

    def __init__(self, on: Bench, plan: Plan) -> None:
        self._on = on
        self._plan = plan
        self._js = on.connection.jetstream()
        self._random = Random(plan.models)
        self._endpoints = sorted({population.reference(n).endpoint for n in range(plan.models)})
        self._running = dict.fromkeys(self._endpoints, 0)
        self._turns = self._in_turns()
        self._heard: dict[str, asyncio.Future[float]] = {}

    def _in_turns(self) -> Iterator[str]:
        while True:
            yield from self._endpoints

    async def first(self) -> None:
        """Publish a load of each endpoint, and receive all from now on."""
        for _ in self._endpoints:
            load = self._next()
            await self._js.publish(load.subject, encode(load), timeout=30)
        options = {"ordered_consumer": True, "deliver_policy": nats.js.api.DeliverPolicy.NEW}
        await self._js.subscribe("endpoint.load.>", cb=self._on_load, **options)

    async def _on_load(self, message: Msg) -> None:
        heard = self._heard.get(decode_event(message.subject, message.data).id)
        if heard is not None and not heard.done():
            heard.set_result(time.perf_counter())

    async def publish(self) -> list[Followed]:
        """Publish loads at an even pace for a round; follow some."""
        plan, began, following = self._plan, time.perf_counter(), []
        each = round(plan.loads_per_s / plan.followed_per_s)
        for number in range(int(plan.seconds * plan.loads_per_s)):
            await asyncio.sleep(max(0.0, began + number / plan.loads_per_s - time.perf_counter()))
            load = self._next()
            if number % each == 0:
                following.append(asyncio.create_task(self._follow(load)))
            else:
                await self._on.connection.publish(load.subject, encode(load))
        return await asyncio.gather(*following)

    def _next(self) -> EndpointLoad:
        endpoint, now = next(self._turns), datetime.now(UTC)
        others = [n for n in range(1, _MAX_RUNNING + 1) if n != self._running[endpoint]]
        running = self._running[endpoint] = self._random.choice(others)
        return EndpointLoad(
            id=ids.derive(now, "endpoint.load", endpoint),
            at=now,
            endpoint=endpoint,
            outcome=Outcome.OK,
            every_s=_EVERY_S,
            source="vllm metrics",
            running=running,
            waiting=max(0, running - _SLOTS),
            slots=_SLOTS,
            elapsed_ms=2.0,
            bytes=1000,
        )

    async def _follow(self, load: EndpointLoad) -> Followed:
        heard = self._heard[load.id] = asyncio.get_running_loop().create_future()
        await self._js.publish(load.subject, encode(load), timeout=30)
        published = time.perf_counter()
        answered = await self._until_told(load)
        async with asyncio.timeout(freshness.GIVE_UP_S):
            received = await heard
        del self._heard[load.id]
        return Followed((received - published) * 1000, (answered - published) * 1000 if answered else None)

    async def _until_told(self, load: EndpointLoad) -> float | None:
        asked = {"use_case": "chat", "limit": 1, "constraints": {"endpoints": [load.endpoint]}}
        question, give_up = msgspec.json.encode(asked), time.perf_counter() + freshness.GIVE_UP_S
        while (now := time.perf_counter()) < give_up:
            try:
                reply = await self._on.connection.request(
                    "recommend.best", question, timeout=give_up - now + 0.01
                )
            except nats.errors.TimeoutError:
                return None
            best = json.loads(reply.data)["recommendation"]
            if (best.get("now") or {}).get("running") == load.running:
                return time.perf_counter()
            await asyncio.sleep(freshness.ASK_AGAIN_S)
        return None


def lines(plan: Plan, without: list[Round], beside: list[Round], followed: list[Followed]) -> list[str]:
    """Return the tables of docs/benchmarks.md."""
    table = [
        f"{plan.models} models, {plan.questions_per_s:g} questions/s, {plan.loads_per_s:g} loads/s",
        "",
        "| queries | n | answered/s | p50 ms | p95 ms | p99 ms | recommender, share of a processor | not sent |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for what, rounds in (("without loads", without), ("with loads", beside)):
        p50, p95, p99 = (statistics.median(one.ms(cut) for one in rounds) for cut in (50, 95, 99))
        per_s, busy = (
            statistics.median(one.told.per_s for one in rounds),
            statistics.median(one.busy for one in rounds),
        )
        asked, missed = sum(len(one.told.took_us) for one in rounds), sum(one.told.missed for one in rounds)
        table.append(
            f"| {what} | {asked} | {per_s:.0f} | {p50:.2f} | {p95:.2f} | {p99:.2f} | {busy:.0%} | {missed} |"
        )
    pairs = list(zip(beside, without, strict=True))
    p50, p95, p99 = (statistics.median(a.ms(cut) / b.ms(cut) for a, b in pairs) for cut in (50, 95, 99))
    busy = statistics.median(a.busy / b.busy for a, b in pairs)
    table += [
        f"| ratio (median of {len(pairs)} pairs) | | | {p50:.2f} | {p95:.2f} | **{p99:.2f}** | {busy:.2f} | |",
        "",
        *freshness.header(),
        freshness.row(plan.models, "a plain subscriber", [one.delivered for one in followed], 0),
        freshness.row(
            plan.models,
            "a reply that shows the load",
            [one.answered for one in followed if one.answered is not None],
            sum(one.answered is None for one in followed),
        ),
    ]
    return table
