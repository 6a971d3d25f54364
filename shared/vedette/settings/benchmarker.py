"""`[benchmarking]` and `[evaluating]`: the benchmarker's."""

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta

from vedette.settings.section import Problem, Seconds, Section
from vedette.types import Fraction, ModelRef

JudgedUseCase = Literal["chat", "documentation", "summarisation"]


class Benchmarking(Section, frozen=True, kw_only=True):
    """How a model is measured: measured runs per prompt length, tokens asked for in each, deadlines.

    The first run has a deadline of its own because it may load the model; Ollama gives a load up after 5 min.
    """

    runs: Annotated[int, Meta(ge=1, le=100)] = 3
    output_tokens: Annotated[int, Meta(ge=16, le=4096)] = 64
    run_timeout_s: Seconds = 120.0
    first_run_timeout_s: Seconds = 360.0


class Judge(Section, frozen=True, kw_only=True):
    """A model that compares texts of other models, where no checker can be: for which use cases, none by default.

    `model` is "auto" (one that is clearly better than those whose texts it compares) or endpoint/name. `tasks` is how
    many texts each model writes, `models` how many are compared at most: a session is one job, and a job has an hour.
    """

    use_cases: tuple[JudgedUseCase, ...] = ()
    model: Annotated[str, Meta(min_length=1, max_length=1024)] = "auto"
    tasks: Annotated[int, Meta(ge=4, le=16)] = 8
    models: Annotated[int, Meta(ge=2, le=6)] = 4

    @property
    def named(self) -> ModelRef | None:
        """The judge that is named, or None where any may be it."""
        return None if self.model == "auto" else ModelRef.parse(self.model)

    def check(self) -> Iterator[Problem]:
        """Yield a problem if no model can have this name."""
        try:
            self.named  # noqa: B018 - it is parsed
        except ValueError as error:
            yield "model", f'{error}; or "auto"'


class Evaluating(Section, frozen=True, kw_only=True):
    """How well models answer.

    A command asks `items` of each suite, or `least` once the interval is as narrow as asked for. The schedule asks
    what can change a recommendation.

    `suites` names a folder with suites of your own (TOML or JSONL). Programs that models write run in a sandbox.
    `usd_per_day` permits evaluating models whose calls cost money, all of them together within it a day.
    With `run_code = false`, and where the system has no sandbox, their syntax trees decide, at half the weight.
    """

    items: Annotated[int, Meta(ge=1, le=1000)] = 12
    least: Annotated[int, Meta(ge=1, le=1000)] = 8
    interval_width: Fraction = 0.35
    timeout_s: Seconds = 120.0
    suites: str | None = None
    run_code: bool = True
    usd_per_day: Annotated[float, Meta(ge=0)] | None = None
    judge: Judge = Judge()
