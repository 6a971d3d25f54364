"""Which models are measured unasked, of those that are due."""

from datetime import UTC, datetime, timedelta

import pytest

from samples import lifecycle_event, model_info
from vedette.endpoints import spending
from vedette.messages.catalogue import Catalogue, ModelState
from vedette.types import ModelRef
from vedette_benchmarker.permission import copy_measured

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def states(**digests: str | None) -> dict[str, ModelState]:
    """Return models by name, with their digests."""
    found = [
        lifecycle_event("found", ref, at=NOW, info=model_info(ref, digest=digest))
        for name, digest in digests.items()
        for ref in (ModelRef("box", name),)
    ]
    catalogue = Catalogue.of(enumerate(found, 1))
    return {state.model.name: state for state in catalogue.present()}


@pytest.mark.parametrize(
    ("measured", "chosen"), [((), "a"), (("b",), "b"), (("b", "c"), "b"), (("other",), "a")]
)
def test_one_of_several_copies_is_measured(measured: tuple[str, ...], chosen: str) -> None:
    """The one that was measured already, else the first by name; each job comes to the same."""
    known = states(a="d", b="d", c="d", other="e")

    def measured_at(state: ModelState) -> datetime | None:
        return NOW if state.model.name in measured else None

    for name in ("a", "b", "c"):
        beside = [state for state in known.values() if state.model.name != name]
        found = copy_measured(known[name], beside, measured_at)
        assert (found.name if found else name) == chosen
    assert copy_measured(known["other"], [known["a"]], measured_at) is None


def test_without_a_digest_nothing_is_a_copy() -> None:
    """Not known is not the same."""
    known = states(a=None, b=None)
    assert copy_measured(known["b"], [known["a"]], lambda _: None) is None


@pytest.mark.fault(
    "a paid service lists hundreds of models",
    "I5",
    without=("vedette.endpoints.spending:is_round_full", lambda *_: False),
)
def test_hundreds_of_models_are_not_measured_at_once() -> None:
    """Where calls may cost: ten within an hour, and the rest later."""
    just_now = [NOW - timedelta(minutes=5)] * spending.MAX_MODELS_PER_ROUND
    assert spending.is_round_full([*just_now, None], NOW)
    assert not spending.is_round_full([*just_now[1:], None, NOW - timedelta(hours=2)], NOW)
    ahead = [NOW + timedelta(days=365)] * spending.MAX_MODELS_PER_ROUND
    assert not spending.is_round_full(ahead, NOW), "by a clock that was a year ahead"
