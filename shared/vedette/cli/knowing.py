"""`knowledge show` and `knowledge update`: the quality that published facts predict."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vedette.cli import options
from vedette.cli.fitting import Column
from vedette.cli.output import document, name, say, sheet
from vedette.errors import RequestError, VedetteError
from vedette.knowledge import Basis, Known, Table, known, of_name, own, shut_down
from vedette.knowledge.table import FACTS, read
from vedette.local import facts, instance
from vedette.runtime.loop import run
from vedette.text.figures import counted
from vedette.types import ModelInfo, ModelRef

_ROWS = 20  # facts that a table shows
_LOOK_FOR_S = 1.0
_RESTS_ON: dict[Basis, str] = {
    "model": "published scores of this model",
    "family": "its family, size and date, or the model that it was made from",
    "tier": "the tier word and date of a hosted name",
    "size_and_date": "size and date",
    "size": "size alone",
    "nothing": "nothing; the spread is wide",
}


def show(
    model: Annotated[
        str, Parameter(help="Any spelling of a model's name, or endpoint/name of a model that Vedette lists.")
    ],
    /,
    *,
    config: options.Config = None,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Show as which model a name is recognised, which quality to expect, and the facts behind it."""
    if not model.strip():
        raise RequestError(
            code="invalid_value", message="MODEL is empty; give a name such as qwen3:8b", field="model"
        )
    file = _file(config, where)
    table = facts.load(file)
    info = run(_listed(model, where))
    found = known(info, table) if info is not None else of_name(model, table)
    own_facts = _facts(found.name, file)
    if json:
        document(_as_json(model, info is not None, found, own_facts, table))
        return 0
    _print(model, found, own_facts, table, datetime.now(UTC).date())
    return 0


def update(
    file: Annotated[Path, Parameter(help="CSV with the columns model,mode,fact,value,date,source.")],
    /,
    *,
    config: options.Config = None,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Check the facts of FILE and merge them into your own table; a bad line changes nothing."""
    new = facts.facts_in(file)
    into = _file(config, where)
    held = facts.add(into, new)
    models = sorted({fact.model for fact in new})
    if json:
        document({"taken": len(new), "models": models, "file": str(into), "held": held})
    else:
        say(f"{into}: {counted(len(new), 'fact')} of {counted(len(models), 'model')} taken; it holds {held}")
        say("A running Vedette uses them after its next reload or restart.")
    return 0


def _file(config: str | None, where: options.Instance) -> Path:
    """Return the path of the operator's own table: by *config*, else by the local Vedette's configuration."""
    settings = options.settings(config)
    if config is None:
        with suppress(VedetteError):
            settings = where.configuration() or settings
    return facts.place(settings, instance.state_directory(where.state_dir))


async def _listed(text: str, where: options.Instance) -> ModelInfo | None:
    """Return the model that Vedette lists as *text*; None if none runs, or *text* is not endpoint/name."""
    try:
        model = ModelRef.parse(text)
    except ValueError:
        return None
    with suppress(VedetteError):
        async with where.client(timeout_s=_LOOK_FOR_S) as client:
            views = (await client.model(model)).models
            return views[0].info if views else None
    return None


def _facts(model: str | None, file: Path) -> list[own.OwnFact]:
    """Return the published and the operator's own facts about *model*, newest first; empty for None."""
    if model is None:
        return []
    own_facts = own.facts_of(read(FACTS), model)
    if file.is_file():
        own_facts = own.joined(own_facts, (fact for fact in facts.facts_in(file) if fact.model == model))
    return sorted(own_facts, key=lambda fact: fact.date, reverse=True)


def _as_json(
    text: str, listed: bool, found: Known, own_facts: Sequence[own.OwnFact], table: Table
) -> dict[str, object]:
    return {
        "model": text,
        "listed": listed,
        "recognised_as": found.name,
        "basis": found.basis,
        "expectations": found.expectations,
        "sources": found.sources,
        "released": found.released,
        "shutdown": found.shutdown,
        "deprecated": found.deprecated,
        "facts": own_facts,
        "facts_until": table.until,
    }


def _print(text: str, found: Known, own_facts: Sequence[own.OwnFact], table: Table, today: date) -> None:
    recognised = f"recognised as {found.name}" if found.name else "not recognised as a published model"
    say(f"{name(text)}: {recognised}")
    say(f"expected before any evaluation, from {_RESTS_ON[found.basis]}{_by(found.sources)}")
    say(f"facts until {table.until}")
    if found.released:
        say(f"released {found.released}")
    if warning := ending(found, today):
        say(f"warning: {warning}")
    rows = [
        (use_case, f"{expected.quality:.2f}", f"{expected.spread:.2f}")
        for use_case, expected in found.expectations.items()
        if (use_case == "embedding") == found.embeds
    ]
    sheet(
        (Column("use case", 0, "name"), Column("expected", 0, "number"), Column("spread", 0, "number")), rows
    )
    if own_facts:
        say("")
        columns = (
            Column("fact"),
            Column("mode", 1),
            Column("value", 0, "number"),
            Column("date"),
            Column("source", 2),
        )
        sheet(
            columns,
            [(fact.fact, fact.mode, fact.value, fact.date, fact.source) for fact in own_facts[:_ROWS]],
        )
    if len(own_facts) > _ROWS:
        say(f"and {len(own_facts) - _ROWS} older facts; --json shows all")


def _by(sources: Sequence[str]) -> str:
    return f" ({', '.join(sources)})" if sources else ""


def ending(found: Known, today: date) -> str | None:
    """Return the warning that a model has ended or will, or None."""
    if shut_down(found, today):
        return f"its service ended on {found.shutdown}; use another model"
    if found.shutdown is not None:
        return f"its service ends on {found.shutdown}; plan for another model"
    return "its vendor has announced its end, without a date" if found.deprecated else None
