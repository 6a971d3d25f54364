"""From a measurement to an answer that reflects it, while the recommender is busy with other questions.

A paced client asks different questions all the time, whatever the answers do. Meanwhile one model after the other
is benchmarked anew, each time faster than anything; from the stream's acknowledgement, who asks for a model of that
endpoint that is so fast must be given it, with that figure. Beside it a plain subscriber, who only receives the event.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import nats
from msgspec import Struct
from nats.aio.msg import Msg

from benchmarks import population
from benchmarks.asking import Order, Told
from benchmarks.running import Bench, clients, say
from vedette.messages.codec import decode_event, encode

TARGET_P99_MS = 50.0
GIVE_UP_S = 20.0
_FASTEST_TPS = 10_000.0
ASK_AGAIN_S = 0.001


class _Change(Struct, frozen=True):
    """Milliseconds from the acknowledgement of one measurement: until a subscriber had it, and an answer told it."""

    delivered: float
    answered: float | None  # None: given up


def header() -> list[str]:
    """Return the head of the table of `rows`."""
    return [
        "| models | from the stream's acknowledgement to | n | p50 ms | p95 ms | p99 ms | max ms | not within "
        f"{GIVE_UP_S:g} s |",
        "|---|---|---|---|---|---|---|---|",
    ]


async def rows(on: Bench, *, questions_per_s: float, changes_per_s: float, seconds: float) -> list[str]:
    """Measure it over the models of *on*; return rows, and what the paced questions saw as the last of them."""
    say(f"{on.models} models: {changes_per_s:g} measurements/s beside {questions_per_s:g} questions/s")
    delivered: dict[str, asyncio.Future[float]] = {}

    async def on_event(message: Msg) -> None:
        heard = delivered.get(decode_event(message.subject, message.data).id)
        if heard is not None and not heard.done():
            heard.set_result(time.perf_counter())

    options: dict[str, Any] = {"ordered_consumer": True, "deliver_policy": nats.js.api.DeliverPolicy.NEW}
    subscription = await on.connection.jetstream().subscribe("model.benchmarked.>", cb=on_event, **options)
    order = Order(
        subject="recommend.best",
        kind="different",
        seconds=seconds,
        models=on.models,
        seed=7,
        per_s=questions_per_s,
    )
    async with clients(on, 1) as (client,):
        paced = asyncio.create_task(client.do(on.connection, order))
        changes = await _change(on, delivered, changes_per_s, seconds)
        told = await paced
    await subscription.unsubscribe()
    await _restore(on)
    return [
        row(on.models, "a plain subscriber", [change.delivered for change in changes], 0),
        row(
            on.models,
            "an answer that tells it",
            [change.answered for change in changes if change.answered is not None],
            sum(change.answered is None for change in changes),
        ),
        others(on.models, told, questions_per_s),
    ]


async def _change(
    on: Bench, delivered: dict[str, asyncio.Future[float]], per_s: float, seconds: float
) -> list[_Change]:
    """Publish measurements at an even pace, each followed by a task of its own until an answer tells it."""
    candidates = [number for number in range(on.models) if _may_be_recommended(number)]
    began, following = time.perf_counter(), []
    for number in range(int(seconds * per_s)):
        await asyncio.sleep(max(0.0, began + number / per_s - time.perf_counter()))
        model = candidates[number % len(candidates)]
        following.append(asyncio.create_task(_one(on, delivered, model, _FASTEST_TPS + number)))
    return await asyncio.gather(*following)


async def _restore(on: Bench) -> None:
    """Make every model as fast again as it was, for what is measured next."""
    now, js = datetime.now(UTC), on.connection.jetstream()
    for number in range(on.models):
        _, _, benchmarked, _ = population.events_of(number, now)
        await js.publish(benchmarked.subject, encode(benchmarked), timeout=30)


def _may_be_recommended(number: int) -> bool:
    found, probed, *_ = population.events_of(number, datetime.now(UTC))
    chat = found.info.capabilities.get("chat")
    return chat is not None and chat.value and probed.health.status == "available"


async def _one(on: Bench, delivered: dict[str, asyncio.Future[float]], number: int, tps: float) -> _Change:
    now = datetime.now(UTC)
    found, *_ = population.events_of(number, now)
    event = population.benchmarked(found.model, now, tps=tps, ttft_ms=100.0, info=found.info)
    heard = delivered[event.id] = asyncio.get_running_loop().create_future()
    question = {
        "use_case": "chat",
        "limit": 1,
        "constraints": {
            "endpoints": [found.model.endpoint],
            "min_output_tps": tps - 0.5,
            "unmeasured": "reject",
        },
    }
    await on.connection.jetstream().publish(event.subject, encode(event), timeout=30)
    published = time.perf_counter()
    answered = await _until_told(on, msgspec.json.encode(question), tps)
    async with asyncio.timeout(GIVE_UP_S):
        received = await heard
    del delivered[event.id]
    return _Change((received - published) * 1000, (answered - published) * 1000 if answered else None)


async def _until_told(on: Bench, question: bytes, tps: float) -> float | None:
    """Ask until the answer is the model that is so fast; return when, or None after a long time."""
    give_up = time.perf_counter() + GIVE_UP_S
    while (now := time.perf_counter()) < give_up:
        try:
            reply = await on.connection.request("recommend.best", question, timeout=give_up - now + 0.01)
        except nats.errors.TimeoutError:
            return None
        best = json.loads(reply.data)["recommendation"]
        if best is not None and best["output_tps"] >= tps:
            return time.perf_counter()
        await asyncio.sleep(ASK_AGAIN_S)
    return None


def row(models: int, what: str, times: Sequence[float], given_up: int) -> str:
    """Return a row of the table: how long *times* (ms) are, of which there are none for those *given_up*."""
    if len(times) < 2:
        return f"| {models} | {what} | {len(times)} | | | | | {given_up} |"
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return (
        f"| {models} | {what} | {len(times)} | {cuts[49]:.2f} | {cuts[94]:.2f} | {cuts[98]:.2f} | {max(times):.2f} | "
        f"{given_up} |"
    )


def others(models: int, told: Told, wanted_per_s: float) -> str:
    """Return a row of the table: how long the queries took that were asked meanwhile."""
    if len(told.took_us) < 2:
        return f"| {models} | the queries meanwhile: none was answered | 0 | | | | | {told.missed} |"
    cuts = [cut / 1000 for cut in statistics.quantiles(told.took_us, n=100, method="inclusive")]
    return (
        f"| {models} | (the queries meanwhile, from when they were due: {told.per_s:.0f}/s of {wanted_per_s:g}/s) | "
        f"{len(told.took_us)} | {cuts[49]:.2f} | {cuts[94]:.2f} | {cuts[98]:.2f} | {max(told.took_us) / 1000:.2f} | "
        f"{told.missed} |"
    )
