"""Facts to give as JSON; the server enforces a JSON Schema."""

from collections.abc import Iterator
from functools import partial
from random import Random

from vedette.types import Capability
from vedette_benchmarker.suites import Item, Suite
from vedette_benchmarker.suites.json_words import LEVELS, QUESTIONS, maker
from vedette_benchmarker.suites.rounds import of, rounds

_maker = partial(maker, how="Give these facts as JSON: {}.", held=True)
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
