"""The ticker as a FastStream application. It has no subscribers: it publishes ticks, by compare-and-set."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import get_args

from vedette.cancelling import cancel
from vedette.messages.events import ScheduledJob
from vedette.runtime.service import Service, open_service
from vedette.settings import Schedule, Settings
from vedette_ticker.handlers import Ticker
from vedette_ticker.schedule import parse


@asynccontextmanager
async def serve(settings: Settings) -> AsyncIterator[Service]:
    """Run the ticker while the context is open."""
    async with open_service("ticker", settings) as service:
        await service.start()
        tasks: dict[ScheduledJob, asyncio.Task[None]] = {}

        def begin(schedule: Schedule, job: ScheduledJob) -> None:
            ticker = Ticker(
                job=job,
                slots=parse(getattr(schedule, job)),
                run_on_startup=schedule.run_on_startup,
                bus=service.bus,
                clock=service.clock,
            )
            tasks[job] = service.bus.spawn(ticker.run())

        async def take_on(changed: Settings) -> None:
            for job in get_args(ScheduledJob):
                if getattr(changed.schedule, job) != getattr(service.settings.schedule, job):
                    await cancel([tasks[job]])
                    begin(changed.schedule, job)

        for job in get_args(ScheduledJob):
            begin(settings.schedule, job)
        service.on_reload(take_on)
        yield service
