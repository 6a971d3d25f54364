"""Widely known facts in one word or number, from capitals that everybody knows to ones that few do."""

import re
from collections.abc import Iterator, Sequence
from random import Random

from vedette_benchmarker.suites import Item, Suite
from vedette_benchmarker.suites.checks import Check, by_text, choice, every, fold, number
from vedette_benchmarker.suites.general_facts import FIELDS, LEVELS, Field, Names
from vedette_benchmarker.suites.rounds import Maker, rounds

_YEAR = re.compile(r"(?<!\d)-?\d{3,4}(?:\.\d+)?(?!\d)")
_ONLY = ("Answer in a few words.", "Reply briefly.", "Give only the answer.")


def _maker(field: Field, level: int) -> Maker:
    others = {name for table in field.levels for names in table.values() for name in names}

    def make(rng: Random) -> Item:
        about = rng.choice(sorted(field.levels[level]))
        right = field.levels[level][about]
        question = rng.choice(field.asked).format(about)
        return Item(
            prompt=f"{question[0].upper()}{question[1:]} {rng.choice(_ONLY)}",
            check=_check(field, right, _wrong(others, right)),
            truth=right[0],
            max_tokens=48,
        )

    return make


def _check(field: Field, right: Names, wrong: Sequence[str]) -> Check:
    if field.answer == "count":
        return number(int(right[0]))
    named = choice(right, wrong)
    return every(named, _only_year(right[0])) if field.answer == "year" else named


def _only_year(year: str) -> Check:
    return by_text(lambda text: "" if set(_YEAR.findall(text)) == {year} else "another year, too")


def _wrong(names: set[str], right: Names) -> list[str]:
    """Return those of *names* that are not *right*, nor a part of what is."""
    same = " ".join(map(fold, right))
    return sorted(name for name in names if fold(name) not in same)


# Any three in a row have one of each level, and the fields change from each to the next.
_MAKERS = tuple(
    _maker(FIELDS[place % len(FIELDS)], (place + place // len(FIELDS)) % len(LEVELS))
    for place in range(len(FIELDS) * len(LEVELS))
)


def items(rng: Random) -> Iterator[Item]:
    """Yield facts of all fields, an easy one, one of the middle and a hard one in turn."""
    return rounds(rng, _MAKERS)


SUITE = Suite(kind="general_knowledge", version=1, items=items)
