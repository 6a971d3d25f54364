"""What an operator can do about an endpoint, for each outcome of a contact."""

import re
from typing import Final

from vedette.types import Outcome

REMEDIES: dict[Outcome, str] = {
    Outcome.OK: "nothing to do",
    Outcome.LOADING: "the server is loading the model; wait",
    Outcome.BUSY: "the server has too many requests; wait, or give it more slots",
    Outcome.RATE_LIMITED: "the server limits the rate and Vedette waits; probe it less often, or raise its limit",
    Outcome.QUOTA_USED: "this model's quota is used up; wait, or raise it at the service",
    Outcome.NO_CREDIT: "the account has no credit left; add credit at the service",
    Outcome.FORBIDDEN: "the service's policy refuses this; read its message, and check the account's settings",
    Outcome.AUTH_FAILED: "the key is missing or refused; set a valid key: "
    'api_key = { env = "NAME" } under its [endpoints.<name>]',
    Outcome.NOT_FOUND: "the server does not know this path: check the path of its url, and its provider",
    Outcome.UNSUPPORTED: "the provider is wrong, or the server is too old; check provider",
    Outcome.BAD_REQUEST: "the provider is wrong, or the server is too old; check provider",
    Outcome.SERVER_ERROR: "the server failed; see its log",
    Outcome.GARBAGE: "the response is not from the API of this provider: perhaps a login page, a proxy, or another "
    "server. Open the url in a browser; check url and provider",
    Outcome.TOO_LARGE: "leave models out with `exclude`, or check its url",
    Outcome.INCOMPLETE: "the server closed the connection in the middle of a reply; see its log",
    Outcome.TIMEOUT: "the server accepts connections but does not reply; see its log, or raise its timeout_s",
    Outcome.REFUSED: "start the server, or add your endpoints to vedette.toml",
    Outcome.RESET: "the server closes connections; see its log, or the log of the proxy in front of it",
    Outcome.UNREACHABLE: "the host does not exist or has no route; correct its url",
}
_KEY_OF_GATEWAY: Final = (
    "the service behind the gateway refuses the gateway's key for it; set a valid one at the gateway"
)
# Words in a refusal by policy, and the remedy for their cause.
_BY_WORDS: Final = (
    (
        re.compile(
            r"litellm\.authenticationerror|provider returned error.*(?:key|authenticat|unauthori)",
            re.IGNORECASE,
        ),
        _KEY_OF_GATEWAY,
    ),
    (
        re.compile(r"verif(?:y|ied|ication)", re.IGNORECASE),
        "the service requires a verified account or organisation; verify it there",
    ),
    (
        re.compile(r"country|region|territor|location", re.IGNORECASE),
        "the service does not serve this place; use its address for another region, or remove the endpoint",
    ),
    (
        re.compile(r"gated|terms of|licen[cs]e", re.IGNORECASE),
        "accept the terms of the model at the service, with the account of this key",
    ),
    (
        re.compile(r"firewall|virtual network|error code: 10\d\d|just a moment", re.IGNORECASE),
        "a firewall in front of the service refuses this machine; allow its address there, or use another url",
    ),
    (
        re.compile(
            r"activated|access to (?:the |this )?model|not authorized to|subscription|blocked at|no access|use case",
            re.IGNORECASE,
        ),
        "this account may not use it; enable the model for the account at the service",
    ),
    # Last: most of these name another cause.
    (re.compile(r"litellm\.permissiondeniederror", re.IGNORECASE), _KEY_OF_GATEWAY),
)


def remedy_for(outcome: Outcome, words: str | None) -> str:
    """Return the remedy for *outcome*; the *words* of a refusal by policy name its cause."""
    if outcome is Outcome.FORBIDDEN and words:
        for pattern, remedy in _BY_WORDS:
            if pattern.search(words):
                return remedy
    return REMEDIES[outcome]


def advice(url: str, outcome: Outcome, detail: str | None, remedy: str | None) -> tuple[str, str]:
    """Return what a contact with the endpoint at *url* showed, and the remedy."""
    seen = (detail or str(outcome)).removesuffix(f"; {remedy}")
    return seen if url in seen else f"{url}: {seen}", remedy or remedy_for(outcome, detail)
