"""`vedette top --plain`: a log, and below it a line that stays; in a pipe, the log only."""

import asyncio

from rich.live import Live
from rich.text import Text

from vedette.cli.live.feed import Feed
from vedette.cli.live.fleet import Fleet, summary, winner
from vedette.cli.output import Screen, styled

USE_CASE = "chat"


async def follow(feed: Feed, screen: Screen, *, every_s: float = 1.0) -> None:
    """Print events on *screen* until cancelled; on a terminal the last line sums up the fleet."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(feed.run())
        if screen.is_terminal:
            with Live(pinned(feed.fleet), console=screen, auto_refresh=False, transient=True) as live:
                await _print(feed, screen, every_s, live)
        else:
            await _print(feed, screen, every_s, None)


async def _print(feed: Feed, screen: Screen, every_s: float, live: Live | None) -> None:
    seen, drawn = 0, -1
    while True:
        for line in feed.log.since(seen):
            screen.print(line)
        seen = feed.log.total
        if live is not None and drawn != feed.fleet.version:
            drawn = feed.fleet.version
            live.update(pinned(feed.fleet), refresh=True)
        await asyncio.sleep(every_s)


def pinned(fleet: Fleet) -> Text:
    """Return the line that stays at the bottom: the winner of chat, and the fleet."""
    line = styled((winner(fleet, USE_CASE), "bold"), " · ", summary(fleet))
    line.no_wrap, line.overflow = True, "ellipsis"
    return line
