"""Remedies for replies that show more than their outcome, for example that a proxy answered. Pure.

From pages and headers of Cloudflare, ngrok, nginx, HAProxy, Squid, tinyproxy, Privoxy, Open WebUI, 2026-11-30.
"""

import re
from collections.abc import Mapping
from typing import Final

from vedette.providers._lenient import HTML
from vedette.providers._outcomes import NO_UPSTREAM, SIGN_IN
from vedette.providers._refusals import Refused
from vedette.remedies import REMEDIES
from vedette.types import Outcome

_HTTP_TO_TLS: Final = re.compile(
    r"http request (?:was sent )?to (?:an )?https", re.IGNORECASE
)  # nginx, Go, Apache
_TUNNEL: Final = re.compile(r"\b1033\b|tunnel", re.IGNORECASE)
_WEB_PROXY: Final = re.compile(
    r"requested url could not be retrieved|unable to connect|privoxy|tinyproxy|zscaler|fortigate|blue ?coat",
    re.IGNORECASE,
)
_NO_LINK: Final = "the tunnel in front of the server has no connection to it; check that both run"
_BEHIND: Final = "a proxy answers in place of the server; check that the server behind it runs"
_BY_STATUS: Final[Mapping[int, str]] = {
    407: "a proxy answers in place of the server and wants a login; let this machine reach the server without it",
    511: "the network wants a login first; open any page in a browser of this machine, and log in there",
    520: _BEHIND,
    521: _BEHIND,
    522: _BEHIND,
    523: _BEHIND,
    525: "the proxy in front of the server cannot agree on TLS with it; see the certificate of the server",
    526: "the proxy in front of the server does not trust its certificate; renew it on the server",
    530: _NO_LINK,
}
_LATE: Final = (
    "a proxy gave up waiting for the server; see the server's log, or raise the time limit of the proxy"
)
_WRITE_BASIC: Final = (
    'the server wants a name and a password: basic = { user = "…", password = { env = "NAME" } } under its '
    "[endpoints.<name>]"
)
_SIGN_IN: Final = (
    "only the models in Ollama's cloud need a login: run `ollama signin` on its machine, or leave them out with "
    "`exclude`"
)
# Must not match Google's `models/m is not found for API version v1beta`, which is about the model.
_VERSION: Final = re.compile(
    r"api-version|\b(?:missing|required|unsupported|invalid|not support) (?:\w+ ){0,2}api version"
    r"|api version (?:\S+ )?(?:is |was )?(?:missing|required|unsupported|invalid|not supported)",
    re.IGNORECASE,
)
_WRITE_VERSION: Final = (
    "write a version that the service has at the end of its url: ?api-version=2024-10-21, say; or use its path "
    "/openai/v1"
)
# Anthropic, Portkey, and gateways that do not accept a bearer token.
_HEADER: Final = re.compile(
    r"\b(?P<name>x-[\w-]{2,60})\b.{0,80}\bheader.{0,20}(?:required|missing)"
    r"|(?:missing|requires?|no) (?:\w+ ){0,3}header\W*[:'\"`]\s*(?P<after>[a-z]\w*(?:-\w+)+)",
    re.IGNORECASE,
)
_KEY_HEADER: Final = re.compile(
    r"\b(?:authorization|authentication|bearer)\W{1,3}(?:\w+ ){0,2}header\b|\bheader\W{1,3}authorization\b",
    re.IGNORECASE,
)
_HOST: Final = re.compile(
    r"\binvalid host\b|\bhost\b.{0,80}\bnot allowed|blocked hosts?\b|disallowed host|misdirected request",
    re.IGNORECASE,
)
_WRITE_HOST: Final = (
    "the server does not take this host name: write the one that it is known by in its url, or allow this one "
    "there"
)
_ADDRESS: Final = re.compile(
    r"\byour ip\b|\bip (?:address )?\S{0,60} ?(?:is )?not (?:authorized|allowed)", re.IGNORECASE
)
_ALLOW_ADDRESS: Final = "the service takes no requests from the address of this machine; allow it there"
_NO_PATH: Final = (
    "Amazon's API gateway says so of a path that it does not know, too: check the path of its url, then its "
    "key"
)
_NO_API: Final = "replies, not an API: a proxy, tunnel or firewall in front of it, or another server"
OPEN_WEBUI: Final = re.compile(r"\bopen webui\b", re.IGNORECASE)
# Titles of pages that a server or tunnel shows if the URL is not the URL of an API.
_BY_TITLE: Final = (
    (OPEN_WEBUI, "the API of Open WebUI is under /api: add /api to its url"),
    (
        re.compile(r"\bngrok\b", re.IGNORECASE),
        'ngrok shows a warning: set headers = { ngrok-skip-browser-warning = "1" } under its [endpoints.<name>]',
    ),
)


def of_refusal(
    status: int,
    headers: Mapping[str, str],
    refused: Refused,
    *,
    logged_in: bool,
) -> str | None:
    """Return the remedy for a refusal with *status*, or None if the remedy of its outcome is enough.

    *headers* must have lower-case names. *logged_in*: the request had a name and a password.
    """
    said, by_page = refused.said, refused.markup == HTML
    if 400 <= status < 500 and (named := _of_request(status, said)):
        return named
    if status == 400 and _HTTP_TO_TLS.search(said):
        return "write https:// in its url"
    if status == 401 and headers.get("www-authenticate", "").lower().startswith("basic") and not logged_in:
        return _WRITE_BASIC
    if status in (400, 401, 403) and refused.outcome is not Outcome.FORBIDDEN and _KEY_HEADER.search(said):
        return REMEDIES[Outcome.AUTH_FAILED]
    if status == 401 and SIGN_IN.search(refused.marks):
        return _SIGN_IN
    # With other statuses, ngrok limits requests or wants a login: then the tunnel runs.
    is_unlinked = "ngrok-error-code" in headers and (status == 404 or status >= 500)
    if is_unlinked or (by_page and status >= 500 and _TUNNEL.search(said)):
        return _NO_LINK
    if status >= 500 and ("x-squid-error" in headers or (by_page and _WEB_PROXY.search(said))):
        return (
            "a web proxy of the network answers, not the server; let this machine reach the server without it"
        )
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status == 524 or (status == 504 and by_page):
        return _LATE
    is_dead_end = status == 503 and by_page and refused.outcome is Outcome.SERVER_ERROR
    if is_dead_end or (status >= 500 and NO_UPSTREAM.search(said)):
        return _BEHIND
    return f"{refused.markup} {_NO_API}" if refused.markup and status in (403, 404) else None


def _of_request(status: int, said: str) -> str | None:
    """Return what to change in the request, if the message *said* shows it, else None."""
    if status in (400, 404) and _VERSION.search(said):
        return _WRITE_VERSION
    if status in (400, 401, 403) and not _KEY_HEADER.search(said) and (found := _HEADER.search(said)):
        header = found["name"] or found["after"]
        written = f'headers = {{ {header} = {{ env = "NAME" }} }}'
        return f"the server wants another header: {written} under its [endpoints.<name>]"
    if status in (400, 403, 421) and _HOST.search(said):
        return _WRITE_HOST
    if status in (401, 403) and _ADDRESS.search(said):
        return _ALLOW_ADDRESS
    return _NO_PATH if status == 403 and said == "Missing Authentication Token" else None


def of_page(said: str) -> str | None:
    """Return the remedy for an HTML page with status 200, or None. *said* is the description with its title."""
    return next((remedy for title, remedy in _BY_TITLE if title.search(said)), None)


def of_redirect(asked: str, place: str, path: str) -> str:
    """Return the remedy for a redirect. *path* was requested at the URL *asked*, which redirects to the URL *place*."""
    if place == asked:
        over_tls = "write https:// in its url, or " if asked.startswith("http:") else ""
        return f"it redirects to itself: {over_tls}correct the proxy in front of it"
    base = place.removesuffix(f"/{path.lstrip('/')}")
    if base != place:
        return f'set url = "{base}"'
    return "set url to where it leads; if that is a login page, log in there or go round it"
