"""What Vedette would know of a fleet under one condition, as the events that its services publish."""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Final

from msgspec import Struct

from benchmarks.regret.answers import Answers, Wrong
from benchmarks.regret.worlds import Truth
from vedette.messages import ids
from vedette.messages.events import ModelBenchmarked, ModelEvaluated, ModelEvent, ModelFound, ModelProbed
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
    Score,
    Status,
    Tally,
    Thoughts,
)

RUNS: Final = 18
TRIALS: Final = 20  # of each suite
_CAPABLE: Final = (
    "chat",
    "code_generation",
    "code_understanding",
    "reasoning",
    "documentation",
    "summarisation",
    "extraction",
)
_NOISE: Final = 0.06  # of one run's speed
_TASKS_DIFFER: Final = 0.3  # how much longer or shorter the thoughts before an answer of a suite are
_DRIFT_PER_WEEK: Final = 0.20  # by how much a server's speed wanders in a week without a benchmark


class Condition(Struct, frozen=True, kw_only=True):
    """How much is known. Shares are of the models."""

    name: str
    probed: bool = True
    benchmarked: float = 1.0
    evaluated: float = 1.0
    hosted_measured: bool = True
    speed_age_days: tuple[float, float] = (0.0, 0.25)
    quality_age_days: tuple[float, float] = (0.0, 7.0)
    suites_shift: float = 0.0  # logits by which all suites are easier for everybody
    trials: int = TRIALS
    wrong: Wrong = Wrong()  # what is stated of levels


CONDITIONS: Final = (
    Condition(name="everything measured"),
    Condition(name="30 % unmeasured", benchmarked=0.7, evaluated=0.7),
    Condition(name="stale", speed_age_days=(2, 30), quality_age_days=(30, 120)),
    Condition(name="hosted by default", hosted_measured=False),
    Condition(name="speed, no quality", evaluated=0.0),
    Condition(name="nothing measured", probed=False, benchmarked=0.0, evaluated=0.0),
    Condition(name="suites saturated", suites_shift=4.0),
    Condition(name="suites at the floor", suites_shift=-4.5),
)


def events(
    fleet: Sequence[Truth], condition: Condition, now: datetime, seed: int | str, *, levels: bool = True
) -> Iterator[ModelEvent]:
    """Yield the events after which Vedette knows of *fleet* what *condition* says.

    Without *levels*, as in earlier releases, all questions are of the standard level.
    """
    rng, answers = (
        Random(f"{condition.name} {seed}"),
        Answers(f"{condition.name} {seed}", condition.suites_shift, condition.wrong),
    )
    for truth in fleet:
        model = ModelRef(truth.endpoint, truth.name)
        yield _found(model, truth, now)
        if not condition.probed:
            continue
        yield _probed(model, truth, now, rng)
        if truth.hosted and not condition.hosted_measured:
            continue
        measured = rng.random()
        if measured < condition.benchmarked:
            yield benchmarked(model, truth, now, rng.uniform(*condition.speed_age_days), rng)
        if measured < condition.evaluated:
            at = now - timedelta(days=rng.uniform(*condition.quality_age_days))
            yield evaluated(model, truth, at, _scores(truth, answers, condition.trials, levels=levels))


def _head(model: ModelRef, what: str, at: datetime) -> dict[str, object]:
    return {"id": ids.derive(at, what, str(model)), "at": at, "model": model}


def digest(truth: Truth) -> str | None:
    """Return the digest of the weights of *truth*: a hosted model has none."""
    return None if truth.hosted else f"{truth.endpoint} {truth.name}"


def _found(model: ModelRef, truth: Truth, now: datetime) -> ModelFound:
    at = now - timedelta(days=30)
    claims = {name: Claim(value=True, evidence=Evidence.DECLARED, source="listing") for name in _CAPABLE}
    claims["tools"] = Claim(value=truth.tools, evidence=Evidence.VERIFIED, source="call")
    if truth.thought_tokens:
        claims["thinking"] = Claim(value=True, evidence=Evidence.DECLARED, source="listing")
    price = None
    if truth.hosted:
        into, out_of = truth.price
        price = Price(input_usd_per_mtok=into, output_usd_per_mtok=out_of, source="list", as_of="2026-11")
    info = ModelInfo(
        model=model,
        provider="openai-compatible" if truth.hosted else "ollama",
        url=f"http://{truth.endpoint}.example",
        api="openai" if truth.hosted else "ollama",
        kind="chat",
        digest=digest(truth),
        family=truth.family,
        parameters=int(truth.billions * 1e9) if truth.billions and not truth.hosted else None,
        active_parameters=int(truth.active * 1e9) if truth.active and not truth.hosted else None,
        quantization=truth.quantization,
        native_context_tokens=truth.context_tokens,
        served_context_tokens=None if truth.hosted else truth.context_tokens,
        locality="remote" if truth.hosted else "local",
        free=not truth.hosted,
        capabilities=claims,
        price=price,
    )
    return ModelFound(**_head(model, "found", at), info=info, revision=1)  # type: ignore[arg-type]


def _probed(model: ModelRef, truth: Truth, now: datetime, rng: Random) -> ModelProbed:
    hour = now.replace(minute=0, second=0, microsecond=0)
    hourly = tuple(_tally(hour - timedelta(hours=23 - n), 2, truth.reliability, rng) for n in range(24))
    day = hour.replace(hour=0)
    daily = tuple(_tally(day - timedelta(days=6 - n), 48, truth.reliability, rng) for n in range(7))
    at = now - timedelta(minutes=rng.uniform(1, 30))
    sample = ProbeSample(job_id="probe", at=at, outcome=Outcome.OK, level=Level.ANSWER)
    health = Health(
        status=Status.AVAILABLE,
        since=now - timedelta(days=7),
        checked_at=at,
        answered_at=at,
        outcomes=(sample,),
        hourly=hourly,
        daily=daily,
    )
    return ModelProbed(**_head(model, "probed", at), sample=sample, health=health)  # type: ignore[arg-type]


def _tally(start: datetime, probes: int, reliability: float, rng: Random) -> Tally:
    failed = sum(rng.random() > reliability for _ in range(probes))
    counts = {"ok": probes - failed, "timeout": failed}
    return Tally(start=start, counts={outcome: n for outcome, n in counts.items() if n})


def benchmarked(
    model: ModelRef, truth: Truth, now: datetime, age_days: float, rng: Random
) -> ModelBenchmarked:
    """Return the last benchmark of *truth*, so many days ago; its speed has wandered since."""
    at = now - timedelta(days=age_days)
    wandered = rng.lognormvariate(0, _DRIFT_PER_WEEK * math.sqrt(age_days / 7))

    def figure(true: float, n: int = RUNS) -> Figure:
        runs = sorted(true * rng.lognormvariate(0, _NOISE) for _ in range(n))
        middle = runs[n // 2]
        return Figure(
            n=n,
            median=middle,
            p95=runs[-1],
            min=runs[0],
            max=runs[-1],
            spread=(runs[3 * n // 4] - runs[n // 4]) / middle,
        )

    performance = Performance(
        measured_at=at,
        n=RUNS,
        digest=digest(truth),
        output_tps=figure(truth.output_tps * wandered),
        ttft_ms=figure(truth.ttft_ms / wandered, RUNS // 2),
    )
    return ModelBenchmarked(
        **_head(model, "benchmarked", at),  # type: ignore[arg-type]
        job_id="benchmark",
        outcome=Outcome.OK,
        performance=performance,
    )


def _scores(truth: Truth, answers: Answers, trials: int, *, levels: bool) -> dict[str, Score]:
    if not levels:
        return answers.scores(truth, dict.fromkeys(truth.rates, trials))
    return {
        name: score for kind in truth.rates for name, score in answers.fitted(truth, kind, trials).items()
    }


def evaluated(model: ModelRef, truth: Truth, at: datetime, scores: Mapping[str, Score]) -> ModelEvaluated:
    """Return the event of an evaluation after which a model has *scores*."""
    answers = sum(score.trials for score in scores.values())
    longer = Random(f"thoughts {model}").lognormvariate(0, _TASKS_DIFFER)
    quality = Quality(
        measured_at=at,
        digest=digest(truth),
        scores=dict(scores),
        thoughts=Thoughts(answers=answers, tokens=round(answers * truth.thought_tokens * longer)),
    )
    return ModelEvaluated(
        **_head(model, "evaluated", at),  # type: ignore[arg-type]
        job_id="evaluate",
        outcome=Outcome.OK,
        scores=dict(scores),
        quality=quality,
    )
