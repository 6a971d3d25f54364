"""The level and the time of a probe, so that it disturbs no model and stays within the day's budget. Pure."""

import hashlib
from datetime import datetime

from vedette.endpoints import spending
from vedette.endpoints.budget import cost, covers
from vedette.settings import EndpointSettings
from vedette.types import Ledger, Level, ModelInfo, Residency, Use

# The longest answer a probe asks for: the first token, thought or spoken, ends it. A thinking model may need
# some before it shows any: where a server cuts the marks of thinking out, the first tokens are nothing yet.
ANSWER_TOKENS = 8
THINKING_ANSWER_TOKENS = 64
_PROMPT_TOKENS = 16  # about the tokens of the probe's own prompt and its template
_ASKABLE = ("chat", "completion", "embedding", "rerank")


def answer_tokens(info: ModelInfo) -> int:
    """Return how many tokens a probe of *info* may ask for."""
    if info.asked_as not in ("chat", "completion"):
        return 0
    return THINKING_ANSWER_TOKENS if info.thinks else ANSWER_TOKENS


def level_cost(level: Level, info: ModelInfo, endpoint: EndpointSettings) -> Use:
    """Return the cost of a probe at *level*, beyond the one contact with the endpoint."""
    if level is Level.LIST:
        return Use()
    if level is not Level.ANSWER:
        return Use(requests=1)
    return cost(endpoint, info, requests=1, prompt_tokens=_PROMPT_TOKENS, output_tokens=answer_tokens(info))


def deepest(
    info: ModelInfo,
    *,
    residency: Residency | None,
    seen: Residency | None,
    endpoint: EndpointSettings,
    ledger: Ledger | None,
    now: datetime,
    confirms: bool = False,
) -> Level:
    """Return how deep a probe of this model may go now; *seen* is its residency after the probe before.

    A request for an answer could load the model, unload another, or cost money. So the probe sends one only if the
    model is known to be loaded, or if the endpoint's settings allow it. If the server reports when it unloads the
    model, and no other user called the model since the last probe, the probe sends none, because the server would
    count it as use and keep the model loaded. A probe that *confirms* a probe of seconds ago may send one, because it
    keeps the model loaded only for seconds longer.
    """
    allowed = spending.budget(info, endpoint)
    for level in (_harmless(info, residency, seen, endpoint, now, confirms=confirms), Level.DESCRIBE):
        if covers(allowed, ledger, level_cost(level, info, endpoint), now):
            return level
    return Level.LIST


def described(info: ModelInfo, residency: Residency | None, *, is_watched: bool) -> Level:
    """Return the level of a probe that read a description: a gateway's says no more than its listing.

    *is_watched* is whether the server that the gateway passes calls on to is an endpoint too, which is probed itself.
    """
    if info.passed_on is not None and not is_watched:
        return Level.LIST
    return Level.DESCRIBE if residency is None else Level.RESIDENCY


def _harmless(
    info: ModelInfo,
    residency: Residency | None,
    seen: Residency | None,
    endpoint: EndpointSettings,
    now: datetime,
    *,
    confirms: bool,
) -> Level:
    if info.asked_as not in _ASKABLE or endpoint.answer == "never" or endpoint.measure is False:
        return Level.DESCRIBE
    if endpoint.answer == "always":
        return Level.ANSWER
    if spending.why_not(info, endpoint):
        return Level.DESCRIBE
    if residency is None or not residency.is_resident(now):
        return Level.DESCRIBE
    if not confirms and _is_idle(residency, seen, now):
        return Level.DESCRIBE
    return Level.ANSWER


def _is_idle(residency: Residency, seen: Residency | None, now: datetime) -> bool:
    """Return whether the model is about to be unloaded and was not used since it was *seen*.

    Where the server does not say when it unloads, every question may be what keeps the model loaded.
    """
    expires_at = residency.expires_at
    if expires_at is None and residency.swaps:
        return True
    if expires_at is None or residency.is_pinned(now):
        return False
    if seen is None or not seen.resident:
        return False
    # Not known after our own question: then it is that which has put the unloading off.
    return seen.expires_at is None or seen.expires_at >= expires_at


def jitter_s(endpoint: str, interval_s: float) -> float:
    """Return how long after its slot *endpoint* is probed: a fixed share, so that not all are at once.

    At most a tenth of the interval, and half a minute; the same for every replica.
    """
    share = int.from_bytes(hashlib.sha256(endpoint.encode()).digest()[:4], "big") / 2**32
    return share * min(0.1 * interval_s, 30.0)
