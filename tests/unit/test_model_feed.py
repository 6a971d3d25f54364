"""Models and their changes after a break of the connection."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Self, cast

from tests.samples import lifecycle_event, model_info

from vedette.client.model_feed import follow
from vedette.client.subscription import Watching
from vedette.messages.events import Lifecycle
from vedette.messages.queries import ModelsReply
from vedette.types import ModelRef

NOW = datetime(2026, 12, 1, tzinfo=UTC)
A, B = ModelRef("gpu", "a"), ModelRef("gpu", "b")


class Events:
    """A subscription with these events. Set `reconnects` for a break of the connection."""

    def __init__(self, *events: Lifecycle) -> None:
        self.reconnects = 0
        self._events = list(events)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def __anext__(self) -> Lifecycle:
        return self._events.pop(0)


def reply(*models: ModelRef) -> ModelsReply:
    views = [SimpleNamespace(model=one, info=model_info(one), revision=1) for one in models]
    return cast("ModelsReply", SimpleNamespace(models=views))


async def test_a_lost_model_is_reported_once() -> None:
    """Also if the connection breaks later: the new list lacks the model, as was reported."""
    events, replies = Events(lifecycle_event("lost", A, at=NOW, revision=2)), [reply(A), reply(B)]

    async def listing() -> ModelsReply:
        return replies.pop(0)

    following: Any = follow(cast("Watching", events), listing)
    found = [await anext(following), await anext(following)]
    events.reconnects = 1
    found.append(await anext(following))
    assert [(one.model, one.info is not None) for one in found] == [(A, True), (A, False), (B, True)]


async def test_a_model_lost_during_a_break_is_reported() -> None:
    events, replies = Events(lifecycle_event("found", B, at=NOW)), [reply(A), reply(B)]

    async def listing() -> ModelsReply:
        return replies.pop(0)

    following: Any = follow(cast("Watching", events), listing)
    found = [await anext(following), await anext(following)]
    events.reconnects = 1
    found.append(await anext(following))
    assert [(one.model, one.info is not None) for one in found] == [(A, True), (B, True), (A, False)]
