"""Waiting for what another process, or another task, will do: until it is so, or until a deadline."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol, TypeVar

from vedette.errors import NoAnswer

T = TypeVar("T")
_AGAIN_AFTER_S = (0.02, 0.25)


class HasReadiness(Protocol):
    """A service."""

    async def ready(self) -> str | None:
        """Return why it is not ready, or None when it is."""


async def eventually(ask: Callable[[], Awaitable[T]], *, within_s: float = 600.0, what: str = "it") -> T:
    """Return the first truthy result of *ask*; fail after *within_s* with the last one.

    The default is a hundred times what any test waits for on a quiet machine.
    """
    result: T | None = None
    wait_s, longest_s = _AGAIN_AFTER_S
    try:
        async with asyncio.timeout(within_s):
            while not (result := await _answer(ask)):
                await asyncio.sleep(wait_s)
                wait_s = min(longest_s, 1.5 * wait_s)  # to ask may cost a process
    except TimeoutError:
        raise AssertionError(f"{what} was not so within {within_s:g} s; last: {result!r}") from None
    return result


async def _answer(ask: Callable[[], Awaitable[T]]) -> T | None:
    """Return the result of *ask*, or None while services are too busy to reply in time."""
    with suppress(NoAnswer):
        return await ask()
    return None


async def until_ready(service: HasReadiness) -> None:
    """Return when *service* is ready: a broker on a busy machine may be late with a reply."""

    async def ready() -> bool:
        return await service.ready() is None

    await eventually(ready, what="ready")
