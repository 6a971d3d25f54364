"""What would have been recommended at an earlier time: the same pure scoring, over a catalogue from history.

These replies need the recorder and wait for it. All other replies come from memory and do not wait for these.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from threading import Lock
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from vedette.clock import Clock
from vedette.errors import NoAnswer, RequestError
from vedette.messages.catalogue import Catalogue
from vedette.messages.channels import QUERIES
from vedette.messages.codec import decode_event, encode
from vedette.messages.events import ModelReported
from vedette.messages.queries import (
    ModelRequest,
    ModelsPastReply,
    ModelsPastRequest,
    ModelsRequest,
    PastModel,
    PastReply,
    PastRequest,
    RecommendPastReply,
    RecommendPastRequest,
    RecommendRequest,
)
from vedette.messages.tolerance import is_future
from vedette.messages.validation import decode, use_case_of
from vedette.settings import Vouched
from vedette.types import ModelRef
from vedette_recommender.answers import Answers

PAST = tuple(query for query in QUERIES if query.subject in ("recommend.asof", "models.asof"))
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    query.subject: msgspec.json.Decoder(query.request) for query in PAST
}
S = TypeVar("S", bound=Struct)
# Of the recorder, for all pages; the caller waits a little longer.
DEADLINE_S = 25.0
_PAGE = 50
_KEPT_S = 10.0  # a page of the console asks a dozen times for the same moment
_MAX_KEPT = 2  # moments

# From a page of the past that is wanted to that page. Raises RequestError, NoAnswer where there is none now.
Recall = Callable[[PastRequest], Awaitable[PastReply]]


class At:
    """A clock that always shows the same time."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        """Return the time of day, which is always the same."""
        return self._at

    def monotonic(self) -> float:
        """Return seconds since some fixed moment: none have passed."""
        return 0.0


class Moment:
    """The replies as of a time. One thread at a time uses it."""

    def __init__(self, at: datetime, answers: Answers, unknown: tuple[str, ...]) -> None:
        self.at = at
        self.unknown = unknown
        self._answers = answers
        self._lock = Lock()

    def recommendation(self, request: RecommendRequest) -> RecommendPastReply:
        """Return what would have been recommended, and why. Raises RequestError."""
        with self._lock:
            explanation = self._answers.explain(request)
        return RecommendPastReply(at=self.at, explanation=explanation, unknown=self.unknown)

    def models(self, request: ModelsRequest | ModelRequest) -> ModelsPastReply:
        """Return the models of that time. Raises RequestError."""
        with self._lock:
            reply = self._answers.models(request)
        return ModelsPastReply(at=self.at, reply=reply, unknown=self.unknown)


class Past:
    """Replies to the queries in PAST."""

    def __init__(
        self,
        *,
        recall: Recall,
        answers: Callable[..., Answers],
        use_cases: Collection[str],
        ratings: Sequence[Vouched] = (),
        clock: Clock,
    ) -> None:
        """Take *answers*, which makes them of a catalogue, the ratings and a clock."""
        self._recall = recall
        self._answers = answers
        self._use_cases = use_cases
        self._ratings = ratings
        self._clock = clock
        self._kept: dict[datetime, asyncio.Task[Moment]] = {}

    async def answer(self, subject: str, payload: bytes) -> bytes:
        """Return the encoded reply to the request in *payload*. Raises RequestError, which is a reply too."""
        request = decode(payload, _DECODERS[subject])
        if isinstance(request, RecommendPastRequest):
            request = replace(request, use_case=use_case_of(request.use_case, self._use_cases))
        now = self._clock.now()
        if is_future(request.at, now):
            raise RequestError(code="invalid_value", message="at: the time is in the future", field="at")
        # By a caller whose clock is a bit ahead, a moment ago may be one to come.
        moment = await self._moment(min(request.at, now))
        # A thousand models take a tenth of a second to take in, for which no other answer should wait.
        return await asyncio.to_thread(_reply, moment, request)

    async def _moment(self, at: datetime) -> Moment:
        """Return the answers as of *at*. Concurrent queries share one reading of the history."""
        made = self._kept.get(at)
        if made is None:
            while len(self._kept) >= _MAX_KEPT:
                del self._kept[next(iter(self._kept))]
            made = self._kept[at] = asyncio.create_task(self._recalled(at))
            made.add_done_callback(partial(self._forget_later, at))
        return await asyncio.shield(made)

    def _forget_later(self, at: datetime, made: asyncio.Task[Moment]) -> None:
        def forget() -> None:
            if self._kept.get(at) is made:
                del self._kept[at]

        if made.cancelled() or made.exception():
            forget()
        else:
            asyncio.get_running_loop().call_later(_KEPT_S, forget)

    async def _recalled(self, at: datetime) -> Moment:
        try:
            async with asyncio.timeout(DEADLINE_S):
                models, probes_since = await self._pages(at)
        except TimeoutError as error:
            message = f"history did not return that many models within {DEADLINE_S:g} s"
            raise NoAnswer(code="unavailable", message=message) from error
        known = await asyncio.to_thread(catalogue, models)
        answers = self._answers(
            catalogue=known,
            ratings=[rating for rating in self._ratings if rating.as_of <= at.date()],
            clock=At(at),
        )
        return Moment(at, answers, tuple(unknown(at, probes_since)))

    async def _pages(self, at: datetime) -> tuple[list[PastModel], datetime | None]:
        """Return all models of *at*, and since when probes are recorded."""
        models: list[PastModel] = []
        after: ModelRef | None = None
        while True:
            page = await self._recall(PastRequest(at=at, after=after, limit=_PAGE))
            models += page.models
            after = page.next
            if after is None:
                return models, page.probes_since


def _reply(moment: Moment, request: RecommendPastRequest | ModelsPastRequest) -> bytes:
    if isinstance(request, RecommendPastRequest):
        return encode(moment.recommendation(_part(RecommendRequest, request)))
    if request.model is not None:
        return encode(moment.models(ModelRequest(model=request.model)))
    return encode(moment.models(_part(ModelsRequest, request)))


def _part(kind: type[S], request: Struct) -> S:
    """Return the request of *kind* that the fields of *request* make."""
    return kind(**{name: getattr(request, name) for name in kind.__struct_fields__})


def catalogue(models: Sequence[PastModel]) -> Catalogue:
    """Return the catalogue from the events of *models*, folded as usual. Raises UndecodableMessage.

    The events are numbered by time, because their own sequences start at 1 again when their stream is recreated.
    """
    made = Catalogue()
    sequence = reports = place = 0
    for model in models:
        for past in model.events:
            place += 1
            event = decode_event(past.subject, bytes(past.event))
            made.apply(event, place)
            if isinstance(event, ModelReported):
                reports = max(reports, past.sequence)
            else:
                sequence = max(sequence, past.sequence)
    made.sequence, made.reports = sequence, reports
    return made


def unknown(at: datetime, probes_since: datetime | None) -> Iterator[str]:
    """Yield why the reply for *at* may differ from the reply at that time."""
    yield "use cases, weights and endpoints are those configured now"
    yield "what servers worked on at that moment is not recorded"
    if probes_since is None or at < probes_since:
        yield "no probe of that time is recorded any more"
    elif at - timedelta(days=7) < probes_since:
        yield f"uptime counts the probes since {probes_since:%Y-%m-%d %H:%M} UTC, the oldest that is recorded"
