"""Servers with OpenAI's protocol: llama.cpp, vLLM, LM Studio, and unknown servers.

Each server has a `Flavour` with its differences (`_flavours`). A server is recognised by its listing.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec

from vedette.clock import Clock
from vedette.errors import ConfigurationError, ProviderError
from vedette.providers import (
    Access,
    Activity,
    Delta,
    Described,
    Embedded,
    Endpoint,
    Features,
    Finished,
    Generation,
    Listing,
    Reranked,
    Server,
)
from vedette.providers._base_urls import deployment, kind_asked, prefixes, root
from vedette.providers._entries import retires_at
from vedette.providers._flavours import FLAVOURS, GENERIC, LITELLM, RECOGNISED_BY_REPLY, Flavour
from vedette.providers._gateways import Elsewhere, elsewhere
from vedette.providers._http import Http
from vedette.providers._lenient import mapping, text
from vedette.providers._openai_calls import OpenAICalls
from vedette.providers._openai_listing import OpenAIListing, optional
from vedette.providers._openai_load import OpenAILoad
from vedette.providers._places import is_ours as is_ours
from vedette.providers._places import stands_on_own_machine
from vedette.providers.addresses import socket_of
from vedette.types import Kind, Outcome, Residency


class OpenAICompatibleEndpoint:
    """One server with OpenAI's protocol: its listing, its loaded models and load, and calls of its models.

    *own*: it is on a machine of your own. For the other arguments, see `OpenAIListing`.
    """

    def __init__(
        self,
        http: Http,
        *,
        flavour: Flavour | None,
        own: bool,
        clock: Clock,
        prefixes: tuple[str, ...] = ("v1/",),
        named: tuple[str, ...] = (),
        named_kind: Kind = "unknown",
    ) -> None:
        self.features = Features(free_to_ask=own)
        self._own = own
        self._named_kind = named_kind  # of the *named* models, by the request whose URL was configured
        self._http = http
        self._clock = clock
        self._listing = OpenAIListing(
            http, given=flavour, own=own, prefixes=prefixes, named=named, clock=clock
        )
        self._load = OpenAILoad(http.brief(), listing=self._listing, own=own, clock=clock)
        self._calls = OpenAICalls(http, listing=self._listing, clock=clock)

    async def reach(self) -> Server:
        """Return product and version, by a request to the health path if the flavour has one, else by the listing.

        Raises ProviderError if the server is unreachable or unhealthy.
        """
        flavour = self._listing.flavour
        if flavour.health:
            await self._http.status("GET", flavour.health)
        elif not self._listing.entries:
            await self._listing.read()
        flavour = self._listing.flavour
        name = None if flavour is GENERIC else flavour.name
        return Server(product=name, version=await self._version(flavour))

    async def _version(self, flavour: Flavour) -> str | None:
        if flavour.quiet:
            reply = mapping(await optional(self._http.get(flavour.quiet)))
            return text(mapping(reply.get("info")).get("version"), 64)
        if flavour.version:
            reply = mapping(await optional(self._http.get(flavour.version)))
            return text(reply.get("version"), 64)
        return text((await self._listing.properties()).get("build_info"), 64)

    async def recall(self, server: str | None, names: Sequence[str]) -> list[Listing] | None:
        """Return *names* as a listing if a listing request would disturb *server*; see `OpenAIListing.recall`."""
        return await self._listing.recall(server, names)

    async def list_models(self) -> list[Listing]:
        """Return the models of all pages, and find out the server's flavour and base URL; see `OpenAIListing.read`."""
        return await self._listing.read()

    async def describe(self, model: Listing) -> Described:
        """Return what the listing says about *model*, and the server's properties or own listing, if it has any."""
        listing = self._listing
        if model.name not in listing.entries:
            await listing.read()
        entry = listing.entries.get(model.name)
        if entry is None:
            raise ProviderError(Outcome.NOT_FOUND, f"{model.name} is not listed")
        flavour = listing.flavour
        details = await listing.properties() if flavour.props else listing.native.get(model.name, {})
        described = flavour.reads(entry, details)
        facts, sources, locality = {**described.facts}, {**described.sources}, described.locality
        served = elsewhere(entry, listing.routes)
        if ends := retires_at(entry):
            facts["retires_at"], sources["retires_at"] = ends, "/v1/models"
        if self._own:
            free, why = self._is_free(served)
            facts.setdefault("free", free)
            sources.setdefault("free", why)
        if passed_on := self._passed_on(served):
            facts["passed_on"], sources["passed_on"] = passed_on, flavour.name
        if flavour.disturbs:
            facts["disturbs"], sources["disturbs"] = flavour.disturbs, flavour.name
        if locality == "unknown":
            locality = flavour.locality if served is None else served.locality
        return msgspec.structs.replace(
            described,
            usual_kind=self._usual_kind(model.name, described),
            facts=facts,
            sources=sources,
            locality=locality if self._own else "remote",
            base_url=self._base_url(),
        )

    def _usual_kind(self, name: str, described: Described) -> Kind:
        """Return the usual kind of a model.

        For a configured model it follows from the path of the configured URL; else from the entry, or the flavour.
        """
        if name in self._listing.named:
            return self._named_kind
        return self._listing.flavour.runs if described.usual_kind == "unknown" else described.usual_kind

    def _is_free(self, served: Elsewhere | None) -> tuple[bool, str]:
        """Return whether calls of a model are known to be free, and why; for a server on a machine of your own."""
        listing, flavour = self._listing, self._listing.flavour
        if listing.passed_on is not None:
            return False, listing.passed_on
        if not flavour.serves_own:
            return False, "nothing shows that this server runs the models itself"
        if listing.given is None and flavour.passes_on:
            return False, flavour.passes_on
        return served is None, served.why if served else f"{flavour.name} runs it on a machine of your own"

    def _passed_on(self, served: Elsewhere | None) -> str | None:
        """Return a sentence that says why another server answers for this model, or None.

        The marks of a gateway count only for a server on a machine of your own.
        """
        if self._listing.flavour is LITELLM:
            return "LiteLLM passes requests on"
        return (self._listing.passed_on if self._own else None) or (served.why if served else None)

    def _base_url(self) -> str | None:
        """Return the base URL for OpenAI clients; None for a unix socket, which they cannot reach by a URL."""
        return None if socket_of(self._http.url) else f"{self._http.url}/{self._listing.prefix}".rstrip("/")

    async def resident(self) -> Mapping[str, Residency] | None:
        """Return residency by model name, or None if the server does not report it."""
        return await self._load.resident()

    async def activity(self) -> Activity | None:
        """Return the server's activity by its record of requests, its metrics or its slots; None if it has none."""
        return await self._load.activity()

    async def load(self, server: str | None) -> Activity | None:
        """Return the load that the server reports, or None; the requests do not count as use of a model."""
        return await self._load.load(server)

    def generate(self, request: Generation) -> AsyncGenerator[Delta | Finished, None]:
        """Stream an answer. It is complete after a finish_reason, a final usage, or [DONE]."""
        return self._calls.generate(request)

    async def rerank(
        self, model: str, query: str, documents: list[str], *, deadline_s: float = 60.0
    ) -> Reranked:
        """Score *documents* against *query* by the server's path for rerank."""
        return await self._calls.rerank(model, query, documents, deadline_s=deadline_s)

    async def embed(self, model: str, texts: list[str], *, deadline_s: float = 60.0) -> Embedded:
        """Embed *texts* by /v1/embeddings."""
        return await self._calls.embed(model, texts, deadline_s=deadline_s)


class OpenAICompatible:
    """A server with OpenAI's protocol, as a provider."""

    name = "openai-compatible"
    api = "openai"
    home: str | None = None

    @asynccontextmanager
    async def open(self, access: Access, *, clock: Clock) -> AsyncIterator[Endpoint]:
        """Open the server at the URL of *access*. Raises ConfigurationError for an unknown flavour."""
        async with Http(msgspec.structs.replace(access, url=root(access.url)), clock=clock) as http:
            yield OpenAICompatibleEndpoint(
                http,
                flavour=_flavour(access),
                own=await stands_on_own_machine(access),
                clock=clock,
                prefixes=prefixes(access.url),
                named=access.models or deployment(access.url),
                named_kind=kind_asked(access.url),
            )

    def base_url(self, url: str) -> str | None:
        """Return the likely base URL for OpenAI clients; None for a unix socket. `describe` finds the right one."""
        base = root(url)
        return None if socket_of(base) else f"{base.partition('?')[0]}/v1"


def _flavour(access: Access) -> Flavour | None:
    if access.flavour is None:
        return None
    known = (*FLAVOURS, *RECOGNISED_BY_REPLY, GENERIC)
    for flavour in known:
        if flavour.name == access.flavour:
            return flavour
    raise ConfigurationError(
        where=f"endpoints.{access.endpoint}.flavour",
        problem=f"{access.flavour!r} is not known; known: {', '.join(f.name for f in known)}",
    )


PROVIDER = OpenAICompatible()
