"""Thoughts before an answer: what is expected of them, and what was counted."""

import pytest

from vedette.types import Thoughts
from vedette.usecases import BUILT_IN
from vedette.usecases.thinking import THOUGHT_TOKENS, half_output_tps, thought_tokens


@pytest.mark.parametrize(
    ("thinks", "thoughts", "tokens"),
    [
        (None, None, 0.0),
        (False, None, 0.0),
        (True, None, THOUGHT_TOKENS),
        (
            True,
            Thoughts(answers=3, tokens=3 * 1260),
            (THOUGHT_TOKENS + 1260) / 2,
        ),  # three answers: half of it
        (None, Thoughts(answers=97, tokens=100 * 50), 50.0),
    ],
)
def test_counted_thoughts_replace_the_expectation(
    thinks: bool | None, thoughts: Thoughts | None, tokens: float
) -> None:
    assert thought_tokens(thinks, thoughts) == pytest.approx(tokens)


def test_the_speed_that_earns_one_half_grows_with_the_thoughts() -> None:
    """Twice as many tokens in all take twice the speed; without answers of text there is nothing to wait for."""
    chat = BUILT_IN["chat"]
    assert half_output_tps(chat, 0.0) == chat.half_output_tps
    assert half_output_tps(chat, chat.tokens[1]) == 2 * chat.half_output_tps
    assert half_output_tps(BUILT_IN["embedding"], 0.0) == BUILT_IN["embedding"].half_output_tps
