"""Measurement jobs: whether a model may be measured now, the measurement, and the usage of the endpoint."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import msgspec

from vedette.bus.bus import Bus
from vedette.clock import Clock
from vedette.endpoints import OpenEndpoint, account, gate, own
from vedette.errors import RequestError
from vedette.messages.catalogue import Catalogue
from vedette.messages.events import EndpointObserved, Job, JobKind
from vedette.providers.counting import Sent, counting
from vedette.types import Occupancy, Use
from vedette_benchmarker.permission import Permission
from vedette_benchmarker.place import Place
from vedette_benchmarker.queueing import Queueing
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


class Measuring:
    """Does each job by the measure for its kind. *queueing* queues what follows, and what must wait."""

    def __init__(
        self,
        *,
        bus: Bus,
        catalogue: Catalogue,
        clock: Clock,
        measures: Mapping[JobKind, Measure],
        permission: Permission,
        queueing: Queueing,
        probe_timeout_s: float,
    ) -> None:
        self._bus = bus
        self._catalogue = catalogue
        self._clock = clock
        self._measures = measures
        self._permission = permission
        self._queueing = queueing
        self._probe_timeout_s = probe_timeout_s

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
            await self._queueing.follow(endpoint, job)
            await self._bus.jobs.publish_progress(job, "done", f"{state.model}: {job.kind} done before")
            return
        reason = self._permission.why_not(measure, endpoint, state, job)
        if reason:
            await self._bus.jobs.publish_progress(job, "failed", f"{state.model}: {reason}")
            return
        await self._measure(measure, Work(endpoint=endpoint, state=state, info=state.info, job=job))

    async def _measure(self, measure: Measure, work: Work) -> None:
        """Run *measure* once no probe runs on the host, or defer its job if another user needs the server."""
        endpoint, state, job = work.endpoint, work.state, work.job
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
            ended = await self._run(measure, work, names=names, seen=seen, looked=looked.use)
        except RequestError as error:
            await self._bus.jobs.publish_progress(job, "failed", str(error), field=error.field)
            return
        await self._queueing.take_turns(endpoint, job)
        if ended.gave_way is not None:
            await self._defer(endpoint, job, ended.gave_way)
            return
        await self._queueing.follow(endpoint, job)
        if ended.ok and job.kind == "judge" and job.cause != "manual":
            self._bus.spawn(self._queueing.judge_after(job))  # a failed measurement waits for the next tick
        detail = f": {ended.detail}" if ended.detail else ""
        await self._bus.jobs.publish_progress(job, "done" if ended.ok else "failed", f"{state.model}{detail}")

    async def _run(
        self, measure: Measure, work: Work, *, names: set[str], seen: Occupancy | None, looked: Use
    ) -> Ended:
        """Run *measure* and count its usage, also if it fails or must wait.

        *looked* is the usage of earlier requests of this job; it is added.
        """
        endpoint, job, name = work.endpoint, work.job, work.state.model.name
        with counting() as sent:
            try:
                async with own.shown(
                    self._bus, endpoint.name, sent, monotonic=self._clock.monotonic, model=name
                ):
                    ended = await self._run_in_turn(measure, work, sent, names=names, seen=seen)
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

    async def _run_in_turn(
        self, measure: Measure, work: Work, sent: Sent, *, names: set[str], seen: Occupancy | None
    ) -> Ended:
        """Run *measure*; stop it when another user needs the server, unless an operator requested it."""
        if work.job.cause == "manual":
            return await measure.run(work)
        place = Place(work.endpoint, names, sent, self._clock, loaded=seen.loaded if seen else None)
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
        """Queue *job* again later, because another user needs the server.

        It is not returned to the queue, where it would block its host group. After a restart, the next tick queues it.
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
        self._bus.spawn(self._queueing.queue_again(endpoint, job, wait_s=wait_s))
