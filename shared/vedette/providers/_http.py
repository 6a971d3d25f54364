"""HTTP to one endpoint, limited in time and size. It translates HTTP errors to outcomes.

All requests of providers go through `Http`. `passing` and `posting` use its transport (`_transport`) directly.
"""

import asyncio
import base64
import logging
import socket
import ssl
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from copy import copy
from functools import cache
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlencode, urlsplit

import httpx
import msgspec

from vedette import __version__
from vedette.clock import Clock
from vedette.errors import ConfigurationError, ProviderError
from vedette.providers import Access, counting
from vedette.providers._brief import Brief
from vedette.providers._handshakes import NoHandshake
from vedette.providers._lenient import decoded, plain_words, text
from vedette.providers._outbound import Forbidden
from vedette.providers._refusals import context_limit, judged, wait_s
from vedette.providers._remedies import of_page, of_redirect, of_refusal
from vedette.providers._transport import Transport
from vedette.providers.addresses import http_url, query_of, socket_of
from vedette.providers.redaction import Secrets
from vedette.types import Exchange, Outcome

T = TypeVar("T")
CONNECT_TIMEOUT_S = 5.0
# Compression delays streams. A reply that is compressed nevertheless is decompressed piece by piece, up to a limit.
_HEADERS = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Connection": "keep-alive",
    "User-Agent": f"vedette/{__version__}",
}
_IDEMPOTENT = frozenset({"GET", "HEAD"})
_RACE_S = 1.0  # after this time a server may have begun to generate, so the call is not retried
_NO_HANDSHAKE = "the server did not answer the TLS handshake"
_WRITE_HTTP = "if the server speaks plain HTTP, write http:// in its url"
_WRITE_HTTPS = "if the server speaks TLS, write https:// in its url"
_TRUST = "name its authority with ca_file, or set verify = false"
# X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL.
_BY_DATE = {
    9: "check the clocks of this machine and of the server that made the certificate",
    10: "renew it on the server; if it is new, check the clock of this machine",
}
_MAX_ERROR_BYTES = 64 * 1024
_MAX_LINE_BYTES = 1024 * 1024
_PIECE_BYTES = 64 * 1024
# Compressions; zlib reads the first three. Some servers send other values ("utf-8", "none") and do not compress.
_COMPRESSIONS = ("gzip", "x-gzip", "deflate", "br", "zstd", "compress", "x-compress", "dcb", "dcz")
_READABLE = frozenset(_COMPRESSIONS[:3])
# The size of a body in a transcript, and of the part of it that is redacted first: redaction must come before the cut.
_MAX_TRANSCRIPT_CHARS = 500
_MAX_TRANSCRIPT_BYTES = 4096

# Their INFO lines print whole URLs, which can contain a key.
for _noisy in ("httpx", "httpcore"):
    logging.getLogger(_noisy).setLevel(logging.WARNING)


class Http:
    """Requests to one endpoint. Every failure is a ProviderError with its outcome.

    A request is sent again in two cases only: the server closed the idle connection that the request used, or it
    redirects to the same path with a slash at its end.
    """

    def __init__(self, access: Access, *, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self._secrets = access.redaction
        self._query = query_of(access.url)
        socket = socket_of(access.url)
        self._base = http_url(access.url).rstrip("/") + "/"
        headers = httpx.Headers(_HEADERS)  # header names ignore case, so a configured header replaces ours
        headers.update(access.headers)
        self._headers = dict(headers)
        self._headers_of_json = {**self._headers, "content-type": "application/json"}
        self._uds = socket[0] if socket else None
        self._transport = Transport(access.allowed, tls=tls(access), uds=self._uds)
        self._sends: Transport | Brief = self._transport

    @property
    def url(self) -> str:
        """The configured URL, before the path of a request; without its query and a slash at its end."""
        return self._access.url.partition("?")[0].rstrip("/")

    def brief(self) -> "Http":
        """Return a copy that keeps no connections, for load readings, which are too far apart for that."""
        other = copy(self)
        other._sends = Brief(self._transport, self._access.allowed, uds=self._uds)
        return other

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.aclose()

    async def status(self, method: str, path: str) -> int:
        """Return the HTTP status (2xx); the body is not read. Raises ProviderError, also for other statuses."""
        transcript = _Transcript(method, path, None)
        async with self._within(self._access.timeout_s, transcript), self._opened(transcript) as response:
            return response.status_code

    async def get(self, path: str) -> Any:
        """Return the decoded JSON at *path*. Raises ProviderError."""
        return (await self.call("GET", path))[0]

    async def call(
        self, method: str, path: str, body: object = None, *, deadline_s: float | None = None
    ) -> tuple[Any, httpx.Headers]:
        """Return the decoded JSON reply and its headers; *body* is sent as JSON. Raises ProviderError."""
        found, headers, _ = await self._whole(
            method, path, body, deadline_s or self._access.timeout_s, decoded
        )
        return found, headers

    async def timed(self, path: str, body: object, *, deadline_s: float) -> tuple[Any, float]:
        """POST *body* as JSON; return the decoded JSON reply, and when its last byte arrived (monotonic seconds).

        The time excludes our decoding. Raises ProviderError.
        """
        found, _, arrived_at = await self._whole("POST", path, body, deadline_s, decoded)
        return found, arrived_at

    async def text(self, path: str, *, most_bytes: int | None = None) -> str:
        """Return the text at *path*, for example metrics, of up to *most_bytes* bytes. Raises ProviderError."""
        plain, _, _ = await self._whole(
            "GET", path, None, self._access.timeout_s, lambda raw: raw.decode(errors="replace"), most_bytes
        )
        return plain

    async def _whole(
        self,
        method: str,
        path: str,
        body: object,
        deadline_s: float,
        decode: Callable[[bytes], T],
        most_bytes: int | None = None,
    ) -> tuple[T, httpx.Headers, float]:
        transcript = _Transcript(method, path, body)
        async with self._within(deadline_s, transcript), self._opened(transcript) as response:
            raw = await self._read(response, most_bytes or self._access.max_body_bytes, transcript)
            arrived_at = self._clock.monotonic()
            counting.count_bytes(len(raw))
            cleaned = self._secrets.clean(raw)
            try:
                return decode(cleaned), response.headers, arrived_at
            except ProviderError as error:
                error.remedy = error.remedy or of_page(error.detail)
                if error.outcome is not Outcome.GARBAGE or (said := plain_words(cleaned)) is None:
                    raise
                raise ProviderError(
                    error.outcome, f"{error.detail}; it says: {said}", remedy=error.remedy
                ) from error

    async def chunks(
        self, path: str, body: object, *, deadline_s: float
    ) -> AsyncGenerator[tuple[float, bytes], None]:
        """Yield (monotonic seconds, whole lines) of a streamed reply as they arrive. Raises ProviderError.

        Whole lines only, so that a secret that arrives in two pieces is redacted.
        """
        ends = self._clock.monotonic() + deadline_s
        transcript = _Transcript("POST", path, body)
        async with self._opened_within(transcript, deadline_s) as response:
            total, stream, begun = 0, _pieces(response), bytearray()
            while True:
                async with self._within(ends - self._clock.monotonic(), transcript):
                    with translated(self._access.url, broken=Outcome.INCOMPLETE):
                        chunk = await anext(stream, None)
                if chunk is None:
                    if begun:
                        yield self._clock.monotonic(), self._secrets.clean(bytes(begun))
                    return
                transcript.take(chunk)
                total += len(chunk)
                if total > self._access.max_body_bytes:
                    raise ProviderError(Outcome.TOO_LARGE, f"more than {self._access.max_body_bytes} bytes")
                end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r")) + 1
                begun += chunk[:end] if end else chunk
                if end:
                    yield self._clock.monotonic(), self._secrets.lines(bytes(begun))
                    begun = bytearray(chunk[end:])
                if len(begun) > _MAX_LINE_BYTES:
                    raise ProviderError(Outcome.TOO_LARGE, f"a line is longer than {_MAX_LINE_BYTES} bytes")

    @asynccontextmanager
    async def _opened_within(
        self, transcript: "_Transcript", deadline_s: float
    ) -> AsyncIterator[httpx.Response]:
        opened = self._opened(transcript)
        async with self._within(deadline_s, transcript):
            response = await opened.__aenter__()
        try:
            yield response
        finally:
            await opened.__aexit__(None, None, None)

    @asynccontextmanager
    async def _opened(self, transcript: "_Transcript") -> AsyncIterator[httpx.Response]:
        began = self._clock.monotonic()
        with ExitStack() as flight:
            flight.callback(lambda: counting.count_seconds(self._clock.monotonic() - began))
            if transcript.content is not None:
                flight.enter_context(counting.in_flight(self._clock.monotonic))
            response = await self._send(transcript)
            try:
                transcript.status = response.status_code
                await self._check(response, transcript)
                yield response
            finally:
                await response.aclose()

    async def _send(self, transcript: "_Transcript") -> httpx.Response:
        headers = self._headers if transcript.content is None else self._headers_of_json
        while True:
            transcript.events.clear()
            stale, began = False, self._clock.monotonic()
            try:
                with translated(self._access.url):
                    url = self._absolute(transcript.path.lstrip("/"))
                    response = await self._sends.send(
                        transcript.method,
                        url,
                        headers,
                        transcript.content,
                        connect_s=CONNECT_TIMEOUT_S,
                        trace=transcript.trace,
                    )
                    if not _only_adds_slash(response, url):
                        return response
                    await response.aclose()
                    transcript.path += "/"
            except ProviderError as error:
                # The server has closed the idle connection: retry with a new one.
                reused = not any(event.startswith("connection.") for event in transcript.events)
                soon = transcript.method in _IDEMPOTENT or self._clock.monotonic() - began < _RACE_S
                stale = reused and error.outcome is Outcome.RESET and soon
                if not stale:
                    raise
            finally:
                if transcript.is_sent and not stale:
                    counting.count()

    def _absolute(self, path: str) -> str:
        url = f"{self._base}{path}"
        return str(httpx.URL(url).copy_merge_params(self._query)) if self._query else url

    async def _check(self, response: httpx.Response, transcript: "_Transcript") -> None:
        status = response.status_code
        if _compressions(response) - _READABLE or len(_compressions(response)) > 1:
            raise ProviderError(
                Outcome.GARBAGE, "the reply is compressed, although the request allowed no compression"
            )
        if 200 <= status < 300:
            return
        if 300 <= status < 400:
            raise self._redirected(response, transcript)
        body = self._secrets.clean(await self._read(response, _MAX_ERROR_BYTES, transcript))
        refused = judged(status, response.headers, body)
        found, said = refused.outcome, refused.said
        asked = ""
        if self._query and status == httpx.codes.NOT_FOUND:  # often an unknown api-version
            asked = f" (asked for {http_url(self._access.url)} with the query {urlencode(self._query)})"
        raise ProviderError(
            found,
            f"HTTP {status}{f': {said}' if said else ''}{asked}",
            retry_after_s=wait_s(response.headers, body, self._clock.now()),
            context_tokens=context_limit(found, said, body) if 400 <= status < 500 else None,
            remedy=of_refusal(
                status,
                response.headers,
                refused,
                logged_in=self._headers.get("authorization", "").startswith("Basic "),
            ),
        )

    def _redirected(self, response: httpx.Response, transcript: "_Transcript") -> ProviderError:
        """Return the error for a redirect; it names the target, without query and secrets."""
        asked = self._absolute(transcript.path.lstrip("/"))
        place = self._without_query(response.headers.get("Location", ""))
        where = f" to {place}" if place else ""
        leads = self._without_query(_location(response, asked))
        remedy = of_redirect(self._without_query(asked), leads, transcript.path)
        seen = f"HTTP {response.status_code}: it redirects{where}, which Vedette does not follow"
        return ProviderError(Outcome.GARBAGE, seen, remedy=remedy)

    def _without_query(self, url: str) -> str:
        return text(self._secrets.redact(url).partition("?")[0], 200) or ""

    async def _read(self, response: httpx.Response, most: int, transcript: "_Transcript") -> bytes:
        raw = bytearray()
        with translated(self._access.url, broken=Outcome.INCOMPLETE):
            async for chunk in _pieces(response):
                raw += chunk
                transcript.take(chunk)
                if len(raw) > most:
                    raise ProviderError(Outcome.TOO_LARGE, f"the reply is larger than {most} bytes")
        return bytes(raw)

    @asynccontextmanager
    async def _within(self, deadline_s: float, transcript: "_Transcript") -> AsyncIterator[None]:
        """Limit the body of this context to *deadline_s*. Raises ProviderError with the transcript of the exchange."""
        # httpx's timeouts restart with every byte, so a reply of single slow bytes would never reach them.
        try:
            async with asyncio.timeout(max(0.0, deadline_s)):
                yield
        except TimeoutError as error:
            late = _NO_HANDSHAKE if transcript.is_in_handshake else "no complete reply in time"
            remedy = _WRITE_HTTP if transcript.is_in_handshake else None
            exchange = self._exchange(transcript)
            raise ProviderError(Outcome.TIMEOUT, late, exchange=exchange, remedy=remedy) from error
        except ProviderError as error:
            error.exchange = error.exchange or self._exchange(transcript)
            raise

    def _exchange(self, transcript: "_Transcript") -> Exchange:
        return Exchange(sent=transcript.sent(self._secrets), received=transcript.received(self._secrets))


class _Transcript:
    """One request, and the beginning of the reply that has arrived so far."""

    def __init__(self, method: str, path: str, body: object) -> None:
        self.method = method
        self.path = path
        self.content = None if body is None else msgspec.json.encode(body)
        self.status: int | None = None
        self.events: list[str] = []  # of the connection, as httpcore names them
        self._raw = b""

    async def trace(self, event: str, _: object) -> None:
        """Record *event* of the connection."""
        self.events.append(event)

    @property
    def is_sent(self) -> bool:
        """Whether the request went out, whole or in part."""
        return any(event.endswith("send_request_headers.complete") for event in self.events)

    @property
    def is_in_handshake(self) -> bool:
        """Whether the server has accepted the connection, but has not completed the TLS handshake."""
        begun, done = (f"connection.start_tls.{event}" in self.events for event in ("started", "complete"))
        return begun and not done

    def take(self, chunk: bytes) -> None:
        """Add *chunk* to the recorded beginning of the reply, up to 4096 bytes."""
        if len(self._raw) < _MAX_TRANSCRIPT_BYTES:
            self._raw = (self._raw + chunk)[:_MAX_TRANSCRIPT_BYTES]

    def sent(self, secrets: Secrets) -> str:
        """Return the request: method, path and the beginning of its body. Its headers are not kept."""
        body = _beginning(self.content or b"", secrets)
        return f"{self.method} /{secrets.redact(self.path).lstrip('/')} {body}".strip()

    def received(self, secrets: Secrets) -> str | None:
        """Return the reply's status and the beginning of its body, or None if no reply arrived."""
        return None if self.status is None else f"HTTP {self.status} {_beginning(self._raw, secrets)}".strip()


def _beginning(raw: bytes, secrets: Secrets) -> str:
    begun = raw[:_MAX_TRANSCRIPT_BYTES].decode(errors="replace")
    return text(secrets.redact(begun, cut=True), _MAX_TRANSCRIPT_CHARS) or ""


def basic(user: str, password: str) -> str:
    """Return the value of an Authorization header for a login by name and password."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def tls(access: Access) -> ssl.SSLContext | None:
    """Return the TLS context for *access*; None if its URL is not https. With `verify = false` it trusts any server.

    Raises ConfigurationError if `ca_file` cannot be read.
    """
    if urlsplit(access.url).scheme != "https":
        return None
    if not access.verify:
        return httpx.create_ssl_context(verify=False)
    if access.ca_file is None:
        return _system_trust()
    try:
        return ssl.create_default_context(cafile=access.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            where=f"endpoints.{access.endpoint}.ca_file", problem=f"{access.ca_file}: {error}"
        ) from error


@cache
def _system_trust() -> ssl.SSLContext:
    # Cached: with hundreds of endpoints, most of the start would go into reading the trusted authorities.
    return ssl.create_default_context()


def _compressions(response: httpx.Response) -> set[str]:
    named = response.headers.get("Content-Encoding", "").lower().split(",")
    return {name.strip() for name in named} & set(_COMPRESSIONS)


async def _pieces(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """Yield a body as it arrives, decompressed in small pieces, so that the reader can stop at its size limit."""
    if not _compressions(response):
        async for raw in response.aiter_raw():
            yield raw
        return
    by_header = zlib.MAX_WBITS | 32  # gzip or zlib
    unpacking = zlib.decompressobj(wbits=by_header)
    async for raw in response.aiter_raw():
        while True:
            try:
                piece = unpacking.decompress(raw, _PIECE_BYTES)
            except zlib.error as error:
                raise ProviderError(Outcome.GARBAGE, f"the reply cannot be decompressed ({error})") from error
            if piece:
                yield piece
            raw = unpacking.unconsumed_tail
            if (
                unpacking.eof and unpacking.unused_data
            ):  # gzip may have several members [RFC 1952, section 2.2]
                raw, unpacking = unpacking.unused_data, zlib.decompressobj(wbits=by_header)
            elif not raw and len(piece) < _PIECE_BYTES:
                break


def _location(response: httpx.Response, asked: str) -> str:
    """Return the target of a redirect from *asked* as a whole URL; empty if the reply names none."""
    named: str = response.headers.get("Location", "")
    if not named.startswith("/"):
        return named
    try:
        return str(httpx.URL(asked).join(named))
    except httpx.InvalidURL:
        return named


def _only_adds_slash(response: httpx.Response, url: str) -> bool:
    """Return whether the server redirects *url* to the same path with a slash at its end, as many frameworks do."""
    if not 300 <= response.status_code < 400:
        return False
    here = httpx.URL(url)
    if here.path.endswith("/") or here.query:
        return False
    try:
        place = here.join(response.headers.get("Location", ""))
    except httpx.InvalidURL:
        return False
    return place.path == f"{here.path}/" and not place.query


@contextmanager
def translated(url: str, *, broken: Outcome = Outcome.RESET) -> Iterator[None]:
    """Translate errors of httpx inside this context to ProviderError, whose text names *url*.

    *broken* is the outcome of a connection that breaks off.
    """
    try:
        yield
    except httpx.ConnectTimeout as error:
        is_connected = any(isinstance(cause, NoHandshake) for cause in causes(error))
        how = "connection by TLS" if is_connected else "connection"
        late = f"{url}: no {how} within {CONNECT_TIMEOUT_S:g} s"
        remedy = _WRITE_HTTP if is_connected else "check that its host is up and its port is open"
        raise ProviderError(Outcome.TIMEOUT, late, remedy=remedy) from error
    except httpx.ConnectError as error:
        raise _unconnected(url, error) from error
    except (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError) as error:
        hint = _WRITE_HTTPS if broken is Outcome.RESET and url.startswith("http:") else None
        raise ProviderError(broken, f"{url}: the connection broke off", remedy=hint) from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError) as error:
        raise ProviderError(Outcome.UNREACHABLE, f"{url}: {type(error).__name__}") from error


def _unconnected(url: str, error: httpx.ConnectError) -> ProviderError:
    found = list(causes(error))
    if forbidden := next((cause for cause in found if isinstance(cause, Forbidden)), None):
        return ProviderError(Outcome.UNREACHABLE, f"{url}: {forbidden}")
    is_reset = any(isinstance(cause, ConnectionResetError) for cause in found)
    if is_reset and url.startswith("https:"):
        return ProviderError(Outcome.RESET, f"{url}: the connection broke off")
    # A server that shuts down resets the connections that it has not accepted yet.
    if is_reset or any(isinstance(cause, ConnectionRefusedError) for cause in found):
        return ProviderError(Outcome.REFUSED, f"nothing listens at {url}")
    if any(isinstance(cause, FileNotFoundError) for cause in found):
        return ProviderError(Outcome.REFUSED, f"{url}: there is no such socket; is the server running?")
    if any(isinstance(cause, PermissionError) for cause in found):
        return ProviderError(Outcome.UNREACHABLE, f"{url}: no permission to use this socket")
    if any(isinstance(cause, socket.gaierror) for cause in found):
        return ProviderError(Outcome.UNREACHABLE, f"{url}: no such host")
    if refused := next((cause for cause in found if isinstance(cause, ssl.SSLError)), None):
        problem, remedy = _why_no_tls(refused)
        return ProviderError(Outcome.UNREACHABLE, f"{url}: TLS: {problem}", remedy=remedy)
    return ProviderError(Outcome.UNREACHABLE, f"{url}: {text(str(error), 200) or 'cannot connect'}")


def _why_no_tls(error: ssl.SSLError) -> tuple[str, str | None]:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})", _trust(error)
    if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF_WHILE_READING"):
        return "the server speaks plain HTTP", "write http:// in its url"
    return text(str(error), 200) or "the handshake failed", None


def _trust(error: ssl.SSLCertVerificationError) -> str:
    """Return the remedy for a certificate that was not accepted."""
    return _BY_DATE.get(error.verify_code, _TRUST)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield *error*, its causes, and the errors of a group."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                yield from causes(inner)
        error = error.__cause__ or error.__context__
