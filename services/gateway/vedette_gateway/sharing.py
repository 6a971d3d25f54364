"""Usage that all replicas share: each publishes its sums on the stream USAGE, and follows those of the others."""

import asyncio
from typing import Final

import nats.errors

from vedette.bus.bus import Bus
from vedette.errors import ClockWrong
from vedette_gateway.usage import Usage

EVERY_S: Final = 1.0  # of usage at most so much is lost with a replica


class Sharing:
    """Publishes sums that the stream does not have yet, while `run` is running."""

    def __init__(self, bus: Bus, usage: Usage) -> None:
        self._bus = bus
        self._usage = usage

    async def follow(self) -> None:
        """Take on the sums of today; return when all are there."""
        following = await self._bus.followings.follow("USAGE", "usage.*.*", self._usage.on_caller_usage)
        await following.until_warm()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.flush()

    async def flush(self) -> None:
        """Publish once. A lost message is published again: only the stream shows which sums it has."""
        for event in self._usage.unstored():
            try:
                await self._bus.publisher.post(event)
            except (ClockWrong, nats.errors.Error):
                return
