"""Detects other work of an endpoint during a run, from its activity before and after. Pure."""

from vedette.providers import Activity
from vedette.text.figures import counted

# Servers count one or two tokens more or less than they report in `usage` (llama.cpp also counts the last one).
_COUNTING_SLACK_TOKENS = 4


def other_work(before: Activity | None, after: Activity | None, *, model: str, own_tokens: int) -> str | None:
    """Return a sentence about other work of the endpoint between *before* and *after* a run of *model*, or None.

    *own_tokens* are the tokens of the run. A figure that the endpoint does not report counts as no other work.
    """
    if before is None or after is None:
        return None
    if before.requests:
        return f"{counted(before.requests, 'other request')} when it began"
    if after.requests:
        return f"{counted(after.requests, 'other request')} when it ended"
    others = _generated(before, after) - own_tokens
    if others > _COUNTING_SLACK_TOKENS:
        return f"{others} tokens generated for others"
    used = sorted(
        name
        for name, mark in after.used.items()
        if name != model and mark != before.used.get(name) and mark != after.used.get(model)
    )
    return f"{', '.join(used)} used" if used else None


def others(before: Activity | None, after: Activity | None) -> int | None:
    """Return how many other requests the endpoint reported during a run; None if it reported none."""
    counts = [seen.running for seen in (before, after) if seen is not None and seen.running is not None]
    return max(counts) if len(counts) == 2 else None


def _generated(before: Activity, after: Activity) -> int:
    if before.generated_tokens is None or after.generated_tokens is None:
        return 0
    return after.generated_tokens - before.generated_tokens
