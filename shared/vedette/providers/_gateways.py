"""Finds out whether a server runs its models, or is a gateway that passes requests on to a service that may charge.

The address does not show this, because gateways run on local machines too. The listing and its headers decide.
The marks come from the source code of LiteLLM, one-api, new-api, Olla, Open WebUI, Portkey, llama-swap, 2026-11-29;
those of llama-swap's selectors and Lemonade's cloud from their source code, 2026-12-01.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from vedette.providers._entries import Entry
from vedette.providers._lenient import mapping, sequence, text
from vedette.types import Locality

# Prefixes of response headers, and the gateway or service that sends them.
_HEADERS: Final[Mapping[str, str]] = {
    "x-litellm-": "LiteLLM",
    "x-olla-": "Olla",
    "x-oneapi-": "one-api",
    "x-new-api-": "new-api",
    "x-portkey-": "Portkey",
    "x-kong-": "Kong",
    "x-bf-": "Bifrost",
    "helicone-": "Helicone",
    "cf-aig-": "Cloudflare's AI Gateway",
    "openrouter-": "OpenRouter",
    "openai-organization": "OpenAI",
    "anthropic-organization-id": "Anthropic",
}
# Fields of a listing's entries that only gateways have.
_FIELDS: Final[Mapping[str, str]] = {
    "litellm_params": "LiteLLM",
    "litellm_provider": "LiteLLM",
    "olla": "Olla",
    "urlIdx": "Open WebUI",
    "connection_type": "Open WebUI",
    "supported_endpoint_types": "new-api",
    "pricing": "a service with prices",
}
# Values of `owned_by` of hosted models: names of services and of gateways.
_OWNERS: Final = frozenset(
    (
        "openai", "openai-internal", "azure", "azure-openai", "anthropic", "google", "vertex_ai", "gemini", "bedrock",
        "amazon", "aws", "mistral", "mistralai", "cohere", "deepseek", "xai", "x-ai", "groq", "together", "together_ai",
        "fireworks", "fireworks_ai", "fireworks-ai", "perplexity", "openrouter", "ai21", "moonshot", "zhipu", "minimax",
        "ali", "alibaba", "baidu", "tencent", "volcengine", "cloudflare", "custom", "olla", "litellm", "portkey",
        "bifrost", "kong", "helicone", "llm-gateway", "gateway", "envoy ai gateway", "one-api", "new-api",
    )
)  # fmt: skip
# Names of models that only their makers serve; not gpt-oss and gpt-2, which are open weights.
_VENDORS_NAMES: Final = re.compile(
    r"(?:^|[/.:])(?:gpt-[345]|chatgpt-|o[134](?:-|$)|claude-|gemini-(?:\d|pro|flash)|grok-[2-9]|text-embedding-(?:3|ada)"
    r"|sonar(?:-|$)|mistral-(?:large|medium|small)-latest)",
    re.IGNORECASE,
)


def gateway(entries: Sequence[Entry], headers: Mapping[str, str]) -> str | None:
    """Return a sentence that says why calls of *entries* are passed on to another service; None without a sign.

    *headers* are the headers of the listing. Models that their entry marks as passed on show nothing of the others.
    """
    for header in headers:
        for start, name in _HEADERS.items():
            if header.lower().startswith(start):
                return f"{name} passes requests on (header {header})"
    known = routes(entries)
    for entry in entries:
        # A server that runs models itself marks those that it passes on: its other models stay its own.
        if elsewhere(entry, known) is None and (found := _shown_by(entry)):
            return found
    return None


def _shown_by(entry: Entry) -> str | None:
    name = text(entry.get("id")) or ""
    for field, whose in _FIELDS.items():
        if entry.get(field) is not None:
            return f"{whose} passes requests on (listed with {field})"
    owner = text(entry.get("owned_by"), 64) or ""
    if owner.lower() in _OWNERS:
        return f"{name} is listed as owned by {owner}"
    if _VENDORS_NAMES.search(name):
        return f"{name} is the name of a model of a hosted service"
    return None


class Routes(NamedTuple):
    """Where llama-swap may send calls: whether it has peers, and the names that it serves itself."""

    has_peers: bool = False
    own: frozenset[str] = frozenset()


def routes(entries: Sequence[Entry]) -> Routes:
    """Return where the server that lists *entries* may send calls."""
    own: set[str] = set()
    for entry in entries:
        swapped = _swapped(entry)
        if (name := text(entry.get("id"))) and text(swapped.get("type")) in ("model", "alias"):
            own |= {name, *filter(None, map(text, sequence(swapped.get("aliases"))))}
    return Routes(any(map(_peer, entries)), frozenset(own))


class Elsewhere(NamedTuple):
    """Another server answers for a model: the sentence that says so, and where that server is."""

    why: str
    locality: Locality


def elsewhere(entry: Entry, routes: Routes) -> Elsewhere | None:
    """Return who answers for this model in place of the server that lists it, or None.

    *routes* are those of its listing. A peer of llama-swap may be a machine of your own.
    """
    if found := _peer(entry) or _led_to_a_peer(entry, routes):
        return Elsewhere(found, "unknown")
    found = _offloaded(entry) or _in_cloud(entry)
    return Elsewhere(found, "remote") if found else None


def _swapped(entry: Entry) -> Entry:
    return mapping(mapping(entry.get("meta")).get("llamaswap"))


def _peer(entry: Entry) -> str | None:
    """Return a sentence if a peer of llama-swap serves this model, else None."""
    swapped = _swapped(entry)
    if swapped.get("peerID") or text(swapped.get("type")) == "peer":
        return f"a peer of llama-swap ({text(swapped.get('peerID'), 64) or 'unnamed'}) serves it"
    return None


def _led_to_a_peer(entry: Entry, routes: Routes) -> str | None:
    """Return a sentence if llama-swap may choose a peer for this name, else None.

    llama-swap lists the targets of a selector, but not the target of a profile's pin.
    """
    swapped = _swapped(entry)
    kind = text(swapped.get("type"), 64)
    if not routes.has_peers or kind not in ("selector", "profile"):
        return None
    targets = sequence(swapped.get("targets"))
    if targets and all(text(target) in routes.own for target in targets):
        return None
    return f"llama-swap may pass calls on to a peer (its {kind})"


def _offloaded(entry: Entry) -> str | None:
    """Return a sentence if Lemonade passes calls of this model on to a service, else None."""
    service = text(entry.get("cloud_provider"), 64)
    if service or entry.get("recipe") == "cloud":
        return f"Lemonade passes calls on to {service or 'a service'}"
    return None


def _in_cloud(entry: Entry) -> str | None:
    """Return a sentence if Ollama runs this model in its cloud, by the name in its `/v1` listing, else None."""
    name = text(entry.get("id")) or ""
    return "Ollama's cloud serves it" if name.endswith(("-cloud", ":cloud")) else None


def may_be_litellm(entries: Sequence[Entry], headers: Mapping[str, str]) -> bool:
    """Return whether the listing may be LiteLLM's: it sent a LiteLLM header, or `owned_by` is "openai"."""
    by_header = any(header.lower().startswith("x-litellm-") for header in headers)
    return by_header or any(entry.get("owned_by") == "openai" for entry in entries)
