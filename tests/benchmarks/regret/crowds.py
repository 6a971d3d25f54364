"""A crowd of agents in front of equal servers: how long they wait, by who is sent where.

Each agent calls, thinks, and calls again. A server works on so many requests at once and slows each down a little;
further ones wait in its queue. Vedette reads its load every ten seconds. The best split sends each call to the server
with the fewest requests at that moment, which nothing that reads loads can know.
"""

import heapq
import math
from collections.abc import Callable
from random import Random
from statistics import fmean
from typing import Final

from msgspec import Struct

from benchmarks.regret import hours
from benchmarks.regret.hours import Server, World
from vedette.quantiles import quantile

AGENTS, HOSTS, SLOTS = 200, 5, 8
SHARING: Final = 0.05  # of a graphics card that batches
MINUTES: Final = 15
THINKS_S: Final = (
    90.0,
    45.0,
    30.0,
)  # of agents between two calls: 40, 70 and 90 % of what the servers can do
_TOKENS: Final = 200.0  # of an answer, the mean
_SETTLES_S: Final = 120.0
_OF_SESSION: Final = 5  # calls


class Call(Struct):
    """A call that a server works on or that waits there."""

    left: float  # tokens
    began: float
    agent: int


class Host:
    """A server that shares what it has among its calls."""

    def __init__(self, name: str) -> None:
        self.server = Server(name, busy=lambda _: (len(self.running), len(self.waiting)))
        self.running: list[Call] = []
        self.waiting: list[Call] = []

    @property
    def rate(self) -> float:
        """Output tokens per second of each call."""
        return hours.OUTPUT_TPS / (1 + SHARING * max(0, len(self.running) - 1))

    def take(self, call: Call) -> None:
        """Work on *call*, or let it wait."""
        (self.running if len(self.running) < SLOTS else self.waiting).append(call)

    def next_end_s(self) -> float:
        """Return in how many seconds the next call ends."""
        return min((call.left for call in self.running), default=float("inf")) / self.rate

    def work(self, seconds: float) -> list[Call]:
        """Work for so long; return the calls that ended."""
        done = seconds * self.rate
        for call in self.running:
            call.left -= done
        ended = [call for call in self.running if call.left <= 1e-6]
        self.running = [call for call in self.running if call.left > 1e-6]
        while self.waiting and len(self.running) < SLOTS:
            self.running.append(self.waiting.pop(0))
        return ended


# From the world, the hosts, the agent and its number of calls to the name of the server.
Choose = Callable[[World, list[Host], int, int], str]


def _by_name(world: World, _: list[Host], agent: int, __: int) -> str:
    return world.choice(f"agent-{agent}").name


def _by_session(world: World, _: list[Host], agent: int, calls: int) -> str:
    return world.choice(f"agent-{agent}", f"{agent}-{calls // _OF_SESSION}").name


def _without_name(world: World, _: list[Host], __: int, ___: int) -> str:
    return world.choice().name


def _best(_: World, hosts: list[Host], __: int, ___: int) -> str:
    return min(hosts, key=lambda host: len(host.running) + len(host.waiting)).server.name


CHOOSERS: Final[dict[str, Choose]] = {
    "best split": _best,
    "callers": _by_name,
    "sessions": _by_session,
    "no names": _without_name,
}


def p95_s(choose: Choose, think_s: float, seed: int) -> float:
    """Return the 95th percentile of the seconds that a call takes."""
    rng, now, took = Random(seed), 0.0, list[tuple[float, float]]()
    hosts = [Host(f"host-{n}") for n in range(HOSTS)]
    world = World([host.server for host in hosts], load=True, told=False, seed=seed, slots=SLOTS)
    next_load = 0.0 if world.with_load else math.inf
    by_name = {host.server.name: host for host in hosts}
    calls = [0] * AGENTS
    asks = [(rng.expovariate(1 / think_s), agent) for agent in range(AGENTS)]
    heapq.heapify(asks)
    while now < MINUTES * 60:
        ends = now + min(host.next_end_s() for host in hosts)
        at = min(ends, next_load, asks[0][0] if asks else ends)
        for host in hosts:
            for call in host.work(at - now):
                took.append((at, at - call.began))
                heapq.heappush(asks, (at + rng.expovariate(1 / think_s), call.agent))
        now = at
        world.set(now)
        if now >= next_load:
            for host in hosts:
                world.read_load(host.server)
            next_load += hours.LOAD_S
        while asks and asks[0][0] <= now:
            _, agent = heapq.heappop(asks)
            calls[agent] += 1
            chosen = by_name[choose(world, hosts, agent, calls[agent])]
            chosen.take(Call(left=20 + rng.expovariate(1 / _TOKENS), began=now, agent=agent))
    return quantile([seconds for at, seconds in took if at > _SETTLES_S], 0.95)


def crowd(runs: int) -> dict[str, dict[str, float]]:
    """Return by think time, for each chooser, the p95 over that of the best split."""
    told = {}
    for think_s in THINKS_S:
        found = {
            name: fmean(p95_s(choose, think_s, seed) for seed in range(runs))
            for name, choose in CHOOSERS.items()
        }
        told[f"crowd that thinks for {think_s:.0f} s"] = {
            "best split, s": found["best split"],
            **{name: value / found["best split"] for name, value in found.items()},
        }
    return told
