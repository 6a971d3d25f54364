"""The recommender's answers, from a catalogue in memory."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from samples import benchmark_event, lifecycle_event, model_info, probe_event
from vedette import providers
from vedette.cli.listing import cost_rows, load_in_words
from vedette.cli.showing import show_best, show_explanation, show_models
from vedette.errors import RequestError
from vedette.messages.catalogue import Catalogue
from vedette.messages.channels import QUERIES
from vedette.messages.events import EndpointLoad, EndpointObserved
from vedette.messages.queries import BestReply, Counts, EndpointsReply, ExplainReply, ModelsReply, TopReply
from vedette.settings import CustomUseCase, Defined, EndpointSettings, Origin
from vedette.testing import EPOCH, FakeClock
from vedette.text.rejected import why_none
from vedette.types import (
    Claim,
    EndpointState,
    Evidence,
    Ledger,
    ModelRef,
    Outcome,
    Pause,
    Performance,
    RunSample,
    Status,
    Use,
)
from vedette.usecases import known
from vedette_recommender.answers import ANSWERED, Answers
from vedette_recommender.as_of import PAST
from vedette_recommender.reporting import MEASURED, REPORT
from vedette_recommender.winner_status import because

FAST, SLOW = ModelRef("gpu", "org/fast:7b"), ModelRef("box", "slow")
ENDPOINTS = {
    "gpu": EndpointSettings(provider="openai-compatible", url="http://gpu:8000"),
    "box": EndpointSettings(url="http://box:11434"),
}
REPLIES: dict[str, type[Any]] = {question.subject: question.reply for question in QUERIES}


class Asked:
    """A recommender over two models, with a clock that moves when told to."""

    def __init__(self) -> None:
        self.clock = FakeClock(EPOCH)
        self.catalogue = Catalogue()
        self.sequence = 0
        self.defined(Defined())

    def defined(self, defined: Defined) -> None:
        """Have it take on what is *defined* of endpoints."""
        self.answers = Answers(
            catalogue=self.catalogue,
            defined=defined,
            endpoints=ENDPOINTS,
            use_cases=known({"short": CustomUseCase(weights={"ttft": 1.0})}),
            stale_after=timedelta(minutes=90),
            base_url=lambda provider, url: providers.load(provider).base_url(url),
            clock=self.clock,
        )

    def apply(self, event: Any) -> None:
        self.sequence += 1
        self.catalogue.apply(event, self.sequence)
        self.answers.changed(event)

    def ask(self, subject: str, **request: Any) -> Any:
        payload = self.answers.answer(subject, json.dumps(request).encode())
        return msgspec.json.decode(payload, type=REPLIES[subject])


@pytest.fixture
def asked() -> Asked:
    """Return a recommender that knows a fast model and a slow one, both probed and measured."""
    made = Asked()
    chat = {"chat": Claim(value=True, evidence=Evidence.DECLARED, source="test")}
    for model, tps, context in ((FAST, 80.0, 32_768), (SLOW, 4.0, 4096)):
        endpoint = ENDPOINTS[model.endpoint]
        info = model_info(
            model,
            provider=endpoint.provider,
            url=endpoint.url,
            capabilities=chat,
            native_context_tokens=context,
            locality="local",
            family="llama" if model is FAST else "qwen2",
        )
        made.apply(lifecycle_event("found", model, at=EPOCH, info=info))
        made.apply(probe_event(model, at=EPOCH, job_id="p"))
        made.apply(benchmark_event(model, at=EPOCH, tps=tps))
    return made


def test_the_best_comes_with_all_that_is_needed_to_call_it(asked: Asked) -> None:
    """Model, provider, URL, base URL for OpenAI clients, and how it was chosen."""
    reply: BestReply = asked.ask("recommend.best", use_case="chat")
    best = reply.recommendation
    assert best is not None
    assert (best.model, best.provider, best.url) == (FAST, "openai-compatible", "http://gpu:8000")
    assert best.base_url == "http://gpu:8000/v1"
    assert (best.output_tps, best.context_tokens, best.status) == (80.0, 32_768, "available")
    assert best.price is not None  # as a bound on the price counts a local model
    assert best.price.output_usd_per_mtok == 0.0
    assert [other.model for other in reply.fallbacks] == [SLOW]
    assert (reply.considered, reply.rejected) == (2, {})
    assert reply.as_of.sequence == asked.sequence
    assert best.contributions == ()


def test_models_of_a_paused_endpoint_are_no_candidates(asked: Asked) -> None:
    """Who paused it, until when and why is the reason, and `endpoints.list` says it, too."""
    paused = Pause(since=EPOCH, by="anna", reason="new driver")
    asked.defined(Defined(origins={"gpu": Origin(by="anna", paused=paused)}))
    reply: ExplainReply = asked.ask("recommend.explain", use_case="chat")
    assert [one.model for one in reply.recommendations] == [SLOW]
    (rejection,) = reply.rejections
    assert (rejection.code, rejection.value) == ("endpoint_closed", "paused by anna: new driver")
    assert because(None, [rejection]) == "its endpoint is paused by anna: new driver"
    listed: EndpointsReply = asked.ask("endpoints.list")
    origins = {view.endpoint: view.origin for view in listed.endpoints}
    assert origins == {"box": None, "gpu": Origin(by="anna", paused=paused)}
    asked.defined(Defined())
    assert asked.ask("recommend.best", use_case="chat").recommendation.model == FAST


def test_a_paused_endpoint_is_shown_where_its_models_are(
    asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the status of its models, and as why they are rejected: a user pauses and never closes an endpoint."""
    asked.defined(Defined(origins={"gpu": Origin(paused=Pause(since=EPOCH)), "box": Origin(asleep="scaled")}))
    show_models(asked.ask("models.list").models, endpoints=asked.ask("endpoints.list").endpoints)
    _, slow, fast = capsys.readouterr().out.splitlines()
    assert "asleep" in slow
    assert "paused" in fast
    assert "available" not in slow + fast
    asked.defined(Defined(origins={"gpu": Origin(paused=Pause(since=EPOCH))}))
    show_models(asked.ask("models.list").models, endpoints=asked.ask("endpoints.list").endpoints)
    _, slow, fast = capsys.readouterr().out.splitlines()
    assert "available" in slow
    assert "paused" in fast
    show_explanation(asked.ask("recommend.explain", use_case="chat"))
    show_best(asked.ask("recommend.best", use_case="chat"))
    said = capsys.readouterr().out
    assert "(1 for endpoint paused or asleep)" in said
    assert said.count("endpoint paused or asleep") == 2
    assert "closed" not in said


def test_a_model_that_answered_one_run_is_a_candidate(asked: Asked) -> None:
    """Although the next one of the same benchmark came too late: the page shows its speed, so it has answered."""
    good = RunSample(job_id="b", at=EPOCH, prompt="short", cold=False, output_tps=0.7)
    late = RunSample(job_id="b", at=EPOCH, prompt="long", cold=False, outcome=Outcome.TIMEOUT)
    performance = Performance(measured_at=EPOCH, n=1, failures=1, samples=(good, late))
    event = benchmark_event(FAST, at=EPOCH, tps=80.0)
    asked.apply(msgspec.structs.replace(event, outcome=Outcome.TIMEOUT, performance=performance, job_id="b"))
    reply: ExplainReply = asked.ask("recommend.explain", use_case="chat")
    assert FAST in [one.model for one in reply.recommendations]


@pytest.mark.fault("a server that lists its models and fails every call", "I10")
def test_a_model_that_fails_every_call_is_no_candidate(asked: Asked) -> None:
    """Whatever its listing and its prior say: it is degraded, and the reason is told."""
    failed = RunSample(
        job_id="b", at=EPOCH, prompt="short", cold=False, outcome=Outcome.SERVER_ERROR, detail="engine died"
    )
    performance = Performance(measured_at=EPOCH, n=0, failures=1, samples=(failed,))
    event = benchmark_event(FAST, at=EPOCH, tps=80.0)
    asked.apply(
        msgspec.structs.replace(event, outcome=Outcome.SERVER_ERROR, performance=performance, job_id="b")
    )
    reply: ExplainReply = asked.ask("recommend.explain", use_case="chat")
    assert [one.model for one in reply.recommendations] == [SLOW]
    (rejection,) = (one for one in reply.rejections if one.model == FAST)
    assert (rejection.code, rejection.value) == ("never_answered", "benchmark: server_error, engine died")
    listed: ModelsReply = asked.ask("models.list")
    view = next(one for one in listed.models if one.model == FAST)
    assert view.status == "degraded"
    asked.apply(lifecycle_event("lost", SLOW, at=EPOCH, revision=2))
    alone: ExplainReply = asked.ask("recommend.explain", use_case="chat")
    assert alone.summary[1] == "None of them has answered a call."
    assert view.availability is not None
    assert view.availability.uptime_24h == 0.0


def test_why_none_can_be_called_is_said_of_each(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    """One that never answered, and one that is capable but paused; the command line says it in the same words."""
    failed = RunSample(job_id="b", at=EPOCH, prompt="short", cold=False, outcome=Outcome.SERVER_ERROR)
    performance = Performance(measured_at=EPOCH, n=0, failures=1, samples=(failed,))
    event = benchmark_event(SLOW, at=EPOCH, tps=80.0)
    asked.apply(
        msgspec.structs.replace(event, outcome=Outcome.SERVER_ERROR, performance=performance, job_id="b")
    )
    asked.defined(Defined(origins={"gpu": Origin(by="anna", paused=Pause(since=EPOCH, by="anna"))}))
    reply: ExplainReply = asked.ask("recommend.explain", use_case="chat")
    says = "1 of them never answered a call and 1 is at an endpoint that is paused or asleep."
    assert (reply.relax, reply.summary[1]) == (None, says)
    show_best(asked.ask("recommend.best", use_case="chat"))
    assert says in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("rejected", "says"),
    [
        ({}, "None of them has every capability needed."),
        ({"capability": 4}, "None of them has every capability needed."),
        ({"capability": 3, "status": 1}, "None of them has every capability needed and answers calls."),
        ({"never_answered": 4}, "None of them has answered a call."),
        ({"endpoint_closed": 4}, "Each of them is at an endpoint that is paused or asleep."),
        ({"retired": 4}, "Each of them was ended by its service."),
        (
            {"never_answered": 2, "retired": 2},
            "2 of them never answered a call and 2 were ended by their services.",
        ),
        ({"retired": 1}, "1 of them was ended by its service and no other has every capability needed."),
        (
            {"never_answered": 1, "endpoint_closed": 2, "status": 1},
            "1 of them never answered a call, 2 are at an endpoint that is paused or asleep, and no other has every "
            "capability needed and answers calls.",
        ),
    ],
)
def test_why_none_is_a_candidate(rejected: dict[str, int], says: str) -> None:
    assert why_none(rejected, 4) == says
    assert why_none({}, 0) == "The catalogue is empty."


def test_top_gives_as_many_as_were_asked_for(asked: Asked) -> None:
    """`limit` limits."""
    reply: TopReply = asked.ask("recommend.top", use_case="chat", limit=1)
    assert [one.model for one in reply.recommendations] == [FAST]


def test_no_candidate_is_an_answer_with_a_way_out(asked: Asked) -> None:
    """The recommendation is null, the rejections are counted, and the nearest model named."""
    reply: BestReply = asked.ask(
        "recommend.best", use_case="chat", constraints={"min_context_tokens": 40_000}
    )
    assert reply.recommendation is None
    assert reply.rejected == {"context": 2}
    assert reply.relax is not None
    assert (reply.relax.model, reply.relax.constraint) == (FAST, "constraints.min_context_tokens")
    assert (reply.relax.need, reply.relax.to) == (40_000, 32_768)


@pytest.mark.parametrize(
    ("subject", "request_", "field", "says"),
    [
        (
            "recommend.best",
            {"use_case": "chat", "constraints": {"endpoints": ["gppu"]}},
            "constraints.endpoints",
            'no endpoint gppu; did you mean "gpu"?',
        ),
        (
            "recommend.top",
            {"use_case": "chat", "constraints": {"endpoints": ["gpu", "zzz"]}},
            "constraints.endpoints",
            "no endpoint zzz; known: box, gpu",
        ),
        (
            "recommend.explain",
            {"use_case": "chat", "constraints": {"providers": ["olama"]}},
            "constraints.providers",
            'no provider olama; did you mean "ollama"?',
        ),
        ("models.list", {"endpoint": "gppu"}, "endpoint", 'no endpoint gppu; did you mean "gpu"?'),
        ("models.list", {"provider": "olama"}, "provider", 'no provider olama; did you mean "ollama"?'),
        (
            "models.list",
            {"constraints": {"endpoints": ["gppu"]}},
            "constraints.endpoints",
            'no endpoint gppu; did you mean "gpu"?',
        ),
    ],
)
@pytest.mark.fault("a filter names an endpoint or a provider that does not exist")
def test_an_unknown_name_in_a_filter_is_an_error(
    asked: Asked, subject: str, request_: dict[str, Any], field: str, says: str
) -> None:
    """It names the field and what is known, instead of an empty reply."""
    with pytest.raises(RequestError) as caught:
        asked.ask(subject, **request_)
    assert (caught.value.field, str(caught.value)) == (field, says)


def test_a_known_provider_without_models_matches_nothing(asked: Asked) -> None:
    """An agent that allows several providers works wherever one of them is missing."""
    constraints = {"providers": ["Gemini", "openai-compatible", "ollama"], "endpoints": ["GPU", "box"]}
    assert asked.ask("recommend.best", use_case="chat", constraints=constraints).recommendation is not None
    reply: ModelsReply = asked.ask("models.list", provider="gemini")
    assert (reply.total, reply.considered) == (0, 2)


def test_a_model_without_the_capability_is_not_nearest(asked: Asked) -> None:
    """No model can see: nothing is named as nearly fitting, and the summary says why."""
    reply: ExplainReply = asked.ask("recommend.explain", use_case="vision")
    assert reply.relax is None
    assert reply.summary[1] == "None of them is known to have vision."


def test_under_a_limit_models_without_a_figure_stay_out(asked: Asked) -> None:
    """Unless they are asked for; and the way to ask for them is told."""
    limit = {"min_uptime_24h": 0.9}
    reply: BestReply = asked.ask("recommend.best", use_case="chat", constraints=limit)
    assert (reply.recommendation, reply.rejected) == (None, {"uptime_unknown": 2})
    assert reply.relax is not None
    assert (reply.relax.constraint, reply.relax.to) == ("constraints.unmeasured", "keep")
    kept: BestReply = asked.ask(
        "recommend.best", use_case="chat", constraints={**limit, "unmeasured": "keep"}
    )
    assert kept.recommendation is not None


def test_an_explanation_has_every_part(asked: Asked) -> None:
    """Contributions of each candidate, rejections of the others, weights and two sentences."""
    reply: ExplainReply = asked.ask("recommend.explain", use_case="chat", constraints={"families": ["llama"]})
    (one,) = reply.recommendations
    assert one.raw_score == sum(part.points for part in one.contributions)
    assert [(r.model, r.code, r.need, r.value) for r in reply.rejections] == [
        (SLOW, "family", ["llama"], "qwen2")
    ]
    assert "org/fast:7b is best for chat" in reply.summary[0]
    assert reply.weights["quality"] == 0.46


def test_a_tie_names_no_change_that_is_too_small_to_see() -> None:
    """Any change would put the second model first, so none explains the winner."""
    tie = Asked()
    chat = {"chat": Claim(value=True, evidence=Evidence.DECLARED, source="test")}
    for endpoint, at in ENDPOINTS.items():
        model = ModelRef(endpoint, "llama3.2:3b")
        info = model_info(
            model, provider=at.provider, url=at.url, capabilities=chat, locality="local", family="llama"
        )
        tie.apply(lifecycle_event("found", model, at=EPOCH, info=info))
        tie.apply(probe_event(model, at=EPOCH, job_id="p"))
    reply: ExplainReply = tie.ask("recommend.explain", use_case="chat")
    assert len(reply.recommendations) == 2
    assert "is its equal" in reply.summary[1]
    assert "would win" not in reply.summary[1]
    assert reply.improve is None


def test_an_unknown_use_case_names_the_known_ones(asked: Asked) -> None:
    """With the nearest first; one's own are among them."""
    with pytest.raises(RequestError, match="did you mean") as caught:
        asked.ask("recommend.best", use_case="code_generaton")
    assert (caught.value.code, caught.value.field) == ("unknown_use_case", "use_case")
    assert "short" in caught.value.message


def test_a_name_counts_in_either_spelling(asked: Asked) -> None:
    """With hyphens as with underscores; the reply has the known spelling."""
    constraints = {"providers": ["openai_compatible", "Ollama"]}
    reply: BestReply = asked.ask("recommend.best", use_case="code-generation", constraints=constraints)
    assert reply.use_case == "code_generation"
    assert reply.considered == 2


def test_ones_own_use_case_and_weights_count(asked: Asked) -> None:
    """Weights of a request stand in the place of the use case's; all zero is an error."""
    assert asked.ask("recommend.best", use_case="short").recommendation.model == SLOW  # 4 ms against 80 ms
    override = {"ttft": 0, "speed": 1}
    assert asked.ask("recommend.best", use_case="short", weights=override).recommendation.model == FAST
    with pytest.raises(RequestError, match="at least one"):
        asked.ask("recommend.best", use_case="short", weights={"ttft": 0})


def test_health_that_is_too_old_is_unknown(asked: Asked) -> None:
    """After three intervals without a probe the status is no longer believed, and the score says so."""
    asked.clock.advance(91 * 60)
    best = asked.ask("recommend.best", use_case="chat").recommendation
    assert best.status == "unknown"
    assert best.multipliers["unknown"] < 1
    view = asked.ask("models.get", model=str(FAST)).models[0]
    assert (view.status, view.stale) == ("unknown", True)


@pytest.mark.fault(
    "a wrong clock dated a model's health",
    "I10",
    without=("vedette_recommender.candidate:MAX_AHEAD", timedelta(days=4000)),
)
@pytest.mark.parametrize("behind_s", [3600, 31 * 86_400])
def test_health_of_the_future_is_unknown(asked: Asked, behind_s: float) -> None:
    """It never would be too old; what was counted of the future counts for nothing, and no age is negative."""
    asked.clock.step(-behind_s)
    best = asked.ask("recommend.explain", use_case="chat").recommendations[0]
    assert best.status == "unknown"
    assert all(part.age_s is None or part.age_s >= 0 for part in best.contributions)
    view = asked.ask("models.get", model=str(FAST)).models[0]
    assert (view.status, view.stale, view.availability.uptime_24h) == ("unknown", True, None)


def test_health_a_little_ahead_is_believed(asked: Asked) -> None:
    """Answers are of the minute that has begun, and replicas' clocks differ by seconds."""
    asked.apply(probe_event(FAST, at=EPOCH + timedelta(seconds=69), job_id="q"))
    assert asked.ask("recommend.best", use_case="chat").recommendation.status == "available"


def test_the_same_question_gets_the_same_bytes_until_something_changes(asked: Asked) -> None:
    """Remembered answers go with the next event, and with the next minute."""
    request = b'{"use_case": "chat"}'
    first = asked.answers.answer("recommend.best", request)
    asked.clock.advance(30)
    assert asked.answers.answer("recommend.best", request) is first
    asked.clock.advance(31)
    later = asked.answers.answer("recommend.best", request)
    assert later != first
    asked.apply(benchmark_event(SLOW, at=EPOCH, tps=5000.0))
    changed = msgspec.json.decode(asked.answers.answer("recommend.best", request), type=BestReply)
    assert changed.as_of.sequence == asked.sequence


def test_models_are_listed_in_the_order_that_was_asked_for(asked: Asked) -> None:
    """By a figure either way; a model without it comes last both times, and pages cut one order."""
    bare = ModelRef("gpu", "bare")
    asked.apply(lifecycle_event("found", bare, at=EPOCH, info=model_info(bare, url="http://gpu:8000")))

    def found(**conditions: Any) -> list[ModelRef]:
        return [view.model for view in asked.ask("models.list", **conditions).models]

    assert found(sort="output_tps") == [SLOW, FAST, bare]
    assert found(sort="output_tps", descending=True) == [FAST, SLOW, bare]
    assert found(sort="context", descending=True, limit=1, offset=1) == [SLOW]
    assert found(sort="checked_at", descending=True)[-1] == bare
    assert found(descending=True) == found()[::-1]


def test_a_list_says_what_all_that_match_amount_to(asked: Asked) -> None:
    """Counts are of all pages, and of no other models."""
    bare = ModelRef("gpu", "bare")
    asked.apply(lifecycle_event("found", bare, at=EPOCH, info=model_info(bare, url="http://gpu:8000")))
    reply: ModelsReply = asked.ask("models.list", limit=1)
    assert reply.counts == Counts(
        statuses={Status.AVAILABLE: 2, Status.UNKNOWN: 1}, unmeasured=1, unevaluated=3
    )
    assert asked.ask("models.list", text="bare").counts.statuses == {Status.UNKNOWN: 1}


def test_models_are_listed_by_what_was_asked(asked: Asked) -> None:
    """Every condition narrows; nothing at all lists everything."""

    def found(**conditions: Any) -> list[ModelRef]:
        reply: ModelsReply = asked.ask("models.list", **conditions)
        assert reply.total >= len(reply.models)
        return [view.model for view in reply.models]

    assert found() == [SLOW, FAST]
    assert msgspec.json.decode(asked.answers.answer("models.list", b""), type=ModelsReply).total == 2
    assert found(text="FAST") == [FAST]
    assert found(text=f"{FAST.endpoint}/{FAST.name[:2]}".upper()) == [FAST]
    assert found(family="qwen2") == [SLOW]
    assert found(endpoint="gpu", provider="openai-compatible", status="available", capabilities=["chat"]) == [
        FAST
    ]
    assert found(capabilities=["vision"]) == []
    assert found(limit=1) == [SLOW]
    assert found(limit=1, offset=1) == [FAST]


def test_a_model_is_shown_whole(asked: Asked) -> None:
    """By `endpoint/name` or by parts; slashes in names are the name's own."""
    for named in (str(FAST), {"endpoint": "gpu", "name": "org/fast:7b"}):
        (view,) = asked.ask("models.get", model=named).models
        assert view.model == FAST
        assert view.performance.output_tps == 80.0
        assert view.availability.uptime_24h is None  # the sample has no tallies
        assert view.found_at == EPOCH
    with pytest.raises(RequestError, match='did you mean "gpu/org/fast:7b"') as caught:
        asked.ask("models.get", model="gpu/org/fast:8b")
    assert caught.value.code == "unknown_model"
    with pytest.raises(RequestError, match="endpoint/name"):
        asked.ask("models.get", model="fast")


def test_a_model_is_found_in_the_other_form_of_unicode(asked: Asked) -> None:
    """While only one has its letters; twins are each found by their own name, and know of each other."""
    composed, decomposed = ModelRef("gpu", "caf\u00e9:7b"), ModelRef("gpu", "cafe\u0301:7b")
    asked.apply(lifecycle_event("found", composed, at=EPOCH))
    (view,) = asked.ask("models.get", model=str(decomposed)).models
    assert (view.model, view.notes) == (composed, ())
    asked.apply(lifecycle_event("found", decomposed, at=EPOCH))
    for model, twin in ((composed, r"caf\xe9:7b"), (decomposed, r"cafe\u0301:7b")):
        (view,) = asked.ask("models.get", model=str(model)).models
        assert view.model == model
        assert twin not in view.notes[0]
        assert view.notes[0].startswith("looks like gpu/caf")


def test_endpoints_are_listed_observed_or_not(asked: Asked) -> None:
    """One that was never contacted has no state."""
    state = EndpointState(
        url="http://box:11434", provider="ollama", fingerprint="f", checked_at=EPOCH, outcome=Outcome.REFUSED
    )
    asked.apply(EndpointObserved(id="o", at=EPOCH, endpoint="box", state=state))
    reply: EndpointsReply = asked.ask("endpoints.list")
    box, gpu = reply.endpoints
    assert (box.endpoint, box.state, box.models, box.group) == ("box", state, 1, "box")
    assert (gpu.endpoint, gpu.state) == ("gpu", None)


def test_an_endpoint_shows_its_load_and_what_vedette_costs_it(asked: Asked) -> None:
    """By purpose; of readings of the load the newest count, which no observation has yet."""
    day = str(EPOCH.date())
    ledger = Ledger(day=day, by={"probe": Use(requests=2, tokens=24, seconds=1.5), "load": Use(requests=1)})
    state = EndpointState(
        url="http://box:11434",
        provider="ollama",
        fingerprint="f",
        checked_at=EPOCH,
        outcome=Outcome.OK,
        ledger=ledger,
    )
    load = EndpointLoad(
        id="l",
        at=EPOCH,
        endpoint="box",
        every_s=10.0,
        source="ollama ps",
        loaded={},
        day=day,
        used=Use(requests=9, seconds=0.5),
        elapsed_ms=1.0,
        bytes=700,
    )
    asked.apply(EndpointObserved(id="o", at=EPOCH, endpoint="box", state=state))
    asked.apply(load)
    box = asked.ask("endpoints.list").endpoints[0]
    assert box.load == load
    assert box.used == Use(requests=11, tokens=24, seconds=2.0)
    assert box.state.ledger.by == {"probe": ledger.by["probe"], "load": load.used}
    assert list(cost_rows(box)) == [
        ("box", "load", "9", "0", "0.5", "0.0000"),
        ("box", "probe", "2", "24", "1.5", "0.0000"),
    ]


@pytest.mark.parametrize(
    ("told", "age_s", "shown"),
    [
        ({"running": 3, "slots": 4, "waiting": 2}, 0, "3 of 4 +2"),
        ({"running": 0, "waiting": 0, "loaded": {}}, 24, "0"),
        ({"loaded": {}}, 0, "0 loaded"),
        ({"running": 3}, 26, "-"),
        ({"outcome": Outcome.TIMEOUT}, 0, "-"),
        ({}, 0, "-"),
    ],
)
def test_a_load_is_shown_unless_it_is_stale(
    told: dict[str, Any], age_s: float, shown: str, asked: Asked
) -> None:
    load = EndpointLoad(
        id="l", at=EPOCH, endpoint="box", every_s=10.0, source="x", elapsed_ms=1.0, bytes=1, **told
    )
    asked.apply(load)
    box = asked.ask("endpoints.list").endpoints[0]
    assert load_in_words(box, EPOCH + timedelta(seconds=age_s)) == shown


def test_what_is_expected_now_is_shown_of_every_model_of_a_ranking(
    asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a column that is there only when it differs from rest for one of them."""
    show_best(asked.ask("recommend.best", use_case="chat"))
    assert "expected now" not in capsys.readouterr().out
    load = EndpointLoad(
        id="l",
        at=EPOCH,
        endpoint="box",
        every_s=10.0,
        source="x",
        running=4,
        slots=4,
        waiting=3,
        elapsed_ms=1.0,
        bytes=1,
    )
    asked.apply(load)
    reply: BestReply = asked.ask("recommend.best", use_case="chat")
    (loaded,) = reply.fallbacks
    assert loaded.model == SLOW
    show_best(reply)
    title, row = capsys.readouterr().out.split("else\n")[1].splitlines()[:2]
    assert "expected now" in title
    assert f"{loaded.expected_output_tps:.1f} tokens/s" in row


def test_a_lost_model_is_no_candidate(asked: Asked) -> None:
    """Lost is lost, in lists and in recommendations."""
    asked.apply(lifecycle_event("lost", FAST, at=EPOCH, revision=2))
    assert asked.ask("recommend.best", use_case="chat").recommendation.model == SLOW
    assert asked.ask("models.list").total == 1


def test_models_with_the_same_weights_are_shown_as_such(
    asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a column that is there only when there are any."""
    show_models(asked.ask("models.list").models)
    assert "same weights" not in capsys.readouterr().out
    for model in (FAST, SLOW):
        info = model_info(model, canonical="smollm2-135m-instruct:q4_1")
        asked.apply(lifecycle_event("changed", model, at=EPOCH, revision=2, info=info))
    show_models(asked.ask("models.list").models)
    shown = capsys.readouterr().out
    assert "same weights" in shown
    assert shown.count("box/slow") == 2
    once: ModelsReply = asked.ask("models.list", distinct=True, sort="name", descending=True)
    assert ([view.model for view in once.models], once.total) == ([FAST], 1)


def test_the_standing_is_what_an_agent_would_be_told(asked: Asked) -> None:
    """Best and scores are those of `recommend.top`; who is out is out for a reason."""
    first, second = asked.ask("recommend.top", use_case="chat").recommendations
    standing = asked.answers.winner_status("chat", SLOW)
    assert standing.best == (first.model, first.score)
    assert (standing.score, standing.out) == (second.score, "")
    assert standing.as_of == asked.ask("recommend.top", use_case="chat").as_of
    assert asked.answers.winner_status("chat", None).score is None
    incapable = asked.answers.winner_status("vision", FAST)
    assert (incapable.best, incapable.score) == (None, None)
    assert incapable.out == "nothing shows that it has the capability vision"
    asked.apply(lifecycle_event("lost", FAST, at=EPOCH, revision=2))
    lost = asked.answers.winner_status("chat", FAST)
    assert (lost.best, lost.score) == ((SLOW, second.score), None)
    assert lost.out == "it is lost, its endpoint no longer lists it"


def test_what_has_a_handler_of_its_own_is_not_answered_here() -> None:
    """Of two handlers of one subject, in one queue group, each message reaches one by chance."""
    elsewhere = {REPORT.subject, MEASURED.subject, *(query.subject for query in PAST)}
    assert not elsewhere & {query.subject for query in ANSWERED}
    assert elsewhere | {query.subject for query in ANSWERED} == {
        query.subject for query in QUERIES if query.service == "recommender"
    }
