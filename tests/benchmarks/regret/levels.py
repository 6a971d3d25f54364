"""What a wrong difficulty of levels does to recommendations, and what standard questions alone would do.

Each fleet answers as many questions in each case. Only the difficulty of levels differs from what is stated: all levels
are farther from the standard one or nearer to it, or each is one or the other by chance, the same for all models.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec.structs import replace

from benchmarks.regret import asker, knowledge, worlds
from benchmarks.regret.answers import Wrong
from benchmarks.regret.table import NOW, UTILITIES, lost_by, regret
from benchmarks.regret.worlds import USE_CASES, Truth
from vedette_recommender.as_of import At

CONDITIONS: Final = tuple(
    condition
    for condition in knowledge.CONDITIONS
    if condition.name in ("everything measured", "suites saturated", "suites at the floor")
)
AS_STATED: Final = "as stated"
WRONG: Final[Mapping[str, Wrong]] = {
    AS_STATED: Wrong(),
    "all 1 farther": Wrong(farther=1.0),
    "all 1 nearer": Wrong(farther=-1.0),
    "each 1 farther or nearer": Wrong(either=1.0),
}
STANDARD: Final = "standard questions only"
Lost = dict[tuple[str, str, str], list[float]]  # by condition, case and utility, a figure a fleet


def measure(fleets: int) -> Lost:
    """Return what is lost in so many fleets, the mean of the use cases."""
    lost: Lost = defaultdict(list)
    for number in range(fleets):
        fleet = worlds.world(number)
        for condition in CONDITIONS:
            for name in (*WRONG, STANDARD):
                found = _lost(
                    fleet, replace(condition, wrong=WRONG.get(name, Wrong())), number, name != STANDARD
                )
                for utility, value in found.items():
                    lost[condition.name, name, utility].append(value)
    return lost


def _lost(
    fleet: tuple[Truth, ...], condition: knowledge.Condition, number: int, levels: bool
) -> dict[str, float]:
    events = list(knowledge.events(fleet, condition, NOW, number, levels=levels))
    chosen = asker.chosen(asker.answers_to(events, At(NOW)), USE_CASES)
    return lost_by(fleet, chosen)


def lines(lost: Lost) -> Iterator[str]:
    """Yield the table as Markdown; differences are to the same fleets where levels are as stated."""
    yield f"| what is known | levels | {' | '.join(f'{name} | difference' for name in UTILITIES)} |"
    yield "|---|---|" + "---:|---:|" * len(UTILITIES)
    for condition in CONDITIONS:
        for name in (*WRONG, STANDARD):
            cells = []
            for utility in UTILITIES:
                values, stated = (lost[condition.name, one, utility] for one in (name, AS_STATED))
                more = regret([value - other for value, other in zip(values, stated, strict=True)])
                cells += [
                    str(regret(values)),
                    "" if name == AS_STATED else f"{more.mean:+.2f} ± {more.half:.2f}",
                ]
            yield f"| {condition.name} | {name} | {' | '.join(cells)} |"
