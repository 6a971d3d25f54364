"""Replies to agents' queries, from memory only.

One request is one pass over columns: decode, filter, score, take the first few, encode. While the catalogue and the
minute stay the same, the same request gets the same bytes. Two requests also get the same bytes if they differ only
in the caller, or in a limit that lies between the same two values of models.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from vedette.bus.accounts import SHARED
from vedette.clock import Clock
from vedette.knowledge import Table
from vedette.messages.catalogue import Catalogue
from vedette.messages.channels import QUERIES
from vedette.messages.codec import encode
from vedette.messages.events import AsOf, EndpointLoad, Event, ModelEvent, ModelReported
from vedette.messages.queries import (
    BestReply,
    EndpointsReply,
    ExplainReply,
    ModelRequest,
    ModelsReply,
    ModelsRequest,
    RecommendRequest,
    TopReply,
)
from vedette.messages.validation import decode, use_case_of
from vedette.settings import Defined, EndpointSettings, Vouched
from vedette.types import ModelRef, Status
from vedette.usecases import UseCase
from vedette_recommender.catalogued import Catalogued
from vedette_recommender.columns import STATUSES
from vedette_recommender.figures import Figures, figures
from vedette_recommender.filtering import alike
from vedette_recommender.ranking import Ranker, Ranking
from vedette_recommender.recommending import Recommending
from vedette_recommender.remembering import Remembered
from vedette_recommender.scoreboard import Scoreboard
from vedette_recommender.spreading import MAX_EQUALS, identity
from vedette_recommender.views import BaseUrl
from vedette_recommender.winner_status import WinnerStatus, winner_status

# From a request, its ranking, the order of its equals and the state that it is of to the reply.
_Recommend = Callable[[RecommendRequest, Ranking, Sequence[int], AsOf], BestReply | TopReply]
_SCORED_EVERY = timedelta(minutes=1)
_MAX_ALIKE = 5500  # some 6 KB each with its reply, so 32 MB
# A report is no query of the catalogue, and neither is one of the past: they have handlers of their own,
# and their bytes are not remembered.
_ELSEWHERE = ("report.outcome", "report.measured", "recommend.asof", "models.asof")
ANSWERED = tuple(q for q in QUERIES if q.service == "recommender" and q.subject not in _ELSEWHERE)
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    query.subject: msgspec.json.Decoder(query.request) for query in ANSWERED
}


class _Spread(Struct):
    """A ranking in which callers are spread over equals, and its replies by the order of these equals."""

    ranking: Ranking
    replies: dict[tuple[int, ...], bytes]


class Answers:
    """Replies to the queries in ANSWERED. `changed` must be called when the catalogue changes."""

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
        self._use_cases = use_cases
        self._clock = clock
        defined = defined or Defined()
        self._board = Scoreboard(
            catalogue=catalogue,
            use_cases=use_cases,
            stale_after=stale_after,
            ratings=ratings,
            published=published,
            closed=defined.closed,
        )
        self._ranker = Ranker(board=self._board, endpoints=endpoints)
        self._recommending = Recommending(board=self._board, base_url=base_url)
        self._catalogued = Catalogued(
            board=self._board, catalogue=catalogue, endpoints=endpoints, defined=defined
        )
        self._remembered = Remembered()
        self._alike: dict[Hashable, bytes | _Spread] = {}  # the key is what replies depend on
        self._outdated = True  # something has changed since the last query
        self._with_new_load: set[str] = set()  # endpoints that reported another load since then
        self._scored_at = self._scored_until = datetime.min.replace(tzinfo=UTC)
        self._lists: dict[str, Callable[[Any], Struct]] = {
            "models.list": lambda request: self._catalogued.models(request, self._as_of),
            "models.get": lambda request: self._catalogued.model(request, self._as_of),
            "endpoints.list": self._list_endpoints,
        }
        self._recommendations: dict[str, _Recommend] = {
            "recommend.best": self._recommending.best,
            "recommend.top": self._recommending.top,
        }

    def changed(self, event: Event) -> None:
        """Take account of *event*, which changed the catalogue."""
        self._outdated = True
        if isinstance(event, EndpointLoad):
            self._board.press(event.endpoint)
            self._with_new_load.add(event.endpoint)
            return
        self._recommending.forget()
        if isinstance(event, ModelEvent | ModelReported):
            self._board.touch(event.model)
        self._catalogued.changed(event)

    def statuses(self) -> dict[Status, int]:
        """Return the number of models by status at this minute."""
        self._tick()
        codes = self._board.statuses()[self._board.columns.present]
        return dict(zip(STATUSES, np.bincount(codes, minlength=len(STATUSES)).tolist(), strict=True))

    def prepare(self) -> None:
        """Take in all models that came so far, so that the first query need not wait for that."""
        self._tick()
        self._board.settle()

    def answer(self, subject: str, payload: bytes, asker: str | None = None) -> bytes:
        """Return the encoded reply to *payload* on *subject*, from the account *asker*.

        Raises RequestError, which is a reply too.
        """
        self._tick()
        # An account that agents share identifies none of them.
        account = None if asker is None or asker.startswith(SHARED) else asker
        asked = (subject, payload, account)
        reply = self._remembered.get(asked)
        if reply is None:
            reply = self._reply_to(subject, decode(payload, _DECODERS[subject]), account)
            self._remembered.put(asked, reply)
        return reply

    def _reply_to(self, subject: str, request: Any, account: str | None) -> bytes:
        if not isinstance(request, RecommendRequest):
            return encode(self._lists[subject](request))
        if request.use_case not in self._use_cases:
            request = replace(request, use_case=use_case_of(request.use_case, self._use_cases))
        recommend = self._recommendations.get(subject)
        return (
            self._like(request, recommend, account) if recommend else encode(self.explain(request, account))
        )

    def _like(self, request: RecommendRequest, recommend: _Recommend, account: str | None) -> bytes:
        """Return the reply to *request*, shared by all requests with the same reply."""
        field, columns = self._board.field(request.use_case), self._board.columns
        caller = identity(account, request.caller, request.session)
        is_spread = caller is not None or bool(columns.loads)
        like = (recommend, is_spread, alike(field, columns, request))
        kept = self._alike.get(like)
        if isinstance(kept, bytes):
            return kept
        if kept is None:
            most = request.limit + (recommend == self._recommending.best)  # the best, and its fallbacks
            ranked = self._ranker.rank(request, field, max(most, MAX_EQUALS))
            ranking = self._ranker.spread(ranked, has_name=caller is not None)
            if len(ranking.equals) < 2 or not is_spread:
                reply = encode(recommend(request, ranking, ranking.calm, self._as_of))
                if ranking.ranked:  # else it quotes the request
                    self._keep(like, reply)
                return reply
            kept = _Spread(ranking.compact(), {})
            self._keep(like, kept)
        order = kept.ranking.order(caller)
        if order not in kept.replies:
            kept.replies[order] = encode(recommend(request, kept.ranking, order, self._as_of))
        return kept.replies[order]

    def _keep(self, like: Hashable, kept: bytes | _Spread) -> None:
        if len(self._alike) >= _MAX_ALIKE:
            self._alike.clear()
        self._alike[like] = kept

    def _tick(self) -> None:
        """Clear outdated replies, and set `scored_at` to now, floored to a minute.

        So that replicas agree and replies can be reused.
        """
        now = self._clock.now()
        if not self._scored_at <= now < self._scored_until:
            floored = now.replace(second=0, microsecond=0)
            self._scored_until = floored + _SCORED_EVERY
            self._scored_at = floored
            self._board.at(floored)
            self._recommending.forget()
            self._outdated = True
        if self._outdated:
            self._forget()

    def _forget(self) -> None:
        self._outdated = False
        self._remembered.forget()
        self._alike.clear()
        self._recommending.forget_at(self._with_new_load)
        self._with_new_load.clear()
        self._as_of = AsOf(
            sequence=self._catalogue.sequence,
            scored_at=self._scored_at,
            reports=self._catalogue.reports,
            loads=self._catalogue.loads,
        )

    def explain(self, request: RecommendRequest, account: str | None = None) -> ExplainReply:
        """Return the ranking for *request* of *account*, and why. Raises RequestError."""
        self._tick()
        field = self._board.field(request.use_case)
        ranked = self._ranker.rank(request, field, max(MAX_EQUALS, request.limit))
        ranking = self._ranker.spread(ranked, has_name=True)  # the equals are a part of the reply
        order = ranking.order(identity(account, request.caller, request.session))
        unmeasured = tuple(map(str, self._catalogued.unmeasured().values()))
        return self._recommending.explain(request, ranking, order, self._as_of, unmeasured=unmeasured)

    def models(self, request: ModelsRequest | ModelRequest) -> ModelsReply:
        """Return the models that *request* lists, or the one that it names, whole. Raises RequestError."""
        self._tick()
        if isinstance(request, ModelRequest):
            return self._catalogued.model(request, self._as_of)
        return self._catalogued.models(request, self._as_of)

    def _list_endpoints(self, _: object) -> EndpointsReply:
        return self._catalogued.endpoints(self._clock.now(), self._as_of)

    def winner_status(self, use_case: str, before: ModelRef | None, *, since: int = 0) -> WinnerStatus:
        """Return the best model for *use_case* now without constraints, and how *before* compares to it."""
        self._tick()
        return winner_status(
            self._board, self._ranker, self._catalogue, use_case, before, since=since, as_of=self._as_of
        )

    def figures(self, most: int) -> Figures:
        """Return the figures of the models, the *most* best ones where there are more, and the best by use case."""
        self._tick()
        return figures(self._board, self._ranker, self._use_cases, most)
