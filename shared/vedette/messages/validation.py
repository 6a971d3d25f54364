"""Decodes a request, or raises an error that names the field and the remedy. Pure.

It also limits the items of a reply to its maximum size.
"""

import difflib
import re
from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Any, NoReturn, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Struct

from vedette.errors import RequestError
from vedette.messages.codec import encode
from vedette.messages.queries import MAX_REQUEST_BYTES
from vedette.text.shown import shown_name
from vedette.types import Capability, Evidence, ModelRef, Outcome, Status

T = TypeVar("T", bound=Struct)
# Maximum size of the items in a reply: well under NATS's limit (1 MiB), for the rest of the reply.
MAX_BYTES = 700_000
_AT = re.compile(r"(?P<reason>.*?)(?: - at (?:`key` in )?`\$(?P<path>.*)`)?\Z", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`\Z")
_MAX_QUOTED = 64
_MAX_COMPARED = 1000
_MAX_LISTED = 32
_VOCABULARIES: dict[str, type[StrEnum]] = {
    "capabilities": Capability,
    "statuses": Status,
    "status": Status,
    "evidence": Evidence,
    "outcome": Outcome,
}


def decode(payload: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    """Return the request in *payload*; an empty payload stands for `{}`. Raises RequestError."""
    if len(payload) > MAX_REQUEST_BYTES:
        raise RequestError(
            code="too_large",
            message=f"a request has at most {MAX_REQUEST_BYTES} bytes; this one has {len(payload)}",
        )
    try:
        return decoder.decode(payload or b"{}")
    except msgspec.ValidationError as error:
        _refuse(str(error), decoder.type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(code="invalid_json", message=f"the request is not JSON: {error}") from error


def fitting(items: Iterable[T], most_bytes: int = MAX_BYTES) -> tuple[T, ...]:
    """Return the first of *items* that fit a reply: always at least one, so that paging advances."""
    taken: list[T] = []
    left = most_bytes
    for item in items:
        left -= len(encode(item))
        if taken and left < 0:
            break
        taken.append(item)
    return tuple(taken)


def reference(named: ModelRef | str, *, field: str = "model") -> ModelRef:
    """Return the model that a request's *field* names. Raises RequestError."""
    if isinstance(named, ModelRef):
        return named
    try:
        return ModelRef.parse(named)
    except ValueError as error:
        raise RequestError(code="invalid_value", message=f"{field}: {error}", field=field) from error


def unknown_model(model: ModelRef, known: Iterable[ModelRef]) -> RequestError:
    """Return the error for a *model* that is not among the *known*."""
    hint = nearest(str(model), [shown_name(other) for other in sorted(known)[:_MAX_COMPARED]])
    return RequestError(code="unknown_model", message=f"no model {shown_name(model)}; {hint}", field="model")


def folded(name: str) -> str:
    """Return *name* in a form for comparison: case does not matter, and hyphen and underscore are equal."""
    return name.casefold().replace("-", "_")


def spelt(name: str, known: Iterable[str]) -> str | None:
    """Return the *known* name that *name* spells, or None. An exact match comes first."""
    names = list(known)
    if name in names:
        return name
    alike = [other for other in names if folded(other) == folded(name)]
    return alike[0] if len(alike) == 1 else None


def use_case_of(name: str, known: Collection[str]) -> str:
    """Return the *known* use case that *name* spells. Raises RequestError."""
    if name in known:
        return name
    if (found := spelt(name, known)) is None:
        raise unknown_use_case(name, known)
    return found


def unknown_use_case(name: str, known: Iterable[str]) -> RequestError:
    """Return the error for a use case that is not *known*; it lists the known ones."""
    names = sorted(known)
    hint = nearest(name, names)
    listed = "" if hint.startswith("known") else f" known: {', '.join(names)}"
    return RequestError(
        code="unknown_use_case", message=f"unknown use case {name!r}; {hint}{listed}", field="use_case"
    )


def unknown_name(what: str, name: str, known: Iterable[str], *, field: str) -> RequestError:
    """Return the error for a *name* (of an endpoint, a provider or similar) that is not *known*."""
    hint = nearest(name, [shown_name(other) for other in sorted(known)])
    return RequestError(code=f"unknown_{what}", message=f"no {what} {shown_name(name)}; {hint}", field=field)


def nearest(name: str, known: list[str]) -> str:
    """Return a hint for an unknown *name*: the nearest *known* name, else the first one."""
    near = difflib.get_close_matches(name[:_MAX_QUOTED], known, n=1, cutoff=0.5)
    if near:
        return f'did you mean "{near[0]}"?'
    more = len(known) - _MAX_LISTED
    return f"known: {', '.join(known[:_MAX_LISTED]) or 'none'}" + (f" and {more:,} more" if more > 0 else "")


def struct_at(kind: Any, path: str) -> type[Struct]:
    """Return the struct in the field *path* of the struct *kind*. Raises KeyError if there is no such field."""
    for name in filter(None, path.split(".")):
        kind = _struct_in(get_type_hints(kind)[name])
    found: type[Struct] = kind
    return found


def _refuse(problem: str, kind: Any) -> NoReturn:
    match = _AT.match(problem)
    reason, at = (match["reason"], match["path"] or "") if match else (problem, "")
    path = re.sub(r"\[(\.\.\.|\d+)\]", "", at).lstrip(".")
    if unknown := _UNKNOWN.match(reason):
        name = unknown[1]
        known = list(struct_at(kind, path).__struct_fields__)
        shown = name if len(name) <= _MAX_QUOTED else f"{name[:_MAX_QUOTED]}…"
        raise RequestError(
            code="unknown_field",
            message=f"unknown field {shown!r}; {nearest(name, known)}",
            field=_join(path, shown),
        ) from None
    if missing := _MISSING.match(reason):
        raise RequestError(
            code="missing_field",
            message=f"the field {missing[1]!r} is required",
            field=_join(path, missing[1]),
        ) from None
    message = f"{path}: {reason}" if path else reason
    if "RFC3339" in reason or "timezone" in reason:
        message += "; write a time as 2026-11-24T10:00:00Z"
    vocabulary = _VOCABULARIES.get(path.rpartition(".")[2])
    if vocabulary is not None and reason.startswith("Invalid enum value"):
        message += f"; known: {', '.join(vocabulary)}"
    raise RequestError(code="invalid_value", message=message, field=path or None) from None


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _struct_in(kind: Any) -> Any:
    """Return the struct in the type *kind*: the type itself, part of a union, or the items of a list; else None."""
    if hasattr(kind, "__struct_fields__"):
        return kind
    return next((found for option in get_args(kind) if (found := _struct_in(option)) is not None), None)
