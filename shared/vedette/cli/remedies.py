"""What a person can do about an endpoint, by how the contact with it ended."""

from vedette.types import Outcome

REMEDIES: dict[Outcome, str] = {
    Outcome.OK: "nothing to do",
    Outcome.LOADING: "it is loading its model; wait",
    Outcome.BUSY: "it has more requests than it can take; wait, or give it more slots",
    Outcome.RATE_LIMITED: "it asked for a pause, which is kept; probe it less often or raise its limit",
    Outcome.QUOTA_USED: "this model's quota is used up; wait, or raise it at the service",
    Outcome.NO_CREDIT: "the account has no credit left; add credit at the service",
    Outcome.FORBIDDEN: "the service refuses this by its policy; see its words, and the account's settings there",
    Outcome.AUTH_FAILED: "its key is missing or refused: give it one, or correct it: "
    'api_key = { env = "NAME" } under its [endpoints.<name>]',
    Outcome.NOT_FOUND: "the server does not know this path: check the path of its url, and its provider",
    Outcome.UNSUPPORTED: "its provider is not right, or it is too old",
    Outcome.BAD_REQUEST: "its provider is not right, or it is too old",
    Outcome.SERVER_ERROR: "it answers with an error of its own; see its log",
    Outcome.GARBAGE: "what answers there is not its provider's API: a login page, a proxy, or another server. Open the "
    "url in a browser; check url and provider",
    Outcome.TOO_LARGE: "leave models out with `exclude`, or check its url",
    Outcome.INCOMPLETE: "it broke off in the middle of its answer; see its log",
    Outcome.TIMEOUT: "it accepts connections and says nothing; see its log, or raise its timeout_s",
    Outcome.REFUSED: "start it, or name your endpoints in vedette.toml",
    Outcome.RESET: "it closes connections; see its log, or the proxy's in front of it",
    Outcome.UNREACHABLE: "no such host or no way to it; correct its url",
}


def advice(url: str, outcome: Outcome, detail: str | None, remedy: str | None) -> tuple[str, str]:
    """Return what was seen of the endpoint at *url*, and what to do."""
    seen = (detail or str(outcome)).removesuffix(f"; {remedy}")
    return seen if url in seen else f"{url}: {seen}", remedy or REMEDIES[outcome]
