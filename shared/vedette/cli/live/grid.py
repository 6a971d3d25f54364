"""A table on the screen: rows below a line of titles. The cursor stays on its row, or on the first row.

Textual's own DataTable is rebuilt when rows are sorted or filtered, and its cursor stays at the row number. Here a row
is drawn only if it is visible and one of its cells changed.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from vedette.cli.fitting import GAP, Column, Fitted, distinct, fitted

_MARK, _NO_MARK = "> ", "  "
Row = tuple[str, ...]


class Grid(ScrollView, can_focus=True):
    """Rows by key. Only visible rows are drawn. *style* returns the style for the text of a column."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"grid--titles", "grid--cursor"}
    DEFAULT_CSS = """
    Grid { overflow-x: hidden; scrollbar-size-vertical: 1; scrollbar-gutter: stable; }
    Grid > .grid--titles { text-style: bold; color: $text-muted; }
    Grid:focus > .grid--cursor { text-style: reverse; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "first", "First", show=False),
        Binding("end", "last", "Last", show=False),
    ]

    def __init__(
        self, *, id: str, columns: Sequence[Column], style: Callable[[str, str], str] = lambda title, text: ""
    ) -> None:
        super().__init__(id=id)
        self._columns = tuple(columns)
        self._style = style
        self._rows: dict[Hashable, Row] = {}
        self._keys: list[Hashable] = []
        self._names: dict[str, str] = {}  # shortened names, by full name
        self._fitted = Fitted((), ())
        self._cursor = 0

    @property
    def _width(self) -> int:
        return self.scrollable_content_region.width

    @property
    def _height(self) -> int:
        return self.scrollable_content_region.height

    @property
    def selected(self) -> Hashable | None:
        """The key of the row under the cursor; None where there is no row."""
        return self._keys[self._cursor] if self._keys else None

    def show(self, rows: Mapping[Any, Row], columns: Sequence[Column] | None = None) -> None:
        """Show *rows* in their order, under the titles of *columns*. Unchanged rows are not drawn again."""
        before, self._rows = self._rows, dict(rows)
        keys, titles = list(rows), tuple(columns or self._columns)
        if keys == self._keys and titles == self._columns:
            self._draw_changes(before)
            return
        selected, self._keys, self._columns = self.selected, keys, titles
        if self._cursor and selected in self._rows:  # else the cursor stays on the first row
            self._cursor = keys.index(selected)
        self._cursor = max(0, min(self._cursor, len(keys) - 1))
        self._lay_out()

    def _draw_changes(self, before: Mapping[Hashable, Row]) -> None:
        top = self.scroll_offset.y
        visible = self._keys[top : top + self._height - 1]
        changed = [(y, key) for y, key in enumerate(visible, 1) if self._rows[key] != before[key]]
        if any(self._overflows(self._rows[key]) for _, key in changed):
            self._lay_out()
            return
        for y, key in changed:
            x = len(_MARK)
            for place, width in zip(*self._fitted, strict=True):
                if self._rows[key][place] != before[key][place]:
                    self.refresh(Region(x, y, width, 1))
                x += width + GAP

    def _overflows(self, row: Row) -> bool:
        """Return whether a cell of *row* is too wide for its column, and is not a name that is shortened already."""
        return any(
            cell_len(row[place]) > width and row[place] not in self._names
            for place, width in zip(*self._fitted, strict=True)
        )

    def _lay_out(self) -> None:
        """Choose columns and widths for all rows, and draw everything."""
        rows = list(self._rows.values())
        self._fitted = fitted(self._columns, rows, max(1, self._width - len(_MARK)))
        self._names = {}
        for place, width in zip(*self._fitted, strict=True):
            if self._columns[place].kind == "name":
                whole = [row[place] for row in rows if cell_len(row[place]) > width]
                self._names |= dict(zip(whole, distinct(whole, width), strict=True))
        self.virtual_size = Size(self._width, len(self._keys) + 1)
        self._scroll_to_cursor()
        self.refresh()

    def on_resize(self, _: Resize) -> None:
        """Choose the columns that fit the new size."""
        self._lay_out()

    # --- Drawing -----------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """Return the line of titles, or the row that is at *y*."""
        base, width = self.rich_style, self._width
        if y == 0:
            titles = tuple(column.title for column in self._columns)
            strip = self._line(_NO_MARK, titles, base + self.get_component_rich_style("grid--titles"))
            return strip.adjust_cell_length(width, base)
        number = y - 1 + self.scroll_offset.y
        if number >= len(self._keys):
            return Strip.blank(width, base)
        here = number == self._cursor
        look = base + self.get_component_rich_style("grid--cursor", partial=True) if here else base
        row = self._rows[self._keys[number]]
        return self._line(_MARK if here else _NO_MARK, row, look, self._style).adjust_cell_length(width, look)

    def _line(
        self, mark: str, row: Row, look: Style, style: Callable[[str, str], str] | None = None
    ) -> Strip:
        segments = [Segment(mark, look)]
        for place, width in zip(*self._fitted, strict=True):
            column, text = self._columns[place], row[place]
            cut = self._names.get(text, text)
            if column.kind == "number":
                cut = " " * (width - cell_len(cut)) + cut
            fits = set_cell_size(cut, width)
            own = style(column.title, text) if style else ""
            segments += [
                Segment(fits, look + Style.parse(own) if own else look),
                Segment(" " * GAP, look),
            ]
        return Strip(segments)

    # --- The cursor --------------------------------------------------------------------------------------------

    def action_move(self, rows: int) -> None:
        """Move the cursor by this number of *rows*."""
        before = self._cursor
        self._cursor = max(0, min(before + rows, len(self._keys) - 1))
        if self._cursor != before:
            for number in (before, self._cursor):
                self.refresh(Region(0, number - self.scroll_offset.y + 1, self._width, 1))
            self._scroll_to_cursor()

    def action_first(self) -> None:
        """Move the cursor to the first row."""
        self.action_move(-self._cursor)

    def action_last(self) -> None:
        """Move the cursor to the last row."""
        self.action_move(len(self._keys))

    def action_page(self, direction: int) -> None:
        """Move the cursor by as many rows as are visible."""
        self.action_move(direction * max(1, self._height - 2))

    def on_click(self, event: Click) -> None:
        """Move the cursor to the row that was clicked."""
        number = event.y - self.content_offset.y - 1 + self.scroll_offset.y
        if event.y > self.content_offset.y and number < len(self._keys):
            self.action_move(number - self._cursor)

    def _scroll_to_cursor(self) -> None:
        top, visible = self.scroll_offset.y, max(1, self._height - 1)
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False)
        elif self._cursor >= top + visible:
            self.scroll_to(y=self._cursor - visible + 1, animate=False)
