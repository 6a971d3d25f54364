"""The thoughts before an answer: their tokens, measured or expected, and the speed that offsets them. Pure."""

from typing import Final

from vedette.types import Thoughts
from vedette.usecases import UseCase
from vedette.usecases.utility import Number

# Of a model that thinks, before an answer to a short question. The mean of 24 published models is 441: 183 to 777
# (vedette.knowledge.thoughts).
THOUGHT_TOKENS: Final = 420
_PRIOR_ANSWERS: Final = 3  # answers: the weight of the expectation


def thought_tokens(
    thinks: bool | None, thoughts: Thoughts | None, prior: float = float(THOUGHT_TOKENS)
) -> float:
    """Return the expected thinking tokens before an answer, from the *thoughts* of the answers so far.

    *thinks* says whether the model is known to think; a model of which this is unknown is expected not to think.
    *prior* is the expectation for a model that thinks, before its first answer.
    """
    expected = prior if thinks else 0.0
    if thoughts is None:
        return expected
    return (_PRIOR_ANSWERS * expected + thoughts.tokens) / (_PRIOR_ANSWERS + thoughts.answers)


def half_output_tps(use_case: UseCase, thoughts: Number) -> Number:
    """Return the tokens per second with a utility of one half, with *thoughts* (tokens) before each answer.

    A caller waits for thoughts, too. At this speed, a typical answer ends when it would end without thoughts at the
    speed of the use case.
    """
    return use_case.half_output_tps * (1.0 + thoughts / max(1, use_case.tokens[1]))
