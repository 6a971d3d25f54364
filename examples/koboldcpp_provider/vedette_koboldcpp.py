"""KoboldCpp, by its own API, as a provider in a separate package.

`pip install` this folder next to Vedette, and `provider = "koboldcpp"` works in vedette.toml. The entry point in
pyproject.toml registers it. KoboldCpp serves one model; it has no digests and no embeddings.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager

from vedette.clock import Clock
from vedette.errors import ProviderError
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
from vedette.providers.kit import Http, count, decoded, known, mapping, server_sent, text
from vedette.types import Outcome, Residency


class KoboldCppEndpoint:
    """One KoboldCpp server."""

    features = Features()

    def __init__(self, http: Http) -> None:
        self._http = http

    async def reach(self) -> Server:
        """Return its version."""
        reply = mapping(await self._http.get("api/extra/version"))
        return Server(product="koboldcpp", version=text(reply.get("version")))

    async def list_models(self) -> list[Listing]:
        """Return its one model."""
        name = text(mapping(await self._http.get("api/v1/model")).get("result"))
        if name is None:
            raise ProviderError(Outcome.GARBAGE, "/api/v1/model named no model; is this KoboldCpp?")
        return [] if name == "inactive" else [Listing(name=name)]

    async def describe(self, model: Listing) -> Described:
        """Return the context it was started with."""
        if model.name not in {entry.name for entry in await self.list_models()}:
            raise ProviderError(Outcome.NOT_FOUND, f"{model.name} is not served")
        reply = mapping(await self._http.get("api/extra/true_max_context_length"))
        facts = known(served_context_tokens=count(reply.get("value")))
        return Described(
            kind="completion", facts=facts, sources=dict.fromkeys(facts, "koboldcpp"), locality="local"
        )

    async def resident(self) -> Mapping[str, Residency] | None:
        """Return its model: it is loaded for as long as the server runs."""
        return {entry.name: Residency(resident=True) for entry in await self.list_models()}

    async def generate(self, request: Generation) -> AsyncGenerator[Delta | Finished, None]:
        """Stream a completion."""
        body = {
            "prompt": request.prompt,
            "max_length": request.max_tokens,
            "temperature": request.temperature,
        }
        stream = self._http.chunks("api/extra/generate/stream", body, deadline_s=request.deadline_s)
        async with aclosing(stream) as chunks:
            async for at, data in server_sent(chunks):
                item = mapping(decoded(data))
                if token := text(item.get("token"), 10_000):
                    yield Delta(at=at, text=token)
                if reason := text(item.get("finish_reason")):
                    yield Finished(at=at, reason=reason)
                    return
        raise ProviderError(Outcome.INCOMPLETE, "the stream ended without a finish_reason")

    async def activity(self) -> Activity | None:
        """Return nothing: it does not report other work."""
        return None

    async def rerank(
        self, model: str, query: str, documents: list[str], *, deadline_s: float = 60.0
    ) -> Reranked:
        """Refuse: it cannot rerank."""
        raise ProviderError(Outcome.UNSUPPORTED, "KoboldCpp's own API does not rerank")

    async def embed(self, model: str, texts: list[str], *, deadline_s: float = 60.0) -> Embedded:
        """Refuse: it cannot embed."""
        raise ProviderError(Outcome.UNSUPPORTED, "KoboldCpp's own API has no embeddings")


class KoboldCpp:
    """KoboldCpp as a provider."""

    name = "koboldcpp"
    api = "koboldcpp"
    home: str | None = None

    @asynccontextmanager
    async def open(self, access: Access, *, clock: Clock) -> AsyncIterator[Endpoint]:
        """Open a connection to one server."""
        async with Http(access, clock=clock) as http:
            yield KoboldCppEndpoint(http)

    def base_url(self, url: str) -> str | None:
        """Return where it answers OpenAI clients."""
        return f"{url.rstrip('/')}/v1"


PROVIDER = KoboldCpp()
