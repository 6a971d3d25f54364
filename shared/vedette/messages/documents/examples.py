"""An example of every message, as typed values: events.md and the AsyncAPI document show them. Pure.

One story: a laptop with Ollama and a server `gpu`, where `qwen2.5:7b` is the winner for chat.
"""

from datetime import date, timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct

from vedette import types as t
from vedette.messages import events as e
from vedette.messages import ids, story
from vedette.messages import queries as q
from vedette.messages.channels import QUERIES
from vedette.messages.codec import encode


def _figure(median: float) -> t.Figure:
    return t.Figure(n=6, median=median, p95=median, min=median, max=median, spread=0.0)


MESSAGES: Final[tuple[Struct, ...]] = (
    e.Tick(**story.fact("tick"), job="availability", slot=story.AT),
    e.Job(**story.fact("job"), kind="benchmark", group="gpu-box", endpoint="gpu", model=story.QWEN),
    e.EndpointDefined(
        **story.fact("defined"),
        endpoint="gpu",
        action="pause",
        settings={"timeout_s": 20},
        paused=t.Pause(since=story.AT, by="anna", reason="new driver", until=story.AT + timedelta(hours=2)),
        by="anna",
        via="command line",
        reason="new driver",
    ),
    e.EndpointAppeared(
        **story.fact("appeared"),
        source="kubernetes",
        endpoint="ml-vllm",
        settings={"provider": "openai-compatible", "url": "http://vllm.ml.svc:8000"},
        key="vllm",
        origin="Service ml/vllm, port 8000",
    ),
    e.EndpointObserved(
        **story.fact("observed"),
        endpoint="gpu",
        state=t.EndpointState(
            url="http://gpu-box:11434",
            provider="ollama",
            fingerprint="5f2a",
            checked_at=story.AT,
            outcome=t.Outcome.OK,
            latency_ms=12.0,
            server="Ollama",
            server_version="0.12.3",
            listing=(t.Listed(name="qwen2.5:7b", digest=story.DIGEST),),
            listed_at=story.AT,
        ),
    ),
    e.EndpointLoad(
        **story.fact("load"),
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
        **story.fact("usage"),
        caller="team-a",
        replica="4f1c2a90b7d3",
        day=story.DAY,
        requests=120,
        tokens=84_000,
        usd=0.31,
    ),
    e.ModelFound(**story.of_model("found"), info=story.INFO, revision=1),
    e.ModelChanged(
        **story.of_model("changed"),
        info=story.INFO,
        revision=2,
        changes=(t.FieldChange(field="digest", old=story.FORMER_DIGEST, new=story.DIGEST),),
        digest_changed=True,
    ),
    e.ModelLost(**story.of_model("lost"), info=story.INFO, revision=3, reason="absent"),
    e.ModelProbed(
        **story.of_model("probed"),
        sample=t.ProbeSample(
            job_id=story.JOB, at=story.AT, outcome=t.Outcome.OK, level=t.Level.ANSWER, latency_ms=182.0
        ),
        health=t.Health(
            status=t.Status.AVAILABLE,
            since=story.EARLIER,
            checked_at=story.AT,
            answered_at=story.AT,
            streak=3,
            hourly=(t.Tally(start=story.AT, counts={"ok": 3}),),
        ),
    ),
    e.ModelBenchmarked(
        **story.of_model("benchmarked"),
        job_id=story.JOB,
        outcome=t.Outcome.OK,
        resident_before=True,
        performance=t.Performance(
            measured_at=story.AT, n=6, digest=story.DIGEST, output_tps=_figure(61.5), ttft_ms=_figure(140.0)
        ),
    ),
    e.ModelVerified(
        **story.of_model("verified"),
        job_id=story.JOB,
        outcome=t.Outcome.OK,
        digest=story.DIGEST,
        claims=story.CHAT,
    ),
    e.ModelEvaluated(
        **story.of_model("evaluated"),
        job_id=story.JOB,
        outcome=t.Outcome.OK,
        scores={"instructions": story.SCORE},
        took_s=74.0,
        quality=t.Quality(measured_at=story.AT, digest=story.DIGEST, scores={"instructions": story.SCORE}),
    ),
    e.ModelJudged(
        **story.of_model("judged"),
        job_id=story.JOB,
        judged=t.Judged(
            digest=story.DIGEST,
            tasks={"summarisation": "summarisation@1"},
            texts={"summarisation": (t.Prose(place=0, text="The council moved the market to Monday."),)},
            judgements={
                "summarisation": t.Judgement(
                    at=story.AT,
                    session=story.JOB,
                    report=t.JudgeReport(
                        judge=t.ModelRef("gpu", "llama3.3:70b"),
                        tasks="summarisation@1",
                        test=t.Score(successes=8, trials=8, suite="summarisation@1"),
                        answers=36,
                        position=t.Bias(n=30, share=0.57, expected=0.5, low=0.39, high=0.73),
                    ),
                    rivals=(story.LLAMA,),
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
        **story.of_model("regressed"),
        job_id=story.JOB,
        digest=story.DIGEST,
        before=t.Baseline(digest=story.FORMER_DIGEST, scores={"instructions": story.SCORE}),
        drops=(
            t.Drop(
                kind="instructions",
                before=story.SCORE,
                after=t.Score(successes=22, trials=50, suite="instructions@1"),
            ),
        ),
    ),
    e.ModelRated(
        **story.of_model("rated"),
        ratings=(t.Rating(score=0.8, source="our support team", as_of=date(2026, 11, 20), use_case="chat"),),
    ),
    e.AnswerChanged(
        **story.fact("answer"),
        use_case="chat",
        reason="better",
        model=story.QWEN,
        score=78.4,
        before=story.LLAMA,
        before_score=71.9,
        margin=6.5,
        detail="gpu/qwen2.5:7b scores 78.4, local/llama3.2:3b 71.9.",
        as_of=e.AsOf.example(),
    ),
    e.WebhookDelivery(
        **story.fact("delivery"),
        webhook="ops",
        event="model.lost",
        event_id=ids.derive(story.AT, "example", "lost"),
        event_at=story.AT,
        data={
            "id": ids.derive(story.AT, "example", "lost"),
            "at": "2026-11-27T10:00:00Z",
            "reason": "absent",
        },
    ),
    e.WebhookState(
        **story.fact("webhook"),
        webhook="ops",
        fingerprint="5f2a",
        since=story.EARLIER,
        receiver="https://ops.example.com",
        events=("model.lost", "recommend.changed"),
        delivered_at=story.EARLIER,
        failed_at=story.AT,
        failing_since=story.AT,
        problem="HTTP 503",
    ),
    e.ModelReported(
        **story.of_model("reported"),
        since=story.EARLIER,
        calls=20,
        failures={"timeout": 1},
        ttft_ms=150.0,
        reported=t.Reported(as_of=story.AT, digest=story.DIGEST, calls=20.0, succeeded=19.0),
    ),
    e.Progress(
        job_id=story.JOB, at=story.AT, state="step", step=2, steps=6, message="2 of 6 runs", model=story.QWEN
    ),
    e.DeadLetter(
        service="prober",
        at=story.AT,
        reason="UndecodableMessage: job.probe.gpu-box.gpu: Expected `object`, got `array`",
        subject="job.probe.gpu-box.gpu",
        payload=b"[]",
        stream="JOBS",
        sequence=17,
    ),
)

ERROR: Final = q.ErrorReply(
    error=q.ErrorBody(code="invalid_value", message="limit: Expected `int` >= 1", field="limit")
)


def documents() -> dict[str, Any]:
    """Return an example of each message as its JSON document, by the message's name."""
    asked = [one for query in QUERIES for one in query.example()]
    return {
        type(message).__name__: msgspec.json.decode(encode(message))
        for message in reversed((*MESSAGES, *asked, ERROR))
    }
