"""Repeats a request to a service of an older version, without a field that the service does not know. Pure.

The client is the newer version then, so the client decides what happens to the field (ADR 0062).
"""

from collections.abc import Iterator
from typing import Annotated, Any, Final, get_origin

import msgspec
from msgspec import NODEFAULT, Meta, Struct
from msgspec.structs import FieldInfo, fields

from vedette.errors import RequestError
from vedette.messages.validation import struct_at
from vedette.types import HINT

UNKNOWN: Final = "unknown_field"  # the error code of every version for an unknown field


def without(payload: bytes, request: type[Struct], path: str, service: str) -> bytes | None:
    """Return *payload*, a *request*, without the field *path*, which an older *service* refused as unknown.

    None if this version does not know the field either, or *payload* has none. Raises RequestError if the reply depends
    on the field.
    """
    *parents, name = path.split(".")
    field = _field(request, ".".join(parents), name)
    if field is None:
        return None
    document = msgspec.json.decode(payload or b"{}")
    holders = [one for one in _at(document, parents) if name in one]
    if not holders:
        return None
    values = [one.pop(name) for one in holders]
    if not _is_hint(field) and any(value != _default(field) for value in values):
        problem = (
            f"this {service} is of an older version and does not know {path!r}; update it, or leave that out"
        )
        raise RequestError(code=UNKNOWN, message=problem, field=path)
    return msgspec.json.encode(document)


def _field(request: type[Struct], parents: str, name: str) -> FieldInfo | None:
    try:
        known = fields(struct_at(request, parents))
    except (KeyError, TypeError):  # no such field, or its parent is not a struct
        return None
    return next((one for one in known if one.name == name), None)


def _at(document: Any, names: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the objects of *document* at the path *names*; for a list, of each item."""
    if isinstance(document, list):
        for item in document:
            yield from _at(item, names)
    elif isinstance(document, dict):
        if not names:
            yield document
        elif names[0] in document:
            yield from _at(document[names[0]], names[1:])


def _is_hint(field: FieldInfo) -> bool:
    metadata = field.type.__metadata__ if get_origin(field.type) is Annotated else ()
    return any(isinstance(one, Meta) and one.extra == HINT for one in metadata)


def _default(field: FieldInfo) -> Any:
    """Return the default of *field* as a JSON value."""
    default = field.default
    if default is NODEFAULT and field.default_factory is not NODEFAULT:
        default = field.default_factory()
    return default if default is NODEFAULT else msgspec.json.decode(msgspec.json.encode(default))
