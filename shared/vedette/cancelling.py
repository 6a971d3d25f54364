"""Cancels tasks and waits for their end, although a cancellation may be lost.

Before Python 3.12, `asyncio.wait_for` loses a cancellation that comes together with the result. nats-py waits so for
every reply. A task that repeats requests then continues as if it had not been cancelled.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

_AGAIN_S = 1.0


async def cancel(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancel *tasks* and return when all have ended; cancel again those that continue. Their errors are ignored.

    Not for a task whose own clean-up takes longer than a second: that would be cancelled too.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        ended, left = await asyncio.wait(left, timeout=_AGAIN_S)
        for task in ended:
            if not task.cancelled():
                task.exception()  # marks it as read: otherwise asyncio would log it
