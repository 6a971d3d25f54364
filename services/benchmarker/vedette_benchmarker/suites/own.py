"""The operator's own suites, from the text of a TOML or JSONL file.

TOML has a table `[[item]]` for each question, JSONL an object on each line, both with these keys:

    prompt      what is asked
    checker     one of CHECKERS: exact, contains, number, regex, json, choice
    expected    the right answer for the checker: a text or a list of texts (exact: any of them; contains: all of them),
                a number, a pattern, any JSON, or for choice a table of the right and the wrong texts
    max_tokens  how long the answer may be (64)

The kind of the suite is the file's name without its ending. Its version is the first eight hexadecimal digits of
the SHA-256 of the text, as a number: any change, even of a comment, makes another version. Its number of items is
limited: each item is asked once, in an order from the seed, because a repeated question would count twice.
"""

import difflib
import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from random import Random
from typing import Any

import msgspec

from vedette.errors import ConfigurationError
from vedette.providers import Finished
from vedette_benchmarker.answered import Answered
from vedette_benchmarker.suites import Item, Suite
from vedette_benchmarker.suites.checks import CHECKERS, Check
from vedette_benchmarker.suites.registry import SUITES

MAX_ITEMS = 10_000
MAX_PROMPT_CHARS = 100_000
MAX_TOKENS = 4096
_KEYS = ("prompt", "checker", "expected", "max_tokens")
_KIND = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")


def parse(name: str, text: str) -> Suite:
    """Return the suite in the file *name* with this *text*.

    Raises ConfigurationError, which names file, item and key, for an unknown checker, for an expected value that the
    checker cannot use, and for an item that an empty answer or its own prompt would pass.
    """
    kind = PurePath(name).stem
    if not _KIND.match(kind):
        raise ConfigurationError(where=name, problem="a suite's name may contain only a-z, 0-9, - and _")
    if any(suite.kind == kind for suite in SUITES):
        raise ConfigurationError(where=name, problem=f"there is a suite {kind!r} already; take another name")
    found = tuple(_item(f"{name}: item {number}", row) for number, row in enumerate(_rows(name, text), 1))
    if not found:
        raise ConfigurationError(where=name, problem="has no item")

    def items(rng: Random) -> Iterator[Item]:
        return iter(rng.sample(found, len(found)))

    return Suite(
        kind=kind, version=int(hashlib.sha256(text.encode()).hexdigest()[:8], 16), items=items, endless=False
    )


def _rows(name: str, text: str) -> Sequence[Any]:
    ending = PurePath(name).suffix
    if ending == ".toml":
        rows = _toml(name, text)
    elif ending == ".jsonl":
        rows = _jsonl(name, text)
    else:
        raise ConfigurationError(where=name, problem="neither .toml nor .jsonl")
    if len(rows) > MAX_ITEMS:
        raise ConfigurationError(where=name, problem=f"has more than {MAX_ITEMS} items")
    return rows


def _toml(name: str, text: str) -> Sequence[Any]:
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(where=name, problem=f"not TOML: {error}") from error
    for key in table:
        if key != "item":
            raise ConfigurationError(where=f"{name}: {key}", problem="unknown key; items are tables [[item]]")
    rows = table.get("item", [])
    if not isinstance(rows, list):
        raise ConfigurationError(where=f"{name}: item", problem="write it as [[item]]")
    return rows


def _jsonl(name: str, text: str) -> Sequence[Any]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                rows.append(msgspec.json.decode(line))
            except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
                raise ConfigurationError(
                    where=f"{name}: line {number}", problem=f"not JSON: {error}"
                ) from error
    return rows


def _item(where: str, row: Any) -> Item:
    if not isinstance(row, Mapping):
        raise ConfigurationError(where=where, problem=f"not a table with {', '.join(_KEYS)}")
    for key in row:
        if key not in _KEYS:
            raise ConfigurationError(where=f"{where}: {key}", problem=f"unknown key; {_hint(key, _KEYS)}")
    for key in ("prompt", "checker", "expected"):
        if key not in row:
            raise ConfigurationError(where=f"{where}: {key}", problem="is missing")
    prompt, check = _prompt(where, row["prompt"]), _check(where, row["checker"], row["expected"])
    for answer, called in (("", "an empty answer"), (prompt, "an answer that only repeats the prompt")):
        if check(Answered(text=answer, finished=Finished(at=0.0))).correct:
            raise ConfigurationError(where=f"{where}: expected", problem=f"{called} would be right")
    return Item(
        prompt=prompt,
        check=check,
        truth=_shown(row["expected"]),
        max_tokens=_max_tokens(where, row.get("max_tokens", 64)),
    )


def _prompt(where: str, prompt: Any) -> str:
    if not isinstance(prompt, str) or not prompt.strip() or len(prompt) > MAX_PROMPT_CHARS:
        raise ConfigurationError(
            where=f"{where}: prompt", problem=f"must be a text of 1 to {MAX_PROMPT_CHARS} characters"
        )
    return prompt


def _check(where: str, checker: Any, expected: Any) -> Check:
    make = CHECKERS.get(checker) if isinstance(checker, str) else None
    if make is None:
        raise ConfigurationError(
            where=f"{where}: checker",
            problem=f"unknown checker {checker!r}; {_hint(str(checker), list(CHECKERS))}",
        )
    try:
        return make(expected)
    except ValueError as error:
        raise ConfigurationError(where=f"{where}: expected", problem=str(error)) from error


def _max_tokens(where: str, tokens: Any) -> int:
    if isinstance(tokens, bool) or not isinstance(tokens, int) or not 1 <= tokens <= MAX_TOKENS:
        raise ConfigurationError(
            where=f"{where}: max_tokens", problem=f"must be a whole number from 1 to {MAX_TOKENS}"
        )
    return tokens


def _shown(expected: Any) -> str:
    return expected if isinstance(expected, str) else msgspec.json.encode(expected).decode()


def _hint(given: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(given, known, n=1, cutoff=0.5)
    return f'did you mean "{near[0]}"?' if near else f"known: {', '.join(known)}"
