"""Servers that speak OpenAI's protocol: llama.cpp, vLLM, LM Studio, and unnamed ones.

What differs between them is a row of data each (`_flavours`). A server is recognised by its listing.
"""

import asyncio
import base64
import re
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

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
    ModelActivity,
    Reranked,
    Server,
    _metrics,
)
from vedette.providers._completions import Answer, refused_parameter, request_body
from vedette.providers._entries import context, is_offered
from vedette.providers._flavours import (
    FLAVOURS,
    GENERIC,
    LITELLM,
    LLAMA_CPP_PYTHON,
    LOCALAI,
    Flavour,
    detect,
    listed_by_info,
    may_be_localai,
)
from vedette.providers._gateways import gateway, in_cloud, may_be_litellm, peer
from vedette.providers._http import Http
from vedette.providers._lenient import (
    count,
    is_name,
    listings,
    mapping,
    score,
    sequence,
    text,
    tokens,
    vectors_of,
)
from vedette.providers._llamacpp import LlamaCppLoad
from vedette.providers._metrics import Metrics
from vedette.providers._places import is_ours as is_ours
from vedette.providers._places import stands_on_own_machine
from vedette.providers._refusals import in_stream
from vedette.providers._stream import Events
from vedette.providers.addresses import http_url, socket_of
from vedette.types import Kind, Outcome, Residency

T = TypeVar("T")
_MOST_PAGES = 100
_MOST_ASKED = 16  # loaded models of a router whose slots are read
# How servers call all requests they have, and those of them that wait.
_TOLD_AS = (("server_load", None), ("num_reqs", "num_waiting_reqs"), ("in_flight_requests", None))
_TAIL_S = 3.0  # for usage or [DONE] after a finish_reason: some servers leave the connection open
_QUIET_ANSWERS_S = 2.0  # a path that takes no lock answers at once
# States of a model that has its place: llama-swap's and the router's. One that is being loaded was just called, and a
# question to another would push it out.
_LOADED = frozenset({"ready", "starting", "loaded", "loading"})
# How a server without a listing answers to a request for it.
_NO_LISTING = frozenset({Outcome.NOT_FOUND, Outcome.UNSUPPORTED, Outcome.GARBAGE})
# How a server refuses a question that it does not have, or not for this key: LocalAI's `/system` is for admins.
_SWITCHED_OFF = frozenset({Outcome.NOT_FOUND, Outcome.UNSUPPORTED, Outcome.AUTH_FAILED, Outcome.FORBIDDEN})
_NO_LOAD = _SWITCHED_OFF | {Outcome.GARBAGE}
# How it fails at a question that a model is no worse for: it is known with fewer facts.
_NO_FACTS = _SWITCHED_OFF | {Outcome.BAD_REQUEST, Outcome.SERVER_ERROR, Outcome.GARBAGE}


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
        named_kind: Kind = "unknown",
    ) -> None:
        self.features = Features(residency=True, free_to_ask=own)
        self._own = own
        self._prefixes = prefixes  # of paths: the one that answered last, then the likeliest
        self._is_placed = len(prefixes) == 1  # whether the first is the right one
        self._named = named  # models that the configuration names, for a server without a listing
        self._named_kind = named_kind  # of these, by the request whose URL was configured
        self._http = http
        self._clock = clock
        self._given = flavour
        self._flavour = flavour or GENERIC
        self._entries: dict[str, Mapping[str, Any]] = {}
        self._native: dict[str, Mapping[str, Any]] = {}
        self._native_path: str | None = None  # where an older server was found to list in its own way
        self._passed_on: str | None = None  # what shows that the server passes requests on
        self._slotted = LlamaCppLoad(http, clock=clock)
        self._page: str | None = None  # of metrics: the path that had what is read
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
        if self._flavour.quiet:
            told = mapping(await self._optional(self._http.get(self._flavour.quiet)))
            return text(mapping(told.get("info")).get("version"), 64)
        if self._flavour.version:
            return text(
                mapping(await self._optional(self._http.get(self._flavour.version))).get("version"), 64
            )
        if self._flavour.props:
            return text((await self._props()).get("build_info"), 64)
        return None

    async def _props(self) -> Mapping[str, Any]:
        """Return what the server says about its one model."""
        return mapping(await self._optional(self._http.get(self._flavour.props or "")))

    async def recall(self, server: str | None, names: Sequence[str]) -> list[Listing] | None:
        """Return *names* where *server* is one that a listing disturbs, and it still answers under its title.

        Raises ProviderError where nothing answers.
        """
        flavour = self._given or next((one for one in FLAVOURS if one.name == server), GENERIC)
        if not names or not await self._is_quietly(flavour):
            return None
        self._flavour = flavour
        self._entries = {name: {"id": name} for name in names}
        return [Listing(name=name) for name in names]

    async def _is_quietly(self, flavour: Flavour, *, deadline_s: float | None = None) -> bool:
        """Return whether the OpenAPI document of *flavour* is here. Raises ProviderError where nothing answers."""
        if flavour.quiet is None:
            return False
        try:
            told, _ = await self._http.call("GET", flavour.quiet, deadline_s=deadline_s)
        except ProviderError as error:
            if error.outcome in _NO_LISTING:
                return False
            raise
        return flavour.titled in (text(mapping(mapping(told).get("info")).get("title")) or "")

    async def list_models(self) -> list[Listing]:
        """Return what the server lists, page by page, and learn from it which server this is, and its base URL."""
        entries: list[Mapping[str, Any]] = []
        body, headers = await self._first_page()
        for _ in range(_MOST_PAGES):
            page, known = mapping(body), {entry["id"] for entry in entries}
            entries += (found := _named(_listed(body)))
            last = text(page.get("last_id"), 512)
            brought = any(entry["id"] not in known for entry in found)  # a server may ignore `after`
            if page.get("has_more") is not True or last is None or not brought:
                break
            body, headers = await self._http.call(
                "GET", await self._path(f"models?after={quote(last, safe='')}")
            )
        listed = {entry["id"] for entry in entries}
        entries += [{"id": name} for name in self._named if name not in listed]
        now = self._clock.now()
        await self._recognise(entries, headers)
        offered = [entry for entry in entries if is_offered(entry, now) and self._is_served(entry)]
        self._entries = {entry["id"]: entry for entry in offered}
        return list(listings(Listing(name=entry["id"]) for entry in offered))

    async def _recognise(self, entries: list[Mapping[str, Any]], headers: Mapping[str, str]) -> None:
        """Learn which server lists *entries*, what it lists in its own way, and whether it passes requests on."""
        self._flavour = self._given or detect(entries, headers.get("Server", ""))
        self._native = await self._own_listing(self._flavour)
        if self._flavour is GENERIC and self._given is None:
            if may_be_litellm(entries, headers):
                await self._try(LITELLM)
            elif may_be_localai(entries):
                await self._try(LOCALAI)
        self._passed_on = None if self._given else gateway(entries, headers)

    async def _try(self, flavour: Flavour) -> None:
        """Take the server for one of *flavour* if it lists models in the way of that flavour."""
        with suppress(ProviderError):  # whatever else it says, it is another server
            self._native = await self._own_listing(flavour)
        self._flavour = flavour if self._native else GENERIC

    def _is_served(self, entry: Mapping[str, Any]) -> bool:
        """Return whether a listed name is a model: not one of a wildcard's, unless the configuration names it."""
        guess = self._native.get(entry["id"], {}).get("guess") is True
        return not guess or entry["id"] in self._named

    async def _first_page(self) -> tuple[Any, Mapping[str, str]]:
        """Return the first page of the listing under the first prefix where there is one. Raises ProviderError.

        Each listing may try every prefix: another server may have taken the port since the last.
        """
        refusals: list[ProviderError] = []
        for prefix in self._prefixes:
            try:
                body, headers = await self._http.call("GET", f"{prefix}models")
                if (listed := _listed(body)) and not _named(listed):
                    raise ProviderError(Outcome.GARBAGE, f"/{prefix}models lists entries without a name")
            except ProviderError as error:
                if error.outcome is Outcome.TIMEOUT and self._own and await self._computes():
                    problem = f"{LLAMA_CPP_PYTHON.name} lists its models only when it computes nothing"
                    raise ProviderError(Outcome.BUSY, problem) from error
                if error.outcome not in _NO_LISTING:
                    raise
                refusals.append(error)
                if prefix and error.outcome is not Outcome.NOT_FOUND:
                    break  # it is there, and no listing is at its root instead
                continue
            self._prefixes = (prefix, *(other for other in self._prefixes if other != prefix))
            self._is_placed = True
            return body, headers
        if not self._named:
            return await self._by_info(refusals)
        self._is_placed = True
        return {"data": []}, {}

    async def _computes(self) -> bool:
        """Return whether a server that gave no listing in time is one that computes one request at a time."""
        with suppress(ProviderError):
            return await self._is_quietly(LLAMA_CPP_PYTHON, deadline_s=_QUIET_ANSWERS_S)
        return False

    async def _by_info(self, refusals: list[ProviderError]) -> tuple[Any, Mapping[str, str]]:
        """Return the listing of a server that has none and describes its one model. Raises the first of *refusals*."""
        entries: list[Mapping[str, Any]] = []
        by_info = self._given is None or self._given.props == "info"
        if by_info and all(refusal.outcome is Outcome.NOT_FOUND for refusal in refusals):
            with suppress(ProviderError):
                entries = listed_by_info(await self._http.get("info"))
        if not entries:
            raise refusals[0]
        self._is_placed = True
        return {"data": entries}, {}

    async def _path(self, path: str) -> str:
        """Return *path* under the base URL, which the first listing finds where the configured one does not say."""
        if not self._is_placed:
            await self.list_models()
        return f"{self._prefixes[0]}{path}"

    async def _own_listing(self, flavour: Flavour) -> dict[str, Mapping[str, Any]]:
        """Return what a server of *flavour* lists in its own way, by name, where it has one."""
        paths = filter(None, (self._native_path or flavour.native, flavour.native_before))
        for path in dict.fromkeys(paths):
            if told := flavour.natively(await self._optional(self._http.get(path))):
                self._native_path = path if path == flavour.native_before else None
                return told
        return {}

    async def describe(self, model: Listing) -> Described:
        """Return what the listing and, where there are any, the server's properties say."""
        if model.name not in self._entries:
            await self.list_models()
        entry = self._entries.get(model.name)
        if entry is None:
            raise ProviderError(Outcome.NOT_FOUND, f"{model.name} is not listed")
        told = await self._props() if self._flavour.props else self._native.get(model.name, {})
        described = self._flavour.reads(entry, told)
        facts, sources, locality = {**described.facts}, {**described.sources}, described.locality
        if self._own:
            free, why = self._is_free(entry)
            facts.setdefault("free", free)
            sources.setdefault("free", why)
        if self._flavour.disturbs:
            facts["disturbs"], sources["disturbs"] = self._flavour.disturbs, self._flavour.name
        if locality == "unknown":
            locality = self._flavour.locality
        return msgspec.structs.replace(
            described,
            usual_kind=self._named_kind if model.name in self._named else self._flavour.runs,
            facts=facts,
            sources=sources,
            locality=locality if self._own else "remote",
            base_url=self._base_url(),
        )

    def _is_free(self, entry: Mapping[str, Any]) -> tuple[bool, str]:
        """Return whether a call of a listed model is known to cost nothing, and why; at an address of your own."""
        if self._passed_on is not None:
            return False, self._passed_on
        if not self._flavour.serves_own:
            return False, "nothing shows that this server runs the models itself"
        if self._given is None and self._flavour.passes_on:
            return False, self._flavour.passes_on
        elsewhere = peer(entry) or in_cloud(entry)
        return elsewhere is None, elsewhere or f"{self._flavour.name} runs it on a machine of your own"

    def _base_url(self) -> str | None:
        """Return the base URL for OpenAI clients, which reach no unix socket by a URL."""
        return None if socket_of(self._http.url) else f"{self._http.url}/{self._prefixes[0]}".rstrip("/")

    async def resident(self) -> Mapping[str, Residency] | None:
        """Return what is loaded, where the server reports it."""
        if not self._entries:
            await self.list_models()
        if self._flavour.resident == "unknown":
            return None
        if self._flavour.resident == "by_running":
            told = mapping(await self._optional(self._http.get("running")))
            if "running" not in told:
                return None
            entries = [mapping(one) for one in sequence(told["running"])]
            running = {text(one.get("model")) for one in entries if one.get("state") in _LOADED}
            return {name: Residency(resident=name in running, swaps=True) for name in self._entries}
        if self._flavour.resident == "by_status":
            await self.list_models()  # what it said when it was first asked is long past
            return {
                name: Residency(resident=_status(entry) in _LOADED, swaps=True)
                for name, entry in self._entries.items()
            }
        if self._flavour.resident == "by_state":
            self._native = await self._own_listing(self._flavour)
            return {
                name: Residency(resident=entry.get("state") == "loaded", swaps=True)
                for name, entry in self._native.items()
            } or None
        if self._flavour.resident == "by_system":
            system = mapping(await self._optional(self._http.get("system")))
            if "loaded_models" not in system:
                return None
            held = {text(one.get("id")) for one in map(mapping, sequence(system["loaded_models"]))}
            return {name: Residency(resident=name in held, swaps=True) for name in self._entries}
        asleep = self._flavour.props is not None and (await self._props()).get("is_sleeping") is True
        return {
            name: Residency(resident=not asleep, context_tokens=context(entry))
            for name, entry in self._entries.items()
        }

    async def activity(self) -> Activity | None:
        """Return what the server's metrics, or its slots, say about its work."""
        if self._flavour.slots_of_each is not None:
            return await self._activity_of_each(self._flavour.slots_of_each)
        if self._flavour.metrics is not None and (told := await self._metered((self._flavour.metrics,))):
            return told
        if self._flavour.slots is None:
            return None
        running = await self._busy_slots(self._flavour.slots)
        return None if running is None else Activity(running=running)

    async def load(self, server: str | None) -> Activity | None:
        """Return what the server says about its load, by paths that count as no use of a model.

        Nothing where it is not on a machine of your own, nor where every request disturbs it.
        """
        flavour = self._given or next((one for one in (*FLAVOURS, LITELLM) if one.name == server), GENERIC)
        if not self._own or flavour.quiet is not None:
            return None
        if not self._entries:
            await self.list_models()
        flavour = self._flavour
        if flavour.quiet is not None:
            return None
        if flavour.slots is not None:
            return await self._slotted.read(list(self._entries))
        if flavour.resident in ("by_running", "by_status", "by_state"):
            return await self._held()
        kinds = _metrics.ALL if flavour.metrics is None else (flavour.metrics,)
        return await self._metered(kinds) or await self._counted(flavour)

    async def _held(self) -> Activity | None:
        """Return which models are loaded, and what the slots of each show where asking them is no use of it."""
        residency = await self.resident()
        if residency is None:
            return None
        loaded = {name: one for name, one in residency.items() if one.resident}
        models: dict[str, ModelActivity] = {}
        if self._flavour.resident == "by_status" and self._flavour.slots_of_each:
            for name in [one for one in loaded if not _sleeps(self._entries[one])][:_MOST_ASKED]:
                path = self._flavour.slots_of_each.format(model=quote(name, safe=""))
                if (seen := await self._slots(path)) is not None:
                    models[name] = ModelActivity(running=sum(seen), slots=len(seen))
        told = [one.running for one in models.values() if one.running is not None]
        return Activity(
            running=sum(told) if told and len(told) == len(loaded) else None,
            loaded=loaded,
            models=models,
            source=f"{self._flavour.name} {'slots' if models else 'listing'}",
        )

    async def _metered(self, kinds: tuple[Metrics, ...]) -> Activity | None:
        """Return what the server's page of metrics says: only the needed metrics, where it can select."""
        selects = len(kinds) == 1 and kinds[0].selects
        pages = (
            (self._page,) if self._page else (*([_metrics.selecting(kinds[0])] if selects else []), "metrics")
        )
        self._page = None
        for page in pages:
            exposition = await self._optional(
                self._http.text(page, most_bytes=_metrics.MAX_BYTES), without=_NO_LOAD
            )
            found = _metrics.activity(
                _metrics.samples(exposition or "", (name for kind in kinds for name in kind.names)), kinds
            )
            if found is not None:
                self._page = page
                return found
        return None

    async def _counted(self, flavour: Flavour) -> Activity | None:
        """Return what the server's own path reports about its load."""
        path = flavour.load or ("load" if flavour is GENERIC else None)
        if path is None:
            return None
        found = requests_told(await self._optional(self._http.get(path), without=_NO_LOAD))
        if found is None:
            return None
        running, waiting = found
        own = flavour.metrics.own if flavour.metrics else 0
        return Activity(
            running=max(0, running - own), waiting=waiting, source=f"{self._flavour.name} /{path}"
        )

    async def _activity_of_each(self, path: str) -> Activity | None:
        """Return what the slots of each loaded model say; a model that is not loaded is not asked."""
        loaded = await self.resident() or {}
        names = [name for name, one in loaded.items() if one.resident]
        busy = [await self._busy_slots(path.format(model=quote(name, safe=""))) for name in names]
        told = [running for running in busy if running is not None]
        return Activity(running=sum(told)) if told else None

    async def _busy_slots(self, path: str) -> int | None:
        """Return how many slots are at work, or None where the server does not report it."""
        slots = await self._slots(path)
        return None if slots is None else sum(slots)

    async def _slots(self, path: str) -> list[bool] | None:
        """Return of each slot whether it is at work, or None where the server does not report it."""
        try:
            slots = sequence(await self._http.get(path))
        except ProviderError:
            return None
        return [mapping(slot).get("is_processing") is True for slot in slots] or None

    async def _optional(self, asked: Awaitable[T], *, without: Collection[Outcome] = _NO_FACTS) -> T | None:
        """Return what was *asked*, or None of a server that answers *without* it, by one of these outcomes."""
        try:
            return await asked
        except ProviderError as error:
            if error.outcome in without:
                return None
            raise

    async def generate(self, request: Generation) -> AsyncGenerator[Delta | Finished, None]:
        """Stream an answer; it is whole only with a finish_reason or [DONE]."""
        await self._require(request.model)
        path = await self._path("chat/completions" if request.chat else "completions")
        refused = self._refused.setdefault(request.model, set())
        while True:
            sent = request_body(request, reasons=self._flavour.reasons, without=refused)
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
            asked=request.model, listed=self._entries, is_of_server=self._flavour.writes_into_streams
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
                except TimeoutError:  # all that is needed has come
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
        if not answer.whole and not events.done:
            raise ProviderError(Outcome.INCOMPLETE, "the stream ended without finish_reason or [DONE]")
        yield answer.finished(ended_at or self._clock.monotonic(), skipped=events.skipped)

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
        """Rerank by /v1/rerank (Jina's form: llama.cpp, vLLM, infinity), or text-embeddings-inference's /rerank.

        Voyage calls the results `data`, SGLang and text-embeddings-inference give them as an array.
        """
        await self._require(model)
        path = await self._path("rerank")
        sent_at = self._clock.monotonic()
        if self._flavour.reranks_texts:
            body, done_at = await self._http.timed(
                "rerank", {"query": query, "texts": documents}, deadline_s=deadline_s
            )
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
            prompt_tokens=tokens(mapping(mapping(body).get("usage")).get("prompt_tokens")),
        )

    async def embed(self, model: str, texts: list[str], *, deadline_s: float = 60.0) -> Embedded:
        """Embed by /v1/embeddings."""
        await self._require(model)
        path = await self._path("embeddings")
        sent_at = self._clock.monotonic()
        body, done_at = await self._http.timed(path, {"model": model, "input": texts}, deadline_s=deadline_s)
        _refuse_error(body)
        vectors = vectors_of(_in_order(list(map(mapping, sequence(mapping(body).get("data"))))), texts)
        return Embedded(
            sent_at=sent_at,
            done_at=done_at,
            vectors=len(vectors),
            dimensions=len(vectors[0]),
            values=vectors,
            prompt_tokens=tokens(mapping(mapping(body).get("usage")).get("prompt_tokens")),
        )


def _refuse_error(body: object) -> None:
    """Raise ProviderError for a reply with status 200 that is an error, in the server's words."""
    told = mapping(body)
    if told.get("error") or told.get("object") == "error" or told.get("success") is False:
        raise in_stream(told)


def _reranked(body: object) -> list[Mapping[str, Any]]:
    """Return the results of a rerank. Raises ProviderError for an error with status 200."""
    _refuse_error(body)
    told = mapping(body)
    found = body if isinstance(body, list) else told.get("results", told.get("data"))
    return [mapping(entry) for entry in sequence(found)]


def _vector(told: object) -> object:
    """Return a vector, which some servers give as base64 of 32-bit floats though it was not asked for."""
    if not isinstance(told, str):
        return told
    with suppress(ValueError, struct.error):
        raw = base64.b64decode(told, validate=True)
        return list(struct.unpack(f"<{len(raw) // 4}f", raw))
    return None


def _in_order(entries: list[Mapping[str, Any]]) -> list[object]:
    """Return the embeddings of *entries* by their index, where each has one of its own."""
    places = [count(entry.get("index")) for entry in entries]
    if sorted(place for place in places if place is not None) == list(range(len(entries))):
        entries = sorted(entries, key=lambda entry: entry["index"])
    return [_vector(entry.get("embedding")) for entry in entries]


def requests_told(told: object) -> tuple[int, int | None] | None:
    """Return how many requests run and wait, of a reply of vLLM's /load, SGLang's /get_load or LiteLLM's backlog."""
    ranks = [mapping(one) for one in (told if isinstance(told, list) else [told])]
    for all_of_them, those_that_wait in _TOLD_AS:
        held = [count(rank.get(all_of_them)) for rank in ranks]
        if not held or None in held:
            continue
        total = sum(one for one in held if one is not None)
        if those_that_wait is None:
            return total, None
        waiting = sum(count(rank.get(those_that_wait)) or 0 for rank in ranks)
        return max(0, total - waiting), waiting
    return None


def _sleeps(entry: Mapping[str, Any]) -> bool:
    """Return whether llama.cpp's router lists a model that sleeps when it is idle: asking its slots would wake it."""
    arguments = sequence(mapping(entry.get("status")).get("args"))
    return any(isinstance(one, str) and "sleep-idle" in one for one in arguments)


def _status(entry: Mapping[str, Any]) -> str | None:
    return text(mapping(entry.get("status")).get("value"), 64)


def _listed(body: object) -> list[Any]:
    """Return the entries of a listing: of an object with `data` or `models`, or a bare array. Raises ProviderError."""
    if isinstance(body, list):
        return body
    page = mapping(body)
    if isinstance(page.get("data"), list):
        return sequence(page["data"])
    _refuse_error(page)
    if "data" in page and page["data"] is None:
        return []  # how Go writes an empty list
    if isinstance(page.get("models"), list):  # Cohere, and servers that list as Ollama does
        return sequence(page["models"])
    raise ProviderError(Outcome.GARBAGE, "/v1/models did not list models")


def _named(listed: list[Any]) -> list[Mapping[str, Any]]:
    """Return the entries that name a model: by their `id`, which may be a number, by `model` or `name`, or as text."""
    entries = [mapping({"id": entry} if isinstance(entry, str) else entry) for entry in listed]
    entries = [
        entry if isinstance(entry.get("id"), str) else {**entry, "id": entry.get("model", entry.get("name"))}
        for entry in entries
    ]
    return [entry for entry in entries if is_name(entry.get("id"))]


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
                named=access.models or deployment(access.url),
                named_kind=_ASKED.get(_request(access.url), "unknown"),
            )

    def base_url(self, url: str) -> str | None:
        """Return the base URL for OpenAI clients."""
        base = root(url)
        return None if socket_of(base) else f"{base.partition('?')[0]}/v1"


# What people paste: the URL of a request in place of the base URL; and what the models chosen by it are for.
_REQUESTS = (
    "/chat/completions", "/completions", "/embeddings", "/rerank", "/responses", "/models", "/v1/messages", "/v1/chat",
    "/audio/transcriptions", "/audio/speech", "/images/generations",
)  # fmt: skip
_REPEATED = re.compile(r"(?:/v1){2,}\Z")
_ASKED: Mapping[str, Kind] = {
    "/chat/completions": "chat",
    "/completions": "completion",
    "/embeddings": "embedding",
    "/rerank": "rerank",
    "/responses": "chat",
}
# Azure OpenAI's older paths: they name the deployment, and nothing lists what is deployed.
_DEPLOYMENT = re.compile(r"/openai/deployments/([^/]+)\Z")


def root(url: str) -> str:
    """Return *url* without the path of a request, and without the version that base URLs of OpenAI clients end in.

    A query stays.
    """
    _, mark, query = url.partition("?")
    return f"{_without_request(url).removesuffix('/v1')}{mark}{query}"


def deployment(url: str) -> tuple[str, ...]:
    """Return the model that the path of *url* names, where it names one."""
    found = _DEPLOYMENT.search(_without_request(url))
    return (unquote(found[1]),) if found else ()


def prefixes(url: str) -> tuple[str, ...]:
    """Return what may come between *url* and the paths of the protocol, the likeliest first.

    A URL with a path of its own (`/api/paas/v4`, `/openai`) is a base URL already, or the place of a server. A few
    servers, infinity for one, have the protocol at their root.
    """
    pasted = _without_request(url)
    is_versioned = pasted.endswith("/v1")
    if is_versioned:
        return ("v1/",)
    return ("", "v1/") if urlsplit(http_url(pasted)).path.strip("/") else ("v1/", "")


def _without_request(url: str) -> str:
    """Return *url* without its query and the path of a request."""
    base = url.partition("?")[0].rstrip("/")
    plain = base.removesuffix(_request(url).removeprefix("/v1")).rstrip("/")
    return _REPEATED.sub("/v1", plain.removesuffix("/api/v0"))  # LM Studio's own API, beside the protocol


def _request(url: str) -> str:
    """Return the path of the request that *url* ends in, or nothing."""
    base, query, _ = url.partition("?")
    base = base.rstrip("/")
    found = next((path for path in _REQUESTS if base.endswith(path)), "")
    # Azure AI Foundry's base URL is that of no listing, though it looks so.
    is_base = query and found == urlsplit(http_url(base)).path == "/models"
    return "" if is_base else found


def _flavour(access: Access) -> Flavour | None:
    if access.flavour is None:
        return None
    known = (*FLAVOURS, LOCALAI, LITELLM, GENERIC)
    for flavour in known:
        if flavour.name == access.flavour:
            return flavour
    raise ConfigurationError(
        where=f"endpoints.{access.endpoint}.flavour",
        problem=f"{access.flavour!r} is not known; known: {', '.join(f.name for f in known)}",
    )


PROVIDER = OpenAICompatible()
