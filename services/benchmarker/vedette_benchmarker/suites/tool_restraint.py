"""Questions to answer without the given tools. A model without tool calls passes, so this confirms no capability."""

from collections.abc import Iterator
from random import Random

import msgspec

from vedette.types import Capability
from vedette_benchmarker.suites import Item, Suite
from vedette_benchmarker.suites.checks import choice, number, uncalled
from vedette_benchmarker.suites.rounds import Maker, of, rounds
from vedette_benchmarker.suites.tools import STOCK, TOOLS, TRAIN, WEATHER
from vedette_benchmarker.suites.words import NAMES, NOUNS, TOWNS

_LATER = 8  # minimum of words from which the others are drawn


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
    facts = [
        f"the {right} is in the red box",
        f"the {wrong[0]} is in the blue box",
        f"the {wrong[1]} in the green box",
    ]
    rng.shuffle(facts)
    return Item(
        prompt=f"{name} writes: {', '.join(facts)}. What is in the red box? Answer with one word.",
        check=choice((right,), wrong),
        truth=right,
    )


def _stated_weather(rng: Random) -> Item:
    """Return a question that looks like one for a tool, but contains its answer."""
    name, towns, weathers = rng.choice(NAMES), rng.sample(TOWNS, 3), rng.sample(_WEATHERS, 3)
    facts = ", ".join(f"{weather} in {town}" for town, weather in zip(towns, weathers, strict=True))
    return Item(
        prompt=f"{name} wrote yesterday: {facts}. By that letter, what was the weather in {towns[0]}? Answer with one "
        "word.",
        check=choice((weathers[0],), weathers[1:]),
        truth=weathers[0],
        tools=(WEATHER,),
    )


def _stated_stock(rng: Random) -> Item:
    articles, counts = rng.sample(NOUNS, 3), rng.sample(range(11, 400), 3)
    facts = ", ".join(f"{count} of '{article}'" for article, count in zip(articles, counts, strict=True))
    right = counts[0] + counts[1]
    if right in counts:
        return _stated_stock(rng)
    return Item(
        prompt=f"A list of last year says: {facts}. How many pieces of '{articles[0]}' and '{articles[1]}' together "
        "were in stock then? Answer with the number only.",
        check=number(right, counts),
        truth=str(right),
        tools=(STOCK,),
    )


def _stated_train(rng: Random) -> Item:
    (origin, destination, other), name = rng.sample(TOWNS, 3), rng.choice(NAMES)
    return Item(
        prompt=f"{name} has already booked a train from {origin} to {destination}, and wants to go on to {other} on "
        "foot. In which town does the train arrive? Answer with the name of the town only.",
        check=choice((destination,), (origin, other)),
        truth=destination,
        tools=(TRAIN,),
    )


_WEATHERS = ("rain", "snow", "fog", "hail", "sunshine", "wind", "frost", "thunder")


def _offering(make: Maker, tools: int) -> Maker:
    """Return a maker of the items of *make*, each with this number of useless *tools* added."""

    def offer(rng: Random) -> Item:
        item = make(rng)
        beside = rng.sample([one for one in TOOLS if one not in item.tools], tools)
        return msgspec.structs.replace(item, check=uncalled(item.check), tools=(*beside, *item.tools))

    return offer


_MAKERS = (_offering(_sum, 1), _offering(_written, 2), _offering(_first_of, 3))


def items(rng: Random) -> Iterator[Item]:
    """Yield questions with one, two and three useless tools."""
    return rounds(rng, _MAKERS)


SUITE = Suite(
    kind="tool_restraint",
    version=2,
    items=items,
    needs=Capability.TOOLS,
    levels=(("hard", of(*(_offering(make, 2) for make in (_stated_weather, _stated_stock, _stated_train)))),),
)
