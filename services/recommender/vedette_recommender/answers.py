"""Answers to agents' questions, from memory alone.

One request is one pass: decode, view every model at `scored_at`, filter, score, encode. The same bytes asked
again of an unchanged catalogue within the same minute are answered with the same bytes.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from vedette.catalogue import Catalogue
from vedette.clock import Clock
from vedette.errors import RequestError
from vedette.events import (
    QUESTIONS,
    AsOf,
    BestReply,
    EndpointsReply,
    EndpointView,
    ExplainReply,
    ModelRequest,
    ModelsReply,
    ModelsRequest,
    Recommendation,
    RecommendRequest,
    Rejection,
    Relaxation,
    Signal,
    TopReply,
    encode,
)
from vedette.ledger import used
from vedette.requests import decode, nearest, reference
from vedette.settings import Budget, EndpointSettings, Vouched
from vedette.types import ModelRef
from vedette_recommender.candidate import Candidate, candidate
from vedette_recommender.constants import WANTED_CONTEXT_TOKENS
from vedette_recommender.explain import relaxation, summary
from vedette_recommender.filtering import rejections
from vedette_recommender.grouping import same_weights
from vedette_recommender.scoring import Scored, rank
from vedette_recommender.usecases import UseCase
from vedette_recommender.views import BaseUrl, model_view, recommendation
from vedette_recommender.winners import Standing, because

_SCORED_EVERY_S = 60
_MOST_REMEMBERED = 4096
_LONGEST_REMEMBERED_BYTES = 4096
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    question.subject: msgspec.json.Decoder(question.request)
    for question in QUESTIONS
    if question.service == "recommender"
}


class _Ranking(Struct, frozen=True, kw_only=True):
    """What a recommendation request comes to, before it takes the shape of a reply."""

    ranked: list[Scored]
    rejected: list[tuple[Rejection, ...]]
    weights: Mapping[Signal, float]
    considered: int
    relax: Relaxation | None

    @property
    def codes(self) -> dict[str, int]:
        """Rejected models by the first reason against each, so that the numbers add up."""
        return dict(Counter(reasons[0].code for reasons in self.rejected))


class Answers:
    """Answers every question of the recommender. `changed` must be called when the catalogue changes."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        endpoints: Mapping[str, EndpointSettings],
        use_cases: Mapping[str, UseCase],
        stale_after: timedelta,
        base_url: BaseUrl,
        ratings: Sequence[Vouched] = (),
        clock: Clock,
    ) -> None:
        self._catalogue = catalogue
        self._endpoints = endpoints
        self._use_cases = use_cases
        self._stale_after = stale_after
        self._base_url = base_url
        self._ratings = ratings
        self._clock = clock
        self._remembered: dict[tuple[str, bytes], bytes] = {}
        self._scored_at = datetime.min
        self._seen: list[Candidate] | None = None
        self._same: dict[ModelRef, tuple[ModelRef, ...]] | None = None
        self._questions: dict[str, Callable[[bytes], Struct]] = {
            "recommend.best": self._best,
            "recommend.top": self._top,
            "recommend.explain": self._explain,
            "models.list": self._models,
            "models.get": self._model,
            "endpoints.list": self._list_endpoints,
        }

    def changed(self) -> None:
        """Forget every remembered answer: the catalogue is another."""
        self._remembered.clear()
        self._seen = None
        self._same = None

    def answer(self, subject: str, payload: bytes) -> bytes:
        """Return the encoded reply to *payload* on *subject*. Raises RequestError, which is a reply too."""
        self._tick()
        key = (subject, payload)
        remembered = self._remembered.get(key)
        if remembered is not None:
            return remembered
        reply = encode(self._questions[subject](payload))
        if len(payload) <= _LONGEST_REMEMBERED_BYTES and len(self._remembered) < _MOST_REMEMBERED:
            self._remembered[key] = reply
        return reply

    def _tick(self) -> None:
        """Move `scored_at` on: now, floored to a minute, so that replicas agree and answers can be reused."""
        now = self._clock.now()
        floored = now.replace(second=0, microsecond=0)
        if floored != self._scored_at:
            self._scored_at = floored
            self.changed()

    @property
    def _as_of(self) -> AsOf:
        return AsOf(sequence=self._catalogue.sequence, scored_at=self._scored_at)

    def _candidates(self) -> list[Candidate]:
        """Return every present model as it must be seen at `scored_at`."""
        if self._seen is None:
            self._seen = [
                candidate(
                    state,
                    info,
                    self._scored_at,
                    stale_after=self._stale_after,
                    configured=self._ratings,
                )
                for state in self._catalogue.present()
                if (info := state.known) is not None
            ]
        return self._seen

    # Recommendations -----------------------------------------------------------------------------------------

    def _best(self, payload: bytes) -> BestReply:
        request = self._recommend_request("recommend.best", payload)
        ranking = self._rank(request)
        shown = self._shown(ranking.ranked[: request.limit + 1])
        return BestReply(
            use_case=request.use_case,
            recommendation=shown[0] if shown else None,
            fallbacks=shown[1:],
            considered=ranking.considered,
            rejected=ranking.codes,
            as_of=self._as_of,
            relax=ranking.relax,
        )

    def _top(self, payload: bytes) -> TopReply:
        request = self._recommend_request("recommend.top", payload)
        ranking = self._rank(request)
        return TopReply(
            use_case=request.use_case,
            recommendations=self._shown(ranking.ranked[: request.limit]),
            considered=ranking.considered,
            rejected=ranking.codes,
            as_of=self._as_of,
            relax=ranking.relax,
        )

    def _explain(self, payload: bytes) -> ExplainReply:
        request = self._recommend_request("recommend.explain", payload)
        ranking = self._rank(request)
        return ExplainReply(
            use_case=request.use_case,
            recommendations=self._shown(ranking.ranked[: request.limit], contributions=True),
            rejections=tuple(reason for reasons in ranking.rejected for reason in reasons),
            considered=ranking.considered,
            rejected=ranking.codes,
            weights={str(signal): weight for signal, weight in ranking.weights.items()},
            risk=request.risk,
            as_of=self._as_of,
            summary=summary(ranking.ranked, ranking.considered, ranking.relax, request.use_case),
            relax=ranking.relax,
        )

    def _recommend_request(self, subject: str, payload: bytes) -> RecommendRequest:
        request: RecommendRequest = decode(payload, _DECODERS[subject])
        if request.use_case not in self._use_cases:
            known = sorted(self._use_cases)
            hint = nearest(request.use_case, known)
            listed = "" if hint.startswith("known") else f" known: {', '.join(known)}"
            raise RequestError(
                code="unknown_use_case",
                message=f"unknown use case {request.use_case!r}; {hint}{listed}",
                field="use_case",
            )
        return request

    def _rank(self, request: RecommendRequest) -> _Ranking:
        use_case = self._use_cases[request.use_case]
        weights = use_case.weights | request.weights
        if not any(weights.values()):
            raise RequestError(
                code="invalid_value", message="weights: at least one must be positive", field="weights"
            )
        seen = self._candidates()
        fit: list[Candidate] = []
        rejected: list[tuple[Rejection, ...]] = []
        for one in seen:
            reasons = rejections(one, request, use_case)
            if reasons:
                rejected.append(reasons)
            else:
                fit.append(one)
        return _Ranking(
            ranked=rank(
                fit,
                use_case,
                weights=weights,
                risk=request.risk,
                wanted_context=request.constraints.min_context_tokens or WANTED_CONTEXT_TOKENS,
            ),
            rejected=rejected,
            weights=weights,
            considered=len(seen),
            relax=None if fit else relaxation(rejected, request, use_case),
        )

    def _shown(self, ranked: Sequence[Scored], *, contributions: bool = False) -> tuple[Recommendation, ...]:
        return tuple(recommendation(one, self._base_url, contributions=contributions) for one in ranked)

    def standing(self, use_case: str, before: ModelRef | None) -> Standing:
        """Return who is best for *use_case* now, asked without constraints, and how *before* does beside it."""
        self._tick()
        ranking = self._rank(RecommendRequest(use_case=use_case))
        scores = {one.candidate.model: one.score for one in ranking.ranked}
        against = next((reasons for reasons in ranking.rejected if reasons[0].model == before), ())
        out = before is not None and before not in scores
        return Standing(
            best=next(iter(scores.items()), None),
            score=scores.get(before) if before else None,
            out=because(self._catalogue.get(before), against) if before and out else "",
            as_of=self._as_of,
        )

    # The catalogue -------------------------------------------------------------------------------------------

    def _models(self, payload: bytes) -> ModelsReply:
        request: ModelsRequest = decode(payload, _DECODERS["models.list"])
        matching = sorted(
            (one for one in self._candidates() if _matches(one, request)), key=lambda one: one.model
        )
        page = matching[request.offset : request.offset + request.limit]
        return self._reply(page, total=len(matching))

    def _model(self, payload: bytes) -> ModelsReply:
        request: ModelRequest = decode(payload, _DECODERS["models.get"])
        ref = reference(request.model)
        known = {one.model: one for one in self._candidates()}
        if ref not in known:
            raise RequestError(
                code="unknown_model",
                message=f"no model {ref}; {nearest(str(ref), [str(model) for model in sorted(known)][:1000])}",
                field="model",
            )
        return self._reply([known[ref]], total=1, whole=True)

    def _reply(self, candidates: Sequence[Candidate], *, total: int, whole: bool = False) -> ModelsReply:
        same = self._same_weights()
        views = tuple(
            model_view(one, self._catalogue.get(one.model), same.get(one.model, ()), whole=whole)
            for one in candidates
        )
        return ModelsReply(models=views, total=total, as_of=self._as_of)

    def _same_weights(self) -> dict[ModelRef, tuple[ModelRef, ...]]:
        """Return, by model, the others that are the same weights. Kept until the catalogue changes."""
        if self._same is None:
            self._same = same_weights([one.info for one in self._candidates()])
        return self._same

    def _list_endpoints(self, payload: bytes) -> EndpointsReply:
        decode(payload, _DECODERS["endpoints.list"])
        views = []
        for name, settings in sorted(self._endpoints.items()):
            held = self._catalogue.endpoint(name)
            views.append(
                EndpointView(
                    endpoint=name,
                    provider=settings.provider,
                    url=settings.url,
                    group=settings.group,
                    models=len(self._catalogue.of_endpoint(name)),
                    state=held.event if held else None,
                    used=used(held.event.ledger if held else None, self._clock.now()),
                    budget=_limits(settings.budget),
                )
            )
        return EndpointsReply(endpoints=tuple(views), as_of=self._as_of)


def _limits(budget: Budget) -> dict[str, float]:
    return {name: limit for name, limit in msgspec.to_builtins(budget).items() if limit is not None}


def _matches(one: Candidate, request: ModelsRequest) -> bool:
    info = one.info
    wanted: tuple[tuple[str | None, str | None], ...] = (
        (request.provider, info.provider),
        (request.endpoint, info.model.endpoint),
        (request.family, info.family),
        (request.status, one.status),
    )
    if any(want is not None and want != have for want, have in wanted):
        return False
    if request.text is not None and request.text.casefold() not in info.model.name.casefold():
        return False
    claims = (info.capabilities.get(capability) for capability in request.capabilities)
    return all(claim is not None and claim.value for claim in claims)
