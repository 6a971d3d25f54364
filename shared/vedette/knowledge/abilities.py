"""The common scale of ability of all models, and how published scores depend on it. Pure.

A published score `y` of a benchmark is linear in ability: `y = intercept + slope * ability + noise`. Ability is in
standard deviations of the listed chat models (0: about Llama 3.3 70B or GPT-4o mini). A model also has a second,
smaller term for each axis (code, reasoning, agents): how its scores on that axis differ from its ability.
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
_LOW_EFFORT: Final = ("low", "minimal")  # callers do not get these efforts by default


def mode_of(tuning: str) -> Mode:
    """Return the mode of a model by the *tuning* in its facts, which may end with an effort."""
    return _MODE_OF.get(tuning.partition(" ")[0], "plain")


def counts(tuning: str) -> bool:
    """Return whether a score with this *tuning* and effort describes the model as it is called by default."""
    return not tuning.endswith(_LOW_EFFORT)


# The axis of each benchmark, by the use case in its source.
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
# Faithfulness to a text hardly depends on ability, and long context not much. So their benchmarks count for their own
# axis only, with this much ability for each standard deviation.
APART: Final[dict[str, float]] = {"faithful": 0.3, "long": 0.3}
# The axes that count for each use case of Vedette, and their weights.
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
# Scores of one board have common prompts and graders: this is the correlation of their errors.
BOARD_CORRELATION: Final = 0.6
SOURCES_SHOWN: Final = 3


class Link(Struct, frozen=True, kw_only=True):
    """How the scores of one benchmark depend on ability."""

    benchmark: str
    axis: str
    board: str  # benchmarks of one board have correlated errors
    intercept: float
    slope: float
    deviation: float  # of the noise, in the units of the benchmark

    def seen(self, score: float) -> float:
        """Return *score* (0 to 100) in the units of the benchmark: log-odds of a share, or a scaled rating."""
        return transformed(self.benchmark, score)

    @property
    def noise(self) -> float:
        """The noise of one score, in units of ability."""
        return APART.get(self.axis) or self.deviation / self.slope


class Fact(NamedTuple):
    """One published score."""

    benchmark: str
    score: float


class Ability(Struct, frozen=True, kw_only=True):
    """The ability of one model by its facts: mean and standard deviation; and the same for each axis."""

    mean: float
    deviation: float
    axes: Mapping[str, tuple[float, float]] = {}


def transformed(benchmark: str, score: float) -> float:
    """Return *score* (0 to 100) on a scale with equal steps: log-odds of a share, or a scaled Arena rating."""
    if benchmark.startswith("Arena"):
        return score / 12.5  # a rating already has such a scale
    share = min(max((score + 3.0) / 106.0, 0.02), 0.98)
    return math.log(share / (1.0 - share))


def board(benchmark: str) -> str:
    """Return the board of *benchmark*."""
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
    """Return the ability after *facts*, from a prior with *mean* and *deviation*.

    *axes* has the standard deviation of each axis over all models.
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
    """Return the model's difference on an axis, shrunk towards zero, and its standard deviation."""
    shared = _weights(link for link, _ in linked)
    precision, total = 1.0 / spread**2, 0.0
    for link, score in linked:
        weight = shared[link.board] / link.noise**2
        precision += weight
        total += weight * beyond(link, score, middle)
    return total / precision, precision**-0.5


def beyond(link: Link, score: float, ability: float) -> float:
    """Return how much *score* exceeds the prediction by *ability*, in units of ability."""
    left = link.seen(score) - link.intercept - link.slope * ability
    return left / link.deviation * APART[link.axis] if link.axis in APART else left / link.slope


def _weights(links: Iterable[Link]) -> dict[str, float]:
    """Return the weight of one fact of each board.

    Many facts of one board count less than those of different boards.
    """
    counted = Counter(link.board for link in links)
    return {name: 1.0 / (1.0 + (count - 1) * BOARD_CORRELATION) for name, count in counted.items()}


def of_use_case(ability: Ability, use_case: str, axes: Mapping[str, float]) -> tuple[float, float]:
    """Return mean and standard deviation of the ability in *use_case*, without measurement noise."""
    mean, variance = ability.mean, ability.deviation**2
    for axis, weight in AXES_OF[use_case].items():
        if axis == "embedding":
            continue  # an embedding model has no other axis
        shift, spread = ability.axes.get(axis, (0.0, axes.get(axis, 0.0)))
        mean += weight * shift
        variance += (weight * spread) ** 2
    return mean, variance**0.5


def heaviest(facts: Sequence[Fact], links: Mapping[str, Link], latest: Mapping[str, str]) -> list[str]:
    """Return the boards with the most weight in the ability by *facts*, each with its *latest* month."""
    linked = [links[fact.benchmark] for fact in facts if fact.benchmark in links]
    shared = _weights(linked)
    weights: dict[str, float] = defaultdict(float)
    for link in linked:
        weights[link.board] += shared[link.board] / link.noise**2
    most = sorted(weights, key=lambda name: (-weights[name], name))[:SOURCES_SHOWN]
    return [f"{name} {latest.get(name, '')}".strip() for name in most]
