"""How events are shown to people: one line each, whatever is in them."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from samples import benchmark_event, lifecycle_event, model_info, probe_event, rating_event, winner_event
from vedette.cli.watching import STATUS_STYLES, line
from vedette.messages.channels import WATCHED
from vedette.messages.events import (
    AnswerChanged,
    EndpointLoad,
    Event,
    ModelEvaluated,
    ModelEvent,
    ModelJudged,
    ModelRegressed,
    ModelVerified,
)
from vedette.testing import EPOCH
from vedette.types import (
    Baseline,
    Claim,
    Drop,
    Evidence,
    Judged,
    Judgement,
    JudgeReport,
    ModelRef,
    Outcome,
    Quality,
    Rating,
    Score,
    Status,
)

A, B = ModelRef("gpu", "a"), ModelRef("box", "b")
FULL, HALF = (Score(successes=n, trials=10, suite="arithmetic@1") for n in (10, 5))
CHAT = Claim(value=True, evidence=Evidence.VERIFIED, source="test")


def changed(model: ModelRef | None, before: ModelRef | None, detail: str = "So it is.") -> AnswerChanged:
    """Return that *model* is best for chat instead of *before*."""
    return winner_event(model, at=EPOCH, reason="better", before=before, detail=detail)


LOAD = EndpointLoad(
    id="1", at=EPOCH, endpoint="gpu", every_s=10.0, source="vllm metrics", elapsed_ms=1.0, bytes=900
)
EVENTS: list[tuple[Event, str]] = [
    (
        replace(LOAD, running=3, waiting=1, slots=4, cache_use=0.42, output_tps=118.51),
        "endpoint gpu 3 of 4 running: 1 waiting, cache 42 %, 118.5 tokens/s",
    ),
    (replace(LOAD, running=0, own=1), "endpoint gpu 0 running: 1 of Vedette itself"),
    (replace(LOAD, loaded={}), "endpoint gpu load: 0 loaded"),
    (replace(LOAD, outcome=Outcome.TIMEOUT), "endpoint gpu load is not known: timeout"),
    (changed(A, B), "chat: gpu/a instead of box/b: So it is."),
    (changed(A, None), "chat: gpu/a: So it is."),
    (changed(None, B), "chat: no model: So it is."),
    (
        lifecycle_event(
            "found",
            A,
            at=EPOCH,
            info=model_info(A, parameters=7_000_000_000, quantization="Q4_0", native_context_tokens=8192),
        ),
        "gpu/a found: 7.0B, Q4_0, context 8k",
    ),
    (lifecycle_event("changed", A, at=EPOCH), "gpu/a changed"),
    (lifecycle_event("lost", A, at=EPOCH), "gpu/a lost: its endpoint no longer lists it"),
    (probe_event(A, at=EPOCH, job_id="p"), "gpu/a is available: answer"),
    (benchmark_event(A, at=EPOCH, tps=40.0), "gpu/a benchmarked: 40.0 tokens/s, TTFT 100 ms"),
    (
        ModelVerified(id="1", at=EPOCH, model=A, job_id="j", outcome=Outcome.OK, claims={"chat": CHAT}),
        "gpu/a verified: chat yes",
    ),
    (
        ModelEvaluated(
            id="1",
            at=EPOCH,
            model=A,
            job_id="j",
            outcome=Outcome.TIMEOUT,
            detail="no word in 5 s",
            quality=Quality(measured_at=EPOCH),
        ),
        "gpu/a could not be evaluated: no word in 5 s",
    ),
    (
        ModelJudged(
            id="1",
            at=EPOCH,
            model=A,
            job_id="j",
            judged=Judged(
                judgements={
                    "chat": Judgement(
                        at=EPOCH,
                        session="j",
                        report=JudgeReport(judge=B, tasks="chat@1", test=FULL),
                        wins=5,
                        ties=1,
                        losses=2,
                    )
                }
            ),
        ),
        "gpu/a judged: chat by box/b: 5 preferred, 1 ties, 2 not",
    ),
    (
        ModelJudged(id="1", at=EPOCH, model=A, job_id="j", judged=Judged(texts={"chat": ()})),
        "gpu/a judged: texts for chat",
    ),
    (
        ModelRegressed(
            id="1",
            at=EPOCH,
            model=A,
            job_id="j",
            before=Baseline(),
            drops=(Drop(kind="arithmetic", before=FULL, after=HALF),),
        ),
        "gpu/a has lower quality than before: arithmetic 100 % to 50 %",
    ),
    (
        rating_event(A, Rating(score=0.5, source="a board", as_of=EPOCH.date()), at=EPOCH),
        "gpu/a rated: 0.50 for all use cases by a board",
    ),
]


@pytest.mark.parametrize(("event", "says"), EVENTS, ids=lambda value: getattr(value, "TYPE", ""))
def test_an_event_is_a_line(event: Event, says: str) -> None:
    """When, in local time; then what."""
    local = EPOCH.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    assert line(event).plain == f"{local}  {says}"


def test_every_public_event_has_its_line() -> None:
    shown = {type(event).TYPE for event, _ in EVENTS if isinstance(event, ModelEvent)}
    assert shown == set(WATCHED)


@pytest.mark.fault("a server says escape sequences", "I13", without=("vedette.cli.output:shown", str))
@pytest.mark.parametrize("status", Status)
def test_a_status_has_the_colour_of_its_event(status: Status) -> None:
    """In the tables of `top` and in the lines of `watch`."""
    probed = probe_event(A, at=EPOCH, job_id="1")
    shown = line(replace(probed, health=replace(probed.health, status=status)))
    assert any(span.style == STATUS_STYLES[status] for span in shown.spans)


def test_what_a_server_says_gives_no_orders_to_the_terminal() -> None:
    """Nor a second line."""
    shown = line(changed(A, B, "one\ntwo\x1b[2J\r")).plain
    assert shown.isprintable()
    assert shown.endswith(r"one two\u001b[2J\u000d")


def test_times_are_local() -> None:
    late = lifecycle_event("lost", A, at=EPOCH + timedelta(hours=5))
    assert line(late).plain.startswith(f"{(EPOCH + timedelta(hours=5)).astimezone():%Y-%m-%d %H}")
