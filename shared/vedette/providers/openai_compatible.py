"""Servers that speak OpenAI's protocol: llama.cpp, vLLM, LM Studio, and those nobody has named.

What differs between them is a row of data each (`_flavours`). A server is told by what it lists.
"""

import base64
import ipaddress
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

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
from vedette.providers._flavours import FLAVOURS, GENERIC, Flavour, detect, served_context
from vedette.providers._http import Http
from vedette.providers._lenient import (
    count,
    counters,
    is_name,
    listings,
    mapping,
    number,
    score,
    sequence,
    text,
    tokens,
    tool_object,
)
from vedette.providers._stream import Called, called, decoded, server_sent
from vedette.types import Outcome, Residency

T = TypeVar("T")
_MOST_PAGES = 100


class OpenAICompatibleEndpoint:
    """One server that speaks OpenAI's protocol."""

    def __init__(self, http: Http, *, flavour: Flavour | None, free_to_ask: bool, clock: Clock) -> None:
        self.features = Features(residency=True, free_to_ask=free_to_ask)
        self._http = http
        self._clock = clock
        self._given = flavour
        self._flavour = flavour or GENERIC
        self._entries: dict[str, Mapping[str, Any]] = {}
        self._native: dict[str, Mapping[str, Any]] = {}

    async def reach(self) -> Server:
        """Return what answers: by its health where it has one, else by its listing."""
        if self._flavour.health:
            await self._http.status("GET", self._flavour.health)
        elif not self._entries:
            await self.list_models()
        name = None if self._flavour is GENERIC else self._flavour.name
        return Server(product=name, version=await self._version())

    async def _version(self) -> str | None:
        if self._flavour.version:
            return text(
                mapping(await self._optional(self._http.get(self._flavour.version))).get("version"), 64
            )
        if self._flavour.props:
            return text((await self._props()).get("build_info"), 64)
        return None

    async def _props(self) -> Mapping[str, Any]:
        """Return what the server tells of its one model."""
        return mapping(await self._optional(self._http.get(self._flavour.props or "")))

    async def list_models(self) -> list[Listing]:
        """Return what /v1/models lists, page by page, and learn from it which server this is."""
        entries: list[Mapping[str, Any]] = []
        path = "v1/models"
        for _ in range(_MOST_PAGES):
            body, headers = await self._http.call("GET", path)
            page = mapping(body)
            if not isinstance(page.get("data"), list):
                raise ProviderError(Outcome.GARBAGE, "/v1/models did not list models")
            entries += [entry for entry in map(mapping, page["data"]) if is_name(entry.get("id"))]
            self._flavour = self._given or detect(entries, headers.get("Server", ""))
            last = text(page.get("last_id"), 512)
            if page.get("has_more") is not True or last is None:
                break
            path = f"v1/models?after={quote(last, safe='')}"
        self._entries = {entry["id"]: entry for entry in entries}
        self._native = await self._own_listing()
        return list(listings(Listing(name=entry["id"]) for entry in entries))

    async def _own_listing(self) -> dict[str, Mapping[str, Any]]:
        """Return what the server lists in its own way, by name, where it has one."""
        if self._flavour.native is None:
            return {}
        body = mapping(await self._optional(self._http.get(self._flavour.native)))
        entries = map(mapping, sequence(body.get("data")))
        return {entry["id"]: entry for entry in entries if is_name(entry.get("id"))}

    async def describe(self, model: Listing) -> Described:
        """Return what the listing and, where there are any, the server's properties tell."""
        if model.name not in self._entries:
            await self.list_models()
        entry = self._entries.get(model.name)
        if entry is None:
            raise ProviderError(Outcome.NOT_FOUND, f"{model.name} is not listed")
        told = await self._props() if self._flavour.props else self._native.get(model.name, {})
        described = self._flavour.reads(entry, told)
        return msgspec.structs.replace(described, locality=self._flavour.locality)

    async def resident(self) -> Mapping[str, Residency] | None:
        """Return what is loaded, where the server is one that tells."""
        if not self._entries:
            await self.list_models()
        if self._flavour.resident == "unknown":
            return None
        if self._flavour.resident == "by_status":
            return {
                name: Residency(resident=_status(entry) == "loaded") for name, entry in self._entries.items()
            }
        if self._flavour.resident == "by_state":
            self._native = await self._own_listing()
            return {
                name: Residency(resident=entry.get("state") == "loaded")
                for name, entry in self._native.items()
            } or None
        asleep = self._flavour.props is not None and (await self._props()).get("is_sleeping") is True
        return {
            name: Residency(resident=not asleep, context_tokens=served_context(entry))
            for name, entry in self._entries.items()
        }

    async def activity(self) -> Activity | None:
        """Return what the server's metrics, or its slots, tell of the work it has."""
        if self._flavour.running is not None:
            exposition = await self._optional(self._http.text("metrics"))
            told = counters(exposition or "")
            running, generated = told.get(self._flavour.running), told.get(self._flavour.generated or "")
            if running is not None:
                return Activity(
                    running=int(running), generated_tokens=None if generated is None else int(generated)
                )
        if self._flavour.slots is None:
            return None
        slots = await self._optional(self._http.get(self._flavour.slots))
        busy = [mapping(slot).get("is_processing") is True for slot in sequence(slots)]
        return Activity(running=sum(busy)) if busy else None

    async def _optional(self, asked: Awaitable[T]) -> T | None:
        """Return what was *asked*, or None of a server that has that question switched off."""
        try:
            return await asked
        except ProviderError as error:
            if error.outcome in (Outcome.NOT_FOUND, Outcome.UNSUPPORTED, Outcome.AUTH_FAILED):
                return None
            raise

    async def generate(self, request: Generation) -> AsyncGenerator[Delta | Finished, None]:
        """Stream an answer; it is whole only with a finish_reason or [DONE]."""
        await self._require(request.model)
        path = "v1/chat/completions" if request.chat else "v1/completions"
        answer = _Answer()
        body = _body(request, reasons=self._flavour.reasons)
        async with aclosing(self._http.chunks(path, body, deadline_s=request.deadline_s)) as chunks:
            async for at, data in server_sent(chunks):
                if data == b"[DONE]":
                    answer.whole = True
                    break
                delta = answer.take(at, mapping(decoded(data)))
                if delta is not None:
                    yield delta
        if not answer.whole:
            raise ProviderError(Outcome.INCOMPLETE, "the stream ended without finish_reason or [DONE]")
        yield answer.finished(self._clock.monotonic())

    async def _require(self, model: str) -> None:
        """Refuse a model that is not listed, where the server would answer as another."""
        if not self._flavour.answers_any_name or model in self._entries:
            return
        await self.list_models()
        if model not in self._entries:
            raise ProviderError(Outcome.NOT_FOUND, f"{model} is not listed, and another would answer for it")

    async def rerank(
        self, model: str, query: str, documents: list[str], *, deadline_s: float = 60.0
    ) -> Reranked:
        """Rerank by /v1/rerank (Jina's form, which llama.cpp and vLLM speak)."""
        await self._require(model)
        sent_at = self._clock.monotonic()
        asked = {"model": model, "query": query, "documents": documents}
        body, _ = await self._http.call("POST", "v1/rerank", asked, deadline_s=deadline_s)
        results = [mapping(entry) for entry in sequence(mapping(body).get("results"))]
        scores = {count(entry.get("index")): score(entry.get("relevance_score")) for entry in results}
        found = [scores.get(place) for place in range(len(documents))]
        if None in found:
            raise ProviderError(Outcome.GARBAGE, f"{len(documents)} documents gave {len(results)} scores")
        return Reranked(
            sent_at=sent_at,
            done_at=self._clock.monotonic(),
            scores=[value for value in found if value is not None],
            prompt_tokens=tokens(mapping(mapping(body).get("usage")).get("prompt_tokens")),
        )

    async def embed(self, model: str, texts: list[str], *, deadline_s: float = 60.0) -> Embedded:
        """Embed by /v1/embeddings."""
        await self._require(model)
        sent_at = self._clock.monotonic()
        body, _ = await self._http.call(
            "POST", "v1/embeddings", {"model": model, "input": texts}, deadline_s=deadline_s
        )
        vectors = [sequence(mapping(entry).get("embedding")) for entry in sequence(mapping(body).get("data"))]
        if len(vectors) != len(texts) or not all(vectors):
            raise ProviderError(Outcome.GARBAGE, f"{len(texts)} texts gave {len(vectors)} vectors")
        return Embedded(
            sent_at=sent_at,
            done_at=self._clock.monotonic(),
            vectors=len(vectors),
            dimensions=len(vectors[0]),
            values=vectors,
            prompt_tokens=tokens(mapping(mapping(body).get("usage")).get("prompt_tokens")),
        )


class _Answer:
    """What a stream has told so far beside its deltas."""

    def __init__(self) -> None:
        self.whole = False
        self._reason: str | None = None
        self._usage: Mapping[str, Any] = {}
        self._timings: Mapping[str, Any] = {}
        self._called: dict[int | None, Called] = {}  # by index

    def take(self, at: float, chunk: Mapping[str, Any]) -> Delta | None:
        """Take one chunk in; return its delta if it has content. Raises ProviderError for an error chunk."""
        if "error" in chunk:
            said = mapping(chunk["error"]).get("message", chunk["error"])
            raise ProviderError(Outcome.SERVER_ERROR, text(said, 300) or "failed in mid-stream")
        self._usage = mapping(chunk.get("usage")) or self._usage
        self._timings = mapping(chunk.get("timings")) or self._timings
        choice = mapping(next(iter(sequence(chunk.get("choices"))), None))
        reason = text(choice.get("finish_reason"), 64)
        if reason:
            self._reason, self.whole = reason, True
        for call in map(mapping, sequence(mapping(choice.get("delta")).get("tool_calls"))):
            self._take_call(call)
        return _delta(at, choice)

    def _take_call(self, call: Mapping[str, Any]) -> None:
        """Take in a piece of a tool call: its name comes once, its arguments in pieces."""
        function, index = mapping(call.get("function")), count(call.get("index", 0))
        begun = self._called.setdefault(index, Called())
        begun.name = begun.name or text(function.get("name"), 256) or ""
        begun.take(function.get("arguments"))

    def finished(self, at: float) -> Finished:
        """Return the end of the answer, with the server's own account where it gave one."""
        details = mapping(self._usage.get("prompt_tokens_details"))
        return Finished(
            at=at,
            reason=self._reason,
            prompt_tokens=tokens(self._usage.get("prompt_tokens")),
            output_tokens=tokens(self._usage.get("completion_tokens")),
            cached_tokens=tokens(details.get("cached_tokens", self._timings.get("cache_n"))),
            server_output_tps=number(self._timings.get("predicted_per_second")),
            server_prompt_tps=number(self._timings.get("prompt_per_second")),
            tool_calls=called(self._called.values()),
        )


def _delta(at: float, choice: Mapping[str, Any]) -> Delta | None:
    delta = mapping(choice.get("delta"))
    said = delta.get("content", choice.get("text"))
    thought = delta.get("reasoning_content") or delta.get("reasoning")
    spoken = said if isinstance(said, str) else ""
    thinking = thought if isinstance(thought, str) else ""
    if not spoken and not thinking:
        return None
    return Delta(at=at, text=spoken, thinking=thinking)


def _body(request: Generation, *, reasons: bool) -> dict[str, Any]:
    asked: dict[str, Any] = (
        {"messages": [{"role": "user", "content": _content(request)}]}
        if request.chat
        else {"prompt": request.prompt}
    )
    if request.tools:
        asked["tools"] = [tool_object(tool) for tool in request.tools]
    if request.schema is not None:
        schema = {"name": "answer", "strict": True, "schema": request.schema}
        asked["response_format"] = {"type": "json_schema", "json_schema": schema}
    # Not max_completion_tokens alone: Ollama and llama-cpp-python ignore it and go on for minutes. OpenAI's own
    # models that think refuse max_tokens, and any temperature but their own.
    limits: dict[str, Any] = (
        {"max_completion_tokens": request.max_tokens}
        if reasons
        else {"max_tokens": request.max_tokens, "temperature": request.temperature}
    )
    return {
        "model": request.model,
        **asked,
        **limits,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def _content(request: Generation) -> str | list[dict[str, Any]]:
    if request.image is None:
        return request.prompt
    url = "data:image/png;base64," + base64.b64encode(request.image).decode()
    return [{"type": "text", "text": request.prompt}, {"type": "image_url", "image_url": {"url": url}}]


def _status(entry: Mapping[str, Any]) -> str | None:
    return text(mapping(entry.get("status")).get("value"), 64)


def is_ours(url: str) -> bool:
    """Return whether a host is one's own: loopback, a private address, or a name without a public suffix.

    Elsewhere an answer may cost money, so that probes and benchmarks need leave.
    """
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".lan", ".svc", ".cluster.local"))
    return address.is_private or address.is_loopback or address.is_link_local


class OpenAICompatible:
    """A server that speaks OpenAI's protocol, as a provider."""

    name = "openai-compatible"
    api = "openai"
    home: str | None = None

    @asynccontextmanager
    async def open(self, access: Access, *, clock: Clock) -> AsyncIterator[Endpoint]:
        """Open a connection to one server. Raises ConfigurationError for an unknown flavour."""
        async with Http(msgspec.structs.replace(access, url=root(access.url)), clock=clock) as http:
            yield OpenAICompatibleEndpoint(
                http, flavour=_flavour(access), free_to_ask=is_ours(access.url), clock=clock
            )

    def base_url(self, url: str) -> str | None:
        """Return the base URL for OpenAI clients."""
        return f"{root(url)}/v1"


def root(url: str) -> str:
    """Return *url* without the version that base URLs of OpenAI clients end in."""
    return url.rstrip("/").removesuffix("/v1")


def _flavour(access: Access) -> Flavour | None:
    if access.flavour is None:
        return None
    for flavour in (*FLAVOURS, GENERIC):
        if flavour.name == access.flavour:
            return flavour
    raise ConfigurationError(
        where=f"endpoints.{access.endpoint}.flavour",
        problem=f"{access.flavour!r} is not known; there are {', '.join(f.name for f in (*FLAVOURS, GENERIC))}",
    )


PROVIDER = OpenAICompatible()
