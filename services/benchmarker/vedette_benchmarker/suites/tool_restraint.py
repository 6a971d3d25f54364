"""Questions to be answered without the tools at hand. A model without tools passes, so it confirms no capability."""

from collections.abc import Iterator
from random import Random

import msgspec

from vedette.types import Capability
from vedette_benchmarker.suites import Item, Suite
from vedette_benchmarker.suites.checks import choice, number, uncalled
from vedette_benchmarker.suites.rounds import Maker, rounds
from vedette_benchmarker.suites.tools import TOOLS
from vedette_benchmarker.suites.words import NAMES, NOUNS

_LATER = 8  # words to draw the others from, at least


def _sum(rng: Random) -> Item:
    one, other = rng.randint(2, 20), rng.randint(2, 20)
    while one == other:
        other = rng.randint(2, 20)
    return Item(
        prompt=f"What is {one} + {other}? Answer with the number only.",
        check=number(one + other, (one, other)),
        truth=str(one + other),
    )


def _first_of(rng: Random) -> Item:
    known = sorted(NOUNS)
    at = rng.randrange(len(known) - _LATER)  # drawn first, so that no word is right more often than others
    right, others = known[at], rng.sample(known[at + 1 :], 2)
    words = rng.sample([right, *others], 3)
    return Item(
        prompt=f"Which of these words comes first in the alphabet: {', '.join(words)}? Answer with that word only.",
        check=choice((right,), others),
        truth=right,
    )


def _written(rng: Random) -> Item:
    name, others = rng.choice(NAMES), rng.sample(NOUNS, 3)
    right, *wrong = others
    told = [
        f"the {right} is in the red box",
        f"the {wrong[0]} is in the blue box",
        f"the {wrong[1]} in the green box",
    ]
    rng.shuffle(told)
    return Item(
        prompt=f"{name} writes: {', '.join(told)}. What is in the red box? Answer with one word.",
        check=choice((right,), wrong),
        truth=right,
    )


def _offering(make: Maker, tools: int) -> Maker:
    """Return a maker of the items of *make*, each with this number of useless *tools*."""

    def offer(rng: Random) -> Item:
        item = make(rng)
        return msgspec.structs.replace(
            item, check=uncalled(item.check), tools=tuple(rng.sample(TOOLS, tools))
        )

    return offer


_MAKERS = (_offering(_sum, 1), _offering(_written, 2), _offering(_first_of, 3))


def items(rng: Random) -> Iterator[Item]:
    """Yield questions with one, two and three useless tools."""
    return rounds(rng, _MAKERS)


SUITE = Suite(kind="tool_restraint", version=2, items=items, needs=Capability.TOOLS)
