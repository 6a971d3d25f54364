"""Starts jobs in a running Vedette for an operator, and follows them."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from types import MappingProxyType
from uuid import uuid4

import msgspec
import nats.errors
from nats.aio.client import Client as NatsClient
from nats.aio.subscription import Subscription

from vedette import log
from vedette.bus.bus import Bus
from vedette.bus.connection import barrier
from vedette.client.waiting import SERVICES, Queue, Wait, wait
from vedette.clock import Clock, SystemClock
from vedette.messages import ids
from vedette.messages.consumers import Durable, of_job
from vedette.messages.events import Job, JobKind, Progress, ProgressState
from vedette.types import ModelRef

_PROGRESS = msgspec.json.Decoder(Progress)
_LOOK_EVERY_S = 2.0
_GONE_ROUNDS = 3  # looks; the final status of a removed job arrives sooner, unless its worker died
_UNSERVED_ROUNDS = 2  # a worker asks again a moment after its request has expired


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The target of a job: an endpoint with its host group, or one of its models."""

    endpoint: str
    group: str
    model: ModelRef | None = None

    def __str__(self) -> str:
        return str(self.model or self.endpoint)


class Operation:
    """Jobs that one connection has started, and their progress."""

    def __init__(self, connection: NatsClient, subscription: Subscription, clock: Clock) -> None:
        self._subscription = subscription
        self._clock = clock
        self._began = clock.monotonic()
        self._last_progress_at: dict[str, float] = {}  # monotonic seconds, by the job's id
        self._unserved: dict[str, int] = {}  # by durable: at how many looks in a row it had no worker
        self._bus = Bus(connection, name="operator", clock=clock, log=log.logger("operator"))

    async def request(
        self,
        kind: JobKind,
        targets: Iterable[Target],
        *,
        streams: tuple[int, ...] = (),
        suites: tuple[str, ...] = (),
        pool: tuple[ModelRef, ...] = (),
        max_usd: Mapping[ModelRef, float] = MappingProxyType({}),
    ) -> list[Job]:
        """Queue a job of *kind* for each target, and return the jobs.

        If the same job is already queued or running for a target, that job is returned instead. *max_usd* limits the
        cost of each model's job, in US dollars.
        """
        now = self._clock.now()
        return [
            await self._bus.publisher.enqueue(
                Job(
                    id=ids.derive(now, kind, str(target), "manual", uuid4().hex),
                    at=now,
                    kind=kind,
                    group=target.group,
                    endpoint=target.endpoint,
                    model=target.model,
                    cause="manual",
                    streams=streams,
                    suites=suites,
                    pool=pool,
                    max_usd=max_usd.get(target.model) if target.model else None,
                )
            )
            for target in targets
        ]

    def asked(self, job: Job) -> Progress:
        """Return the progress `queued` of a job that was just queued."""
        return self._progress(job, "queued", "queued")

    async def follow(self, jobs: Sequence[Job]) -> AsyncIterator[tuple[Job, Progress]]:
        """Yield the progress of *jobs* until each has ended; for silent jobs, the reason why they wait."""
        open_jobs = {job.id: job for job in jobs}
        gone = dict.fromkeys(open_jobs, 0)
        look_at = self._clock.monotonic() + _LOOK_EVERY_S
        while open_jobs:
            progress = await self._next(look_at - self._clock.monotonic())
            if progress is not None:
                # A deferred job publishes nothing until its next attempt.
                self._last_progress_at[progress.job_id] = self._clock.monotonic() + (progress.retry_s or 0.0)
            known = open_jobs.get(progress.job_id) if progress else None
            if progress and known:
                gone[known.id] = 0
                if progress.state in ("done", "failed"):
                    del open_jobs[known.id]
                yield known, progress
            if self._clock.monotonic() < look_at:
                continue
            for job, looked in await self._read_silent(list(open_jobs.values()), gone):
                if looked.state == "failed":
                    del open_jobs[job.id]
                yield job, looked
            look_at = self._clock.monotonic() + _LOOK_EVERY_S

    async def _next(self, within_s: float) -> Progress | None:
        if within_s <= 0:
            return None
        try:
            return _PROGRESS.decode((await self._subscription.next_msg(timeout=within_s)).data)
        except nats.errors.TimeoutError:
            return None

    def _silent_s(self, job_id: str) -> float:
        return self._clock.monotonic() - self._last_progress_at.get(job_id, self._began)

    async def _read_silent(self, jobs: Sequence[Job], gone: dict[str, int]) -> list[tuple[Job, Progress]]:
        """Return, for those of *jobs* without recent progress, why they wait; it reads each queue once."""
        quiet = [job for job in jobs if self._silent_s(job.id) >= _LOOK_EVERY_S]
        looked = []
        for durable, waiting in groupby(sorted(quiet, key=_durable_name), key=_durable_name):
            alike = list(waiting)
            queue = await self._queue(_durable(alike[0]), alike)
            silent_s = {job.id: self._silent_s(job.id) for job in queue.jobs}
            unserved = not queue.in_hand and not queue.asking
            self._unserved[durable] = self._unserved.get(durable, 0) + 1 if unserved else 0
            queued = {job.id for job in queue.jobs}
            for job in alike:
                if job.id not in queued:
                    gone[job.id] += 1
                    if gone[job.id] >= _GONE_ROUNDS:
                        problem = (
                            'left the queue without a final status; "vedette dead list" shows what failed'
                        )
                        looked.append((job, self._progress(job, "failed", problem)))
                elif not unserved or self._unserved[durable] >= _UNSERVED_ROUNDS:
                    waits = wait(job, queue, silent_s)
                    # A running job's last progress says more than `wait`.
                    if waits.waits_for or job.id not in self._last_progress_at:
                        looked.append((job, self._waiting(job, waits)))
        return looked

    async def _queue(self, durable: Durable, waiting: Sequence[Job]) -> Queue:
        in_hand, asking = await self._bus.jobs.workers(durable)
        jobs = await self._bus.jobs.queued(durable)
        if jobs is None:  # too many to list: only these jobs, so positions are not right
            held = [await self._bus.streams.last("JOBS", job.subject) for job in waiting]
            jobs = [one.event for one in held if one is not None and isinstance(one.event, Job)]
        return Queue(jobs=jobs, in_hand=in_hand, asking=asking)

    def _waiting(self, job: Job, waits: Wait) -> Progress:
        return msgspec.structs.replace(
            self._progress(job, "queued", waits.message),
            waits_for=waits.waits_for,
            position=waits.position,
            queue=waits.queue,
            behind=waits.behind,
        )

    def _progress(self, job: Job, state: ProgressState, message: str) -> Progress:
        return Progress(
            job_id=job.id,
            at=self._clock.now(),
            state=state,
            message=f"{job.model or job.endpoint}: {message}",
            model=job.model,
            kind=job.kind,
            endpoint=job.endpoint,
        )


def _durable(job: Job) -> Durable:
    return of_job(SERVICES[job.kind], job.kind, job.group)


def _durable_name(job: Job) -> str:
    return _durable(job).name


@asynccontextmanager
async def operating(connection: NatsClient) -> AsyncIterator[Operation]:
    """Subscribe to the progress of all jobs first, so that no progress of a job queued in the context is missed."""
    subscription = await connection.subscribe("progress.*")
    await barrier(connection)
    try:
        yield Operation(connection, subscription, SystemClock())
    finally:
        await asyncio.shield(subscription.unsubscribe())
