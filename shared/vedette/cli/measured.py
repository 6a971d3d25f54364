"""How measurements of single models are shown: figures with spread, capability checks, failures."""

from collections.abc import Iterator, Sequence

from rich.text import Text

from vedette.cli.fitting import Column
from vedette.cli.output import Style, name, out, sheet, styled
from vedette.messages.queries import ModelView
from vedette.text.figures import number, percent
from vedette.types import Bias, Failure, Figure, Judgement, JudgeReport, Performance, Published

# Which figures are shown, in order: field of Performance, what it is called, unit, digits.
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
_COLUMNS = (
    Column("model", 0, "name"),
    Column("figure"),
    Column("median", 0, "number"),
    Column("p95", 2, "number"),
    Column("min", 5, "number"),
    Column("max", 6, "number"),
    Column("spread", 4, "number"),
    Column("n", 3, "number"),
    Column("unit", 1),
)
_LOADS = (
    Column("model", 0, "name"),
    Column("streams", 0, "number"),
    Column("tokens/s, all", 0, "number"),
    Column("each", 1, "number"),
    Column("TTFT", 2, "number"),
    Column("p95", 4, "number"),
    Column("failed", 3, "number"),
)
_PROOFS = (
    Column("model", 0, "name"),
    Column("capability"),
    Column(""),
    Column("evidence", 1),
    Column("because", 2),
    Column("against", 3),
)
_SCORES = (
    Column("model", 0, "name"),
    Column("suite"),
    Column("right", 3, "number"),
    Column("of", 3, "number"),
    Column("rate", 0, "number"),
    Column("at least", 1, "number"),
    Column("at most", 2, "number"),
    Column("before", 4),
)

_JUDGED = (
    Column("model", 0, "name"),
    Column("use case"),
    Column("preferred", 2, "number"),
    Column("ties", 4, "number"),
    Column("not", 3, "number"),
    Column("strength", 0, "number"),
    Column("at least", 1, "number"),
    Column("at most", 1, "number"),
    Column("judge", 3, "name"),
)


def show_figures(models: Sequence[ModelView], style: Style) -> None:
    """Print every figure of *models* with its spread, then their sweeps, then what went wrong."""
    rows = [row for model in models if model.figures for row in _figure_rows(model, model.figures)]
    sheet(_COLUMNS, rows, style)
    loads = [row for model in models if model.figures for row in _load_rows(model, model.figures)]
    if loads and style != "csv":  # one table is one CSV document
        out.print()
        sheet(_LOADS, loads, style)
    if style == "table":
        for model in models:
            for line in _remarks(model):
                out.print(line)


def _figure_rows(model: ModelView, performance: Performance) -> Iterator[tuple[str, ...]]:
    for field, called, unit, digits in _FIGURES:
        figure: Figure | None = getattr(performance, field)
        if figure is not None:
            values = (figure.median, figure.p95, figure.min, figure.max)
            shown = (number(value, digits) for value in values)
            yield str(model.model), called, *shown, percent(figure.spread), str(figure.n), unit


def _load_rows(model: ModelView, performance: Performance) -> Iterator[tuple[str, ...]]:
    for load in performance.sweep.loads if performance.sweep else ():
        yield (
            str(model.model),
            str(load.streams),
            number(load.throughput_tps, 1),
            number(load.output_tps.median, 1),
            f"{number(load.ttft_ms.median)} ms",
            f"{number(load.ttft_ms.p95)} ms",
            str(load.failures),
        )


def _remarks(model: ModelView) -> Iterator[str]:
    yield from map(_published, model.published)
    figures = model.figures
    if figures is None:
        yield f"{name(model.model)}: never measured"
        return
    who = name(model.model)
    server = f", server {figures.server_version}" if figures.server_version else ""
    yield f"{who}: {figures.n} warm runs behind the figures{server}"
    if figures.contended:
        yield f"{who}: {figures.contended} of them while the endpoint did other work; they count less"
    if figures.failures:
        yield f"{who}: {figures.failures} runs failed; figures do not include them"


def _published(figures: Published) -> str:
    told = [
        f"{percent(figures.uptime)} up" if figures.uptime is not None else "",
        f"TTFT {number(figures.ttft_ms.p50)} ms" if figures.ttft_ms else "",
        f"{number(figures.output_tps.p50, 1)} tokens/s" if figures.output_tps else "",
    ]
    return f"{figures.source} says of {figures.by or 'it'}: {', '.join(filter(None, told))}"


def show_proofs(models: Sequence[ModelView], style: Style) -> None:
    """Print what *models* are known to be able to do, on what evidence."""
    rows = [
        (
            str(model.model),
            capability,
            "yes" if claim.value else "no",
            claim.evidence,
            claim.source,
            claim.contradicted_by or "",
        )
        for model in models
        for capability, claim in sorted(model.capabilities.items())
    ]
    sheet(_PROOFS, rows, style)


def show_scores(models: Sequence[ModelView], style: Style) -> None:
    """Print how well *models* answer, by kind of question, then their most telling wrong answers."""
    rows = [row for model in models for row in _score_rows(model)]
    if not rows and style == "table":
        out.print("Not evaluated yet. Run vedette evaluate, or wait for the schedule.")
        for line in (line for model in models for line in _judged(model)):
            out.print(line)
        return
    sheet(_SCORES, rows, style)
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


def _score_rows(model: ModelView) -> Iterator[tuple[str, ...]]:
    quality = model.quality
    for kind, score in sorted(quality.scores.items()) if quality else ():
        low, high = score.interval
        baseline = quality.baseline.scores.get(kind) if quality and quality.baseline else None
        yield (
            str(model.model),
            score.suite,
            str(score.successes),
            str(score.trials),
            percent(score.successes / score.trials),
            percent(low),
            percent(high),
            f"{baseline.successes}/{baseline.trials}" if baseline else "",
        )


def show_judged(models: Sequence[ModelView], style: Style) -> None:
    """Print what judges found of *models*, then how those judges answered."""
    held = [(model, *one) for model in models if model.judged for one in model.judged.judgements.items()]
    rows = [_judged_row(model, use_case, one) for model, use_case, one in sorted(held, key=_by_strength)]
    if not rows and style == "table":
        out.print("No judge has compared any texts yet.")
        return
    sheet(_JUDGED, rows, style)
    if style == "table":
        reports = {(use_case, one.session): one.report for _, use_case, one in held}
        for (use_case, _), report in reports.items():
            out.print(f"{use_case}: {_judge(report)}")


def _by_strength(held: tuple[ModelView, str, Judgement]) -> tuple[str, str, float, str]:
    model, use_case, one = held
    return use_case, one.session, -(one.strength or 0.0), str(model.model)


def _judged_row(model: ModelView, use_case: str, one: Judgement) -> tuple[str, ...]:
    strength = "" if one.strength is None else f"{one.strength:+.2f}"
    away = None if one.strength is None or one.error is None else 1.96 * one.error
    return (
        str(model.model),
        use_case,
        str(one.wins),
        str(one.ties),
        str(one.losses),
        strength,
        "" if away is None or one.strength is None else f"{one.strength - away:+.2f}",
        "" if away is None or one.strength is None else f"{one.strength + away:+.2f}",
        str(one.report.judge),
    )


def _judge(report: JudgeReport) -> str:
    """Return how a judge answered, in a line."""
    found = [
        f"{name(report.judge)} passed {report.test.successes} of {report.test.trials} pairs that test a judge",
        f"{report.answers} answers, {report.unread} without a verdict"
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
    """Yield in lines what judges found of one model."""
    for use_case, one in sorted(model.judged.judgements.items()) if model.judged else ():
        asked = one.wins + one.ties + one.losses
        doubts = f"; does not count: {one.report.doubts}" if one.report.doubts else ""
        yield (
            f"{name(model.model)}  {use_case}: {name(one.report.judge)} preferred it in {one.wins} of {asked} "
            f"comparisons, {one.ties} ties{doubts}"
        )


def _own_tasks(model: ModelView) -> str:
    """Return which share of other tasks the model may get right, by built-in use case."""
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
    """Print what was sent and received when probes of *model* failed, newest last."""
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
