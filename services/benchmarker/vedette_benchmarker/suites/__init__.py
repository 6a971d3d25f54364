"""Evaluation suites: questions whose answers can be checked without a judge.

A suite is one file with one object, listed in `registry.SUITES`. Templates make its items from a seed, so their number
is unlimited, and models cannot have learnt them. Scores of two versions cannot be compared. So the version goes up
whenever the same seed gives other items, or whenever they are judged differently. Everything here is pure.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from vedette.providers import Tool, ToolCall
from vedette.types import Capability
from vedette.usecases.levels import key
from vedette_benchmarker.answered import Answered

_PIECE = re.compile(r"[A-Za-z]{1,7}|[^\sA-Za-z]")


def estimated_tokens(text: str) -> int:
    """Return an upper estimate of the tokens of *text*: one for seven characters of a word, a digit, another sign."""
    return len(_PIECE.findall(text))


class Verdict(Struct, frozen=True, kw_only=True):
    """The verdict on an answer; *why* says in a few words what was wrong.

    `program` is the program in an answer that should have one; the sandbox can run it.
    """

    correct: bool
    why: str = ""
    program: str = ""


class Item(Struct, frozen=True, kw_only=True):
    """One question to a model that generates text, with the check of its answer.

    `truth` (and `truth_calls` for tool calls) is one right answer, to show to people. `program_tests` are assertions,
    one on each line, that a right program passes. `check` runs nothing: it judges a program by its shape, and finds it
    for the sandbox.
    """

    prompt: str
    check: Callable[[Answered], Verdict]
    truth: str = ""
    truth_calls: tuple[ToolCall, ...] = ()
    max_tokens: int = 64
    tools: tuple[Tool, ...] = ()
    schema: Mapping[str, Any] | None = None
    program_tests: tuple[str, ...] = ()

    @property
    def prompt_tokens(self) -> int:
        """The estimated tokens of the question, with its tools and its schema."""
        beside = msgspec.json.encode((self.tools, self.schema)).decode() if self.tools or self.schema else ""
        return estimated_tokens(self.prompt) + estimated_tokens(beside)


class VectorItem(Struct, frozen=True, kw_only=True):
    """Texts for an embedding model, with the check of their vectors (one for each text, in order).

    `truth` has a number for the meaning of each text: texts with the same number belong together.
    """

    texts: tuple[str, ...]
    check: Callable[[Sequence[Sequence[float]]], Verdict]
    truth: tuple[int, ...] = ()


Items = Callable[[Random], Iterator[Item]] | Callable[[Random], Iterator[VectorItem]]


class Suite(Struct, frozen=True, kw_only=True):
    """A kind of question. `items` yields items without end, from a seeded generator; if not `endless`, each item once.

    An item also checks `capability`: if it passes, the model has the capability; if it fails, the model lacks it. A
    model that is known to lack one of `needs` is not asked.
    `levels` are easier and harder items of the kind, by the names in `vedette.usecases.levels`.
    """

    kind: str
    version: int
    items: Items
    capability: Capability | None = None
    needs: Capability | None = Capability.CHAT
    endless: bool = True
    levels: tuple[tuple[str, Items], ...] = ()

    @property
    def asked(self) -> dict[str, "Suite"]:
        """The suite at each of its levels, including the standard one, by the names of their scores."""
        found = {self.kind: self}
        for level, items in self.levels:
            kind = key(self.kind, level)
            found[kind] = replace(self, kind=kind, items=items, capability=None, levels=())
        return found

    @property
    def name(self) -> str:
        """The suite with its version, as in the names of scores."""
        return f"{self.kind}@{self.version}"
