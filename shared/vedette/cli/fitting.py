"""Which columns of a table fit a screen, and how wide each may be. Pure."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from rich.cells import cell_len

from vedette.text.shown import shortened

GAP = 2  # between columns
_MIN_TEXT = 20  # prose is folded to no less
_WHOLE_NAME = 48  # a name that is no longer is not shortened as long as another column can go
_MIN_NAME = 16
_TAILS = (
    1 / 2,
    3 / 4,
    1 / 4,
    7 / 8,
    1 / 8,
)  # how much of a shortened name is its end, in the order of trying

Kind = Literal["text", "number", "name"]


class Column(NamedTuple):
    """A column of a table. Where there is no room, the highest rank goes first; 0 stays.

    Text is folded between words. A number and a name keep to one line; a name is shortened in the middle.
    """

    title: str
    rank: int = 0
    kind: Kind = "text"


class Fitted(NamedTuple):
    """The columns that are shown, by their places, and the width of each."""

    places: tuple[int, ...]
    widths: tuple[int, ...]


def fitted(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None) -> Fitted:
    """Return which *columns* are shown in *width* characters, or in as many as it takes."""
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
    """Return *names* in at most *most* characters each; different names stay different, if that is possible."""
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
