"""What a queued job waits for, in a line and in fields."""

from datetime import UTC, datetime

import pytest

from vedette.client.waiting import SILENT_AFTER_S, Queue, wait
from vedette.messages.events import Job, JobKind
from vedette.types import ModelRef

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def job(name: str, kind: JobKind = "benchmark") -> Job:
    return Job(id=name, at=NOW, kind=kind, group="gpu", endpoint="gpu", model=ModelRef("gpu", name))


A, B, C = job("a"), job("b", "evaluate"), job("c")


def test_a_job_waits_for_the_measurement_that_runs_on_its_host() -> None:
    waits = wait(C, Queue(jobs=(A, B, C), in_hand=1, asking=0), {})
    assert (
        waits.message
        == "waiting: another measurement runs on this host (benchmark of gpu/a), position 3 of 3"
    )
    assert (waits.waits_for, waits.position, waits.queue) == ("turn", 3, 3)
    assert waits.behind == "benchmark of gpu/a"


def test_a_probe_waits_for_its_service() -> None:
    jobs = [job(name, "probe") for name in "abc"]
    waits = wait(jobs[2], Queue(jobs=jobs, in_hand=2, asking=0), {})
    assert waits.message == "waiting: the prober is busy with 2 other jobs, position 3 of 3"


def test_without_a_worker_it_asks_whether_the_service_runs() -> None:
    waits = wait(B, Queue(jobs=(A, B), in_hand=0, asking=0), {})
    assert waits.waits_for == "worker"
    assert waits.message == "waiting: no worker has picked this up. Is the benchmarker running?"


def test_it_is_next_where_a_worker_asks() -> None:
    waits = wait(A, Queue(jobs=(A,), in_hand=0, asking=1), {})
    assert (waits.waits_for, waits.message) == ("turn", "waiting: the benchmarker takes it next")


def test_a_job_in_hand_waits_for_nothing() -> None:
    waits = wait(A, Queue(jobs=(A, B), in_hand=1, asking=0), {"a": SILENT_AFTER_S - 1})
    assert (waits.waits_for, waits.message) == (None, "the benchmarker has picked this up")


@pytest.mark.fault("a worker dies with a job in hand, and others wait behind it", "I5", trials=2)
@pytest.mark.parametrize("waiting", [A, B])
def test_a_silent_worker_is_told_from_a_busy_one(waiting: Job) -> None:
    """Both of the job that it has and of the job behind."""
    queue = Queue(jobs=(A, B), in_hand=1, asking=0)
    waits = wait(waiting, queue, {"a": SILENT_AFTER_S, "b": 1.0})
    assert waits.waits_for == "worker"
    assert waits.message.endswith(". No progress arrived for 60 s: is the benchmarker running?")
    assert wait(waiting, queue, {"a": 1.0, "b": SILENT_AFTER_S}).waits_for != "worker"
