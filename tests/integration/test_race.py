"""By schedule, models are asked a first share of each suite, then what can change a recommendation."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from msgspec.structs import replace

from graders import Here
from measuring import measuring
from samples import lifecycle_event, model_info
from vedette.bus.bus import Bus
from vedette.endpoints import OpenEndpoint
from vedette.messages.catalogue import Catalogue
from vedette.messages.codec import encode
from vedette.messages.consumers import host_jobs
from vedette.messages.events import EndpointObserved, Job, Tick
from vedette.providers import Generation
from vedette.settings import CustomUseCase, EndpointSettings, Evaluating
from vedette.testing import Answer, FakeEndpoint, FakeProvider, Piece
from vedette.types import EndpointState, ModelRef, Occupancy, Outcome, Residency
from vedette.usecases import known
from vedette_benchmarker.evaluation import Evaluation
from vedette_benchmarker.racing import PART, SHARE, STEP
from vedette_benchmarker.selecting import Selecting
from vedette_benchmarker.suites import Item, Suite
from vedette_benchmarker.suites.checks import exact

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def items(_: Random) -> Iterator[Item]:
    number = 0
    while True:
        number += 1
        yield Item(prompt=f"Say yes, {number}.", check=exact("yes"))


def harder(_: Random) -> Iterator[Item]:
    number = 0
    while True:
        number += 1
        yield Item(prompt=f"Say yes twice, {number}.", check=exact("yes yes"))


RACED = Suite(kind="words", version=1, items=items, levels=(("hard", harder),))
ASIDE = Suite(kind="aside", version=1, items=items)
USE_CASES = {
    "polite": known({"polite": CustomUseCase(weights={"quality": 1.0}, kinds={"words": 1.0})})["polite"]
}


class Box:
    """An endpoint whose models are right in so many answers of every ten."""

    def __init__(self, bus: Bus, right: dict[str, int], *, measure: bool | None = None) -> None:
        self.bus, self.right, self.catalogue = bus, right, Catalogue()
        self.asked: dict[str, int] = dict.fromkeys(right, 0)
        self.endpoint = OpenEndpoint(
            name="box",
            settings=EndpointSettings(provider="fake", url="http://box", measure=measure),
            provider=FakeProvider({"http://box": (fake := FakeEndpoint(bus.clock, answer=self._answer))}),
            endpoint=fake,
            clock=bus.clock,
        )
        self.fake = fake
        selecting = Selecting(
            catalogue=self.catalogue,
            suites=(RACED, ASIDE),
            settings=Evaluating(),
            clock=bus.clock,
            use_cases=USE_CASES,
        )
        evaluation = Evaluation(
            bus=bus,
            catalogue=self.catalogue,
            selecting=selecting,
            settings=Evaluating(),
            grader=Here(RACED, ASIDE),
            clock=bus.clock,
        )
        self.queueing, self.measuring = measuring(
            bus,
            catalogue=self.catalogue,
            endpoints=_Named({"box": self.endpoint}),  # type: ignore[arg-type]
            measures={"evaluate": evaluation},
            questions=selecting.questions,
        )

    def _answer(self, request: Generation) -> Answer:
        self.asked[request.model] += 1
        says = "yes" if 7 * self.asked[request.model] % 10 < self.right[request.model] else "no"
        return Answer(pieces=(Piece(after_s=0, text=says),), finished={"output_tokens": 1})

    async def find(self) -> None:
        """Find every model and do its first evaluation, with all that follows."""
        for name in self.right:
            model = ModelRef("box", name)
            info = model_info(model, kind="chat", url="http://box", digest=name, free=True)
            found = lifecycle_event("found", model, at=NOW, info=info)
            await self.bus.js.publish(found.subject, encode(found))
            await self.learn(model)
        for name in self.right:
            await self.do(
                self.endpoint.job("evaluate", at=NOW, cause="found", seed=name, model=ModelRef("box", name))
            )

    async def do(self, job: Job) -> None:
        await self.measuring.on_job(job, self.endpoint)
        if job.model is not None:
            await self.learn(job.model)

    async def learn(self, model: ModelRef) -> None:
        """Have the catalogue hold what the stream does."""
        async for sequence, event in self.bus.streams.last_of_each(
            "MODELS", [f"model.*.box.{model.name}"], {}
        ):
            self.catalogue.apply(event, sequence)

    async def queued(self) -> list[Job]:
        return await self.bus.jobs.queued(host_jobs(self.endpoint.settings.group)) or []

    def trials(self, name: str) -> dict[str, int]:
        state = self.catalogue.get(ModelRef("box", name))
        scores = state.quality.scores if state and state.quality else {}
        return {kind: score.trials for kind, score in scores.items()}


class _Named(dict[str, OpenEndpoint]):
    """Endpoints by name, iterated as `Endpoints` are."""

    def __iter__(self) -> Iterator[OpenEndpoint]:  # type: ignore[override]
        return iter(self.values())

    def behind(self, *_: object) -> None:
        """Return that nothing else runs its models."""


async def test_first_a_share_then_what_decides(bus: Bus) -> None:
    """What counts for no use case is asked whole at once, and never again."""
    box = Box(bus, {"good": 6, "close": 5, "bad": 0})
    await box.find()
    assert {name: box.trials(name)["aside"] for name in box.right} == dict.fromkeys(box.right, 12)
    assert box.trials("bad")["words"] == SHARE
    job = (await box.queued())[0]
    assert job.suites == ("words",)
    assert job.model is not None
    before = box.trials(job.model.name)
    await box.do(job)
    assert box.trials(job.model.name) == before | {"words": before["words"] + STEP}
    asked = sum(box.asked.values())
    await box.do(replace(job, id=job.id))
    assert sum(box.asked.values()) == asked  # delivered again, it asks nothing


async def test_a_tick_goes_on_with_a_race_whose_job_was_lost(bus: Bus) -> None:
    box = Box(bus, {"good": 6, "close": 5})
    await box.find()
    await bus.js.purge_stream("JOBS")
    await box.queueing.on_tick(Tick(id="t", at=NOW, job="quality", slot=NOW))
    (job,) = await box.queued()
    assert job.suites == ("words",)


async def test_without_a_rival_nothing_is_asked_further(bus: Bus) -> None:
    box = Box(bus, {"only": 5})
    await box.find()
    assert not await box.queued()


async def test_where_no_model_is_ever_right_the_race_soon_ends(bus: Bus) -> None:
    """More questions would only favour the model that is asked most."""
    box = Box(bus, {"one": 0, "other": 0})
    await box.find()
    while jobs := await box.queued():
        await bus.js.purge_stream("JOBS")  # as the job is taken
        await box.do(jobs[0])
    assert max(box.trials("one")["words"], box.trials("other")["words"]) <= SHARE + 2 * STEP


async def test_who_gets_everything_right_is_asked_harder_questions(bus: Bus) -> None:
    """A few at a time, so that it is asked as many questions in all as any other model."""
    box = Box(bus, {"perfect": 10})
    await box.find()
    job = box.endpoint.job("evaluate", at=NOW, cause="manual", seed="m", model=ModelRef("box", "perfect"))
    await box.do(job)
    trials = box.trials("perfect")
    assert (trials["words"], trials["words:hard"]) == (SHARE + PART, 2 * PART)
    state = box.catalogue.get(ModelRef("box", "perfect"))
    assert state
    assert state.quality
    assert state.quality.scores["words:hard"].suite == "words:hard@1"
    assert state.quality.scores["words:hard"].successes == 0


@pytest.mark.parametrize(("measure", "asked"), [(None, False), (True, True)])
async def test_no_model_is_measured_in_place_of_one_that_others_keep_loaded(
    bus: Bus, *, measure: bool | None, asked: bool
) -> None:
    """Ollama with `keep_alive = -1` and memory for one. With `measure = true` the operator allows it."""
    box = Box(bus, {"good": 6}, measure=measure)
    observed = EndpointObserved(
        id="o",
        at=NOW,
        endpoint="box",
        state=EndpointState(
            url="http://box",
            provider="fake",
            fingerprint="f",
            checked_at=NOW,
            outcome=Outcome.OK,
            occupancy=Occupancy(loaded={"theirs": bus.clock.now() + timedelta(days=292 * 365)}),
        ),
    )
    await bus.js.publish(observed.subject, encode(observed))
    never = bus.clock.now() + timedelta(days=292 * 365)
    box.fake.residency = {"theirs": Residency(resident=True, expires_at=never)}
    await box.find()
    assert bool(box.asked["good"]) is asked
