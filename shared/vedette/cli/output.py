"""How commands print: documents and tables on standard output, everything else on standard error."""

import csv
import io
import sys
from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import msgspec
from rich.console import Console
from rich.style import Style as TextStyle
from rich.table import Table
from rich.text import Text

from vedette.shown import csv_cell, shown, shown_json

T = TypeVar("T")
_PIPED_WIDTH = 160  # a table that goes into a file or a pipe is not folded for a terminal that is not there


class _Screen(Console):
    """A console that takes no text for markup or emoji, and shows what is invisible, in lines and in tables."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, soft_wrap=True, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return *text* for the screen; rich calls this for every text, also those of a table's cells."""
        return super().render_str(shown(text), **options)


out = _Screen(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
err = _Screen(stderr=True)


def styled(*parts: str | tuple[str, str | TextStyle]) -> Text:
    """Return one line of *parts*, each a text or a text with its style; what is invisible is shown."""
    return Text.assemble(
        *(_one_line(part) if isinstance(part, str) else (_one_line(part[0]), part[1]) for part in parts)
    )


def _one_line(text: str) -> str:
    return shown(text).replace("\n", " ").replace("\t", " ")


def complain(problem: str) -> None:
    """Print one line on what is wrong to standard error."""
    err.print(styled(("vedette: ", "bold red"), problem))


def say(line: str) -> None:
    """Print *line* at once; what is invisible in it is shown."""
    _write(shown(line))


def document(value: Any) -> None:
    """Print *value* as JSON over several lines."""
    _write(shown_json(msgspec.json.format(msgspec.json.encode(value), indent=2).decode()))


def json_line(value: Any) -> None:
    """Print *value* as JSON in one line."""
    _write(shown_json(msgspec.json.encode(value).decode()))


def _write(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the one place that prints


def table(*columns: str, title: str | None = None) -> Table:
    """Return an empty table; columns whose name begins with `>` are numbers."""
    made = Table(
        title=title, title_justify="left", box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0)
    )
    for column in columns:
        if column.startswith(">"):
            made.add_column(column[1:], justify="right", no_wrap=True)
        else:
            made.add_column(column, overflow="fold")
    return made


Style = Literal["table", "md", "csv"]


def sheet(columns: Sequence[str], rows: Sequence[Sequence[str]], style: Style) -> None:
    """Print *rows* for people, as Markdown or as CSV; columns whose name begins with `>` are numbers."""
    if style == "table":
        made = table(*columns)
        for row in rows:
            made.add_row(*row)
        out.print(made)
        return
    names = [column.removeprefix(">") for column in columns]
    if style == "csv":
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerows([names, *(_csv_row(columns, row) for row in rows)])
        say(written.getvalue().rstrip("\n"))
        return
    rule = ["---:" if column.startswith(">") else "---" for column in columns]
    for cells in (names, rule, *rows):
        say(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")


def _csv_row(columns: Sequence[str], row: Sequence[str]) -> list[str]:
    """Return *row* with texts that no spreadsheet runs; numbers, and the dash for an unknown one, stay."""
    numbers = (column.startswith(">") for column in columns)
    return [
        cell if is_number or cell == "-" else csv_cell(cell)
        for is_number, cell in zip(numbers, row, strict=True)
    ]


def number(value: float | None, digits: int = 0) -> str:
    """Return *value* for a table: grouped, or a dash for what is not known."""
    return "-" if value is None else f"{value:,.{digits}f}"


def ms(value: float | None) -> str:
    """Return milliseconds for a table: seconds from ten on."""
    if value is None:
        return "-"
    return f"{value / 1000:,.1f} s" if value >= 10_000 else f"{value:,.0f} ms"


def percent(value: float | None) -> str:
    """Return a fraction for a table."""
    return "-" if value is None else f"{100 * value:.0f} %"


def size(value: int | None) -> str:
    """Return a parameter count for a table: 135M, 7.2B."""
    if value is None:
        return "-"
    return f"{value / 1e9:.1f}B" if value >= 1e9 else f"{value / 1e6:.0f}M"


def tokens(value: int | None) -> str:
    """Return a context length for a table: 4k, 128k."""
    if value is None:
        return "-"
    return f"{value / 1024:.0f}k" if value >= 1024 else str(value)
