"""The wait that is expected at a busy server, beside a simulated one: right in the mean, though single waits differ."""

from random import Random
from statistics import fmean

import pytest

from vedette.messages.events import EndpointLoad
from vedette.testing import EPOCH
from vedette_recommender.loading import Load

MEAN_TOKENS, SLOTS, SHARING, CALLS = 200.0, 2, 0.4, 3000


def expected(others: int) -> float:
    """Return the answers ahead times how long each takes, in tokens at rest, as the recommender works it out."""
    event = EndpointLoad(
        id="load",
        at=EPOCH,
        endpoint="box",
        every_s=10.0,
        source="simulated",
        elapsed_ms=1.0,
        bytes=100,
        running=min(others, SLOTS),
        waiting=others - min(others, SLOTS),
        slots=SLOTS,
    )
    pressure = Load(event=event, sharing=SHARING).pressure("m")
    return pressure.ahead * pressure.output * MEAN_TOKENS


def waits(others: int, rng: Random) -> list[float]:
    """Return how long further requests wait for a slot where *others* ask for one answer after the other."""
    found = []
    for _ in range(CALLS):
        running = [rng.expovariate(1 / MEAN_TOKENS) for _ in range(SLOTS)]
        waited = 0.0
        for ended in range(others - SLOTS + 1):
            shortest = min(running)
            waited += shortest * (1 + SHARING * (SLOTS - 1))
            running = [left - shortest for left in running]
            running.remove(0.0)
            if ended < others - SLOTS:
                running.append(rng.expovariate(1 / MEAN_TOKENS))
        found.append(waited)
    return found


@pytest.mark.parametrize("others", [2, 3, 4, 6, 10])
def test_the_expected_wait_is_the_mean_of_simulated_ones(others: int) -> None:
    assert expected(others) / fmean(waits(others, Random(7))) == pytest.approx(1.0, abs=0.06)
