"""`endpoints`: their last contact, load, usage and source."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from vedette.cli import options
from vedette.cli.fitting import Column
from vedette.cli.output import Cell, document, names, numbers, out, sheet, table, words
from vedette.clock import SystemClock
from vedette.messages.queries import EndpointsReply, EndpointView
from vedette.runtime.loop import run
from vedette.text.figures import counted, number, plural
from vedette.types import Intake, Origin, Outcome, Use


def endpoints(*, json: options.Json = False, where: options.Instance = options.HERE) -> int:
    """List the endpoints: their last contact, their load, and Vedette's own usage today.

    Seconds are how long Vedette's requests took, all together: the server's processor was busy for that time at most.
    """
    return run(_list_endpoints(where, json))


async def _list_endpoints(where: options.Instance, as_json: bool) -> int:
    async with where.client() as client:
        reply = await client.endpoints()
    if as_json:
        document(reply)
        return 0
    table(_ENDPOINTS, reply.endpoints)
    if costs := [row for view in reply.endpoints for row in cost_rows(view)]:
        out.print()
        sheet(_COSTS, costs)
    _say_origins(reply)
    for view in reply.endpoints:
        if view.state and view.state.paused_until and view.state.paused_until > SystemClock().now():
            until = f"{view.state.paused_until:%H:%M:%S}Z"
            out.print(f"{view.endpoint}: paused until {until}: {view.state.paused_reason}")
        if view.state and view.state.intake and view.state.intake.refused:
            out.print(f"{view.endpoint}: {refused_names(view.state.intake)}")
        if view.unmeasured:
            out.print(view.unmeasured_why)
    return 0


def _say_origins(reply: EndpointsReply) -> None:
    """Print which endpoints do not come from the file alone, and which definitions are not in force."""
    for view in reply.endpoints:
        if view.origin is not None:
            out.print(f"{view.endpoint}: {origin_in_words(view.origin)}")
    for one in reply.left_out:
        out.print(f"{one.endpoint} of {source_in_words(one.source)} is not in force: {one.why}")


def origin_in_words(origin: Origin) -> str:
    """Return the source of an endpoint, the operator's changes, and whether it is paused."""
    by = f" by {origin.by}" if origin.by else ""
    at = f" at {origin.at:%Y-%m-%d %H:%M}Z" if origin.at else ""
    said = [f"defined{by}{at}" if origin.source == "operator" else f"from {source_in_words(origin.source)}"]
    if origin.seen_as:
        said[0] += f" ({origin.seen_as})"
    if origin.changed:
        said.append(f"{', '.join(origin.changed)} changed{by}{at}")
    if origin.trouble:
        said.append(f"what was changed{by}{at} is not in force: {origin.trouble}")
    if origin.left_behind:
        said.append(left_behind_in_words(origin))
    if origin.closed:
        said.append(origin.closed)
    return "; ".join(said)


def left_behind_in_words(origin: Origin) -> str:
    """Return which credentials were not used for a changed URL."""
    keys = ", ".join(origin.left_behind)
    return f"{keys} left behind, because the URL leads to another server: give it again"


def source_in_words(source: str) -> str:
    """Return the name of a source of endpoints."""
    return {"file": "the configuration file", "operator": "an operator"}.get(source, source)


def refused_names(intake: Intake) -> str:
    """Return the number of new names in a listing that are ignored, until when, and after `; ` the remedy."""
    until = intake.since + timedelta(days=1)
    return (
        f"{counted(intake.refused, 'new name')} in its listing {plural(intake.refused, 'is', 'are')} ignored "
        f"until {until:%Y-%m-%d %H:%M}Z; raise [probing] new_models_per_day if they are real"
    )


_COSTS = (
    Column("endpoint", 0, "name"),
    Column("today for", 0),
    Column("requests", 1, "number"),
    Column("tokens", 2, "number"),
    Column("seconds", 1, "number"),
    Column("USD", 3, "number"),
)


def _server(view: EndpointView) -> str:
    known = (view.state.server, view.state.server_version) if view.state else ()
    return " ".join(filter(None, known)) or "-"


def _outcome(view: EndpointView) -> str:
    """Return how the last contact ended, or why there is none."""
    if view.closed_state:
        return view.closed_state
    return view.state.outcome if view.state else "not contacted yet"


def load_in_words(view: EndpointView, now: datetime) -> str:
    """Return the load of the endpoint, unless the last reading is stale."""
    load = view.load
    if load is None or load.outcome is not Outcome.OK or load.is_stale(now):
        return "-"
    running = (
        None if load.running is None else f"{load.running}{'' if load.slots is None else f' of {load.slots}'}"
    )
    waiting = f"+{load.waiting}" if load.waiting else None
    loaded = None if load.loaded is None or running else f"{len(load.loaded)} loaded"
    return " ".join(filter(None, (running, waiting, loaded))) or "-"


def cost_rows(view: EndpointView) -> Iterator[tuple[str, ...]]:
    """Yield the usage of the endpoint today, by purpose."""
    if view.state is None or view.state.ledger is None or view.used == Use():
        return
    for purpose, use in sorted(view.state.ledger.by.items()):
        figures = (number(use.requests), number(use.tokens), number(use.seconds, 1), number(use.usd, 4))
        yield view.endpoint, purpose, *figures


def _of(used: str, limit: str) -> str:
    return used if limit == "-" else f"{used} of {limit}"


_ENDPOINTS: tuple[Cell[EndpointView], ...] = (
    names("endpoint", lambda one: one.endpoint),
    names("url", lambda one: one.url, 2),
    words("server", _server, 5),
    words("outcome", _outcome),
    numbers("models", lambda one: str(one.models), 1),
    numbers(
        "requests", lambda one: _of(number(one.used.requests), number(one.budget.get("requests_per_day"))), 3
    ),
    numbers("tokens", lambda one: _of(number(one.used.tokens), number(one.budget.get("tokens_per_day"))), 4),
    words("load", lambda one: load_in_words(one, SystemClock().now()), 6),
    numbers("USD", lambda one: _of(number(one.used.usd, 4), number(one.budget.get("usd_per_day"), 2)), 7),
)
