"""`[benchmarking]` and `[evaluating]`: the benchmarker's."""

from typing import Annotated

from msgspec import Meta

from vedette.settings.section import Seconds, Section
from vedette.types import Fraction


class Benchmarking(Section, frozen=True, kw_only=True):
    """How a model is measured: measured runs per prompt length, tokens asked for in each, deadlines.

    The first run has a deadline of its own because it may load the model; Ollama gives a load up after 5 min.
    """

    runs: Annotated[int, Meta(ge=1, le=100)] = 3
    output_tokens: Annotated[int, Meta(ge=16, le=4096)] = 64
    run_timeout_s: Seconds = 120.0
    first_run_timeout_s: Seconds = 360.0


class Evaluating(Section, frozen=True, kw_only=True):
    """How well models answer.

    A command asks `items` of each suite, or `least` once the interval is as narrow as asked for. The schedule asks
    what can change a recommendation.

    `suites` names a folder with suites of your own (TOML or JSONL). Programs that models write run in a sandbox.
    `usd_per_day` gives leave to evaluate models whose calls cost money, all of them together within it a day.
    With `run_code = false`, and where the system has no sandbox, their syntax trees decide, at half the weight.
    """

    items: Annotated[int, Meta(ge=1, le=1000)] = 12
    least: Annotated[int, Meta(ge=1, le=1000)] = 8
    interval_width: Fraction = 0.35
    timeout_s: Seconds = 120.0
    suites: str | None = None
    run_code: bool = True
    usd_per_day: Annotated[float, Meta(ge=0)] | None = None
