"""The cost of evaluating paid models, and which of them a budget covers. Pure."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from vedette.endpoints.budget import used_for
from vedette.knowledge import known, thoughts_of
from vedette.messages.catalogue import Catalogue
from vedette.types import ModelInfo, ModelRef, Thoughts
from vedette.usecases.thinking import thought_tokens

ITEMS: Final = 12  # of each suite, in a complete evaluation
# For an evaluation by the built-in suites, ITEMS each, two thirds of them harder ones; rounded up.
# tests/unit/test_evaluating.py compares.
PROMPT_TOKENS: Final = 28_000
ANSWER_TOKENS: Final = 6_300  # with short answers
ANSWERS: Final = 156  # a model that reasons does so before each
_EMBEDDED_TOKENS: Final = 3_000
_MAX_NAMED: Final = 3
_MIN_USD: Final = 0.01


class Cost(Struct, frozen=True, kw_only=True):
    """The cost of an evaluation of one model (USD): with short answers, and with reasoning before them."""

    usd: float
    thinking_usd: float

    def __str__(self) -> str:
        usd, thinking_usd = f"{self.usd:.2f}", f"{self.thinking_usd:.2f}"
        return f"about {usd} USD" + (f", {thinking_usd} if it thinks" if thinking_usd != usd else "")


class Planned(Struct, frozen=True, kw_only=True):
    """A model to evaluate, and the maximum cost."""

    model: ModelRef
    max_usd: float


def expected(info: ModelInfo, items: int = ITEMS, thoughts: Thoughts | None = None) -> Cost | None:
    """Return the cost of *items* tasks of each suite, or None if the price of the model is unknown.

    A model that is known to reason always has the cost of reasoning, a model that is known not to reason never. If this
    is unknown, only measured reasoning counts. The *thoughts* before its answers so far replace the published reasoning
    of similar models step by step.
    """
    if info.price is None:
        return None
    share = items / ITEMS
    if info.kind == "embedding":
        usd = share * info.price.usd(_EMBEDDED_TOKENS, 0)
        return Cost(usd=usd, thinking_usd=usd)
    usd, thinking_usd = (
        share * info.price.usd(PROMPT_TOKENS, ANSWER_TOKENS + round(ANSWERS * before))
        for before in thoughts_before(info, thoughts)
    )
    return Cost(usd=usd, thinking_usd=thinking_usd)


def thoughts_before(info: ModelInfo, thoughts: Thoughts | None) -> tuple[float, float]:
    """Return the expected reasoning tokens before an answer, and their number if the model reasons."""
    if info.thinks is False:
        return 0.0, 0.0
    prior = thoughts_of(info)
    return thought_tokens(info.thinks, thoughts, prior), thought_tokens(True, thoughts, prior)


def never_evaluated(never: Sequence[ModelInfo]) -> str:
    """Return a sentence about models that were never evaluated: names, cost and command; "" if there are none."""
    priced = [(info, cost) for info in never if (cost := expected(info))]
    if not never:
        return ""
    names = ", ".join(str(info.model) for info in never[:_MAX_NAMED])
    more = f" and {len(never) - _MAX_NAMED:,} more" if len(never) > _MAX_NAMED else ""
    if not priced:
        return f"never evaluated: {names}{more} (price unknown: set price in [endpoints.{never[0].model.endpoint}])"
    total = Cost(
        usd=sum(cost.usd for _, cost in priced), thinking_usd=sum(cost.thinking_usd for _, cost in priced)
    )
    return (
        f"never evaluated: {names}{more} ({total}): vedette evaluate --hosted --budget {total.usd + _MIN_USD:.2f}, "
        "or set [evaluating] usd_per_day"
    )


def planned(infos: Sequence[ModelInfo], budget_usd: float) -> list[Planned]:
    """Return which of *infos* to evaluate within *budget_usd*, the most promising first, with their limits.

    A model is taken while its expected cost fits. The rest is shared in proportion, for reasoning; the limits sum up to
    the budget.
    """
    taken: list[tuple[ModelInfo, float]] = []
    left = budget_usd
    for info in sorted(infos, key=lambda one: (-promise(one), one.model)):
        cost = expected(info)
        if cost is not None and cost.usd <= left:
            taken.append((info, cost.usd))
            left -= cost.usd
    total = sum(usd for _, usd in taken)
    share = budget_usd / total if total else budget_usd / max(1, len(taken))
    return [Planned(model=info.model, max_usd=usd * share if total else share) for info, usd in taken]


def promise(info: ModelInfo) -> float:
    """Return the expected quality before any evaluation: the mean over the built-in use cases."""
    expectations = known(info).expectations.values()
    return sum(one.quality for one in expectations) / len(expectations) if expectations else 0.0


def spent_today(catalogue: Catalogue, endpoints: Sequence[str], now_day: str) -> float:
    """Return today's cost of evaluations and judges (USD), at all *endpoints* together."""
    observed = filter(None, map(catalogue.endpoint, endpoints))
    return sum(
        used_for(one.ledger, purpose, now_day).usd for one in observed for purpose in ("evaluate", "judge")
    )
