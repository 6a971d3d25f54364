"""What is under way, as the console shows it: which job, since when, how far, and how much is left."""

from datetime import timedelta
from typing import Any

import pytest

from consoles import Rig
from vedette.messages.events import Progress
from vedette.testing import EPOCH
from vedette.types import ModelRef
from vedette_console.changes import LastProgress
from vedette_console.screens import working

MODEL = ModelRef("gpu", "qwen3:8b")
STARTED = EPOCH - timedelta(seconds=60)


def progress(step: int = 3, steps: int = 6, **given: Any) -> Progress:
    asked: dict[str, Any] = {
        "job_id": "b",
        "at": EPOCH,
        "state": "step",
        "step": step,
        "steps": steps,
        "message": f"{MODEL}: warm run",
        "model": MODEL,
        "kind": "benchmark",
        "endpoint": MODEL.endpoint,
        "started_at": STARTED,
    }
    return Progress(**(asked | given))


@pytest.mark.parametrize(
    ("told", "after_s", "left_s"),
    [
        (progress(step=3), 0, 120.0),  # two steps took a minute; four are left, with the one that has begun
        (progress(step=3), 20, 100.0),
        (progress(step=3), 500, 0.0),
        (progress(step=1), 0, None),
        (progress(step=0, steps=0), 0, None),
        (progress(started_at=None), 0, None),
    ],
)
def test_the_rest_takes_what_the_steps_before_took(
    told: Progress, after_s: float, left_s: float | None
) -> None:
    assert working.left_s(told, EPOCH + timedelta(seconds=after_s)) == left_s


@pytest.mark.parametrize("state", ["queued", "done", "failed"])
def test_what_no_worker_has_in_hand_does_not_run(state: str) -> None:
    assert not working.is_running(LastProgress(progress(state=state), EPOCH), EPOCH)


def test_a_job_whose_worker_is_silent_does_not_run() -> None:
    """A worker that lives repeats its last progress, which keeps its date: what counts is when it was received."""
    last = LastProgress(progress(at=EPOCH - timedelta(hours=1)), EPOCH)
    assert working.is_running(last, EPOCH + timedelta(seconds=59))
    assert not working.is_running(last, EPOCH + timedelta(seconds=60))


def test_a_worker_of_an_older_version_is_understood() -> None:
    work = working.work_of(progress(endpoint=None, started_at=None), EPOCH)
    assert (work.kind, work.endpoint, work.message, work.since) == ("benchmark", "gpu", "warm run", None)


async def test_pages_say_what_runs() -> None:
    """*Now* and *Endpoints* show every job, a model its own; a job that has ended leaves *Now*."""
    rig = Rig([])
    rig.changes.progress(progress(), EPOCH)
    told = ("benchmark", "warm run", "3 of 6", "since", "about 2 min left")
    async with rig.client() as browser:
        for path in ("/", "/endpoints", "/jobs?running=1", f"/jobs?model={MODEL}"):
            text = (await browser.get(path)).text
            assert [words for words in told if words not in text] == [], path
        assert "warm run" not in (await browser.get("/jobs?model=gpu/other")).text
        rig.changes.progress(progress(state="done", message=f"{MODEL}"), EPOCH)
        assert "Nothing is being measured" in (await browser.get("/")).text
        assert "done" in (await browser.get("/endpoints")).text


async def test_a_deferred_job_has_not_failed() -> None:
    """The newest of the jobs that ended is shown, and the others on demand."""
    rig = Rig([])
    rig.changes.progress(progress(state="failed", message=f"{MODEL}: HTTP 500"), EPOCH)
    late = progress(
        job_id="c", state="failed", message=f"{MODEL}: deferred for 1 min", waits_for="retry", retry_s=60.0
    )
    rig.changes.progress(late, EPOCH)
    async with rig.client() as browser:
        text = (await browser.get("/endpoints")).text
    last, others = text.partition("Last job:")[2].split("</summary>")[:2]
    assert ("job-deferred" in last, "deferred for 1 min" in last, "HTTP 500" in last) == (True, True, False)
    assert ("job-failed" in others, "HTTP 500" in others) == (True, True)
