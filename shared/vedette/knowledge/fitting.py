"""Fits the scale of ability, its priors and their spreads to published facts. Used when the tables are built.

Links and abilities are fitted alternately: abilities from links and from the prior by size and date, links by least
squares on abilities, priors by least squares on abilities (EM, with posterior variances).
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from msgspec import Struct

from vedette.knowledge.abilities import (
    APART,
    AXES,
    BOARD_CORRELATION,
    GENERAL,
    Ability,
    Fact,
    Link,
    Mode,
    beyond,
    board,
    estimate,
    transformed,
)
from vedette.knowledge.lines import YEAR_ZERO, Line, Tier, tier

MIN_FACTS: Final = 15  # with fewer models, a benchmark cannot be fitted
MIN_NOISE: Final = 0.25  # no benchmark measures ability more exactly
ROUNDS: Final = 120
Array = np.ndarray[Any, np.dtype[np.float64]]


class Subject(Struct, frozen=True, kw_only=True):
    """One model in one mode, with its facts."""

    name: str
    mode: Mode
    family: str
    size_b: float | None  # effective size: for a mixture of experts, the geometric mean of total and active
    year: float | None
    facts: tuple[tuple[Fact, str], ...]  # each with the use case in its source

    @property
    def plain_facts(self) -> tuple[Fact, ...]:
        """The facts without their use cases."""
        return tuple(fact for fact, _ in self.facts)

    @property
    def tier(self) -> Tier:
        """The tier of a hosted model's name."""
        return tier(self.name.split("-"))


class Fit(Struct, frozen=True, kw_only=True):
    """All fitted values for one kind of model."""

    links: Mapping[str, Link]
    lines: Mapping[str, Line]  # by basis; for hosted models "tier:large" and similar
    axes: Mapping[str, float]  # standard deviation of each axis
    families: Mapping[str, tuple[float, float, int]]  # effect besides size and date, its deviation, models
    abilities: Mapping[tuple[str, Mode], Ability]

    def prior(self, subject: Subject, *, family: bool) -> tuple[str, float, float]:
        """Return basis, mean and deviation of the expectation for *subject* without its own facts."""
        basis = basis_of(subject)
        line = self.lines[basis]
        mean, deviation = line.mean(subject.size_b, subject.year, subject.mode), line.deviation
        effect = self.families.get(subject.family) if basis == "size_and_date" and family else None
        if effect is None:
            return basis, mean, deviation
        return "family", mean + effect[0], effect[1]


def basis_of(subject: Subject) -> str:
    """Return the basis whose line uses the most that is known about *subject*."""
    if subject.size_b is not None:
        return "size_and_date" if subject.year is not None else "size"
    if subject.year is not None:
        return f"tier:{subject.tier}"
    return "nothing"


def fit(subjects: Sequence[Subject]) -> Fit:
    """Return the scale fitted to *subjects*."""
    data = _Data(subjects)
    ability = data.first_guess()
    lines: dict[str, Line] = {}
    means, spreads = ability, np.ones(len(subjects))
    for _ in range(ROUNDS):
        intercept, slope, deviation = data.links(ability)
        ability, sure = data.abilities(intercept, slope, deviation, means, spreads)
        ability, sure = data.standardised(ability, sure)
        lines = data.lines(ability, sure)
        means, spreads = data.priors(lines)
    links = data.named(*data.links(ability))
    links |= _apart(subjects, dict(zip(data.keys, ability, strict=True)))
    axes = _axes(subjects, links, dict(zip(data.keys, ability, strict=True)))
    families = _families(data, lines["size_and_date"], ability, sure)
    fitted = Fit(links=links, lines=lines, axes=axes, families=families, abilities={})
    known = {(one.name, one.mode): of_subject(fitted, one) for one in subjects}
    return Fit(links=links, lines=lines, axes=axes, families=families, abilities=known)


def of_subject(fitted: Fit, subject: Subject) -> Ability:
    """Return the ability of *subject* by its own facts."""
    _, mean, deviation = fitted.prior(subject, family=True)
    return estimate(mean, deviation, subject.plain_facts, fitted.links, fitted.axes)


class _Data:
    """The facts as arrays: one row for each fact of a benchmark that enough models have."""

    def __init__(self, subjects: Sequence[Subject]) -> None:
        self.subjects = subjects
        self.keys = [(subject.name, subject.mode) for subject in subjects]
        counted: dict[str, list[tuple[int, float, str]]] = defaultdict(list)
        for place, subject in enumerate(subjects):
            for fact, use_case in subject.facts:
                if AXES.get(use_case) not in APART:
                    seen = transformed(fact.benchmark, fact.score)
                    counted[fact.benchmark].append((place, seen, use_case))
        self.benchmarks = sorted(name for name, rows in counted.items() if len(rows) >= MIN_FACTS)
        self.use_cases = {name: counted[name][0][2] for name in self.benchmarks}
        rows = [
            (place, at, seen) for at, name in enumerate(self.benchmarks) for place, seen, _ in counted[name]
        ]
        self.who = np.array([row[0] for row in rows], dtype=np.int64)
        self.what = np.array([row[1] for row in rows], dtype=np.int64)
        self.seen = np.array([row[2] for row in rows])
        boards = [board(self.benchmarks[at]) for at in self.what]
        pairs = list(zip(self.who.tolist(), boards, strict=True))
        counts: dict[tuple[int, str], int] = defaultdict(int)
        for pair in pairs:
            counts[pair] += 1
        self.shared = np.array([1.0 / (1.0 + (counts[pair] - 1) * BOARD_CORRELATION) for pair in pairs])
        self.doublings = np.array([math.log2(s.size_b) if s.size_b else 0.0 for s in subjects])
        self.years = np.array([s.year - YEAR_ZERO if s.year is not None else 0.0 for s in subjects])
        self.thinking = np.array([float(s.mode == "thinking") for s in subjects])
        self.base = np.array([float(s.mode == "base") for s in subjects])
        self.basis = np.array([basis_of(s).partition(":")[0] for s in subjects])
        self.tiers = np.array([s.tier for s in subjects])

    def first_guess(self) -> Array:
        """Return initial abilities, from size and date only."""
        sized = self.basis != "tier"
        guess: Array = np.where(sized, -1.4, 0.4) + 0.25 * self.doublings + 0.75 * self.years
        return guess

    def links(self, ability: Array) -> tuple[Array, Array, Array]:
        """Return intercept, slope and noise of each benchmark; slopes are pulled weakly towards 0.8."""
        intercept, slope, deviation = (np.zeros(len(self.benchmarks)) for _ in range(3))
        for at in range(len(self.benchmarks)):
            rows = self.what == at
            x, y = ability[self.who[rows]], self.seen[rows]
            left = x - x.mean()
            slope[at] = max(0.2, float(left @ (y - y.mean()) + 0.16) / float(left @ left + 0.2))
            intercept[at] = y.mean() - slope[at] * x.mean()
            error = y - intercept[at] - slope[at] * x
            noise = math.sqrt(float(error @ error + 0.36) / (len(y) + 4))
            deviation[at] = max(noise, MIN_NOISE * slope[at])
        return intercept, slope, deviation

    def abilities(
        self, intercept: Array, slope: Array, deviation: Array, means: Array, spreads: Array
    ) -> tuple[Array, Array]:
        """Return mean and standard deviation of each subject's ability, by its facts and its prior."""
        weight = (slope / deviation)[self.what] ** 2 * self.shared
        implied = (self.seen - intercept[self.what]) / slope[self.what]
        count = len(self.subjects)
        precision = np.bincount(self.who, weight, count) + spreads**-2
        total = np.bincount(self.who, weight * implied, count) + means * spreads**-2
        return total / precision, precision**-0.5

    def standardised(self, ability: Array, sure: Array) -> tuple[Array, Array]:
        """Return both, scaled so that tuned models have mean 0 and standard deviation 1."""
        tuned = self.base == 0.0
        middle, wide = float(ability[tuned].mean()), float(ability[tuned].std()) or 1.0
        return (ability - middle) / wide, sure / wide

    def lines(self, ability: Array, sure: Array) -> dict[str, Line]:
        """Return the priors. Each is fitted to all models for which its inputs are known."""
        both, hosted = self.basis == "size_and_date", self.basis == "tier"
        sized = both | (self.basis == "size")
        lines = {
            "size_and_date": self._line(
                both, ability, sure, {"per_doubling": self.doublings, "per_year": self.years}
            ),
            "size": self._line(sized, ability, sure, {"per_doubling": self.doublings}),
            "nothing": self._line(sized, ability, sure, {}),  # hosted models have tiers
        }
        if hosted.any():
            words = {name: (self.tiers == name).astype(float) for name in ("mid", "small")}
            steps, deviation = self._least_squares(hosted, ability, sure, {"per_year": self.years, **words})
            year = max(0.0, steps["per_year"])
            mid = min(0.0, steps["mid"])
            small = min(mid, steps["small"])
            for name, step in (("large", 0.0), ("mid", mid), ("small", small)):
                lines[f"tier:{name}"] = Line(
                    intercept=steps["intercept"] + step,
                    per_year=year,
                    thinking=max(0.0, steps["thinking"]),
                    base=min(0.0, steps["base"]),
                    deviation=deviation,
                )
        return lines

    def _line(self, rows: Any, ability: Array, sure: Array, columns: Mapping[str, Array]) -> Line:
        steps, deviation = self._least_squares(rows, ability, sure, columns)
        rising = {name: max(0.0, steps[name]) for name in columns}  # larger or later never expects less
        return Line(
            intercept=steps["intercept"],
            thinking=max(0.0, steps["thinking"]),
            base=min(0.0, steps["base"]),
            deviation=deviation,
            **rising,
        )

    def _least_squares(
        self, rows: Any, ability: Array, sure: Array, columns: Mapping[str, Array]
    ) -> tuple[dict[str, float], float]:
        every = {"intercept": np.ones(len(ability)), **columns, "thinking": self.thinking, "base": self.base}
        matrix = np.stack([column[rows] for column in every.values()], axis=1)
        penalty = np.diag([1e-9] + [0.5] * (len(every) - 1))  # with few or equal rows, a column stays at zero
        found = np.linalg.solve(matrix.T @ matrix + penalty, matrix.T @ ability[rows])
        error = ability[rows] - matrix @ found
        deviation = math.sqrt(float((error**2 + sure[rows] ** 2).mean()))
        return dict(zip(every, found.tolist(), strict=True)), deviation

    def priors(self, lines: Mapping[str, Line]) -> tuple[Array, Array]:
        """Return mean and standard deviation of each subject's prior."""
        chosen = [lines[basis_of(subject)] for subject in self.subjects]
        means = [line.mean(s.size_b, s.year, s.mode) for line, s in zip(chosen, self.subjects, strict=True)]
        return np.array(means), np.array([line.deviation for line in chosen])

    def named(self, intercept: Array, slope: Array, deviation: Array) -> dict[str, Link]:
        """Return the links by benchmark."""
        return {
            name: Link(
                benchmark=name,
                axis=AXES.get(self.use_cases[name], GENERAL),
                board=board(name),
                intercept=float(intercept[at]),
                slope=float(slope[at]),
                deviation=float(deviation[at]),
            )
            for at, name in enumerate(self.benchmarks)
        }


def _apart(subjects: Sequence[Subject], ability: Mapping[tuple[str, Mode], float]) -> dict[str, Link]:
    """Return the links of benchmarks with an axis of their own (`APART`). Their slope may be negative."""
    rows: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for subject in subjects:
        for fact, use_case in subject.facts:
            if AXES.get(use_case) in APART:
                seen = transformed(fact.benchmark, fact.score)
                rows[fact.benchmark].append((ability[subject.name, subject.mode], seen, AXES[use_case]))
    found = {}
    for name, points in sorted(rows.items()):
        if len(points) < MIN_FACTS:
            continue
        x, y = np.array([row[0] for row in points]), np.array([row[1] for row in points])
        left = x - x.mean()
        slope = float(left @ (y - y.mean())) / float(left @ left + 1.0)
        intercept = float(y.mean() - slope * x.mean())
        found[name] = Link(
            benchmark=name,
            axis=points[0][2],
            board=board(name),
            intercept=intercept,
            slope=slope,
            deviation=float((y - intercept - slope * x).std()) or 1.0,
        )
    return found


def _axes(
    subjects: Sequence[Subject], links: Mapping[str, Link], ability: Mapping[tuple[str, Mode], float]
) -> dict[str, float]:
    """Return the standard deviation of each axis: by the products of what two boards say of one model."""
    products: dict[str, list[float]] = defaultdict(list)
    for subject in subjects:
        said: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for fact, _ in subject.facts:
            if (link := links.get(fact.benchmark)) is not None and link.axis not in (GENERAL, "embedding"):
                left = beyond(link, fact.score, ability[subject.name, subject.mode])
                said[link.axis][link.board].append(left)
        for axis, boards in said.items():
            means = [sum(left) / len(left) for left in boards.values()]
            products[axis] += [one * other for at, one in enumerate(means) for other in means[:at]]
    found = {link.axis for link in links.values()} - {GENERAL, "embedding"}
    return {axis: _deviation(products.get(axis, [])) for axis in sorted(found)}


def _deviation(products: Sequence[float]) -> float:
    """Return the square root of a covariance, limited to a plausible range for few models."""
    shared = sum(products) / len(products) if products else 0.0
    return min(0.5, max(0.15, math.sqrt(max(0.0, shared))))


def _families(data: _Data, line: Line, ability: Array, sure: Array) -> dict[str, tuple[float, float, int]]:
    """Return the effect of each family in addition to size and date, shrunk, and the remaining deviation of a model."""
    left: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for at, subject in enumerate(data.subjects):
        if data.basis[at] == "size_and_date":
            mean = line.mean(subject.size_b, subject.year, subject.mode)
            left[subject.family].append((float(ability[at]) - mean, float(sure[at])))
    several = {family: rows for family, rows in left.items() if len(rows) >= 2}
    inner = [value - sum(v for v, _ in rows) / len(rows) for rows in several.values() for value, _ in rows]
    freedom = sum(len(rows) - 1 for rows in several.values())
    within = math.sqrt(sum(v * v for v in inner) / freedom) if freedom else line.deviation
    between = math.sqrt(max(0.01, line.deviation**2 - within**2))
    found = {}
    for family, rows in sorted(left.items()):
        kept = between**2 / (between**2 + within**2 / len(rows))
        effect = kept * sum(value for value, _ in rows) / len(rows)
        found[family] = (effect, math.sqrt(within**2 + between**2 * (1.0 - kept)), len(rows))
    return found
