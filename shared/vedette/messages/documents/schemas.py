"""JSON Schemas of all messages. Pure."""

from collections.abc import Iterable, Iterator
from inspect import cleandoc
from typing import Any, Final

import msgspec
from msgspec import Struct

from vedette.messages.channels import CHANNELS, QUERIES
from vedette.messages.documents import components
from vedette.messages.queries import ErrorReply

Schema = dict[str, Any]

_UNITS: Final = {
    "_usd_per_mtok": "USD per million tokens",
    "_texts_per_s": "texts/s",
    "_per_s": "1/s",
    "_tps": "tokens/s",
    "_tokens": "tokens",
    "_ms": "ms",
    "_bytes": "bytes",
    "_usd": "USD",
    "_s": "s",
}
DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"


def asked() -> list[type[Struct]]:
    """Return the types of all requests and replies, each once."""
    shapes = [shape for query in QUERIES for shape in (query.request, query.reply)]
    return [*dict.fromkeys(shapes), ErrorReply]


def schemas(ref: str = "#/schemas/{name}", of: Iterable[type[Struct]] | None = None) -> dict[str, Schema]:
    """Return the JSON Schemas of all messages and of the types in them, by name; *ref* makes references."""
    shapes = [*(channel.message for channel in CHANNELS), *asked()] if of is None else list(of)
    _, found = msgspec.json.schema_components(shapes, ref_template=ref)
    for component in found.values():
        if "description" in component:  # Python before 3.13 keeps the indentation
            component["description"] = cleandoc(component["description"])
    for shape in _structs(shapes):
        properties = found.get(shape.__name__, {}).get("properties", {})
        for name, schema in properties.items():
            _portable(schema)
            if unit := _unit(name):
                schema["x-unit"] = unit
    return dict(sorted(found.items()))


def schema(shape: type[Struct]) -> Schema:
    """Return the JSON Schema of one message, with all its parts."""
    return {
        "$schema": DRAFT,
        "$ref": f"#/$defs/{shape.__name__}",
        "$defs": schemas("#/$defs/{name}", [shape]),
    }


def _portable(schema: Schema) -> None:
    """Change the end of a pattern to the form of ECMA 262, the regular expressions of JSON Schema."""
    for part in (schema, *schema.get("anyOf", ()), schema.get("items", {})):
        if "pattern" in part:
            part["pattern"] = part["pattern"].removesuffix(r"\Z") + "$"


def _structs(shapes: Iterable[Any]) -> Iterator[type[Struct]]:
    """Yield *shapes* and all types in them, each once."""
    waiting, seen = [*msgspec.inspect.multi_type_info(shapes)], set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, msgspec.inspect.StructType):
            if one.cls in seen:
                continue
            seen.add(one.cls)
            yield one.cls
            waiting += [field.type for field in one.fields]
        elif isinstance(one, msgspec.inspect.Type):
            for part in one.__struct_fields__:
                held = getattr(one, part)
                waiting += held if isinstance(held, tuple) else [held]


def _unit(name: str) -> str | None:
    return next((unit for suffix, unit in _UNITS.items() if f"_{name}".endswith(suffix)), None)


def types() -> Schema:
    """Return one JSON Schema with all public events and queries, for generators of types."""
    ref = "#/$defs/{name}"
    shapes = [*(channel.message for channel in CHANNELS if channel.copy), *asked()]
    return {
        "$schema": DRAFT,
        "title": "Vedette",
        "description": "A property for each message, so that generators make a type of each. Never sent as a whole.",
        "type": "object",
        "properties": {shape.__name__: {"$ref": ref.format(name=shape.__name__)} for shape in shapes},
        "$defs": components.bare(components.named(schemas(ref, shapes), ref)),
    }


def pretty(value: Any) -> str:
    """Return *value* as indented JSON with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"
