"""Ask Vedette which model to use now.

    async with Client() as vedette:
        best = await vedette.best("code_generation", min_context_tokens=32768)
        if best.recommendation:
            print(best.recommendation.model, best.recommendation.base_url)

The client finds a Vedette on this machine automatically, also after a restart on another port. For a Vedette on another
machine, pass the URL of NATS.
"""

import asyncio
import functools
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack
from weakref import WeakSet

import msgspec
import nats.errors
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg

from vedette import tracing
from vedette.bus.connection import close, open_connection
from vedette.client.loop_thread import LoopThread
from vedette.client.model_feed import FOLLOWED, Followed, follow
from vedette.client.subscription import Watching
from vedette.errors import NoAnswer, NotRunning, RequestError
from vedette.local import instance
from vedette.messages import skew, subjects
from vedette.messages.channels import PUBLIC_ANSWERS, PUBLIC_EVENTS, QUERIES, WATCHED
from vedette.messages.constraints import Limits
from vedette.messages.declaring import Query
from vedette.messages.events import Event
from vedette.messages.queries import (
    ENDPOINTS_LIST,
    HISTORY_ASOF,
    HISTORY_AVAILABILITY,
    HISTORY_MODELS,
    HISTORY_PERFORMANCE,
    MAX_LISTED,
    MODELS_ASOF,
    MODELS_GET,
    MODELS_LIST,
    RECOMMEND_ASOF,
    RECOMMEND_BEST,
    RECOMMEND_EXPLAIN,
    RECOMMEND_TOP,
    REPORT_OUTCOME,
    AvailabilityHistory,
    BestReply,
    EndpointsReply,
    ErrorReply,
    ExplainReply,
    ModelsPastReply,
    ModelsReply,
    ModelView,
    PastReply,
    PerformanceHistory,
    RecommendPastReply,
    ReportReply,
    Risk,
    SummariesReply,
    TopReply,
)
from vedette.messages.validation import nearest
from vedette.settings import Nats
from vedette.types import Bound, ModelRef, Outcome, Signal, SortKey

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T", bound=msgspec.Struct)
URL_VARIABLE = "VEDETTE_NATS_URL"
CA_VARIABLE = "VEDETTE_NATS_CA_FILE"
_RETRY_AFTER_S = 0.25
# Longer than a recorder reads its database for (4 s), so that its error arrives.
_HISTORY_TIMEOUT_S = 5.0
_PAST_TIMEOUT_S = 30.0
_PAST = frozenset({"recommend.asof", "models.asof"})
_REPLIES = {query.subject: msgspec.json.Decoder(query.reply) for query in QUERIES}
_QUERIES = {query.subject: query for query in QUERIES}
_ERRORS = msgspec.json.Decoder(ErrorReply)


class Wanted(Limits, total=False):
    """The keywords of a recommendation: the fields of its request, and those of its constraints."""

    capabilities: Sequence[str]
    limit: int
    weights: Mapping[Signal, float]
    bounds: Mapping[Bound, float]
    risk: Risk
    caller: str
    session: str


class Client:
    """A connection to Vedette. Use it as an async context manager, or call `connect` and `close`.

    *url* is the URL of NATS. The default is VEDETTE_NATS_URL, else the Vedette that runs in *state_dir* (by default
    the user's own). *credentials* is a `.creds` file. *ca_file* has the authority of the server's certificate
    (`tls://`; the default is VEDETTE_NATS_CA_FILE, else the system's). *timeout_s* is the time that one attempt waits
    for a reply; there are two attempts. Queries of history wait longer. Every query connects first if there is no
    connection, and then also raises what `connect` raises.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        credentials: str | None = None,
        ca_file: str | None = None,
        state_dir: str | None = None,
        timeout_s: float = 2.0,
    ) -> None:
        self._url = url
        self._credentials = credentials
        self._ca_file = ca_file or os.environ.get(CA_VARIABLE)
        self._state_dir = state_dir
        self._timeout_s = timeout_s
        self._connection: NatsClient | None = None
        self._connecting = asyncio.Lock()
        self._watching: WeakSet[Watching] = WeakSet()

    async def connect(self) -> None:
        """Connect. Raises NotRunning if no URL is given and none runs here, BusUnreachable if no server replies."""
        url = self._url or os.environ.get(URL_VARIABLE)
        self._connection = await open_connection(
            Nats(url=url or self._url_here(), credentials=self._credentials, ca_file=self._ca_file),
            name="vedette-client",
            reconnect=True,
            current_url=lambda: None if url else self._url_now(),
        )

    def _url_here(self) -> str:
        """Return the URL of the Vedette that runs on this machine. Raises NotRunning."""
        return instance.find(instance.state_directory(self._state_dir)).nats_url

    def _url_now(self) -> str | None:
        """Return the URL of the Vedette that runs on this machine, or None while none runs."""
        try:
            return self._url_here()
        except NotRunning:
            return None

    async def close(self) -> None:
        """Close the connection. Its subscriptions end."""
        for watching in self._watching:
            watching.end()
        if self._connection is not None:
            await close(self._connection)
            self._connection = None

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def best(self, use_case: str, **wanted: Unpack[Wanted]) -> BestReply:
        """Return the best model for *use_case* now, and fallbacks in order.

        If no model fits, this is not an error: `recommendation` is None, and `relax` names the constraint to relax.
        Raises RequestError (unknown use case, unknown field, …) and NoAnswer.
        """
        return await self._ask(RECOMMEND_BEST, _recommendation(use_case, wanted))

    async def top(self, use_case: str, **wanted: Unpack[Wanted]) -> TopReply:
        """Return the best models for *use_case* in order, as many as `limit`. Raises as `best`."""
        return await self._ask(RECOMMEND_TOP, _recommendation(use_case, wanted))

    async def explain(self, use_case: str, **wanted: Unpack[Wanted]) -> ExplainReply:
        """Return the ranking with every contribution and every rejection. Raises as `best`."""
        return await self._ask(RECOMMEND_EXPLAIN, _recommendation(use_case, wanted))

    async def models(
        self,
        *,
        capabilities: Sequence[str] = (),
        provider: str | None = None,
        endpoint: str | None = None,
        family: str | None = None,
        status: str | None = None,
        text: str | None = None,
        limit: int | None = None,
        offset: int = 0,
        sort: SortKey | str = SortKey.NAME,
        descending: bool = False,
        **limits: Unpack[Limits],
    ) -> ModelsReply:
        """Return the models that match all given filters, from *offset* on: all of them, or at most *limit*.

        *limits* are the constraints of a recommendation. Models without the figure to *sort* by come last. If one reply
        cannot contain all models, the client sends further queries. Raises RequestError and NoAnswer.
        """
        asked = {
            "capabilities": list(capabilities),
            "provider": provider,
            "endpoint": endpoint,
            "family": family,
            "status": status,
            "text": text,
            "sort": sort,
            "descending": descending,
            "constraints": dict(limits) or None,
        }
        asked = {key: value for key, value in asked.items() if value is not None}
        models: list[ModelView] = []
        while True:
            left = MAX_LISTED if limit is None else min(limit - len(models), MAX_LISTED)
            page = {"offset": offset + len(models), "limit": left}
            reply = await self._ask(MODELS_LIST, asked | page)
            models += reply.models
            there = reply.total - offset
            if not reply.models or len(models) >= (there if limit is None else min(limit, there)):
                return msgspec.structs.replace(reply, models=tuple(models))

    async def model(self, model: ModelRef | str) -> ModelsReply:
        """Return one model (`endpoint/name`) with all fields. Raises RequestError if it is unknown, and NoAnswer."""
        return await self._ask(MODELS_GET, {"model": model})

    async def endpoints(self) -> EndpointsReply:
        """Return the configured endpoints with their last observation. Raises NoAnswer."""
        return await self._ask(ENDPOINTS_LIST, {})

    async def history_availability(
        self,
        model: ModelRef | str | None = None,
        *,
        endpoint: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        buckets: int | None = None,
    ) -> AvailabilityHistory:
        """Return how probes of *model*, or of all models at *endpoint*, ended, over the last 24 h by default.

        A model without records has no probes. Raises RequestError and NoAnswer.
        """
        wanted = _given(model=model, endpoint=endpoint, since=since, until=until, buckets=buckets)
        return await self._ask(HISTORY_AVAILABILITY, wanted)

    async def history_performance(
        self,
        model: ModelRef | str | None = None,
        *,
        endpoint: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        buckets: int | None = None,
    ) -> PerformanceHistory:
        """Return how fast *model*, or all models at *endpoint*, were, over the last 7 days by default.

        A model without records has no points. Raises RequestError and NoAnswer.
        """
        wanted = _given(model=model, endpoint=endpoint, since=since, until=until, buckets=buckets)
        return await self._ask(HISTORY_PERFORMANCE, wanted)

    async def history_models(
        self,
        models: Sequence[ModelRef | str] = (),
        *,
        endpoint: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        after: ModelRef | None = None,
    ) -> SummariesReply:
        """Return a summary of each of *models* (by default all, or all at *endpoint*), over the last 24 h by default.

        For the next page, pass the `next` of this reply as *after*. Raises RequestError and NoAnswer.
        """
        wanted = _given(endpoint=endpoint, since=since, until=until, limit=limit, after=after)
        if models:
            wanted["models"] = list(models)
        return await self._ask(HISTORY_MODELS, wanted)

    async def history_asof(
        self, at: datetime, *, limit: int | None = None, after: ModelRef | None = None
    ) -> PastReply:
        """Return a page of the catalogue as of *at*; *after* as in `history_models`. Raises as it does."""
        return await self._ask(HISTORY_ASOF, _given(at=at, limit=limit, after=after))

    async def asof(self, use_case: str, at: datetime, **wanted: Unpack[Wanted]) -> RecommendPastReply:
        """Return what would have been recommended for *use_case* at the time *at*, explained.

        A recorder reads its history for this. With many models that takes seconds: an attempt waits 30 s. Raises
        as `best`.
        """
        request = {**_recommendation(use_case, wanted), "at": at}
        return await self._ask(RECOMMEND_ASOF, request)

    async def models_asof(
        self,
        at: datetime,
        model: ModelRef | str | None = None,
        *,
        endpoint: str | None = None,
        text: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> ModelsPastReply:
        """Return the models as of *at*, as many as fit into one reply; or only *model*, with all its fields.

        A recorder reads its history for this. With many models that takes seconds; an attempt waits 30 s. Raises
        RequestError and NoAnswer.
        """
        wanted = _given(at=at, model=model, endpoint=endpoint, text=text, limit=limit, offset=offset)
        return await self._ask(MODELS_ASOF, wanted)

    async def report(
        self,
        model: ModelRef | str,
        outcome: Outcome | str = Outcome.OK,
        *,
        use_case: str | None = None,
        ttft_ms: float | None = None,
        e2e_ms: float | None = None,
        prompt_tokens: int | None = None,
        output_tokens: int | None = None,
        caller: str | None = None,
    ) -> ReportReply:
        """Report how a call to *model* ended: `ok`, or the class of the error (`types.Outcome`).

        A report over the limits is not counted, and the reply says why; you need to do nothing. After a timeout, the
        report is not sent again, so that it never counts twice. Raises RequestError and NoAnswer.
        """
        outcome_fields = {
            "model": model,
            "outcome": outcome,
            "use_case": use_case,
            "ttft_ms": ttft_ms,
            "e2e_ms": e2e_ms,
            "prompt_tokens": prompt_tokens,
            "output_tokens": output_tokens,
            "caller": caller,
        }
        given = {name: value for name, value in outcome_fields.items() if value is not None}
        return await self._ask(REPORT_OUTCOME, given)

    def watch(self, *, events: Sequence[str] = (), use_cases: Sequence[str] = ()) -> Watching:
        """Return the *events* (`model.found`, …) and the winner changes of *use_cases*, as they happen.

        `use_cases=["*"]` means all use cases. Without *events* and *use_cases*, everything is watched except
        `endpoint.load`, because there are many of these. Iterate over it:

            async for event in vedette.watch(events=["model.found"], use_cases=["chat"]):

        or enter it first (`async with vedette.watch(…) as events:`). From then on you miss no event, also if you send
        queries in between. Raises RequestError for unknown events.
        """
        for event in events:
            if event not in PUBLIC_EVENTS:
                problem = f"{event!r} is not an event; {nearest(event, list(PUBLIC_EVENTS))}"
                raise RequestError(code="unknown_event", message=problem, field="events")
        if not events and not use_cases:
            events, use_cases = WATCHED, ("*",)
        answers = (name if name == "*" else subjects.escape(name) for name in use_cases)
        made = Watching(self._connected, (*events, *(f"{PUBLIC_ANSWERS}{name}" for name in answers)))
        self._watching.add(made)
        return made

    def follow_models(self) -> AsyncIterator[Followed]:
        """Yield every present model, then every model that is found, changed or lost, without a gap.

        Close the client, or the iterator, to end it. Raises FellBehind if its reader is too slow.
        """
        return follow(self.watch(events=FOLLOWED), self.models)

    async def _ask(self, query: Query[Any, T], request: Mapping[str, Any]) -> T:
        return await ask(
            await self._connected(),
            query.subject,
            msgspec.json.encode(request),
            query.reply,
            timeout_s=patience_s(query.subject, self._timeout_s),
        )

    async def _connected(self) -> NatsClient:
        async with self._connecting:  # one connection under concurrent calls
            if self._connection is None:
                await self.connect()
        assert self._connection is not None  # noqa: S101 - connect has just set it
        return self._connection


def _waits(
    method: Callable[Concatenate[Client, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate["SyncClient", P], R]:
    """Return *method* of the async client as one that returns its result."""

    @functools.wraps(method)
    def wait(self: "SyncClient", /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._thread.wait(method(self._client, *args, **kwargs))

    return wait


class SyncClient:
    """The client for programs without an event loop: each method waits for the result of the method of `Client`.

        with SyncClient() as vedette:
            best = vedette.best("chat").recommendation

    It has the same parameters as `Client`. Several threads may use it: its event loop runs in a separate thread.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        credentials: str | None = None,
        ca_file: str | None = None,
        state_dir: str | None = None,
        timeout_s: float = 2.0,
    ) -> None:
        self._client = Client(
            url, credentials=credentials, ca_file=ca_file, state_dir=state_dir, timeout_s=timeout_s
        )
        self._thread = LoopThread()

    connect = _waits(Client.connect)
    best = _waits(Client.best)
    top = _waits(Client.top)
    explain = _waits(Client.explain)
    models = _waits(Client.models)
    model = _waits(Client.model)
    endpoints = _waits(Client.endpoints)
    history_availability = _waits(Client.history_availability)
    history_performance = _waits(Client.history_performance)
    history_models = _waits(Client.history_models)
    history_asof = _waits(Client.history_asof)
    asof = _waits(Client.asof)
    models_asof = _waits(Client.models_asof)
    report = _waits(Client.report)

    def watch(self, *, events: Sequence[str] = (), use_cases: Sequence[str] = ()) -> Iterator[Event]:
        """Yield events as `Client.watch` does. It subscribes when you ask for the first event."""
        return self._thread.iterate(self._client.watch(events=events, use_cases=use_cases))

    def follow_models(self) -> Iterator[Followed]:
        """Yield every present model, then their changes, as `Client.follow_models` does."""
        return self._thread.iterate(self._client.follow_models())

    def close(self) -> None:
        """Close the connection and end the thread. Its subscriptions end."""
        self._thread.end(self._client.close())

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def patience_s(subject: str, usual_s: float) -> float:
    """Return how many seconds to wait for a reply on *subject*: *usual_s*, or longer if it comes from a database."""
    if subject in _PAST:
        return _PAST_TIMEOUT_S
    return max(usual_s, _HISTORY_TIMEOUT_S) if subject.startswith("history.") else usual_s


async def ask(
    connection: NatsClient,
    subject: str,
    payload: bytes,
    reply: type[T],
    *,
    timeout_s: float,
) -> T:
    """Return the reply to *payload*, with at most two attempts. Raises RequestError and NoAnswer.

    A query that is not `repeatable` gets the second attempt only if no service received the first.
    """
    encoded = await ask_encoded(connection, subject, payload, timeout_s=timeout_s)
    try:
        answer = _REPLIES[subject].decode(encoded)
    except msgspec.DecodeError as error:
        problem = f"this version cannot read the reply of the {_QUERIES[subject].service} ({error}); update this client"
        raise NoAnswer(code="unreadable_reply", message=problem) from error
    if not isinstance(answer, reply):
        raise TypeError(f"{subject} is answered with {type(answer).__name__}, not {reply.__name__}")
    return answer


async def ask_encoded(connection: NatsClient, subject: str, payload: bytes, *, timeout_s: float) -> bytes:
    """Return the undecoded reply (JSON), by the same attempts as `ask`. Raises RequestError and NoAnswer."""
    query = _QUERIES[subject]
    while True:
        message = await _request(connection, query, payload, timeout_s)
        status = (message.headers or {}).get("Nats-Service-Error-Code")
        if status is None:
            return message.data
        error = _ERRORS.decode(message.data).error
        fewer = None
        if error.code == skew.UNKNOWN and error.field:
            fewer = skew.without(payload, query.request, error.field, query.service)
        if fewer is None:
            kind = NoAnswer if status == "503" else RequestError
            raise kind(code=error.code, message=error.message, field=error.field)
        payload = fewer


async def _request(connection: NatsClient, query: Query[Any, Any], payload: bytes, timeout_s: float) -> Msg:
    headers = tracing.outgoing() or None
    try:
        return await connection.request(query.subject, payload, timeout=timeout_s, headers=headers)
    except (nats.errors.NoRespondersError, nats.errors.TimeoutError) as error:
        # No responders: safe to send again. A timeout: the request may have been processed.
        if not query.repeatable and isinstance(error, nats.errors.TimeoutError):
            raise _silence(query.subject, timeout_s) from error
        # The service may be restarting, or the connection may be reconnecting.
        await asyncio.sleep(_RETRY_AFTER_S)
    except nats.errors.Error as error:  # of the connection: it is closed, or its buffer is full
        raise NoAnswer(code="no_answer", message=f"{query.subject} was not sent: {error}") from error
    try:
        return await connection.request(query.subject, payload, timeout=timeout_s, headers=headers)
    except nats.errors.NoRespondersError as error:
        raise NoAnswer(
            code="no_answer", message=f"no reply on {query.subject}; is a {query.service} running?"
        ) from error
    except (TimeoutError, nats.errors.Error) as error:
        raise _silence(query.subject, timeout_s) from error


def _silence(subject: str, timeout_s: float) -> NoAnswer:
    return NoAnswer(code="no_answer", message=f"{subject} was not answered within {timeout_s:g} s")


def _recommendation(use_case: str, wanted: Wanted) -> dict[str, Any]:
    request: dict[str, Any] = {"use_case": use_case}
    constraints: dict[str, Any] = {}
    for name, value in wanted.items():
        # An unknown name is sent as a constraint: the recommender's error then names it.
        (request if name in _REQUEST_FIELDS else constraints)[name] = value
    if constraints:
        request["constraints"] = constraints
    return request


def _given(**asked: Any) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if value is not None}


_REQUEST_FIELDS = Wanted.__annotations__.keys() - Limits.__annotations__.keys()
