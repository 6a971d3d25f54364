"""The benchmarker as a FastStream application: `routes` has its subscribers. Jobs come by our own loop (ADR 0002)."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from random import SystemRandom

from faststream.nats import NatsRouter

from vedette import log
from vedette.clock import SystemClock
from vedette.endpoints import Endpoints, open_endpoints
from vedette.endpoints.gate import MAX_MEASUREMENT_S
from vedette.messages.consumers import host_jobs, lifecycle, ticks
from vedette.messages.events import JobKind, ModelChanged, ModelFound, Tick
from vedette.runtime.routes import shared_by
from vedette.runtime.service import Service, open_service
from vedette.settings import Settings
from vedette.usecases import known
from vedette_benchmarker.capabilities import Capabilities
from vedette_benchmarker.day_limit import DayLimit
from vedette_benchmarker.evaluation import Evaluation
from vedette_benchmarker.grader import Grading, open_grader
from vedette_benchmarker.judging.measure import Judging
from vedette_benchmarker.measuring import Measuring
from vedette_benchmarker.permission import Permission
from vedette_benchmarker.queueing import Queueing
from vedette_benchmarker.selecting import Selecting
from vedette_benchmarker.speed import Speed
from vedette_benchmarker.suites.choosing import suites
from vedette_benchmarker.suspicions import Suspicions
from vedette_benchmarker.work import Measure


def routes(queueing: Queueing) -> NatsRouter:
    """Return the routes that replicas of the benchmarker share: ticks, and found or changed models."""
    router = NatsRouter()

    @router.subscriber(**shared_by(ticks("benchmarker", "performance")))
    @router.subscriber(**shared_by(ticks("benchmarker", "quality")))
    async def on_tick(tick: Tick) -> None:
        await queueing.on_tick(tick)

    @router.subscriber(**shared_by(lifecycle("benchmarker", "found")))
    async def on_found(event: ModelFound) -> None:
        await queueing.on_found(event)

    @router.subscriber(**shared_by(lifecycle("benchmarker", "changed")))
    async def on_changed(event: ModelChanged) -> None:
        await queueing.on_changed(event)

    return router


def _measures(
    service: Service, settings: Settings, grader: Grading
) -> tuple[dict[JobKind, Measure], Selecting, Judging]:
    """Return the measure of each kind, and the parts of them that a changed configuration must reach."""
    bus, clock, catalogue = service.bus, service.clock, service.catalogue
    rng = SystemRandom()  # with a fixed seed, prompts after a restart would be in the server's prompt cache
    limit = DayLimit(settings=settings.evaluating, catalogue=catalogue, clock=clock)
    selecting = Selecting(
        catalogue=catalogue,
        suites=suites(settings.evaluating.suites),
        settings=settings.evaluating,
        clock=clock,
        use_cases=known(settings.recommend.use_cases),
        vouched=settings.quality,
    )
    evaluation = Evaluation(
        bus=bus,
        catalogue=catalogue,
        selecting=selecting,
        settings=settings.evaluating,
        grader=grader,
        clock=clock,
        limit=limit,
    )
    judging = Judging(
        bus=bus,
        catalogue=catalogue,
        settings=settings.evaluating,
        grader=grader,
        clock=clock,
        use_cases=known(settings.recommend.use_cases),
        limit=limit,
    )
    measures: dict[JobKind, Measure] = {
        "benchmark": Speed(
            bus=bus,
            catalogue=catalogue,
            settings=settings.benchmarking,
            clock=clock,
            own=SystemClock(),
            rng=rng,
        ),
        "verify": Capabilities(bus=bus, clock=clock, rng=rng),
        "evaluate": evaluation,
        "judge": judging,
    }
    return measures, selecting, judging


def _jobs(
    service: Service,
    settings: Settings,
    endpoints: Endpoints,
    measures: Mapping[JobKind, Measure],
    selecting: Selecting,
    judging: Judging,
) -> tuple[Queueing, Measuring]:
    """Return what queues the jobs, and what does them."""
    bus, clock, catalogue = service.bus, service.clock, service.catalogue
    permission = Permission(catalogue=catalogue, endpoints=endpoints, clock=clock)
    queueing = Queueing(
        bus=bus,
        catalogue=catalogue,
        endpoints=endpoints,
        clock=clock,
        measures=measures,
        permission=permission,
        questions=selecting.questions,
        judging=judging.next_steps,
    )
    measuring = Measuring(
        bus=bus,
        catalogue=catalogue,
        clock=clock,
        measures=measures,
        permission=permission,
        queueing=queueing,
        probe_timeout_s=settings.probing.answer_timeout_s,
    )
    return queueing, measuring


@asynccontextmanager
async def serve(settings: Settings) -> AsyncIterator[Service]:
    """Run the benchmarker while the context is open."""
    async with (
        open_endpoints(settings, clock=SystemClock(), log=log.logger("benchmarker")) as endpoints,
        open_grader(settings.evaluating.suites) as grader,
        open_service("benchmarker", settings) as service,
    ):
        bus = service.bus
        suspicions = Suspicions(bus=bus, catalogue=service.catalogue, endpoints=endpoints)
        await service.follow(
            ("MODELS", "model.>"),
            ("ENDPOINTS", "endpoint.observed.*"),
            ("REPORTS", "report.>"),
            ("LOADS", "endpoint.load.*"),
            then=suspicions.on_event,
        )
        measures, selecting, judging = _measures(service, settings, grader)
        queueing, measuring = _jobs(service, settings, endpoints, measures, selecting, judging)
        service.include(routes(queueing))
        # Endpoints on one host share its processor: one durable per host group, one job of it in progress.
        served: set[str] = set()

        async def serve_hosts() -> None:
            for group in sorted({endpoint.settings.group for endpoint in endpoints} - served):
                on_job = endpoints.during(bus, measuring.on_job)
                await service.work(host_jobs(group), on_job, concurrency=1, timeout_s=MAX_MEASUREMENT_S)
                served.add(group)

        async def take_on(changed: Settings) -> None:
            selecting.reload(known(changed.recommend.use_cases), changed.quality)
            judging.reload(known(changed.recommend.use_cases))
            reloaded = await endpoints.reload(changed)
            await serve_hosts()
            await queueing.on_reload(reloaded.added)

        await serve_hosts()
        service.on_reload(take_on)
        service.note(endpoints.note)
        await service.start()
        bus.spawn(suspicions.run())
        yield service
