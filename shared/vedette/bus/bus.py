"""Everything in this package for one service or command, over one connection.

- `Bus.streams` reads messages of streams.
- `Bus.publisher` publishes events by compare-and-set with the last message of their subject.
- `Bus.followings` follow streams live, and know whether all earlier messages were read (warm).
- `Bus.jobs` handles jobs and publishes their progress.
- `Bus.watchdog` detects a stream or consumer that is gone or does not reply.
- `Bus.clock` compares this process's clock with the server's. While it is wrong, nothing is published.
"""

import asyncio
from collections.abc import Coroutine
from datetime import datetime
from typing import Any

import msgspec
from nats.aio.client import Client as NatsClient

from vedette.bus import permissions
from vedette.bus.backoff import Backoff
from vedette.bus.comparing import ComparedClock
from vedette.bus.following import Followings
from vedette.bus.jobs import Jobs
from vedette.bus.publishing import PUBLISH_TIMEOUT_S, Publisher
from vedette.bus.streams import Streams, known
from vedette.bus.watchdog import Watchdog
from vedette.cancelling import cancel
from vedette.clock import Clock
from vedette.messages.tolerance import is_future

_TIME_TIMEOUT_S = 2.0


class _StreamState(msgspec.Struct):
    """The time in a stream's info at which the server reported it."""

    ts: datetime


class Bus:
    """One service's use of NATS, over an open connection. `fatal` gets the error after which it cannot continue."""

    def __init__(self, connection: NatsClient, *, name: str, clock: Clock, log: Any) -> None:
        self.connection = connection
        self.js = connection.jetstream(timeout=PUBLISH_TIMEOUT_S)
        self.name = name
        self.log = log
        self.clock = ComparedClock(clock, self._server_time, log=log)
        self.streams = Streams(connection, self.js)
        self.publisher = Publisher(connection, self.js, self.streams, name=name, clock=self.clock, log=log)
        self.followings = Followings(self.js, log)
        self.backoff = Backoff(self.publisher)
        self.jobs = Jobs(connection, self.js, self.streams, self.publisher, self.backoff, self.clock)
        self.watchdog = Watchdog(self.js, self.followings, self.clock, log)
        self.fatal: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *work* as a task of this service. If it fails, the service fails."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)
        return task

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.fail(task.exception())

    def fail(self, error: BaseException | None) -> None:
        """Set `fatal`: this service cannot continue, so its process ends and is restarted."""
        if not self.fatal.done() and error is not None:
            self.log.critical("service.failed", error=f"{type(error).__name__}: {error}")
            self.fatal.set_exception(error)
            self.fatal.exception()  # marks it as read: without a waiter, asyncio would log a warning

    async def close(self) -> None:
        """Cancel all tasks of `spawn` and wait for their end."""
        await cancel(self._tasks)

    async def _server_time(self) -> datetime:
        """Return the time of the NATS server. Raises TimeoutError or nats.errors.Error."""
        subject = f"$JS.API.STREAM.INFO.{permissions.compared(self.name)}"
        reply = await self.connection.request(subject, timeout=_TIME_TIMEOUT_S)
        try:
            return msgspec.json.decode(reply.data, type=_StreamState).ts
        except msgspec.DecodeError as error:  # the stream does not exist yet
            raise TimeoutError from error

    async def drop_future_probes(self) -> int:
        """Delete probe jobs with a date in the future (from a wrong clock); return their number.

        An earlier version deferred such a job until its date, and meanwhile no other job could take its place. Nothing
        is deleted while this process's own clock is wrong.
        """
        if await self.clock.trouble():
            return 0
        future = []
        stored = await self.streams.first_from("JOBS", 1, "job.probe.>")
        while stored is not None:
            job = known(stored.subject, stored.payload)
            if job is not None and is_future(job.at, self.clock.now()):
                future.append(stored.sequence)
            stored = await self.streams.first_from("JOBS", stored.sequence + 1, "job.probe.>")
        return sum([await self.streams.remove("JOBS", sequence) for sequence in future])
