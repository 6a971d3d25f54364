"""Answers per second, and what each costs: a raw echo, one question repeated, and questions of which none is alike.

In rounds, in turns, so that what the machine does meanwhile happens to all. Beside the rate stand the processor
time that the responder used for an answer, which does not depend on what else wanted the two cores, and how busy
client and broker were: where one of them is at 100 %, it is what was timed.
"""

import asyncio
import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from benchmarks import questions
from benchmarks.asking import Client, Order, Told
from benchmarks.machine import Cpu
from benchmarks.running import Bench, clients, echo, recommender, say

By = Literal["nats-py", "bare"]
REPLICAS_IN_FLIGHT = 64
_TOO_LONG_S = 8.0  # what all in flight may take together before more in flight are left out


class Way(Struct, frozen=True):
    """A thing to ask."""

    name: str
    subject: str
    kind: Literal["same", "different", "unlike"]


RAW = Way("raw echo", "bench.echo", "different")
SAME = Way("best, repeated", "recommend.best", "same")
DIFFERENT = Way("best, all different", "recommend.best", "different")
UNLIKE = Way("best, none answered alike", "recommend.best", "unlike")


class Round(Struct, frozen=True, kw_only=True):
    """What one round gave; `busy` are shares of one processor, of the machine those of all."""

    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float  # of the responder for an answer
    busy: dict[str, float]
    empty: float  # share of the answers


def header() -> list[str]:
    """Return the head of the table of `rows`."""
    return [
        "| models | asked by | in flight | what | answers/s | p50 ms | p99 ms | "
        "ratio of answers/s to raw (of the rounds) | "
        "responder µs CPU/answer | ratio | busy: client | broker | responder | machine | nothing to recommend |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]


async def rows(
    on: Bench,
    responder: int,
    *,
    by: By,
    in_flights: Sequence[int],
    rounds: int,
    seconds: float,
    processes: int,
) -> list[str]:
    """Time the four ways over the models of *on*, answered by *responder*; return rows."""
    size = len((await on.connection.request("recommend.best", questions.SAME, timeout=60)).data)
    table: list[str] = []
    slowest: dict[Way, float] = {}
    async with echo(on, size) as raw, clients(on, processes) as asking:
        pids = {RAW: [raw.pid], SAME: [responder], DIFFERENT: [responder], UNLIKE: [responder]}
        for way in pids:  # so that nothing is done for the first time in a round: it may take its time
            for use_case in questions.USE_CASES:
                payload = json.dumps({"use_case": use_case, "caller": way.name}).encode()
                await on.connection.request(way.subject, payload, timeout=60)
            await measured(on, asking, way, pids[way], in_flight=4, seconds=1.0, seed=99, by=by)
        for in_flight in in_flights:
            ways = [way for way in pids if in_flight / slowest.get(way, 1e9) < _TOO_LONG_S]
            say(f"{on.models} models, {in_flight} in flight: {', '.join(way.name for way in ways)}")
            taken: dict[Way, list[Round]] = {way: [] for way in ways}
            for turn in range(rounds):
                for way in ways if turn % 2 == 0 else reversed(ways):
                    one = await measured(
                        on, asking, way, pids[way], in_flight=in_flight, seconds=seconds, seed=1, by=by
                    )
                    taken[way].append(one)
                    slowest[way] = one.per_s
            table += [_row(on.models, by, in_flight, way, taken) for way in ways]
            table += [
                f"| {on.models} | {by} | {in_flight} | {way.name} | left out: all in flight take over "
                f"{_TOO_LONG_S:g} s | | | | | | | | | | |"
                for way in pids
                if way not in ways
            ]
    return table


def _row(models: int, by: By, in_flight: int, way: Way, taken: Mapping[Way, list[Round]]) -> str:
    mine, raw = taken[way], taken[RAW]
    each = [one.per_s / beside.per_s for one, beside in zip(mine, raw, strict=True)]
    cpu_us, raw_cpu_us = (statistics.fmean(one.cpu_us for one in rounds) for rounds in (mine, raw))
    ratio = f"**{statistics.median(each):.2f}** ({min(each):.2f}-{max(each):.2f})" if way is not RAW else ""
    cost = f"{cpu_us / raw_cpu_us:.2f}" if way is not RAW and raw_cpu_us else ""
    return (
        f"| {models} | {by} | {in_flight} | {way.name} | {_median(mine, 'per_s'):,.0f} | "
        f"{_median(mine, 'p50_ms'):.2f} | {_median(mine, 'p99_ms'):.2f} | {ratio} | "
        f"{cpu_us:.0f} | {cost} | {busy(mine, 'client')} | "
        f"{busy(mine, 'broker')} | {busy(mine, 'responder')} | {busy(mine, 'machine')} | "
        f"{'' if way is RAW else format(statistics.fmean(one.empty for one in mine), '.0%')} |"
    )


def _median(rounds: Sequence[Round], field: str) -> float:
    return float(statistics.median(getattr(one, field) for one in rounds))


def busy(rounds: Sequence[Round], who: str) -> str:
    """Return how much of one processor *who* used, over all *rounds*; of several processes, the busiest's."""
    return f"{statistics.fmean(one.busy[who] for one in rounds):.0%}"


async def measured(
    on: Bench,
    asking: Sequence[Client],
    way: Way,
    responders: Sequence[int],
    *,
    in_flight: int,
    seconds: float,
    seed: int,
    by: By = "bare",
) -> Round:
    """Have all clients ask together, *in_flight* in all; return what came of it."""
    active = asking[:in_flight]  # one in flight is one client's
    watched = {
        "client": [one.pid for one in active],
        "broker": [on.server.pid],
        "responder": list(responders),
    }
    before = {pid: Cpu.now(pid) for pids in watched.values() for pid in pids}
    told = await asyncio.gather(
        *(
            one.do(
                on.connection,
                Order(
                    subject=way.subject,
                    kind=way.kind,
                    seconds=seconds,
                    models=on.models,
                    seed=seed * 100 + number,
                    by=by,
                    in_flight=in_flight // len(active) + (number < in_flight % len(active)),
                ),
            )
            for number, one in enumerate(active)
        )
    )
    used = {pid: Cpu.now(pid).since(then) for pid, then in before.items()}
    machine = used[on.server.pid][1]
    return _round(told, way, watched, {pid: seconds for pid, (seconds, _) in used.items()}, machine)


def _round(
    told: Sequence[Told],
    way: Way,
    watched: Mapping[str, Sequence[int]],
    used: Mapping[int, float],
    machine: float,
) -> Round:
    took_us = sorted(us for one in told for us in one.took_us)
    refused = sum(one.refused for one in told)
    if len(took_us) < 2 or refused:
        raise RuntimeError(f"{way.name}: {len(took_us)} answers, {refused} of them errors")
    lasted_s = max(one.seconds for one in told)
    cuts = statistics.quantiles(took_us, n=100, method="inclusive")
    return Round(
        per_s=sum(one.per_s for one in told),
        p50_ms=cuts[49] / 1000,
        p99_ms=cuts[98] / 1000,
        cpu_us=sum(used[pid] for pid in watched["responder"]) / len(took_us) * 1e6,
        busy={who: max(used[pid] for pid in pids) / lasted_s for who, pids in watched.items()}
        | {"machine": machine},
        empty=sum(one.empty for one in told) / len(took_us),
    )


def replicas_header() -> list[str]:
    """Return the head of the table of `replicas`."""
    return [
        "| models | what | one replica, answers/s | two replicas | ratio (of the rounds) | "
        "responder µs CPU/answer: one | two | with two, busy: client | broker | busiest replica | machine |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]


async def replicas(on: Bench, first: int, *, rounds: int, seconds: float, processes: int) -> list[str]:
    """Time one replica, then two, then one again, 64 in flight; return rows."""
    say(f"{on.models} models: two replicas beside one")
    taken: dict[tuple[Way, int], list[Round]] = {}

    async def ask(responders: list[int], times: int) -> None:
        for turn in range(times):
            for way in (SAME, DIFFERENT) if turn % 2 == 0 else (DIFFERENT, SAME):
                one = await measured(
                    on, asking, way, responders, in_flight=REPLICAS_IN_FLIGHT, seconds=seconds, seed=2
                )
                taken.setdefault((way, len(responders)), []).append(one)

    async with clients(on, processes) as asking:
        await ask([first], (rounds + 1) // 2)
        async with recommender(on, replica=1) as second:
            await ask([first, second.pid], rounds)
        await ask([first], rounds - (rounds + 1) // 2)
    return [_replicas_row(on.models, way, taken[way, 1], taken[way, 2]) for way in (SAME, DIFFERENT)]


def _replicas_row(models: int, way: Way, one: Sequence[Round], two: Sequence[Round]) -> str:
    each = [b.per_s / a.per_s for a, b in zip(one, two, strict=True)]
    costs = [statistics.fmean(round_.cpu_us for round_ in rounds) for rounds in (one, two)]
    return (
        f"| {models} | {way.name} | {_median(one, 'per_s'):,.0f} | {_median(two, 'per_s'):,.0f} | "
        f"**{statistics.median(each):.2f}** ({min(each):.2f}-{max(each):.2f}) | {costs[0]:.0f} | {costs[1]:.0f} | "
        f"{busy(two, 'client')} | {busy(two, 'broker')} | {busy(two, 'responder')} | {busy(two, 'machine')} |"
    )
