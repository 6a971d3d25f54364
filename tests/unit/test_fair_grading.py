"""What a fair person calls right is graded right, in whatever shape; what only looks right is graded wrong."""

from collections import Counter
from collections.abc import Iterable

import pytest

from answer_shapes import SHAPES, Answer, right_and_wrong, wrong
from vedette.providers import Delta, Finished
from vedette_benchmarker.answered import Answered, whole
from vedette_benchmarker.suites import Suite
from vedette_benchmarker.suites.registry import SUITES

MIN_SHARE = 0.98
ASKED_IN_WORDS = [
    suite for suite in SUITES if suite.kind not in ("code_generation", "tools", "paraphrase", "retrieval")
]


def said(text: str) -> Answered:
    return whole([Delta(at=0.0, text=text), Finished(at=1.0, reason="stop")])


def agreement(answers: Iterable[Answer]) -> dict[bool, tuple[float, Counter[str]]]:
    """Return, for right and for wrong answers, which share is graded so, and the shapes of the others."""
    asked: Counter[bool] = Counter()
    mistaken: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for answer in answers:
        asked[answer.right] += 1
        if answer.item.check(said(answer.text)).correct is not answer.right:
            mistaken[answer.right][answer.shape] += 1
    return {side: (1 - mistaken[side].total() / asked[side], mistaken[side]) for side in (True, False)}


@pytest.mark.fault("a right answer is wrapped, a wrong one looks right", "I13")
@pytest.mark.parametrize("suite", ASKED_IN_WORDS, ids=lambda suite: suite.kind)
def test_answers_are_graded_as_a_fair_person_would(suite: Suite) -> None:
    """Seventy shapes of right answers and twenty kinds of wrong ones: both sides 98 % at least, for every suite."""
    found = agreement(
        (*right_and_wrong(suite), *wrong(suite), *right_and_wrong(suite, seed=8), *wrong(suite, seed=8))
    )
    for share, mistaken in found.values():
        assert share >= MIN_SHARE, mistaken


def test_the_table_is_wide() -> None:
    assert len({shape.name for shape in SHAPES}) == len(SHAPES) >= 70
