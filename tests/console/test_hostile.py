"""Text of strangers in every field that a page shows: it stays text, and what is invisible in it is shown."""

import html
import re
from datetime import timedelta
from urllib.parse import quote

import pytest

from consoles import ENDPOINTS, OPERATOR, Rig
from samples import lifecycle_event, model_info, rating_event
from vedette.messages.events import (
    Attempt,
    EndpointDefined,
    EndpointLoad,
    EndpointObserved,
    ModelEvaluated,
    ModelJudged,
    ModelProbed,
    ModelVerified,
    Progress,
)
from vedette.testing import EPOCH
from vedette.types import (
    Capability,
    Claim,
    EndpointState,
    Evidence,
    Exchange,
    Failure,
    Health,
    Judged,
    Judgement,
    JudgeReport,
    Level,
    Miss,
    ModelRef,
    Outcome,
    ProbeSample,
    Quality,
    Rating,
    Residency,
    Score,
    Status,
)

NAME = (  # messages refuse names with control characters
    "<script>alert(1)</script>\"><img src=x onerror=alert(1)>' onmouseover='alert(1) {{ 7*7 }}{% if 1 %}"
    " a\u202egnp.exe zero\u200bwidth \u2066 &lt;b&gt; ../../etc/passwd"
)
NASTY = f"{NAME} bell\x07\x1b[31m"
# Screens with such texts.
PAGES = (
    *(
        "/",
        "/why/chat",
        "/why/chat?limit=100",
        "/models",
        "/models?bars=1",
        f"/models/gpu/{quote(f'm {NAME}', safe='')}",
    ),
    *(
        f"/compare?model=gpu/{quote(f'm {NAME}', safe='')}",
        "/endpoints",
        "/define?endpoint=gpu",
        "/jobs",
        "/changes",
    ),
    *("/judge/chat", f"/login?to={quote(NASTY)}", f"/changes?text={quote(NASTY)}"),
)
# Whatever must be on some page; the name of each field is in its text.
FIELDS = (
    *("license", "family", "quantization", "source", "url"),
    *("probe", "asked", "received", "check", "reply", "proof", "suite", "prompt", "answer", "why"),
    *("rating", "judge", "doubts", "winner", "server", "version", "detail", "remedy", "paused"),
    *("loaded", "job", "failed", "reason", "by"),
)


def nasty(field: str, most: int = 2048) -> str:
    """Return what a stranger puts in *field*: as long as messages take, in one word."""
    return f"[{field}] {NASTY} ".ljust(most, "w")


def strange() -> Rig:
    """Return a console whose model and whose endpoint say such things everywhere."""
    rig, ref = Rig([]), ModelRef("gpu", f"m {NAME}")
    before = EPOCH - timedelta(minutes=1)
    info = model_info(
        ref,
        url=f"http://gpu-box:8000/{nasty('url', most=2000)}",
        provider="openai-compatible",
        kind="chat",
        license=nasty("license"),
        family=nasty("family"),
        quantization=nasty("quantization"),
        parameters=10**9,
        capabilities={Capability.CHAT: Claim(value=True, evidence=Evidence.DECLARED, source=nasty("source"))},
        sources={"license": nasty("source")},
    )
    sample = ProbeSample(
        job_id="p",
        at=EPOCH,
        outcome=Outcome.SERVER_ERROR,
        level=Level.ANSWER,
        latency_ms=1.0,
        detail=nasty("probe"),
    )
    transcript = Exchange(sent=nasty("asked"), received=nasty("received"))
    failure = Failure(at=EPOCH, level=Level.ANSWER, outcome=Outcome.SERVER_ERROR, exchange=transcript)
    health = Health(
        status=Status.DEGRADED, since=EPOCH, checked_at=EPOCH, outcomes=(sample,), failures=(failure,)
    )
    right = Score(successes=3, trials=9, suite="own@1", note=nasty("why"))
    miss = Miss(suite=nasty("suite"), prompt=nasty("prompt"), answer=nasty("answer"), why=nasty("why"))
    report = JudgeReport(
        judge=ModelRef("gpu", f"[judge] {NAME}"), tasks="chat@1", test=right, doubts=nasty("doubts")
    )
    attempt = Attempt(
        capability=Capability.CHAT, asked=nasty("check"), answered=nasty("reply"), detail=nasty("proof")
    )
    rig.hear(
        lifecycle_event("found", ref, at=before, info=info),
        ModelProbed(id="1", at=EPOCH, model=ref, sample=sample, health=health),
        ModelVerified(id="2", at=EPOCH, model=ref, job_id="v", outcome=Outcome.OK, attempts=(attempt,)),
        ModelEvaluated(
            id="3",
            at=EPOCH,
            model=ref,
            job_id="e",
            outcome=Outcome.OK,
            quality=Quality(measured_at=EPOCH, scores={"own": right}, misses=(miss,)),
        ),
        ModelJudged(
            id="4",
            at=EPOCH,
            model=ref,
            job_id="j",
            judged=Judged(judgements={"chat": Judgement(at=EPOCH, session="j", report=report)}),
        ),
        rating_event(ref, Rating(score=0.5, source=nasty("rating", most=500), as_of=EPOCH.date()), at=EPOCH),
        _observed(),
    )
    rig.recommender.hear((99, _load()))
    rig.announce("chat", nasty("winner"))
    rig.changes.progress(_progress("step", "job", ref), EPOCH)
    rig.changes.progress(_progress("failed", "failed", ref), EPOCH)
    rig.definitions.events.append(
        EndpointDefined(
            id="d", at=EPOCH, endpoint="gpu", action="edit", by=nasty("by"), reason=nasty("reason")
        )
    )
    return rig


def _observed() -> EndpointObserved:
    state = EndpointState(
        url=ENDPOINTS["gpu"].url,
        provider=nasty("provider"),
        fingerprint="f",
        checked_at=EPOCH,
        outcome=Outcome.SERVER_ERROR,
        detail=nasty("detail"),
        remedy=nasty("remedy"),
        server=nasty("server"),
        server_version=nasty("version"),
        paused_until=EPOCH + timedelta(hours=1),
        paused_reason=nasty("paused"),
    )
    return EndpointObserved(id="o", at=EPOCH, endpoint="gpu", state=state)


def _load() -> EndpointLoad:
    return EndpointLoad(
        id="l",
        at=EPOCH,
        endpoint="gpu",
        every_s=60.0,
        source="ollama ps",
        loaded={f"[loaded] {NAME}": Residency(resident=True)},
        elapsed_ms=1.0,
        bytes=1,
    )


def _progress(state: str, field: str, ref: ModelRef) -> Progress:
    return Progress(
        job_id=field,
        at=EPOCH,
        state=state,  # type: ignore[arg-type]
        step=1,
        steps=2,
        message=nasty(field),
        kind="evaluate",
        model=ref,
        endpoint="gpu",
    )


@pytest.mark.fault("names, replies, transcripts and states that are markup", "I13")
async def test_text_of_strangers_stays_text_in_every_field() -> None:
    """On every screen, for an operator."""
    rig = strange()
    # A text in an address that is no name is answered with an error, which quotes it.
    errors = (
        f"/models?text={quote(NASTY)}",
        f"/why/{quote(NASTY, safe='')}",
        f"/models/gpu/{quote(NASTY, safe='')}",
    )
    seen = ""
    async with rig.client(authorization=f"Bearer {OPERATOR}") as browser:
        for path in (*PAGES, *errors):
            reply = await browser.get(path)
            assert reply.status_code in (200, 400, 404), path
            shown = reply.text
            assert not re.search(r"<script>|<img src=x|alert\(1\) 49|href=\"javascript:", shown), path
            assert not re.search(r"<[^>]*\sonmouseover='", shown), path
            assert not {"\u202e", "\u200b", "\u2066", "\x07", "\x1b"} & set(shown), path
            seen += html.unescape(shown)
    assert [field for field in FIELDS if f"[{field}]" not in seen] == []
