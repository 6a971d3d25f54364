"""Who asked for a job learns what it waits for, on a real broker."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from vedette.bus.bus import Bus
from vedette.bus.provisioning import ensure_durable
from vedette.cli.entries import DEFERRED
from vedette.cli.jobs import exit_code, follow
from vedette.client.jobs import Operation, Target, operating
from vedette.client.waiting import Wait
from vedette.errors import Deferred, UndecodableMessage
from vedette.messages.codec import encode
from vedette.messages.consumers import host_jobs
from vedette.messages.events import Job, Progress
from vedette.types import ModelRef

WITHIN_S = 60.0


def target(name: str) -> Target:
    return Target(endpoint="gpu", group="gpu", model=ModelRef("gpu", name))


async def first(operation: Operation, jobs: list[Job], wanted: Callable[[Progress], bool]) -> Progress:
    """Follow *jobs* up to the first progress that is *wanted*."""
    seen = []
    with suppress(TimeoutError):
        async with asyncio.timeout(WITHIN_S):
            async for _, progress in operation.follow(jobs):
                if wanted(progress):
                    return progress
                seen.append(progress)
    raise AssertionError(f"not told: {seen[-5:]}")


@asynccontextmanager
async def worker(bus: Bus, handle: Callable[[Job], Awaitable[None]]) -> AsyncIterator[None]:
    """Have jobs of the host `gpu` done by *handle*."""
    durable = host_jobs("gpu")
    await ensure_durable(bus.connection, durable)
    task = asyncio.create_task(bus.jobs.work(durable, handle, concurrency=1, timeout_s=600))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _say_nothing(*_: object) -> None:
    return


def _queued(*_: object) -> Wait:
    return Wait(message="queued")


@pytest.mark.fault("no service runs that does a job", "I4", without=("vedette.client.jobs:wait", _queued))
async def test_without_a_worker_it_is_said(bus: Bus) -> None:
    async with operating(bus.connection) as operation:
        jobs = await operation.request("benchmark", [target("a")])
        told = await first(operation, jobs, lambda progress: progress.waits_for is not None)
    assert told.waits_for == "worker"
    assert "Is the benchmarker running?" in told.message


@pytest.mark.lane("faults")
@pytest.mark.fault("other jobs publish progress without a pause", "I13")
async def test_the_position_is_said_among_other_news(bus: Bus) -> None:
    """What is heard of other jobs does not hide that this one waits."""
    began, end = asyncio.Event(), asyncio.Event()

    async def hold(job: Job) -> None:
        await bus.jobs.publish_progress(job, "started", "started")
        began.set()
        await end.wait()

    async def chatter() -> None:
        other = Progress(job_id="other", at=bus.clock.now(), state="step")
        while not end.is_set():
            await bus.connection.publish(other.subject, encode(other))
            await asyncio.sleep(0.1)

    async with operating(bus.connection) as operation, worker(bus, hold):
        jobs = await operation.request("benchmark", [target("a")])
        await asyncio.wait_for(began.wait(), WITHIN_S)
        jobs += await operation.request("evaluate", [target("b")])
        jobs += await operation.request("benchmark", [target("c")])
        talking = asyncio.create_task(chatter())
        told = await first(operation, jobs[2:], lambda progress: progress.waits_for == "turn")
        assert (told.position, told.queue, told.behind) == (3, 3, "benchmark of gpu/a")
        # Who begins to listen now hears of the job in hand, too.
        async with operating(bus.connection) as late:
            heard = await first(late, jobs[:1], lambda progress: progress.state == "started")
        assert heard.job_id == jobs[0].id
        end.set()
        await talking


@pytest.mark.fault(
    "a job is deferred", "I4", without=("vedette.bus.jobs:Jobs._publish_deferred", _say_nothing)
)
async def test_a_deferral_is_said_with_its_reason(bus: Bus) -> None:
    async def later(job: Job) -> None:
        raise Deferred(wait_s=30, problem="the model is loading")

    async with operating(bus.connection) as operation, worker(bus, later):
        jobs = await operation.request("benchmark", [target("a")])
        told = await first(operation, jobs, lambda progress: progress.waits_for == "retry")
    assert (told.retry_s, told.state) == (30, "queued")
    assert told.message == "gpu/a: deferred: the model is loading, retry in 30 s"


async def test_what_gave_way_has_not_failed_in_the_command_line(
    bus: Bus, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that did fail has. Both have ended: what gave way is queued again as another job."""

    async def give_way(job: Job) -> None:
        retry_s = 60.0 if job.model == ModelRef("gpu", "a") else None
        await bus.jobs.publish_progress(job, "failed", f"{job.model}: ended", retry_s=retry_s)

    async with worker(bus, give_way):
        ended = await follow(bus.connection, "benchmark", [target("a"), target("b")])
    assert [(progress.state, progress.waits_for) for _, progress in ended] == [
        ("failed", "retry"),
        ("failed", None),
    ]
    assert [exit_code(part) for part in (ended, ended[:1], ended[1:], [])] == [1, DEFERRED, 1, 0]
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "ended" in line] == ["deferred gpu/a: ended", "failed  gpu/b: ended"]


@pytest.mark.fault("a worker fails", "I4", without=("vedette.bus.jobs:Jobs._publish_deferred", _say_nothing))
async def test_a_failed_attempt_is_said_with_its_reason(bus: Bus) -> None:
    async def fail(job: Job) -> None:
        raise OSError("no space left")

    async with operating(bus.connection) as operation, worker(bus, fail):
        jobs = await operation.request("benchmark", [target("a")])
        told = await first(operation, jobs, lambda progress: progress.waits_for == "retry")
    assert told.message.startswith("gpu/a: failed: OSError: no space left, retry in ")


@pytest.mark.fault(
    "a job becomes a dead letter", "I4", without=("vedette.bus.jobs:Jobs._publish_deferred", _say_nothing)
)
async def test_a_dead_job_ends_at_once_with_its_reason(bus: Bus) -> None:
    async def fail(job: Job) -> None:
        raise UndecodableMessage(subject=job.subject, problem="of another version")

    async with operating(bus.connection) as operation, worker(bus, fail):
        jobs = await operation.request("benchmark", [target("a")])
        told = await first(operation, jobs, lambda progress: progress.state == "failed")
    assert "of another version" in told.message
    assert "vedette dead list" in told.message
