"""All models and their changes, without a gap, for `Client.follow_models`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from msgspec import Struct

from vedette.client.subscription import Watching
from vedette.errors import BusUnreachable, NoAnswer
from vedette.messages.events import Lifecycle, ModelLost
from vedette.messages.queries import ModelsReply
from vedette.types import ModelInfo, ModelRef

FOLLOWED: Final = ("model.found", "model.changed", "model.lost")
_LOOK_EVERY_S: Final = 1.0

# Returns the whole catalogue. Raises NoAnswer or BusUnreachable; `follow` then tries again.
Listing = Callable[[], Awaitable[ModelsReply]]


class Followed(Struct, frozen=True, kw_only=True):
    """A present model with its description `info`, or a lost model: then `info` is None."""

    model: ModelRef
    info: ModelInfo | None
    revision: int  # of the model: each found, changed and lost event raises it by one


async def follow(watching: Watching, listing: Listing) -> AsyncIterator[Followed]:
    """Yield every present model, then each found, changed or lost model once, until closed.

    It subscribes before it lists, so that no event is missed. After the connection broke, it lists again and yields
    the differences. Raises FellBehind if its reader is too slow.
    """
    held: dict[ModelRef, Followed] = {}  # what was yielded last of each model
    async with watching:
        while True:
            reconnects = watching.reconnects
            for change in await _listed(listing, held):
                yield change
            while watching.reconnects == reconnects:
                try:
                    async with asyncio.timeout(_LOOK_EVERY_S):
                        event = await anext(watching)
                except TimeoutError:
                    continue
                except StopAsyncIteration:
                    return
                if isinstance(event, Lifecycle) and event.revision > _revision(held, event.model):
                    info = None if isinstance(event, ModelLost) else event.info
                    one = held[event.model] = Followed(model=event.model, info=info, revision=event.revision)
                    yield one


def _revision(held: dict[ModelRef, Followed], model: ModelRef) -> int:
    return held[model].revision if model in held else 0


async def _listed(listing: Listing, held: dict[ModelRef, Followed]) -> list[Followed]:
    """Return the differences between the catalogue and *held*, and update *held*."""
    present = {
        view.model: Followed(model=view.model, info=view.info, revision=view.revision)
        for view in (await _insist(listing)).models
    }
    absent = [one for model, one in held.items() if model not in present]
    gone = [Followed(model=one.model, info=None, revision=one.revision) for one in absent if one.info]
    new = [one for model, one in present.items() if one.revision > _revision(held, model)]
    for one in absent:
        del held[one.model]
    held.update((one.model, one) for one in new)
    return gone + new


async def _insist(listing: Listing) -> ModelsReply:
    while True:
        try:
            return await listing()
        except (NoAnswer, BusUnreachable):
            await asyncio.sleep(_LOOK_EVERY_S)
