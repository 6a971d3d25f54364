"""Yields items in rounds with the same mix of difficulties, so that any few items are as hard as any other few."""

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from random import Random

from vedette_benchmarker.suites import Item

_TRIES = 50

Maker = Callable[[Random], Item]


def rounds(rng: Random, makers: Sequence[Maker]) -> Iterator[Item]:
    """Yield an item of each of *makers* in turn, without end; none repeats while its maker has others."""
    seen: set[str] = set()
    for make in cycle(makers):
        item = make(rng)
        for _ in range(_TRIES):
            if item.prompt not in seen:
                break
            item = make(rng)
        seen.add(item.prompt)
        yield item


def of(*makers: Maker) -> Callable[[Random], Iterator[Item]]:
    """Return the items of a level with these *makers*."""
    return lambda rng: rounds(rng, makers)
