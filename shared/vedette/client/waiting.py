"""Why a queued job waits: for its turn or for a worker. Pure."""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from vedette.messages.events import Job, JobKind
from vedette.text.figures import counted

WaitsFor = Literal["turn", "worker", "retry"]
# A worker repeats the last progress of its running jobs every 20 s, three times as often.
SILENT_AFTER_S = 60.0
SERVICES: dict[JobKind, str] = {
    "discover": "discoverer",
    "probe": "prober",
    "benchmark": "benchmarker",
    "verify": "benchmarker",
    "evaluate": "benchmarker",
    "judge": "benchmarker",
}
NOUNS: dict[JobKind, str] = {
    "discover": "discovery",
    "probe": "probe",
    "benchmark": "benchmark",
    "verify": "verification",
    "evaluate": "evaluation",
    "judge": "judging",
}
_MEASUREMENTS = ("benchmark", "verify", "evaluate", "judge")


class Queue(Struct, frozen=True, kw_only=True):
    """The unfinished jobs of one durable, oldest first; how many are in progress; how many workers ask for one."""

    jobs: Sequence[Job]
    in_hand: int
    asking: int


class Wait(Struct, frozen=True, kw_only=True):
    """Why a job waits: a line for people, and fields for programs. `behind` describes the running job before it."""

    message: str
    waits_for: WaitsFor | None = None
    position: int = 0
    queue: int = 0
    behind: str | None = None


def wait(job: Job, queue: Queue, silent_s: Mapping[str, float]) -> Wait:
    """Return why *job*, one of the jobs in *queue*, waits.

    *silent_s*: seconds since the last progress of each job, by its id. `waits_for` is None if a worker has *job*.
    """
    service, place = SERVICES[job.kind], [queued.id for queued in queue.jobs].index(job.id)
    running = queue.jobs[: queue.in_hand]
    waits_for: WaitsFor | None = "turn"
    behind: str | None = None
    message = f"waiting: the {service} takes it next"
    if not running and not queue.asking:
        message, waits_for = f"waiting: no worker has picked this up. Is the {service} running?", "worker"
    elif place < len(running):
        message, waits_for = f"the {service} has picked this up", None
    elif running:
        behind = described(running[0])
        others = f"the {service} is busy with {counted(len(running), 'other job')}"
        if job.kind in _MEASUREMENTS:
            others = f"another measurement runs on this host ({behind})"
        message = f"waiting: {others}, position {place + 1} of {len(queue.jobs)}"
    quiet_s = min((silent_s.get(other.id, 0.0) for other in running), default=0.0)
    if quiet_s >= SILENT_AFTER_S:
        message, waits_for = (
            f"{message}. No progress arrived for {quiet_s:.0f} s: is the {service} running?",
            "worker",
        )
    return Wait(
        message=message, waits_for=waits_for, behind=behind, position=place + 1, queue=len(queue.jobs)
    )


def described(job: Job) -> str:
    """Describe *job*, for example `benchmark of gpu/qwen3:4b`."""
    return f"{NOUNS[job.kind]} of {job.model or job.endpoint}"
