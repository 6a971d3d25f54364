"""Fakes for tests of services and of your own code: a clock, an endpoint and a provider, all scripted.

No fake waits: a scripted delay moves a `FakeClock`, and a piece of an answer carries the time it would have
had.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from vedette.clock import Clock
from vedette.errors import ProviderError
from vedette.providers import (
    Access,
    Activity,
    Delta,
    Described,
    Embedded,
    Features,
    Finished,
    Generation,
    Listing,
    Reranked,
    Server,
)
from vedette.types import Outcome, Residency

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """A clock that moves only when a test moves it."""

    def __init__(self, now: datetime = EPOCH) -> None:
        self._now = now
        self._monotonic = 1000.0

    def now(self) -> datetime:
        """Return the time of day, aware, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds since some fixed moment."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds

    def step(self, seconds: float) -> None:
        """Set the time of day by *seconds* without letting time pass, as an administrator does."""
        self._now += timedelta(seconds=seconds)


class Piece(Struct, frozen=True, kw_only=True):
    """A piece of a scripted answer, `after_s` seconds after the one before it."""

    after_s: float
    text: str = ""
    thinking: str = ""


class Answer(Struct, frozen=True, kw_only=True):
    """A scripted stream: its pieces, then the fields of Finished, or the failure that breaks it off."""

    pieces: tuple[Piece, ...] = ()
    finished: Mapping[str, Any] = {}
    failure: ProviderError | None = None

    @classmethod
    def of(cls, tokens: int, *, ttft_s: float = 0.1, gap_s: float = 0.01, **finished: Any) -> "Answer":
        """Return an answer of *tokens* one-word pieces, with *finished* as the server's account."""
        waits = [ttft_s] + [gap_s] * (tokens - 1)
        pieces = tuple(Piece(after_s=wait, text="word ") for wait in waits[:tokens])
        return cls(pieces=pieces, finished=finished)


class FakeEndpoint:
    """A scripted endpoint. Every attribute may be changed while it is open, and every call is kept.

    `failures` holds, by method name, the error that the method raises. Where `residency` is a mapping, a
    model that is called becomes resident, as on a real server.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        features: Features | None = None,
        server: Server | None = None,
        listings: Sequence[Listing] = (),
        described: Mapping[str, Described] | None = None,
        residency: Mapping[str, Residency] | None = None,
        answer: Callable[[Generation], Answer] = lambda request: Answer.of(request.max_tokens),
        embedding_s: float = 0.1,
        embedding: Mapping[str, Any] | None = None,
    ) -> None:
        self.clock = clock
        self.features = features or Features()
        self.server = server or Server(product="fake", version="1.0")
        self.listings = list(listings)
        self.described = dict(described or {})
        self.residency = None if residency is None else dict(residency)
        self.answer = answer
        self.embedding_s = embedding_s
        self.embedding = dict(embedding or {})  # fields of Embedded in place of the plausible ones
        self.activities: list[Activity] = []
        self.failures: dict[str, ProviderError] = {}
        self.calls: list[tuple[str, object]] = []

    async def reach(self) -> Server:
        """Return the scripted server."""
        self._called("reach")
        return self.server

    async def list_models(self) -> list[Listing]:
        """Return the scripted listings."""
        self._called("list_models")
        return list(self.listings)

    async def describe(self, model: Listing) -> Described:
        """Return the scripted description; a model without one is not found."""
        self._called("describe", model)
        if model.name not in self.described:
            raise ProviderError(Outcome.NOT_FOUND, f"model {model.name!r} not found")
        return self.described[model.name]

    async def resident(self) -> Mapping[str, Residency] | None:
        """Return the scripted residency."""
        self._called("resident")
        return None if self.residency is None else dict(self.residency)

    async def generate(self, request: Generation) -> AsyncGenerator[Delta | Finished, None]:
        """Stream the scripted answer to *request*."""
        self._called("generate", request)
        self._load(request.model)
        answer = self.answer(request)
        at = self.clock.monotonic()
        for piece in answer.pieces:
            at += piece.after_s
            self._pass(piece.after_s)
            yield Delta(at=at, text=piece.text, thinking=piece.thinking)
        if answer.failure:
            raise answer.failure
        yield Finished(**{"at": at, "reason": "stop", **answer.finished})

    async def activity(self) -> Activity | None:
        """Return the scripted activities one after the other, the last one without end."""
        self._called("activity")
        return self.activities.pop(0) if len(self.activities) > 1 else next(iter(self.activities), None)

    async def rerank(
        self, model: str, query: str, documents: list[str], *, deadline_s: float = 60.0
    ) -> Reranked:
        """Score *documents* by the words they share with *query*."""
        self._called("rerank", (model, query, documents))
        self._load(model)
        at, asked = self.clock.monotonic(), set(query.lower().split())
        scores = [float(len(asked & set(document.lower().split()))) for document in documents]
        return Reranked(sent_at=at, done_at=at, scores=scores)

    async def embed(self, model: str, texts: list[str], *, deadline_s: float = 60.0) -> Embedded:
        """Embed *texts* in `embedding_s` seconds, a token for each word."""
        self._called("embed", (model, texts, deadline_s))
        self._load(model)
        sent_at = self.clock.monotonic()
        self._pass(self.embedding_s)
        plausible = {
            "sent_at": sent_at,
            "done_at": sent_at + self.embedding_s,
            "vectors": len(texts),
            "dimensions": 384,
            "prompt_tokens": sum(len(text.split()) for text in texts),
        }
        return Embedded(**(plausible | self.embedding))

    def _called(self, method: str, argument: object = None) -> None:
        self.calls.append((method, argument))
        if method in self.failures:
            raise self.failures[method]

    def _load(self, model: str) -> None:
        if self.residency is not None:
            self.residency.setdefault(model, Residency(resident=True))

    def _pass(self, seconds: float) -> None:
        if isinstance(self.clock, FakeClock):
            self.clock.advance(seconds)


class FakeProvider:
    """A provider of scripted endpoints, by URL. `opened` holds every access it was opened with."""

    name = "fake"
    api = "fake"
    home: str | None = None

    def __init__(self, endpoints: Mapping[str, FakeEndpoint]) -> None:
        self.endpoints = dict(endpoints)
        self.opened: list[Access] = []

    @asynccontextmanager
    async def open(self, access: Access, *, clock: Clock) -> AsyncIterator[FakeEndpoint]:
        """Open the endpoint scripted for the URL, with *clock* as its own; none there refuses."""
        self.opened.append(access)
        if access.url not in self.endpoints:
            raise ProviderError(Outcome.REFUSED, f"{access.url}: connection refused")
        endpoint = self.endpoints[access.url]
        endpoint.clock = clock
        yield endpoint

    def base_url(self, url: str) -> str | None:
        """Return the base URL for OpenAI clients at the endpoint *url*."""
        return f"{url}/v1"
