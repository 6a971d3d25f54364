"""The open endpoints. Services contact model servers only through them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from vedette import providers
from vedette.bus.bus import Bus
from vedette.clock import Clock
from vedette.endpoints.budget import charge
from vedette.endpoints.contact import Contact, after
from vedette.errors import ConfigurationError, Deferred, ProviderError
from vedette.messages import ids
from vedette.messages.catalogue import Versioned
from vedette.messages.events import EndpointObserved, Job, JobCause, JobKind
from vedette.messages.tolerance import is_within
from vedette.providers import Access, Endpoint, Listing, Metered, Provider, Recalling, Server, elsewhere
from vedette.providers.access import access, of_load
from vedette.providers.counting import counting
from vedette.providers.redaction import NO_SECRETS, REDACTED, Secrets
from vedette.settings import Defined, EndpointSettings, Outbound, Settings
from vedette.types import EndpointState, Listed, ModelInfo, ModelRef, Occupancy, Outcome, Use

# Limits for one endpoint. Each model becomes an event, a subject and memory in every service, so a server may not
# decide the number.
MAX_MODELS = 10_000
# An observation has the listing and the missing models, and must fit a message of 1 MiB.
MAX_LISTING_BYTES = 420_000
# How much later than other replicas one may apply a changed configuration: kubelet takes a minute or two.
_REPLICAS_RELOAD_WITHIN = timedelta(minutes=2)
_LOOK_AGAIN_S: Final = (1.0, 30.0)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
# After a contact with one of these outcomes, the same process still serves the same models.
_SAME_SERVER = frozenset({Outcome.OK, Outcome.BUSY, Outcome.TIMEOUT})


class OpenEndpoint:
    """One endpoint: its name, its settings, its provider, and the open connection.

    `secrets` redacts texts of its models. `slots` are the requests that a service may have there at once: each request
    takes one, whatever its job. `meter` reads its load, if the server reports it.
    """

    def __init__(
        self,
        *,
        name: str,
        settings: EndpointSettings,
        provider: Provider,
        endpoint: Endpoint,
        clock: Clock,
        at_once: int = 4,
        secrets: Secrets = NO_SECRETS,
        meter: Metered | None = None,
    ) -> None:
        self.name = name
        self.meter = meter
        self.secrets = secrets
        self.settings = settings
        self.provider = provider
        self.endpoint = endpoint
        self.slots = asyncio.Semaphore(at_once)
        self._clock = clock
        self._jobs: set[asyncio.Timeout] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @asynccontextmanager
    async def in_use(self) -> AsyncIterator[None]:
        """Keep the endpoint open in this context. If `give_up` is called, the work in it ends with TimeoutError."""
        async with asyncio.timeout(None) as job:
            self._jobs.add(job)
            self._idle.clear()
            try:
                yield
            finally:
                self._jobs.discard(job)
                if not self._jobs:
                    self._idle.set()

    def give_up(self) -> None:
        """End all work in `in_use` contexts now."""
        for job in self._jobs:
            job.reschedule(asyncio.get_running_loop().time())

    async def until_idle(self) -> None:
        """Return when no `in_use` context is open."""
        await self._idle.wait()

    async def contact(self, known: EndpointState | None = None) -> Contact:
        """Read the server's name and listing, in one attempt. A failure is a result, not an error.

        If a listing would disturb the server, and its last contact succeeded, the *known* listing is used instead.
        """
        async with self.slots:
            with counting() as sent:
                contact = await self._contact(known)
        return msgspec.structs.replace(contact, use=sent.use)

    async def _contact(self, known: EndpointState | None) -> Contact:
        started = self._clock.monotonic()
        server: Server | None = None
        try:
            listing, remark = await self._listing(known)
            answered = self._clock.monotonic()
            server = await self._server()
        except ProviderError as error:
            return Contact(
                outcome=error.outcome,
                detail=error.detail,
                remedy=error.remedy,
                latency_ms=(self._clock.monotonic() - started) * 1000,
                retry_after_s=error.retry_after_s,
                exchange=error.exchange,
            )
        return Contact(
            outcome=Outcome.OK,
            detail=remark,
            latency_ms=(answered - started) * 1000,
            listing=listing,
            server=server,
        )

    async def _recalled(self, known: EndpointState | None) -> list[Listing] | None:
        """Return the *known* listing if a new listing request would disturb the server, else None."""
        if known is None or not isinstance(self.endpoint, Recalling):
            return None
        if known.fingerprint != self.settings.fingerprint or known.outcome not in _SAME_SERVER:
            return None  # the server or its models may have changed
        return await self.endpoint.recall(known.server, [one.name for one in known.listing if not one.misses])

    async def _listing(self, known: EndpointState | None) -> tuple[list[Listing], str | None]:
        """Return the listed models that are not excluded, and a note for operators."""
        listed = await self._recalled(known)
        if listed is None:
            listed = await self.endpoint.list_models()
        listing = [entry for entry in listed if not self._excluded(entry)]
        if len(listing) > MAX_MODELS:
            problem = (
                f"{len(listing):,} models are listed, more than {MAX_MODELS:,}; `exclude` leaves some out"
            )
            raise ProviderError(Outcome.TOO_LARGE, problem)
        size = len(msgspec.json.encode([Listed(name=e.name, digest=e.digest) for e in listing]))
        if size > MAX_LISTING_BYTES:
            problem = (
                f"{len(listing):,} models are listed with {size:,} bytes of names, more than {MAX_LISTING_BYTES:,}; "
                "`exclude` leaves some out"
            )
            raise ProviderError(Outcome.TOO_LARGE, problem)
        named = [entry for entry in listing if REDACTED not in entry.name]
        left_out = len(listing) - len(named)
        remark = f"{left_out:,} left out of the listing: the name contains this endpoint's credentials"
        return named, remark if left_out else None

    async def _server(self) -> Server | None:
        try:
            return await self.endpoint.reach()
        except ProviderError:
            return None  # the server lists models, so it runs; only its name and version stay unknown

    def _excluded(self, entry: Listing) -> bool:
        return any(fnmatchcase(entry.name, pattern) for pattern in self.settings.exclude)

    def job(
        self, kind: JobKind, *, at: datetime, cause: JobCause, seed: str, model: ModelRef | None = None
    ) -> Job:
        """Return a job for the endpoint, or for *model*. Its id follows from *at* and *seed*."""
        return Job(
            id=ids.derive(at, kind, self.name, str(model or ""), seed),
            at=at,
            kind=kind,
            group=self.settings.group,
            endpoint=self.name,
            model=model,
            cause=cause,
        )


class _Entry(NamedTuple):
    """An open endpoint, its access, and the function that closes it."""

    endpoint: OpenEndpoint
    way: Access
    closing: AsyncExitStack


class Reloaded(NamedTuple):
    """The names of the endpoints that a reload opened, closed, or reopened with other settings or secrets."""

    added: list[str]
    removed: list[str]
    changed: list[str]


class Endpoints:
    """All endpoints in force, by name, with their connections. `reload` opens and closes changed ones.

    A closed endpoint is known but not contacted; `closed` says why. Paused and sleeping endpoints are closed, and so is
    an endpoint that cannot be opened here, unless it is defined in the configuration file.
    """

    def __init__(self, *, clock: Clock, log: Any = None) -> None:
        self._clock = clock
        self._log = log
        self.closed: dict[str, str] = {}
        self.unusable: dict[str, str] = {}  # closed because they cannot be opened
        self.urls: dict[str, str] = {}  # of all endpoints, open or closed
        self.defined = Defined()
        self._entries: dict[str, _Entry] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def reload(self, settings: Settings) -> Reloaded:
        """Open and close endpoints, so that they match *settings*. Unchanged endpoints stay open.

        A running job ends if its endpoint is removed or has another URL. After other changes it continues. Raises
        ConfigurationError, and changes nothing, for an unknown provider or an unreadable secret in the configuration
        file.
        """
        closed = {name: why for name, why in settings.defined.closed.items() if name in settings.endpoints}
        opened, unusable = await self._open_changed(settings, closed)
        before = self._entries
        self._log_unusable(unusable)
        self.closed, self.unusable = closed | unusable, unusable
        self.urls = {name: configured.url for name, configured in settings.endpoints.items()}
        self.defined = settings.defined
        self._entries = {
            name: opened.get(name) or before[name] for name in settings.endpoints if name not in self.closed
        }
        reloaded = Reloaded(
            added=[name for name in opened if name not in before],
            removed=[name for name in before if name not in self._entries],
            changed=[name for name in opened if name in before],
        )
        for name in reloaded.removed + reloaded.changed:
            entry = before[name]
            if name in reloaded.removed or _elsewhere(entry.endpoint, opened[name].endpoint):
                entry.endpoint.give_up()
            task = asyncio.create_task(self._close(entry))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        for name in reloaded.removed:
            await before[name].endpoint.until_idle()
        return reloaded

    async def _open_changed(
        self, settings: Settings, closed: Container[str]
    ) -> tuple[dict[str, _Entry], dict[str, str]]:
        """Open the new or changed endpoints in *settings* that are not *closed*; return them, and why others failed.

        Raises ConfigurationError, and closes what it opened, for an error in the configuration file.
        """
        opened: dict[str, _Entry] = {}
        unusable: dict[str, str] = {}
        try:
            for name, configured in settings.endpoints.items():
                if name in closed:
                    continue
                try:
                    way = access(name, configured, settings.outbound)
                    held = self._entries.get(name)
                    if held is None or held.way != way or held.endpoint.settings != configured:
                        opened[name] = await self._open(name, configured, way, settings)
                except ConfigurationError as error:
                    if name not in settings.defined.origins:
                        raise
                    # an error of this endpoint only, possibly only here
                    unusable[name] = str(error)
        except BaseException:
            for entry in opened.values():
                await entry.closing.aclose()
            raise
        return opened, unusable

    def _log_unusable(self, unusable: Mapping[str, str]) -> None:
        for name, reason in unusable.items():
            if self._log is not None and self.unusable.get(name) != reason:
                self._log.warning("endpoint.unusable", endpoint=name, reason=reason)

    async def note(self) -> str | None:
        """Return which endpoints cannot be used here, with the reasons, or None."""
        return "; ".join(f"{name} is not used: {why}" for name, why in self.unusable.items()) or None

    async def _open(self, name: str, configured: EndpointSettings, way: Access, settings: Settings) -> _Entry:
        provider = providers.load(configured.provider)
        closing = AsyncExitStack()
        opened = await closing.enter_async_context(provider.open(way, clock=self._clock))
        endpoint = OpenEndpoint(
            name=name,
            settings=configured,
            provider=provider,
            endpoint=opened,
            clock=self._clock,
            at_once=settings.probing.per_endpoint,
            secrets=way.redaction,
            meter=await self._meter(name, configured, opened, settings.outbound, closing),
        )
        return _Entry(endpoint, way, closing)

    async def _meter(
        self,
        name: str,
        configured: EndpointSettings,
        opened: Endpoint,
        outbound: Outbound,
        closing: AsyncExitStack,
    ) -> Metered | None:
        """Return the reader of the load of *opened*: the configured place, else the server; None for a service."""
        way = of_load(name, configured, outbound)
        if way is None:
            return opened if isinstance(opened, Metered) and opened.features.free_to_ask else None
        queries = {str(figure): query for figure, query in configured.load.queries.items()}
        return await closing.enter_async_context(
            elsewhere.prometheus(way, queries, clock=self._clock)
            if configured.load.prometheus
            else elsewhere.metrics_page(way, clock=self._clock)
        )

    async def _close(self, entry: _Entry) -> None:
        try:
            await entry.endpoint.until_idle()
        finally:
            await entry.closing.aclose()

    async def close(self) -> None:
        """Close all endpoints, even if they are in use."""
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        for entry in self._entries.values():
            await entry.closing.aclose()

    def during(
        self, bus: Bus, handle: Callable[[Job, OpenEndpoint], Awaitable[None]]
    ) -> Callable[[Job], Awaitable[None]]:
        """Return a handler of jobs by *handle*, which gets the endpoint.

        The endpoint stays open unless it is removed.
        """

        async def on_job(job: Job) -> None:
            endpoint = self.get(job.endpoint)
            if endpoint is None:
                reason = self.closed.get(job.endpoint)
                # another replica may know the endpoint before this one
                now = self._clock.now()
                is_new = job.cause in ("found", "start") and is_within(job.at, now, _REPLICAS_RELOAD_WITHIN)
                if reason is None and is_new:
                    problem = "this replica has not reloaded its configuration yet"
                    raise Deferred(wait_s=look_again_s(now - job.at), problem=problem)
                reason = reason or "not a configured endpoint"
                await bus.jobs.publish_progress(job, "failed", f"{job.endpoint}: {reason}")
                return
            try:
                async with endpoint.in_use():
                    await handle(job, endpoint)
            except TimeoutError:
                other = self.get(job.endpoint)
                if other is endpoint:
                    raise
                if other is not None:
                    # To be done where it is now.
                    raise Deferred(wait_s=0, problem="its endpoint has another URL now") from None
                reason = self.closed.get(job.endpoint, "removed from the configuration")
                await bus.jobs.publish_progress(job, "failed", f"{job.endpoint}: {reason}")

        return on_job

    def get(self, name: str) -> OpenEndpoint | None:
        """Return the endpoint *name*, or None when it is not configured, or closed."""
        entry = self._entries.get(name)
        return entry.endpoint if entry else None

    def behind(self, gateway: OpenEndpoint, info: ModelInfo) -> OpenEndpoint | None:
        """Return the endpoint that runs *info*, a model of *gateway*, or None if it is not open here."""
        if info.behind is None:
            return None
        place = _place(info.behind, seen_from=gateway.settings.url)
        others = (one for one in self if one is not gateway and "://" in one.settings.url)
        return next((one for one in others if _place(one.settings.url) == place), None)

    def __iter__(self) -> Iterator[OpenEndpoint]:
        return iter([entry.endpoint for entry in self._entries.values()])


def look_again_s(age: timedelta) -> float:
    """Return the time (s) until a job of *age* is retried, if this replica does not know its endpoint yet.

    A definition reaches all replicas within a second, a changed file within minutes. So each wait is as long as the age
    of the job, from 1 s to 30 s.
    """
    soonest, latest = _LOOK_AGAIN_S
    return min(latest, max(soonest, age.total_seconds()))


def _place(url: str, *, seen_from: str | None = None) -> tuple[str, int | None] | None:
    """Return host and port of *url*. A loopback address means the host of *seen_from*."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    if host in _LOOPBACK:
        near = _place(seen_from) if seen_from else None
        host = near[0] if near else "localhost"
    return host, port or {"http": 80, "https": 443}.get(parts.scheme)


def _elsewhere(old: OpenEndpoint, new: OpenEndpoint) -> bool:
    return any(
        getattr(old.settings, key) != getattr(new.settings, key) for key in ("url", "provider", "flavour")
    )


@asynccontextmanager
async def open_endpoints(settings: Settings, *, clock: Clock, log: Any = None) -> AsyncIterator[Endpoints]:
    """Open all configured endpoints; close them at the end. This contacts no server yet.

    Raises ConfigurationError for an unknown provider or an unreadable secret in the configuration file.
    """
    endpoints = Endpoints(clock=clock, log=log)
    try:
        await endpoints.reload(settings)
        yield endpoints
    finally:
        await endpoints.close()


async def observe(
    bus: Bus,
    endpoint: OpenEndpoint,
    contact: Contact,
    job: Job,
    *,
    also: Callable[[EndpointState | None, EndpointState], EndpointState] = lambda _, state: state,
) -> EndpointState:
    """Publish the result of *contact* with the endpoint; return its new state.

    *also* may change the new state, given the earlier one.
    """

    def step(held: Versioned[EndpointObserved] | None) -> EndpointObserved:
        before = held.event.state if held else None
        now = bus.clock.now()
        contacted = after(before, endpoint=endpoint.settings, contact=contact, now=now, purpose=job.kind)
        state = also(before, contacted)
        return EndpointObserved(
            id=ids.derive(job.at, "endpoint.observed", endpoint.name, job.id),
            at=now,
            endpoint=endpoint.name,
            state=state,
        )

    event = await bus.publisher.advance("ENDPOINTS", f"endpoint.observed.{endpoint.name}", step)
    if event is None:
        raise AssertionError("an observation always has a next state")
    return event.state


async def account(
    bus: Bus, endpoint: OpenEndpoint, use: Use, job: Job, *, occupancy: Occupancy | None = None
) -> None:
    """Add the usage of *job* to the endpoint's usage of the day, and store the *occupancy* that it saw.

    Does nothing for an endpoint that was never observed.
    """
    if use == Use() and occupancy is None:
        return
    # a repeated job uses again, so its id is not enough
    used_at = bus.clock.now().isoformat()

    def step(held: Versioned[EndpointObserved] | None) -> EndpointObserved | None:
        if held is None:
            return None
        now = bus.clock.now()
        state = held.event.state
        return EndpointObserved(
            id=ids.derive(job.at, "endpoint.observed", endpoint.name, job.id, used_at),
            at=now,
            endpoint=endpoint.name,
            state=msgspec.structs.replace(
                state,
                ledger=state.ledger if use == Use() else charge(state.ledger, job.kind, use, now),
                occupancy=occupancy or state.occupancy,
            ),
        )

    await bus.publisher.advance("ENDPOINTS", f"endpoint.observed.{endpoint.name}", step)
