"""`models`, `recommend` and `explain`: the replies that agents get, printed for people."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, get_args

from cyclopts import Parameter, validators
from msgspec import Struct

from vedette.cli import options
from vedette.cli.entries import NOTHING_FOUND
from vedette.cli.need import NOTHING, Need
from vedette.cli.output import document, out
from vedette.cli.showing import show_best, show_explanation, show_models
from vedette.client import Client
from vedette.errors import RequestError
from vedette.messages.queries import BestReply, ExplainReply, RecommendPastReply, Risk
from vedette.messages.validation import folded, unknown_name
from vedette.runtime.loop import run
from vedette.types import Bound, Capability, ModelInfo, Signal, SortKey, Status

At = Annotated[
    str | None, Parameter(help=f"Recommend as of this time, from recorded history: {options.MOMENT}")
]
Limit = Annotated[int, Parameter(help="Number of models to show, 1 to 100.")]
_BOUNDS = get_args(Bound)
_SIGNALS = get_args(Signal)
_MAX_ROWS = 1000  # a table of them takes a second
UseCase = Annotated[str, Parameter(help="For example chat, code_generation, embedding, or one of your own.")]
Bounding = Annotated[
    tuple[str, ...],
    Parameter(
        help=f"Change a bound of the use case, NAME=VALUE: {', '.join(_BOUNDS)}; 0 removes it. May be repeated.",
        negative=(),
    ),
]
Weighting = Annotated[
    tuple[str, ...],
    Parameter(
        help=f"Another weight of a signal, NAME=VALUE: {', '.join(_SIGNALS)}; only ratios count. May be repeated.",
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
        Parameter(help="Only models with this capability. May be repeated."),
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
            help=f"Maximum number of models to list. Default: {_MAX_ROWS:,}, with --json all.",
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
            limit=limit or (None if json else _MAX_ROWS),
        )
        endpoints = () if json else (await client.endpoints()).endpoints
        return _print_reply(
            reply,
            json,
            lambda: show_models(
                reply.models, endpoints=endpoints, total=reply.total, considered=reply.considered
            ),
            found=bool(reply.models),
        )

    return _with(where, ask)


@Parameter(name="*")
@dataclass(frozen=True)
class Terms:
    """The number of models to show, how they are scored, and as of what time."""

    limit: Limit = 3
    weight: Weighting = ()
    bound: Bounding = ()
    risk: Caution = "neutral"
    at: At = None


USUAL = Terms()


def recommend(
    use_case: UseCase,
    /,
    *,
    need: Need = NOTHING,
    terms: Terms = USUAL,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Name the best model for USE_CASE now, and its fallbacks."""
    wanted = _wanted(need, terms)

    async def ask(client: Client) -> int:
        if terms.at is not None:
            with_best = min(terms.limit + 1, 100)
            past = await client.asof(use_case, _moment(terms.at), limit=with_best, **wanted)
            return _print_past(past, json, lambda: show_best(_best_of(past.explanation)))
        await _refuse_unknown(client, family=wanted.get("families", ()), license=wanted.get("licenses", ()))
        reply = await client.best(use_case, limit=terms.limit, **wanted)
        return _print_reply(reply, json, lambda: show_best(reply), found=reply.recommendation is not None)

    return _with(where, ask)


def explain(
    use_case: UseCase,
    /,
    *,
    need: Need = NOTHING,
    terms: Terms = USUAL,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Show how the models for USE_CASE score, signal by signal, and why the others are no candidates."""
    wanted = _wanted(need, terms)

    async def ask(client: Client) -> int:
        if terms.at is not None:
            past = await client.asof(use_case, _moment(terms.at), limit=terms.limit, **wanted)
            return _print_past(past, json, lambda: show_explanation(past.explanation))
        await _refuse_unknown(client, family=wanted.get("families", ()), license=wanted.get("licenses", ()))
        reply = await client.explain(use_case, limit=terms.limit, **wanted)
        return _print_reply(reply, json, lambda: show_explanation(reply), found=bool(reply.recommendations))

    return _with(where, ask)


def _wanted(need: Need, terms: Terms) -> dict[str, Any]:
    """Return the keywords of the client without `limit`. Raises RequestError for an invalid weight or bound."""
    return {
        **need.wanted(),
        **_entries("weight", terms.weight, _SIGNALS),
        **_entries("bound", terms.bound, _BOUNDS),
        "risk": terms.risk,
    }


def _moment(at: str) -> datetime:
    return options.moment(at, "at")


def _entries(option: str, given: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the *given* NAME=VALUE texts of *option* as a keyword argument of the client; empty if there are none.

    Raises RequestError for an unknown name, and for a text that is not NAME=VALUE.
    """
    found, table = {}, f"{option}s"
    for text in given:
        name, _, value = text.partition("=")
        if name not in names:
            message = (
                f'--{option}: "{text}" is not a {option}: write NAME=VALUE with one of {", ".join(names)}'
            )
            raise RequestError(code="invalid_value", message=message, field=table)
        try:
            found[name] = float(value)
        except ValueError:
            message = f'--{option}: "{text}" is not NAME=VALUE, as in {name}=60'
            raise RequestError(code="invalid_value", message=message, field=table) from None
    return {table: found} if found else {}


async def _refuse_unknown(client: Client, **named: Sequence[str]) -> None:
    """Raise RequestError for a value that no known model has in the field of that name.

    Only the command line does this, because people mistype. On the bus, an agent may name values that no model has yet.
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


def _print_reply(reply: Struct, json: bool, show: Callable[[], None], *, found: bool) -> int:
    """Print *reply*, as JSON or by *show*; return the exit code: 0, or NOTHING_FOUND unless *found*."""
    if json:
        document(reply)
    else:
        show()
    return 0 if found else NOTHING_FOUND


def _print_past(reply: RecommendPastReply, json: bool, show: Callable[[], None]) -> int:
    def shown() -> None:
        show()
        out.print(f"\nAs of {reply.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC; {'; '.join(reply.unknown)}.")

    return _print_reply(reply, json, shown, found=bool(reply.explanation.recommendations))


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
        unknown_capabilities=explained.unknown_capabilities,
    )


def _with(where: options.Instance, ask: Callable[[Client], Awaitable[int]]) -> int:
    async def asked() -> int:
        async with where.client() as client:
            return await ask(client)

    return run(asked())
