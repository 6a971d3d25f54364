"""How deep a probe may go: what disturbs nothing, and what the day's budget still allows. Pure."""

from datetime import datetime

from vedette.providers import Features
from vedette.settings import EndpointSettings
from vedette.types import Level, ModelInfo, Residency, Spent

# The longest answer a probe asks for: room for a thinking model's first token, nothing more.
ANSWER_TOKENS = 8
_PROMPT_TOKENS = 16  # about what the probe's own prompt and its template cost
ANSWER_COST_TOKENS = ANSWER_TOKENS + _PROMPT_TOKENS


def deepest(
    info: ModelInfo,
    *,
    residency: Residency | None,
    endpoint: EndpointSettings,
    features: Features,
    spent: Spent | None,
    now: datetime,
) -> Level:
    """Return how deep a probe of this model may go now.

    Asking for an answer would load a model that is not resident, evict another, or cost money; so it is done
    only where the model is known to be resident, or the endpoint's settings allow it.
    """
    if info.kind not in ("chat", "completion", "embedding"):
        return Level.DESCRIBE
    if not may_spend(endpoint, spent, now, requests=1, tokens=ANSWER_COST_TOKENS):
        return Level.DESCRIBE if may_spend(endpoint, spent, now, requests=1, tokens=0) else Level.LIST
    if endpoint.answer == "always":
        return Level.ANSWER
    if endpoint.answer == "never" or not features.free_to_ask or info.locality == "remote":
        return Level.DESCRIBE
    resident = residency is not None and residency.is_resident(now)
    return Level.ANSWER if resident else Level.DESCRIBE


def may_spend(
    endpoint: EndpointSettings, spent: Spent | None, now: datetime, *, requests: int, tokens: int
) -> bool:
    """Return whether the day's budget (UTC) covers *requests* and *tokens* more."""
    used = spent if spent and spent.day == now.date().isoformat() else Spent(day="")
    budget = endpoint.budget
    requests_fit = budget.requests_per_day is None or used.requests + requests <= budget.requests_per_day
    tokens_fit = budget.tokens_per_day is None or used.tokens + tokens <= budget.tokens_per_day
    return requests_fit and tokens_fit
