"""What reads texts that others wrote takes time in proportion to their length, whatever stands in them."""

import re
import time
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from random import Random

import msgspec
import pytest

from vedette.errors import RequestError
from vedette.knowledge import of_name
from vedette.knowledge.names import identify
from vedette.messages.queries import RecommendRequest
from vedette.messages.validation import decode
from vedette.providers import Finished, ToolCall
from vedette.providers.redaction import Secrets
from vedette.text import lookalikes
from vedette.text.normalizing import normalized
from vedette.text.shown import quoted_name, shown, shown_json, shown_name
from vedette.types import ModelRef
from vedette_benchmarker.answered import Answered
from vedette_benchmarker.suites import Item, Suite, arithmetic, choice
from vedette_benchmarker.suites.checks import MAX_CHARS
from vedette_benchmarker.suites.registry import SUITES
from vedette_discoverer.licences import identifier

# Ten times as much takes ten times as long, a hundred times if it is quadratic. CPU time is counted, of which others'
# work takes none; times below the floor say nothing.
MAX_TIMES = 35
LENGTHS = (20_000, pytest.param(1_000_000, marks=pytest.mark.lane("faults")))

SHAPES = (
    "a", "1", "1.", " ", "\n", "\u0316\u0301", "\u0f73\u0f71", "\u0344", "é", "{", "[", "(", "#", "*", "-", "'", "```",
    "```\n", "1 |or ", "or |1 ", "answer is 1|or ",
    "1 or ", "or 1 ", "answer: 1 ", "answer is not ", "because since or not never answer is ", "1. ", "the ",
    "here is ", " \n", "1,111", "1,", "<think>", "\\boxed{", '{"a":', "lambda:", "not ", "x.", "-q4_k", "models--a/",
    "7b-",
    "\\u0073", "%53%73", "&#x73;", "&#0115;", "\\\\", "\u202e", "\u200b", "\U000e0041", "1-", "_1", "1_",
)  # fmt: skip


def seconds(work: Callable[[str], object], text: str) -> float:
    begun = time.process_time()
    with suppress(RequestError, ValueError):
        work(text)
    return time.process_time() - begun


def repeated(shape: str, length: int) -> str:
    """Return a text of the parts of *shape*, between bars, each repeated for its share of *length*."""
    parts = shape.split("|")
    return "".join((part * length)[: length // len(parts)] for part in parts)


def superlinear(
    work: Callable[[str], object], length: int, *, floor_s: float
) -> dict[str, tuple[float, float]]:
    """Return the shapes of which *length* characters take *work* far more than ten times a tenth of them."""
    found = {}
    for shape in SHAPES:
        long = repeated(shape, length)
        took, limit = seconds(work, long), MAX_TIMES * floor_s
        if took > limit:
            base = seconds(work, repeated(shape, length // 10))
            limit = MAX_TIMES * max(floor_s, base)
        if took > limit:
            took = min(took, seconds(work, long))  # without a collection of garbage
        if took > limit:
            found[shape] = (base, took)
    return found


SECRETS = Secrets(["s3cr3t-key-of-an-endpoint"])
READERS: dict[str, Callable[[str], object]] = {
    "a name": lambda text: identify(
        text[:512], origin=text[:2048], kind="chat", parameters=None, told=text[:2048]
    ),
    "what a name means": lambda text: of_name(text[:512]),
    "a licence": identifier,
    "a text to redact": lambda text: SECRETS.redact(text, cut=True),
    "a reply to redact": lambda text: SECRETS.clean(msgspec.json.encode({"said": text})),
    "a text to show": shown,
    "a document to show": shown_json,
    "a name to show": shown_name,
    "a name to quote": quoted_name,
    "a text to normalise": lambda text: normalized(text, "NFC"),
    "names to compare": lambda text: lookalikes.notes([ModelRef("box", text[:512])] * 10),
    "a name that is meant": lambda text: lookalikes.meant(text, ["é", "b"]),
    "a request": lambda text: decode(text.encode(), msgspec.json.Decoder(RecommendRequest)),
    "a request's text": lambda text: decode(
        msgspec.json.encode({"use_case": text, text: text}), msgspec.json.Decoder(RecommendRequest)
    ),
}


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.fault("a text of 1 MB that is made to cost much to read", "I5", "I13")
def test_reading_a_text_is_linear(reader: str, length: int) -> None:
    assert not superlinear(READERS[reader], length, floor_s=0.02 * length / 1e6)


def grading(suite: Suite) -> Callable[[str], object]:
    """Return the grading of answers to the first question of *suite*."""
    item = next(suite.items(Random(1)))
    if not isinstance(item, Item):
        pytest.skip("its answers are vectors")

    def grade(text: str) -> object:
        calls = tuple(ToolCall(name=call.name, arguments={"text": text}) for call in item.truth_calls)
        return item.check(Answered(text=text, finished=Finished(at=0.0, tool_calls=calls)))

    return grade


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.kind)
@pytest.mark.fault("a model's answer that is made to cost much to grade", "I5", "I13")
def test_grading_an_answer_is_linear(suite: Suite) -> None:
    assert not superlinear(grading(suite), MAX_CHARS, floor_s=0.003)


@pytest.mark.fault(
    "20,000 combining marks on one letter of an answer",
    "I5",
    "I13",
    without=(
        "vedette_benchmarker.suites.wrapping:normalized",
        lambda text, form: unicodedata.normalize(form, text),
    ),
)
def test_combining_marks_are_normalised_in_linear_time() -> None:
    assert not superlinear(grading(choice.SUITE), MAX_CHARS, floor_s=0.003)


def hedged(sentence: str) -> bool:
    """Return what `checks._hedged` does, in quadratic time, as it once did."""
    numbers, hedges = list(re.finditer("[0-9]+", sentence)), re.finditer(r"\bor\b", sentence)
    return any(
        {n[0] for n in numbers if n.start() < hedge.start()}
        and {n[0] for n in numbers if n.start() > hedge.start()}
        for hedge in hedges
    )


@pytest.mark.fault(
    "an answer of numbers and alternatives without end",
    "I5",
    "I13",
    without=("vedette_benchmarker.suites.checks:_hedged", hedged),
)
def test_alternatives_are_found_in_linear_time() -> None:
    assert not superlinear(grading(arithmetic.SUITE), MAX_CHARS, floor_s=0.003)
