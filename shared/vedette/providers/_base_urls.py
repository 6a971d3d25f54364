"""Base URLs of servers with OpenAI's protocol, from the URLs that people paste. Pure."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

from vedette.providers.addresses import http_url
from vedette.types import Kind

# Paths of requests and pages that operators paste with the base URL, and the kind of model of some requests.
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
    """Return *url* without the path of a request, without `/v1` at its end, and without a fragment.

    The query stays.
    """
    query = _parts(url)[1]
    return f"{_without_request(url).removesuffix('/v1')}{'?' if query else ''}{query}"


def deployment(url: str) -> tuple[str, ...]:
    """Return the model in the path of *url* (Azure OpenAI's deployments) as a tuple of one; empty if there is none."""
    found = _DEPLOYMENT.search(_without_request(url))
    return (unquote(found[1]),) if found else ()


def prefixes(url: str) -> tuple[str, ...]:
    """Return the prefixes to try between *url* and the paths of the protocol, the likeliest first.

    A URL with a path (`/api/paas/v4`, `/openai`) is either a base URL, or a server below a path of a proxy. A few
    servers, for example infinity, have the protocol at their root, without `v1/`. Docker Model Runner has it under
    `engines/v1/`, and another listing at its root.
    """
    pasted = _without_request(url)
    is_versioned = pasted.endswith("/v1")
    if is_versioned:
        return ("v1/",)
    return ("", "v1/") if urlsplit(http_url(pasted)).path.strip("/") else ("v1/", "engines/v1/", "")


def kind_asked(url: str) -> Kind:
    """Return the kind of model for the request path at the end of *url*; "unknown" if there is none."""
    return _KINDS.get(_request(url), "unknown")


def _without_request(url: str) -> str:
    """Return *url* without its query, the path of a request, LM Studio's `/api/v0`, and a repeated `/v1`."""
    base, _ = _parts(url)
    plain = base.removesuffix(_request(url).removeprefix("/v1")).rstrip("/")
    return _REPEATED.sub(
        "/v1", plain.removesuffix("/api/v0")
    )  # LM Studio's own API, in addition to the protocol


def _request(url: str) -> str:
    """Return the path of the request at the end of *url*, or an empty text."""
    base, query = _parts(url)
    found = next((path for path in _REQUESTS if base.endswith(path)), "")
    # Azure AI Foundry's base URL ends in `/models` with a query, but it is not the URL of a listing.
    is_base = query and found == urlsplit(http_url(base)).path == "/models"
    return "" if is_base else found


def _parts(url: str) -> tuple[str, str]:
    """Return *url* up to its query, and the query. A fragment, such as `#/default`, is dropped."""
    base, _, query = url.partition("#")[0].partition("?")
    return base.rstrip("/"), query
