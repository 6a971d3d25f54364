"""A service: a FastStream application on its own connection, with a catalogue, jobs and queries.

A service's `app.py` opens one with `open_service`, adds its handlers, calls `start`, and yields it. At the end, the
service takes no new messages, returns unfinished jobs to the queue, replies to accepted queries, and closes.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import msgspec
import nats.errors
from faststream import AckPolicy, FastStream
from faststream.nats import NatsBroker, NatsCredentials, NatsRouter, NatsSecurity, NatsUserPassword
from nats.aio.client import Client as NatsClient
from nats.micro.request import Request
from nats.micro.service import EndpointConfig, ServiceConfig
from nats.micro.service import Service as MicroService

from vedette import __version__, log, tracing
from vedette.bus import permissions
from vedette.bus.bus import Bus
from vedette.bus.connection import (
    RECONNECT_UNLIMITED,
    barrier,
    drain,
    in_plain_text,
    servers,
    skip_unreadable,
    tls,
    why,
    without_secrets,
)
from vedette.bus.following import Following
from vedette.bus.provisioning import ensure_durable, provision
from vedette.clock import SystemClock
from vedette.errors import BusUnreachable, ConfigurationError, NoAnswer, RequestError
from vedette.messages.catalogue import Catalogue
from vedette.messages.channels import DURABLES
from vedette.messages.codec import encode
from vedette.messages.consumers import Durable
from vedette.messages.declaring import Query
from vedette.messages.documents.schemas import schema
from vedette.messages.events import Event, Job
from vedette.messages.queries import ErrorReply
from vedette.runtime import telemetry
from vedette.runtime.askers import REQUEST_INFO, Requests
from vedette.runtime.connection_errors import ConnectionErrors
from vedette.runtime.loop import quieten_libraries
from vedette.runtime.routes import EventCodec, counted, reporting_end, right_clock, traced
from vedette.settings import Nats, Settings

# From subject and request of a query to its reply. If it is awaited, the next request on that subject waits.
Answer = Callable[[str, bytes], bytes | Awaitable[bytes]]
# The same, with the account of the client, or None if the server does not report it.
AnswerTo = Callable[[str, bytes, str | None], bytes | Awaitable[bytes]]
Serve = Callable[[Settings], AbstractAsyncContextManager["Service"]]
# A cold broker needs time if fifty services start at once. A missing broker should be reported soon.
_CONNECT_TIMEOUT_S = 10.0
_DRAIN_TIMEOUT_S = 5.0
_ANSWERS_WITHIN_S = 2.0
_PONG_TIMEOUT_S = 60
_FORGET_EVERY_S = 3600.0


class Service:
    """A running service: its handlers, its readiness, and its end."""

    def __init__(
        self, name: str, settings: Settings, broker: NatsBroker, bus: Bus, errors: ConnectionErrors
    ) -> None:
        self.name = name
        self.errors = errors
        self.settings = settings
        self.clock = bus.clock
        self.bus = bus
        self.log = bus.log
        self.catalogue = Catalogue()
        self._broker = broker
        self._app = FastStream(broker, logger=None)
        self._followings: list[Following] = []
        self._work: list[Coroutine[Any, Any, None]] = []
        self._micro: MicroService | None = None
        self._answered: set[str] = set()
        self._checks: list[telemetry.Check] = []
        self._notes: list[telemetry.Check] = []
        self._last: list[Callable[[], Awaitable[None]]] = []
        self._reload: list[Callable[[Settings], Awaitable[None]]] = []
        self._started = False
        self._stopping = False
        self._pong: asyncio.Future[None] | None = None
        self._asked_on = 0  # the connection (number of reconnects) of the last flush

    def include(self, router: NatsRouter) -> None:
        """Add the routes of *router* to the service."""
        self._broker.include_router(router)

    def consume(self, durable: Durable, consume: Callable[[Durable], Coroutine[Any, Any, None]]) -> None:
        """Run *consume* as a task of the service; it reads the messages of *durable* itself."""
        self.bus.spawn(consume(durable))

    def check(self, check: telemetry.Check) -> None:
        """Add *check* to the readiness of this service."""
        self._checks.append(check)

    def note(self, note: telemetry.Check) -> None:
        """Add *note* to the notes for the operator, ready or not."""
        self._notes.append(note)

    async def notes(self) -> str | None:
        """Return the notes for the operator, or None."""
        return "; ".join([said for note in self._notes if (said := await note())]) or None

    def on_reload(self, take_on: Callable[[Settings], Awaitable[None]]) -> None:
        """Call *take_on* with new settings while the service runs.

        *take_on* must raise VedetteError, and change nothing, if it cannot apply them.
        """
        self._reload.append(take_on)

    async def reload(self, settings: Settings) -> None:
        """Apply *settings*. Raises VedetteError."""
        for take_on in self._reload:
            await take_on(settings)
        self.settings = settings

    def before_closing(self, last: Callable[[], Awaitable[None]]) -> None:
        """Call *last* when this service stops: after all its tasks have ended, while NATS is still connected."""
        self._last.append(last)

    async def follow(self, *streams: tuple[str, str], then: Callable[[Event], object] | None = None) -> None:
        """Keep the catalogue current from *streams* (name and subject); return when it is warm.

        *then* is called after each event that changed the catalogue. Raises TimeoutError.
        """

        def apply(event: Event, sequence: int) -> None:
            if self.catalogue.apply(event, sequence) and then is not None:
                then(event)

        for stream, subject in streams:
            following = await self.bus.followings.follow(stream, subject, apply)
            self._followings.append(following)
        for following in self._followings:
            await following.until_warm()
        self.bus.spawn(self._forget_lost())

    async def _forget_lost(self) -> None:
        """Until cancelled, drop models from the catalogue that were lost before the start of the history."""
        keep = timedelta(days=self.settings.database.retention_days)
        while True:
            if not await self.clock.trouble():
                self.catalogue.forget_lost(self.clock.now() - keep)
            await asyncio.sleep(_FORGET_EVERY_S)

    async def work(
        self,
        durable: Durable,
        handle: Callable[[Job], Awaitable[None]],
        *,
        concurrency: int,
        timeout_s: float,
    ) -> None:
        """Handle the jobs of *durable* from `start` on; at once if this service has started."""
        await ensure_durable(self.bus.connection, durable)
        if durable not in DURABLES:
            self.bus.watchdog.watch(durable)

        async def handle_and_count(job: Job) -> None:
            def ended(outcome: str) -> None:
                telemetry.JOBS.labels(self.name, job.kind, outcome).inc()
                self.log.info("job.handled", subject=job.subject, outcome=outcome)

            with reporting_end(ended, done="done"), telemetry.JOB_SECONDS.labels(self.name, job.kind).time():
                await handle(job)

        working = self.bus.jobs.work(durable, handle_and_count, concurrency=concurrency, timeout_s=timeout_s)
        if self._started:
            self.bus.spawn(working)
        else:
            self._work.append(working)

    async def answer(self, queries: Iterable[Query[Any, Any]], answer: Answer) -> None:
        """Reply to *queries* by *answer* through the NATS Services API, in one queue group with the other replicas.

        May be called several times, with other queries.
        """
        await self.answer_to(queries, lambda subject, payload, _: answer(subject, payload))

    async def answer_to(self, queries: Iterable[Query[Any, Any]], answer: AnswerTo) -> None:
        """Reply to *queries* as `answer` does; *answer* also gets the account of the client."""
        if self._micro is None:
            self._micro = self._micro_service()
            await self._micro.start()
        for query in queries:
            assert query.subject not in self._answered, f"{query.subject} is answered twice"  # noqa: S101 - a slip of ours
            self._answered.add(query.subject)
            await self._micro.add_endpoint(
                EndpointConfig(
                    name=query.subject.replace(".", "-"),
                    subject=query.subject,
                    handler=self._responder(query.subject, answer),
                    metadata=_schemas(query),
                )
            )

    def _micro_service(self) -> MicroService:
        connection: Any = Requests(self.bus.connection, self._refuse)
        return MicroService(
            connection,
            ServiceConfig(
                name=f"vedette-{self.name}",
                version=__version__,
                description=f"The {self.name} of Vedette: which language model to use now, and why.",
                metadata={"project": "vedette"},
                queue_group=self.name,
                stats_handler=lambda _: {},
            ),
        )

    def _refuse(self, subject: str) -> None:
        telemetry.REQUESTS_REFUSED.labels(subject).inc()

    def _responder(self, subject: str, answer: AnswerTo) -> Callable[[Request], Awaitable[None]]:
        answered, refused, failed = (
            telemetry.REQUEST_SECONDS.labels(subject, outcome) for outcome in ("ok", "refused", "failed")
        )

        async def respond(request: Request) -> None:
            with tracing.span("process", subject, service=self.name, headers=request.headers or {}):
                await reply_to(request)

        async def reply_to(request: Request) -> None:
            began = time.perf_counter()
            try:
                who = request.headers.get(REQUEST_INFO) if request.headers else None
                reply = answer(subject, request.data, who)
                await request.respond(reply if isinstance(reply, bytes) else await reply)
                answered.observe(time.perf_counter() - began)
            except RequestError as error:
                refused.observe(time.perf_counter() - began)
                status = "503" if isinstance(error, NoAnswer) else "400"
                await request.respond_error(status, _one_line(error.message), encode(ErrorReply.of(error)))
            except Exception as error:
                failed.observe(time.perf_counter() - began)
                self.log.error("request.failed", subject=subject, exc_info=error)
                internal = RequestError(code="internal", message="the query could not be answered")
                await request.respond_error("500", internal.message, encode(ErrorReply.of(internal)))

        return respond

    async def start(self) -> None:
        """Start to take events and jobs."""
        await self._app.start()
        for work in self._work:
            self.bus.spawn(work)
        self._started = True
        self.bus.spawn(self.bus.watchdog.run())
        self.bus.spawn(self.bus.publisher.keep_writing())
        telemetry.WRITES_REFUSED.labels(self.name).set_function(self.refusing_for)
        self.bus.publisher.on_stored = telemetry.WRITE_SECONDS.labels(self.name).observe
        self.bus.spawn(self.clock.run(telemetry.CLOCK_OFFSET.labels(self.name, "nats").set))
        await barrier(self.bus.connection)
        self.log.info("service.started")

    @property
    def fatal(self) -> "asyncio.Future[None]":
        """Gets the error after which this service cannot continue."""
        return self.bus.fatal

    def on_closed(self) -> None:
        """Fail if the connection to NATS was closed permanently, unless this service is stopping."""
        if not self._stopping:
            self.bus.fail(BusUnreachable(url="NATS", problem="the connection was closed for good"))

    def refusing_for(self) -> float:
        """Return how long the broker has refused writes of this service (s); 0 if it accepts them."""
        return self.bus.publisher.refusing_for()

    async def ready(self) -> str | None:
        """Return None if this service can do its work, else the problem."""
        if self._stopping:
            return "stopping"
        if self.bus.fatal.done():
            return str(self.bus.fatal.exception())
        if not all(following.warm.is_set() for following in self._followings):
            return "not warm yet"
        if not self.bus.connection.is_connected:
            return self.errors.away()
        if not await self._nats_answers():
            return "NATS does not answer"
        if problem := self.bus.watchdog.silence() or self.bus.publisher.write_problem():
            return problem
        if problem := await self.clock.trouble():
            return problem
        for check in self._checks:
            if problem := await check():
                return problem
        return None

    async def _nats_answers(self) -> bool:
        # Called only while connected: while nats-py looks for a server, it reports a flush as done at once.
        connection = self.bus.connection
        # One flush at a time, and none is cancelled: nats-py 2.16 stops reading at the reply to a cancelled flush. A
        # silent connection is closed before that. A new connection does not deliver replies to requests of the earlier
        # one.
        if self._pong is None or self._pong.done() or self._asked_on != connection.stats["reconnects"]:
            self._asked_on = connection.stats["reconnects"]
            self._pong = asyncio.ensure_future(connection.flush(timeout=_PONG_TIMEOUT_S))
            self._pong.add_done_callback(lambda pong: pong.cancelled() or pong.exception())
        await asyncio.wait([self._pong], timeout=_ANSWERS_WITHIN_S)
        return self._pong.done() and not self._pong.cancelled() and self._pong.exception() is None

    async def stop(self) -> None:
        """Take no new messages, return unfinished jobs to the queue, reply to accepted queries, and close."""
        self._stopping = True
        await self.bus.close()
        for last in self._last:
            await _within(last())
        # Pull subscribers are stopped, not drained: after a fetch that timed out, nats-py counts wrongly, and a drain
        # would wait without end.
        await asyncio.gather(*(_within(subscriber.stop()) for subscriber in self._broker.subscribers))
        # Draining the connection also drains the micro service's subscriptions. Its own stop would drop requests.
        await _within(drain(self.bus.connection))
        await _within(self._app.stop())
        if self._pong is not None:
            self._pong.cancel()  # only now, because the drain still needs the reading
        self.log.info("service.stopped")


async def _within(work: Awaitable[Any]) -> None:
    # It is no failure if the broken or drained connection is closed already.
    with suppress(TimeoutError, nats.errors.Error):
        try:
            async with asyncio.timeout(_DRAIN_TIMEOUT_S):
                await work
        except* nats.errors.Error:
            pass


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500]


def _schemas(query: Query[Any, Any]) -> dict[str, str]:
    return {
        "description": query.doc,
        "request_schema": msgspec.json.encode(schema(query.request)).decode(),
        "reply_schema": msgspec.json.encode(schema(query.reply)).decode(),
    }


def _security(settings: Nats, url_login: tuple[str, str] | None) -> NatsSecurity:
    """Return the login of a service: as configured, else *url_login*, the user and password in the URL."""
    context = tls(settings)
    if settings.credentials:
        return NatsCredentials(settings.credentials, ssl_context=context)
    if login := settings.login or url_login:
        return NatsUserPassword(*login, ssl_context=context)
    return NatsSecurity(ssl_context=context)


def _broker(name: str, settings: Nats, **callbacks: Any) -> NatsBroker:
    """Return an unconnected FastStream broker for the service *name*. Raises ConfigurationError."""
    named, url_login = servers(settings.url or "")
    return NatsBroker(
        named,
        name=f"vedette-{name}",
        inbox_prefix=permissions.inbox(name),
        apply_types=False,
        serializer=None,
        codec=EventCodec(),
        logger=None,
        ack_policy=AckPolicy.NACK_ON_ERROR,
        security=_security(settings, url_login),
        **callbacks,
        **RECONNECT_UNLIMITED,
    )


async def _connected(broker: NatsBroker, settings: Nats, errors: ConnectionErrors) -> NatsClient:
    """Connect *broker*; return its connection. Raises BusUnreachable."""
    url = without_secrets(settings.url or "")
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            connection = await broker.connect()
            if problem := in_plain_text(connection, settings):
                await broker.stop()
                raise BusUnreachable(url=url, problem=problem)
            skip_unreadable(connection)
            errors.connected()
    except (TimeoutError, nats.errors.Error, OSError) as error:
        raise BusUnreachable(url=url, problem=why(errors.last or error)) from error
    return connection


@asynccontextmanager
async def open_service(name: str, settings: Settings) -> AsyncIterator[Service]:
    """Connect the service *name* and yield it without handlers; stop it at the end.

    Raises BusUnreachable if no NATS server replies, or none accepts the login.
    """
    if settings.nats.url is None:
        raise ConfigurationError(where="nats.url", problem='not set; "vedette up" starts a private server')
    quieten_libraries()
    logger = log.logger(name)
    errors = ConnectionErrors()
    service: Service | None = None

    async def on_error(error: Exception) -> None:
        if problem := errors.take(error):
            logger.warning("nats.error", error=problem)

    async def on_reconnected() -> None:
        errors.connected()

    async def on_closed() -> None:
        if service is not None:
            service.on_closed()

    broker = _broker(
        name, settings.nats, error_cb=on_error, reconnected_cb=on_reconnected, closed_cb=on_closed
    )
    connection = await _connected(broker, settings.nats, errors)
    bus = Bus(connection, name=name, clock=SystemClock(), log=logger)
    # From the outermost to the innermost.
    for middleware in (traced(name), bus.backoff.middleware(), counted(name, logger), right_clock(bus.clock)):
        broker.add_middleware(middleware)
    for durable in DURABLES:
        if durable.service == name:
            bus.watchdog.watch(durable)
    service = Service(name, settings, broker, bus, errors)
    try:
        if settings.nats.provision:
            await provision(connection, settings)
            await bus.drop_future_probes()
        yield service
    finally:
        await service.stop()
