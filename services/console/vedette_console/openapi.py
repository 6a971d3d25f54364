"""The description of the HTTP API as OpenAPI 3.1, from the types of the queries. Pure."""

from typing import Any, Final, get_args, get_type_hints

import msgspec
from msgspec import Struct

from vedette import __version__
from vedette.messages.channels import QUERIES
from vedette.messages.constraints import Constraints
from vedette.messages.documents import schemas
from vedette.types import Bound, Signal
from vedette_console.api import RESOURCES, ROOT, Resource
from vedette_console.problems import MEDIA_TYPE, Problem

_REF: Final = "#/components/schemas/{name}"
_DOCS: Final = {query.subject: query for query in QUERIES}
_PARTS: Final = {"use_case", "model"}


def document() -> dict[str, Any]:
    """Return the description."""
    shapes = [Problem, *(shape for one in RESOURCES for shape in (_query(one).request, _query(one).reply))]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Vedette",
            "version": __version__,
            "description": "Which language model to use now, and why. The same queries as on NATS.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "paths": {
            **{
                f"{ROOT}{one.path.replace(':path', '')}": {one.method.lower(): _operation(one)}
                for one in RESOURCES
            },
            f"{ROOT}/events": {"get": _events()},
        },
        "components": {
            "schemas": schemas(_REF, list(dict.fromkeys(shapes))),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {"Problem": _content("An error", MEDIA_TYPE, {"$ref": _REF.format(name="Problem")})},
        },
    }


def encoded() -> bytes:
    """Return the description as JSON."""
    return msgspec.json.encode(document())


def _query(resource: Resource) -> Any:
    return _DOCS[resource.subject]


def _operation(resource: Resource) -> dict[str, Any]:
    query = _query(resource)
    reply = {"$ref": _REF.format(name=query.reply.__name__)}
    operation: dict[str, Any] = {
        "operationId": query.subject.replace(".", "_"),
        "summary": query.doc,
        "tags": [query.subject.partition(".")[0]],
        "responses": {
            "200": _content("The reply", "application/json", reply),
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }
    if resource.method == "POST":
        request = {"$ref": _REF.format(name=query.request.__name__)}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": request}}}
        return operation
    operation["parameters"] = list(_parameters(resource, query.request))
    operation["responses"]["304"] = {"description": "Unchanged since the entity tag in If-None-Match"}
    return operation


def _parameters(resource: Resource, kind: type[Struct]) -> list[dict[str, Any]]:
    found = []
    for name in kind.__struct_fields__:
        if f"{{{name}" in resource.path:
            found.append(_parameter(kind, name, "path"))
        elif name == "constraints":
            found += [_parameter(Constraints, one, "query") for one in Constraints.__struct_fields__]
        elif name in ("weights", "bounds"):
            keys = get_args(Signal) if name == "weights" else get_args(Bound)
            number = {"type": "number", "minimum": 0}
            found += [{"name": f"{name}.{key}", "in": "query", "schema": number} for key in keys]
        else:
            found.append(_parameter(kind, name, "query"))
    return found


def _parameter(kind: type[Struct], name: str, place: str) -> dict[str, Any]:
    hint = get_type_hints(kind, include_extras=True)[name]
    (schema,), _ = msgspec.json.schema_components([hint], ref_template=_REF)
    if place == "path" or name in ("model", "after", "models"):
        schema = {"type": "string"}  # a model is written endpoint/name
    parameter: dict[str, Any] = {"name": name, "in": place, "schema": schema}
    if description := schema.pop("description", None):
        parameter["description"] = description
    if place == "path" or name in _required(kind):
        parameter["required"] = True
    if schema.get("type") == "array":
        parameter |= {"style": "form", "explode": False}
    return parameter


def _required(kind: type[Struct]) -> set[str]:
    return {field.name for field in msgspec.structs.fields(kind) if field.required}


def _events() -> dict[str, Any]:
    return {
        "operationId": "events",
        "summary": "Events as they happen, as server-sent events; `Last-Event-ID` continues after that event.",
        "tags": ["events"],
        "parameters": [
            {
                "name": "events",
                "in": "query",
                "schema": {"type": "string"},
                "description": "separated by commas",
            },
            {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}},
        ],
        "responses": {
            "200": _content("The events", "text/event-stream", {"type": "string"}),
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }


def _content(description: str, media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": schema}}}
