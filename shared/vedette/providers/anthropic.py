"""Anthropic, by its own Messages API. From the types of its Python SDK (PyPI anthropic), 2026-11-27."""

import base64
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any
from urllib.parse import quote

import msgspec

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
from vedette.providers._http import Http
from vedette.providers._lenient import (
    count,
    end_reason,
    is_name,
    known,
    listings,
    mapping,
    moment,
    sequence,
    text,
    tokens,
)
from vedette.providers._native import declared
from vedette.providers._refusals import in_stream
from vedette.providers._stream import Called, Events, called
from vedette.types import Capability, Claim, Evidence, Outcome, Residency

_VERSION = "2023-06-01"
_PAGE = 1000
_MAX_PAGES = 20
_SOURCE = "Anthropic /v1/models"
_EVERY_MODEL = "Anthropic's documentation: every model takes tools"


class AnthropicEndpoint:
    """Anthropic's API, or a service that speaks it."""

    features = Features(free_to_ask=False)

    def __init__(self, http: Http, *, clock: Clock, named: tuple[str, ...] = ()) -> None:
        self._http = http
        self._named = named  # models that the configuration names, for a service without a listing
        self._clock = clock
        self._entries: dict[str, Mapping[str, Any]] = {}

    async def reach(self) -> Server:
        """Return the product "anthropic". The service reports no version."""
        if not self._entries:
            await self.list_models()
        return Server(product="anthropic")

    async def list_models(self) -> list[Listing]:
        """Return the listed models and the configured models, without retired ones."""
        try:
            entries = await self._listed()
        except ProviderError as error:
            if not self._named or error.outcome not in (Outcome.NOT_FOUND, Outcome.UNSUPPORTED):
                raise
            entries = {}
        entries = {name: {"id": name} for name in self._named} | entries
        self._entries = {name: one for name, one in entries.items() if one.get("lifecycle") != "retired"}
        return list(
            listings(
                Listing(name=name, facts=known(modified_at=moment(entry.get("created_at"))))
                for name, entry in self._entries.items()
            )
        )

    async def _listed(self) -> dict[str, Mapping[str, Any]]:
        """Return the entries of all pages of the listing by name. Stops at a page without new names."""
        entries: dict[str, Mapping[str, Any]] = {}
        path = f"v1/models?limit={_PAGE}"
        for _ in range(_MAX_PAGES):
            page = mapping(await self._http.get(path))
            if not isinstance(page.get("data", ""), list | None):
                raise ProviderError(Outcome.GARBAGE, "/v1/models did not list models")
            found = {one["id"]: one for one in map(mapping, sequence(page["data"])) if is_name(one.get("id"))}
            last, brought = text(page.get("last_id"), 512), found.keys() - entries.keys()
            entries |= found
            if page.get("has_more") is not True or last is None or not brought:
                break
            path = f"v1/models?limit={_PAGE}&after_id={quote(last, safe='')}"
        return entries

    async def describe(self, model: Listing) -> Described:
        """Return what the listing declares about *model*."""
        if model.name not in self._entries:
            await self.list_models()
        entry = self._entries.get(model.name)
        if entry is None:
            raise ProviderError(Outcome.NOT_FOUND, f"{model.name} is not listed")
        facts = known(native_context_tokens=tokens(entry.get("max_input_tokens")) or None)
        abilities = mapping(entry.get("capabilities"))
        claims = declared(
            _SOURCE,
            {
                Capability.CHAT: True,
                Capability.VISION: mapping(abilities.get("image_input")).get("supported"),
                Capability.JSON_SCHEMA: mapping(abilities.get("structured_outputs")).get("supported"),
                Capability.THINKING: mapping(abilities.get("thinking")).get("supported"),
            },
        )
        claims[Capability.TOOLS] = Claim(value=True, evidence=Evidence.INFERRED, source=_EVERY_MODEL)
        return Described(
            kind="chat",
            facts=facts,
            sources=dict.fromkeys(facts, _SOURCE),
            claims=claims,
            locality="remote",
        )

    async def resident(self) -> Mapping[str, Residency] | None:
        """Return None: the service does not report it."""
        return None

    async def activity(self) -> Activity | None:
        """Return None: the service does not report it."""
        return None

    async def generate(self, request: Generation) -> AsyncGenerator[Delta | Finished, None]:
        """Stream an answer. It is complete only with a stop_reason or message_stop."""
        if not request.chat:
            raise ProviderError(Outcome.UNSUPPORTED, "Anthropic's models do not continue plain text")
        answer = _Answer()
        chunks = self._http.chunks("v1/messages", _body(request), deadline_s=request.deadline_s)
        async with aclosing(chunks) as opened:
            events = Events(opened)
            async for at, event in events:
                delta = answer.take(at, event)
                if delta is not None:
                    yield delta
                if answer.whole:
                    break
        if not answer.whole and answer.reason is None:
            raise ProviderError(Outcome.INCOMPLETE, "the stream ended without stop_reason or message_stop")
        yield answer.finished(self._clock.monotonic(), skipped=events.skipped)

    async def rerank(
        self, model: str, query: str, documents: list[str], *, deadline_s: float = 60.0
    ) -> Reranked:
        """Raise ProviderError (UNSUPPORTED): Anthropic has no models that rerank."""
        raise ProviderError(Outcome.UNSUPPORTED, "Anthropic has no models that rerank")

    async def embed(self, model: str, texts: list[str], *, deadline_s: float = 60.0) -> Embedded:
        """Raise ProviderError (UNSUPPORTED): Anthropic has no models that embed."""
        raise ProviderError(Outcome.UNSUPPORTED, "Anthropic has no models that embed")


class _Answer:
    """The state of a streamed answer, except for its deltas."""

    def __init__(self) -> None:
        self.whole = False
        self._streamed = True
        self._begun = False
        self.reason: str | None = None
        self._usage: dict[str, Any] = {}
        self._called: dict[int | None, Called] = {}  # by block

    def take(self, at: float, event: Mapping[str, Any]) -> Delta | None:
        """Add one event that arrived at *at* (monotonic seconds); return its delta, or None if it has no content.

        Raises ProviderError for an error event.
        """
        kind, block = event.get("type"), count(event.get("index"))
        if kind == "error" or (event.get("error") and kind is None):
            raise in_stream(event)
        if kind == "message_start":
            self._begun = True
            self._usage.update(mapping(mapping(event.get("message")).get("usage")))
        elif kind == "content_block_start":
            return self._start(at, block, mapping(event.get("content_block")))
        elif kind == "content_block_delta":
            return self._delta(at, block, mapping(event.get("delta")))
        elif kind == "message_delta":
            self._usage.update(known(**mapping(event.get("usage"))))
            self.reason = end_reason(mapping(event.get("delta")).get("stop_reason")) or self.reason
        elif kind == "message_stop":
            self.whole = True
        elif kind == "message" and not self._begun:  # a server that ignores `stream`
            return self._whole(at, event)
        return None

    def _whole(self, at: float, message: Mapping[str, Any]) -> Delta | None:
        self.whole, self._streamed = True, False
        self._usage.update(known(**mapping(message.get("usage"))))
        self.reason = end_reason(message.get("stop_reason"))
        blocks = map(mapping, sequence(message.get("content")))
        deltas = [one for place, block in enumerate(blocks) if (one := self._start(at, place, block))]
        said, thought = "".join(one.text for one in deltas), "".join(one.thinking for one in deltas)
        return Delta(at=at, text=said, thinking=thought) if deltas else None

    def _start(self, at: float, place: int | None, block: Mapping[str, Any]) -> Delta | None:
        """Add the start of a content block. Some gateways send the whole block there, without later pieces."""
        if block.get("type") == "tool_use":
            self._called[place] = Called(text(block.get("name"), 256) or "")
            self._called[place].take(block.get("input") or None)
        return self._delta(at, place, block)

    def _delta(self, at: float, block: int | None, delta: Mapping[str, Any]) -> Delta | None:
        said, thought, piece = delta.get("text"), delta.get("thinking"), delta.get("partial_json")
        if block in self._called:
            self._called[block].take(piece)
        spoken = said if isinstance(said, str) else ""
        thinking = thought if isinstance(thought, str) else ""
        return Delta(at=at, text=spoken, thinking=thinking) if spoken or thinking else None

    def finished(self, at: float, *, skipped: int) -> Finished:
        """Return the end of the answer, with the token counts of the service."""
        parts = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        asked = [n for part in parts if (n := tokens(self._usage.get(part))) is not None]
        return Finished(
            at=at,
            reason=self.reason,
            prompt_tokens=sum(asked) if asked else None,
            output_tokens=tokens(self._usage.get("output_tokens")),
            cached_tokens=tokens(self._usage.get("cache_read_input_tokens")),
            tool_calls=called(self._called.values()),
            streamed=self._streamed,
            skipped=skipped,
        )


def _body(request: Generation) -> dict[str, Any]:
    # Without a temperature: newer models accept only their default.
    asked: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_tokens,
        "messages": [{"role": "user", "content": _content(request)}],
        "stream": True,
    }
    if request.tools:
        asked["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
            for tool in request.tools
        ]
    if request.schema is not None:
        asked["output_config"] = {"format": {"type": "json_schema", "schema": request.schema}}
    return asked


def _content(request: Generation) -> str | list[dict[str, Any]]:
    if request.image is None:
        return request.prompt
    data = base64.b64encode(request.image).decode()
    source = {"type": "base64", "media_type": "image/png", "data": data}
    return [{"type": "image", "source": source}, {"type": "text", "text": request.prompt}]


class Anthropic:
    """Anthropic as a provider."""

    name = "anthropic"
    api = "anthropic"
    home: str | None = "https://api.anthropic.com"

    @asynccontextmanager
    async def open(self, access: Access, *, clock: Clock) -> AsyncIterator[Endpoint]:
        """Open the endpoint. The key is sent in the header `x-api-key`."""
        headers = {"anthropic-version": _VERSION, **access.headers}
        if key := headers.pop("Authorization", "").removeprefix("Bearer "):
            headers["x-api-key"] = key
        own = msgspec.structs.replace(access, url=_root(access.url), headers=headers)
        async with Http(own, clock=clock) as http:
            yield AnthropicEndpoint(http, clock=clock, named=access.models)

    def base_url(self, url: str) -> str | None:
        """Return the base URL of Anthropic's API for OpenAI clients."""
        return f"{_root(url)}/v1/"


def _root(url: str) -> str:
    """Return *url* without the path of a request, which operators sometimes paste."""
    return re.sub(r"/v1(?:/messages|/models)?\Z", "", url.rstrip("/"))


PROVIDER = Anthropic()
