"""The candidates for a request, their order, and which of several equals a caller gets.

These follow from the columns and the field of the use case. Nothing here waits or changes anything.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from vedette import providers
from vedette.errors import RequestError
from vedette.messages.queries import RecommendRequest
from vedette.messages.validation import folded, unknown_name
from vedette.settings import EndpointSettings
from vedette.types import ModelRef
from vedette.usecases import bounds_with
from vedette_recommender.columns import Columns, Mask
from vedette_recommender.constants import ERROR_BAND_POINTS
from vedette_recommender.field import FilterResult, Place, Terms, UseCaseScores, shares
from vedette_recommender.filtering import narrow
from vedette_recommender.scoreboard import Scoreboard
from vedette_recommender.spreading import MAX_EQUALS, Equal, Pressed, calm, order, taking, weights

_NO_MASK: Final[Mask] = np.zeros(0, np.bool_)


class Ranking(Struct, frozen=True, kw_only=True):
    """The candidates for one request, best first, and the equals among them over which callers are spread."""

    field: UseCaseScores
    terms: Terms
    narrowed: FilterResult
    ranked: list[Place]  # by score
    equals: tuple[Equal, ...] = ()  # over which callers are spread
    places: tuple[int, ...] = ()  # of the equals in `ranked`
    calm: tuple[int, ...] = ()  # the order of the equals by their scores at rest, for a caller without a name

    def compact(self) -> "Ranking":
        """Return it without the mask of all models, to be kept: replies that name a model do without."""
        return replace(self, narrowed=replace(self.narrowed, candidates=_NO_MASK))

    def order(self, caller: bytes | None) -> tuple[int, ...]:
        """Return in which order the caller with that identity gets the equals, as places in `equals`."""
        if len(self.equals) < 2 or caller is None:
            return self.calm
        return order(self.equals, caller)

    def served(self, order: Sequence[int]) -> list[Place]:
        """Return the ranking of a caller who gets the equals in *order*."""
        if len(order) < 1:
            return self.ranked
        first = [replace(self.ranked[self.places[one]], equivalent=n > 0) for n, one in enumerate(order)]
        return [*first, *(one for n, one in enumerate(self.ranked) if n not in self.places)]


class Ranker:
    """Ranks the models of *board* for requests. A request may name any of *endpoints*, also one without models."""

    def __init__(self, *, board: Scoreboard, endpoints: Mapping[str, EndpointSettings]) -> None:
        self._board = board
        self._endpoints = endpoints

    def rank(self, request: RecommendRequest, field: UseCaseScores, most: int) -> Ranking:
        """Return the *most* best candidates for *request* by the scores of *field*.

        Raises RequestError for a name that does not exist, and for weights or bounds that no model can be measured by.
        """
        if request.bounds.get("quality", 0.0) > 1.0:
            message = "bounds.quality: at most 1, as a share of the best quality"
            raise RequestError(code="invalid_value", message=message, field="bounds.quality")
        need, columns = request.constraints, self._board.columns
        refuse_unknown(
            "endpoint", need.endpoints or (), columns, self._endpoints, field="constraints.endpoints"
        )
        refuse_unknown(
            "provider", need.providers or (), columns, self._endpoints, field="constraints.providers"
        )
        terms = Terms(
            shares=_shares(field, request) if request.weights else field.default.shares,
            wanted_context=need.min_context_tokens or field.use_case.wanted_context,
            bounds=bounds_with(field.default.bounds, request.bounds),
            risk=request.risk,
        )
        narrowed = narrow(field, columns, request)
        return Ranking(field=field, terms=terms, narrowed=narrowed, ranked=field.best(narrowed, terms, most))

    def spread(self, ranking: Ranking, *, has_name: bool) -> Ranking:
        """Return *ranking* with the equals of the best: as good at rest, and not much slower by their load.

        Without loads, the shares of callers matter only to callers that have a name. For others the models are returned
        as they are ranked, if that is their order among equals too (`calm`).
        """
        ranked, loads = ranking.ranked[:MAX_EQUALS], self._board.columns.loads
        if len(ranked) < 2 or (not loads and not ranked[1].equivalent):
            return ranking
        rest = self._at_rest(ranking, ranked)
        near = [n for n, score in enumerate(rest) if abs(score - rest[0]) <= ERROR_BAND_POINTS]
        if not has_name and not loads and self._differ([ranked[n] for n in near]):
            return ranking
        pressed = self._pressed(ranking, [ranked[n].row for n in near])
        places = [near[n] for n in taking(pressed)]
        best = max(rest[n] for n in places)
        behind = [best - rest[n] for n in places]
        shares = weights(behind, [pressed[near.index(n)].busy for n in places])
        models = [self._board.model(ranked[n].row) for n in places]
        return replace(
            ranking,
            equals=tuple(map(Equal, map(str, models), shares)),
            places=tuple(places),
            calm=tuple(calm(behind, models)),
        )

    def _differ(self, places: Sequence[Place]) -> bool:
        """Return whether no two of *places* have the same model, or the same score."""
        names, scores = {self._board.model(one.row).name for one in places}, {one.score for one in places}
        return len(names) == len(scores) == len(places)

    def _at_rest(self, ranking: Ranking, places: Sequence[Place]) -> list[float]:
        """Return the scores of *places* without the load of their servers."""
        if not self._board.columns.loads:
            return [one.score for one in places]
        field = self._board.field(ranking.field.use_case.name, load=False)
        scores: list[float] = field.scores(
            np.array([one.row for one in places]), ranking.terms
        ).score.tolist()
        return scores

    def _pressed(self, ranking: Ranking, rows: Sequence[int]) -> list[Pressed]:
        """Return the effect of their servers' loads on the models in *rows*."""
        loads, at = self._board.columns.loads, self._board.scored_at.timestamp()
        if not loads:
            return [Pressed()] * len(rows)
        rest, places = self._board.field(ranking.field.use_case.name, load=False), np.array(rows)
        slower = ranking.field.answer_s[places] / rest.answer_s[places]

        def pressed(slower: float, model: ModelRef) -> Pressed:
            load = loads.get(model.endpoint)
            if load is None or load.until < at:
                return Pressed(slower)
            return Pressed(slower, load.busy(model.name), load.lastingly_busy(model.name))

        return [
            pressed(1.0 if math.isnan(times) else times, self._board.model(row))
            for times, row in zip(slower.tolist(), rows, strict=True)
        ]


def refuse_unknown(
    what: Literal["endpoint", "provider"],
    wanted: Iterable[str],
    columns: Columns,
    endpoints: Mapping[str, EndpointSettings],
    *,
    field: str,
) -> None:
    """Raise RequestError for a name in *field* that no endpoint, no model and no installed provider has."""
    used = columns.endpoints if what == "endpoint" else columns.providers
    for name in wanted:
        if used.find(name) > 0:
            continue
        configured = (
            [*endpoints]
            if what == "endpoint"
            else [*providers.names(), *(one.provider for one in endpoints.values())]
        )
        if folded(name) not in map(folded, configured):
            raise unknown_name(what, name, dict.fromkeys(configured), field=field)


def _shares(field: UseCaseScores, request: RecommendRequest) -> tuple[float, ...]:
    weights = field.use_case.weights | request.weights
    if not any(weights.values()):
        raise RequestError(
            code="invalid_value", message="weights: at least one must be positive", field="weights"
        )
    return shares(weights)
