"""Models, rankings and explanations as tables and sentences."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from vedette.cli.need import option
from vedette.cli.output import Cell, Screen, name, names, numbers, out, sentence, styled, table, words
from vedette.messages.catalogue import REFUSAL
from vedette.messages.queries import (
    BestReply,
    Contribution,
    EndpointView,
    ExplainReply,
    MeasuredSpeed,
    ModelView,
    Recommendation,
    Rejection,
    Relaxation,
)
from vedette.text.figures import ago, apart, counted, ms, number, percent, size, times, tokens
from vedette.text.rejected import in_words, why_none
from vedette.text.shown import shown_name
from vedette.types import ModelRef

# Rejection codes for an unknown figure; `--unmeasured keep` removes these rejections.
_UNMEASURED = frozenset(
    f"{limit}_unknown" for limit in ("context", "ttft", "output_tps", "price", "parameters", "uptime")
)
_MAX_NOTED = 20


def show_models(
    shown: Sequence[ModelView],
    *,
    endpoints: Sequence[EndpointView] = (),
    total: int | None = None,
    considered: int = 0,
) -> None:
    """Print models with their measurements, and how many match (*total*) of how many *considered*.

    If one of *endpoints* is paused or asleep, its models have that instead of a status.
    """
    if not shown:
        out.print(
            f"0 of {counted(considered, 'model matches', 'models match')}."
            if considered
            else 'No models are known yet. "vedette doctor" shows which endpoints are reachable.'
        )
        return
    cells = _model_cells({view.endpoint: view.closed_state for view in endpoints})
    table(cells if any(model.same_weights for model in shown) else cells[:-1], shown)
    strange = [model for model in shown if model.notes]
    for model in strange[:_MAX_NOTED]:
        out.print(f"{name(model.model)}: {'; '.join(model.notes)}")
    if len(strange) > _MAX_NOTED:
        out.print(f"and {counted(len(strange) - _MAX_NOTED, 'more strange name')}; --json shows all notes")
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
    """Return a line that says that *model* was measured under its *former* name; empty if there is none."""
    return f"{name(model, screen)}: measured as {name(former, screen)}" if former else ""


def _context_source(model: ModelView) -> str:
    return model.info.sources.get("served_context_tokens", "")


def _state(model: ModelView) -> str:
    return model.status + (" (stale)" if model.stale else ", loaded" if model.resident else "")


def _runs(speed: MeasuredSpeed) -> str:
    return f"{speed.n}" + (f" (+{speed.failures} failed)" if speed.failures else "")


def rate(speed: MeasuredSpeed | None) -> str:
    """Return the output rate for a table: tokens per second, or texts per second for an embedding model."""
    texts_per_s = speed.texts_per_s if speed else None
    if texts_per_s is not None:
        return f"{texts_per_s:,.0f} texts"
    return number(speed.output_tps if speed else None, 1)


def _model_cells(closed: Mapping[str, str]) -> tuple[Cell[ModelView], ...]:
    """Return the columns of models. *closed* says which endpoints are paused or asleep."""
    return (
        names("model", lambda one: one.model),
        numbers("size", lambda one: size(one.info.parameters), 6),
        words("quant", lambda one: one.info.quantization or "-", 8),
        numbers("context", lambda one: tokens(one.info.context_tokens), 5),
        words("status", lambda one: closed.get(one.model.endpoint) or _state(one)),
        numbers("up 24 h", lambda one: percent(one.availability.uptime_24h if one.availability else None), 4),
        numbers("tokens/s", lambda one: rate(one.performance), 2),
        numbers("TTFT", lambda one: ms(one.performance.ttft_ms if one.performance else None), 3),
        numbers("cold TTFT", lambda one: ms(one.performance.ttft_cold_ms if one.performance else None), 7),
        numbers("load", lambda one: ms(one.performance.load_ms if one.performance else None), 9),
        numbers("runs", lambda one: _runs(one.performance) if one.performance else "-", 10),
        words("same weights", lambda one: ", ".join(map(shown_name, one.same_weights)) or "-", 11),
    )


def _ends(at: datetime | None) -> str:
    """Return the end of a line with the date on which a model is retired; empty if its service reports none."""
    return f" ends on {at.astimezone(UTC):%Y-%m-%d}" if at else ""


def show_best(reply: BestReply) -> None:
    """Print the winner with its measurements, and its fallbacks; or why there is none, and what to relax."""
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
    if now := _now(best):
        out.print(f"  expected now: {now}")
    if reply.unknown_capabilities:
        needed = " and ".join(one.replace("_", " ") for one in reply.unknown_capabilities)
        out.print(f'  whether it has {needed} is unknown; "vedette verify" checks it')
    if reply.fallbacks:
        out.print("\nelse")
        show_ranking(reply.fallbacks)
    if reply.rejected:
        out.print(f"\n{_counted(reply.rejected, reply.considered)}")


_RANKING: tuple[Cell[Recommendation], ...] = (
    names("model", lambda one: one.model),
    numbers("score", lambda one: f"{one.score:.1f}"),
    numbers("confidence", lambda one: percent(one.confidence), 5),
    words("status", lambda one: one.status, 2),
    numbers("tokens/s", lambda one: number(one.output_tps, 1), 3),
    numbers("TTFT", lambda one: ms(one.ttft_ms), 4),
    words("", lambda one: "as good as the best" if one.equivalent else "", 6),
)
_EXPECTED_NOW: Cell[Recommendation] = words("expected now", lambda one: _now(one) or "the same", 5)


def _now(one: Recommendation) -> str:
    """Return what to expect of a call now, if it differs from the figures at rest; else an empty text."""
    output_tps = one.output_tps if one.expected_output_tps is None else one.expected_output_tps
    now, rest = (
        f"TTFT {ms(ttft_ms)}, {number(tps, 1)} tokens/s"
        for ttft_ms, tps in ((one.expected_ttft_ms, output_tps), (one.ttft_ms, one.output_tps))
    )
    if now == rest:
        return ""
    loading = ", with loading" if one.resident is False else ""
    others = ", ".join(map(shown_name, one.may_unload))
    unloads = f"; its server may unload {others}" if others else ""
    return f"{now}{loading}{unloads}"


def show_ranking(recommendations: Sequence[Recommendation], screen: Screen | None = None) -> None:
    """Print a line for each recommendation, on standard output or on *screen*."""
    differ = any(map(_now, recommendations))
    table((*_RANKING, _EXPECTED_NOW) if differ else _RANKING, recommendations, screen=screen)


def show_explanation(reply: ExplainReply, screen: Screen | None = None) -> None:
    """Print the scores of the candidates and the reasons of rejections, on standard output or on *screen*."""
    on = screen or out
    for line in reply.summary:
        on.print(sentence(_with_options(line, reply.relax), on))
    for one in reply.recommendations:
        on.print()
        _show_contributions(one, on)
    if reply.rejections:
        on.print()
        table(_REJECTIONS, reply.rejections, screen=on)
        if reply.rejections_omitted:
            on.print(f"and {counted(reply.rejections_omitted, 'more model')}, further from the limits")
    if reply.recommendations and reply.relax:
        on.print()
        _show_relaxation(reply.relax, reply.rejected, reply.considered, on)
    if reply.unmeasured:
        on.print()
    for line in reply.unmeasured:
        on.print(sentence(line, on))


_REJECTIONS: tuple[Cell[Rejection], ...] = (
    names("no candidate", lambda one: one.model),
    words("because", lambda one: in_words(one.code)),
    words("needed", lambda one: _plain(one.need), 2),
    words("has", lambda one: _plain(one.value), 1),
)


def _show_contributions(one: Recommendation, screen: Screen) -> None:
    multiplied = "".join(
        f" · {value:.3f} ({what})" for what, value in one.multipliers.items() if value != 1.0
    )
    made_of = f"{one.raw_score:.1f}{multiplied} = " if multiplied else ""
    title = f"{name(one.model, screen)}: {made_of}{one.score:.1f}{_reported(one)}"
    table(_CONTRIBUTIONS, one.contributions, title=title, screen=screen)
    if now := _now(one):
        screen.print(f"expected now: {now}")
    if one.measured_as:
        screen.print(measured_as(one.model, one.measured_as, screen))
    if one.retires_at:
        screen.print(f"{name(one.model, screen)}{_ends(one.retires_at)} (by its service, or as published)")


def _value(part: Contribution) -> str:
    digits = {"fraction": 3, "probability": 3, "tokens": 0}.get(part.unit, 1)
    return "-" if part.raw is None else f"{number(part.raw, digits)} {part.unit}"


def _reported(one: Recommendation) -> str:
    """Return how outcome reports changed the score; empty if they did not."""
    without = one.score_without_reports
    return "" if without is None else f"; without outcome reports {without:.1f}"


def _because(part: Contribution) -> str:
    """Return the source of a signal's value, and the assumption for its unmeasured part."""
    source: str = part.kind if part.raw is not None else ""
    if part.n is not None:
        source += f" {times(part.n)}, last {ago(part.age_s)}"
    return "; ".join(filter(None, (source, part.note)))


_CONTRIBUTIONS: tuple[Cell[Contribution], ...] = (
    words("signal", lambda part: part.signal),
    numbers("value", _value, 1),
    numbers("utility", lambda part: f"{part.utility:.2f}", 4),
    numbers("confidence", lambda part: percent(part.confidence), 5),
    numbers("weight", lambda part: percent(part.weight), 3),
    numbers("points", lambda part: f"{part.points:.1f}"),
    words("because", _because, 2),
)


def _counted(rejected: dict[str, int], considered: int) -> str:
    reasons = ", ".join(f"{n} for {in_words(code)}" for code, n in sorted(rejected.items()))
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
        verify = (
            f' "vedette verify" checks the {unknown:,} without evidence, --unknown-capabilities keep considers them.'
            if unknown
            else ""
        )
        says = ' "vedette endpoints" says why.' if rejected.get("endpoint_closed") else ""
        on.print(f"{why_none(rejected, considered)}{says}{verify}")
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
