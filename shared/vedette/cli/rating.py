"""`quality import` and `quality list`: scores that a user rates models with."""

import difflib
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
from vedette.cli.output import complain, document, say, sheet
from vedette.clock import SystemClock
from vedette.errors import ConfigurationError
from vedette.knowledge import names
from vedette.messages import ids, subjects
from vedette.messages.catalogue import Versioned
from vedette.messages.events import ModelRated
from vedette.messages.queries import ModelView
from vedette.runtime.loop import run
from vedette.settings import Vouched
from vedette.types import ModelInfo, ModelRef, Rating


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
        text = file.read_text("utf-8-sig")
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


class Unmatched(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a file whose model is unknown, with the nearest known names."""

    entry: int
    model: str
    nearest: tuple[str, ...]

    def __str__(self) -> str:
        near = f"; did you mean {' or '.join(self.nearest)}?" if self.nearest else ""
        return f"entry {self.entry}: no model {self.model!r} is known{near}"


async def _import(file: Path, where: options.Instance, as_json: bool) -> int:
    vouched = read(file)
    async with where.client() as client, connect(where.operator(), name="vedette-operator") as connection:
        known = [view.info for view in (await client.models()).models]
        bus = Bus(connection, name="operator", clock=SystemClock(), log=log.logger("operator"))
        taken, unmatched = [], []
        for entry, rating in enumerate(vouched, start=1):
            models = meant(rating.model, known)
            if not models:
                unmatched.append(
                    Unmatched(entry=entry, model=rating.model, nearest=nearest(rating.model, known))
                )
            for model in models:
                await _rate(bus, model, rating)
                taken.append({"model": str(model), "use_case": rating.use_case, "score": rating.score})
    if as_json:
        document({"taken": taken, "unmatched": unmatched})
    else:
        for one in taken:
            say(f"{one['model']}: {one['score']} for {one['use_case'] or 'all use cases'}")
    for missing in unmatched:
        complain(f"{file}: {missing}")
    return 2 if unmatched else 0


def meant(name: str, known: Sequence[ModelInfo]) -> list[ModelRef]:
    """Return the *known* models that *name* means: by exact name, else by spelling, else by identity.

    *name* may include the endpoint. A name without a quantization means all known ones.
    """
    exact = [info.model for info in known if name in (str(info.model), info.model.name)]
    spelled = (info.model for info in known if any(_is_spelling(one, info) for one in _names(name, info)))
    return exact or list(spelled) or [info.model for info in known if _is_identical(name, info)]


def nearest(name: str, known: Sequence[ModelInfo]) -> tuple[str, ...]:
    """Return at most three known names, the most similar to *name* first."""
    by_name = {form.casefold(): info.model for info in known for form in (str(info.model), info.model.name)}
    close = difflib.get_close_matches(name.casefold(), by_name, n=6, cutoff=0.5)
    return tuple(dict.fromkeys(str(by_name[one]) for one in close))[:3]


def _names(name: str, info: ModelInfo) -> Iterator[str]:
    """Yield the names that *name* may mean at the endpoint of *info*: itself, and the part after the endpoint."""
    yield name
    endpoint, _, rest = name.partition("/")
    if rest and endpoint.casefold() == info.model.endpoint.casefold():
        yield rest


def _is_spelling(name: str, info: ModelInfo) -> bool:
    """Return whether *name* is the name of the model; case, separators, `:latest` and publisher may differ."""
    return _said(name) == _said(info.model.name)


def _said(name: str) -> object:
    parsed = names.parse(name)
    if parsed.family is None:
        return name.casefold().removesuffix(":latest")
    return msgspec.structs.replace(parsed, form="alias")


def _is_identical(name: str, info: ModelInfo) -> bool:
    """Return whether the identity in *name* is that of the weights of *info*."""
    return info.canonical is not None and any(
        names.identify(one, origin=None, kind=info.kind, parameters=None, told=quantized_as).canonical
        == info.canonical
        for one in _names(name, info)
        for quantized_as in [None if names.parse(one).quantization else info.quantization]
    )


async def _rate(bus: Bus, model: ModelRef, rating: Vouched) -> None:
    """Publish *rating* for *model*; it replaces a rating for the same use case."""
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
