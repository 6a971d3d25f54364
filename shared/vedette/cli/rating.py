"""`quality import` and `quality list`: scores that a user vouches for."""

import tomllib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from vedette import log
from vedette.bus.bus import Bus
from vedette.bus.connection import connect
from vedette.cli import options
from vedette.cli.fitting import Column
from vedette.cli.output import document, say, sheet
from vedette.clock import SystemClock
from vedette.errors import ConfigurationError
from vedette.messages import ids, subjects
from vedette.messages.catalogue import Versioned
from vedette.messages.events import ModelRated
from vedette.messages.queries import ModelView
from vedette.runtime.loop import run
from vedette.settings import Vouched
from vedette.types import ModelRef, Rating


def import_file(
    file: Annotated[
        Path,
        Parameter(
            help="TOML ([[quality]] tables) or JSON lines, each with model, score (0 to 1), source, as_of, "
            "and use_case unless the score is for all."
        ),
    ],
    /,
    *,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Take over the scores of FILE, which then count before anything measured."""
    return run(_import(file, where, json))


def list_ratings(*, json: options.Json = False, where: options.Instance = options.HERE) -> int:
    """List the scores that users vouch for."""
    return run(_list(where, json))


def read(file: Path) -> list[Vouched]:
    """Return the ratings in *file*. Raises ConfigurationError naming the file, the entry and the reason."""
    try:
        text = file.read_text()
        entries = list(_json_lines(text) if file.suffix in (".jsonl", ".ndjson") else _tables(text))
    except OSError as error:
        raise ConfigurationError(where=file, problem=f"cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(where=file, problem=f"is not TOML or JSON lines: {error}") from error
    if not entries:
        raise ConfigurationError(where=file, problem="holds no scores; it needs [[quality]] tables")
    return [_rating(entry, f"{file}: entry {place}") for place, entry in enumerate(entries, start=1)]


def _tables(text: str) -> Iterator[Any]:
    yield from tomllib.loads(text).get("quality", ())


def _json_lines(text: str) -> Iterator[Any]:
    yield from (msgspec.json.decode(line) for line in text.splitlines() if line.strip())


def _rating(entry: Any, where: str) -> Vouched:
    try:
        return msgspec.convert(entry, Vouched, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationError(
            where=where, problem=f"{error}; an entry has model, score, source, as_of and perhaps use_case"
        ) from error


async def _import(file: Path, where: options.Instance, as_json: bool) -> int:
    vouched = read(file)
    async with where.client() as client, connect(where.operator(), name="vedette-operator") as connection:
        known = [view.model for view in (await client.models()).models]
        bus = Bus(connection, name="operator", clock=SystemClock(), log=log.logger("operator"))
        taken = []
        for rating in vouched:
            for model in _meant(rating, known, file):
                await _rate(bus, model, rating)
                taken.append({"model": str(model), "use_case": rating.use_case, "score": rating.score})
    if as_json:
        document({"taken": taken})
    else:
        for entry in taken:
            say(f"{entry['model']}: {entry['score']} for {entry['use_case'] or 'all use cases'}")
    return 0


def _meant(rating: Vouched, known: Sequence[ModelRef], file: Path) -> list[ModelRef]:
    meant = [model for model in known if rating.model in (str(model), model.name)]
    if not meant:
        names = ", ".join(map(str, known)) or "none"
        raise ConfigurationError(where=file, problem=f"no model {rating.model!r} is known; known: {names}")
    return meant


async def _rate(bus: Bus, model: ModelRef, rating: Vouched) -> None:
    """Publish that *rating* holds for *model*, in the place of one for the same use case."""
    now, subject = datetime.now(UTC), subjects.of_model("rated", model)
    new = Rating(score=rating.score, source=rating.source, as_of=rating.as_of, use_case=rating.use_case)

    def step(held: Versioned[ModelRated] | None) -> ModelRated | None:
        before = held.event.ratings if held else ()
        if new in before:
            return None
        kept = tuple(other for other in before if other.use_case != new.use_case)
        made = ids.derive(now, subject, str(new))
        return ModelRated(id=made, at=now, model=model, ratings=(*kept, new))

    await bus.publisher.advance("MODELS", subject, step)


async def _list(where: options.Instance, as_json: bool) -> int:
    async with where.client() as client:
        views = (await client.models()).models
    if as_json:
        rated = [{"model": view.model, "ratings": view.ratings} for view in views if view.ratings]
        document({"models": rated})
    else:
        rows = [row for view in views for row in _rows(view)]
        columns = (
            Column("model", 0, "name"),
            Column("use case"),
            Column("score", 0, "number"),
            Column("source", 2),
            Column("as of", 1),
        )
        sheet(columns, rows)
    return 0


def _rows(view: ModelView) -> Iterator[tuple[str, ...]]:
    for rating in view.ratings:
        yield (
            str(view.model),
            rating.use_case or "all",
            f"{rating.score:.2f}",
            rating.source,
            rating.as_of.isoformat(),
        )
