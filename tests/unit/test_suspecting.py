"""One small benchmark is due where a model may have changed: soon, and no more often than every ten minutes."""

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from samples import benchmark_event, lifecycle_event, model_info, probe_event, report_event
from vedette.messages.catalogue import Catalogue, ModelState
from vedette.messages.events import EndpointLoad
from vedette.settings import Benchmarking
from vedette.testing import EPOCH
from vedette.types import (
    Health,
    Level,
    ModelLoad,
    ModelRef,
    Outcome,
    ProbeSample,
    Residency,
    Status,
    Watch,
)
from vedette_benchmarker.load import plan, small
from vedette_benchmarker.suspecting import EVERY, LOADS, suspicion

MODEL = ModelRef("box", "m")
LATER = EPOCH + timedelta(hours=1)
SOON = timedelta(seconds=20)


def state(*events: object) -> ModelState:
    catalogue = Catalogue()
    known = (
        lifecycle_event("found", MODEL, at=EPOCH, info=model_info(MODEL)),
        benchmark_event(MODEL, at=EPOCH, tps=40.0),
    )
    for sequence, event in enumerate((*known, *events), 1):
        catalogue.apply(event, sequence)  # type: ignore[arg-type]
    found = catalogue.get(MODEL)
    assert found is not None
    return found


def reported(watch: Watch, signal: str = "ttft") -> object:
    return replace(report_event(MODEL, at=LATER), watches={signal: watch})


def probed(*latencies_ms: float, status: Status = Status.AVAILABLE, since: datetime = EPOCH) -> object:
    outcomes = tuple(
        ProbeSample(
            job_id=str(n),
            at=LATER - timedelta(minutes=30 * (len(latencies_ms) - 1 - n)),
            outcome=Outcome.OK,
            level=Level.ANSWER,
            latency_ms=ms,
        )
        for n, ms in enumerate(latencies_ms)
    )
    health = Health(status=status, since=since, checked_at=LATER, outcomes=outcomes, streak=len(outcomes))
    return replace(probe_event(MODEL, at=LATER, job_id="p"), health=health)


def test_nothing_is_suspicious_of_a_model_that_is_as_usual() -> None:
    usual = [100.0 + n for n in range(8)]
    assert suspicion(state(), LATER) is None
    assert suspicion(state(probed(*usual)), LATER) is None
    assert suspicion(state(reported(Watch(usual_n=100.0, heard_at=LATER))), LATER) is None


@pytest.mark.parametrize(
    "watch",
    [
        Watch(suspected_at=LATER, heard_at=LATER),
        Watch(level=1.0, changed_at=LATER, heard_at=LATER),
        Watch(level=0.0, changed_at=LATER, heard_at=LATER),
    ],
    ids=["nearly", "changed", "recovered"],
)
def test_what_reports_show_is_measured_at_once(watch: Watch) -> None:
    found = suspicion(state(reported(watch)), LATER + SOON)
    assert found is not None
    assert found.due <= LATER


def test_two_probes_that_took_far_longer_than_usual_are_suspicious_and_one_asks_for_another_first() -> None:
    usual = [100.0 + n for n in range(8)]
    assert suspicion(state(probed(*usual, 1000.0, 1000.0)), LATER) is not None
    assert suspicion(state(probed(*usual, 1000.0)), LATER) is None
    assert suspicion(state(probed(*usual, 1000.0, 1000.0, 100.0)), LATER) is not None  # it may have recovered
    assert suspicion(state(probed(*usual, 1000.0, 1000.0, 100.0, 100.0)), LATER) is not None
    assert suspicion(state(probed(*usual, 10.0)), LATER) is not None
    assert suspicion(state(probed(*usual, 200.0)), LATER) is None
    assert suspicion(state(probed(100.0, 1000.0)), LATER) is None


def test_a_model_that_is_available_again_is_measured() -> None:
    event = probed(100.0, 100.0, since=LATER)
    again = replace(event, health=replace(event.health, streak=1))  # type: ignore[attr-defined, type-var]
    assert suspicion(state(again), LATER) is not None
    assert suspicion(state(event), LATER) is None


def test_it_waits_ten_minutes_after_a_benchmark_and_is_forgotten_after_half_an_hour() -> None:
    lately = benchmark_event(MODEL, at=LATER - timedelta(minutes=4), tps=40.0)
    watch = reported(Watch(suspected_at=LATER, heard_at=LATER))
    found = suspicion(state(lately, watch), LATER + SOON)
    assert found is not None
    assert found.due == LATER - timedelta(minutes=4) + EVERY
    assert suspicion(state(watch), LATER + timedelta(minutes=31)) is None
    after = benchmark_event(MODEL, at=LATER + timedelta(minutes=1), tps=40.0)
    assert suspicion(state(watch, after), LATER + timedelta(minutes=2)) is None


def loads(
    *output_tps: float | None, running: int = 2, own: int = 0, of_each: bool = False
) -> list[EndpointLoad]:
    """Return readings ten seconds apart, the last one at LATER, of a server that has one model."""
    return [
        EndpointLoad(
            id=str(n),
            at=LATER - timedelta(seconds=10 * (len(output_tps) - 1 - n)),
            endpoint=MODEL.endpoint,
            every_s=10.0,
            source="x",
            running=running,
            own=own,
            output_tps=None if of_each else tps,
            models={MODEL.name: ModelLoad(running=running, output_tps=tps)} if of_each else {},
            loaded={MODEL.name: Residency(resident=True)},
            elapsed_ms=1.0,
            bytes=1,
        )
        for n, tps in enumerate(output_tps)
    ]


@pytest.mark.parametrize("of_each", [False, True])
def test_a_server_that_writes_far_less_for_all_than_one_alone_got_is_suspicious(of_each: bool) -> None:
    """The benchmark measured 40 tokens/s."""
    slow = [12.0] * LOADS
    found = suspicion(state(), LATER, loads(*slow, of_each=of_each))
    assert found is not None
    assert found.due == EPOCH + EVERY
    assert "12.0 tokens/s" in found.why


@pytest.mark.parametrize(
    "seen",
    [
        loads(*[12.0] * (LOADS - 1)),
        loads(*[12.0] * LOADS, 40.0),
        loads(*[20.0] * LOADS),
        loads(*[12.0] * LOADS, None),
        loads(*[0.0] * LOADS),
        loads(*[12.0] * LOADS, 0.0, of_each=True),
        loads(*[0.0] * LOADS, running=0),
        loads(*[12.0] * LOADS, own=1),
    ],
    ids=[
        "too few",
        "one is usual",
        "shared",
        "not said",
        "reads a long prompt",
        "reads prompts between answers",
        "idle",
        "of our own",
    ],
)
def test_a_load_that_may_be_usual_is_not_suspicious(seen: list[EndpointLoad]) -> None:
    assert suspicion(state(), LATER, seen) is None


def test_a_load_before_the_last_benchmark_says_nothing() -> None:
    after = benchmark_event(MODEL, at=LATER + timedelta(seconds=1), tps=40.0)
    assert suspicion(state(after), LATER + SOON, loads(*[12.0] * LOADS)) is None


def test_a_small_benchmark_warms_up_and_asks_twice() -> None:
    runs = small(plan(model_info(MODEL, capabilities={}, kind="chat"), Benchmarking()))
    assert [run.warm_up for run in runs] == [True, False, False]
    assert {run.prompt for run in runs} == {"short"}
