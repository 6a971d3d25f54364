"""`up` and `run`: services in this process, until it is stopped."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vedette import log
from vedette.bus.bus import Bus
from vedette.bus.connection import connect
from vedette.cli import options
from vedette.cli.output import say
from vedette.clock import SystemClock
from vedette.endpoints import spending
from vedette.endpoints.spending import Unmeasured
from vedette.local import instance
from vedette.messages.catalogue import Catalogue
from vedette.messages.events import EndpointObserved, Event, ModelFound, ModelLost
from vedette.remedies import advice
from vedette.runtime import process
from vedette.runtime.loop import run as run_now
from vedette.runtime.nats_server import OWN_TIMEOUT_S
from vedette.runtime.stopping import stop_signals
from vedette.settings import Nats, Settings, Source
from vedette.text.figures import ago, counted
from vedette.text.shown import shown_name
from vedette.types import EndpointState, Outcome

_FOLLOWED = (
    ("MODELS", "model.found.>"),
    ("MODELS", "model.changed.>"),
    ("MODELS", "model.lost.>"),
    ("ENDPOINTS", "endpoint.observed.*"),
)
_KEEP_LOST = timedelta(hours=1)


async def up(source: Source, directory: Path) -> int:
    """Run every service of *source* in this process until it is stopped; return the exit code."""
    began = SystemClock().now()
    async with stop_signals() as stopped, AsyncExitStack() as stack:
        async with stopped.interrupting():
            running = await stack.enter_async_context(
                process.up(source.started, directory, say=say, source=source)
            )
        operator = Nats(url=running.connection.operator_url)
        async with connect(
            operator, name="vedette-up", reconnect=True, timeout_s=OWN_TIMEOUT_S
        ) as connection:
            bus = Bus(connection, name="up", clock=SystemClock(), log=log.logger("up"))
            reloading = running.reloading

            def in_force() -> Settings:
                return reloading.current if reloading else source.started

            show = News(say, in_force, since=began).show
            if trouble := await bus.clock.trouble():
                say(f"clock     {trouble}")
            say(f"ready     {counted(len(running.services), 'service')}; Ctrl-C stops them")
            following = asyncio.create_task(_follow(bus, show))
            try:
                await process.until_stopped(running, stopped)
                say(_stopping(running.connection.gateway_url, source.started.gateway.closing_s))
            finally:
                following.cancel()
    say("stopped")
    return 0


def _stopping(gateway_url: str, closing_s: int | None) -> str:
    if not gateway_url:
        return "stopping"
    closing_s = process.GATEWAY_CLOSING_S if closing_s is None else closing_s
    return f"stopping  replies of the gateway that are in progress have {closing_s} s"


async def _follow(bus: Bus, show: Callable[[Event, int], None]) -> None:
    for stream, subject in _FOLLOWED:
        await bus.followings.follow_retrying(stream, subject, show)


class News:
    """Prints the news that matter to a person who has just started Vedette, one in each line."""

    def __init__(
        self,
        say: Callable[[str], None],
        in_force: Callable[[], Settings],
        *,
        since: datetime,
    ) -> None:
        self._say = say
        self._in_force = in_force
        self._since = since
        self._known: dict[str, Outcome] = {}
        self.catalogue = Catalogue()
        self._waiting: dict[str, Unmeasured] = {}

    def show(self, event: Event, sequence: int) -> None:
        """Print the news in *event*."""
        self.catalogue.apply(event, sequence)
        self._show_event(event)
        if isinstance(event, EndpointObserved):
            self._show_unmeasured(event.endpoint)
            # Not in the first hour: an older message of a forgotten model would bring the model back.
            if event.at - _KEEP_LOST > self._since:
                self.catalogue.forget_lost(event.at - _KEEP_LOST)

    def _show_unmeasured(self, endpoint: str) -> None:
        """Once models were found at *endpoint*, print which of them need permission for measurements."""
        here = {name: one for name, one in self._in_force().endpoints.items() if name == endpoint}
        found = spending.waiting(self.catalogue, here).get(endpoint)
        if found is not None and found != self._waiting.get(endpoint):
            self._say(f"cost      {found}")
            self._waiting[endpoint] = found

    def _show_event(self, event: Event) -> None:
        if isinstance(event, EndpointObserved):
            if event.at >= self._since or self._is_open(event.endpoint):
                self._show_contact(event.endpoint, event.state)
        elif event.at < self._since:
            return
        elif isinstance(event, ModelFound):
            if event.formerly and event.formerly.model != event.model:
                now_of = shown_name(event.model)
                self._say(f"renamed   {shown_name(event.formerly.model)} is {now_of} now, with its history")
            else:
                self._say(f"found     {shown_name(event.model)}")
        elif isinstance(event, ModelLost) and not event.renamed_to:
            self._say(f"lost      {shown_name(event.model)} ({event.reason.replace('_', ' ')})")

    def _show_contact(self, endpoint: str, state: EndpointState) -> None:
        if self._known.get(endpoint) is not state.outcome:
            self._known[endpoint] = state.outcome
            before_start_s = (self._since - state.checked_at).total_seconds()
            past = f"; last contact {ago(before_start_s)}" if before_start_s > 0 else ""
            self._say(f"endpoint  {endpoint}: {_describe(state)}{past}")

    def _is_open(self, endpoint: str) -> bool:
        """Return whether *endpoint* is in force, and not paused or asleep."""
        settings = self._in_force()
        return endpoint in settings.endpoints and endpoint not in settings.defined.closed


def _describe(state: EndpointState) -> str:
    if state.outcome is Outcome.OK:
        server = " ".join(filter(None, (state.server, state.server_version)))
        detail = f"; {state.detail}" if state.detail else ""
        return f"{state.url} answers" + (f" ({server})" if server else "") + detail
    return "; ".join(advice(state.url, state.outcome, state.detail, state.remedy))


def run(
    *services: Annotated[
        str,
        Parameter(
            help="Services: ticker, discoverer, prober, benchmarker, recorder, recommender, console, gateway."
        ),
    ],
    config: options.Config = None,
    nats: Annotated[str | None, Parameter(help="URL of the NATS server.")] = None,
) -> int:
    """Run the named services, as a pod does, on an existing NATS server; without names, all of them.

    They wait for everything that they need and do not find: server, streams, login, database.
    """
    return run_now(_run(list(services), config, nats))


async def _run(services: list[str], config: str | None, nats: str | None) -> int:
    source = options.source(config, nats)
    names = services or process.wanted(source.started)
    settings = source.started
    if "recorder" in names:
        settings = process.with_database(settings, instance.state_directory(None))
    async with stop_signals() as stopped, AsyncExitStack() as stack:
        async with stopped.interrupting():
            running = await stack.enter_async_context(
                process.run(settings, names, source=source, say=say, patient=True)
            )
        say(f"NATS      {running.nats_place}")
        say(f"health    {running.connection.health_url}/readyz")
        say(f"ready     {', '.join(service.name for service in running.services)}")
        await process.until_stopped(running, stopped)
    say("stopped")
    return 0
