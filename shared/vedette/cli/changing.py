"""Changes endpoints while Vedette runs: contacts the endpoint, publishes the change, waits until it is in force."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import nats.errors

from vedette import log, providers
from vedette.bus.bus import Bus
from vedette.bus.connection import connect, why
from vedette.cli import options
from vedette.cli.listing import left_behind_in_words, source_in_words
from vedette.cli.output import complain, document, say
from vedette.client import definitions
from vedette.client.definitions import Author, Change
from vedette.clock import SystemClock
from vedette.endpoints import open_endpoints
from vedette.endpoints.contact import Contact
from vedette.endpoints.merging import checked, laid_over
from vedette.errors import ConfigurationError, NoAnswer, NotRunning, RequestError
from vedette.messages.catalogue import Versioned
from vedette.messages.events import EndpointDefined
from vedette.messages.queries import EndpointsReply
from vedette.remedies import advice
from vedette.settings import EndpointSettings, Settings
from vedette.text.figures import counted
from vedette.types import Outcome

_STORED_WITHIN_S = 15.0
_IN_FORCE_WITHIN_S = 10.0
_LOOK_EVERY_S = 0.25
# A change of these keys leads to another server, so the server is contacted before the change is published.
_TRIED = frozenset({"url", "provider", "flavour", "api_key", "basic", "headers", "ca_file", "verify"})


@asynccontextmanager
async def operator(where: options.Instance) -> AsyncIterator[Bus]:
    """Yield a bus that may publish definitions. Raises RequestError if the login may not, or the stream is missing."""
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


async def endpoints_in_force(where: options.Instance) -> EndpointsReply | None:
    """Return the endpoints in force, or None if no recommender replies."""
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


async def make(
    name: str,
    change: Change,
    author: Author,
    where: options.Instance,
    as_json: bool,
    *,
    defined: bool = False,
) -> int:
    """Publish *change* of a known endpoint and wait until it is in force. Returns the exit code.

    *defined*: the endpoint must have been changed at run time before. Raises RequestError if the change is refused.
    """
    async with operator(where) as bus:
        held, views = await definitions.last(bus, name), await endpoints_in_force(where)
        if defined and held is None:
            problem = f"endpoint {name} was not changed at run time, so there is nothing to take back"
            raise RequestError(code="unknown_endpoint", message=problem, field="endpoint")
        if held is None:
            _require(name, views)
        event = await _publish(bus, name, change, author, held)
        return await _say_in_force(bus, event, where, as_json)


def _require(name: str, views: EndpointsReply | None) -> None:
    """Raise RequestError if *name* is neither an endpoint in force nor one that was left out."""
    if views is None:
        return  # not known here; an unknown endpoint shows later as left out
    known = [view.endpoint for view in views.endpoints] + [one.endpoint for one in views.left_out]
    if name not in known:
        problem = f"no endpoint {name}; known: {', '.join(dict.fromkeys(known)) or 'none'}"
        raise RequestError(code="unknown_endpoint", message=problem, field="endpoint")


async def add(
    name: str,
    settings: dict[str, Any],
    author: Author,
    where: options.Instance,
    *,
    unchecked: bool,
    as_json: bool,
) -> int:
    """Publish the endpoint *name* with *settings*; contact it first unless *unchecked*. Raises RequestError."""
    change = definitions.add(settings)
    definitions.subject(name)  # raises RequestError for an invalid name
    wanted = laid_over(name, _preview(name, change, None), None)
    providers.load(wanted.provider)
    async with operator(where) as bus:
        held, views = await definitions.last(bus, name), await endpoints_in_force(where)
        if any(view.endpoint == name for view in (views.endpoints if views else ())):
            problem = (
                f"endpoint {name} is there already; change it with: vedette endpoints edit {name} "
                f"(its changes: vedette endpoints history {name})"
            )
            raise RequestError(code="exists", message=problem, field="endpoint")
        found = "" if unchecked else await _tried(name, wanted, where)
        event = await _publish(bus, name, change, author, held)
        return await _say_in_force(bus, event, where, as_json, found=found)


async def edit(
    name: str,
    settings: dict[str, Any],
    unset: Sequence[str],
    author: Author,
    where: options.Instance,
    *,
    unchecked: bool,
    as_json: bool,
) -> int:
    """Publish *settings* as changed keys of the endpoint *name*, and *unset* as removed keys.

    If a key of `_TRIED` changes, the endpoint is contacted first, unless *unchecked*. Raises RequestError.
    """
    async with operator(where) as bus:
        held, views = await definitions.last(bus, name), await endpoints_in_force(where)
        if held is None:
            _require(name, views)
        change = definitions.edit(settings, unset)
        preview = _preview(name, change, held.event if held else None)
        beneath = _beneath(name, preview, views, where)
        wanted = laid_over(name, preview, beneath) if beneath or preview.whole else None
        if wanted is None:  # the definition below the change is not known here
            checked({"url": "http://localhost", **preview.settings}, f"endpoints.{name}")
        found = ""
        if not unchecked and wanted is not None and _TRIED & {*settings, *unset}:
            found = await _tried(name, wanted, where)
        event = await _publish(bus, name, change, author, held)
        return await _say_in_force(bus, event, where, as_json, found=found)


def configured(where: options.Instance, config: str | None = None) -> Settings:
    """Return the configuration without changes of endpoints: of *config*, the local Vedette, or VEDETTE_CONFIG."""
    if config is None and (here := where.configuration()) is not None:
        return here
    return options.settings(config) if config or os.environ.get("VEDETTE_CONFIG") else Settings()


def _preview(name: str, change: Change, held: EndpointDefined | None) -> EndpointDefined:
    """Return the definition that would result from *change*, without publishing it."""
    return EndpointDefined(id="", at=SystemClock().now(), endpoint=name, **change(held))


def _beneath(
    name: str, preview: EndpointDefined, views: EndpointsReply | None, where: options.Instance
) -> EndpointSettings | None:
    """Return the definition below *preview* (file or source), if this machine knows it."""
    if preview.whole:
        return None
    if (of_file := configured(where).endpoints.get(name)) is not None:
        return of_file
    view = next((one for one in (views.endpoints if views else ()) if one.endpoint == name), None)
    return EndpointSettings(provider=view.provider, url=view.url) if view else None


async def _tried(name: str, wanted: EndpointSettings, where: options.Instance) -> str:
    """Contact the endpoint; return the result in words. Raises RequestError if it fails or a secret is missing here."""
    outbound = configured(where).outbound
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
    models = counted(listed, "model")
    return f"{wanted.url} answers in {contact.latency_ms:.0f} ms with {models}" + (
        f" ({product})" if product else ""
    )


async def _say_in_force(
    bus: Bus, event: EndpointDefined, where: options.Instance, as_json: bool, *, found: str = ""
) -> int:
    """Wait until the change is in force, and print the result."""
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
    for view in reply.endpoints if reply else ():
        if view.endpoint == event.endpoint and view.origin and view.origin.left_behind:
            complain(f"{event.endpoint}: {left_behind_in_words(view.origin)}")
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
    """Return the endpoints once the definition with *sequence* is in force; None if that takes too long."""
    try:
        async with asyncio.timeout(_IN_FORCE_WITHIN_S), where.client() as client:
            while True:
                reply = await client.endpoints()
                if (reply.definitions or 0) >= sequence:
                    return reply
                await asyncio.sleep(_LOOK_EVERY_S)
    except (TimeoutError, NoAnswer, NotRunning):
        return None
