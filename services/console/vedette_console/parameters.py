"""Turns a request into a URL, a command and Python code for the same query. Pure.

`vedette.messages.parameters` does the reverse.
"""

from collections.abc import Iterable
from shlex import quote
from typing import Any
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from vedette.messages.constraints import CONSTRAINTS, Constraint
from vedette.messages.parameters import Pairs, escaped
from vedette.messages.queries import RecommendRequest

_CAPABILITIES = Constraint("capabilities", "", tuple[str, ...], ())


def pairs_of(asked: Struct, *, leave_out: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Return the parameters of the request *asked*, without defaults and without those in *leave_out*."""
    plain = _plain(asked)
    omitted = set(leave_out)
    found: list[tuple[str, str]] = []
    for name, value in {**plain, **plain.get("constraints", {})}.items():
        if name in omitted or name == "constraints" or value in (None, [], {}, ""):
            continue
        if isinstance(value, dict):
            found += [(f"{name}.{key}", _text(one)) for key, one in value.items()]
        elif isinstance(value, list):
            found.append((name, ",".join(escaped(_text(one)) for one in value)))
        else:
            found.append((name, _text(value)))
    return found


def _plain(asked: Struct) -> dict[str, Any]:
    """Return *asked* as plain JSON values."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(asked))
    return found


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def query(pairs: Pairs) -> str:
    """Return *pairs* as the query of a URL, with its question mark; an empty text without pairs."""
    encoded = urlencode(list(pairs))
    return f"?{encoded}" if encoded else ""


def as_command(use_case: str, asked: RecommendRequest) -> str:
    """Return the `vedette recommend` command that asks the same."""
    plain = _plain(asked)
    words = ["vedette", "recommend", use_case]
    for constraint in (_CAPABILITIES, *CONSTRAINTS):
        value = {**plain, **plain.get("constraints", {})}.get(constraint.name)
        for one in value if isinstance(value, list) else () if value is None else (value,):
            words += [constraint.option, _text(one)]
    for table, option in (("weights", "--weight"), ("bounds", "--bound")):
        for name, value in plain.get(table, {}).items():
            words += [option, f"{name}={_text(value)}"]
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
