"""Discovery jobs: list an endpoint, describe its models, publish found, changed and lost ones."""

import asyncio
from collections.abc import Callable, Collection

import msgspec
import nats.errors

from vedette.bus.bus import Bus
from vedette.clock import Clock
from vedette.endpoints import Endpoints, OpenEndpoint, account, observe
from vedette.endpoints.contact import count_misses, pause
from vedette.errors import Deferred, ProviderError
from vedette.messages.catalogue import Catalogue
from vedette.messages.events import Job, ModelFound, Tick
from vedette.providers import Described, Listing
from vedette.providers.counting import counting
from vedette.settings import Discovering
from vedette.text.figures import counted
from vedette.types import EndpointState, ModelInfo, ModelRef
from vedette_discoverer.admission import admit
from vedette_discoverer.describing import compose, price_of
from vedette_discoverer.lifecycle import Lifecycles
from vedette_discoverer.starting import contact_again_s

_TRY_AGAIN_S = 1.0


class Discovery:
    """Turns ticks into one job per endpoint, and jobs into lifecycle events."""

    def __init__(
        self, *, bus: Bus, catalogue: Catalogue, endpoints: Endpoints, settings: Discovering, clock: Clock
    ) -> None:
        self._bus = bus
        self._catalogue = catalogue
        self._endpoints = endpoints
        self._settings = settings
        self._clock = clock
        self._lifecycles = Lifecycles(bus=bus, catalogue=catalogue, endpoints=endpoints, clock=clock)

    async def on_tick(self, tick: Tick) -> None:
        """Queue a discovery of every endpoint."""
        for endpoint in self._endpoints:
            await self._bus.publisher.enqueue(
                endpoint.job("discover", at=tick.slot, cause="tick", seed=tick.id)
            )

    async def on_start(self) -> None:
        """Queue discoveries of new and changed endpoints; lose the models of endpoints that are no longer configured.

        Waits until the clock of this process is right, and retries until NATS accepts the jobs.
        """
        await self.on_reload(())

    async def on_reload(self, opened: Collection[str]) -> None:
        """Do the same as `on_start`, and queue discoveries of the *opened* endpoints."""
        await self._bus.clock.until_right()
        while True:
            try:
                # Otherwise models that running jobs have just published would not be lost.
                if await self._bus.followings.current():
                    await self._catch_up(opened)
                    return
            except (nats.errors.Error, TimeoutError) as error:
                self._bus.log.warning("reload.deferred", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(_TRY_AGAIN_S)

    async def _catch_up(self, opened: Collection[str]) -> None:
        now, configured = self._clock.now(), self._endpoints.urls
        present = [(state, state.info.url) for state in self._catalogue.present() if state.info is not None]
        # URLs of former names: the discovery of the new name decides what happens to their models.
        former = {url for state, url in present if configured.get(state.model.endpoint) != url}
        for endpoint in self._endpoints:
            observed = self._catalogue.endpoint(endpoint.name)
            models = self._catalogue.of_endpoint(endpoint.name)
            known = observed is not None and observed.fingerprint == endpoint.settings.fingerprint
            moved = any(s.info and s.info.url != endpoint.settings.url for s in models)
            renamed = endpoint.settings.url in former
            if endpoint.name in opened or not known or not models or moved or renamed:
                await self._bus.publisher.enqueue(
                    endpoint.job("discover", at=now, cause="start", seed="start")
                )
        gone: dict[str, bool] = {}
        for state, url in present:
            name = state.model.endpoint
            if name in configured or url in configured.values():
                continue
            if name not in gone:
                gone[name] = not await self._lifecycles.lags(name)
            if gone[name]:
                await self._lifecycles.lose_removed(state, now)

    async def on_job(self, job: Job, endpoint: OpenEndpoint) -> None:
        """Discover *endpoint*. Raises Deferred if a source found it and its server may still be starting."""
        reason = self._why_paused(endpoint, job)
        if reason:
            await self._bus.jobs.publish_progress(job, "failed", f"{job.endpoint}: paused: {reason}")
            return
        await self._bus.jobs.publish_progress(job, "started", f"{job.endpoint}: listing")
        contact = await endpoint.contact()
        state = await observe(self._bus, endpoint, contact, job, also=self._admitting(contact.listing, job))
        if contact.listing is None:
            await self._lifecycles.end_former(endpoint, job)  # their models move when it is reachable
            origin = self._endpoints.defined.origins.get(job.endpoint)
            again_s = contact_again_s(job, contact.outcome, origin, self._clock.now())
            if again_s is not None:
                raise Deferred(wait_s=again_s, problem=contact.detail or contact.outcome)
            await self._bus.jobs.publish_progress(
                job, "failed", f"{job.endpoint}: {contact.detail or contact.outcome}"
            )
            return
        admitted = _admitted(contact.listing, state)
        with counting() as sent:
            found = await self._describe_all(endpoint, admitted, job)
        await account(self._bus, endpoint, sent.use, job)
        await self._lifecycles.lose_absent(endpoint, state, job, misses=self._settings.misses_until_lost)
        await self._lifecycles.end_former(endpoint, job)
        await self._have_probed(endpoint, found, job)
        refused = state.intake.refused if state.intake else 0
        if refused:
            self._bus.log.warning("names.refused", endpoint=job.endpoint, names=refused)
        too_many = f", {counted(refused, 'new name')} refused for today" if refused else ""
        await self._bus.jobs.publish_progress(
            job, "done", f"{job.endpoint}: {counted(len(admitted), 'model')}{too_many}"
        )

    def _why_paused(self, endpoint: OpenEndpoint, job: Job) -> str | None:
        if job.cause in ("manual", "start"):
            return None  # a person started it, or a secret may be new
        return pause(self._catalogue.endpoint(endpoint.name), endpoint.settings, self._clock.now())

    def _admitting(
        self, listing: list[Listing] | None, job: Job
    ) -> Callable[[EndpointState | None, EndpointState], EndpointState]:
        """Return the change that stores admitted names and missed models in the endpoint's state."""
        present = [state.model.name for state in self._catalogue.of_endpoint(job.endpoint)]
        known = self._catalogue.names_at(job.endpoint)

        def also(before: EndpointState | None, after: EndpointState) -> EndpointState:
            if listing is None or (before is not None and before.discovery_job == job.id):
                return after  # nothing was listed, or this job has counted before
            admitted, intake = admit(
                before,
                listing,
                known=known,
                per_day=self._settings.new_models_per_day,
                now=after.checked_at,
            )
            counted = count_misses(before.listing if before else (), admitted, present)
            return msgspec.structs.replace(
                after, listing=counted, listed_at=after.checked_at, discovery_job=job.id, intake=intake
            )

        return also

    async def _describe_all(self, endpoint: OpenEndpoint, listing: list[Listing], job: Job) -> list[ModelRef]:
        """Describe all listed models and publish changes; return the found models, newest last."""
        # This job's own slots first, so that other jobs at this endpoint get slots before it has ended.
        slots = asyncio.Semaphore(self._settings.per_endpoint)
        found: list[ModelRef] = []
        done = 0

        async def one(entry: Listing) -> None:
            nonlocal done
            async with slots, endpoint.slots:
                info = await self._describe(endpoint, entry)
            event = await self._lifecycles.take(info, job)
            if isinstance(event, ModelFound) and not event.formerly:
                found.append(event.model)
            done += 1
            await self._bus.jobs.publish_progress(job, "step", str(info.model), step=done, steps=len(listing))

        async with asyncio.TaskGroup() as group:
            for entry in listing:
                group.create_task(one(entry))
        return found

    async def _have_probed(self, endpoint: OpenEndpoint, found: list[ModelRef], job: Job) -> None:
        """Queue one probe job for all models here that were never probed; it has the name of the newest.

        That includes models that an earlier attempt of the job found before it failed.
        """
        held = [state for state in self._catalogue.of_endpoint(endpoint.name) if state.health is None]
        waiting = [state.model for state in sorted(held, key=lambda state: state.sequence)] + found
        if waiting:
            await self._bus.publisher.enqueue(
                endpoint.job("probe", at=job.at, cause="found", seed=job.id, model=waiting[-1])
            )

    async def _describe(self, endpoint: OpenEndpoint, entry: Listing) -> ModelInfo:
        try:
            described, problem = await endpoint.endpoint.describe(entry), None
        except ProviderError as error:
            described, problem = Described(), error.detail
        price = await price_of(endpoint, entry.name, described)
        return compose(endpoint, entry, described, problem, price=price)


def _admitted(listing: list[Listing], state: EndpointState) -> list[Listing]:
    """Return the entries of *listing* that the observation *state* holds as listed."""
    names = {entry.name for entry in state.listing if not entry.misses}
    return [entry for entry in listing if entry.name in names]
