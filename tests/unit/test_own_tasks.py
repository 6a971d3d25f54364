"""How well a model does in tasks of a caller: an interval that more questions of the same suites do not close."""

import csv
import math
import re
from collections import defaultdict
from collections.abc import Mapping
from importlib.resources import files
from random import Random
from statistics import fmean

import pytest

from vedette.types import Score
from vedette.usecases import KINDS
from vedette.usecases.estimating import TEST_SPREAD, own_tasks

CHAT = KINDS["chat"]
# Which published tests ask what the suites of a use case ask, by the use cases that their sources name.
PUBLISHED = {
    "chat": {"chat", "knowledge", "multilingual", "language", "reasoning"},
    "reasoning": {"reasoning", "code_generation"},
    "code_generation": {"code_generation", "chat"},
    "documentation": {"chat", "extraction", "long_context"},
    "summarisation": {"long_context", "extraction", "chat", "summarise/rag"},
    "extraction": {"extraction", "tools", "long_context"},
    "agent": {"agent", "tools", "chat"},
}


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


def test_suites_that_differ_much_widen_it() -> None:
    """A model that knows facts and follows no instruction may fare either way in other tasks."""
    uneven = {**alike(0, 12), "general_knowledge": score(12, 12)}
    even = alike(3, 12)  # about as many right answers
    assert width(uneven) > 1.2 * width(even)
    assert (own_tasks(uneven, CHAT) or (0, 0))[1] > 0.8


def test_chance_alone_widens_it_little() -> None:
    """Shares of few answers differ without any difference between the suites."""
    rng = Random(2)
    drawn = [dict.fromkeys(CHAT, score(0, 0)) for _ in range(200)]
    for scores in drawn:
        scores |= {kind: score(sum(rng.random() < 0.5 for _ in range(12)), 12) for kind in CHAT}
    assert fmean(map(width, drawn)) < 1.05 * width(alike(6, 12))


def test_it_covers_the_tasks_of_a_model_whose_suites_differ_as_published_tests_do() -> None:
    """In 2,000 random models: nominal 95 %."""
    rng = Random(4)
    covered = 0
    for _ in range(2000):
        ability = rng.gauss(0, 1.2)

        def share(middle: float = ability) -> float:
            return 1 / (1 + math.exp(-rng.gauss(middle, TEST_SPREAD)))

        rates = {kind: share() for kind in CHAT}
        covered += holds(share(), rates, CHAT, rng)
    assert covered / 2000 == pytest.approx(0.96, abs=0.02)


def holds(left_out: float, rates: Mapping[str, float], kinds: Mapping[str, float], rng: Random) -> bool:
    """Return whether the interval by 12 answers in each suite has the share that was *left_out*."""
    scores = {kind: score(sum(rng.random() < rate for _ in range(12)), 12) for kind, rate in rates.items()}
    low, high = own_tasks(scores, kinds) or (0.0, 0.0)
    return low <= left_out <= high


def test_it_covers_published_tests_that_are_left_out() -> None:
    """Of models with several tests of a use case: all but one as suites, and the interval has the one left out.

    With a spread of 0.9 that counted editions of one test as tests, and without regard to how much the suites differ,
    it had 91 % of them, and 77 % in `agent`.
    """
    rng = Random(1)
    held: dict[str, list[bool]] = defaultdict(list)
    for (use_case, _, _), found in published().items():
        shares = [1 / (1 + math.exp(-one)) for one in found.values()]
        if len(shares) >= 4:
            rng.shuffle(shares)
            rates = {f"suite-{place}": share for place, share in enumerate(shares[1:6])}
            held[use_case].append(holds(shares[0], rates, dict.fromkeys(rates, 1.0), rng))
    assert sum(map(len, held.values())) > 1500
    by_use_case = {use_case: fmean(one) for use_case, one in held.items()}
    assert fmean(by_use_case.values()) == pytest.approx(0.955, abs=0.02)
    assert min(by_use_case.values()) > 0.88


def published() -> dict[tuple[str, str, str], dict[str, float]]:
    """Return the logits by use case, model and mode, and by test, the mean of its editions."""
    data = files("vedette.knowledge") / "data"
    tests = {
        row["benchmark"]: row for row in csv.DictReader((data / "benchmarks.csv").read_text().splitlines())
    }
    logits: dict[tuple[str, str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in csv.DictReader((data / "facts.csv").read_text().splitlines()):
        test = tests.get(row["fact"])
        if test is None or "Arena" in row["fact"] or "overall" in row["fact"]:  # no shares, or no single test
            continue
        share = min(max(float(row["value"]) / 100, 0.01), 0.99)
        for use_case, asked in PUBLISHED.items():
            if test["use_case"] in asked:
                of = logits[use_case, row["model"], row["mode"]]
                of[without_edition(test["board"], row["fact"])].append(math.log(share / (1 - share)))
    return {of: {test: fmean(each) for test, each in found.items()} for of, found in logits.items()}


def without_edition(board: str, test: str) -> str:
    if board == "LiveBench":
        return test.split(" ", 2)[2]
    if board == "self-reported":
        return re.sub(r"self-reported |[ -]|benchmark", "", test).lower()
    return test.split(" (")[0]


def test_the_spread_is_that_of_published_tests() -> None:
    """Of one model between tests of what a use case asks, the use cases alike."""
    squares: dict[str, float] = defaultdict(float)
    freedom: dict[str, int] = defaultdict(int)
    for (of, _, _), found in published().items():
        mean = fmean(found.values())
        squares[of] += sum((one - mean) ** 2 for one in found.values())
        freedom[of] += len(found) - 1
    assert set(squares) == set(PUBLISHED)
    assert min(freedom.values()) > 250
    assert math.sqrt(fmean(squares[of] / freedom[of] for of in squares)) == pytest.approx(
        TEST_SPREAD, abs=0.04
    )
