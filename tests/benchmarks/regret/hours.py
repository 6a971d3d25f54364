"""How soon an answer follows what changed within hours, in whatever checkout is imported.

Simulated are two servers, agents that call what is recommended, and what Vedette's services do about it: probes every
half hour, benchmarks every six hours and on suspicion, readings of the load and windows of reports every ten seconds.
Parts that the checkout does not have are left out. It imports nothing but what is tested.
"""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from inspect import signature
from random import Random
from statistics import fmean
from typing import Any

from vedette.messages import ids
from vedette.messages.catalogue import Catalogue
from vedette.messages.events import (
    Event,
    ModelBenchmarked,
    ModelEvaluated,
    ModelFound,
    ModelProbed,
    ModelReported,
)
from vedette.messages.queries import RecommendRequest, ReportRequest
from vedette.types import (
    Claim,
    Evidence,
    Health,
    Level,
    ModelInfo,
    ModelRef,
    Outcome,
    ProbeSample,
    Quality,
    RunSample,
    Score,
)
from vedette_benchmarker.statistics import fold as fold_runs
from vedette_prober import verdict
from vedette_prober.budget import jitter_s
from vedette_prober.verdict import fold as fold_probe
from vedette_recommender import reports
from vedette_recommender.answers import Answers

try:
    from vedette.messages.events import EndpointLoad
except ImportError:
    EndpointLoad = None  # type: ignore[assignment, misc]
try:
    from vedette_benchmarker.suspecting import suspicion
except ImportError:
    suspicion = None  # type: ignore[assignment]
try:
    from vedette_prober.load import lasting
except ImportError:
    lasting = None  # type: ignore[assignment]
try:
    from vedette_prober.verdict import in_doubt
except ImportError:
    in_doubt = None  # type: ignore[assignment]
try:
    from vedette.usecases import known
except ImportError:
    from vedette_recommender.usecases import known  # type: ignore[no-redef]

START = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
STEP_S, WINDOW_S, LOAD_S = 5, 10, 10
PROBE_S, BENCHMARK_S = 1800, 6 * 3600
CONFIRM_S, CONFIRM_SPREAD_S = 3.0, 3.0  # until a second probe; those for a slow answer are spread
USE_CASE, PATIENCE_S, TOKENS = "chat", 30.0, 300
TTFT_MS, OUTPUT_TPS, SLOTS = 200.0, 40.0, 4
NOISE = 0.12
_YES = {"chat": Claim(value=True, evidence=Evidence.DECLARED, source="test")}


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        """Return the time that was set."""
        return self.at

    def monotonic(self) -> float:
        """Return it in seconds."""
        return self.at.timestamp()


@dataclass
class Server:
    """A server with one model: how good it is, and how slow it is by now."""

    name: str
    quality: float = 0.7
    slower: Callable[[float], float] = lambda _: 1.0  # by seconds since the start
    busy: Callable[[float], tuple[int, int]] = lambda _: (0, 0)  # requests of others: running, waiting
    model: ModelRef = field(init=False)

    def __post_init__(self) -> None:
        self.model = ModelRef(self.name, "m:8b")

    def seconds(self, at: float) -> float:
        """Return how long a typical answer truly takes."""
        return (TTFT_MS / 1000 + TOKENS / OUTPUT_TPS) * self.slower(at)

    def worth(self, at: float) -> float:
        """Return what a call is truly worth, of 100."""
        return 100 * self.quality / (1 + self.seconds(at) / PATIENCE_S)


class World:
    """Vedette over some servers, in simulated time."""

    def __init__(
        self,
        servers: list[Server],
        *,
        load: bool,
        told: bool,
        accounts: int = 2,
        seed: int = 0,
        slots: int = SLOTS,
    ) -> None:
        self.servers = {server.name: server for server in servers}
        self.clock, self.catalogue, self.sequence = Clock(), Catalogue(), 0
        self.rng, self.slots = Random(seed), slots
        self.with_load, self.told, self.accounts = load and EndpointLoad is not None, told, accounts
        self.window = reports.Reports()
        self.due: list[tuple[float, Callable[[], None]]] = []
        self.asked: dict[ModelRef, float] = {}
        self.at = 0.0
        self.answers = Answers(
            catalogue=self.catalogue,
            endpoints={},
            use_cases=known({}),
            stale_after=timedelta(minutes=90),
            base_url=lambda _provider, _url: None,
            clock=self.clock,
        )
        for server in servers:
            self._begin(server)

    def _begin(self, server: Server) -> None:
        info = ModelInfo(
            model=server.model,
            provider="llamacpp",
            url=f"http://{server.name}",
            api="openai",
            kind="chat",
            capabilities=_YES,
            locality="local",
            free=True,
            served_context_tokens=8192,
        )
        self._apply(ModelFound(id=self._id(), at=START, model=server.model, info=info, revision=1))
        for job in range(4):  # a day's benchmarks, at rest
            self._benchmark(server, f"before {job}", at_rest=True)
        for n in range(48):
            self._probe(server, Outcome.OK, START - timedelta(seconds=PROBE_S * (48 - n)), at_rest=True)
        scores = {
            kind: Score(successes=round(40 * server.quality), trials=40, suite=f"{kind}@1")
            for kind in ("instructions", "multilingual", "choice", "arithmetic")
        }
        self._evaluated(server, Quality(measured_at=START, scores=scores))
        if self.told:  # what agents usually report
            for _ in range(6):
                for n in range(10):
                    self._report(server, n, at_rest=True)
                self._publish_reports()

    def _evaluated(self, server: Server, quality: Quality) -> None:
        self._apply(
            ModelEvaluated(
                id=self._id(), at=START, model=server.model, job_id="e", outcome=Outcome.OK, quality=quality
            )
        )

    def _id(self) -> str:
        self.sequence += 1
        return ids.derive(self.clock.at, str(self.sequence))

    def _apply(self, event: Event) -> None:
        self.sequence += 1
        self.catalogue.apply(event, self.sequence)
        self.answers.changed(event)

    def _noisy(self, value: float) -> float:
        return value * self.rng.lognormvariate(0, NOISE)

    def _probe(self, server: Server, outcome: Outcome, at: datetime, *, at_rest: bool = False) -> None:
        state = self.catalogue.get(server.model)
        times = 1.0 if at_rest else server.slower(self.at)
        sample = ProbeSample(
            job_id=self._id(),
            at=at,
            outcome=outcome,
            level=Level.ANSWER,
            latency_ms=self._noisy(TTFT_MS) * times,
        )
        health = fold_probe(state.health if state else None, sample, None)
        self._apply(ModelProbed(id=self._id(), at=at, model=server.model, sample=sample, health=health))
        doubt = None if at_rest else self._doubt(health)
        if doubt is not None:
            spread_s = jitter_s(str(server.model), 10 * CONFIRM_SPREAD_S) if doubt == "time" else 0.0
            self._later(CONFIRM_S + spread_s, lambda: self._probe(server, Outcome.OK, self.clock.at))

    def _doubt(self, health: Health) -> str | None:
        """Return why the prober probes a model again at once, as far as the checkout has it."""
        if in_doubt is not None:
            return in_doubt(health)
        asks = (getattr(verdict, name, None) for name in ("is_suspicious", "is_unusual"))
        return "status" if any(one(health) for one in asks if one is not None) else None

    def _benchmark(self, server: Server, job: str, *, at_rest: bool = False, small: bool = False) -> None:
        """Publish a benchmark, unless the server says that it is busy: that one would wait."""
        if not at_rest and sum(server.busy(self.at)):
            self._later(60, lambda: self._benchmark(server, job, small=small))
            return
        state = self.catalogue.get(server.model)
        before = state.benchmarked.event.performance if state and state.benchmarked else None
        times = 1.0 if at_rest else server.slower(self.at)
        runs = [
            RunSample(
                job_id=job,
                at=self.clock.at,
                prompt=prompt,  # type: ignore[arg-type]
                cold=False,
                ttft_ms=self._noisy(TTFT_MS) * times * (3 if prompt == "long" else 1),
                output_tps=self._noisy(OUTPUT_TPS) / times,
                e2e_ms=1000.0,
            )
            for prompt in (("short",) * 2 if small else ("short",) * 3 + ("long",) * 3)
        ]
        performance = fold_runs(before, runs, at=self.clock.at, digest=None, server_version=None)
        self._apply(
            ModelBenchmarked(
                id=self._id(),
                at=self.clock.at,
                model=server.model,
                job_id=job,
                outcome=Outcome.OK,
                performance=performance,
            )
        )

    def _report(self, server: Server, n: int, *, at_rest: bool = False) -> None:
        times = 1.0 if at_rest else server.slower(self.at)
        ttft = self._noisy(TTFT_MS) * times
        report = ReportRequest(
            model=server.model,
            outcome=Outcome.OK,
            ttft_ms=ttft,
            e2e_ms=ttft + 1000 * (TOKENS - 1) / self._noisy(OUTPUT_TPS) * times,
            output_tokens=TOKENS,
            prompt_tokens=100,
        )
        more = {}
        if "rest" in signature(self.window.add).parameters:
            state = self.catalogue.get(server.model)
            more["rest"] = state.performance if state else None
        self.window.add(server.model, report, None, self.clock.at, f"agent-{n % self.accounts}", **more)

    def _publish_reports(self) -> None:
        for model, sums in self.window.take().items():
            state = self.catalogue.get(model)
            held = state.reported.event if state and state.reported else None
            more: dict[str, Any] = {}
            if hasattr(reports, "watch"):
                more["watches"] = reports.watch(held, sums, self.clock.at, None)
            self._apply(
                ModelReported(
                    id=self._id(),
                    at=self.clock.at,
                    model=model,
                    since=sums.since,
                    calls=sums.calls,
                    reported=reports.fold(held.reported if held else None, sums, self.clock.at, None),
                    **more,
                )
            )

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        self.due.append((self.at + seconds, what))

    def _suspect(self) -> None:
        if suspicion is None:
            return
        for server in self.servers.values():
            state = self.catalogue.get(server.model)
            found = suspicion(state, self.clock.at) if state else None
            since = self.at - self.asked.get(server.model, -math.inf)
            if found and found.due <= self.clock.at and since >= 600:
                self.asked[server.model] = self.at
                self._later(
                    15, lambda server=server: self._benchmark(server, f"suspicion {self.at}", small=True)
                )

    def read_load(self, server: Server) -> None:
        """Publish what *server* works on now."""
        running, waiting = server.busy(self.at)
        more = {}
        if lasting is not None:
            last = self.catalogue.load(server.name)
            more["mean_running"], more["lasting"] = lasting(running, last, self.clock.at)
        self._apply(
            EndpointLoad(
                id=self._id(),
                at=self.clock.at,
                endpoint=server.name,
                every_s=LOAD_S,
                source="simulated",
                elapsed_ms=1.0,
                bytes=100,
                running=running,
                waiting=waiting,
                slots=self.slots,
                **more,
            )
        )

    def set(self, at: float) -> None:
        """Let it be so many seconds after the start."""
        self.at, self.clock.at = at, START + timedelta(seconds=at)

    def choice(self, caller: str | None = None, session: str | None = None) -> Server:
        """Return the server that an agent is sent to now."""
        request: dict[str, object] = {"use_case": USE_CASE, "limit": 1}
        if caller:
            request["caller"] = caller
        if session and "session" in RecommendRequest.__struct_fields__:
            request["session"] = session
        best = json.loads(self.answers.answer("recommend.best", json.dumps(request).encode()))[
            "recommendation"
        ]
        model = best["model"]
        return self.servers[model["endpoint"] if isinstance(model, dict) else model.partition("/")[0]]

    def run(self, hours: float, *, failing_at: float | None = None) -> Iterator[tuple[float, Server]]:
        """Yield the choice every few seconds, while agents call what is chosen and services do what they do."""
        steps = int(hours * 3600 / STEP_S)
        for step in range(1, steps + 1):
            self.set(step * STEP_S)
            for at, what in [one for one in self.due if one[0] <= self.at]:
                self.due.remove((at, what))
                what()
            for place, server in enumerate(self.servers.values()):
                if self.with_load and self.at % LOAD_S == 0:
                    self.read_load(server)
                if (self.at + 600 * place) % PROBE_S == 0:
                    self._probe(server, Outcome.OK, self.clock.at)
                if (self.at + 7200) % BENCHMARK_S == 0:
                    self._benchmark(server, f"tick {self.at}")
            if failing_at is not None and self.at == failing_at:
                self._probe(next(iter(self.servers.values())), Outcome.BUSY, self.clock.at)
            chosen = self.choice()
            if self.told:
                for n in range(STEP_S):
                    self._report(chosen, n)
                if self.at % WINDOW_S == 0:
                    self._publish_reports()
            if self.at % WINDOW_S == 0:
                self._suspect()
            yield self.at, chosen


SIGNALS = {"load": (True, False), "reports": (False, True), "neither": (False, False)}
BEGINS, HOUR = 605.0, 3600.0
_LASTING_H = 36.0


def slow(signal: str, seed: int, *, hours: float, lasts_s: float) -> dict[str, float]:
    """Return how soon the answer leaves a server that becomes ten times slower, comes back, and what that cost."""
    load, told = SIGNALS[signal]

    def slower(at: float) -> float:
        return 10.0 if BEGINS <= at < BEGINS + lasts_s else 1.0

    def busy(at: float) -> tuple[int, int]:
        return (SLOTS, 6) if load and slower(at) > 1 else (0, 0)

    servers = [Server("a", slower=slower, busy=busy), Server("b", quality=0.68)]
    world = World(servers, load=load, told=told, seed=seed)
    left = back = math.inf
    lost = []
    for at, chosen in world.run(hours):
        if at >= BEGINS and chosen.name == "b":
            left = min(left, at - BEGINS)
        if at >= BEGINS + lasts_s and chosen.name == "a":
            back = min(back, at - BEGINS - lasts_s)
        if at >= BEGINS:
            lost.append(max(one.worth(at) for one in servers) - chosen.worth(at))
    return {"left_s": left, "back_s": back, "regret": fmean(lost)}


def one_failure(seed: int) -> dict[str, float]:
    """Return for how long a single 503 moves the answer to the second best."""
    servers = [Server("a"), Server("b", quality=0.66)]
    world = World(servers, load=False, told=False, seed=seed)
    chosen = [one.name for _, one in world.run(1.0, failing_at=605)]
    return {"away_s": STEP_S * chosen.count("b"), "regret": STEP_S * chosen.count("b") / 3600 * 2.0}


def noisy_equals(seed: int, caller: str | None) -> dict[str, float]:
    """Return how often an hour of noisy, equal load changes the answer of one caller."""
    rng = Random(seed)
    levels = {(host, n): rng.choice((0, 0, 1, 1, 2)) for host in "ab" for n in range(361)}

    def busy(host: str) -> Callable[[float], tuple[int, int]]:
        return lambda at: (levels[host, int(at // LOAD_S) % 361], 0)

    world = World([Server(host, busy=busy(host)) for host in "ab"], load=True, told=False, seed=seed)
    before, changes = None, 0
    for _ in world.run(1.0):
        now = world.choice(caller).name
        changes += before is not None and now != before
        before = now
    return {"changes": changes}


def measure(runs: int) -> dict[str, dict[str, float]]:
    """Return all figures: means over *runs*."""
    told: dict[str, dict[str, float]] = {}
    for signal in SIGNALS:
        told[f"slow hour, {signal}"] = _mean([slow(signal, n, hours=1.5, lasts_s=HOUR) for n in range(runs)])
    for signal in SIGNALS:
        lasting = slow(signal, 0, hours=_LASTING_H, lasts_s=math.inf)
        told[f"lasting slowness, {signal}"] = {name: lasting[name] for name in ("left_s", "regret")}
    told["one 503"] = _mean([one_failure(n) for n in range(runs)])
    told["noisy equals, no name"] = _mean([noisy_equals(n, None) for n in range(runs)])
    told["noisy equals, a caller"] = _mean([noisy_equals(n, f"agent-{n}") for n in range(runs)])
    return told


def _mean(found: list[dict[str, float]]) -> dict[str, float]:
    return {name: fmean(one[name] for one in found) for name in found[0]}
