"""Short questions in eight languages, to be answered in the language asked for."""

from collections.abc import Callable, Iterator, Mapping
from random import Random

from vedette_benchmarker.suites import Item, Suite
from vedette_benchmarker.suites.checks import choice
from vedette_benchmarker.suites.languages import LANGUAGES, Language, Names
from vedette_benchmarker.suites.rounds import Maker, rounds
from vedette_benchmarker.suites.wrapping import fold

_ENGLISH_CAPITALS = (
    "Rome", "Warsaw", "Lisbon", "Athens", "Copenhagen", "Beijing", "Moscow", "Cairo", "Brussels", "Vienna", "Paris",
    "Berlin", "London", "Stockholm", "Prague", "Bucharest", "Madrid", "Havana", "Bern", "Tokyo",
)  # fmt: skip
_ENGLISH_NUMBERS = (
    "seven",
    "eight",
    "twelve",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "sixty",
    "seventy",
    "eighty",
)

Draw = Callable[[Random, Language], Item]


def _item(prompt: str, right: Names, wrong: Iterator[str]) -> Item:
    """Return an item for which any of *wrong* is wrong, except names that are *right* too."""
    same = {fold(name) for name in right}
    return Item(
        prompt=prompt,
        check=choice(right, [name for name in wrong if fold(name) not in same]),
        truth=right[0],
        max_tokens=48,
    )


def _others(table: Mapping[str, Names], key: str) -> Iterator[str]:
    """Yield the answers to other rows of *table*, without the word in the question, which an answer may repeat."""
    return (name for other, names in table.items() if other != key for name in names if name != key)


def _capital(rng: Random, language: Language) -> Item:
    country = rng.choice(sorted(language.capitals))
    right = language.capitals[country]
    others = list(_others(language.capitals, country))
    return _item(language.capital.format(country), right, iter([*others, *_ENGLISH_CAPITALS]))


def _opposite(rng: Random, language: Language) -> Item:
    word = rng.choice(sorted(language.opposites))
    return _item(language.opposite.format(word), language.opposites[word], _others(language.opposites, word))


def _translation(rng: Random, language: Language) -> Item:
    word = rng.choice(sorted(language.words))
    asked = rng.choice(("What is the {} word for '{}'?", "How does one say '{1}' in {0}?"))
    prompt = f"{asked.format(language.english, word)} Answer with that one word only, in {language.english}."
    return _item(prompt, language.words[word], _others(language.words, word))


def _number(rng: Random, language: Language) -> Item:
    value = rng.randint(2, 99)
    return _item(language.number.format(value), language.spelt(value), _numbers(language, value))


def _total(rng: Random, language: Language) -> Item:
    one, other = rng.randint(2, 20), rng.randint(2, 20)
    prompt = language.total.format(language.spelt(one)[0], language.spelt(other)[0])
    return _item(prompt, language.spelt(one + other), _numbers(language, one + other, one, other))


def _numbers(language: Language, *but: int) -> Iterator[str]:
    """Yield the wrong numbers: without *but*, the right number and those of the question."""
    yield from _ENGLISH_NUMBERS
    for value in range(2, 100):
        if value not in but:
            yield from language.spelt(value)


def _maker(draw: Draw, language: Language) -> Maker:
    return lambda rng: draw(rng, language)


# All kinds in all languages; both change from each item to the next.
_DRAWS: tuple[Draw, ...] = (_capital, _total, _translation, _number, _opposite)
_MAKERS = tuple(
    _maker(_DRAWS[index % len(_DRAWS)], LANGUAGES[index % len(LANGUAGES)])
    for index in range(len(_DRAWS) * len(LANGUAGES))
)


def items(rng: Random) -> Iterator[Item]:
    """Yield capitals, opposites, numbers and words."""
    return rounds(rng, _MAKERS)


SUITE = Suite(kind="multilingual", version=2, items=items)
