"""The queries that the recorder's history can also reply to as of an earlier time."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from vedette.messages.queries import (
    ExplainReply,
    ModelsPastReply,
    ModelsReply,
    ModelsRequest,
    RecommendPastReply,
    RecommendRequest,
)
from vedette_console.screens.context import Sources


async def explained(
    sources: Sources, asked: RecommendRequest, at: datetime | None
) -> tuple[ExplainReply, Sequence[str]]:
    """Return the ranking as of *at* (None: now), and reasons why the ranking at that time may have differed."""
    if at is None:
        return await sources.asking.ask("recommend.explain", ExplainReply, asked), ()
    then = {**msgspec.to_builtins(asked), "at": at}
    reply = await sources.asking.ask("recommend.asof", RecommendPastReply, then)
    return reply.explanation, reply.unknown


async def models(
    sources: Sources, asked: ModelsRequest, at: datetime | None
) -> tuple[ModelsReply, Sequence[str]]:
    """Return the models as of *at* (None: now), and what is unknown about that time."""
    if at is None:
        return await sources.asking.ask("models.list", ModelsReply, asked), ()
    then = {**msgspec.to_builtins(asked), "at": at}
    reply = await sources.asking.ask("models.asof", ModelsPastReply, then)
    return reply.reply, reply.unknown


async def model(sources: Sources, name: str, at: datetime | None) -> tuple[ModelsReply, Sequence[str]]:
    """Return the model *name* with all fields, as of *at*. Raises RequestError if it is unknown."""
    if at is None:
        return await sources.asking.ask("models.get", ModelsReply, {"model": name}), ()
    reply = await sources.asking.ask("models.asof", ModelsPastReply, {"model": name, "at": at})
    return reply.reply, reply.unknown
