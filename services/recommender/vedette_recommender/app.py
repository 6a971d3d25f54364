"""The recommender as a FastStream application without subscribers: it follows streams and replies (ADR 0002)."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

from nats.aio.client import Client as Connection

from vedette.client import ask
from vedette.local import facts
from vedette.messages.codec import encode
from vedette.messages.events import EndpointLoad, Event
from vedette.messages.queries import PastReply, PastRequest
from vedette.providers import base_url
from vedette.runtime.service import Service, open_service
from vedette.settings import Settings, interval_s
from vedette.usecases import UseCase, known
from vedette_recommender.announcing import Announcing
from vedette_recommender.answers import ANSWERED, Answers
from vedette_recommender.as_of import PAST, Past, Recall
from vedette_recommender.constants import STALE_INTERVALS
from vedette_recommender.observing import forget, observe
from vedette_recommender.reporting import MEASURED, REPORT, Reporting

_PAGE_TIMEOUT_S = 5.0


def recall(connection: Connection) -> Recall:
    """Return how a recorder is asked for a page of the past."""

    async def page(wanted: PastRequest) -> PastReply:
        return await ask(connection, "history.asof", encode(wanted), PastReply, timeout_s=_PAGE_TIMEOUT_S)

    return page


class _Configured(NamedTuple):
    """Values that follow from the settings in force."""

    answers: Answers
    past: Past
    use_cases: Mapping[str, UseCase]
    endpoints: frozenset[str]
    facts: bytes | None  # of the operator's own
    model_metrics: int


def _configured(service: Service, settings: Settings) -> _Configured:
    use_cases = known(settings.recommend.use_cases)
    file = Path(settings.recommend.facts) if settings.recommend.facts else None
    over = partial(
        Answers,
        published=facts.load(file),
        endpoints=settings.endpoints,
        use_cases=use_cases,
        stale_after=timedelta(seconds=STALE_INTERVALS * interval_s(settings.schedule.availability)),
        base_url=base_url,
    )
    past = Past(
        recall=recall(service.bus.connection),
        answers=over,
        use_cases=use_cases,
        ratings=settings.quality,
        clock=service.clock,
    )
    answers = over(
        catalogue=service.catalogue, ratings=settings.quality, defined=settings.defined, clock=service.clock
    )
    models = settings.recommend.model_metrics
    endpoints = frozenset(settings.endpoints.keys() - settings.defined.closed.keys())  # a pause is no fault
    return _Configured(answers, past, use_cases, endpoints, _written(file), models)


def _written(file: Path | None) -> bytes | None:
    """Return the content of the operator's own facts file, if there is one."""
    return file.read_bytes() if file and file.is_file() else None


@asynccontextmanager
async def serve(settings: Settings) -> AsyncIterator[Service]:
    """Run the recommender while the context is open."""
    async with open_service("recommender", settings) as service:
        now = _configured(service, settings)
        reporting = Reporting(bus=service.bus, catalogue=service.catalogue, use_cases=now.use_cases)
        announcing = Announcing(
            bus=service.bus,
            answers=now.answers,
            use_cases=now.use_cases,
            clock=service.clock,
            log=service.log,
        )

        def on_change(event: Event) -> None:
            now.answers.changed(event)
            if not isinstance(event, EndpointLoad):  # no announcement follows the load of the moment
                announcing.poke()

        async def take_on(changed: Settings) -> None:
            nonlocal now
            configured = _configured(service, changed)
            if changed == service.settings and configured.facts == now.facts:
                return
            configured.answers.prepare()
            for endpoint in now.endpoints - configured.endpoints:
                forget(endpoint)
            now = configured
            reporting.use_cases = now.use_cases
            announcing.reload(now.answers, now.use_cases)

        await service.follow(
            ("MODELS", "model.>"),
            ("ENDPOINTS", "endpoint.observed.*"),
            ("REPORTS", "report.>"),
            ("LOADS", "endpoint.load.*"),
            then=on_change,
        )
        await service.answer_to(ANSWERED, lambda *asked: now.answers.answer(*asked))
        await service.answer_to([REPORT], reporting.answer)
        await service.answer(PAST, lambda subject, payload: now.past.answer(subject, payload))
        await service.answer([MEASURED], reporting.answer_measured)
        service.before_closing(reporting.close)
        now.answers.prepare()
        await announcing.listen()
        await service.start()
        service.bus.spawn(reporting.run())
        service.bus.spawn(announcing.run())
        service.bus.spawn(observe(lambda: (now.answers, now.endpoints, now.model_metrics), service.catalogue))
        service.on_reload(take_on)
        yield service
