"""How measurements of single models are shown: figures with spread, capability checks, failures."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.text import Text

from vedette.cli.output import Cell, Style, name, names, numbers, out, styled, table, words
from vedette.messages.queries import ModelView
from vedette.text.figures import counted, number, percent
from vedette.types import (
    Bias,
    Claim,
    Failure,
    Figure,
    Judgement,
    JudgeReport,
    ModelRef,
    Published,
    Score,
    StreamsLoad,
)

# The figures to show, in order: field of Performance, label, unit, digits.
_FIGURES = (
    ("output_tps", "output", "tokens/s", 1),
    ("ttft_ms", "TTFT, short prompt", "ms", 0),
    ("ttft_long_ms", "TTFT, long prompt", "ms", 0),
    ("itl_ms", "inter-token latency", "ms", 1),
    ("e2e_ms", "complete output", "ms", 0),
    ("ttft_cold_ms", "TTFT, cold", "ms", 0),
    ("load_ms", "load", "ms", 0),
    ("texts_per_s", "embedding", "texts/s", 1),
    ("embedding_tps", "embedding", "tokens/s", 0),
    ("server_output_tps", "output, by the server", "tokens/s", 1),
)


def show_figures(models: Sequence[ModelView], style: Style) -> None:
    """Print every figure of *models* with its spread, then their sweeps, then failures."""
    table(_MEASURED, [one for model in models for one in _measured(model)], style)
    sweeps = [(model.model, load) for model in models for load in _loads(model)]
    if sweeps and style != "csv":  # one table is one CSV document
        out.print()
        table(_SWEEPS, sweeps, style)
    if style == "table":
        for model in models:
            for line in _remarks(model):
                out.print(line)


class _Measured(NamedTuple):
    """One figure of a model: its name, its unit, and the digits to show."""

    model: ModelRef
    called: str
    unit: str
    digits: int
    figure: Figure


def _measured(model: ModelView) -> Iterator[_Measured]:
    for field, called, unit, digits in _FIGURES if model.figures else ():
        figure: Figure | None = getattr(model.figures, field)
        if figure is not None:
            yield _Measured(model.model, called, unit, digits, figure)


_MEASURED: tuple[Cell[_Measured], ...] = (
    names("model", lambda one: one.model),
    words("figure", lambda one: one.called),
    numbers("median", lambda one: number(one.figure.median, one.digits)),
    numbers("p95", lambda one: number(one.figure.p95, one.digits), 2),
    numbers("min", lambda one: number(one.figure.min, one.digits), 5),
    numbers("max", lambda one: number(one.figure.max, one.digits), 6),
    numbers("spread", lambda one: percent(one.figure.spread), 4),
    numbers("n", lambda one: str(one.figure.n), 3),
    words("unit", lambda one: one.unit, 1),
)


def _loads(model: ModelView) -> Sequence[StreamsLoad]:
    return model.figures.sweep.loads if model.figures and model.figures.sweep else ()


_SWEEPS: tuple[Cell[tuple[ModelRef, StreamsLoad]], ...] = (
    names("model", lambda of: of[0]),
    numbers("streams", lambda of: str(of[1].streams)),
    numbers("tokens/s, all", lambda of: number(of[1].throughput_tps, 1)),
    numbers("each", lambda of: number(of[1].output_tps.median, 1), 1),
    numbers("TTFT", lambda of: f"{number(of[1].ttft_ms.median)} ms", 2),
    numbers("p95", lambda of: f"{number(of[1].ttft_ms.p95)} ms", 4),
    numbers("failed", lambda of: str(of[1].failures), 3),
)


def _remarks(model: ModelView) -> Iterator[str]:
    yield from map(_published, model.published)
    figures = model.figures
    if figures is None:
        yield f"{name(model.model)}: never measured"
        return
    who = name(model.model)
    server = f", server {figures.server_version}" if figures.server_version else ""
    yield f"{who}: {counted(figures.n, 'warm run')} behind the figures{server}"
    if figures.contended:
        yield f"{who}: {figures.contended} of them while the endpoint did other work; they count less"
    if figures.failures:
        yield f"{who}: {counted(figures.failures, 'run')} failed; figures do not include them"


def _published(figures: Published) -> str:
    parts = [
        f"{percent(figures.uptime)} up" if figures.uptime is not None else "",
        f"TTFT {number(figures.ttft_ms.p50)} ms" if figures.ttft_ms else "",
        f"{number(figures.output_tps.p50, 1)} tokens/s" if figures.output_tps else "",
    ]
    return f"{figures.source} says of {figures.by or 'it'}: {', '.join(filter(None, parts))}"


def show_proofs(models: Sequence[ModelView], style: Style) -> None:
    """Print the known capabilities of *models*, with their evidence."""
    table(
        _PROOFS,
        [(model.model, *one) for model in models for one in sorted(model.capabilities.items())],
        style,
    )


_PROOFS: tuple[Cell[tuple[ModelRef, str, Claim]], ...] = (
    names("model", lambda of: of[0]),
    words("capability", lambda of: of[1]),
    words("", lambda of: "yes" if of[2].value else "no"),
    words("evidence", lambda of: of[2].evidence, 1),
    words("because", lambda of: of[2].source, 2),
    words("against", lambda of: of[2].contradicted_by or "", 3),
)


def show_scores(models: Sequence[ModelView], style: Style) -> None:
    """Print the quality of *models* by kind of question, then their most useful wrong answers."""
    scores = [one for model in models for one in _scores(model)]
    if not scores and style == "table":
        out.print("Not evaluated yet. Run vedette evaluate, or wait for the schedule.")
        for line in (line for model in models for line in _judged(model)):
            out.print(line)
        return
    table(_SCORES, scores, style)
    if style == "table":
        for model in models:
            if line := _own_tasks(model):
                out.print(f"{name(model.model)}: right in your own tasks (95 %): {line}")
            for rating in model.ratings:
                what = rating.use_case or "all use cases"
                out.print(
                    f"{name(model.model)}: {rating.score:.2f} for {what} ({rating.source}, {rating.as_of})"
                )
            for line in _judged(model):
                out.print(line)
            for kind, score in sorted(model.quality.scores.items()) if model.quality else ():
                if score.note:
                    out.print(
                        f"{name(model.model)}  {kind}: {score.note}; each answer counts {score.weight:g}"
                    )
            for miss in model.quality.misses if model.quality else ():
                out.print()
                out.print(styled((f"{name(model.model)}  {miss.suite}", "bold"), f"  {miss.why}"))
                out.print(f"  asked     {_line(miss.prompt)}")
                out.print(f"  answered  {_line(miss.answer) or 'nothing'}")


class _Scored(NamedTuple):
    """One score of a model, and the score of the same kind for comparison."""

    model: ModelRef
    score: Score
    baseline: Score | None


def _scores(model: ModelView) -> Iterator[_Scored]:
    quality = model.quality
    for kind, score in sorted(quality.scores.items()) if quality else ():
        baseline = quality.baseline.scores.get(kind) if quality and quality.baseline else None
        yield _Scored(model.model, score, baseline)


_SCORES: tuple[Cell[_Scored], ...] = (
    names("model", lambda one: one.model),
    words("suite", lambda one: one.score.suite),
    numbers("right", lambda one: str(one.score.successes), 3),
    numbers("of", lambda one: str(one.score.trials), 3),
    numbers("rate", lambda one: percent(one.score.successes / one.score.trials)),
    numbers("at least", lambda one: percent(one.score.interval[0]), 1),
    numbers("at most", lambda one: percent(one.score.interval[1]), 2),
    words("before", lambda one: f"{one.baseline.successes}/{one.baseline.trials}" if one.baseline else "", 4),
)


def show_judged(models: Sequence[ModelView], style: Style) -> None:
    """Print the judges' results for *models*, then how those judges answered."""
    held = [
        (model.model, *one) for model in models if model.judged for one in model.judged.judgements.items()
    ]
    if not held and style == "table":
        out.print("No judge has compared any texts yet.")
        return
    shown = [one for one in sorted(held, key=_by_strength) if one[2].compared or style != "table"]
    if shown:
        table(_JUDGED, shown, style)
    if style == "table":
        reports = {(use_case, one.session): one.report for _, use_case, one in held}
        for (use_case, _), report in reports.items():
            out.print(f"{use_case}: {_judge(report)}")


def _by_strength(held: tuple[ModelRef, str, Judgement]) -> tuple[str, str, float, str]:
    model, use_case, one = held
    return use_case, one.session, -(one.strength or 0.0), str(model)


def _strength(one: Judgement, errors: float) -> str:
    """Return the strength plus *errors* times its standard error; empty if either is unknown."""
    if one.strength is None or (errors and one.error is None):
        return ""
    return f"{one.strength + errors * (one.error or 0.0):+.2f}"


_JUDGED: tuple[Cell[tuple[ModelRef, str, Judgement]], ...] = (
    names("model", lambda of: of[0]),
    words("use case", lambda of: of[1]),
    numbers("preferred", lambda of: str(of[2].wins), 2),
    numbers("ties", lambda of: str(of[2].ties), 4),
    numbers("not", lambda of: str(of[2].losses), 3),
    numbers("strength", lambda of: _strength(of[2], 0.0)),
    numbers("at least", lambda of: _strength(of[2], -1.96), 1),
    numbers("at most", lambda of: _strength(of[2], 1.96), 1),
    names("judge", lambda of: of[2].report.judge, 3),
)


def _judge(report: JudgeReport) -> str:
    """Return one line about the replies of a judge."""
    if not report.answers and not report.unread:
        return f"{name(report.judge)} was asked to compare no texts: {report.doubts}"
    found = [
        f"{name(report.judge)} passed {report.test.successes} of {report.test.trials} pairs that test a judge",
        f"{counted(report.answers, 'answer')}, {report.unread} without a verdict"
        if report.answers or report.unread
        else "",
        _bias("the first text was preferred", report.position),
        _bias("its own texts were preferred", report.itself),
        _bias("texts of its family were preferred", report.family),
        f"does not count: {report.doubts}" if report.doubts else "",
    ]
    return "; ".join(filter(None, found))


def _bias(what: str, bias: Bias | None) -> str:
    if bias is None:
        return ""
    beside = f"{percent(bias.low)} to {percent(bias.high)}, expected {percent(bias.expected)}"
    return f"{what} in {percent(bias.share)} of {bias.n} ({beside})"


def _judged(model: ModelView) -> Iterator[str]:
    """Yield the judges' results for one model, in lines."""
    for use_case, one in sorted(model.judged.judgements.items()) if model.judged else ():
        doubts = f"; does not count: {one.report.doubts}" if one.report.doubts else ""
        found = (
            f"preferred it in {one.wins} of {one.compared} comparisons, {one.ties} ties"
            if one.compared
            else "compared none of its texts"
        )
        yield f"{name(model.model)}  {use_case}: {name(one.report.judge)} {found}{doubts}"


def _own_tasks(model: ModelView) -> str:
    """Return the share of other tasks that the model may solve, for each built-in use case."""
    from vedette.usecases import KINDS
    from vedette.usecases.estimating import own_tasks  # numpy takes 0.1 s to import

    scores = model.quality.scores if model.quality else {}
    shares = {use_case: own_tasks(scores, kinds) for use_case, kinds in KINDS.items()}
    return ", ".join(
        f"{use_case} {percent(share[0])} to {percent(share[1])}"
        for use_case, share in shares.items()
        if share
    )


def _line(text: str) -> str:
    return " ".join(text.split())


def show_transcripts(model: ModelView) -> None:
    """Print requests and replies of failed probes of *model*, newest last."""
    if not model.failures:
        out.print(
            "No probe of this model failed because of the model. Failures of the endpoint are not listed here."
        )
    for failure in model.failures:
        out.print()
        out.print(_title(failure))
        out.print(f"  sent      {failure.exchange.sent}")
        out.print(f"  received  {failure.exchange.received or 'nothing'}")


def _title(failure: Failure) -> Text:
    return styled((f"{failure.at:%Y-%m-%d %H:%M:%S}Z", "bold"), f"  {failure.level}: {failure.outcome}")
