"""Waits for what a service needs: a NATS server, its streams, a login, a database."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import nats.errors

from vedette import log
from vedette.bus.connection import why
from vedette.errors import BusError, VedetteError

T = TypeVar("T")
# Errors that may disappear. A wrong configuration does not.
PASSING: tuple[type[Exception], ...] = (BusError, nats.errors.Error, OSError)
_FIRST_S = 1.0
_MAX_S = 10.0


async def insist(
    attempt: Callable[[], Awaitable[T]],
    report: Callable[[str, float], None],
    *,
    passing: tuple[type[Exception], ...] = PASSING,
) -> T:
    """Return the result of *attempt*; retry while it raises one of *passing*.

    *report* gets each reason and the time until the next attempt (s): 1 s, doubled each time, at most 10 s.
    """
    again_in_s = _FIRST_S
    while True:
        try:
            return await attempt()
        except passing as error:
            report(_reason(error), again_in_s)
        await asyncio.sleep(again_in_s)
        again_in_s = min(_MAX_S, 2 * again_in_s)


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, VedetteError) else why(error)


class Ready(Protocol):
    """A service that has started."""

    async def ready(self) -> str | None:
        """Return None if the service can do its work, else the problem."""
        ...

    async def notes(self) -> str | None:
        """Return notes for the operator, or None."""
        ...


class Start:
    """The start of the service *name*, from its first attempt on; reported to `/readyz`, the log and *say*."""

    def __init__(self, name: str, say: Callable[[str], None]) -> None:
        self._name = name
        self._say = say
        self._log = log.logger(name)
        self._problem = "starting"
        self._service: Ready | None = None

    def waits(self, reason: str, _: float) -> None:
        """Record and print *reason* as the reason why the service waits."""
        problem = f"waiting: {reason}"
        if problem != self._problem:
            self._log.warning("service.waiting", reason=reason)
            self._say(f"waiting   {self._name}: {reason}")
        self._problem = problem

    def done(self, service: Ready) -> None:
        """From now on, `ready` and `notes` are those of *service*."""
        self._service = service

    async def ready(self) -> str | None:
        """Return None if the service has started and can do its work, else the problem."""
        return await self._service.ready() if self._service else self._problem

    async def notes(self) -> str | None:
        """Return notes for the operator, or None."""
        return await self._service.notes() if self._service else None
