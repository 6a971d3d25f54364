"""Queues measurements: at a tick, of a new or changed model, and after another measurement."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
import nats.errors

from vedette.bus.bus import Bus
from vedette.clock import Clock
from vedette.endpoints import Endpoints, OpenEndpoint, evaluating, spending
from vedette.errors import Deferred
from vedette.messages.catalogue import Catalogue, ModelState
from vedette.messages.consumers import host_jobs
from vedette.messages.events import (
    Job,
    JobCause,
    JobKind,
    ModelChanged,
    ModelEvent,
    ModelFound,
    ScheduledJob,
    Tick,
)
from vedette.messages.tolerance import is_future
from vedette.types import ModelRef
from vedette.usecases.levels import split
from vedette_benchmarker.judging.steps import May, Next
from vedette_benchmarker.permission import Permission
from vedette_benchmarker.racing import Questions
from vedette_benchmarker.turns import at_first, following, in_turns
from vedette_benchmarker.work import Measure

_TICKED: dict[ScheduledJob, JobKind] = {"performance": "benchmark", "quality": "evaluate"}

_LOOKS = 30  # a minute; after that the next tick continues
_LEFT_S = 2.0  # after this time, an ended job has left its queue, and its events are known

_NEVER = datetime.min.replace(tzinfo=UTC)


def _turn(measured: tuple[datetime | None, ModelState]) -> tuple[datetime, float, ModelRef]:
    """Return the sort key of measurements: oldest first; among unmeasured models, the most promising first."""
    at, state = measured
    hope = evaluating.promise(state.info) if at is None and state.info else 0.0
    return at or _NEVER, -hope, state.model


async def _no_judge(_: May) -> Sequence[Next]:
    return ()


class Queueing:
    """Turns ticks, newly found models and ended jobs into jobs."""

    def __init__(
        self,
        *,
        bus: Bus,
        catalogue: Catalogue,
        endpoints: Endpoints,
        clock: Clock,
        measures: Mapping[JobKind, Measure],
        permission: Permission,
        questions: Callable[[], Awaitable[Sequence[Questions]]],
        judging: Callable[[May], Awaitable[Sequence[Next]]] = _no_judge,
    ) -> None:
        self._bus = bus
        self._catalogue = catalogue
        self._endpoints = endpoints
        self._clock = clock
        self._measures = measures
        self._permission = permission
        self._questions = questions
        self._judging = judging

    async def on_tick(self, tick: Tick) -> None:
        """Queue the due measurement of every model that was not measured since the tick's slot.

        A date after the tick comes from a wrong clock, so such a model is due too.
        """
        await self._queue_due(tick)
        await self._race()
        if tick.job == "quality":
            await self._judge()

    async def _queue_due(self, tick: Tick) -> None:
        kind = _TICKED[tick.job]
        measured = [(self._measures[kind].measured_at(state), state) for state in self._catalogue.present()]
        # Unmeasured models come first, because a limited round might never reach them. The most promising of them come
        # first, because their evaluation can change the winner.
        for measured_at, state in sorted(measured, key=_turn):
            endpoint = self._endpoints.get(state.model.endpoint)
            due = measured_at is None or measured_at < tick.slot or is_future(measured_at, tick.at)
            if (
                endpoint
                and due
                and self._measures[kind].is_due(state)
                and self._measures[kind].is_wanted(endpoint)
            ):
                await self._bus.publisher.enqueue(
                    endpoint.job(kind, at=tick.slot, cause="tick", seed=tick.id, model=state.model)
                )

    async def on_found(self, event: ModelFound) -> None:
        """Queue the first measurements of a found model; for a renamed one, only those that it lacks."""
        if event.formerly is None:
            await self._queue_first(event, "found")
            return
        state = await self._bus.streams.read_model(event.model)
        done = [kind for kind, measure in self._measures.items() if measure.measured_at(state) is not None]
        await self._queue_first(event, "found", done=done)

    async def on_changed(self, event: ModelChanged) -> None:
        """Queue the first measurements of new weights."""
        if event.digest_changed:
            await self._queue_first(event, "changed")

    async def on_reload(self, added: Sequence[str]) -> None:
        """Queue the first measurements at endpoints that another replica knew earlier than this one."""
        for name in added:
            for state in self._catalogue.of_endpoint(name):
                if state.lifecycle and self._measures["benchmark"].measured_at(state) is None:
                    await self._queue_first(state.lifecycle.event, "found")

    async def _queue_first(
        self, event: ModelEvent, cause: JobCause, *, done: Collection[JobKind] = ()
    ) -> None:
        endpoint = self._endpoints.get(event.model.endpoint)
        if endpoint is None:
            return  # unknown here; `on_reload` queues them later
        for kind in at_first(self._wanted(endpoint), is_paid=self._is_paid(endpoint, event)):
            if kind not in done:
                await self._bus.publisher.enqueue(
                    endpoint.job(kind, at=event.at, cause=cause, seed=event.id, model=event.model)
                )

    def _wanted(self, endpoint: OpenEndpoint) -> set[JobKind]:
        # A useless job could replace a job that an operator requests.
        return {kind for kind, measure in self._measures.items() if measure.is_wanted(endpoint)}

    def _is_paid(self, endpoint: OpenEndpoint, event: ModelEvent) -> bool:
        """Return whether the model is evaluated within a budget in USD, and not measured otherwise."""
        info = event.info if isinstance(event, ModelFound | ModelChanged) else None
        return (
            info is not None
            and spending.why_not(info, endpoint.settings) is not None
            and self._measures["evaluate"].pays(endpoint, info)
        )

    async def follow(self, endpoint: OpenEndpoint, job: Job) -> None:
        """Queue the measurements that follow this one; none follow an operator's job."""
        if job.kind == "evaluate" and job.cause != "manual":
            await self._race()
        if job.cause not in ("found", "changed"):
            return
        for kind in following(job.kind, self._wanted(endpoint)):
            await self._bus.publisher.enqueue(
                endpoint.job(kind, at=job.at, cause=job.cause, seed=job.id, model=job.model)
            )

    async def take_turns(self, endpoint: OpenEndpoint, job: Job) -> None:
        """Rearrange the host's queue after *job*: other endpoints first; of new models, the promising ones first."""
        group = endpoint.settings.group
        alone = sum(one.settings.group == group for one in self._endpoints) == 1
        if alone and job.kind == "benchmark":
            return
        try:
            moved = await self._bus.jobs.rearrange(
                host_jobs(group), lambda jobs: in_turns(jobs, job, self._promise)
            )
        except (nats.errors.Error, TimeoutError) as error:
            self._bus.log.warning("queue.rearrange_failed", group=group, error=f"{type(error).__name__}")
        else:
            self._bus.log.debug("queue.rearranged", group=group, moved=moved)

    def _promise(self, model: ModelRef) -> float:
        """Return the expected quality of a model before any evaluation."""
        state = self._catalogue.get(model)
        return evaluating.promise(state.info) if state and state.info else 0.0

    async def queue_again(self, endpoint: OpenEndpoint, job: Job, *, wait_s: float) -> None:
        """Queue *job* again after *wait_s*. After a restart, the next tick does."""
        await asyncio.sleep(wait_s)
        again = endpoint.job(job.kind, at=self._clock.now(), cause=job.cause, seed=job.id, model=job.model)
        again = msgspec.structs.replace(again, suites=job.suites, pool=job.pool)
        try:
            await self._bus.publisher.enqueue(again)
        except (nats.errors.Error, Deferred, TimeoutError) as error:
            self._bus.log.warning(
                "measurement.dropped", model=str(job.model), error=f"{type(error).__name__}"
            )

    async def _race(self) -> None:
        """Queue the questions with the highest gain on each host, by the present catalogue.

        One job for each host, because its answers decide the next one. Replicas that decide at the same time queue the
        same job.
        """
        served: set[str] = set()
        for one in await self._questions():
            endpoint, state = self._endpoints.get(one.model.endpoint), self._catalogue.get(one.model)
            if endpoint is None or state is None or endpoint.settings.group in served:
                continue
            job = msgspec.structs.replace(
                endpoint.job("evaluate", at=self._clock.now(), cause="tick", seed="race", model=one.model),
                suites=tuple(dict.fromkeys(split(name)[0] for name in one.items)),
            )
            if self._permission.why_not(self._measures["evaluate"], endpoint, state, job) is None:
                served.add(endpoint.settings.group)
                await self._bus.publisher.enqueue(job)

    async def judge_after(self, job: Job) -> None:
        """Queue the next step once *job* has left the queue, and the catalogue shows its result.

        A model has one such job at a time. If the catalogue does not show the result soon, the next tick queues the
        step.
        """
        for _ in range(_LOOKS):
            await asyncio.sleep(_LEFT_S)
            state = self._catalogue.get(job.model) if job.model else None
            if state is not None and self._measures["judge"].is_done(state, job):
                break
        else:
            return
        try:
            await self._judge()
        except (nats.errors.Error, Deferred, TimeoutError) as error:
            self._bus.log.warning("judging.dropped", error=f"{type(error).__name__}")

    async def _judge(self) -> None:
        """Queue texts to write for a judge, or comparisons, by the state of the catalogue.

        Each model gets one job. When a job ends, the next step is queued.
        """
        for one in await self._judging(self._may):
            endpoint, state = self._endpoints.get(one.model.endpoint), self._catalogue.get(one.model)
            if endpoint is None or state is None:
                continue
            job = self._to_judge(endpoint, one)
            if self._permission.why_not(self._measures["judge"], endpoint, state, job) is None:
                await self._bus.publisher.enqueue(job)

    def _may(self, one: Next) -> bool:
        """Return whether a model may ever do this by schedule. If not, other models take its place."""
        endpoint, state = self._endpoints.get(one.model.endpoint), self._catalogue.get(one.model)
        if endpoint is None or state is None or state.info is None:
            return False
        job = self._to_judge(endpoint, one)
        return self._permission.why_not(self._measures["judge"], endpoint, state, job, today=False) is None

    def _to_judge(self, endpoint: OpenEndpoint, one: Next) -> Job:
        return msgspec.structs.replace(
            endpoint.job("judge", at=self._clock.now(), cause="tick", seed=str(one), model=one.model),
            suites=one.use_cases,
            pool=one.pool,
        )
