"""Probe jobs: one contact with an endpoint, then each of its models as deeply as is safe."""

import asyncio
from collections.abc import Collection
from weakref import WeakValueDictionary

import msgspec
import nats.errors

from vedette.bus.bus import Bus
from vedette.clock import Clock
from vedette.endpoints import Endpoints, OpenEndpoint, gate, observe, own
from vedette.endpoints.budget import covers, with_load
from vedette.endpoints.contact import Contact, pause
from vedette.errors import Deferred
from vedette.messages import ids, subjects
from vedette.messages.catalogue import Catalogue, ModelState, Versioned
from vedette.messages.events import Job, ModelChanged, ModelProbed, Tick
from vedette.messages.tolerance import MAX_OFFSET_S
from vedette.providers import Listing
from vedette.providers.counting import counting
from vedette.settings import Probing
from vedette.text.figures import counted
from vedette.types import (
    EndpointState,
    Health,
    Level,
    ModelInfo,
    ModelRef,
    ProbeSample,
    Use,
)
from vedette_prober.budget import jitter_s
from vedette_prober.confirming import Confirming
from vedette_prober.round import NOT_REACHED, Probed, Round
from vedette_prober.verdict import fold, in_doubt, needs_confirmation

_CATCHING_UP_S = 0.5
# A server that is being restarted is often back by then.
_CONFIRM_AFTER_S = 3.0
_MAX_APART = 4  # models that are probed again one by one
_CONFIRM_SPREAD_S = 3.0  # after _CONFIRM_AFTER_S


class Probes:
    """Turns ticks and new weights into jobs, and jobs into `model.probed`."""

    def __init__(
        self,
        *,
        bus: Bus,
        catalogue: Catalogue,
        endpoints: Endpoints,
        settings: Probing,
        interval_s: float,
        clock: Clock,
    ) -> None:
        self._bus = bus
        self._catalogue = catalogue
        self._endpoints = endpoints
        self._settings = settings
        self.interval_s = interval_s
        self._clock = clock
        self._turns: WeakValueDictionary[ModelRef, asyncio.Lock] = WeakValueDictionary()
        self._confirming = Confirming()

    async def on_tick(self, tick: Tick) -> None:
        """Queue a probe of every endpoint."""
        for endpoint in self._endpoints:
            await self._bus.publisher.enqueue(endpoint.job("probe", at=tick.slot, cause="tick", seed=tick.id))

    async def on_reopened(self, endpoints: Collection[str]) -> None:
        """Queue a probe of the *endpoints* with known models: their last results may be old."""
        for name in endpoints:
            endpoint = self._endpoints.get(name)
            if endpoint is not None and self._catalogue.of_endpoint(name):
                now = self._clock.now()
                await self._bus.publisher.enqueue(
                    endpoint.job("probe", at=now, cause="start", seed="resumed")
                )

    async def on_changed(self, event: ModelChanged) -> None:
        """Queue a probe of a model whose weights are new."""
        endpoint = self._endpoints.get(event.model.endpoint)
        if endpoint is not None and event.digest_changed:
            await self._bus.publisher.enqueue(
                endpoint.job("probe", at=event.at, cause="changed", seed=event.id, model=event.model)
            )

    async def on_job(self, job: Job, endpoint: OpenEndpoint) -> None:
        """Probe *endpoint*, or one model of it."""
        reason = self._why_paused(endpoint, job)
        if reason:
            await self._bus.jobs.publish_progress(job, "failed", f"{job.endpoint}: paused: {reason}")
            return
        await self._require_time(job)
        await self._bus.jobs.publish_progress(job, "started", f"{job.endpoint}: listing")
        known = self._catalogue.endpoint(endpoint.name) if job.cause != "manual" else None
        contact = await endpoint.contact(known)
        if contact.listing is None:
            await self._on_failure(endpoint, contact, job)
        else:
            await self._on_listing(endpoint, contact, contact.listing, job)

    async def _require_time(self, job: Job) -> None:
        """Raise Deferred until the endpoint's part of the interval, and until this process has received the model."""
        if job.cause == "tick":
            wait_s = jitter_s(job.endpoint, self.interval_s)
            if 0 < (left_s := wait_s - (self._clock.now() - job.at).total_seconds()) <= wait_s + MAX_OFFSET_S:
                # Longer, and a wrong clock made the job: it is due.
                raise Deferred(wait_s=left_s, problem="scheduled probes are spread over their interval")
        if await self._lags(job):
            raise Deferred(wait_s=_CATCHING_UP_S, problem="the prober has not received this model yet")

    async def _on_failure(self, endpoint: OpenEndpoint, contact: Contact, job: Job) -> None:
        """Publish that the endpoint gave no listing, and that its models cannot be called."""
        models = [*self._targets(job), *self._run_by(endpoint, contact)]
        healths = await self._fail_all(models, contact, job)
        await self._observe(endpoint, contact, job)
        if needs_confirmation(contact.outcome, healths):
            self._bus.spawn(self._probe_again(endpoint, job))
        problem = f"{job.endpoint}: {contact.detail or contact.outcome}"
        await self._bus.jobs.publish_progress(job, "failed", problem)

    async def _on_listing(
        self, endpoint: OpenEndpoint, contact: Contact, listing: list[Listing], job: Job
    ) -> None:
        """Probe the models of the endpoint; queue the jobs that follow from the listing and the results."""
        targets = self._targets(job)
        # A model of another server's is not probed here: discovery decides whether it is the same.
        models = [s for s in targets if s.info is not None and s.info.url == endpoint.settings.url]
        if self._differs(endpoint, listing) or len(models) < len(targets):
            await self._bus.publisher.enqueue(
                endpoint.job("discover", at=job.at, cause="listing", seed=job.id)
            )
        with counting() as sent:
            async with own.shown(self._bus, endpoint.name, sent, monotonic=self._clock.monotonic):
                planned, suspicious, unusual = await self._probe_all(endpoint, listing, models, job)
        use = msgspec.structs.replace(planned, requests=0) + sent.use
        await self._observe(endpoint, msgspec.structs.replace(contact, use=contact.use + use), job)
        # Of many, the endpoint is probed again as a whole.
        for model in suspicious if len(suspicious) <= _MAX_APART else [None]:
            self._bus.spawn(self._probe_again(endpoint, job, model))
        for model in unusual:
            self._bus.spawn(self._confirm(endpoint, job, model))
        done = f"{counted(len(models), 'model')} probed" if models else "no model to probe"
        await self._bus.jobs.publish_progress(job, "done", f"{job.endpoint}: {done}")

    async def _observe(self, endpoint: OpenEndpoint, contact: Contact, job: Job) -> None:
        """Publish the result of *contact*, and add the usage by readings of the load to the endpoint's usage."""
        load = self._catalogue.load(endpoint.name)

        def also(_: EndpointState | None, state: EndpointState) -> EndpointState:
            return msgspec.structs.replace(state, ledger=with_load(state.ledger, load))

        await observe(self._bus, endpoint, contact, job, also=also)

    def _why_paused(self, endpoint: OpenEndpoint, job: Job) -> str | None:
        if job.cause == "manual":
            return None
        state, now = self._catalogue.endpoint(endpoint.name), self._clock.now()
        reason = pause(state, endpoint.settings, now)
        if reason is not None:
            return reason
        ledger, paced = state.ledger if state else None, job.cause == "tick"
        if not covers(endpoint.settings.budget, ledger, Use(requests=2), now, paced=paced):
            return "its budget is spread over the day" if paced else "the day's budget is used up"
        return None

    async def _lags(self, job: Job) -> bool:
        """Return whether the job's model is in the stream and not yet in our view, nor is what came before."""
        state = self._catalogue.get(job.model) if job.model else None
        if job.model is None or (state is not None and state.present):
            return False
        return (await self._bus.streams.read_model(job.model)).present

    def _targets(self, job: Job) -> list[ModelState]:
        if job.model is None:
            return self._catalogue.of_endpoint(job.endpoint)
        if job.cause == "found":
            return [state for state in self._catalogue.of_endpoint(job.endpoint) if state.health is None]
        state = self._catalogue.get(job.model)
        return [state] if state and state.present else []

    def _differs(self, endpoint: OpenEndpoint, listing: list[Listing]) -> bool:
        known = {
            (state.model.name, state.info.digest if state.info else None)
            for state in self._catalogue.of_endpoint(endpoint.name)
        }
        observed = self._catalogue.endpoint(endpoint.name)
        listed = {(entry.name, entry.digest) for entry in listing}
        if observed is not None and observed.intake is not None and observed.intake.refused:
            # New names were refused: only what happens to known ones is news, until the next discovery.
            names = self._catalogue.names_at(endpoint.name)
            listed = {entry for entry in listed if entry[0] in names}
        return known != listed

    def _run_by(self, endpoint: OpenEndpoint, contact: Contact) -> list[ModelState]:
        """Return the models of gateways that *endpoint* runs, where *contact* did not reach it."""
        if contact.outcome not in NOT_REACHED:
            return []
        return [
            state
            for gateway in self._endpoints
            for state in self._catalogue.of_endpoint(gateway.name)
            if state.info is not None and self._endpoints.behind(gateway, state.info) is endpoint
        ]

    def _behind(self, gateway: OpenEndpoint, info: ModelInfo) -> tuple[str, EndpointState] | None:
        """Return the endpoint that runs a model of *gateway*, with its last observation, where there is one."""
        server = self._endpoints.behind(gateway, info)
        observed = self._catalogue.endpoint(server.name) if server else None
        return (server.name, observed) if server and observed else None

    async def _confirm(self, endpoint: OpenEndpoint, job: Job, model: ModelRef) -> None:
        """Have a *model* whose answer took another time than usual probed again in a few seconds."""
        with self._confirming.place(endpoint.settings.group) as may:
            if not may:
                self._bus.log.info("probe.unconfirmed", model=str(model))
                return
            await asyncio.sleep(jitter_s(str(model), 10 * _CONFIRM_SPREAD_S))
            await self._probe_again(endpoint, job, model)

    async def _probe_again(self, endpoint: OpenEndpoint, job: Job, model: ModelRef | None = None) -> None:
        """Queue another probe of the endpoint, or of *model*, in a few seconds.

        After a restart, the next tick makes up for it.
        """
        await asyncio.sleep(_CONFIRM_AFTER_S)
        again = endpoint.job("probe", at=self._clock.now(), cause="suspicion", seed=job.id, model=model)
        try:
            await self._bus.publisher.enqueue(again)
        except (nats.errors.Error, Deferred, TimeoutError) as error:
            self._bus.log.warning("probe.dropped", endpoint=endpoint.name, error=f"{type(error).__name__}")

    async def _fail_all(self, models: list[ModelState], contact: Contact, job: Job) -> list[Health]:
        sample = ProbeSample(
            job_id=job.id,
            at=self._clock.now(),
            outcome=contact.outcome,
            level=Level.REACH if contact.outcome in NOT_REACHED else Level.LIST,
            latency_ms=contact.latency_ms,
            cause="endpoint",
            detail=contact.detail,
        )
        published = [await self._publish(state.model, Probed(sample), job) for state in models]
        return [event.health for event in published if event is not None]

    async def _probe_all(
        self, endpoint: OpenEndpoint, listing: list[Listing], models: list[ModelState], job: Job
    ) -> tuple[Use, list[ModelRef], list[ModelRef]]:
        """Probe *models* side by side, as many as the endpoint may be asked at once.

        Return the planned cost, and the models that are to be probed again soon: whose status is in doubt, and whose
        answer took another time than usual.
        """
        observed = self._catalogue.endpoint(endpoint.name)
        prober = Round(
            endpoint=endpoint,
            entries={entry.name: entry for entry in listing},
            before=observed.ledger if observed else None,
            closed=lambda: gate.closed(self._bus, endpoint.settings.group),
            behind=lambda info: self._behind(endpoint, info),
            timeout_s=self._settings.answer_timeout_s,
            clock=self._clock,
            job=job,
        )
        async with endpoint.slots:
            await prober.read_residency()
        # Its own come first, so that another job here need not wait for the whole of this one.
        slots = asyncio.Semaphore(self._settings.per_endpoint)
        done, suspicious, unusual = 0, list[ModelRef](), list[ModelRef]()

        async def one(state: ModelState) -> None:
            nonlocal done
            # What another job has done meanwhile counts: two must not keep a model loaded between them. Our
            # view may not have it yet; the stream has, once that job's turn at the model is over.
            async with self._turn(state.model):
                async with slots, endpoint.slots:
                    loaded = prober.is_resident(state.model.name)
                    latest = await self._bus.streams.read_model(state.model) if loaded else state
                    probed = await prober.probe(latest)
                event = await self._publish(state.model, probed, job)
            doubt = in_doubt(event.health) if event is not None else None
            if doubt == "status":
                suspicious.append(state.model)
            elif doubt == "time":
                unusual.append(state.model)
            done += 1
            await self._bus.jobs.publish_progress(job, "step", str(state.model), step=done, steps=len(models))

        async with asyncio.TaskGroup() as group:
            for state in models:
                group.create_task(one(state))
        return prober.use, sorted(suspicious), sorted(unusual)

    def _turn(self, model: ModelRef) -> asyncio.Lock:
        return self._turns.setdefault(model, asyncio.Lock())

    async def _publish(self, model: ModelRef, probed: Probed, job: Job) -> ModelProbed | None:
        """Fold a sample into the model's health and publish both; a sample that is in it already is not."""
        sample = probed.sample

        def step(held: Versioned[ModelProbed] | None) -> ModelProbed | None:
            previous = self._counting(model, held)
            if previous is not None and any(s.job_id == job.id for s in previous.outcomes):
                return None
            health = fold(
                previous,
                sample,
                probed.residency,
                failure=probed.failure,
                published=probed.published,
                confirm=self._settings.confirm,
                window=self._settings.window,
            )
            subject = subjects.of_model("probed", model)
            return ModelProbed(
                id=ids.derive(job.at, subject, job.id),
                at=sample.at,
                model=model,
                sample=sample,
                health=health,
            )

        state = self._catalogue.get(model)
        event = await self._bus.publisher.advance(
            "MODELS", subjects.of_model("probed", model), step, known=state.probed if state else None
        )
        if event is not None:
            self._bus.log.info(
                "probe.done", model=str(model), outcome=sample.outcome, status=event.health.status
            )
        return event

    def _counting(self, model: ModelRef, held: Versioned[ModelProbed] | None) -> Health | None:
        """Return the health that counts: not the health of a model that was lost and found again since."""
        state = self._catalogue.get(model)
        return held.event.health if held and (state is None or state.counts(held)) else None
