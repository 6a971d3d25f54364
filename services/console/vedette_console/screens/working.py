"""Running jobs: their target, start, progress, and the estimated remaining time."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from vedette.client.waiting import NOUNS, SILENT_AFTER_S
from vedette.messages.events import Progress
from vedette.types import ModelRef
from vedette_console.changes import LastProgress
from vedette_console.screens.context import Sources

_SILENT_AFTER: Final = timedelta(seconds=SILENT_AFTER_S)
_MAX_RECENT: Final = 10


class Work(Struct, frozen=True, kw_only=True):
    """A job that a worker runs. `left_s`: estimated seconds until its end; None before its second step."""

    kind: str
    endpoint: str
    model: ModelRef | None
    message: str
    step: int
    steps: int
    since: datetime | None
    left_s: float | None


def jobs(sources: Sources, *, model: str = "", only_running: bool = False) -> dict[str, object]:
    """Return the values of the list of jobs, of all models or of *model*: running jobs, then the last others."""
    now = sources.clock.now()
    known = [one for one in sources.changes.jobs.values() if model in ("", str(one.progress.model))]
    others = [one.progress for one in reversed(known) if not is_running(one, now)]
    return {
        "running": running(known, now),
        "recent": () if only_running else others[:_MAX_RECENT],
        "only_running": only_running,
        "of_all": not model,
    }


def running(known: Iterable[LastProgress], now: datetime) -> Sequence[Work]:
    """Return the *known* jobs that a worker runs at *now*, sorted by endpoint, model and kind."""
    found = [work_of(one.progress, now) for one in known if is_running(one, now)]
    return sorted(found, key=lambda work: (work.endpoint, str(work.model or ""), work.kind))


def is_running(last: LastProgress, now: datetime) -> bool:
    """Return whether a worker runs the job at *now*: its last progress is recent, because workers repeat it."""
    return last.progress.state in ("started", "step") and now - last.at < _SILENT_AFTER


def work_of(progress: Progress, now: datetime) -> Work:
    """Return the state of a running job by its *progress*."""
    endpoint = endpoint_of(progress)
    target = str(progress.model or endpoint)
    return Work(
        kind=NOUNS[progress.kind] if progress.kind else "job",
        endpoint=endpoint,
        model=progress.model,
        message=progress.message.removeprefix(target).removeprefix(": "),
        step=progress.step,
        steps=progress.steps,
        since=progress.started_at,
        left_s=left_s(progress, now),
    )


def endpoint_of(progress: Progress) -> str:
    """Return the endpoint of the job; an empty text if an older worker did not publish it."""
    return progress.endpoint or (progress.model.endpoint if progress.model else "")


def left_s(progress: Progress, now: datetime) -> float | None:
    """Return the estimated seconds until the end, by the mean duration of the steps so far.

    None before the second step. A step is announced when it begins, so the current one is not done.
    """
    done = progress.step - 1
    if progress.started_at is None or done < 1:
        return None
    each = (progress.at - progress.started_at) / done
    return max(0.0, (each * (progress.steps - done) - (now - progress.at)).total_seconds())
