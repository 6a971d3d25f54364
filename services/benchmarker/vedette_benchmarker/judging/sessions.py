"""A session: which texts a judge compares, and the result of its answers. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import combinations
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from vedette.endpoints.judging import Session
from vedette.text.figures import counted
from vedette.types import Judgement, JudgeReport, ModelRef, Score
from vedette_benchmarker.judging import strengths
from vedette_benchmarker.judging.strengths import Vote

MIN_READ: Final = 0.5  # the share of comparisons that must have a verdict, or the session does not count
# Minimum of the lower bound of the rate of right pairs. A guess is right in both orders in one of four pairs.
_PASSED: Final = 0.5


class Comparison(Struct, frozen=True, kw_only=True):
    """Two texts for one task, in the order in which the judge sees them."""

    task: int
    first: ModelRef
    second: ModelRef


def comparisons(
    session: Session, tasks: int, texts: Mapping[ModelRef, Mapping[int, str]]
) -> list[Comparison]:
    """Return the judge's comparisons, task by task, each pair in both orders, without missing texts.

    A text of the judge or of a relative is compared with one other text for each task.
    """
    return [
        Comparison(task=task, first=first, second=second)
        for task in range(tasks)
        for one, other in _pairs(session, task)
        if task in texts[one] and task in texts[other]
        for first, second in ((one, other), (other, one))
    ]


def _pairs(session: Session, task: int) -> Iterator[tuple[ModelRef, ModelRef]]:
    yield from combinations(session.pool, 2)
    for watched in (session.judge, *session.relatives):
        yield watched, session.pool[task % len(session.pool)]


def is_passed(test: Score) -> bool:
    """Return whether a judge found the better text in both orders often enough to count."""
    return test.interval[0] > _PASSED


def _needed(test: Score) -> int:
    """Return how many right pairs are enough to pass *test*."""
    enough = (right for right in range(test.trials) if is_passed(replace(test, successes=right)))
    return next(enough, test.trials)


def report(
    session: Session,
    series: str,
    test: Score,
    votes: Sequence[Vote],
    unread: int,
    ability: Mapping[ModelRef, float],
    digest: str | None = None,
) -> JudgeReport:
    """Return how the judge, with weights of *digest*, answered.

    *ability* (logits) is the quality of all authors by checked answers.
    """
    own = [vote for vote in votes if session.judge in (vote.first, vote.second)]
    others = [vote for vote in votes if session.judge not in (vote.first, vote.second)]
    return JudgeReport(
        judge=session.judge,
        digest=digest,
        tasks=series,
        test=test,
        answers=len(votes),
        unread=unread,
        position=strengths.position_bias(votes),
        itself=strengths.preference(own, (session.judge,), ability),
        family=strengths.preference(others, session.relatives, ability),
        doubts=_doubts(session, test, len(votes), unread),
    )


def _doubts(session: Session, test: Score, answers: int, unread: int) -> str:
    """Return why the session does not count; empty if it does."""
    if not is_passed(test):
        return (
            f"it recognised the better text in {test.successes} of {test.trials} pairs that test a judge, "
            f"{_needed(test)} are needed"
        )
    if answers < MIN_READ * (answers + unread) or not answers:
        return f"{unread} of its {counted(answers + unread, 'answer')} named no text"
    return session.doubts


def judgements(
    session: Session, votes: Sequence[Vote], judge_report: JudgeReport, *, session_id: str, at: datetime
) -> dict[ModelRef, Judgement]:
    """Return the result for each model of the pool, by the votes about texts of the pool only."""
    counted = [vote for vote in votes if vote.first in session.pool and vote.second in session.pool]
    fitted = strengths.fit(counted).strengths
    return {
        model: _judgement(
            model, session, counted, judge_report, fitted.get(model), session_id=session_id, at=at
        )
        for model in session.pool
    }


def _judgement(
    model: ModelRef,
    session: Session,
    votes: Sequence[Vote],
    judge_report: JudgeReport,
    strength: strengths.Strength | None,
    *,
    session_id: str,
    at: datetime,
) -> Judgement:
    points = [vote.points(model) for vote in votes if model in (vote.first, vote.second)]
    return Judgement(
        at=at,
        session=session_id,
        report=judge_report,
        rivals=tuple(other for other in session.pool if other != model),
        strength=strength.value if strength else None,
        error=strength.error if strength else None,
        wins=points.count(1.0),
        ties=points.count(0.5),
        losses=points.count(0.0),
    )
