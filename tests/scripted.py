"""A Vedette in this process, asked as `vedette.Client` is: a recommender's own replies, and scripted events."""

import asyncio
from collections import Counter
from types import TracebackType
from typing import Any, Self

import msgspec

from catalogues import Pair, Recommender
from vedette.errors import FellBehind, NoAnswer
from vedette.messages.events import Event
from vedette.messages.queries import BestReply, EndpointsReply, ExplainReply, ModelsReply, ModelView
from vedette.types import ModelRef


class Heard:
    """The events that a scripted Vedette publishes; None is the end of a watch that was too slow."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[Event | None] = asyncio.Queue()
        self.reconnects = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event = await self.events.get()
        if event is None:
            raise FellBehind(most=10_000)
        return event


class Scripted:
    """Replies as a recommender does of the events that it was given. `down` makes it silent, `asked` counts queries."""

    def __init__(self, *pairs: Pair) -> None:
        self.recommender = Recommender().hear(*pairs)
        self.heard = Heard()
        self.down = False
        self.asked: Counter[str] = Counter()
        self._sequence = max((sequence for sequence, _ in pairs), default=0)

    def happen(self, *events: Event, unheard: bool = False) -> None:
        """Have the recommender know *events*, and publish them unless they are *unheard*."""
        for event in events:
            self._sequence += 1
            self.recommender.hear((self._sequence, event))
            if not unheard:
                self.heard.events.put_nowait(event)

    def restart(self, *events: Event) -> None:
        """Reply again after a restart in which *events* were missed."""
        self.happen(*events, unheard=True)
        self.down = False
        self.heard.reconnects += 1

    def view(self, model: ModelRef) -> ModelView:
        """Return what `models.get` replies, without counting it."""
        return self._reply("models.get", {"model": str(model)}, ModelsReply).models[0]

    async def models(self) -> ModelsReply:
        """Return all models."""
        return await self._ask("models.list", {}, ModelsReply)

    async def model(self, model: ModelRef | str) -> ModelsReply:
        """Return one model."""
        return await self._ask("models.get", {"model": str(model)}, ModelsReply)

    async def endpoints(self) -> EndpointsReply:
        """Return the endpoints."""
        return await self._ask("endpoints.list", {}, EndpointsReply)

    async def best(self, use_case: str, *, limit: int) -> BestReply:
        """Return the best model."""
        return await self._ask("recommend.best", {"use_case": use_case, "limit": limit}, BestReply)

    async def explain(self, use_case: str, *, limit: int) -> ExplainReply:
        """Return the ranking, explained."""
        return await self._ask("recommend.explain", {"use_case": use_case, "limit": limit}, ExplainReply)

    def watch(self) -> Heard:
        """Return what happens."""
        return self.heard

    async def _ask(self, subject: str, asked: dict[str, Any], kind: type[Any]) -> Any:
        await asyncio.sleep(0)  # as any request, it lets others run
        self.asked[subject] += 1
        if self.down:
            raise NoAnswer(code="no_answer", message=f"no reply on {subject}; is a recommender running?")
        return self._reply(subject, asked, kind)

    def _reply(self, subject: str, asked: dict[str, Any], kind: type[Any]) -> Any:
        reply = self.recommender.ask(subject, asked)
        return msgspec.json.decode(reply, type=kind)
