"""Keeps a fleet current: lists it once, follows events, and queries changed models only."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from types import TracebackType
from typing import Literal, Protocol, Self

import nats.errors
from rich.text import Text

from vedette.cli.live.fleet import Fleet
from vedette.cli.outages import Outages, Turn
from vedette.cli.watching import entry, line, repeats, turn_line
from vedette.clock import Clock, SystemClock
from vedette.errors import FellBehind, NoAnswer, RequestError, VedetteError
from vedette.messages.events import AnswerChanged, Event, ModelEvent, ModelProbed
from vedette.messages.queries import BestReply, EndpointsReply, ExplainReply, ModelsReply, ModelView
from vedette.text.figures import counted
from vedette.types import ModelRef, Status

MOMENT = "%H:%M:%S"
MAX_ENTRIES = 1000
MAX_GETS = 16  # models queried singly in a round; a page of 500 costs about as much
_RELIST_S = 60.0  # to show a status that became stale, which no event reports
_RELIST_SOON_S = 5.0
_MODELS_A_PAGE = 500


class Happening(Protocol):
    """The events of `Client.watch`."""

    @property
    def reconnects(self) -> int:
        """The number of times that the connection broke and was restored."""

    async def __aenter__(self) -> Self:
        """Start to follow events."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop following events."""

    def __aiter__(self) -> AsyncIterator[Event]:
        """Return the events."""


class Source(Protocol):
    """The part of `vedette.Client` that a live view uses."""

    async def models(self) -> ModelsReply:
        """Return all models."""

    async def model(self, model: ModelRef | str) -> ModelsReply:
        """Return one model. Raises RequestError when there is none of that name."""

    async def endpoints(self) -> EndpointsReply:
        """Return the endpoints."""

    async def best(self, use_case: str, *, limit: int) -> BestReply:
        """Return the best model for *use_case*."""

    async def explain(self, use_case: str, *, limit: int) -> ExplainReply:
        """Return the ranking, explained."""

    def watch(self) -> Happening:
        """Return what happens."""


Step = Literal["list", "get"] | None


def step(*, changed: int, models: int, listed_s: float | None) -> Step:
    """Return the next query, or None. *changed* of *models* changed; the list is *listed_s* old (None: no list yet).

    A few changed models are queried singly. For many, a list costs less. A list of many pages is queried less often.
    """
    pages = max(1.0, models / _MODELS_A_PAGE)
    if listed_s is None or listed_s >= _RELIST_S * pages:
        return "list"
    if changed > MAX_GETS and listed_s >= _RELIST_SOON_S * pages:
        return "list"
    return "get" if changed else None


class Log:
    """The last lines of the log, and the number of all lines so far."""

    def __init__(self) -> None:
        self.entries: deque[Text] = deque(maxlen=MAX_ENTRIES)
        self.total = 0

    def add(self, line: Text) -> None:
        """Add *line* as the newest."""
        self.entries.append(line)
        self.total += 1

    def since(self, seen: int, most: int = MAX_ENTRIES) -> list[Text]:
        """Return the lines after the first *seen*, at most the last *most*; first a line with the number left out."""
        new = self.total - seen
        kept = min(new, most, len(self.entries))
        lines = list(self.entries)[len(self.entries) - kept :]
        return ([Text(f"… {new - kept:,} more", style="dim")] if new > kept else []) + lines


class Feed:
    """Keeps `fleet` and `log` current while it runs. Each round, every *every_s*, sends a limited number of queries.

    *announced* returns the last winner change of each use case, if this user may read it.
    """

    def __init__(
        self,
        source: Source,
        *,
        use_cases: Sequence[str],
        announced: Callable[[], Awaitable[Iterable[AnswerChanged]]],
        clock: Clock | None = None,
        every_s: float = 1.0,
    ) -> None:
        self.fleet = Fleet()
        self.log = Log()
        self.clock = clock or SystemClock()
        self._source = source
        self._announced = announced
        self._every_s = every_s
        self._outages = Outages()
        self._statuses: dict[ModelRef, Status] = {}  # by model, from its last event
        self._changed: dict[ModelRef, None] = {}  # models with an event since their last query
        self._due: OrderedDict[str, None] = OrderedDict.fromkeys(
            use_cases
        )  # use cases, in the order in which their winners are queried
        self._breaks = 0  # how often events may have been lost
        self._breaks_listed: int | None = None  # the value of `_breaks` at the last list
        self._listed_at = 0.0
        self._happening: Happening | None = None
        self._reconnects = 0
        self._following = asyncio.Event()
        for use_case in use_cases:
            self.fleet.best(use_case, None)

    async def run(self) -> None:
        """Keep `fleet` and `log` current until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            await self._following.wait()  # before the first list, so that no event is lost
            tasks.create_task(self._keep(tasks))

    def refresh(self, model: ModelRef) -> None:
        """Query *model* in the next round."""
        self._changed[model] = None

    def note(self, what: str, style: str, more: str = "", subject: str = "Vedette") -> None:
        """Add a line from this program to the log."""
        self.log.add(entry(self.clock.now(), subject, what, style, more, MOMENT))

    # --- Events ------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            try:
                async with self._source.watch() as happening:
                    self._happening, self._reconnects = happening, happening.reconnects
                    self._following.set()
                    async for event in happening:
                        self._on(event)
                return  # the client was closed
            except FellBehind:
                self.note("sends events faster than they are read", "yellow", "listing the models again")
            except (VedetteError, nats.errors.Error) as error:
                self._fall_silent(error)
                await asyncio.sleep(self._every_s)
            self._breaks += 1

    def _on(self, event: Event) -> None:
        if isinstance(event, ModelEvent):
            self._changed[event.model] = None
        elif isinstance(event, AnswerChanged):
            self.fleet.announced[event.use_case] = event
            self._due[event.use_case] = None
            self._due.move_to_end(event.use_case, last=False)
        if (shown := self._news(event)) is not None:
            self.log.add(shown)

    def _news(self, event: Event) -> Text | None:
        """Return *event* as a line of the log, or the outage that it shows; None if it is not new."""
        if repeats(event):
            return None
        shown = self._outages.to_show(event)
        same = isinstance(event, ModelProbed) and not self._is_another_status(event)
        if isinstance(shown, Turn):
            return turn_line(shown, event.at, self.fleet.models_at(shown.endpoint), MOMENT)
        return None if shown is None or same else line(shown, MOMENT)

    def _is_another_status(self, event: ModelProbed) -> bool:
        shown = self.fleet.views.get(event.model)
        before = self._statuses.get(event.model, shown.status if shown else None)
        self._statuses[event.model] = event.health.status
        is_listed = self._breaks_listed is not None  # without a list, each status would look new
        return is_listed and before != event.health.status

    # --- Queries -----------------------------------------------------------------------------------------------

    async def _keep(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            self._look_for_a_break()
            missed = self._has_missed
            try:
                await self._round()
            except (VedetteError, nats.errors.Error) as error:
                self._fall_silent(error)
            else:
                if missed:
                    # in parallel, because a refusal for this user takes seconds
                    tasks.create_task(self._read_announced())
                if self.fleet.silent_since is not None:
                    self.note("replies again", "green")
                    self.fleet.silent(None)
            await asyncio.sleep(self._every_s)

    def _fall_silent(self, error: Exception) -> None:
        if self.fleet.silent_since is None:
            self.fleet.silent(self.clock.now())
            self.note("does not reply", "red", f"{error}; retrying")
        self._breaks += 1  # events may be lost until Vedette replies again

    @property
    def _has_missed(self) -> bool:
        return self._breaks != self._breaks_listed

    def _look_for_a_break(self) -> None:
        if self._happening is not None and self._happening.reconnects != self._reconnects:
            self._reconnects = self._happening.reconnects
            self._breaks += 1
            self.note("was reconnected", "yellow", "events before may be missing; listing the models again")

    async def _round(self) -> None:
        breaks = self._breaks
        listed_s = None if self._has_missed else self.clock.monotonic() - self._listed_at
        next_step = step(changed=len(self._changed), models=len(self.fleet.views), listed_s=listed_s)
        if next_step == "list":
            await self._list()
            self._listed_at, self._breaks_listed = self.clock.monotonic(), breaks
            if listed_s is None:
                await asyncio.gather(*map(self._ask_best, list(self._due)))
        elif next_step == "get":
            await self._get(list(self._changed)[:MAX_GETS])
        if self._due:
            use_case = next(iter(self._due))
            self._due.move_to_end(use_case)
            await self._ask_best(use_case)

    async def _list(self) -> None:
        self._changed.clear()  # events from now on need a new query
        first = not self.fleet.views
        reply = await self._source.models()
        self.fleet.listed(reply, (await self._source.endpoints()).endpoints, self.clock.now())
        if first:
            self.note("replies", "green", counted(len(reply.models), "model"))

    async def _read_announced(self) -> None:
        for changed in await self._announced():
            before = self.fleet.announced.get(changed.use_case)
            if before is None or before.at < changed.at:
                self.fleet.announced[changed.use_case] = changed
                self.fleet.version += 1
            self._due.setdefault(changed.use_case)

    async def _get(self, models: Sequence[ModelRef]) -> None:
        for model in models:
            self._changed.pop(model, None)  # a later change adds it again
        views = await asyncio.gather(*map(self._view, models))
        for model, view in zip(models, views, strict=True):
            self.fleet.add_view(model, view, self.clock.now())

    async def _view(self, model: ModelRef) -> ModelView | None:
        try:
            return (await self._source.model(model)).models[0]
        except NoAnswer:
            raise
        except RequestError:  # the model is gone
            return None

    async def _ask_best(self, use_case: str) -> None:
        try:
            self.fleet.best(use_case, await self._source.best(use_case, limit=1))
        except NoAnswer:
            raise
        except RequestError:  # unknown use case in this Vedette
            self.fleet.winners.pop(use_case, None)
            self._due.pop(use_case, None)
