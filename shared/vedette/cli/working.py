"""`discover`, `probe`, `benchmark`, `verify` and `evaluate`: queue the work now, and show its progress."""

from collections.abc import Callable, Sequence
from shlex import quote
from typing import Annotated, Any, Literal, Unpack, cast

from cyclopts import Parameter

from vedette.bus.connection import connect
from vedette.cli import options
from vedette.cli.completing import named_by_services
from vedette.cli.entries import NOTHING_FOUND
from vedette.cli.jobs import (
    Abandoned,
    Details,
    Order,
    documented,
    exit_code,
    follow,
    show_abandoned,
    targets_of,
)
from vedette.cli.measured import show_figures, show_proofs, show_scores
from vedette.cli.output import Style, document, err, out
from vedette.cli.showing import show_models
from vedette.endpoints.evaluating import never_evaluated, planned
from vedette.endpoints.spending import is_evaluable
from vedette.errors import ConfigurationError, RequestError
from vedette.messages.events import JobKind
from vedette.messages.queries import ModelView
from vedette.messages.validation import spelt, unknown_name
from vedette.runtime.loop import run

_Models = Annotated[str, Parameter(help="Only these models (endpoint/name), or all of these endpoints.")]


def discover(
    *endpoints: Annotated[str, Parameter(help="Only these endpoints.")],
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Look for models now, at the named endpoints or at all."""
    return run(_do("discover", Order(endpoints, where, json)))


def probe(
    *targets: Annotated[str, Parameter(help="Only these endpoints and models (endpoint/name).")],
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Check now whether models answer: of the named endpoints, the named models (endpoint/name), or all."""
    return run(_do("probe", Order(targets, where, json)))


def benchmark(
    *models: _Models,
    sweep: Annotated[
        str | None,
        Parameter(help="Then also measure these numbers of concurrent streams, for example 1,2,4,8."),
    ] = None,
    output: Annotated[Style | Literal["json"], Parameter(help="Format of the figures at the end.")] = "table",
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Measure the speed of models now: of the named ones (endpoint/name), of endpoints, or of all."""
    as_json = json or output == "json"
    return run(_do("benchmark", Order(models, where, as_json, output), streams=_streams(sweep)))


def verify(*models: _Models, json: options.Json = False, where: options.Instance = options.HERE) -> int:
    """Check the capabilities of models now: of the named ones (endpoint/name), of endpoints, or of all."""
    return run(_do("verify", Order(models, where, json)))


def evaluate(
    *models: _Models,
    suite: Annotated[tuple[str, ...], Parameter(help="Only this suite. May be repeated.")] = (),
    hosted: Annotated[
        bool,
        Parameter(
            negative="", help="Evaluate models that cost money and were never evaluated. Needs --budget."
        ),
    ] = False,
    budget: Annotated[float | None, Parameter(help="Maximum cost of the whole command (USD).")] = None,
    judge: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            help="Have a judge compare texts for this use case (chat, documentation, summarisation). May be repeated. "
            "Needs --budget (0 is allowed). Without it, the command only shows the plan and its cost.",
        ),
    ] = (),
    by: Annotated[
        str | None, Parameter(help="The judge (endpoint/name). Default: Vedette chooses one.")
    ] = None,
    show: Annotated[bool, Parameter(negative="", help="Show the last evaluation; start none.")] = False,
    output: Annotated[Style | Literal["json"], Parameter(help="Format of the scores at the end.")] = "table",
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Check now how well models answer: the named ones (endpoint/name), those of endpoints, or all.

    At the end the scores are shown with their intervals, and the most useful wrong answers. With --hosted and
    --budget, models that cost money are evaluated, the most promising first, until the budget is used. With --judge and
    --budget, a clearly better model compares texts of the others.
    """
    if budget is not None and not ((judge and budget >= 0) or (hosted and budget > 0)):
        problem = "needs --hosted and an amount above 0, or --judge and an amount of 0 or more"
        raise ConfigurationError(where="--budget", problem=problem)
    order = Order(models, where, json or output == "json", output)
    if judge:
        from vedette.cli import judging  # numpy takes 0.1 s to import

        return run(judging.judge(order, judging.use_cases_of(judge), by, budget))
    if show:
        return run(_show_quality(order))
    chosen = _suites(suite, where)
    if hosted:
        return run(_evaluate_hosted(order, chosen, budget))
    return run(_do("evaluate", order, suites=chosen))


async def _evaluate_hosted(order: Order, suites: tuple[str, ...], budget_usd: float | None) -> int:
    """Evaluate paid models that were never evaluated, as many as *budget_usd* covers."""
    async with order.where.client() as client:
        targets = {target.model for target in await targets_of(client, "evaluate", order.named)}
        views = (await client.models()).models
    never = [
        view.info
        for view in views
        if view.model in targets and not view.info.free and view.quality is None and is_evaluable(view.info)
    ]
    if not never:
        err.print("No model that costs money is left to evaluate.")
        return NOTHING_FOUND
    if budget_usd is None:
        err.print(never_evaluated(never))
        return 2
    plan = planned(never, budget_usd)
    if not plan:
        err.print(f"{budget_usd:.2f} USD covers none of them: {never_evaluated(never)}")
        return 2
    for one in plan:
        err.print(f"{one.model}: at most {one.max_usd:.2f} USD")
    max_usd = {one.model: one.max_usd for one in plan}
    chosen = order._replace(named=[str(model) for model in max_usd])
    return await _do("evaluate", chosen, suites=suites, max_usd=max_usd)


def _suites(named: tuple[str, ...], where: options.Instance) -> tuple[str, ...]:
    """Return the suites that *named* spells. Raises RequestError for a suite that the local Vedette does not have.

    If the configuration is unknown, for example for a remote server, the benchmarker decides.
    """
    settings = where.configuration() if named else None
    known = named_by_services("suite", settings) if settings else None
    if known is None:
        return named
    found = []
    for name in named:
        if (kind := spelt(name, known)) is None:
            raise unknown_name("suite", name, known, field="suites")
        found.append(kind)
    return tuple(found)


async def _show_quality(order: Order) -> int:
    async with order.where.client() as client:
        targets = await targets_of(client, "evaluate", order.named)
        views = [view for t in targets if t.model for view in (await client.model(t.model)).models]
    if order.as_json:
        document({"models": views})
    else:
        show_scores(views, cast("Style", order.style))
    return 0


def _streams(sweep: str | None) -> tuple[int, ...]:
    try:
        streams = tuple(int(part) for part in sweep.split(",")) if sweep else ()
    except ValueError:
        streams = (0,)
    if not all(1 <= number <= 256 for number in streams):
        raise ConfigurationError(
            where="--sweep", problem=f"{sweep!r} is not a list of numbers from 1 to 256; example: 1,2,4,8"
        )
    return streams


async def _do(kind: JobKind, order: Order, **details: Unpack[Details]) -> int:
    """Queue the work, show its progress, and print the results; return the exit code."""
    where = order.where
    async with where.client() as client, connect(where.operator(), name="vedette-operator") as connection:
        targets = await targets_of(client, kind, order.named)
        if not targets:
            err.print(
                f'Nothing to {kind}: no models are known. "vedette doctor" shows which endpoints are reachable.'
            )
            if order.as_json:
                document({"jobs": [], "models": []})
            return NOTHING_FOUND
        try:
            ended = await follow(connection, kind, targets, **details)
        except Abandoned as abandoned:
            again = f"vedette {kind}{''.join(f' {quote(name)}' for name in order.named)}"
            show_abandoned(kind, abandoned.last, again, order)
            raise
        known = await client.models()
        touched = {str(target.model or target.endpoint) for target in targets}
        models = [model for model in known.models if touched & {str(model.model), model.model.endpoint}]
        if kind in _SHOWN:
            models = [view for model in models for view in (await client.model(model.model)).models]
    for _, progress in ended:
        if progress.field is not None:
            raise RequestError(code="invalid_value", message=progress.message, field=progress.field)
    if order.as_json:
        document(
            {
                "jobs": [documented(job, progress) for job, progress in ended],
                "models": models,
                "as_of": known.as_of,
            }
        )
    elif models:
        if order.style == "table":
            out.print()
        _SHOWN.get(kind, _show_models)(models, order.style)
    return exit_code(ended)


def _show_models(models: Sequence[ModelView], _: str) -> None:
    show_models(models)


# The function that prints the result of each kind of work.
_SHOWN: dict[JobKind, Callable[[Sequence[ModelView], Any], None]] = {
    "benchmark": show_figures,
    "verify": show_proofs,
    "evaluate": show_scores,
}
