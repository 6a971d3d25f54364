"""What Vedette chooses is nearly the best choice, whatever it knows: a short run of `python -m benchmarks regret`."""

import math
import sys
from pathlib import Path
from random import Random

import pytest

from benchmarks.regret import asker, hours, knowledge, strange, table, worlds
from vedette_recommender.as_of import At

FLEETS = 8
# Points of 100 by the utility of the use case's own weights, and by the plain one. A whole run has less.
BOUNDS = {
    "everything measured": (1.0, 2.5),
    "30 % unmeasured": (2.0, 5.0),
    "stale": (1.5, 4.0),
    "hosted by default": (2.0, 5.0),
    "speed, no quality": (3.0, 6.0),
    "nothing measured": (5.0, 9.0),
    "suites saturated": (4.0, 8.0),
    "suites at the floor": (4.0, 8.0),
}


@pytest.fixture(scope="module")
def lost() -> table.Lost:
    """Return what each chooser lost in a few fleets."""
    return table.measure(FLEETS)


@pytest.mark.parametrize("condition", [one.name for one in knowledge.CONDITIONS])
def test_the_regret_is_small(lost: table.Lost, condition: str) -> None:
    """And a fraction of what simple rules lose."""
    told = table.summed(lost)
    for utility, bound in zip(table.UTILITIES, BOUNDS[condition], strict=True):
        ours = told[condition, utility, "Vedette", ""].mean
        assert ours <= bound
        for other in ("random", "fastest", "hard-coded", "largest"):
            assert ours < 0.7 * told[condition, utility, other, ""].mean


def test_an_earlier_release_is_asked_in_its_own_process() -> None:
    """The same release chooses the same, by its own copy of the asker."""
    here = Path(__file__).parents[2]
    fleet, condition = worlds.world(1, models=(8, 8)), knowledge.CONDITIONS[0]
    events = list(knowledge.events(fleet, condition, table.NOW, 1))
    earlier = table.Earlier(here, python=[sys.executable])
    try:
        assert earlier.knows_levels
        told = earlier.asked(events)
        assert told == asker.chosen(asker.answers_to(events, At(table.NOW)), worlds.USE_CASES)
        assert all(told.values())
    finally:
        earlier.close()


def test_an_earlier_release_without_an_asker_gets_todays_and_standard_questions(tmp_path: Path) -> None:
    fleet, condition = worlds.world(1, models=(8, 8)), knowledge.CONDITIONS[0]
    earlier = table.Earlier(tmp_path, python=[sys.executable])
    try:
        assert not earlier.knows_levels
        events = list(knowledge.events(fleet, condition, table.NOW, 1, levels=earlier.knows_levels))
        assert all(earlier.asked(events).values())
    finally:
        earlier.close()


def test_an_earlier_release_that_ends_is_named(tmp_path: Path) -> None:
    earlier = table.Earlier(tmp_path, python=["false"])
    with pytest.raises(RuntimeError, match="ended with exit code 1"):
        earlier.asked([])
    earlier.close()


@pytest.mark.parametrize(("signal", "within_s"), [("load", 15), ("reports", 30)])
def test_the_answer_leaves_a_server_that_became_slow(signal: str, within_s: float) -> None:
    """A short run of `python -m benchmarks now`."""
    found = hours.slow(signal, 0, hours=0.2, lasts_s=math.inf)
    assert found["left_s"] <= within_s


@pytest.mark.parametrize("name", list(strange.WORLDS))
def test_strange_worlds_are_worlds(name: str) -> None:
    """As many models, with shares of right answers; only one of them is as simulated."""
    fleet = worlds.world(2)
    changed = tuple(strange.WORLDS[name](fleet, Random(name)))
    assert len({(one.endpoint, one.name) for one in changed}) == len(fleet)
    assert all(
        0.0 <= share <= 1.0 for one in changed for share in (*one.rates.values(), *one.quality.values())
    )
    assert (changed == fleet) is (name == "as simulated")
