"""Questions go to the models whose answers can change a recommendation."""

from datetime import UTC, date, datetime
from random import Random

import pytest
from msgspec.structs import replace

from benchmarks.regret import questions
from samples import model_info, rating_event
from vedette.knowledge import Expectation
from vedette.messages.catalogue import Catalogue
from vedette.messages.events import ModelFound
from vedette.types import Claim, Evidence, ModelRef, Price, Rating, Score
from vedette.usecases import BUILT_IN, KINDS, levels
from vedette_benchmarker import racing
from vedette_benchmarker.racing import MAX_TRIALS, STEP, Entrant, Questions, race

NOW = datetime(2026, 11, 30, tzinfo=UTC)
CHAT = {"chat": BUILT_IN["chat"]}
ALL = frozenset(kind for kinds in KINDS.values() for kind in kinds)


def entrant(
    name: str, right: int = 2, of: int = 3, *, expected: float = 0.6, spread: float = 0.15
) -> Entrant:
    """Return a model with so many right answers in each kind."""
    return Entrant(
        info=model_info(ModelRef("box", name), kind="chat", free=True),
        scores={kind: Score(successes=right, trials=of, suite=f"{kind}@1") for kind in ALL},
        expected={use_case: Expectation(quality=expected, spread=spread) for use_case in BUILT_IN},
        vouched={},
        askable=ALL,
        output_tps=30.0,
        ttft_ms=300.0,
    )


def raced(*entrants: Entrant) -> dict[str, Questions]:
    """Return the questions by name of the model."""
    return {one.model.name: one for one in race(entrants, CHAT)}


def test_two_that_may_be_the_best_are_asked_about_what_tells_of_it() -> None:
    wanted = raced(entrant("a"), entrant("b"))
    assert set(wanted) == {"a", "b"}
    assert wanted["a"].items == {
        "general_knowledge": STEP // 2,
        "instructions": STEP // 2,
    }  # the others weigh half


def test_what_was_asked_least_is_asked_next() -> None:
    """There an answer makes the estimate surest."""
    asked = dict.fromkeys(ALL, Score(successes=10, trials=20, suite="x@1")) | {
        "arithmetic": Score(successes=2, trials=3, suite="x@1")
    }
    one, other = (replace(entrant(name, spread=0.3), scores=asked) for name in "ab")
    assert raced(one, other)["a"].items == {"arithmetic": STEP}


def test_a_model_far_below_the_best_is_not_asked_further() -> None:
    """Nor is the best then, which no other can reach; a close one is asked."""
    best, bad = entrant("best", 19, 20, expected=0.9), entrant("bad", 1, 20, expected=0.2)
    assert not raced(best, bad)
    assert set(raced(best, bad, entrant("close", 3, 3, expected=0.9))) == {"close"}


def test_a_model_that_is_worse_but_fast_enough_to_win_stays_in() -> None:
    """What counts is the score, of which quality is a part."""
    good, less = entrant("good", 7, 8, expected=0.75), entrant("less", 5, 8, expected=0.5)
    assert "less" not in raced(good, less)
    assert "less" in raced(replace(good, output_tps=6.0), replace(less, output_tps=60.0))


def test_no_suite_is_asked_more_than_its_most() -> None:
    """So equals are not asked endlessly."""
    full = {kind: Score(successes=30, trials=MAX_TRIALS - 1, suite=f"{kind}@1") for kind in ALL}
    assert "a" not in raced(replace(entrant("a", spread=0.3), scores=full), entrant("b", spread=0.3))


def test_suites_that_all_models_pass_or_fail_are_asked_no_more() -> None:
    """They tell no models apart, and the one that is asked most would win by that."""
    for right in (0, 20):
        assert not raced(*(entrant(name, right, 20, spread=0.3) for name in "abc"))


def test_where_all_models_pass_harder_questions_are_raced() -> None:
    """And easier ones where all of them fail."""
    for right, level in ((3, "hard"), (0, "easy")):
        askable = frozenset(levels.key(kind, one) for kind in ALL for one in levels.DIFFICULTY)
        wanted = raced(*(replace(entrant(name, right, 3, spread=0.3), askable=askable) for name in "abc"))
        assert set(wanted) == set("abc")
        assert {levels.split(name)[1] for one in wanted.values() for name in one.items} == {level}


def test_the_most_of_a_suite_is_of_all_its_levels() -> None:
    half = {
        levels.key(kind, level): Score(successes=MAX_TRIALS // 2, trials=MAX_TRIALS // 2, suite=f"{kind}@1")
        for kind in ALL
        for level in (levels.STANDARD, "hard")
    }
    one = replace(entrant("a", spread=0.3), scores=half, askable=ALL | half.keys())
    assert "a" not in raced(one, entrant("b", spread=0.3))


def test_the_best_free_model_is_looked_for_beside_the_best() -> None:
    """Many may not call another one."""
    hosted = replace(
        entrant("hosted", 20, 20, expected=0.95, spread=0.03),
        info=model_info(
            ModelRef("cloud", "hosted"),
            kind="chat",
            free=False,
            price=Price(input_usd_per_mtok=0.1, output_usd_per_mtok=0.1, source="list", as_of="2026-11"),
        ),
    )
    slow = [replace(entrant(name), output_tps=9.0) for name in ("a", "b")]
    assert set(raced(hosted, *slow)) == {"a", "b"}


@pytest.mark.parametrize(
    "out", [{"rests": True}, {"serves": False}, {"askable": frozenset()}, {"vouched": {"chat": 0.6}}]
)
def test_who_cannot_be_asked_is_not(out: dict[str, object]) -> None:
    assert "a" not in raced(replace(entrant("a"), **out), entrant("b"), entrant("c"))


def test_of_several_ratings_the_newest_holds() -> None:
    """As in the recommender: wherever it was given, in the configuration or imported."""
    old = Rating(score=0.1, source="us", as_of=date(2025, 1, 1))
    new = Rating(score=0.9, source="us", as_of=date(2026, 1, 1))
    for configured, imported in ((old, new), (new, old)):
        catalogue = Catalogue()
        model = ModelRef("box", "a")
        found = ModelFound(id="1", at=NOW, model=model, info=model_info(model, kind="chat"), revision=1)
        catalogue.apply(found, 1)
        catalogue.apply(rating_event(model, imported, at=NOW), 2)
        (state,) = catalogue.present()
        one = racing.entrant(state, ALL, [configured])
        assert one
        assert one.vouched == {None: 0.9}


def test_what_lacks_a_capability_does_not_race_where_it_is_needed() -> None:
    lacking = {"tools": Claim(value=False, evidence=Evidence.VERIFIED, source="call")}
    agents = {"agent": BUILT_IN["agent"]}
    a, b = entrant("a"), entrant("b")
    without = replace(a, info=replace(a.info, capabilities=lacking))
    assert race([a, b], agents)
    assert not race([without, b], agents)


def test_replicas_decide_the_same_whatever_the_order() -> None:
    rng = Random(3)
    entrants = [entrant(f"m{n}", rng.randint(0, 3), expected=rng.uniform(0.3, 0.9)) for n in range(12)]
    wanted = race(entrants, BUILT_IN)
    assert wanted == race(rng.sample(entrants, len(entrants)), BUILT_IN)
    assert [one.gain for one in wanted] == sorted((one.gain for one in wanted), reverse=True)


def test_a_race_asks_a_third_and_recommends_as_well() -> None:
    """A short run of `python -m benchmarks questions`."""
    fleets = [questions.Fleet.simulated(seed, 12) for seed in range(3)]
    few, many = questions.spent(questions.raced, fleets), questions.spent(questions.alike(14), fleets)
    assert few.questions < 0.45 * many.questions
    for utility in few.regrets:
        assert few.regrets[utility].mean <= many.regrets[utility].mean + 0.5
