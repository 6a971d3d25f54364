"""*Changes*: what was found, changed, lost and won in the last day, as a list and in a few sentences."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, get_args

from vedette_console.changes import KEPT_FOR, Change, Kind, filtered
from vedette_console.screens.context import Sources, View

KINDS: Final = get_args(Kind)
_MAX_SHOWN: Final = 200


async def changes(sources: Sources, view: View) -> dict[str, object]:
    """Return the values of the page."""
    recent = sources.changes.since(sources.clock.now() - KEPT_FOR)
    kinds = [kind for kind in view.all("kind") if kind in KINDS]
    found = filtered(recent, kinds, view.get("text"))
    return {
        "changes": found[:_MAX_SHOWN],
        "more": max(0, len(found) - _MAX_SHOWN),
        "kinds": KINDS,
        "chosen": kinds,
        "text": view.get("text"),
        "summary": summary(recent),
    }


def summary(recent: Sequence[Change]) -> list[str]:
    """Return what *recent* changes, the newest first, come to: counts, and by whom each winner was replaced."""
    counts = Counter(one.kind for one in recent)
    lines = []
    told = [f"{counts[kind]} {kind}" for kind in ("found", "changed", "lost", "regressed") if counts[kind]]
    if told:
        lines.append(f"Models: {', '.join(told)}.")
    if counts["endpoint"]:
        lines.append(f"Endpoints: {counts['endpoint']} times one became reachable or unreachable.")
    by_use_case: dict[str, list[Change]] = {}
    for one in recent:
        if one.use_case is not None:
            by_use_case.setdefault(one.use_case, []).append(one)
    for use_case, some in sorted(by_use_case.items()):
        times = f" ({len(some)} changes)" if len(some) > 1 else ""
        lines.append(f"{use_case}{times}: {some[0].text}")
    return lines
