"""What would have been recommended at a time: the same pure scoring, over the catalogue as history tells it.

It takes the recorder, and as long as that needs; every other answer comes from memory and does not wait for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta

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
    ExplainReply,
    PastModel,
    PastReply,
    PastRequest,
    RecommendPastReply,
    RecommendPastRequest,
    RecommendRequest,
)
from vedette.messages.validation import decode, use_case_of
from vedette.settings import Vouched
from vedette.types import ModelRef
from vedette_recommender.answers import Answers

PAST = next(question for question in QUERIES if question.subject == "recommend.asof")
_DECODER = msgspec.json.Decoder(RecommendPastRequest)
# Of the recorder, for all pages; who asks waits a little longer.
DEADLINE_S = 25.0
_PAGE = 50

# From a page of the past that is wanted to that page. Raises RequestError, NoAnswer where there is none now.
Recall = Callable[[PastRequest], Awaitable[PastReply]]


class At:
    """A clock that stands still."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        """Return the time of day, which is always the same."""
        return self._at

    def monotonic(self) -> float:
        """Return seconds since some fixed moment: none have passed."""
        return 0.0


class Recalled(Struct, frozen=True, kw_only=True):
    """The pages of the past."""

    models: tuple[PastModel, ...]
    probes_since: datetime | None


class Past:
    """Answers `recommend.asof`."""

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

    async def answer(self, _: str, payload: bytes) -> bytes:
        """Return the encoded reply to the question in *payload*. Raises RequestError, which is a reply too."""
        request = decode(payload, _DECODER)
        request = replace(request, use_case=use_case_of(request.use_case, self._use_cases))
        if request.at > self._clock.now():
            raise RequestError(code="invalid_value", message="at: the time is in the future", field="at")
        try:
            async with asyncio.timeout(DEADLINE_S):
                recalled = await self._pages(request.at)
        except TimeoutError as error:
            message = f"history did not return that many models within {DEADLINE_S:g} s"
            raise NoAnswer(code="unavailable", message=message) from error
        # A thousand models take a tenth of a second to take in, for which no other answer should wait.
        return await asyncio.to_thread(self._reply, request, recalled)

    async def _pages(self, at: datetime) -> Recalled:
        models: list[PastModel] = []
        after: ModelRef | None = None
        while True:
            page = await self._recall(PastRequest(at=at, after=after, limit=_PAGE))
            models += page.models
            after = page.next
            if after is None:
                return Recalled(models=tuple(models), probes_since=page.probes_since)

    def _reply(self, request: RecommendPastRequest, recalled: Recalled) -> bytes:
        wanted = {name: getattr(request, name) for name in RecommendRequest.__struct_fields__}
        reply = RecommendPastReply(
            at=request.at,
            explanation=self._explain(RecommendRequest(**wanted), request.at, catalogue(recalled.models)),
            unknown=tuple(unknown(request.at, recalled.probes_since)),
        )
        return encode(reply)

    def _explain(self, request: RecommendRequest, at: datetime, known: Catalogue) -> ExplainReply:
        return self._answers(
            catalogue=known,
            ratings=[rating for rating in self._ratings if rating.as_of <= at.date()],
            clock=At(at),
        ).explain(request)


def catalogue(models: Sequence[PastModel]) -> Catalogue:
    """Return the catalogue that the events of *models* give, folded as always. Raises UndecodableMessage.

    They are numbered by time: their own sequences start at 1 again when their stream is recreated.
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
    """Yield in what the answer for *at* may differ from what was said then."""
    yield "use cases, weights and endpoints are those configured now"
    yield "what servers worked on at that moment is not recorded"
    if probes_since is None or at < probes_since:
        yield "no probe of that time is recorded any more"
    elif at - timedelta(days=7) < probes_since:
        yield f"uptime counts the probes since {probes_since:%Y-%m-%d %H:%M} UTC, the oldest that is recorded"
