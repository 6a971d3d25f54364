"""A console over a recommender in this process: a fleet like people have one, and history that follows from it."""

import math
import re
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any, TypeVar

import httpx
import msgspec

from catalogues import Pair, Recommender
from samples import lifecycle_event, model_info
from vedette import log
from vedette.client.definitions import Author, Change
from vedette.endpoints.merging import Definitions as MergedDefinitions
from vedette.endpoints.merging import merged
from vedette.errors import NoAnswer, RequestError
from vedette.messages import ids
from vedette.messages.catalogue import Catalogue, Versioned
from vedette.messages.codec import encode
from vedette.messages.events import (
    AnswerChanged,
    AsOf,
    EndpointDefined,
    EndpointObserved,
    Event,
    Job,
    ModelBenchmarked,
    ModelEvaluated,
    ModelEvent,
    ModelProbed,
)
from vedette.messages.kinds import TASKS
from vedette.messages.queries import (
    AvailabilityBucket,
    AvailabilityHistory,
    BestReply,
    HistoryRequest,
    MeasuredSpeed,
    ModelsReply,
    PastEvent,
    PastModel,
    PastReply,
    PastRequest,
    PerformanceHistory,
    PerformancePoint,
)
from vedette.messages.validation import reference
from vedette.runtime import web
from vedette.settings import Console, EndpointSettings, Judge, Secret, Settings
from vedette.testing import EPOCH, FakeClock
from vedette.types import (
    Capability,
    Claim,
    EndpointState,
    Evidence,
    Figure,
    Health,
    Level,
    Miss,
    ModelRef,
    Outcome,
    Performance,
    Price,
    ProbeSample,
    Quality,
    Residency,
    Score,
    Status,
    Tally,
)
from vedette.usecases import known
from vedette_console.access import Keys
from vedette_console.app import application
from vedette_console.asking import Asking
from vedette_console.changes import Changes
from vedette_console.guard import Guard
from vedette_console.screens.context import Sources
from vedette_console.screens.judging import Judging
from vedette_recommender.answers import Answers
from vedette_recommender.as_of import Past

T = TypeVar("T", bound=msgspec.Struct)
TOKEN, OPERATOR = "look-at-it", "operate-it"
ENDPOINTS = {
    "gpu": EndpointSettings(
        provider="openai-compatible", url="http://gpu-box:8000", api_key=Secret(env="GPU_KEY")
    ),
    "attic": EndpointSettings(url="http://attic:11434"),
    "laptop": EndpointSettings(url="http://127.0.0.1:11434"),
    "openai": EndpointSettings(provider="openai", url="https://api.openai.com"),
}
# name, parameters in billions, share of right answers, US dollars per million output tokens
OWN = (
    ("qwen3:8b", 8.2, 0.72, None),
    ("qwen2.5-coder:32b", 32.8, 0.78, None),
    ("llama3.3:70b", 70.6, 0.8, None),
    ("gemma3:27b", 27.4, 0.76, None),
    ("mistral-small:24b", 23.6, 0.71, None),
    ("phi4:14b", 14.7, 0.7, None),
    ("llama3.2:3b", 3.2, 0.5, None),
    ("smollm2:135m", 0.135, 0.08, None),
    ("nomic-embed-text:v1.5", 0.137, 0.6, None),
)
HOSTED = (("gpt-5", None, 0.93, 10.0), ("gpt-5-mini", None, 0.86, 2.0), ("gpt-4o-mini", None, 0.74, 0.6))
SUITES = ("instructions", "arithmetic", "choice", "extraction", "code_generation", "tools", "retrieval")
_PROBES = 48  # a day
_DETAILED = 100  # models whose days are told one by one
_SERVERS = {"gpu": "vllm", "openai": None}
_RATE = {"gpu": 900.0, "attic": 160.0, "laptop": 90.0}  # billions of parameters times tokens per second


def fleet(models: int, *, seed: int = 7) -> list[Pair]:
    """Return the events of *models* models at ENDPOINTS, with their sequences: some hosted, one unreachable."""
    rng = Random(seed)
    events: list[Event] = [_observed(name) for name in ENDPOINTS]
    for number in range(models):
        hosted = number % 5 == 4 and number // 5 < len(HOSTED)
        name, billions, share, usd = HOSTED[number // 5] if hosted else OWN[(number - number // 5) % len(OWN)]
        endpoint = "openai" if hosted else ("gpu", "attic", "laptop")[number % 3]
        copy = number // len(OWN)
        ref = ModelRef(endpoint, name if hosted or copy < 3 else f"{name}-v{copy}")
        events += _of_model(rng, ref, billions, share, usd, detailed=number < _DETAILED)
    return list(enumerate(events, start=1))


def _observed(name: str) -> EndpointObserved:
    settings = ENDPOINTS[name]
    outcome = Outcome.REFUSED if name == "laptop" else Outcome.OK
    state = EndpointState(
        url=settings.url,
        provider=settings.provider,
        fingerprint="f",
        checked_at=EPOCH,
        outcome=outcome,
        latency_ms=12.0,
        detail="connection refused" if outcome is Outcome.REFUSED else None,
        server=_SERVERS.get(name, "ollama"),
        server_version=None if name == "openai" else "0.12.11",
    )
    return EndpointObserved(id=ids.derive(EPOCH, "observed", name), at=EPOCH, endpoint=name, state=state)


def _days(ref: ModelRef) -> list[tuple[datetime, float]]:
    """Return the last 30 days of a model, and its uptime of each: nearly always up."""
    rng = Random(zlib.crc32(str(ref).encode()))
    starts = [EPOCH - timedelta(days=30 - number) for number in range(30)]
    return [(start, 1.0 if rng.random() < 0.85 else rng.choice((0.98, 0.96))) for start in starts]


def _of_model(
    rng: Random,
    ref: ModelRef,
    billions: float | None,
    share: float,
    usd: float | None,
    *,
    detailed: bool,
) -> list[Event]:
    embeds = "embed" in ref.name
    kinds = [Capability.EMBEDDING] if embeds else [Capability.CHAT, *TASKS]
    if not embeds and share > 0.4:
        kinds.append(Capability.TOOLS)
    if (usd or 0) > 1:
        kinds.append(Capability.VISION)
    info = model_info(
        ref,
        provider=ENDPOINTS[ref.endpoint].provider,
        url=ENDPOINTS[ref.endpoint].url,
        kind="embedding" if embeds else "chat",
        capabilities={
            kind: Claim(value=True, evidence=Evidence.VERIFIED if kind == Capability.TOOLS else Evidence.DECLARED,
                        source="a call" if kind == Capability.TOOLS else "/api/show")
            for kind in kinds
        },
        parameters=int(billions * 1e9) if billions else None,
        quantization="Q4_K_M" if usd is None else None,
        native_context_tokens=128_000 if share > 0.6 else 8192,
        locality="remote" if usd else "local",
        license="apache-2.0",
        price=Price(input_usd_per_mtok=usd / 8, output_usd_per_mtok=usd, source="a table") if usd else None,
        free=usd is None,
        sources={"parameters": "/api/show", "license": "/api/show"},
    )  # fmt: skip
    events: list[Event] = [lifecycle_event("found", ref, at=EPOCH - timedelta(days=9), info=info)]
    down = ref.endpoint == "laptop"
    sample = ProbeSample(
        job_id="p",
        at=EPOCH,
        outcome=Outcome.REFUSED if down else Outcome.OK,
        level=Level.ANSWER,
        latency_ms=80.0,
    )
    counts = {"ok": 46, "refused": 2} if down else {"ok": 48}
    health = Health(
        status=Status.UNREACHABLE if down else Status.AVAILABLE,
        since=EPOCH,
        checked_at=EPOCH,
        answered_at=EPOCH,
        outcomes=(sample,),
        hourly=(Tally(start=EPOCH - timedelta(hours=2), counts=counts),),
        daily=tuple(
            Tally(start=start, counts={"ok": round(_PROBES * up), "timeout": _PROBES - round(_PROBES * up)})
            for start, up in (_days(ref) if detailed else ())
        ),
        residency=None if usd else Residency(resident=rng.random() < 0.5),
    )
    events.append(ModelProbed(id=_id(ref, "probed"), at=EPOCH, model=ref, sample=sample, health=health))
    if usd is None:
        rate = _RATE[ref.endpoint] / max(billions or 1.0, 0.3) * rng.uniform(0.9, 1.1)
        events.append(_benchmarked(ref, min(rate, 400.0), embeds=embeds))
        if rng.random() < 0.8:
            events.append(_evaluated(rng, ref, share))
    return events


def _figure(value: float) -> Figure:
    return Figure(n=6, median=value, p95=value * 1.2, min=value * 0.9, max=value * 1.3, spread=0.05)


def _benchmarked(ref: ModelRef, rate: float, *, embeds: bool) -> ModelBenchmarked:
    performance = Performance(
        measured_at=EPOCH,
        n=6,
        output_tps=None if embeds else _figure(rate),
        texts_per_s=_figure(rate) if embeds else None,
        ttft_ms=_figure(9000.0 / rate),
        ttft_cold_ms=_figure(9000.0 / rate + 4000.0),
    )
    return ModelBenchmarked(
        id=_id(ref, "benchmarked"),
        at=EPOCH,
        model=ref,
        job_id="b",
        outcome=Outcome.OK,
        performance=performance,
    )


def _evaluated(rng: Random, ref: ModelRef, share: float) -> ModelEvaluated:
    scores = {
        kind: Score(successes=sum(rng.random() < share for _ in range(12)), trials=12, suite=f"{kind}@2")
        for kind in SUITES
    }
    miss = Miss(suite="arithmetic@2", prompt="What is 17 times 23?", answer="381", why="391 is right")
    quality = Quality(measured_at=EPOCH - timedelta(days=1), scores=scores, misses=(miss,))
    return ModelEvaluated(
        id=_id(ref, "evaluated"), at=EPOCH, model=ref, job_id="e", outcome=Outcome.OK, quality=quality
    )


def _id(ref: ModelRef, what: str) -> str:
    return ids.derive(EPOCH, what, str(ref))


class InProcess(Asking):
    """Asks a recommender of this process; the history of a model follows from its name. Counts what is asked."""

    def __init__(self, recommender: Recommender, past: Past) -> None:
        self.recommender = recommender
        self.asked: list[str] = []
        self.away = False
        self.past = past

    async def ask(self, subject: str, reply: type[T], request: Any = None) -> T:
        return msgspec.json.decode(
            await self._answer(subject, msgspec.json.encode(request or {})), type=reply
        )

    async def encoded(self, subject: str, request: Any) -> bytes:
        return await self._answer(subject, msgspec.json.encode(request))

    async def _answer(self, subject: str, payload: bytes) -> bytes:
        self.asked.append(subject)
        if self.away:
            raise NoAnswer(code="no_answer", message=f"no reply on {subject}; is a recommender running?")
        if subject.startswith("history."):
            wanted = msgspec.json.decode(payload, type=HistoryRequest)
            made = (
                _uptime(wanted) if subject == "history.availability" else _speeds(wanted, self._last(wanted))
            )
            return msgspec.json.encode(made)
        if subject == "report.outcome":
            return b'{"counted":true}'
        if subject.endswith(".asof"):
            return await self.past.answer(subject, payload)
        return self.recommender.answers.answer(subject, payload)

    def _last(self, wanted: HistoryRequest) -> MeasuredSpeed | None:
        try:
            known = self.recommender.ask("models.get", {"model": str(reference(wanted.model or ""))})
        except RequestError:
            return None
        return msgspec.json.decode(known, type=ModelsReply).models[0].performance


def _uptime(wanted: HistoryRequest) -> AvailabilityHistory:
    since = wanted.since or EPOCH - timedelta(days=1)
    model = reference(wanted.model) if wanted.model is not None else None
    if model is not None and wanted.buckets == 30:
        days = _days(model)
    else:
        length = (EPOCH - since) / wanted.buckets
        days = [(since + length * number, 0.98) for number in range(wanted.buckets)]
    buckets = tuple(
        AvailabilityBucket(
            start=start,
            probes=_PROBES,
            counts={},
            uptime=up,
            latency_p50_ms=80.0,
            latency_p95_ms=120.0,
        )
        for start, up in days
    )
    down = sum(_PROBES - round(_PROBES * up) for _, up in days)
    total = _PROBES * len(days)
    return AvailabilityHistory(
        model=model, endpoint=wanted.endpoint, since=since, until=EPOCH, buckets=buckets, probes=total,
        uptime=1.0 - down / total, down_by_cause={"endpoint": down} if down else {},
    )  # fmt: skip


def _speeds(wanted: HistoryRequest, last: MeasuredSpeed | None) -> PerformanceHistory:
    """Return figures that swing, and end at the *last* ones."""
    since = wanted.since or EPOCH - timedelta(days=7)
    phase = zlib.crc32(str(wanted.model).encode()) % 7
    points = tuple(
        PerformancePoint(
            measured_at=since + timedelta(days=number),
            outcome=Outcome.OK,
            benchmarks=4,
            failed=0,
            n=6,
            contended=0,
            output_tps=_swing(last.output_tps if last else None, number, phase),
            ttft_ms=_swing(last.ttft_ms if last else None, number, phase + 2),
            ttft_cold_ms=None,
            load_ms=None,
            texts_per_s=_swing(last.texts_per_s if last else None, number, phase),
        )
        for number in range(30 if last else 0)
    )
    model = reference(wanted.model) if wanted.model is not None else None
    return PerformanceHistory(model=model, since=since, until=EPOCH, points=points, benchmarks=120)


def _swing(last: float | None, number: int, phase: int) -> float | None:
    if last is None:
        return None
    return last * (1 + 0.1 * math.sin((29 - number) / 3) * math.cos(phase + number))


class Definitions:
    """Definitions of endpoints as their stream holds them, without a broker."""

    def __init__(self, clock: FakeClock, then: Callable[[EndpointDefined, int], None]) -> None:
        self.events: list[EndpointDefined] = []
        self._clock = clock
        self._then = then

    def keys(self) -> dict[str, Secret]:
        return {"vllm": Secret(env="VLLM_KEY")}

    async def last(self, name: str) -> Versioned[EndpointDefined] | None:
        of_it = [(n, one) for n, one in enumerate(self.events, 1) if one.endpoint == name]
        return Versioned(*of_it[-1]) if of_it else None

    async def history(self, name: str) -> list[EndpointDefined]:
        return [one for one in self.events if one.endpoint == name]

    async def define(self, name: str, change: Change, author: Author, *, expected: int) -> int:
        held = await self.last(name)
        if (held.sequence if held else 0) != expected:
            raise RequestError(code="conflict", message=f"endpoint {name} was changed meanwhile")
        event = EndpointDefined(
            id=str(len(self.events)),
            at=self._clock.now(),
            endpoint=name,
            by=author.by,
            via=author.via,
            reason=author.reason,
            **change(held.event if held else None),
        )
        self.events.append(event)
        self._then(event, len(self.events))
        return len(self.events)


def form_token(page: str) -> str:
    """Return what the forms of *page* send, so that no other site can send one."""
    found = re.search(r'name="form_token" value="([0-9a-f]+)"', page)
    assert found
    return found[1]


class Rig:
    """A console, the recommender that it asks, and what reached the bus."""

    def __init__(
        self,
        pairs: list[Pair],
        *,
        console: Console | None = None,
        keys: Keys | None = None,
        use_cases: Callable[[], tuple[str, ...]] = lambda: tuple(known({})),
    ) -> None:
        self.clock = FakeClock(EPOCH)
        self.recommender = Recommender(EPOCH)
        self.recommender.catalogue = Catalogue()
        self._defined = MergedDefinitions()
        over = self._over = partial(
            Answers,
            endpoints=ENDPOINTS,
            use_cases=known({}),
            stale_after=timedelta(minutes=90),
            base_url=lambda provider, url: f"{url}/v1",
        )
        self.recommender.answers = over(catalogue=self.recommender.catalogue, clock=self.clock)
        self.past = Past(recall=self._recall, answers=over, use_cases=known({}), clock=self.clock)
        self._recorded: dict[ModelRef, list[ModelEvent]] = {}
        self.changes = Changes()
        self.jobs: list[Job] = []
        self._sequence = 0
        for _, event in pairs:
            self.hear(event)
        self.recommender.answers.prepare()
        self.asking = InProcess(self.recommender, self.past)
        self.keys = keys or Keys(None, OPERATOR, open=True)
        self.definitions = Definitions(self.clock, self._take_on)
        sources = Sources(asking=self.asking, changes=self.changes, clock=self.clock, use_cases=use_cases)
        self.app: Guard = application(
            sources,
            self._enqueue,
            self.definitions,
            lambda: Judging(Judge(), known({})),
            console or Console(),
            self.keys,
            log.logger("console"),
        )

    def _take_on(self, event: EndpointDefined, sequence: int) -> None:
        """Have *event* in force, as the process of a recommender has, and tell open pages."""
        self._defined.apply(event, sequence)
        settings = merged(Settings(endpoints=ENDPOINTS), self._defined, self.clock.now())
        self.recommender.answers = self._over(
            catalogue=self.recommender.catalogue,
            clock=self.clock,
            endpoints=settings.endpoints,
            defined=settings.defined,
        )
        self.recommender.answers.prepare()
        self.changes.apply("DEFINITIONS", event, sequence)

    def hear(self, *events: Event) -> None:
        """Let the recommender and the console take in *events*."""
        for event in events:
            self._sequence += 1
            if isinstance(event, ModelEvent):
                self._recorded.setdefault(event.model, []).append(event)
            self.recommender.hear((self._sequence, event))
            if isinstance(event, EndpointObserved):
                self.changes.apply("ENDPOINTS", event, self._sequence)
            elif isinstance(event, AnswerChanged):
                self.changes.apply("ANSWERS", event, self._sequence)
            else:
                self.changes.apply("MODELS", event, self._sequence)

    def announce(self, use_case: str, detail: str = "better by 3 points") -> AnswerChanged:
        """Let the console hear that the winner of *use_case* is the one that is best now; return that event."""
        reply = msgspec.json.decode(
            self.recommender.ask("recommend.best", {"use_case": use_case}), type=BestReply
        )
        best = reply.recommendation
        event = AnswerChanged(
            id=ids.derive(self.clock.now(), "answer", use_case, str(self._sequence)),
            at=self.clock.now(),
            use_case=use_case,
            reason="better",
            model=best.model if best else None,
            score=best.score if best else None,
            detail=f"{best.model if best else 'nothing'} is best now: {detail}",
            as_of=AsOf(sequence=self._sequence, scored_at=EPOCH),
        )
        self.hear(event)
        return event

    async def _recall(self, wanted: PastRequest) -> PastReply:
        """Return the events until a time, as a recorder has them."""
        models = []
        for model, events in sorted(self._recorded.items()):
            until = [event for event in events if event.at <= wanted.at]
            past = tuple(
                PastEvent(subject=event.subject, sequence=n, event=msgspec.Raw(encode(event)))
                for n, event in enumerate(until, start=1)
            )
            if past:
                models.append(PastModel(model=model, events=past))
        return PastReply(at=wanted.at, models=tuple(models), probes_since=EPOCH - timedelta(days=30))

    async def _enqueue(self, job: Job) -> Job:
        self.jobs.append(job)
        return job

    def client(self, **headers: str) -> httpx.AsyncClient:
        """Return a browser without scripts, at the console."""
        transport = httpx.ASGITransport(app=self.app, client=("127.0.0.1", 50_000))
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7717", headers=headers)

    @asynccontextmanager
    async def served(self, port: int = 0) -> AsyncIterator[str]:
        """Serve the console on loopback while the context is open; give its URL."""
        async with web.listening(self.app, "127.0.0.1", port, section="console", closing_s=1) as url:
            try:
                yield url
            finally:
                self.changes.end()
