"""The page for people, in Markdown. Pure."""

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
        "Made by `vedette contracts --output docs` from the code; the same as JSON Schema in"
        " [contracts.json](contracts.json), and as AsyncAPI 3.0 in [asyncapi.json](asyncapi.json). Times are RFC 3339"
        " in UTC, units stand in the names.",
        "",
        *_GENERATE,
        *_STABILITY,
        "## What anybody may hear",
        "",
        "Subscribe to the subject; the broker copies each event there once it is stored. To start with what is known,"
        " ask `models.list` after subscribing (`Client.follow_models` does both).",
        "",
        "The copy has the headers `Nats-Stream` (`MODELS`, or `ANSWERS` for `recommend.changed`), `Nats-Subject` (the"
        " event's own subject, such as `model.found.<endpoint>.<name>`) and `Nats-Sequence`. Ignore messages without"
        " them: they are no events.",
        "",
        "| subject | event | says |",
        "|---|---|---|",
        *(f"| `{c.copy}` | [{c.name}](#{c.name.lower()}) | {c.doc} |" for c in CHANNELS if c.copy),
        "",
        "## What anybody may ask",
        "",
        "A NATS request with a JSON body; nothing stands for `{}`. An error is a reply with the header"
        " `Nats-Service-Error-Code` and the body [ErrorReply](#errorreply). The services describe themselves:"
        " `nats req '$SRV.INFO' ''`.",
        "",
        "| subject | request | reply | says |",
        "|---|---|---|---|",
        *(
            f"| `{q.subject}` | [{q.request.__name__}](#{q.request.__name__.lower()}) | "
            f"[{q.reply.__name__}](#{q.reply.__name__.lower()}) | {q.doc} |"
            for q in QUERIES
        ),
        "",
        "## What services say to each other",
        "",
        "| subject | message | stream | sent by | heard by |",
        "|---|---|---|---|---|",
        *(
            f"| `{c.subject}` | {c.name} | {c.stream or '-'} | {', '.join(c.publishers)} | "
            f"{', '.join((*c.consumers, *(('anybody',) if c.copy else ())))} |"
            for c in CHANNELS
        ),
        "",
        "Every event has these headers:",
        "",
        "| header | |",
        "|---|---|",
        *(f"| `{name}` | {text} |" for name, text in HEADERS.items()),
        "",
        "## Shapes",
    ]
    shown = examples.documents()
    for name, shape in schemas().items():
        lines += ["", f"### {name}", "", *_described(shape)]
        if name in shown:
            lines += ["", "```json", pretty(shown[name]).rstrip(), "```"]
    return "\n".join(lines) + "\n"


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
        told = "; ".join(filter(None, (needed, unit, remark)))
        yield f"| `{name}` | {_kind(field)} | {told} |"


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
    "Modelina makes the same types from asyncapi.json (5.10.1: Go and TypeScript). A field of type `ModelRefOrNull` is"
    " a `ModelRef` or `null`; a field that is not required may be absent as well.",
    "",
)
_STABILITY: Final = (
    "## What stays before 1.0",
    "",
    "In every 0.x release, these of an earlier one stay: subjects, names of messages, fields and their types, and the"
    " values of enumerations. A field that could be left out is never required later. The schemas of each release are"
    " kept in `tests/contracts`, and tests compare.",
    "",
    "New fields, new values of enumerations and new subjects may come with any release. Readers ignore fields that they"
    " do not know and treat a value that they do not know as unknown. Requests are strict: a request with an unknown"
    " field is refused with its name, so send a new field only to a server that knows it.",
    "",
    "Not promised before 1.0: scores and their order, the text of messages for people, the tables of the database, and"
    " the subjects between services (`schedule`, `job`, `progress`, `dead`).",
    "",
)
