"""What a description makes of the catalogue."""

from datetime import UTC, datetime

import msgspec

from samples import lifecycle_event, model_info
from vedette.messages.catalogue import ModelState, fold
from vedette.messages.events import Job, Lifecycle, ModelChanged, ModelFound, ModelLost
from vedette.types import Claim, Evidence, ModelRef
from vedette_discoverer.changes import diff, gone, seen

NOW = datetime(2026, 11, 23, tzinfo=UTC)
MODEL = ModelRef("local", "m")
JOB = Job(id="1", at=NOW, kind="discover", group="h", endpoint="local")
INFO = model_info(MODEL, digest="d1", family="llama")


def having(*events: Lifecycle) -> ModelState:
    state = ModelState(model=MODEL)
    for sequence, event in enumerate(events, start=1):
        state = fold(state, event, sequence)
    return state


FOUND = having(lifecycle_event("found", MODEL, at=NOW, info=INFO))


def test_an_unknown_model_is_found_and_a_lost_one_again() -> None:
    """The first time, and after a loss, with the revision counted on."""
    first = seen(ModelState(model=MODEL), INFO, job=JOB, now=NOW)
    assert isinstance(first, ModelFound)
    assert (first.revision, first.again) == (1, False)
    lost = having(lifecycle_event("found", MODEL, at=NOW), lifecycle_event("lost", MODEL, at=NOW, revision=2))
    again = seen(lost, INFO, job=JOB, now=NOW)
    assert isinstance(again, ModelFound)
    assert (again.revision, again.again) == (3, True)


def test_what_is_the_same_is_no_event() -> None:
    """Nor is another source of the same fact."""
    assert seen(FOUND, INFO, job=JOB, now=NOW) is None
    assert (
        seen(FOUND, msgspec.structs.replace(INFO, sources={"family": "elsewhere"}), job=JOB, now=NOW) is None
    )


def test_a_change_names_its_fields_before_and_after() -> None:
    """A new digest is marked, because it invalidates what was measured."""
    claim = Claim(value=True, evidence=Evidence.DECLARED, source="s")
    event = seen(
        FOUND, msgspec.structs.replace(INFO, digest="d2", capabilities={"chat": claim}), job=JOB, now=NOW
    )
    assert isinstance(event, ModelChanged)
    assert event.digest_changed
    assert [change.field for change in event.changes] == ["capabilities", "digest"]
    assert (event.changes[1].old, event.changes[1].new) == ("d1", "d2")


def test_a_description_that_fails_once_takes_nothing_away() -> None:
    """What was known of the same weights stays known."""
    poor = model_info(MODEL, digest="d1", described=False, description_error="timeout")
    assert seen(FOUND, poor, job=JOB, now=NOW) is None
    other = seen(FOUND, msgspec.structs.replace(poor, digest="d2"), job=JOB, now=NOW)
    assert isinstance(other, ModelChanged)


def test_a_model_is_lost_once() -> None:
    """Losing what is not there is nothing."""
    event = gone(FOUND, reason="absent", job=JOB, now=NOW)
    assert isinstance(event, ModelLost)
    assert event.info == INFO
    assert gone(fold(FOUND, event, 9), reason="absent", job=JOB, now=NOW) is None
    assert gone(ModelState(model=MODEL), reason="absent", job=JOB, now=NOW) is None


def test_the_same_job_gives_the_same_id() -> None:
    """So that a redelivered job is recognised."""
    one, two = (seen(ModelState(model=MODEL), INFO, job=JOB, now=NOW) for _ in range(2))
    assert one is not None
    assert two is not None
    assert one.id == two.id


def test_nothing_differs_from_itself() -> None:
    """The diff of a description with itself is empty."""
    assert diff(INFO, INFO) == ()
