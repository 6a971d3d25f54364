"""Draws values over time with block characters. Pure: returns lines of text, the same for a terminal and a file.

It is own code, because an unknown value must not look like zero. plotext 6.1 and rich 14 do not distinguish them.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec import Struct

GUTTER = 11  # characters to the left of the chart
_HEIGHT = 5
_BLOCKS = " ▁▂▃▄▅▆▇█"
_UNKNOWN = "·"


class Chart(Struct, frozen=True, kw_only=True):
    """Values at equal steps of time, None where unknown, and the format of a value."""

    title: str
    since: datetime
    until: datetime
    values: Sequence[float | None]
    write: Callable[[float], str]
    top: float | None = None  # the value of a full column; None: the highest value


def lines(chart: Chart) -> list[str]:
    """Return the lines of *chart* with title and axes; each value is one column."""
    known = [value for value in chart.values if value is not None]
    if not known:
        return [f"{chart.title}: nothing measured"]
    top = chart.top or max(known) or 1.0
    labels = {0: chart.write(top), _HEIGHT - 1: chart.write(0)}
    drawn = [
        f"{labels.get(n, ''):>{GUTTER - 2}} │{row}".rstrip()
        for n, row in enumerate(bars(chart.values, top=top, height=_HEIGHT))
    ]
    begin, end = (f"{at:%m-%d %H:%M}" for at in (chart.since, chart.until))
    axis = f"{'':{GUTTER}}{begin}{end:>{max(len(end) + 1, len(chart.values) - len(begin))}}"
    return [f"{chart.title} ({_UNKNOWN} not measured)", *drawn, axis]


def bars(values: Sequence[float | None], *, top: float, height: int) -> list[str]:
    """Return *values* as columns of *height* lines, the highest line first; *top* fills a column.

    A known value, even zero, has at least the lowest block. An unknown value is a dot.
    """
    levels = [
        None if value is None else max(1, round(8 * height * min(value / top, 1.0))) for value in values
    ]
    return ["".join(_cell(level, line) for level in levels) for line in reversed(range(height))]


def _cell(level: int | None, line: int) -> str:
    if level is None:
        return _UNKNOWN if line == 0 else " "
    return _BLOCKS[min(8, max(0, level - 8 * line))]
