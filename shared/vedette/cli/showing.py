"""Models, rankings and explanations as tables and sentences."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from vedette.cli.fitting import Column
from vedette.cli.need import option
from vedette.cli.output import Screen, name, out, sentence, sheet, styled
from vedette.messages.catalogue import REFUSAL
from vedette.messages.queries import (
    BestReply,
    Contribution,
    ExplainReply,
    MeasuredSpeed,
    ModelView,
    Recommendation,
    Relaxation,
)
from vedette.text.figures import ago, apart, ms, number, percent, size, times, tokens
from vedette.text.shown import shown_name
from vedette.types import ModelRef

# The codes of rejections for a figure that is not known; `--unmeasured keep` lifts them.
_UNMEASURED = frozenset(
    f"{limit}_unknown" for limit in ("context", "ttft", "output_tps", "price", "parameters", "uptime")
)
_MAX_NOTED = 20

_MODEL_COLUMNS = (
    Column("model", 0, "name"),
    Column("size", 6, "number"),
    Column("quant", 8),
    Column("context", 5, "number"),
    Column("status"),
    Column("up 24 h", 4, "number"),
    Column("tokens/s", 2, "number"),
    Column("TTFT", 3, "number"),
    Column("cold TTFT", 7, "number"),
    Column("load", 9, "number"),
    Column("runs", 10, "number"),
    Column("same weights", 11),
)


def show_models(shown: Sequence[ModelView], *, total: int | None = None, considered: int = 0) -> None:
    """Print models with what was measured of them, of how many in all they are part, and of how many considered."""
    if not shown:
        out.print(
            f"0 of {considered:,} models match."
            if considered
            else 'No models are known yet. "vedette doctor" shows which endpoints are reachable.'
        )
        return
    columns = _MODEL_COLUMNS if any(model.same_weights for model in shown) else _MODEL_COLUMNS[:-1]
    sheet(columns, [_model_row(model)[: len(columns)] for model in shown])
    strange = [model for model in shown if model.notes]
    for model in strange[:_MAX_NOTED]:
        out.print(f"{name(model.model)}: {'; '.join(model.notes)}")
    if len(strange) > _MAX_NOTED:
        out.print(f"and {len(strange) - _MAX_NOTED:,} more strange names; --json shows all notes")
    for model in [model for model in shown if model.measured_as][:_MAX_NOTED]:
        out.print(measured_as(model.model, model.measured_as))
    for model in [model for model in shown if _context_source(model).startswith(REFUSAL)][:_MAX_NOTED]:
        out.print(f"{name(model.model)}: context {model.info.context_tokens:,} by {_context_source(model)}")
    ending = [model for model in shown if model.info.retires_at]
    for model in ending[:_MAX_NOTED]:
        by = model.info.sources.get("retires_at", "its listing")
        out.print(f"{name(model.model)}{_ends(model.info.retires_at)} by {by}")
    if len(ending) > _MAX_NOTED:
        out.print(f"and {len(ending) - _MAX_NOTED:,} more end; --json shows all dates")
    if total is not None and total > len(shown):
        out.print(f"{len(shown):,} of {total:,}; --limit lists more, a text filters by name")


def measured_as(model: ModelRef, former: ModelRef | None, screen: Screen | None = None) -> str:
    """Return that *model* was measured under its *former* name, as a line."""
    return f"{name(model, screen)}: measured as {name(former, screen)}" if former else ""


def _context_source(model: ModelView) -> str:
    return model.info.sources.get("served_context_tokens", "")


def _model_row(model: ModelView) -> tuple[str, ...]:
    speed, info = model.performance, model.info
    loaded = {True: ", loaded", False: "", None: ""}[model.resident]
    return (
        str(model.model),
        size(info.parameters),
        info.quantization or "-",
        tokens(info.context_tokens),
        model.status + (" (stale)" if model.stale else loaded),
        percent(model.availability.uptime_24h if model.availability else None),
        rate(speed),
        ms(speed.ttft_ms if speed else None),
        ms(speed.ttft_cold_ms if speed else None),
        ms(speed.load_ms if speed else None),
        (f"{speed.n}" + (f" (+{speed.failures} failed)" if speed.failures else "")) if speed else "-",
        ", ".join(map(shown_name, model.same_weights)) or "-",
    )


def rate(speed: MeasuredSpeed | None) -> str:
    """Return the output rate for a table: tokens per second, or texts of a model that embeds."""
    texts_per_s = speed.texts_per_s if speed else None
    if texts_per_s is not None:
        return f"{texts_per_s:,.0f} texts"
    return number(speed.output_tps if speed else None, 1)


def _ends(at: datetime | None) -> str:
    """Return when a model ends, for the end of a line; nothing where its service reports no end."""
    return f" ends on {at.astimezone(UTC):%Y-%m-%d}" if at else ""


def show_best(reply: BestReply) -> None:
    """Print the winner with what is measured of it, and its fallbacks; or why there is none, and what to relax."""
    best = reply.recommendation
    if best is None:
        out.print(f"No model fits {reply.use_case}: {_counted(reply.rejected, reply.considered)}.")
        _show_relaxation(reply.relax, reply.rejected, reply.considered)
        return
    out.print(
        styled(
            (name(best.model), "bold green"),
            f"  {best.score:.1f} of 100, confidence {percent(best.confidence)}",
        )
    )
    if best.retires_at:
        out.print(f" {_ends(best.retires_at)} (by its service, or as published)")
    out.print(
        f"  call it: {best.api} at {best.base_url or best.url}"
        + (f", key in {best.key_ref}" if best.key_ref else "")
    )
    state = {True: "loaded", False: "not loaded", None: ""}[best.resident]
    out.print(
        f"  {', '.join(filter(None, (best.status, state)))} · {number(best.output_tps, 1)} tokens/s · "
        f"TTFT {ms(best.ttft_ms)} warm, {ms(best.ttft_cold_ms)} cold · context {number(best.context_tokens)}"
    )
    if reply.fallbacks:
        out.print("\nelse")
        show_ranking(reply.fallbacks)
    if reply.rejected:
        out.print(f"\n{_counted(reply.rejected, reply.considered)}")


_RANKING = (
    Column("model", 0, "name"),
    Column("score", 0, "number"),
    Column("confidence", 5, "number"),
    Column("status", 2),
    Column("tokens/s", 3, "number"),
    Column("TTFT", 4, "number"),
    Column("", 6),
)


def show_ranking(recommendations: Sequence[Recommendation], screen: Screen | None = None) -> None:
    """Print a line for each recommendation, on standard output or on *screen*."""
    rows = [
        (
            str(one.model),
            f"{one.score:.1f}",
            percent(one.confidence),
            one.status,
            number(one.output_tps, 1),
            ms(one.ttft_ms),
            "as good as the best" if one.equivalent else "",
        )
        for one in recommendations
    ]
    sheet(_RANKING, rows, screen=screen)


def show_explanation(reply: ExplainReply, screen: Screen | None = None) -> None:
    """Print how the candidates score and why the others are none, on standard output or on *screen*."""
    on = screen or out
    for line in reply.summary:
        on.print(sentence(_with_options(line, reply.relax), on))
    for one in reply.recommendations:
        on.print()
        _show_contributions(one, on)
    if reply.rejections:
        on.print()
        columns = (
            Column("no candidate", 0, "name"),
            Column("because"),
            Column("needed", 2),
            Column("has", 1),
        )
        rows = [
            (
                str(rejection.model),
                rejection.code.replace("_", " "),
                _plain(rejection.need),
                _plain(rejection.value),
            )
            for rejection in reply.rejections
        ]
        sheet(columns, rows, screen=on)
        if reply.rejections_omitted:
            on.print(f"and {reply.rejections_omitted:,} more models, further from the limits")
    if reply.recommendations and reply.relax:
        on.print()
        _show_relaxation(reply.relax, reply.rejected, reply.considered, on)
    if reply.unmeasured:
        on.print()
    for line in reply.unmeasured:
        on.print(sentence(line, on))


_CONTRIBUTIONS = (
    Column("signal"),
    Column("value", 1, "number"),
    Column("utility", 4, "number"),
    Column("confidence", 5, "number"),
    Column("weight", 3, "number"),
    Column("points", 0, "number"),
    Column("because", 2),
)


def _show_contributions(one: Recommendation, screen: Screen) -> None:
    multiplied = "".join(
        f" · {value:.3f} ({what})" for what, value in one.multipliers.items() if value != 1.0
    )
    rows = []
    for part in one.contributions:
        digits = {"fraction": 3, "probability": 3, "tokens": 0}.get(part.unit, 1)
        rows.append(
            (
                part.signal,
                "-" if part.raw is None else f"{number(part.raw, digits)} {part.unit}",
                f"{part.utility:.2f}",
                percent(part.confidence),
                percent(part.weight),
                f"{part.points:.1f}",
                _because(part),
            )
        )
    made_of = f"{one.raw_score:.1f}{multiplied} = " if multiplied else ""
    title = f"{name(one.model, screen)}: {made_of}{one.score:.1f}{_reported(one)}"
    sheet(_CONTRIBUTIONS, rows, title=title, screen=screen)
    if one.measured_as:
        screen.print(measured_as(one.model, one.measured_as, screen))
    if one.retires_at:
        screen.print(f"{name(one.model, screen)}{_ends(one.retires_at)} (by its service, or as published)")


def _reported(one: Recommendation) -> str:
    """Return what callers' reports changed of the score, where they changed anything."""
    without = one.score_without_reports
    return "" if without is None else f"; without outcome reports {without:.1f}"


def _because(part: Contribution) -> str:
    """Return where a signal's value is from, and what was assumed for the rest."""
    source: str = part.kind if part.raw is not None else ""
    if part.n is not None:
        source += f" {times(part.n)}, last {ago(part.age_s)}"
    return "; ".join(filter(None, (source, part.note)))


def _counted(rejected: dict[str, int], considered: int) -> str:
    reasons = ", ".join(f"{n} for {code.replace('_', ' ')}" for code, n in sorted(rejected.items()))
    return f"{considered} considered, {sum(rejected.values())} rejected" + (
        f" ({reasons})" if reasons else ""
    )


def _show_relaxation(
    relax: Relaxation | None, rejected: Mapping[str, int], considered: int, screen: Screen | None = None
) -> None:
    on = screen or out
    unmeasured = sum(n for code, n in rejected.items() if code in _UNMEASURED)
    if unmeasured and (relax is None or relax.constraint != "constraints.unmeasured"):
        on.print(f"{unmeasured:,} have no figure for a limit: --unmeasured keep considers them.")
    if not considered:
        on.print('No models are known yet. "vedette doctor" shows which endpoints are reachable.')
        return
    if relax is None:
        unknown = rejected.get("capability_unknown", 0)
        verify = f' "vedette verify" checks the {unknown:,} without evidence.' if unknown else ""
        failing, closed = rejected.get("never_answered", 0), rejected.get("endpoint_closed", 0)
        if closed < considered:
            on.print(
                f"None of them has every capability needed{' and answers calls' if failing else ''}.{verify}"
            )
        if closed:
            models = "1 model is" if closed == 1 else f"{closed:,} models are"
            on.print(f'{models} at an endpoint that is paused or asleep; "vedette endpoints" says why.')
        return
    if relax.constraint == "constraints.unmeasured":
        also = f", and relax {', '.join(map(option, relax.also))}" if relax.also else ""
        on.print(
            f"The nearest miss is {name(relax.model, on)}, which has no figure for a limit: "
            f"--unmeasured keep admits it{also}."
        )
        return
    also = f", and {', '.join(map(option, relax.also))}" if relax.also else ""
    change = f" from {_from_to(relax.need, relax.to)}" if relax.to is not None else f" ({_plain(relax.need)})"
    score = f"; it would score {relax.score:.1f}" if relax.score is not None else ""
    on.print(
        f"The nearest miss is {name(relax.model, on)}: relax {option(relax.constraint)}{change}{also}{score}."
    )


def _with_options(text: str, relax: Relaxation | None) -> str:
    for field in (relax.constraint, *relax.also) if relax else ():
        if field.startswith("constraints."):
            text = text.replace(field, option(field))
    return text


def _from_to(need: object, to: object) -> str:
    if isinstance(need, float) and isinstance(to, int | float):
        return " to ".join(apart(need, to, 4))
    return f"{_plain(need)} to {_plain(to)}"


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:,.4g}"
    return "-" if value is None else str(value)
