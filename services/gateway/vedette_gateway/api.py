"""The HTTP API: from a request to the streamed reply of a model, and to its report."""

import asyncio
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, Final, cast, get_args

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vedette.errors import NoAnswer, ProviderError, RequestError
from vedette.messages.queries import ModelView, UsageReply, UsageRequest, Used
from vedette.messages.validation import decode
from vedette.providers.observing import Api
from vedette.runtime.origins import Hosts, is_cross_site
from vedette.settings import Gateway
from vedette_gateway import listing, metrics, reply_headers
from vedette_gateway.blame import Blame
from vedette_gateway.calling import Attempt, Begun, Calls
from vedette_gateway.finding import Finding
from vedette_gateway.keys import Caller, Callers
from vedette_gateway.problems import Problem
from vedette_gateway.reporting import Reporting
from vedette_gateway.usage import Usage, limit
from vedette_gateway.wanted import Wanted, prompt_tokens, read

_USAGE: Final = msgspec.json.Decoder(UsageRequest)
_MAX_LISTED_SCORES: Final = 100
_BASE: Final = re.compile(r"\A/+v1/+")
# Azure's paths: `/openai/deployments/MODEL/chat/completions`, `/openai/v1/responses`, `/openai/models`.
_AZURE: Final = re.compile(
    r"\A/+openai/+(?:v1/+|deployments/(?P<deployment>[^/].*?)/(?=(?:chat/)?completions\Z|embeddings\Z))?"
)
_LAST_WORDS_S: Final = 1.0  # seconds to send the error event of a stream when the gateway stops
_DEPLOYMENT: Final = "vedette.deployment"
_BUG: Final = Problem(500, "internal", "the gateway could not reply; its log says why")
_LIST_S: Final = 8.0  # for all pages of the list together; Open WebUI waits 10 s for a list
_BODY_S: Final = 60.0  # for the body of a request to arrive
_CHARACTERS_A_TOKEN: Final = 4  # if the server reports no usage
# Limits for a server's token counts: a wrong count would use up its caller's daily budget.
_TOKENS_A_CHARACTER: Final = 2
_MAX_ANSWER_TOKENS: Final = 262_144  # if the request has no limit; including hidden thoughts
_UNSEEN_TOKENS: Final = 65_536  # of a prompt, beyond its bytes: pictures by URL, texts that a server adds


class Entrance:
    """Checks requests: their key, host and site, and how much of the caller's daily budget is left."""

    def __init__(self, settings: Gateway, usage: Usage, *, now: Callable[[], float]) -> None:
        self._usage = usage
        self._now = now  # monotonic seconds
        self._callers = Callers(settings)
        self.reload(settings)

    def reload(self, settings: Gateway) -> None:
        """Take on the keys of *settings*."""
        self._callers.reload(settings)
        self._keys = settings.keys
        self._origins = frozenset(settings.origins)
        # Without keys, a page of another site could make a browser on this machine send requests.
        self._hosts = None if settings.keys else Hosts(settings.host)

    def caller(self, headers: Mapping[str, str], address: str) -> Caller:
        """Return the caller of a request with *headers* (names in lower case) from *address*. Raises Problem."""
        host = headers.get("host", "")
        if self._hosts and not self._hosts.allows(host):
            raise Problem(421, "wrong_host", f'nothing is served as "{host}" without an API key')
        if self._hosts and is_cross_site(headers, host) and not self.is_origin(headers.get("origin", "")):
            problem = (
                "this request came from another site; add that to [gateway] origins, or give the gateway keys"
            )
            raise Problem(403, "cross_site", problem)
        return self._callers.of(headers, address, self._now())

    def is_origin(self, origin: str) -> bool:
        """Return whether pages of *origin* may call the API from a browser."""
        return origin in self._origins

    def headers(self, caller: Caller) -> dict[str, str]:
        """Return the headers on the budgets of *caller*: of the day, or of the minute if that has less left."""
        headers = self._usage.headers(caller)
        left = self._callers.left(caller.name, self._now())
        if left is not None:
            most, rest = left
            if rest < int(headers.get("x-ratelimit-remaining-requests", rest + 1)):
                headers |= limit("requests", most, rest, resets_in_s=60 * (most - rest) / most)
        return headers

    def usage(self, payload: bytes) -> UsageReply:
        """Return the reply to a query for the usage. Raises RequestError."""
        decode(payload, _USAGE)
        return self._usage.reply(self._keys)


class Posted:
    """One path that takes requests for models: an ASGI application."""

    def __init__(
        self,
        api: Api,
        *,
        entrance: Entrance,
        finding: Finding,
        calls: Callable[[], Calls],
        reporting: Reporting,
        usage: Usage,
        log: Any,
    ) -> None:
        self._api = api
        self._entrance = entrance
        self._finding = finding
        self._calls = calls
        self._reporting = reporting
        self._usage = usage
        self._log = log
        self._blame = Blame()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reply to one request. Close the connection to the model as soon as the caller is gone."""
        headers, client = _headers(scope), scope.get("client")
        try:
            caller = self._entrance.caller(headers, client[0] if client else "")
        except Problem as problem:
            metrics.REQUESTS.labels(metrics.UNKNOWN, problem.code).inc()
            await _send_problem(send, problem, reply_headers.of_problem(problem, ()))
            return
        tried = list[Attempt]()
        try:
            await self._serve(scope, headers, receive, send, caller, tried)
        except (Problem, RequestError) as error:
            await self._refuse(send, error, tried, caller)
        except ConnectionError:
            raise  # only a broken connection shows that a reply is incomplete
        except Exception as error:  # noqa: BLE001 - a bug, which uvicorn would not log here
            self._log.error("request.failed", path=scope["path"], exc_info=error)
            await _send_problem(send, _BUG, _BUG.headers)

    async def _refuse(
        self, send: Send, error: Problem | RequestError, tried: Sequence[Attempt], caller: Caller
    ) -> None:
        problem = error if isinstance(error, Problem) else Problem.of(error)
        extra = reply_headers.of_problem(problem, tried) | self._entrance.headers(caller)
        await _send_problem(send, problem, extra)

    async def _serve(
        self,
        scope: Scope,
        headers: Mapping[str, str],
        receive: Receive,
        send: Send,
        caller: Caller,
        tried: list[Attempt],
    ) -> None:
        calls = self._calls()
        try:
            async with asyncio.timeout(_BODY_S):
                body = await _body(receive, headers, calls.settings.max_body_bytes)
        except TimeoutError:
            raise Problem(408, "body_timeout", f"the body did not arrive within {_BODY_S:g} s") from None
        if body is None:
            return
        try:
            wanted = read(self._api, body, headers.items(), deployment=scope.get(_DEPLOYMENT))
        except (Problem, RequestError):
            metrics.REQUESTS.labels(caller.name, "refused").inc()
            raise
        watch = _Watch(receive)
        try:
            await self._reply(wanted, caller, calls, tried, send, watch)
        except asyncio.CancelledError:
            if not watch.is_gone or watch.task.uncancel():
                raise
        finally:
            watch.stop()

    async def _reply(
        self, wanted: Wanted, caller: Caller, calls: Calls, tried: list[Attempt], send: Send, watch: "_Watch"
    ) -> None:
        began, use_case = time.perf_counter(), None
        outcome, replied = "refused", False
        try:
            async with AsyncExitStack() as stack:
                with self._usage.pending(caller):
                    found = await self._finding.find(wanted, caller, limit=2 * calls.settings.attempts)
                    use_case = found.use_case
                    decided_ms = (time.perf_counter() - began) * 1000
                    metrics.DECISION_SECONDS.observe(decided_ms / 1000)
                    begun = await calls.begin(
                        stack, wanted, found.candidates, tried, may_lack=bool(found.unknown)
                    )
                    self._usage.add(caller.name, Used(requests=1))
                replied = True
                headers = reply_headers.of_reply(found, begun, decided_ms) | self._entrance.headers(caller)
                try:
                    outcome = await self._pass_on(begun, headers, send, watch, calls.settings.stall_s)
                except ConnectionError:
                    outcome = "gone"
                    raise
                finally:
                    calls.settle(begun)
                    self._count(begun, wanted, use_case, caller)
        except asyncio.CancelledError:
            outcome = "gone"
            raise
        except (Problem, RequestError, ConnectionError):
            raise
        except Exception:
            outcome = "internal"
            raise
        finally:
            metrics.REQUESTS.labels(caller.name, outcome).inc()
            for attempt in tried:
                metrics.CALLS.labels(attempt.model.endpoint, attempt.outcome).inc()
            for attempt in self._blame.of(wanted, tried, replied=replied, now=time.monotonic()):
                self._reporting.failed(attempt, use_case, caller.name)

    async def _pass_on(
        self, begun: Begun, headers: Mapping[str, str], send: Send, watch: "_Watch", stall_s: float
    ) -> str:
        """Send the reply as it comes, with the *headers*; return `ok`, or `broken` if the model failed in a stream.

        Raises ConnectionError for other failed replies, and for a caller that reads nothing for *stall_s* seconds.
        """
        send_read = _reading(send, stall_s)

        async def sent(chunk: bytes) -> None:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})

        await send_read(
            {
                "type": "http.response.start",
                "status": begun.reply.status,
                "headers": [
                    (name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()
                ],
            }
        )
        try:
            await begun.pass_to(sent, read_within_s=stall_s)
        except asyncio.CancelledError:
            if begun.is_stream and not watch.is_gone:
                event = b"\n\n" + Problem(503, "stopping", "the gateway stops").event
                with suppress(OSError):
                    last_words = _reading(send, _LAST_WORDS_S)
                    await last_words({"type": "http.response.body", "body": event, "more_body": False})
            raise
        except ProviderError as error:
            watch.stop()
            problem = Problem(502, str(error.outcome), f"{begun.candidate.model}: {error.detail}")
            if not begun.is_stream:
                # Its beginning is sent, so only a broken connection shows that the rest is missing.
                raise ConnectionError(problem.message) from error
            await send_read(
                {"type": "http.response.body", "body": b"\n\n" + problem.event, "more_body": False}
            )
            return "broken"
        watch.stop()  # after the last message, `receive` reports a disconnect in any case
        await send_read({"type": "http.response.body", "body": b"", "more_body": False})
        return "ok"

    def _count(self, begun: Begun, wanted: Wanted, use_case: str | None, caller: Caller) -> None:
        """Report how the call ended, and count its tokens and cost, estimated if the server reports no usage."""
        account, price = begun.account(), begun.candidate.price
        self._reporting.ended(begun, use_case, caller.name)
        metrics.CALLS.labels(begun.candidate.model.endpoint, begun.outcome or "gone").inc()
        prompt = believed(account.prompt_tokens, most=_max_prompt(wanted))
        if prompt is None:
            prompt = prompt_tokens(wanted.fields)
        output = believed(account.output_tokens, most=_max_output(wanted, account.characters))
        if output is None:
            output = account.characters // _CHARACTERS_A_TOKEN
        usd = 0.0
        if price is not None:
            usd = (prompt * price.input_usd_per_mtok + output * price.output_usd_per_mtok) / 1e6
        metrics.TOKENS.labels(caller.name).inc(prompt + output)
        metrics.USD.labels(caller.name).inc(usd)
        self._usage.add(caller.name, Used(tokens=prompt + output, usd=usd))


def believed(reported: int | None, *, most: int | None) -> int | None:
    """Return the tokens that a server *reported*, at most *most* (None: no limit)."""
    return reported if reported is None or most is None else min(reported, most)


def _max_prompt(wanted: Wanted) -> int | None:
    """Return the maximum tokens of the prompt; None if the server stores the conversation."""
    if wanted.fields.keys() & {"previous_response_id", "conversation"}:
        return None
    return sum(memoryview(value).nbytes for value in wanted.fields.values()) + _UNSEEN_TOKENS


def _max_output(wanted: Wanted, characters: int) -> int | None:
    """Return the maximum tokens of an answer of *characters*; None if the request may ask for several answers."""
    if wanted.fields.keys() & {"n", "best_of"}:
        return None
    return max(wanted.max_tokens or _MAX_ANSWER_TOKENS, characters * _TOKENS_A_CHARACTER)


def _headers(scope: Scope) -> dict[str, str]:
    """Return the headers of a request, with names in lower case. Of a repeated header, the first counts."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1"), value.decode("latin-1"))
    return found


def _reading(send: Send, stall_s: float) -> Send:
    """Return *send* with a deadline: it raises ConnectionError if the caller reads nothing for *stall_s* seconds."""

    async def sent(message: Message) -> None:
        try:
            async with asyncio.timeout(stall_s):
                await send(message)
        except TimeoutError:
            problem = f"the caller read nothing for {stall_s:g} s"
            raise ConnectionError(problem) from None

    return sent


async def _body(receive: Receive, headers: Mapping[str, str], most_bytes: int) -> bytes | None:
    """Return the body of a request, or None if its caller left. Raises Problem if it is too large or compressed."""
    if headers.get("content-encoding", "identity").casefold() not in ("", "identity"):
        raise Problem(415, "unsupported_encoding", "the body is compressed; send it without Content-Encoding")
    said = headers.get("content-length", "")
    body = bytearray()
    if not (said.isdigit() and int(said) > most_bytes):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > most_bytes:
                break
            if not message.get("more_body"):
                return bytes(body)
    raise Problem(413, "too_large", f"a request has at most {most_bytes} bytes ([gateway] max_body_bytes)")


class _Watch:
    """Cancels the task of a request when its caller is gone. After `stop` it does not."""

    def __init__(self, receive: Receive) -> None:
        self.task = cast("asyncio.Task[None]", asyncio.current_task())
        self.is_gone = False
        self._watching: asyncio.Task[None] | None = asyncio.create_task(self._watch(receive))

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.is_gone = True
        self.task.cancel()

    def stop(self) -> None:
        """Stop watching, so that the task is not cancelled."""
        # Frames of a cancelled task refer to this object. A reference back would keep each request until a collection.
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()


async def _send_problem(send: Send, problem: Problem, headers: Mapping[str, str]) -> None:
    body = problem.body
    with suppress(OSError, RuntimeError):  # if a reply has begun, the server closes the connection instead
        await send(
            {
                "type": "http.response.start",
                "status": problem.status,
                "headers": [
                    *((name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()),
                    (b"content-length", str(len(body)).encode()),
                ],
            }
        )
        await send({"type": "http.response.body", "body": body})


class Listed:
    """`GET /v1/models`, and one of them."""

    def __init__(
        self,
        *,
        entrance: Entrance,
        finding: Finding,
        use_cases: Callable[[], Collection[str]],
        within_s: float = _LIST_S,
    ) -> None:
        self._entrance = entrance
        self._finding = finding
        self._use_cases = use_cases
        self._within_s = within_s

    async def all(self, request: Request) -> Response:
        """Reply with the list."""
        try:
            self._enter(request)
            found = await self._listing()
        except Problem as problem:
            return _response(problem)
        return Response(msgspec.json.encode(found), media_type="application/json")

    async def one(self, request: Request) -> Response:
        """Reply with one entry of it."""
        name = request.path_params["name"]
        try:
            self._enter(request)
            found = await self._listing()
            entry = next((entry for entry in found.data if entry.id == name), None)
            if entry is None:
                raise Problem(
                    404,
                    "model_not_found",
                    f"no model {name!r}; /v1/models lists what there is",
                    param="model",
                )
        except Problem as problem:
            return _response(problem)
        return Response(msgspec.json.encode(entry), media_type="application/json")

    def _enter(self, request: Request) -> None:
        self._entrance.caller(request.headers, request.client.host if request.client else "")

    async def _listing(self) -> listing.Listing:
        names = list(self._use_cases())
        async with asyncio.TaskGroup() as asking:
            models = asking.create_task(self._models())
            asked = [asking.create_task(self._finding.ranking(name, _MAX_LISTED_SCORES)) for name in names]
        rankings = [one.result() for one in asked]
        winners = {name: next(iter(ranking), None) for name, ranking in zip(names, rankings, strict=True)}
        by_name = dict(zip(names, rankings, strict=True))
        scores = {one.model: one.score for name in ("embedding", "chat") for one in by_name.get(name, ())}
        return listing.listing(winners, models.result(), scores)

    async def _models(self) -> list[ModelView]:
        try:
            async with asyncio.timeout(self._within_s):
                return await self._finding.listed()
        except (TimeoutError, NoAnswer):
            return []  # the reply still lists the virtual models


def _response(problem: Problem) -> Response:
    return Response(problem.body, problem.status, problem.headers)


class _Unknown:
    """Any other path and method: an ASGI application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reply 404 with the base URL of the API."""
        await _unknown(Request(scope))(scope, receive, send)


def _unknown(request: Request) -> Response:
    base = f"{request.url.scheme}://{request.url.netloc}/v1"
    problem = f"no {request.method} {request.url.path} here; the base URL for OpenAI clients is {base}"
    return _response(Problem(404, "not_found", problem))


def application(posted: Callable[[Api], Posted], listed: Listed, entrance: Entrance, *, log: Any) -> ASGIApp:
    """Return the API as an ASGI application."""

    async def failed(request: Request, error: Exception) -> Response:
        log.error("request.failed", path=request.url.path, exc_info=error)
        return _response(_BUG)

    routes = [
        Route("/v1/models", listed.all, methods=["GET"]),
        Route("/v1/models/{name:path}", listed.one, methods=["GET"]),
        Route("/{rest:path}", _Unknown()),
    ]
    apis = {f"/v1/{api}": posted(api) for api in get_args(Api)}
    return _Origins(_Joined(apis, Starlette(routes=routes, exception_handlers={Exception: failed})), entrance)


class _Joined:
    """Accepts paths as clients build them: a base URL that ends in a slash gives two slashes, or one at the end.

    It also accepts paths of Azure's clients, which name the model in the path, as a deployment.
    """

    def __init__(self, posted: Mapping[str, Posted], app: ASGIApp) -> None:
        self._posted = (
            posted  # without the layers that *app* puts around each request and each chunk of a reply
        )
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the normalised path."""
        app = self._app
        if scope["type"] == "http":
            path, deployment = route(scope["path"])
            scope = {**scope, "path": path, _DEPLOYMENT: deployment}
            if scope["method"] == "POST":
                app = self._posted.get(path, app)
        await app(scope, receive, send)


def route(path: str) -> tuple[str, str | None]:
    """Return the path that serves *path*, and the model in it if it is a path of Azure's clients. Pure."""
    path = f"/{path.strip('/')}"
    if azure := _AZURE.match(path):
        return f"/v1/{path[azure.end() :]}", azure["deployment"]
    return _BASE.sub("/v1/", path), None


class _Origins(CORSMiddleware):
    """Lets pages of the configured origins call the API from a browser; a reload applies at once."""

    def __init__(self, app: ASGIApp, entrance: Entrance) -> None:
        super().__init__(
            app,
            allow_origins=(),
            allow_methods=("GET", "POST"),
            allow_headers=("*",),
            expose_headers=reply_headers.READABLE,
        )
        self._entrance = entrance

    def is_allowed_origin(self, origin: str) -> bool:
        """Return whether pages of *origin* may call the API."""
        return self._entrance.is_origin(origin)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reply to a browser's preflight request, and allow the page to read the reply."""
        served = scope["type"] == "http" and self.is_allowed_origin(Headers(scope=scope).get("origin", ""))
        await (super().__call__ if served else self.app)(scope, receive, send)
