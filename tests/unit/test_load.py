"""What a benchmark asks, and what it makes of the answers."""

from random import Random

import msgspec
import pytest

from vedette.errors import ProviderError
from vedette.providers import Activity, Delta, Embedded, Finished, Generation
from vedette.testing import Answer, FakeClock, FakeEndpoint, Piece
from vedette.types import Capability, Claim, Evidence, ModelInfo, ModelRef, Outcome, Residency, RunSample
from vedette_benchmarker.load import (
    Benchmarking,
    Run,
    answer_figures,
    embedding_figures,
    measure,
    plan,
    prompt,
    text,
)
from vedette_benchmarker.yielding import Turn, at_any_time

SETTINGS = Benchmarking()
NAME = "smollm2:135m"
RESIDENT = {NAME: Residency(resident=True)}


def info(**fields: object) -> ModelInfo:
    """Return a chat model, altered by *fields*."""
    blank = ModelInfo(model=ModelRef("local", NAME), provider="fake", url="http://x", api="fake", kind="chat")
    return msgspec.structs.replace(blank, digest="sha256:a", **fields)


async def ignore(step: int, steps: int, message: str) -> None:
    """Report progress to nobody."""


async def measured(
    endpoint: FakeEndpoint,
    about: ModelInfo | None = None,
    *,
    runs: list[Run] | None = None,
    turn: Turn = at_any_time,
) -> list[RunSample]:
    """Measure with the planned runs, or with *runs*."""
    about = about or info()
    return await measure(
        endpoint,
        about,
        job_id="job-1",
        rng=Random(1),
        clock=endpoint.clock,
        plan=plan(about, SETTINGS) if runs is None else runs,
        on_step=ignore,
        turn=turn,
        server_version="1.0",
    )


async def test_a_run_is_described_from_its_turn_on() -> None:
    """Until then requests of others run, which are over when ours begins."""
    endpoint = FakeEndpoint(FakeClock(), residency=RESIDENT)
    endpoint.activities = [Activity(running=1)]

    async def turn() -> None:
        endpoint.activities = [Activity(running=0)]

    samples = await measured(endpoint, turn=turn)
    assert samples
    assert not any(sample.contended for sample in samples)


def requests(endpoint: FakeEndpoint) -> list[Generation]:
    """Return every generation that was asked of *endpoint*."""
    return [argument for _, argument in endpoint.calls if isinstance(argument, Generation)]


def stream(*times: float, done_at: float | None = None, **finished: object) -> list[Delta | Finished]:
    """Return a word at each of *times* (s), then the end."""
    deltas = [Delta(at=at, text="w") for at in times]
    end = Finished(at=times[-1] if done_at is None else done_at, **finished)  # type: ignore[arg-type]
    return [*deltas, end]


# What is asked


def test_a_benchmark_is_a_warm_up_and_three_runs_of_each_length() -> None:
    """The plan that docs/measurements.md describes."""
    runs = plan(info(native_context_tokens=8192), SETTINGS)
    assert [str(run) for run in runs] == ["warm-up"] + ["short prompt"] * 3 + ["long prompt"] * 3
    assert {run.prompt_tokens for run in runs} == {100, 1000}
    assert {run.output_tokens for run in runs} == {64}
    assert runs[0].deadline_s > runs[1].deadline_s


@pytest.mark.parametrize(
    ("context_tokens", "lengths"),
    [(None, {"short", "long"}), (2048, {"short", "long"}), (1024, {"short"}), (256, {"short"})],
)
def test_the_long_prompt_is_left_out_where_it_does_not_fit(
    context_tokens: int | None, lengths: set[str]
) -> None:
    """A cut prompt would not be long, and some servers cut without a word."""
    assert {run.prompt for run in plan(info(native_context_tokens=context_tokens), SETTINGS)} == lengths


@pytest.mark.parametrize("context_tokens", [1, 16, 64, 128, 256, 512])
def test_tiny_contexts_get_less_of_everything(context_tokens: int) -> None:
    """Prompt and answer together stay within the context, where it holds a prompt at all."""
    run = plan(info(native_context_tokens=context_tokens), SETTINGS)[0]
    assert run.prompt_tokens >= 8
    assert run.prompt_tokens + run.output_tokens <= max(context_tokens, 12)
    assert context_tokens != 256 or run.prompt_tokens < 100


@pytest.mark.parametrize("tokens", [100, 1000])
@pytest.mark.parametrize("chat", [True, False])
def test_prompts_are_about_as_long_as_asked(tokens: int, chat: bool) -> None:
    """Common English words take a little more than a token each."""
    words = len(prompt(Random(1), tokens, chat=chat).split())
    assert 0.7 * tokens < words < tokens


def test_every_prompt_opens_with_its_own_nonce() -> None:
    """No two prompts share a prefix that a server could have kept."""
    rng = Random(1)
    openings = {prompt(rng, 100, chat=True)[:16] for _ in range(200)}
    assert len(openings) == 200
    assert text(Random(1), 50) == text(Random(1), 50)


async def test_every_request_differs_and_asks_for_a_long_deterministic_answer() -> None:
    """Temperature 0, the whole budget, the model's own way of thinking, and a prompt never sent before."""
    endpoint = FakeEndpoint(FakeClock(), residency=RESIDENT)
    await measured(endpoint)
    sent = requests(endpoint)
    assert len({request.prompt[:16] for request in sent}) == 7
    assert {(r.temperature, r.max_tokens, r.chat, r.think) for r in sent} == {(0.0, 64, True, None)}
    assert all("Continue this story" in request.prompt for request in sent)


async def test_models_without_a_chat_template_are_asked_to_complete() -> None:
    """A base model continues the text itself; an instruction would be part of it."""
    endpoint = FakeEndpoint(FakeClock())
    await measured(endpoint, info(kind="completion"))
    assert {request.chat for request in requests(endpoint)} == {False}
    assert not any("Continue" in request.prompt for request in requests(endpoint))


@pytest.mark.parametrize("kind", ["rerank", "unknown"])
async def test_kinds_that_cannot_be_asked_are_unsupported(kind: str) -> None:
    """No call is made, and the outcome says why."""
    endpoint = FakeEndpoint(FakeClock())
    silent = Claim(value=False, evidence=Evidence.INFERRED, source="its name")
    [sample] = await measured(endpoint, info(kind=kind, capabilities={Capability.CHAT: silent}))
    assert sample.outcome is Outcome.UNSUPPORTED
    assert kind in (sample.detail or "")
    assert not endpoint.calls


async def test_a_model_of_unknown_kind_is_asked_as_a_chat() -> None:
    """An answer shows its kind."""
    endpoint = FakeEndpoint(FakeClock())
    samples = await measured(endpoint, info(kind="unknown"))
    assert {request.chat for request in requests(endpoint)} == {True}
    assert {sample.outcome for sample in samples} == {Outcome.OK}


async def test_progress_is_told_before_every_run() -> None:
    """Steps count from one to the number of runs."""
    told: list[tuple[int, int, str]] = []

    async def tell(step: int, steps: int, message: str) -> None:
        told.append((step, steps, message))

    endpoint, about = FakeEndpoint(FakeClock()), info()
    runs = plan(about, SETTINGS)
    await measure(endpoint, about, job_id="j", rng=Random(1), clock=endpoint.clock, plan=runs, on_step=tell)
    assert told == [(step, 7, str(run)) for step, run in enumerate(runs, start=1)]


# Cold and warm


async def test_the_first_run_of_a_model_that_was_not_loaded_is_cold() -> None:
    """Its load is a figure of its own, and no later run is cold."""
    endpoint = FakeEndpoint(
        FakeClock(), residency={}, answer=lambda request: Answer.of(64, ttft_s=2.0, load_ms=1500.0)
    )
    samples = await measured(endpoint)
    assert [sample.cold for sample in samples] == [True] + [False] * 6
    assert [sample.load_ms for sample in samples] == [1500.0] + [None] * 6


async def test_the_warm_up_of_a_loaded_model_is_no_sample() -> None:
    """Three samples of each length stay, with the surroundings stamped on them."""
    samples = await measured(FakeEndpoint(FakeClock(), residency=RESIDENT))
    assert [sample.prompt for sample in samples] == ["short"] * 3 + ["long"] * 3
    assert {(s.job_id, s.digest, s.server_version) for s in samples} == {("job-1", "sha256:a", "1.0")}


async def test_nothing_is_called_cold_where_residency_is_unknown() -> None:
    """Neither a server that does not tell nor a listing that fails makes a run cold."""
    silent = FakeEndpoint(FakeClock(), residency=None)
    failing = FakeEndpoint(FakeClock(), residency={})
    failing.failures["resident"] = ProviderError(Outcome.SERVER_ERROR, "no")
    for endpoint in (silent, failing):
        samples = await measured(endpoint)
        assert [sample.cold for sample in samples] == [False] * 6


async def test_a_model_that_was_evicted_on_the_way_is_cold_again() -> None:
    """Residency is looked at before every run, so a reload never slips into the warm figures."""
    endpoint = FakeEndpoint(FakeClock(), residency=RESIDENT)

    def evict_after_third(request: Generation) -> Answer:
        if len(requests(endpoint)) == 3:
            endpoint.residency = {}
        return Answer.of(64)

    endpoint.answer = evict_after_third
    assert [sample.cold for sample in await measured(endpoint)] == [False, False, True, False, False, False]


async def test_a_residency_that_has_run_out_is_cold() -> None:
    """A model is loaded only until the expiry that the server told."""
    clock = FakeClock()
    expired = {NAME: Residency(resident=True, expires_at=clock.now())}
    samples = await measured(FakeEndpoint(clock, residency=expired), runs=plan(info(), SETTINGS)[:1])
    assert [sample.cold for sample in samples] == [True]


# Failures


async def test_a_failed_run_is_a_sample_and_the_next_run_follows() -> None:
    """Nothing is retried: as many calls as runs."""
    failure = ProviderError(Outcome.SERVER_ERROR, "runner killed")
    endpoint = FakeEndpoint(FakeClock(), residency=RESIDENT)
    broken = Answer(pieces=Answer.of(5).pieces, failure=failure)
    endpoint.answer = lambda request: broken if len(requests(endpoint)) == 3 else Answer.of(64)
    samples = await measured(endpoint)
    assert [sample.outcome for sample in samples].count(Outcome.SERVER_ERROR) == 1
    assert (samples[1].detail, samples[1].ttft_ms) == ("runner killed", None)
    assert len(requests(endpoint)) == 7


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.TIMEOUT, Outcome.NOT_FOUND, Outcome.BUSY])
async def test_a_failed_warm_up_ends_the_job(outcome: Outcome) -> None:
    """One failure is kept, and nothing is measured on a model that is not warm."""
    endpoint = FakeEndpoint(FakeClock(), residency=RESIDENT)
    endpoint.failures["generate"] = ProviderError(outcome, "x" * 5000)
    [sample] = await measured(endpoint)
    assert sample.outcome is outcome
    assert msgspec.convert(msgspec.to_builtins(sample), RunSample) == sample


async def test_an_endpoint_that_goes_away_is_one_failure() -> None:
    """The runs that are left would only repeat it."""
    endpoint = FakeEndpoint(FakeClock(), residency=RESIDENT)
    gone = Answer(failure=ProviderError(Outcome.REFUSED, "gone"))
    endpoint.answer = lambda request: gone if len(requests(endpoint)) > 2 else Answer.of(64)
    assert [s.outcome for s in await measured(endpoint)] == [Outcome.OK, Outcome.REFUSED]


def test_a_stream_without_its_end_has_failed() -> None:
    """What a provider lets through without Finished is incomplete."""
    for items in ([], [Delta(at=1.0, text="w")]):
        with pytest.raises(ProviderError, match="broke off") as raised:
            answer_figures(0.0, items)
        assert raised.value.outcome is Outcome.INCOMPLETE


# Figures


async def test_figures_are_those_of_the_script() -> None:
    """TTFT, tokens/s over the gaps, inter-token latency and the whole, in milliseconds."""
    account = {"output_tokens": 64, "prompt_tokens": 99, "server_output_tps": 50.8}
    endpoint = FakeEndpoint(
        FakeClock(),
        residency=RESIDENT,
        answer=lambda request: Answer.of(64, ttft_s=0.25, gap_s=0.02, **account),
    )
    sample = (await measured(endpoint))[0]
    assert sample.ttft_ms == sample.ttfo_ms == pytest.approx(250)
    assert sample.output_tps == pytest.approx(50)
    assert (sample.itl_p50_ms, sample.itl_p95_ms) == pytest.approx((20, 20))
    assert sample.e2e_ms == pytest.approx(250 + 63 * 20)
    assert (sample.output_tokens, sample.estimated, sample.prompt_tokens) == (64, False, 99)
    assert sample.server_output_tps == 50.8


async def test_thinking_counts_as_the_first_token_but_not_as_content() -> None:
    """TTFT ends at the first thought, TTFO at the first word that is none."""
    thoughts = tuple(Piece(after_s=0.1, thinking="hm") for _ in range(10))
    words = tuple(Piece(after_s=0.1, text="w") for _ in range(10))
    endpoint = FakeEndpoint(
        FakeClock(), residency=RESIDENT, answer=lambda request: Answer(pieces=thoughts + words)
    )
    sample = (await measured(endpoint))[0]
    assert (sample.ttft_ms, sample.ttfo_ms) == pytest.approx((100, 1100))
    endpoint.answer = lambda request: Answer(pieces=thoughts)
    assert (await measured(endpoint))[0].ttfo_ms is None


def test_without_usage_tokens_are_counted_and_flagged() -> None:
    """Counted deltas stand in for the server's count."""
    figures = answer_figures(0.0, stream(*range(1, 11)))
    assert (figures["output_tokens"], figures["estimated"], figures["output_tps"]) == (10, True, 1.0)


@pytest.mark.parametrize(
    ("items", "known"),
    [
        pytest.param(stream(1, 2, 3), True, id="too few tokens"),
        pytest.param(stream(1, 2, output_tokens=64), True, id="collected by a proxy"),
        pytest.param(stream(*[1.0] * 64), True, id="no time passed"),
        pytest.param(stream(*range(1, 20), 3.0), False, id="clock went back"),
        pytest.param(stream(*range(-5, 20)), False, id="answered before it was asked"),
        pytest.param(stream(*range(1, 20), done_at=2.0), False, id="finished before its last token"),
    ],
)
def test_figures_that_cannot_be_carried_are_refused(items: list[Delta | Finished], known: bool) -> None:
    """Rates need at least eight tokens and time; no figure survives times out of order."""
    figures = answer_figures(0.0, items)
    assert figures.get("output_tps") is None
    assert figures.get("itl_p50_ms") is None
    assert (figures.get("ttft_ms") is not None) == known
    assert ("clock" in (figures.get("detail") or "")) != known


def test_an_empty_answer_has_no_figures() -> None:
    """It is no failure either: the server answered, with nothing to time."""
    figures = answer_figures(0.0, [Finished(at=1.0)])
    assert "ttft_ms" not in figures
    assert "empty" in figures["detail"]


@pytest.mark.parametrize(
    "answer", [Answer.of(64), Answer(failure=ProviderError(Outcome.RESET, "the connection broke off"))]
)
@pytest.mark.parametrize("seconds", [-3600.0, 30.0, 9 * 3600.0])
@pytest.mark.fault("clock set during a benchmark", "I10")
async def test_a_run_during_which_the_clock_was_set_has_no_figures(seconds: float, answer: Answer) -> None:
    """Time of day and monotonic clock disagree: a suspended machine cannot be told from a set clock.

    A connection that broke meanwhile is no failure of the model.
    """
    clock = FakeClock()

    def set_clock(request: Generation) -> Answer:
        clock.step(seconds)
        return answer

    samples = await measured(FakeEndpoint(clock, residency=RESIDENT, answer=set_clock))
    assert {(s.outcome, s.ttft_ms, s.output_tps) for s in samples} == {(Outcome.OK, None, None)}
    assert all("clock" in (sample.detail or "") for sample in samples)


@pytest.mark.parametrize("absurd", [float("inf"), float("nan"), -1.0, 0.0, 1e300])
@pytest.mark.fault("a server reports absurd figures", "I10")
def test_absurd_figures_of_a_server_are_not_believed(absurd: float) -> None:
    """What a server says of itself is text from outside."""
    items = stream(*range(1, 11), server_output_tps=absurd, load_ms=absurd, output_tokens=-5)
    figures = answer_figures(0.0, items)
    assert (figures["server_output_tps"], figures["load_ms"]) == (None, None)
    assert (figures["output_tokens"], figures["estimated"]) == (10, True)


# Embedding models


async def test_embedding_models_are_asked_to_embed() -> None:
    """Eight texts a call; texts/s and tokens/s by the server's count, and no token figures."""
    endpoint = FakeEndpoint(FakeClock(), residency={}, embedding_s=0.5, embedding={"prompt_tokens": 800})
    samples = await measured(endpoint, info(kind="embedding", native_context_tokens=512))
    assert [(sample.prompt, sample.cold) for sample in samples] == [("short", True)] + [("short", False)] * 3
    assert {(s.texts_per_s, s.embedding_tps, s.output_tps) for s in samples} == {(16.0, 1600.0, None)}
    assert not requests(endpoint)


async def test_an_embedding_call_that_loses_texts_has_failed() -> None:
    """Seven vectors for eight texts are garbage."""
    endpoint = FakeEndpoint(FakeClock(), embedding={"vectors": 7})
    [sample] = await measured(endpoint, info(kind="embedding"))
    assert (sample.outcome, sample.detail) == (Outcome.GARBAGE, "7 vectors for 8 texts")


@pytest.mark.parametrize("done_at", [1.0, 0.5])
def test_embedding_figures_need_time(done_at: float) -> None:
    """Zero or negative time carries no rate."""
    figures = embedding_figures(Embedded(sent_at=1.0, done_at=done_at, vectors=8, dimensions=384))
    assert "texts_per_s" not in figures


def test_embedding_tokens_are_never_guessed() -> None:
    """Without the server's count there is no rate in tokens."""
    figures = embedding_figures(Embedded(sent_at=1.0, done_at=2.0, vectors=8, dimensions=384))
    assert (figures["texts_per_s"], figures["embedding_tps"]) == (8.0, None)
