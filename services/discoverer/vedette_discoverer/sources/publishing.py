"""Publishes `EndpointAppeared` for the sources, once for any number of discoverers."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import nats.errors
import nats.js.errors

from vedette.bus.bus import Bus
from vedette.cancelling import cancel
from vedette.clock import Clock
from vedette.errors import MessageTooLarge, VedetteError
from vedette.messages import ids
from vedette.messages.catalogue import Versioned
from vedette.messages.events import EndpointAppeared, Event
from vedette.settings import Settings
from vedette.settings.discovery import SOURCES, Discovery
from vedette_discoverer import metrics
from vedette_discoverer.sources.opening import Source, sources
from vedette_discoverer.sources.turnover import Shown, turnover
from vedette_discoverer.sources.view import View, problems, settled

STREAM: Final = "APPEARED"
_TRY_AGAIN_S: Final = 5.0
_FORGET_AFTER: Final = timedelta(days=2)
_FORGET_EVERY_S: Final = 3600.0
_MAX_LOGGED: Final = 20  # problems of one source in a view
_MAX_NOTED: Final = 3
_OFF_GRACE_S: Final = 300.0  # a rollout: other replicas may still have the source


class Off:
    """A source that is no longer configured. Its view is empty, so its endpoints are lost after the grace period."""

    every_s = 10.0

    def __init__(self, name: str) -> None:
        self.name = name

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Do nothing."""
        yield

    async def view(self) -> View:
        """Return an empty view."""
        return View()


class Appearing:
    """Reads each configured source, and publishes new, changed and missing endpoints."""

    def __init__(self, *, bus: Bus, clock: Clock, providers: Collection[str]) -> None:
        self._bus = bus
        self._clock = clock
        self._providers = providers
        self._settings: Discovery | None = None
        self._running: list[asyncio.Task[None]] = []
        self._published = _Published(bus, clock)
        self._problems: dict[str, list[str]] = {}
        self._logged: dict[str, set[str]] = {}

    def require(self, settings: Settings) -> None:
        """Raise ConfigurationError if a source of *settings* needs a library that is not installed."""
        list(sources(settings.discovery, providers=self._providers, clock=self._clock))

    async def take_on(self, settings: Settings) -> None:
        """Read the sources of *settings* from now on. If it raises ConfigurationError, it has changed nothing."""
        if settings.discovery == self._settings:
            return
        opened: list[Source] = list(sources(settings.discovery, providers=self._providers, clock=self._clock))
        await self.close()
        self._settings = settings.discovery
        off: list[Source] = [Off(name) for name in SOURCES if name not in settings.discovery.sources]
        self._running = [
            asyncio.create_task(self._keep(source, settings.discovery)) for source in (*opened, *off)
        ]

    async def close(self) -> None:
        """Stop reading all sources."""
        await cancel(self._running)
        self._running, self._problems, self._logged = [], {}, {}

    async def note(self) -> str | None:
        """Return a note for operators about the sources, or None."""
        said = [f"{source}: {one}" for source, found in sorted(self._problems.items()) for one in found]
        if not said:
            return None
        more = f"; and {len(said) - _MAX_NOTED} more" if len(said) > _MAX_NOTED else ""
        return f"endpoints that appear: {'; '.join(said[:_MAX_NOTED])}{more}"

    async def _keep(self, source: Source, settings: Discovery) -> None:
        """Read *source* and publish differences, until cancelled. Errors of a round are logged.

        A source that is off ends when it has no endpoint left.
        """
        await self._bus.clock.until_right()
        shown = _OfSource(self._published, source.name)
        missing: dict[str, float] = {}
        unpublished: list[str] = []
        async with source.open():
            while True:
                try:
                    await shown.open()
                    if isinstance(source, Off) and not any(one.live for one in shown.last.values()):
                        return
                    view = settled(await source.view(), shown.owners())
                    self._say(source, view, unpublished)
                    is_off = isinstance(source, Off)
                    done = turnover(
                        shown.last,
                        view,
                        missing,
                        now_s=self._clock.monotonic(),
                        grace_s=settings.grace_s + (_OFF_GRACE_S if is_off else 0),
                        at_once=not is_off,
                    )
                    published = [await self._publish(shown, name, one) for name, one in done.changed.items()]
                    unpublished = [reason for reason in published if reason]
                    missing = done.missing
                    wait_s = source.every_s
                except (nats.errors.Error, TimeoutError, VedetteError) as error:
                    self._bus.log.warning(
                        "discovery.deferred", source=source.name, error=f"{type(error).__name__}: {error}"
                    )
                    wait_s = _TRY_AGAIN_S
                except Exception as error:
                    self._bus.log.error("discovery.failed", source=source.name, exc_info=error)
                    wait_s = _TRY_AGAIN_S
                await asyncio.sleep(wait_s)

    async def _publish(self, shown: "_OfSource", name: str, one: Shown) -> str | None:
        """Publish *one*. If the broker refuses it, return why: the other endpoints are published all the same."""
        try:
            await shown.publish(name, one)
        except (MessageTooLarge, nats.js.errors.APIError) as error:
            return f"{one.origin}: cannot be published: {error}"
        return None

    def _say(self, source: Source, view: View, unpublished: Sequence[str]) -> None:
        """Log each new problem, at most 20 of one view, and log when all problems are gone."""
        found = [*problems(view), *unpublished]
        before = self._problems.get(source.name, [])
        logged = self._logged.get(source.name, set()) & set(found)
        for one in [one for one in found if one not in logged][:_MAX_LOGGED]:
            self._bus.log.warning("discovery.problem", source=source.name, reason=one)
            logged.add(one)
        self._logged[source.name] = logged
        if before and not found:
            self._bus.log.info("discovery.recovered", source=source.name)
        self._problems[source.name] = found
        metrics.PROBLEMS.labels(source.name).set(len(found))
        for state in ("there", "asleep"):
            count = sum(one.state == state for one in view.wanted)
            metrics.APPEARED.labels(source.name, state).set(count)


class _Published:
    """The endpoints of all sources in the stream, published by any discoverer."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self.bus = bus
        self.clock = clock
        self.held: dict[tuple[str, str], EndpointAppeared] = {}  # by source and name
        self._opening = asyncio.Lock()
        self._is_open = False

    async def open(self) -> None:
        """Read the whole stream, and follow it from then on."""
        async with self._opening:
            if not self._is_open:
                following = await self.bus.followings.follow(STREAM, "endpoint.appeared.*.*", self._apply)
                await following.until_warm()
                self._is_open = True

    def _apply(self, event: Event, _: int) -> None:
        if isinstance(event, EndpointAppeared):
            self.held[event.source, event.endpoint] = event


class _OfSource:
    """The published endpoints of one source."""

    def __init__(self, published: _Published, source: str) -> None:
        self.source = source
        self._published = published
        self._bus, self._clock = published.bus, published.clock
        self._forgot_at: float | None = None

    @property
    def last(self) -> dict[str, Shown]:
        """The published state of each of its endpoints, by name."""
        held = self._published.held.items()
        return {name: shown_by(event) for (source, name), event in held if source == self.source}

    def owners(self) -> Mapping[str, str]:
        """Return the origin of each live endpoint, by its name."""
        return {name: one.origin for name, one in self.last.items() if one.live}

    async def open(self) -> None:
        """Read the published endpoints. At most once an hour, delete those that have been gone for two days."""
        await self._published.open()
        now_s = self._clock.monotonic()
        if self._forgot_at is None or now_s - self._forgot_at > _FORGET_EVERY_S:
            self._forgot_at = now_s
            await self._forget()

    async def _forget(self) -> None:
        """Delete endpoints that left long ago: otherwise the pods of each rollout would stay."""
        for key, event in list(self._published.held.items()):
            old = self._clock.now() - event.at > _FORGET_AFTER
            if event.source == self.source and event.state == "gone" and old:
                await self._bus.js.purge_stream(STREAM, subject=event.subject)
                self._published.held.pop(key, None)

    async def publish(self, name: str, one: Shown) -> None:
        """Publish *one*, unless the stream has the same state, or has no such endpoint and *one* is gone."""
        now = self._clock.now()

        def step(held: Versioned[EndpointAppeared] | None) -> EndpointAppeared | None:
            if held is not None and shown_by(held.event) == one:
                return None
            if held is None and one.state == "gone":
                return None
            return event_of(self.source, name, one, now)

        subject = f"endpoint.appeared.{self.source}.{name}"
        event = await self._bus.publisher.advance(STREAM, subject, step)
        if event is None and one.state == "gone":
            self._published.held.pop((self.source, name), None)  # it is gone in the stream, too
        elif event is not None:
            self._published.held[self.source, name] = event
            self._bus.log.info(
                "endpoint.appeared",
                source=self.source,
                endpoint=name,
                state=one.state,
                origin=one.origin,
                reason=one.reason or None,
            )


def event_of(source: str, name: str, one: Shown, now: datetime) -> EndpointAppeared:
    """Return the event with the state *one* at *now*. Its id follows from the time and the state."""
    content = hashlib.sha256(msgspec.json.encode(one, order="sorted")).hexdigest()
    return EndpointAppeared(
        id=ids.derive(now, "endpoint.appeared", source, name, content),
        at=now,
        source=source,
        endpoint=name,
        settings=one.settings,
        key=one.key,
        origin=one.origin,
        state=one.state,
        reason=one.reason,
    )


def shown_by(event: EndpointAppeared) -> Shown:
    """Return the state in *event*."""
    settings: dict[str, Any] = dict(event.settings)
    return Shown(
        origin=event.origin, state=event.state, settings=settings, key=event.key, reason=event.reason
    )
