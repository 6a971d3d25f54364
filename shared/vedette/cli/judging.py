"""`evaluate --judge`: plans sessions of a judge, and starts them."""

from collections.abc import Iterable, Mapping, Sequence
from shlex import quote
from typing import cast

import msgspec

from vedette.bus.connection import connect
from vedette.cli.entries import NOTHING_FOUND
from vedette.cli.jobs import (
    Abandoned,
    Details,
    Order,
    documented,
    exit_code,
    follow,
    show_abandoned,
    targets_of,
)
from vedette.cli.measured import show_judged
from vedette.cli.output import Style, document, err
from vedette.client.jobs import Target
from vedette.endpoints.judging import (
    SERIES,
    Contender,
    Session,
    Work,
    choose,
    lacking,
    session_summary,
    shares,
    viewed,
    work,
)
from vedette.errors import ConfigurationError
from vedette.messages import events
from vedette.messages.events import Job
from vedette.messages.validation import spelt, unknown_name
from vedette.settings import Judge, Settings
from vedette.types import ModelRef
from vedette.usecases import BUILT_IN, known


def use_cases_of(named: Sequence[str]) -> list[str]:
    """Return the use cases that *named* spells. Raises RequestError for a use case without judging."""
    found = []
    for name in named:
        if (use_case := spelt(name, list(SERIES))) is None:
            raise unknown_name("use case of a judge", name, list(SERIES), field="judge")
        found.append(use_case)
    return found


async def judge(order: Order, use_cases: Sequence[str], by: str | None, budget_usd: float | None) -> int:
    """Print the cost of a judge's sessions for *use_cases*; with a budget, run them and show the results."""
    settings = order.where.configuration()
    configured = _configured(settings, by)
    async with order.where.client() as client:
        targets = {str(one.model): one for one in await targets_of(client, "judge", order.named) if one.model}
        views = (await client.models()).models
    # The strength of a model follows from all models, as in the benchmarker. Only the named models take part.
    contenders = {
        view.model: msgspec.structs.replace(viewed(view), writes=str(view.model) in targets) for view in views
    }
    purposes = known(settings.recommend.use_cases) if settings else BUILT_IN
    paid = budget_usd is None or budget_usd > 0.0
    found = {
        use_case: choose(contenders.values(), purposes[use_case], configured, paid=paid)
        for use_case in use_cases
    }
    plan = [(one, work(one, contenders, configured)) for one in _sessions(found)]
    for session, takes in plan:
        err.print(session_summary(session, takes))
    if not plan or budget_usd is None:
        if order.as_json:
            document({"sessions": [{"session": one, "takes": takes} for one, takes in plan], "jobs": []})
        return 0 if plan else NOTHING_FOUND
    limits = shares(plan, budget_usd)
    if limits is None:
        err.print(f"{budget_usd:.2f} USD does not cover it.")
        return 2
    try:
        return await _hold(plan, contenders, configured.tasks, targets, limits, order)
    except Abandoned as abandoned:
        show_abandoned("judge", abandoned.last, _command(order.named, use_cases, by, budget_usd), order)
        if not order.as_json and all(not job.pool for job, _ in abandoned.last):
            err.print("The written texts are kept. Run the same command again to compare them.")
        raise


def _configured(settings: Settings | None, by: str | None) -> Judge:
    """Return the judge settings, with the judge *by*, if given. Raises ConfigurationError."""
    configured = settings.evaluating.judge if settings else Judge()
    if by is None:
        return configured
    named = msgspec.structs.replace(configured, model=by)
    for _, problem in named.check():
        raise ConfigurationError(where="--by", problem=problem)
    return named


def _sessions(found: Mapping[str, Session | str]) -> Iterable[Session]:
    """Yield the sessions in *found*; print the reason for each use case without a session."""
    for use_case, session in found.items():
        if isinstance(session, str):
            err.print(f"{use_case}: no session: {session}")
        else:
            yield session


def _command(named: Sequence[str], use_cases: Sequence[str], by: str | None, budget_usd: float) -> str:
    """Return the command line that repeats this."""
    judges = [f"--judge {use_case}" for use_case in use_cases]
    chosen = [f"--by {quote(by)}"] if by else []
    return " ".join(("vedette evaluate", *map(quote, named), *judges, *chosen, f"--budget {budget_usd:g}"))


async def _hold(
    plan: Sequence[tuple[Session, Sequence[Work]]],
    contenders: Mapping[ModelRef, Contender],
    tasks: int,
    targets: Mapping[str, Target],
    max_usd: Mapping[ModelRef, float],
    order: Order,
) -> int:
    """Start writing and comparing, one session after the other, and show the results."""
    sessions = [session for session, _ in plan]
    where = order.where
    ended: list[tuple[Job, events.Progress]] = []
    async with where.client() as client, connect(where.operator(), name="vedette-operator") as connection:
        for session in sessions:
            asked: Details = {"suites": (session.use_case,), "max_usd": max_usd}
            writers = [targets[str(model)] for model in lacking(session, contenders, tasks)]
            written = await follow(connection, "judge", writers, **asked) if writers else []
            ended += written
            if all(progress.state == "done" for _, progress in written):
                judging = [targets[str(session.judge)]]
                compared: Details = {**asked, "pool": session.compared}
                ended += await follow(connection, "judge", judging, **compared)
        judged = dict.fromkeys(model for session in sessions for model in session.pool)
        models = [view for model in judged for view in (await client.model(model)).models]
    if order.as_json:
        document({"jobs": [documented(job, progress) for job, progress in ended], "models": models})
    else:
        show_judged(models, cast("Style", order.style))
    return exit_code(ended)
