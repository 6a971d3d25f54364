"""Discoverer and prober on a real nats-server, at an endpoint that has many models and takes few requests."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
import pytest

from benchmarks.crowd import OllamaServer
from eventually import eventually
from samples import lifecycle_event, model_info
from vedette.bus.bus import Bus
from vedette.clock import SystemClock
from vedette.endpoints import open_endpoints
from vedette.errors import Deferred
from vedette.messages.catalogue import Catalogue
from vedette.messages.events import Job
from vedette.runtime import process
from vedette.settings import EndpointSettings, Settings
from vedette.settings.endpoints import Load
from vedette.types import ModelRef, Outcome
from vedette_prober.handlers import Probes

NOW = datetime(2026, 11, 23, tzinfo=UTC)
MODELS = 40
AT_ONCE = 4  # what the endpoint takes, and the default of probing.per_endpoint


@pytest.fixture
async def crowded() -> AsyncIterator[tuple[str, Counter[str]]]:
    """Run an Ollama that answers AT_ONCE requests at a time; yield its URL and what it has counted."""
    counts: Counter[str] = Counter()
    ollama = OllamaServer(models=MODELS, latency_s=0.01, at_once=AT_ONCE, counts=counts)
    async with ollama.listening() as url:
        yield url, counts


def at(url: str, settings: Settings) -> Settings:
    """Return *settings* with the one endpoint `box`, whose load is not read: a reading is no job and waits for none."""
    box = EndpointSettings(url=url, host_group="box", timeout_s=60.0, load=Load(every_s=0))
    return msgspec.structs.replace(settings, endpoints={"box": box})


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Catalogue]:
    """Run discoverer and prober; yield what the prober knows."""
    async with process.run(settings, ["discoverer", "prober"]) as up:
        (prober,) = (service for service in up.services if service.name == "prober")
        yield prober.catalogue


async def probed(catalogue: Catalogue, times: int) -> bool:
    """Return whether every model was probed *times* times."""
    states = catalogue.of_endpoint("box")
    healths = [state.health for state in states if state.health]
    return len(healths) == MODELS and all(len(health.outcomes) >= times for health in healths)


async def test_found_models_are_probed_once_each_in_one_job(
    bus: Bus, settings: Settings, crowded: tuple[str, Counter[str]]
) -> None:
    """However many were found, their endpoint is listed once for it, and never asked more than it takes."""
    url, counts = crowded
    async with running(at(url, settings)) as catalogue:
        await eventually(lambda: probed(catalogue, 1), what="all probed")
        healths = [state.health for state in catalogue.of_endpoint("box")]
    assert {len(health.outcomes) for health in healths if health} == {1}
    assert {health.outcomes[0].outcome for health in healths if health} == {Outcome.OK}
    assert counts["GET /api/tags"] == 2
    assert counts["violations"] == 0


async def test_jobs_side_by_side_keep_to_the_endpoints_limit_together(
    bus: Bus, settings: Settings, crowded: tuple[str, Counter[str]]
) -> None:
    """A probe of the endpoint and one of each of its models, all queued at once."""
    url, counts = crowded
    async with running(at(url, settings)) as catalogue:
        await eventually(lambda: probed(catalogue, 1), what="all probed")
        everything = Job(id="all", at=NOW, kind="probe", group="box", endpoint="box", cause="manual")
        await bus.publisher.enqueue(everything)
        for state in catalogue.of_endpoint("box"):
            await bus.publisher.enqueue(
                msgspec.structs.replace(everything, id=str(state.model), model=state.model)
            )
        await eventually(lambda: probed(catalogue, 3), what="all probed twice more")
    assert counts["violations"] == 0


@pytest.mark.fault("discovery cut short", "I12")
async def test_a_model_found_by_a_discovery_that_was_cut_short_is_probed(
    bus: Bus, settings: Settings, crowded: tuple[str, Counter[str]]
) -> None:
    """The next discovery finds nothing new, and has probed what the one before it had no time for."""
    url, _ = crowded
    for number in range(MODELS):
        model = ModelRef("box", f"model-{number}:1b")
        info = model_info(model, digest=f"{number:064x}")
        found = lifecycle_event("found", model, at=NOW, info=info)
        await bus.publisher.advance_model(model, lambda _, found=found: found, known=None)  # type: ignore[misc]
    async with running(at(url, settings)) as catalogue:
        await eventually(lambda: probed(catalogue, 1), what="all probed")


async def test_a_job_that_is_ahead_of_the_catalogue_waits_for_it(
    bus: Bus, settings: Settings, crowded: tuple[str, Counter[str]]
) -> None:
    """The job's model is in the stream: its probe is put off, not done without it."""
    model, clock = ModelRef("box", "model-0:1b"), SystemClock()
    job = Job(id="1", at=NOW, kind="probe", group="box", endpoint="box", model=model, cause="found")
    async with open_endpoints(at(crowded[0], settings), clock=clock) as endpoints:
        probes = Probes(
            bus=bus,
            catalogue=Catalogue(),
            endpoints=endpoints,
            settings=settings.probing,
            interval_s=60.0,
            clock=clock,
        )
        await bus.publisher.advance_model(
            model, lambda _: lifecycle_event("found", model, at=NOW), known=None
        )
        with pytest.raises(Deferred):
            await endpoints.during(bus, probes.on_job)(job)
