"""Chooses the columns of a table that fit a screen, and their widths. Pure."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from rich.cells import cell_len

from vedette.text.shown import shortened

GAP = 2  # between columns
_MIN_TEXT = 20  # prose is folded to at least this width
_WHOLE_NAME = 48  # a name up to this length is not shortened while another column can be dropped
_MIN_NAME = 16
_TAILS = (
    1 / 2,
    3 / 4,
    1 / 4,
    7 / 8,
    1 / 8,
)  # the part of a shortened name that is its end, in the order of attempts

Kind = Literal["text", "number", "name"]


class Column(NamedTuple):
    """A column of a table. If there is no room, the column with the highest rank is dropped first; 0 is never dropped.

    Text is folded between words. A number or a name stays on one line; a name is shortened in the middle.
    """

    title: str
    rank: int = 0
    kind: Kind = "text"


class Fitted(NamedTuple):
    """The shown columns, by their index, and the width of each (characters)."""

    places: tuple[int, ...]
    widths: tuple[int, ...]


def fitted(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None) -> Fitted:
    """Return the *columns* that fit *width* characters; None: all columns, as wide as they need."""
    wide = [max(map(_wide, (column.title, *cells))) for column, cells in _by_column(columns, rows)]
    places = list(range(len(columns)))
    if width is None:
        return Fitted(tuple(places), tuple(wide))
    least = {"text": _MIN_TEXT, "name": _WHOLE_NAME}
    narrow = [
        min(own, max(least.get(column.kind, own), _wide(column.title)))
        for column, own in zip(columns, wide, strict=True)
    ]

    def over() -> int:
        return sum(narrow[place] for place in places) + GAP * (len(places) - 1) - width

    for place in sorted(places, key=lambda place: -columns[place].rank):
        if over() > 0 and columns[place].rank > 0:
            places.remove(place)
    names = [place for place in places if columns[place].kind == "name"]
    for place in sorted(names, key=lambda place: -narrow[place]):
        narrow[place] = max(narrow[place] - max(over(), 0), min(narrow[place], _MIN_NAME))
    for place in sorted(places, key=lambda place: columns[place].kind != "name"):
        narrow[place] += max(0, min(wide[place] - narrow[place], -over()))
    return Fitted(tuple(places), tuple(narrow[place] for place in places))


def distinct(names: Sequence[str], most: int) -> list[str]:
    """Return *names* shortened to at most *most* characters. Different names stay different, if possible."""
    cut: list[str] = []
    for tail in _TAILS:
        cut = [_cut(name, most, tail) for name in names]
        if len(set(cut)) == len(set(names)):
            return cut
    return [_cut(name, most, 1 / 2) for name in names]


def _cut(name: str, most: int, tail: float) -> str:
    length = most
    while cell_len(cut := shortened(name, length, tail)) > most:
        length -= 1
    return cut


def _by_column(
    columns: Sequence[Column], rows: Sequence[Sequence[str]]
) -> list[tuple[Column, tuple[str, ...]]]:
    return [(column, tuple(row[place] for row in rows)) for place, column in enumerate(columns)]


def _wide(text: str) -> int:
    return max(map(cell_len, text.split("\n")))
