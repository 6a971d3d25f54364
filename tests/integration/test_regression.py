"""A model that becomes worse with its weights is told of once, with the figures; evaluations count once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

import msgspec
import pytest

from graders import Here
from measuring import measuring
from samples import lifecycle_event, model_info
from vedette.bus.bus import Bus
from vedette.endpoints import OpenEndpoint
from vedette.messages.catalogue import Catalogue, ModelState
from vedette.messages.codec import encode
from vedette.messages.events import Job, JobCause, ModelEvaluated, ModelRegressed, Progress
from vedette.providers import Generation
from vedette.providers.counting import Sent
from vedette.settings import EndpointSettings, Evaluating
from vedette.testing import Answer, FakeEndpoint, FakeProvider, Piece
from vedette.types import (
    Capability,
    Claim,
    Evidence,
    ModelInfo,
    ModelRef,
    Outcome,
    Price,
    Quality,
    Residency,
    Thoughts,
)
from vedette_benchmarker.evaluation import Evaluation
from vedette_benchmarker.place import Place
from vedette_benchmarker.racing import PART
from vedette_benchmarker.selecting import Selecting
from vedette_benchmarker.suites import Item, Suite
from vedette_benchmarker.suites.checks import exact
from vedette_benchmarker.work import Ended, Work
from vedette_benchmarker.yielding import at_any_time

NOW = datetime(2026, 11, 25, tzinfo=UTC)
MODEL = ModelRef("box", "m")
SETTINGS = Evaluating(items=20, least=20)


def words(_: Random) -> Iterator[Item]:
    while True:
        yield Item(prompt="Say yes.", check=exact("yes"))


SUITE = Suite(kind="words", version=1, items=words)


class Evaluated:
    """One model at one endpoint, evaluated as often as a test wants."""

    def __init__(self, bus: Bus, settings: Evaluating = SETTINGS) -> None:
        self.bus = bus
        self.says = "yes"
        self.asked = 0
        self.output_tokens = 1
        self.catalogue = Catalogue()
        self.fake = fake = FakeEndpoint(bus.clock, answer=self._answer)
        provider = FakeProvider({"http://box": fake})
        self.endpoint = OpenEndpoint(
            name="box",
            settings=EndpointSettings(provider="fake", url="http://box"),
            provider=provider,
            endpoint=fake,
            clock=bus.clock,
        )
        self.measure = Evaluation(
            bus=bus,
            catalogue=self.catalogue,
            selecting=Selecting(
                catalogue=self.catalogue, suites=(SUITE,), settings=settings, clock=bus.clock, use_cases={}
            ),
            settings=settings,
            grader=Here(SUITE),
            clock=bus.clock,
        )
        self.jobs = 0

    def _answer(self, _: Generation) -> Answer:
        self.asked += 1
        finished = {"output_tokens": self.output_tokens}
        return Answer(pieces=(Piece(after_s=0, text=self.says),), finished=finished)

    async def evaluate(self, digest: str) -> Job:
        self.jobs += 1
        at = NOW + timedelta(hours=self.jobs)
        job = self.endpoint.job("evaluate", at=at, cause="manual", seed=str(self.jobs), model=MODEL)
        await self.run(job, digest)
        return job

    async def run(self, job: Job, digest: str) -> Ended:
        info: ModelInfo = model_info(MODEL, digest=digest, kind="chat")
        found = lifecycle_event("found", MODEL, at=NOW, info=info)
        state = Catalogue.of([(1, found)]).get(MODEL) or ModelState(model=MODEL)
        place = Place(
            self.endpoint, {MODEL.name}, Sent(ended_at=0.0), self.bus.clock, loaded={MODEL.name: None}
        )
        turn = at_any_time if job.cause == "manual" else place.turn
        return await self.measure.run(
            Work(endpoint=self.endpoint, state=state, info=info, job=job, turn=turn)
        )

    async def state(self) -> ModelState:
        return await self.bus.streams.read_model(MODEL)

    async def regressed(self) -> list[ModelRegressed]:
        info = await self.bus.js.stream_info("MODELS", subjects_filter="model.regressed.>")
        subjects = info.state.subjects or {}
        if not subjects:
            return []
        ((subject, count),) = subjects.items()
        last = await self.bus.streams.last("MODELS", subject)
        assert last is not None
        assert isinstance(last.event, ModelRegressed)
        return [last.event] * count


async def test_new_weights_that_are_worse_are_told_of_once(bus: Bus) -> None:
    """With what was and what is; better ones, and the same ones, are not."""
    model = Evaluated(bus)
    await model.evaluate("a")
    await model.evaluate("a")
    model.says = "no"
    assert await model.regressed() == []
    await model.evaluate("b")
    await model.evaluate("b")
    (event,) = await model.regressed()
    (drop,) = event.drops
    assert (drop.kind, drop.before.successes, drop.before.trials) == ("words", 40, 40)
    assert (drop.after.successes, drop.after.trials) == (0, 20)
    assert (event.before.digest, event.digest) == ("a", "b")
    model.says = "yes"
    await model.evaluate("c")
    assert len(await model.regressed()) == 1


async def test_what_new_weights_may_cost_is_known_before(bus: Bus) -> None:
    """They are asked as many as a command asks, not a few."""
    model = Evaluated(bus)
    job = await model.evaluate("a")
    state = await model.state()
    assert state.evaluated is not None
    for digest, requests in (("a", PART), ("b", SETTINGS.items)):
        info = model_info(MODEL, digest=digest, kind="chat")
        found = lifecycle_event("found", MODEL, at=NOW, info=info)
        for sequence, event in enumerate((found, state.evaluated.event), 1 if digest == "a" else 10):
            model.catalogue.apply(event, sequence)
        assert model.measure.estimate(model.endpoint, info, job).requests == requests


@pytest.mark.parametrize(("thoughts", "asked"), [(None, 8), (Thoughts(answers=1000, tokens=1_000_000), 12)])
async def test_the_limit_of_an_evaluation_counts_the_thoughts_that_were_seen(
    bus: Bus, thoughts: Thoughts | None, asked: int
) -> None:
    """Else a model that thinks for long begins, by what its next questions cost, and is broken off."""
    model = Evaluated(bus, Evaluating(items=12, least=12, usd_per_day=10.0))
    model.output_tokens = 10_000  # a tenth of a dollar each
    thinks = {Capability.THINKING: Claim(value=True, evidence=Evidence.DECLARED, source="t")}
    price = Price(input_usd_per_mtok=1.25, output_usd_per_mtok=10.0, source="test")
    named = ModelRef("box", "gpt-5")
    info = model_info(named, kind="chat", free=False, price=price, capabilities=thinks, locality="remote")
    found = lifecycle_event("found", named, at=NOW, info=info)
    quality = Quality(measured_at=NOW, thoughts=thoughts)
    evaluated = ModelEvaluated(id="e", at=NOW, model=named, job_id="e", outcome=Outcome.OK, quality=quality)
    state = Catalogue.of([(1, found), (2, evaluated)]).get(named)
    assert state is not None
    job = model.endpoint.job("evaluate", at=NOW, cause="schedule", seed="1", model=named)
    await model.measure.run(Work(endpoint=model.endpoint, state=state, info=info, job=job))
    assert model.asked == asked


async def test_an_unknown_suite_fails_the_job_and_names_the_field(bus: Bus) -> None:
    """What was asked for is wrong, not the model: the command line ends with a usage error."""
    model = Evaluated(bus)
    await model.evaluate("a")
    found = lifecycle_event("found", MODEL, at=NOW, info=model_info(MODEL, kind="chat", url="http://box"))
    await bus.js.publish(found.subject, encode(found))
    _, jobs = measuring(
        bus,
        catalogue=Catalogue(),
        endpoints={"box": model.endpoint},
        measures={"evaluate": model.measure},
    )
    heard = await bus.connection.subscribe("progress.*")
    job = model.endpoint.job("evaluate", at=NOW, cause="manual", seed="s", model=MODEL)
    await jobs.on_job(msgspec.structs.replace(job, suites=("wordz",)), model.endpoint)
    while (told := msgspec.json.decode((await heard.next_msg(30)).data, type=Progress)).state != "failed":
        pass
    assert (told.field, told.message) == ("suites", 'no suite wordz; did you mean "words"?')
    assert (await model.state()).evaluated is not None  # nothing was asked in its place


async def test_a_redelivered_evaluation_counts_once(bus: Bus) -> None:
    """Even when it was asked all over again."""
    model = Evaluated(bus)
    job = await model.evaluate("a")
    await model.run(job, "a")
    state = await model.state()
    assert state.evaluated is not None
    assert state.evaluated.event.quality.scores["words"].trials == 20
    assert model.measure.is_done(state, job)


async def test_wrong_answers_are_kept_with_the_reason(bus: Bus) -> None:
    model = Evaluated(bus)
    model.says = "no"
    await model.evaluate("a")
    state = await model.state()
    assert state.evaluated is not None
    misses = state.evaluated.event.quality.misses
    assert len(misses) == 10
    assert (misses[0].prompt, misses[0].answer) == ("Say yes.", "no")
    assert misses[0].why
    assert state.evaluated.event.use.requests == 20


def is_none(*_: object) -> bool:
    """Notice nothing."""
    return False


async def interrupted(bus: Bus, cause: JobCause) -> tuple[Ended, int, Evaluated]:
    """Return how an evaluation ends, and after how many questions, when another model is loaded at the fifth."""
    model = Evaluated(bus)
    model.fake.residency = {MODEL.name: Residency(resident=True)}
    questions = 0

    def answer(_: Generation) -> Answer:
        nonlocal questions
        questions += 1
        if questions == 5:
            model.fake.residency = {"theirs": Residency(resident=True)}
        return Answer(pieces=(Piece(after_s=0, text="yes"),), finished={"output_tokens": 1})

    model.fake.answer = answer
    job = model.endpoint.job("evaluate", at=NOW, cause=cause, seed="s", model=MODEL)
    return await model.run(job, "a"), questions, model


@pytest.mark.fault(
    "a user loads another model while one is being evaluated",
    "I13",
    without=("vedette_benchmarker.place:is_lost", is_none),
)
async def test_an_evaluation_ends_when_its_model_is_pushed_out(bus: Bus) -> None:
    """With its next question it would push out the user's. What it used is counted; no score is made of it."""
    ended, questions, model = await interrupted(bus, "tick")
    assert ended.gave_way
    assert questions == ended.use.requests == 5
    assert (await model.state()).evaluated is None


async def test_an_evaluation_that_a_person_asked_for_goes_on(bus: Bus) -> None:
    """Whoever has loaded what."""
    ended, questions, model = await interrupted(bus, "manual")
    assert not ended.gave_way
    assert questions == 20
    assert (await model.state()).evaluated is not None
