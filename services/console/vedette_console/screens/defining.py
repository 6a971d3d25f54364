"""*Change endpoint*: changes of an endpoint by operators at run time, and their history.

A form contains the sequence of the definition that its page showed. So if two operators change the same endpoint, the
second one gets an error. A form can name only secrets of `[discovery.keys]`.
"""

import tomllib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Protocol

import msgspec

from vedette import providers
from vedette.client import definitions
from vedette.client.definitions import Author, Change
from vedette.endpoints.merging import checked
from vedette.errors import ConfigurationError, RequestError
from vedette.messages.catalogue import Versioned
from vedette.messages.events import EndpointAppeared, EndpointDefined
from vedette.messages.queries import EndpointsReply
from vedette.settings import Secret, seconds
from vedette_console.redefining import until_in_force
from vedette_console.screens.context import Sources, View

PAUSES: Final = ("30m", "1h", "2h", "8h", "1d")
_MAX_TEXT: Final = 500
_NOT_BY_FORM: Final = ("api_key", "basic", "ca_file")


class Definer(Protocol):
    """Where definitions of endpoints are read and published, and which secrets a form may name."""

    def keys(self) -> Mapping[str, Secret]:
        """Return the secrets of `[discovery.keys]`."""
        ...

    async def last(self, name: str) -> Versioned[EndpointDefined] | None:
        """Return the last definition of the endpoint *name*."""
        ...

    async def history(self, name: str) -> Sequence[EndpointDefined | EndpointAppeared]:
        """Return the changes of the endpoint *name*, oldest first."""
        ...

    async def define(self, name: str, change: Change, author: Author, *, expected: int) -> int:
        """Publish *change*; return its sequence. Raises RequestError if another came meanwhile, and NoAnswer."""
        ...


async def define(sources: Sources, definer: Definer, view: View) -> dict[str, object]:
    """Return the values of the page for the endpoint in the address, or for a new one."""
    name = view.get("endpoint")
    reply = await sources.asking.ask("endpoints.list", EndpointsReply)
    held = await definer.last(name) if name and view.caller.may_act else None
    return {
        "name": name,
        "one": next((one for one in reply.endpoints if one.endpoint == name), None),
        "left_out": [one for one in reply.left_out if one.endpoint == name],
        "history": list(reversed(await definer.history(name))) if name and view.caller.may_act else [],
        "sequence": held.sequence if held else 0,
        "held": held.event if held else None,
        "may_act": view.caller.may_act,
        "providers": providers.names(),
        "keys": sorted(definer.keys()),
        "pauses": PAUSES,
    }


async def submit(sources: Sources, definer: Definer, form: Mapping[str, str]) -> None:
    """Publish the change in *form*, and wait at most 5 s until it is in force. Raises RequestError."""
    name, action = form.get("endpoint", "").strip(), form.get("action", "")
    definitions.subject(name)  # refuses an invalid name
    author = Author(
        by=form.get("by", "").strip()[:_MAX_TEXT] or "console",
        via="console",
        reason=form.get("reason", "").strip()[:_MAX_TEXT],
    )
    change = _change(form, action, author, sources, definer)
    expected = await _expected_to_add(sources, definer, name) if action == "add" else _sequence(form)
    sequence = await definer.define(name, change, author, expected=expected)
    await until_in_force(sources.asking, definitions=sequence)


async def _expected_to_add(sources: Sources, definer: Definer, name: str) -> int:
    """Return the sequence of the last definition of *name*, or 0. Raises RequestError if the endpoint exists."""
    reply = await sources.asking.ask("endpoints.list", EndpointsReply)
    if any(one.endpoint == name for one in reply.endpoints):
        message = f"endpoint {name} is there already; change it on the page Endpoints"
        raise RequestError(code="exists", message=message, field="endpoint")
    held = await definer.last(name)
    return held.sequence if held else 0


def _sequence(form: Mapping[str, str]) -> int:
    text = form.get("sequence", "")
    if not text.isascii() or not text.isdigit():
        raise RequestError(code="invalid_value", message="sequence: not a number", field="sequence")
    return int(text)


def _change(
    form: Mapping[str, str], action: str, author: Author, sources: Sources, definer: Definer
) -> Change:
    match action:
        case "add":
            settings = _given(form, definer.keys())
            _check(settings)
            return definitions.add(settings)
        case "edit":
            settings = _given(form, definer.keys())
            _check({"url": "http://localhost", **settings})
            return definitions.edit(settings)
        case "pause":
            now = sources.clock.now()
            until = now + _duration(form["for"]) if form.get("for") else None
            return definitions.pause(author=author, now=now, until=until)
        case "resume":
            return definitions.resume
        case "remove":
            return definitions.remove
        case "restore":
            return definitions.restore
    raise RequestError(code="invalid_value", message=f"action: no change {action!r}", field="action")


def _given(form: Mapping[str, str], keys: Mapping[str, Secret]) -> dict[str, Any]:
    """Return the keys of `[endpoints.NAME]` in *form*. Raises RequestError."""
    try:
        settings: dict[str, Any] = tomllib.loads(form.get("settings", ""))
    except tomllib.TOMLDecodeError as error:
        message = f"other settings: a line is not KEY = VALUE as in the file: {error}"
        raise RequestError(code="invalid_value", message=message, field="settings") from error
    if held := [key for key, value in settings.items() if key in _NOT_BY_FORM or _refers(value)]:
        message = f"{held[0]}: choose a key of [discovery.keys], or use: vedette endpoints edit"
        raise RequestError(code="invalid_value", message=message, field="settings")
    settings |= {name: text for name in ("url", "provider") if (text := form.get(name, "").strip())}
    if key := form.get("key"):
        if key not in keys:
            message = f"key: {key!r} is not in [discovery.keys]"
            raise RequestError(code="invalid_value", message=message, field="key")
        settings["api_key"] = {k: v for k, v in msgspec.to_builtins(keys[key]).items() if v is not None}
    return settings


def _refers(value: Any) -> bool:
    """Return whether *value* names an environment variable or a file of the services."""
    if not isinstance(value, Mapping):
        return False
    return bool(value.keys() & {"env", "file"}) or any(map(_refers, value.values()))


def _check(table: Mapping[str, Any]) -> None:
    """Raise RequestError if *table* is not valid as settings of an endpoint."""
    try:
        providers.load(checked(table, "endpoint").provider)
    except ConfigurationError as error:
        raise RequestError(code="invalid_value", message=str(error), field="settings") from error


def _duration(text: str) -> timedelta:
    try:
        return timedelta(seconds=seconds(text))
    except (ValueError, OverflowError) as error:
        raise RequestError(code="invalid_value", message=f"for: {error}", field="for") from error
