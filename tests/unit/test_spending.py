"""What may be generated unasked: nothing whose cost is not known to be nothing, without leave."""

from datetime import UTC, datetime

import msgspec
import pytest

from samples import lifecycle_event, model_info
from vedette.endpoints import spending
from vedette.messages.catalogue import Catalogue
from vedette.settings import Budget, EndpointSettings, Rates
from vedette.types import ModelInfo, ModelRef, Price

NOW = datetime(2026, 11, 29, tzinfo=UTC)
ENDPOINT = EndpointSettings(url="http://gateway:4000")
PRICE = Price(input_usd_per_mtok=1.0, output_usd_per_mtok=2.0, source="test")


def info(name: str = "m", **facts: object) -> ModelInfo:
    return model_info(
        ModelRef("gateway", name), **{"sources": {"free": "LiteLLM passes requests on"}} | facts
    )


def configured(**settings: object) -> EndpointSettings:
    return msgspec.structs.replace(ENDPOINT, **settings)


@pytest.mark.fault(
    "calls of a model may cost money",
    "I5",
    without=("vedette.endpoints.spending:why_not", lambda *_: None),
)
@pytest.mark.parametrize("free", [False, None])
def test_what_may_cost_is_not_measured_without_leave(free: bool | None) -> None:
    """Not known is not free."""
    why = spending.why_not(info(free=free), ENDPOINT)
    assert why is not None
    assert "calls may cost" in why


def test_what_costs_nothing_is_measured() -> None:
    """Unless the configuration says otherwise."""
    assert spending.why_not(info(free=True), ENDPOINT) is None
    assert spending.why_not(info(free=True), configured(measure=False)) == "measure = false"


@pytest.mark.parametrize(
    ("settings", "price", "given"),
    [
        ({"measure": True}, None, True),
        ({"budget": Budget(tokens_per_day=1000)}, None, True),
        ({"budget": Budget(requests_per_day=10)}, None, True),
        ({"budget": Budget(usd_per_day=1.0)}, PRICE, True),
        ({"budget": Budget(usd_per_day=1.0)}, None, False),  # no price is known: it bounds nothing
        ({"budget": Budget(tokens_per_day=1000), "measure": False}, None, False),
        ({"price": Rates(input_usd_per_mtok=1.0, output_usd_per_mtok=1.0)}, PRICE, False),
    ],
)
def test_leave_is_given_by_the_configuration(
    settings: dict[str, object], price: Price | None, given: bool
) -> None:
    """`measure`, or a budget that bounds what is spent."""
    assert (spending.why_not(info(free=False, price=price), configured(**settings)) is None) is given


def test_leave_without_a_budget_is_bounded() -> None:
    """A person who says `measure = true` has not said how much."""
    may = spending.budget(info(free=False), configured(measure=True))
    assert may.tokens_per_day == spending.DEFAULT_TOKENS_PER_DAY
    own = Budget(tokens_per_day=5)
    assert spending.budget(info(free=False), configured(measure=True, budget=own)) == own
    assert spending.budget(info(free=True), configured(measure=True)) == Budget()
    dollars = Budget(usd_per_day=1.0)
    assert spending.budget(info(free=False, price=PRICE), configured(budget=dollars)) == dollars


def test_the_default_bound_is_shown_where_it_holds() -> None:
    """In `endpoints`, beside what was used."""
    both = [info("a", free=True), info("b", free=False)]
    assert spending.limits(configured(measure=True), both).tokens_per_day == spending.DEFAULT_TOKENS_PER_DAY
    for settings in (ENDPOINT, configured(measure=False)):
        assert spending.limits(settings, both) == Budget()
    assert spending.limits(configured(measure=True), both[:1]) == Budget()


def catalogue(*infos: ModelInfo) -> Catalogue:
    return Catalogue.of(
        (place, lifecycle_event("found", one.model, at=NOW, info=one)) for place, one in enumerate(infos, 1)
    )


def test_what_waits_is_said_once_for_an_endpoint() -> None:
    """How many, why, and what gives leave."""
    known = catalogue(*(info(name, free=False) for name in ("a", "b")), info("c", free=True))
    found = spending.waiting(known, {"gateway": ENDPOINT})
    assert str(found["gateway"]) == (
        "2 models behind gateway are not measured: calls may cost (LiteLLM passes requests on); "
        "set measure = true or a budget in [endpoints.gateway]; "
        "never evaluated: gateway/a, gateway/b (price unknown: set price in [endpoints.gateway])"
    )
    assert str(spending.waiting(catalogue(info(free=False)), {"gateway": ENDPOINT})["gateway"]).startswith(
        "1 model behind gateway is not measured"
    )


@pytest.mark.parametrize("measure", [True, False])
def test_where_it_was_decided_nothing_waits(measure: bool) -> None:
    """Neither way."""
    known = catalogue(info(free=False))
    assert spending.waiting(known, {"gateway": configured(measure=measure)}) == {}
