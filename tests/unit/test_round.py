"""One round of probes at an endpoint whose models may come and go while it runs."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from msgspec.structs import replace

from leaping import leaping
from samples import lifecycle_event, model_info, probe_event
from vedette.endpoints import OpenEndpoint
from vedette.errors import ProviderError
from vedette.messages.catalogue import ModelState, Versioned
from vedette.messages.events import Job
from vedette.messages.probe_times import MIN_PATIENCE_S, is_late
from vedette.providers import Delta, Described, Finished, Generation, Listing
from vedette.settings import EndpointSettings
from vedette.testing import FakeClock, FakeEndpoint, FakeProvider
from vedette.types import Health, Level, ModelRef, Outcome, ProbeSample, Residency, Status
from vedette_prober.round import Probed, Round

NAMES = ("first", "second")


def _round(fake: FakeEndpoint, clock: FakeClock, **settings: Any) -> Round:
    """Return a round at *fake* that lists what it describes."""
    endpoint = OpenEndpoint(
        name="box",
        settings=EndpointSettings(provider="fake", url="http://box", measure=True, **settings),
        provider=FakeProvider({"http://box": fake}),
        endpoint=fake,
        clock=clock,
    )

    async def open_to_all() -> None:
        return None

    return Round(
        endpoint=endpoint,
        entries={name: Listing(name=name) for name in fake.described},
        before=None,
        closed=open_to_all,
        behind=lambda _: None,
        timeout_s=60.0,
        clock=clock,
        job=Job(id="1", at=clock.now(), kind="probe", group="box", endpoint="box"),
    )


async def test_what_is_loaded_that_could_not_be_read_counts_for_one_model() -> None:
    """The next look is as good as before: the others are asked as usual."""
    clock = FakeClock()
    fake = FakeEndpoint(
        clock,
        residency={name: Residency(resident=True) for name in NAMES},
        described={name: Described() for name in NAMES},
    )
    probing = _round(fake, clock)
    assert await probing.read_residency()
    fake.failures["resident"] = ProviderError(Outcome.TIMEOUT, "no reply")
    first = await probing.probe(_state("first", clock))
    fake.failures.clear()
    second = await probing.probe(_state("second", clock))
    assert first.sample.level is Level.RESIDENCY
    assert first.sample.detail == "the model was not asked to answer: what is loaded could not be read"
    assert second.sample.level is Level.ANSWER
    assert [request.model for _, request in fake.calls if isinstance(request, Generation)] == ["second"]


class _Silent(FakeEndpoint):
    """Begins no answer before the patience with one that is loaded has ended, if ever."""

    loads: bool = False

    async def generate(self, request: Generation) -> AsyncGenerator[Delta | Finished, None]:
        begins = asyncio.Event()
        if self.loads:
            asyncio.get_running_loop().call_later(MIN_PATIENCE_S + 0.5, begins.set)
        await begins.wait()
        yield Delta(at=0.0, text="ready")


async def _after_quick_answers(fake: FakeEndpoint, clock: FakeClock) -> Probed:
    """Return a probe of a model at *fake* whose usual answer takes 0.1 s."""
    probing = _round(fake, clock, answer="always")
    assert await probing.read_residency()
    usual = tuple(
        ProbeSample(job_id=f"{n}", at=clock.now(), outcome=Outcome.OK, level=Level.ANSWER, latency_ms=100.0)
        for n in range(5)
    )
    health = Health(status=Status.AVAILABLE, since=clock.now(), checked_at=clock.now(), outcomes=usual)
    state = _state("first", clock)
    probed = replace(probe_event(state.model, at=clock.now(), job_id="0"), health=health)
    return await probing.probe(replace(state, probed=Versioned(2, probed)))


@leaping
async def test_a_late_answer_counts_as_one_however_the_clock_rounds() -> None:
    """A timer may go off a little before its time by another clock: here that clock stands still."""
    clock = FakeClock()
    fake = _Silent(clock, residency={"first": Residency(resident=True)}, described={"first": Described()})
    late = await _after_quick_answers(fake, clock)
    assert late.sample.latency_ms == MIN_PATIENCE_S * 1000
    assert is_late(late.sample)
    assert late.failure is None


@pytest.mark.parametrize("residency", [None, {}, {"first": Residency(resident=False)}])
@leaping
async def test_a_model_that_may_have_to_load_has_the_whole_time(
    residency: dict[str, Residency] | None,
) -> None:
    """However quick its answers are once it is loaded: a load that is ended begins again with the next call."""
    clock = FakeClock()
    fake = _Silent(clock, residency=residency, described={"first": Described()})
    fake.loads = True
    loaded = await _after_quick_answers(fake, clock)
    assert (loaded.sample.outcome, loaded.sample.level) == (Outcome.OK, Level.ANSWER)


def _state(name: str, clock: FakeClock) -> ModelState:
    model = ModelRef("box", name)
    event = lifecycle_event("found", model, at=clock.now(), info=model_info(model, kind="chat"))
    return ModelState(model=model, lifecycle=Versioned(1, event))
