"""Measurement jobs: which models are due, which may be measured now, and the usage of the endpoint."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import nats.errors

from vedette.bus.bus import Bus
from vedette.clock import Clock
from vedette.endpoints import Endpoints, OpenEndpoint, account, evaluating, gate, own, spending
from vedette.errors import Deferred, RequestError
from vedette.messages.catalogue import Catalogue, ModelState
from vedette.messages.consumers import host_jobs
from vedette.messages.events import (
    EndpointObserved,
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
from vedette.providers.counting import Sent, counting
from vedette.types import ModelRef, Occupancy, Use
from vedette.usecases.levels import split
from vedette_benchmarker.judging.steps import May, Next
from vedette_benchmarker.permission import Permission
from vedette_benchmarker.place import Place
from vedette_benchmarker.racing import Questions
from vedette_benchmarker.turns import at_first, following, in_turns
from vedette_benchmarker.work import Ended, Measure, Work
from vedette_benchmarker.yielding import (
    KEPT,
    GaveWay,
    after,
    claimed,
    defer_s,
    names_of,
    ours_by_probes,
    pinned,
    read_loaded,
    require_turn,
    unloading,
    used_lately,
)

_TICKED: dict[ScheduledJob, JobKind] = {"performance": "benchmark", "quality": "evaluate"}

_LOOKS = 30  # a minute; after that the next tick continues
_LEFT_S = 2.0  # within this time an ended job has left its queue, and its events are known

_NEVER = datetime.min.replace(tzinfo=UTC)


def _turn(measured: tuple[datetime | None, ModelState]) -> tuple[datetime, float, ModelRef]:
    """Return the order of measurements: the oldest measurement first; among new models, the most promising first."""
    at, state = measured
    hope = evaluating.promise(state.info) if at is None and state.info else 0.0
    return at or _NEVER, -hope, state.model


async def _no_judge(_: May) -> Sequence[Next]:
    return ()


class Measurements:
    """Queues jobs for ticks and new models, and runs each job with the measure for its kind."""

    def __init__(
        self,
        *,
        bus: Bus,
        catalogue: Catalogue,
        endpoints: Endpoints,
        clock: Clock,
        measures: Mapping[JobKind, Measure],
        questions: Callable[[], Awaitable[Sequence[Questions]]],
        judging: Callable[[May], Awaitable[Sequence[Next]]] = _no_judge,
        probe_timeout_s: float,
    ) -> None:
        self._bus = bus
        self._catalogue = catalogue
        self._endpoints = endpoints
        self._clock = clock
        self._measures = measures
        self._questions = questions
        self._judging = judging
        self._probe_timeout_s = probe_timeout_s
        self._permission = Permission(catalogue=catalogue, endpoints=endpoints, clock=clock)

    async def on_tick(self, tick: Tick) -> None:
        """Queue the due measurement of every model that has not had it since the tick's slot.

        A date after the tick comes from a wrong clock, so that model is due as well.
        """
        await self._queue_due(tick)
        await self._race()
        if tick.job == "quality":
            await self._judge()

    async def _queue_due(self, tick: Tick) -> None:
        kind = _TICKED[tick.job]
        measured = [(self._measures[kind].measured_at(state), state) for state in self._catalogue.present()]
        # Unmeasured models come first: with a limited round they would never have their turn.
        # Of those, the ones that promise most: their evaluation can change the answer.
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
        """Queue the first measurements of a found model; of a renamed one, those that it lacks."""
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
        """Queue the first measurements at endpoints that another replica knew before this one did."""
        for name in added:
            for state in self._catalogue.of_endpoint(name):
                if state.lifecycle and self._measures["benchmark"].measured_at(state) is None:
                    await self._queue_first(state.lifecycle.event, "found")

    async def _queue_first(
        self, event: ModelEvent, cause: JobCause, *, done: Collection[JobKind] = ()
    ) -> None:
        endpoint = self._endpoints.get(event.model.endpoint)
        if endpoint is None:
            return  # not configured here: `on_reload` makes up for it
        for kind in at_first(self._wanted(endpoint), is_paid=self._is_paid(endpoint, event)):
            if kind not in done:
                await self._bus.publisher.enqueue(
                    endpoint.job(kind, at=event.at, cause=cause, seed=event.id, model=event.model)
                )

    def _wanted(self, endpoint: OpenEndpoint) -> set[JobKind]:
        # A useless job could replace a job that an operator requests.
        return {kind for kind, measure in self._measures.items() if measure.is_wanted(endpoint)}

    def _is_paid(self, endpoint: OpenEndpoint, event: ModelEvent) -> bool:
        """Return whether the model is evaluated within a budget in USD, where nothing else of it is measured."""
        info = event.info if isinstance(event, ModelFound | ModelChanged) else None
        return (
            info is not None
            and spending.why_not(info, endpoint.settings) is not None
            and self._measures["evaluate"].pays(endpoint, info)
        )

    async def on_job(self, job: Job, endpoint: OpenEndpoint) -> None:
        """Measure one model at *endpoint*."""
        # The model as the stream holds it: our own view may lag behind the job that names it.
        state = await self._bus.streams.read_model(job.model) if job.model else None
        measure = self._measures.get(job.kind)
        if measure is None or state is None or state.info is None or not state.present:
            await self._bus.jobs.publish_progress(
                job, "failed", f"{job.model or job.endpoint}: no such model"
            )
            return
        if state.info.url != endpoint.settings.url:
            # Only the queued discovery can decide to which model these figures would belong.
            await self._bus.jobs.publish_progress(
                job, "failed", f"{state.model}: not discovered yet at {endpoint.settings.url}"
            )
            return
        if measure.is_done(state, job):
            await self._queue_next(endpoint, job)
            await self._bus.jobs.publish_progress(job, "done", f"{state.model}: {job.kind} done before")
            return
        reason = self._permission.why_not(measure, endpoint, state, job)
        if reason:
            await self._bus.jobs.publish_progress(job, "failed", f"{state.model}: {reason}")
            return
        await gate.until_free(self._bus, endpoint.settings.group, within_s=self._probe_timeout_s)
        names = names_of(state, self._catalogue.of_endpoint(endpoint.name))
        with counting() as looked:
            seen, gives_way = await self._read_occupancy(endpoint, names, job)
        if gives_way is not None and job.cause != "manual":
            await account(self._bus, endpoint, looked.use, job, occupancy=seen)
            await self._defer(endpoint, job, gives_way)
            return
        await self._bus.jobs.publish_progress(job, "started", str(state.model))
        if seen:
            await account(self._bus, endpoint, Use(), job, occupancy=claimed(seen, names))
        try:
            ended = await self._run(measure, endpoint, state, job, names=names, seen=seen, looked=looked.use)
        except RequestError as error:
            await self._bus.jobs.publish_progress(job, "failed", str(error), field=error.field)
            return
        await self._take_turns(endpoint, job)
        if ended.gave_way is not None:
            await self._defer(endpoint, job, ended.gave_way)
            return
        await self._queue_next(endpoint, job)
        if ended.ok and job.kind == "judge" and job.cause != "manual":
            self._bus.spawn(self._judge_soon(measure, job))  # a failed measurement waits for the next tick
        detail = f": {ended.detail}" if ended.detail else ""
        await self._bus.jobs.publish_progress(job, "done" if ended.ok else "failed", f"{state.model}{detail}")

    async def _take_turns(self, endpoint: OpenEndpoint, job: Job) -> None:
        """Rearrange the host's queue after *job*: other endpoints come first, and of new models the promising ones."""
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
        """Return how good a model is expected to be before any evaluation."""
        state = self._catalogue.get(model)
        return evaluating.promise(state.info) if state and state.info else 0.0

    async def _run(
        self,
        measure: Measure,
        endpoint: OpenEndpoint,
        state: ModelState,
        job: Job,
        *,
        names: set[str],
        seen: Occupancy | None,
        looked: Use,
    ) -> Ended:
        """Run *measure* and count its usage, also when it fails or must wait.

        *looked* is the usage of the requests before it; it counts too.
        """
        with counting() as sent:
            try:
                async with own.shown(
                    self._bus,
                    endpoint.name,
                    sent,
                    monotonic=self._clock.monotonic,
                    model=state.model.name,
                ):
                    ended = await self._measure(measure, endpoint, state, job, sent, names=names, seen=seen)
                loaded = await read_loaded(endpoint, self._clock.now())
            except Exception:
                await account(self._bus, endpoint, looked + sent.use, job)
                raise
        use = msgspec.structs.replace(ended.use, requests=0) + looked + sent.use
        left = None
        if loaded is not None:
            gave_way = ended.gave_way is not None
            left = after(seen, loaded, ours=names, now=self._clock.now(), gave_way=gave_way, measured=names)
        await account(self._bus, endpoint, use, job, occupancy=left)
        return ended

    async def _measure(
        self,
        measure: Measure,
        endpoint: OpenEndpoint,
        state: ModelState,
        job: Job,
        sent: Sent,
        *,
        names: set[str],
        seen: Occupancy | None,
    ) -> Ended:
        """Run *measure*; stop it when another user needs the server, unless an operator requested it."""
        if state.info is None:
            raise AssertionError("only a model that is there is measured")
        work = Work(endpoint=endpoint, state=state, info=state.info, job=job)
        if job.cause == "manual":
            return await measure.run(work)
        place = Place(endpoint, names, sent, self._clock, loaded=seen.loaded if seen else None)
        measuring = asyncio.ensure_future(measure.run(msgspec.structs.replace(work, turn=place.turn)))
        watching = asyncio.ensure_future(place.until_used())
        try:
            await asyncio.wait((measuring, watching), return_when=asyncio.FIRST_COMPLETED)
            if not measuring.done():
                return Ended(ok=False, use=Use(), gave_way=await watching)
            return await measuring
        except GaveWay as error:
            return Ended(ok=False, use=Use(), gave_way=error)
        finally:
            for task in (measuring, watching):
                task.cancel()
            await asyncio.gather(measuring, watching, return_exceptions=True)

    async def _read_occupancy(
        self, endpoint: OpenEndpoint, names: set[str], job: Job
    ) -> tuple[Occupancy | None, GaveWay | None]:
        """Return the loaded models, if the server reports them, and why the job must wait for another user."""
        loaded = await read_loaded(endpoint, self._clock.now())
        if loaded is not None and not loaded:
            busy = None  # of a server that sleeps not even its metrics are asked
        else:
            busy = await self._turn_of_others(endpoint, job)
        if loaded is None:
            return None, busy
        held = await self._bus.streams.last("ENDPOINTS", f"endpoint.observed.{endpoint.name}")
        state = held.event.state if held and isinstance(held.event, EndpointObserved) else None
        ours = ours_by_probes(loaded, unloading(self._catalogue.of_endpoint(endpoint.name)))
        if self._bus.jobs.is_redelivered(job):
            ours |= names  # it was loaded when the job was done for the first time, up to where that ended
        held_occupancy = state.occupancy if state else None
        seen = after(held_occupancy, loaded, ours=ours, now=self._clock.now())
        if kept := pinned(seen, names, self._clock.now(), settings=endpoint.settings):
            return seen, GaveWay(f"{kept} is kept loaded by others", wait=KEPT)
        if wait_s := defer_s(seen, names, self._clock.now()):
            return seen, GaveWay("another model is in use", wait=timedelta(seconds=wait_s))
        if used_lately(held_occupancy, loaded, names=names, ours=ours):
            return seen, busy or GaveWay("the model is in use")
        return seen, busy

    async def _turn_of_others(self, endpoint: OpenEndpoint, job: Job) -> GaveWay | None:
        if job.cause == "manual":
            return None
        try:
            await require_turn(endpoint.endpoint)
        except GaveWay as gave_way:
            return gave_way
        return None

    async def _defer(self, endpoint: OpenEndpoint, job: Job, gives_way: GaveWay) -> None:
        """Queue *job* again later: another user needs the server.

        It is not given back, because its host group would wait too. After a restart, the next tick queues it.
        """
        wait_s = gives_way.wait.total_seconds()
        self._bus.log.info(
            "measurement.deferred",
            reason=gives_way.why,
            kind=job.kind,
            model=str(job.model),
            wait_s=round(wait_s),
        )
        minutes = max(1, round(wait_s / 60))
        why = f"{gives_way.why} at {endpoint.name}: {job.kind} deferred for {minutes} min"
        await self._bus.jobs.publish_progress(job, "failed", f"{job.model}: {why}", retry_s=wait_s)
        self._bus.spawn(self._queue_again(endpoint, job, wait_s))

    async def _queue_again(self, endpoint: OpenEndpoint, job: Job, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        again = endpoint.job(job.kind, at=self._clock.now(), cause=job.cause, seed=job.id, model=job.model)
        again = msgspec.structs.replace(again, suites=job.suites, pool=job.pool)
        try:
            await self._bus.publisher.enqueue(again)
        except (nats.errors.Error, Deferred, TimeoutError) as error:
            self._bus.log.warning(
                "measurement.dropped", model=str(job.model), error=f"{type(error).__name__}"
            )

    async def _queue_next(self, endpoint: OpenEndpoint, job: Job) -> None:
        """Queue the measurements that follow this one; after an operator's job none follow."""
        if job.kind == "evaluate" and job.cause != "manual":
            await self._race()
        if job.cause not in ("found", "changed"):
            return
        for kind in following(job.kind, self._wanted(endpoint)):
            await self._bus.publisher.enqueue(
                endpoint.job(kind, at=job.at, cause=job.cause, seed=job.id, model=job.model)
            )

    async def _race(self) -> None:
        """Queue the questions with the highest gain on each host, by the present catalogue.

        One job for each host, because its answers decide about the next one. Replicas that decide at once queue the
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

    async def _judge_soon(self, measure: Measure, job: Job) -> None:
        """Queue the next step once *job* has left the queue, and the catalogue shows its result.

        A model has one such job at a time. If the catalogue does not show the result soon, the next tick queues the
        step.
        """
        for _ in range(_LOOKS):
            await asyncio.sleep(_LEFT_S)
            state = self._catalogue.get(job.model) if job.model else None
            if state is not None and measure.is_done(state, job):
                break
        else:
            return
        try:
            await self._judge()
        except (nats.errors.Error, Deferred, TimeoutError) as error:
            self._bus.log.warning("judging.dropped", error=f"{type(error).__name__}")

    async def _judge(self) -> None:
        """Queue texts to write for a judge, or comparisons, by the state of the catalogue.

        A job for each model. Each that ends queues what comes next.
        """
        for one in await self._judging(self._may):
            endpoint, state = self._endpoints.get(one.model.endpoint), self._catalogue.get(one.model)
            if endpoint is None or state is None:
                continue
            job = self._to_judge(endpoint, one)
            if self._permission.why_not(self._measures["judge"], endpoint, state, job) is None:
                await self._bus.publisher.enqueue(job)

    def _may(self, one: Next) -> bool:
        """Return whether a model may ever do that by schedule; otherwise other models take its place."""
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
