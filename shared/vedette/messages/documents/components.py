"""Names parts of schemas for code generators: every enumeration, union and nullable object gets a component. Pure.

Without a name, generators call them `AnonymousSchema_306` or `Reason2`. A nullable string or number gets no component:
its type is a list with `null`, which generators know.
"""

from typing import Any, Final

Schema = dict[str, Any]
_NULL: Final = {"type": "null"}


def named(schemas: dict[str, Schema], ref: str) -> dict[str, Schema]:
    """Return *schemas* with a component for each part of a field that needs a name; *ref* makes the references."""
    found: dict[str, Schema] = {}
    for name, schema in schemas.items():
        found[name] = schema
        if "properties" in schema:
            fields = {
                field: _Field(found, ref, name + _pascal(field)).typed(one)
                for field, one in schema["properties"].items()
            }
            found[name] = schema | {"properties": fields}
    return dict(sorted(found.items()))


def bare(schemas: dict[str, Schema]) -> dict[str, Schema]:
    """Return *schemas* without descriptions next to references: some generators make a new type of such a pair."""
    return {
        name: schema | {"properties": {field: _bare(one) for field, one in schema["properties"].items()}}
        if "properties" in schema
        else schema
        for name, schema in schemas.items()
    }


def _bare(schema: Schema) -> Schema:
    return {"$ref": schema["$ref"]} if "$ref" in schema else schema


class _Field:
    """One field of a message. Components that it needs are added to *found* under *name*."""

    def __init__(self, found: dict[str, Schema], ref: str, name: str) -> None:
        self._found = found
        self._ref = ref
        self._name = name

    def typed(self, schema: Schema) -> Schema:
        """Return *schema* with references to the added components."""
        rest = {key: value for key, value in schema.items() if key not in ("anyOf", "enum", "type")}
        if options := schema.get("anyOf"):
            kinds = _merged([option for option in options if option != _NULL])
            if _NULL not in options:
                return rest | (self.typed(kinds[0]) if len(kinds) == 1 else self._union(kinds))
            return rest | self._nullable(self.typed(kinds[0]) if len(kinds) == 1 else self._union(kinds))
        if "enum" in schema:
            return rest | self._component(self._name, {"type": "string", "enum": schema["enum"]})
        return {
            key: self.typed(value)
            if key in ("items", "additionalProperties") and value is not False
            else value
            for key, value in schema.items()
        }

    def _union(self, kinds: list[Schema]) -> Schema:
        return self._component(self._name, {"anyOf": kinds})

    def _nullable(self, schema: Schema) -> Schema:
        if "$ref" not in schema:
            return schema | {"type": [schema["type"], "null"]}
        name = schema["$ref"].rpartition("/")[2]
        return self._component(f"{name}OrNull", {"anyOf": [{"$ref": schema["$ref"]}, _NULL]})

    def _component(self, name: str, schema: Schema) -> Schema:
        self._found[name] = {"title": name} | schema
        return {"$ref": self._ref.format(name=name)}


def _merged(options: list[Schema]) -> list[Schema]:
    """Return *options* with all enumerations merged into one."""
    enums = [option["enum"] for option in options if option.keys() == {"enum"}]
    others = [option for option in options if option.keys() != {"enum"}]
    return [*others, {"enum": sorted({value for values in enums for value in values})}] if enums else others


def _pascal(field: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in field.split("_"))
