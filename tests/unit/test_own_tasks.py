"""How well a model does in tasks of a caller: an interval that more questions of the same suites do not close."""

import csv
import math
from collections import defaultdict
from importlib.resources import files
from random import Random

import pytest

from vedette.knowledge.abilities import AXES
from vedette.types import Score
from vedette.usecases import KINDS
from vedette.usecases.estimating import TEST_SPREAD, own_tasks

CHAT = KINDS["chat"]


def score(right: int, of: int) -> Score:
    return Score(successes=right, trials=of, suite="x@1")


def alike(right: int, of: int) -> dict[str, Score]:
    """Return so many right answers in each suite of chat."""
    return dict.fromkeys(CHAT, score(right, of))


def width(scores: dict[str, Score]) -> float:
    """Return how wide the interval is."""
    found = own_tasks(scores, CHAT)
    assert found
    return found[1] - found[0]


def test_without_answers_nothing_is_said() -> None:
    assert own_tasks({}, CHAT) is None
    assert own_tasks({"tools": score(3, 3)}, CHAT) is None


def test_more_answers_narrow_it_and_never_close_it() -> None:
    """The tasks of a caller may be easier or harder than the suites, however often those were asked."""
    assert width(alike(2, 4)) > width(alike(20, 40)) > width(alike(2000, 4000)) > 0.6


def test_more_suites_narrow_it() -> None:
    assert width({"arithmetic": score(240, 480)}) > width(alike(40, 80))


def test_it_is_a_share_even_if_all_or_nothing_is_right() -> None:
    for right in (0, 12):
        low, high = own_tasks(alike(right, 12), CHAT) or (1.0, 0.0)
        assert 0.0 < low < high < 1.0


def test_it_covers_the_tasks_of_a_model_whose_suites_differ_as_published_tests_do() -> None:
    """In 2,000 random models: nominal 95 %."""
    rng = Random(4)
    covered = 0
    for _ in range(2000):
        ability = rng.gauss(0, 1.2)

        def share(middle: float = ability) -> float:
            return 1 / (1 + math.exp(-rng.gauss(middle, TEST_SPREAD)))

        rates = {kind: share() for kind in CHAT}
        scores = {
            kind: score(sum(rng.random() < rate for _ in range(12)), 12) for kind, rate in rates.items()
        }
        low, high = own_tasks(scores, CHAT) or (0.0, 0.0)
        covered += low <= share() <= high
    assert covered / 2000 == pytest.approx(0.95, abs=0.03)


def test_the_spread_is_that_of_published_tests() -> None:
    """Of one model between tests of one use case, the use cases alike: those with several tests of right answers."""
    data = files("vedette.knowledge") / "data"
    use_case = {
        row["benchmark"]: row["use_case"]
        for row in csv.DictReader((data / "benchmarks.csv").read_text().splitlines())
        if row["use_case"] in AXES
        and row["use_case"] not in ("embedding", "multilingual_embedding", "vision")
    }
    logits: dict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)
    for row in csv.DictReader((data / "facts.csv").read_text().splitlines()):
        if row["fact"] in use_case and "Arena" not in row["fact"]:  # ratings are no shares
            share = min(max(float(row["value"]) / 100, 0.01), 0.99)
            logits[use_case[row["fact"]], row["model"], row["mode"]][row["fact"]] = math.log(
                share / (1 - share)
            )
    squares: dict[str, float] = defaultdict(float)
    freedom: dict[str, int] = defaultdict(int)
    for (of, _, _), found in logits.items():
        mean = sum(found.values()) / len(found)
        squares[of] += sum((one - mean) ** 2 for one in found.values())
        freedom[of] += len(found) - 1
    variances = [squares[of] / count for of, count in freedom.items() if count > 100]
    assert len(variances) >= 6
    assert math.sqrt(sum(variances) / len(variances)) == pytest.approx(TEST_SPREAD, abs=0.07)
