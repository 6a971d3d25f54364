"""The HTTP API: the queries of the bus under `/api/v1`, for programs without NATS."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from vedette.errors import RequestError
from vedette.messages.channels import PUBLIC_ANSWERS, PUBLIC_EVENTS, QUERIES
from vedette.messages.codec import encode
from vedette.messages.events import AnswerChanged, Event
from vedette.messages.parameters import decoder, request_from
from vedette.messages.queries import MAX_REQUEST_BYTES, ReportRequest
from vedette.messages.validation import decode, nearest
from vedette_console import addresses, body, problems
from vedette_console.asking import REQUESTS, Asking
from vedette_console.changes import Changes, Listener, News, Place

ROOT: Final = "/api/v1"
SIGN_OF_LIFE: Final = b": \n\n"  # a comment, so that proxies keep the stream open
_BEHIND_S: Final = 5.0
_STALL_S: Final = 60.0  # for a reader that reads nothing
_AS_OF: Final = re.compile(rb'"as_of":\{[^{}]*\}')


class Resource(Struct, frozen=True):
    """A path below ROOT, and its query. Parts of the path in braces are fields of the request."""

    path: str
    subject: str
    method: str = "GET"


# Paths that match all that follows come last, because the first match counts.
RESOURCES: Final = sorted(
    (Resource(query.path, query.subject, query.method) for query in QUERIES if query.path),
    key=lambda resource: ":path}" in resource.path,
)


class Api:
    """Serves RESOURCES, the events and the description of all of them."""

    def __init__(self, asking: Asking, changes: Changes, description: Callable[[], bytes]) -> None:
        self._asking = asking
        self._changes = changes
        self._description = description

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            *(Route(f"{ROOT}{one.path}", self._handler(one), methods=[one.method]) for one in RESOURCES),
            Route(f"{ROOT}/events", self._events, methods=["GET"]),
            Route(f"{ROOT}/openapi.json", self._describe, methods=["GET"]),
            Route(f"{ROOT}/{{rest:path}}", _unknown),
        ]

    def _handler(self, resource: Resource) -> Callable[[Request], Any]:
        kind = REQUESTS[resource.subject]

        async def handle(request: Request) -> Response:
            asked = (
                await _report(request) if resource.method == "POST" else request_from(kind, *_given(request))
            )
            reply = await self._asking.encoded(resource.subject, asked)
            if resource.method == "POST":
                return Response(reply, media_type="application/json")
            return tagged(reply, request)

        return handle

    async def _describe(self, request: Request) -> Response:
        return tagged(self._description(), request)

    async def _events(self, request: Request) -> Response:
        wanted = [one for one in request.query_params.get("events", "").split(",") if one]
        known = [*PUBLIC_EVENTS, PUBLIC_ANSWERS.rstrip(".")]
        for one in wanted:
            if one not in known:
                problem = f"{one!r} is no event; {nearest(one, known)}"
                return problems.respond(RequestError(code="unknown_event", message=problem, field="events"))
        last = request.headers.get("last-event-id") or request.query_params.get("last_event_id", "")
        return EventStream(self._changes, lambda listener: self._after(listener, wanted, Place.parse(last)))

    async def _after(
        self, listener: Listener, wanted: Sequence[str], last: Place | None
    ) -> AsyncIterator[bytes]:
        """Yield the changes after *last*, then the events as they happen."""
        yield b": hello\nretry: 2000\n\n"
        missed = [
            change
            for change in (self._changes.after(last) if last is not None else ())
            if not wanted or name_of(change.event) in wanted
        ]
        place = self._changes.place
        for change in missed:
            # Only the last of them has an id: the place counts only when the reader has all of them.
            read_to = str(place) if change is missed[-1] else ""
            yield message(name_of(change.event), encode(change.event), read_to)
        async for news in listener.received():
            if news is None:
                yield SIGN_OF_LIFE
            elif isinstance(news.content, Event) and _is_public(news.content):
                name = name_of(news.content)
                if not wanted or name in wanted:
                    yield message(name, news.data, str(news.place))


def name_of(event: Event) -> str:
    """Return the public subject of events of this kind."""
    return PUBLIC_ANSWERS.rstrip(".") if isinstance(event, AnswerChanged) else event.TYPE


def _is_public(event: Event) -> bool:
    return isinstance(event, AnswerChanged) or event.TYPE in PUBLIC_EVENTS


class EventStream(Response):
    """Sends the *parts* for a listener as server-sent events, until the caller disconnects or is too far behind."""

    def __init__(
        self,
        changes: Changes,
        parts: Callable[[Listener], AsyncIterator[bytes]],
        alike: Callable[[News], object] = id,
    ) -> None:
        super().__init__(media_type="text/event-stream", headers={"x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._changes = changes
        self._parts = parts
        self._alike = alike

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the caller disconnects, is too far behind, or the console stops."""
        caller = scope["client"][0] if scope.get("client") else ""
        with self._changes.listening(caller, self._alike) as listener:
            if listener is None:
                full = problems.response(
                    503, "full", "too many event streams are open", {"retry-after": "10"}
                )
                await full(scope, receive, send)
                return
            ends = [
                asyncio.create_task(self._send(send, listener)),
                asyncio.create_task(_left(receive)),
                asyncio.create_task(_behind(listener)),
            ]
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for end in ends:
                    end.cancel()
                await asyncio.gather(*ends, return_exceptions=True)
            if not ends[0].cancelled():
                ends[0].result()

    async def _send(self, send: Send, listener: Listener) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        with suppress(TimeoutError):  # a reader that reads nothing is disconnected
            async for part in self._parts(listener):
                async with asyncio.timeout(_STALL_S):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _behind(listener: Listener) -> None:
    await listener.behind.wait()
    await asyncio.sleep(_BEHIND_S)  # time for a slow reader to get the events that were kept for it


def message(name: str, data: bytes, place: str = "") -> bytes:
    """Return one server-sent event. *data* is JSON, which has no line ends."""
    head = f"id: {place}\n" if place else ""
    return f"{head}event: {name}\ndata: ".encode() + data + b"\n\n"


def tagged(body: bytes, request: Request) -> Response:
    """Return *body* with its entity tag, which ignores `as_of`; 304 if the caller has it already."""
    tag = f'"{hashlib.blake2b(_AS_OF.sub(b"", body), digest_size=12).hexdigest()}"'
    headers = {"etag": tag, "cache-control": "no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def _given(request: Request) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Return the parameters of *request*, including those in its path."""
    pairs, path = request.query_params.multi_items(), dict(request.path_params)
    if path.get("model", "").endswith("/"):
        path["model"] = addresses.named(path["model"], request.query_params.get("name", ""))
        pairs = [(key, value) for key, value in pairs if key != "name"]
    return pairs, path


async def _report(request: Request) -> Struct:
    """Return the outcome report in the body of *request*. Raises RequestError."""
    # A form on another site cannot send this content type.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise RequestError(code="invalid_value", message="send JSON, with content-type: application/json")
    report: Struct = decode(await body.read(request, MAX_REQUEST_BYTES), _REPORT)
    return report


async def _unknown(request: Request) -> Response:
    paths = ", ".join(f"{ROOT}{one.path}" for one in RESOURCES)
    return problems.response(404, "unknown_path", f"{request.url.path} is no resource; known: {paths}")


_REPORT: Final = decoder(ReportRequest)
