"""Answers to agents' questions, from memory alone.

One request is one pass over columns: decode, filter, score, take the first few, encode. While the catalogue and the
minute stay the same, the same request gets the same bytes. So do requests that differ only in what no reply depends
on: the caller, or where a limit lies between two values that models have.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from vedette import providers
from vedette.bus.accounts import SHARED
from vedette.clock import Clock
from vedette.endpoints import spending
from vedette.endpoints.budget import used, with_load
from vedette.endpoints.spending import Unmeasured
from vedette.errors import RequestError
from vedette.knowledge import Table
from vedette.messages.catalogue import Catalogue
from vedette.messages.channels import QUERIES
from vedette.messages.codec import encode
from vedette.messages.events import (
    AsOf,
    EndpointLoad,
    Event,
    Lifecycle,
    ModelEvaluated,
    ModelEvent,
    ModelReported,
)
from vedette.messages.queries import (
    BestReply,
    Contribution,
    EndpointsReply,
    EndpointsRequest,
    EndpointView,
    ExplainReply,
    ModelRequest,
    ModelsReply,
    ModelsRequest,
    Recommendation,
    RecommendRequest,
    Relaxation,
    TopReply,
)
from vedette.messages.validation import (
    decode,
    fitting,
    folded,
    reference,
    unknown_model,
    unknown_name,
    use_case_of,
)
from vedette.settings import Budget, Defined, EndpointSettings, Vouched
from vedette.text.lookalikes import meant, notes
from vedette.types import Capability, ModelRef, Status
from vedette.usecases import SIGNALS, UseCase, bounds_with
from vedette_recommender.announcement_policy import WinnerStatus, because
from vedette_recommender.columns import CAPABILITIES, STATUSES
from vedette_recommender.constants import ERROR_BAND_POINTS
from vedette_recommender.explain import Account, scaled, spread_over, summary, tied, untold
from vedette_recommender.field import FilterResult, Place, Terms, UseCaseScores, shares
from vedette_recommender.filtering import Rule, alike, narrow, rules
from vedette_recommender.grouping import same_weights
from vedette_recommender.listing import counted, listed, ordered
from vedette_recommender.measured_calls import with_calls
from vedette_recommender.model_series import ModelFigures
from vedette_recommender.near_misses import distance, lacking, nearest, rejections, relaxation
from vedette_recommender.scoreboard import Scoreboard
from vedette_recommender.scoring import QUALITY
from vedette_recommender.spreading import MAX_EQUALS, Equal, Pressed, identity, order, taking, weights
from vedette_recommender.views import BaseUrl, expected_now, model_view, recommendation

# From a request, its ranking and the order of its equals to the reply.
_Recommend = Callable[[RecommendRequest, "_Ranking", Sequence[int]], BestReply | TopReply]
# Explained one by one; of more, the nearest are, and the rest are counted.
_MOST_REJECTIONS = 200
_SCORED_EVERY = timedelta(minutes=1)
_MOST_REMEMBERED = 4096
_MOST_ALIKE = 8192  # some 4 KB each
_LONGEST_REMEMBERED_BYTES = 4096
# A report is no question about the catalogue, and neither is one about the past: they have handlers of their own,
# and their bytes are not remembered.
_ELSEWHERE = ("report.outcome", "report.measured", "recommend.asof", "models.asof")
ANSWERED = tuple(q for q in QUERIES if q.service == "recommender" and q.subject not in _ELSEWHERE)
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    question.subject: msgspec.json.Decoder(question.request) for question in ANSWERED
}


class _Ranking(Struct, frozen=True, kw_only=True):
    """The result of a recommendation request, before it becomes a reply."""

    field: UseCaseScores
    terms: Terms
    narrowed: FilterResult
    ranked: list[Place]  # by score
    equals: tuple[Equal, ...] = ()  # over which callers are spread
    places: tuple[int, ...] = ()  # of the equals in `ranked`
    calm: tuple[int, ...] = ()  # the order of the equals by their scores at rest, for who has no name

    def served(self, order: Sequence[int]) -> list[Place]:
        """Return the ranking of a caller who gets the equals in *order*."""
        if len(order) < 1:
            return self.ranked
        first = [replace(self.ranked[self.places[one]], equivalent=n > 0) for n, one in enumerate(order)]
        return [*first, *(one for n, one in enumerate(self.ranked) if n not in self.places)]


class _Alike(Struct):
    """The ranking of requests that must be answered alike, and the replies by the order of its equals."""

    ranking: _Ranking
    replies: dict[tuple[int, ...], bytes]
    is_spread: bool = False  # the ranking has its equals, which only some callers need


class Answers:
    """Answers the questions in ANSWERED. `changed` must be called when the catalogue changes."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        endpoints: Mapping[str, EndpointSettings],
        use_cases: Mapping[str, UseCase],
        stale_after: timedelta,
        base_url: BaseUrl,
        ratings: Sequence[Vouched] = (),
        published: Table | None = None,
        defined: Defined | None = None,
        clock: Clock,
    ) -> None:
        self._catalogue = catalogue
        self._defined = defined or Defined()
        self._endpoints = endpoints
        self._use_cases = use_cases
        self._base_url = base_url
        self._clock = clock
        self._board = Scoreboard(
            catalogue=catalogue,
            use_cases=use_cases,
            stale_after=stale_after,
            ratings=ratings,
            published=published,
            closed={name: why for name, one in self._defined.origins.items() if (why := one.closed)},
        )
        self._remembered: dict[tuple[str, bytes, str | None], bytes] = {}
        self._asked: set[int] = set()  # hashes of the questions asked once
        self._alike: dict[Hashable, _Alike] = {}  # by what replies depend on
        self._recommended: dict[int, Recommendation] = {}  # by row, but for the score
        self._outdated = True  # something has changed since the last question
        self._with_new_load: set[str] = set()  # endpoints that told another load since then
        self._scored_at = self._scored_until = datetime.min.replace(tzinfo=UTC)
        self._same: dict[ModelRef, tuple[ModelRef, ...]] | None = None
        self._notes: dict[ModelRef, tuple[str, ...]] | None = None
        self._unmeasured: dict[str, Unmeasured] | None = None
        self._questions: dict[str, Callable[[Any], Struct]] = {
            "models.list": self._models,
            "models.get": self._model,
            "endpoints.list": self._list_endpoints,
        }
        self._recommendations: dict[str, _Recommend] = {
            "recommend.best": self._best,
            "recommend.top": self._top,
        }

    def changed(self, event: Event) -> None:
        """Take account of *event*, which changed the catalogue."""
        self._outdated = True
        if isinstance(event, EndpointLoad):
            self._board.press(event.endpoint)
            self._with_new_load.add(event.endpoint)
            return
        self._recommended.clear()
        if isinstance(event, ModelEvent | ModelReported):
            self._board.touch(event.model)
        if isinstance(event, Lifecycle):
            self._same = self._notes = self._unmeasured = None
        if isinstance(event, ModelEvaluated):
            self._unmeasured = None

    def statuses(self) -> dict[Status, int]:
        """Return the number of models by status at this minute."""
        self._tick()
        codes = self._board.statuses()[self._board.columns.present]
        return dict(zip(STATUSES, np.bincount(codes, minlength=len(STATUSES)).tolist(), strict=True))

    def prepare(self) -> None:
        """Take in all models that came so far, so that the first question need not wait for that."""
        self._tick()
        self._board.settle()

    def answer(self, subject: str, payload: bytes, asker: str | None = None) -> bytes:
        """Return the encoded reply to *payload* on *subject*, asked by the account *asker*.

        Raises RequestError, which is a reply too.
        """
        self._tick()
        account = (
            None if asker is None or asker.startswith(SHARED) else asker
        )  # shared by agents, it tells none
        key = (subject, payload, account)
        remembered = self._remembered.get(key)
        if remembered is not None:
            return remembered
        reply = self._reply_to(subject, decode(payload, _DECODERS[subject]), account)
        if len(payload) <= _LONGEST_REMEMBERED_BYTES:
            self._remember(key, reply)
        return reply

    def _reply_to(self, subject: str, request: Any, account: str | None) -> bytes:
        if not isinstance(request, RecommendRequest):
            return encode(self._questions[subject](request))
        if request.use_case not in self._use_cases:
            request = replace(request, use_case=use_case_of(request.use_case, self._use_cases))
        recommend = self._recommendations.get(subject)
        return (
            self._like(request, recommend, account) if recommend else encode(self.explain(request, account))
        )

    def _like(self, request: RecommendRequest, recommend: _Recommend, account: str | None) -> bytes:
        """Return the reply to *request*, which is that to all that must be answered alike."""
        like = (recommend, alike(self._field(request), self._board.columns, request))
        kept = self._alike.get(like)
        most = request.limit + (recommend == self._best)  # the best, and its fallbacks
        who = identity(account, request.caller, request.session)
        spread = who is not None or bool(self._board.columns.loads)
        if kept is None or (spread and not kept.is_spread):
            ranking = self._rank(request, max(most, MAX_EQUALS) if spread else most)
            replies = kept.replies if kept else {}
            kept = _Alike(self._spread(request, ranking) if spread else ranking, replies, spread)
            if ranking.ranked:  # else the reply quotes the request
                if len(self._alike) >= _MOST_ALIKE:
                    self._alike.clear()
                self._alike[like] = kept
        order = self._order(kept.ranking, who)
        reply = kept.replies.get(order)
        if reply is None:
            reply = kept.replies[order] = encode(recommend(request, kept.ranking, order))
        return reply

    @staticmethod
    def _order(ranking: _Ranking, who: bytes | None) -> tuple[int, ...]:
        """Return in which order the caller *who* gets the equals."""
        if len(ranking.equals) < 2 or who is None:
            return ranking.calm
        return order(ranking.equals, who)

    def _remember(self, key: tuple[str, bytes, str | None], reply: bytes) -> None:
        """Keep *reply* if its question comes the second time: most that differ at all are never asked again."""
        asked = hash(key)
        if asked not in self._asked:
            if len(self._asked) >= _MOST_REMEMBERED:
                self._asked.clear()
            self._asked.add(asked)
            return
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[key] = reply

    def _forget(self) -> None:
        self._outdated = False
        self._remembered.clear()
        self._alike.clear()
        for endpoint in self._with_new_load:
            for row in self._board.columns.at_endpoint(endpoint):
                self._recommended.pop(row, None)
        self._with_new_load.clear()
        self._as_of = AsOf(
            sequence=self._catalogue.sequence,
            scored_at=self._scored_at,
            reports=self._catalogue.reports,
            loads=self._catalogue.loads,
        )

    def _tick(self) -> None:
        """Forget what no longer holds, and move `scored_at` on: now, floored to a minute.

        So that replicas agree and answers can be reused.
        """
        now = self._clock.now()
        if not self._scored_at <= now < self._scored_until:
            floored = now.replace(second=0, microsecond=0)
            self._scored_until = floored + _SCORED_EVERY
            self._scored_at = floored
            self._board.at(floored)
            self._recommended.clear()
            self._outdated = True
        if self._outdated:
            self._forget()

    # Recommendations -----------------------------------------------------------------------------------------

    def _best(self, request: RecommendRequest, ranking: _Ranking, order: Sequence[int]) -> BestReply:
        shown = self._shown(ranking.field, ranking.served(order)[: request.limit + 1])
        return BestReply(
            use_case=request.use_case,
            recommendation=shown[0] if shown else None,
            fallbacks=shown[1:],
            considered=len(self._board.columns),
            rejected=ranking.narrowed.rejected,
            as_of=self._as_of,
            relax=None if shown else self._relax(request, ranking, self._rules(request, ranking)),
        )

    def _top(self, request: RecommendRequest, ranking: _Ranking, order: Sequence[int]) -> TopReply:
        shown = self._shown(ranking.field, ranking.served(order)[: request.limit])
        return TopReply(
            use_case=request.use_case,
            recommendations=shown,
            considered=len(self._board.columns),
            rejected=ranking.narrowed.rejected,
            as_of=self._as_of,
            relax=None if shown else self._relax(request, ranking, self._rules(request, ranking)),
        )

    def explain(self, request: RecommendRequest, account: str | None = None) -> ExplainReply:
        """Return the ranking for *request* of *account*, and why. Raises RequestError."""
        self._tick()
        columns = self._board.columns
        ranking = self._spread(request, self._rank(request, max(MAX_EQUALS, request.limit)))
        order = self._order(ranking, identity(account, request.caller, request.session))
        served = ranking.served(order)[: request.limit]
        rows = list(dict.fromkeys(one.row for one in (*ranking.ranked[:2], *served)))
        by_row = dict(zip(rows, Account.of(ranking.field, columns, rows, ranking.terms), strict=True))
        accounts = [by_row[one.row] for one in ranking.ranked[:2]]
        rules = self._rules(request, ranking)
        out = columns.present & ~ranking.narrowed.candidates
        near = nearest(out, distance(rules, columns.room), columns, _MOST_REJECTIONS)
        relax = self._relax(request, ranking, rules)
        first, second = [*zip(accounts, ranking.ranked[:2], strict=True), None, None][:2]
        improve = None
        if first and second and not tied(first[1], second[1]):
            improve = second[0].improvement(second[1], first[1].score)
        return ExplainReply(
            use_case=request.use_case,
            recommendations=tuple(
                self._recommendation(ranking.field, one, by_row[one.row].contributions()) for one in served
            ),
            rejections=rejections(rules, near, columns),
            rejections_omitted=int(np.count_nonzero(out)) - len(near),
            considered=len(columns),
            rejected=ranking.narrowed.rejected,
            weights=dict(zip(SIGNALS, ranking.terms.shares, strict=True)),
            risk=request.risk,
            as_of=self._as_of,
            summary=(
                *summary(
                    request.use_case, first, second, len(columns), relax, improve, lacking(rules, columns)
                ),
                *spread_over(ranking.equals, order[0] if order else 0),
                *scaled(ranking.field.scale),
                *untold(self._untold(ranking)),
            ),
            relax=relax,
            improve=improve,
            spread={one.name: one.weight for one in ranking.equals} if len(ranking.equals) > 1 else {},
            unmeasured=tuple(map(str, self._waiting().values())),
        )

    def models(self, request: ModelsRequest | ModelRequest) -> ModelsReply:
        """Return the models that *request* lists, or the one that it names, whole. Raises RequestError."""
        self._tick()
        return self._model(request) if isinstance(request, ModelRequest) else self._models(request)

    def _field(self, request: RecommendRequest) -> UseCaseScores:
        return self._board.field(request.use_case)

    def _rank(self, request: RecommendRequest, most: int, *, load: bool = True) -> _Ranking:
        field = self._board.field(request.use_case, load=load)
        if request.bounds.get("quality", 0.0) > 1.0:
            message = "bounds.quality: at most 1, as a share of the best quality"
            raise RequestError(code="invalid_value", message=message, field="bounds.quality")
        need = request.constraints
        self._refuse_unknown("endpoint", need.endpoints or (), field="constraints.endpoints")
        self._refuse_unknown("provider", need.providers or (), field="constraints.providers")
        terms = Terms(
            shares=self._shares(field, request) if request.weights else field.default.shares,
            wanted_context=request.constraints.min_context_tokens or field.use_case.wanted_context,
            bounds=bounds_with(field.default.bounds, request.bounds),
            risk=request.risk,
        )
        narrowed = narrow(field, self._board.columns, request)
        ranked = field.best(narrowed, terms, most)
        return _Ranking(field=field, terms=terms, narrowed=narrowed, ranked=ranked)

    def _spread(self, request: RecommendRequest, ranking: _Ranking) -> _Ranking:
        """Return *ranking* with the equals of the best: as good at rest, and not much slower for their load."""
        ranked = ranking.ranked[:MAX_EQUALS]
        if len(ranked) < 2 or (not self._board.columns.loads and not ranked[1].equivalent):
            return ranking
        rest = self._at_rest(request, ranking, ranked)
        near = [n for n, score in enumerate(rest) if abs(score - rest[0]) <= ERROR_BAND_POINTS]
        pressed = self._pressed(ranking, [ranked[n].row for n in near])
        places = [near[n] for n in taking(pressed)]
        best = max(rest[n] for n in places)
        shares = weights([best - rest[n] for n in places], [pressed[near.index(n)].busy for n in places])
        named = [str(self._board.model(ranked[n].row)) for n in places]
        calm = sorted(range(len(places)), key=lambda one: (-rest[places[one]], named[one]))
        return replace(
            ranking, equals=tuple(map(Equal, named, shares)), places=tuple(places), calm=tuple(calm)
        )

    def _at_rest(self, request: RecommendRequest, ranking: _Ranking, places: Sequence[Place]) -> list[float]:
        """Return the scores of *places* without what their servers work on."""
        if not self._board.columns.loads:
            return [one.score for one in places]
        field = self._board.field(request.use_case, load=False)
        scores: list[float] = field.scores(
            np.array([one.row for one in places]), ranking.terms
        ).score.tolist()
        return scores

    def _pressed(self, ranking: _Ranking, rows: Sequence[int]) -> list[Pressed]:
        """Return what the loads of their servers mean for the models in *rows*."""
        loads, at = self._board.columns.loads, self._scored_at.timestamp()
        if not loads:
            return [Pressed()] * len(rows)
        rest, places = self._board.field(ranking.field.use_case.name, load=False), np.array(rows)
        slower = ranking.field.answer_s[places] / rest.answer_s[places]

        def busy(model: ModelRef) -> float:
            load = loads.get(model.endpoint)
            return load.busy(model.name) if load and load.until >= at else 0.0

        return [
            Pressed(1.0 if math.isnan(times) else times, busy(self._board.model(row)))
            for times, row in zip(slower.tolist(), rows, strict=True)
        ]

    def _refuse_unknown(
        self, what: Literal["endpoint", "provider"], wanted: Iterable[str], *, field: str
    ) -> None:
        """Raise RequestError for a name that no configured endpoint and no model has, and no installed provider."""
        columns = self._board.columns
        used = columns.endpoints if what == "endpoint" else columns.providers
        for name in wanted:
            if used.find(name) > 0:
                continue
            configured = (
                [*self._endpoints]
                if what == "endpoint"
                else [*providers.names(), *(one.provider for one in self._endpoints.values())]
            )
            if folded(name) not in map(folded, configured):
                raise unknown_name(what, name, dict.fromkeys(configured), field=field)

    @staticmethod
    def _shares(field: UseCaseScores, request: RecommendRequest) -> tuple[float, ...]:
        weights = field.use_case.weights | request.weights
        if not any(weights.values()):
            raise RequestError(
                code="invalid_value", message="weights: at least one must be positive", field="weights"
            )
        return shares(weights)

    def _rules(self, request: RecommendRequest, ranking: _Ranking) -> list[Rule]:
        return rules(ranking.field, self._board.columns, request)

    def _relax(
        self, request: RecommendRequest, ranking: _Ranking, rules: Sequence[Rule]
    ) -> Relaxation | None:
        """Return what admits the nearest of the models that are no candidates, if it has the capabilities."""
        columns = self._board.columns
        far = distance(rules, columns.room)
        out = columns.present & ~ranking.narrowed.candidates & far.in_reach()
        near = nearest(out, far, columns, 1)
        if not near:
            return None
        score = ranking.field.scores(np.array(near), ranking.terms).score[0].item()
        return relaxation(rules, near[0], columns, score)

    def _untold(self, ranking: _Ranking) -> list[ModelRef]:
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
        shown = self._recommended.get(place.row)
        if shown is None:
            (one,) = self._board.candidates([place.row])
            load = self._board.columns.loads.get(one.model.endpoint)
            expected = expected_now(field, place.row, one.facts, load)
            shown = self._recommended[place.row] = recommendation(one, expected, self._base_url)
        return replace(
            shown,
            score=place.score,
            raw_score=place.raw,
            confidence=place.sure,
            equivalent=place.equivalent,
            multipliers=place.multipliers,
            contributions=contributions,
            score_without_reports=_without_reports(place, contributions),
        )

    def winner_status(self, use_case: str, before: ModelRef | None, *, since: int = 0) -> WinnerStatus:
        """Return the best model for *use_case* now without constraints, and how *before* compares to it.

        What servers work on at the moment does not count: it moves replies, and is over before it is announced.

        Where its endpoint was renamed after the sequence *since*, it is the one of the new name that is looked at.
        """
        self._tick()
        renamed_to = self._catalogue.renamed_since(before, since) if before else None
        before = renamed_to or before
        request = RecommendRequest(use_case=use_case)
        ranking, columns = self._rank(request, 1, load=False), self._board.columns
        best = ranking.ranked[0] if ranking.ranked else None
        row = columns.rows.get(before) if before else None
        fits = row is not None and bool(ranking.narrowed.candidates[row])
        reasons = () if row is None or fits else rejections(self._rules(request, ranking), [row], columns)
        return WinnerStatus(
            best=(self._board.model(best.row), best.score) if best else None,
            score=ranking.field.scores(np.array([row]), ranking.terms).score[0].item() if fits else None,
            out=because(self._catalogue.get(before), reasons) if before and not fits else "",
            renamed_to=renamed_to,
            as_of=self._as_of,
        )

    def figures(self, most: int) -> tuple[list[ModelFigures], dict[str, ModelRef]]:
        """Return the figures of the models, the *most* best ones where there are more, and the best by use case.

        What servers work on at the moment does not count.
        """
        if most <= 0:
            return [], {}
        self._tick()
        columns, at = self._board.columns, self._scored_at
        ranked = {
            use_case: self._rank(RecommendRequest(use_case=use_case), most, load=False)
            for use_case in self._use_cases
        }
        scores: dict[int, dict[str, float]] = {}
        for use_case, ranking in ranked.items():
            for place in ranking.ranked:
                scores.setdefault(place.row, {})[use_case] = place.score
        rank = columns.rank
        best_first = sorted(scores, key=lambda row: (-max(scores[row].values()), rank[row]))
        if len(best_first) < most:
            best_first += [row for row in columns.order if row not in scores]
        statuses = self._board.statuses()
        found = []
        for row in best_first[:most]:
            facts = columns.facts[row]
            if facts is None:
                continue
            health = with_calls(facts.health, facts.calls)
            found.append(
                ModelFigures(
                    model=facts.model,
                    available=STATUSES[statuses[row]] is Status.AVAILABLE,
                    output_tps=facts.output_tps,
                    ttft_ms=facts.ttft_ms,
                    uptime_24h=health.uptime(at, hours=24) if facts.health and health else None,
                    scores=scores.get(row, {}),
                    quality={
                        use_case: float(ranking.field.utility[QUALITY, row])
                        for use_case, ranking in ranked.items()
                        if use_case in scores.get(row, {})
                    },
                )
            )
        return found, {
            use_case: self._board.model(ranking.ranked[0].row)
            for use_case, ranking in ranked.items()
            if ranking.ranked
        }

    # The catalogue -------------------------------------------------------------------------------------------

    def _models(self, request: ModelsRequest) -> ModelsReply:
        columns = self._board.columns
        self._refuse_unknown("endpoint", filter(None, (request.endpoint,)), field="endpoint")
        self._refuse_unknown("provider", filter(None, (request.provider,)), field="provider")
        statuses = self._board.statuses()
        among = listed(columns, request, statuses).tolist()
        text = (request.text or "").casefold()
        matching = [row for row in columns.order if among[row] and columns.has_in_name(row, text)]
        rows = ordered(columns, matching, request, self._scored_at.timestamp())
        page = rows[request.offset : request.offset + request.limit]
        counts = counted(columns, matching, statuses)
        return replace(self._reply(page, total=len(matching)), counts=counts)

    def _model(self, request: ModelRequest) -> ModelsReply:
        ref = reference(request.model)
        columns = self._board.columns
        if ref not in columns.rows:
            names = [model.name for model in columns.rows if model.endpoint == ref.endpoint]
            if (name := meant(ref.name, names)) is None:
                raise unknown_model(ref, columns.rows)
            ref = ModelRef(ref.endpoint, name)
        return self._reply([columns.rows[ref]], total=1, whole=True)

    def _reply(self, rows: Iterable[int], *, total: int, whole: bool = False) -> ModelsReply:
        same, noted = self._same_weights(), self._noted()
        views = (
            model_view(
                one,
                self._catalogue.get(one.model),
                same.get(one.model, ()),
                whole=whole,
                notes=noted.get(one.model, ()),
            )
            for one in self._board.candidates(rows)
        )
        return ModelsReply(
            models=fitting(views), total=total, considered=len(self._board.columns), as_of=self._as_of
        )

    def _noted(self) -> dict[ModelRef, tuple[str, ...]]:
        """Return, by model, what is strange about its name. Kept until a model comes, changes or goes."""
        if self._notes is None:
            self._notes = notes(facts.model for facts in self._board.columns.models())
        return self._notes

    def _same_weights(self) -> dict[ModelRef, tuple[ModelRef, ...]]:
        """Return, by model, the others that are the same weights. Kept until a model comes, changes or goes."""
        if self._same is None:
            self._same = same_weights([facts.info for facts in self._board.columns.models()])
        return self._same

    def _waiting(self) -> dict[str, Unmeasured]:
        """Return, by endpoint, how many models wait for leave. Kept until a model comes, changes or goes."""
        if self._unmeasured is None:
            self._unmeasured = spending.waiting(self._catalogue, self._endpoints)
        return self._unmeasured

    def _list_endpoints(self, _: EndpointsRequest) -> EndpointsReply:
        views = []
        for name, settings in sorted(self._endpoints.items()):
            held, load = self._catalogue.endpoint(name), self._catalogue.load(name)
            waiting = self._waiting().get(name)
            here = self._catalogue.of_endpoint(name)
            limits = spending.limits(settings, (state.info for state in here if state.info))
            state = held.event if held else None
            if state is not None and load is not None:
                state = msgspec.structs.replace(state, ledger=with_load(state.ledger, load.event))
            views.append(
                EndpointView(
                    endpoint=name,
                    provider=settings.provider,
                    url=settings.url,
                    group=settings.group,
                    models=len(here),
                    state=state,
                    load=load.event if load else None,
                    used=used(state.ledger if state else None, self._clock.now()),
                    budget=_limits(limits),
                    unmeasured=waiting.models if waiting else 0,
                    unmeasured_why=str(waiting) if waiting else "",
                    origin=self._defined.origins.get(name),
                )
            )
        seen = self._defined.seen
        return EndpointsReply(
            endpoints=tuple(views),
            left_out=self._defined.left_out,
            definitions=seen.definitions if seen else None,
            appeared=seen.appeared if seen else None,
            as_of=self._as_of,
        )


def _without_reports(place: Place, contributions: Sequence[Contribution]) -> float | None:
    """Return the score without what callers reported, or None where that changed nothing."""
    if not any(part.reported_points for part in contributions):
        return None
    raw = place.raw - math.fsum(part.reported_points for part in contributions)
    return raw * math.prod(place.multipliers.values())


def _limits(budget: Budget) -> dict[str, float]:
    return {name: limit for name, limit in msgspec.to_builtins(budget).items() if limit is not None}
