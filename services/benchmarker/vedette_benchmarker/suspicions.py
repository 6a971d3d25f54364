"""Queues a small benchmark of each model that may have changed, soon after the event that shows it."""

import asyncio
from collections import deque
from datetime import datetime

import nats.errors

from vedette.bus.bus import Bus
from vedette.endpoints import Endpoints
from vedette.errors import ClockWrong, Deferred
from vedette.messages.catalogue import Catalogue
from vedette.messages.events import EndpointLoad, Event, ModelBenchmarked, ModelProbed, ModelReported
from vedette.messages.tolerance import is_within
from vedette.types import ModelRef
from vedette_benchmarker.suspecting import EVERY, LOADS, suspicion, worked_on

_LOOK_EVERY_S = 1.0


class Suspicions:
    """Checks each model after its events. All replicas do this, because a queued job is not queued twice."""

    def __init__(self, *, bus: Bus, catalogue: Catalogue, endpoints: Endpoints) -> None:
        self._bus = bus
        self._catalogue = catalogue
        self._endpoints = endpoints
        self._touched: set[ModelRef] = set()
        self._asked: dict[ModelRef, datetime] = {}
        self._loads: dict[str, deque[EndpointLoad]] = {}  # the last loads of each endpoint with busy models

    def on_event(self, event: Event) -> None:
        """Check the model of *event* soon, if the event can raise or end a suspicion."""
        if isinstance(event, ModelReported | ModelProbed | ModelBenchmarked):
            self._touched.add(event.model)
        elif isinstance(event, EndpointLoad):
            self._on_load(event)

    def _on_load(self, load: EndpointLoad) -> None:
        if not (at_work := worked_on(load)):
            self._loads.pop(load.endpoint, None)
            return
        last = self._loads.setdefault(load.endpoint, deque(maxlen=LOADS))
        last.append(load)
        if len(last) == LOADS:
            self._touched.update(ModelRef(load.endpoint, name) for name in at_work)

    async def run(self) -> None:
        """Check models until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            now = self._bus.clock.now()
            for model in sorted(self._touched):
                if await self._is_settled(model, now):
                    self._touched.discard(model)
                await asyncio.sleep(0)  # after a start, ten thousand models are checked
            self._asked = {model: at for model, at in self._asked.items() if is_within(at, now, EVERY)}

    async def _is_settled(self, model: ModelRef, now: datetime) -> bool:
        """Queue a benchmark of *model* if one is due; return whether the model needs no further check."""
        state, endpoint = self._catalogue.get(model), self._endpoints.get(model.endpoint)
        loads = tuple(self._loads.get(model.endpoint, ()))
        found = suspicion(state, now, loads) if state else None
        if found is None or endpoint is None or not endpoint.settings.benchmark:
            return True
        if now < found.due or model in self._asked:
            return False
        job = endpoint.job("benchmark", at=now, cause="suspicion", seed=found.why, model=model)
        try:
            await self._bus.publisher.enqueue(job)
        except (nats.errors.Error, Deferred, ClockWrong, TimeoutError) as error:
            self._bus.log.warning("suspicion.dropped", model=str(model), error=f"{type(error).__name__}")
            return False
        self._asked[model] = now
        self._bus.log.info("suspicion.queued", model=str(model), reason=found.why)
        return False
