"""Measures the errors of expectations on published scores that the fit did not use. Used when tables are built."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from vedette.knowledge.abilities import APART, AXES_OF, Ability, Fact, Link, board, estimate, of_use_case
from vedette.knowledge.fitting import Fit, Subject, basis_of, fit
from vedette.knowledge.scale import CURVES

FOLDS: Final = 10
ONE_SIGMA: Final = 0.683
TWO_SIGMA: Final = 0.954
MAX_NOISE: Final = 1.0  # of a benchmark, in units of ability; noisier ones hardly count for the use case
USE_CASE_OF_AXIS: Final = {
    axis: use_case for use_case, axes in AXES_OF.items() for axis, weight in axes.items() if weight == 1.0
}


class Miss(NamedTuple):
    """One published score and its expected value."""

    basis: str
    use_case: str
    expected: float  # ability
    deviation: float  # before calibration
    observed: float  # ability

    @property
    def sigmas(self) -> float:
        """The error in standard deviations."""
        return abs(self.observed - self.expected) / self.deviation

    @property
    def points(self) -> float:
        """The error in points of quality."""
        curve = CURVES[self.use_case]
        return 100.0 * abs(curve.quality(self.observed) - curve.quality(self.expected))


class Validated(Struct, frozen=True, kw_only=True):
    """The errors of one basis, and the factor for its spreads."""

    basis: str
    misses: tuple[Miss, ...]
    factor: float

    def within(self, sigmas: float) -> float:
        """Return the share of scores within *sigmas* calibrated standard deviations."""
        return sum(miss.sigmas <= sigmas * self.factor for miss in self.misses) / len(self.misses)

    @property
    def points(self) -> float:
        """The mean error in points of quality."""
        return sum(miss.points for miss in self.misses) / len(self.misses)


def noise(links: Mapping[str, Link]) -> dict[str, float]:
    """Return, by use case, the noise of one more benchmark: the median of the published ones."""
    found: dict[str, list[float]] = defaultdict(list)
    for link in links.values():
        if link.axis not in APART:
            found[link.axis].append(link.noise)
    medians = {axis: sorted(shifts)[len(shifts) // 2] for axis, shifts in found.items()}
    usual = sorted(medians.values())[len(medians) // 2] if medians else 0.5
    return {
        use_case: sum(weight * medians.get(axis, usual) for axis, weight in axes.items())
        for use_case, axes in AXES_OF.items()
        if use_case != "embedding" or "embedding" in medians
    }


def validate(subjects: Sequence[Subject], fitted: Fit, *, prefix: str = "") -> list[Validated]:
    """Return the errors of expectations for *subjects*, by basis."""
    by_basis: dict[str, list[Miss]] = defaultdict(list)
    for miss in [*_by_own_facts(subjects, fitted), *_by_others(subjects)]:
        by_basis[miss.basis].append(miss)
    return [
        Validated(basis=f"{prefix}{basis}", misses=tuple(misses), factor=_factor(misses))
        for basis, misses in sorted(by_basis.items())
    ]


def _factor(misses: Sequence[Miss]) -> float:
    """Return the factor for spreads with which one deviation covers 68 % and two cover 95 % of the scores."""
    sigmas = sorted(miss.sigmas for miss in misses)
    one, two = (sigmas[min(len(sigmas) - 1, int(share * len(sigmas)))] for share in (ONE_SIGMA, TWO_SIGMA))
    return max(0.5, (one + two / 2.0) / 2.0)


def _by_own_facts(subjects: Sequence[Subject], fitted: Fit) -> Iterator[Miss]:
    """Yield the errors when the facts of all other boards are known."""
    every = noise(fitted.links)
    for subject in subjects:
        several = len({board(fact.benchmark) for fact in subject.plain_facts}) > 1
        group = {fact: board(fact.benchmark) if several else fact.benchmark for fact in subject.plain_facts}
        for left_out in sorted(set(group.values())) if several or subject.mode == "embedding" else ():
            kept = [fact for fact in subject.plain_facts if group[fact] != left_out]
            _, mean, deviation = fitted.prior(subject, family=True)
            ability = estimate(mean, deviation, kept, fitted.links, fitted.axes)
            out = [fact for fact in subject.plain_facts if group[fact] == left_out]
            yield from _misses("model", ability, out, fitted, every)


def _by_others(subjects: Sequence[Subject]) -> Iterator[Miss]:
    """Yield the errors when no fact of the model is known: each tenth of the models is left out of the fit in turn."""
    known = sorted({subject.name for subject in subjects})
    fold_of = {name: place % FOLDS for place, name in enumerate(known)}
    for fold in range(FOLDS):
        kept = [subject for subject in subjects if fold_of[subject.name] != fold]
        out = [subject for subject in subjects if fold_of[subject.name] == fold]
        if not kept or not out:
            continue
        fitted = fit(kept)
        every = noise(fitted.links)
        for subject in out:
            for basis, mean, deviation in _priors(subject, fitted):
                ability = Ability(mean=mean, deviation=deviation)
                yield from _misses(basis, ability, subject.plain_facts, fitted, every)


def _priors(subject: Subject, fitted: Fit) -> Iterator[tuple[str, float, float]]:
    basis = basis_of(subject)
    if basis == "size_and_date" and subject.family in fitted.families:
        yield fitted.prior(subject, family=True)
    names = {"size_and_date": ("size_and_date", "size", "nothing"), "size": ("size", "nothing")}
    for name in names.get(basis, (basis, "nothing")):
        if name in fitted.lines:
            line = fitted.lines[name]
            mean = (
                line.mean(subject.size_b, subject.year, subject.mode) if name != "nothing" else line.intercept
            )
            yield name.partition(":")[0], mean, line.deviation


def _misses(
    basis: str, ability: Ability, facts: Sequence[Fact], fitted: Fit, every: Mapping[str, float]
) -> Iterator[Miss]:
    for fact in facts:
        link = fitted.links.get(fact.benchmark)
        use_case = USE_CASE_OF_AXIS.get(link.axis) if link is not None else None
        if link is None or use_case is None or link.noise > MAX_NOISE:
            continue
        mean, deviation = of_use_case(ability, use_case, fitted.axes)
        observed = (link.seen(fact.score) - link.intercept) / link.slope
        yield Miss(basis, use_case, mean, (deviation**2 + every[use_case] ** 2) ** 0.5, observed)
