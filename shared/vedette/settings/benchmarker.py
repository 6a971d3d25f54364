"""`[benchmarking]` and `[evaluating]`: the benchmarker's."""

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta

from vedette.settings.section import Problem, Seconds, Section
from vedette.types import Fraction, ModelRef

JudgedUseCase = Literal["chat", "documentation", "summarisation"]


class Benchmarking(Section, frozen=True, kw_only=True):
    """How a model is measured: runs for each prompt length, requested tokens of each run, deadlines.

    The first run has its own deadline because it may load the model. Ollama stops a load after 5 minutes.
    """

    runs: Annotated[int, Meta(ge=1, le=100)] = 3
    output_tokens: Annotated[int, Meta(ge=16, le=4096)] = 64
    run_timeout_s: Seconds = 120.0
    first_run_timeout_s: Seconds = 360.0


class Judge(Section, frozen=True, kw_only=True):
    """A model that compares texts of other models, for use cases without a checker. By default, no use case is judged.

    `model` is endpoint/name, or "auto": a model that is clearly better than the models whose texts it compares. `tasks`
    is the number of texts of each model, `models` the maximum number of compared models. A session is one job, which
    has an hour.
    """

    use_cases: tuple[JudgedUseCase, ...] = ()
    model: Annotated[str, Meta(min_length=1, max_length=1024)] = "auto"
    tasks: Annotated[int, Meta(ge=4, le=16)] = 8
    models: Annotated[int, Meta(ge=2, le=6)] = 4

    @property
    def named(self) -> ModelRef | None:
        """The configured judge, or None if any model may be it."""
        return None if self.model == "auto" else ModelRef.parse(self.model)

    def check(self) -> Iterator[Problem]:
        """Yield a problem if `model` cannot be the name of a model."""
        try:
            self.named  # noqa: B018 - it is parsed
        except ValueError as error:
            yield "model", f'{error}; or "auto"'


class Evaluating(Section, frozen=True, kw_only=True):
    """How the quality of models is measured.

    A command runs `items` tasks of each suite, or `least` if the interval is narrow enough by then. The schedule runs
    tasks that can change a recommendation.

    `suites` is a folder with your own suites (TOML or JSONL). Programs that models write run in a sandbox. With
    `run_code = false`, or without a sandbox on this system, their syntax trees are graded, at half the weight.
    `usd_per_day` permits evaluations of paid models, up to this sum for all of them in a day.
    """

    items: Annotated[int, Meta(ge=1, le=1000)] = 12
    least: Annotated[int, Meta(ge=1, le=1000)] = 8
    interval_width: Fraction = 0.35
    timeout_s: Seconds = 120.0
    suites: str | None = None
    run_code: bool = True
    usd_per_day: Annotated[float, Meta(ge=0)] | None = None
    judge: Judge = Judge()
