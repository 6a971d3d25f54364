"""Reads the load of servers every few seconds, and publishes it: one replica for each endpoint.

There are no jobs for this: the last load of an endpoint shows each prober when it was read, and by which prober.
"""

import asyncio
from datetime import datetime, timedelta
from random import Random
from typing import Final

import nats.errors
from msgspec import Struct

from vedette.bus.bus import Bus
from vedette.clock import Clock
from vedette.endpoints import Endpoints, OpenEndpoint, own
from vedette.endpoints.contact import pause
from vedette.errors import ClockWrong, Deferred, ProviderError
from vedette.messages.catalogue import Catalogue
from vedette.messages.events import EndpointLoad
from vedette.messages.queries import OwnReply
from vedette.providers.counting import counting
from vedette.types import Outcome
from vedette_prober.load import (
    JITTER,
    Reading,
    due_at,
    event,
    interval_s,
    is_news,
    is_suspicious,
    look_s,
    next_every_s,
    silence,
)
from vedette_prober.metrics import LOADS

DEADLINE_S: Final = 5.0
_NONE: Final = OwnReply(requests=0)


class _Record(Struct):
    """This replica's state of an endpoint whose load it reads."""

    share: float  # from 0 to 1: when its next reading is
    opened: OpenEndpoint | None = None  # the last reading
    reading: Reading | None = None  # and how that went
    published: str | None = None  # the id of our last load
    is_being_read: bool = False
    rests_until: float = (
        0.0  # monotonic seconds: our own load is on its way back to us, or could not be published
    )


class Loads:
    """Reads each endpoint's load when it is this replica's turn."""

    def __init__(
        self,
        *,
        bus: Bus,
        catalogue: Catalogue,
        endpoints: Endpoints,
        every_s: float,
        clock: Clock,
        rng: Random | None = None,
    ) -> None:
        self._bus = bus
        self._catalogue = catalogue
        self._endpoints = endpoints
        self._every_s = every_s
        self._clock = clock
        self._rng = rng or Random()  # noqa: S311  # spreads readings, no secret
        self._started = clock.now()
        self._seed = f"{self._rng.getrandbits(64):x}"  # of this replica
        self._records: dict[str, _Record] = {}  # by the endpoint's name

    async def run(self) -> None:
        """Read when it is time to, until cancelled."""
        while True:
            for endpoint in self.due():
                self._record(endpoint.name).is_being_read = True
                self._bus.spawn(self.read(endpoint))
            await asyncio.sleep(self._look_s())

    def _record(self, name: str) -> _Record:
        if (record := self._records.get(name)) is None:
            record = self._records[name] = _Record(share=self._rng.random())
        return record

    def due(self) -> list[OpenEndpoint]:
        """Return the endpoints whose load this replica is to read now, half a look early or late."""
        now = self._clock.now() + timedelta(seconds=self._look_s() / 2)
        return [endpoint for endpoint in self._endpoints if self._is_due(endpoint, now)]

    def _look_s(self) -> float:
        return look_s(interval_s(one.settings, self._every_s) for one in self._endpoints)

    def is_reader(self, name: str) -> bool:
        """Return whether the last load of the endpoint *name* is of this replica, so that it goes on."""
        last = self._catalogue.load(name)
        return last is not None and last.id == self._record(name).published

    def _is_due(self, endpoint: OpenEndpoint, now: datetime) -> bool:
        name, record = endpoint.name, self._record(endpoint.name)
        every_s = interval_s(endpoint.settings, self._every_s)
        if every_s is None or endpoint.meter is None or record.is_being_read:
            return False
        if self._clock.monotonic() < record.rests_until:
            return False
        state = self._catalogue.endpoint(name)
        if state is None or pause(state, endpoint.settings, now) is not None:
            return False  # what it is, is not known yet; or it is paused
        last = self._catalogue.load(name)
        at = due_at(
            last,
            mine=self.is_reader(name),
            started=self._started,
            every_s=every_s,
            share=record.share,
            now=now,
        )
        return at <= now

    async def read(self, endpoint: OpenEndpoint) -> None:
        """Read the load of *endpoint* and publish it. If it says that the server went or came back, have it probed."""
        record = self._record(endpoint.name)
        try:
            await self._read(endpoint, record)
        finally:
            record.is_being_read = False

    async def _read(self, endpoint: OpenEndpoint, record: _Record) -> None:
        name, last = endpoint.name, self._catalogue.load(endpoint.name)
        before = record.reading if record.opened is endpoint else None
        reading = await self._ask(endpoint, before)
        record.share, record.opened, record.reading = self._rng.random(), endpoint, reading
        requests = max(1, reading.use.requests)
        every_s = interval_s(endpoint.settings, self._every_s, requests=requests)
        if every_s is None:
            return
        every_s = next_every_s(last, reading, every_s)
        record.rests_until = reading.began + every_s * (1 - 2 * JITTER)
        load = event(
            name,
            reading,
            last=last,
            before=before,
            every_s=every_s,
            now=self._clock.now(),
            seed=self._seed,
        )
        LOADS.labels(load.outcome).inc()
        if last is None or (last.outcome, last.source) != (load.outcome, load.source):
            self._bus.log.info("load.source", endpoint=name, outcome=load.outcome, source=load.source or None)
        if await self._publish(load):
            record.published = load.id
        # Where its load is read elsewhere, that says nothing of the endpoint.
        state = self._catalogue.endpoint(name) if endpoint.settings.load.url is None else None
        if state is not None and (
            is_news(load.outcome, last.outcome if last else None, state.outcome)
            or is_suspicious(reading.silence, before.silence if before else None, load.outcome)
        ):
            await self._have_probed(endpoint)

    async def _have_probed(self, endpoint: OpenEndpoint) -> None:
        job = endpoint.job("probe", at=self._clock.now(), cause="suspicion", seed=self._seed)
        try:
            await self._bus.publisher.enqueue(job)
        except (nats.errors.Error, Deferred, TimeoutError) as error:
            self._bus.log.warning("probe.dropped", endpoint=endpoint.name, error=f"{type(error).__name__}")

    async def _ask(self, endpoint: OpenEndpoint, before: Reading | None) -> Reading:
        state = self._catalogue.endpoint(endpoint.name)
        began, outcome, seen = self._clock.monotonic(), Outcome.OK, None
        with counting() as sent:
            try:
                async with endpoint.in_use(), asyncio.timeout(DEADLINE_S):
                    if endpoint.meter is not None:
                        seen = await endpoint.meter.load(state.server if state else None)
            except ProviderError as error:
                outcome = error.outcome
            except TimeoutError:
                outcome = Outcome.TIMEOUT
        if seen is None and outcome is Outcome.OK:
            outcome = Outcome.UNSUPPORTED
        elapsed_ms = (self._clock.monotonic() - began) * 1000
        may_be_ours = outcome is Outcome.TIMEOUT or (seen is not None and seen.requests)
        ours = await own.ask(self._bus, endpoint.name) if may_be_ours else _NONE
        return Reading(
            began=began,
            outcome=outcome,
            activity=seen,
            own=ours,
            silence=silence(outcome, ours, before),
            elapsed_ms=elapsed_ms,
            bytes=sent.bytes,
            use=sent.use,
        )

    async def _publish(self, load: EndpointLoad) -> bool:
        try:
            await self._bus.publisher.post(load)
        except (nats.errors.Error, ClockWrong) as error:
            self._bus.log.debug("load.dropped", endpoint=load.endpoint, error=type(error).__name__)
            return False
        return True
