"""Whether an endpoint had other work during a run."""

import pytest

from vedette.providers import Activity
from vedette_benchmarker.contention import other_work

IDLE = Activity(running=0, generated_tokens=1000)


def told(**fields: object) -> Activity:
    return Activity(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (IDLE, told(running=0, generated_tokens=1064), None),
        (IDLE, told(running=0, generated_tokens=1065), None),  # servers count the last token differently
        (told(running=2, generated_tokens=1000), IDLE, "2 other requests when it began"),
        (IDLE, told(running=1, generated_tokens=1064), "1 other request when it ended"),
        (IDLE, told(running=0, generated_tokens=1200), "136 tokens generated for others"),
        (IDLE, told(running=0, generated_tokens=3), None),  # restarted in between: its counter began anew
        (None, told(running=9), None),
        (told(), told(), None),
        (told(used={"m": "1", "n": "1"}), told(used={"m": "2", "n": "1"}), None),
        (told(used={"m": "1", "n": "1"}), told(used={"m": "2", "n": "3"}), "n used"),
        (told(used={"m": "1"}), told(used={"m": "2", "n": "3"}), "n used"),
        # Another name for the same weights shares their runner, and their mark.
        (told(used={"m": "1", "alias": "1"}), told(used={"m": "2", "alias": "2"}), None),
    ],
)
def test_other_work_is_told_from_what_changed(before: Activity, after: Activity, says: str | None) -> None:
    assert other_work(before, after, model="m", own_tokens=64) == says
