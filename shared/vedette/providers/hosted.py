"""Paid services with OpenAI's protocol: one `Hosted` for each, with a reader for listings that have more fields.

OpenAI's listing has only names, so the kind of a model is inferred from its name. OpenRouter's listing has contexts,
modalities, prices and parameters. For each model, OpenRouter also publishes uptime, latency and throughput of the
services behind it. From the API descriptions, 2026-11-27; Groq, Mistral, Together, DeepSeek, xAI and Hugging Face
2026-11-29.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from urllib.parse import quote

import msgspec

from vedette.clock import Clock
from vedette.providers import Access, Described, Endpoint, Listing
from vedette.providers._base_urls import root
from vedette.providers._entries import Entry
from vedette.providers._flavours import Flavour
from vedette.providers._http import Http
from vedette.providers._lenient import (
    known,
    mapping,
    number,
    sequence,
    text,
    tokens,
)
from vedette.providers._native import declared, entry_and_props, modalities
from vedette.providers._prices import price
from vedette.providers.openai_compatible import OpenAICompatibleEndpoint
from vedette.types import Capability, Claim, Evidence, Kind, Percentiles, Published

# Models without chat completions: other modalities, and models that only the Responses API serves.
_NO_CHAT = re.compile(
    r"audio|realtime|transcribe|tts|whisper|image|dall-e|sora|moderation|embedding"
    r"|-pro\b|codex|deep-research|computer-use"
)
_CHAT = re.compile(r"(gpt-|chatgpt-|o\d|ft:)")
_COMPLETION = re.compile(r"(?:ft:)?(gpt-3\.5-turbo-instruct|davinci|babbage)")
_PERCENTILES = frozenset(Percentiles.__struct_fields__)
_MAX_UPSTREAMS = 16  # for each model; figures of further upstreams are dropped


def _kind(name: str) -> Kind:
    if "embedding" in name:
        return "embedding"
    if _COMPLETION.match(name):
        return "completion"
    return "chat" if _CHAT.match(name) and not _NO_CHAT.search(name) else "unknown"


def _openai(entry: Entry, _: Entry) -> Described:
    name = text(entry.get("id")) or ""
    kind = _kind(name)
    # Without this claim, a model that cannot chat would count as one that may chat.
    silent = Claim(value=False, evidence=Evidence.INFERRED, source="its name among OpenAI's models")
    return Described(kind=kind, claims={Capability.CHAT: silent} if kind == "unknown" else {})


def _openrouter(entry: Entry, _: Entry) -> Described:
    architecture, top = mapping(entry.get("architecture")), mapping(entry.get("top_provider"))
    taken = modalities(architecture.get("input_modalities")) or ()
    given = modalities(architecture.get("output_modalities")) or ()
    able, source = sequence(entry.get("supported_parameters")), "OpenRouter /v1/models"
    facts = known(
        native_context_tokens=tokens(entry.get("context_length")) or None,
        served_context_tokens=tokens(top.get("context_length")) or None,
        input_modalities=taken or None,
        output_modalities=given or None,
        knowledge_cutoff=text(entry.get("knowledge_cutoff")),
    )
    claims = declared(
        source,
        {
            # If a model also returns images, only a call shows whether it chats.
            Capability.CHAT: "text" in given
            if given and set(given) - {"text"} in (set(), set(given))
            else None,
            Capability.VISION: "image" in taken if taken else None,
            Capability.AUDIO: "audio" in taken if taken else None,
            Capability.TOOLS: "tools" in able if able else None,
            Capability.JSON_SCHEMA: "structured_outputs" in able if able else None,
            Capability.THINKING: "reasoning" in able if able else None,
        },
    )
    return Described(
        kind="chat" if "text" in given else "unknown",
        facts=facts,
        sources=dict.fromkeys(facts, source),
        claims=claims,
        origin=text(entry.get("hugging_face_id")),
        price=price({**entry, "price_unit": "token"}, source),
    )


def _together(entry: Entry, details: Entry) -> Described:
    """Read an entry of Together's listing: `language` models do not chat, and prices are for a million tokens."""
    base = {"type": "completion"} if entry.get("type") == "language" else {}
    return entry_and_props({"price_unit": "million", **entry, **base}, details)


class OpenRouterEndpoint(OpenAICompatibleEndpoint):
    """OpenRouter, which also publishes figures of the services that serve its models."""

    async def published(self, model: Listing) -> tuple[Published, ...]:
        """Return uptime (last day), latency and throughput (last 30 minutes) of each service of *model*.

        Raises ProviderError.
        """
        reply = mapping(await self._http.get(f"v1/models/{quote(model.name, safe='/:')}/endpoints"))
        upstreams = map(mapping, sequence(mapping(reply.get("data")).get("endpoints"))[:_MAX_UPSTREAMS])
        figures = (_published(upstream, self._clock.now()) for upstream in upstreams)
        return tuple(figure for figure in figures if figure is not None)


def _published(upstream: Entry, at: datetime) -> Published | None:
    uptime = number(upstream.get("uptime_last_1d"))
    ttft, speed = (_percentiles(upstream.get(f"{what}_last_30m")) for what in ("latency", "throughput"))
    if uptime is None and ttft is None and speed is None:
        return None
    return Published(
        source="OpenRouter",
        by=text(upstream.get("provider_name"), 64) or "",
        as_of=at,
        uptime=None if uptime is None else min(1.0, uptime / 100),
        ttft_ms=ttft,
        output_tps=speed,
    )


def _percentiles(reply: object) -> Percentiles | None:
    values = {name: number(value) for name, value in mapping(reply).items() if name in _PERCENTILES}
    return Percentiles(**values) if values.get("p50") is not None else None


class Hosted:
    """A paid service with OpenAI's protocol, as a provider."""

    api = "openai"

    def __init__(
        self, flavour: Flavour, *, home: str, kind: type[OpenAICompatibleEndpoint] = OpenAICompatibleEndpoint
    ) -> None:
        self.name = flavour.name
        self.home: str | None = home
        self._flavour = flavour
        self._kind = kind

    @asynccontextmanager
    async def open(self, access: Access, *, clock: Clock) -> AsyncIterator[Endpoint]:
        """Open the service at the URL of *access*."""
        async with Http(msgspec.structs.replace(access, url=root(access.url)), clock=clock) as http:
            yield self._kind(http, flavour=self._flavour, own=False, clock=clock)

    def base_url(self, url: str) -> str | None:
        """Return the base URL for OpenAI clients, without a slash at its end."""
        return f"{root(url)}/v1"


OPENAI = Hosted(
    Flavour(name="openai", locality="remote", reads=_openai, reasons=True), home="https://api.openai.com"
)
OPENROUTER = Hosted(
    Flavour(name="openrouter", locality="remote", reads=_openrouter),
    home="https://openrouter.ai/api",
    kind=OpenRouterEndpoint,
)
GROQ = Hosted(Flavour(name="groq", locality="remote"), home="https://api.groq.com/openai")
MISTRAL = Hosted(Flavour(name="mistral", locality="remote"), home="https://api.mistral.ai")
TOGETHER = Hosted(
    Flavour(name="together", locality="remote", reads=_together), home="https://api.together.xyz"
)
DEEPSEEK = Hosted(Flavour(name="deepseek", runs="chat", locality="remote"), home="https://api.deepseek.com")
XAI = Hosted(Flavour(name="xai", locality="remote"), home="https://api.x.ai")
HUGGING_FACE = Hosted(
    Flavour(name="hugging-face", runs="chat", locality="remote"), home="https://router.huggingface.co"
)
