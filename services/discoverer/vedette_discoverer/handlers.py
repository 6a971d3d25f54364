"""Discovery jobs: list an endpoint, describe its models, publish what came, changed and went."""

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime

import msgspec
import nats.errors

from vedette.bus.bus import Bus
from vedette.clock import Clock
from vedette.endpoints import Endpoints, OpenEndpoint, account, observe
from vedette.endpoints.contact import count_misses, pause
from vedette.errors import Conflict, NotYet, ProviderError
from vedette.messages import subjects
from vedette.messages.catalogue import Catalogue, ModelState, Versioned
from vedette.messages.events import Formerly, Job, Lifecycle, ModelEvent, ModelFound, ModelReported, Tick
from vedette.providers import Described, Listing
from vedette.providers.counting import counting
from vedette.settings import Discovering
from vedette.text.figures import counted
from vedette.types import EndpointState, ModelInfo, ModelRef, Price
from vedette_discoverer import renaming
from vedette_discoverer.admission import admit
from vedette_discoverer.capabilities import infer
from vedette_discoverer.changes import gone, seen
from vedette_discoverer.licences import identifier
from vedette_discoverer.names import identify
from vedette_discoverer.prices import costs_nothing, listed_price
from vedette_discoverer.renaming import Former
from vedette_discoverer.starting import contact_again_s

_TRY_AGAIN_S = 1.0
_LOOK_AGAIN_S, _LOOK_AGAIN_TIMES = 0.1, 100


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

    async def on_tick(self, tick: Tick) -> None:
        """Queue a discovery of every endpoint."""
        for endpoint in self._endpoints:
            await self._bus.publisher.enqueue(
                endpoint.job("discover", at=tick.slot, cause="tick", seed=tick.id)
            )

    async def on_start(self) -> None:
        """Queue endpoints never observed or newly configured; lose the models of those no longer configured.

        Waits until this process's clock may be used; tries until NATS takes it.
        """
        await self.on_reload(())

    async def on_reload(self, opened: Collection[str]) -> None:
        """Do as at the start, and queue the endpoints that were *opened*."""
        await self._bus.clock.until_right()
        while True:
            try:
                # Only then are models that jobs in hand have published among those to lose.
                if await self._bus.followings.current():
                    await self._catch_up(opened)
                    return
            except (nats.errors.Error, TimeoutError) as error:
                self._bus.log.warning("reload.deferred", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(_TRY_AGAIN_S)

    async def _catch_up(self, opened: Collection[str]) -> None:
        now, configured = self._clock.now(), self._configured()
        present = [(state, state.info.url) for state in self._catalogue.present() if state.info is not None]
        # Their models are listed under the name that their server has now, if it has one: that job decides.
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
                gone[name] = not await self._lags(name)
            if gone[name]:
                await self._lose_removed(state, now)

    async def _lags(self, endpoint: str) -> bool:
        """Return whether the streams say something of *endpoint* that this process has yet to take on."""
        seen = self._endpoints.defined.seen
        if seen is None:
            return False
        defined = await self._bus.streams.last_sequence_of("DEFINITIONS", f"endpoint.defined.{endpoint}")
        came = await self._bus.streams.last_sequence_of("APPEARED", f"endpoint.appeared.*.{endpoint}")
        return defined > seen.definitions or came > seen.appeared

    async def _lose_removed(self, state: ModelState, now: datetime) -> None:
        job = Job(id=str(state.model), at=now, kind="discover", group="-", endpoint=state.model.endpoint)
        await self._publish(state.model, lambda s: gone(s, reason="endpoint_removed", job=job, now=now))

    async def on_job(self, job: Job) -> None:
        """Discover one endpoint. Raises NotYet for one that appeared, and whose server may still be starting."""
        endpoint = self._endpoints.get(job.endpoint)
        if endpoint is None:
            await self._bus.jobs.publish_progress(job, "failed", f"{job.endpoint}: not a configured endpoint")
            return
        reason = self._why_paused(endpoint, job)
        if reason:
            await self._bus.jobs.publish_progress(job, "failed", f"{job.endpoint}: paused: {reason}")
            return
        await self._bus.jobs.publish_progress(job, "started", f"{job.endpoint}: listing")
        contact = await endpoint.contact()
        state = await observe(self._bus, endpoint, contact, job, also=self._admitting(contact.listing, job))
        if contact.listing is None:
            await self._end_former(endpoint, job)  # they are taken over when the endpoint answers
            origin = self._endpoints.defined.origins.get(job.endpoint)
            again_s = contact_again_s(job, contact.outcome, origin, self._clock.now())
            if again_s is not None:
                raise NotYet(wait_s=again_s, problem=contact.detail or contact.outcome)
            await self._bus.jobs.publish_progress(
                job, "failed", f"{job.endpoint}: {contact.detail or contact.outcome}"
            )
            return
        admitted = _admitted(contact.listing, state)
        with counting() as sent:
            found = await self._describe_all(endpoint, admitted, job)
        await account(self._bus, endpoint, sent.use, job)
        await self._lose_absent(endpoint, state, job)
        await self._end_former(endpoint, job)
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
            return None  # a person asks, or a secret may just have been replaced
        return pause(self._catalogue.endpoint(endpoint.name), endpoint.settings, self._clock.now())

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
            event = await self._take(info, job)
            if isinstance(event, ModelFound) and not event.formerly:
                found.append(event.model)
            done += 1
            await self._bus.jobs.publish_progress(job, "step", str(info.model), step=done, steps=len(listing))

        async with asyncio.TaskGroup() as group:
            for entry in listing:
                group.create_task(one(entry))
        return found

    # Renaming ------------------------------------------------------------------------------------------------

    def _configured(self) -> renaming.Configured:
        return self._endpoints.urls

    async def _take(self, info: ModelInfo, job: Job) -> Lifecycle | None:
        """Publish what seeing *info* makes of the catalogue: found, changed, or known by another name until now."""
        now, configured = self._clock.now(), self._configured()
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
        """Return what *info* was known as, and its state then: read again while another job gives its name away."""
        for _ in range(_LOOK_AGAIN_TIMES):
            was = renaming.former(self._catalogue, configured, info)
            if was is None:
                return None, None
            if was.until is None and was.model.endpoint in configured:
                # Its name is to be another's: one loss ends it, for both jobs, so that both tell the same time.
                await self._end(was.model, info.url, job, now)
                await asyncio.sleep(_LOOK_AGAIN_S)
                continue
            source = await self._bus.streams.read_model(was.model, through=was.through)
            if source.lifecycle is not None and source.lifecycle.sequence == was.sequence:
                return was, source
            await asyncio.sleep(_LOOK_AGAIN_S)  # our view lags behind
        raise Conflict(subject=subjects.of_model("*", info.model), attempts=_LOOK_AGAIN_TIMES)

    async def _make_way(self, info: ModelInfo, job: Job, now: datetime) -> None:
        """Lose the model that has the name of *info* on another server, so that the two differ in the stream."""

        def step(state: ModelState) -> Lifecycle | None:
            elsewhere = state.info is not None and state.info.url != info.url
            return gone(state, reason="endpoint_removed", job=job, now=now) if elsewhere else None

        await self._bus.publisher.advance_model(
            info.model, step, known=await self._bus.streams.read_model(info.model)
        )

    async def _rename(
        self, was: Former, source: ModelState, info: ModelInfo, job: Job, now: datetime
    ) -> Lifecycle | None:
        """Have the model go on under its new name, with all that is known of it; then end the former name.

        What was measured is published first: until `found`, nothing is there under the new name. After a crash, the
        next job does what is left.
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
        """Publish *measured* unless something came after the sequence *after*: then another replica was here."""

        def step(held: Versioned[ModelEvent] | None) -> ModelEvent | None:
            same = held is not None and msgspec.structs.replace(held.event, id=measured.id) == measured
            return None if same or (held is not None and held.sequence > after) else measured

        await self._bus.publisher.advance("MODELS", measured.subject, step)

    async def _bring_reports(self, was: Former, target: ModelState) -> None:
        """Publish what callers reported of a model under its former name."""
        until = was.until or self._clock.now()
        last = await self._bus.streams.last_until("REPORTS", subjects.of_report(was.model), until)
        if isinstance(last, ModelReported):
            brought = renaming.renamed(last, target)
            await self._bus.publisher.advance("REPORTS", brought.subject, lambda _: brought)

    async def _leave(self, was: Formerly, info: ModelInfo, job: Job) -> None:
        await self._publish(was.model, lambda s: renaming.left(s, to=info, until=was.until, job=job))

    async def _end_former(self, endpoint: OpenEndpoint, job: Job) -> None:
        """End what is still there under a former name of *endpoint*: half done, of other weights, or not listed."""
        configured, url, now = self._configured(), endpoint.settings.url, self._clock.now()
        for state in list(self._catalogue.present()):
            former = state.model.endpoint
            if state.info is None or state.info.url != url or configured.get(former) == url:
                continue
            heir = self._catalogue.get(ModelRef(endpoint.name, state.model.name))
            if heir and heir.info and heir.formerly and heir.formerly.model == state.model:
                await self._leave(heir.formerly, heir.info, job)
            elif former not in configured and not await self._lags(former):
                await self._lose_removed(state, now)

    async def _have_probed(self, endpoint: OpenEndpoint, found: list[ModelRef], job: Job) -> None:
        """Queue one first probe of all models here that have had none; it is named after the newest.

        Those that an attempt before this one found, and did not come as far as this, are in the catalogue.
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

    async def _lose_absent(self, endpoint: OpenEndpoint, state: EndpointState, job: Job) -> None:
        now = self._clock.now()
        for entry in state.listing:
            if entry.misses >= self._settings.misses_until_lost:
                model = ModelRef(endpoint.name, entry.name)
                await self._publish(model, lambda s: gone(s, reason="absent", job=job, now=now))

    async def _publish(
        self, model: ModelRef, step: Callable[[ModelState], Lifecycle | None]
    ) -> Lifecycle | None:
        event = await self._bus.publisher.advance_model(model, step, known=self._catalogue.get(model))
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
    reported = {"locality": described.locality, **entry.facts, **described.facts}
    sources = dict.fromkeys(entry.facts, "listing") | dict(described.sources)
    named = identify(
        entry.name,
        origin=described.origin,
        kind=described.kind,
        parameters=reported.get("parameters"),
        quantized_as=reported.get("quantization"),
    )
    facts = {**named.facts, **reported}
    sources = dict(named.sources) | sources
    if kind != "embedding":
        facts.pop("embedding_dimensions", None)  # the width of a layer inside, which gives no vectors away
    free, why = costs_nothing(
        configured.price,
        facts.get("free"),
        features=endpoint.endpoint.features,
        locality=facts["locality"],
    )
    facts["free"], sources["free"] = free, why or sources.get("free", "")
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
        base_url=described.base_url,
        key_ref=configured.api_key.reference if configured.api_key else None,
        described=problem is None,
        description_error=problem,
        sources={name: source for name, source in sources.items() if name in facts},
        **facts,
    )
