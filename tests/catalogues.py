"""Random catalogues and requests, each from a seed: likely ones, and unlikely ones that must do no harm."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from random import Random
from typing import Any

import msgspec
from msgspec import Struct

from samples import lifecycle_event, model_info
from vedette.messages import ids
from vedette.messages.catalogue import Catalogue
from vedette.messages.events import Event, ModelBenchmarked, ModelEvaluated, ModelProbed
from vedette.settings import EndpointSettings
from vedette.testing import EPOCH, FakeClock
from vedette.types import (
    Claim,
    Evidence,
    Figure,
    Health,
    Level,
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
from vedette_recommender.answers import Answers

Pair = tuple[int, Event]
STALE_AFTER = timedelta(minutes=90)
FAMILIES = ("llama", "Llama", "qwen2", "gemma", None)
LICENSES = ("apache-2.0", "mit", "llama3.1", None)
NAMES = ("llama3.1:8b", "org/qwen:7b", "modèle.é", "a b", "x" * 150)
CAPABILITIES = ("chat", "tools", "vision", "embedding", "code_generation", "thinking")
USE_CASES = tuple(known({}))
SUITES = ("instructions", "arithmetic", "choice", "extraction", "code_generation", "tools", "retrieval")


class Facts(Struct, frozen=True, kw_only=True):
    """What a test knows of a model by itself, to check answers against. None is unknown."""

    model: ModelRef
    status: Status
    capabilities: dict[str, Claim]
    context_tokens: int | None
    parameters: int | None
    family: str | None
    license: str | None
    locality: str
    usd_per_mtok: float | None  # the dearer of input and output
    ttft_ms: float | None
    output_tps: float | None
    uptime_24h: float | None


def figure(value: float) -> Figure:
    """Return a figure without spread."""
    return Figure(n=6, median=value, p95=value, min=value, max=value, spread=0.0)


def model(rng: Random, number: int) -> tuple[Facts, list[Event]]:
    """Return a random model: what is true of it, and the events that tell it, a lifecycle event first."""
    ref = ModelRef(f"host-{number % 5}", f"{rng.choice(NAMES)}-{number // 5}")
    claims = {
        name: Claim(value=rng.random() < 0.9, evidence=rng.choice(list(Evidence)), source="test")
        for name in CAPABILITIES
        if rng.random() < (0.9 if name == "chat" else 0.5)
    }
    locality = rng.choice(("local", "local", "remote", "unknown"))
    usd = rng.choice((None, 0.0, rng.uniform(0, 30)))
    context = rng.choice((None, 1, 4096, 32_768, rng.randint(1, 2**24)))
    info = model_info(
        ref,
        kind="chat",
        capabilities=claims,
        locality=locality,
        native_context_tokens=context,
        parameters=rng.choice((None, 0, rng.randint(1, 10**12))),
        quantization=rng.choice((None, "Q4_K_M", "IQ2_XS", "int8", "?")),
        family=rng.choice(FAMILIES),
        license=rng.choice(LICENSES),
        price=None
        if usd is None
        else Price(input_usd_per_mtok=usd / 2, output_usd_per_mtok=usd, source="test"),
    )
    events: list[Event] = [lifecycle_event("found", ref, at=EPOCH, info=info)]
    status, cold, up, down = Status.UNKNOWN, False, 0, 0
    if rng.random() < 0.85:
        probed, up, down = _probed(ref, rng)
        stale = EPOCH - probed.health.checked_at > STALE_AFTER
        cold = not stale and probed.health.residency is not None
        status = Status.UNKNOWN if stale else probed.health.status
        events.append(probed)
    was_probed = any(isinstance(event, ModelProbed) for event in events)
    speed = _benchmarked(ref, rng) if rng.random() < 0.7 else None
    if speed is not None:
        events.append(speed)
    if rng.random() < 0.6:
        events.append(_evaluated(ref, rng))
        up += 1  # an evaluation that went well, in this hour
    measured = speed.performance if speed else None
    if measured and cold:
        # Each residency of this generator is over, so the next call waits for the model to load.
        measured = msgspec.structs.replace(measured, ttft_ms=measured.ttft_cold_ms)
    return Facts(
        model=ref,
        status=status,
        capabilities=claims,
        context_tokens=context,
        parameters=info.parameters,
        family=info.family,
        license=info.license,
        locality=locality,
        usd_per_mtok=0.0 if usd is None and locality == "local" else usd,
        ttft_ms=measured.ttft_ms.median if measured and measured.ttft_ms else None,
        output_tps=measured.output_tps.median if measured and measured.output_tps else None,
        uptime_24h=up / (up + down) if was_probed and up + down else None,
    ), events


def _probed(ref: ModelRef, rng: Random) -> tuple[ModelProbed, int, int]:
    at = EPOCH - timedelta(minutes=rng.choice((0, 1, 89, 91, 5000)))
    up, down = rng.randint(0, 48), rng.choice((0, 0, rng.randint(0, 48)))
    counts = {
        name: n for name, n in (("ok", up), ("timeout", down), ("rate_limited", rng.randint(0, 3))) if n
    }
    old = {"timeout": 100}  # before the day that counts
    hourly = (
        Tally(start=EPOCH - timedelta(hours=25), counts=old),
        Tally(start=EPOCH - timedelta(hours=2), counts=counts),
    )
    sample = ProbeSample(job_id="p", at=at, outcome=Outcome.OK, level=Level.ANSWER)
    health = Health(
        status=rng.choice(list(Status)),
        since=at,
        checked_at=at,
        outcomes=(sample,),
        hourly=hourly,
        daily=(Tally(start=EPOCH - timedelta(days=1), counts=counts),),
        residency=rng.choice((None, Residency(resident=False), Residency(resident=True, expires_at=EPOCH))),
    )
    return ModelProbed(id=_id(ref, "probed"), at=at, model=ref, sample=sample, health=health), up, down


def _benchmarked(ref: ModelRef, rng: Random) -> ModelBenchmarked:
    tps = rng.choice((None, 0.0, 1e-9, rng.uniform(0.1, 300), 1e12))
    ttft = rng.choice((None, 0.0, rng.uniform(5, 9000), 1e9))
    performance = Performance(
        measured_at=EPOCH - timedelta(days=rng.choice((0, 1, 400))),
        n=rng.choice((1, 6, 30)),
        output_tps=None if tps is None else figure(tps),
        ttft_ms=None if ttft is None else figure(ttft),
        texts_per_s=figure(rng.uniform(1, 900)) if rng.random() < 0.3 else None,
        e2e_ms=figure(rng.uniform(1, 900)) if rng.random() < 0.3 else None,
        ttft_cold_ms=figure(rng.uniform(1, 20_000)) if rng.random() < 0.5 else None,
    )
    return ModelBenchmarked(
        id=_id(ref, "benchmarked"),
        at=EPOCH,
        model=ref,
        job_id="b",
        outcome=Outcome.OK,
        performance=performance,
    )


def _evaluated(ref: ModelRef, rng: Random) -> ModelEvaluated:
    scores = {}
    for kind in SUITES:
        trials = rng.choice((0, 1, 40))
        scores[kind] = Score(successes=rng.randint(0, trials), trials=trials, suite=f"{kind}@1")
    quality = Quality(measured_at=EPOCH - timedelta(days=rng.choice((0, 30, 900))), scores=scores)
    return ModelEvaluated(
        id=_id(ref, "evaluated"), at=EPOCH, model=ref, job_id="e", outcome=Outcome.OK, quality=quality
    )


def _id(ref: ModelRef, what: str) -> str:
    return ids.derive(EPOCH, what, str(ref))


def catalogue(rng: Random, size: int) -> tuple[dict[ModelRef, Facts], list[Pair]]:
    """Return *size* random models by reference, and their events with sequences; some were lost, and are not there."""
    facts, events = {}, []
    for number in range(size):
        known_of, told = model(rng, number)
        if rng.random() < 0.1:
            told.append(lifecycle_event("lost", known_of.model, at=EPOCH, revision=2))
        else:
            facts[known_of.model] = known_of
        events += told
    return facts, list(enumerate(events, start=1))


def request(rng: Random, models: Iterable[ModelRef]) -> dict[str, Any]:
    """Return a random valid request about *models*."""
    refs = [*models, ModelRef("host-9", "nobody")]
    limits = {
        "min_context_tokens": rng.choice((1, 4096, 32_768, 10**6)),
        "max_ttft_ms": rng.uniform(1, 5000),
        "min_output_tps": rng.uniform(0.1, 200),
        "max_price_usd_per_mtok": rng.choice((0.0, rng.uniform(0, 20))),
        "min_parameters": rng.randint(0, 10**11),
        "max_parameters": rng.randint(0, 10**12),
        "min_uptime_24h": rng.random(),
        "locality": rng.choice(("local", "remote")),
        "families": rng.sample(("LLAMA", "qwen2", "none"), 2),
        "licenses": rng.sample(("MIT", "apache-2.0", "x"), 2),
        "endpoints": rng.sample(("host-0", "host-1", "host-9"), 2),
        "exclude": [rng.choice((str(ref), ref.name)) for ref in rng.sample(refs, 1)],
        "statuses": rng.sample([str(status) for status in Status], 4),
        "evidence": str(rng.choice(list(Evidence))),
        "unmeasured": rng.choice(("keep", "reject")),
    }
    asked: dict[str, Any] = {"use_case": rng.choice(USE_CASES), "limit": rng.choice((1, 3, 100))}
    asked["constraints"] = {name: limit for name, limit in limits.items() if rng.random() < 0.2}
    if rng.random() < 0.3:
        asked["capabilities"] = rng.sample(CAPABILITIES, 2)
    if rng.random() < 0.3:
        asked["weights"] = {"speed": rng.random(), "quality": rng.random(), "price": 1e-3}
    asked["risk"] = rng.choice(("conservative", "neutral", "explore"))
    return asked


class Recommender:
    """A recommender that hears events, and is asked as the service asks it."""

    def __init__(self, at: datetime = EPOCH) -> None:
        self.clock = FakeClock(at)
        self.catalogue = Catalogue()
        self.answers = Answers(
            catalogue=self.catalogue,
            endpoints={name: EndpointSettings(url="http://h:1") for name in ("host-0", "host-1", "host-9")},
            use_cases=known({}),
            stale_after=STALE_AFTER,
            base_url=lambda provider, url: f"{url}/v1",
            clock=self.clock,
        )

    def hear(self, *pairs: Pair) -> "Recommender":
        """Take in events with their sequences."""
        for sequence, event in pairs:
            if self.catalogue.apply(event, sequence):
                self.answers.changed(event)
        return self

    def ask(self, subject: str, asked: dict[str, Any]) -> bytes:
        """Return the encoded reply."""
        return self.answers.answer(subject, json.dumps(asked).encode())

    def told(self, subject: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Return the reply as plain JSON values."""
        reply: dict[str, Any] = json.loads(self.ask(subject, asked))
        return reply
