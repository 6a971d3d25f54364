"""Compares a listing and descriptions with the catalogue: found, changed, lost. Pure."""

from datetime import datetime

import msgspec

from vedette.messages import ids, subjects
from vedette.messages.catalogue import ModelState
from vedette.messages.events import Job, Lifecycle, LossReason, ModelChanged, ModelFound, ModelLost
from vedette.types import FieldChange, ModelInfo

# The source of a fact and the reason of a failed description are not changes of the model.
_NOT_COMPARED = frozenset({"sources", "description_error"})


def diff(old: ModelInfo, new: ModelInfo) -> tuple[FieldChange, ...]:
    """Return the fields in which the two differ, by name."""
    before, after = msgspec.to_builtins(old), msgspec.to_builtins(new)
    names = [name for name in ModelInfo.__struct_fields__ if name not in _NOT_COMPARED]
    return tuple(
        FieldChange(field=name, old=before.get(name), new=after.get(name))
        for name in sorted(names)
        if before.get(name) != after.get(name)
    )


def seen(state: ModelState, info: ModelInfo, *, job: Job, now: datetime) -> Lifecycle | None:
    """Return how *info* changes *state*: found, changed, or nothing new."""
    revision = state.revision + 1
    known = state.info
    if not state.present or known is None:
        return ModelFound(
            id=_id("found", info, job, revision),
            at=now,
            model=info.model,
            info=info,
            revision=revision,
            again=known is not None,
            # Earlier measurements are of another server.
            afresh=known is not None and known.url != info.url,
        )
    info = _keep_known(known, info)
    changes = diff(known, info)
    if not changes:
        return None
    return ModelChanged(
        id=_id("changed", info, job, revision),
        at=now,
        model=info.model,
        info=info,
        revision=revision,
        changes=changes,
        digest_changed=known.digest != info.digest,
    )


def gone(state: ModelState, *, reason: LossReason, job: Job, now: datetime) -> Lifecycle | None:
    """Return the loss of the model, or nothing when it is lost already."""
    if not state.present or state.info is None:
        return None
    return ModelLost(
        id=_id("lost", state.info, job, state.revision + 1),
        at=now,
        model=state.model,
        info=state.info,
        revision=state.revision + 1,
        reason=reason,
    )


def _keep_known(known: ModelInfo, info: ModelInfo) -> ModelInfo:
    """Return *known* if the weights are the same and only the description failed this time; else *info*."""
    if known.described and not info.described and known.digest == info.digest:
        return known
    return info


def _id(event: str, info: ModelInfo, job: Job, revision: int) -> str:
    return ids.derive(job.at, subjects.of_model(event, info.model), job.id, str(revision))
