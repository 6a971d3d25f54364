"""Facts to give as JSON; the question describes its shape in words."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from random import Random
from typing import Any

import msgspec
from msgspec import Struct

from vedette_benchmarker.suites import Item, Suite
from vedette_benchmarker.suites.checks import json
from vedette_benchmarker.suites.rounds import Maker, of, rounds
from vedette_benchmarker.suites.words import NAMES, NOUNS, SURNAMES, TOWNS

Schema = dict[str, Any]


class Question(Struct, frozen=True, kw_only=True):
    """A question for JSON: the facts, the shape in words and as JSON Schema, and the right answer."""

    facts: str
    shape: str
    schema: Schema
    answer: Mapping[str, Any]
    max_tokens: int = 256


def _object(**properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _array(of: Schema) -> Schema:
    return {"type": "array", "items": of}


_STRING: Schema = {"type": "string"}
_INTEGER: Schema = {"type": "integer"}
_BOOLEAN: Schema = {"type": "boolean"}


def person(rng: Random) -> Question:
    """Return the easiest question: a name and an age."""
    name, age, town = rng.choice(NAMES), rng.randint(18, 90), rng.choice(TOWNS)
    return Question(
        facts=f"{name} is {age} years old and lives in {town}.",
        shape='"name" (a string), "age" (a whole number) and "town" (a string)',
        schema=_object(name=_STRING, age=_INTEGER, town=_STRING),
        answer={"name": name, "age": age, "town": town},
    )


def stock(rng: Random) -> Question:
    """Return an object with a number, a truth value and a price."""
    thing, count, sold = rng.choice(NOUNS), rng.randint(2, 400), rng.random() < 0.5
    price = rng.randint(101, 9999) / 100
    available = "is no longer for sale" if sold else "is still for sale"
    return Question(
        facts=f"We have {count} pieces of the article '{thing}'. It costs {price} euros and {available}.",
        shape='"article" (a string), "pieces" (a whole number), "price" (a number) and "for_sale" (true or false)',
        schema=_object(article=_STRING, pieces=_INTEGER, price={"type": "number"}, for_sale=_BOOLEAN),
        answer={"article": thing, "pieces": count, "price": price, "for_sale": not sold},
    )


def team(rng: Random) -> Question:
    """Return a list of names, and a count that the facts do not state."""
    count = rng.randint(3, 5)
    members, lead = rng.sample(NAMES, count), rng.choice(SURNAMES)
    said = f"{', '.join(members[:-1])} and {members[-1]}"
    return Question(
        facts=f"The team led by Ms {lead} has these members: {said}.",
        shape=(
            '"lead" (a string, the surname only), "members" (a list of strings in the order given) and "size" (the '
            "number of members without the lead)"
        ),
        schema=_object(lead=_STRING, members=_array(_STRING), size=_INTEGER),
        answer={"lead": lead, "members": members, "size": count},
    )


def order(rng: Random) -> Question:
    """Return an object in an object, a list of objects, and a null."""
    name, town = rng.choice(NAMES), rng.choice(TOWNS)
    things, paid = rng.sample(NOUNS, rng.randint(2, 3)), rng.random() < 0.5
    lines = [{"article": thing, "count": rng.randint(2, 40)} for thing in things]
    code = f"{rng.choice('ABCDEFGH')}{rng.randint(100, 999)}" if rng.random() < 0.5 else None
    said = ", ".join(f"{line['count']} of '{line['article']}'" for line in lines)
    coupon = f"the coupon {code}" if code else "no coupon"
    return Question(
        facts=f"{name} from {town} orders {said}, uses {coupon}, and has {'' if paid else 'not '}paid.",
        shape=(
            '"customer" (an object with "name" and "town"), "lines" (a list of objects with "article" and "count"), '
            '"coupon" (a string, or null if there is none) and "paid" (true or false)'
        ),
        schema=_object(
            customer=_object(name=_STRING, town=_STRING),
            lines=_array(_object(article=_STRING, count=_INTEGER)),
            coupon={"type": ["string", "null"]},
            paid=_BOOLEAN,
        ),
        answer={"customer": {"name": name, "town": town}, "lines": lines, "coupon": code, "paid": paid},
    )


def named(rng: Random) -> Question:
    """Return two keys with values that are in the facts unchanged."""
    name, town = rng.choice(NAMES), rng.choice(TOWNS)
    return Question(
        facts=f"{name} lives in {town}.",
        shape='"name" (a string) and "town" (a string)',
        schema=_object(name=_STRING, town=_STRING),
        answer={"name": name, "town": town},
    )


def piece(rng: Random) -> Question:
    """Return a word and a number."""
    thing, count = rng.choice(NOUNS), rng.randint(2, 400)
    return Question(
        facts=f"We have {count} pieces of the article '{thing}'.",
        shape='"article" (a string) and "pieces" (a whole number)',
        schema=_object(article=_STRING, pieces=_INTEGER),
        answer={"article": thing, "pieces": count},
    )


def orders(count: int) -> Callable[[Random], Question]:
    """Return questions for *count* orders, in any order, with sums that the facts do not state."""

    def ask(rng: Random) -> Question:
        customers, things = rng.sample(NAMES, count), rng.sample(NOUNS, 4)
        prices = dict(zip(things, rng.sample(range(3, 60), 4), strict=True))
        wanted = [
            {thing: rng.randint(2, 15) for thing in rng.sample(things, rng.randint(1, 2))} for _ in customers
        ]
        sentences = [
            f"{name} wants {' and '.join(f'{number} of {thing!r}' for thing, number in lines.items())}."
            for name, lines in zip(customers, wanted, strict=True)
        ]
        rng.shuffle(sentences)
        costs = [sum(prices[thing] * number for thing, number in lines.items()) for lines in wanted]
        listed = sorted(zip(customers, wanted, costs, strict=True), key=lambda one: one[0])
        answer = {
            "orders": [
                {
                    "customer": name,
                    "lines": [{"article": thing, "count": lines[thing]} for thing in sorted(lines)],
                    "total": cost,
                }
                for name, lines, cost in listed
            ],
            "sum": sum(costs),
            "dearest": max(prices, key=lambda thing: prices[thing]),
        }
        said = ", ".join(f"{thing!r} {price} euros" for thing, price in prices.items())
        return Question(
            facts=f"One piece costs: {said}. {' '.join(sentences)}",
            shape=(
                '"orders" (a list of objects with "customer", "lines" and "total", ordered by customer; "lines" is a '
                'list of objects with "article" and "count", ordered by article; "total" is what all pieces of the '
                'order cost), "sum" (of all totals) and "dearest" (the article with the highest price of one piece)'
            ),
            schema=_object(
                orders=_array(
                    _object(
                        customer=_STRING,
                        lines=_array(_object(article=_STRING, count=_INTEGER)),
                        total=_INTEGER,
                    )
                ),
                sum=_INTEGER,
                dearest=_STRING,
            ),
            answer=answer,
            max_tokens=480,
        )

    return ask


QUESTIONS = (person, stock, team, order)
LEVELS = (("easy", (named, piece)), ("hard", (orders(2),)), ("hardest", (orders(4),)))


def maker(ask: Callable[[Random], Question], how: str, *, held: bool = False) -> Maker:
    """Return the maker of items that ask for JSON with the text *how*; `{}` in it is the shape in words.

    If *held*, the server enforces the shape by JSON Schema.
    """

    def make(rng: Random) -> Item:
        question = ask(rng)
        return Item(
            prompt=f"{question.facts}\n\n{how.format(question.shape)}",
            check=json(question.answer),
            truth=msgspec.json.encode(question.answer).decode(),
            schema=question.schema if held else None,
            max_tokens=question.max_tokens,
        )

    return make


_maker = partial(
    maker, how="Give these facts as one JSON object with the keys {}. Answer with the JSON only."
)
_MAKERS = tuple(map(_maker, QUESTIONS))


def items(rng: Random) -> Iterator[Item]:
    """Yield facts to put into JSON, from three keys to lists of objects."""
    return rounds(rng, _MAKERS)


SUITE = Suite(
    kind="json_words",
    version=2,
    items=items,
    levels=tuple((level, of(*map(_maker, questions))) for level, questions in LEVELS),
)
