"""Changes that an operator makes to endpoints at run time: from what was defined to the next definition.

`define` publishes it by compare-and-set: of two operators who change the same endpoint, the second gets an error.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from vedette.bus.bus import Bus
from vedette.bus.streams import known
from vedette.errors import RequestError
from vedette.messages import ids
from vedette.messages.catalogue import Versioned
from vedette.messages.events import DefinedBy, EndpointAppeared, EndpointDefined
from vedette.providers import addresses
from vedette.settings import CREDENTIALS, wrong_with_name
from vedette.types import Pause

STREAM: Final = "DEFINITIONS"
APPEARED: Final = "APPEARED"


class Author(Struct, frozen=True, kw_only=True):
    """The author of a change, the program, and the reason."""

    by: str
    via: str
    reason: str = ""


# From the last definition of an endpoint to the fields of the next. May raise RequestError.
Change = Callable[[EndpointDefined | None], dict[str, Any]]


def add(settings: Mapping[str, Any]) -> Change:
    """Return the change that defines an endpoint by *settings* only, without a base in the file or a source."""
    return lambda _: {"action": "add", "settings": dict(settings), "whole": True}


def edit(settings: Mapping[str, Any], unset: Sequence[str] = ()) -> Change:
    """Return the change of some keys; keys in *unset* get the values of the base definition again.

    If the URL moves to another host or port, credentials that were set at run time are removed. The change raises
    RequestError for a key of *unset* that is not set at run time, and for a removed endpoint.
    """

    def change(held: EndpointDefined | None) -> dict[str, Any]:
        kept = _kept(held)
        before: dict[str, Any] = kept.get("settings", {})
        if missing := [key for key in unset if key not in before]:
            problem = f"{missing[0]} is not set at run time, so it cannot be unset"
            raise RequestError(code="invalid_value", message=problem, field=missing[0])
        # A URL of the base definition is not known here, so any new URL counts as another host.
        moved = "url" in unset or addresses.leads_elsewhere(settings.get("url"), str(before.get("url", "")))
        lost = (CREDENTIALS & before.keys()) - settings.keys() - set(unset) if moved else set[str]()
        left = {key: value for key, value in before.items() if key not in {*unset, *lost}}
        behind = {*kept.get("left_behind", ()), *lost} - settings.keys()
        return {
            **kept,
            "action": "edit",
            "settings": left | dict(settings),
            "left_behind": tuple(sorted(behind)),
        }

    return change


def pause(*, author: Author, now: datetime, until: datetime | None) -> Change:
    """Return the change that pauses an endpoint until *until*, or without a time until `resume`."""
    paused = Pause(since=now, by=author.by, reason=author.reason, until=until)
    return lambda held: {**_kept(held), "action": "pause", "paused": paused}


def resume(held: EndpointDefined | None) -> dict[str, Any]:
    """Return the change that ends a pause. Raises RequestError where there is none."""
    if held is None or held.paused is None:
        raise RequestError(code="invalid_value", message="the endpoint is not paused", field="endpoint")
    return {**_kept(held), "action": "resume", "paused": None}


def remove(_: EndpointDefined | None) -> dict[str, Any]:
    """Return the change that removes the endpoint, whatever its source."""
    return {"action": "remove", "removed": True}


def restore(_: EndpointDefined | None) -> dict[str, Any]:
    """Return the change that undoes all changes by operators."""
    return {"action": "restore"}


def _kept(held: EndpointDefined | None) -> dict[str, Any]:
    """Return the parts that a change keeps. Raises RequestError for an endpoint that was removed."""
    if held is None:
        return {}
    if held.removed:
        problem = (
            f"endpoint {held.endpoint} was removed by {held.by or 'an operator'}; restore or add it first"
        )
        raise RequestError(code="invalid_value", message=problem, field="endpoint")
    return {
        "settings": held.settings,
        "whole": held.whole,
        "paused": held.paused,
        "left_behind": held.left_behind,
    }


async def last(bus: Bus, name: str) -> Versioned[EndpointDefined] | None:
    """Return the last definition of the endpoint *name* with its sequence, or None. Raises RequestError."""
    held = await bus.streams.last(STREAM, subject(name))
    if held is None or not isinstance(held.event, EndpointDefined):
        return None
    return Versioned(held.sequence, held.event)


async def history(bus: Bus, name: str) -> list[EndpointDefined | EndpointAppeared]:
    """Return the history of *name* in the streams, oldest first: changes by operators and appearances.

    Raises RequestError.
    """
    found: list[EndpointDefined | EndpointAppeared] = []
    for stream, matching in ((STREAM, subject(name)), (APPEARED, f"endpoint.appeared.*.{name}")):
        stored = await bus.streams.first_from(stream, 1, matching)
        while stored is not None:
            event = known(stored.subject, stored.payload)
            if isinstance(event, EndpointDefined | EndpointAppeared):
                found.append(event)
            stored = await bus.streams.first_from(stream, stored.sequence + 1, matching)
    return sorted(found, key=lambda event: event.at)


def subject(name: str) -> str:
    """Return the subject of the definitions of *name*. Raises RequestError if no endpoint can have that name."""
    if problem := wrong_with_name(name):
        raise RequestError(code="invalid_value", message=f"{name!r}: {problem}", field="endpoint")
    return f"endpoint.defined.{name}"


async def define(bus: Bus, name: str, change: Change, author: Author, *, expected: int) -> EndpointDefined:
    """Publish *change* of the endpoint *name*, whose last definition had the sequence *expected*; 0: it had none.

    Raises RequestError if it was changed meanwhile (the message names the author), or if *change* refuses; also the
    errors of nats-py.
    """
    now = bus.clock.now()

    def step(held: Versioned[EndpointDefined] | None) -> EndpointDefined:
        if (held.sequence if held else 0) != expected:
            raise _meanwhile(name, held.event if held else None)
        fields = change(held.event if held else None)
        action: DefinedBy = fields.pop("action")
        content = msgspec.json.encode([fields, author, expected]).decode()
        return EndpointDefined(
            id=ids.derive(now, subject(name), action, content),
            at=now,
            endpoint=name,
            action=action,
            by=author.by,
            via=author.via,
            reason=author.reason,
            **fields,
        )

    event = await bus.publisher.advance(STREAM, subject(name), step)
    assert event is not None  # noqa: S101 - a step always gives one
    return event


def _meanwhile(name: str, held: EndpointDefined | None) -> RequestError:
    by = f" by {held.by} ({held.action}, {held.at:%H:%M:%S}Z)" if held else ""
    problem = f"endpoint {name} was changed meanwhile{by}; nothing was changed. Look at it again, then repeat"
    return RequestError(code="conflict", message=problem, field="endpoint")
