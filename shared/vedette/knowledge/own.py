"""The operator's own facts: reads them, checks each line, and merges them into the package's table. Pure."""

import csv
import difflib
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from vedette.knowledge import recognition
from vedette.knowledge.abilities import Ability, Fact, Link, Mode, board, counts, estimate, heaviest, mode_of
from vedette.knowledge.lines import tier, year
from vedette.knowledge.table import FACT_COLUMNS, Row, Table, cells_of, written

# Facts other than scores.
RELEASED: Final = "released"
SHUTDOWN: Final = "shutdown"
TOTAL_B: Final = "total_b"
ACTIVE_B: Final = "active_b"
SPELLING: Final = "spelling"
_DATES: Final = frozenset({RELEASED, SHUTDOWN})
_SIZES: Final = frozenset({TOTAL_B, ACTIVE_B})
TUNINGS: Final = ("", "instruct", "coder", "thinking", "base", "embed")
MAX_TEXT: Final = 200
MAX_LINES: Final = 100_000


class OwnFact(Struct, frozen=True, kw_only=True, order=True):
    """One line of facts.csv."""

    model: str
    mode: str
    fact: str  # a benchmark, or one of the names above
    value: str
    date: str
    source: str

    @property
    def replaces(self) -> tuple[str, str, str, str]:
        """The key of the fact: a new fact replaces an old one with the same key."""
        value = self.value if self.fact == SPELLING else ""
        return self.model, self.mode, self.fact, self.source + value

    @property
    def line(self) -> tuple[str, ...]:
        """The cells of the line."""
        return self.model, self.mode, self.fact, self.value, self.date, self.source


def read(text: str, benchmarks: Iterable[str]) -> tuple[list[OwnFact], list[str]]:
    """Return the facts in *text*, and a problem for each bad line."""
    rows = csv.DictReader(io.StringIO(text))
    if tuple(rows.fieldnames or ()) != FACT_COLUMNS:
        return [], [f"line 1: the columns must be {','.join(FACT_COLUMNS)}"]
    known = sorted(benchmarks)
    facts, problems = [], []
    try:
        for row in rows:
            if rows.line_num > MAX_LINES:
                return [], [f"line {rows.line_num}: at most {MAX_LINES:,} lines; split the file"]
            problem = _problem(row, known)
            if problem is not None:
                problems.append(f"line {rows.line_num}: {problem}")
            else:
                facts.append(OwnFact(**{column: row[column].strip() for column in FACT_COLUMNS}))
    except csv.Error as error:
        problems.append(f"line {rows.line_num}: is not CSV: {error}")
    return facts, problems


def _problem(row: Mapping[str | None, str | list[str] | None], benchmarks: Sequence[str]) -> str | None:
    """Return the problem of *row* with the remedy, or None."""
    cells = {column: row.get(column) for column in FACT_COLUMNS}
    if None in row or any(not isinstance(cell, str) for cell in cells.values()):
        return f"needs {len(FACT_COLUMNS)} cells"
    model, mode, fact, value, day, source = (str(cell).strip() for cell in cells.values())
    if any(
        len(cell) > MAX_TEXT or not cell.isprintable() for cell in (model, mode, fact, value, day, source)
    ):
        return f"a cell has more than {MAX_TEXT} characters, or invisible ones"
    if not model or not source:
        return "has no model" if not model else "has no source; name where the fact is from"
    if re.search(r"[,|;\"]", model):
        return f"model {model!r}: must not contain , | ; or a quotation mark"
    if mode.partition(" ")[0] not in TUNINGS:
        return f"mode {mode!r}: must be one of {', '.join(filter(None, TUNINGS))}, or empty"
    if day and not _is_date(day):
        return f"date {day!r}: must be like 2026-07-01"
    return _wrong_value(fact, value, benchmarks)


def _wrong_value(fact: str, value: str, benchmarks: Sequence[str]) -> str | None:
    if fact in _DATES:
        return None if _is_date(value) else f"{fact} {value!r}: must be a date like 2026-07-01"
    if fact == SPELLING:
        return None if recognition.spell(value).words else "spelling: must not be empty"
    number = _number(value)
    if fact in _SIZES:
        valid = number is not None and 0 < number < 100_000
        return None if valid else f"{fact} {value!r}: must be billions of parameters, more than 0"
    if fact not in benchmarks:
        near = difflib.get_close_matches(fact, benchmarks, n=1)
        hint = (
            f"did you mean {near[0]!r}?" if near else "import scores of your own with: vedette quality import"
        )
        return f"fact {fact!r}: no benchmark of that name is known; {hint}"
    valid = number is not None and 0 <= number <= 100
    return None if valid else f"{fact} {value!r}: must be a score from 0 to 100"


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return re.fullmatch(r"\d{4}-\d\d-\d\d", text) is not None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def joined(old: Iterable[OwnFact], new: Iterable[OwnFact]) -> list[OwnFact]:
    """Return all facts, sorted; a new fact replaces an old one with the same key (`replaces`)."""
    by_thing = {fact.replaces: fact for fact in (*old, *new)}
    return sorted(by_thing.values())


def text_of(facts: Iterable[OwnFact]) -> str:
    """Return *facts* as the text of a CSV file."""
    return written(FACT_COLUMNS, (fact.line for fact in facts))


def merged(table: Table, own: Iterable[OwnFact], published: str, links: Mapping[str, Link]) -> Table:
    """Return *table* with *own* facts.

    Abilities are estimated from them and from *published*, the text of a facts.csv.
    """
    by_model: dict[str, list[OwnFact]] = {}
    for fact in own:
        by_model.setdefault(fact.model, []).append(fact)
    known = _published(published, frozenset(by_model))
    rows, spellings = dict(table.rows), dict(table.spellings)
    newest = table.until
    for model, facts in by_model.items():
        rows[model] = tuple(_lines(table, model, facts, known.get(model, []), links))
        for spelled in (model, *(fact.value for fact in facts if fact.fact == SPELLING)):
            spellings[recognition.spell(spelled).key] = model
        newest = max([newest, *(date.fromisoformat(f.date) for f in facts if f.date and f.fact in links)])
    bare = {**table.bare}
    for spelled in spellings.keys() - table.spellings.keys():
        bare[recognition.bare(spelled.split())] = (
            *bare.get(recognition.bare(spelled.split()), ()),
            spellings[spelled],
        )
    return replace(table, rows=rows, spellings=spellings, until=newest, bare=bare)


def _published(text: str, models: frozenset[str]) -> dict[str, list[OwnFact]]:
    found: dict[str, list[OwnFact]] = {}
    for line in text.splitlines()[1:]:
        if line.partition(",")[0] in models:
            (cells,) = csv.reader([line])
            fact = OwnFact(**dict(zip(FACT_COLUMNS, cells, strict=True)))
            found.setdefault(fact.model, []).append(fact)
    return found


def facts_of(text: str, model: str) -> list[OwnFact]:
    """Return the facts about *model* in the text of a facts.csv."""
    return sorted(_published(text, frozenset({model})).get(model, []))


def _lines(
    table: Table, model: str, own: Sequence[OwnFact], published: Sequence[OwnFact], links: Mapping[str, Link]
) -> Iterator[str]:
    """Yield the lines of models.csv for one model. An own score takes the place of published ones."""
    modes = table.modes(model)
    replaced = {(fact.mode, fact.fact) for fact in own}
    every = [*(fact for fact in published if (fact.mode, fact.fact) not in replaced), *own]
    scored = [fact for fact in every if fact.fact in links and counts(fact.mode)]
    latest: dict[str, str] = {}
    for fact in scored:
        latest[board(fact.fact)] = max(fact.date[:7], latest.get(board(fact.fact), ""))
    for mode in sorted({mode_of(fact.mode) for fact in scored}) or sorted(modes) or ["plain"]:
        row = _with(modes.get(mode) or next(iter(modes.values()), None), model, mode, own)
        best: dict[str, float] = {}
        for fact in scored:
            if mode_of(fact.mode) == mode:
                best[fact.fact] = max(float(fact.value), best.get(fact.fact, 0.0))
        facts = [Fact(benchmark, score) for benchmark, score in sorted(best.items())]
        yield _line(
            row, facts, _ability(table, row, facts, links) if facts else None, heaviest(facts, links, latest)
        )


def _with(row: Row | None, model: str, mode: Mode, own: Sequence[OwnFact]) -> Row:
    """Return *row* with size and dates from the operator's own facts."""
    values = {fact.fact: fact.value for fact in own}
    empty = Row(
        name=model,
        mode=mode,
        family="",
        size_b=None,
        active_b=None,
        released=None,
        shutdown=None,
        deprecated=False,
        bare_is_base=False,
        facts=0,
        ability=None,
        sources=(),
    )
    sizes = {
        field: float(values[fact])
        for field, fact in (("size_b", TOTAL_B), ("active_b", ACTIVE_B))
        if fact in values
    }
    dates = {fact: date.fromisoformat(values[fact]) for fact in (RELEASED, SHUTDOWN) if fact in values}
    return replace(row or empty, mode=mode, **sizes, **dates)


def _ability(table: Table, row: Row, facts: Sequence[Fact], links: Mapping[str, Link]) -> Ability:
    """Return the ability by *facts*, with the prior by size, date and family."""
    prefix = "embedding " if row.mode == "embedding" else ""
    size = math.sqrt(row.size_b * row.active_b) if row.size_b and row.active_b else row.size_b
    when = year(row.released) if row.released else None
    basis = "nothing" if size is None else "size" if when is None else "size_and_date"
    if basis == "nothing" and when is not None and not prefix:
        basis = f"tier:{tier(row.name.split('-'))}"
    line = table.lines[f"{prefix}{basis}"]
    family = table.families.get(recognition.spell(row.family).key) if row.family else None
    mean, deviation = line.mean(size, when, row.mode), line.deviation
    if family is not None and basis == "size_and_date" and not prefix:
        mean, deviation = mean + family.effect, family.deviation
    return estimate(mean, deviation, facts, links, table.axes)


def _line(row: Row, facts: Sequence[Fact], ability: Ability | None, sources: Sequence[str]) -> str:
    cells = cells_of(
        name=row.name,
        mode=row.mode,
        family=row.family,
        size_b=f"{row.size_b:g}" if row.size_b else "",
        active_b=f"{row.active_b:g}" if row.active_b else "",
        released=row.released.isoformat() if row.released else "",
        shutdown=row.shutdown.isoformat() if row.shutdown else "deprecated" if row.deprecated else "",
        bare_is_base=row.bare_is_base,
        facts=len(facts),
        ability=ability,
        sources=sources,
    )
    return ",".join(cells)
