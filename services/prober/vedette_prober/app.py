"""The prober as a FastStream application: `routes` has its subscribers. Jobs come by our own loop (ADR 0002)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from faststream.nats import NatsRouter

from vedette import log
from vedette.clock import SystemClock
from vedette.endpoints import open_endpoints
from vedette.messages.consumers import jobs, lifecycle, ticks
from vedette.messages.events import ModelChanged, Tick
from vedette.runtime.routes import shared_by
from vedette.runtime.service import Service, open_service
from vedette.settings import Settings, interval_s
from vedette_prober.handlers import Probes
from vedette_prober.loads import Loads


def routes(probes: Probes) -> NatsRouter:
    """Return the routes that replicas of the prober share: ticks, and models whose weights changed."""
    router = NatsRouter()

    @router.subscriber(**shared_by(ticks("prober", "availability")))
    async def on_tick(tick: Tick) -> None:
        await probes.on_tick(tick)

    @router.subscriber(**shared_by(lifecycle("prober", "changed")))
    async def on_changed(event: ModelChanged) -> None:
        await probes.on_changed(event)

    return router


@asynccontextmanager
async def serve(settings: Settings) -> AsyncIterator[Service]:
    """Run the prober while the context is open."""
    async with (
        open_endpoints(settings, clock=SystemClock(), log=log.logger("prober")) as endpoints,
        open_service("prober", settings) as service,
    ):
        await service.follow(
            ("MODELS", "model.>"), ("ENDPOINTS", "endpoint.observed.*"), ("LOADS", "endpoint.load.*")
        )
        probes = Probes(
            bus=service.bus,
            catalogue=service.catalogue,
            endpoints=endpoints,
            settings=settings.probing,
            interval_s=interval_s(settings.schedule.availability),
            clock=service.clock,
        )
        service.include(routes(probes))
        await service.work(
            jobs("prober", "probe"),
            endpoints.during(service.bus, probes.on_job),
            concurrency=settings.probing.concurrency,
            timeout_s=settings.probing.job_timeout_s,
        )

        loads = Loads(
            bus=service.bus,
            catalogue=service.catalogue,
            endpoints=endpoints,
            every_s=settings.probing.load_every_s,
            clock=service.clock,
        )

        async def take_on(changed: Settings) -> None:
            reloaded = await endpoints.reload(changed)
            probes.interval_s = interval_s(changed.schedule.availability)
            await probes.on_reopened(reloaded.added)

        service.on_reload(take_on)
        service.note(endpoints.note)
        await service.start()
        service.bus.spawn(loads.run())
        yield service
