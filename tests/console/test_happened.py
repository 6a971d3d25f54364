"""The summary of a day: what is another than a day ago, once, and not what the list below it says."""

from datetime import timedelta

from samples import winner_event
from vedette.testing import EPOCH
from vedette.types import ModelRef
from vedette_console.changes import Changes
from vedette_console.screens import happened

A, B, C = (ModelRef("gpu", name) for name in "abc")


def summary(*winners: tuple[str, ModelRef | None, ModelRef | None], margin: float | None = None) -> list[str]:
    """Return the summary after *winners* changed, in this order: the use case, the one before, the one after."""
    changes = Changes()
    for number, (use_case, before, after) in enumerate(winners, 1):
        at = EPOCH + timedelta(minutes=number)
        reason = "none" if after is None else "better" if margin is not None else "gone"
        changed = winner_event(after, at=at, use_case=use_case, reason=reason, margin=margin, before=before)
        changes.apply("ANSWERS", changed, number)
    return happened.summary(changes.since(EPOCH))


def test_a_day_of_one_winner_is_one_line() -> None:
    """First winners are named once; what replaced what is in the list."""
    assert summary(("fast", None, A), ("chat", None, A)) == ["First winner: chat, fast."]
    assert summary(("chat", A, B), margin=2.5) == ["chat: from gpu/a to gpu/b: 2.5 points ahead of gpu/a."]


def test_many_changes_are_what_they_come_to() -> None:
    """And why the last of them was."""
    assert summary(("chat", A, B), ("chat", B, C)) == [
        "chat: from gpu/a to gpu/c in 2 changes: gpu/b is no candidate any more."
    ]
    assert summary(("chat", A, B), ("chat", B, A), margin=3.0) == [
        "chat: gpu/a is best again in 2 changes: 3.0 points ahead of gpu/b."
    ]
    assert summary(("chat", A, None)) == ["chat: from gpu/a to nothing: gpu/a is no candidate any more."]
