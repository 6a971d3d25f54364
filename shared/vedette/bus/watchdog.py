"""Watches what a service reads: durable consumers that are deleted, streams that go back or do not reply."""

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

# Streams whose messages may be lost when the broker ends: the next ones come in seconds.
_NOT_KEPT = frozenset(channel.stream for channel in CHANNELS if channel.frequent)
_WATCH_EVERY_S = 15.0
_WATCH_SILENT_EVERY_S = 2.0


class Watchdog:
    """Watches the followed streams and the durable consumers of one service."""

    def __init__(self, js: JetStreamContext, followings: Followings, clock: Clock, log: Any) -> None:
        self._js = js
        self._followings = followings
        self._clock = clock
        self._log = log
        self._durables: list[Durable] = []
        self._silent: dict[str, datetime] = {}  # streams and durables that do not reply, since when

    def watch(self, durable: Durable) -> None:
        """Also watch *durable*."""
        self._durables.append(durable)

    async def run(self) -> None:
        """Check everything at intervals, and record which streams and durables do not reply.

        Raises ConsumerVanished if a durable was deleted or a followed stream went back: no more messages arrive then. A
        stream that the broker may lose is followed again instead.
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
        """Return the streams and consumers that do not reply, since when, and what to do; None if all reply."""
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
        seen = following.sequence  # before the request: messages that arrive meanwhile are ahead of the reply
        info = await self._js.stream_info(following.stream)
        _check_leader(following.stream, info.cluster)  # before its state, which a follower may report late
        if info.state.last_seq < seen:
            if following.stream in _NOT_KEPT:
                self._log.warning(
                    "stream.restarted", stream=following.stream, seen=seen, last=info.state.last_seq
                )
                await self._followings.again(following)
                return
            raise ConsumerVanished(durable="(the tail)", stream=following.stream)


def _check_leader(stream: str, cluster: ClusterInfo | None) -> None:
    """Raise NoLeader if a cluster reports no leader for the stream or consumer; a single server reports nothing."""
    if cluster is not None and not cluster.leader:
        raise NoLeader(stream=stream)
