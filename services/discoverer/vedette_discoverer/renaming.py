"""Whether a listed model was known before, at an endpoint that has another name now (ADR 0022). Pure.

A model is the same if its server (the URL), its name and its weights are the same. Weights are compared by the digest,
or by the reported details if there is no digest. `configured` has the URL of each configured endpoint, by name.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TypeVar

import msgspec
from msgspec import Struct

from vedette.messages import ids, subjects
from vedette.messages.catalogue import Catalogue, ModelState
from vedette.messages.events import Formerly, Job, Lifecycle, ModelEvent, ModelFound, ModelLost, ModelReported
from vedette.types import ModelInfo, ModelRef

Configured = Mapping[str, str]
E = TypeVar("E", ModelEvent, ModelReported)

# What servers without digests report of the weights. A field that one side lacks is no difference.
_DETAILS = (
    "family",
    "architecture",
    "parameters",
    "active_parameters",
    "quantization",
    "format",
    "size_bytes",
    "native_context_tokens",
    "embedding_dimensions",
)


class Former(Struct, frozen=True, kw_only=True):
    """The former name of a model: the name, until when, and the last sequence of the stream for it.

    `through` and `until` are None if the model is still present. `replaced`: another model has the name now.
    """

    model: ModelRef
    sequence: int
    through: int | None = None
    until: datetime | None = None
    replaced: bool = False


def agrees(old: ModelInfo, new: ModelInfo) -> bool:
    """Return whether *old* and *new*, of the same name and server, have the same weights, as far as is reported."""
    if old.digest is not None or new.digest is not None:
        return old.digest == new.digest
    pairs = ((getattr(old, field), getattr(new, field)) for field in _DETAILS)
    return all(before is None or after is None or before == after for before, after in pairs)


def heir(catalogue: Catalogue, configured: Configured, name: str, url: str) -> str | None:
    """Return the endpoint at *url* that takes over the model *name*: the first by name that lacks it; else None."""
    at_url = (endpoint for endpoint in sorted(configured) if configured[endpoint] == url)
    return next((endpoint for endpoint in at_url if not _has(catalogue, endpoint, name, url)), None)


def _has(catalogue: Catalogue, endpoint: str, name: str, url: str) -> bool:
    state = catalogue.get(ModelRef(endpoint, name))
    return state is not None and state.present and state.info is not None and state.info.url == url


def former(catalogue: Catalogue, configured: Configured, info: ModelInfo) -> Former | None:
    """Return the former name of the listed model *info*, or None if it is new or known by this name."""
    name, url = info.model.name, info.url
    if heir(catalogue, configured, name, url) != info.model.endpoint:
        return None
    named = catalogue.named(name)
    taken = [state for state in named if state.formerly is not None and state.found is not None]
    lives = [
        life
        for state in named
        for life in _lives(state, info)
        if _is_open(state, life, info.model, configured.get(state.model.endpoint) == url)
    ]
    free = [life for life in lives if not any(_took(state, life) for state in taken)]
    return max(free, key=lambda life: life.sequence, default=None)


def _is_open(state: ModelState, life: Former, target: ModelRef, same_url: bool) -> bool:
    """Return whether *target* may take over *life* of *state*: not if both names are configured with one URL.

    A model returns to its own name after another model had that name, or after an interrupted rename to it.
    """
    if state.model != target:
        return not same_url
    measured = (
        state.probed,
        state.benchmarked,
        state.verified,
        state.evaluated,
        state.judgement,
        state.rated,
    )
    begun = any(held and held.event.renamed_from and held.sequence > life.sequence for held in measured)
    return life.replaced or (begun and not state.present)


def _took(state: ModelState, life: Former) -> bool:
    return (
        state.formerly is not None
        and state.formerly.model == life.model
        and state.found is not None
        and state.found.sequence > life.sequence
        and state.formerly.until == life.until
    )


def _lives(state: ModelState, info: ModelInfo) -> Iterator[Former]:
    """Yield the current model of *state*, and the model that had its name before, if they agree with *info*."""
    now, lost = state.lifecycle, state.lost
    if now is not None and state.renamed_to is None and _same(now.event, info):
        # Messages after a loss may be copies that an interrupted rename made for the next model.
        through = None if state.present else now.sequence
        yield Former(model=state.model, sequence=now.sequence, through=through, until=state.lost_at)
    if now is None or lost is None or now.sequence == lost.sequence:
        return
    if lost.event.renamed_to is None and _same(lost.event, info):
        at, until = lost.sequence, lost.event.at
        yield Former(model=state.model, sequence=at, through=at, until=until, replaced=True)


def _same(event: Lifecycle, info: ModelInfo) -> bool:
    return event.info.url == info.url and agrees(event.info, info)


def makes_way(catalogue: Catalogue, configured: Configured, state: ModelState) -> bool:
    """Return whether *state* must leave its name: its endpoint has a new URL, and another endpoint has the old one."""
    info, endpoint = state.info, state.model.endpoint
    if not state.present or info is None or configured.get(endpoint) in (None, info.url):
        return False
    return heir(catalogue, configured, state.model.name, info.url) is not None


def found(
    target: ModelState, info: ModelInfo, *, source: ModelState, was: Former, job: Job, now: datetime
) -> ModelFound:
    """Return the event that moves *source* to the name *target*, described as *info*."""
    revision = target.revision + 1
    return ModelFound(
        id=ids.derive(job.at, subjects.of_model("found", info.model), job.id, str(revision)),
        at=now,
        model=info.model,
        info=info,
        revision=revision,
        afresh=True,
        formerly=Formerly(
            model=was.model,
            until=was.until or now,
            found_at=source.found_at or now,
            replaced_at=target.lost_at,
        ),
    )


def measured(source: ModelState, target: ModelState) -> Iterator[ModelEvent]:
    """Yield the known state of *source*, as events of *target*."""
    if source.probed is not None and source.counts(source.probed):
        yield renamed(source.probed.event, target)
    for held in (source.benchmarked, source.verified, source.evaluated, source.judgement, source.rated):
        if held is not None and source.is_own(held):
            yield renamed(held.event, target)


def renamed(event: E, target: ModelState) -> E:
    """Return *event* of a former name as an event of *target*.

    All replicas give it the same id. A later rename gives it another id, or the broker would drop it as a duplicate.
    """
    now_of = msgspec.structs.replace(event, model=target.model, renamed_from=event.model)
    repeated = ids.derive(event.at, now_of.subject, event.id, str(target.sequence))
    return msgspec.structs.replace(now_of, id=repeated)


def left(state: ModelState, *, to: ModelInfo, until: datetime, job: Job) -> ModelLost | None:
    """Return the loss of the former name *state*; None if it has moved before, or is now of another server."""
    if state.info is None or state.renamed_to is not None or state.info.url != to.url:
        return None
    revision = state.revision + 1
    return ModelLost(
        id=ids.derive(job.at, subjects.of_model("lost", state.model), job.id, str(revision)),
        at=until,
        model=state.model,
        info=state.info,
        revision=revision,
        reason="endpoint_removed",
        renamed_to=to.model,
    )
