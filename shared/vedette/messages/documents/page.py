"""The contracts as a page for people, in Markdown. Pure."""

from collections.abc import Iterator
from typing import Final

from vedette.messages.channels import CHANNELS, QUERIES
from vedette.messages.documents import examples
from vedette.messages.documents.asyncapi import HEADERS
from vedette.messages.documents.schemas import Schema, pretty, schemas


def page() -> str:
    """Return the contracts as a page for people, in Markdown."""
    lines = [
        "# Events, requests and replies",
        "",
        "`vedette contracts --output docs` generates this page from the code. [contracts.json](contracts.json) has"
        " the same as JSON Schema, [asyncapi.json](asyncapi.json) as AsyncAPI 3.0. Times are RFC 3339 in UTC. Names of"
        " fields end with their unit.",
        "",
        *_GENERATE,
        *_STABILITY,
        *_events(),
        *_queries(),
        *_between_services(),
        *_shapes(),
    ]
    return "\n".join(lines) + "\n"


def _events() -> Iterator[str]:
    yield from (
        "## Events for every client",
        "",
        "Subscribe to the subject. The NATS server copies each stored event there. To start with all known models,"
        " query `models.list` after you subscribe (`Client.follow_models` does both).",
        "",
        "Each copy has the headers `Nats-Stream` (`MODELS`, or `ANSWERS` for `recommend.changed`), `Nats-Subject` (the"
        " event's own subject, such as `model.found.<endpoint>.<name>`) and `Nats-Sequence`. Ignore messages without"
        " these headers: they are not events.",
        "",
        "| subject | event | says |",
        "|---|---|---|",
    )
    yield from (f"| `{c.copy}` | [{c.name}](#{c.name.lower()}) | {c.doc} |" for c in CHANNELS if c.copy)
    yield ""


def _queries() -> Iterator[str]:
    yield from (
        "## Queries for every client",
        "",
        "Send a NATS request with a JSON body; an empty body means `{}`. An error is a reply with the header"
        " `Nats-Service-Error-Code` and the body [ErrorReply](#errorreply). The services describe themselves:"
        " `nats req '$SRV.INFO' ''`.",
        "",
        "| subject | request | reply | says |",
        "|---|---|---|---|",
    )
    for query in QUERIES:
        request, reply = query.request.__name__, query.reply.__name__
        shapes = f"[{request}](#{request.lower()}) | [{reply}](#{reply.lower()})"
        yield f"| `{query.subject}` | {shapes} | {query.doc} |"
    yield ""


def _between_services() -> Iterator[str]:
    yield from (
        "## Messages between services",
        "",
        "| subject | message | stream | publishers | consumers |",
        "|---|---|---|---|---|",
    )
    for c in CHANNELS:
        consumers = ", ".join((*c.consumers, *(("any client",) if c.copy else ())))
        yield f"| `{c.subject}` | {c.name} | {c.stream or '-'} | {', '.join(c.publishers)} | {consumers} |"
    yield from ("", "Every event has these headers:", "", "| header | |", "|---|---|")
    yield from (f"| `{name}` | {text} |" for name, text in HEADERS.items())
    yield ""


def _shapes() -> Iterator[str]:
    yield "## Shapes"
    shown = examples.documents()
    for name, shape in schemas().items():
        yield from ("", f"### {name}", "", *_described(shape))
        if name in shown:
            yield from ("", "```json", pretty(shown[name]).rstrip(), "```")


def _described(shape: Schema) -> Iterator[str]:
    if text := shape.get("description"):
        yield " ".join(text.split())
        yield ""
    if values := shape.get("enum"):
        yield "One of " + ", ".join(f"`{value}`" for value in values) + "."
        return
    required = shape.get("required", ())
    yield "| field | type | |"
    yield "|---|---|---|"
    for name, field in shape.get("properties", {}).items():
        remark = field.get("description", "")
        unit = f"{field['x-unit']}" if "x-unit" in field else ""
        needed = "required" if name in required else ""
        notes = "; ".join(filter(None, (needed, unit, remark)))
        yield f"| `{name}` | {_kind(field)} | {notes} |"


def _kind(schema: Schema) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_kind(option) for option in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f'"{value}"' for value in schema["enum"])
    match schema.get("type"):
        case "array":
            return f"list of {_kind(schema.get('items', {}))}"
        case "object":
            return f"map to {_kind(schema.get('additionalProperties') or {})}"
        case None:
            return "anything"
        case "string":
            return {"date-time": "time"}.get(schema.get("format", ""), "text")
        case kind:
            return str(kind)


_GENERATE: Final = (
    "## Generate types",
    "",
    "[types.json](types.json) is one JSON Schema with a named type for each message, enumeration and union:",
    "",
    "<!-- not run: tests/architecture/test_open_contracts.py runs the first -->",
    "```sh",
    "npx json-schema-to-typescript@16.0.0 types.json > vedette.ts",
    "npx quicktype@26.0.0 --src-lang schema --lang go --package vedette types.json > vedette.go",
    "```",
    "",
    "Modelina generates the same types from asyncapi.json (5.10.1: Go and TypeScript). A field of type `ModelRefOrNull`"
    " is a `ModelRef` or `null`; an optional field may also be absent.",
    "",
)
_STABILITY: Final = (
    "## Compatibility before 1.0",
    "",
    "Every 0.x release keeps these from earlier releases: subjects, names of messages, fields and their types, and"
    " values of enumerations. An optional field never becomes required. `tests/contracts` contains the schemas of each"
    " release, and tests compare them.",
    "",
    "Any release may add fields, values of enumerations and subjects. Consumers must ignore unknown fields and accept"
    " unknown values. Requests are strict: a request with an unknown field gets an error with its name. So send a new"
    " field only to a service that knows it. If an older service refuses a new field, Vedette's own client leaves the"
    " field out, unless the reply depends on it ([ADR 0062](adr/0062-the-newer-version-leaves-fields-out.md)).",
    "",
    "These may change before 1.0: scores and their order, texts for people, the tables of the database, and the"
    " subjects between services (`schedule`, `job`, `progress`, `dead`).",
    "",
)
