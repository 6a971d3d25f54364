"""The tasks of `benchmarks heldout`: right answers are right, evasions are wrong, no suite has any of them."""

from collections import Counter
from random import Random

import pytest

from benchmarks.heldout import asking, table, tasks
from vedette.types import Score
from vedette.usecases import KINDS
from vedette_benchmarker.suites import Item
from vedette_benchmarker.suites.registry import SUITES

TASKS = tasks.every()


def test_there_are_sixty_of_each_use_case() -> None:
    """And no two are alike."""
    assert Counter(task.use_case for task in TASKS) == dict.fromkeys(table.USE_CASES, tasks.PER_USE_CASE)
    assert len({task.prompt for task in TASKS}) == len(TASKS)


@pytest.mark.parametrize("use_case", table.USE_CASES)
def test_a_right_answer_is_right_and_an_evasion_is_wrong(use_case: str) -> None:
    """With words around it too, where the task asks for no length."""
    for task in TASKS:
        if task.use_case == use_case and task.right is not None:
            assert task.right(task.truth), task.prompt
            assert not any(task.right(text) for text in ("", "I am sorry, I cannot help.")), task.prompt
            if use_case in ("chat", "extraction"):
                assert task.right(f"Sure! The answer is **{task.truth}**."), task.prompt


def test_the_programs_are_right_and_tell_wrong_ones_apart() -> None:
    """Each right program passes its tests, found between words and fences; one that returns None fails."""
    for task in TASKS:
        if task.tests:
            found = asking.program(f"Here it is:\n```python\n{task.truth}```\nIt works.", task.defines)
            names: dict[str, object] = {}
            exec(f"{found}\n" + "\n".join(task.tests), names)
            head = task.truth.partition("\n")[0]
            with pytest.raises(AssertionError):
                exec(f"{head}\n    return None\n" + "\n".join(task.tests), {})


def test_there_are_sixty_searches() -> None:
    """Each for one of many texts; no query is asked twice."""
    searches = tasks.searches()
    assert len({search.query for search in searches}) == len(searches) == tasks.PER_USE_CASE
    assert all(len(set(search.texts)) == len(search.texts) > search.place for search in searches)


def test_no_suite_asks_them() -> None:
    """Of many items of each suite, none has the text of a task, and no task is in an item."""
    asked = set()
    for suite in SUITES:
        for _, item in zip(range(60), suite.items(Random("held out")), strict=False):
            if isinstance(item, Item):
                asked.add(item.prompt)
    assert len(asked) > 300
    assert not [
        task for task in TASKS if any(task.prompt in prompt or prompt in task.prompt for prompt in asked)
    ]


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        ((1, 2, 3), (10, 20, 30), 1.0),
        ((1, 2, 3), (30, 20, 10), -1.0),
        ((1, 2, 3, 4), (1, 2, 4, 3), 4 / 6),
        ((1, 1, 2), (1, 2, 3), 2 / 6**0.5),
        ((1, 1, 1), (1, 2, 3), None),
    ],
)
def test_tau(one: tuple[int, ...], other: tuple[int, ...], wanted: float | None) -> None:
    """All pairs alike is 1, all opposite is -1; a tie tells nothing."""
    found = table.tau(one, other)
    assert found == (pytest.approx(wanted) if wanted is not None else None)


def test_the_tables_say_what_is_sure() -> None:
    """Six of six tasks that one model alone gets right are no chance, five of five may be; no candidate is last."""
    scores = {kind: Score(successes=6, trials=12, suite=kind) for kind in KINDS["chat"]}
    judged = {
        "better": table.Judged({"chat": 0.6}, scores),
        "worse": table.Judged({"chat": 0.4}, scores),
        "other": table.Judged({}, {}),
    }
    marks = {"better": [True] * 6, "worse": [False] * 6, "other": [False] * 5 + [True]}
    told = list(table.lines({name: {"chat": marks[name]} for name in marks}, judged))
    assert "| chat | better | 6 of 6 | 61-100 % | 11-89 % | 0.60 |" in told
    assert "| chat | other | 1 of 6 | 3-56 % | nothing | no candidate |" in told
    ranked = next(line for line in told if line.startswith("| chat | 0."))
    assert "| 1 | 1 | 0 of 2 |" in ranked  # none expects all tasks right, nor none
