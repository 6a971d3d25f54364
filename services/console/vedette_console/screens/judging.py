"""*Judge*: the judge and the pool for a use case, the cost, and the next step.

A session has two steps: models write texts, then the judge compares them. Written texts are kept, so each press of the
button starts the next step. Only models whose calls cost nothing take part.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from vedette.endpoints.judging import (
    SERIES,
    Contender,
    Session,
    Work,
    choose,
    is_held,
    lacking,
    viewed,
    work,
)
from vedette.errors import RequestError
from vedette.messages.events import Job
from vedette.messages.queries import ModelsReply, ModelsRequest, ModelView
from vedette.messages.validation import nearest
from vedette.settings import Judge
from vedette.types import ModelRef
from vedette.usecases import UseCase
from vedette_console.screens import working
from vedette_console.screens.context import Sources, View
from vedette_console.screens.endpoints import Enqueue, Target, enqueued


class Judging(Struct, frozen=True):
    """How judges are configured: their settings, and the use cases."""

    settings: Judge
    use_cases: Mapping[str, UseCase]


class Plan(Struct, frozen=True, kw_only=True):
    """A session: the work of each model, and the models whose texts are missing.

    `held_at`: when this session was held before. `doubts`: why its result does not count; empty if it counts.
    """

    session: Session
    takes: Sequence[Work]
    to_write: Sequence[ModelRef]
    held_at: datetime | None
    doubts: str

    @property
    def requests(self) -> int:
        """The number of requests until the session is complete."""
        return sum(one.requests for one in self.takes)

    @property
    def tokens(self) -> int:
        """The estimated tokens until the session is complete."""
        return sum(one.prompt_tokens + one.output_tokens for one in self.takes)


async def judge(sources: Sources, judging: Judging, view: View) -> dict[str, object]:
    """Return the values of the page. Raises RequestError for a use case without tasks for a judge."""
    use_case = _known(view.path["use_case"])
    plan: Plan | str | None = None
    if view.caller.may_act:
        plan = await _plan(sources, judging, use_case)
    return {
        "use_case": use_case,
        "may_act": view.caller.may_act,
        "plan": plan if isinstance(plan, Plan) else None,
        "reason": plan if isinstance(plan, str) else "",
        **working.jobs(sources),
    }


async def begin(sources: Sources, judging: Judging, enqueue: Enqueue, use_case: str) -> list[Job]:
    """Queue the next step of the session for *use_case*: missing texts, else the comparison.

    Raises RequestError if no session is possible, or if a job of one is running.
    """
    plan = await _plan(sources, judging, _known(use_case))
    now = sources.clock.now()
    if any(
        one.progress.kind == "judge" and working.is_running(one, now) for one in sources.changes.jobs.values()
    ):
        raise RequestError(code="in_progress", message="a job of a judge's session runs: wait until it ends")
    if isinstance(plan, str):
        raise RequestError(code="no_session", message=f"no session for {use_case}: {plan}")
    writers = [Target(model=model, suites=(use_case,)) for model in plan.to_write]
    compares = Target(model=plan.session.judge, suites=(use_case,), pool=plan.session.compared)
    return await enqueued(sources, enqueue, "judge", writers or [compares])


def _known(use_case: str) -> str:
    if use_case not in SERIES:
        message = f"no judge compares texts for {use_case}; {nearest(use_case, list(SERIES))}"
        raise RequestError(code="unknown_use_case", message=message, field="use_case")
    return use_case


async def _plan(sources: Sources, judging: Judging, use_case: str) -> Plan | str:
    views: list[ModelView] = []
    while True:
        reply = await sources.asking.ask("models.list", ModelsReply, ModelsRequest(offset=len(views)))
        views += reply.models
        if not reply.models or len(views) >= reply.total:
            break
    contenders = {one.model: viewed(one) for one in views}
    # In a thread: with thousands of models this takes a while.
    return await asyncio.to_thread(planned, contenders, judging, use_case)


def planned(contenders: Mapping[ModelRef, Contender], judging: Judging, use_case: str) -> Plan | str:
    """Return the session for *use_case* among *contenders*, or why there can be none."""
    settings = judging.settings
    session = choose(contenders.values(), judging.use_cases[use_case], settings, paid=False)
    if isinstance(session, str):
        return session
    judged = contenders[session.pool[0]].judged
    last = judged.judgements.get(use_case) if judged and is_held(session, contenders) else None
    return Plan(
        session=session,
        takes=work(session, contenders, settings),
        to_write=lacking(session, contenders, settings.tasks),
        held_at=last.at if last else None,
        doubts=last.report.doubts if last else session.doubts,
    )
