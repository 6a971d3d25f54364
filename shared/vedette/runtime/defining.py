"""Follows the definitions of endpoints by operators and sources, over a connection of its own (ADR 0042).

All definitions are read before the first service starts. Otherwise an endpoint that is defined at run time would look
like one that was removed.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import datetime

import nats.errors
import nats.js.errors

from vedette import log
from vedette.bus import permissions
from vedette.bus.bus import Bus
from vedette.bus.connection import drain, open_connection, why, without_secrets
from vedette.clock import SystemClock
from vedette.endpoints.merging import Definitions, merged
from vedette.errors import BusUnreachable
from vedette.messages.channels import CHANNELS
from vedette.messages.events import EndpointAppeared, EndpointDefined, Event
from vedette.settings import Nats, Settings

FOLLOWED = tuple(one for one in CHANNELS if one.message in (EndpointDefined, EndpointAppeared))
FOLLOWERS = frozenset(role for channel in FOLLOWED for role in channel.followers)


class Defining:
    """The current definitions of this process. `overlay` applies them to the configuration file."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._definitions = Definitions()
        self._news = True
        self._until: datetime | None = None  # the end of the next pause

    async def follow(self) -> None:
        """Read the streams to their end, then follow them. Raises the errors of nats-py, and TimeoutError."""
        for channel in FOLLOWED:
            stream = str(channel.stream)
            try:
                following = await self.bus.followings.follow(stream, channel.filter, self._apply)
            except nats.js.errors.NotFoundError:
                # The stream does not exist yet, so there are no definitions.
                self.bus.spawn(self._follow_later(stream, channel.filter))
            else:
                await following.until_warm()
        self.bus.spawn(self.bus.watchdog.run())

    async def _follow_later(self, stream: str, subject: str) -> None:
        await self.bus.followings.follow_retrying(stream, subject, self._apply)

    def _apply(self, event: Event, sequence: int) -> None:
        self._news = self._definitions.apply(event, sequence) or self._news

    def is_new(self) -> bool:
        """Return whether a definition came, or a pause ended, since the last overlay."""
        return self._news or (self._until is not None and self._until <= self.bus.clock.now())

    def overlay(self, file: Settings) -> Settings:
        """Return *file* with the endpoints in force now."""
        now = self.bus.clock.now()
        settings = merged(file, self._definitions, now)
        self._news, self._until = False, settings.defined.until(now)
        return settings


@asynccontextmanager
async def following(settings: Nats, names: Iterable[str]) -> AsyncIterator[Defining | None]:
    """Follow the definitions for the services *names*, with the login of one of them; yield None if none needs them.

    Raises BusUnreachable.
    """
    role = next((name for name in sorted(names) if name in FOLLOWERS), None)
    if role is None or settings.url is None:
        yield None
        return
    connection = await open_connection(
        settings, name=f"vedette-{role}-definitions", reconnect=True, inbox=permissions.inbox(role)
    )
    bus = Bus(connection, name=role, clock=SystemClock(), log=log.logger("definitions"))
    try:
        made = Defining(bus)
        try:
            await made.follow()
        except (nats.errors.Error, TimeoutError) as error:
            raise BusUnreachable(url=without_secrets(settings.url), problem=_unreadable(error)) from error
        yield made
    finally:
        await bus.close()
        with suppress(nats.errors.Error, TimeoutError):
            await drain(connection)


def _unreadable(error: Exception) -> str:
    return (
        f"the definitions of endpoints cannot be read: {why(error)}. If this login may not read the streams "
        "DEFINITIONS and APPEARED, give the server the accounts of this version (vedette contracts --accounts)"
    )
