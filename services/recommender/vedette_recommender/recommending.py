"""The replies to `recommend.best`, `recommend.top` and `recommend.explain`, made from a ranking."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from msgspec.structs import replace

from vedette.messages.events import AsOf
from vedette.messages.queries import (
    BestReply,
    Contribution,
    ExplainReply,
    Improvement,
    Recommendation,
    RecommendRequest,
    Relaxation,
    TopReply,
)
from vedette.types import Capability, ModelRef
from vedette.usecases import SIGNALS
from vedette_recommender.columns import CAPABILITIES
from vedette_recommender.explain import Account
from vedette_recommender.field import Place, UseCaseScores
from vedette_recommender.filtering import Rule, rules
from vedette_recommender.improving import improvement
from vedette_recommender.near_misses import distance, lacking, nearest, rejections, relaxation
from vedette_recommender.ranking import Ranking
from vedette_recommender.scoreboard import Scoreboard
from vedette_recommender.sentences import (
    of_unknown_kind,
    scaled,
    spread_over,
    summary,
    tied,
    unloading,
    unproven,
)
from vedette_recommender.views import BaseUrl, expected_now, recommendation

# Explained one by one; of more, the nearest are, and the rest are counted.
_MAX_REJECTIONS = 200


class Recommending:
    """Makes replies from rankings. The part about each model, except its scores, is cached until `forget`."""

    def __init__(self, *, board: Scoreboard, base_url: BaseUrl) -> None:
        self._board = board
        self._base_url = base_url
        self._made: dict[int, Recommendation] = {}  # by row, without the scores

    def forget(self) -> None:
        """Clear the cached parts of all models: something has changed."""
        self._made.clear()

    def forget_at(self, endpoints: Iterable[str]) -> None:
        """Clear the cached parts of models at *endpoints*: their servers report another load."""
        for endpoint in endpoints:
            for row in self._board.columns.at_endpoint(endpoint):
                self._made.pop(row, None)

    def best(
        self, request: RecommendRequest, ranking: Ranking, order: Sequence[int], as_of: AsOf
    ) -> BestReply:
        """Return the first of *ranking* for a caller who gets the equals in *order*, with fallbacks."""
        shown = self._shown(ranking.field, ranking.served(order)[: request.limit + 1])
        return BestReply(
            use_case=request.use_case,
            recommendation=shown[0] if shown else None,
            fallbacks=shown[1:],
            considered=len(self._board.columns),
            rejected=ranking.narrowed.rejected,
            as_of=as_of,
            relax=None if shown else self._relax(ranking, self._rules(request, ranking)),
            unknown_capabilities=ranking.narrowed.unknown,
        )

    def top(self, request: RecommendRequest, ranking: Ranking, order: Sequence[int], as_of: AsOf) -> TopReply:
        """Return the first of *ranking*, as many as the request wants, for a caller who gets the equals in *order*."""
        shown = self._shown(ranking.field, ranking.served(order)[: request.limit])
        return TopReply(
            use_case=request.use_case,
            recommendations=shown,
            considered=len(self._board.columns),
            rejected=ranking.narrowed.rejected,
            as_of=as_of,
            relax=None if shown else self._relax(ranking, self._rules(request, ranking)),
            unknown_capabilities=ranking.narrowed.unknown,
        )

    def explain(
        self,
        request: RecommendRequest,
        ranking: Ranking,
        order: Sequence[int],
        as_of: AsOf,
        *,
        unmeasured: tuple[str, ...],
    ) -> ExplainReply:
        """Return *ranking* with every contribution and rejection. *unmeasured*: sentences on models without leave."""
        columns = self._board.columns
        served = ranking.served(order)[: request.limit]
        rows = list(dict.fromkeys(one.row for one in (*ranking.ranked[:2], *served)))
        by_row = dict(zip(rows, Account.of(ranking.field, columns, rows, ranking.terms), strict=True))
        rules = self._rules(request, ranking)
        out = columns.present & ~ranking.narrowed.candidates
        near = nearest(out, distance(rules, columns.room), columns, _MAX_REJECTIONS)
        relax = self._relax(ranking, rules)
        leading = [(by_row[one.row], one) for one in ranking.ranked[:2]]
        first, second = [*leading, None, None][:2]
        improve = _improvement(first, second)
        recommendations = tuple(
            self._recommendation(ranking.field, one, by_row[one.row].contributions()) for one in served
        )
        return ExplainReply(
            use_case=request.use_case,
            recommendations=recommendations,
            rejections=rejections(rules, near, columns),
            rejections_omitted=int(np.count_nonzero(out)) - len(near),
            considered=len(columns),
            rejected=ranking.narrowed.rejected,
            weights=dict(zip(SIGNALS, ranking.terms.shares, strict=True)),
            risk=request.risk,
            as_of=as_of,
            summary=(
                *summary(
                    request.use_case,
                    first,
                    second,
                    len(columns),
                    relax,
                    improve,
                    lacking(rules, columns),
                    ranking.narrowed.rejected,
                ),
                *spread_over(ranking.equals, order[0] if order else 0),
                *unloading(recommendations),
                *scaled(ranking.field.quality.scale),
                *of_unknown_kind(self._of_unknown_kind(ranking)),
                *unproven(ranking.narrowed.unknown),
            ),
            relax=relax,
            improve=improve,
            spread={one.name: one.weight for one in ranking.equals} if len(ranking.equals) > 1 else {},
            unmeasured=unmeasured,
            unknown_capabilities=ranking.narrowed.unknown,
        )

    def _rules(self, request: RecommendRequest, ranking: Ranking) -> list[Rule]:
        return rules(ranking.field, self._board.columns, request)

    def _relax(self, ranking: Ranking, rules: Sequence[Rule]) -> Relaxation | None:
        """Return the change that admits the nearest rejected model, if it has the capabilities."""
        columns = self._board.columns
        far = distance(rules, columns.room)
        out = columns.present & ~ranking.narrowed.candidates & far.in_reach()
        near = nearest(out, far, columns, 1)
        if not near:
            return None
        score = ranking.field.scores(np.array(near), ranking.terms).score[0].item()
        return relaxation(rules, near[0], columns, score)

    def _of_unknown_kind(self, ranking: Ranking) -> list[ModelRef]:
        """Return the models that may or may not chat, where the use case needs a chat."""
        columns = self._board.columns
        if Capability.CHAT not in ranking.field.use_case.requires:
            return []
        (rows,) = (columns.present & (columns.claims[CAPABILITIES.index(Capability.CHAT)] == 0)).nonzero()
        return sorted(self._board.model(row) for row in rows.tolist())

    def _shown(self, field: UseCaseScores, ranked: Sequence[Place]) -> tuple[Recommendation, ...]:
        return tuple([self._recommendation(field, one) for one in ranked])  # a generator takes twice as long

    def _recommendation(
        self, field: UseCaseScores, place: Place, contributions: tuple[Contribution, ...] = ()
    ) -> Recommendation:
        made = self._made.get(place.row)
        if made is None:
            (one,) = self._board.candidates([place.row])
            load = self._board.columns.loads.get(one.model.endpoint)
            expected = expected_now(field, place.row, one.facts, load)
            made = self._made[place.row] = recommendation(one, expected, self._base_url)
        return replace(
            made,
            score=place.score,
            raw_score=place.raw,
            confidence=place.sure,
            equivalent=place.equivalent,
            multipliers=place.multipliers,
            contributions=contributions,
            score_without_reports=_without_reports(place, contributions) if contributions else None,
        )


def _improvement(
    first: tuple[Account, Place] | None, second: tuple[Account, Place] | None
) -> Improvement | None:
    """Return the change that would make the second model win, unless the two are equal."""
    if first is None or second is None or tied(first[1], second[1]):
        return None
    return improvement(*second, first[1].score)


def _without_reports(place: Place, contributions: Sequence[Contribution]) -> float | None:
    """Return the score without callers' reports, or None if they changed nothing."""
    if not any(part.reported_points for part in contributions):
        return None
    raw = place.raw - math.fsum(part.reported_points for part in contributions)
    return raw * math.prod(place.multipliers.values())
