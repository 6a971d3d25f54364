"""One cycle of the demo: which jobs are waited for."""

from datetime import UTC, datetime

from samples import lifecycle_event, probe_event
from vedette.demo.cycle import Cycle
from vedette.messages.events import JobKind, Progress
from vedette.types import ModelRef

MODEL = ModelRef("demo", "m")
NOW = datetime(2026, 11, 30, tzinfo=UTC)


def test_only_jobs_that_are_waited_for_are_shown() -> None:
    """A listing while a model is measured says nothing of what is waited for."""
    cycle = Cycle(set())
    kinds: tuple[JobKind, ...] = ("discover", "probe", "benchmark")

    def awaited() -> list[str]:
        progress = [Progress(job_id=kind, at=NOW, state="step", kind=kind, endpoint="demo") for kind in kinds]
        return [str(one.kind) for one in progress if cycle.awaits(one)]

    cycle.apply(lifecycle_event("found", MODEL, at=NOW))
    assert awaited() == ["probe", "benchmark"]
    cycle.apply(probe_event(MODEL, at=NOW, job_id="p"))
    assert awaited() == ["benchmark"]


def test_an_endpoint_that_was_not_observed_is_waited_for() -> None:
    listing = Progress(job_id="d", at=NOW, state="step", kind="discover", endpoint="demo")
    assert Cycle({"demo"}).awaits(listing)
