"""Finds the kind of a model from answered calls, if nothing declares it. Pure."""

from datetime import datetime
from typing import Final

from msgspec.structs import replace

from vedette.types import Capability, Claim, Evidence, ModelInfo

# The use cases of a chat model.
TASKS: Final = (
    Capability.CODE_GENERATION,
    Capability.CODE_UNDERSTANDING,
    Capability.REASONING,
    Capability.DOCUMENTATION,
    Capability.SUMMARISATION,
    Capability.EXTRACTION,
)
ANY_CHAT: Final = "any chat model can be asked to; how well it does is for its quality to say"


def is_unknown(info: ModelInfo) -> bool:
    """Return whether neither the kind of the model, nor whether it chats, is known."""
    return info.kind == "unknown" and Capability.CHAT not in info.capabilities


def shown(
    info: ModelInfo, *, answered_at: datetime | None, benchmarked_at: datetime | None, reported: float
) -> ModelInfo:
    """Return *info*, whose kind is unknown, as that of a chat model if an answered call shows that it chats.

    Such calls are a probe (*answered_at*), a benchmark, a capability check (already among its claims), and calls that
    callers *reported* to have succeeded.
    """
    chats = info.capabilities.get(Capability.CHAT) or _by_call(answered_at, benchmarked_at, reported)
    if chats is None or not chats.value:
        return info
    tasks = {task.value: Claim(value=True, evidence=Evidence.INFERRED, source=ANY_CHAT) for task in TASKS}
    return replace(
        info, kind="chat", capabilities={**tasks, **info.capabilities, Capability.CHAT.value: chats}
    )


def _by_call(answered_at: datetime | None, benchmarked_at: datetime | None, reported: float) -> Claim | None:
    for what, at in (("benchmark", benchmarked_at), ("probe", answered_at)):
        if at is not None:
            source = f"it answered a chat: {what} of {at:%Y-%m-%d}"
            return Claim(value=True, evidence=Evidence.VERIFIED, source=source)
    if reported > 0:
        return Claim(value=True, evidence=Evidence.INFERRED, source="a caller reported a call that succeeded")
    return None
