"""*Endpoints*: the state of each endpoint, its budget, its jobs, and buttons that start jobs."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from markupsafe import Markup
from msgspec import Struct

from vedette.errors import RequestError
from vedette.messages import ids
from vedette.messages.events import Job, JobKind, Progress
from vedette.messages.queries import (
    AvailabilityHistory,
    EndpointsReply,
    EndpointView,
    HistoryRequest,
    ModelsReply,
    ModelsRequest,
)
from vedette.messages.validation import nearest, reference
from vedette.remedies import advice
from vedette.types import ModelRef, Outcome, Status
from vedette_console import drawing
from vedette_console.screens import past, working
from vedette_console.screens.context import Sources, View, gathered

# Queues a job, and returns it, or the same job if one was already queued.
Enqueue = Callable[[Job], Awaitable[Job]]
_HOURS: Final = 24
_DAY: Final = timedelta(hours=_HOURS)
JOBS: dict[str, JobKind] = {
    "discover": "discover",
    "probe": "probe",
    "benchmark": "benchmark",
    "evaluate": "evaluate",
}


async def endpoints(sources: Sources, view: View) -> dict[str, object]:
    """Return the values of the page. For the past, only probes and models are recorded, not what endpoints reported."""
    reply = await sources.asking.ask("endpoints.list", EndpointsReply)
    if view.at is not None:
        now = sources.clock.now()
        if view.at > now:
            raise RequestError(code="invalid_value", message="at: the time is in the future", field="at")
        days = await gathered(_day(sources, one.endpoint, view.at) for one in reply.endpoints)
        return {"at": view.at, "days": days, "may_act": False, "as_of": reply.as_of}
    hosts: dict[str, list[str]] = defaultdict(list)
    for one in reply.endpoints:
        hosts[one.group].append(one.endpoint)
    return {
        "endpoints": reply.endpoints,
        "left_out": reply.left_out,
        "advice": {one.endpoint: remedy(one) for one in reply.endpoints},
        "beside": {
            one.endpoint: [name for name in hosts[one.group] if name != one.endpoint]
            for one in reply.endpoints
        },
        "may_act": view.caller.may_act,
        **working.jobs(sources),
        "now": sources.clock.now(),
        "as_of": reply.as_of,
    }


class Day(Struct, frozen=True, kw_only=True):
    """The day before a time at an endpoint: its models at the end of that day, and the results of their probes."""

    endpoint: str
    models: int
    statuses: dict[Status, int]
    up: AvailabilityHistory
    bars: Markup


async def _day(sources: Sources, endpoint: str, at: datetime) -> Day:
    """Return the day before *at* at *endpoint*."""
    reply, _ = await past.models(sources, ModelsRequest(endpoint=endpoint, limit=1), at)
    wanted = HistoryRequest(endpoint=endpoint, since=at - _DAY, until=at, buckets=_HOURS)
    up = await sources.asking.ask("history.availability", AvailabilityHistory, wanted)
    return Day(
        endpoint=endpoint,
        models=reply.total,
        statuses=reply.counts.statuses,
        up=up,
        bars=drawing.bars([one.uptime for one in up.buckets], f"uptime of {endpoint} by hour, 24 hours"),
    )


def remedy(one: EndpointView) -> tuple[str, str]:
    """Return the problem of an endpoint and the remedy; two empty texts if it is reachable."""
    if one.state is None:
        return "not contacted yet", "wait for the first discovery"
    if one.state.outcome is Outcome.OK:
        return "", ""
    return advice(one.url, one.state.outcome, one.state.detail, one.state.remedy)


async def request_job(sources: Sources, enqueue: Enqueue, kind: str, target: str) -> list[Job]:
    """Queue jobs of *kind* for *target*, an endpoint or a model; return them. Raises RequestError.

    Benchmarks and evaluations of an endpoint are one job for each of its models.
    """
    if kind not in JOBS:
        raise RequestError(
            code="unknown_job", message=f"no job {kind!r}; {nearest(kind, list(JOBS))}", field="kind"
        )
    reply = await sources.asking.ask("endpoints.list", EndpointsReply)
    if any(one.endpoint == target for one in reply.endpoints):
        if kind in ("benchmark", "evaluate"):
            targets = [Target(model=one) for one in await _models_of(sources, target)]
        else:
            targets = [Target(endpoint=target)]
    else:
        ref = reference(target, field="target")
        (view,) = (await sources.asking.ask("models.get", ModelsReply, {"model": str(ref)})).models
        targets = [Target(model=view.model)]
    return await enqueued(sources, enqueue, JOBS[kind], targets)


class Target(Struct, frozen=True, kw_only=True):
    """The target of a job: an endpoint or a model, with the suites and the pool of the job."""

    endpoint: str = ""
    model: ModelRef | None = None
    suites: tuple[str, ...] = ()
    pool: tuple[ModelRef, ...] = ()


async def enqueued(sources: Sources, enqueue: Enqueue, kind: JobKind, targets: Sequence[Target]) -> list[Job]:
    """Queue a job of *kind* for each of *targets*, and show it as queued. Raises RequestError."""
    reply = await sources.asking.ask("endpoints.list", EndpointsReply)
    groups = {one.endpoint: one.group for one in reply.endpoints}
    now = sources.clock.now()
    jobs = []
    for one in targets:
        endpoint = one.model.endpoint if one.model else one.endpoint
        if endpoint not in groups:
            raise RequestError(
                code="unknown_target", message=f"{endpoint} is not configured any more", field="target"
            )
        jobs.append(
            Job(
                id=ids.derive(now, kind, str(one.model or endpoint), "manual", uuid4().hex),
                at=now,
                kind=kind,
                group=groups[endpoint],
                endpoint=endpoint,
                model=one.model,
                cause="manual",
                suites=one.suites,
                pool=one.pool,
            )
        )
    queued = [await enqueue(job) for job in jobs]
    for job in queued:
        if job.id not in sources.changes.jobs:
            message = f"{job.kind} {job.model or job.endpoint}"
            sources.changes.progress(
                Progress(
                    job_id=job.id,
                    at=now,
                    state="queued",
                    message=message,
                    kind=job.kind,
                    model=job.model,
                    endpoint=job.endpoint,
                ),
                now,
            )
    return queued


async def _models_of(sources: Sources, endpoint: str) -> list[ModelRef]:
    """Return all models at *endpoint*, with several queries if one reply cannot contain them."""
    found: list[ModelRef] = []
    while True:
        page = {"endpoint": endpoint, "offset": len(found)}
        reply = await sources.asking.ask("models.list", ModelsReply, page)
        found += [view.model for view in reply.models]
        if not reply.models or len(found) >= reply.total:
            return found
