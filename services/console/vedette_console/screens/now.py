"""*Now*: the winner of each use case, the state of the fleet, and problems that need attention."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from vedette.client.waiting import NOUNS
from vedette.errors import RequestError
from vedette.messages.constraints import Constraints
from vedette.messages.events import AnswerChanged
from vedette.messages.queries import (
    Contribution,
    EndpointsReply,
    EndpointView,
    ExplainReply,
    ModelsRequest,
    Recommendation,
    RecommendRequest,
)
from vedette.remedies import advice
from vedette.text.figures import counted, plural
from vedette.types import Outcome, Status
from vedette_console.addresses import path_of
from vedette_console.changes import KEPT_FOR
from vedette_console.scored import score_interval
from vedette_console.screens import past, working
from vedette_console.screens.context import Sources, View, gathered

# Problems of a model while its endpoint is reachable, and their remedies.
_DOWN: Final = {
    Status.UNREACHABLE: "the page of a model shows its last failure",
    Status.DEGRADED: "some of their calls fail: the page of a model shows its last failure",
    Status.NOT_FOUND: 'their server has them no more: "vedette discover" lists its models again',
    Status.AUTH_FAILED: "the key may not use them: check api_key of their endpoint",
    Status.RATE_LIMITED: "their service refuses more calls for now: they are probed again later",
    Status.UNSUPPORTED: "their server cannot answer such calls: the page of a model shows its last failure",
}
_MAX_NAMES: Final = 256  # of endpoints, in one constraint
_MAX_NAMED: Final = 3
_MAX_ATTENTION: Final = 12
_FIRST: Final = 3  # problems that are shown first; the others are folded


class Card(Struct, frozen=True, kw_only=True):
    """One use case: the winner, its score and its interval, its lead, since when it wins, why, and fallbacks."""

    use_case: str
    best: Recommendation | None
    interval: tuple[float, float] | None
    fallbacks: tuple[Recommendation, ...]
    margin: float | None
    since: datetime | None
    why: str
    is_expected: bool  # neither its quality nor its speed is measured
    spread: dict[str, float]  # share of callers by model, if several models are equally good


class Attention(Struct, frozen=True, kw_only=True):
    """A problem that an operator should look at, and the remedy."""

    kind: str  # down, warn or note
    what: str
    remedy: str
    link: str


class Fleet(Struct, frozen=True, kw_only=True):
    """The numbers of models and endpoints by state. The state of endpoints is known only for now, not for the past."""

    models: int
    statuses: dict[Status, int]
    unmeasured: int
    unevaluated: int
    endpoints: int | None
    reachable: int | None
    paused: int


async def now(sources: Sources, view: View) -> dict[str, object]:
    """Return the values of the page."""
    at = view.at
    models, unknown = await past.models(sources, ModelsRequest(limit=1), at)
    endpoints = None if at else await sources.asking.ask("endpoints.list", EndpointsReply)
    explained = await gathered(
        past.explained(sources, RecommendRequest(use_case=name, limit=3), at) for name in sources.use_cases()
    )
    counts = models.counts
    fleet = Fleet(
        models=models.total,
        statuses=counts.statuses,
        unmeasured=counts.unmeasured,
        unevaluated=counts.unevaluated,
        endpoints=len(endpoints.endpoints) if endpoints else None,
        reachable=sum(1 for one in endpoints.endpoints if _answers(one)) if endpoints else None,
        paused=sum(1 for one in endpoints.endpoints if one.closed_state == "paused") if endpoints else 0,
    )
    attention = worst_first(
        *(of_endpoints(endpoints.endpoints) if endpoints else ()),
        *await _of_models(sources, counts.statuses, at, _answering(endpoints)),
        *(_regressed(sources) if at is None else ()),
        *(_unevaluated(fleet, is_running=_evaluates(sources)) if at is None else ()),
    )
    winners = sources.changes.winners if at is None else {}
    return {
        "at": at,
        "unknown": unknown,
        "cards": [card(reply, winners) for reply, _ in explained],
        "fleet": fleet,
        "attention": attention[:_FIRST],
        "attention_later": attention[_FIRST:_MAX_ATTENTION],
        "attention_more": max(0, len(attention) - _MAX_ATTENTION),
        "as_of": models.as_of,
        **({} if at else working.jobs(sources, only_running=True)),
    }


def card(reply: ExplainReply, winners: Mapping[str, AnswerChanged]) -> Card:
    """Return the card of one use case. *winners* (by use case) give the time since which its model wins."""
    best, *others = reply.recommendations or (None,)
    fallbacks = tuple(one for one in others if one is not None)
    changed = winners.get(reply.use_case)
    return Card(
        use_case=reply.use_case,
        best=best,
        interval=score_interval(best) if best else None,
        fallbacks=fallbacks,
        margin=best.score - fallbacks[0].score if best and fallbacks else None,
        since=changed.at if best and changed and changed.model == best.model else None,
        why=_why(reply.summary[0], best) if best else " ".join(reply.summary[:2]),
        is_expected=best is not None and not any(map(_is_measured, best.contributions)),
        spread=reply.spread,
    )


def _is_measured(part: Contribution) -> bool:
    return part.signal in ("quality", "speed", "ttft") and part.confidence > 0


def _why(sentence: str, best: Recommendation) -> str:
    """Return the reasons in *sentence* without its beginning, which the card already shows."""
    _, points, reasons = sentence.partition(f" with {best.score:.1f} of 100: ")
    return reasons[:1].upper() + reasons[1:] if points else sentence


def _answers(one: EndpointView) -> bool:
    return one.state is not None and one.state.outcome is Outcome.OK and not one.closed_state


def of_endpoints(endpoints: Sequence[EndpointView]) -> list[Attention]:
    """Return the problems of *endpoints*: failures, waiting measurements, and used-up budgets."""
    found = []
    for one in endpoints:
        link = f"/endpoints#{one.endpoint}"
        if one.state is not None and not _answers(one) and not one.closed_state:
            seen, remedy = advice(one.url, one.state.outcome, one.state.detail, one.state.remedy)
            found.append(Attention(kind="down", what=f"{one.endpoint}: {seen}", remedy=remedy, link=link))
        if one.unmeasured_why:
            what, _, remedy = one.unmeasured_why.partition(": ")
            found.append(Attention(kind="note", what=what, remedy=remedy, link=link))
        for name, limit in one.budget.items():
            used = getattr(one.used, name.removesuffix("_per_day"), 0)
            if limit and used >= limit:
                found.append(
                    Attention(
                        kind="warn",
                        what=f"{one.endpoint}: today's budget of {limit:g} {name.removesuffix('_per_day')} is used",
                        remedy=f"wait until tomorrow (UTC), or raise {name} under [endpoints.{one.endpoint}.budget]",
                        link=link,
                    )
                )
    return found


def worst_first(*found: Attention) -> list[Attention]:
    """Return the problems *found*, worst first."""
    return sorted(found, key=lambda one: ("down", "warn", "note").index(one.kind))


def _answering(reply: EndpointsReply | None) -> Constraints | None:
    """Return the constraint to reachable endpoints, because problems of the others are listed for the endpoint.

    None if no endpoint is reachable; no constraint for the past, or with more than 256 endpoints.
    """
    if reply is None or len(reply.endpoints) > _MAX_NAMES:
        return Constraints()
    names = tuple(one.endpoint for one in reply.endpoints if one.state is None or _answers(one))
    return Constraints(endpoints=names) if names else None


async def _of_models(
    sources: Sources, statuses: dict[Status, int], at: datetime | None, among: Constraints | None
) -> list[Attention]:
    found: list[Attention] = []
    for status, remedy in _DOWN.items():
        if among is None or not statuses.get(status):
            continue
        asked = ModelsRequest(status=status, limit=_MAX_NAMED, constraints=among)
        try:
            reply, _ = await past.models(sources, asked, at)
        except RequestError:  # an endpoint was removed meanwhile
            reply, _ = await past.models(sources, replace(asked, constraints=Constraints()), at)
        if not reply.total:
            continue
        named = ", ".join(str(view.model) for view in reply.models)
        more = f" and {reply.total - len(reply.models)} more" if reply.total > len(reply.models) else ""
        found.append(
            Attention(
                kind="down" if status is Status.UNREACHABLE else "warn",
                what=f"{reply.total} {status.replace('_', ' ')}: {named}{more}",
                remedy=remedy,
                link=f"/models?status={status}",
            )
        )
    return found


def _regressed(sources: Sources) -> list[Attention]:
    recent = sources.changes.since(sources.clock.now() - KEPT_FOR)
    return [
        Attention(
            kind="warn",
            what=f"{one.model} answers worse than before",
            remedy="compare its scores; put the old weights or server back if they changed",
            link=f"/models/{path_of(one.model)}",
        )
        for one in recent
        if one.kind == "regressed" and one.model is not None
    ]


def _evaluates(sources: Sources) -> bool:
    """Return whether a model is being evaluated now."""
    running = working.running(sources.changes.jobs.values(), sources.clock.now())
    return any(work.kind == NOUNS["evaluate"] for work in running)


def _unevaluated(fleet: Fleet, *, is_running: bool) -> list[Attention]:
    if not fleet.unevaluated:
        return []
    until = (
        "an evaluation is under way"
        if is_running
        else 'models are evaluated after their benchmark, and now by "vedette evaluate"'
    )
    return [
        Attention(
            kind="note",
            what=f"{fleet.unevaluated} of {counted(fleet.models, 'model')} "
            f"{plural(fleet.unevaluated, 'was', 'were')} never evaluated",
            remedy=f"quality is expected from published facts; {until}",
            link="/models",
        )
    ]
