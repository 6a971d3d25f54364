"""When an endpoint that appeared is contacted again, because its server may still be starting."""

from datetime import UTC, datetime, timedelta

import pytest

from vedette.messages.events import Job
from vedette.types import Origin, Outcome
from vedette_discoverer.starting import STARTS_WITHIN, contact_again_s

NOW = datetime(2026, 11, 30, 9, 20, tzinfo=UTC)
SERVICE = Origin(source="kubernetes", seen_as="Service ml/vllm")


def again(
    outcome: Outcome, *, age_s: float = 3, cause: str = "start", origin: Origin | None = SERVICE
) -> object:
    """Return when a job of that age is tried again."""
    at = NOW - timedelta(seconds=age_s)
    job = Job(id="j", at=at, kind="discover", group="ml", endpoint="ml-vllm", cause=cause)
    return contact_again_s(job, outcome, origin, NOW)


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.LOADING])
def test_a_server_that_may_be_starting_is_tried_again_soon_at_first(outcome: Outcome) -> None:
    """Its Service is there before its pods are ready, and before the cluster leads to them."""
    assert [again(outcome, age_s=age_s) for age_s in (0, 3, 600)] == [1, 3, 30]


def test_others_wait_for_their_schedule() -> None:
    """A wrong key or page does not pass by itself; nor is a server tried without end."""
    assert again(Outcome.AUTH_FAILED) is None
    assert again(Outcome.GARBAGE) is None
    assert again(Outcome.REFUSED, age_s=STARTS_WITHIN.total_seconds()) is None
    assert again(Outcome.REFUSED, age_s=-3600) is None  # a wrong clock dated it
    assert again(Outcome.REFUSED, cause="tick") is None
    assert again(Outcome.REFUSED, origin=None) is None
    assert again(Outcome.REFUSED, origin=Origin(source="operator", by="anna")) is None
