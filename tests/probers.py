"""A prober, and a discoverer that finds models for it, at the one endpoint `box`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from eventually import eventually
from vedette.bus.bus import Bus
from vedette.messages.catalogue import Catalogue, ModelState
from vedette.messages.events import Job
from vedette.runtime import process
from vedette.settings import EndpointSettings, Settings
from vedette.types import ModelRef


class Prober:
    """What a prober knows of *model*, and how to ask it for a probe."""

    def __init__(self, bus: Bus, catalogue: Catalogue, model: ModelRef, *, within_s: float) -> None:
        self._bus = bus
        self._catalogue = catalogue
        self._model = model
        self._within_s = within_s

    async def probe(self, job_id: str) -> None:
        """Queue a probe, once the job before it is no longer in the queue."""
        job = Job(
            id=job_id,
            at=self._bus.clock.now(),
            kind="probe",
            group="box",
            endpoint="box",
            cause="manual",
            model=self._model,
        )

        async def queued() -> bool:
            return (await self._bus.publisher.enqueue(job)).id == job.id

        await eventually(queued, within_s=self._within_s, what="the job is queued")

    async def probed(self, times: int) -> ModelState:
        """Return the model once it was probed *times* times."""

        async def ask() -> ModelState | None:
            state = self._catalogue.get(self._model)
            return state if state and state.health and len(state.health.outcomes) >= times else None

        state = await eventually(ask, within_s=self._within_s, what=f"it is probed {times} times")
        assert state is not None
        return state


@asynccontextmanager
async def probing(
    bus: Bus, settings: Settings, box: EndpointSettings, model: ModelRef, *, within_s: float
) -> AsyncIterator[Prober]:
    """Run a discoverer and a prober at *box*; yield the prober."""
    with_box = msgspec.structs.replace(settings, endpoints={"box": box})
    async with process.run(with_box, ["discoverer", "prober"]) as up:
        (prober,) = (service for service in up.services if service.name == "prober")
        yield Prober(bus, prober.catalogue, model, within_s=within_s)
