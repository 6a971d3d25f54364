"""What others build on stays as it was: schemas, subjects, headers, and the documents that tell of them."""

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from jsonschema import Draft202012Validator

from require import missing
from samples import lifecycle_event
from vedette.bus import stream_configs
from vedette.bus.publishing import headers_of
from vedette.messages import channels, documents, events
from vedette.messages.channels import CHANNELS, DURABLES, EVENTS, QUERIES
from vedette.messages.codec import decode_event, encode
from vedette.messages.consumers import Durable, host_jobs
from vedette.messages.documents import examples
from vedette.messages.documents.schemas import schemas
from vedette.settings import Settings
from vedette.types import ModelRef

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "tests" / "contracts"
# What was released is never written again. A new version has a directory and a line of its own.
RELEASED = {"0.1": "175bf2ade4a2c29d84ee704cc092aacd94f21812efe5c15d86cb4b30025d001b"}
PARSER = "@asyncapi/parser@3.6.6"
GENERATOR = "json-schema-to-typescript@16.0.0"
VALIDATE = """
import { Parser } from '@asyncapi/parser';
import { readFileSync } from 'fs';
const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], 'utf8'));
console.log(JSON.stringify({ parsed: !!document, problems: diagnostics.filter((one) => one.severity < 2) }));
"""


@pytest.mark.parametrize("name", documents.FILES)
def test_the_documents_are_what_the_code_says(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == documents.files()[name], (
        "run: uv run vedette contracts --output docs"
    )


@pytest.mark.parametrize("version", RELEASED)
def test_what_was_released_is_as_it_was(version: str) -> None:
    kept = (KEPT / version / "contracts.json").read_bytes()
    assert hashlib.sha256(kept).hexdigest() == RELEASED[version]


def released() -> list[tuple[str, str]]:
    """Return every event of every release, as version and name of the file."""
    return [
        (v, file.stem) for v in RELEASED for file in (KEPT / v).glob("*.json") if file.stem != "contracts"
    ]


@pytest.mark.parametrize(("version", "name"), sorted(released()))
def test_payloads_of_old_still_decode(version: str, name: str) -> None:
    """Whole, and the fields that have defaults may be missing."""
    payload = (KEPT / version / f"{name}.json").read_bytes()
    kind = next(event for event in EVENTS if event.__name__ == name)
    assert type(decode_event(f"{kind.TYPE}.a.b", payload)) is kind
    required = schemas()[name]["required"]
    least = {key: value for key, value in json.loads(payload).items() if key in required}
    decode_event(f"{kind.TYPE}.a.b", json.dumps(least).encode())


@pytest.mark.parametrize("version", RELEASED)
def test_nothing_that_was_released_is_taken_back(version: str) -> None:
    """No message or subject is gone; no field is gone, is of another type, or has come to be required."""
    was, now = json.loads((KEPT / version / "contracts.json").read_text()), documents.document()
    for part, key in (("channels", "subject"), ("questions", "subject")):
        assert {one[key] for one in was[part]} <= {one[key] for one in now[part]}
    problems = [
        problem
        for name, schema in was["schemas"].items()
        for problem in taken_back(name, schema, now["schemas"].get(name))
    ]
    assert not problems, problems


def taken_back(name: str, was: dict[str, Any], now: dict[str, Any] | None) -> Iterator[str]:
    """Yield in what the schema *now* fails those who rely on what it *was*."""
    if now is None:
        yield f"{name} is gone"
        return
    for value in set(was.get("enum", ())) - set(now.get("enum", ())):
        yield f"{name}: {value!r} is gone"
    for field, schema in was.get("properties", {}).items():
        kept = now.get("properties", {}).get(field)
        if kept is None:
            yield f"{name}.{field} is gone"
        elif not kinds(schema) <= kinds(kept):
            yield f"{name}.{field} was {kinds(schema)} and is {kinds(kept)}"
    for field in set(now.get("required", ())) - set(was.get("required", ())):
        yield f"{name}.{field} must be given now"


def kinds(schema: dict[str, Any]) -> set[str]:
    """Return what a value may be, in words that can be compared."""
    if "anyOf" in schema:
        return set().union(*(kinds(one) for one in schema["anyOf"]))
    if "enum" in schema:
        return {repr(value) for value in schema["enum"]}
    if schema.get("type") == "array":
        return {f"list of {kind}" for kind in kinds(schema.get("items", {}))}
    return {str(schema.get("$ref") or schema.get("type", "anything"))}


def test_taking_back_is_noticed() -> None:
    """The test above can fail."""
    was = {"properties": {"a": {"type": "string"}, "b": {"enum": [1, 2]}}, "required": ["a"]}
    assert not [*taken_back("X", was, was | {"properties": was["properties"] | {"c": {"type": "null"}}})]
    assert [*taken_back("X", was, None)]
    assert [*taken_back("X", was, {"properties": {"a": {"type": "string"}}})]
    assert [*taken_back("X", was, was | {"properties": {"a": {"type": "integer"}, "b": {"enum": [1, 2]}}})]
    assert [*taken_back("X", was, was | {"properties": {"a": {"type": "string"}, "b": {"enum": [1]}}})]
    assert [*taken_back("X", was, was | {"required": ["a", "b"]})]


def test_every_message_has_one_channel() -> None:
    found = {
        shape
        for shape in vars(events).values()
        if isinstance(shape, type) and issubclass(shape, events.Event) and "TYPE" in vars(shape)
    }
    assert found == {*EVENTS}
    assert len({channel.message for channel in CHANNELS}) == len(CHANNELS)


@pytest.mark.parametrize("message", examples.messages(), ids=lambda message: type(message).__name__)
def test_a_message_is_published_on_the_subject_of_its_channel(message: Any) -> None:
    channel = next(one for one in CHANNELS if one.message is type(message))
    if isinstance(message, events.DeadLetter):
        assert matches(channel.filter, f"dead.{message.service}")
    else:
        assert matches(channel.filter, message.subject)


def test_the_architecture_shows_the_streams_and_who_replies() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    for name, rows in (("streams", [*stream_rows()]), ("queries", [*query_rows()])):
        table = page.partition(f"<!-- table: {name} -->\n")[2].partition("\n<!-- end -->")[0]
        assert table.splitlines()[2:] == rows, "the rows that channels.py says:\n" + "\n".join(rows)


def stream_rows() -> Iterator[str]:
    """Yield a row for each stream: its subjects, who publishes and consumes its messages."""
    for stream in dict.fromkeys(channel.stream for channel in CHANNELS):
        of_it = [channel for channel in CHANNELS if channel.stream == stream]
        copies = [f"`{copied}`" for copied in [common([one.copy for one in of_it if one.copy])] if copied]
        consumers = [*each(one.consumers for one in of_it), *(f"any client, on {one}" for one in copies)]
        yield (
            f"| {stream or 'none'} | `{common([one.subject for one in of_it])}` "
            f"| {', '.join(each(one.publishers for one in of_it))} | {', '.join(consumers)} |"
        )


def query_rows() -> Iterator[str]:
    """Yield a row for each service that replies to queries."""
    for service in dict.fromkeys(query.service for query in QUERIES):
        families: dict[str, list[str]] = {}
        for query in QUERIES:
            if query.service == service:
                families.setdefault(query.subject.partition(".")[0], []).append(query.subject)
        yield f"| {service} | {', '.join(f'`{common(family)}`' for family in families.values())} |"


def each(names: Iterable[Iterable[str]]) -> list[str]:
    """Return each of *names* once, in the order of their first mention."""
    return [*dict.fromkeys(name for some in names for name in some)]


def common(subjects: list[str]) -> str:
    """Return the subjects as one, with a star for each token in which they differ."""
    tokens = zip(*(subject.split(".") for subject in subjects), strict=True)
    return ".".join(same[0] if len(set(same)) == 1 else "*" for same in tokens)


@pytest.mark.parametrize("channel", [one for one in CHANNELS if one.copy], ids=lambda channel: channel.name)
def test_an_event_for_every_client_has_a_sentence_of_its_own(channel: channels.Channel) -> None:
    example = channel.message.example()
    assert isinstance(example, events.Event)
    assert example.sentence().what != example.TYPE


def subject(channel: channels.Channel) -> str:
    """Return a subject of *channel*."""
    if channel.message is events.Job:
        return "job.probe.h.local"
    return re.sub(r"\{[^}]*\}", "x", channel.subject)


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.name)
def test_a_channel_s_stream_takes_it_and_its_copy_goes_where_it_says(channel: channels.Channel) -> None:
    for stream in stream_configs.streams(Settings()):
        taken = any(matches(pattern, subject(channel)) for pattern in stream.subjects or ())
        assert taken is (stream.name == channel.stream)
        if taken and channel.copy:
            assert stream.republish is not None
            copied = stream.republish.dest.replace("{{wildcard(1)}}", subject(channel).split(".")[1])
            assert copied == re.sub(r"\{[^}]*\}", "x", channel.copy)


def matches(pattern: str, subject: str) -> bool:
    """Return whether a subscription to *pattern* hears *subject*."""
    expression = re.escape(pattern).replace(r"\*", r"[^.]+").replace(">", r".+")
    return re.fullmatch(expression, subject) is not None


@pytest.mark.parametrize("durable", [*DURABLES, host_jobs("h")], ids=lambda durable: durable.name)
def test_who_consumes_is_said_to_hear(durable: Durable) -> None:
    consumed = [
        channel
        for channel in CHANNELS
        if channel.stream == durable.stream
        and (not durable.filters or any(overlap(one, channel.filter) for one in durable.filters))
    ]
    assert consumed
    assert all(durable.service in channel.consumers for channel in consumed)


def overlap(one: str, other: str) -> bool:
    """Return whether some subject matches both filters."""
    pairs = zip(one.split("."), other.split("."), strict=False)
    return all(a == b or {a, b} & {"*", ">"} for a, b in pairs)


def install(package: str, directory: Path) -> None:
    """Have npm install *package* in *directory*; end the test where it cannot."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        missing("node", "install Node.js and npm")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(directory), package]
    if subprocess.run(command, capture_output=True, timeout=120).returncode:
        missing("node", f"npm cannot install {package}")


@pytest.mark.lane("snippets")
def test_the_document_is_asyncapi_by_the_official_parser(tmp_path: Path) -> None:
    install(PARSER, tmp_path)
    script = tmp_path / "validate.mjs"
    script.write_text(VALIDATE)
    told = subprocess.run(
        ["node", str(script), str(ROOT / "docs" / "asyncapi.json")],
        capture_output=True,
        check=True,
        timeout=600,
    )
    assert json.loads(told.stdout) == {"parsed": True, "problems": []}


@pytest.mark.lane("snippets")
def test_a_generator_names_every_type(tmp_path: Path) -> None:
    """No `Reason2`, `FigureOrNull7` or `AnonymousSchema_306`: a generated type has a name of the documents."""
    install(GENERATOR, tmp_path)
    generated = subprocess.run(
        [str(tmp_path / "node_modules" / ".bin" / "json2ts"), str(ROOT / "docs" / "types.json")],
        capture_output=True,
        check=True,
        text=True,
        timeout=600,
    ).stdout
    made = set(re.findall(r"^export (?:interface|type) (\w+)", generated, re.MULTILINE))
    assert made - {"Vedette"} == set(documents.types()["$defs"])
    assert "unknown" not in re.findall(r"^  (?:reason|model|before|as_of)\??: (\w+)", generated, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(examples.documents()))
def test_an_example_is_what_its_schema_says(name: str) -> None:
    """By both documents, and without a field that the schema does not know."""
    example = examples.documents()[name]
    for known in (plain_schemas(), typed_schemas()):
        if name in known:
            schema = {"$ref": f"#/$defs/{name}", "$defs": known}
            Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(example)
            assert example.keys() <= known[name].get("properties", {}).keys()


@cache
def plain_schemas() -> dict[str, Any]:
    """Return the schemas of the documents."""
    return schemas("#/$defs/{name}")


@cache
def typed_schemas() -> dict[str, Any]:
    """Return the schemas that generators take."""
    schemas: dict[str, Any] = documents.types()["$defs"]
    return schemas


def test_every_event_and_query_has_an_example() -> None:
    assert {type(message) for message in examples.messages()} == {channel.message for channel in CHANNELS}
    for question in QUERIES:
        request, reply = question.example()
        assert (type(request), type(reply)) == (question.request, question.reply)


@pytest.mark.parametrize("nullable", ["score", "before", "margin"])
def test_what_may_be_null_may_be_null_for_generators_too(nullable: str) -> None:
    """And what may not be, may not."""
    example = examples.documents()["AnswerChanged"]
    schema = Draft202012Validator({"$ref": "#/$defs/AnswerChanged", "$defs": typed_schemas()})
    assert schema.is_valid(example | {nullable: None})
    assert not schema.is_valid(example | {nullable: []})
    assert not schema.is_valid(example | {"as_of": None})
    assert not schema.is_valid(example | {"reason": "whim"})


def test_headers_are_a_cloudevent_by_the_official_parser() -> None:
    event = lifecycle_event("found", ModelRef("local", "m:1 ü"), at=datetime(2026, 11, 27, 10, tzinfo=UTC))
    headers = headers_of(event, source="discoverer")
    parsed = from_binary(HTTPMessage(headers=headers, body=encode(event)), JSONFormat())
    assert parsed.get_specversion() == "1.0"
    assert parsed.get_id() == event.id
    assert parsed.get_type() == "vedette.model.found"
    assert parsed.get_source() == "/vedette/discoverer"
    assert parsed.get_time() == event.at
    assert parsed.get_subject() == event.subject
    assert parsed.get_datacontenttype() == "application/json"
    assert parsed.get_data()["model"] == {"endpoint": "local", "name": "m:1 ü"}
