"""Sums in figures and in words, from one step to three."""

import re
from collections.abc import Callable, Iterator
from random import Random

from vedette_benchmarker.suites import Item, Suite
from vedette_benchmarker.suites.checks import number
from vedette_benchmarker.suites.rounds import Maker, rounds
from vedette_benchmarker.suites.words import NAMES

_ONLY = ("Answer with the number only.", "Reply with just the number.", "Give only the number.")
_THINGS = ("apples", "marbles", "stamps", "books", "pencils", "coins", "shells", "buttons", "cards", "eggs")
_CROWDS = ("dancers", "visitors", "guests", "workers", "players", "pupils")


def _asked(draw: Callable[[Random], tuple[str, int]]) -> Maker:
    """Return a maker from *draw*, which gives question and answer; an answer is never a number of its question."""

    def make(rng: Random) -> Item:
        while True:
            question, answer = draw(rng)
            given = [int(digits) for digits in re.findall(r"[0-9]+", question)]
            if answer not in given:
                break
        return Item(
            prompt=f"{question} {rng.choice(_ONLY)}",
            check=number(answer, given),
            truth=str(answer),
            max_tokens=96,  # room for a model that first says how
        )

    return make


def _tiny_sum(rng: Random) -> tuple[str, int]:
    one, other = rng.randint(1, 12), rng.randint(1, 12)
    question = rng.choice(
        ("What is {} + {}?", "What is {} plus {}?", "Add {} and {}.", "How much is {} + {}?")
    )
    return question.format(one, other), one + other


def _small_product(rng: Random) -> tuple[str, int]:
    one, other = rng.randint(2, 12), rng.randint(2, 12)
    return rng.choice(("What is {} times {}?", "Multiply {} by {}.")).format(one, other), one * other


def _long_sum(rng: Random) -> tuple[str, int]:
    one, other = rng.randint(100, 999), rng.randint(100, 999)
    if rng.random() < 0.5:
        return f"What is {one} + {other}?", one + other
    return f"What is {max(one, other)} - {min(one, other)}?", abs(one - other)


def _three_terms(rng: Random) -> tuple[str, int]:
    one, two, three = rng.randint(11, 60), rng.randint(3, 19), rng.randint(3, 12)
    if rng.random() < 0.5:
        return f"What is {one} + {two} * {three}?", one + two * three
    return f"What is ({one} + {two}) * {three}?", (one + two) * three


def _remainder(rng: Random) -> tuple[str, int]:
    by = rng.randint(6, 19)
    whole = rng.randint(100, 600)
    return f"What is the remainder when {whole} is divided by {by}?", whole % by


def _percentage(rng: Random) -> tuple[str, int]:
    percent, hundreds = rng.choice((5, 15, 20, 30, 35, 40, 60, 65, 80)), rng.randint(2, 19)
    return f"What is {percent}% of {100 * hundreds}?", percent * hundreds


def _found_more(rng: Random) -> tuple[str, int]:
    name, things = rng.choice(NAMES), rng.choice(_THINGS)
    one, other = rng.randint(2, 20), rng.randint(2, 20)
    return (
        f"{name} has {one} {things} and gets {other} more. How many {things} does {name} have now?",
        one + other,
    )


def _given_away(rng: Random) -> tuple[str, int]:
    (name, friend), things = rng.sample(NAMES, 2), rng.choice(_THINGS)
    boxes, each, gone = rng.randint(3, 9), rng.randint(6, 15), rng.randint(2, 17)
    told = f"{name} buys {boxes} boxes with {each} {things} in each and gives {gone} {things} to {friend}."
    return f"{told} How many {things} does {name} have left?", boxes * each - gone


def _ride(rng: Random) -> tuple[str, int]:
    crowd = rng.choice(_CROWDS)
    start, off, on = rng.randint(30, 80), rng.randint(3, 20), rng.randint(3, 20)
    left = start - off + on
    told = f"There are {start} {crowd} in a hall. First {off} of them leave, then {on} others come in."
    return f"{told} After that, as many again come in as are there. How many {crowd} are there now?", 2 * left


def _shopping(rng: Random) -> tuple[str, int]:
    name, things = rng.choice(NAMES), rng.choice(_THINGS)
    count, price, off = rng.randint(4, 12), rng.randint(3, 15), rng.randint(2, 9)
    paid = -(-(count * price - off) // 50) * 50
    told = f"{name} buys {count} {things} at {price} dollars each, gets {off} dollars off the whole price"
    return f"{told}, and pays with {paid} dollars. How many dollars does {name} get back?", paid - (
        count * price - off
    )


_MAKERS = tuple(
    _asked(draw)
    for draw in (
        _tiny_sum,
        _long_sum,
        _given_away,
        _found_more,
        _three_terms,
        _ride,
        _small_product,
        _percentage,
        _shopping,
        _remainder,
    )
)


def items(rng: Random) -> Iterator[Item]:
    """Yield sums, the easy ones among the hard."""
    return rounds(rng, _MAKERS)


SUITE = Suite(kind="arithmetic", version=2, items=items)
