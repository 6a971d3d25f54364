"""The contracts as data: what goes on which subject, who sends and who hears it, and its JSON Schema. Pure.

What is said of a field in the code beside it is its description here, and the unit in its name its unit. From these
come `docs/contracts.json`, the AsyncAPI document, the page for people, and the permissions of each NATS user.
"""

import ast
import inspect
import sys
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from io import StringIO
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from vedette import __version__
from vedette.messages import components, events, examples
from vedette.messages.events import QUESTIONS, ErrorReply, Question

Role = Literal[
    "ticker", "discoverer", "prober", "benchmarker", "recorder", "recommender", "operator", "anybody"
]
Schema = dict[str, Any]
WORKERS: Final[tuple[Role, ...]] = ("discoverer", "prober", "benchmarker")
KEEPERS: Final[tuple[Role, ...]] = ("recorder", "recommender")
SERVICES: Final[tuple[Role, ...]] = ("ticker", *WORKERS, *KEEPERS)

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
_COMMON_HEADERS: Final = {
    "Nats-Msg-Id": "The event's id: a message that is published twice is stored once.",
    "ce-specversion": "1.0: CloudEvents, in its binary mode.",
    "ce-id": "The event's id.",
    "ce-type": "vedette. and the kind of event.",
    "ce-source": "/vedette/ and the service that published it.",
    "ce-time": "When it happened, RFC 3339.",
    "ce-subject": "The subject that it was published on.",
}
_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"


class Channel(Struct, frozen=True, kw_only=True):
    """A kind of message: its subject with the parts that vary in braces, and who may put it there and take it."""

    message: type[Struct]
    subject: str
    stream: str | None  # None: only who listens just then hears it
    senders: tuple[Role, ...]
    hearers: tuple[Role, ...]
    copy: str | None = None  # where the broker itself repeats it, for anybody

    @property
    def name(self) -> str:
        """The kind of message."""
        return self.message.__name__

    @property
    def filter(self) -> str:
        """The subject as a subscription writes it."""
        return _filter(self.subject)

    @property
    def doc(self) -> str:
        """What it says, in a sentence or two."""
        return " ".join(inspect.cleandoc(self.message.__doc__ or "").split())


def _filter(subject: str) -> str:
    rest = subject.endswith("...}")
    tokens = ["*" if token.startswith("{") else token for token in subject.replace("...", "").split(".")]
    return ".".join([*tokens[:-1], ">"] if rest else tokens)


def _of_model(message: type[Struct], *senders: Role) -> Channel:
    kind = message.TYPE  # type: ignore[attr-defined]
    return Channel(
        message=message,
        subject=f"{kind}.{{endpoint}}.{{name}}",
        stream="MODELS",
        senders=senders,
        hearers=(*WORKERS, *KEEPERS),  # each follows all of them
        copy=kind,
    )


CHANNELS: Final[tuple[Channel, ...]] = (
    Channel(
        message=events.Tick,
        subject="schedule.{job}",
        stream="SCHEDULE",
        senders=("ticker",),
        hearers=("ticker", *WORKERS, "recorder"),
    ),
    Channel(
        message=events.Job,
        subject="job.{kind}.{group}.{endpoint and name...}",
        stream="JOBS",
        senders=(*WORKERS, "operator"),
        hearers=WORKERS,
    ),
    Channel(
        message=events.EndpointObserved,
        subject="endpoint.observed.{endpoint}",
        stream="ENDPOINTS",
        senders=WORKERS,
        hearers=(*WORKERS, *KEEPERS),
    ),
    _of_model(events.ModelFound, "discoverer"),
    _of_model(events.ModelChanged, "discoverer"),
    _of_model(events.ModelLost, "discoverer"),
    # The discoverer repeats them under the new name of a renamed endpoint.
    _of_model(events.ModelProbed, "prober", "discoverer"),
    _of_model(events.ModelBenchmarked, "benchmarker", "discoverer"),
    _of_model(events.ModelVerified, "benchmarker", "discoverer"),
    _of_model(events.ModelEvaluated, "benchmarker", "discoverer"),
    _of_model(events.ModelRegressed, "benchmarker"),
    _of_model(events.ModelRated, "operator", "discoverer"),
    Channel(
        message=events.AnswerChanged,
        subject="answer.{use case}",
        stream="ANSWERS",
        senders=("recommender",),
        hearers=("recommender",),
        copy="recommend.changed.{use case}",
    ),
    Channel(
        message=events.ModelReported,
        subject="report.{endpoint}.{name}",
        stream="REPORTS",
        senders=("recommender", "discoverer"),
        hearers=KEEPERS,
    ),
    Channel(
        message=events.Progress,
        subject="progress.{job id}",
        stream=None,
        senders=WORKERS,
        hearers=("operator",),
    ),
    Channel(
        message=events.DeadLetter,
        subject="dead.{service}",
        stream="DEAD",
        senders=SERVICES,
        hearers=("operator",),
    ),
)


# --- Schemas ---------------------------------------------------------------------------------------------------


def _asked() -> list[type[Struct]]:
    """Return the shapes of all requests and replies, each once."""
    shapes = [shape for question in QUESTIONS for shape in (question.request, question.reply)]
    return [*dict.fromkeys(shapes), ErrorReply]


def schemas(ref: str = "#/schemas/{name}", of: Iterable[type[Struct]] | None = None) -> dict[str, Schema]:
    """Return the JSON Schema of every message and of all that they hold, by name; references are made by *ref*."""
    shapes = [*(channel.message for channel in CHANNELS), *_asked()] if of is None else list(of)
    _, found = msgspec.json.schema_components(shapes, ref_template=ref)
    for shape in _structs(shapes):
        properties = found.get(shape.__name__, {}).get("properties", {})
        remarks = _remarks(shape)
        for name, schema in properties.items():
            _portable(schema)
            if remark := remarks.get(name):
                schema.setdefault("description", remark)
            if unit := _unit(name):
                schema["x-unit"] = unit
    return dict(sorted(found.items()))


def schema(shape: type[Struct]) -> Schema:
    """Return the JSON Schema of one message, whole."""
    return {
        "$schema": _DRAFT,
        "$ref": f"#/$defs/{shape.__name__}",
        "$defs": schemas("#/$defs/{name}", [shape]),
    }


def _portable(schema: Schema) -> None:
    """Write the end of a pattern as ECMA 262 does, whose regular expressions JSON Schema takes."""
    for part in (schema, *schema.get("anyOf", ()), schema.get("items", {})):
        if "pattern" in part:
            part["pattern"] = part["pattern"].removesuffix(r"\Z") + "$"


def _structs(shapes: Iterable[Any]) -> Iterator[type[Struct]]:
    """Yield *shapes* and all that they hold, each once."""
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


def _remarks(shape: type[Struct]) -> dict[str, str]:
    """Return what the code says beside each field of *shape*."""
    found: dict[str, str] = {}
    for owner in reversed(shape.__mro__):
        if issubclass(owner, Struct) and owner is not Struct:
            found |= _remarks_of_module(owner.__module__).get(owner.__qualname__, {})
    return found


@cache
def _remarks_of_module(name: str) -> dict[str, dict[str, str]]:
    """Return, by class and field, the comment at the end of a field's line."""
    try:
        source = inspect.getsource(sys.modules[name])
    except OSError:  # only the compiled code is here
        return {}
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    return {
        definition.name: {
            ast.unparse(line.target): comments[line.end_lineno]
            for line in definition.body
            if isinstance(line, ast.AnnAssign) and line.end_lineno in comments
        }
        for definition in ast.parse(source).body
        if isinstance(definition, ast.ClassDef)
    }


# --- Documents -------------------------------------------------------------------------------------------------


def document() -> dict[str, Any]:
    """Return all contracts as one JSON document: channels, questions, headers, schemas."""
    return {
        "title": "Vedette",
        "version": __version__,
        "headers": _COMMON_HEADERS,
        "channels": [
            {
                "subject": channel.subject,
                "message": channel.name,
                "description": channel.doc,
                "stream": channel.stream,
                "copied_to": channel.copy,
                "sent_by": channel.senders,
                "heard_by": (*channel.hearers, *(("anybody",) if channel.copy else ())),
                "schema": {"$ref": f"#/schemas/{channel.name}"},
            }
            for channel in CHANNELS
        ],
        "questions": [
            {
                "subject": question.subject,
                "description": question.doc,
                "asked_by": ("anybody",),
                "answered_by": (question.service,),
                "request": {"$ref": f"#/schemas/{question.request.__name__}"},
                "reply": {"$ref": f"#/schemas/{question.reply.__name__}"},
                "error": {"$ref": f"#/schemas/{ErrorReply.__name__}"},
            }
            for question in QUESTIONS
        ],
        "schemas": {name: {"$schema": _DRAFT} | schema for name, schema in schemas().items()},
    }


def types() -> Schema:
    """Return one JSON Schema of what others may hear and ask, from which generators make a type for each message."""
    ref = "#/$defs/{name}"
    shapes = [*(channel.message for channel in CHANNELS if channel.copy), *_asked()]
    return {
        "$schema": _DRAFT,
        "title": "Vedette",
        "description": "A property for each message, so that generators make a type of each. Never sent as a whole.",
        "type": "object",
        "properties": {shape.__name__: {"$ref": ref.format(name=shape.__name__)} for shape in shapes},
        "$defs": components.bare(components.named(schemas(ref, shapes), ref)),
    }


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document of Vedette: what others may hear, and what they may ask.

    Jobs, progress and dead letters are its own affair and left out.
    """
    heard = [channel for channel in CHANNELS if channel.copy]
    asked = _asked()
    ref = "#/components/schemas/{name}"
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Vedette",
            "version": __version__,
            "description": (
                "Discovers language models, measures them, and says which one to use now. Events carry the new fact "
                "and the state that results from it; fields are only ever added. Requests are strict: an unknown "
                "field is an error that names it."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "nats": {
                "host": "{host}",
                "protocol": "nats",
                "description": "`vedette up` writes the URL for agents into connection.json of its state directory.",
                "variables": {"host": {"default": "127.0.0.1:4222", "description": "The NATS server."}},
            }
        },
        "channels": {
            **{_camel(channel.name): _event_channel(channel) for channel in heard},
            **{key: value for question in QUESTIONS for key, value in _question_channels(question).items()},
        },
        "operations": {
            **{
                f"send{channel.name}": {
                    "action": "send",
                    "summary": channel.doc,
                    "channel": {"$ref": f"#/channels/{_camel(channel.name)}"},
                }
                for channel in heard
            },
            **{_camel(question.subject): _operation(question) for question in QUESTIONS},
        },
        "components": {
            "messages": {
                **{channel.name: _event_message(channel) for channel in heard},
                **{shape.__name__: _message(shape) for shape in asked},
            },
            "schemas": components.named(schemas(ref, [*(channel.message for channel in heard), *asked]), ref),
        },
    }


def _event_channel(channel: Channel) -> Schema:
    address = channel.copy or channel.subject
    made: Schema = {
        "address": _address(address),
        "description": f"Sent by the {', '.join(channel.senders)}.",
        "messages": {channel.name: {"$ref": f"#/components/messages/{channel.name}"}},
    }
    parameters = [token[1:-1] for token in address.split(".") if token.startswith("{")]
    if parameters:
        made["parameters"] = {
            _camel(name): {"description": f"The {name}, as one subject token."} for name in parameters
        }
    return made


def _address(subject: str) -> str:
    tokens = (
        f"{{{_camel(token[1:-1])}}}" if token.startswith("{") else token for token in subject.split(".")
    )
    return ".".join(tokens)


def _question_channels(question: Question) -> dict[str, Schema]:
    name = _camel(question.subject)
    request, reply = question.request.__name__, question.reply.__name__
    return {
        name: {
            "address": question.subject,
            "description": question.doc,
            "messages": {request: {"$ref": f"#/components/messages/{request}"}},
        },
        f"{name}Reply": {
            "address": None,  # the inbox that the request names
            "messages": {
                shape: {"$ref": f"#/components/messages/{shape}"} for shape in (reply, ErrorReply.__name__)
            },
        },
    }


def _operation(question: Question) -> Schema:
    name = _camel(question.subject)
    shapes = (question.reply.__name__, ErrorReply.__name__)
    return {
        "action": "receive",
        "summary": question.doc,
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{question.request.__name__}"}],
        "reply": {
            "channel": {"$ref": f"#/channels/{name}Reply"},
            "messages": [{"$ref": f"#/channels/{name}Reply/messages/{shape}"} for shape in shapes],
        },
        "bindings": {"nats": {"queue": question.service, "bindingVersion": "0.1.0"}},
    }


def _message(shape: type[Struct]) -> Schema:
    return {
        "name": shape.__name__,
        "title": shape.__name__,
        "summary": " ".join(inspect.cleandoc(shape.__doc__ or "").split()),
        "contentType": "application/json",
        "examples": [{"payload": examples.documents()[shape.__name__]}],
        "payload": {"$ref": f"#/components/schemas/{shape.__name__}"},
    }


def _event_message(channel: Channel) -> Schema:
    headers = {
        name: {"type": "string", "description": description} for name, description in _COMMON_HEADERS.items()
    }
    return _message(channel.message) | {"headers": {"type": "object", "properties": headers}}


def _camel(name: str) -> str:
    first, *others = name.replace(".", " ").split()
    return first[:1].lower() + first[1:] + "".join(word.capitalize() for word in others)


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
            for q in QUESTIONS
        ),
        "",
        "## What services say to each other",
        "",
        "| subject | message | stream | sent by | heard by |",
        "|---|---|---|---|---|",
        *(
            f"| `{c.subject}` | {c.name} | {c.stream or '-'} | {', '.join(c.senders)} | "
            f"{', '.join((*c.hearers, *(('anybody',) if c.copy else ())))} |"
            for c in CHANNELS
        ),
        "",
        "Every event has these headers:",
        "",
        "| header | |",
        "|---|---|",
        *(f"| `{name}` | {text} |" for name, text in _COMMON_HEADERS.items()),
        "",
        "## Shapes",
    ]
    shown = examples.documents()
    for name, shape in schemas().items():
        lines += ["", f"### {name}", "", *_described(shape)]
        if name in shown:
            lines += ["", "```json", _pretty(shown[name]).rstrip(), "```"]
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
FILES: Final = ("contracts.json", "asyncapi.json", "types.json", "events.md")


def files() -> dict[str, str]:
    """Return the documents to be kept, by the name of their file."""
    return dict(zip(FILES, (_pretty(document()), _pretty(asyncapi()), _pretty(types()), page()), strict=True))


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"
