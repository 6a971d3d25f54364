"""Google's Gemini API (generativelanguage.googleapis.com). From its API description, 2026-11-27."""

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
    ToolCall,
)
from vedette.providers._http import Http
from vedette.providers._lenient import (
    embedded,
    end_reason,
    is_name,
    known,
    listings,
    mapping,
    sequence,
    text,
    tokens,
)
from vedette.providers._native import declared
from vedette.providers._refusals import in_stream
from vedette.providers._stream import Events
from vedette.types import Capability, Claim, Evidence, Kind, Outcome, Residency

_PAGE = 1000
_MAX_PAGES = 20
_PREFIX = "models/"
_SOURCE = "Gemini /v1beta/models"
# Models that list generateContent, but return images, music, speech or a report (2026-11-29).
_NO_TEXT = re.compile(
    r"-(tts|image|audio|live)\b|native-audio|nano-banana|lyria|deep-research|imagen|veo-|aqa\b"
)


class GeminiEndpoint:
    """Google's Gemini API."""

    features = Features(free_to_ask=False)

    def __init__(self, http: Http, *, clock: Clock) -> None:
        self._http = http
        self._clock = clock
        self._entries: dict[str, Mapping[str, Any]] = {}

    async def reach(self) -> Server:
        """Return the product "gemini". The service reports no version."""
        if not self._entries:
            await self.list_models()
        return Server(product="gemini")

    async def list_models(self) -> list[Listing]:
        """Return the models of all pages; their names are without `models/`."""
        entries: list[Mapping[str, Any]] = []
        path = f"v1beta/models?pageSize={_PAGE}"
        for _ in range(_MAX_PAGES):
            page = mapping(await self._http.get(path))
            if not isinstance(page.get("models"), list):
                raise ProviderError(Outcome.GARBAGE, "/v1beta/models did not list models")
            entries += [entry for entry in map(mapping, page["models"]) if is_name(entry.get("name"))]
            following = text(page.get("nextPageToken"))
            if following is None:
                break
            path = f"v1beta/models?pageSize={_PAGE}&pageToken={quote(following, safe='')}"
        self._entries = {entry["name"].removeprefix(_PREFIX): entry for entry in entries}
        return list(listings(Listing(name=name) for name in self._entries))

    async def describe(self, model: Listing) -> Described:
        """Return what the listing declares about *model*."""
        if model.name not in self._entries:
            await self.list_models()
        entry = self._entries.get(model.name)
        if entry is None:
            raise ProviderError(Outcome.NOT_FOUND, f"{model.name} is not listed")
        kind = _kind(entry)
        facts = known(native_context_tokens=tokens(entry.get("inputTokenLimit")) or None)
        claims = declared(
            _SOURCE,
            {
                Capability.CHAT: True if kind == "chat" else None,
                Capability.EMBEDDING: kind == "embedding",
                Capability.THINKING: entry.get("thinking"),
            },
        )
        if _NO_TEXT.search(model.name):
            silent = Claim(value=False, evidence=Evidence.INFERRED, source="its name: it does not write text")
            claims[Capability.CHAT] = silent
        return Described(
            kind=kind,
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
        """Stream an answer. It is complete only with a finishReason or a blockReason."""
        if not request.chat:
            raise ProviderError(Outcome.UNSUPPORTED, "the Gemini API does not continue plain text")
        path = f"{_path(request.model)}:streamGenerateContent?alt=sse"
        answer = _Answer()
        async with aclosing(self._http.chunks(path, _body(request), deadline_s=request.deadline_s)) as chunks:
            events = Events(chunks)
            async for at, chunk in events:
                delta = answer.take(at, chunk)
                if delta is not None:
                    yield delta
        if answer.reason is None:
            raise ProviderError(Outcome.INCOMPLETE, "the stream ended without finishReason")
        yield answer.finished(self._clock.monotonic(), skipped=events.skipped)

    async def rerank(
        self, model: str, query: str, documents: list[str], *, deadline_s: float = 60.0
    ) -> Reranked:
        """Raise ProviderError (UNSUPPORTED): the Gemini API has no models that rerank."""
        raise ProviderError(Outcome.UNSUPPORTED, "the Gemini API has no models that rerank")

    async def embed(self, model: str, texts: list[str], *, deadline_s: float = 60.0) -> Embedded:
        """Embed *texts* by batchEmbedContents, which reports no token counts."""
        sent_at = self._clock.monotonic()
        path = _path(model)
        asked = {
            "requests": [
                {"model": path.removeprefix("v1beta/"), "content": {"parts": [{"text": one}]}}
                for one in texts
            ]
        }
        body, done_at = await self._http.timed(f"{path}:batchEmbedContents", asked, deadline_s=deadline_s)
        vectors = [mapping(entry).get("values") for entry in sequence(mapping(body).get("embeddings"))]
        return embedded(vectors, texts, sent_at=sent_at, done_at=done_at)


class _Answer:
    """The state of a streamed answer, except for its deltas."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._usage: Mapping[str, Any] = {}
        self._called: list[ToolCall] = []

    def take(self, at: float, chunk: Mapping[str, Any]) -> Delta | None:
        """Add one chunk that arrived at *at* (monotonic seconds); return its delta, or None if it has no content.

        Raises ProviderError for an error.
        """
        if chunk.get("error"):
            raise in_stream(chunk)
        self._usage = mapping(chunk.get("usageMetadata")) or self._usage
        blocked = text(mapping(chunk.get("promptFeedback")).get("blockReason"), 64)
        candidate = mapping(next(iter(sequence(chunk.get("candidates"))), None))
        self.reason = end_reason(candidate.get("finishReason")) or blocked or self.reason
        spoken, thinking = "", ""
        for part in map(mapping, sequence(mapping(candidate.get("content")).get("parts"))):
            call, said = mapping(part.get("functionCall")), part.get("text")
            if name := text(call.get("name"), 256):
                self._called.append(ToolCall(name=name, arguments=mapping(call.get("args"))))
            if isinstance(said, str):
                if part.get("thought") is True:
                    thinking += said
                else:
                    spoken += said
        return Delta(at=at, text=spoken, thinking=thinking) if spoken or thinking else None

    def finished(self, at: float, *, skipped: int) -> Finished:
        """Return the end of the answer, with the token counts of the service. Reasoning is billed as output."""
        usage = self._usage
        written = [
            n for part in ("candidatesTokenCount", "thoughtsTokenCount") if (n := tokens(usage.get(part)))
        ]
        return Finished(
            at=at,
            reason=self.reason,
            prompt_tokens=tokens(usage.get("promptTokenCount")),
            output_tokens=sum(written) if written else None,
            reasoning_tokens=tokens(usage.get("thoughtsTokenCount")),
            cached_tokens=tokens(usage.get("cachedContentTokenCount")),
            tool_calls=tuple(self._called),
            skipped=skipped,
        )


def _kind(entry: Mapping[str, Any]) -> Kind:
    methods = sequence(entry.get("supportedGenerationMethods"))
    if "embedContent" in methods or "batchEmbedContents" in methods:
        return "embedding"
    name = entry["name"]
    return "chat" if "generateContent" in methods and not _NO_TEXT.search(name) else "unknown"


def _path(model: str) -> str:
    """Return the path for calls of *model*. The names of tuned models already have a prefix."""
    prefix = "" if model.startswith("tunedModels/") else _PREFIX
    return f"v1beta/{prefix}{quote(model, safe='/' if not prefix else '')}"


def _body(request: Generation) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"text": request.prompt}]
    if request.image is not None:
        data = base64.b64encode(request.image).decode()
        parts.append({"inlineData": {"mimeType": "image/png", "data": data}})
    settings: dict[str, Any] = {"maxOutputTokens": request.max_tokens, "temperature": request.temperature}
    if request.schema is not None:
        settings |= {"responseMimeType": "application/json", "responseJsonSchema": request.schema}
    if request.think is False:
        settings["thinkingConfig"] = {"thinkingBudget": 0}
    asked: dict[str, Any] = {"contents": [{"role": "user", "parts": parts}], "generationConfig": settings}
    if request.tools:
        functions = [
            {"name": tool.name, "description": tool.description, "parametersJsonSchema": tool.parameters}
            for tool in request.tools
        ]
        asked["tools"] = [{"functionDeclarations": functions}]
    return asked


class Gemini:
    """Google's Gemini API as a provider."""

    name = "gemini"
    api = "gemini"
    home: str | None = "https://generativelanguage.googleapis.com"

    @asynccontextmanager
    async def open(self, access: Access, *, clock: Clock) -> AsyncIterator[Endpoint]:
        """Open the endpoint. The key is sent in the header `x-goog-api-key`, never in a URL."""
        headers = dict(access.headers)
        if key := headers.pop("Authorization", "").removeprefix("Bearer "):
            headers["x-goog-api-key"] = key
        own = msgspec.structs.replace(access, url=_root(access.url), headers=headers)
        async with Http(own, clock=clock) as http:
            yield GeminiEndpoint(http, clock=clock)

    def base_url(self, url: str) -> str | None:
        """Return the base URL of the Gemini API for OpenAI clients."""
        return f"{_root(url)}/v1beta/openai/"


def _root(url: str) -> str:
    """Return *url* without a version and the path after it, which operators sometimes paste."""
    return re.sub(r"/v1(?:beta)?(?:/models|/openai)?\Z", "", url.rstrip("/"))


PROVIDER = Gemini()
