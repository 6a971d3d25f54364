"""Which models a request may go to, by what a recommender replies."""

import json
from typing import Any

import msgspec
import nats.errors
import pytest
from msgspec.structs import replace
from nats.aio.msg import Msg

from gateway.test_nearest import listed as lists
from gateway.test_nearest import view
from vedette import log
from vedette.messages.codec import encode
from vedette.messages.events import AsOf
from vedette.messages.queries import (
    ErrorBody,
    ErrorReply,
    ExplainReply,
    Recommendation,
    RecommendRequest,
    Rejection,
    Relaxation,
    TopReply,
)
from vedette.testing import EPOCH
from vedette.types import ModelRef, Status
from vedette_gateway.finding import Finding, Found
from vedette_gateway.keys import Caller
from vedette_gateway.problems import Problem
from vedette_gateway.upstreams import Upstreams
from vedette_gateway.voting import Voting
from vedette_gateway.wanted import Wanted, read

MODEL = ModelRef("a", "m")
ROOM = "constraints.min_context_tokens"


class Recommender:
    """Stands for the connection to a recommender that knows one model, with a context of this size."""

    is_connected = True

    def __init__(self, context_tokens: int) -> None:
        self.context_tokens = context_tokens
        self.asked: list[int | None] = []

    async def request(self, subject: str, payload: bytes, **_: Any) -> Msg:
        """Return the ranking: the model, or how much context it lacks. Raises NoAnswer while it is not connected."""
        if not self.is_connected:
            raise nats.errors.NoRespondersError
        wanted = msgspec.json.decode(payload, type=RecommendRequest).constraints.min_context_tokens
        self.asked.append(wanted)
        return Msg(None, data=encode(ranking(self.context_tokens, wanted or 0)))  # type: ignore[arg-type]


def ranking(context_tokens: int, wanted: int) -> TopReply:
    if wanted <= context_tokens:
        return reply(recommendations=(replace(BEST, context_tokens=context_tokens),))
    relax = Relaxation(constraint=ROOM, need=wanted, to=context_tokens, model=MODEL)
    return reply(rejected={"context": 1}, relax=relax)


def reply(**fields: Any) -> TopReply:
    as_of = AsOf(sequence=1, scored_at=EPOCH)
    usual = {"use_case": "chat", "recommendations": (), "considered": 1, "rejected": {}, "as_of": as_of}
    return TopReply(**{**usual, **fields})


def explanation(*rejections: Rejection) -> ExplainReply:
    return ExplainReply(
        use_case="chat",
        recommendations=(),
        rejections=rejections,
        considered=1,
        rejected={},
        weights={},
        risk="neutral",
        as_of=AsOf(sequence=1, scored_at=EPOCH),
        summary=(),
    )


BEST = Recommendation(
    model=MODEL,
    provider="openai-compatible",
    url="http://a",
    base_url="http://a/v1",
    api="openai",
    score=90.0,
    raw_score=90.0,
    confidence=1.0,
    status=Status.AVAILABLE,
)


def finder(recommender: Recommender) -> Finding:
    voting = Voting(Upstreams(), monotonic=lambda: 0.0, log=log.logger("gateway"))
    return Finding(
        recommender, lambda: ("chat",), monotonic=lambda: 0.0, base_url=lambda *_: None, voting=voting
    )  # type: ignore[arg-type]


async def found(recommender: Recommender, wanted: Wanted) -> Found:
    return await finder(recommender).find(wanted, Caller("me"), limit=4)


def wanted(words: int, **fields: Any) -> Wanted:
    body = {"model": "vedette/chat", "messages": [{"role": "user", "content": "word " * words}], **fields}
    return read("chat/completions", json.dumps(body).encode(), ())


async def test_a_long_answer_is_room_that_a_model_has_or_not() -> None:
    """Opencode 1.18.33 sends `max_tokens: 32000` with every request: it is a limit, and no need."""
    small, large = Recommender(8192), Recommender(65_536)
    assert [one.model for one in (await found(small, wanted(4000, max_tokens=32_000))).candidates] == [MODEL]
    assert small.asked == [40_960, 5120]
    await found(large, wanted(4000, max_tokens=32_000))
    assert large.asked == [40_960]
    await found(short := Recommender(4096), wanted(1, max_tokens=32_000))
    assert short.asked == [32_768, None]


@pytest.mark.fault("no recommender replies to an agent that asks for a long answer", "I4", "I5")
async def test_a_long_answer_is_looked_for_room_in_an_outage_too() -> None:
    """No ranking that is known has so much room; one has room for the prompt."""
    small = Recommender(8192)
    finding = finder(small)
    await finding.find(wanted(5000, max_tokens=1), Caller("me"), limit=4)
    small.is_connected = False
    answer = await finding.find(wanted(4000, max_tokens=32_000), Caller("me"), limit=4)
    assert [one.model for one in answer.candidates] == [MODEL]
    assert answer.stale


async def test_what_a_recommender_refuses_is_not_ready() -> None:
    """One that has just started knows no use case yet."""

    class Starting(Recommender):
        async def request(self, subject: str, payload: bytes, **more: Any) -> Msg:
            if self.asked:
                return await super().request(subject, payload, **more)
            refusal = ErrorReply(error=ErrorBody(code="unknown_use_case", message="chat"))
            return Msg(None, data=encode(refusal), headers={"Nats-Service-Error-Code": "400"})  # type: ignore[arg-type]

    starting = Starting(4096)
    finding = finder(starting)
    assert not await finding.make_ready()
    starting.asked.append(None)
    assert await finding.make_ready()


@pytest.mark.fault("no recommender replies when a model is named", "I4", "I5")
async def test_a_name_is_found_in_an_outage_by_any_list_there_was() -> None:
    class Lists(Recommender):
        async def request(self, subject: str, payload: bytes, **_: Any) -> Msg:
            if not self.is_connected:
                raise nats.errors.NoRespondersError
            return Msg(None, data=encode(lists(view("a/m"))))  # type: ignore[arg-type]

    there = Lists(4096)
    finding = finder(there)
    await finding.listed()
    there.is_connected = False
    answer = await finding.find(wanted(1, model="m"), Caller("me"), limit=4)
    assert ([one.model for one in answer.candidates], answer.stale) == ([MODEL], True)


async def test_a_prompt_that_no_model_has_room_for_is_too_long() -> None:
    """Codex CLI 0.171.0 sent such a prompt thirty times while the status was 503."""
    with pytest.raises(Problem) as raised:
        await found(Recommender(4096), wanted(8000, max_tokens=100))
    assert (raised.value.status, raised.value.code) == (400, "context_length_exceeded")
    assert "about 10,240 tokens; the maximum context length" in raised.value.message
    assert "4,096 tokens (a/m)" in raised.value.message


@pytest.mark.parametrize(
    ("code", "expected"), [("status", (503, "no_model")), ("capability", (400, "no_model_fits"))]
)
async def test_the_reasons_say_whether_to_ask_again(code: str, expected: tuple[int, str]) -> None:
    class Other(Recommender):
        async def request(self, subject: str, payload: bytes, **_: Any) -> Msg:
            if subject == "recommend.explain":
                why = Rejection(model=MODEL, code=code, need="tools")
                return Msg(None, data=encode(explanation(why)))  # type: ignore[arg-type]
            self.asked.append(None)
            relax = Relaxation(constraint="constraints.statuses", model=MODEL) if code == "status" else None
            return Msg(None, data=encode(reply(relax=relax)))  # type: ignore[arg-type]

    other = Other(4096)
    with pytest.raises(Problem) as raised:
        await found(other, wanted(8000, max_tokens=32_000))
    assert (raised.value.status, raised.value.code) == expected
    assert len(other.asked) == 1
