"""Wiring of the ticker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import get_args

from vedette.events import ScheduledJob
from vedette.service import Service, open_service
from vedette.settings import Settings
from vedette_ticker.handlers import Ticker
from vedette_ticker.schedule import parse


@asynccontextmanager
async def serve(settings: Settings) -> AsyncIterator[Service]:
    """Run the ticker while the context is open."""
    async with open_service("ticker", settings) as service:
        await service.start()
        for job in get_args(ScheduledJob):
            ticker = Ticker(
                job=job,
                slots=parse(getattr(settings.schedule, job)),
                run_on_startup=settings.schedule.run_on_startup,
                bus=service.bus,
                clock=service.clock,
            )
            service.bus.spawn(ticker.run())
        yield service
