"""A code to find in a long text with other codes, at any position."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from random import Random

from vedette_benchmarker.suites import Item, Suite, estimated_tokens
from vedette_benchmarker.suites.checks import choice, every, number
from vedette_benchmarker.suites.rounds import Maker, of, rounds
from vedette_benchmarker.suites.words import NAMES, NOUNS, TOWNS

LENGTHS = (200, 500, 200, 1000, 500, 200, 2000, 200)  # tokens; a round has each length, long ones only once
DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
_DECOYS = {200: 1, 500: 2, 1000: 3, 2000: 4}
_ASIDE = 60  # tokens of the question and the opening
_WHEN = (
    "In spring",
    "Last year",
    "On a cold morning",
    "After lunch",
    "Before the storm",
    "Late in the evening",
)
_DID = (
    "walked to",
    "wrote a letter about",
    "told a story of",
    "took a photograph of",
    "dreamt of",
    "sang about",
)
_WHERE = ("near the market of", "on the road to", "in the old station of", "behind the mill of", "outside")
_THEN = (
    "and nobody was surprised.",
    "while the rain fell.",
    "and then went home.",
    "as people often do there.",
)


def _filler(rng: Random) -> str:
    doing = f"{rng.choice(NAMES)} {rng.choice(_DID)} the {rng.choice(NOUNS)}"
    return f"{rng.choice(_WHEN)}, {doing} {rng.choice(_WHERE)} {rng.choice(TOWNS)} {rng.choice(_THEN)}"


def _maker(length: int) -> Maker:
    def make(rng: Random) -> Item:
        things = rng.sample(NOUNS, _DECOYS[length] + 1)
        codes = [str(code) for code in rng.sample(range(10_000, 100_000), len(things))]
        facts = [f"The code of the {thing} is {code}." for thing, code in zip(things, codes, strict=True)]
        left = length - _ASIDE - sum(map(estimated_tokens, facts))
        sentences: list[str] = []
        while left > 0:
            sentences.append(_filler(rng))
            left -= estimated_tokens(sentences[-1])
        depth = rng.choice(DEPTHS)
        for decoy in facts[1:]:
            sentences.insert(rng.randint(0, len(sentences)), decoy)
        sentences.insert(round(depth * len(sentences)), facts[0])
        return _item(things[0], codes[0], codes[1:], sentences)

    return make


_MAKERS = tuple(map(_maker, LENGTHS))


def _easy(rng: Random) -> Item:
    """Return three sentences, two of which have a code."""
    things, codes = rng.sample(NOUNS, 2), [str(code) for code in rng.sample(range(10_000, 100_000), 2)]
    facts = [f"The code of the {thing} is {code}." for thing, code in zip(things, codes, strict=True)]
    rng.shuffle(facts)
    return _item(things[0], codes[0], codes[1:], [facts[0], _filler(rng), facts[1]])


def _alike(length: int, decoys: int) -> Maker:
    """Return a maker of texts with *decoys*, whose names share a word with the name in the question."""

    def make(rng: Random) -> Item:
        colour, thing, *others = rng.sample(NOUNS, 2 + decoys)
        names = [f"{colour} {one}" if place % 2 else f"{one} {thing}" for place, one in enumerate(others)]
        codes = [str(code) for code in rng.sample(range(10_000, 100_000), decoys + 1)]
        facts = [
            f"The code of the {name} is {code}."
            for name, code in zip((f"{colour} {thing}", *names), codes, strict=True)
        ]
        return _item(f"{colour} {thing}", codes[0], codes[1:], _hidden(rng, facts, length))

    return make


def _chained(length: int, links: int, decoys: int) -> Maker:
    """Return a maker of texts in which the code is that of another thing, over *links* references."""

    def make(rng: Random) -> Item:
        things = rng.sample(NOUNS, 1 + links + 2 * decoys)
        chain, others = things[: links + 1], things[links + 1 :]
        codes = [str(code) for code in rng.sample(range(10_000, 100_000), decoys + 1)]
        facts = [f"The code of the {chain[-1]} is {codes[0]}."]
        facts += [f"The {one} has the same code as the {other}." for one, other in pairwise(chain)]
        for place, code in enumerate(codes[1:]):
            one, other = others[2 * place : 2 * place + 2]
            facts += [f"The code of the {other} is {code}.", f"The {one} has the same code as the {other}."]
        return _item(chain[0], codes[0], codes[1:], _hidden(rng, facts, length))

    return make


def _hidden(rng: Random, facts: Sequence[str], length: int) -> list[str]:
    """Return *facts* among other sentences, with *length* tokens in total."""
    sentences, left = [], length - _ASIDE - sum(map(estimated_tokens, facts))
    while left > 0:
        sentences.append(_filler(rng))
        left -= estimated_tokens(sentences[-1])
    for fact in facts:
        sentences.insert(rng.randint(0, len(sentences)), fact)
    return sentences


def _item(thing: str, code: str, others: Sequence[str], sentences: Sequence[str]) -> Item:
    asked = f"What is the code of the {thing}? Answer with the five digits only."
    return Item(
        prompt=f"Read this text.\n\n{' '.join(sentences)}\n\n{asked}",
        check=every(number(int(code)), choice((code, f"{code[:2]},{code[2:]}"), others)),
        truth=code,
        max_tokens=32,
    )


def items(rng: Random) -> Iterator[Item]:
    """Yield texts of about 200 to 2,000 tokens; `Item.prompt_tokens` says how many."""
    return rounds(rng, _MAKERS)


SUITE = Suite(
    kind="needle",
    version=2,
    items=items,
    levels=(
        ("easy", of(_easy)),
        ("hard", of(_alike(500, 12), _chained(400, 1, 5), _alike(800, 16), _chained(600, 2, 6))),
        ("hardest", of(_chained(600, 4, 8), _chained(700, 6, 10))),
    ),
)
