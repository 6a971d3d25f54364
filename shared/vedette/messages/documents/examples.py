"""An example of every message, as typed values: events.md and the AsyncAPI document show them. Pure.

One story: a laptop with Ollama and a server `gpu`, where `qwen2.5:7b` is the winner for chat.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct

from vedette import types as t
from vedette.messages import events as e
from vedette.messages import ids
from vedette.messages import queries as q
from vedette.messages.codec import encode
from vedette.messages.constraints import Constraints

_AT: Final = datetime(2026, 11, 27, 10, 0, tzinfo=UTC)
_EARLIER: Final = _AT - timedelta(hours=1)
_QWEN: Final = t.ModelRef("gpu", "qwen2.5:7b")
_LLAMA: Final = t.ModelRef("local", "llama3.2:3b")
_DIGEST: Final = "sha256:845dbda0ea48"
_JOB: Final = ids.derive(_AT, "example", "job")
_AS_OF: Final = e.AsOf(sequence=4711, scored_at=_AT)
_CHAT: Final = t.Claim(value=True, evidence=t.Evidence.VERIFIED, source="call")
_SCORE: Final = t.Score(successes=46, trials=50, suite="instructions@1")
_SAMPLE: Final = t.ProbeSample(
    job_id=_JOB, at=_AT, outcome=t.Outcome.OK, level=t.Level.ANSWER, latency_ms=182.0
)
_INFO: Final = t.ModelInfo(
    model=_QWEN,
    provider="ollama",
    url="http://gpu-box:11434",
    api="ollama",
    kind="chat",
    digest=_DIGEST,
    family="qwen2.5",
    parameters=7_615_616_512,
    quantization="Q4_K_M",
    license="apache-2.0",
    native_context_tokens=32_768,
    capabilities={"chat": _CHAT},
)
_RECOMMENDATION: Final = q.Recommendation(
    model=_QWEN,
    provider="ollama",
    url="http://gpu-box:11434",
    api="ollama",
    score=78.4,
    raw_score=81.0,
    confidence=0.9,
    status=t.Status.AVAILABLE,
    resident=True,
    base_url="http://gpu-box:11434/v1",
    context_tokens=32_768,
    output_tps=61.5,
    ttft_ms=140.0,
)
_FIELD: Final[dict[str, Any]] = {"considered": 12, "rejected": {"capability": 3}, "as_of": _AS_OF}
_REQUEST: Final = q.RecommendRequest(
    use_case="chat",
    capabilities=(t.Capability.CHAT,),
    constraints=Constraints(max_ttft_ms=500.0, min_output_tps=20.0),
)
_EXPLANATION: Final = q.ExplainReply(
    use_case="chat",
    recommendations=(_RECOMMENDATION,),
    rejections=(q.Rejection(model=_LLAMA, code="min_output_tps", need=20.0, value=14.2),),
    weights={"quality": 4.0, "speed": 2.0},
    risk="conservative",
    summary=("gpu/qwen2.5:7b is first: quality 0.92, 61.5 tokens/s.",),
    **_FIELD,
)
_VIEW: Final = q.ModelView(
    model=_QWEN,
    provider="ollama",
    url="http://gpu-box:11434",
    api="ollama",
    info=_INFO,
    capabilities={"chat": _CHAT},
    status=t.Status.AVAILABLE,
    stale=False,
    resident=True,
    availability=q.Availability(
        checked_at=_AT, since=_EARLIER, answered_at=_AT, uptime_24h=0.993, probes_24h=144
    ),
    performance=None,
    found_at=_EARLIER,
    revision=1,
)


def _figure(median: float) -> t.Figure:
    return t.Figure(n=6, median=median, p95=median, min=median, max=median, spread=0.0)


def _fact(kind: str) -> dict[str, Any]:
    """Return the fields that every event has."""
    return {"id": ids.derive(_AT, "example", kind), "at": _AT}


def _of_model(kind: str) -> dict[str, Any]:
    return {**_fact(kind), "model": _QWEN}


MESSAGES: Final[tuple[Struct, ...]] = (
    e.Tick(**_fact("tick"), job="availability", slot=_AT),
    e.Job(**_fact("job"), kind="benchmark", group="gpu-box", endpoint="gpu", model=_QWEN),
    e.EndpointDefined(
        **_fact("defined"),
        endpoint="gpu",
        action="pause",
        settings={"timeout_s": 20},
        paused=t.Pause(since=_AT, by="anna", reason="new driver", until=_AT + timedelta(hours=2)),
        by="anna",
        via="command line",
        reason="new driver",
    ),
    e.EndpointAppeared(
        **_fact("appeared"),
        source="kubernetes",
        endpoint="ml-vllm",
        settings={"provider": "openai-compatible", "url": "http://vllm.ml.svc:8000"},
        key="vllm",
        origin="Service ml/vllm, port 8000",
    ),
    e.EndpointObserved(
        **_fact("observed"),
        endpoint="gpu",
        state=t.EndpointState(
            url="http://gpu-box:11434",
            provider="ollama",
            fingerprint="5f2a",
            checked_at=_AT,
            outcome=t.Outcome.OK,
            latency_ms=12.0,
            server="Ollama",
            server_version="0.12.3",
            listing=(t.Listed(name="qwen2.5:7b", digest=_DIGEST),),
            listed_at=_AT,
        ),
    ),
    e.EndpointLoad(
        **_fact("load"),
        endpoint="gpu",
        every_s=10.0,
        source="vllm metrics",
        running=3,
        waiting=1,
        cache_use=0.42,
        output_tps=118.5,
        models={"qwen2.5:7b": t.ModelLoad(running=3, waiting=1, cache_use=0.42, output_tps=118.5)},
        elapsed_ms=2.4,
        bytes=1310,
    ),
    e.CallerUsage(
        **_fact("usage"),
        caller="team-a",
        replica="4f1c2a90b7d3",
        day=f"{_AT:%Y-%m-%d}",
        requests=120,
        tokens=84_000,
        usd=0.31,
    ),
    e.ModelFound(**_of_model("found"), info=_INFO, revision=1),
    e.ModelChanged(
        **_of_model("changed"),
        info=_INFO,
        revision=2,
        changes=(t.FieldChange(field="digest", old="sha256:2bada8a74506", new=_DIGEST),),
        digest_changed=True,
    ),
    e.ModelLost(**_of_model("lost"), info=_INFO, revision=3, reason="absent"),
    e.ModelProbed(
        **_of_model("probed"),
        sample=_SAMPLE,
        health=t.Health(
            status=t.Status.AVAILABLE,
            since=_EARLIER,
            checked_at=_AT,
            answered_at=_AT,
            streak=3,
            hourly=(t.Tally(start=_AT, counts={"ok": 3}),),
        ),
    ),
    e.ModelBenchmarked(
        **_of_model("benchmarked"),
        job_id=_JOB,
        outcome=t.Outcome.OK,
        resident_before=True,
        performance=t.Performance(
            measured_at=_AT, n=6, digest=_DIGEST, output_tps=_figure(61.5), ttft_ms=_figure(140.0)
        ),
    ),
    e.ModelVerified(
        **_of_model("verified"), job_id=_JOB, outcome=t.Outcome.OK, digest=_DIGEST, claims={"chat": _CHAT}
    ),
    e.ModelEvaluated(
        **_of_model("evaluated"),
        job_id=_JOB,
        outcome=t.Outcome.OK,
        scores={"instructions": _SCORE},
        took_s=74.0,
        quality=t.Quality(measured_at=_AT, digest=_DIGEST, scores={"instructions": _SCORE}),
    ),
    e.ModelJudged(
        **_of_model("judged"),
        job_id=_JOB,
        judged=t.Judged(
            digest=_DIGEST,
            tasks={"summarisation": "summarisation@1"},
            texts={"summarisation": (t.Prose(place=0, text="The council moved the market to Monday."),)},
            judgements={
                "summarisation": t.Judgement(
                    at=_AT,
                    session=_JOB,
                    report=t.JudgeReport(
                        judge=t.ModelRef("gpu", "llama3.3:70b"),
                        tasks="summarisation@1",
                        test=t.Score(successes=8, trials=8, suite="summarisation@1"),
                        answers=36,
                        position=t.Bias(n=30, share=0.57, expected=0.5, low=0.39, high=0.73),
                    ),
                    rivals=(_LLAMA,),
                    strength=0.6,
                    error=0.2,
                    wins=8,
                    ties=2,
                    losses=2,
                )
            },
        ),
    ),
    e.ModelRegressed(
        **_of_model("regressed"),
        job_id=_JOB,
        digest=_DIGEST,
        before=t.Baseline(digest="sha256:2bada8a74506", scores={"instructions": _SCORE}),
        drops=(
            t.Drop(
                kind="instructions",
                before=_SCORE,
                after=t.Score(successes=22, trials=50, suite="instructions@1"),
            ),
        ),
    ),
    e.ModelRated(
        **_of_model("rated"),
        ratings=(t.Rating(score=0.8, source="our support team", as_of=date(2026, 11, 20), use_case="chat"),),
    ),
    e.AnswerChanged(
        **_fact("answer"),
        use_case="chat",
        reason="better",
        model=_QWEN,
        score=78.4,
        before=_LLAMA,
        before_score=71.9,
        margin=6.5,
        detail="gpu/qwen2.5:7b scores 78.4, local/llama3.2:3b 71.9.",
        as_of=_AS_OF,
    ),
    e.WebhookDelivery(
        **_fact("delivery"),
        webhook="ops",
        event="model.lost",
        event_id=ids.derive(_AT, "example", "lost"),
        event_at=_AT,
        data={"id": ids.derive(_AT, "example", "lost"), "at": "2026-11-27T10:00:00Z", "reason": "absent"},
    ),
    e.WebhookState(
        **_fact("webhook"),
        webhook="ops",
        fingerprint="5f2a",
        since=_EARLIER,
        receiver="https://ops.example.com",
        events=("model.lost", "recommend.changed"),
        delivered_at=_EARLIER,
        failed_at=_AT,
        failing_since=_AT,
        problem="HTTP 503",
    ),
    e.ModelReported(
        **_of_model("reported"),
        since=_EARLIER,
        calls=20,
        failures={"timeout": 1},
        ttft_ms=150.0,
        reported=t.Reported(as_of=_AT, digest=_DIGEST, calls=20.0, succeeded=19.0),
    ),
    e.Progress(job_id=_JOB, at=_AT, state="step", step=2, steps=6, message="2 of 6 runs", model=_QWEN),
    e.DeadLetter(
        service="prober",
        at=_AT,
        reason="UndecodableMessage: job.probe.gpu-box.gpu: Expected `object`, got `array`",
        subject="job.probe.gpu-box.gpu",
        payload=b"[]",
        stream="JOBS",
        sequence=17,
    ),
)

# By subject: what is asked, and what is answered.
QUERIES: Final[dict[str, tuple[Struct, Struct]]] = {
    "recommend.best": (
        _REQUEST,
        q.BestReply(use_case="chat", recommendation=_RECOMMENDATION, fallbacks=(), **_FIELD),
    ),
    "recommend.top": (
        _REQUEST,
        q.TopReply(use_case="chat", recommendations=(_RECOMMENDATION,), **_FIELD),
    ),
    "recommend.explain": (_REQUEST, _EXPLANATION),
    "models.list": (
        q.ModelsRequest(capabilities=(t.Capability.CHAT,), endpoint="gpu", limit=10),
        q.ModelsReply(models=(_VIEW,), total=1, considered=12, as_of=_AS_OF),
    ),
    "models.get": (
        q.ModelRequest(model="gpu/qwen2.5:7b"),
        q.ModelsReply(
            models=(_VIEW,),
            total=1,
            considered=12,
            as_of=_AS_OF,
        ),
    ),
    "endpoints.list": (
        q.EndpointsRequest(),
        q.EndpointsReply(
            endpoints=(
                q.EndpointView(
                    endpoint="gpu",
                    provider="ollama",
                    url="http://gpu-box:11434",
                    group="gpu-box",
                    models=4,
                    state=None,
                    used=t.Use(requests=320, tokens=41_000),
                    budget={"requests": 5000},
                ),
            ),
            as_of=_AS_OF,
        ),
    ),
    "report.outcome": (
        q.ReportRequest(
            model="gpu/qwen2.5:7b", outcome=t.Outcome.OK, use_case="chat", ttft_ms=150.0, e2e_ms=2300.0
        ),
        q.ReportReply(counted=True),
    ),
    "report.measured": (
        q.MeasuredRequest(
            reports=(
                q.ReportRequest(
                    model="gpu/qwen2.5:7b",
                    outcome=t.Outcome.OK,
                    use_case="chat",
                    ttft_ms=150.0,
                    e2e_ms=2300.0,
                    prompt_tokens=812,
                    output_tokens=96,
                    caller="team-a",
                ),
            )
        ),
        q.MeasuredReply(counted=1),
    ),
    "own.requests": (q.OwnRequest(endpoint="gpu"), q.OwnReply(requests=1, model="qwen2.5:7b")),
    "gateway.usage": (
        q.UsageRequest(),
        q.UsageReply(
            day=f"{_AT:%Y-%m-%d}",
            callers=(
                q.CallerView(
                    name="team-a",
                    used=q.Used(requests=120, tokens=84_000, usd=0.31),
                    left=q.Left(tokens=916_000, usd=4.69),
                ),
            ),
        ),
    ),
    "history.availability": (
        q.HistoryRequest(model="gpu/qwen2.5:7b", since=_EARLIER, until=_AT, buckets=1),
        q.AvailabilityHistory(
            model=_QWEN,
            since=_EARLIER,
            until=_AT,
            buckets=(
                q.AvailabilityBucket(
                    start=_EARLIER,
                    probes=6,
                    counts={t.Outcome.OK: 5, t.Outcome.TIMEOUT: 1},
                    uptime=0.8333,
                    latency_p50_ms=182.0,
                    latency_p95_ms=260.0,
                ),
            ),
            probes=6,
            uptime=0.8333,
            down_by_cause={"model": 1},
        ),
    ),
    "history.performance": (
        q.HistoryRequest(endpoint="gpu", since=_EARLIER, until=_AT),
        q.PerformanceHistory(
            model=None,
            since=_EARLIER,
            until=_AT,
            points=(
                q.PerformancePoint(
                    measured_at=_AT,
                    outcome=t.Outcome.OK,
                    benchmarks=1,
                    failed=0,
                    n=6,
                    contended=0,
                    output_tps=61.5,
                    ttft_ms=140.0,
                    ttft_cold_ms=None,
                    load_ms=None,
                    texts_per_s=None,
                ),
            ),
            benchmarks=1,
            endpoint="gpu",
        ),
    ),
    "history.models": (
        q.SummariesRequest(endpoint="gpu", since=_EARLIER, until=_AT, limit=1),
        q.SummariesReply(
            since=_EARLIER,
            until=_AT,
            models=(
                q.ModelSummary(
                    model=_QWEN,
                    lost_at=None,
                    probes=6,
                    uptime=0.8333,
                    down_by_cause={"model": 1},
                    latency_p50_ms=182.0,
                    benchmarks=1,
                    failed=0,
                    first=61.5,
                    last=61.5,
                ),
            ),
            next=_QWEN,
        ),
    ),
    "history.asof": (
        q.PastRequest(at=_AT, limit=1),
        q.PastReply(
            at=_AT,
            models=(
                q.PastModel(
                    model=_QWEN,
                    events=(
                        q.PastEvent(
                            subject="model.found.gpu.qwen2=2E5=3A7b",
                            sequence=12,
                            event=msgspec.Raw(
                                encode(e.ModelFound(**_of_model("found"), info=_INFO, revision=1))
                            ),
                        ),
                    ),
                ),
            ),
            probes_since=_EARLIER,
        ),
    ),
    "recommend.asof": (
        q.RecommendPastRequest(use_case="chat", at=_EARLIER),
        q.RecommendPastReply(at=_EARLIER, explanation=_EXPLANATION, unknown=()),
    ),
    "models.asof": (
        q.ModelsPastRequest(at=_EARLIER, text="qwen", limit=1),
        q.ModelsPastReply(
            at=_EARLIER,
            reply=q.ModelsReply(models=(_VIEW,), total=1, considered=12, as_of=_AS_OF),
            unknown=("use cases, weights and endpoints are those configured now",),
        ),
    ),
}
ERROR: Final = q.ErrorReply(
    error=q.ErrorBody(code="invalid_value", message="limit: Expected `int` >= 1", field="limit")
)


def documents() -> dict[str, Any]:
    """Return an example of each message as its JSON document, by the message's name."""
    asked = [one for pair in QUERIES.values() for one in pair]
    return {
        type(message).__name__: msgspec.json.decode(encode(message))
        for message in reversed((*MESSAGES, *asked, ERROR))
    }
