"""`discover`, `probe`, `benchmark`, `verify` and `evaluate`: have it done now, and watch."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from shlex import quote
from types import MappingProxyType
from typing import Annotated, Any, Literal, cast

import msgspec
from cyclopts import Parameter
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

from vedette.bus.connection import connect
from vedette.cli import options
from vedette.cli.completing import named_by_services
from vedette.cli.entries import NOTHING_FOUND
from vedette.cli.measured import show_figures, show_judged, show_proofs, show_scores
from vedette.cli.output import Style, document, err, out
from vedette.cli.showing import show_models
from vedette.client import Client
from vedette.client.jobs import Target, operating
from vedette.client.waiting import described
from vedette.endpoints.evaluating import never_evaluated, planned
from vedette.endpoints.judging import (
    SERIES,
    Contender,
    Session,
    choose,
    lacking,
    session_summary,
    shares,
    viewed,
    work,
)
from vedette.endpoints.spending import is_evaluable
from vedette.errors import ConfigurationError, RequestError
from vedette.messages import events
from vedette.messages.events import Job, JobKind
from vedette.messages.queries import ModelView
from vedette.messages.validation import nearest, spelt, unknown_name
from vedette.runtime.loop import run
from vedette.settings import Judge
from vedette.text.lookalikes import meant
from vedette.text.shown import shown, shown_name
from vedette.types import ModelRef

_SAY_AGAIN_S = 30.0
_MAX_ABANDONED = 5
# By which event of `vedette watch` the end of a job is seen.
_ANNOUNCED_BY: dict[JobKind, str] = {
    "discover": "found",
    "probe": "probed",
    "benchmark": "benchmarked",
    "verify": "verified",
    "evaluate": "evaluated",
    "judge": "judged",
}
_Models = Annotated[str, Parameter(help="Only these models (endpoint/name), or all of these endpoints.")]


def discover(
    *endpoints: Annotated[str, Parameter(help="Only these endpoints.")],
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Look for models now, at the named endpoints or at all."""
    return run(_do("discover", endpoints, where, json))


def probe(
    *targets: Annotated[str, Parameter(help="Only these endpoints and models (endpoint/name).")],
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Check now whether models answer: of the named endpoints, the named models (endpoint/name), or all."""
    return run(_do("probe", targets, where, json))


def benchmark(
    *models: _Models,
    sweep: Annotated[
        str | None,
        Parameter(help="Then also measure these numbers of concurrent streams, for example 1,2,4,8."),
    ] = None,
    output: Annotated[Style | Literal["json"], Parameter(help="Format of the figures at the end.")] = "table",
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Measure the speed of models now: of the named ones (endpoint/name), of endpoints, or of all."""
    as_json = json or output == "json"
    return run(_do("benchmark", models, where, as_json, streams=_streams(sweep), style=output))


def verify(*models: _Models, json: options.Json = False, where: options.Instance = options.HERE) -> int:
    """Check now what models can do: of the named ones (endpoint/name), of endpoints, or of all."""
    return run(_do("verify", models, where, json))


def evaluate(
    *models: _Models,
    suite: Annotated[tuple[str, ...], Parameter(help="Only this suite; may be repeated.")] = (),
    hosted: Annotated[
        bool, Parameter(negative="", help="Those that cost money and were never evaluated; needs --budget.")
    ] = False,
    budget: Annotated[float | None, Parameter(help="What all of it together may cost (USD).")] = None,
    judge: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            help="Have a judge compare texts for this use case (chat, documentation, summarisation); may be repeated. "
            "Needs --budget, which may be 0; without it, only shows what that would take.",
        ),
    ] = (),
    by: Annotated[str | None, Parameter(help="The judge (endpoint/name); else one is chosen.")] = None,
    show: Annotated[bool, Parameter(negative="", help="Show the last evaluation; start none.")] = False,
    output: Annotated[Style | Literal["json"], Parameter(help="Format of the scores at the end.")] = "table",
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Check now how well models answer: the named ones (endpoint/name), those of endpoints, or all.

    At the end the scores are shown with their intervals, and the most telling wrong answers. With --hosted and
    --budget, models that cost money are evaluated, the most promising first, until the budget is used. With --judge and
    --budget, a clearly better model compares texts of the others.
    """
    if budget is not None and not ((judge and budget >= 0) or (hosted and budget > 0)):
        problem = "needs --hosted and an amount above 0, or --judge and an amount of 0 or more"
        raise ConfigurationError(where="--budget", problem=problem)
    as_json = json or output == "json"
    if judge:
        return run(_judge(models, where, as_json, _judged_use_cases(judge), by, budget, output))
    if show:
        return run(_show_quality(models, where, as_json, output))
    chosen = _suites(suite, where)
    if hosted:
        return run(_evaluate_hosted(models, where, as_json, chosen, budget, output))
    return run(_do("evaluate", models, where, as_json, suites=chosen, style=output))


async def _evaluate_hosted(
    named: Sequence[str],
    where: options.Instance,
    as_json: bool,
    suites: tuple[str, ...],
    budget_usd: float | None,
    style: str,
) -> int:
    """Evaluate the models that cost money and were never evaluated, as many as *budget_usd* covers."""
    async with where.client() as client:
        targets = {target.model for target in await _targets(client, "evaluate", named)}
        views = (await client.models()).models
    never = [
        view.info
        for view in views
        if view.model in targets and not view.info.free and view.quality is None and is_evaluable(view.info)
    ]
    if not never:
        err.print("No model that costs money is left to evaluate.")
        return NOTHING_FOUND
    if budget_usd is None:
        err.print(never_evaluated(never))
        return 2
    plan = planned(never, budget_usd)
    if not plan:
        err.print(f"{budget_usd:.2f} USD covers none of them: {never_evaluated(never)}")
        return 2
    for one in plan:
        err.print(f"{one.model}: at most {one.max_usd:.2f} USD")
    max_usd = {one.model: one.max_usd for one in plan}
    return await _do(
        "evaluate",
        [str(model) for model in max_usd],
        where,
        as_json,
        suites=suites,
        max_usd=max_usd,
        style=style,
    )


def _judged_use_cases(named: Sequence[str]) -> list[str]:
    """Return the use cases that *named* spells. Raises RequestError for one that no judge compares texts for."""
    found = []
    for name in named:
        if (use_case := spelt(name, list(SERIES))) is None:
            raise unknown_name("use case of a judge", name, list(SERIES), field="judge")
        found.append(use_case)
    return found


async def _judge(
    named: Sequence[str],
    where: options.Instance,
    as_json: bool,
    use_cases: Sequence[str],
    by: str | None,
    budget_usd: float | None,
    style: str,
) -> int:
    """Say what a judge's sessions for *use_cases* take; with a budget, have them held, and show what was found."""
    from vedette.usecases import BUILT_IN, known  # with the recommender's settings, where they are known here

    settings = where.configuration()
    configured = settings.evaluating.judge if settings else Judge()
    if by is not None:
        configured = msgspec.structs.replace(configured, model=by)
        for _, problem in configured.check():
            raise ConfigurationError(where="--by", problem=problem)
    purposes = known(settings.recommend.use_cases) if settings else BUILT_IN
    planned_sessions: list[Session] = []
    async with where.client() as client:
        targets = {str(one.model): one for one in await _targets(client, "judge", named) if one.model}
        views = (await client.models()).models
    # How good a model is follows from all of them, as in the benchmarker; only those that are named take part.
    contenders = {
        view.model: msgspec.structs.replace(viewed(view), writes=str(view.model) in targets) for view in views
    }
    paid = budget_usd is None or budget_usd > 0.0
    for use_case in use_cases:
        session = choose(contenders.values(), purposes[use_case], configured, paid=paid)
        if isinstance(session, str):
            err.print(f"{use_case}: no session: {session}")
        else:
            planned_sessions.append(session)
    plan = [(session, work(session, contenders, configured)) for session in planned_sessions]
    for session, takes in plan:
        err.print(session_summary(session, takes))
    if not plan or budget_usd is None:
        if as_json:
            document({"sessions": [{"session": one, "takes": takes} for one, takes in plan], "jobs": []})
        return 0 if plan else NOTHING_FOUND
    limits = shares(plan, budget_usd)
    if limits is None:
        err.print(f"{budget_usd:.2f} USD does not cover it.")
        return 2
    again = "".join(
        (
            "vedette evaluate",
            *(f" {quote(name)}" for name in named),
            *(f" --judge {use_case}" for use_case in use_cases),
            f" --by {quote(by)}" if by else "",
            f" --budget {budget_usd:g}",
        )
    )
    try:
        return await _hold(
            planned_sessions, contenders, configured.tasks, targets, limits, where, as_json, style
        )
    except Abandoned as abandoned:
        _show_abandoned("judge", abandoned.last, again, where, as_json)
        if not as_json and all(not job.pool for job, _ in abandoned.last):
            err.print("Texts that are written stay. The same command has them compared.")
        raise


async def _hold(
    sessions: Sequence[Session],
    contenders: Mapping[ModelRef, Contender],
    tasks: int,
    targets: Mapping[str, Target],
    max_usd: Mapping[ModelRef, float],
    where: options.Instance,
    as_json: bool,
    style: str,
) -> int:
    """Have texts written and compared, one session after the other, and show what was found."""
    ended: list[tuple[Job, events.Progress]] = []
    async with where.client() as client, connect(where.operator(), name="vedette-operator") as connection:
        for session in sessions:
            suites = (session.use_case,)
            writers = [targets[str(model)] for model in lacking(session, contenders, tasks)]
            written = await _follow(connection, "judge", writers, (), suites, max_usd) if writers else []
            ended += written
            if all(progress.state == "done" for _, progress in written):
                judge = [targets[str(session.judge)]]
                ended += await _follow(connection, "judge", judge, (), suites, max_usd, pool=session.compared)
        judged = dict.fromkeys(model for session in sessions for model in session.pool)
        models = [view for model in judged for view in (await client.model(model)).models]
    if as_json:
        document({"jobs": [_documented(job, progress) for job, progress in ended], "models": models})
    else:
        show_judged(models, cast("Style", style))
    return 1 if any(progress.state == "failed" for _, progress in ended) else 0


def _suites(named: tuple[str, ...], where: options.Instance) -> tuple[str, ...]:
    """Return the suites that *named* spells. Raises RequestError for one that the Vedette here does not have.

    Where its configuration is not known, as on a server elsewhere, the benchmarker decides.
    """
    settings = where.configuration() if named else None
    known = named_by_services("suite", settings) if settings else None
    if known is None:
        return named
    found = []
    for name in named:
        if (kind := spelt(name, known)) is None:
            raise unknown_name("suite", name, known, field="suites")
        found.append(kind)
    return tuple(found)


async def _show_quality(named: Sequence[str], where: options.Instance, as_json: bool, style: str) -> int:
    async with where.client() as client:
        targets = await _targets(client, "evaluate", named)
        views = [view for t in targets if t.model for view in (await client.model(t.model)).models]
    if as_json:
        document({"models": views})
    else:
        show_scores(views, cast("Style", style))
    return 0


def _streams(sweep: str | None) -> tuple[int, ...]:
    try:
        streams = tuple(int(part) for part in sweep.split(",")) if sweep else ()
    except ValueError:
        streams = (0,)
    if not all(1 <= number <= 256 for number in streams):
        raise ConfigurationError(
            where="--sweep", problem=f"{sweep!r} is not a list of numbers from 1 to 256; example: 1,2,4,8"
        )
    return streams


async def _do(
    kind: JobKind,
    named: Sequence[str],
    where: options.Instance,
    as_json: bool,
    *,
    streams: tuple[int, ...] = (),
    suites: tuple[str, ...] = (),
    max_usd: Mapping[ModelRef, float] = MappingProxyType({}),
    style: str = "table",
) -> int:
    operator = where.operator()
    async with where.client() as client, connect(operator, name="vedette-operator") as connection:
        targets = await _targets(client, kind, named)
        if not targets:
            err.print(
                f'Nothing to {kind}: no models are known. "vedette doctor" shows which endpoints are reachable.'
            )
            if as_json:
                document({"jobs": [], "models": []})
            return NOTHING_FOUND
        try:
            ended = await _follow(connection, kind, targets, streams, suites, max_usd)
        except Abandoned as abandoned:
            again = f"vedette {kind}{''.join(f' {quote(name)}' for name in named)}"
            _show_abandoned(kind, abandoned.last, again, where, as_json)
            raise
        known = await client.models()
        touched = {str(target.model or target.endpoint) for target in targets}
        models = [model for model in known.models if touched & {str(model.model), model.model.endpoint}]
        if kind in _SHOWN:
            models = [view for model in models for view in (await client.model(model.model)).models]
    for _, progress in ended:
        if progress.field is not None:
            raise RequestError(code="invalid_value", message=progress.message, field=progress.field)
    if as_json:
        document(
            {
                "jobs": [_documented(job, progress) for job, progress in ended],
                "models": models,
                "as_of": known.as_of,
            }
        )
    elif models:
        if style == "table":
            out.print()
        _SHOWN.get(kind, _show_models)(models, style)
    return 1 if any(progress.state == "failed" for _, progress in ended) else 0


def _show_models(models: Sequence[ModelView], _: str) -> None:
    show_models(models)


# What is shown at the end of each kind of work.
_SHOWN: dict[JobKind, Callable[[Sequence[ModelView], Any], None]] = {
    "benchmark": show_figures,
    "verify": show_proofs,
    "evaluate": show_scores,
}


def _documented(job: Job, progress: events.Progress) -> dict[str, object]:
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


class Abandoned(asyncio.CancelledError):
    """Ctrl-C while jobs are open. They go on; `last` has the last progress of each, if there was any."""

    def __init__(self, last: Sequence[tuple[Job, events.Progress]]) -> None:
        super().__init__()
        self.last = last


def _show_abandoned(
    kind: JobKind,
    last: Sequence[tuple[Job, events.Progress]],
    again: str,
    where: options.Instance,
    as_json: bool,
) -> None:
    """Say what goes on in the background, and how to look at it; *again* is the command that waits for it."""
    if as_json:
        document(
            {"jobs": [_documented(job, progress) for job, progress in last], "models": [], "as_of": None}
        )
    going_on = [(job, progress) for job, progress in last if progress.state not in ("done", "failed")]
    here = where.words()
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


async def _targets(client: Client, kind: JobKind, named: Sequence[str]) -> list[Target]:
    """Return what *named* (endpoints, or models as endpoint/name) comes to. Raises RequestError for neither."""
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


async def _follow(
    connection: NatsClient,
    kind: JobKind,
    targets: Sequence[Target],
    streams: tuple[int, ...],
    suites: tuple[str, ...],
    max_usd: Mapping[ModelRef, float],
    *,
    pool: tuple[ModelRef, ...] = (),
) -> list[tuple[Job, events.Progress]]:
    """Queue the jobs and show how far they are; return how each ended. Raises Abandoned on Ctrl-C."""
    last: dict[str, tuple[Job, events.Progress]] = {}
    shown = _Bars()
    async with operating(connection) as operation:
        jobs = await operation.request(
            kind, targets, streams=streams, suites=suites, pool=pool, max_usd=max_usd
        )
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


class _Bars:
    """A bar for each job on a terminal; elsewhere a line for each beginning, wait and end."""

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
        color = {"done": "[green]", "failed": "[red]", "queued": "[dim]"}.get(progress.state, "")
        self.bars.update(task, description=f"{color}{escape(shown(progress.message))}")
        if progress.state == "step":
            self.bars.update(task, total=progress.steps, completed=progress.step)
        elif progress.state == "done":
            total = self.bars.tasks[task].total or 1
            self.bars.update(task, total=total, completed=total)

    def _print(self, job: Job, progress: events.Progress) -> None:
        """Print *progress* as a line: each state once; a reason to wait when it changes, and again now and then."""
        if progress.state == "step":
            return
        now = time.monotonic()
        line, said_at = self._said.get(job.id, ("", 0.0))
        said = f"{progress.state:8}{progress.message}"
        again = progress.state == "queued" and now - said_at >= _SAY_AGAIN_S
        if said != line or again:
            self._said[job.id] = said, now
            err.print(said)
