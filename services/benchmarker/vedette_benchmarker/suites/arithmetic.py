"""Sums in figures and in words, from one step to three; at the hardest level up to six."""

import re
from collections.abc import Callable, Iterator
from random import Random

from vedette_benchmarker.suites import Item, Suite
from vedette_benchmarker.suites.checks import number
from vedette_benchmarker.suites.rounds import Maker, of, rounds
from vedette_benchmarker.suites.words import NAMES

_ONLY = ("Answer with the number only.", "Reply with just the number.", "Give only the number.")
_THINGS = ("apples", "marbles", "stamps", "books", "pencils", "coins", "shells", "buttons", "cards", "eggs")
_CROWDS = ("dancers", "visitors", "guests", "workers", "players", "pupils")


def _asked(draw: Callable[[Random], tuple[str, int]]) -> Maker:
    """Return a maker of items from *draw*, which returns question and answer.

    An answer never is a number of its question.
    """

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
            max_tokens=96,  # room for a model that first explains
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
    story = f"{name} buys {boxes} boxes with {each} {things} in each and gives {gone} {things} to {friend}."
    return f"{story} How many {things} does {name} have left?", boxes * each - gone


def _ride(rng: Random) -> tuple[str, int]:
    crowd = rng.choice(_CROWDS)
    start, off, on = rng.randint(30, 80), rng.randint(3, 20), rng.randint(3, 20)
    left = start - off + on
    story = f"There are {start} {crowd} in a hall. First {off} of them leave, then {on} others come in."
    return (
        f"{story} After that, as many again come in as are there. How many {crowd} are there now?",
        2 * left,
    )


def _shopping(rng: Random) -> tuple[str, int]:
    name, things = rng.choice(NAMES), rng.choice(_THINGS)
    count, price, off = rng.randint(4, 12), rng.randint(3, 15), rng.randint(2, 9)
    paid = -(-(count * price - off) // 50) * 50
    story = f"{name} buys {count} {things} at {price} dollars each, gets {off} dollars off the whole price"
    return f"{story}, and pays with {paid} dollars. How many dollars does {name} get back?", paid - (
        count * price - off
    )


def _easy_sum(rng: Random) -> tuple[str, int]:
    one, other = rng.randint(10, 60), rng.randint(2, 30)
    return rng.choice(("What is {} + {}?", "What is {} plus {}?", "Add {} and {}.")).format(
        one, other
    ), one + other


def _easy_difference(rng: Random) -> tuple[str, int]:
    one, other = rng.randint(30, 90), rng.randint(2, 20)
    return rng.choice(("What is {} - {}?", "What is {} minus {}?")).format(one, other), one - other


def _long_product(rng: Random) -> tuple[str, int]:
    one, other = rng.randint(112, 989), rng.randint(12, 98)
    return rng.choice(("What is {} * {}?", "Multiply {} by {}.")).format(one, other), one * other


def _nested(rng: Random) -> tuple[str, int]:
    one, two, three, four = (rng.randint(12, 98) for _ in range(4))
    times, again = rng.randint(6, 19), rng.randint(6, 19)
    return (
        f"What is ({one} + {two}) * {times} + ({three} + {four}) * {again}?",
        (one + two) * times + (three + four) * again,
    )


def _long_remainder(rng: Random) -> tuple[str, int]:
    whole, by = rng.randint(20_000, 99_000), rng.randint(23, 97)
    return f"What is the remainder when {whole} is divided by {by}?", whole % by


def _tanks(rng: Random) -> tuple[str, int]:
    start, into, out_of, hours = (
        rng.randint(100, 400),
        rng.randint(31, 79),
        rng.randint(11, 29),
        rng.randint(4, 9),
    )
    more, last = rng.randint(12, 60), rng.randint(3, 8)
    left = start + (into - out_of) * hours + more * last
    story = (
        f"A tank holds {start} litres. For {hours} hours, {into} litres run in and {out_of} litres run out every hour. "
        f"Then {last} buckets of {more} litres each are poured in."
    )
    return f"{story} How many litres does the tank hold now?", left


def _huge_product(rng: Random) -> tuple[str, int]:
    one, other = rng.randint(1112, 9889), rng.randint(1112, 9889)
    return f"What is {one} * {other}?", one * other


def _power_remainder(rng: Random) -> tuple[str, int]:
    base, power, by = rng.randint(3, 19), rng.randint(11, 40), rng.randint(53, 997)
    return f"What is the remainder when {base} to the power of {power} is divided by {by}?", pow(
        base, power, by
    )


def _deeply_nested(rng: Random) -> tuple[str, int]:
    one, two, three, four, five, six, seven = (rng.randint(112, 989) for _ in range(7))
    return (
        f"What is {one} * {two} + {three} * ({four} + {five}) + {six} * {seven}?",
        one * two + three * (four + five) + six * seven,
    )


def _savings(rng: Random) -> tuple[str, int]:
    name, start = rng.choice(NAMES), 1000 * rng.randint(12, 89)
    first, second = rng.sample((5, 10, 15, 20, 30, 40), 2)
    paid, taken, weeks = rng.randint(1001, 4999), rng.randint(501, 999), rng.randint(3, 6)
    grown = start + start * first // 100 + paid
    cut = start * second // 100
    story = (
        f"{name} has {start} dollars. In the first year this grows by {first}%, and then {name} adds {paid} dollars. "
        f"In the second year {name} spends {second}% of the {start} dollars from the beginning, and {taken} dollars in "
        f"each of {weeks} weeks."
    )
    return f"{story} How many dollars are left?", grown - cut - taken * weeks


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


SUITE = Suite(
    kind="arithmetic",
    version=2,
    items=items,
    levels=(
        ("easy", of(_asked(_easy_sum), _asked(_found_more), _asked(_easy_difference))),
        ("hard", of(_asked(_long_product), _asked(_tanks), _asked(_nested), _asked(_long_remainder))),
        (
            "hardest",
            of(_asked(_huge_product), _asked(_savings), _asked(_power_remainder), _asked(_deeply_nested)),
        ),
    ),
)
