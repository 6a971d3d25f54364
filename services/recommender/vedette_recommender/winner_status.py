"""The best model of a use case now, without constraints, and how the announced one compares to it. Pure."""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from vedette.messages.catalogue import Catalogue, ModelState
from vedette.messages.events import AsOf, ModelLost
from vedette.messages.queries import RecommendRequest, Rejection
from vedette.types import ModelRef
from vedette_recommender.field import Place
from vedette_recommender.filtering import rules
from vedette_recommender.near_misses import rejections
from vedette_recommender.ranking import Ranker
from vedette_recommender.scoreboard import Scoreboard
from vedette_recommender.spreading import MAX_EQUALS, calm


class WinnerStatus(Struct, frozen=True, kw_only=True):
    """The best model of a use case, and how the announced one compares to it, as of one moment."""

    best: tuple[ModelRef, float] | None  # with its score; None when no model is a candidate
    score: float | None = None  # of the one announced; None when it is no candidate, or none was announced
    out: str = ""  # why it is no candidate, as text after a colon
    renamed_to: ModelRef | None = None  # the name of the one announced, since its endpoint was renamed
    as_of: AsOf


def winner_status(
    board: Scoreboard,
    ranker: Ranker,
    catalogue: Catalogue,
    use_case: str,
    before: ModelRef | None,
    *,
    since: int,
    as_of: AsOf,
) -> WinnerStatus:
    """Return the best model on *board* for *use_case*, and how *before* compares to it.

    The current load of servers does not count: it affects replies, but it would be over before an announcement.
    If the endpoint of *before* was renamed after the sequence *since*, the model of the new name counts as *before*.
    """
    renamed_to = catalogue.renamed_since(before, since) if before else None
    before = renamed_to or before
    request = RecommendRequest(use_case=use_case)
    ranking = ranker.rank(request, board.field(use_case, load=False), MAX_EQUALS)
    columns, best = board.columns, _first(board, ranking.ranked)
    row = columns.rows.get(before) if before else None
    fits = row is not None and bool(ranking.narrowed.candidates[row])
    against = (
        () if row is None or fits else rejections(rules(ranking.field, columns, request), [row], columns)
    )
    return WinnerStatus(
        best=(board.model(best.row), best.score) if best else None,
        score=ranking.field.scores(np.array([row]), ranking.terms).score[0].item() if fits else None,
        out=because(catalogue.get(before), against) if before and not fits else "",
        renamed_to=renamed_to,
        as_of=as_of,
    )


def _first(board: Scoreboard, ranked: Sequence[Place]) -> Place | None:
    """Return the best of *ranked*, as an agent without a name gets it."""
    if not ranked:
        return None
    behind = [ranked[0].score - one.score for one in ranked]
    return ranked[calm(behind, [board.model(one.row) for one in ranked])[0]]


def because(state: ModelState | None, reasons: Sequence[Rejection]) -> str:
    """Return why a model is no candidate: the *reasons* that reject it, or its *state*."""
    if reasons:
        return " and ".join(map(_in_words, reasons))
    held = state.lifecycle if state else None
    if held is None or not isinstance(held.event, ModelLost):
        return "nothing is known of it any more"
    gone = {"absent": "its endpoint no longer lists it", "endpoint_removed": "its endpoint was removed"}
    return f"it is lost, {gone[held.event.reason]}"


def _in_words(reason: Rejection) -> str:
    if reason.code == "status":
        return f"its status is {reason.value}"
    if reason.code == "capability":
        return f"it lacks the capability {reason.need}"
    if reason.code == "capability_unknown":
        return f"nothing shows that it has the capability {reason.need}"
    if reason.code == "endpoint_closed":
        return f"its endpoint is {reason.value}"
    if reason.code == "never_answered":
        return f"every call of it failed ({reason.value})"
    return f"it was rejected for {reason.code.replace('_', ' ')}"
