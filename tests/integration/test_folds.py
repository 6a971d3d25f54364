"""State carried on the stream equals what the whole history gives: over replicas that race, and restarts."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import TypeVar

import msgspec

from vedette import log
from vedette.bus.bus import Bus
from vedette.clock import SystemClock
from vedette.messages import ids, subjects
from vedette.messages.catalogue import Versioned
from vedette.messages.codec import decode_event
from vedette.messages.events import Event, ModelBenchmarked, ModelProbed
from vedette.testing import EPOCH
from vedette.types import Level, ModelRef, Outcome, ProbeSample, RunSample
from vedette_benchmarker import statistics
from vedette_prober import verdict

MODEL = ModelRef("box", "m")
LATER = EPOCH + timedelta(days=30)  # than all samples: one of the future is dated anew
JOBS = 40
EventT = TypeVar("EventT", bound=Event)
OUTCOMES = (Outcome.OK, Outcome.OK, Outcome.BUSY, Outcome.TIMEOUT, Outcome.RATE_LIMITED, Outcome.REFUSED)


def probe(number: int, rng: Random) -> ProbeSample:
    at = EPOCH + timedelta(minutes=7 * number)
    return ProbeSample(job_id=str(number), at=at, outcome=rng.choice(OUTCOMES), level=Level.ANSWER)


def after_probe(held: Versioned[ModelProbed] | None, sample: ProbeSample) -> ModelProbed:
    health = verdict.fold(held.event.health if held else None, sample, None)
    made = ids.derive(sample.at, "probed", sample.job_id)
    return ModelProbed(id=made, at=sample.at, model=MODEL, sample=sample, health=health)


def runs(number: int, rng: Random) -> list[RunSample]:
    blank = RunSample(
        job_id=str(number), at=EPOCH + timedelta(hours=number), prompt="short", cold=False, e2e_ms=1.0
    )
    return [
        msgspec.structs.replace(blank, output_tps=rng.uniform(1, 100), cold=rng.random() < 0.2)
        for _ in range(3)
    ]


def after_runs(held: Versioned[ModelBenchmarked] | None, samples: list[RunSample]) -> ModelBenchmarked:
    at, before = samples[0].at, held.event.performance if held else None
    return ModelBenchmarked(
        id=ids.derive(at, "benchmarked", samples[0].job_id),
        at=at,
        model=MODEL,
        job_id=samples[0].job_id,
        outcome=Outcome.OK,
        samples=tuple(samples),
        performance=statistics.fold(before, samples, at=LATER, digest=None, server_version=None),
    )


async def race(
    bus: Bus, subject: str, steps: list[Callable[[Versioned[EventT] | None], EventT]]
) -> list[EventT]:
    """Have two replicas take the *steps* between them, each new to the stream now and then; return what is there."""
    left = iter(steps)

    async def replica() -> None:
        mine, known = None, None
        for number, step in enumerate(left):
            if mine is None or number % 5 == 0:  # a restart forgets all it knew
                mine = Bus(bus.connection, name="replica", clock=SystemClock(), log=log.logger("test"))
                known = None
            event = await mine.publisher.advance("MODELS", subject, step, known=known)
            assert event is not None
            known = await mine.streams.last("MODELS", subject) if number % 2 else known

    await asyncio.gather(replica(), replica())
    subscription = await bus.js.subscribe(subject, ordered_consumer=True)
    messages = [await subscription.next_msg(timeout=60) for _ in steps]
    await subscription.unsubscribe()
    return [decode_event(m.subject, m.data) for m in messages]  # type: ignore[misc]


async def test_health_equals_what_all_probes_give(bus: Bus) -> None:
    """No probe is missing, none counts twice, in whatever order the replicas got through."""
    rng = Random(3)
    samples = [probe(number, rng) for number in range(JOBS)]
    events = await race(
        bus, subjects.of_model("probed", MODEL), [lambda held, s=s: after_probe(held, s) for s in samples]
    )
    recomputed = None
    for event in events:
        recomputed = verdict.fold(recomputed, event.sample, None)
    assert {event.sample.job_id for event in events} == {str(number) for number in range(JOBS)}
    assert events[-1].health == recomputed
    counted = sum(sum(tally.counts.values()) for tally in events[-1].health.daily)
    assert counted == JOBS


async def test_performance_equals_what_all_runs_give(bus: Bus) -> None:
    """The same of benchmarks."""
    rng = Random(4)
    jobs = [runs(number, rng) for number in range(JOBS)]
    events = await race(
        bus, subjects.of_model("benchmarked", MODEL), [lambda held, j=j: after_runs(held, j) for j in jobs]
    )
    everything = [sample for event in events for sample in event.samples]
    assert len(everything) == 3 * JOBS
    recomputed = statistics.fold(None, everything, at=LATER, digest=None, server_version=None)
    assert events[-1].performance == recomputed
