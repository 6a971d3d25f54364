"""Converts parameters (of a URL or HTTP headers) to a request. Pure.

A parameter is a field of the request. The constraints of a recommendation are parameters of the same level,
`weights.quality` and `bounds.answer_s` are entries of tables, and a list is separated by commas or repeated. Empty
parameters count as omitted, because HTML forms send them.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from vedette.errors import RequestError
from vedette.messages.constraints import Constraints
from vedette.messages.validation import decode

T = TypeVar("T", bound=Struct)
Pairs = Iterable[tuple[str, str]]
_TABLES = ("weights", "bounds")
_PART = re.compile(r"(?:\\[\\,]|[^,])+")
_ESCAPED = re.compile(r"\\([\\,])")
_ESCAPE = re.compile(r"([\\,])")
_CONSTRAINTS = frozenset(Constraints.__struct_fields__)


@lru_cache
def decoder(kind: type[T]) -> "msgspec.json.Decoder[T]":
    """Return a decoder for *kind* that accepts numbers as text."""
    return msgspec.json.Decoder(kind, strict=False)


@lru_cache
def _lists(kind: type[Struct]) -> frozenset[str]:
    """Return the fields of *kind* that are lists."""
    hints = get_type_hints(kind)
    return frozenset(
        name
        for name, hint in hints.items()
        if any(get_origin(one) is tuple for one in (hint, *get_args(hint)))
    )


def request_from(kind: type[T], pairs: Pairs, given: Mapping[str, Any] | None = None) -> T:
    """Return the request made from *pairs* of parameters and the values *given*. Raises RequestError."""
    found: T = decode(msgspec.json.encode(document(kind, pairs, given)), decoder(kind))
    return found


def document(kind: type[Struct], pairs: Pairs, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the same as a JSON object, with values as text. Raises RequestError."""
    found: dict[str, Any] = {}
    nested = "constraints" in kind.__struct_fields__
    for name, value in pairs:
        if not value.strip():
            continue
        head, dot, rest = name.partition(".")
        if dot and head in _TABLES:
            found.setdefault(head, {})[rest] = value
        elif dot or name in _TABLES or (nested and name == "constraints"):
            message = f"{name} is not a parameter; entries of tables are written weights.speed=1 or bounds.answer_s=60"
            raise RequestError(code="unknown_field", message=message, field=name)
        elif nested and name in _CONSTRAINTS:
            _put(found.setdefault("constraints", {}), name, value, _lists(Constraints))
        else:
            _put(found, name, value, _lists(kind))
    return found | dict(given or {})


def _put(into: dict[str, Any], name: str, value: str, lists: frozenset[str]) -> None:
    if name in lists:
        into.setdefault(name, []).extend(parts(value))
    else:
        into[name] = value


def parts(value: str) -> list[str]:
    """Return the parts of a list separated by commas; a comma after a backslash belongs to a part."""
    found = (_ESCAPED.sub(r"\1", part).strip() for part in _PART.findall(value))
    return [part for part in found if part]


def escaped(part: str) -> str:
    """Return *part* for a list: the reverse of `parts`."""
    return _ESCAPE.sub(r"\\\1", part)
