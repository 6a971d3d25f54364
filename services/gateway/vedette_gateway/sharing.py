"""Shares usage between replicas: each publishes its sums to the stream USAGE, and follows those of the others."""

import asyncio
from typing import Final

import nats.errors

from vedette.bus.bus import Bus
from vedette.errors import ClockWrong
from vedette_gateway.usage import Usage

EVERY_S: Final = 1.0  # a replica that is killed loses at most the usage of this time


class Sharing:
    """Publishes sums that the stream does not have yet, while `run` is running."""

    def __init__(self, bus: Bus, usage: Usage) -> None:
        self._bus = bus
        self._usage = usage

    async def follow(self) -> None:
        """Follow the sums of all replicas; return when all stored ones are read."""
        following = await self._bus.followings.follow("USAGE", "usage.*.*", self._usage.on_caller_usage)
        await following.until_warm()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.flush()

    async def flush(self) -> None:
        """Publish the missing sums once. A lost message is published again, because the stream shows what it has."""
        for event in self._usage.unstored():
            try:
                await self._bus.publisher.post(event)
            except (ClockWrong, nats.errors.Error):
                return
