"""A gate for each host group, so that Vedette's own requests do not run on one processor at the same time.

A measurement holds the gate while its job runs, a probe while its job is in the queue. Each announces itself before it
checks for the other. If both start at once, the probe requests no answer, and the measurement waits for its end.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Final

import nats.errors
import nats.js.errors

from vedette.bus.bus import Bus
from vedette.messages import subjects
from vedette.messages.consumers import host_jobs

# The worker of a job that was delivered longer ago is gone.
MAX_MEASUREMENT_S: Final = 3600.0
_LOOK_AGAIN_S: Final = 0.1
PATIENCE_S: Final = 2.0


async def closed(bus: Bus, group: str, *, patience_s: float = PATIENCE_S) -> str | None:
    """Return why no probe may request an answer at the host *group* (a measurement runs), or None.

    Most running jobs end soon, because there is nothing to measure. So this waits for their end, at most *patience_s*.
    """
    ends = bus.clock.monotonic() + patience_s
    while True:
        reason = await _closed_now(bus, group)
        if reason is None or bus.clock.monotonic() >= ends:
            return reason
        await asyncio.sleep(_LOOK_AGAIN_S)


async def _closed_now(bus: Bus, group: str) -> str | None:
    try:
        in_hand, delivered_at = await bus.streams.in_hand(host_jobs(group))
    except nats.js.errors.NotFoundError:
        return None  # nothing was ever measured in this group
    except (nats.errors.Error, TimeoutError) as error:
        return f"cannot find out whether the host is being measured: {type(error).__name__}"
    if not in_hand or delivered_at is None:
        return None
    if bus.clock.now() - delivered_at > timedelta(seconds=MAX_MEASUREMENT_S):
        return None
    return "the host is being measured"


async def until_free(bus: Bus, group: str, *, within_s: float) -> None:
    """Return when the probes of the host *group* that are queued now have ended, or after *within_s* (s).

    Probes that start later see the measurement and request no answer. A started probe takes at most that time.
    """
    probes = f"job.probe.{subjects.escape(group)}.>"
    if not await bus.streams.count("JOBS", probes):
        return
    ends = bus.clock.monotonic() + within_s
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            last = await bus.streams.last_sequence("JOBS")
            # Before Python 3.12, nats-py may lose the cancellation by the timeout.
            while bus.clock.monotonic() < ends:
                first = await bus.streams.first_from("JOBS", 1, probes)
                if first is None or first.sequence > last:
                    return
                await asyncio.sleep(_LOOK_AGAIN_S)
