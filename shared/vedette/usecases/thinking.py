"""The thoughts before an answer: how many tokens, measured or expected, and what speed makes up for them. Pure."""

from typing import Final

from vedette.types import Thoughts
from vedette.usecases import UseCase
from vedette.usecases.utility import Number

# Of a model that thinks, before an answer to a short question. The mean of 24 published models is 441: 183 to 777
# (vedette.knowledge.thoughts).
THOUGHT_TOKENS: Final = 420
_PRIOR_ANSWERS: Final = 3  # that the expectation counts for


def thought_tokens(
    thinks: bool | None, thoughts: Thoughts | None, prior: float = float(THOUGHT_TOKENS)
) -> float:
    """Return the tokens of thoughts to expect before an answer, by the *thoughts* of its answers so far.

    *thinks* says whether the model is known to think; what is not known of it is no reason to expect thoughts. *prior*
    is what to expect of a model that thinks before any answer.
    """
    expected = prior if thinks else 0.0
    if thoughts is None:
        return expected
    return (_PRIOR_ANSWERS * expected + thoughts.tokens) / (_PRIOR_ANSWERS + thoughts.answers)


def half_output_tps(use_case: UseCase, thoughts: Number) -> Number:
    """Return the tokens per second that earn one half, with this number of *thoughts* (tokens) before each answer.

    A caller waits for all tokens: those of a typical answer come as late as they would at that speed without thoughts.
    """
    return use_case.half_output_tps * (1.0 + thoughts / max(1, use_case.tokens[1]))
