"""How services, agents and commands connect to NATS."""

import asyncio
import re
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import unquote

import nats.errors
import nats.js.errors
from nats.aio.client import Client as NatsClient

from vedette.errors import BusUnreachable, ConfigurationError
from vedette.settings import Nats

# A few attempts in quick succession: an operator with a mistyped URL should not wait.
_GIVE_UP_SOON: dict[str, Any] = {"max_reconnect_attempts": 3, "reconnect_time_wait": 0.1}
_CLOSE_TIMEOUT_S = 1.0
_READ_RIGHT = re.compile(r"[\w.~-]+:[\w.~-]*|[^:]*")  # user and password of plain characters, or a token
_SCHEMES = ("nats", "tls", "ws", "wss")
# With the default number of attempts, a client gives up silently and receives nothing. With the default pings, it
# takes minutes to detect a half-open connection.
RECONNECT_UNLIMITED: dict[str, Any] = {
    "max_reconnect_attempts": -1,
    "reconnect_time_wait": 1,
    "ping_interval": 5,
    "max_outstanding_pings": 2,
    "drain_timeout": 5,
}
# nats-py raises these errors for messages with headers or subjects that are not UTF-8.
UNREADABLE: tuple[type[Exception], ...] = (ValueError, LookupError)


def servers(url: str) -> tuple[list[str], tuple[str, str] | None]:
    """Return the servers in *url*, separated by commas, and the user and password in it, if any.

    User and password may be percent-encoded or plain, and end at the last @. They stay in the URL if nats-py reads them
    correctly: a plain login, a token, or different users. Raises ConfigurationError for another scheme.
    """
    between = r",(?=\s*\w+://|\s*$)" if "@" in url else ","  # a password may contain a comma
    named = [_parts(one.strip()) for one in re.split(between, url) if one.strip()]
    if any(scheme not in _SCHEMES for scheme, _, _ in named):
        raise _no_nats(url)
    logins = {login for _, login, _ in named if login}
    if len(logins) != 1 or _READ_RIGHT.fullmatch(login := logins.pop()):
        return [f"{scheme}://{f'{login}@' if login else ''}{place}" for scheme, login, place in named], None
    user, _, password = login.partition(":")
    return [f"{scheme}://{place}" for scheme, _, place in named], (unquote(user), unquote(password))


def _no_nats(url: str) -> ConfigurationError:
    problem = "is not the URL of a NATS server, such as nats://127.0.0.1:4222"
    return ConfigurationError(where=without_secrets(url), problem=problem)


def _parts(url: str) -> tuple[str, str, str]:
    """Return the scheme of *url*, the part before its @, and the rest."""
    scheme, separator, rest = url.partition("://")
    login, _, place = (rest if separator else url).rpartition("@")
    return scheme.lower() if separator else "nats", login, place


def without_secrets(url: str) -> str:
    """Return *url* (one or several) without user, password and query, because the query may hold a password."""
    return ",".join(_without_secrets(one) for one in re.split(r",(?=\s*\w+://)", url))


def _without_secrets(url: str) -> str:
    scheme, separator, rest = url.rpartition("://")
    # The URL of a file has no host, so its @ belongs to the path.
    place = rest if rest.startswith("/") else rest.rpartition("@")[2]
    return f"{scheme}{separator}{place.partition('?')[0]}"


def tls(settings: Nats) -> ssl.SSLContext | None:
    """Return the TLS context with the certificate settings of *settings*; None if they have none.

    Raises ConfigurationError if the file of authorities cannot be read.
    """
    if settings.ca_file is None:
        return None
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(where="nats.ca_file", problem=f"{settings.ca_file}: {error}") from error


def _refused(error: BaseException) -> bool:
    """Return whether the server refused the credentials."""
    return isinstance(error, nats.errors.AuthorizationError) or "uthorization" in str(error)


def why(error: BaseException) -> str:
    """Return the reason, in words, why a connection to NATS failed."""
    text = str(error).strip("' ") or type(error).__name__
    if _refused(error):
        return "refused these credentials"
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return "no NATS server answered in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({error.verify_message}); "
            "set nats.ca_file, or --ca-file of a command, to its certificate authority"
        )
    if isinstance(error, nats.js.errors.ServiceUnavailableError):
        return "JetStream is not switched on there, or is not available now"
    if isinstance(error, nats.js.errors.NotFoundError):
        return 'Vedette\'s streams are not there yet; "vedette provision" makes them'
    if isinstance(error, ConnectionRefusedError):
        return "no NATS server listens there"
    return f"no NATS server answers ({text})"


async def open_connection(
    settings: Nats,
    *,
    name: str,
    reconnect: bool = False,
    timeout_s: float = 5.0,
    current_url: Callable[[], str | None] = lambda: None,
    inbox: str | None = None,
) -> NatsClient:
    """Return a connection, made within *timeout_s* (s). With *reconnect*, it reconnects after breaks.

    *inbox* is the prefix of reply subjects, for a login that may not receive on any subject. Each attempt to reconnect
    uses the URL that *current_url* returns, if any. Raises BusUnreachable with the URL (without secrets) and the
    reason, and ConfigurationError for an invalid URL.
    """
    url = settings.url or ""
    connection = NatsClient()
    attempts = _Attempts(connection, current_url)
    try:
        named, url_login = servers(url)
        async with asyncio.timeout(timeout_s):
            await connection.connect(
                named,
                name=name,
                error_cb=attempts.failed,
                disconnected_cb=attempts.follow_url,
                connect_timeout=max(3, round(timeout_s / 2)),  # of one attempt: a second one is possible
                **_options(settings, url_login, reconnect=reconnect, inbox=inbox),
            )
    except (TimeoutError, nats.errors.Error, OSError, ValueError) as error:
        if "connect url" in str(error):  # nats-py reports an unreadable URL only by this text
            raise _no_nats(url) from error
        # nats-py does not close the socket of a refused connection, or of one whose TLS handshake failed.
        with suppress(nats.errors.Error, OSError, TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await close(connection)
        raise BusUnreachable(url=without_secrets(url), problem=why(attempts.reason or error)) from error
    if problem := in_plain_text(connection, settings):
        await close(connection)
        raise BusUnreachable(url=without_secrets(url), problem=problem)
    connection.options.update(RECONNECT_UNLIMITED)
    skip_unreadable(connection)
    return connection


class _Attempts:
    """The attempts of one connection: the errors of the last ones, and the URL of the next one."""

    def __init__(self, connection: NatsClient, current_url: Callable[[], str | None]) -> None:
        self._connection = connection
        self._current_url = current_url
        self._failures: deque[Exception] = deque(maxlen=8)  # attempts continue without end

    @property
    def reason(self) -> Exception | None:
        """The reason of the failure, from the errors of the attempts. nats-py only says that no server is left."""
        # A server that refuses closes at once, and its reset may come before its message: take the first with a
        # message.
        last = self._failures[-1] if self._failures else None
        return next(filter(_refused, self._failures), last)

    async def failed(self, error: Exception) -> None:
        """Store the *error* of a failed attempt."""
        self._failures.append(error)
        await self.follow_url()

    async def follow_url(self) -> None:
        """Make the next attempt use the current URL."""
        if self._connection.is_connected or self._connection.is_closed:
            return
        current = self._current_url()
        if current is not None and current not in (uri.geturl() for uri in self._connection.servers):
            self._connection.set_server_pool([current])


def _options(
    settings: Nats, url_login: tuple[str, str] | None, *, reconnect: bool, inbox: str | None
) -> dict[str, Any]:
    """Return options for nats-py: the configured login, else the one in the URL. Raises ConfigurationError."""
    options: dict[str, Any] = {**RECONNECT_UNLIMITED, **_GIVE_UP_SOON, "allow_reconnect": reconnect}
    if settings.credentials:
        options["user_credentials"] = settings.credentials
    if login := settings.login or (None if settings.credentials else url_login):
        options["user"], options["password"] = login
    if context := tls(settings):
        options["tls"] = context
    if inbox is not None:
        options["inbox_prefix"] = inbox
    return options


def in_plain_text(connection: NatsClient, settings: Nats) -> str | None:
    """Return a problem if *settings* require TLS but the server offers none: nats-py 2.16 would connect without TLS."""
    current = connection.connected_url
    wanted = settings.ca_file is not None or (current is not None and current.scheme == "tls")
    if not wanted or connection._server_info.get("tls_required"):
        return None
    return "the server offers no TLS, but tls:// or nats.ca_file requires it; switch it on there, or write nats://"


def skip_unreadable(connection: NatsClient) -> None:
    """Make *connection* skip messages that cannot be read, and report them as errors.

    nats-py 2.16 stops reading at the first such message, and any agent may send one.
    """
    process = connection._process_msg

    async def process_or_skip(sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        try:
            await process(sid, subject, reply, data, headers)
        except UNREADABLE as error:
            await connection._error_cb(error)

    connection._process_msg = process_or_skip  # type: ignore[method-assign]


async def barrier(connection: NatsClient) -> None:
    """Return when the server has processed all earlier subscriptions and published messages.

    This takes two flushes, because nats-py sends the first PING before messages that still wait.
    """
    await connection.flush()
    await connection.flush()


async def close(connection: NatsClient) -> None:
    """Close *connection*, even if its server is already gone."""
    await _unless_cancelled(connection.close())


async def drain(connection: NatsClient) -> None:
    """Drain and close *connection*, even if its server is already gone."""
    await _unless_cancelled(connection.drain())


async def _unless_cancelled(closing: Awaitable[None]) -> None:
    """Await *closing*; raise CancelledError only if this task is cancelled.

    nats-py 2.16 also raises it from `close` while it begins to reconnect: `close` cancels the reconnection, and with it
    the future of the closed socket, for which it then waits (Client._close).
    """
    try:
        await closing
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise


@asynccontextmanager
async def connect(
    settings: Nats, *, name: str, reconnect: bool = False, timeout_s: float = 5.0
) -> AsyncIterator[NatsClient]:
    """Open a connection within *timeout_s*; drain it on the way out. Raises BusUnreachable."""
    connection = await open_connection(settings, name=name, reconnect=reconnect, timeout_s=timeout_s)
    try:
        yield connection
    finally:
        with suppress(nats.errors.Error, TimeoutError):
            await drain(connection)
