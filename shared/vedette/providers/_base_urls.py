"""Base URLs of servers with OpenAI's protocol, from the URLs that people paste. Pure."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

from vedette.providers.addresses import http_url
from vedette.types import Kind

# The URL of a request, or of a page of the server, in place of the base URL; what the models chosen by it are for.
_REQUESTS: Final = (
    "/chat/completions", "/completions", "/embeddings", "/rerank", "/responses", "/models", "/v1/messages", "/v1/chat",
    "/audio/transcriptions", "/audio/speech", "/images/generations", "/docs", "/redoc", "/openapi.json", "/health",
    "/metrics", "/ui",
)  # fmt: skip
_REPEATED: Final = re.compile(r"(?:/v1){2,}\Z")
_KINDS: Final[Mapping[str, Kind]] = {
    "/chat/completions": "chat",
    "/completions": "completion",
    "/embeddings": "embedding",
    "/rerank": "rerank",
    "/responses": "chat",
}
# Azure OpenAI's older paths: they name the deployment, and nothing lists what is deployed.
_DEPLOYMENT: Final = re.compile(r"/openai/deployments/([^/]+)\Z")


def root(url: str) -> str:
    """Return *url* without the path of a request, and without the version that base URLs of OpenAI clients end in.

    A query stays, a fragment does not: no request has it.
    """
    query = _parts(url)[1]
    return f"{_without_request(url).removesuffix('/v1')}{'?' if query else ''}{query}"


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


def kind_asked(url: str) -> Kind:
    """Return what kind of model the request is for that *url* ends in: "unknown" where it ends in none."""
    return _KINDS.get(_request(url), "unknown")


def _without_request(url: str) -> str:
    """Return *url* without its query and the path of a request."""
    base, _ = _parts(url)
    plain = base.removesuffix(_request(url).removeprefix("/v1")).rstrip("/")
    return _REPEATED.sub(
        "/v1", plain.removesuffix("/api/v0")
    )  # LM Studio's own API, in addition to the protocol


def _request(url: str) -> str:
    """Return the path of the request that *url* ends in, or nothing."""
    base, query = _parts(url)
    found = next((path for path in _REQUESTS if base.endswith(path)), "")
    # Azure AI Foundry's base URL is that of no listing, though it looks so.
    is_base = query and found == urlsplit(http_url(base)).path == "/models"
    return "" if is_base else found


def _parts(url: str) -> tuple[str, str]:
    """Return *url* up to its query, and the query; `#/default` behind a page names a place in it."""
    base, _, query = url.partition("#")[0].partition("?")
    return base.rstrip("/"), query
