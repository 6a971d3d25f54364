"""Wiring of the recommender."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import lru_cache, partial

from nats.aio.client import Client as Connection

from vedette import providers
from vedette.client import ask
from vedette.errors import ConfigurationError
from vedette.events import Event, PastReply, PastRequest, encode
from vedette.service import Service, open_service
from vedette.settings import Settings, interval_s
from vedette_recommender.announcing import Announcing
from vedette_recommender.answers import ANSWERED, Answers
from vedette_recommender.constants import STALE_INTERVALS
from vedette_recommender.observing import observe
from vedette_recommender.past import PAST, Past, Recall
from vedette_recommender.reporting import REPORT, Reporting
from vedette_recommender.usecases import known

_PAGE_TIMEOUT_S = 5.0
_ENDPOINTS = 65_536  # whose base URLs are kept


@lru_cache(maxsize=_ENDPOINTS)
def base_url(provider: str, url: str) -> str | None:
    """Return the base URL for OpenAI clients, where the provider is installed here and has one."""
    try:
        return providers.load(provider).base_url(url)
    except ConfigurationError:
        return None


def recall(connection: Connection) -> Recall:
    """Return how a recorder is asked for a page of the past."""

    async def page(wanted: PastRequest) -> PastReply:
        return await ask(connection, "history.asof", encode(wanted), PastReply, timeout_s=_PAGE_TIMEOUT_S)

    return page


@asynccontextmanager
async def serve(settings: Settings) -> AsyncIterator[Service]:
    """Run the recommender while the context is open."""
    async with open_service("recommender", settings) as service:
        use_cases = known(settings.recommend.use_cases)
        stale_after = timedelta(seconds=STALE_INTERVALS * interval_s(settings.schedule.availability))
        over = partial(
            Answers,
            endpoints=settings.endpoints,
            use_cases=use_cases,
            stale_after=stale_after,
            base_url=base_url,
        )
        answers = over(catalogue=service.catalogue, ratings=settings.quality, clock=service.clock)
        past = Past(
            recall=recall(service.bus.connection),
            answers=over,
            use_cases=use_cases,
            ratings=settings.quality,
            clock=service.clock,
        )
        reporting = Reporting(bus=service.bus, catalogue=service.catalogue, use_cases=use_cases)
        announcing = Announcing(
            bus=service.bus, answers=answers, use_cases=use_cases, clock=service.clock, log=service.log
        )

        def on_change(event: Event) -> None:
            answers.changed(event)
            announcing.poke()

        await service.follow(
            ("MODELS", "model.>"),
            ("ENDPOINTS", "endpoint.observed.*"),
            ("REPORTS", "report.>"),
            then=on_change,
        )
        await service.answer(ANSWERED, answers.answer)
        await service.answer_to([REPORT], reporting.answer)
        await service.answer([PAST], past.answer)
        service.before_closing(reporting.close)
        answers.prepare()
        await announcing.listen()
        await service.start()
        service.bus.spawn(reporting.run())
        service.bus.spawn(announcing.run())
        service.bus.spawn(observe(answers, service.catalogue, settings.endpoints))
        yield service
