"""*Changes*: the found, changed and lost models and the winners of the last day, as a list and in sentences."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, get_args

from vedette.messages.events import AnswerChanged
from vedette.messages.queries import ModelsRequest, ModelView, RecommendRequest
from vedette.text.figures import times
from vedette.text.shown import quoted_name
from vedette.types import ModelRef
from vedette_console.changes import KEPT_FOR, Change, Kind, Shown, filtered
from vedette_console.screens import past
from vedette_console.screens.context import Sources, View, gathered

KINDS: Final = get_args(Kind)
_MAX_SHOWN: Final = 200
_MAX_NAMED: Final = 5


async def changes(sources: Sources, view: View) -> dict[str, object]:
    """Return the values of the page."""
    if view.at is not None:
        return await _compared(sources, view, view.at)
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


async def _compared(sources: Sources, view: View, at: datetime) -> dict[str, object]:
    """Return the values of the page for the day before *at*: the difference between its begin and its end."""
    since = at - KEPT_FOR
    before, after = await gathered([_models(sources, since), _models(sources, at)])
    use_cases = sources.use_cases()
    won_before = await gathered(_winner(sources, name, since) for name in use_cases)
    won = await gathered(_winner(sources, name, at) for name in use_cases)
    winners = list(zip(use_cases, won_before, won, strict=True))
    kinds = [kind for kind in view.all("kind") if kind in KINDS]
    found = filtered([*replaced(winners), *differences(before, after)], kinds, view.get("text"))
    return {
        "at": at,
        "unknown": ("only differences between the begin and the end of the day are shown",),
        "changes": found[:_MAX_SHOWN],
        "more": max(0, len(found) - _MAX_SHOWN),
        "kinds": KINDS,
        "chosen": kinds,
        "text": view.get("text"),
        "summary": [],
    }


async def _models(sources: Sources, at: datetime) -> dict[ModelRef, ModelView]:
    """Return all models as of *at*, with several queries if one reply cannot contain them."""
    found: dict[ModelRef, ModelView] = {}
    while True:
        reply, _ = await past.models(sources, ModelsRequest(offset=len(found)), at)
        found |= {view.model: view for view in reply.models}
        if not reply.models or len(found) >= reply.total:
            return found


async def _winner(sources: Sources, use_case: str, at: datetime) -> ModelRef | None:
    reply, _ = await past.explained(sources, RecommendRequest(use_case=use_case, limit=1), at)
    return reply.recommendations[0].model if reply.recommendations else None


def replaced(winners: Iterable[tuple[str, ModelRef | None, ModelRef | None]]) -> list[Shown]:
    """Return the winner changes in *winners*: (use case, winner a day before, winner at the end)."""
    return [
        Shown(
            kind="winner",
            use_case=use_case,
            text=f"{_named(after)} is best, {_named(before)} was a day before",
        )
        for use_case, before, after in winners
        if before != after
    ]


def _named(model: ModelRef | None) -> str:
    return quoted_name(model) if model is not None else "nothing"


def differences(before: Mapping[ModelRef, ModelView], after: Mapping[ModelRef, ModelView]) -> list[Shown]:
    """Return which models were found, lost or changed between *before* and *after*."""
    came = [
        Shown(kind="found", text="found", model=ref, at=after[ref].found_at) for ref in after.keys() - before
    ]
    went = [Shown(kind="lost", text="lost", model=ref) for ref in before.keys() - after]
    changed = [
        Shown(kind="changed", text=text, model=ref)
        for ref in before.keys() & after.keys()
        if (text := _difference(before[ref], after[ref]))
    ]
    return [*sorted(came, key=_place), *sorted(went, key=_place), *sorted(changed, key=_place)]


def _place(one: Shown) -> str:
    return str(one.model)


def _difference(before: ModelView, after: ModelView) -> str:
    """Return the difference between two views of a model; an empty text without one."""
    changed = [
        name.replace("_", " ")
        for name in before.info.__struct_fields__
        if getattr(before.info, name) != getattr(after.info, name)
    ]
    parts = [f"changed: {', '.join(changed)}"] if changed else []
    if before.status is not after.status:
        parts.append(f"{before.status.replace('_', ' ')} before, {after.status.replace('_', ' ')} after")
    return "; ".join(parts)


def summary(recent: Sequence[Change]) -> list[str]:
    """Return a summary of *recent* changes (the newest first), in sentences: counts, new winners, and reasons."""
    counts = Counter(one.kind for one in recent)
    lines = []
    counted = [f"{counts[kind]} {kind}" for kind in ("found", "changed", "lost", "regressed") if counts[kind]]
    if counted:
        lines.append(f"Models: {', '.join(counted)}.")
    if counts["endpoint"]:
        which = sorted({one.endpoint for one in recent if one.endpoint})
        named = ", ".join(which[:_MAX_NAMED]) + (" and others" if len(which) > _MAX_NAMED else "")
        lines.append(f"Endpoints became reachable or unreachable {times(counts['endpoint'])}: {named}.")
    return lines + _winners([one.event for one in recent if isinstance(one.event, AnswerChanged)])


def _winners(changed: Sequence[AnswerChanged]) -> list[str]:
    """Return a sentence for each use case with winner changes in *changed*, those of a day (the newest first)."""
    by_use_case: dict[str, list[AnswerChanged]] = {}
    for one in changed:
        by_use_case.setdefault(one.use_case, []).append(one)
    first = [use_case for use_case, some in sorted(by_use_case.items()) if some[-1].before is None]
    lines = [f"First winner: {', '.join(first)}."] if first else []
    for use_case, some in sorted(by_use_case.items()):
        before, last = some[-1].before, some[0]
        if before is None:
            continue
        changes = f" in {len(some)} changes" if len(some) > 1 else ""
        if last.model == before:
            lines.append(f"{use_case}: {_named(last.model)} is best again{changes}{_why(last)}.")
        else:
            lines.append(f"{use_case}: from {_named(before)} to {_named(last.model)}{changes}{_why(last)}.")
    return lines


def _why(last: AnswerChanged) -> str:
    """Return the reason of the *last* winner change, as the end of a sentence; an empty text if unknown."""
    if last.renamed:
        return ": its endpoint was renamed"
    if last.reason in ("gone", "none") and last.before is not None:
        return f": {_named(last.before)} is no candidate any more"
    if last.margin is not None and last.before is not None:
        return f": {last.margin:.1f} points ahead of {_named(last.before)}"
    return ""
