"""Chooses the next endpoint on one host: endpoints take turns, so that one with many models delays no other. Pure."""

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import chain, zip_longest

from vedette.messages.events import Job, JobKind
from vedette.types import ModelRef

_Turn = tuple[Job, ...]
_LONG = ("evaluate", "judge")
# In this order: the first call to a model that is not loaded must be the benchmark's, which measures it.
_FIRST: tuple[JobKind, ...] = ("benchmark", "verify")


def at_first(wanted: Collection[JobKind], *, is_paid: bool) -> list[JobKind]:
    """Return which of the *wanted* measurements of a new model are queued at once.

    An evaluation is long, and every model's speed should be known soon. So the evaluation is queued after the last of
    the other measurements (`following`). It is queued at once if no other is wanted, or if calls are paid, because then
    the others may not be allowed.
    """
    soon = [kind for kind in _FIRST if kind in wanted]
    return [*soon, *_evaluation(wanted)] if is_paid or not soon else soon


def following(done: JobKind, wanted: Collection[JobKind]) -> list[JobKind]:
    """Return the measurements to queue after *done*, one of the *wanted* first measurements of a new model."""
    soon = [kind for kind in _FIRST if kind in wanted]
    return _evaluation(wanted) if soon[-1:] == [done] else []


def _evaluation(wanted: Collection[JobKind]) -> list[JobKind]:
    return ["evaluate"] if "evaluate" in wanted else []


def in_turns(
    jobs: Sequence[Job], last: Job, promise: Callable[[ModelRef], float] = lambda _: 0.0
) -> list[Job]:
    """Return the scheduled *jobs* of one host, given oldest first, in the order of their turns after *last*.

    A turn is the benchmark and the capability check of one model, which is loaded once for both; or an evaluation; or
    a model's part in a judge's session. The endpoint of *last* comes after the others. Evaluations and judging are
    long, so they wait until every new model has its first figures. At each endpoint, evaluations of new models come
    first, the models with the most *promise* before the others. A model that may have changed comes before all,
    because its benchmark is small. Operators' jobs are not in the result: they keep their places.
    """
    scheduled = _promising_first([job for job in jobs if job.cause != "manual"], promise)
    going_on = [job for job in scheduled if _unit(job) == _unit(last)] if last.kind not in _LONG else []
    going_on += [job for job in scheduled if job.cause == "suspicion" and job not in going_on]
    others = [job for job in scheduled if job not in going_on]
    if not any(_is_first(job) for job in others):
        return [*going_on, *_round_robin(others, last.endpoint)]
    soon = [job for job in others if job.kind not in _LONG]
    later = [job for job in others if job.kind in _LONG]
    return [*going_on, *_round_robin(soon, last.endpoint), *_round_robin(later, None)]


def _promising_first(jobs: Sequence[Job], promise: Callable[[ModelRef], float]) -> list[Job]:
    """Return *jobs* with the evaluations sorted by promise, at the positions of evaluations."""
    evaluations = iter(
        sorted((job for job in jobs if job.kind == "evaluate"), key=lambda job: _hope(job, promise))
    )
    return [next(evaluations) if job.kind == "evaluate" else job for job in jobs]


def _hope(job: Job, promise: Callable[[ModelRef], float]) -> tuple[bool, float]:
    is_new = job.cause in ("found", "changed") and job.model is not None
    return not is_new, -promise(job.model) if is_new and job.model else 0.0


def _is_first(job: Job) -> bool:
    return job.cause in ("found", "changed") and job.kind not in _LONG


def _unit(job: Job) -> tuple[ModelRef | None, str]:
    return job.model, job.kind if job.kind in _LONG else ""


def _round_robin(jobs: Iterable[Job], served: str | None) -> list[Job]:
    """Return *jobs* in rounds with a turn of each endpoint, *served* last; in a round the oldest comes first."""
    turns: dict[str, dict[tuple[ModelRef | None, str], _Turn]] = {}
    for job in jobs:
        units = turns.setdefault(job.endpoint, {})
        units[_unit(job)] = (*units.get(_unit(job), ()), job)
    by_endpoint = [turns[name].values() for name in sorted(turns, key=lambda name: name == served)]
    rounds = zip_longest(*by_endpoint, fillvalue=())
    return list(chain.from_iterable(chain.from_iterable(rounds)))
