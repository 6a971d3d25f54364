"""Wiring of the recommender."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import lru_cache

from vedette import providers
from vedette.errors import ConfigurationError
from vedette.events import QUESTIONS, Event
from vedette.service import Service, open_service
from vedette.settings import Settings, interval_s
from vedette_recommender.announcing import Announcing
from vedette_recommender.answers import Answers
from vedette_recommender.constants import STALE_INTERVALS
from vedette_recommender.usecases import known


@lru_cache(maxsize=1024)
def base_url(provider: str, url: str) -> str | None:
    """Return the base URL for OpenAI clients, where the provider is installed here and has one."""
    try:
        return providers.load(provider).base_url(url)
    except ConfigurationError:
        return None


@asynccontextmanager
async def serve(settings: Settings) -> AsyncIterator[Service]:
    """Run the recommender while the context is open."""
    async with open_service("recommender", settings) as service:
        use_cases = known(settings.recommend.use_cases)
        answers = Answers(
            catalogue=service.catalogue,
            endpoints=settings.endpoints,
            use_cases=use_cases,
            stale_after=timedelta(seconds=STALE_INTERVALS * interval_s(settings.schedule.availability)),
            base_url=base_url,
            ratings=settings.quality,
            clock=service.clock,
        )
        announcing = Announcing(
            bus=service.bus, answers=answers, use_cases=use_cases, clock=service.clock, log=service.log
        )

        def on_change(_: Event) -> None:
            answers.changed()
            announcing.poke()

        await service.follow(
            ("MODELS", "model.>"),
            ("ENDPOINTS", "endpoint.observed.*"),
            then=on_change,
        )
        await service.answer((q for q in QUESTIONS if q.service == service.name), answers.answer)
        await announcing.listen()
        await service.start()
        service.bus.spawn(announcing.run())
        yield service
