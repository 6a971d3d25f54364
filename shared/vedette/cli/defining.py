"""`endpoints`: list them, and change them while Vedette runs."""

import asyncio
import getpass
import socket
import tomllib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
import nats.errors
import tomlkit
from cyclopts import App, Parameter

from vedette import log, providers
from vedette.bus.bus import Bus
from vedette.bus.connection import connect, why
from vedette.cli import entries, options
from vedette.cli.administering import endpoints as list_endpoints
from vedette.cli.administering import source_in_words
from vedette.cli.configuring import item_of
from vedette.cli.entries import NOTHING_FOUND, Entry
from vedette.cli.fitting import Column
from vedette.cli.output import complain, document, say, sheet
from vedette.client import definitions
from vedette.client.definitions import Author, Change
from vedette.clock import SystemClock
from vedette.endpoints import open_endpoints
from vedette.endpoints.contact import Contact
from vedette.endpoints.merging import Definitions, checked, laid_over, merged, written
from vedette.errors import ConfigurationError, NoAnswer, NotRunning, RequestError
from vedette.messages.catalogue import Versioned
from vedette.messages.events import EndpointAppeared, EndpointDefined
from vedette.messages.queries import EndpointsReply
from vedette.remedies import advice
from vedette.runtime.loop import run
from vedette.settings import EndpointSettings, Outbound, Settings, seconds
from vedette.types import LeftOut, Outcome

endpoints = App(
    name="endpoints",
    help="List the endpoints, or change them while Vedette runs.",
    group=entries.OPERATE,
    help_epilogue=f"Examples:\n  vedette endpoints\n  vedette endpoints --json\n\n{entries.EXIT_CODES}",
)
endpoints.default(list_endpoints)

_STORED_WITHIN_S = 15.0
_IN_FORCE_WITHIN_S = 10.0
_LOOK_EVERY_S = 0.25
# What a change of these makes another server of: it is tried before it is kept.
_TRIED = frozenset({"url", "provider", "flavour", "api_key", "basic", "headers", "ca_file", "verify"})

Name = Annotated[str, Parameter(help="Name of the endpoint: a-z, 0-9 and -.")]
Reason = Annotated[str, Parameter(help="Why: kept in the history, and shown.")]
By = Annotated[str | None, Parameter(help="Who makes the change. Default: your user name at this machine.")]
Unchecked = Annotated[bool, Parameter(negative="", help="Keep it without trying to reach it first.")]
Url = Annotated[str | None, Parameter(help="URL of the model server.")]
Provider = Annotated[str | None, Parameter(help="Kind of server: ollama, openai-compatible, …")]
KeyEnv = Annotated[
    str | None,
    Parameter(name="--api-key-env", help="Environment variable of the services that holds the API key."),
]
KeyFile = Annotated[
    str | None, Parameter(name="--api-key-file", help="File on the services' hosts that holds the API key.")
]
Set = Annotated[
    tuple[str, ...],
    Parameter(
        name="--set",
        help="Any other key of [endpoints.NAME], as KEY=VALUE in TOML: timeout_s=20. Repeatable.",
    ),
]


def add(
    name: Name,
    /,
    *,
    url: Url = None,
    provider: Provider = None,
    api_key_env: KeyEnv = None,
    api_key_file: KeyFile = None,
    set_: Set = (),
    reason: Reason = "",
    by: By = None,
    unchecked: Unchecked = False,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Add the endpoint NAME to a Vedette that runs. It is tried first, and kept if it answers."""
    settings = _given(url, provider, api_key_env, api_key_file, set_)
    return run(_add(name, settings, _author(by, reason), where, unchecked=unchecked, as_json=json))


def edit(
    name: Name,
    /,
    *,
    url: Url = None,
    provider: Provider = None,
    api_key_env: KeyEnv = None,
    api_key_file: KeyFile = None,
    set_: Set = (),
    unset: Annotated[
        tuple[str, ...],
        Parameter(help="A key that was set at run time: what is beneath counts again. Repeatable."),
    ] = (),
    reason: Reason = "",
    by: By = None,
    unchecked: Unchecked = False,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Change keys of the endpoint NAME, wherever it is from. All its other keys stay as they are there."""
    settings = _given(url, provider, api_key_env, api_key_file, set_)
    if not settings and not unset:
        raise RequestError(code="invalid_value", message="nothing to change: give --url, --set KEY=VALUE, …")
    author = _author(by, reason)
    return run(_edit(name, settings, unset, author, where, unchecked=unchecked, as_json=json))


def remove(
    name: Name,
    /,
    *,
    reason: Reason = "",
    by: By = None,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Use the endpoint NAME no longer, wherever it is from. Its models are lost; their history stays."""
    return run(_change(name, definitions.remove, _author(by, reason), where, json))


def restore(
    name: Name,
    /,
    *,
    reason: Reason = "",
    by: By = None,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Take back all that was changed of NAME at run time: the file, or where it appeared, counts alone."""
    return run(_change(name, definitions.restore, _author(by, reason), where, json, defined=True))


def pause(
    name: Name,
    /,
    *,
    for_: Annotated[
        str | None, Parameter(name="--for", help="How long: 30m, 2h, 1d. Default: until it is resumed.")
    ] = None,
    reason: Reason = "",
    by: By = None,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Leave the endpoint NAME alone: no contact, no measurement, no recommendation. Its models stay known."""
    now, author = SystemClock().now(), _author(by, reason)
    change = definitions.pause(author=author, now=now, until=now + _duration(for_) if for_ else None)
    return run(_change(name, change, author, where, json))


def resume(
    name: Name,
    /,
    *,
    reason: Reason = "",
    by: By = None,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """End the pause of the endpoint NAME. It is probed at once."""
    return run(_change(name, definitions.resume, _author(by, reason), where, json, defined=True))


def history(name: Name, /, *, json: options.Json = False, where: options.Instance = options.HERE) -> int:
    """Show who changed the endpoint NAME at run time, when and what, and how it appeared."""
    return run(_history(name, where, json))


def export(
    *,
    all_: Annotated[
        bool,
        Parameter(name="--all", negative="", help="Every endpoint in force, also those of the file."),
    ] = False,
    config: options.Config = None,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Print the endpoints that were changed at run time as TOML, for the configuration file.

    They are laid over the file of --config, or that of the Vedette that runs here.
    """
    return run(_export(config, where, everything=all_, as_json=json))


entries.add(
    endpoints,
    Entry(
        "vedette.cli.defining:add",
        "Add an endpoint to a running Vedette, after a try.",
        (
            "vedette endpoints add gpu --provider openai-compatible --url http://gpu:8000",
            "vedette endpoints add hub --url https://llm.example.com --api-key-env HUB_KEY --set measure=true",
        ),
    ),
    Entry(
        "vedette.cli.defining:edit",
        "Change keys of an endpoint, wherever it is from.",
        (
            "vedette endpoints edit gpu --url http://gpu-2:8000",
            "vedette endpoints edit gpu --set timeout_s=20 --unset exclude",
        ),
    ),
    Entry(
        "vedette.cli.defining:remove",
        "Use an endpoint no longer, wherever it is from.",
        ('vedette endpoints remove gpu --reason "moved to the new rack"',),
    ),
    Entry(
        "vedette.cli.defining:restore",
        "Take back what was changed of an endpoint at run time.",
        ("vedette endpoints restore gpu",),
    ),
    Entry(
        "vedette.cli.defining:pause",
        "Leave an endpoint alone: no contact, no recommendation.",
        ('vedette endpoints pause gpu --for 2h --reason "new driver"',),
    ),
    Entry("vedette.cli.defining:resume", "End the pause of an endpoint.", ("vedette endpoints resume gpu",)),
    Entry(
        "vedette.cli.defining:history",
        "Show who changed an endpoint, when and what.",
        ("vedette endpoints history gpu", "vedette endpoints history gpu --json"),
    ),
    Entry(
        "vedette.cli.defining:export",
        "Print the endpoints changed at run time as TOML.",
        ("vedette endpoints export", "vedette endpoints export --all > endpoints.toml"),
    ),
)


# --- What is given ---------------------------------------------------------------------------------------------


def _given(
    url: str | None, provider: str | None, key_env: str | None, key_file: str | None, pairs: Sequence[str]
) -> dict[str, Any]:
    """Return the keys of `[endpoints.NAME]` that the options give. Raises RequestError."""
    if key_env and key_file:
        raise RequestError(code="invalid_value", message="give one of --api-key-env and --api-key-file")
    given: dict[str, Any] = dict(_pair(pair) for pair in pairs)
    named = {
        "url": url,
        "provider": provider,
        "api_key": {"env": key_env} if key_env else {"file": key_file} if key_file else None,
    }
    return given | {key: value for key, value in named.items() if value is not None}


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise RequestError(code="invalid_value", message=f"--set: {text!r} is not KEY=VALUE", field="set")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value  # a text without quotation marks


def _author(by: str | None, reason: str) -> Author:
    return Author(by=by or _user(), via="command line", reason=reason)


def _user() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # a user without a name, as in a container
        return socket.gethostname()


def _duration(text: str) -> timedelta:
    try:
        return timedelta(seconds=seconds(text))
    except (ValueError, OverflowError) as error:
        raise RequestError(code="invalid_value", message=f"--for: {error}", field="for") from error


# --- Changes ---------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _operator(where: options.Instance) -> AsyncIterator[Bus]:
    """Yield what writes definitions. Raises RequestError for a login that may not."""
    async with connect(where.operator(), name="vedette-operator") as connection:
        bus = Bus(connection, name="operator", clock=SystemClock(), log=log.logger("operator"))
        try:
            async with asyncio.timeout(_STORED_WITHIN_S):
                await bus.js.stream_info(definitions.STREAM)
        except nats.js.errors.NotFoundError as error:
            problem = "the stream DEFINITIONS is not there; make it with: vedette provision"
            raise RequestError(code="not_provisioned", message=problem) from error
        except (nats.errors.Error, TimeoutError) as error:
            raise _not_allowed(error) from error
        yield bus


def _not_allowed(error: Exception) -> RequestError:
    problem = (
        f"this login may not change endpoints, or NATS stores nothing now ({why(error)}); "
        "use the operator's, for example: --nats nats://operator:PASSWORD@nats:4222"
    )
    return RequestError(code="not_allowed", message=problem)


async def _views(where: options.Instance) -> EndpointsReply | None:
    """Return the endpoints in force, or None where no recommender replies."""
    try:
        async with where.client() as client:
            return await client.endpoints()
    except (NoAnswer, NotRunning):
        return None


async def _publish(
    bus: Bus, name: str, change: Change, author: Author, held: Versioned[EndpointDefined] | None
) -> EndpointDefined:
    try:
        async with asyncio.timeout(_STORED_WITHIN_S):
            expected = held.sequence if held else 0
            return await definitions.define(bus, name, change, author, expected=expected)
    except (nats.errors.Error, TimeoutError) as error:
        raise _not_allowed(error) from error


async def _change(
    name: str,
    change: Change,
    author: Author,
    where: options.Instance,
    as_json: bool,
    *,
    defined: bool = False,
) -> int:
    """Publish *change* of an endpoint that there is; of one that was changed at run time before, if *defined*."""
    async with _operator(where) as bus:
        held, views = await definitions.last(bus, name), await _views(where)
        if defined and held is None:
            problem = f"endpoint {name} was not changed at run time, so there is nothing to take back"
            raise RequestError(code="unknown_endpoint", message=problem, field="endpoint")
        if held is None:
            _require(name, views)
        event = await _publish(bus, name, change, author, held)
        return await _say_in_force(bus, event, where, as_json)


def _require(name: str, views: EndpointsReply | None) -> None:
    """Raise RequestError for a name that no endpoint has, in force or left out."""
    if views is None:
        return  # then it is not known here, and shows as left out later
    known = [view.endpoint for view in views.endpoints] + [one.endpoint for one in views.left_out]
    if name not in known:
        problem = f"no endpoint {name}; known: {', '.join(dict.fromkeys(known)) or 'none'}"
        raise RequestError(code="unknown_endpoint", message=problem, field="endpoint")


async def _add(
    name: str,
    settings: dict[str, Any],
    author: Author,
    where: options.Instance,
    *,
    unchecked: bool,
    as_json: bool,
) -> int:
    change = definitions.add(settings)
    subject_checked = definitions.subject(name)
    wanted = laid_over(name, _preview(name, change, None), None)
    providers.load(wanted.provider)
    async with _operator(where) as bus:
        held, views = await definitions.last(bus, name), await _views(where)
        if any(view.endpoint == name for view in (views.endpoints if views else ())):
            problem = (
                f"endpoint {name} is there already; change it with: vedette endpoints edit {name} "
                f"(what was said of it: vedette endpoints history {name})"
            )
            raise RequestError(code="exists", message=problem, field=subject_checked)
        found = "" if unchecked else await _tried(name, wanted, where)
        event = await _publish(bus, name, change, author, held)
        return await _say_in_force(bus, event, where, as_json, found=found)


async def _edit(
    name: str,
    settings: dict[str, Any],
    unset: Sequence[str],
    author: Author,
    where: options.Instance,
    *,
    unchecked: bool,
    as_json: bool,
) -> int:
    async with _operator(where) as bus:
        held, views = await definitions.last(bus, name), await _views(where)
        if held is None:
            _require(name, views)
        change = definitions.edit(settings, unset)
        preview = _preview(name, change, held.event if held else None)
        beneath = _beneath(name, preview, views, where)
        wanted = laid_over(name, preview, beneath) if beneath or preview.whole else None
        if wanted is None:  # what is beneath is not known here
            checked({"url": "http://localhost", **preview.settings}, f"endpoints.{name}")
        found = ""
        if not unchecked and wanted is not None and _TRIED & {*settings, *unset}:
            found = await _tried(name, wanted, where)
        event = await _publish(bus, name, change, author, held)
        return await _say_in_force(bus, event, where, as_json, found=found)


def _preview(name: str, change: Change, held: EndpointDefined | None) -> EndpointDefined:
    """Return the definition that *change* leads to, not published yet."""
    return EndpointDefined(id="", at=SystemClock().now(), endpoint=name, **change(held))


def _beneath(
    name: str, preview: EndpointDefined, views: EndpointsReply | None, where: options.Instance
) -> EndpointSettings | None:
    """Return what *preview* is laid over, as far as it is known on this machine."""
    if preview.whole:
        return None
    file = where.configuration()
    if file is not None and name in file.endpoints:
        return file.endpoints[name]
    view = next((one for one in (views.endpoints if views else ()) if one.endpoint == name), None)
    return EndpointSettings(provider=view.provider, url=view.url) if view else None


async def _tried(name: str, wanted: EndpointSettings, where: options.Instance) -> str:
    """Return what answers at an endpoint. Raises RequestError where nothing does, or a secret of it is not here."""
    file = where.configuration()
    outbound = file.outbound if file else Outbound()
    skip = "--unchecked keeps it without a try"
    try:
        settings = Settings(endpoints={name: wanted}, outbound=outbound)
        async with open_endpoints(settings, clock=SystemClock()) as opened:
            (endpoint,) = opened
            contact = await endpoint.contact()
    except ConfigurationError as error:
        problem = f"endpoint {name} cannot be tried on this machine: {error}; {skip}"
        raise RequestError(code="not_tried", message=problem, field="endpoint") from error
    if contact.outcome is not Outcome.OK:
        seen, remedy = advice(wanted.url, contact.outcome, contact.detail, contact.remedy)
        problem = (
            f"endpoint {name} does not answer as it should, so it was not kept: {seen}; {remedy}; {skip}"
        )
        raise RequestError(code="not_reached", message=problem, field="endpoint")
    return _found(wanted, contact)


def _found(wanted: EndpointSettings, contact: Contact) -> str:
    server = contact.server
    product = " ".join(filter(None, (server.product, server.version))) if server else ""
    listed = len(contact.listing or ())
    models = f"{listed} model{'s' if listed != 1 else ''}"
    return f"{wanted.url} answers in {contact.latency_ms:.0f} ms with {models}" + (
        f" ({product})" if product else ""
    )


async def _say_in_force(
    bus: Bus, event: EndpointDefined, where: options.Instance, as_json: bool, *, found: str = ""
) -> int:
    """Wait until the change is in force, and say what it came to."""
    held = await definitions.last(bus, event.endpoint)
    reply = await _in_force(where, held.sequence if held else 0)
    out = [one for one in reply.left_out if one.endpoint == event.endpoint] if reply else []
    wrong = next((one for one in out if one.wrong and one.source == "operator"), None)
    if as_json:
        document(
            {"definition": event, "in_force": reply is not None, "found": found or None, "left_out": out}
        )
        return 1 if wrong else 0
    if found:
        say(found)
    say(f"{event.endpoint}: {_done(event)}")
    if wrong is not None:
        complain(f"{event.endpoint} is left out: {wrong.why}")
        return 1
    for one in out:
        say(f"{event.endpoint} of {source_in_words(one.source)} is not in force: {one.why}")
    if reply is None:
        complain("kept, but not in force yet: no recommender has taken it on; vedette doctor says why")
    return 0


def _done(event: EndpointDefined) -> str:
    words = {
        "add": "added",
        "edit": f"changed: {', '.join(sorted(event.settings)) or 'nothing set at run time any more'}",
        "remove": f"removed; bring it back with: vedette endpoints restore {event.endpoint}",
        "restore": "as it was before any change at run time",
        "resume": "resumed",
        "pause": event.paused.in_words if event.paused else "",
    }
    return words[event.action]


async def _in_force(where: options.Instance, sequence: int) -> EndpointsReply | None:
    """Return the endpoints once the definition with *sequence* is in force; None where that takes too long."""
    try:
        async with asyncio.timeout(_IN_FORCE_WITHIN_S), where.client() as client:
            while True:
                reply = await client.endpoints()
                if (reply.definitions or 0) >= sequence:
                    return reply
                await asyncio.sleep(_LOOK_EVERY_S)
    except (TimeoutError, NoAnswer, NotRunning):
        return None


# --- What was, and what is -------------------------------------------------------------------------------------


async def _history(name: str, where: options.Instance, as_json: bool) -> int:
    async with _operator(where) as bus:
        events = await definitions.history(bus, name)
    if as_json:
        document({"endpoint": name, "changes": events})
        return 0 if events else NOTHING_FOUND
    if not events:
        complain(f"nothing was changed of endpoint {name} at run time")
        return NOTHING_FOUND
    columns = (Column("when"), Column("who"), Column("what"), Column("why", 1))
    sheet(columns, list(_rows(events)))
    return 0


def _rows(events: Sequence[EndpointDefined | EndpointAppeared]) -> Iterator[tuple[str, str, str, str]]:
    held: EndpointDefined | None = None
    for event in events:
        when = f"{event.at:%Y-%m-%d %H:%M:%S}Z"
        if isinstance(event, EndpointAppeared):
            what = f"{event.state}: {event.settings.get('url', '')}"
            yield when, event.source, what, event.reason or event.origin
            continue
        what = "; ".join([event.action, *_differences(held, event)])
        yield when, f"{event.by or '-'} ({event.via})" if event.via else event.by or "-", what, event.reason
        held = event


def _differences(before: EndpointDefined | None, after: EndpointDefined) -> Iterator[str]:
    """Yield which keys differ, and how."""
    old, new = before.settings if before else {}, after.settings
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            yield (
                f"{key} {_short(old.get(key))} -> {_short(new.get(key))}"
                if key in old
                else (f"{key} = {_short(new.get(key))}")
            )
    if after.paused and after.paused.until and after.action == "pause":
        yield f"until {after.paused.until:%Y-%m-%d %H:%M}Z"


def _short(value: object) -> str:
    return "unset" if value is None else msgspec.json.encode(value).decode().strip('"')[:80]


async def _export(config: str | None, where: options.Instance, *, everything: bool, as_json: bool) -> int:
    file = options.settings(config) if config else where.configuration() or Settings()
    async with _operator(where) as bus:
        now = bus.clock.now()
        in_force = merged(file, await _definitions(bus), now)
    origins = in_force.defined.origins
    chosen = {
        name: endpoint
        for name, endpoint in in_force.endpoints.items()
        if everything or (name in origins and (origins[name].source == "operator" or origins[name].changed))
    }
    if as_json:
        tables = {name: written(endpoint) for name, endpoint in chosen.items()}
        document({"endpoints": tables, "left_out": in_force.defined.left_out})
        return 0
    say(_toml(chosen, in_force, now))
    return 0


async def _definitions(bus: Bus) -> Definitions:
    held = Definitions()
    for stream, matching in (
        (definitions.STREAM, "endpoint.defined.*"),
        (definitions.APPEARED, "endpoint.appeared.*.*"),
    ):
        following = await bus.followings.follow(stream, matching, held.apply)
        await following.until_warm()
    return held


def _toml(chosen: Mapping[str, EndpointSettings], in_force: Settings, now: datetime) -> str:
    made = tomlkit.document()
    made.add(tomlkit.comment(f"Endpoints of Vedette, exported {now:%Y-%m-%d %H:%M}Z."))
    for one in in_force.defined.left_out:
        if one.source != "operator":
            made.add(tomlkit.comment(_remark(one)))
    tables = tomlkit.table(is_super_table=True)
    for name, endpoint in chosen.items():
        table = tomlkit.table()
        origin = in_force.defined.origins.get(name)
        if origin is not None and origin.closed is not None:
            table.add(tomlkit.comment(_one_line(f"{origin.closed} (a pause is not part of the file)")))
        for key, value in written(endpoint).items():
            table.add(key, item_of(value))
        tables.add(name, table)
    if chosen:
        made.add("endpoints", tables)
    return tomlkit.dumps(made).strip()


def _remark(one: LeftOut) -> str:
    return _one_line(f"{one.endpoint} of {source_in_words(one.source)} is not in force: {one.why}")


def _one_line(text: str) -> str:
    """Return *text*, which a stranger may have written, as a comment can hold it."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
