"""A code to be found in a long text that names others, at any depth."""

from collections.abc import Iterator
from random import Random

from vedette_benchmarker.suites import Item, Suite, estimated_tokens
from vedette_benchmarker.suites.checks import choice, every, number
from vedette_benchmarker.suites.rounds import Maker, rounds
from vedette_benchmarker.suites.words import NAMES, NOUNS, TOWNS

LENGTHS = (200, 500, 200, 1000, 500, 200, 2000, 200)  # tokens; a round asks each length, the dear ones once
DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
_DECOYS = {200: 1, 500: 2, 1000: 3, 2000: 4}
_ASIDE = 60  # tokens that the question and the opening take
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
        told: list[str] = []
        while left > 0:
            told.append(_filler(rng))
            left -= estimated_tokens(told[-1])
        depth = rng.choice(DEPTHS)
        for decoy in facts[1:]:
            told.insert(rng.randint(0, len(told)), decoy)
        told.insert(round(depth * len(told)), facts[0])
        asked = f"What is the code of the {things[0]}? Answer with the five digits only."
        return Item(
            prompt=f"Read this text.\n\n{' '.join(told)}\n\n{asked}",
            check=every(
                number(int(codes[0])), choice((codes[0], f"{codes[0][:2]},{codes[0][2:]}"), codes[1:])
            ),
            truth=codes[0],
            max_tokens=32,
        )

    return make


_MAKERS = tuple(map(_maker, LENGTHS))


def items(rng: Random) -> Iterator[Item]:
    """Yield texts of about 200 to 2,000 tokens; `Item.prompt_tokens` says how many."""
    return rounds(rng, _MAKERS)


SUITE = Suite(kind="needle", version=2, items=items)
