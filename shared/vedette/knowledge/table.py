"""The tables of published facts in the package, and the operator's own. Read once, at first use."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from functools import lru_cache
from importlib.resources import files
from typing import Final

from msgspec import Struct

from vedette.knowledge.abilities import MODES, Ability, Link, Mode
from vedette.knowledge.lines import Line
from vedette.knowledge.recognition import bare

MODELS: Final = "models.csv"
SPELLINGS: Final = "spellings.csv"
FAMILIES: Final = "families.csv"
BENCHMARKS: Final = "benchmarks.csv"
PRIORS: Final = "priors.csv"
QUANTISATION: Final = "quantisation.csv"
FACTS: Final = "facts.csv"
SOURCES: Final = "sources.csv"
FACT_COLUMNS: Final = ("model", "mode", "fact", "value", "date", "source")


class Row(Struct, frozen=True, kw_only=True):
    """The published facts about one model in one mode."""

    name: str
    mode: Mode
    family: str
    size_b: float | None  # total parameters
    active_b: float | None
    released: date | None
    shutdown: date | None
    deprecated: bool
    bare_is_base: bool  # a repository without a tuning in its name is the base model
    facts: int
    ability: Ability | None
    sources: tuple[str, ...]


class FamilyRow(Struct, frozen=True, kw_only=True):
    """The effect of a family in addition to size and date."""

    effect: float
    deviation: float
    models: int
    released: float  # year of its latest release


class Table(Struct, frozen=True, kw_only=True, eq=False):
    """All tables for recognition and expectations. Rows are parsed when they are used."""

    rows: Mapping[str, tuple[str, ...]]  # by name: the lines in models.csv, one for each mode
    spellings: Mapping[str, str]  # by key: names, separated by |
    families: Mapping[str, FamilyRow]
    lines: Mapping[str, Line]
    axes: Mapping[str, float]
    noise: Mapping[str, float]  # by use case: the noise of one more benchmark, in units of ability
    spreads: Mapping[str, float]  # by basis: the factor of its spread
    figures: Mapping[str, float]
    losses: Mapping[tuple[int, str], float]  # by bits and size class: the lost share of the score
    until: date  # of the newest fact
    bare: Mapping[str, tuple[str, ...]]

    @property
    def nothing(self) -> Ability:
        """The expectation for an unknown model."""
        line = self.lines["nothing"]
        return Ability(mean=line.intercept, deviation=line.deviation)

    def modes(self, name: str) -> dict[Mode, Row]:
        """Return the published rows of the model *name*, by mode; empty if there are none."""
        rows = [_row(line) for line in self.rows.get(name, ())]
        return {row.mode: row for row in rows}


def parse(text: Mapping[str, str]) -> Table:
    """Return the table in *text*, the texts of the files by name."""
    rows: dict[str, list[str]] = {}
    for line in text[MODELS].splitlines()[1:]:
        rows.setdefault(line[: line.index(",")], []).append(line)
    spellings = dict(line.split(",") for line in text[SPELLINGS].splitlines()[1:])
    figures = {row["figure"]: float(row["value"]) for row in _dicts(text[PRIORS])}
    return Table(
        rows={name: tuple(lines) for name, lines in rows.items()},
        spellings=spellings,
        families={
            row["family"]: FamilyRow(
                effect=float(row["effect"]),
                deviation=float(row["deviation"]),
                models=int(row["models"]),
                released=float(row["released"]),
            )
            for row in _dicts(text[FAMILIES])
        },
        lines=_lines(figures),
        axes=_under(figures, "axis"),
        noise=_under(figures, "noise"),
        spreads=_under(figures, "spread"),
        figures=figures,
        losses={(int(row["bits"]), row["size"]): float(row["loss"]) for row in _dicts(text[QUANTISATION])},
        until=date.fromordinal(int(figures["until"])),
        bare=_bare(spellings),
    )


def _bare(spellings: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for spelled, names in spellings.items():
        found.setdefault(bare(spelled.split()), []).append(names)
    return {key: tuple(names) for key, names in found.items()}


@lru_cache(maxsize=1)
def bundled() -> Table:
    """Return the table inside the package."""
    return parse({name: read(name) for name in (MODELS, SPELLINGS, FAMILIES, PRIORS, QUANTISATION)})


def read(name: str) -> str:
    """Return the text of the file *name* inside the package."""
    return (files("vedette.knowledge") / "data" / name).read_text("utf-8")


def _dicts(text: str) -> Iterator[dict[str, str]]:
    yield from csv.DictReader(io.StringIO(text))


def _under(figures: Mapping[str, float], group: str) -> dict[str, float]:
    return {
        name.removeprefix(f"{group} "): value
        for name, value in figures.items()
        if name.startswith(f"{group} ")
    }


def _lines(figures: Mapping[str, float]) -> dict[str, Line]:
    by_basis: dict[str, dict[str, float]] = {}
    for name, value in _under(figures, "line").items():
        basis, _, field = name.rpartition(" ")
        by_basis.setdefault(basis, {})[field] = value
    return {basis: Line(**fields) for basis, fields in by_basis.items()}


def links(text: str) -> dict[str, Link]:
    """Return the links of the benchmarks in *text* that were fitted."""
    return {
        row["benchmark"]: Link(
            benchmark=row["benchmark"],
            axis=row["axis"],
            board=row["board"],
            intercept=float(row["intercept"]),
            slope=float(row["slope"]),
            deviation=float(row["deviation"]),
        )
        for row in _dicts(text)
        if row["slope"]
    }


COLUMNS: Final = (
    "name mode family size_b active_b released shutdown bare_is_base facts ability deviation axes sources".split()  # noqa: SIM905
)


def cells_of(
    *,
    name: str,
    mode: Mode,
    family: str,
    size_b: str,
    active_b: str,
    released: str,
    shutdown: str,
    bare_is_base: bool,
    facts: int,
    ability: Ability | None,
    sources: Iterable[str],
) -> list[str]:
    """Return a line of models.csv."""
    axes = ability.axes if ability else {}
    return [
        name,
        mode,
        family,
        size_b,
        active_b,
        released,
        shutdown,
        "yes" if bare_is_base else "",
        str(facts) if facts else "",
        f"{ability.mean:.3f}" if ability else "",
        f"{ability.deviation:.3f}" if ability else "",
        ";".join(f"{axis}:{shift:.3f}:{spread:.3f}" for axis, (shift, spread) in sorted(axes.items())),
        ";".join(sources),
    ]


@lru_cache(maxsize=1024)
def _row(line: str) -> Row:
    cells = dict(zip(COLUMNS, line.split(","), strict=True))
    mode = next(mode for mode in MODES if mode == cells["mode"])
    return Row(
        name=cells["name"],
        mode=mode,
        family=cells["family"],
        size_b=_number(cells["size_b"]),
        active_b=_number(cells["active_b"]),
        released=_date(cells["released"]),
        shutdown=_date(cells["shutdown"]),
        deprecated=bool(cells["shutdown"]),
        bare_is_base=bool(cells["bare_is_base"]),
        facts=int(cells["facts"] or 0),
        ability=_ability(cells),
        sources=tuple(source for source in cells["sources"].split(";") if source),
    )


def _ability(cells: Mapping[str, str]) -> Ability | None:
    if not cells["ability"]:
        return None
    axes = {}
    for cell in cells["axes"].split(";"):
        if cell:
            axis, shift, deviation = cell.split(":")
            axes[axis] = (float(shift), float(deviation))
    return Ability(mean=float(cells["ability"]), deviation=float(cells["deviation"]), axes=axes)


def _number(text: str) -> float | None:
    return float(text) if text else None


def _date(text: str) -> date | None:
    """Return the first day of *text*, which may be a day, a month or a year; None if it is no date."""
    parts = [int(part) for part in text.split("-") if part.isdigit()]
    return date(*[*parts, 1, 1][:3]) if parts else None


def written(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return *rows* as CSV. Each line ends with a newline only."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue()
