"""The discoverer as a FastStream application: `routes` has its subscribers. Jobs come by our own loop (ADR 0002)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from faststream.nats import NatsRouter

from vedette import log, providers
from vedette.clock import SystemClock
from vedette.endpoints import open_endpoints
from vedette.messages.consumers import jobs, ticks
from vedette.messages.events import Tick
from vedette.runtime.routes import shared_by
from vedette.runtime.service import Service, open_service
from vedette.settings import Settings
from vedette_discoverer.handlers import Discovery
from vedette_discoverer.sources.publishing import Appearing


def routes(discovery: Discovery) -> NatsRouter:
    """Return the routes that replicas of the discoverer share: ticks."""
    router = NatsRouter()

    @router.subscriber(**shared_by(ticks("discoverer", "discovery")))
    async def on_tick(tick: Tick) -> None:
        await discovery.on_tick(tick)

    return router


@asynccontextmanager
async def serve(settings: Settings) -> AsyncIterator[Service]:
    """Run the discoverer while the context is open."""
    async with (
        open_endpoints(settings, clock=SystemClock(), log=log.logger("discoverer")) as endpoints,
        open_service("discoverer", settings) as service,
    ):
        await service.follow(("MODELS", "model.>"), ("ENDPOINTS", "endpoint.observed.*"))
        discovery = Discovery(
            bus=service.bus,
            catalogue=service.catalogue,
            endpoints=endpoints,
            settings=settings.probing,
            clock=service.clock,
        )
        service.include(routes(discovery))
        await service.work(
            jobs("discoverer", "discover"),
            endpoints.during(service.bus, discovery.on_job),
            concurrency=settings.probing.concurrency,
            timeout_s=settings.probing.job_timeout_s,
        )

        appearing = Appearing(bus=service.bus, clock=service.clock, providers=providers.names())

        async def take_on(changed: Settings) -> None:
            appearing.require(changed)
            before = endpoints.defined
            reloaded = await endpoints.reload(changed)
            # Also if the endpoints here are the same: another replica may have lost models meanwhile.
            if any(reloaded) or endpoints.defined != before:
                service.bus.spawn(discovery.on_reload({*reloaded.added, *reloaded.changed}))
            await appearing.take_on(changed)

        service.on_reload(take_on)
        service.note(endpoints.note)
        service.note(appearing.note)
        await service.start()
        service.bus.spawn(discovery.on_start())
        await appearing.take_on(settings)
        try:
            yield service
        finally:
            await appearing.close()
