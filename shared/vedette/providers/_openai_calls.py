"""Calls in OpenAI's protocol: chat and completions, embeddings, rerank.

No call changes the server's configuration. A model is not called if the server would answer with another model.
"""

import asyncio
import base64
import struct
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from typing import Any, Final

from vedette.clock import Clock
from vedette.errors import ProviderError
from vedette.providers import Delta, Embedded, Finished, Generation, Reranked
from vedette.providers._completions import Answer, refused_parameter, request_body
from vedette.providers._http import Http
from vedette.providers._lenient import count, embedded, mapping, score, sequence, tokens
from vedette.providers._openai_listing import OpenAIListing, refuse_error
from vedette.providers._stream import Events
from vedette.types import Outcome

_TAIL_S: Final = 3.0  # wait for usage or [DONE] after finish_reason: some servers never close the stream


class OpenAICalls:
    """Calls of the models of one server. *listing* is the listing of that server."""

    def __init__(self, http: Http, *, listing: OpenAIListing, clock: Clock) -> None:
        self._http = http
        self._listing = listing
        self._clock = clock
        self._refused: dict[str, set[str]] = {}  # by model: optional parameters that it refused

    async def generate(self, request: Generation) -> AsyncGenerator[Delta | Finished, None]:
        """Stream an answer. It is complete after a finish_reason, a final usage, or [DONE].

        If the server refuses an optional parameter, this request is sent again without it, and so are later requests.
        Raises ProviderError.
        """
        await self._require(request.model)
        path = await self._listing.path("chat/completions" if request.chat else "completions")
        refused = self._refused.setdefault(request.model, set())
        while True:
            sent = request_body(request, reasons=self._listing.flavour.reasons, without=refused)
            begun = False
            try:
                async with aclosing(self._answer(path, sent, request)) as items:
                    async for item in items:
                        begun = True
                        yield item
                return
            except ProviderError as error:
                parameter = None if begun else refused_parameter(error, sent)
                if parameter is None or parameter in refused:
                    raise
                refused.add(parameter)

    async def _answer(
        self, path: str, body: dict[str, Any], request: Generation
    ) -> AsyncGenerator[Delta | Finished, None]:
        answer = Answer(
            asked=request.model,
            listed=self._listing.entries,
            is_of_server=self._listing.flavour.writes_into_streams,
        )
        ended_at: float | None = None
        async with aclosing(self._http.chunks(path, body, deadline_s=request.deadline_s)) as chunks:
            events = Events(chunks)
            reading = aiter(events)
            while True:
                try:
                    async with asyncio.timeout(_TAIL_S if answer.whole else None):
                        at, chunk = await anext(reading)
                except StopAsyncIteration:
                    break
                except TimeoutError:  # the answer is complete
                    ended_at = at
                    break
                except ProviderError as error:
                    # Some servers and proxies drop the connection instead of ending the reply.
                    if error.outcome is not Outcome.INCOMPLETE or not answer.whole:
                        raise
                    break
                delta = answer.take(at, chunk)
                if delta is not None:
                    yield delta
        if answer.is_of_another_protocol:  # even after a [DONE]
            raise ProviderError(Outcome.GARBAGE, "the stream has no choices: it uses another protocol")
        if not answer.whole and not events.done:
            raise ProviderError(Outcome.INCOMPLETE, "the stream ended without finish_reason or [DONE]")
        yield answer.finished(ended_at or self._clock.monotonic(), skipped=events.skipped)

    async def _require(self, model: str) -> None:
        """Raise ProviderError if *model* is not listed and the server would answer with another model."""
        if not self._listing.flavour.answers_any_name or model in self._listing.entries:
            return
        await self._listing.read()
        if model not in self._listing.entries:
            raise ProviderError(
                Outcome.NOT_FOUND, f"{model} is not listed, and the server would use another model instead"
            )

    async def rerank(
        self, model: str, query: str, documents: list[str], *, deadline_s: float = 60.0
    ) -> Reranked:
        """Rerank by /v1/rerank (Jina's form: llama.cpp, vLLM, infinity), or text-embeddings-inference's /rerank.

        Voyage names the results `data`. SGLang and text-embeddings-inference return an array. Raises ProviderError.
        """
        await self._require(model)
        path = await self._listing.path("rerank")
        sent_at = self._clock.monotonic()
        if self._listing.flavour.reranks_texts:
            path, asked = "rerank", {"query": query, "texts": documents}
        else:
            asked = {"model": model, "query": query, "documents": documents}
        body, done_at = await self._http.timed(path, asked, deadline_s=deadline_s)
        results = _reranked(body)
        scores = {
            count(entry.get("index")): score(entry.get("relevance_score", entry.get("score")))
            for entry in results
        }
        found = [scores.get(place) for place in range(len(documents))]
        if None in found:
            raise ProviderError(Outcome.GARBAGE, f"{len(documents)} documents gave {len(results)} scores")
        return Reranked(
            sent_at=sent_at,
            done_at=done_at,
            scores=[value for value in found if value is not None],
            prompt_tokens=_prompt_tokens(body),
        )

    async def embed(self, model: str, texts: list[str], *, deadline_s: float = 60.0) -> Embedded:
        """Embed *texts* by /v1/embeddings. Raises ProviderError."""
        await self._require(model)
        path = await self._listing.path("embeddings")
        sent_at = self._clock.monotonic()
        body, done_at = await self._http.timed(path, {"model": model, "input": texts}, deadline_s=deadline_s)
        refuse_error(body)
        vectors = _in_order(list(map(mapping, sequence(mapping(body).get("data")))))
        return embedded(vectors, texts, sent_at=sent_at, done_at=done_at, prompt_tokens=_prompt_tokens(body))


def _prompt_tokens(body: object) -> int | None:
    return tokens(mapping(mapping(body).get("usage")).get("prompt_tokens"))


def _reranked(body: object) -> list[Mapping[str, Any]]:
    """Return the results in the reply *body* of a rerank. Raises ProviderError if it is an error with status 200."""
    refuse_error(body)
    reply = mapping(body)
    found = body if isinstance(body, list) else reply.get("results", reply.get("data"))
    return [mapping(entry) for entry in sequence(found)]


def _vector(value: object) -> object:
    """Return the vector in *value*. Some servers send base64 of 32-bit floats, although we do not request it."""
    if not isinstance(value, str):
        return value
    with suppress(ValueError, struct.error):
        raw = base64.b64decode(value, validate=True)
        return list(struct.unpack(f"<{len(raw) // 4}f", raw))
    return None


def _in_order(entries: list[Mapping[str, Any]]) -> list[object]:
    """Return the embeddings of *entries*, sorted by `index` if each index occurs once, else in their order."""
    places = [count(entry.get("index")) for entry in entries]
    if sorted(place for place in places if place is not None) == list(range(len(entries))):
        entries = sorted(entries, key=lambda entry: entry["index"])
    return [_vector(entry.get("embedding")) for entry in entries]
