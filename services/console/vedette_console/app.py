"""Wiring of the console."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import nats.errors
from nats.aio.msg import Msg
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from vedette.client import definitions
from vedette.client.definitions import Author, Change
from vedette.errors import ConfigurationError, NoAnswer, RequestError
from vedette.messages.catalogue import Versioned
from vedette.messages.events import EndpointAppeared, EndpointDefined, Event, Progress
from vedette.runtime import web
from vedette.runtime.origins import is_loopback
from vedette.runtime.service import Service, open_service
from vedette.settings import CONSOLE_PORT, Console, Secret, Settings
from vedette.usecases import known
from vedette_console import openapi
from vedette_console.access import Keys
from vedette_console.api import Api
from vedette_console.asking import Asking
from vedette_console.changes import KEPT_FOR, Changes, Stream
from vedette_console.guard import Guard
from vedette_console.pages import Pages
from vedette_console.redefining import Redefining
from vedette_console.screens.context import Sources
from vedette_console.screens.defining import Definer
from vedette_console.screens.endpoints import Enqueue
from vedette_console.screens.judging import Judging
from vedette_console.webhooks.running import Webhooks

# Changes of these kinds are kept for a day. Events of the others only make open pages refresh.
_KEPT: Final = ("found", "changed", "lost", "regressed")
_ANNOUNCED: Final = ("probed", "benchmarked", "verified", "evaluated", "judged", "rated")
_CLOSING_S: Final = 2
_STORED_WITHIN_S: Final = 10.0
_PROGRESS: Final = msgspec.json.Decoder(Progress)


def keys(settings: Console) -> Keys:
    """Return the tokens of *settings*. Raises ConfigurationError if users of other machines could read without one."""
    token = _read(settings.token, "console.token")
    if token is None and not is_loopback(settings.host) and not settings.trusted_header:
        raise ConfigurationError(
            where="console.host",
            problem=f"{settings.host} can be reached from other machines, and no setting limits who may look; set "
            'token = { env = "NAME" } under [console], or trusted_header and trusted_proxies for a proxy that checks '
            'users, or host = "127.0.0.1"',
        )
    if settings.trusted_header and not settings.trusted_proxies:
        raise ConfigurationError(
            where="console.trusted_proxies",
            problem='not set; name the addresses from which trusted_header is believed, for example ["10.0.0.5"]',
        )
    operator = _read(settings.operator_token, "console.operator_token")
    return Keys(token, operator, open=token is None and is_loopback(settings.host))


def _read(secret: Secret | None, where: str) -> str | None:
    return secret.read(where) if secret else None


async def follow(service: Service, changes: Changes, redefining: Redefining) -> None:
    """Read the last day into *changes*, then follow. *redefining* gets the new definitions of endpoints."""
    now = service.clock.now()
    followings = service.bus.followings

    async def read(stream: Stream, subject: str, since: datetime) -> None:
        def apply(event: Event, sequence: int) -> None:
            changes.apply(stream, event, sequence)

        following = await followings.follow(stream, subject, apply, since=since)
        await following.until_warm()

    for kind in _KEPT:
        await read("MODELS", f"model.{kind}.>", now - KEPT_FOR)
    for kind in _ANNOUNCED:
        await read("MODELS", f"model.{kind}.>", now)
    await read("ENDPOINTS", "endpoint.observed.*", now - KEPT_FOR)
    await read("LOADS", "endpoint.load.*", now)
    await read("ANSWERS", "answer.*", datetime.fromtimestamp(0, UTC))  # at most ten of each use case

    for stream, subject, take in (
        ("DEFINITIONS", "endpoint.defined.*", redefining.on_defined),
        ("APPEARED", "endpoint.appeared.*.*", redefining.on_appeared),
    ):
        service.bus.spawn(_follow_later(service, stream, subject, take))
    service.bus.spawn(redefining.run())

    async def on_progress(message: Msg) -> None:
        try:
            changes.progress(_PROGRESS.decode(message.data), service.clock.now())
        except msgspec.DecodeError as error:
            service.log.warning("progress.undecodable", error=str(error))

    await service.bus.connection.subscribe("progress.*", cb=on_progress)


async def _follow_later(
    service: Service, stream: str, subject: str, take: Callable[[Event, int], None]
) -> None:
    """Follow *stream* once it exists. Without it, pages do not refresh after changes of endpoints."""
    await service.bus.followings.follow_retrying(stream, subject, take)


def application(
    sources: Sources,
    enqueue: Enqueue,
    definer: Definer,
    judging: Callable[[], Judging],
    console: Console,
    tokens: Keys,
    log: Any,
) -> Guard:
    """Return the application: pages and the HTTP API, behind the guard.

    *enqueue* queues a job, *definer* changes endpoints, *judging* says how judges are configured.
    """
    pages = Pages(sources, enqueue, definer, judging, log)
    api = Api(sources.asking, sources.changes, openapi.encoded)
    packed = Middleware(GZipMiddleware, minimum_size=1024, compresslevel=5)  # not of event streams
    app = Starlette(
        routes=[*api.routes(), *pages.routes()],
        middleware=[packed],
        exception_handlers={
            404: pages.missing,
            405: pages.missing,
            RequestError: pages.refused,
            Exception: pages.failed,
        },
    )
    pages.guard = Guard(app, settings=console, keys=tokens, now=lambda: sources.clock.now().timestamp())
    return pages.guard


class OnBus:
    """Definitions of endpoints, on the bus of *service*."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def keys(self) -> Mapping[str, Secret]:
        """Return the secrets of `[discovery.keys]` in force."""
        return self._service.settings.discovery.keys

    async def last(self, name: str) -> Versioned[EndpointDefined] | None:
        """Return the last definition of the endpoint *name*."""
        return await definitions.last(self._service.bus, name)

    async def history(self, name: str) -> Sequence[EndpointDefined | EndpointAppeared]:
        """Return the changes of the endpoint *name*, oldest first."""
        return await definitions.history(self._service.bus, name)

    async def define(self, name: str, change: Change, author: Author, *, expected: int) -> int:
        """Publish *change*; return its sequence. Raises RequestError if another came meanwhile, and NoAnswer."""
        try:
            async with asyncio.timeout(_STORED_WITHIN_S):
                await definitions.define(self._service.bus, name, change, author, expected=expected)
                held = await self.last(name)
        except (nats.errors.Error, TimeoutError) as error:
            message = "NATS did not store the change: it is away, or its accounts are of an older version"
            raise NoAnswer(code="not_stored", message=message) from error
        return held.sequence if held else 0


def _judging(settings: Settings) -> Judging:
    return Judging(settings.evaluating.judge, known(settings.recommend.use_cases))


@asynccontextmanager
async def serve(settings: Settings) -> AsyncIterator[Service]:
    """Run the console while the context is open."""
    console = settings.console
    tokens = keys(console)
    async with open_service("console", settings) as service:
        judging = _judging(settings)

        async def take_on(changed: Settings) -> None:
            nonlocal judging
            judging = _judging(changed)

        changes = Changes()
        asking = Asking(service.bus.connection)
        await follow(service, changes, Redefining(asking, changes))
        sources = Sources(
            asking=asking,
            changes=changes,
            clock=service.clock,
            use_cases=lambda: list(judging.use_cases),
        )
        guard = application(
            sources,
            service.bus.publisher.enqueue,
            OnBus(service),
            lambda: judging,
            console,
            tokens,
            service.log,
        )
        service.on_reload(take_on)
        webhooks = Webhooks(service.bus)
        service.on_reload(webhooks.take_on)
        service.before_closing(webhooks.finish)
        await service.start()
        await webhooks.open(settings)
        async with web.listening(
            guard,
            console.host,
            CONSOLE_PORT if console.port is None else console.port,
            section="console",
            closing_s=_CLOSING_S,
        ) as url:
            service.log.info("console.listening", url=url)
            try:
                yield service
            finally:
                changes.end()
