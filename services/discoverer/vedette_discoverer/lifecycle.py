"""Publishes the lifecycle of an endpoint's models: found, changed, lost, renamed."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import msgspec

from vedette.bus.bus import Bus
from vedette.clock import Clock
from vedette.endpoints import Endpoints, OpenEndpoint
from vedette.errors import Conflict
from vedette.messages import subjects
from vedette.messages.catalogue import Catalogue, ModelState, Versioned
from vedette.messages.events import Formerly, Job, Lifecycle, ModelEvent, ModelFound, ModelReported
from vedette.types import EndpointState, ModelInfo, ModelRef
from vedette_discoverer import renaming
from vedette_discoverer.changes import gone, seen
from vedette_discoverer.renaming import Former

_LOOK_AGAIN_S, _LOOK_AGAIN_TIMES = 0.1, 100


class Lifecycles:
    """Publishes lifecycle events, each by compare-and-set on all messages of its model."""

    def __init__(self, *, bus: Bus, catalogue: Catalogue, endpoints: Endpoints, clock: Clock) -> None:
        self._bus = bus
        self._catalogue = catalogue
        self._endpoints = endpoints
        self._clock = clock

    async def take(self, info: ModelInfo, job: Job) -> Lifecycle | None:
        """Publish the change of the model by *info*: found, changed or renamed. Return the event, or None."""
        now, configured = self._clock.now(), self._endpoints.urls
        was, source = await self._former(info, configured, job, now)
        held = self._catalogue.get(info.model)
        if was is not None or (held and renaming.makes_way(self._catalogue, configured, held)):
            await self._make_way(info, job, now)
        if was is not None and source is not None:
            return await self._rename(was, source, info, job, now)
        return await self._publish(info.model, lambda state: seen(state, info, job=job, now=now))

    async def _former(
        self, info: ModelInfo, configured: renaming.Configured, job: Job, now: datetime
    ) -> tuple[Former | None, ModelState | None]:
        """Return the former name of *info* and its state, or None twice; read again while another job changes them.

        Raises Conflict after 100 attempts.
        """
        for _ in range(_LOOK_AGAIN_TIMES):
            was = renaming.former(self._catalogue, configured, info)
            if was is None:
                return None, None
            if was.until is None and was.model.endpoint in configured:
                # Another server gets its name. Both jobs must use the same loss, with the same time.
                await self._end(was.model, info.url, job, now)
                await asyncio.sleep(_LOOK_AGAIN_S)
                continue
            source = await self._bus.streams.read_model(was.model, through=was.through)
            if source.lifecycle is not None and source.lifecycle.sequence == was.sequence:
                return was, source
            await asyncio.sleep(_LOOK_AGAIN_S)  # our view lags behind
        raise Conflict(subject=subjects.of_model("*", info.model), attempts=_LOOK_AGAIN_TIMES)

    async def _make_way(self, info: ModelInfo, job: Job, now: datetime) -> None:
        """Lose the model of another server under the name of *info*, so that the stream separates the two."""

        def step(state: ModelState) -> Lifecycle | None:
            elsewhere = state.info is not None and state.info.url != info.url
            return gone(state, reason="endpoint_removed", job=job, now=now) if elsewhere else None

        await self._bus.publisher.advance_model(
            info.model, step, known=await self._bus.streams.read_model(info.model)
        )

    async def _rename(
        self, was: Former, source: ModelState, info: ModelInfo, job: Job, now: datetime
    ) -> Lifecycle | None:
        """Move the model and its state to its new name; then end the former name.

        Measurements are published first: the new name does not exist before `found`. After a crash, the next job
        continues.
        """
        target = await self._bus.streams.read_model(info.model)

        def step(state: ModelState) -> Lifecycle | None:
            if state.present and state.info and state.info.url == info.url:
                return seen(state, info, job=job, now=now)  # another replica did it
            return renaming.found(state, info, source=source, was=was, job=job, now=now)

        if not target.present:
            for measured in renaming.measured(source, target):
                await self._bring(measured, after=target.sequence)
            await self._bring_reports(was, target)
            target = await self._bus.streams.read_model(info.model)
        event = await self._bus.publisher.advance_model(info.model, step, known=target)
        if isinstance(event, ModelFound) and event.formerly:
            self._bus.log.info("model.renamed", model=str(info.model), formerly=str(was.model))
            if not was.replaced and was.model != info.model:
                await self._leave(event.formerly, info, job)
        return event

    async def _end(self, model: ModelRef, url: str, job: Job, now: datetime) -> None:
        def step(state: ModelState) -> Lifecycle | None:
            here = state.info is not None and state.info.url == url
            return gone(state, reason="endpoint_removed", job=job, now=now) if here else None

        await self._bus.publisher.advance_model(model, step, known=await self._bus.streams.read_model(model))

    async def _bring(self, measured: ModelEvent, *, after: int) -> None:
        """Publish *measured*, unless there is a message after the sequence *after*: then another replica did it."""

        def step(held: Versioned[ModelEvent] | None) -> ModelEvent | None:
            same = held is not None and msgspec.structs.replace(held.event, id=measured.id) == measured
            return None if same or (held is not None and held.sequence > after) else measured

        await self._bus.publisher.advance("MODELS", measured.subject, step)

    async def _bring_reports(self, was: Former, target: ModelState) -> None:
        """Copy callers' reports of a model from its former name."""
        until = was.until or self._clock.now()
        last = await self._bus.streams.last_until("REPORTS", subjects.of_report(was.model), until)
        if isinstance(last, ModelReported):
            brought = renaming.renamed(last, target)
            await self._bus.publisher.advance("REPORTS", brought.subject, lambda _: brought)

    async def _leave(self, was: Formerly, info: ModelInfo, job: Job) -> None:
        await self._publish(was.model, lambda s: renaming.left(s, to=info, until=was.until, job=job))

    async def end_former(self, endpoint: OpenEndpoint, job: Job) -> None:
        """Lose models that remain under a former name of *endpoint*: half moved, with other weights, or not listed."""
        configured, url, now = self._endpoints.urls, endpoint.settings.url, self._clock.now()
        for state in list(self._catalogue.present()):
            former = state.model.endpoint
            if state.info is None or state.info.url != url or configured.get(former) == url:
                continue
            heir = self._catalogue.get(ModelRef(endpoint.name, state.model.name))
            if heir and heir.info and heir.formerly and heir.formerly.model == state.model:
                await self._leave(heir.formerly, heir.info, job)
            elif former not in configured and not await self.lags(former):
                await self.lose_removed(state, now)

    async def lose_absent(
        self, endpoint: OpenEndpoint, state: EndpointState, job: Job, *, misses: int
    ) -> None:
        """Lose the models of *endpoint* that were missing from *misses* listings in a row."""
        now = self._clock.now()
        for entry in state.listing:
            if entry.misses >= misses:
                model = ModelRef(endpoint.name, entry.name)
                await self._publish(model, lambda s: gone(s, reason="absent", job=job, now=now))

    async def lose_removed(self, state: ModelState, now: datetime) -> None:
        """Lose the model *state*, whose endpoint is not configured any more."""
        job = Job(id=str(state.model), at=now, kind="discover", group="-", endpoint=state.model.endpoint)
        await self._publish(state.model, lambda s: gone(s, reason="endpoint_removed", job=job, now=now))

    async def lags(self, endpoint: str) -> bool:
        """Return whether the streams have a definition of *endpoint* that this process has not applied yet."""
        seen = self._endpoints.defined.seen
        if seen is None:
            return False
        defined = await self._bus.streams.last_sequence_of("DEFINITIONS", f"endpoint.defined.{endpoint}")
        came = await self._bus.streams.last_sequence_of("APPEARED", f"endpoint.appeared.*.{endpoint}")
        return defined > seen.definitions or came > seen.appeared

    async def _publish(
        self, model: ModelRef, step: Callable[[ModelState], Lifecycle | None]
    ) -> Lifecycle | None:
        event = await self._bus.publisher.advance_model(model, step, known=self._catalogue.get(model))
        if event is not None:
            self._bus.log.info(event.TYPE, model=str(model), revision=event.revision)
        return event
