"""Catalogues with the answer that an expert would give, written by hand in `tests/cases/`, one file for each.

The expert's answer was written before Vedette's was seen. Where the two differ and the expert is right, the case has
an `xfail` with the reason; it fails as soon as Vedette answers as the expert does. Where the expert was persuaded, the
case says so.
"""

import json
import tomllib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from samples import lifecycle_event, rating_event
from vedette import providers
from vedette.messages import ids
from vedette.messages.catalogue import Catalogue
from vedette.messages.events import (
    ModelBenchmarked,
    ModelEvaluated,
    ModelEvent,
    ModelProbed,
    ModelVerified,
)
from vedette.messages.queries import BestReply, ExplainReply, Recommendation, Relaxation
from vedette.settings import EndpointSettings
from vedette.testing import FakeClock
from vedette.types import (
    Capability,
    Claim,
    Evidence,
    Figure,
    Health,
    Level,
    Locality,
    ModelInfo,
    ModelRef,
    Outcome,
    Performance,
    Price,
    ProbeSample,
    Quality,
    Rating,
    Residency,
    Score,
    Status,
    Tally,
)
from vedette.usecases import KINDS, known
from vedette_recommender.answers import Answers

T = TypeVar("T")
NOW = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)
FILES = sorted((Path(__file__).parent / "cases").glob("*.toml"))
_KINDS = frozenset(kind for kinds in KINDS.values() for kind in kinds)


# --- What a case file holds ------------------------------------------------------------------------------------


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of a case file: a key that is not known is an error."""


class Endpoint(Section, frozen=True, kw_only=True):
    """Where models are served."""

    provider: str
    url: str


class Context(Section, frozen=True, kw_only=True):
    """Tokens: what the model was made for, and what the server gives it."""

    native: int | None = None
    served: int | None = None


class ByEvidence(Section, frozen=True, kw_only=True):
    """Capabilities by how it is known whether the model has them."""

    inferred: tuple[Capability, ...] = ()
    declared: tuple[Capability, ...] = ()
    verified: tuple[Capability, ...] = ()


class Probes(Section, frozen=True, kw_only=True):
    """One probe every so often until so many minutes ago; `failed_by_day` counts, the last day last."""

    status: Status
    minutes_ago: int
    every_minutes: int = 30
    days: int = 7
    failed_by_day: tuple[int, ...] = ()


class Loaded(Section, frozen=True, kw_only=True):
    """Whether the model was in memory when it was last probed."""

    resident: bool
    expires_in_minutes: int | None = None


class Speed(Section, frozen=True, kw_only=True):
    """Medians of so many runs; `e2e_ms` is a whole call, for models that embed."""

    days_ago: float
    runs: int
    output_tps: float | None = None
    ttft_ms: float | None = None
    ttft_cold_ms: float | None = None
    texts_per_s: float | None = None
    e2e_ms: float | None = None


class Checked(Section, frozen=True, kw_only=True):
    """Right answers of all asked, as `33/40`, by kind of suite."""

    days_ago: float
    right: dict[str, str]


class Model(Section, frozen=True, kw_only=True):
    """One model, named `endpoint/name`. `weights` tells which files are the same; each has its own if absent."""

    name: str
    family: str
    parameters_b: float | None = None  # billions
    quantization: str | None = None
    license: str | None = None
    locality: Locality
    weights: str | None = None
    context: Context = Context()
    yes: ByEvidence = ByEvidence()
    no: ByEvidence = ByEvidence()
    usd_per_mtok: tuple[float, float] | None = None  # input, output
    probes: Probes | None = None
    residency: Loaded | None = None
    speed: Speed | None = None
    quality: Checked | None = None
    ratings: tuple[Rating, ...] = ()


class Expected(Section, frozen=True, kw_only=True):
    """The expert's answer. `order`, `statuses` and `expected_ttft_ms` count where they are given, the rest always."""

    best: str | None = None
    order: tuple[str, ...] | None = None  # the best and all behind it
    equivalent: tuple[str, ...] = ()
    rejected: dict[str, tuple[str, ...]] = {}  # codes, by model
    relax: Relaxation | None = None
    statuses: dict[str, Status] | None = None
    expected_ttft_ms: dict[str, float] | None = None


class Case(Section, frozen=True, kw_only=True):
    """One question to one catalogue, what an expert answers, and why."""

    question: str
    why: str
    xfail: str | None = None
    request: dict[str, Any]
    expected: Expected
    endpoint: dict[str, Endpoint]
    model: tuple[Model, ...]


def read(text: str) -> Case:
    """Return the case that the TOML *text* is. Raises ValidationError for a key that is not known."""
    return msgspec.convert(tomllib.loads(text), Case)


# --- From a case to events -------------------------------------------------------------------------------------


def events_of(model: Model, endpoint: Endpoint) -> Iterator[ModelEvent]:
    """Yield what the services would have published of *model* until NOW."""
    ref = ModelRef.parse(model.name)
    info = _info(ref, model, endpoint)
    yield lifecycle_event("found", ref, at=NOW - timedelta(days=60), info=info)
    if model.yes.verified or model.no.verified:
        at = NOW - timedelta(days=1)
        claims = _claims(model.yes, True, (Evidence.VERIFIED,)) | _claims(
            model.no, False, (Evidence.VERIFIED,)
        )
        yield ModelVerified(
            **_head(ref, "verified", at), outcome=Outcome.OK, digest=info.digest, claims=claims
        )
    if model.probes:
        yield _probed(ref, model.probes, model.residency)
    if model.speed:
        at = NOW - timedelta(days=model.speed.days_ago)
        performance = _performance(model.speed, at, info.digest)
        yield ModelBenchmarked(**_head(ref, "benchmarked", at), outcome=Outcome.OK, performance=performance)
    if model.quality:
        at = NOW - timedelta(days=model.quality.days_ago)
        scores = {kind: _score(kind, right) for kind, right in model.quality.right.items()}
        quality = Quality(measured_at=at, digest=info.digest, scores=scores)
        yield ModelEvaluated(
            **_head(ref, "evaluated", at), outcome=Outcome.OK, scores=scores, quality=quality
        )
    if model.ratings:
        yield rating_event(ref, *model.ratings, at=NOW - timedelta(days=1))


def _head(model: ModelRef, what: str, at: datetime) -> dict[str, Any]:
    job_id = ids.derive(at, "job", what, str(model))
    return {"id": ids.derive(at, what, str(model)), "at": at, "model": model, "job_id": job_id}


def _info(ref: ModelRef, model: Model, endpoint: Endpoint) -> ModelInfo:
    told = (Evidence.INFERRED, Evidence.DECLARED)
    claims = _claims(model.yes, True, told) | _claims(model.no, False, told)
    price = model.usd_per_mtok
    return ModelInfo(
        free=True,
        model=ref,
        provider=endpoint.provider,
        url=endpoint.url,
        api=providers.load(endpoint.provider).api,
        kind="embedding" if Capability.EMBEDDING in claims and claims["embedding"].value else "chat",
        digest=model.weights or (None if price else model.name),  # no service tells of a file of weights
        family=model.family,
        parameters=None if model.parameters_b is None else round(model.parameters_b * 1e9),
        quantization=model.quantization,
        license=model.license,
        native_context_tokens=model.context.native,
        served_context_tokens=model.context.served,
        locality=model.locality,
        capabilities=claims,
        price=Price(input_usd_per_mtok=price[0], output_usd_per_mtok=price[1], source="list")
        if price
        else None,
    )


def _claims(by: ByEvidence, value: bool, of: tuple[Evidence, ...]) -> dict[str, Claim]:
    return {
        capability.value: Claim(value=value, evidence=evidence, source="case")
        for evidence in of
        for capability in getattr(by, evidence)
    }


def _probed(ref: ModelRef, probes: Probes, loaded: Loaded | None) -> ModelProbed:
    last = NOW - timedelta(minutes=probes.minutes_ago)
    samples = tuple(_samples(probes, last))
    health = Health(
        status=probes.status,
        since=samples[0].at,
        checked_at=last,
        outcomes=samples[-20:],
        hourly=_tallies(samples, minute=0)[-24:],
        daily=_tallies(samples, minute=0, hour=0)[-30:],
        residency=_residency(loaded) if loaded else None,
    )
    return ModelProbed(
        id=ids.derive(last, "probed", str(ref)), at=last, model=ref, sample=samples[-1], health=health
    )


def _residency(loaded: Loaded) -> Residency:
    minutes = loaded.expires_in_minutes
    return Residency(
        resident=loaded.resident, expires_at=None if minutes is None else NOW + timedelta(minutes=minutes)
    )


def _samples(probes: Probes, last: datetime) -> Iterator[ProbeSample]:
    """Yield the probes, oldest first: those that failed in the middle of their day, one after the other."""
    per_day = 24 * 60 // probes.every_minutes
    failed = (0,) * (probes.days - len(probes.failed_by_day)) + probes.failed_by_day
    for day in range(probes.days):
        for nth in range(per_day):
            ago = (probes.days - day) * per_day - nth - 1
            down = 0 <= nth - per_day // 2 < failed[day]
            yield ProbeSample(
                job_id=f"probe-{ago}",
                at=last - timedelta(minutes=ago * probes.every_minutes),
                outcome=Outcome.TIMEOUT if down else Outcome.OK,
                level=Level.ANSWER,
            )


def _tallies(samples: tuple[ProbeSample, ...], **start: int) -> tuple[Tally, ...]:
    counted: dict[datetime, Counter[str]] = {}
    for sample in samples:
        begun = sample.at.replace(second=0, microsecond=0, **start)  # type: ignore[arg-type]
        counted.setdefault(begun, Counter())[sample.outcome.value] += 1
    return tuple(Tally(start=begun, counts=dict(counts)) for begun, counts in counted.items())


def _performance(speed: Speed, at: datetime, digest: str | None) -> Performance:
    def figure(median: float | None, n: int = speed.runs) -> Figure | None:
        if median is None:
            return None
        return Figure(n=n, median=median, p95=median * 1.2, min=median * 0.9, max=median * 1.3, spread=0.1)

    return Performance(
        measured_at=at,
        n=speed.runs,
        digest=digest,
        output_tps=figure(speed.output_tps),
        ttft_ms=figure(speed.ttft_ms),
        ttft_cold_ms=figure(speed.ttft_cold_ms, 1),
        texts_per_s=figure(speed.texts_per_s),
        e2e_ms=figure(speed.e2e_ms),
    )


def _score(kind: str, right: str) -> Score:
    if kind not in _KINDS:
        raise ValueError(f"{kind}: no such kind of suite")
    successes, trials = map(int, right.split("/"))
    return Score(successes=successes, trials=trials, suite=f"{kind}@1")


# --- From a case to Vedette's answer ---------------------------------------------------------------------------


def answer(case: Case) -> Expected:
    """Return what Vedette answers, in the words of an expectation: as much of it as the expert spoke of."""
    return _in_words(ask(case, "recommend.best", BestReply), explain(case), case.expected)


def explain(case: Case) -> ExplainReply:
    """Return how Vedette explains its answer."""
    return ask(case, "recommend.explain", ExplainReply)


def ask(case: Case, subject: str, reply: type[T]) -> T:
    """Return the *reply* to the question of *case*, asked on *subject*."""
    answers, _ = answering(case)
    payload = json.dumps(case.request).encode()
    return msgspec.json.decode(answers.answer(subject, payload), type=reply)


def answering(case: Case) -> tuple[Answers, Catalogue]:
    """Return what answers questions about the catalogue of *case*, and that catalogue."""
    catalogue = Catalogue()
    answers = Answers(
        catalogue=catalogue,
        endpoints={
            name: EndpointSettings(provider=endpoint.provider, url=endpoint.url)
            for name, endpoint in case.endpoint.items()
        },
        use_cases=known({}),
        stale_after=timedelta(minutes=90),
        base_url=lambda provider, url: providers.load(provider).base_url(url),
        clock=FakeClock(NOW),
    )
    sequence = 0
    for model in case.model:
        for event in events_of(model, case.endpoint[ModelRef.parse(model.name).endpoint]):
            sequence += 1
            assert catalogue.apply(event, sequence)
            answers.changed(event)
    return answers, catalogue


def _in_words(best: BestReply, told: ExplainReply, expected: Expected) -> Expected:
    ranked: list[Recommendation] = [best.recommendation, *best.fallbacks] if best.recommendation else []
    by_name = {str(one.model): one for one in ranked}
    rejected: dict[str, tuple[str, ...]] = {}
    for rejection in told.rejections:
        name = str(rejection.model)
        rejected[name] = (*rejected.get(name, ()), rejection.code)
    return Expected(
        best=next(iter(by_name), None),
        order=None if expected.order is None else tuple(by_name),
        equivalent=tuple(name for name, one in by_name.items() if one.equivalent),
        rejected=rejected,
        relax=msgspec.structs.replace(best.relax, score=None) if best.relax else None,
        statuses=None if expected.statuses is None else {name: one.status for name, one in by_name.items()},
        expected_ttft_ms=None
        if expected.expected_ttft_ms is None
        else {
            name: one.expected_ttft_ms for name, one in by_name.items() if one.expected_ttft_ms is not None
        },
    )
