"""Prints for commands: documents and tables to standard output, everything else to standard error."""

import csv
import errno
import io
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.style import Style as TextStyle
from rich.table import Table
from rich.text import Text

from vedette.cli.fitting import GAP, Column, distinct, fitted
from vedette.text.figures import counted
from vedette.text.shown import MAX_NAME_COLUMNS, csv_cell, shortened, shown, shown_json, shown_name

T = TypeVar("T")
_PIPED_WIDTH = 10_000  # output to a file or a pipe is neither folded nor shortened


class Screen(Console):
    """A console that reads no markup or emoji in texts, and shows invisible characters.

    On a terminal, lines are folded between words, so that no name is broken. Elsewhere lines stay whole.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)
        self.soft_wrap = not self.is_terminal

    def render_str(self, text: str, **options: Any) -> Text:
        """Return *text* for the screen. rich calls this for every text, including cells of tables."""
        return super().render_str(shown(text), **options)


out = Screen(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
err = Screen(stderr=True)


def styled(*parts: str | tuple[str, str | TextStyle]) -> Text:
    """Return one line made of *parts*, each a text or a text with its style; invisible characters are shown."""
    return Text.assemble(
        *(one_line(part) if isinstance(part, str) else (one_line(part[0]), part[1]) for part in parts)
    )


def one_line(text: str) -> str:
    """Return *text* on one line; invisible characters are shown."""
    return shown(text).replace("\n", " ").replace("\t", " ")


def complain(problem: str) -> None:
    """Print a problem as one line to standard error."""
    err.print(styled(("vedette: ", "bold red"), problem))


def waited(reason: str, again_in_s: float) -> None:
    """Print to standard error why a command waits, and when it tries again (s)."""
    err.print(styled(("waiting: ", "bold"), f"{reason}; again in {again_in_s:.0f} s"))


def say(line: str) -> None:
    """Print *line* at once; invisible characters in it are shown."""
    _write(shown(line))


def document(value: Struct | Mapping[str, object]) -> None:
    """Print *value* as a JSON object over several lines."""
    _write(shown_json(msgspec.json.format(msgspec.json.encode(value), indent=2).decode()))


def json_line(value: Struct | Mapping[str, object]) -> None:
    """Print *value* as a JSON object in one line."""
    _write(shown_json(msgspec.json.encode(value).decode()))


def _write(text: str) -> None:
    try:
        print(text, flush=True)  # noqa: T201 - the one place that prints
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        # The terminal was closed; a signal follows.


def name(model: object, screen: Console | None = None) -> str:
    """Return a model's name for a line, at most as long as the screen is wide."""
    on = screen or out
    return shown_name(model, min(MAX_NAME_COLUMNS, on.width - 1) if on.is_terminal else _PIPED_WIDTH)


def sentence(text: str, screen: Console | None = None) -> str:
    """Return *text*; words that are wider than the screen, such as names, are cut in the middle."""
    on = screen or out
    if not on.is_terminal:
        return text
    return " ".join(shortened(word, on.width - 1) for word in text.split(" "))


Style = Literal["table", "md", "csv"]


def sheet(
    columns: Sequence[Column | str],
    rows: Sequence[Sequence[str]],
    style: Style = "table",
    *,
    title: str | None = None,
    screen: Console | None = None,
) -> None:
    """Print *rows* as a table for people, as Markdown or as CSV.

    A column may be its title only, with `>` before it for numbers. Then the last columns are dropped first.
    """
    known = [
        column if isinstance(column, Column) else _column(place, column)
        for place, column in enumerate(columns)
    ]
    if style == "table":
        _show(known, rows, title, screen or out)
        return
    titles = [column.title for column in known]
    if style == "csv":
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerows([titles, *(_csv_row(known, row) for row in rows)])
        say(written.getvalue().rstrip("\n"))
        return
    rule = ["---:" if column.kind == "number" else "---" for column in known]
    for cells in (titles, rule, *rows):
        say(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")


class Cell(NamedTuple, Generic[T]):
    """A column of a table, and the function that returns its text for an item."""

    column: Column
    shown: Callable[[T], str]


def words(title: str, shown: Callable[[T], str], rank: int = 0) -> Cell[T]:
    """Return a column of texts. Without room, the highest *rank* is dropped first; 0 is never dropped."""
    return Cell(Column(title, rank), shown)


def numbers(title: str, shown: Callable[[T], str], rank: int = 0) -> Cell[T]:
    """Return a column of numbers."""
    return Cell(Column(title, rank, "number"), shown)


def names(title: str, shown: Callable[[T], object], rank: int = 0) -> Cell[T]:
    """Return a column of names, such as those of models."""
    return Cell(Column(title, rank, "name"), lambda item: str(shown(item)))


def table(
    cells: Sequence[Cell[T]],
    items: Iterable[T],
    style: Style = "table",
    *,
    title: str | None = None,
    screen: Console | None = None,
) -> None:
    """Print a row for each of *items*, as `sheet` does."""
    rows = [[cell.shown(item) for cell in cells] for item in items]
    sheet([cell.column for cell in cells], rows, style, title=title, screen=screen)


def _column(place: int, title: str) -> Column:
    return Column(title.removeprefix(">"), place, "number" if title.startswith(">") else "text")


def _show(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], title: str | None, screen: Console
) -> None:
    """Print the columns that fit *screen*, and the number of dropped columns."""
    longest = MAX_NAME_COLUMNS if screen.is_terminal else _PIPED_WIDTH
    cells = [
        [
            shown_name(cell, longest) if column.kind == "name" else shown(cell)
            for column, cell in zip(columns, row, strict=True)
        ]
        for row in rows
    ]
    places, widths = fitted(columns, cells, screen.width if screen.is_terminal else None)
    if title is not None:
        screen.print(styled((title, "italic")))
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
    shown_columns = []
    for place, width in zip(places, widths, strict=True):
        column = columns[place]
        made.add_column(
            column.title,
            justify="right" if column.kind == "number" else "left",
            no_wrap=column.kind != "text",
            overflow="fold" if column.kind == "text" else "ellipsis",
            width=width,
        )
        one = [row[place] for row in cells]
        shown_columns.append(distinct(one, width) if column.kind == "name" else one)
    for row in zip(*shown_columns, strict=True):
        made.add_row(*row)
    screen.print(made)
    if left := len(columns) - len(places):
        screen.print(styled((f"{counted(left, 'column')} left out: widen the terminal or use --json", "dim")))


def _csv_row(columns: Sequence[Column], row: Sequence[str]) -> list[str]:
    """Return *row* with texts that no spreadsheet executes. Numbers, and the dash for unknown ones, stay."""
    return [
        cell if column.kind == "number" or cell == "-" else csv_cell(cell)
        for column, cell in zip(columns, row, strict=True)
    ]
