"""What is used of an endpoint in a day, and what its budget still covers."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samples import model_info
from vedette.endpoints.budget import charge, cost, covers, used
from vedette.settings import Budget, EndpointSettings, Rates
from vedette.types import ModelRef, Price, Use

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
FREE = EndpointSettings(url="http://h:1")
PAID = EndpointSettings(url="http://h:1", price=Rates(input_usd_per_mtok=1.0, output_usd_per_mtok=4.0))


def test_use_is_counted_by_purpose_and_day() -> None:
    """A new day begins at nothing."""
    ledger = charge(None, "probe", Use(requests=3, tokens=24), NOON)
    ledger = charge(ledger, "benchmark", Use(requests=7, tokens=4000), NOON)
    ledger = charge(ledger, "probe", Use(requests=2), NOON)
    assert ledger.by == {"probe": Use(requests=5, tokens=24), "benchmark": Use(requests=7, tokens=4000)}
    assert used(ledger, NOON) == Use(requests=12, tokens=4024)
    tomorrow = NOON + timedelta(days=1)
    assert used(ledger, tomorrow) == Use()
    assert charge(ledger, "probe", Use(requests=1), tomorrow).by == {"probe": Use(requests=1)}


def test_replicas_whose_clocks_differ_by_seconds_share_a_day() -> None:
    """At midnight, what one has charged to the new day the other does not begin anew."""
    midnight = NOON + timedelta(hours=12)
    ledger = charge(None, "probe", Use(requests=3), midnight)
    behind = midnight - timedelta(seconds=3)
    ledger = charge(ledger, "probe", Use(requests=1), behind)
    assert used(ledger, behind) == used(ledger, midnight) == Use(requests=4)


@pytest.mark.fault("a wrong clock dated an endpoint's ledger", "I5")
def test_a_ledger_of_the_future_holds_nothing_up() -> None:
    """Today begins at nothing."""
    ledger = charge(None, "probe", Use(requests=10), NOON + timedelta(days=31))
    assert used(ledger, NOON) == Use()
    assert charge(ledger, "probe", Use(requests=1), NOON).total == Use(requests=1)


def test_money_is_counted_where_there_is_a_price() -> None:
    """Input and output have their own."""
    info = model_info(ModelRef("box", "m"))
    asked = {"requests": 1, "prompt_tokens": 1_000_000, "output_tokens": 500_000}
    assert cost(FREE, info, **asked).usd == 0
    assert cost(PAID, info, **asked).usd == pytest.approx(3.0)


def test_money_is_counted_by_the_price_that_the_service_tells() -> None:
    """Where the configuration names none: a budget in USD would bound nothing else."""
    price = Price(input_usd_per_mtok=2.0, output_usd_per_mtok=8.0, source="service")
    info = model_info(ModelRef("box", "m"), price=price)
    asked = {"requests": 1, "prompt_tokens": 1_000_000, "output_tokens": 500_000}
    assert cost(FREE, info, **asked).usd == pytest.approx(6.0)
    assert cost(PAID, info, **asked).usd == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("budget", "more", "fits"),
    [
        (Budget(), Use(requests=10**9, tokens=10**9, usd=1e9), True),
        (Budget(requests_per_day=10), Use(requests=10), True),
        (Budget(requests_per_day=10), Use(requests=11), False),
        (Budget(tokens_per_day=100), Use(requests=99, tokens=101), False),
        (Budget(usd_per_day=0.5), Use(usd=0.51), False),
        (Budget(usd_per_day=0.5), Use(usd=0.5), True),
    ],
)
def test_every_limit_of_a_budget_is_kept(budget: Budget, more: Use, fits: bool) -> None:
    assert covers(budget, None, more, NOON) is fits


@given(per_day=st.integers(50, 5000), every_min=st.integers(1, 60), requests=st.integers(1, 20))
def test_a_schedule_too_dense_for_its_budget_is_stretched_over_the_day(
    per_day: int, every_min: int, requests: int
) -> None:
    """Whatever is asked how often: the budget holds, and probes go on into the last hours of the day."""
    budget, ledger = Budget(requests_per_day=per_day), None
    start = NOON.replace(hour=0)
    done = []
    for minute in range(0, 24 * 60, every_min):
        now = start + timedelta(minutes=minute)
        if covers(budget, ledger, Use(requests=requests), now, paced=True):
            ledger = charge(ledger, "probe", Use(requests=requests), now)
            done.append(minute)
    assert used(ledger, start).requests <= per_day
    gaps = [b - a for a, b in pairwise(done)]
    # As even as whole probes allow: no pause is longer than what one probe's share of the day comes to.
    share_min = max(every_min, requests / per_day * 24 * 60)
    assert max(gaps, default=0) <= share_min + every_min + 1e-6  # what the last bit of the share comes to
