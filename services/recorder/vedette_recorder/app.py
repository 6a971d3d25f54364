"""The recorder as a FastStream application: `routes` has its subscribers. Events come in batches (ADR 0002)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from faststream.nats import NatsRouter

from vedette.bus.stream_configs import stream_names
from vedette.errors import ConfigurationError
from vedette.messages.channels import QUERIES, RECORDED
from vedette.messages.consumers import recording, ticks
from vedette.messages.events import Tick
from vedette.runtime import telemetry
from vedette.runtime.routes import shared_by
from vedette.runtime.service import Service, open_service
from vedette.settings import Settings
from vedette_recorder.answers import Answers
from vedette_recorder.compaction import Compaction
from vedette_recorder.fullness import Fullness
from vedette_recorder.handlers import Recording
from vedette_recorder.lag_monitor import LagMonitor
from vedette_recorder.store import Store


def routes(recorder: Recording) -> NatsRouter:
    """Return the routes that replicas of the recorder share: ticks. `Recording.record` takes events in batches."""
    router = NatsRouter()

    @router.subscriber(**shared_by(ticks("recorder", "retention")))
    async def on_tick(tick: Tick) -> None:
        await recorder.on_tick(tick)

    return router


@asynccontextmanager
async def serve(settings: Settings) -> AsyncIterator[Service]:
    """Run the recorder while the context is open."""
    url = settings.database.address
    if url is None:
        raise ConfigurationError(
            where="database.url", problem='not set; for example "sqlite+aiosqlite:///vedette.db"'
        )
    async with Store(url) as store, open_service("recorder", settings) as service:
        recorder = Recording(
            bus=service.bus,
            store=store,
            lag_monitor=LagMonitor(bus=service.bus, store=store, clock=service.clock),
            clock=service.clock,
            retention=timedelta(days=settings.database.retention_days),
        )
        compaction = Compaction(
            bus=service.bus,
            store=store,
            cutoff=recorder.cutoff,
        )
        service.check(recorder.trouble)
        service.note(recorder.note)
        await recorder.open()
        service.include(routes(recorder))
        # From the start, so that Prometheus sees the first failure as an increase.
        telemetry.EVENTS.labels(service.name, Tick.TYPE, "failed")
        answers = Answers(store=store, clock=service.clock)
        await service.answer((q for q in QUERIES if q.service == service.name), answers.answer)
        await service.start()
        service.bus.spawn(recorder.pack())
        service.bus.spawn(recorder.watch_clock())
        service.bus.spawn(compaction.run())
        service.bus.spawn(Fullness(bus=service.bus, streams=stream_names(settings)).run())
        for stream in RECORDED:
            service.consume(recording(stream), recorder.record)
        yield service
