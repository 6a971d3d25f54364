"""Jobs: lists the queued ones, handles them, and publishes their progress."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from itertools import pairwise

import nats.js.errors
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from vedette import tracing
from vedette.bus.backoff import Backoff
from vedette.bus.comparing import ComparedClock
from vedette.bus.provisioning import ACK_WAIT_S
from vedette.bus.publishing import Publisher
from vedette.bus.pulling import pull
from vedette.bus.streams import Streams
from vedette.errors import Deferred, TooMany, UndecodableMessage
from vedette.messages.codec import decode_event, encode
from vedette.messages.consumers import Durable
from vedette.messages.events import Job, Progress, ProgressState


class Jobs:
    """The jobs of one replica of a service."""

    def __init__(
        self,
        connection: NatsClient,
        js: JetStreamContext,
        streams: Streams,
        publisher: Publisher,
        backoff: Backoff,
        clock: ComparedClock,
    ) -> None:
        self._connection = connection
        self._js = js
        self._streams = streams
        self._publisher = publisher
        self._backoff = backoff
        self._clock = clock
        self._redelivered: set[str] = set()  # ids of running jobs that were delivered before
        self._in_hand: dict[str, Progress | None] = {}  # last progress of each running job, by job id
        self._started_at: dict[str, datetime] = {}  # start of each running job, by job id

    async def queued(self, durable: Durable) -> list[Job] | None:
        """Return the unfinished jobs of *durable*, oldest first; None if there are too many to list."""
        try:
            return [job for _, job in await self._queued(durable)]
        except TooMany:
            return None

    async def _queued(self, durable: Durable) -> list[tuple[int, Job]]:
        """Return the unfinished jobs with their sequences, oldest first. Raises TooMany."""
        held = self._streams.last_of_each("JOBS", durable.filters, {})
        return sorted(
            [(sequence, job) async for sequence, job in held if isinstance(job, Job)],
            key=lambda pair: pair[0],
        )

    async def rearrange(self, durable: Durable, order: Callable[[Sequence[Job]], Sequence[Job]]) -> int:
        """Put the waiting jobs of *durable* into the order that *order* returns; return the number of moved jobs.

        Each job is replaced by itself at the end of the queue, in one step of the broker. So none is lost or doubled if
        this process ends. Jobs that *order* leaves out, and jobs that run here, keep their place. Nothing moves if the
        queue is too long to list.
        """
        try:
            queued = await self._queued(durable)
        except TooMany:
            return 0
        waiting = {job.id: sequence for sequence, job in queued if job.id not in self._in_hand}
        wanted = order([job for _, job in queued if job.id in waiting])
        behind = _out_of_order([waiting[job.id] for job in wanted])
        return sum([await self._publisher.move_back(sequence) for sequence in behind])

    async def workers(self, durable: Durable) -> tuple[int, int]:
        """Return how many messages of *durable* are in progress, and how many workers wait for one."""
        try:
            info = await self._js.consumer_info(durable.stream, durable.name)
        except nats.js.errors.NotFoundError:
            return 0, 0
        return info.num_ack_pending or 0, info.num_waiting or 0

    async def publish_progress(
        self,
        job: Job,
        state: ProgressState,
        message: str,
        *,
        step: int = 0,
        steps: int = 0,
        field: str | None = None,
        retry_s: float | None = None,
    ) -> None:
        """Publish the progress of *job*.

        *field* is its invalid field, if any; *retry_s* the time to the next attempt (s).
        """
        progress = Progress(
            job_id=job.id,
            at=self._clock.now(),
            state=state,
            step=step,
            steps=steps,
            message=message,
            model=job.model,
            field=field,
            kind=job.kind,
            endpoint=job.endpoint,
            started_at=self._started_at.get(job.id),
            waits_for=None if retry_s is None else "retry",
            retry_s=retry_s,
        )
        if job.id in self._in_hand:
            self._in_hand[job.id] = progress
        await self._connection.publish(progress.subject, encode(progress))

    def is_redelivered(self, job: Job) -> bool:
        """Return whether the running *job* was delivered before: an earlier worker may have started it."""
        return job.id in self._redelivered

    async def work(
        self,
        durable: Durable,
        handle: Callable[[Job], Awaitable[None]],
        *,
        concurrency: int,
        timeout_s: float,
    ) -> None:
        """Handle jobs of *durable* until cancelled, at most *concurrency* at once, each within *timeout_s*.

        Running jobs are kept alive. When this task is cancelled, it takes no more jobs, and returns the running ones to
        the queue at once.
        """
        slots = asyncio.Semaphore(concurrency)
        in_hand: set[asyncio.Task[None]] = set()

        async def room() -> int:
            await self._clock.until_right()  # while the clock is wrong, other replicas take the jobs
            async with slots:
                return max(1, concurrency - len(in_hand))

        async def run(message: Msg) -> None:
            async with slots:
                with tracing.span(
                    "process",
                    message.subject,
                    service=durable.service,
                    headers=message.headers or {},
                ):
                    await self._handle_job(message, handle, timeout_s)

        try:
            async with aclosing(pull(self._connection, durable, room, clock=self._clock)) as source:
                async for messages in source:
                    for message in messages:
                        task = asyncio.create_task(run(message))
                        in_hand.add(task)
                        task.add_done_callback(in_hand.discard)
        finally:
            for task in in_hand:
                task.cancel()
            await asyncio.gather(*in_hand, return_exceptions=True)

    async def _handle_job(
        self, message: Msg, handle: Callable[[Job], Awaitable[None]], timeout_s: float
    ) -> None:
        alive = asyncio.create_task(self._keep_alive(message))
        job = None
        try:
            event = decode_event(message.subject, message.data)
            if not isinstance(event, Job):
                raise UndecodableMessage(subject=message.subject, problem="not a job")
            job = event
            self._in_hand[job.id] = None
            self._started_at[job.id] = self._clock.now()
            if message.metadata.num_delivered > 1:
                self._redelivered.add(job.id)
            await self._clock.require_right()
            async with asyncio.timeout(timeout_s):
                await handle(job)
        except asyncio.CancelledError:
            await message.nak()
            raise
        except Deferred as error:
            await message.nak(delay=error.wait_s)
            await self._publish_deferred(job, f"deferred: {error}", error.wait_s)
        except Exception as error:  # noqa: BLE001 - the one other place that settles failures
            delay = await self._backoff.settle(message, error)
            await (message.term() if delay is None else message.nak(delay=delay))
            await self._publish_deferred(job, f"failed: {type(error).__name__}: {error}", delay)
        else:
            await message.ack()
        finally:
            alive.cancel()
            if job is not None:
                self._in_hand.pop(job.id, None)
                self._started_at.pop(job.id, None)
                self._redelivered.discard(job.id)

    async def _publish_deferred(self, job: Job | None, why: str, retry_s: float | None) -> None:
        """Publish that *job* is deferred until its next attempt, or is a dead letter now."""
        if job is None:
            return
        target = job.model or job.endpoint
        if retry_s is None:
            await self.publish_progress(
                job, "failed", f"{target}: {why}; it is a dead letter now: vedette dead list"
            )
        else:
            await self.publish_progress(
                job, "queued", f"{target}: {why}, retry in {retry_s:.3g} s", retry_s=retry_s
            )

    async def _keep_alive(self, message: Msg) -> None:
        """Extend the ack deadline of the job, and repeat its last progress, which shows that its worker lives."""
        job_id = json.loads(message.data).get("id")
        while True:
            await asyncio.sleep(ACK_WAIT_S / 3)
            await message.in_progress()
            if progress := self._in_hand.get(job_id):
                await self._connection.publish(progress.subject, encode(progress))


def _out_of_order(sequences: Sequence[int]) -> Sequence[int]:
    """Return the messages to publish again, in order, so that the stream has *sequences* in this order."""
    for place, (before, sequence) in enumerate(pairwise(sequences), 1):
        if sequence < before:
            return sequences[place:]
    return ()
