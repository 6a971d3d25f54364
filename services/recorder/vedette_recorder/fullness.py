"""How full the streams are: a stream at its limit refuses new messages, or drops its oldest."""

import asyncio
from collections.abc import Iterable

import nats.errors

from vedette.bus.bus import Bus
from vedette.bus.streams import FULL_REMEDY, NEARLY_FULL
from vedette_recorder import metrics

CHECK_EVERY_S = 60.0
_ROOM_AGAIN = 0.7  # below the other, so that one stream is not logged again and again


class Fullness:
    """Checks every stream; sets the metric, and logs once when one is nearly full and once when it has room."""

    def __init__(self, *, bus: Bus, streams: Iterable[str]) -> None:
        self._bus = bus
        self._streams = tuple(streams)
        self._nearly_full: set[str] = set()

    async def run(self) -> None:
        """Check until cancelled; while the broker is away, skip to the next round."""
        while True:
            for stream in self._streams:
                try:
                    await self.check(stream)
                except (nats.errors.Error, TimeoutError):
                    break  # the broker has its own alarm
            await asyncio.sleep(CHECK_EVERY_S)

    async def check(self, stream: str) -> float:
        """Check *stream* once; return the part of its limits that is used."""
        used = await self._bus.streams.used(stream)
        metrics.STREAM_USED.labels(stream).set(used)
        if used >= NEARLY_FULL and stream not in self._nearly_full:
            self._nearly_full.add(stream)
            self._bus.log.error(
                "stream.nearly_full",
                stream=stream,
                used=round(used, 2),
                remedy=FULL_REMEDY,
            )
        elif used < _ROOM_AGAIN and stream in self._nearly_full:
            self._nearly_full.discard(stream)
            self._bus.log.warning("stream.room_recovered", stream=stream, used=round(used, 2))
        return used
