"""Chooses the judge and the models that it compares, and computes the cost of a session. Pure.

A judge is clearly better than the models whose texts it compares: its lower quality bound (95 %) lies above their upper
bounds, by checked answers and published facts. The judge and models of its family are not in the pool. Its own texts,
and those of one model of its family, are compared only to measure whether it prefers them.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from msgspec import Struct

from vedette.endpoints.evaluating import thoughts_before
from vedette.endpoints.spending import is_evaluable
from vedette.knowledge import known
from vedette.knowledge.houses import houses
from vedette.messages.catalogue import ModelState
from vedette.messages.queries import ModelView
from vedette.settings import Judge
from vedette.text.figures import counted
from vedette.types import CALLABLE, Judged, ModelInfo, ModelRef, Score, Thoughts
from vedette.usecases import UseCase

if TYPE_CHECKING:
    from vedette.usecases.judging import Able

# The series of tasks of each use case, by its name in events; `vedette_benchmarker.judging.tasks` has the tasks.
SERIES: Final[Mapping[str, str]] = {
    "chat": "chat@1",
    "documentation": "documentation@1",
    "summarisation": "summarisation@1",
}
TEST_PAIRS: Final = 8
MIN_POOL: Final = 2
# Rough upper estimates; tests/unit/test_judging.py compares them with real requests.
TASK_TOKENS: Final = 160
TEXT_TOKENS: Final = 200
ASKED_TOKENS: Final = 260  # in addition to the texts that a judge compares
VERDICT_TOKENS: Final = 12


class Contender(Struct, frozen=True, kw_only=True):
    """A model that may write or judge.

    `thoughts` are the reasoning tokens before its checked answers. `writes` and `judges`: the settings of its endpoint
    allow this.
    """

    info: ModelInfo
    scores: Mapping[str, Score] = {}
    thoughts: Thoughts | None = None
    judged: Judged | None = None
    serves: bool = True
    writes: bool = True
    judges: bool = True

    @property
    def model(self) -> ModelRef:
        """The reference of the model."""
        return self.info.model


def contender(state: ModelState) -> Contender | None:
    """Return the model of *state*, or None if it is not present."""
    info = state.known
    if info is None or not state.present:
        return None
    return Contender(
        info=info,
        scores=state.quality.scores if state.quality else {},
        thoughts=state.quality.thoughts if state.quality else None,
        judged=state.judged,
        serves=state.health is None or state.health.status in CALLABLE,
    )


def viewed(view: ModelView) -> Contender:
    """Return the model in a reply."""
    return Contender(
        info=view.info,
        scores=view.quality.scores if view.quality else {},
        thoughts=view.quality.thoughts if view.quality else None,
        judged=view.judged,
        serves=view.status in CALLABLE,
    )


class Session(Struct, frozen=True, kw_only=True):
    """The judge and the models whose texts it compares, for a use case.

    The texts of `relatives` and of the judge are compared only to measure its bias. `doubts` says why the result is
    shown but does not count.
    """

    use_case: str
    judge: ModelRef
    pool: tuple[ModelRef, ...]
    relatives: tuple[ModelRef, ...] = ()
    doubts: str = ""

    @property
    def compared(self) -> tuple[ModelRef, ...]:
        """The models that write texts beforehand. The judge writes its own texts when it compares."""
        return (*self.pool, *self.relatives)

    def comparisons(self, tasks: int) -> int:
        """Return the number of the judge's answers: each pair in both orders, and the test."""
        pairs = len(self.pool) * (len(self.pool) - 1) // 2
        watched = 1 + len(self.relatives)
        return 2 * ((pairs + watched) * tasks + TEST_PAIRS)


class Work(Struct, frozen=True, kw_only=True):
    """The work of one model in a session: requests, tokens and their price (USD; None: not known).

    `thinking_usd` is the price if it thinks, where that is not known.
    """

    model: ModelRef
    does: Literal["write", "judge"]
    requests: int
    prompt_tokens: int
    output_tokens: int
    usd: float | None
    thinking_usd: float | None


def abilities(contenders: Sequence[Contender], use_case: UseCase) -> dict[ModelRef, "Able"]:
    """Return the quality of chat models for *use_case*, by checked answers and published facts.

    Results of one copy count for all copies of the same weights.
    """
    from vedette.usecases.judging import ability  # numpy takes 0.1 s to import

    chatting = [one for one in contenders if one.info.asked_as == "chat"]
    by_weights = _by_weights(chatting)
    expectations = [known(one.info).expectations[use_case.like] for one in by_weights.values()]
    expected = [(one.quality, one.spread) for one in expectations]
    found = ability([one.scores for one in by_weights.values()], expected, use_case)
    able = dict(zip(by_weights, found, strict=True))
    return {one.model: able[_weights(one)] for one in chatting}


def choose(
    contenders: Iterable[Contender], use_case: UseCase, settings: Judge, *, paid: bool
) -> Session | str:
    """Return the session for *use_case*, or why there is none.

    Without *paid*, only models with free calls take part. A named judge that is not clearly better still compares the
    others, but the session does not count.
    """
    everyone, named = list(contenders), settings.named
    able = abilities(everyone, use_case)
    taking_part = (one for one in everyone if _may_take_part(one, use_case, paid=paid))
    among = {one.model: one for one in _by_weights(taking_part, named).values()}
    if named is not None and (named not in among or not among[named].judges):
        return f"the judge {named} may not take part: it is unknown, unreachable, unable, or costs money"
    if len(among) <= MIN_POOL:
        needed = f"a judge and {MIN_POOL} models of other families are needed"
        return f"{counted(len(among), 'model')} may take part; {needed}"
    descents = {model: _descent(one) for model, one in among.items()}
    found = _best_judge(among, descents, able, named)
    if found is None:
        if named is not None:
            return f"{named} needs at least {MIN_POOL} models of other families that may take part"
        return "no model is clearly better than two models of other families"
    judge, pool = found
    best = sorted(pool, key=lambda model: (-able[model].middle, model))[: settings.models]
    best = _compared_before(judge, use_case.name, {model: among[model] for model in pool}, len(best)) or best
    own = descents[judge]
    relatives = sorted(model for model, one in descents.items() if model != judge and _is_kin(one, own))
    return of(use_case.name, judge, (*best, *relatives[:1]), among, able)


def _best_judge(
    among: Mapping[ModelRef, Contender],
    descents: Mapping[ModelRef, "_Descent"],
    able: Mapping[ModelRef, "Able"],
    named: ModelRef | None,
) -> tuple[ModelRef, list[ModelRef]] | None:
    """Return the first preferred judge that is clearly better than enough other models, and these models."""
    judges = (model for model, one in among.items() if one.judges)
    highs = sorted(able[model].high for model in among)
    for judge in [named] if named else sorted(judges, key=lambda one: _standing(among[one], able[one])):
        if bisect_left(highs, able[judge].low) < MIN_POOL:
            continue
        below = [model for model in among if able[model].high < able[judge].low]
        pool = [model for model in below if _is_foreign(descents[model], descents[judge])]
        if len(pool) >= MIN_POOL:
            return judge, pool
    pool = [model for model in among if named and _is_foreign(descents[model], descents[named])]
    return (named, pool) if named and len(pool) >= MIN_POOL else None


def of(
    use_case: str,
    judge: ModelRef,
    compared: Iterable[ModelRef],
    contenders: Mapping[ModelRef, Contender],
    able: Mapping[ModelRef, "Able"],
) -> Session:
    """Return the session in which *judge* compares the texts of these models."""
    ordered = sorted(compared)
    relatives = tuple(model for model in ordered if not may_be_judged(contenders[model], contenders[judge]))
    pool = tuple(model for model in ordered if model not in relatives)
    weak = any(able[model].high >= able[judge].low for model in pool)
    doubts = _doubt_of_standing(judge) if weak else ""
    return Session(use_case=use_case, judge=judge, pool=pool, relatives=relatives, doubts=doubts)


def _doubt_of_standing(judge: ModelRef) -> str:
    return f"{judge} is not clearly better than the models that it compares"


def _compared_before(
    judge: ModelRef, use_case: str, pool: Mapping[ModelRef, Contender], models: int
) -> list[ModelRef] | None:
    """Return the models that *judge* compared last, if all of them are in the *pool* and they are *models* many.

    So a change in the ranking does not repeat a session.
    """
    judgements = [
        (one.at, model, {model, *one.rivals})
        for model, contender in pool.items()
        if contender.judged
        and (one := contender.judged.judgements.get(use_case))
        and one.report.judge == judge
    ]
    groups = [
        sorted(group) for _, _, group in sorted(judgements) if len(group) == models and group <= set(pool)
    ]
    return groups[-1] if groups else None


def _standing(one: Contender, able: "Able") -> tuple[bool, float, ModelRef]:
    """Return the sort key of judges, best first: free calls, then the lower bound of the ability."""
    return not one.info.free, -able.low, one.model


def _by_weights(contenders: Iterable[Contender], named: ModelRef | None = None) -> dict[str, Contender]:
    """Return one contender for each set of weights: the *named* one, else an evaluated, a free, or the first."""
    found: dict[str, Contender] = {}
    order = sorted(
        contenders, key=lambda one: (one.model != named, not one.scores, not one.info.free, one.model)
    )
    for one in order:
        found.setdefault(_weights(one), one)
    return found


def _weights(one: Contender) -> str:
    return one.info.digest or one.info.canonical or f"/{one.model}"


def _may_take_part(one: Contender, use_case: UseCase, *, paid: bool) -> bool:
    info = one.info
    if not one.serves or not one.writes or not is_evaluable(info) or info.asked_as != "chat" or info.disturbs:
        return False
    if not info.free and not (paid and info.price is not None):
        return False
    claims = (info.capabilities.get(str(needed)) for needed in use_case.requires)
    return all(claim is None or claim.value for claim in claims)


def may_be_judged(one: Contender, judge: Contender) -> bool:
    """Return whether *judge* may judge *one*: they are different models of different families."""
    return _is_foreign(_descent(one), _descent(judge))


class _Descent(NamedTuple):
    """Features that two models share if they are the same, or of one family."""

    model: ModelRef
    canonical: str | None
    houses: frozenset[str]


def _descent(one: Contender) -> _Descent:
    return _Descent(one.model, one.info.canonical, kin(one.info))


def _is_foreign(one: _Descent, judge: _Descent) -> bool:
    same = one.canonical is not None and one.canonical == judge.canonical
    return one.model != judge.model and not same and not _is_kin(one, judge)


def _is_kin(one: _Descent, other: _Descent) -> bool:
    return bool(one.houses & other.houses)


def kin(info: ModelInfo) -> frozenset[str]:
    """Return the houses (vendors) of a model, for example the same for qwen2.5 and qwq.

    The name takes priority over the family that the server reports, which may be an architecture. If the house is
    unknown, the reported family is the house, or the first word of the name.
    """
    named = houses(info.canonical or "") | houses(info.model.name)
    said = info.family or info.model.name.rpartition("/")[2]
    word = re.match(r"[a-z]{3,}", said.casefold())
    return named or houses(said) or frozenset({word[0]} if word else ())


def lacking(session: Session, contenders: Mapping[ModelRef, Contender], tasks: int) -> list[ModelRef]:
    """Return the models of *session* whose texts are still missing."""
    series = SERIES[session.use_case]

    def has(model: ModelRef) -> bool:
        judged = contenders[model].judged
        texts = judged.texts.get(session.use_case, ()) if judged else ()
        return judged is not None and judged.tasks.get(session.use_case) == series and len(texts) >= tasks

    return [model for model in session.compared if not has(model)]


def is_held(session: Session, contenders: Mapping[ModelRef, Contender]) -> bool:
    """Return whether this session was held before: with the same judge and pool, and their present weights.

    A session that did not count because of its judge is repeated once the judge is clearly better.
    """
    expected = (session.judge, contenders[session.judge].info.digest, SERIES[session.use_case])
    judged = (contenders[model].judged for model in session.pool)
    held = [one.judgements.get(session.use_case) if one else None for one in judged]
    lifted = "" if session.doubts else _doubt_of_standing(session.judge)
    return len({one.session if one else None for one in held}) == 1 and all(
        one is not None
        and (one.report.judge, one.report.digest, one.report.tasks) == expected
        and {model, *one.rivals} == set(session.pool)
        and (not lifted or one.report.doubts != lifted)
        for model, one in zip(session.pool, held, strict=True)
    )


def work(session: Session, contenders: Mapping[ModelRef, Contender], settings: Judge) -> list[Work]:
    """Return the work of each model in *session*; writing comes first."""
    tasks = settings.tasks
    writing = [
        _work(contenders[model], "write", tasks, TASK_TOKENS, TEXT_TOKENS)
        for model in lacking(session, contenders, tasks)
    ]
    judge = contenders[session.judge]
    own = _work(judge, "write", tasks, TASK_TOKENS, TEXT_TOKENS)
    return [*writing, own, _comparing(judge, session, tasks)]


def session_cost(judge: Contender, settings: Judge) -> Work:
    """Return the maximum cost of a session for its judge."""
    most = Session(
        use_case="", judge=judge.model, pool=(judge.model,) * settings.models, relatives=(judge.model,)
    )
    own, comparing = (
        _work(judge, "write", settings.tasks, TASK_TOKENS, TEXT_TOKENS),
        _comparing(judge, most, settings.tasks),
    )
    return Work(
        model=judge.model,
        does="judge",
        requests=own.requests + comparing.requests,
        prompt_tokens=own.prompt_tokens + comparing.prompt_tokens,
        output_tokens=own.output_tokens + comparing.output_tokens,
        usd=_sum(own.usd, comparing.usd),
        thinking_usd=_sum(own.thinking_usd, comparing.thinking_usd),
    )


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _comparing(judge: Contender, session: Session, tasks: int) -> Work:
    asked = TASK_TOKENS + 2 * TEXT_TOKENS + ASKED_TOKENS
    return _work(judge, "judge", session.comparisons(tasks), asked, VERDICT_TOKENS)


def _work(one: Contender, does: Literal["write", "judge"], requests: int, prompt: int, answer: int) -> Work:
    expected, thinking = (answer + round(before) for before in thoughts_before(one.info, one.thoughts))
    return Work(
        model=one.model,
        does=does,
        requests=requests,
        prompt_tokens=requests * prompt,
        output_tokens=requests * expected,
        usd=_usd(one.info, requests, prompt, expected),
        thinking_usd=_usd(one.info, requests, prompt, thinking),
    )


def _usd(info: ModelInfo, requests: int, prompt: int, answer: int) -> float | None:
    if info.free:
        return 0.0
    return requests * info.price.usd(prompt, answer) if info.price else None


def shares(plan: Iterable[tuple[Session, Sequence[Work]]], budget_usd: float) -> dict[ModelRef, float] | None:
    """Return the maximum cost of each model in one job, in proportion to expected costs; None over *budget_usd*.

    A model that may think is expected to think, because a session that stops at its limit costs money without a result.

    A model does one job for each use case, and the judge one more: together they stay within the budget.
    """
    expected: dict[ModelRef, list[float]] = {}
    for _, takes in plan:
        for model in {one.model for one in takes}:
            usd = sum(one.thinking_usd or 0.0 for one in takes if one.model == model)
            expected.setdefault(model, []).append(usd)
    total = sum(max(jobs) * len(jobs) for jobs in expected.values())
    if total > budget_usd:
        return None
    return {model: budget_usd * max(jobs) / total for model, jobs in expected.items() if max(jobs) > 0.0}


def session_summary(session: Session, takes: Sequence[Work]) -> str:
    """Return in a few sentences which model judges which, and the cost."""
    requests, tokens = (
        sum(one.requests for one in takes),
        sum(one.prompt_tokens + one.output_tokens for one in takes),
    )
    usd = [one.usd for one in takes]
    sums = [sum(filter(None, usd)), sum(one.thinking_usd or 0.0 for one in takes)]
    thinks = f", {sums[1]:.2f} if they think" if f"{sums[1]:.2f}" != f"{sums[0]:.2f}" else ""
    price = "cost not known" if None in usd else f"about {sums[0]:.2f} USD{thinks}"
    watched = (
        f" Its family is watched by {', '.join(map(str, session.relatives))}." if session.relatives else ""
    )
    doubts = f" It will not count: {session.doubts}." if session.doubts else ""
    return (
        f"{session.use_case}: {session.judge} compares {', '.join(map(str, session.pool))}: {requests:,} requests, "
        f"about {tokens:,} tokens, {price}.{watched}{doubts}"
    )
