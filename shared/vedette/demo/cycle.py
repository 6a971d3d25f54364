"""Decides when one cycle is complete: each endpoint observed, each listed model found, probed and measured."""

from vedette.messages.events import (
    EndpointObserved,
    Event,
    JobKind,
    ModelBenchmarked,
    ModelEvent,
    ModelFound,
    ModelProbed,
    Progress,
)
from vedette.types import ModelRef, Outcome

_STAGES: tuple[tuple[type[ModelEvent], str], ...] = (
    (ModelFound, "found"),
    (ModelProbed, "probed"),
    (ModelBenchmarked, "measured"),
)
_KINDS: dict[str, JobKind] = {
    "found": "discover",
    "probed": "probe",
    "measured": "benchmark",
}  # kinds of jobs by step


class Cycle:
    """The state of one cycle over *endpoints*. `apply` takes the events of the cycle in any order."""

    def __init__(self, endpoints: set[str]) -> None:
        self._unobserved = set(endpoints)
        self._done: dict[ModelRef, set[str]] = {}

    def apply(self, event: Event) -> str | None:
        """Add *event*; return a line about it, or None if it shows nothing new."""
        if isinstance(event, EndpointObserved):
            return self._observed(event)
        for kind, stage in _STAGES:
            if isinstance(event, kind):
                done = self._done.setdefault(event.model, set())
                if stage in done:
                    return None
                done.add(stage)
                return f"{stage:9} {event.model}{_result(event)}"
        return None

    def _observed(self, event: EndpointObserved) -> str | None:
        if event.endpoint not in self._unobserved:
            return None
        self._unobserved.discard(event.endpoint)
        listed = [entry.name for entry in event.state.listing if not entry.misses]
        for name in listed:
            self._done.setdefault(ModelRef(event.endpoint, name), set())
        ok = event.state.outcome is Outcome.OK
        result = f"{len(listed)} listed" if ok else event.state.detail or event.state.outcome
        return f"observed  {event.endpoint}: {result}"

    def give_up(self, progress: Progress) -> None:
        """Stop waiting for a measurement whose job failed: no event follows."""
        refused = progress.state == "failed" and progress.kind in ("benchmark", None)
        if refused and progress.model is not None:
            self._done.setdefault(progress.model, set()).add("measured")

    def awaits(self, progress: Progress) -> bool:
        """Return whether the cycle still waits for the result of the job of *progress*."""
        stages = {stage for done in self._done.values() for stage in _KINDS if stage not in done}
        kinds = {_KINDS[stage] for stage in stages} | ({"discover"} if self._unobserved else set())
        return progress.kind is None or progress.kind in kinds

    def missing(self) -> list[str]:
        """Return the missing steps, one in each line."""
        return [f"{endpoint}: not observed" for endpoint in sorted(self._unobserved)] + [
            f"{model}: not {stage}"
            for model, done in sorted(self._done.items())
            for _, stage in _STAGES
            if stage not in done
        ]


def _result(event: ModelEvent) -> str:
    if isinstance(event, ModelProbed):
        return f": {event.health.status}"
    if isinstance(event, ModelBenchmarked):
        figure = event.performance.output_tps
        if event.outcome is not Outcome.OK:
            return f": {event.detail or event.outcome}"
        return f": {figure.median:.1f} tokens/s" if figure else ""
    return ""
