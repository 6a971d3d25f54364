"""Decides when another model becomes the best for a use case, and its announcement. Pure.

The announced winner stays while it is a candidate and no other model is better by the switch margin. Without the
margin, two near equals would alternate at every measurement.
"""

from datetime import datetime
from typing import Literal

from vedette.messages import ids
from vedette.messages.events import AnswerChanged, AsOf
from vedette.types import ModelRef
from vedette_recommender.constants import SWITCH_MARGIN_POINTS
from vedette_recommender.winner_status import WinnerStatus

Reason = Literal["first", "better", "gone", "none"]


def decide(
    use_case: str, before: AnswerChanged | None, standing: WinnerStatus, *, now: datetime
) -> AnswerChanged | None:
    """Return the announcement that follows *before*, or None while it holds.

    Replicas with the same decision at the same `as_of` give the announcement the same id.
    """
    announced = before.model if before else None
    model, score = standing.best or (None, None)
    reason = _reason(standing.renamed_to or announced, standing)
    renamed = reason is None and standing.renamed_to is not None
    if renamed:
        # For agents of a version that knows no `renamed`: the name that was announced is not a candidate any more.
        model, score, reason = standing.renamed_to, standing.score, "gone"
    if reason is None:
        return None
    margin = score - standing.score if score is not None and standing.score is not None else None
    detail = _renamed if renamed else _detail
    said = (use_case, before.id if before else "", str(model))
    return AnswerChanged(
        id=ids.derive(standing.as_of.scored_at, "answer", *said),
        at=now,
        use_case=use_case,
        reason=reason,
        model=model,
        score=score,
        before=announced,
        before_score=standing.score,
        margin=margin,
        detail=detail(reason, use_case, announced, standing),
        as_of=standing.as_of,
        renamed=renamed,
    )


def _reason(announced: ModelRef | None, standing: WinnerStatus) -> Reason | None:
    if standing.best is None:
        return "none" if announced else None
    model, score = standing.best
    if announced is None:
        return "first"
    if model == announced:
        return None
    if standing.score is None:
        return "gone"
    return "better" if score - standing.score >= SWITCH_MARGIN_POINTS else None


def knows_more(before: AnswerChanged, as_of: AsOf) -> bool:
    """Return whether *before* was decided on something that *as_of* does not hold yet."""
    announced = before.as_of
    return announced.sequence > as_of.sequence or announced.reports > as_of.reports


def _renamed(_: Reason, use_case: str, announced: ModelRef | None, standing: WinnerStatus) -> str:
    return (
        f"{standing.renamed_to} is still best for {use_case}: it is {announced}, whose endpoint was renamed."
    )


def _detail(reason: Reason, use_case: str, announced: ModelRef | None, standing: WinnerStatus) -> str:
    model, score = standing.best or (None, 0.0)
    match reason:
        case "first":
            return f"{model} is best for {use_case} with {score:.1f} of 100; there was none before it."
        case "better":
            behind = standing.score or 0.0
            return (
                f"{model} is best for {use_case} with {score:.1f} of 100, "
                f"{score - behind:.1f} points ahead of {announced} with {behind:.1f}."
            )
        case "gone":
            return (
                f"{model} is best for {use_case} with {score:.1f} of 100; "
                f"{announced} is not a candidate any more: {standing.out}."
            )
        case "none":
            return (
                f"No model is a candidate for {use_case} any more; {announced} was the last: {standing.out}."
            )
