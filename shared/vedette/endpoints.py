"""The configured endpoints, open: the one way services reach a model server."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from fnmatch import fnmatchcase

import msgspec

from vedette import identity, providers
from vedette.bus import Bus
from vedette.catalogue import Held
from vedette.clock import Clock
from vedette.contact import Contact, after
from vedette.errors import ProviderError
from vedette.events import EndpointObserved, Job, JobCause, JobKind
from vedette.ledger import charge
from vedette.providers import Endpoint, Listing, Provider, Server
from vedette.providers.access import access
from vedette.redaction import NO_SECRETS, REDACTED, Secrets
from vedette.settings import EndpointSettings, Settings
from vedette.types import EndpointState, Listed, ModelRef, Outcome, Use

# Of one endpoint. Each becomes an event, a subject and memory in every service: a server must not decide how much.
MOST_MODELS = 10_000
# An observation holds the listing and the models missing from it, and must fit a message of 1 MiB whatever they are.
MAX_LISTING_BYTES = 420_000


class OpenEndpoint:
    """One endpoint: its name, its settings, its provider, and the open connection to it.

    `secrets` redacts what its models answer. `slots` are the requests that a service may have there at once; whoever
    asks takes one, whatever its job.
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
    ) -> None:
        self.name = name
        self.secrets = secrets
        self.settings = settings
        self.provider = provider
        self.endpoint = endpoint
        self.slots = asyncio.Semaphore(at_once)
        self._clock = clock

    async def contact(self) -> Contact:
        """Ask who answers and what is listed there, in one attempt; a failure is a result."""
        async with self.slots:
            return await self._contact()

    async def _contact(self) -> Contact:
        started = self._clock.monotonic()
        server: Server | None = None
        try:
            listing, told = await self._listing()
            answered = self._clock.monotonic()
            server = await self._server()
        except ProviderError as error:
            return Contact(
                outcome=error.outcome,
                detail=error.detail,
                latency_ms=(self._clock.monotonic() - started) * 1000,
                retry_after_s=error.retry_after_s,
                exchange=error.exchange,
            )
        return Contact(
            outcome=Outcome.OK,
            detail=told,
            latency_ms=(answered - started) * 1000,
            listing=listing,
            server=server,
            use=Use(requests=2),
        )

    async def _listing(self) -> tuple[list[Listing], str | None]:
        """Return what is listed and not excluded, and what is to be said of it."""
        listing = [entry for entry in await self.endpoint.list_models() if not self._excluded(entry)]
        if len(listing) > MOST_MODELS:
            problem = (
                f"{len(listing):,} models are listed, more than {MOST_MODELS:,}; `exclude` leaves some out"
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
        told = f"{left_out:,} left out of the listing: the name contains this endpoint's credentials"
        return named, told if left_out else None

    async def _server(self) -> Server | None:
        try:
            return await self.endpoint.reach()
        except ProviderError:
            return None  # it lists models, so it is there; only its name and version stay unknown

    def _excluded(self, entry: Listing) -> bool:
        return any(fnmatchcase(entry.name, pattern) for pattern in self.settings.exclude)

    def job(
        self, kind: JobKind, *, at: datetime, cause: JobCause, seed: str, model: ModelRef | None = None
    ) -> Job:
        """Return a job here, or for *model*; its id follows from *at* and *seed*."""
        return Job(
            id=identity.derive(at, kind, self.name, str(model or ""), seed),
            at=at,
            kind=kind,
            group=self.settings.group,
            endpoint=self.name,
            model=model,
            cause=cause,
        )


class Endpoints:
    """All configured endpoints, by name."""

    def __init__(self, entries: dict[str, OpenEndpoint]) -> None:
        self._entries = entries

    def get(self, name: str) -> OpenEndpoint | None:
        """Return the endpoint *name*, or None when it is not configured."""
        return self._entries.get(name)

    def __iter__(self) -> Iterator[OpenEndpoint]:
        return iter(self._entries.values())


@asynccontextmanager
async def open_endpoints(settings: Settings, *, clock: Clock) -> AsyncIterator[Endpoints]:
    """Open every configured endpoint; close them on the way out. Nothing is contacted yet.

    Raises ConfigurationError for an unknown provider or a secret that cannot be read.
    """
    async with AsyncExitStack() as stack:
        entries = {}
        for name, configured in settings.endpoints.items():
            provider = providers.load(configured.provider)
            way = access(name, configured, settings.outbound)
            opened = await stack.enter_async_context(provider.open(way, clock=clock))
            entries[name] = OpenEndpoint(
                name=name,
                settings=configured,
                provider=provider,
                endpoint=opened,
                clock=clock,
                at_once=settings.probing.per_endpoint,
                secrets=way.redaction,
            )
        yield Endpoints(entries)


async def observe(
    bus: Bus,
    endpoint: OpenEndpoint,
    contact: Contact,
    job: Job,
    *,
    also: Callable[[EndpointState | None, EndpointState], EndpointState] = lambda _, state: state,
) -> EndpointState:
    """Publish what *contact* told of the endpoint; return the state that results.

    *also* may add to the new state what only its caller counts, given the state before.
    """

    def step(held: Held[EndpointObserved] | None) -> EndpointObserved:
        before = held.event.state if held else None
        now = bus.clock.now()
        contacted = after(before, endpoint=endpoint.settings, contact=contact, now=now, purpose=job.kind)
        state = also(before, contacted)
        return EndpointObserved(
            id=identity.derive(job.at, "endpoint.observed", endpoint.name, job.id),
            at=now,
            endpoint=endpoint.name,
            state=state,
        )

    event = await bus.advance("ENDPOINTS", f"endpoint.observed.{endpoint.name}", step)
    if event is None:
        raise AssertionError("an observation always has a next state")
    return event.state


async def account(bus: Bus, endpoint: OpenEndpoint, use: Use, job: Job) -> None:
    """Enter what *job* used of the endpoint into its ledger; of one never observed there is none."""

    def step(held: Held[EndpointObserved] | None) -> EndpointObserved | None:
        if held is None:
            return None
        now = bus.clock.now()
        state = held.event.state
        return EndpointObserved(
            id=identity.derive(job.at, "endpoint.observed", endpoint.name, job.id),
            at=now,
            endpoint=endpoint.name,
            state=msgspec.structs.replace(state, ledger=charge(state.ledger, job.kind, use, now)),
        )

    await bus.advance("ENDPOINTS", f"endpoint.observed.{endpoint.name}", step)
