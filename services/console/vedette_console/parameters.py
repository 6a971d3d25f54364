"""Between the parameters of a URL and a request: pages and the HTTP API read both alike. Pure.

A parameter is a field of the request. Those of a recommendation's constraints stand beside its own, `weights.quality`
and `bounds.answer_s` are entries of its tables, and a list is separated by commas or repeated. Empty ones count as left
out: forms send them.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from shlex import quote
from typing import Any, TypeVar, get_args, get_origin, get_type_hints
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from vedette.errors import RequestError
from vedette.messages.constraints import CONSTRAINTS, Constraint, Constraints
from vedette.messages.queries import RecommendRequest
from vedette.messages.validation import decode

T = TypeVar("T", bound=Struct)
Pairs = Iterable[tuple[str, str]]
_TABLES = ("weights", "bounds")
_CONSTRAINTS = frozenset(Constraints.__struct_fields__)
_CAPABILITIES = Constraint("capabilities", "", tuple[str, ...], ())


@lru_cache
def decoder(kind: type[T]) -> "msgspec.json.Decoder[T]":
    """Return the decoder of a request whose numbers may be text."""
    return msgspec.json.Decoder(kind, strict=False)


@lru_cache
def _lists(kind: type[Struct]) -> frozenset[str]:
    """Return the fields of *kind* that have several values."""
    hints = get_type_hints(kind)
    return frozenset(
        name
        for name, hint in hints.items()
        if any(get_origin(one) is tuple for one in (hint, *get_args(hint)))
    )


def request(kind: type[T], pairs: Pairs, given: Mapping[str, Any] | None = None) -> T:
    """Return the request that *pairs* of parameters make, with the values *given* besides. Raises RequestError."""
    found: T = decode(msgspec.json.encode(document(kind, pairs, given)), decoder(kind))
    return found


def document(kind: type[Struct], pairs: Pairs, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the same as JSON would have it, values as text. Raises RequestError."""
    found: dict[str, Any] = {}
    nested = "constraints" in kind.__struct_fields__
    for name, value in pairs:
        if not value.strip():
            continue
        head, dot, rest = name.partition(".")
        if dot and head in _TABLES:
            found.setdefault(head, {})[rest] = value
        elif dot or name in _TABLES or (nested and name == "constraints"):
            message = (
                f"{name} is no parameter; entries of tables are written weights.speed=1 or bounds.answer_s=60"
            )
            raise RequestError(code="unknown_field", message=message, field=name)
        elif nested and name in _CONSTRAINTS:
            _put(found.setdefault("constraints", {}), name, value, _lists(Constraints))
        else:
            _put(found, name, value, _lists(kind))
    return found | dict(given or {})


def _put(into: dict[str, Any], name: str, value: str, lists: frozenset[str]) -> None:
    if name in lists:
        into.setdefault(name, []).extend(part.strip() for part in value.split(",") if part.strip())
    else:
        into[name] = value


def pairs_of(asked: Struct, *, leave_out: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Return the parameters that make the request *asked*, without those to *leave_out*: what is default is absent."""
    plain = _plain(asked)
    omitted = set(leave_out)
    found: list[tuple[str, str]] = []
    for name, value in {**plain, **plain.get("constraints", {})}.items():
        if name in omitted or name == "constraints" or value in (None, [], {}, ""):
            continue
        if isinstance(value, dict):
            found += [(f"{name}.{key}", _text(one)) for key, one in value.items()]
        elif isinstance(value, list):
            found.append((name, ",".join(map(_text, value))))
        else:
            found.append((name, _text(value)))
    return found


def _plain(asked: Struct) -> dict[str, Any]:
    """Return *asked* as JSON has it."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(asked))
    return found


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def query(pairs: Pairs) -> str:
    """Return *pairs* as the query of a URL, with its question mark; nothing for none."""
    encoded = urlencode(list(pairs))
    return f"?{encoded}" if encoded else ""


def as_command(use_case: str, asked: RecommendRequest) -> str:
    """Return the `vedette explain` command that asks the same, but for weights: the command line has none."""
    plain = _plain(asked)
    words = ["vedette", "explain", use_case]
    for constraint in (_CAPABILITIES, *CONSTRAINTS):
        value = {**plain, **plain.get("constraints", {})}.get(constraint.name)
        for one in value if isinstance(value, list) else () if value is None else (value,):
            words += [constraint.option, _text(one)]
    for bound, value in plain.get("bounds", {}).items():
        words += ["--bound", f"{bound}={_text(value)}"]
    for name in ("risk", "limit"):
        if name in plain:
            words += [f"--{name}", _text(plain[name])]
    return " ".join(map(quote, words))


def as_python(use_case: str, asked: RecommendRequest) -> str:
    """Return the call of the Python client that asks the same."""
    plain = _plain(asked)
    wanted = {**plain, **plain.pop("constraints", {})}
    given = [f"{name}={value!r}" for name, value in wanted.items() if name not in ("use_case", "constraints")]
    lines = (
        "from vedette import SyncClient",
        "",
        "with SyncClient() as vedette:",
        f"    best = vedette.best({', '.join([repr(use_case), *given])})",
    )
    return "\n".join(lines)
