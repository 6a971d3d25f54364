"""If the rules are unsure of a use case, an embedding model of the fleet finds the most similar one."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from statistics import median
from typing import Any, Final

import msgspec
from msgspec import Struct

from vedette.errors import ProviderError, RequestError, VedetteError
from vedette.types import ModelRef, Outcome
from vedette.usecases import BUILT_IN
from vedette_gateway import examples
from vedette_gateway.automatic import Guess, guess, text_of
from vedette_gateway.centroids import Centroids, combined
from vedette_gateway.upstreams import Upstreams
from vedette_gateway.wanted import Wanted, read

SURE: Final = 0.8  # from this confidence, the rules decide alone: they then err on 4 % of held-out prompts
DEADLINE_S: Final = 0.05
_REST_S: Final = 10.0  # after a failure, so that a slow server does not cost every request its deadline
_SLOW_REST_S: Final = 600.0  # if the model itself takes longer than the deadline
_TIMED: Final = 3  # texts, one a call
_BATCH: Final = 8
_MAX_REPLY_BYTES: Final = 4 * 1024 * 1024
_BATCH_DEADLINE_S: Final = 60.0


class Embedder(Struct, frozen=True):
    """An embedding model that a request may be sent to."""

    model: ModelRef
    digest: str | None
    base_url: str


class _Vector(Struct):
    embedding: list[float]


class _Vectors(Struct):
    data: list[_Vector]


class Voting:
    """Asks an embedding model at its endpoint. It keeps the centroids of the last model."""

    def __init__(
        self,
        upstreams: Upstreams,
        *,
        monotonic: Callable[[], float],
        log: Any,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self.upstreams = upstreams
        self._now = monotonic
        self._log = log
        self._deadline_s = deadline_s
        self.centroids: tuple[Embedder, Centroids] | None = None  # centroids of the last model
        self._computing: asyncio.Task[None] | None = None
        self._rests_until = 0.0

    async def improved(
        self,
        wanted: Wanted,
        found: Guess,
        known: Collection[str],
        embedder: Callable[[], Awaitable[Embedder | None]],
    ) -> Guess:
        """Return *found*, or a better guess by similar prompts, always within the deadline.

        *embedder* returns the model to ask, if there is one.
        """
        if (
            not found.shares
            or found.confidence >= SURE
            or self._now() < self._rests_until
            or _is_bound(wanted)
        ):
            return found
        try:
            async with asyncio.timeout(self._deadline_s):
                model = await embedder()
                if model is None:
                    return found
                if self.centroids is None or self.centroids[0] != model:
                    self._compute(model)
                    return found
                vectors = await self._embedded(model, [text_of(wanted)])
            return combined(found, self.centroids[1].cosines(vectors[0]), known)
        except (TimeoutError, ValueError, VedetteError) as error:
            self._rest(_said(error))
            return found

    async def ready(self) -> None:
        """Wait until the centroids in progress, if any, are computed or have failed."""
        if self._computing is not None:
            await asyncio.wait([self._computing])

    async def close(self) -> None:
        """Cancel the centroids in progress."""
        if self._computing is not None:
            self._computing.cancel()
            await asyncio.gather(self._computing, return_exceptions=True)

    def _compute(self, embedder: Embedder) -> None:
        if self._computing is None or self._computing.done():
            self._computing = asyncio.create_task(self._learn(embedder))

    async def _learn(self, embedder: Embedder) -> None:
        """Compute the centroids of this model with this digest, once."""
        try:
            prompts = labelled()
            vectors: list[Sequence[float]] = []
            for at in range(0, len(prompts), _BATCH):
                texts = [text for _, text in prompts[at : at + _BATCH]]
                async with asyncio.timeout(_BATCH_DEADLINE_S):
                    vectors += await self._embedded(embedder, texts)
            names = [use_case for use_case, _ in prompts]
            took_s = [await self._took_s(embedder, text) for _, text in prompts[:_TIMED]]
            self.centroids = embedder, Centroids.of(list(zip(names, vectors, strict=True)))
            if median(took_s) > self._deadline_s:
                self._rest(f"a text takes {median(took_s) * 1000:.0f} ms", _SLOW_REST_S)
        except (TimeoutError, ValueError, VedetteError) as error:
            self._rest(_said(error))

    async def _took_s(self, embedder: Embedder, text: str) -> float:
        began = self._now()
        async with asyncio.timeout(_BATCH_DEADLINE_S):
            await self._embedded(embedder, [text])
        return self._now() - began

    def _rest(self, why: str, for_s: float = _REST_S) -> None:
        self._rests_until = self._now() + for_s
        self._log.debug("auto.rules_alone", error=why, retry_in_s=for_s)

    async def _embedded(self, embedder: Embedder, texts: Sequence[str]) -> list[list[float]]:
        """Return a vector for each of *texts*. Raises ProviderError, and RequestError if no slot is free."""
        upstream = self.upstreams.get(embedder.model.endpoint)
        if upstream is None or not upstream.reaches(embedder.base_url) or not upstream.has_room:
            raise RequestError(code="no_room", message=f"{embedder.model} has no room")
        body = msgspec.json.encode({"model": embedder.model.name, "input": texts})
        async with (
            upstream.one_more(),
            upstream.passing.post(f"{embedder.base_url.rstrip('/')}/embeddings", body) as reply,
        ):
            raw = bytearray()
            async for chunk in reply.chunks():
                raw += chunk
                if len(raw) > _MAX_REPLY_BYTES:
                    raise ProviderError(Outcome.GARBAGE, "more than vectors")
        try:
            vectors = [one.embedding for one in msgspec.json.decode(raw, type=_Vectors).data]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ProviderError(Outcome.GARBAGE, f"no vectors: {error}") from error
        if len(vectors) != len(texts):
            raise ProviderError(Outcome.GARBAGE, f"{len(vectors)} vectors for {len(texts)} texts")
        return vectors


def labelled() -> list[tuple[str, str]]:
    """Return the prompts whose words decide the use case, each as use case and text."""
    found = []
    for example in examples.read():
        wanted = read(example.api, example.body, ())
        if guess(wanted, BUILT_IN).shares:
            found.append((example.use_case, text_of(wanted)))
    return found


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _is_bound(wanted: Wanted) -> bool:
    """Return whether the caller limits where the request may go: its text then goes to no embedding model."""
    limits = wanted.wishes.constraints
    return bool(limits.endpoints is not None or limits.providers is not None or limits.exclude)
