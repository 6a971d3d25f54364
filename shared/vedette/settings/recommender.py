"""`[recommend]` and `[[quality]]`: the recommender's."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Annotated

from msgspec import Meta

from vedette.settings.section import Problem, Section
from vedette.types import Bound, Capability, ModelRef, Rating, Signal

Weight = Annotated[float, Meta(ge=0, le=1000)]


class Vouched(Rating, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rating of `model`: endpoint/name, a name at any endpoint, or a pattern for several (`*qwen3:8b*`)."""

    model: Annotated[str, Meta(min_length=1, max_length=1024)]

    def is_of(self, model: ModelRef) -> bool:
        """Return whether *model* matches the exact name or the pattern."""
        names = (str(model), model.name)
        return self.model in names or any(fnmatchcase(name, self.model) for name in names)


class CustomUseCase(Section, frozen=True, kw_only=True):
    """A use case of your own, or new weights for a built-in one."""

    weights: Annotated[
        dict[Signal, Weight],
        Meta(min_length=1),
    ]
    capabilities: tuple[Capability, ...] = ()
    kinds: dict[str, Weight] = {}  # kinds of evaluation and their weights; empty: equal weights
    # Bounds that replace those of the most similar built-in use case; 0 removes a bound.
    bounds: dict[Bound, Annotated[float, Meta(ge=0, le=1e9)]] = {}

    def __post_init__(self) -> None:
        """Raise ValueError if `bounds.quality` is above 1, which no model can reach."""
        if self.bounds.get("quality", 0.0) > 1.0:
            raise ValueError("bounds.quality is a share of the best quality, at most 1")

    def check(self) -> Iterator[Problem]:
        """Yield a problem if all weights are 0."""
        if not any(self.weights.values()):
            yield "weights", "at least one must be positive"


class Recommend(Section, frozen=True, kw_only=True):
    """How recommendations are made. `facts` is a file with your own published facts (`vedette knowledge update`).

    `model_metrics` is the maximum number of models, the best first, with their own series in the metrics; 0: none.
    """

    use_cases: dict[str, CustomUseCase] = {}
    facts: str | None = None
    model_metrics: Annotated[int, Meta(ge=0, le=10_000)] = 200
