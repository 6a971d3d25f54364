"""`watch`: prints events as they happen, one in each line."""

import asyncio
from collections.abc import AsyncIterable, Sequence
from contextlib import suppress
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Annotated

import msgspec
from cyclopts import Parameter
from rich.text import Text

from vedette.cli import options
from vedette.cli.outages import Outages, Turn
from vedette.cli.output import err, json_line, out, styled
from vedette.client import Client
from vedette.errors import VedetteError
from vedette.messages.channels import PUBLIC_ANSWERS
from vedette.messages.events import STATUS_TONES, AnswerChanged, EndpointLoad, Event, ModelEvent, Tone
from vedette.runtime.loop import run
from vedette.text.figures import counted
from vedette.text.shown import shown_name

_PREFIX = "model."
_WHOLE = (_PREFIX, "endpoint.")
MOMENT = "%Y-%m-%d %H:%M:%S"
_STYLES: dict[Tone, str] = {
    "good": "green",
    "bad": "red",
    "changed": "yellow",
    "measured": "cyan",
    "unknown": "dim",
    "": "",
}
STATUS_STYLES = {status: _STYLES[tone] for status, tone in STATUS_TONES.items()}


def watch(
    *use_case: Annotated[str, Parameter(help="Show only winner changes of these use cases.")],
    recommendations: Annotated[
        bool, Parameter(negative="", help="Show winner changes of every use case.")
    ] = False,
    event: Annotated[
        tuple[str, ...],
        Parameter(help="Only events of this kind (found, lost, probed, …, endpoint.load). May be repeated."),
    ] = (),
    model: Annotated[
        str | None, Parameter(help="Only models whose endpoint/name matches, for example 'gpu/*'.")
    ] = None,
    seconds: Annotated[
        float | None, Parameter(help="Stop after this many seconds. Default: on Ctrl-C.")
    ] = None,
    json: Annotated[
        bool, Parameter(negative="", help="Print every event as a JSON object, one a line.")
    ] = False,
    where: options.Instance = options.HERE,
) -> int:
    """Show events as they happen: all, or only the named kinds."""
    events = tuple(name if name.startswith(_WHOLE) else f"{_PREFIX}{name}" for name in event)
    use_cases = ("*",) if recommendations else use_case
    with suppress(KeyboardInterrupt):  # the usual end
        return run(_watch(where, events, use_cases, use_case, model, seconds, json))
    return 0


async def _watch(
    where: options.Instance,
    events: Sequence[str],
    use_cases: Sequence[str],
    asked: Sequence[str],
    model: str | None,
    seconds: float | None,
    json: bool,
) -> int:
    async with where.client() as client:
        known = [(await client.best(use_case, limit=1)).use_case for use_case in asked]
        async with client.watch(events=events, use_cases=known or use_cases) as happening:
            for use_case in known:
                await _say_who_is_best(client, use_case)
            await _follow(client, happening, model, seconds, json)
    return 0


async def _follow(
    client: Client, happening: AsyncIterable[Event], model: str | None, seconds: float | None, json: bool
) -> None:
    err.print("watching; Ctrl-C stops", style="dim")
    outages = Outages()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for event in happening:
                if model is None or any(fnmatchcase(str(named), model) for named in _models(event)):
                    if json:
                        _show_json(event)
                    else:
                        await _show(client, event, outages)


async def _say_who_is_best(client: Client, use_case: str) -> None:
    best = (await client.best(use_case, limit=1)).recommendation
    now = (
        f"{shown_name(best.model)} is best now with {best.score:.1f} of 100"
        if best
        else "no model is a candidate now"
    )
    err.print(f"{use_case}: {now}")


def _models(event: Event) -> list[object]:
    if isinstance(event, AnswerChanged):
        return [named for named in (event.model, event.before) if named]
    return [event.model] if isinstance(event, ModelEvent) else []


# --- For programs ----------------------------------------------------------------------------------------------


def _show_json(event: Event) -> None:
    kind = f"{PUBLIC_ANSWERS}{event.use_case}" if isinstance(event, AnswerChanged) else event.TYPE
    json_line({"event": kind, **msgspec.to_builtins(event)})


# --- For people ------------------------------------------------------------------------------------------------


async def _show(client: Client, event: Event, outages: Outages) -> None:
    """Print *event*. If events only show an outage of their endpoint, print one line for the endpoint."""
    if repeats(event):
        return
    shown = outages.to_show(event)
    if isinstance(shown, Turn):
        out.print(turn_line(shown, event.at, await _models_at(client, shown.endpoint)))
    elif shown is not None:
        out.print(line(shown))


async def _models_at(client: Client, endpoint: str) -> int | None:
    with suppress(VedetteError):  # an outage is shown even if its models cannot be counted
        views = (await client.endpoints()).endpoints
        return next((view.models for view in views if view.endpoint == endpoint), None)
    return None


def turn_line(turn: Turn, at: datetime, models: int | None, moment: str = MOMENT) -> Text:
    """Return a line that says that an endpoint with this number of *models* fails or works again."""
    count = None if models is None else counted(models, "model")
    more = "; ".join(filter(None, (turn.why, count)))
    style = "green" if turn.works else "red"
    return entry(at, f"endpoint {turn.endpoint}", turn.what, style, more, moment)


def repeats(event: Event) -> bool:
    """Return whether *event* only repeats a rename, which the `found` of the new name reports."""
    return bool(getattr(event, "renamed_from", None) or getattr(event, "renamed_to", None))


def line(event: Event, moment: str = MOMENT) -> Text:
    """Return *event* as a line: time (local, in the format *moment*), subject, what happened, and details."""
    what, tone, more = event.sentence()
    return entry(event.at, _subject(event), what, _STYLES[tone], more, moment)


def entry(at: datetime, subject: str, what: str, style: str, more: str = "", moment: str = MOMENT) -> Text:
    """Return a line about *subject*: what happened, in a style, and details."""
    return styled(
        (f"{at.astimezone():{moment}}  ", "dim"),
        (subject, "bold"),
        " ",
        (what, style),
        f": {more}" if more else "",
    )


def _subject(event: Event) -> str:
    """Return the use case, the endpoint or the model of *event*."""
    if isinstance(event, AnswerChanged):
        return f"{event.use_case}:"
    if isinstance(event, EndpointLoad):
        return f"endpoint {event.endpoint}"
    return shown_name(event.model) if isinstance(event, ModelEvent) else event.subject
