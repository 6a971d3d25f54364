"""Finds names that look like others: why a name is strange, and which name was meant. Pure.

Models with such names stay different models. Only likely cases are found: characters of scripts with similar shapes,
Unicode's compatibility forms, invisible characters, spaces at the ends, and case within one endpoint.
"""
# ruff: noqa: RUF001 - it has a table of characters that look alike

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from vedette.text.normalizing import normalized
from vedette.text.shown import hidden, shortened
from vedette.types import ModelRef

K = TypeVar("K", bound=Hashable)
_MAX_NAMED = 3  # similar models that are named
_MAX_NAME = 60
# Scripts with characters of the same shape. A name that mixes them imitates another name.
_ALIKE = frozenset(("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU"))
_SHAPES = str.maketrans(  # each line: characters, and the ASCII characters that they look like
    "аеорсухіјѕһԁԛԝгкмтАВЕКМНОРСТУХІЈЅԚԜЗοανρικυχτΑΒΕΖΗΙΚΜΝΟΡΤΥΧօսհոցզıɑɡ‐‑‒–—−∕⁄ː∶‘’",
    "aeopcyxijshdqwrkmtABEKMHOPCTYXIJSQW3oavpikuxtABEZHIKMNOPTYXouhngqiag------//::''",
)


def notes(models: Iterable[ModelRef]) -> dict[ModelRef, tuple[str, ...]]:
    """Return notes about strange names among *models*; models without a note are left out."""
    known = sorted(models)
    shapes = {model: _shape(model.name) for model in known}
    alike = _groups(known, shapes.__getitem__)
    in_case = _groups(known, lambda model: (model.endpoint, shapes[model].casefold()))
    found: dict[ModelRef, tuple[str, ...]] = {}
    for model in known:
        twins = [other for other in alike[shapes[model]] if other.name != model.name]
        cased = [
            other
            for other in in_case[model.endpoint, shapes[model].casefold()]
            if shapes[other] != shapes[model]
        ]
        said = (
            *_strange(model.name),
            *_like("looks like", twins),
            *_like("differs only in case from", cased),
        )
        if said:
            found[model] = said
    return found


def meant(name: str, known: Iterable[str]) -> str | None:
    """Return the *known* name that *name* means: the same, else the only one with equivalent characters; or None."""
    plain = normalized(name, "NFC")
    same = []
    for other in known:
        if other == name:
            return other
        if not (name.isascii() and other.isascii()) and normalized(other, "NFC") == plain:
            same.append(other)
    return same[0] if len(same) == 1 else None


def _groups(models: Sequence[ModelRef], key: Callable[[ModelRef], K]) -> dict[K, list[ModelRef]]:
    groups: dict[K, list[ModelRef]] = defaultdict(list)
    for model in models:
        groups[key(model)].append(model)
    return groups


def _shape(name: str) -> str:
    """Return *name* with ASCII characters in place of others that look the same."""
    if name.isascii():
        return name.strip()
    seen = "".join(
        character for character in name if not hidden(character) or unicodedata.combining(character)
    )
    return normalized(seen.translate(_SHAPES), "NFKC").translate(_SHAPES).strip()


def _strange(name: str) -> Iterable[str]:
    if name != name.strip():
        yield "begins or ends with a space"
    if name.isascii():
        return
    if invisible := hidden(name):
        yield f"holds invisible characters: {' '.join(invisible)}"
    scripts = {unicodedata.name(letter, "?").partition(" ")[0] for letter in name if letter.isalpha()}
    if len(mixed := sorted(scripts & _ALIKE)) > 1:
        yield f"mixes letters of {' and '.join(script.capitalize() for script in mixed)}"


def _like(how: str, others: Sequence[ModelRef]) -> Iterable[str]:
    if others:
        named = ", ".join(_spelt(other) for other in others[:_MAX_NAMED])
        more = f" and {len(others) - _MAX_NAMED} more" if len(others) > _MAX_NAMED else ""
        yield f"{how} {named}{more}"


def _spelt(model: ModelRef) -> str:
    """Return the name of *model* with characters beyond ASCII escaped, because it would look like its twin."""
    return shortened(str(model).encode("ascii", "backslashreplace").decode(), _MAX_NAME)
