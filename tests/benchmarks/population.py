"""Models such as an organisation has, from a seed: each found, probed, benchmarked and evaluated.

Model *n* is the same whatever the number of models, so a larger population only adds to a smaller one.
"""

import asyncio
import math
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

from msgspec import Struct
from nats.aio.client import Client as NatsClient

from vedette.messages import ids
from vedette.messages.codec import encode
from vedette.messages.events import ModelBenchmarked, ModelEvaluated, ModelEvent, ModelFound, ModelProbed
from vedette.settings import Nats, Settings
from vedette.types import (
    Claim,
    Evidence,
    Figure,
    Health,
    Level,
    ModelInfo,
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

SEED = 20261125
EVENTS_PER_MODEL = 4
_MODELS_PER_ENDPOINT = 40
_OUTSTANDING = 4000  # publishes without an acknowledgement yet
_MIN_EXPECTED = 1000


class Line(Struct, frozen=True):
    """A family of models as it is published: sizes in billions of parameters, licence, context."""

    family: str
    licence: str
    sizes: tuple[float, ...]
    context_tokens: int
    capabilities: tuple[str, ...]


_CHAT = ("chat", "completion")
_CODE = ("code_generation", "code_understanding")
_TEXT = ("documentation", "summarisation", "extraction")
_LINES = (
    Line("llama", "llama3.1", (1, 3, 8, 70), 131_072, (*_CHAT, "tools", "json_schema", *_TEXT)),
    Line(
        "qwen3", "apache-2.0", (0.6, 4, 8, 14, 32), 40_960, (*_CHAT, "tools", "thinking", "reasoning", *_TEXT)
    ),
    Line("qwen2.5-coder", "apache-2.0", (0.5, 1.5, 7, 14, 32), 32_768, (*_CHAT, "insert", *_CODE)),
    Line("gemma3", "gemma", (1, 4, 12, 27), 131_072, (*_CHAT, "vision", *_TEXT)),
    Line("mistral", "apache-2.0", (7, 24), 32_768, (*_CHAT, "tools", "json_schema", *_TEXT)),
    Line("phi", "mit", (3.8, 14), 16_384, (*_CHAT, "reasoning", *_CODE)),
    Line("deepseek-r1", "mit", (1.5, 7, 14, 32, 70), 131_072, (*_CHAT, "thinking", "reasoning", *_CODE)),
    Line("smollm2", "apache-2.0", (0.135, 0.36, 1.7), 8192, _CHAT),
    Line("nomic-embed", "apache-2.0", (0.137,), 8192, ("embedding",)),
    Line("bge-m3", "mit", (0.567,), 8192, ("embedding",)),
)
_LINE_WEIGHTS = (20, 18, 12, 12, 10, 8, 8, 6, 3, 3)
_QUANTIZATIONS = ("Q4_K_M", "Q8_0", "Q5_K_M", "Q6_K", "Q3_K_M", "F16", "Q2_K")
_QUANTIZATION_WEIGHTS = (50, 18, 8, 8, 5, 8, 3)
_BITS = {"Q2_K": 2.6, "Q3_K_M": 3.9, "Q4_K_M": 4.8, "Q5_K_M": 5.7, "Q6_K": 6.6, "Q8_0": 8.5, "F16": 16.0}
_STATUSES = (Status.AVAILABLE, Status.BUSY, Status.DEGRADED, Status.UNREACHABLE)
_STATUS_WEIGHTS = (90, 4, 3, 3)
_KINDS = (
    "instructions",
    "arithmetic",
    "choice",
    "extraction",
    "code_generation",
    "code_understanding",
    "tools",
)


def reference(number: int) -> ModelRef:
    """Return the model *number*: where it is served and what it is called."""
    rng = Random(f"{SEED} {number}")
    line = rng.choices(_LINES, _LINE_WEIGHTS)[0]
    return ModelRef(
        f"host-{number // _MODELS_PER_ENDPOINT}", f"{line.family}:{rng.choice(line.sizes)}b-{number}"
    )


def events_of(number: int, now: datetime) -> tuple[ModelFound, ModelProbed, ModelBenchmarked, ModelEvaluated]:
    """Return the four events after which the model *number* is as it is at *now*."""
    rng = Random(f"{SEED} {number}")
    line = rng.choices(_LINES, _LINE_WEIGHTS)[0]
    billions = rng.choice(line.sizes)
    model = ModelRef(f"host-{number // _MODELS_PER_ENDPOINT}", f"{line.family}:{billions}b-{number}")
    info = _info(model, line, billions, rng)
    return (
        ModelFound(
            id=_id(model, "found", now), at=now - timedelta(days=20), model=model, info=info, revision=1
        ),
        _probed(model, now, rng),
        benchmarked(model, now, tps=_tps(info, rng), ttft_ms=_ttft_ms(billions, rng), info=info),
        _evaluated(model, billions, info, now, rng),
    )


def _id(model: ModelRef, what: str, at: datetime) -> str:
    return ids.derive(at, what, str(model))


def _info(model: ModelRef, line: Line, billions: float, rng: Random) -> ModelInfo:
    local = rng.random() < 0.8
    quantization = rng.choices(_QUANTIZATIONS, _QUANTIZATION_WEIGHTS)[0] if local else None
    evidence = (Evidence.DECLARED, Evidence.DECLARED, Evidence.VERIFIED, Evidence.INFERRED)
    claims = {
        name: Claim(value=rng.random() < 0.97, evidence=rng.choice(evidence), source="/api/show")
        for name in line.capabilities
    }
    usd = round(0.05 * billions**0.7, 3)
    return ModelInfo(
        model=model,
        provider="ollama" if local else "openai-compatible",
        url=f"http://{model.endpoint}.example:11434",
        api="ollama" if local else "openai",
        kind="embedding" if "embedding" in claims else "chat",
        digest=f"{rng.getrandbits(256):064x}",
        family=line.family,
        architecture=line.family,
        parameters=int(billions * 1e9),
        quantization=quantization,
        format="gguf" if local else None,
        size_bytes=int(billions * 1e9 * _BITS[quantization] / 8) if quantization else None,
        license=line.licence,
        native_context_tokens=line.context_tokens,
        configured_context_tokens=rng.choice((None, None, 4096, 8192, 16_384, 32_768)),
        locality="local" if local else "remote",
        capabilities=claims,
        price=None
        if local
        else Price(input_usd_per_mtok=usd, output_usd_per_mtok=4 * usd, source="a list", as_of="2026-11"),
        sources={"family": "details.family", "parameters": "model_info", "license": "license"},
    )


def _probed(model: ModelRef, now: datetime, rng: Random) -> ModelProbed:
    """Return a probe on top of 30 days of them, half an hour apart."""
    reliability = 1 - 10 ** -rng.uniform(1.5, 4)
    hour = now.replace(minute=0, second=0, microsecond=0)
    hourly = tuple(_tally(hour - timedelta(hours=23 - n), 2, reliability, rng) for n in range(24))
    day = hour.replace(hour=0)
    daily = tuple(_tally(day - timedelta(days=29 - n), 48, reliability, rng) for n in range(30))
    status = rng.choices(_STATUSES, _STATUS_WEIGHTS)[0]
    outcomes = tuple(
        ProbeSample(
            job_id=_id(model, f"probe {n}", now),
            at=now - timedelta(minutes=30 * (19 - n)),
            outcome=Outcome.REFUSED if status is Status.UNREACHABLE and n > 15 else Outcome.OK,
            level=Level.ANSWER,
            latency_ms=round(rng.lognormvariate(4, 0.5), 1),
        )
        for n in range(20)
    )
    resident = rng.random() < 0.3
    health = Health(
        status=status,
        since=now - timedelta(hours=rng.randint(1, 400)),
        checked_at=now,
        answered_at=now,
        outcomes=outcomes,
        hourly=hourly,
        daily=daily,
        residency=Residency(resident=resident, expires_at=now + timedelta(days=1) if resident else None),
    )
    return ModelProbed(id=_id(model, "probed", now), at=now, model=model, sample=outcomes[-1], health=health)


def _tally(start: datetime, probes: int, reliability: float, rng: Random) -> Tally:
    failed = min(probes, int(probes * (1 - reliability) + rng.random()))
    counts = {"ok": probes - failed, "timeout": failed}
    return Tally(start=start, counts={outcome: n for outcome, n in counts.items() if n})


def _tps(info: ModelInfo, rng: Random) -> float:
    """Return tokens per second: what a machine's memory bandwidth allows for the weights, or a service's."""
    if info.size_bytes is None:
        return rng.lognormvariate(math.log(70), 0.5)
    bandwidth_gb_per_s = rng.choice((50, 100, 300, 1000))
    return min(400.0, 0.6 * bandwidth_gb_per_s / (info.size_bytes / 1e9))


def _ttft_ms(billions: float, rng: Random) -> float:
    return rng.lognormvariate(math.log(120 + 25 * billions), 0.5)


def _figure(value: float, n: int) -> Figure:
    return Figure(
        n=n,
        median=round(value, 2),
        p95=round(1.3 * value, 2),
        min=round(0.8 * value, 2),
        max=round(1.4 * value, 2),
        spread=0.12,
    )


def benchmarked(
    model: ModelRef, at: datetime, *, tps: float, ttft_ms: float, info: ModelInfo
) -> ModelBenchmarked:
    """Return a benchmark of *model* with these medians."""
    embeds = info.kind == "embedding"
    performance = Performance(
        measured_at=at,
        n=18,
        digest=info.digest,
        server_version="0.32.15",
        output_tps=None if embeds else _figure(tps, 18),
        ttft_ms=None if embeds else _figure(ttft_ms, 9),
        ttft_long_ms=None if embeds else _figure(3 * ttft_ms, 9),
        itl_ms=None if embeds else _figure(1000 / tps, 18),
        ttft_cold_ms=_figure(20 * ttft_ms, 3),
        texts_per_s=_figure(tps, 18) if embeds else None,
    )
    return ModelBenchmarked(
        id=ids.derive(at, "benchmarked", str(model), str(tps)),
        at=at,
        model=model,
        job_id=_id(model, "benchmark", at),
        outcome=Outcome.OK,
        performance=performance,
    )


def _evaluated(
    model: ModelRef, billions: float, info: ModelInfo, now: datetime, rng: Random
) -> ModelEvaluated:
    rate = min(0.95, 0.2 + 0.12 * math.log2(1 + billions))
    kinds = ("retrieval", "paraphrase") if info.kind == "embedding" else _KINDS
    scores = {
        kind: Score(successes=sum(rng.random() < rate for _ in range(40)), trials=40, suite=f"{kind}@1")
        for kind in kinds
    }
    quality = Quality(measured_at=now, digest=info.digest, server_version="0.32.15", scores=scores)
    return ModelEvaluated(
        id=_id(model, "evaluated", now),
        at=now,
        model=model,
        job_id=_id(model, "evaluate", now),
        outcome=Outcome.OK,
        scores=scores,
        quality=quality,
    )


def events(first: int, end: int, now: datetime) -> Iterator[ModelEvent]:
    """Yield the events of the models *first* until before *end*."""
    for number in range(first, end):
        yield from events_of(number, now)


def settings(url: str, models: int) -> Settings:
    """Return settings whose streams have room for *models*, each with about as many events as are published here.

    The product reserves room for a week of probes of each; for 100,000 models that is more than this disk has.
    """
    return Settings(nats=Nats(url=url, expected_models=expected_models(models)))


def expected_models(models: int) -> int:
    """Return for how many models with a whole history the streams are made."""
    return max(_MIN_EXPECTED, models // 20)


async def fill(connection: NatsClient, first: int, end: int) -> float:
    """Publish all events of the models *first* until before *end*; return the seconds until all are stored."""
    js = connection.jetstream(publish_async_max_pending=_OUTSTANDING)
    began, now = time.perf_counter(), datetime.now(UTC)
    acknowledgements: list[asyncio.Future[object]] = []
    for count, event in enumerate(events(first, end, now), 1):
        acknowledgements.append(await js.publish_async(event.subject, encode(event)))  # type: ignore[arg-type]
        if count % 20_000 == 0:
            print(f"  {count} events published", file=sys.stderr, flush=True)
            await asyncio.gather(*acknowledgements)
            acknowledgements.clear()
    await asyncio.gather(*acknowledgements)
    return time.perf_counter() - began
