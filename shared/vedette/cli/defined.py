"""Shows changes of endpoints at run time: the history of one endpoint, or all changed endpoints as TOML."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec
import tomlkit

from vedette.bus.bus import Bus
from vedette.cli import options
from vedette.cli.changing import configured, endpoints_in_force, operator
from vedette.cli.configuring import item_of
from vedette.cli.entries import NOTHING_FOUND
from vedette.cli.fitting import Column
from vedette.cli.listing import source_in_words
from vedette.cli.output import complain, document, say, sheet
from vedette.client import definitions
from vedette.endpoints.merging import Definitions, merged, written
from vedette.messages.events import EndpointAppeared, EndpointDefined
from vedette.messages.queries import EndpointsReply
from vedette.settings import EndpointSettings, Settings
from vedette.types import LeftOut


async def history(name: str, where: options.Instance, as_json: bool) -> int:
    """Show the changes of the endpoint *name*, the oldest first. Returns the exit code."""
    async with operator(where) as bus:
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
    """Yield the keys that differ, with their values before and after."""
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


async def export(config: str | None, where: options.Instance, *, everything: bool, as_json: bool) -> int:
    """Print the endpoints that were changed at run time as TOML, on top of the file *config*.

    *everything*: also the rest of the file. Returns the exit code: 1 if an endpoint in force is missing, because its
    file is not known here.
    """
    file = configured(where, config)
    async with operator(where) as bus:
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
    else:
        say(_toml(chosen, in_force, now))
    if absent := missing(in_force.defined.left_out, await endpoints_in_force(where)):
        complain(
            f"missing here: {', '.join(absent)}. They were changed at run time, and are not in the configuration "
            "that is known here. Name the file of this Vedette: --config"
        )
        return 1
    return 0


def missing(left_out: Sequence[LeftOut], views: EndpointsReply | None) -> list[str]:
    """Return the changed endpoints left out here that are in force elsewhere; without *views*, all left out here."""
    unknown = [one.endpoint for one in left_out if one.source == "operator" and not one.wrong]
    return [name for name in unknown if views is None or any(one.endpoint == name for one in views.endpoints)]


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
    """Return *text* on one line, for a comment. Its author may not be trusted."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
