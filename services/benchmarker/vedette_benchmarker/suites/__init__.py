"""Evaluation suites: questions whose answers can be checked without a judge.

A suite is one file with one object, listed in `SUITES`. Its items are made from a seed by templates, so there is no
end of them and none can have been learnt; its version goes up whenever an item of the same seed would be another or
be judged otherwise, because scores of two versions do not compare. Everything here is pure.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from msgspec import Struct

from vedette.providers import Tool
from vedette.types import Capability
from vedette_benchmarker.answered import Answered


class Verdict(Struct, frozen=True, kw_only=True):
    """Whether an answer is right; *why* says in a few words what was wrong with it."""

    correct: bool
    why: str = ""


class Item(Struct, frozen=True, kw_only=True):
    """One question to a model that generates, and how its answer is judged."""

    prompt: str
    check: Callable[[Answered], Verdict]
    max_tokens: int = 64
    tools: tuple[Tool, ...] = ()
    schema: Mapping[str, Any] | None = None


class VectorItem(Struct, frozen=True, kw_only=True):
    """Texts for a model that embeds, and how their vectors (one for each text, in order) are judged."""

    texts: tuple[str, ...]
    check: Callable[[Sequence[Sequence[float]]], Verdict]


class Suite(Struct, frozen=True, kw_only=True):
    """A kind of question. `items` yields endlessly, from a seeded generator.

    `capability` is what an item puts to the proof by the way: passed, the model has it; failed, it has not.
    `needs` is what a model must not be known to lack, else it is not asked.
    """

    kind: str
    version: int
    items: Callable[[Random], Iterator[Item]] | Callable[[Random], Iterator[VectorItem]]
    capability: Capability | None = None
    needs: Capability | None = Capability.CHAT

    @property
    def name(self) -> str:
        """The suite with its version, as scores name it."""
        return f"{self.kind}@{self.version}"
