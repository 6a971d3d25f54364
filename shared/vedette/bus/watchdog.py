"""Watches what a service reads: durable consumers that vanish, streams that go backwards or do not answer."""

import asyncio
from collections.abc import Awaitable
from datetime import datetime
from typing import Any

import nats.errors
import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import ClusterInfo

from vedette.bus.following import Following, Followings
from vedette.clock import Clock
from vedette.errors import ConsumerVanished, NoLeader
from vedette.messages.channels import CHANNELS
from vedette.messages.consumers import Durable

# Streams whose messages a broker may lose when it ends: the next ones come in seconds.
_NOT_KEPT = frozenset(channel.stream for channel in CHANNELS if channel.frequent)
_WATCH_EVERY_S = 15.0
_WATCH_SILENT_EVERY_S = 2.0


class Watchdog:
    """Watches the followings and durable consumers of one service."""

    def __init__(self, js: JetStreamContext, followings: Followings, clock: Clock, log: Any) -> None:
        self._js = js
        self._followings = followings
        self._clock = clock
        self._log = log
        self._durables: list[Durable] = []
        self._silent: dict[str, datetime] = {}  # streams and durables that do not answer, since when

    def watch(self, durable: Durable) -> None:
        """Have the watchdog check *durable*, too."""
        self._durables.append(durable)

    async def run(self) -> None:
        """Watch what this service reads, and note which streams and durables do not answer.

        Raise ConsumerVanished when a durable was deleted or a followed stream went backwards: either way no more
        messages arrive. A stream that a broker need not keep is followed again instead.
        """
        while True:
            await asyncio.sleep(_WATCH_SILENT_EVERY_S if self._silent else _WATCH_EVERY_S)
            await self.check()

    async def check(self) -> None:
        """Check everything once. Raises ConsumerVanished."""
        await asyncio.gather(
            *(
                self._noting(f"{durable.stream} (consumer {durable.name})", self._check_durable(durable))
                for durable in self._durables
            ),
            *(
                self._noting(following.stream, self._check_stream(following))
                for following in self._followings.all
            ),
        )

    async def _noting(self, what: str, check: Awaitable[None]) -> None:
        try:
            await check
        except (nats.errors.Error, NoLeader, TimeoutError) as error:
            if what not in self._silent:
                self._silent[what] = self._clock.now()
                self._log.warning("stream.silent", stream=what, error=f"{type(error).__name__}: {error}")
        else:
            if self._silent.pop(what, None):
                self._log.info("stream.recovered", stream=what)

    def silence(self) -> str | None:
        """Return which streams and consumers do not answer, since when, and what to do, or None."""
        if not self._silent:
            return None
        since = min(self._silent.values())
        return (
            f"JetStream does not answer for {', '.join(sorted(self._silent))} since {since:%H:%M:%S}Z. A replicated "
            "stream needs most of its NATS servers to elect a leader: start those that are down. If all run, "
            "restart the one whose log names the stream in an error (docs/operate.md)"
        )

    async def _check_durable(self, durable: Durable) -> None:
        try:
            info = await self._js.consumer_info(durable.stream, durable.name)
        except nats.js.errors.NotFoundError as error:
            raise ConsumerVanished(durable=durable.name, stream=durable.stream) from error
        _check_leader(durable.stream, info.cluster)

    async def _check_stream(self, following: Following) -> None:
        seen = following.sequence  # before asking: what comes meanwhile is ahead of the reply
        info = await self._js.stream_info(following.stream)
        _check_leader(following.stream, info.cluster)  # before its state: that of a follower may be old
        if info.state.last_seq < seen:
            if following.stream in _NOT_KEPT:
                self._log.warning(
                    "stream.restarted", stream=following.stream, seen=seen, last=info.state.last_seq
                )
                await self._followings.again(following)
                return
            raise ConsumerVanished(durable="(the tail)", stream=following.stream)


def _check_leader(stream: str, cluster: ClusterInfo | None) -> None:
    """Raise NoLeader when a cluster says that the stream or consumer has none; a single server says nothing."""
    if cluster is not None and not cluster.leader:
        raise NoLeader(stream=stream)
