"""The replies to `models.list`, `models.get` and `endpoints.list`: the catalogue as agents and the console read it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

import msgspec
from msgspec.structs import replace

from vedette.endpoints import spending
from vedette.endpoints.budget import used, with_load
from vedette.endpoints.spending import Unmeasured
from vedette.messages.catalogue import Catalogue
from vedette.messages.constraints import Constraints
from vedette.messages.events import AsOf, Event, Lifecycle, ModelEvaluated
from vedette.messages.queries import EndpointsReply, EndpointView, ModelRequest, ModelsReply, ModelsRequest
from vedette.messages.validation import fitting, reference, unknown_model
from vedette.settings import Budget, Defined, EndpointSettings
from vedette.text.lookalikes import meant, notes
from vedette.types import ModelRef
from vedette_recommender.columns import Mask
from vedette_recommender.filtering import satisfying
from vedette_recommender.grouping import same_weights
from vedette_recommender.listing import counted, listed, ordered
from vedette_recommender.ranking import refuse_unknown
from vedette_recommender.scoreboard import Scoreboard
from vedette_recommender.views import model_view

_FREE: Final = Constraints()


class Catalogued:
    """Lists models and endpoints. Call `changed` when the catalogue changes.

    Results of comparing each model with all others are cached until a model is found, changed or lost.
    """

    def __init__(
        self,
        *,
        board: Scoreboard,
        catalogue: Catalogue,
        endpoints: Mapping[str, EndpointSettings],
        defined: Defined,
    ) -> None:
        self._board = board
        self._catalogue = catalogue
        self._endpoints = endpoints
        self._defined = defined
        self._same: dict[ModelRef, tuple[ModelRef, ...]] | None = None
        self._notes: dict[ModelRef, tuple[str, ...]] | None = None
        self._unmeasured: dict[str, Unmeasured] | None = None

    def changed(self, event: Event) -> None:
        """Take account of *event*, which changed the catalogue."""
        if isinstance(event, Lifecycle):
            self._same = self._notes = self._unmeasured = None
        if isinstance(event, ModelEvaluated):
            self._unmeasured = None

    def models(self, request: ModelsRequest, as_of: AsOf) -> ModelsReply:
        """Return one page of the models that *request* wants. Raises RequestError for a name that does not exist."""
        columns = self._board.columns
        for_endpoint, for_provider = filter(None, (request.endpoint,)), filter(None, (request.provider,))
        refuse_unknown("endpoint", for_endpoint, columns, self._endpoints, field="endpoint")
        refuse_unknown("provider", for_provider, columns, self._endpoints, field="provider")
        statuses = self._board.statuses()
        among = listed(columns, request, statuses)
        if request.constraints != _FREE:
            among &= self._satisfying(request)
        text = (request.text or "").casefold()
        wanted = among.tolist()
        matching = [row for row in columns.order if wanted[row] and columns.has_in_name(row, text)]
        rows = ordered(columns, matching, request, as_of.scored_at.timestamp())
        if request.distinct:
            rows = self._distinct(rows)
        page = rows[request.offset : request.offset + request.limit]
        counts = counted(columns, rows, statuses)
        return replace(self._reply(page, as_of, total=len(rows)), counts=counts)

    def _distinct(self, rows: Iterable[int]) -> list[int]:
        """Return the *rows* whose weights are in no earlier row."""
        same, seen, found = self._same_weights(), set[ModelRef](), list[int]()
        for row in rows:
            model = self._board.model(row)
            if model not in seen:
                found.append(row)
                seen.update(same.get(model, ()))
        return found

    def _satisfying(self, request: ModelsRequest) -> Mask:
        """Return the models that satisfy the constraints of *request*. Raises RequestError for an unknown name."""
        need, columns = request.constraints, self._board.columns
        refuse_unknown(
            "endpoint", need.endpoints or (), columns, self._endpoints, field="constraints.endpoints"
        )
        refuse_unknown(
            "provider", need.providers or (), columns, self._endpoints, field="constraints.providers"
        )
        return satisfying(self._board.any_field(), columns, request)

    def model(self, request: ModelRequest, as_of: AsOf) -> ModelsReply:
        """Return one model whole, by its name or one that looks the same. Raises RequestError where none is."""
        ref = reference(request.model)
        columns = self._board.columns
        if ref not in columns.rows:
            names = [model.name for model in columns.rows if model.endpoint == ref.endpoint]
            if (name := meant(ref.name, names)) is None:
                raise unknown_model(ref, columns.rows)
            ref = ModelRef(ref.endpoint, name)
        return self._reply([columns.rows[ref]], as_of, total=1, whole=True)

    def _reply(self, rows: Iterable[int], as_of: AsOf, *, total: int, whole: bool = False) -> ModelsReply:
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
            models=fitting(views), total=total, considered=len(self._board.columns), as_of=as_of
        )

    def _noted(self) -> dict[ModelRef, tuple[str, ...]]:
        """Return, by model, the notes on a strange name."""
        if self._notes is None:
            self._notes = notes(facts.model for facts in self._board.columns.models())
        return self._notes

    def _same_weights(self) -> dict[ModelRef, tuple[ModelRef, ...]]:
        """Return, by model, the others that are the same weights."""
        if self._same is None:
            self._same = same_weights([facts.info for facts in self._board.columns.models()])
        return self._same

    def unmeasured(self) -> dict[str, Unmeasured]:
        """Return, by endpoint, how many models wait for permission."""
        if self._unmeasured is None:
            self._unmeasured = spending.waiting(self._catalogue, self._endpoints)
        return self._unmeasured

    def endpoints(self, now: datetime, as_of: AsOf) -> EndpointsReply:
        """Return all endpoints in force, with what they have used of their budgets on the day of *now*."""
        seen = self._defined.seen
        return EndpointsReply(
            endpoints=tuple(self._endpoint(name, one, now) for name, one in sorted(self._endpoints.items())),
            left_out=self._defined.left_out,
            definitions=seen.definitions if seen else None,
            appeared=seen.appeared if seen else None,
            as_of=as_of,
        )

    def _endpoint(self, name: str, settings: EndpointSettings, now: datetime) -> EndpointView:
        state, load = self._catalogue.endpoint(name), self._catalogue.load(name)
        waiting = self.unmeasured().get(name)
        here = self._catalogue.of_endpoint(name)
        limits = spending.limits(settings, (state.info for state in here if state.info))
        if state is not None and load is not None:
            state = replace(state, ledger=with_load(state.ledger, load))
        return EndpointView(
            endpoint=name,
            provider=settings.provider,
            url=settings.url,
            group=settings.group,
            models=len(here),
            state=state,
            load=load,
            used=used(state.ledger if state else None, now),
            budget=_limits(limits),
            unmeasured=waiting.models if waiting else 0,
            unmeasured_why=str(waiting) if waiting else "",
            origin=self._defined.origins.get(name),
        )


def _limits(budget: Budget) -> dict[str, float]:
    return {name: limit for name, limit in msgspec.to_builtins(budget).items() if limit is not None}
