"""Tasks end although a cancellation is lost: before Python 3.12 `wait_for` loses one that comes with the result."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from leaping import leaping
from vedette.cancelling import cancel
from vedette.clock import SystemClock
from vedette.endpoints import gate
from vedette.runtime.process import until_stopped
from vedette.runtime.stopping import Stopped
from vedette.settings import Settings
from vedette.settings.discovery import Discovery
from vedette_discoverer.sources.publishing import Appearing

ENOUGH_S = 60.0


async def lose_one() -> None:
    """Wait; lose the first cancellation, as nats-py does with a reply that comes at the same time."""
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


async def deaf(*_: object) -> None:
    """Continue after the first cancellation."""
    await lose_one()
    await hang()


async def hang(*_: object, **__: object) -> None:
    await asyncio.Event().wait()


@leaping
async def test_a_task_that_lost_a_cancellation_is_cancelled_again() -> None:
    """One that ends at once, one that has ended, and one that fails while it ends are no trouble."""

    async def fails() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ZeroDivisionError

    async def done() -> None:
        return

    tasks = [asyncio.create_task(work) for work in (deaf(), asyncio.Event().wait(), fails(), done())]
    await asyncio.sleep(0)
    async with asyncio.timeout(ENOUGH_S):
        await cancel(tasks)
    assert all(task.done() for task in tasks)
    await cancel([])


@pytest.mark.fault("a reply comes in the moment in which a task is cancelled", "I11")
@leaping
async def test_discovery_ends_although_a_cancellation_is_lost() -> None:
    bus: Any = SimpleNamespace(clock=SimpleNamespace(until_right=lose_one))
    bus.followings = SimpleNamespace(follow=hang)
    appearing = Appearing(bus=bus, clock=SystemClock(), providers=())
    await appearing.take_on(msgspec.structs.replace(Settings(), discovery=Discovery()))
    await asyncio.sleep(0)
    async with asyncio.timeout(ENOUGH_S):
        await appearing.close()


@pytest.mark.fault("a reply comes in the moment in which a task is cancelled", "I11")
@leaping
async def test_a_process_stops_although_a_reload_loses_the_cancellation() -> None:
    running: Any = SimpleNamespace(until_failure=asyncio.Event().wait, reloading=SimpleNamespace(run=deaf))
    stopped = Stopped()
    asyncio.get_running_loop().call_later(1.0, stopped.set)
    async with asyncio.timeout(ENOUGH_S):
        await until_stopped(running, stopped)


@leaping
async def test_a_measurement_does_not_wait_longer_for_probes_although_its_timeout_is_lost() -> None:
    async def first_from(*_: object) -> Any:
        if loop.time() - began < 0.2:
            await lose_one()
        return SimpleNamespace(sequence=1)

    async def one(*_: object) -> int:
        return 1

    loop = asyncio.get_running_loop()
    began = loop.time()
    bus: Any = SimpleNamespace(
        clock=SimpleNamespace(monotonic=loop.time),
        streams=SimpleNamespace(count=one, last_sequence=one, first_from=first_from),
    )
    async with asyncio.timeout(ENOUGH_S):
        await gate.until_free(bus, "rack", within_s=0.2)
