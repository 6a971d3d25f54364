"""Queues jobs for a command and waits for them: targets, progress, and the message after Ctrl-C."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from shlex import quote
from typing import NamedTuple, TypedDict, Unpack

from nats.aio.client import Client as NatsClient
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from vedette.cli import options
from vedette.cli.entries import DEFERRED
from vedette.cli.output import document, err
from vedette.client import Client
from vedette.client.jobs import Target, operating
from vedette.client.waiting import described
from vedette.errors import RequestError
from vedette.messages import events
from vedette.messages.events import Job, JobKind
from vedette.messages.validation import nearest
from vedette.text.lookalikes import meant
from vedette.text.shown import shown, shown_name
from vedette.types import ModelRef

_SAY_AGAIN_S = 30.0
_MAX_ABANDONED = 5
_COLORS = {"done": "[green]", "failed": "[red]", "deferred": "[yellow]", "queued": "[dim]"}
# The event of `vedette watch` that shows the end of a job.
_ANNOUNCED_BY: dict[JobKind, str] = {
    "discover": "found",
    "probe": "probed",
    "benchmark": "benchmarked",
    "verify": "verified",
    "evaluate": "evaluated",
    "judge": "judged",
}


class Order(NamedTuple):
    """The targets of a command, the Vedette that it uses, and how it prints the result."""

    named: Sequence[str]  # endpoints, and models as endpoint/name; none: all
    where: options.Instance
    as_json: bool
    style: str = "table"


class Details(TypedDict, total=False):
    """Further details of jobs, in addition to kind and target."""

    streams: tuple[int, ...]
    suites: tuple[str, ...]
    pool: tuple[ModelRef, ...]
    max_usd: Mapping[ModelRef, float]


async def targets_of(client: Client, kind: JobKind, named: Sequence[str]) -> list[Target]:
    """Return the targets for *named* (endpoints, or models as endpoint/name). Raises RequestError."""
    endpoints = {view.endpoint: view.group for view in (await client.endpoints()).endpoints}
    models = {str(view.model): view.model for view in (await client.models()).models}
    chosen: list[Target] = []
    for name in named or endpoints:
        if name in endpoints:
            chosen += (
                [Target(endpoint=name, group=endpoints[name])]
                if kind in ("discover", "probe")
                else [
                    Target(endpoint=name, group=endpoints[name], model=model)
                    for model in models.values()
                    if model.endpoint == name
                ]
            )
        elif kind != "discover" and (known_as := meant(name, models)) is not None:
            model = models[known_as]
            chosen.append(Target(endpoint=model.endpoint, group=endpoints[model.endpoint], model=model))
        else:
            known = [*endpoints] if kind == "discover" else [*endpoints, *models]
            what = "endpoint" if kind == "discover" else "endpoint or model"
            raise RequestError(
                code="unknown_target",
                message=f"no {what} {shown_name(name)}; {nearest(name, [*map(shown_name, known)])}",
            )
    return chosen


async def follow(
    connection: NatsClient, kind: JobKind, targets: Sequence[Target], **details: Unpack[Details]
) -> list[tuple[Job, events.Progress]]:
    """Queue the jobs and show their progress; return the end of each. Raises Abandoned on Ctrl-C."""
    last: dict[str, tuple[Job, events.Progress]] = {}
    shown = _Bars()
    async with operating(connection) as operation:
        jobs = await operation.request(kind, targets, **details)
        for job in jobs:
            last[job.id] = job, operation.asked(job)
        try:
            with shown.bars if err.is_terminal else nullcontext():
                async for job, progress in operation.follow(jobs):
                    shown.show(job, progress)
                    last[job.id] = job, progress
        except asyncio.CancelledError:
            raise Abandoned(list(last.values())) from None
    return list(last.values())


class Abandoned(asyncio.CancelledError):
    """Ctrl-C while jobs are open. The jobs continue; `last` has the last progress of each job that had one."""

    def __init__(self, last: Sequence[tuple[Job, events.Progress]]) -> None:
        super().__init__()
        self.last = last


def show_abandoned(
    kind: JobKind, last: Sequence[tuple[Job, events.Progress]], again: str, order: Order
) -> None:
    """Print which jobs continue in the background, and how to follow them; *again* is the command to wait again."""
    if order.as_json:
        document({"jobs": [documented(job, progress) for job, progress in last], "models": [], "as_of": None})
    going_on = [(job, progress) for job, progress in last if progress.state not in ("done", "failed")]
    here = order.where.words()
    for job, progress in going_on[:_MAX_ABANDONED]:
        state = "is queued and will run" if progress.state == "queued" else "goes on"
        err.print(f"The {described(job)} {state} in the background.")
    if (more := len(going_on) - _MAX_ABANDONED) > 0:
        err.print(f"So do {more:,} more.")
    if going_on:
        event, one = _ANNOUNCED_BY[kind], going_on[0][0]
        chosen = f" --model {quote(str(one.model))}" if len(going_on) == 1 and one.model else ""
        err.print(f"Wait for it again: {again}{here}")
        err.print(f"See it end: vedette watch --event {event}{chosen}{here}")
        err.print("No command stops it. It ends when it is done, or when its service stops.")


def documented(job: Job, progress: events.Progress) -> dict[str, object]:
    """Return a job and its last progress as `--json` prints them."""
    return {
        "id": job.id,
        "kind": job.kind,
        "target": str(job.model or job.endpoint),
        "state": progress.state,
        "message": progress.message,
        "waits_for": progress.waits_for,
        "position": progress.position,
        "queue": progress.queue,
        "behind": progress.behind,
        "retry_s": progress.retry_s,
    }


def exit_code(ended: Sequence[tuple[Job, events.Progress]]) -> int:
    """Return the exit code for the ends of all jobs. A job that gave way to another user has not failed."""
    states = {progress.shown_state for _, progress in ended}
    return 1 if "failed" in states else DEFERRED if "deferred" in states else 0


class _Bars:
    """On a terminal, a bar for each job; elsewhere, a line for the start, each wait and the end of a job."""

    def __init__(self) -> None:
        self.bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=err,
        )
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, tuple[str, float]] = {}  # the last line of each job, and when it was printed

    def show(self, job: Job, progress: events.Progress) -> None:
        """Show *progress*."""
        if not err.is_terminal:
            self._print(job, progress)
            return
        task = self._tasks.get(job.id)
        if task is None:
            task = self._tasks[job.id] = self.bars.add_task(progress.message, total=None)
        color = _COLORS.get(progress.shown_state, "")
        self.bars.update(task, description=f"{color}{escape(shown(progress.message))}")
        if progress.state == "step":
            self.bars.update(task, total=progress.steps, completed=progress.step)
        elif progress.state == "done":
            total = self.bars.tasks[task].total or 1
            self.bars.update(task, total=total, completed=total)

    def _print(self, job: Job, progress: events.Progress) -> None:
        """Print *progress* as a line: each state once; a reason to wait when it changes, and again at intervals."""
        if progress.state == "step":
            return
        now = time.monotonic()
        line, said_at = self._said.get(job.id, ("", 0.0))
        said = f"{progress.shown_state:7} {progress.message}"
        again = progress.state == "queued" and now - said_at >= _SAY_AGAIN_S
        if said != line or again:
            self._said[job.id] = said, now
            err.print(said)
