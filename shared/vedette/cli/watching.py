"""`watch`: what happens, a line each, as it happens."""

import asyncio
from collections.abc import AsyncIterable, Sequence
from contextlib import suppress
from datetime import datetime
from fnmatch import fnmatchcase
from functools import singledispatch
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
from vedette.messages.events import (
    AnswerChanged,
    EndpointLoad,
    Event,
    ModelBenchmarked,
    ModelChanged,
    ModelEvaluated,
    ModelEvent,
    ModelFound,
    ModelJudged,
    ModelLost,
    ModelProbed,
    ModelRated,
    ModelRegressed,
    ModelVerified,
)
from vedette.runtime.loop import run
from vedette.text.figures import counted, ms, number, percent, size, tokens
from vedette.text.shown import shown_name
from vedette.types import Outcome, Score, Status

_PREFIX = "model."
_WHOLE = (_PREFIX, "endpoint.")
STATUS_STYLES = {Status.AVAILABLE: "green", Status.UNKNOWN: "dim", Status.BUSY: "yellow"}
MOMENT = "%Y-%m-%d %H:%M:%S"
_LOST = {"absent": "its endpoint no longer lists it", "endpoint_removed": "its endpoint was removed"}


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
    """Show what happens as it happens: everything, or only what is named."""
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
    """Print *event*. Of events that only show an outage of their endpoint, print one line for the endpoint."""
    if repeats(event):
        return
    shown = outages.to_show(event)
    if isinstance(shown, Turn):
        out.print(turn_line(shown, event.at, await _models_at(client, shown.endpoint)))
    elif shown is not None:
        out.print(line(shown))


async def _models_at(client: Client, endpoint: str) -> int | None:
    with suppress(VedetteError):  # an outage is shown whether or not its models can be counted
        views = (await client.endpoints()).endpoints
        return next((view.models for view in views if view.endpoint == endpoint), None)
    return None


def turn_line(turn: Turn, at: datetime, models: int | None, moment: str = MOMENT) -> Text:
    """Return in a line that an endpoint, which has this number of *models*, failed or works again."""
    count = None if models is None else counted(models, "model")
    more = "; ".join(filter(None, (turn.why, count)))
    style = "green" if turn.works else "red"
    return entry(at, f"endpoint {turn.endpoint}", turn.what, style, more, moment)


def repeats(event: Event) -> bool:
    """Return whether *event* is a part of a rename, which the `found` of the new name reports whole."""
    return bool(getattr(event, "renamed_from", None) or getattr(event, "renamed_to", None))


def line(event: Event, moment: str = MOMENT) -> Text:
    """Return *event* in a line: when (local time, as *moment* formats it), of what, what happened, and more of it."""
    what, style, more = _description(event)
    return entry(event.at, _subject(event), what, style, more, moment)


def entry(at: datetime, subject: str, what: str, style: str, more: str = "", moment: str = MOMENT) -> Text:
    """Return in a line what happened to *subject*, styled, and more of it."""
    return styled(
        (f"{at.astimezone():{moment}}  ", "dim"),
        (subject, "bold"),
        " ",
        (what, style),
        f": {more}" if more else "",
    )


def _subject(event: Event) -> str:
    """Return the use case, the endpoint or the model that *event* is about."""
    if isinstance(event, AnswerChanged):
        return f"{event.use_case}:"
    if isinstance(event, EndpointLoad):
        return f"endpoint {event.endpoint}"
    return shown_name(event.model) if isinstance(event, ModelEvent) else event.subject


@singledispatch
def _description(event: Event) -> tuple[str, str, str]:
    """Return what happened, the style of these words, and details: by the kind of *event*."""
    return event.TYPE, "", ""


@_description.register
def _load(event: EndpointLoad) -> tuple[str, str, str]:
    if event.outcome is not Outcome.OK:
        return "load is not known", "yellow", str(event.outcome)
    slots = f" of {event.slots}" if event.slots is not None else ""
    figures = (
        f"{event.waiting} waiting" if event.waiting is not None else None,
        f"{event.own} of Vedette itself" if event.own else None,
        f"cache {percent(event.cache_use)}" if event.cache_use is not None else None,
        f"{number(event.output_tps, 1)} tokens/s" if event.output_tps is not None else None,
        f"{len(event.loaded)} loaded" if event.loaded is not None else None,
    )
    running = "load" if event.running is None else f"{event.running}{slots} running"
    return running, "cyan", ", ".join(filter(None, figures))


@_description.register
def _winner(event: AnswerChanged) -> tuple[str, str, str]:
    if event.model is None:
        return "no model", "red", event.detail
    winner = shown_name(event.model)
    if event.before is not None:
        winner += f"{', until now' if event.renamed else ' instead of'} {shown_name(event.before)}"
    return winner, "green", event.detail


@_description.register
def _found(event: ModelFound) -> tuple[str, str, str]:
    if event.formerly and event.formerly.model != event.model:
        return "renamed", "yellow", f"until now {shown_name(event.formerly.model)}"
    info = event.info
    facts = (
        size(info.parameters) if info.parameters is not None else None,
        info.quantization,
        f"context {tokens(info.context_tokens)}" if info.context_tokens is not None else None,
        info.description_error,
    )
    return "is back" if event.again else "found", "green", ", ".join(filter(None, facts))


@_description.register
def _changed(event: ModelChanged) -> tuple[str, str, str]:
    what = "has new weights" if event.digest_changed else "changed"
    return what, "yellow", ", ".join(change.field for change in event.changes)


@_description.register
def _lost(event: ModelLost) -> tuple[str, str, str]:
    return "lost", "red", _LOST[event.reason]


@_description.register
def _probed(event: ModelProbed) -> tuple[str, str, str]:
    sample, status = event.sample, event.health.status
    took = f"{sample.level} in {ms(sample.latency_ms)}" if sample.latency_ms is not None else sample.level
    more = took if sample.outcome is Outcome.OK else f"{sample.outcome}, {sample.detail or took}"
    return f"is {status}".replace("_", " "), STATUS_STYLES.get(status, "red"), more


@_description.register
def _benchmarked(event: ModelBenchmarked) -> tuple[str, str, str]:
    if event.outcome is not Outcome.OK:
        return "could not be benchmarked", "red", event.detail or str(event.outcome)
    speed = event.performance
    if speed.texts_per_s is not None:
        return "benchmarked", "cyan", f"{number(speed.texts_per_s.median, 1)} texts/s"
    rate = number(speed.output_tps.median if speed.output_tps else None, 1)
    first = ms(speed.ttft_ms.median if speed.ttft_ms else None)
    return "benchmarked", "cyan", f"{rate} tokens/s, TTFT {first}"


@_description.register
def _verified(event: ModelVerified) -> tuple[str, str, str]:
    if event.outcome is not Outcome.OK:
        return "could not be verified", "red", str(event.outcome)
    proofs = (f"{name} {'yes' if claim.value else 'no'}" for name, claim in event.claims.items())
    return "verified", "cyan", ", ".join(proofs) or "no result either way"


@_description.register
def _evaluated(event: ModelEvaluated) -> tuple[str, str, str]:
    if event.outcome is not Outcome.OK:
        return "could not be evaluated", "red", event.detail or str(event.outcome)
    scores = (f"{kind} {score.successes} of {score.trials}" for kind, score in event.scores.items())
    return "evaluated", "cyan", ", ".join(scores)


@_description.register
def _judged(event: ModelJudged) -> tuple[str, str, str]:
    found = (
        f"{use_case} by {shown_name(str(one.report.judge))}: "
        + (
            f"{one.wins} preferred, {one.ties} ties, {one.losses} not"
            if one.compared
            else f"nothing compared, {one.report.doubts}"
        )
        for use_case, one in event.judged.judgements.items()
        if one.session == event.job_id
    )
    return "judged", "cyan", "; ".join(found) or f"texts for {', '.join(event.judged.texts)}"


@_description.register
def _regressed(event: ModelRegressed) -> tuple[str, str, str]:
    drops = (f"{drop.kind} {_share(drop.before)} to {_share(drop.after)}" for drop in event.drops)
    return "has lower quality than before", "red", ", ".join(drops)


def _share(score: Score) -> str:
    return percent(score.successes / score.trials if score.trials else None)


@_description.register
def _rated(event: ModelRated) -> tuple[str, str, str]:
    ratings = (f"{r.score:.2f} for {r.use_case or 'all use cases'} by {r.source}" for r in event.ratings)
    return "rated", "cyan", ", ".join(ratings)
