"""Widely known facts in one word or number, from capitals that most people know to capitals that few know."""

import re
from collections.abc import Iterator, Sequence
from random import Random

from msgspec.structs import replace

from vedette_benchmarker.answered import Answered
from vedette_benchmarker.suites import Item, Suite, Verdict
from vedette_benchmarker.suites.checks import MAX_CHARS, Check, by_text, choice, every, number
from vedette_benchmarker.suites.general_facts import FIELDS, LEVELS, Field, Names
from vedette_benchmarker.suites.rounds import Maker, of, rounds
from vedette_benchmarker.suites.wrapping import fold, plain, without_lead, without_notes

_YEAR = re.compile(r"(?<!\d)-?\d{3,4}(?:\.\d+)?(?!\d)")
_SEPARATED = re.compile(r"[;\n]")
_PLACE = re.compile(r"\A\s*(?:[-*]|[0-9]{1,2}[.)])\s+")
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


def _several(count: int) -> Maker:
    """Return a maker of questions for *count* hard facts of different fields, all of which must be right."""
    fields = [field for field in FIELDS if field.answer == "name"]

    def make(rng: Random) -> Item:
        asked, checks, truths = [], [], []
        for place, field in enumerate(rng.sample(fields, count), 1):
            about = rng.choice(sorted(field.levels[-1]))
            right = field.levels[-1][about]
            question = rng.choice(field.asked).format(about)
            asked.append(f"{place}. {question[0].upper()}{question[1:]}")
            others = {name for table in field.levels for names in table.values() for name in names}
            checks.append(choice(right, _wrong(others, right)))
            truths.append(right[0])
        return Item(
            prompt=f"{' '.join(asked)} Give the {count} answers only, in this order, separated by semicolons.",
            check=_in_order(checks),
            truth="; ".join(truths),
            max_tokens=32 + 16 * count,
        )

    return make


def _in_order(checks: Sequence[Check]) -> Check:
    """Return a check of one answer for each of *checks*, separated by semicolons or on separate lines."""

    def check(answered: Answered) -> Verdict:
        if len(answered.text) > MAX_CHARS:
            return Verdict(correct=False, why="far too long")
        text = without_notes(without_lead(plain(answered.text)))
        parts = [_PLACE.sub("", part) for part in _SEPARATED.split(text) if part.strip()]
        if len(parts) != len(checks):
            return Verdict(correct=False, why=f"{len(parts)} answers, not {len(checks)}")
        found = (judge(replace(answered, text=part)) for judge, part in zip(checks, parts, strict=True))
        return next((one for one in found if not one.correct), Verdict(correct=True))

    return check


def _check(field: Field, right: Names, wrong: Sequence[str]) -> Check:
    if field.answer == "count":
        return number(int(right[0]))
    named = choice(right, wrong)
    return every(named, _only_year(right[0])) if field.answer == "year" else named


def _only_year(year: str) -> Check:
    return by_text(lambda text: "" if set(_YEAR.findall(text)) == {year} else "another year, too")


def _wrong(names: set[str], right: Names) -> list[str]:
    """Return the *names* that are neither *right* nor a part of a right name."""
    same = " ".join(map(fold, right))
    return sorted(name for name in names if fold(name) not in same)


# Any three in a row have one of each level, and the field changes from each to the next.
_MAKERS = tuple(
    _maker(FIELDS[place % len(FIELDS)], (place + place // len(FIELDS)) % len(LEVELS))
    for place in range(len(FIELDS) * len(LEVELS))
)


def items(rng: Random) -> Iterator[Item]:
    """Yield facts of all fields: an easy, a middle and a hard one in turn."""
    return rounds(rng, _MAKERS)


SUITE = Suite(
    kind="general_knowledge",
    version=1,
    items=items,
    levels=(
        ("easy", of(*(_maker(field, 0) for field in FIELDS))),
        ("hard", of(_several(2))),
        ("hardest", of(_several(5))),
    ),
)
