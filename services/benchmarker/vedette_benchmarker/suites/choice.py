"""Comparisons and orders that follow from given facts; one of four or more options is right."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from random import Random

from msgspec import Struct

from vedette_benchmarker.suites import Item, Suite
from vedette_benchmarker.suites.checks import choice
from vedette_benchmarker.suites.rounds import Maker, of, rounds
from vedette_benchmarker.suites.words import NAMES, NOUNS, WEEKDAYS


class _Scale(Struct, frozen=True, kw_only=True):
    """The adjectives of a comparison: more and less, most and least."""

    more: str
    less: str
    most: str
    least: str


_PEOPLE = (
    _Scale(more="taller", less="shorter", most="tallest", least="shortest"),
    _Scale(more="older", less="younger", most="oldest", least="youngest"),
    _Scale(more="faster", less="slower", most="fastest", least="slowest"),
    _Scale(more="richer", less="poorer", most="richest", least="poorest"),
)
_THINGS = (
    _Scale(more="heavier", less="lighter", most="heaviest", least="lightest"),
    _Scale(more="larger", less="smaller", most="largest", least="smallest"),
    _Scale(more="cheaper", less="more expensive", most="cheapest", least="most expensive"),
)

Puzzle = tuple[str, str, Sequence[str]]  # what is stated and asked, what is right, all options


def _statement(rng: Random, ordered: Sequence[str], scale: _Scale) -> str:
    """Return sentences, in any order and wording, that compare each of *ordered* to the next; the first has most."""
    facts = [
        f"{one} is {scale.more} than {other}."
        if rng.random() < 0.5
        else f"{other} is {scale.less} than {one}."
        for one, other in pairwise(ordered)
    ]
    rng.shuffle(facts)
    return " ".join(fact[0].upper() + fact[1:] for fact in facts)


def _measured(rng: Random) -> Puzzle:
    people = rng.sample(NAMES, 4)
    low, high, unit, words = rng.choice(
        ((140, 200, "cm tall", _PEOPLE[0]), (15, 90, "years old", _PEOPLE[1]))
    )
    values = dict(zip(people, rng.sample(range(low, high), 4), strict=True))
    most = rng.random() < 0.5
    right = (max if most else min)(people, key=values.__getitem__)
    statement = " ".join(f"{name} is {value} {unit}." for name, value in values.items())
    return f"{statement} Who is the {words.most if most else words.least}?", right, people


def _people(count: int) -> Callable[[Random], Puzzle]:
    def draw(rng: Random) -> Puzzle:
        people, scale = rng.sample(NAMES, count), rng.choice(_PEOPLE)
        asked, right = rng.choice(((scale.most, people[0]), (scale.least, people[-1])))
        return f"{_statement(rng, people, scale)} Who is the {asked}?", right, people

    return draw


def _things(rng: Random) -> Puzzle:
    things, scale = [f"the {noun}" for noun in rng.sample(NOUNS, 5)], rng.choice(_THINGS)
    asked, right = rng.choice(((f"the second {scale.most}", 1), (f"the second {scale.least}", 3)))
    return f"{_statement(rng, things, scale)} Which of them is {asked}?", things[right], things


def _in_order(rng: Random) -> Puzzle:
    people, scale = rng.sample(NAMES, 4), rng.choice(_PEOPLE)
    statement = " ".join(f"{one} is {scale.more} than {other}." for one, other in pairwise(people))
    asked, right = rng.choice(((scale.most, people[0]), (scale.least, people[-1])))
    return f"{statement} Who is the {asked}?", right, people


def _ranked(count: int) -> Callable[[Random], Puzzle]:
    """Return puzzles that ask for one place in the order of *count* people; the order is given in pieces."""

    def draw(rng: Random) -> Puzzle:
        people, scale = rng.sample(NAMES, count), rng.choice(_PEOPLE)
        place = rng.randint(2, count - 3)
        order = {2: "third", 3: "fourth", 4: "fifth", 5: "sixth", 6: "seventh", 7: "eighth", 8: "ninth"}[
            place
        ]
        return f"{_statement(rng, people, scale)} Who is the {order} {scale.most}?", people[place], people

    return draw


def _seats(count: int) -> Callable[[Random], Puzzle]:
    """Return rows of *count* people: distances between people are given, and the question is who sits at a place."""

    def draw(rng: Random) -> Puzzle:
        people = rng.sample(NAMES, count)
        facts = []
        for place in range(1, count):
            other = rng.randrange(place)
            apart = place - other
            seats = "directly" if apart == 1 else f"{apart} seats"
            facts.append(
                f"{people[place]} sits {seats} to the right of {people[other]}."
                if rng.random() < 0.5
                else f"{people[other]} sits {seats} to the left of {people[place]}."
            )
        rng.shuffle(facts)
        place = rng.randrange(1, count - 1)
        statement = f"{count} people sit in a row of {count} seats. {' '.join(facts)}"
        return f"{statement} Who sits on seat number {place + 1} from the left?", people[place], people

    return draw


def _sums(rng: Random) -> Puzzle:
    """Return people whose ages are given by sums and differences of other ages."""
    people = rng.sample(NAMES, 6)
    ages = rng.sample(range(20, 70), 6)
    facts = [f"{people[0]} is {ages[0]} years old."]
    for place in range(1, 6):
        one, other = rng.randrange(place), rng.randrange(place)
        apart = ages[place] - ages[one]
        if one != other and rng.random() < 0.6:
            total = ages[place] + ages[one] + ages[other]
            facts.append(f"The ages of {people[place]}, {people[one]} and {people[other]} add up to {total}.")
        else:
            word = "older" if apart > 0 else "younger"
            facts.append(
                f"{people[place]} is {abs(apart)} year{'s' * (abs(apart) > 1)} {word} than {people[one]}."
            )
    rng.shuffle(facts)
    place, order = rng.choice(((1, "second oldest"), (2, "third oldest"), (4, "second youngest")))
    right = sorted(people, key=lambda one: -ages[people.index(one)])[place]
    return f"{' '.join(facts)} Who is the {order}?", right, people


def _row(rng: Random) -> Puzzle:
    people = rng.sample(NAMES, 5)
    facts = [
        f"{one} sits directly to the left of {other}."
        if rng.random() < 0.5
        else f"{other} sits directly to the right of {one}."
        for one, other in pairwise(people)
    ]
    rng.shuffle(facts)
    place, right = rng.choice((("at the left end", 0), ("in the middle", 2), ("at the right end", 4)))
    return f"Five people sit in a row. {' '.join(facts)} Who sits {place}?", people[right], people


def _boxes(rng: Random) -> Puzzle:
    boxes = rng.sample(NOUNS, 4)
    facts = [
        f"The {inner} box is inside the {outer} box."
        if rng.random() < 0.5
        else f"The {outer} box holds the {inner} box."
        for outer, inner in pairwise(boxes)
    ]
    rng.shuffle(facts)
    which, right = rng.choice((("outermost", boxes[0]), ("innermost", boxes[-1])))
    return f"{' '.join(facts)} Which box is the {which}?", right, boxes


def _days(rng: Random) -> Puzzle:
    today, ahead, name = rng.randrange(7), rng.randint(2, 30), rng.choice(NAMES)
    back = rng.random() < 0.5
    right = WEEKDAYS[(today + (-ahead if back else ahead)) % 7]
    others = rng.sample([day for day in WEEKDAYS if day not in (right, WEEKDAYS[today])], 3)
    when = f"was it {ahead} days ago" if back else f"will it be in {ahead} days"
    return (
        f"{name} knows that today is {WEEKDAYS[today]}. Which day of the week {when}?",
        right,
        [right, *others],
    )


def _differences(rng: Random) -> Puzzle:
    people = rng.sample(NAMES, 4)
    ages = rng.sample(range(20, 60), 4)
    facts = []
    for (one, age), (other, its) in pairwise(zip(people, ages, strict=True)):
        apart, word = abs(age - its), "older" if its > age else "younger"
        facts.append(f"{other} is {apart} year{'s' * (apart > 1)} {word} than {one}.")
    most = rng.random() < 0.5
    right = people[ages.index(max(ages) if most else min(ages))]
    return f"{' '.join(facts)} Who is the {'oldest' if most else 'youngest'}?", right, people


def _maker(draw: Callable[[Random], Puzzle]) -> Maker:
    def make(rng: Random) -> Item:
        statement, right, among = draw(rng)
        options = list(among)
        rng.shuffle(options)
        bare = [option.removeprefix("the ") for option in options]
        return Item(
            prompt=f"{statement}\nOptions: {', '.join(options)}.\nAnswer with one of the options only.",
            check=choice(
                (right.removeprefix("the "),), [one for one in bare if one != right.removeprefix("the ")]
            ),
            truth=right,
            max_tokens=48,
        )

    return make


_MAKERS = tuple(map(_maker, (_measured, _people(5), _things, _people(4), _days, _boxes, _row, _differences)))


def items(rng: Random) -> Iterator[Item]:
    """Yield puzzles, from comparing numbers to orders of five."""
    return rounds(rng, _MAKERS)


SUITE = Suite(
    kind="choice",
    version=2,
    items=items,
    levels=(
        ("easy", of(_maker(_measured), _maker(_in_order))),
        ("hard", of(_maker(_ranked(7)), _maker(_seats(6)), _maker(_people(8)), _maker(_sums))),
        ("hardest", of(_maker(_ranked(11)), _maker(_seats(10)))),
    ),
)
