"""Gauges of the recommender's catalogue for Prometheus: models by status, and which endpoints are reachable."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

from vedette.messages.catalogue import Catalogue
from vedette.types import Outcome
from vedette_recommender import metrics
from vedette_recommender.answers import Answers

_EVERY_S = 5.0
_MODELS_EVERY = 3  # rounds


async def observe(current: Callable[[], tuple[Answers, Iterable[str], int]], catalogue: Catalogue) -> None:
    """Keep the gauges current until cancelled: of the answers, the endpoints and the number of models in force."""
    while True:
        for _ in range(_MODELS_EVERY):
            answers, endpoints, most = current()
            update(answers, catalogue, endpoints)
            await asyncio.sleep(_EVERY_S)
        metrics.MODEL_SERIES.update(*answers.figures(most))


def forget(endpoint: str) -> None:
    """Remove the gauge of an endpoint that is configured no longer."""
    with suppress(KeyError):
        metrics.ENDPOINT_OK.remove(endpoint)


def update(answers: Answers, catalogue: Catalogue, endpoints: Iterable[str]) -> None:
    """Set the gauges to the current values; an endpoint that was never contacted has none."""
    for status, models in answers.statuses().items():
        metrics.MODELS.labels(status).set(models)
    metrics.SEQUENCE.set(catalogue.sequence)
    for name in endpoints:
        observed = catalogue.endpoint(name)
        if observed is not None:
            metrics.ENDPOINT_OK.labels(name).set(observed.outcome is Outcome.OK)
