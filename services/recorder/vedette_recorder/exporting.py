"""`vedette export`: recorded history row by row, of any size."""

import csv
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO

import msgspec
import sqlalchemy as sa
from cyclopts import Parameter

from vedette.cli import options
from vedette.cli.output import err
from vedette.errors import ConfigurationError
from vedette.messages.validation import reference
from vedette.runtime.loop import run
from vedette.text.figures import counted
from vedette.text.shown import csv_cell, shown_json
from vedette_recorder import tables
from vedette_recorder.store import Store

Format = Literal["csv", "jsonl"]
Name = Literal[
    "availability",
    "performance",
    "quality",
    "capabilities",
    "regressions",
    "judgements",
    "ratings",
    "reports",
    "models",
    "endpoints",
]
TABLES: dict[Name, sa.Table] = {
    "availability": tables.model_availability_history,
    "performance": tables.model_performance_history,
    "quality": tables.model_quality_history,
    "capabilities": tables.model_capability_history,
    "regressions": tables.model_regression_history,
    "judgements": tables.model_judgement_history,
    "ratings": tables.model_rating_history,
    "reports": tables.model_reports,
    "models": tables.model_info_history,
    "endpoints": tables.endpoint_history,
}

Write = Callable[[Sequence[Mapping[Any, Any]]], None]


def export(
    *,
    table: Annotated[
        Name, Parameter(help="Table to export; `models` contains descriptions.")
    ] = "availability",
    format: Annotated[Format, Parameter(help="CSV with a header line, or one JSON object a line.")] = "csv",
    json: Annotated[bool, Parameter(name="--json", negative="", help="The same as --format jsonl.")] = False,
    since: Annotated[str | None, Parameter(help=f"Start of the time range: {options.MOMENT}")] = None,
    until: Annotated[
        str | None, Parameter(help=f"End of the time range, not included: {options.MOMENT}")
    ] = None,
    model: Annotated[str | None, Parameter(help="Only this model (endpoint/name).")] = None,
    output: Annotated[
        Path | None, Parameter(help="Write to this file; it appears when it is complete.")
    ] = None,
    config: options.Config = None,
    where: options.Instance = options.HERE,
) -> int:
    """Write recorded history to standard output or a file, oldest first, straight from the database."""
    chosen = TABLES[table]
    query = _query(chosen, since=since, until=until, model=model)
    url = _existing(where.database_of(options.settings(config)))
    with _sink(output) as file:
        write = _WRITERS["jsonl" if json else format](file, [column.name for column in chosen.columns])
        return run(_export(url, chosen, query, write))


async def _export(url: str, table: sa.Table, query: sa.Select[Any], write: Write) -> int:
    shows_progress = err.is_terminal and not sys.stdout.isatty()
    rows = 0
    async with Store(url) as store:
        async for some in _chunks(store, table, query):
            write(some)
            rows += len(some)
            if shows_progress:
                err.print(counted(rows, "row"), end="\r")
    if shows_progress:
        err.print(counted(rows, "row"))
    return 0


def _chunks(store: Store, table: sa.Table, query: sa.Select[Any]) -> AsyncIterator[Sequence[sa.RowMapping]]:
    return store.stream(query, (table.c.measured_at, table.c.event_id))


def _query(table: sa.Table, *, since: str | None, until: str | None, model: str | None) -> sa.Select[Any]:
    query = sa.select(table)
    if since:
        query = query.where(table.c.measured_at >= options.moment(since, "since"))
    if until:
        query = query.where(table.c.measured_at < options.moment(until, "until"))
    if model:
        if "model" not in table.c:
            raise ConfigurationError(where="--model", problem="endpoints are not about a model")
        named = reference(model)
        query = query.where(table.c.endpoint == named.endpoint, table.c.model == named.name)
    return query


def _existing(url: str) -> str:
    """Return *url* if there is a database. Raises ConfigurationError."""
    parsed = sa.make_url(url)
    # Reading must not make an empty database where there is none.
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file():
        problem = f'there is no file {parsed.database}; "vedette up" makes it, or name another with --config'
        raise ConfigurationError(where="database.url", problem=problem)
    return url


@contextmanager
def _sink(output: Path | None) -> Iterator[TextIO]:
    """Give where to write to: standard output, or a file that replaces *output* when all is written."""
    if output is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    part = output.with_name(f"{output.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            yield file
        part.replace(output)
    except OSError as error:
        raise ConfigurationError(where=f"--output {output}", problem=str(error.strerror or error)) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _csv(file: TextIO, names: Sequence[str]) -> Write:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    return lambda rows: writer.writerows([_cell(row[name]) for name in names] for row in rows)


def _jsonl(file: TextIO, names: Sequence[str]) -> Write:
    encoder = msgspec.json.Encoder()

    def write(rows: Sequence[Mapping[Any, Any]]) -> None:
        lines = (encoder.encode({name: row[name] for name in names}).decode() for row in rows)
        file.writelines(f"{shown_json(line)}\n" for line in lines)

    return write


_WRITERS: dict[Format, Callable[[TextIO, Sequence[str]], Write]] = {"csv": _csv, "jsonl": _jsonl}


def _cell(value: object) -> object:
    """Return *value* as CSV has it: times as in JSON, lists and mappings as JSON, no text a formula."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    return csv_cell(value) if isinstance(value, str) else value
