"""Servers that speak OpenAI's protocol: llama.cpp, vLLM, LM Studio, and those nobody has named.

What differs between them is a row of data each (`_flavours`). A server is told by what it lists.
"""

import base64
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Collection, Iterator, Mapping
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
from vedette.providers._entries import context, is_offered
from vedette.providers._flavours import FLAVOURS, GENERIC, Flavour, detect
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
    vectors_of,
)
from vedette.providers._places import is_ours as is_ours
from vedette.providers._places import stands_on_own_machine
from vedette.providers._refusals import FAILED_REASONS, in_stream
from vedette.providers._stream import Calls, Events
from vedette.types import Outcome, Residency

T = TypeVar("T")
_MOST_PAGES = 100
# How a server without a listing answers to a request for it.
_NO_LISTING = frozenset({Outcome.NOT_FOUND, Outcome.UNSUPPORTED, Outcome.GARBAGE})


class OpenAICompatibleEndpoint:
    """One server that speaks OpenAI's protocol."""

    def __init__(
        self,
        http: Http,
        *,
        flavour: Flavour | None,
        own: bool,
        clock: Clock,
        prefixes: tuple[str, ...] = ("v1/",),
        named: tuple[str, ...] = (),
    ) -> None:
        self.features = Features(residency=True, free_to_ask=own)
        self._own = own
        self._prefixes = prefixes  # of paths, the likeliest first; one, when it is known
        self._named = named  # models that the configuration names, for a server without a listing
        self._http = http
        self._clock = clock
        self._given = flavour
        self._flavour = flavour or GENERIC
        self._entries: dict[str, Mapping[str, Any]] = {}
        self._native: dict[str, Mapping[str, Any]] = {}
        self._refused: dict[str, set[str]] = {}  # by model: optional parameters that it does not take

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
        """Return what the server lists, page by page, and learn from it which server this is, and its base URL."""
        entries: list[Mapping[str, Any]] = []
        body, headers = await self._first_page()
        for _ in range(_MOST_PAGES):
            page = mapping(body)
            entries += [entry for entry in map(mapping, _listed(body)) if is_name(entry.get("id"))]
            self._flavour = self._given or detect(entries, headers.get("Server", ""))
            last = text(page.get("last_id"), 512)
            if page.get("has_more") is not True or last is None:
                break
            body, headers = await self._http.call(
                "GET", await self._path(f"models?after={quote(last, safe='')}")
            )
        listed = {entry["id"] for entry in entries}
        entries += [{"id": name} for name in self._named if name not in listed]
        now = self._clock.now()
        offered = [entry for entry in entries if is_offered(entry, now)]
        self._entries = {entry["id"]: entry for entry in offered}
        self._native = await self._own_listing()
        return list(listings(Listing(name=entry["id"]) for entry in offered))

    async def _first_page(self) -> tuple[Any, Mapping[str, str]]:
        """Return the first page of the listing under the first prefix where there is one. Raises ProviderError."""
        refusals: list[ProviderError] = []
        for prefix in self._prefixes:
            try:
                body, headers = await self._http.call("GET", f"{prefix}models")
                _listed(body)
            except ProviderError as error:
                if error.outcome not in _NO_LISTING:
                    raise
                refusals.append(error)
                continue
            self._prefixes = (prefix,)
            return body, headers
        if not self._named:
            raise refusals[0]
        self._prefixes = self._prefixes[:1]
        return {"data": []}, {}

    async def _path(self, path: str) -> str:
        """Return *path* under the base URL, which the first listing finds where the configured one does not say."""
        if len(self._prefixes) > 1:
            await self.list_models()
        return f"{self._prefixes[0]}{path}"

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
        return msgspec.structs.replace(
            described, locality=self._flavour.locality if self._own else "remote", base_url=self._base_url()
        )

    def _base_url(self) -> str:
        """Return the base URL for OpenAI clients."""
        return f"{self._http.url}/{self._prefixes[0]}".rstrip("/")

    async def resident(self) -> Mapping[str, Residency] | None:
        """Return what is loaded, where the server is one that tells."""
        if not self._entries:
            await self.list_models()
        if self._flavour.resident == "unknown":
            return None
        if self._flavour.resident == "by_running":
            told = sequence(mapping(await self._http.get("running")).get("running"))
            running = {text(one.get("model")) for one in map(mapping, told) if one.get("state") == "ready"}
            return {name: Residency(resident=name in running) for name in self._entries}
        if self._flavour.resident == "by_status":
            await self.list_models()  # what it said when it was first asked is long past
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
            name: Residency(resident=not asleep, context_tokens=context(entry))
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
        path = await self._path("chat/completions" if request.chat else "completions")
        refused = self._refused.setdefault(request.model, set())
        while True:
            sent = _body(request, reasons=self._flavour.reasons, without=refused)
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
        answer = _Answer(asked=request.model, listed=self._entries)
        async with aclosing(self._http.chunks(path, body, deadline_s=request.deadline_s)) as chunks:
            events = Events(chunks)
            async for at, chunk in events:
                delta = answer.take(at, chunk)
                if delta is not None:
                    yield delta
        if not answer.whole and not events.done:
            raise ProviderError(Outcome.INCOMPLETE, "the stream ended without finish_reason or [DONE]")
        yield answer.finished(self._clock.monotonic(), skipped=events.skipped)

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
        body, _ = await self._http.call("POST", await self._path("rerank"), asked, deadline_s=deadline_s)
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
            "POST", await self._path("embeddings"), {"model": model, "input": texts}, deadline_s=deadline_s
        )
        vectors = vectors_of(_in_order(list(map(mapping, sequence(mapping(body).get("data"))))), texts)
        return Embedded(
            sent_at=sent_at,
            done_at=self._clock.monotonic(),
            vectors=len(vectors),
            dimensions=len(vectors[0]),
            values=vectors,
            prompt_tokens=tokens(mapping(mapping(body).get("usage")).get("prompt_tokens")),
        )


def _in_order(entries: list[Mapping[str, Any]]) -> list[object]:
    """Return the embeddings of *entries* by their index, where each has one of its own."""
    places = [count(entry.get("index")) for entry in entries]
    if sorted(place for place in places if place is not None) == list(range(len(entries))):
        entries = sorted(entries, key=lambda entry: entry["index"])
    return [entry.get("embedding") for entry in entries]


class _Answer:
    """What a stream has told so far beside its deltas. *listed* are the names of the server's models."""

    def __init__(self, *, asked: str, listed: Collection[str]) -> None:
        self.whole = False
        self._asked = asked
        self._listed = listed
        self._streamed = True
        self._reason: str | None = None
        self._usage: Mapping[str, Any] = {}
        self._timings: Mapping[str, Any] = {}
        self._calls = Calls()

    def take(self, at: float, chunk: Mapping[str, Any]) -> Delta | None:
        """Take one chunk in; return its delta if it has content.

        Raises ProviderError for an error, in the chunk or in its choice, and for an answer of another model.
        """
        if "error" in chunk or chunk.get("object") == "error":
            raise in_stream(chunk)
        self._check_model(text(chunk.get("model"), 512))
        self._usage = mapping(chunk.get("usage")) or self._usage
        self._timings = mapping(chunk.get("timings")) or self._timings
        choice = mapping(next(iter(sequence(chunk.get("choices"))), None))
        reason = text(choice.get("finish_reason"), 64)
        if choice.get("error") or reason in FAILED_REASONS:
            raise in_stream(choice.get("error") or {"type": reason, "message": f"finish_reason {reason}"})
        if reason:
            self._reason, self.whole = reason, True
        if "message" in choice and "delta" not in choice:  # a server that ignores `stream`
            self._streamed, self.whole = False, True
        said = mapping(choice.get("delta", choice.get("message")))
        for call in map(mapping, sequence(said.get("tool_calls"))):
            self._calls.take(call)
        return _delta(at, choice, said)

    def _check_model(self, named: str | None) -> None:
        """Refuse the answer of another listed model. A longer form of the asked name, a dated one say, is the same."""
        if named is None or named.startswith(self._asked) or named not in self._listed:
            return
        if self._asked in self._listed:
            raise ProviderError(Outcome.GARBAGE, f"{named} answered in place of {self._asked}")

    def finished(self, at: float, *, skipped: int) -> Finished:
        """Return the end of the answer, with the server's own account where it gave one."""
        details = mapping(self._usage.get("prompt_tokens_details"))
        output, reasoning = _output_tokens(self._usage)
        return Finished(
            at=at,
            reason=self._reason,
            prompt_tokens=tokens(self._usage.get("prompt_tokens")),
            output_tokens=output,
            reasoning_tokens=reasoning,
            cached_tokens=tokens(details.get("cached_tokens", self._timings.get("cache_n"))),
            server_output_tps=number(self._timings.get("predicted_per_second")),
            server_prompt_tps=number(self._timings.get("prompt_per_second")),
            tool_calls=self._calls.made(),
            streamed=self._streamed,
            skipped=skipped,
        )


def _output_tokens(usage: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Return the tokens of thoughts and words together, and those of thoughts, as *usage* counts them.

    xAI counts thoughts beside `completion_tokens`, all others within.
    """
    written = tokens(usage.get("completion_tokens"))
    reasoning = tokens(mapping(usage.get("completion_tokens_details")).get("reasoning_tokens"))
    if not reasoning or written is None:
        return written, reasoning
    prompt, total = tokens(usage.get("prompt_tokens")), tokens(usage.get("total_tokens"))
    apart = reasoning > written or (prompt is not None and total == prompt + written + reasoning)
    return written + reasoning if apart else written, reasoning


def _delta(at: float, choice: Mapping[str, Any], said: Mapping[str, Any]) -> Delta | None:
    spoken, thinking = _parts(said.get("content", choice.get("text")))
    thinking += _thought(said)
    if not spoken and not thinking:
        return None
    return Delta(at=at, text=spoken, thinking=thinking)


def _parts(content: object) -> tuple[str, str]:
    """Return what a content says, and what it thinks: a text, or a list of parts (Mistral, Anthropic's form)."""
    if isinstance(content, str):
        return content, ""
    spoken, thinking = "", ""
    for part in map(mapping, sequence(content)):
        if "thinking" in part:
            thinking += "".join(_texts(part["thinking"]))
        elif part.get("type") in ("reasoning", "thinking"):
            thinking += "".join(_texts(part.get("text") or part.get("summary")))
        else:
            spoken += "".join(_texts(part.get("text")))
    return spoken, thinking


def _thought(said: Mapping[str, Any]) -> str:
    """Return the thoughts of a delta. Servers give them one of several names, some of them twice."""
    for name in ("reasoning_content", "reasoning", "thinking"):
        if isinstance(said.get(name), str) and said[name]:
            return str(said[name])
    for name in ("reasoning_details", "thinking_blocks"):
        if found := "".join(
            piece
            for part in map(mapping, sequence(said.get(name)))
            for piece in _texts(part.get("text") or part.get("summary") or part.get("thinking"))
        ):
            return found
    return ""


def _texts(value: object) -> Iterator[str]:
    """Yield the texts in *value*: a text, or a list of parts with one each."""
    if isinstance(value, str):
        yield value
    for part in sequence(value):
        found = part if isinstance(part, str) else mapping(part).get("text")
        if isinstance(found, str):
            yield found


# Parameters that a server may refuse without refusing what is asked for. Those of a capability are not among them.
OPTIONAL_PARAMETERS = ("temperature", "stream_options", "max_completion_tokens", "max_tokens")


def refused_parameter(error: ProviderError, sent: Mapping[str, Any]) -> str | None:
    """Return which parameter of *sent* a refusal names, if the request can be made without it."""
    if error.outcome not in (Outcome.BAD_REQUEST, Outcome.UNSUPPORTED):
        return None
    received = error.exchange.received if error.exchange else None
    told = f"{error.detail} {received or ''}"
    named = [name for name in OPTIONAL_PARAMETERS if name in sent and re.search(rf"\b{name}\b", told)]
    # A refusal of one limit often recommends the other: the one that was sent is meant.
    if not named or (named[0].startswith("max_") and _is_about_size(told)):
        return None
    return named[0]


def _is_about_size(told: str) -> bool:
    return (
        re.search(r"too (large|long|small)|maximum context|at (least|most)|greater than|exceed", told)
        is not None
    )


def _body(request: Generation, *, reasons: bool, without: Collection[str] = ()) -> dict[str, Any]:
    """Return what is asked, *without* the optional parameters that this model has refused."""
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
    completion_limit = (reasons or "max_tokens" in without) and "max_completion_tokens" not in without
    limit = "max_completion_tokens" if completion_limit else "max_tokens"
    optional: dict[str, Any] = {"stream_options": {"include_usage": True}}
    if not reasons:
        optional["temperature"] = request.temperature
    return {
        "model": request.model,
        **asked,
        limit: request.max_tokens,
        **{name: value for name, value in optional.items() if name not in without},
        "stream": True,
    }


def _content(request: Generation) -> str | list[dict[str, Any]]:
    if request.image is None:
        return request.prompt
    url = "data:image/png;base64," + base64.b64encode(request.image).decode()
    return [{"type": "text", "text": request.prompt}, {"type": "image_url", "image_url": {"url": url}}]


def _status(entry: Mapping[str, Any]) -> str | None:
    return text(mapping(entry.get("status")).get("value"), 64)


def _listed(body: object) -> list[Any]:
    """Return the entries of a listing: of an object with `data`, or of a bare array. Raises ProviderError."""
    if isinstance(body, list) and body:
        return body
    page = mapping(body)
    if isinstance(page.get("data"), list):
        return sequence(page["data"])
    if "data" in page and page["data"] is None and "error" not in page:
        return []  # how Go writes an empty list
    if "error" in page or page.get("success") is False or page.get("object") == "error":
        raise in_stream(page)
    raise ProviderError(Outcome.GARBAGE, "/v1/models did not list models")


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
                http,
                flavour=_flavour(access),
                own=await stands_on_own_machine(access),
                clock=clock,
                prefixes=prefixes(access.url),
                named=access.models,
            )

    def base_url(self, url: str) -> str | None:
        """Return the base URL for OpenAI clients."""
        return f"{root(url)}/v1"


# What people paste: the URL of a request in place of the base URL.
_REQUESTS = ("/chat/completions", "/completions", "/embeddings", "/rerank", "/responses", "/models")


def root(url: str) -> str:
    """Return *url* without the path of a request, and without the version that base URLs of OpenAI clients end in."""
    return _without_request(url).removesuffix("/v1")


def prefixes(url: str) -> tuple[str, ...]:
    """Return what may come between *url* and the paths of the protocol, the likeliest first.

    A URL with a path of its own (`/api/paas/v4`, `/openai`) is a base URL already, or the place of a server.
    """
    base = root(url)
    return ("", "v1/") if urlsplit(base).path.strip("/") and base == _without_request(url) else ("v1/",)


def _without_request(url: str) -> str:
    base = url.rstrip("/")
    request = next((path for path in _REQUESTS if base.endswith(path)), "")
    return base.removesuffix(request).rstrip("/")


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
