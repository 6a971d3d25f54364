"""Published boards as the truth: what each asks, which facts it must not see, and what is left to know without them.

All facts come from the package (`vedette/knowledge/data`, whose `sources.csv` names source and licence of each).
While a board is the truth, none of its scores counts, and none that a vendor reports of the same test. The scale is
fitted again without them. It is then brought to the package's scale by two numbers, which changes no order.
"""

import csv
import io
import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

import numpy as np
from msgspec import Struct
from msgspec.structs import asdict, replace

from vedette.knowledge import table
from vedette.knowledge.abilities import Ability, Fact, Mode, counts, mode_of
from vedette.knowledge.fitting import Fit, Subject, fit
from vedette.knowledge.lines import Line, year
from vedette.knowledge.recognition import spell
from vedette.knowledge.table import FamilyRow, Row, Table

_MEDIAN_RATING: Final = 1300.0  # of Arena text, 2025-12
_PER_TENFOLD: Final = 400.0  # points of a rating that make the odds ten times better


class Edition(Struct, frozen=True):
    """One state of a board: the benchmarks by use case. The truth is the mean of their scores."""

    benchmarks: Mapping[str, Sequence[str]]


class Board(Struct, frozen=True):
    """A board that is the truth. No fact whose benchmark contains one of *words* may be known meanwhile."""

    name: str
    words: tuple[str, ...]
    editions: tuple[Edition, ...]

    @property
    def use_cases(self) -> tuple[str, ...]:
        """All use cases that it tells of."""
        return tuple(dict.fromkeys(use_case for one in self.editions for use_case in one.benchmarks))


def _livebench(edition: str, *, agentic: bool) -> Edition:
    asked = {
        "chat": ("IF",),
        "code_generation": ("Coding",),
        "reasoning": ("Reasoning", "Mathematics"),
        "extraction": ("Data Analysis",),
    }
    if agentic:
        asked["agent"] = ("Agentic Coding",)
    return Edition({use: [f"LiveBench {edition} {part}" for part in parts] for use, parts in asked.items()})


BOARDS: Final = (
    Board(
        "LiveBench",
        ("livebench", "livecodebench"),  # it asks tasks of LiveCodeBench
        (
            *(
                _livebench(edition, agentic=False)
                for edition in ("2024-06-24", "2024-08-31", "2024-11-25", "2025-04-25")
            ),
            *(_livebench(edition, agentic=True) for edition in ("2025-05-30", "2025-11-25", "2026-01-08")),
        ),
    ),
    Board(
        "Arena",
        ("arena",),
        (
            Edition(
                {
                    "chat": ["Arena text"],
                    "code_generation": ["Arena coding"],
                    "reasoning": ["Arena math"],
                    "documentation": ["Arena long-query"],
                }
            ),
        ),
    ),
    Board(
        "Open LLM v2",
        ("ollv2", "ifeval", "bbh", "big-bench", "math", "gpqa", "musr", "mmlu-pro", "mmlu pro"),
        (
            Edition(
                {
                    "chat": ["OLLv2 IFEval"],
                    "reasoning": ["OLLv2 BBH", "OLLv2 GPQA", "OLLv2 MATH-lvl5", "OLLv2 MUSR"],
                }
            ),
        ),
    ),
    Board(
        "BFCL",
        ("bfcl",),
        (Edition({"agent": ["BFCL v4 overall"], "extraction": ["BFCL v4 non-live AST"]}),),
    ),
    Board(
        "EvalPlus",
        ("humaneval", "mbpp", "evalplus"),
        (Edition({"code_generation": ["HumanEval+", "MBPP+"]}),),
    ),
    Board("Aider", ("aider",), (Edition({"code_generation": ["Aider polyglot"]}),)),
    Board("Vectara", ("vectara",), (Edition({"summarisation": ["Vectara factual consistency"]}),)),
    Board("RULER", ("ruler",), (Edition({"summarisation": ["RULER 32K"]}),)),
)


def share(benchmark: str, score: float) -> float:
    """Return a score of 0 to 100 as a share: of right answers, or (Arena) of wins against the median model."""
    if not benchmark.startswith("Arena"):
        return score / 100.0
    rating = 800.0 + 7.5 * score
    return float(1.0 / (1.0 + 10.0 ** ((_MEDIAN_RATING - rating) / _PER_TENFOLD)))


@cache
def scores() -> Mapping[tuple[str, Mode], Mapping[str, float]]:
    """Return the best score of each model in each mode on each benchmark."""
    best: dict[tuple[str, Mode], dict[str, float]] = defaultdict(dict)
    known = _use_cases()
    for row in csv.DictReader(io.StringIO(table.read(table.FACTS))):
        if row["fact"] in known and counts(row["mode"]):
            told = best[row["model"], mode_of(row["mode"])]
            told[row["fact"]] = max(float(row["value"]), told.get(row["fact"], -math.inf))
    return best


@cache
def _use_cases() -> Mapping[str, str]:
    """Return the use case that the source of each benchmark names."""
    rows = csv.DictReader(io.StringIO(table.read(table.BENCHMARKS)))
    return {row["benchmark"]: row["use_case"] for row in rows}


@cache
def rows() -> Mapping[str, Row]:
    """Return what is published of each model beside its scores."""
    every = table.bundled()
    return {name: next(iter(every.modes(name).values())) for name in every.rows}


def truths(edition: Edition) -> dict[str, dict[str, float]]:
    """Return, for each model that has all scores of *edition*, the share by use case; without base models."""
    found: dict[str, dict[str, float]] = {}
    for (name, mode), told in sorted(scores().items(), key=lambda pair: (pair[0][0], pair[0][1] != "plain")):
        wanted = [benchmark for asked in edition.benchmarks.values() for benchmark in asked]
        if mode in ("plain", "thinking") and name not in found and all(one in told for one in wanted):
            found[name] = {
                use_case: sum(share(one, told[one]) for one in asked) / len(asked)
                for use_case, asked in edition.benchmarks.items()
            }
    return found


@cache
def without(words: tuple[str, ...], hidden: frozenset[str] = frozenset()) -> Table:
    """Return the package's table as it would be without the facts named by *words*, and without those of *hidden*."""
    subjects = [
        subject
        for subject in _subjects(words)
        if subject.mode != "embedding" and subject.facts and subject.name not in hidden
    ]
    fitted = fit(subjects)
    slope, shift = _scale(fitted)
    every = table.bundled()
    abilities = {key: _ability(ability, slope, shift) for key, ability in fitted.abilities.items()}
    return replace(
        every,
        rows={name: tuple(_rows(every, name, abilities)) for name in every.rows},
        lines=every.lines | {basis: _line(line, slope, shift) for basis, line in fitted.lines.items()},
        families=dict(_families(fitted, subjects, slope)),
        axes=every.axes | {axis: slope * deviation for axis, deviation in fitted.axes.items()},
    )


def _subjects(words: Collection[str]) -> Iterator[Subject]:
    for (name, mode), told in sorted(scores().items()):
        if (row := rows().get(name)) is None:
            continue
        size = math.sqrt(row.size_b * row.active_b) if row.size_b and row.active_b else row.size_b
        yield Subject(
            name=name,
            mode=mode,
            family=row.family,
            size_b=size,
            year=year(row.released) if row.released else None,
            facts=tuple(
                (Fact(benchmark, score), _use_cases()[benchmark])
                for benchmark, score in sorted(told.items())
                if not any(word in benchmark.lower() for word in words)
            ),
        )


def _scale(fitted: Fit) -> tuple[float, float]:
    """Return slope and shift from the scale of *fitted* to the package's: the line through what both say."""
    every = table.bundled()
    here, there = [], []
    for (name, mode), ability in fitted.abilities.items():
        told = every.modes(name).get(mode)
        if mode != "base" and told is not None and told.ability is not None:
            here.append(ability.mean)
            there.append(told.ability.mean)
    slope = float(np.std(there) / np.std(here))
    return slope, float(np.mean(there) - slope * np.mean(here))


def _ability(ability: Ability, slope: float, shift: float) -> Ability:
    return Ability(
        mean=slope * ability.mean + shift,
        deviation=slope * ability.deviation,
        axes={axis: (slope * mean, slope * spread) for axis, (mean, spread) in ability.axes.items()},
    )


def _line(line: Line, slope: float, shift: float) -> Line:
    moved: dict[str, Any] = {name: slope * value for name, value in asdict(line).items()}
    return Line(**moved | {"intercept": moved["intercept"] + shift})


def _families(fitted: Fit, subjects: Sequence[Subject], slope: float) -> Iterator[tuple[str, FamilyRow]]:
    released: dict[str, list[float]] = defaultdict(list)
    for subject in subjects:
        if subject.year is not None:
            released[subject.family].append(subject.year)
    for family, (effect, deviation, models) in fitted.families.items():
        row = FamilyRow(
            effect=slope * effect,
            deviation=slope * deviation,
            models=models,
            released=max(released[family]),
        )
        yield spell(family).key, row


def _rows(every: Table, name: str, abilities: Mapping[tuple[str, Mode], Ability]) -> Iterator[str]:
    """Yield the lines of one model with the abilities that are known now."""
    for mode, row in every.modes(name).items():
        yield ",".join(
            table.cells_of(
                name=name,
                mode=mode,
                family=row.family,
                size_b=f"{row.size_b:g}" if row.size_b else "",
                active_b=f"{row.active_b:g}" if row.active_b else "",
                released=row.released.isoformat() if row.released else "",
                shutdown=row.shutdown.isoformat() if row.shutdown else "",
                bare_is_base=row.bare_is_base,
                facts=row.facts,
                ability=abilities.get((name, mode)),
                sources=row.sources,
            )
        )
