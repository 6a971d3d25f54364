"""One scale of ability for all models, and how published scores depend on it. Pure.

A published score `y` of a benchmark is a line of ability: `y = intercept + slope * ability + noise`. Ability is in
standard deviations of the listed chat models (0: about Llama 3.3 70B or GPT-4o mini). What the benchmarks of one axis
(code, reasoning, agents) say beyond it is a second, smaller term of the model.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from msgspec import Struct

Mode = Literal["plain", "thinking", "base", "embedding"]
MODES: Final[tuple[Mode, ...]] = ("plain", "thinking", "base", "embedding")

_MODE_OF: Final[Mapping[str, Mode]] = {"thinking": "thinking", "base": "base", "embed": "embedding"}
_LOW_EFFORT: Final = ("low", "minimal")  # not what a caller gets without such a setting


def mode_of(tuning: str) -> Mode:
    """Return the mode of a model whose facts have *tuning*, an effort behind it included."""
    return _MODE_OF.get(tuning.partition(" ")[0], "plain")


def counts(tuning: str) -> bool:
    """Return whether a score at this *tuning* and effort is of the model as it is called by default."""
    return not tuning.endswith(_LOW_EFFORT)


# The axis of each benchmark, by the use case that its source names.
AXES: Final[dict[str, str]] = {
    "chat": "chat",
    "code_generation": "code",
    "reasoning": "reasoning",
    "agent": "agent",
    "tools": "agent",
    "extraction": "extraction",
    "long_context": "long",
    "summarise/rag": "faithful",
    "vision": "vision",
    "embedding": "embedding",
    "multilingual_embedding": "embedding",
}
GENERAL: Final = "general"  # the axis of all other benchmarks
# Being faithful to a text has little to do with ability, and a long context not much: their benchmarks count
# for their own axis alone, and for this much ability per standard deviation.
APART: Final[dict[str, float]] = {"faithful": 0.3, "long": 0.3}
# Which axes count for a use case of Vedette, and with which weight.
AXES_OF: Final[dict[str, dict[str, float]]] = {
    "chat": {"chat": 1.0},
    "code_generation": {"code": 1.0},
    "code_understanding": {"code": 0.5, "reasoning": 0.5},
    "reasoning": {"reasoning": 1.0},
    "documentation": {"chat": 0.7, "long": 0.3},
    "agent": {"agent": 1.0},
    "summarisation": {"faithful": 0.5, "long": 0.5},
    "extraction": {"extraction": 1.0},
    "vision": {"vision": 1.0},
    "fast": {"chat": 0.5, "reasoning": 0.5},
    "embedding": {"embedding": 1.0},
}
# Scores of one board share its prompts and its graders: the correlation of their errors.
BOARD_CORRELATION: Final = 0.6
SOURCES_SHOWN: Final = 3


class Link(Struct, frozen=True, kw_only=True):
    """How the scores of a benchmark depend on ability."""

    benchmark: str
    axis: str
    board: str  # benchmarks of one board share their errors
    intercept: float
    slope: float
    deviation: float  # of the noise, in the benchmark's own units

    def seen(self, score: float) -> float:
        """Return *score* (0 to 100) in the benchmark's own units: of shares, the log-odds."""
        return transformed(self.benchmark, score)

    @property
    def noise(self) -> float:
        """The noise in units of ability."""
        return APART.get(self.axis) or self.deviation / self.slope


class Fact(NamedTuple):
    """One published score."""

    benchmark: str
    score: float


class Ability(Struct, frozen=True, kw_only=True):
    """The ability of one model by its facts: mean and standard deviation, overall and by axis."""

    mean: float
    deviation: float
    axes: Mapping[str, tuple[float, float]] = {}


def transformed(benchmark: str, score: float) -> float:
    """Return a score (0 to 100) so that equal steps mean about the same everywhere on the scale."""
    if benchmark.startswith("Arena"):
        return score / 12.5  # a rating is one already
    share = min(max((score + 3.0) / 106.0, 0.02), 0.98)
    return math.log(share / (1.0 - share))


def board(benchmark: str) -> str:
    """Return the board that *benchmark* belongs to."""
    if benchmark.startswith("self-reported "):
        return "self-reported"
    return re.split(r"[ +(]", benchmark, maxsplit=1)[0]


def estimate(
    mean: float,
    deviation: float,
    facts: Sequence[Fact],
    links: Mapping[str, Link],
    axes: Mapping[str, float],
) -> Ability:
    """Return what *facts* make of the prior *mean* and *deviation*.

    *axes* holds the standard deviation of each axis among all models.
    """
    linked = [(links[fact.benchmark], fact.score) for fact in facts if fact.benchmark in links]
    general = [(link, _ability(link, score)) for link, score in linked if link.axis not in APART]
    shared = _weights(link for link, _ in general)
    precision = 1.0 / deviation**2
    total = mean * precision
    for link, ability in general:
        weight = shared[link.board] / link.noise**2
        precision += weight
        total += weight * ability
    middle = total / precision
    return Ability(
        mean=middle,
        deviation=precision**-0.5,
        axes={
            axis: _axis(middle, [pair for pair in linked if pair[0].axis == axis], spread)
            for axis, spread in axes.items()
            if any(link.axis == axis for link, _ in linked)
        },
    )


def _ability(link: Link, score: float) -> float:
    return (link.seen(score) - link.intercept) / link.slope


def _axis(middle: float, linked: Sequence[tuple[Link, float]], spread: float) -> tuple[float, float]:
    """Return how much the model differs on an axis, shrunk towards zero, and the standard deviation."""
    shared = _weights(link for link, _ in linked)
    precision, total = 1.0 / spread**2, 0.0
    for link, score in linked:
        weight = shared[link.board] / link.noise**2
        precision += weight
        total += weight * beyond(link, score, middle)
    return total / precision, precision**-0.5


def beyond(link: Link, score: float, ability: float) -> float:
    """Return how much better *score* is than *ability* predicts, in units of ability."""
    left = link.seen(score) - link.intercept - link.slope * ability
    return left / link.deviation * APART[link.axis] if link.axis in APART else left / link.slope


def _weights(links: Iterable[Link]) -> dict[str, float]:
    """Return the weight of one fact of each board: many of one board say less than as many of different ones."""
    counted = Counter(link.board for link in links)
    return {name: 1.0 / (1.0 + (count - 1) * BOARD_CORRELATION) for name, count in counted.items()}


def of_use_case(ability: Ability, use_case: str, axes: Mapping[str, float]) -> tuple[float, float]:
    """Return mean and standard deviation of the ability in one use case, without the noise of its measurement."""
    mean, variance = ability.mean, ability.deviation**2
    for axis, weight in AXES_OF[use_case].items():
        if axis == "embedding":
            continue  # an embedding model has no other
        shift, spread = ability.axes.get(axis, (0.0, axes.get(axis, 0.0)))
        mean += weight * shift
        variance += (weight * spread) ** 2
    return mean, variance**0.5


def heaviest(facts: Sequence[Fact], links: Mapping[str, Link], latest: Mapping[str, str]) -> list[str]:
    """Return the boards that weigh most in the ability by *facts*, each with its *latest* month."""
    linked = [links[fact.benchmark] for fact in facts if fact.benchmark in links]
    shared = _weights(linked)
    weights: dict[str, float] = defaultdict(float)
    for link in linked:
        weights[link.board] += shared[link.board] / link.noise**2
    most = sorted(weights, key=lambda name: (-weights[name], name))[:SOURCES_SHOWN]
    return [f"{name} {latest.get(name, '')}".strip() for name in most]
