"""What an operator does to a running Vedette: ask for work now, and follow it."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

import msgspec
import nats.errors
from nats.aio.client import Client as NatsClient
from nats.aio.subscription import Subscription

from vedette import identity, log, subjects
from vedette.bus import Bus
from vedette.clock import Clock, SystemClock
from vedette.connecting import barrier
from vedette.events import Job, JobKind, Progress
from vedette.types import ModelRef

_PROGRESS = msgspec.json.Decoder(Progress)
_ASK_AGAIN_S = 2.0
_SILENT_ROUNDS = 3  # a job that left the queue tells its end at once, or its worker died


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a job is for: an endpoint with its host group, or one of its models."""

    endpoint: str
    group: str
    model: ModelRef | None = None

    def __str__(self) -> str:
        return str(self.model or self.endpoint)


class Operation:
    """Jobs that were asked for on one connection, and what is heard of them."""

    def __init__(self, connection: NatsClient, heard: Subscription, clock: Clock) -> None:
        self._heard = heard
        self._clock = clock
        self._bus = Bus(connection, name="operator", clock=clock, log=log.logger("operator"))

    async def request(
        self,
        kind: JobKind,
        targets: Iterable[Target],
        *,
        streams: tuple[int, ...] = (),
        suites: tuple[str, ...] = (),
    ) -> list[Job]:
        """Queue a job of *kind* for each target; where one is queued or in hand already, that one counts."""
        now = self._clock.now()
        return [
            await self._bus.enqueue(
                Job(
                    id=identity.derive(now, kind, str(target), "manual", uuid4().hex),
                    at=now,
                    kind=kind,
                    group=target.group,
                    endpoint=target.endpoint,
                    model=target.model,
                    cause="manual",
                    streams=streams,
                    suites=suites,
                )
            )
            for target in targets
        ]

    async def follow(self, jobs: Sequence[Job]) -> AsyncIterator[tuple[Job, Progress]]:
        """Yield what is told of *jobs* until each has ended; what nobody does is told as queued."""
        open_jobs = {job.id: job for job in jobs}
        silent = dict.fromkeys(open_jobs, 0)
        while open_jobs:
            try:
                message = await self._heard.next_msg(timeout=_ASK_AGAIN_S)
            except nats.errors.TimeoutError:
                for job in list(open_jobs.values()):
                    progress = await self._look(job, silent)
                    if progress.state == "failed":
                        del open_jobs[job.id]
                    yield job, progress
                continue
            progress = _PROGRESS.decode(message.data)
            known = open_jobs.get(progress.job_id)
            if known is None:
                continue
            silent[known.id] = 0
            if progress.state in ("done", "failed"):
                del open_jobs[known.id]
            yield known, progress

    async def _look(self, job: Job, silent: dict[str, int]) -> Progress:
        """Return how a job stands that nothing was heard of."""
        held = await self._bus.last("JOBS", job.subject)
        if held is None or held.event.id != job.id:
            silent[job.id] += 1
            if silent[job.id] >= _SILENT_ROUNDS:
                return self._progress(job, "failed", "left the queue without a word")
            return self._progress(job, "queued", "ending")
        group = f"job.{job.kind}.{subjects.escape(job.group)}.>"
        info = await self._bus.js.stream_info("JOBS", subjects_filter=group)
        return self._progress(job, "queued", f"one of {len(info.state.subjects or {})} in the queue")

    def _progress(self, job: Job, state: str, message: str) -> Progress:
        return msgspec.convert(
            {
                "job_id": job.id,
                "at": self._clock.now(),
                "state": state,
                "message": f"{job.model or job.endpoint}: {message}",
                "model": job.model,
            },
            Progress,
        )


@asynccontextmanager
async def operating(connection: NatsClient) -> AsyncIterator[Operation]:
    """Listen to the progress of all jobs, so that nothing is missed of those asked for in the context."""
    heard = await connection.subscribe("progress.*")
    await barrier(connection)
    try:
        yield Operation(connection, heard, SystemClock())
    finally:
        await asyncio.shield(heard.unsubscribe())
