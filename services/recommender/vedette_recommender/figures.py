"""The figures of each model as they are now, for dashboards and routers. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from vedette.messages.queries import RecommendRequest
from vedette.types import ModelRef, Status
from vedette_recommender.columns import STATUSES
from vedette_recommender.measured_calls import with_calls
from vedette_recommender.ranking import Ranker, Ranking
from vedette_recommender.scoreboard import Scoreboard
from vedette_recommender.scoring import QUALITY


class ModelFigures(Struct, frozen=True, kw_only=True):
    """The current figures of one model; None and absent use cases: not known."""

    model: ModelRef
    available: bool
    output_tps: float | None = None
    ttft_ms: float | None = None
    uptime_24h: float | None = None
    scores: Mapping[str, float] = {}  # by use case, of 100
    quality: Mapping[str, float] = {}  # by use case, of 1


class Figures(NamedTuple):
    """The figures of models, the best ones first, and the best model by use case."""

    models: Sequence[ModelFigures]
    winners: Mapping[str, ModelRef]


def figures(board: Scoreboard, ranker: Ranker, use_cases: Iterable[str], most: int) -> Figures:
    """Return the figures of the models on *board*; if there are more than *most*, of the best ones.

    The current load of servers does not count.
    """
    if most <= 0:
        return Figures((), {})
    ranked = {
        use_case: ranker.rank(RecommendRequest(use_case=use_case), board.field(use_case, load=False), most)
        for use_case in use_cases
    }
    winners = {
        use_case: board.model(ranking.ranked[0].row) for use_case, ranking in ranked.items() if ranking.ranked
    }
    return Figures(tuple(_best_first(board, ranked, most)), winners)


def _best_first(board: Scoreboard, ranked: Mapping[str, Ranking], most: int) -> Iterator[ModelFigures]:
    """Yield figures of the *most* best models by their highest score; without a score, by name."""
    columns, at, statuses = board.columns, board.scored_at, board.statuses()
    scores: dict[int, dict[str, float]] = {}
    for use_case, ranking in ranked.items():
        for place in ranking.ranked:
            scores.setdefault(place.row, {})[use_case] = place.score
    rank = columns.rank
    rows = sorted(scores, key=lambda row: (-max(scores[row].values()), rank[row]))
    if len(rows) < most:
        rows += [row for row in columns.order if row not in scores]
    for row in rows[:most]:
        facts = columns.facts[row]
        if facts is None:
            continue
        health, scored = with_calls(facts.info, facts.calls, facts.health), scores.get(row, {})
        yield ModelFigures(
            model=facts.model,
            available=STATUSES[statuses[row]] is Status.AVAILABLE,
            output_tps=facts.output_tps,
            ttft_ms=facts.ttft_ms,
            uptime_24h=health.uptime(at, hours=24) if facts.health and health else None,
            scores=scored,
            quality={
                use_case: float(ranking.field.utility[QUALITY, row])
                for use_case, ranking in ranked.items()
                if use_case in scored
            },
        )
