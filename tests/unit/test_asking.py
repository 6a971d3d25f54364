"""Asking a suite: until it is sure, within what a server can be asked, counting what is used."""

from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random
from typing import Any

import msgspec
import pytest

from graders import Here
from vedette.errors import NoSandbox, NotGraded, ProviderError
from vedette.providers import Generation
from vedette.settings import Evaluating
from vedette.testing import Answer, FakeClock, FakeEndpoint, Piece
from vedette.types import Capability, Claim, Evidence, ModelInfo, ModelRef, Outcome, Price, Score, Thoughts
from vedette_benchmarker.asking import THINKING_TOKENS, Asker, Run
from vedette_benchmarker.grader import Given
from vedette_benchmarker.grading import Graded, claims, ungraded
from vedette_benchmarker.sandbox import Ran
from vedette_benchmarker.suites import Item, Suite, VectorItem, Verdict
from vedette_benchmarker.suites.checks import number
from vedette_benchmarker.suites.programs import function

INFO = ModelInfo(model=ModelRef("box", "m"), provider="fake", url="http://x", api="fake", kind="chat")
SETTINGS = Evaluating(items=40, least=8, interval_width=0.35)


def sums(rng: Random) -> Iterator[Item]:
    while True:
        one, other = rng.randrange(10), rng.randrange(10)
        yield Item(prompt=f"{one}+{other}", check=number(one + other), max_tokens=8)


SUITE = Suite(kind="sums", version=1, items=sums)


def solving(request: Generation) -> Answer:
    one, other = request.prompt.split("+")
    return saying(str(int(one) + int(other)))


def saying(text: str) -> Answer:
    return Answer(pieces=(Piece(after_s=0.1, text=text),), finished={"prompt_tokens": 5, "output_tokens": 2})


async def graded(endpoint: FakeEndpoint, settings: Evaluating = SETTINGS) -> tuple[Graded, Asker]:
    asker, told = Asker(endpoint, INFO, settings, Here(SUITE)), []

    async def on_trial(so_far: Graded) -> None:
        told.append(so_far.trials)

    found = await asker.grade(SUITE, "1", on_trial)
    assert told == sorted(told)
    return found, asker


async def test_what_was_used_adds_up() -> None:
    found, asker = await graded(FakeEndpoint(FakeClock(), answer=solving))
    assert (found.successes, found.trials, found.misses) == (SETTINGS.items, SETTINGS.items, ())
    spent = asker.spent
    assert (spent.requests, spent.prompt_tokens, spent.output_tokens) == (
        found.trials,
        5 * found.trials,
        2 * found.trials,
    )


async def test_a_model_is_asked_on_where_it_stopped() -> None:
    """The items of places 3 to 7, as any other model with the same seed is asked them there."""
    endpoint = FakeEndpoint(FakeClock(), answer=solving)

    async def on_trial(so_far: Graded) -> None:
        """Say nothing."""

    found = await Asker(endpoint, INFO, SETTINGS, Here(SUITE)).grade(SUITE, "1", on_trial, start=3, count=5)
    assert (found.successes, found.trials) == (5, 5)
    asked = [argument.prompt for _, argument in endpoint.calls if isinstance(argument, Generation)]
    assert asked == [item.prompt for item in islice(sums(Random("1")), 3, 8)]


async def test_who_is_sometimes_right_is_asked_more() -> None:
    """But never more than allowed; every wrong answer is kept with the reason."""
    turns = iter(range(1000))
    half = FakeEndpoint(
        FakeClock(), answer=lambda request: solving(request) if next(turns) % 2 else saying("99")
    )
    found, _ = await graded(half, Evaluating(items=12, least=8, interval_width=0.1))
    assert (found.successes, found.trials) == (6, 12)
    assert {miss.why for miss in found.misses} != {""}
    assert all(miss.answer == "99" for miss in found.misses)


async def test_a_question_the_server_cannot_be_asked_gives_no_score() -> None:
    endpoint = FakeEndpoint(FakeClock())
    endpoint.failures["generate"] = ProviderError(Outcome.BAD_REQUEST, "does not support tools")
    found, asker = await graded(endpoint)
    assert (found.trials, asker.spent.failure) == (0, None)


@pytest.mark.parametrize(("outcome", "calls"), [(Outcome.REFUSED, 1), (Outcome.SERVER_ERROR, 3)])
async def test_a_server_that_fails_is_left_alone(outcome: Outcome, calls: int) -> None:
    """At once when it is away, after three in a row otherwise; none of that is a wrong answer."""
    endpoint = FakeEndpoint(FakeClock())
    endpoint.failures["generate"] = ProviderError(outcome, "no")
    found, asker = await graded(endpoint)
    assert (found.trials, asker.spent.requests) == (0, calls)
    assert asker.spent.failure is not None


THINKS = msgspec.structs.replace(
    INFO, capabilities={Capability.THINKING: Claim(value=True, evidence=Evidence.DECLARED, source="test")}
)


async def test_thinking_models_get_room() -> None:
    endpoint, asked = FakeEndpoint(FakeClock(), answer=solving), Evaluating(items=1, least=1)

    async def on_trial(so_far: Graded) -> None:
        """Say nothing."""

    await Asker(endpoint, THINKS, asked, Here(SUITE)).grade(SUITE, "1", on_trial)
    (request,) = [argument for _, argument in endpoint.calls if isinstance(argument, Generation)]
    assert request.max_tokens == 8 + THINKING_TOKENS


PRICED = msgspec.structs.replace(
    INFO, price=Price(input_usd_per_mtok=100.0, output_usd_per_mtok=100.0, source="test")
)


async def asking(
    endpoint: FakeEndpoint, *, max_usd: float | None = None, pauses: list[float]
) -> tuple[Graded, Asker]:
    """Return what a model with a price gets; every pause ends what the endpoint fails with."""

    async def pause(wait_s: float) -> None:
        pauses.append(wait_s)
        endpoint.failures.clear()

    async def on_trial(so_far: Graded) -> None:
        """Say nothing."""

    asker = Asker(endpoint, PRICED, SETTINGS, Here(SUITE), max_usd=max_usd, pause=pause)
    return await asker.grade(SUITE, "1", on_trial), asker


@pytest.mark.fault("an evaluation would cost more than its budget", "I5")
async def test_no_question_is_asked_that_could_exceed_the_budget() -> None:
    """Each counts at its longest answer, thoughts included, before it is asked."""
    found, asker = await asking(FakeEndpoint(FakeClock(), answer=solving), max_usd=0.105, pauses=[])
    assert found.trials == 2  # 7 tokens each so far, and 5 + 8 + 1024 for the next
    used = (asker.spent.prompt_tokens + asker.spent.output_tokens) * 100 / 1e6
    assert used <= 0.105
    assert asker.spent.over_usd == 0.105
    assert asker.spent.failure is None


@pytest.mark.fault("a service filters an answer", "I5", "I13")
@pytest.mark.parametrize("reason", ["content_filter", "refusal", "SAFETY"])
async def test_what_the_service_refuses_is_no_wrong_answer(reason: str) -> None:
    filtered = Answer(pieces=(), finished={"reason": reason})
    found, _ = await asking(FakeEndpoint(FakeClock(), answer=lambda _: filtered), pauses=[])
    assert (found.trials, found.misses, found.ungraded) == (0, (), 3)
    assert reason in found.why_ungraded


@pytest.mark.fault("a service limits the rate of an evaluation", "I5", "I13")
async def test_a_rate_limit_is_waited_for() -> None:
    """As long as the service says; a wait too long ends the evaluation, without a wrong answer."""
    endpoint, pauses = FakeEndpoint(FakeClock(), answer=solving), list[float]()
    endpoint.failures["generate"] = ProviderError(Outcome.RATE_LIMITED, "slow down", retry_after_s=7.0)
    found, _ = await asking(endpoint, pauses=pauses)
    assert (pauses, found.misses) == ([7.0], ())
    assert found.successes == found.trials >= 8
    endpoint.failures["generate"] = ProviderError(Outcome.RATE_LIMITED, "come back", retry_after_s=3600.0)
    found, asker = await asking(endpoint, pauses=pauses)
    assert (found.trials, pauses) == (0, [7.0])
    assert asker.spent.failure is not None


async def test_a_model_that_turns_out_to_think_gets_room() -> None:
    """Hosted models think unseen: an answer of thoughts alone is asked for again."""

    def answer(request: Generation) -> Answer:
        if request.max_tokens < THINKING_TOKENS:
            return Answer(pieces=(), finished={"reason": "length", "reasoning_tokens": 8, "output_tokens": 8})
        return solving(request)

    found, _ = await asking(FakeEndpoint(FakeClock(), answer=answer), pauses=[])
    assert found.successes == found.trials >= 8


async def thoughts_of(info: ModelInfo, text: str, **finished: Any) -> Thoughts:
    """Return what is counted of the thoughts of a model that answers three questions so."""
    answer = Answer(pieces=(Piece(after_s=0.1, text=text),), finished=finished)
    asker = Asker(
        FakeEndpoint(FakeClock(), answer=lambda _: answer), info, Evaluating(items=3, least=3), Here(SUITE)
    )

    async def on_trial(so_far: Graded) -> None:
        """Say nothing."""

    await asker.grade(SUITE, "1", on_trial)
    return asker.spent.thoughts


@pytest.mark.parametrize(
    ("text", "finished", "tokens"),
    [
        ("7", {"output_tokens": 20, "reasoning_tokens": 19}, 19),  # as the server counts them
        (
            "<think>" + "so " * 20 + "</think>" + "7" * 20,
            {"output_tokens": 40},
            30,
        ),  # by their share of the text
        (
            "<think>" + "so " * 20 + "</think>" + "7" * 20,
            {},
            15,
        ),  # without any count: four characters a token
        ("7", {"output_tokens": 1}, 0),
    ],
)
async def test_thoughts_before_answers_are_counted(text: str, finished: dict[str, int], tokens: int) -> None:
    assert await thoughts_of(INFO, text, **finished) == Thoughts(answers=3, tokens=3 * tokens)


async def test_an_answer_without_thoughts_counts_whatever_was_expected() -> None:
    """A model that is said to think and does not, as with thinking switched off, is not taken for one that does."""
    assert await thoughts_of(THINKS, "7", output_tokens=1) == Thoughts(answers=3, tokens=0)


class Late:
    """Grades nothing, as when every answer takes too long."""

    async def verdict(self, given: Given) -> Verdict:
        raise NotGraded(problem="grading took longer than 1 s")


@pytest.mark.fault("no answer of a model can be graded", "I5", "I13")
async def test_answers_that_cannot_be_graded_are_neither_right_nor_wrong() -> None:
    """They are counted with the reason; after three in a row the model is asked no more of that suite."""
    asker = Asker(FakeEndpoint(FakeClock(), answer=solving), INFO, SETTINGS, Late())

    async def on_trial(so_far: Graded) -> None:
        """Say nothing."""

    found = await asker.grade(SUITE, "1", on_trial)
    assert (found.successes, found.trials, found.misses, found.ungraded) == (0, 0, (), 3)
    assert asker.spent.failure is None
    assert ungraded([found])["sums"].why == "the answer could not be graded: grading took longer than 1 s"
    assert claims([found]) == {}


def programs(_: Random) -> Iterator[Item]:
    """Yield one question for a program again and again."""
    while True:
        check = function("add", ("a", "b"))
        yield Item(prompt="Write add.", check=check, program_tests=("assert add(1, 2) == 3",))


PROGRAMS = Suite(kind="programs", version=1, items=programs)


async def programming(run: Run, *, run_code: bool = True, body: str = "a + b") -> Graded:
    """Return what a model gets that answers with a function of *body*, where programs are run by *run*."""
    endpoint = FakeEndpoint(FakeClock(), answer=lambda _: saying(f"def add(a, b):\n    return {body}"))
    settings = Evaluating(items=8, least=8, run_code=run_code)
    asker = Asker(endpoint, INFO, settings, Here(PROGRAMS), run=run)

    async def on_trial(so_far: Graded) -> None:
        """Say nothing."""

    return await asker.grade(PROGRAMS, "1", on_trial)


@pytest.mark.fault("the sandbox fails while programs are graded", "I2", "I13")
async def test_a_program_that_was_not_run_is_not_right() -> None:
    """The sandbox held when it was tried, and then no longer."""
    turns = iter(range(1000))

    async def run(program: str, tests: Sequence[str]) -> Ran:
        if next(turns):
            raise NoSandbox(problem="user namespaces are switched off")
        return Ran(ok=True)

    found = await programming(run)
    assert (found.successes, found.trials, found.ungraded) == (0, 0, 3)
    assert "user namespaces are switched off" in found.why_ungraded


@pytest.mark.fault("the system cannot isolate programs", "I13")
@pytest.mark.parametrize("run_code", [True, False])
async def test_without_a_sandbox_the_shape_counts_half_and_says_so(run_code: bool) -> None:
    async def run(program: str, tests: Sequence[str]) -> Ran:
        raise NoSandbox(problem="the sandbox needs Linux")

    score = (await programming(run, run_code=run_code)).score
    assert (score.successes, score.trials, score.weight, score.counted) == (8, 8, 0.5, 4.0)
    assert score.note.startswith("graded by syntax only: ")
    assert ("needs Linux" if run_code else "run_code is false") in score.note
    fully = Score(successes=8, trials=8, suite=score.suite)
    assert score.interval[0] < fully.interval[0]


async def test_where_programs_run_their_tests_decide() -> None:
    """A program that looks wrong and is right passes; one that looks right and is wrong does not."""
    assert (await programming(sandboxed_here, body="eval('a + b')")).successes == 8
    assert (await programming(sandboxed_here, body="a - b")).successes == 0


async def sandboxed_here(program: str, tests: Sequence[str]) -> Ran:
    """Run our own programs of these tests in the test's process."""
    made: dict[str, object] = {}
    exec(program, made)
    try:
        for test in tests:
            exec(test, made)
    except AssertionError as error:
        return Ran(ok=False, why=str(error))
    return Ran(ok=True)


async def test_models_that_embed_are_judged_by_their_vectors() -> None:
    def pairs(_: Random) -> Iterator[VectorItem]:
        while True:
            yield VectorItem(texts=("a", "b"), check=lambda vectors: Verdict(correct=len(vectors) == 2))

    endpoint = FakeEndpoint(FakeClock(), embedding={"values": [[1.0], [0.0]]})

    async def on_trial(so_far: Graded) -> None:
        """Say nothing."""

    suite = Suite(kind="pairs", version=1, items=pairs, needs=Capability.EMBEDDING)
    asker = Asker(endpoint, INFO, Evaluating(items=3, least=3), Here(suite))
    found = await asker.grade(suite, "1", on_trial)
    assert (found.successes, found.trials) == (3, 3)
