"""`models`, `recommend` and `explain`: the replies that agents get, for people."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, get_args

from cyclopts import Parameter, validators

from vedette.cli import options
from vedette.cli.entries import NOTHING_FOUND
from vedette.cli.fitting import Column
from vedette.cli.need import NOTHING, Need, option
from vedette.cli.output import Screen, document, name, out, sentence, sheet, styled
from vedette.client import Client
from vedette.errors import RequestError
from vedette.messages.catalogue import REFUSAL
from vedette.messages.queries import (
    BestReply,
    Contribution,
    ExplainReply,
    MeasuredSpeed,
    ModelView,
    Recommendation,
    RecommendPastReply,
    Relaxation,
    Risk,
)
from vedette.messages.validation import folded, unknown_name
from vedette.runtime.loop import run
from vedette.text.figures import apart, ms, number, percent, size, tokens
from vedette.text.shown import shown_name
from vedette.types import Bound, Capability, ModelInfo, ModelRef, SortKey, Status

# The codes of rejections for a figure that is not known; `--unmeasured keep` lifts them.
_UNMEASURED = frozenset(
    f"{limit}_unknown" for limit in ("context", "ttft", "output_tps", "price", "parameters", "uptime")
)
At = Annotated[
    str | None, Parameter(help=f"Recommend as of this time, from recorded history: {options.MOMENT}")
]
Limit = Annotated[int, Parameter(help="Number of models to show, 1 to 100.")]
_BOUNDS = get_args(Bound)
_MAX_NOTED = 20
_MOST_ROWS = 1000  # a table of them takes a second
UseCase = Annotated[str, Parameter(help="For example chat, code_generation, embedding, or one of your own.")]
Bounding = Annotated[
    tuple[str, ...],
    Parameter(
        help="Another bound of the use case, NAME=VALUE: answer_s, answer_usd or quality; 0 lifts it. May be repeated.",
        negative=(),
    ),
]
Caution = Annotated[
    Risk,
    Parameter(
        help="How to score uncertain models: conservative lowers them, neutral changes nothing, explore raises them."
    ),
]


def models(
    text: Annotated[str | None, Parameter(help="Only models whose endpoint/name contains this text.")] = None,
    /,
    *,
    capability: Annotated[
        tuple[Capability, ...],
        options.Enumerated,
        Parameter(help="Only models with this capability; may be repeated."),
    ] = (),
    provider: Annotated[str | None, Parameter(help="Only models of this provider.")] = None,
    endpoint: Annotated[str | None, Parameter(help="Only models at this endpoint.")] = None,
    family: Annotated[str | None, Parameter(help="Only models of this family.")] = None,
    status: Annotated[
        Status | None, options.Enumerated, Parameter(help="Only models with this status.")
    ] = None,
    sort: Annotated[
        SortKey, options.Enumerated, Parameter(help="Figure to sort by; models without it come last.")
    ] = SortKey.NAME,
    descending: Annotated[bool, Parameter(negative="", help="Largest first.")] = False,
    limit: Annotated[
        int | None,
        Parameter(
            help=f"Maximum number of models to list. Default: {_MOST_ROWS:,}, with --json all.",
            validator=validators.Number(gte=1),
        ),
    ] = None,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """List the models, or those whose endpoint/name contains TEXT, with what was measured of them."""

    async def ask(client: Client) -> int:
        await _refuse_unknown(client, family=(family,) if family else ())
        reply = await client.models(
            text=text,
            capabilities=capability,
            provider=provider,
            endpoint=endpoint,
            family=family,
            status=status,
            sort=sort,
            descending=descending,
            limit=limit or (None if json else _MOST_ROWS),
        )
        if json:
            document(reply)
        else:
            show_models(reply.models, total=reply.total, considered=reply.considered)
        return 0 if reply.models else NOTHING_FOUND

    return _with(where, ask)


def recommend(
    use_case: UseCase,
    /,
    *,
    need: Need = NOTHING,
    limit: Limit = 3,
    bound: Bounding = (),
    risk: Caution = "neutral",
    at: At = None,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Name the best model for USE_CASE now, and those to fall back on."""
    wanted = need.wanted() | _bounds(bound)

    async def ask(client: Client) -> int:
        if at is not None:
            then = options.moment(at, "at")
            past = await client.asof(use_case, then, limit=min(limit + 1, 100), risk=risk, **wanted)
            return _told_of_the_past(past, json, lambda: _show_best(_best_of(past.explanation)))
        await _refuse_unknown(client, family=wanted.get("families", ()), license=wanted.get("licenses", ()))
        reply = await client.best(use_case, limit=limit, risk=risk, **wanted)
        if json:
            document(reply)
        else:
            _show_best(reply)
        return 0 if reply.recommendation else NOTHING_FOUND

    return _with(where, ask)


def explain(
    use_case: UseCase,
    /,
    *,
    need: Need = NOTHING,
    limit: Limit = 3,
    bound: Bounding = (),
    risk: Caution = "neutral",
    at: At = None,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Show how the models for USE_CASE score, signal by signal, and why the others are no candidates."""
    wanted = need.wanted() | _bounds(bound)

    async def ask(client: Client) -> int:
        if at is not None:
            then = options.moment(at, "at")
            past = await client.asof(use_case, then, limit=limit, risk=risk, **wanted)
            return _told_of_the_past(past, json, lambda: show_explanation(past.explanation))
        await _refuse_unknown(client, family=wanted.get("families", ()), license=wanted.get("licenses", ()))
        reply = await client.explain(use_case, limit=limit, risk=risk, **wanted)
        if json:
            document(reply)
        else:
            show_explanation(reply)
        return 0 if reply.recommendations else NOTHING_FOUND

    return _with(where, ask)


def _bounds(given: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return what was *given* as the keyword of the client. Raises RequestError for what is no NAME=VALUE."""
    found = {}
    for text in given:
        bound, _, value = text.partition("=")
        if bound not in _BOUNDS:
            message = f'--bound: "{text}" names no bound: write NAME=VALUE with one of {", ".join(_BOUNDS)}'
            raise RequestError(code="invalid_value", message=message, field="bounds")
        try:
            found[bound] = float(value)
        except ValueError:
            message = f'--bound: "{text}" is no NAME=VALUE, as in answer_s=60'
            raise RequestError(code="invalid_value", message=message, field="bounds") from None
    return {"bounds": found} if found else {}


async def _refuse_unknown(client: Client, **named: Sequence[str]) -> None:
    """Raise RequestError for a value that no known model has in the field of that name.

    A person mistypes. An agent lists what it can use, and works where some of it is missing: the bus accepts it.
    """
    wanted = {field: values for field, values in named.items() if values}
    listed = (await client.models()).models if wanted else ()
    if listed:
        for field, values in wanted.items():
            refuse_unknown(field, values, [model.info for model in listed])


def refuse_unknown(field: str, values: Sequence[str], infos: Sequence[ModelInfo]) -> None:
    """Raise RequestError for one of *values* that none of *infos* has in *field*."""
    known = sorted({value for info in infos if (value := getattr(info, field)) is not None})
    for value in values:
        if folded(value) not in map(folded, known):
            raise unknown_name(field, value, known, field=field)


def _told_of_the_past(reply: RecommendPastReply, json: bool, show: Callable[[], None]) -> int:
    if json:
        document(reply)
    else:
        show()
        out.print(f"\nAs of {reply.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC; {'; '.join(reply.unknown)}.")
    return 0 if reply.explanation.recommendations else NOTHING_FOUND


def _best_of(explained: ExplainReply) -> BestReply:
    best, *others = explained.recommendations or (None,)
    return BestReply(
        use_case=explained.use_case,
        recommendation=best,
        fallbacks=tuple(other for other in others if other is not None),
        considered=explained.considered,
        rejected=explained.rejected,
        as_of=explained.as_of,
        relax=explained.relax,
    )


def _with(where: options.Instance, ask: Callable[[Client], Awaitable[int]]) -> int:
    async def asked() -> int:
        async with where.client() as client:
            return await ask(client)

    return run(asked())


# --- For people ------------------------------------------------------------------------------------------------


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


def _show_best(reply: BestReply) -> None:
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
        source += f" {part.n} times, last {_ago(part.age_s)}"
    return "; ".join(filter(None, (source, part.note)))


def _ago(seconds: float | None) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds is not None and seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return "just now"


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
