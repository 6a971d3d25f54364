"""Discovery jobs: list an endpoint, describe its models, publish what came, changed and went."""

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime

import msgspec
import nats.errors

from vedette.bus import Bus
from vedette.catalogue import Catalogue, ModelState
from vedette.clock import Clock
from vedette.contact import count_misses, pause
from vedette.endpoints import Endpoints, OpenEndpoint, observe
from vedette.errors import ProviderError
from vedette.events import Job, Lifecycle, ModelFound, Tick
from vedette.providers import Described, Listing
from vedette.settings import Probing
from vedette.types import EndpointState, ModelInfo, ModelRef, Price
from vedette_discoverer.admission import admit
from vedette_discoverer.capabilities import infer
from vedette_discoverer.changes import gone, seen
from vedette_discoverer.licences import identifier
from vedette_discoverer.names import identify
from vedette_discoverer.prices import listed_price

_TRY_AGAIN_S = 1.0


class Discovery:
    """Turns ticks into one job per endpoint, and jobs into lifecycle events."""

    def __init__(
        self, *, bus: Bus, catalogue: Catalogue, endpoints: Endpoints, settings: Probing, clock: Clock
    ) -> None:
        self._bus = bus
        self._catalogue = catalogue
        self._endpoints = endpoints
        self._settings = settings
        self._clock = clock

    async def on_tick(self, tick: Tick) -> None:
        """Queue a discovery of every endpoint."""
        for endpoint in self._endpoints:
            await self._bus.enqueue(endpoint.job("discover", at=tick.slot, cause="tick", seed=tick.id))

    async def on_start(self) -> None:
        """Queue endpoints never observed or configured anew; lose the models of those no longer configured.

        Waits until this process's clock may be used.
        """
        await self._bus.clock.until_right()
        await self._catch_up(())

    async def on_reload(self, anew: Collection[str]) -> None:
        """Do as at the start, and queue the endpoints that were opened *anew*; try until NATS takes it."""
        await self._bus.clock.until_right()
        while True:
            try:
                if await self._bus.current():  # what jobs in hand have published is to be lost as well
                    await self._catch_up(anew)
                    return
            except (nats.errors.Error, TimeoutError) as error:
                self._bus.log.warning("reload.retried", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(_TRY_AGAIN_S)

    async def _catch_up(self, anew: Collection[str]) -> None:
        now = self._clock.now()
        for endpoint in self._endpoints:
            held = self._catalogue.endpoint(endpoint.name)
            known = held is not None and held.event.fingerprint == endpoint.settings.fingerprint
            if endpoint.name in anew or not known or not self._catalogue.of_endpoint(endpoint.name):
                await self._bus.enqueue(endpoint.job("discover", at=now, cause="start", seed="start"))
        for state in list(self._catalogue.present()):
            if self._endpoints.get(state.model.endpoint) is None:
                await self._lose_removed(state, now)

    async def _lose_removed(self, state: ModelState, now: datetime) -> None:
        job = Job(id=str(state.model), at=now, kind="discover", group="-", endpoint=state.model.endpoint)
        await self._publish(state.model, lambda s: gone(s, reason="endpoint_removed", job=job, now=now))

    async def on_job(self, job: Job) -> None:
        """Discover one endpoint."""
        endpoint = self._endpoints.get(job.endpoint)
        if endpoint is None:
            await self._bus.tell(job, "failed", f"{job.endpoint}: not a configured endpoint")
            return
        reason = self._paused(endpoint, job)
        if reason:
            await self._bus.tell(job, "failed", f"{job.endpoint}: paused: {reason}")
            return
        await self._bus.tell(job, "started", f"{job.endpoint}: listing")
        contact = await endpoint.contact()
        state = await observe(self._bus, endpoint, contact, job, also=self._admitting(contact.listing, job))
        if contact.listing is None:
            await self._bus.tell(job, "failed", f"{job.endpoint}: {contact.detail or contact.outcome}")
            return
        admitted = _admitted(contact.listing, state)
        found = await self._describe_all(endpoint, admitted, job)
        await self._lose_absent(endpoint, state, job)
        await self._have_probed(endpoint, found, job)
        refused = state.intake.refused if state.intake else 0
        if refused:
            self._bus.log.warning("names.refused", endpoint=job.endpoint, names=refused)
        too_many = f", {refused:,} new names refused for today" if refused else ""
        await self._bus.tell(job, "done", f"{job.endpoint}: {len(admitted)} models{too_many}")

    def _paused(self, endpoint: OpenEndpoint, job: Job) -> str | None:
        if job.cause in ("manual", "start"):
            return None  # a person asks, or a secret may just have been replaced
        held = self._catalogue.endpoint(endpoint.name)
        return pause(held.event if held else None, endpoint.settings, self._clock.now())

    def _admitting(
        self, listing: list[Listing] | None, job: Job
    ) -> Callable[[EndpointState | None, EndpointState], EndpointState]:
        """Return what adds to the endpoint's state which names were admitted, and which models were missed."""
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
        """Describe all that is listed and publish what is new; return the models found, the newest last."""
        # Its own come first, so that another job here need not wait for the whole of this one.
        slots = asyncio.Semaphore(self._settings.per_endpoint)
        found: list[ModelRef] = []
        done = 0

        async def one(entry: Listing) -> None:
            nonlocal done
            async with slots, endpoint.slots:
                info = await self._describe(endpoint, entry)
            now = self._clock.now()
            event = await self._publish(info.model, lambda state: seen(state, info, job=job, now=now))
            if isinstance(event, ModelFound):
                found.append(event.model)
            done += 1
            await self._bus.tell(job, "step", str(info.model), step=done, steps=len(listing))

        async with asyncio.TaskGroup() as group:
            for entry in listing:
                group.create_task(one(entry))
        return found

    async def _have_probed(self, endpoint: OpenEndpoint, found: list[ModelRef], job: Job) -> None:
        """Queue one first probe of all models here that have had none; it is named after the newest.

        Those that an attempt before this one found, and did not come as far as this, are in the catalogue.
        """
        held = [state for state in self._catalogue.of_endpoint(endpoint.name) if state.health is None]
        waiting = [state.model for state in sorted(held, key=lambda state: state.sequence)] + found
        if waiting:
            await self._bus.enqueue(
                endpoint.job("probe", at=job.at, cause="found", seed=job.id, model=waiting[-1])
            )

    async def _describe(self, endpoint: OpenEndpoint, entry: Listing) -> ModelInfo:
        try:
            described, problem = await endpoint.endpoint.describe(entry), None
        except ProviderError as error:
            described, problem = Described(), error.detail
        price = await price_of(endpoint, entry.name, described)
        return compose(endpoint, entry, described, problem, price=price)

    async def _lose_absent(self, endpoint: OpenEndpoint, state: EndpointState, job: Job) -> None:
        now = self._clock.now()
        for entry in state.listing:
            if entry.misses >= self._settings.misses_until_lost:
                model = ModelRef(endpoint.name, entry.name)
                await self._publish(model, lambda s: gone(s, reason="absent", job=job, now=now))

    async def _publish(
        self, model: ModelRef, step: Callable[[ModelState], Lifecycle | None]
    ) -> Lifecycle | None:
        event = await self._bus.advance_model(model, step, known=self._catalogue.get(model))
        if event is not None:
            self._bus.log.info(event.TYPE, model=str(model), revision=event.revision)
        return event


def _admitted(listing: list[Listing], state: EndpointState) -> list[Listing]:
    """Return the entries of *listing* that the observation *state* holds as listed."""
    names = {entry.name for entry in state.listing if not entry.misses}
    return [entry for entry in listing if entry.name in names]


async def price_of(endpoint: OpenEndpoint, name: str, described: Described) -> Price | None:
    """Return what *name* costs: as configured, else as the service says, else by list price where it is not free."""
    if endpoint.settings.price is not None:
        return endpoint.settings.price.price
    if described.price is not None:
        return described.price
    if endpoint.endpoint.features.free_to_ask:
        return None
    # In a thread: the first look-up imports the tables, which takes most of a second.
    return await asyncio.to_thread(listed_price, name, url=endpoint.settings.url)


def compose(
    endpoint: OpenEndpoint,
    entry: Listing,
    described: Described,
    problem: str | None,
    *,
    price: Price | None = None,
) -> ModelInfo:
    """Return what is known of a listed model: what it is described as over what it is listed as over its name.

    A fact that does not have its field's shape is left out: a server's absurdity is not knowledge.
    """
    kind, claims = infer(described, entry.name)
    configured = endpoint.settings
    told = {"locality": described.locality, **entry.facts, **described.facts}
    sources = dict.fromkeys(entry.facts, "listing") | dict(described.sources)
    named = identify(
        entry.name,
        origin=described.origin,
        kind=described.kind,
        parameters=told.get("parameters"),
        told=told.get("quantization"),
    )
    facts = {**named.facts, **told}
    sources = dict(named.sources) | sources
    if kind != "embedding":
        facts.pop("embedding_dimensions", None)  # the width of a layer inside, which gives no vectors away
    if "license" in facts and (licence := identifier(facts["license"])) != facts["license"]:
        sources["license"] = f"{sources['license']}: {facts['license']}"
        facts["license"] = licence
    return ModelInfo(
        model=ModelRef(endpoint.name, entry.name),
        provider=configured.provider,
        url=configured.url,
        api=endpoint.provider.api,
        kind=kind,
        digest=entry.digest,
        canonical=named.canonical,
        capabilities=claims,
        price=price,
        key_ref=configured.api_key.reference if configured.api_key else None,
        described=problem is None,
        description_error=problem,
        sources={name: source for name, source in sources.items() if name in facts},
        **facts,
    )
