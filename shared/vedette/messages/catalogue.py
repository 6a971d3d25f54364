"""The models and what is known about them, folded from the last message of each subject.

The fold is commutative and idempotent. The same set of messages gives the same catalogue in any order, because each
subject keeps the event with the highest sequence, and everything else is derived on reading.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from datetime import UTC, datetime
from functools import cache
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from vedette.messages import kinds
from vedette.messages.events import (
    EndpointLoad,
    EndpointObserved,
    Event,
    Formerly,
    Lifecycle,
    ModelBenchmarked,
    ModelEvaluated,
    ModelEvent,
    ModelFound,
    ModelJudged,
    ModelLost,
    ModelProbed,
    ModelRated,
    ModelReported,
    ModelVerified,
)
from vedette.messages.forgetting import MAX_LOST_PER_ENDPOINT, forgettable
from vedette.types import (
    Claim,
    EndpointState,
    Health,
    Judged,
    ModelInfo,
    ModelRef,
    Performance,
    Quality,
    Reported,
    RunSample,
    Signal,
    Value,
    Watch,
)

E = TypeVar("E")
_NEVER = datetime.min.replace(tzinfo=UTC)
REFUSAL = "a refusal of"  # the source of a context limit that a refusal named begins with this


class Versioned(Struct, Generic[E], frozen=True, gc=False):
    """The last event of a subject and its stream sequence."""

    sequence: int
    event: E


class ModelState(Value, frozen=True, kw_only=True):
    """Everything that is stored about one model. Its properties follow the rules of the fold."""

    model: ModelRef
    lifecycle: Versioned[Lifecycle] | None = None
    found: Versioned[ModelFound] | None = None
    lost: Versioned[ModelLost] | None = None  # the last loss, even if the model was found again
    probed: Versioned[ModelProbed] | None = None
    benchmarked: Versioned[ModelBenchmarked] | None = None
    verified: Versioned[ModelVerified] | None = None
    evaluated: Versioned[ModelEvaluated] | None = None
    judgement: Versioned[ModelJudged] | None = None
    rated: Versioned[ModelRated] | None = None
    reported: Versioned[ModelReported] | None = None  # from the stream REPORTS; all others are from MODELS
    sequence: int = 0  # the highest sequence of its subjects in MODELS

    @property
    def info(self) -> ModelInfo | None:
        """The description in the newest lifecycle event: declared and inferred facts.

        None if there is no such event.
        """
        return self.lifecycle.event.info if self.lifecycle else None

    @property
    def known(self) -> ModelInfo | None:
        """The description (`info`), with the results of capability checks and calls added.

        None without a description.
        """
        info = self.info
        if info is None:
            return None
        is_unknown = kinds.is_unknown(info)
        proof = self.verified.event if self.verified else None
        if proof is not None and self._is_current(proof.digest) and self.is_own(self.verified):
            dimensions = proof.embedding_dimensions or info.embedding_dimensions
            info = msgspec.structs.replace(_proved(info, proof.claims), embedding_dimensions=dimensions)
        if self.evaluated is not None and self.quality is not None:
            info = _proved(info, self.evaluated.event.claims)
        if is_unknown:
            info = self._by_calls(info)
        refused = self.performance.refused_beyond if self.performance else None
        return _limited(info, refused) if refused else info

    def _by_calls(self, info: ModelInfo) -> ModelInfo:
        """Return *info*; if its kind is unknown, with the kind that answered calls of the present weights show."""
        health, performance, reports = self.health, self.performance, self.reports
        return kinds.shown(
            info,
            answered_at=health.answered_at if health else None,
            benchmarked_at=performance.measured_at if performance and performance.n else None,
            reported=reports.succeeded if reports else 0.0,
        )

    @property
    def revision(self) -> int:
        """The number of lifecycle events of the model; 0 without any."""
        return self.lifecycle.event.revision if self.lifecycle else 0

    @property
    def present(self) -> bool:
        """Whether the model is present: it has a lifecycle event, and the newest one is not `lost`."""
        return self.lifecycle is not None and not isinstance(self.lifecycle.event, ModelLost)

    @property
    def lost_at(self) -> datetime | None:
        """The time at which the model was lost; None if it is present."""
        held = self.lifecycle
        return held.event.at if held and isinstance(held.event, ModelLost) else None

    @property
    def found_at(self) -> datetime | None:
        """The time at which the model was last found; after a rename, under its earlier name. None if never."""
        if self.found is None:
            return None
        return self.formerly.found_at if self.formerly else self.found.event.at

    @property
    def formerly(self) -> Formerly | None:
        """The name and facts from before its endpoint was renamed, or None."""
        return self.found.event.formerly if self.found else None

    @property
    def renamed_to(self) -> ModelRef | None:
        """The present name of the model, if its endpoint was renamed, or None."""
        held = self.lifecycle
        return held.event.renamed_to if held and isinstance(held.event, ModelLost) else None

    @property
    def health(self) -> Health | None:
        """The health, or None. It counts only if it is newer than the last `found`, or was carried over by a rename."""
        return self.probed.event.health if self.probed and self.counts(self.probed) else None

    def counts(self, held: Versioned[Any]) -> bool:
        """Return whether *held* is about the model since it was last found: published later, or carried over."""
        if self.found is None or held.sequence > self.found.sequence:
            return True
        came_from: ModelRef | None = held.event.renamed_from
        return came_from is not None and self.formerly is not None and came_from == self.formerly.model

    @property
    def performance(self) -> Performance | None:
        """The measured speed; None unless it is of the present digest."""
        if self.benchmarked is None or not self.is_own(self.benchmarked):
            return None
        performance = self.benchmarked.event.performance
        return performance if self._is_current(performance.digest) else None

    @property
    def quality(self) -> Quality | None:
        """The measured quality; None unless it is of the present digest."""
        if self.evaluated is None or not self.is_own(self.evaluated):
            return None
        quality = self.evaluated.event.quality
        return quality if self._is_current(quality.digest) else None

    @property
    def judged(self) -> Judged | None:
        """The texts for judges and the results of the judges; None unless they are of the present digest."""
        if self.judgement is None or not self.is_own(self.judgement):
            return None
        judged = self.judgement.event.judged
        return judged if self._is_current(judged.digest) else None

    @property
    def measured_as(self) -> ModelRef | None:
        """The other name under which speed or quality was measured, if a rename carried them over, else None."""
        held = (self.benchmarked if self.performance else None, self.evaluated if self.quality else None)
        names = [one.event.renamed_from for one in held if one is not None]
        return next((name for name in names if name is not None and name != self.model), None)

    @property
    def reports(self) -> Reported | None:
        """The outcome reports of callers; None unless they are of the present digest."""
        event = self.reported.event if self.reported else None
        if event is None or not self._is_current(event.reported.digest):
            return None
        # Reports and `found` have sequences of different streams, so their times and names are compared.
        if self.found and self.found.event.afresh and event.at < self.found.event.at:
            came_along = self.formerly is not None and event.renamed_from == self.formerly.model
            return event.reported if came_along else None
        return event.reported

    @property
    def watches(self) -> Mapping[Signal, Watch]:
        """The watch of each signal from the last outcome reports; empty unless the reports count."""
        return self.reported.event.watches if self.reported and self.reports is not None else {}

    def is_own(self, held: Versioned[Any] | None) -> bool:
        """Return whether *held* may be about this model.

        After a `found` with `afresh`, it must also count (`counts`).
        """
        return held is not None and (self.found is None or not self.found.event.afresh or self.counts(held))

    def _is_current(self, digest: str | None) -> bool:
        info = self.info
        return info is not None and info.digest == digest


def _proved(info: ModelInfo, claims: Mapping[str, Claim]) -> ModelInfo:
    """Return *info* with *claims* added; of two claims with equal evidence, the newer one is kept."""
    own = info.capabilities
    beside = {name: claim.beside(own[name]) if name in own else claim for name, claim in claims.items()}
    return msgspec.structs.replace(info, capabilities={**own, **beside}) if beside else info


def _limited(info: ModelInfo, refused: RunSample) -> ModelInfo:
    """Return *info* with the context limit of a refusal, unless a smaller or equal one is declared."""
    limit, declared = refused.context_limit_tokens, info.served_context_tokens
    if limit is None or (declared is not None and declared <= limit):
        return info
    source = f"{REFUSAL} {refused.at:%Y-%m-%d}: {refused.detail}"
    sources = {**info.sources, "served_context_tokens": source}
    return msgspec.structs.replace(info, served_context_tokens=limit, sources=sources)


def _slots() -> Iterator[tuple[type[Event], str]]:
    """Yield (kind of event, field) for each `Versioned` field of ModelState.

    A `found` event is also a lifecycle event.
    """
    for slot, hint in get_type_hints(ModelState).items():
        held, *_ = get_args(hint) or (None,)
        if get_origin(held) is Versioned:
            (kind,) = get_args(held)
            yield kind, slot


_SLOTS = tuple(_slots())


@cache
def _slots_of(kind: type[Event]) -> tuple[str, ...]:
    return tuple(slot for held, slot in _SLOTS if issubclass(kind, held))


def fold(state: ModelState, event: ModelEvent, sequence: int) -> ModelState:
    """Return *state* after *event* with *sequence* in its stream. An older event than the kept one changes nothing."""
    changes: dict[str, object] = {}
    for slot in _slots_of(type(event)):
        held = getattr(state, slot)
        if held is None or sequence > held.sequence:
            changes[slot] = Versioned(sequence, event)
    if sequence > state.sequence:
        changes["sequence"] = sequence
    return msgspec.structs.replace(state, **changes) if changes else state


class Catalogue:
    """All models and endpoints, by reference and by name. `apply` adds events; all other methods read."""

    def __init__(self) -> None:
        self._models: dict[str, dict[str, ModelState]] = {}  # by endpoint, by name
        self._endpoints: dict[str, Versioned[EndpointState]] = {}
        self._loads: dict[str, Versioned[EndpointLoad]] = {}
        self._lost: dict[str, dict[str, datetime]] = {}  # times of losses, by endpoint and name
        # Kept separately: reports may come before their model, and do not create it.
        self._reported: dict[ModelRef, Versioned[ModelReported]] = {}
        self.sequence = 0  # of the stream MODELS
        self.reports = 0  # the sequence of the stream REPORTS
        self.loads = 0  # the sequence of the stream LOADS

    def apply(self, event: Event, sequence: int) -> bool:
        """Add one event; return whether it changed anything."""
        if isinstance(event, EndpointObserved):
            seen = self._endpoints.get(event.endpoint)
            if seen is not None and sequence <= seen.sequence:
                return False
            self._endpoints[event.endpoint] = Versioned(sequence, event.state)
            return True
        if isinstance(event, EndpointLoad):
            # Compared by time: after a crash, a broker may continue with lower sequences.
            load = self._loads.get(event.endpoint)
            if load is not None and (event.at, sequence) <= (load.event.at, load.sequence):
                return False
            self.loads = sequence
            self._loads[event.endpoint] = Versioned(sequence, event)
            return True
        if isinstance(event, ModelReported):
            return self._report(event, sequence)
        if not isinstance(event, ModelEvent):
            return False
        self.sequence = max(self.sequence, sequence)
        model = event.model
        at_endpoint = self._models.setdefault(model.endpoint, {})
        before = at_endpoint.get(model.name) or ModelState(model=model, reported=self._reported.get(model))
        after = fold(before, event, sequence)
        at_endpoint[model.name] = after
        if isinstance(event, Lifecycle):
            self._note_loss(after)
        return after is not before

    def _note_loss(self, state: ModelState) -> None:
        lost = self._lost.setdefault(state.model.endpoint, {})
        if state.lost_at is None:
            lost.pop(state.model.name, None)
            return
        # A renamed model is not lost, but its old name is the first to be forgotten.
        lost[state.model.name] = _NEVER if state.renamed_to else state.lost_at
        if len(lost) > MAX_LOST_PER_ENDPOINT * 11 // 10:  # sorted once for many losses, not for each
            self._forget(forgettable(self._losses(state.model.endpoint), before=_NEVER))

    def _losses(self, *endpoints: str) -> Iterator[tuple[ModelRef, datetime]]:
        for endpoint in endpoints or self._lost:
            for name, at in self._lost[endpoint].items():
                yield ModelRef(endpoint, name), at

    def _report(self, event: ModelReported, sequence: int) -> bool:
        self.reports = max(self.reports, sequence)
        seen = self._reported.get(event.model)
        if seen is not None and sequence <= seen.sequence:
            return False
        held = self._reported[event.model] = Versioned(sequence, event)
        if state := self.get(event.model):
            changed = msgspec.structs.replace(state, reported=held)
            self._models[event.model.endpoint][event.model.name] = changed
        return True

    def get(self, model: ModelRef) -> ModelState | None:
        """Return the state of *model*, present or lost; None if it is unknown."""
        return self._models.get(model.endpoint, {}).get(model.name)

    def named(self, name: str) -> list[ModelState]:
        """Return the states of all models called *name*, present or lost, by endpoint."""
        return [
            self._models[endpoint][name]
            for endpoint in sorted(self._models)
            if name in self._models[endpoint]
        ]

    def renamed_since(self, model: ModelRef, sequence: int) -> ModelRef | None:
        """Return the new name of *model* if its endpoint was renamed after *sequence*, else None."""
        to = None
        while step := next(self._successors(to or model, sequence), None):
            to, sequence = step
        return None if to == model else to

    def _successors(self, model: ModelRef, sequence: int) -> Iterator[tuple[ModelRef, int]]:
        for state in self.named(model.name):
            found = state.found
            if found and found.sequence > sequence and state.formerly and state.formerly.model == model:
                yield state.model, found.sequence

    def names_at(self, endpoint: str) -> Set[str]:
        """Return the names of all models at *endpoint*, present or lost."""
        return self._models.get(endpoint, {}).keys()

    def present(self) -> Iterator[ModelState]:
        """Yield the models that are present."""
        return (state for models in self._models.values() for state in models.values() if state.present)

    def of_endpoint(self, endpoint: str) -> list[ModelState]:
        """Return the models that are present at *endpoint*, by name."""
        models = self._models.get(endpoint, {})
        return [models[name] for name in sorted(models) if models[name].present]

    def endpoint(self, name: str) -> EndpointState | None:
        """Return the state of the endpoint *name* after its last contact, or None if there was none."""
        held = self._endpoints.get(name)
        return held.event if held else None

    def load(self, endpoint: str) -> EndpointLoad | None:
        """Return the last load of *endpoint*, even if it is stale, or None."""
        held = self._loads.get(endpoint)
        return held.event if held else None

    def forget_lost(self, before: datetime) -> None:
        """Drop the lost models that `forgettable` names. Stream and history follow the same rule."""
        self._forget(forgettable(self._losses(), before=before))

    def _forget(self, models: Iterable[ModelRef]) -> None:
        for model in models:
            del self._models[model.endpoint][model.name]
            del self._lost[model.endpoint][model.name]
            self._reported.pop(model, None)

    @classmethod
    def of(cls, events: Iterable[tuple[int, Event]]) -> "Catalogue":
        """Return the catalogue of the (sequence, event) pairs."""
        catalogue = cls()
        for sequence, event in events:
            catalogue.apply(event, sequence)
        return catalogue
