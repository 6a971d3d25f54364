"""Facts to be given as JSON to which the server holds the answer by JSON Schema."""

from collections.abc import Callable, Iterator
from random import Random

import msgspec

from vedette.types import Capability
from vedette_benchmarker.suites import Item, Suite
from vedette_benchmarker.suites.checks import json
from vedette_benchmarker.suites.json_words import LEVELS, QUESTIONS, Question
from vedette_benchmarker.suites.rounds import Maker, of, rounds


def _maker(ask: Callable[[Random], Question]) -> Maker:
    def make(rng: Random) -> Item:
        question = ask(rng)
        return Item(
            prompt=f"{question.facts}\n\nGive these facts as JSON: {question.shape}.",
            check=json(question.answer),
            truth=msgspec.json.encode(question.answer).decode(),
            schema=question.schema,
            max_tokens=question.max_tokens,
        )

    return make


_MAKERS = tuple(map(_maker, QUESTIONS))


def items(rng: Random) -> Iterator[Item]:
    """Yield facts to be put into JSON of a schema."""
    return rounds(rng, _MAKERS)


SUITE = Suite(
    kind="json_schema",
    version=2,
    items=items,
    capability=Capability.JSON_SCHEMA,
    needs=Capability.JSON_SCHEMA,
    levels=tuple((level, of(*map(_maker, questions))) for level, questions in LEVELS),
)
