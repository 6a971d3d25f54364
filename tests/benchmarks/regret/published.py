"""Regret where the truth is a published board that Vedette does not see: real models, real scores.

A fleet is a few models of one edition of a board. Vedette is asked, through the recommender's own code, with what
other boards say, with nothing that is published of these models, and with or without an evaluation of its own: as
many questions of each suite as by default, answered rightly as often as the board says. `quality` counts the board's
own points, and Vedette is asked by quality alone; `plain` adds the wait and the price, which are made up as in
`worlds`, and Vedette is asked as usual.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from random import Random
from statistics import fmean
from typing import Any, Final

from msgspec import Struct

from benchmarks.regret import asker, boards, knowledge, worlds, worth
from benchmarks.regret.boards import BOARDS, Board
from benchmarks.regret.table import NOW, Regret, regret
from benchmarks.regret.worlds import Truth
from vedette.knowledge.lines import tier
from vedette.usecases import KINDS
from vedette_recommender.as_of import At

_MODELS: Final = (4, 16)
_HALVES: Final = 2  # of one, the models are drawn; of the other, all is known where nothing is known of these
_KIND_SPREAD: Final = 0.35  # in logits: a suite is like the tasks of a board, and not the same
_MEMORY_GB, _BANDWIDTH_GB_S, _BITS = 160, 900, 4.8
_UNMEASURED: Final = knowledge.Condition(
    name="nothing measured", probed=False, benchmarked=0.0, evaluated=0.0
)
_MEASURED: Final = knowledge.Condition(name="everything measured", trials=12)
QUALITY_ALONE: Final = {
    "weights": {"quality": 1},
    "bounds": {"answer_s": 0, "answer_usd": 0, "quality": 0, "context_tokens": 0},
}


class Known(Struct, frozen=True):
    """What Vedette knows of a fleet."""

    name: str
    scores: bool  # of these models, by all other boards
    evaluated: bool


KNOWN: Final = (
    Known("name only", scores=False, evaluated=False),
    Known("other boards", scores=True, evaluated=False),
    Known("evaluated", scores=False, evaluated=True),
    Known("both", scores=True, evaluated=True),
)
RULES: Final = ("best single", "newest", "largest", "random")
UTILITIES: Final[Mapping[str, worth.Worth]] = {
    "quality": lambda fleet, use_case: [100 * truth.quality[use_case] for truth in fleet],
    "plain": worth.plain,
}
# By board, utility, chooser and use case ("" for the mean of its use cases): what was lost, a figure a fleet.
Lost = dict[tuple[str, str, str, str], list[float]]


def measure(fleets: int, *, only: Sequence[Board] = BOARDS) -> Lost:
    """Return what each chooser lost in so many fleets of each board."""
    lost: Lost = defaultdict(list)
    for board in only:
        for number in range(fleets):
            for key, value in _of_fleet(board, number):
                lost[board.name, *key].append(value)
    return lost


def _of_fleet(board: Board, number: int) -> Iterator[tuple[tuple[str, str, str], float]]:
    """Yield, by utility, chooser and use case, what was lost in one fleet."""
    rng = Random(f"published {board.name} {number}")
    edition = rng.choice(board.editions)
    half = rng.randrange(_HALVES)
    drawn = {name: told for name, told in boards.truths(edition).items() if _half(name) == half}
    names = rng.sample(sorted(drawn), min(rng.randint(*_MODELS), len(drawn)))
    fleet = [_truth(name, drawn[name], rng) for name in names]
    use_cases = tuple(edition.benchmarks)
    hidden = frozenset(name for name, _ in boards.scores() if _half(name) == half)
    for utility, of in UTILITIES.items():
        values = {use_case: of(fleet, use_case) for use_case in use_cases}
        chosen = {
            known.name: _asked(fleet, known, board, hidden, number, utility, use_cases) for known in KNOWN
        }
        places = {(truth.endpoint, truth.name): place for place, truth in enumerate(fleet)}
        worths = {
            who: {use_case: values[use_case][places[model]] for use_case, model in choices.items() if model}
            for who, choices in chosen.items()
        }
        worths |= _simple(fleet, values)
        for who, each in worths.items():
            left = {use_case: max(values[use_case]) - each.get(use_case, 0.0) for use_case in use_cases}
            yield from (((utility, who, use_case), value) for use_case, value in left.items())
            yield (utility, who, ""), fmean(left.values())


def _half(name: str) -> int:
    return Random(f"half {name}").randrange(_HALVES)


def _asked(
    fleet: Sequence[Truth],
    known: Known,
    board: Board,
    hidden: frozenset[str],
    number: int,
    utility: str,
    use_cases: Sequence[str],
) -> asker.Chosen:
    table = boards.without(board.words) if known.scores else boards.without(board.words, hidden)
    condition = _MEASURED if known.evaluated else _UNMEASURED
    answers = asker.answers_to(knowledge.events(fleet, condition, NOW, number), At(NOW), published=table)
    return asker.chosen(answers, use_cases, **(QUALITY_ALONE if utility == "quality" else {}))


def _simple(fleet: Sequence[Truth], values: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """Return what simple rules get: one model for everything, chosen by the truth; by date; by size; by chance."""

    def by(key: Callable[[int], Any]) -> dict[str, float]:
        place = max(range(len(fleet)), key=key)
        return {use_case: of[place] for use_case, of in values.items()}

    return {
        "best single": by(lambda place: fmean(of[place] for of in values.values())),
        "newest": by(lambda place: fleet[place].released),
        "largest": by(lambda place: (fleet[place].hosted, fleet[place].billions or 0.0)),
        "random": {use_case: fmean(of) for use_case, of in values.items()},
    }


def _truth(name: str, shares: Mapping[str, float], rng: Random) -> Truth:
    """Return the model *name* with the published *shares* of right answers, served as such a model would be."""
    row = boards.rows()[name]
    total = row.size_b
    hosted = total is None or total * _BITS / 8 > _MEMORY_GB
    active = row.active_b or total or 1.0
    size = tier(name.split("-"))
    tps, ttft = worlds.local_pace(active, _BANDWIDTH_GB_S, _BITS)
    if hosted:
        tps, ttft = worlds.SPEEDS[size], worlds.TTFT_MS[size]
    scale = rng.lognormvariate(0, 0.4)
    into, out_of = (round(scale * usd, 3) if hosted else 0.0 for usd in worlds.PRICES[size])
    return Truth(
        endpoint="vendor" if hosted else "host",
        name=name,
        family=None,
        hosted=hosted,
        billions=total,
        active=row.active_b,
        quantization=None,
        released=(row.released or date.min).isoformat(),
        quality=dict(shares),
        rates={kind: _rate(kind, shares, rng) for kind in worlds.KIND_NAMES},
        output_tps=tps * rng.lognormvariate(0, 0.4),
        ttft_ms=ttft * rng.lognormvariate(0, 0.4),
        reliability=1 - 10 ** -rng.uniform(1.7, 3.3),
        price=(into, out_of),
        context_tokens=32_768,
        tools=True,
    )


def _rate(kind: str, shares: Mapping[str, float], rng: Random) -> float:
    """Return how often a suite of this *kind* is answered rightly: as the tasks it tells of, by the weights."""
    weights = {use_case: KINDS[use_case].get(kind, 0.0) for use_case in shares}
    if not any(weights.values()):
        weights = dict.fromkeys(shares, 1.0)
    logits = {use_case: _logit(value) for use_case, value in shares.items()}
    mean = sum(weight * logits[use_case] for use_case, weight in weights.items()) / sum(weights.values())
    return 1 / (1 + math.exp(-rng.gauss(mean, _KIND_SPREAD)))


def _logit(value: float) -> float:
    kept = min(max(value, 0.005), 0.995)
    return math.log(kept / (1 - kept))


def lines(lost: Lost) -> Iterator[str]:
    """Yield the tables as Markdown."""
    told = {key: regret(values) for key, values in lost.items()}
    choosers = (*(known.name for known in KNOWN), *RULES)
    for utility in UTILITIES:
        yield f"\nRegret by the {utility} utility, points of 100 (mean ± 95 %):\n"
        yield f"| board | use case | {' | '.join(choosers)} |"
        yield "|---|---|" + "---:|" * len(choosers)
        for board in BOARDS:
            if (board.name, utility, "random", "") in told:
                yield from _of_board(board, utility, choosers, told)
        row = (regret(_over_boards(lost, utility, who)) for who in choosers)
        yield f"| all with several | mean | {' | '.join(map(str, row))} |"


def _of_board(
    board: Board, utility: str, choosers: Sequence[str], told: Mapping[tuple[str, str, str, str], Regret]
) -> Iterator[str]:
    for use_case in board.use_cases:
        row = (
            # With one use case, the best single model is the best one; a few fleets may leave a use case out.
            ""
            if who == "best single" and len(board.use_cases) == 1
            else str(told.get((board.name, utility, who, use_case), ""))
            for who in choosers
        )
        yield f"| {board.name} | {use_case} | {' | '.join(row)} |"


def _over_boards(lost: Lost, utility: str, who: str) -> list[float]:
    """Return the mean over its use cases of every fleet of the boards that have several."""
    several = [board.name for board in BOARDS if len(board.use_cases) > 1]
    return [value for name in several for value in lost.get((name, utility, who, ""), [])]
