"""`top`: shows the fleet, the winners and events, live."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import Annotated

from cyclopts import Parameter

from vedette.bus.connection import connect
from vedette.cli import options
from vedette.cli.completing import named_by_services
from vedette.cli.live.feed import Feed
from vedette.cli.live.plain import follow
from vedette.cli.output import err, out
from vedette.client import Client
from vedette.client.jobs import Target, operating
from vedette.client.winners import announced
from vedette.errors import ConfigurationError, VedetteError
from vedette.local import installing
from vedette.messages.events import AnswerChanged, Progress
from vedette.runtime.loop import run
from vedette.runtime.stopping import stop_signals
from vedette.settings import Settings
from vedette.types import ModelRef


def top(
    *,
    plain: Annotated[
        bool,
        Parameter(
            negative="",
            help="Print events as lines; on a terminal, the last line sums up the fleet. Works in a pipe.",
        ),
    ] = False,
    where: options.Instance = options.HERE,
) -> int:
    """Show the models, the winner of each use case, and what happens, live. Press ? for the keys, q to quit."""
    with suppress(KeyboardInterrupt):  # the usual end
        return run(_in_lines(where) if plain else _on_a_screen(where))
    return 0


async def _in_lines(where: options.Instance) -> int:
    async with where.client() as client:
        err.print("watching; Ctrl-C stops", style="dim")
        await follow(_feed(client, where), out)
    return 0


async def _on_a_screen(where: options.Instance) -> int:
    try:
        from vedette.cli.live.screen import Top
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        raise ConfigurationError(
            where="top",
            problem=f"{missing} is not installed; install it ({installing.command('tui')}), or use --plain",
        ) from error
    if not (sys.stdin.isatty() and out.is_terminal and err.is_terminal):  # Textual draws on standard error
        raise ConfigurationError(where="top", problem="needs a terminal; use --plain in a pipe")

    async def probe(model: ModelRef, group: str) -> AsyncIterator[Progress]:
        target = Target(endpoint=model.endpoint, group=group, model=model)
        async with (
            connect(where.operator(), name="vedette-operator") as connection,
            operating(connection) as operation,
        ):
            jobs = await operation.request("probe", [target])
            async for _, progress in operation.follow(jobs):
                yield progress

    async with where.client() as client, stop_signals(hang_up_stops=True) as stopped:
        screen = Top(feed=_feed(client, where), source=client, probe=probe)

        async def end() -> None:
            await stopped.wait()
            screen.exit()

        ending = asyncio.create_task(end())
        try:
            await screen.run_async()
        finally:
            ending.cancel()
        stopped.check()
    return screen.return_code or 0


def _feed(client: Client, where: options.Instance) -> Feed:
    settings = where.configuration() or Settings()

    async def announced_here() -> Iterable[AnswerChanged]:
        # Agents may not read earlier winner changes: for them, only later changes have times.
        with suppress(VedetteError):
            async with connect(where.operator(), name="vedette-operator") as connection:
                return await announced(connection)
        return ()

    return Feed(client, use_cases=named_by_services("use-case", settings) or [], announced=announced_here)
