"""What proves a capability, what disproves it, and what does neither."""

import zlib
from random import Random

import msgspec
import pytest

from vedette.errors import ProviderError
from vedette.providers import Finished, Generation, Reranked, ToolCall
from vedette.testing import Answer, FakeClock, FakeEndpoint, Piece
from vedette.types import Capability, Claim, Evidence, ModelInfo, ModelRef, Outcome
from vedette_benchmarker.answered import Answered
from vedette_benchmarker.proof import (
    THINKING_TOKENS,
    Call,
    Proof,
    calls,
    claims,
    png,
    prove,
    prove_embedding,
    prove_rerank,
)


def info(**fields: object) -> ModelInfo:
    """Return a chat model, altered by *fields*."""
    blank = ModelInfo(model=ModelRef("box", "m"), provider="fake", url="http://x", api="fake", kind="chat")
    return msgspec.structs.replace(blank, **fields)


def declared(capability: Capability, *, value: bool = True) -> dict[str, Claim]:
    return {str(capability): Claim(value=value, evidence=Evidence.DECLARED, source="test")}


def call(capability: Capability, about: ModelInfo | None = None, seed: int = 1) -> Call:
    """Return the call for *capability*."""
    made = {one.capability: one for one in calls(about or info(), Random(seed))}
    return made[capability]


def judged(one: Call, text: str = "", *, reason: str = "stop", **tool: object) -> bool | None:
    """Return what *one* makes of an answer."""
    called = (ToolCall(**tool),) if tool else ()  # type: ignore[arg-type]
    finished = Finished(at=0, reason=reason, tool_calls=called)
    return one.judge(Answered(text=text, thinking="", finished=finished))


def asked_for(one: Call, words: tuple[str, ...]) -> str:
    """Return which of *words* the prompt of *one* names."""
    (found,) = [word for word in words if word in one.generation.prompt]
    return found


CITIES = ("Lisbon", "Oslo", "Nairobi", "Quito", "Hanoi", "Riga", "Lima", "Cairo")


def test_kinds_are_asked_what_they_can_be_asked() -> None:
    """A chat model for tools and a schema, one that may see also for a colour, others for nothing of that."""
    kinds = {one.capability for one in calls(info(), Random(1))}
    assert kinds == {Capability.CHAT, Capability.TOOLS, Capability.JSON_SCHEMA}
    sees = info(input_modalities=("text", "image"))
    assert Capability.VISION in {one.capability for one in calls(sees, Random(1))}
    blind = info(input_modalities=("text", "image"), capabilities=declared(Capability.VISION, value=False))
    assert Capability.VISION not in {one.capability for one in calls(blind, Random(1))}
    (only,) = calls(info(kind="completion"), Random(1))
    assert only.capability is Capability.COMPLETION
    assert not only.generation.chat
    assert calls(info(kind="embedding"), Random(1)) == []


def test_thinking_models_get_room() -> None:
    thinks = info(capabilities=declared(Capability.THINKING))
    assert all(one.generation.max_tokens == THINKING_TOKENS for one in calls(thinks, Random(1)))


def test_no_two_prompts_are_alike() -> None:
    """What a server has cached proves nothing."""
    prompts = [one.generation.prompt for seed in range(5) for one in calls(info(), Random(seed))]
    assert len(set(prompts)) == len(prompts)


@pytest.mark.parametrize("seed", range(5))
def test_a_tool_must_be_called_by_its_name_with_the_city(seed: int) -> None:
    """Words about the weather are no call; nor is another tool, another city or garbage."""
    one = call(Capability.TOOLS, seed=seed)
    city = asked_for(one, CITIES)
    other = next(c for c in CITIES if c != city)
    assert judged(one, name="get_weather", arguments={"city": f"{city.upper()}, now"}) is True
    assert judged(one, f"It is sunny in {city}.") is False
    assert judged(one, name="get_time", arguments={"city": city}) is False
    assert judged(one, name="get_weather", arguments={"city": other}) is False
    assert judged(one, name="get_weather", arguments=None) is False


@pytest.mark.parametrize(
    ("text", "reason", "proved"),
    [
        ('{"name": "Ada", "age": 36}', "stop", True),
        ('{"name": "somebody else", "age": 1}', "stop", True),  # right or wrong is for quality to say
        ('{"name": "Ada", "age": "36"}', "stop", False),
        ('{"name": "Ada"}', "stop", False),
        ('{"name": "Ada", "age": 36, "town": "x"}', "stop", False),
        ("Ada is 36.", "stop", False),
        ("", "stop", False),
        ('{"name": "Ad', "length", None),  # cut off
        ("Ada is thirty-", "length", False),
    ],
)
def test_a_schema_is_kept_or_not(text: str, reason: str, proved: bool | None) -> None:
    assert judged(call(Capability.JSON_SCHEMA), text, reason=reason) is proved


def test_a_colour_must_be_named_alone() -> None:
    """All colours at once is a guess that cannot fail, so it does not count."""
    one = call(Capability.VISION, info(input_modalities=("text", "image")))
    right = [c for c in ("red", "green", "blue") if judged(one, f"It is {c}.")]
    assert len(right) == 1
    assert judged(one, "red, green or blue") is False
    assert judged(one, "I cannot see pictures.") is False


def test_a_picture_is_a_picture() -> None:
    """Its pixels have the colour, row by row."""
    raw = png((1, 2, 3), side=2)
    assert raw.startswith(b"\x89PNG\r\n\x1a\n")
    at = raw.index(b"IDAT") + 4
    assert zlib.decompressobj().decompress(raw[at:]) == b"\x00\x01\x02\x03\x01\x02\x03" * 2


async def test_thinking_shows_by_itself() -> None:
    """A thought in any answer verifies it; no thought proves nothing."""
    thought = Answer(pieces=(Piece(after_s=0.1, thinking="hm"), Piece(after_s=0.1, text="hello")))
    for answer, found in ((thought, True), (Answer.of(3), None)):
        endpoint = FakeEndpoint(FakeClock(), answer=lambda _, answer=answer: answer)
        proof = await prove(endpoint, call(Capability.CHAT), Proof())
        claim = claims(proof.attempts).get(Capability.THINKING)
        assert (claim.value if claim else None) is found


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (Answer(finished={"reason": "content_filter"}), None),
        (Answer(finished={"reason": "SAFETY"}), None),
        (Answer(finished={"reason": "length", "reasoning_tokens": 64}), None),
        (
            Answer(
                pieces=(Piece(after_s=0.1, text="<think>\nThe user wants"),), finished={"reason": "length"}
            ),
            None,
        ),
        (Answer(pieces=(Piece(after_s=0.1, text="It is sunny and"),), finished={"reason": "length"}), False),
        (Answer(finished={"reason": "stop"}), False),
    ],
)
async def test_an_answer_that_was_refused_or_never_came_shows_no_lack(
    answer: Answer, shown: bool | None
) -> None:
    """A filter of the service, or thoughts up to the limit, leave no word of the model's to judge."""
    endpoint = FakeEndpoint(FakeClock(), answer=lambda _: answer)
    for capability in (Capability.TOOLS, Capability.JSON_SCHEMA):
        proof = await prove(endpoint, call(capability), Proof())
        assert proof.attempts[0].proved is shown


async def test_a_refusal_disproves_and_an_outage_proves_nothing() -> None:
    """400 is an answer to the question; a server that is away has not heard it."""
    for outcome, value, goes_on in (
        (Outcome.BAD_REQUEST, False, True),
        (Outcome.UNSUPPORTED, False, True),
        (Outcome.REFUSED, None, False),
        (Outcome.TIMEOUT, None, False),
    ):
        endpoint = FakeEndpoint(FakeClock())
        endpoint.failures["generate"] = ProviderError(outcome, "m does not support tools")
        proof = await prove(endpoint, call(Capability.TOOLS), Proof())
        claim = claims(proof.attempts).get(Capability.TOOLS)
        assert (claim.value if claim else None) is value
        assert (proof.failure is None) is goes_on
        assert proof.attempts[0].detail == "m does not support tools"


async def test_what_was_used_adds_up() -> None:
    def answer(_: Generation) -> Answer:
        return Answer.of(5, prompt_tokens=40, output_tokens=5)

    endpoint, proof = FakeEndpoint(FakeClock(), answer=answer), Proof()
    for one in calls(info(), Random(1)):
        proof = await prove(endpoint, one, proof)
    assert (proof.requests, proof.prompt_tokens, proof.output_tokens) == (3, 120, 15)


async def test_vectors_tell_their_length_and_ranks_their_order() -> None:
    """An embedding of any length proves embedding; a reranker must put the answer first."""
    endpoint = FakeEndpoint(FakeClock())
    embedded = await prove_embedding(endpoint, info(kind="embedding"))
    assert claims(embedded.attempts)[Capability.EMBEDDING].value
    assert embedded.dimensions == 384
    assert claims((await prove_rerank(endpoint, info(kind="rerank"))).attempts)[Capability.RERANK].value

    async def backwards(*_: object, **__: object) -> Reranked:
        return Reranked(sent_at=0, done_at=0, scores=[2.0, 1.0])

    endpoint.rerank = backwards  # type: ignore[method-assign]
    assert not claims((await prove_rerank(endpoint, info(kind="rerank"))).attempts)[Capability.RERANK].value
