"""Runs services in one process until it is stopped: all (`vedette up`) or some (`vedette run`)."""

import asyncio
import gc
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import nats.errors
from msgspec import Struct

from vedette import log, tracing
from vedette.bus.bus import Bus
from vedette.bus.connection import connect, why, without_secrets
from vedette.bus.provisioning import provision
from vedette.cancelling import cancel
from vedette.clock import SystemClock
from vedette.errors import BusUnreachable, ConfigurationError
from vedette.local import instance, private
from vedette.local.instance import Connection
from vedette.runtime import nats_server, telemetry, web
from vedette.runtime.apart import Apart
from vedette.runtime.apart import serve as serve_apart
from vedette.runtime.defining import Defining, following
from vedette.runtime.nats_server import NatsServer
from vedette.runtime.reloading import Reloading
from vedette.runtime.service import Serve, Service
from vedette.runtime.stopping import Stopped
from vedette.runtime.waiting import Start, insist
from vedette.settings import CONSOLE_PORT, GATEWAY_PORT, Nats, Secret, Settings, Source

# The start order of services; those of other packages follow. They stop in reverse order, so that the recommender and
# the recorder still work while the others finish.
_ORDER = ("recorder", "recommender", "gateway", "console", "benchmarker", "prober", "discoverer", "ticker")
# Services keep objects for long. With Python's defaults (700, 10, 10), garbage collection runs many times in each batch
# of the recorder, takes a tenth of its time (docs/benchmarks.md), and finds nothing.
COLLECT_AFTER = (20_000, 20, 100)
# Services with a process of their own: other work must not delay a recommendation, nor a page a measurement (ADR 0021).
_APART = ("recommender", "console", "gateway")
# Services that the others do not need: if one ends, it is started again.
_REPLACED = ("console", "gateway")
# Default ports of services with a page or an API, and the file with the token of the console's operator.
PORTS = {"console": CONSOLE_PORT, "gateway": GATEWAY_PORT}
_CONSOLE_TOKEN = "console-token"  # noqa: S105 - a file's name
# Interval of checks of the private server, and how long it may refuse writes before it is restarted.
_TEND_EVERY_S = 5.0
_RESTART_AFTER_S = 10.0
# How long the gateway's replies may continue after Ctrl-C.
GATEWAY_CLOSING_S = 3
# The name of a service is printed if its start takes longer.
_SLOW_S = 2.0


def service_names() -> list[str]:
    """Return the names of all installed services, in their start order."""
    return sorted((point.name for point in _points()), key=_rank)


@cache  # installed packages do not change, and reading their metadata is slow
def _points() -> list[EntryPoint]:
    return list(entry_points(group="vedette.services"))


def _rank(name: str) -> tuple[int, str]:
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)


def _load(name: str) -> Serve:
    for point in _points():
        if point.name == name:
            serve: Serve = point.load()
            return serve
    raise ConfigurationError(
        where=f"service {name!r}", problem=f"not installed; installed: {', '.join(service_names())}"
    )


class Running(Struct, frozen=True, kw_only=True):
    """Services that are warm, and how to reach them."""

    connection: Connection
    services: tuple[Service | Apart, ...]
    nats_place: str  # for people: NATS's address, without credentials
    reloading: Reloading | None = None  # None: no configuration is watched
    defining: Defining | None = None  # None: no definitions are followed

    async def until_failure(self) -> None:
        """Wait; raise the error of the first service that cannot continue."""
        fatal = [service.fatal for service in self.services]
        if self.defining:
            fatal.append(self.defining.bus.fatal)
        await asyncio.wait(fatal, return_when=asyncio.FIRST_COMPLETED)
        for one in fatal:
            if one.done():
                one.result()


@asynccontextmanager
async def up(
    settings: Settings,
    directory: Path,
    *,
    say: Callable[[str], None] = lambda _: None,
    source: Source | None = None,
) -> AsyncIterator[Running]:
    """Run every service on a private nats-server, or on the one in *settings*; yield when all are warm.

    *say* is called with a line about each started part. *source* is the source of the settings, to reload them. Raises
    StateDirectoryError, ConfigurationError, BusUnreachable.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(instance.hold(directory))
        named = {f"{name}.port" for name in PORTS if getattr(settings, name).port}
        usual = {name: port for name, port in PORTS.items() if getattr(settings, name).port is None}
        settings = _hurried(settings)
        settings = _with_ports(_with_token(with_database(settings, directory), directory))
        room_bytes = instance.room(directory)
        server = None
        if settings.nats.url is None:
            server = await stack.enter_async_context(
                nats_server.run(directory / "nats", port=settings.nats.port, say=say)
            )
            async with connect(
                Nats(url=server.url("operator")), name="vedette-up", timeout_s=nats_server.OWN_TIMEOUT_S
            ) as connection:
                await provision(connection, settings, room_bytes=room_bytes)
                bus = Bus(connection, name="operator", clock=SystemClock(), log=log.logger("operator"))
                await bus.drop_future_probes()
        else:
            # Services wait long for a server that is starting. A wrong URL must be reported soon.
            async with connect(settings.nats, name="vedette-up"):
                pass
        try:
            running = await stack.enter_async_context(
                run(settings, wanted(settings), server=server, source=source, say=say, apart=_APART)
            )
        except ConfigurationError as error:
            section, _, key = str(error.where).partition(".")
            if section not in PORTS or key != "port" or error.where in named:
                raise
            # Another Vedette that starts at the same time has the directory.
            settings = _at_port(settings, section, _free_port(getattr(settings, section).host))
            running = await stack.enter_async_context(
                run(settings, wanted(settings), server=server, source=source, say=say, apart=_APART)
            )
        if server is not None:
            await stack.enter_async_context(_tended(server, running.services, directory, say))
        stack.enter_context(instance.announced(directory, running.connection))
        say(f"NATS      {running.nats_place}")
        say(f"history   {without_secrets(running.connection.database_url)}")
        say(f"health    {running.connection.health_url}/readyz")
        if running.connection.console_url:
            note = elsewhere(running.connection.console_url, usual.get("console"))
            say(f"console   {running.connection.console_url}{note}")
        if running.connection.gateway_url:
            note = elsewhere(running.connection.gateway_url, usual.get("gateway"))
            say(f"gateway   {running.connection.gateway_url}/v1 for OpenAI clients; model vedette/auto{note}")
        yield running


@asynccontextmanager
async def run(
    settings: Settings,
    names: list[str],
    *,
    server: NatsServer | None = None,
    source: Source | None = None,
    say: Callable[[str], None] = lambda _: None,
    apart: Sequence[str] = (),
    patient: bool = False,
) -> AsyncIterator[Running]:
    """Run the services *names* on the NATS server of *settings*, or on *server* with one user for each service.

    Services in *apart* get their own process. Yields when all are warm. Health and metrics are served from the start.
    If *patient*, services wait for what they need and do not find.
    """
    gc.set_threshold(*COLLECT_AFTER)
    async with AsyncExitStack() as stack:
        stack.enter_context(tracing.exporting())
        starts = {name: Start(name, say) for name in sorted(names, key=_rank)}
        checks = {name: start.ready for name, start in starts.items()}
        notes: dict[str, telemetry.Check] = {name: start.notes for name, start in starts.items()}
        others: list[str] = []
        health_url = await stack.enter_async_context(telemetry.serve(settings.http, checks, notes, others))
        if patient:
            await _until_reached(settings.nats, starts)
        # Before any service reads endpoints: else one defined at run time would look removed.
        login = _as_user(settings, server, "operator").nats if server else settings.nats
        defining = await _define(login, starts, stack, patient=patient) if source else None
        if defining is not None:
            settings = defining.overlay(settings)
        services: list[Service | Apart] = []
        for name, start in starts.items():
            chosen = _as_user(settings, server, name) if server else settings
            with _said_if_slow(say, f"starting  {name}"):
                service = await _start(name, chosen, start, stack, apart=name in apart, patient=patient)
            if isinstance(service, Apart):
                others.append(service.health_url)
            start.done(service)
            services.append(service)
        notes["permissions"] = _refused(services)
        reloading = Reloading(source, services, say, started=settings, over=defining) if source else None
        if reloading:
            notes["configuration"] = reloading.note
            notes["endpoints"] = reloading.note_of_endpoints
        file = source.file.absolute() if source and source.file.is_file() else None
        connection = _connection(settings, names, server, health_url, file)
        yield Running(
            connection=connection,
            services=tuple(services),
            nats_place=connection.server,
            reloading=reloading,
            defining=defining,
        )


def _refused(services: Iterable[Service | Apart]) -> telemetry.Check:
    """Return a check that names the *services* that lack permissions on NATS."""

    async def refused() -> str | None:
        own = {one.name: one.errors.refused() for one in services if isinstance(one, Service)}
        return "; ".join(f"{name}: {said}" for name, said in own.items() if said) or None

    return refused


def _connection(
    settings: Settings, names: Collection[str], server: NatsServer | None, health_url: str, file: Path | None
) -> Connection:
    """Return how clients reach the services *names* of this process; *file* is its configuration file."""
    agent_url = (server.url("agent") if server else settings.nats.url) or ""
    return Connection(
        nats_url=agent_url,
        server=without_secrets(agent_url),
        user=urlsplit(agent_url).username,
        password=urlsplit(agent_url).password,
        operator_url=server.url("operator") if server else agent_url,
        database_url=(settings.database.address or "") if "recorder" in names else "",
        health_url=health_url,
        console_url=_url(settings, "console") if "console" in names else "",
        gateway_url=_url(settings, "gateway") if "gateway" in names else "",
        console_token=_operator_token(settings) if "console" in names else "",
        pid=os.getpid(),
        config=str(file) if file else "",
    )


@contextmanager
def _said_if_slow(say: Callable[[str], None], line: str) -> Iterator[None]:
    """Print *line* if the work in this context is slow. On a busy machine, imports alone take seconds."""
    timer = asyncio.get_running_loop().call_later(_SLOW_S, say, line)
    try:
        yield
    finally:
        timer.cancel()


async def _until_reached(login: Nats, starts: Mapping[str, Start]) -> None:
    """Wait for the NATS server. This reports a problem sooner than the start of a service."""

    async def attempt() -> None:
        async with connect(login, name="vedette-run"):
            pass

    await insist(attempt, _all_wait(starts))


def _all_wait(starts: Mapping[str, Start]) -> Callable[[str, float], None]:
    """Return a function that sets its reason as the reason why all of *starts* wait."""

    def waits(reason: str, seconds: float) -> None:
        for start in starts.values():
            start.waits(reason, seconds)

    return waits


async def _define(
    login: Nats, starts: Mapping[str, Start], stack: AsyncExitStack, *, patient: bool
) -> Defining | None:
    """Return the followed definitions of endpoints; None if no service needs them. *stack* closes them."""

    async def attempt() -> Defining | None:
        return await stack.enter_async_context(following(login, starts))

    return await insist(attempt, _all_wait(starts)) if patient else await attempt()


async def _start(
    name: str, settings: Settings, start: Start, stack: AsyncExitStack, *, apart: bool, patient: bool
) -> Service | Apart:
    """Start the service *name* and return it; *stack* stops it. Raises BusUnreachable unless *patient*."""
    if apart:
        return await stack.enter_async_context(serve_apart(name, settings, replaced=name in _REPLACED))
    serve = await asyncio.to_thread(_load, name)  # imports take seconds on a busy machine

    async def attempt() -> Service:
        return await stack.enter_async_context(serve(settings))

    if patient:
        return await insist(attempt, start.waits)
    try:
        return await attempt()
    except nats.errors.Error as error:
        problem = f"{name} could not start: {why(error)}"
        raise BusUnreachable(url=without_secrets(settings.nats.url or ""), problem=problem) from error


@asynccontextmanager
async def _tended(
    server: NatsServer, services: Iterable[Service | Apart], directory: Path, say: Callable[[str], None]
) -> AsyncIterator[None]:
    """Restart *server* if its process ended, or if it refuses writes although its disk has room."""
    task = asyncio.create_task(_tend(server, services, directory, say))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _tend(
    server: NatsServer, services: Iterable[Service | Apart], directory: Path, say: Callable[[str], None]
) -> None:
    while True:
        await asyncio.sleep(_TEND_EVERY_S)
        refusing_s = max(service.refusing_for() for service in services)
        if server.ended:
            reason = "its process ended"
        elif refusing_s >= _RESTART_AFTER_S and not instance.why_too_small(directory):
            reason = f"it refused writes for {refusing_s:.0f} s"
        else:
            continue
        try:
            await server.restart()
        except BusUnreachable as error:
            say(f"NATS      did not restart after {reason}: {error}")
        else:
            say(f"NATS      restarted: {reason}")


async def until_stopped(running: Running, stopped: Stopped) -> None:
    """Return when the process must stop; raise if a service cannot continue. Reloads the configuration meanwhile."""
    failure = asyncio.create_task(running.until_failure())
    tasks = [failure, asyncio.create_task(stopped.wait())]
    reloading = [asyncio.create_task(running.reloading.run(stopped.hung_up))] if running.reloading else []
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if failure.done():
            failure.result()
    finally:
        await cancel(tasks + reloading)


def _as_user(settings: Settings, server: NatsServer, name: str) -> Settings:
    """Return *settings* with the login of the service *name*, or of the operator for other packages' services."""
    url = server.url(name if name in server.credentials else "operator")
    # Only the operator may create streams.
    nats = msgspec.structs.replace(settings.nats, url=url, provision=False)
    return msgspec.structs.replace(settings, nats=nats)


def with_database(settings: Settings, directory: Path) -> Settings:
    """Return *settings* with a database: SQLite in *directory* if none is configured."""
    if settings.database.url:
        return settings
    database = msgspec.structs.replace(settings.database, url=instance.database_url(directory))
    return msgspec.structs.replace(settings, database=database)


def wanted(settings: Settings) -> list[str]:
    """Return the names of the services that are enabled in *settings*."""
    return [name for name in service_names() if name not in PORTS or getattr(settings, name).enabled]


def _with_token(settings: Settings, directory: Path) -> Settings:
    """Return *settings* with a token for the console's operator, made in *directory* if none is configured."""
    if settings.console.operator_token is not None:
        return settings
    token = Secret(file=str(_token_file(directory)))
    return msgspec.structs.replace(
        settings, console=msgspec.structs.replace(settings.console, operator_token=token)
    )


def _hurried(settings: Settings) -> Settings:
    """Return *settings* with a short `closing_s` of the gateway unless configured, because a person waits."""
    gateway = settings.gateway
    closing_s = GATEWAY_CLOSING_S if gateway.closing_s is None else gateway.closing_s
    return msgspec.structs.replace(settings, gateway=msgspec.structs.replace(gateway, closing_s=closing_s))


def _with_ports(settings: Settings) -> Settings:
    """Return *settings* with a port for each service that needs one: the configured, the default, or a free one."""
    for name, usual in PORTS.items():
        section = getattr(settings, name)
        if not section.port:  # None: the default port if free; 0: a free port
            is_usual = section.port is None and web.is_free(section.host, usual)
            port = usual if is_usual else _free_port(section.host)
            settings = _at_port(settings, name, port)
    return settings


def _at_port(settings: Settings, name: str, port: int) -> Settings:
    section = msgspec.structs.replace(getattr(settings, name), port=port)
    return msgspec.structs.replace(settings, **{name: section})


def _token_file(directory: Path) -> Path:
    """Return the file with the operator's token in *directory*. It is created at the first start."""
    path = directory / _CONSOLE_TOKEN
    if not path.is_file():
        private.write_file(path, secrets.token_urlsafe(24))
    return path


def _free_port(host: str) -> int:
    with socket.create_server((host, 0), family=web.family(host)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _url(settings: Settings, name: str) -> str:
    section = getattr(settings, name)
    return web.url_of(section.host, section.port or 0)


def elsewhere(url: str, usual: int | None) -> str:
    """Return a note if *url* is not at the *usual* port, because another program has it."""
    return "" if usual is None or url.endswith(f":{usual}") else f" (another program has the port {usual})"


def _operator_token(settings: Settings) -> str:
    token = settings.console.operator_token
    return token.read("console.operator_token") if token else ""
