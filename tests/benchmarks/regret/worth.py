"""What a choice is truly worth, on two scales of 0 to 100.

*plain*  the chance that a typical call ends with a right answer, times what is left of its worth after the wait and
         the price: `reliability · quality · 1 / (1 + seconds / patience) · max(0, 1 - USD / worth)`, times the share of
         the call that fits into the context: the rest is cut
*own*    the score that the recommender would give, were everything known

The regret of a choice is what the best model of the fleet is worth more.
"""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from benchmarks.regret.worlds import Truth
from vedette.usecases import BUILT_IN
from vedette.usecases.utility import HALF_PRICE_USD_PER_MTOK, blended, falling, rising
from vedette_recommender import scoring


class Task(Struct, frozen=True):
    """A typical call of a use case: tokens in and out, how long one waits, what a right answer is worth."""

    tokens_in: int
    tokens_out: int
    patience_s: float
    usd: float


TASKS: Final = {
    "chat": Task(600, 300, 30, 0.05),
    "code_generation": Task(1500, 600, 60, 0.25),
    "code_understanding": Task(4000, 400, 60, 0.25),
    "reasoning": Task(500, 1500, 180, 0.25),
    "documentation": Task(2000, 800, 180, 0.10),
    "agent": Task(4000, 300, 60, 0.25),
    "summarisation": Task(6000, 300, 60, 0.10),
    "extraction": Task(2000, 200, 30, 0.05),
    "fast": Task(300, 100, 5, 0.02),
}
# What each of these models is worth for a use case.
Worth = Callable[[Sequence[Truth], str], list[float]]


def plain(fleet: Sequence[Truth], use_case: str) -> list[float]:
    """Return what a call of each model is worth, of 100."""
    return [_plain(truth, use_case) for truth in fleet]


def _plain(truth: Truth, use_case: str) -> float:
    task = TASKS[use_case]
    seconds = truth.ttft_ms / 1000 + (task.tokens_out + truth.thought_tokens) / truth.output_tps
    waited = 1 / (1 + seconds / task.patience_s)
    paid = max(0.0, 1 - _usd(truth, task.tokens_in, task.tokens_out) / task.usd)
    held = min(1.0, truth.context_tokens / (task.tokens_in + task.tokens_out))
    return 100 * truth.reliability * truth.quality[use_case] * waited * paid * held


def own(fleet: Sequence[Truth], use_case: str) -> list[float]:
    """Return the score of each model by the use case's weights and bounds, were everything known."""
    best = max(truth.quality[use_case] for truth in fleet)
    return [_own(truth, use_case, best) for truth in fleet]


def _own(truth: Truth, name: str, best: float) -> float:
    use_case = BUILT_IN[name]
    half = float(scoring.half_speed(use_case, truth.thought_tokens))
    worth = {
        "quality": truth.quality[name],
        "speed": rising(truth.output_tps, half),
        "ttft": falling(truth.ttft_ms, use_case.half_ttft_ms),
        "reliability": float(scoring.succeeding(truth.reliability)),
        "price": falling(blended(*truth.price), HALF_PRICE_USD_PER_MTOK),
        "context": float(scoring.context_utility(truth.context_tokens, use_case.wanted_context)),
    }
    weighed = sum(weight * worth[signal] for signal, weight in use_case.weights.items())
    bounds = use_case.bounds
    seconds = truth.ttft_ms / 1000 + (use_case.tokens[1] + truth.thought_tokens) / truth.output_tps
    within = 1.0
    if bounds.answer_s:
        within *= min(1.0, bounds.answer_s / seconds)
    if bounds.answer_usd:
        within *= min(1.0, bounds.answer_usd / max(_usd(truth, *use_case.tokens), 1e-9))
    if bounds.quality:
        within *= min(1.0, truth.quality[name] / (bounds.quality * best))
    if bounds.context_tokens:
        within *= min(1.0, truth.context_tokens / bounds.context_tokens)
    return 100 * within * weighed / sum(use_case.weights.values())


def _usd(truth: Truth, tokens_in: int, tokens_out: int) -> float:
    return (tokens_in * truth.price[0] + (tokens_out + truth.thought_tokens) * truth.price[1]) / 1e6


def able(fleet: Sequence[Truth], use_case: str) -> list[Truth]:
    """Return who can serve *use_case* at all."""
    return [truth for truth in fleet if use_case != "agent" or truth.tools]
