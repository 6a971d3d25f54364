"""Charts as SVG. Pure: numbers in, markup out; colours are classes of the style sheet.

Every text of a chart is escaped here. A chart is a picture with one label; the page has the same figures as a table.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from markupsafe import Markup
from msgspec import Struct

from vedette.text.figures import counted, number, percent
from vedette.text.shown import shown, shown_name

Scale = Callable[[float], float]
_WIDTH: Final = 720
_HEIGHT: Final = 420
_LEFT: Final = 56
_RIGHT: Final = 20
_TOP: Final = 16
_BOTTOM: Final = 44
_LETTER: Final = 6.2  # estimated width of a character
_LINE: Final = 13
_MAX_NAMED: Final = 12  # dots; in a chart with more, only the best and the frontier have names


class Segment(Struct, frozen=True):
    """A part of a stacked bar: its class, its length, its label."""

    kind: str
    length: float
    title: str


class Dot(Struct, frozen=True, kw_only=True):
    """A model in a scatter chart. *low* and *high* are the ends of the interval of *y*; *best* is the winner."""

    name: str
    x: float
    y: float
    low: float | None = None
    high: float | None = None
    measured: bool = True
    best: bool = False


def _svg(width: int, height: int, label: str, kind: str, *parts: str | Markup) -> Markup:
    inner = Markup("").join(parts)
    return Markup(
        '<svg viewBox="0 0 {} {}" width="{}" height="{}" class="{}" role="img" aria-label="{}">{}</svg>'
    ).format(width, height, width, height, kind, shown(label), inner)


def bars(uptimes: Sequence[float | None], label: str) -> Markup:
    """Return a bar for each of *uptimes* (fractions, oldest first): its height and class show the uptime."""
    parts = []
    for place, uptime in enumerate(uptimes):
        height = 3.0 if uptime is None else 4.0 + 14.0 * uptime
        kind = "none" if uptime is None else "good" if uptime >= 0.99 else "fair" if uptime >= 0.9 else "bad"
        parts.append(
            Markup('<rect x="{}" y="{:.1f}" width="3" height="{:.1f}" class="{}"/>').format(
                place * 4, 20 - height, height, kind
            )
        )
    return _svg(max(1, len(uptimes)) * 4, 20, label, "bars", *parts)


def sparkline(values: Sequence[float | None], label: str) -> Markup:
    """Return a line through *values*, oldest first, scaled to their minimum and maximum; None is a gap."""
    known = [value for value in values if value is not None]
    if not known:
        return Markup("")
    low, high = min(known), max(known)
    span, step = (high - low) or 1.0, 96 / max(1, len(values) - 1)
    flat = high == low
    path, gap = [], True
    for place, value in enumerate(values):
        if value is None:
            gap = True
            continue
        y = 10.0 if flat else 18 - 16 * (value - low) / span
        path.append(f"{'M' if gap else 'L'}{2 + place * step:.1f} {y:.1f}")
        gap = False
    last = path[-1][1:].split(" ")
    return _svg(
        100,
        20,
        label,
        "spark",
        Markup('<path d="{}"/>').format("".join(path)),
        Markup('<circle cx="{}" cy="{}" r="2"/>').format(*last),
    )


def stacked(segments: Sequence[Segment], most: float, label: str) -> Markup:
    """Return a bar of *segments*, one after the other. Lengths of *most* in total fill the width."""
    parts, x = [], 0.0
    for one in segments:
        width = max(0.0, 100 * one.length / most) if most > 0 else 0.0
        parts.append(
            Markup(
                '<rect x="{:.2f}" y="0" width="{:.2f}" height="14" class="s-{}"><title>{}</title></rect>'
            ).format(x, width, one.kind, shown(one.title))
        )
        x += width
    inner = Markup("").join(parts)
    return Markup(
        '<svg viewBox="0 0 100 14" preserveAspectRatio="none" class="stacked" role="img" aria-label="{}">{}</svg>'
    ).format(shown(label), inner)


def frontier(dots: Sequence[Dot], *, less_is_better: bool) -> list[Dot]:
    """Return the dots that no other dot beats on both axes, sorted by x."""
    sign = -1.0 if less_is_better else 1.0
    found: list[Dot] = []
    for one in sorted(dots, key=lambda dot: (-sign * dot.x, -dot.y)):
        if not found or one.y > found[-1].y:
            found.append(one)
    return sorted(found, key=lambda dot: dot.x)


def scatter(dots: Sequence[Dot], *, x_label: str, y_label: str, less_is_better: bool = False) -> Markup:
    """Return a chart of *dots*: x on a logarithmic scale, y from 0 to 1, with intervals and the frontier.

    Dots without a positive x are left out; without any dot, the chart is empty.
    """
    drawn = [dot for dot in dots if dot.x > 0]
    if not drawn:
        return Markup("")
    low = math.floor(math.log10(min(dot.x for dot in drawn)))
    high = max(low + 1, math.ceil(math.log10(max(dot.x for dot in drawn))))

    def x_of(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (math.log10(value) - low) / (high - low)

    def y_of(value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * min(1.0, max(0.0, value))

    parts = [*_axes(range(low, high + 1), x_of, y_of), *_titles(x_label, y_label)]
    line = frontier(drawn, less_is_better=less_is_better)
    path = "".join(f"{'L' if n else 'M'}{x_of(dot.x):.1f} {y_of(dot.y):.1f}" for n, dot in enumerate(line))
    parts.append(Markup('<path d="{}" class="frontier"/>').format(path))
    names = _Names()
    wanted = [*[dot for dot in drawn if dot.best], *line, *(drawn if len(drawn) <= _MAX_NAMED else ())]
    parts += [_dot(dot, x_of(dot.x), y_of) for dot in drawn]
    parts += [names.name(dot, x_of(dot.x), y_of(dot.y)) for dot in dict.fromkeys(wanted)]
    label = f"{y_label} against {x_label} of {counted(len(drawn), 'model')}; the table below has the figures"
    return _svg(_WIDTH, _HEIGHT, label, "scatter", *parts)


def _dot(dot: Dot, x: float, y_of: Scale) -> Markup:
    kind = "best" if dot.best else "measured" if dot.measured else "expected"
    interval = Markup("")
    if dot.low is not None and dot.high is not None:
        line = Markup('<path d="M{:.1f} {:.1f}V{:.1f}" class="interval{}"/>')
        interval = line.format(x, y_of(dot.low), y_of(dot.high), "" if dot.measured else " guessed")
    title = f"{shown_name(dot.name)}: {percent(dot.y)} at {number(dot.x, 2)}"
    circle = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="5" class="{}"><title>{}</title></circle>')
    return interval + circle.format(x, y_of(dot.y), kind, title)


class _Names:
    """Names next to dots. A name that would cover another one is left out."""

    def __init__(self) -> None:
        self._taken: list[tuple[float, float, float]] = []  # left, right and height of each

    def name(self, dot: Dot, x: float, y: float) -> Markup:
        """Return the name of *dot* at (*x*, *y*), or nothing where there is no room."""
        text = shown_name(dot.name, 28)
        width = len(text) * _LETTER
        on_left = x + width > _WIDTH - _RIGHT
        left = x - 8 - width if on_left else x + 8
        height = y - 6
        for begin, end, other in self._taken:
            if abs(other - height) < _LINE and begin < left + width and left < end:
                return Markup("")
        self._taken.append((left, left + width, height))
        return _text(left + width if on_left else left, height, text, "end" if on_left else "start")


def _axes(decades: Iterable[int], x_of: Scale, y_of: Scale) -> list[Markup]:
    bottom = _HEIGHT - _BOTTOM
    parts = []
    for power in decades:
        x = x_of(10.0**power)
        parts += [
            Markup('<path d="M{:.1f} {}V{}" class="grid"/>').format(x, _TOP, bottom),
            _text(x, bottom + 16, f"{10.0**power:g}", "middle"),
        ]
    for fifth in range(6):
        y = y_of(fifth / 5)
        parts += [
            Markup('<path d="M{} {:.1f}H{}" class="grid"/>').format(_LEFT, y, _WIDTH - _RIGHT),
            _text(_LEFT - 6, y + 4, f"{fifth / 5:.1f}", "end"),
        ]
    return parts


def _titles(x_label: str, y_label: str) -> list[Markup]:
    x, y = (_LEFT + _WIDTH - _RIGHT) / 2, (_TOP + _HEIGHT - _BOTTOM) / 2
    turned = Markup('<g class="axis" transform="translate(14 {}) rotate(-90)">{}</g>')
    return [
        Markup('<g class="axis">{}</g>').format(_text(x, _HEIGHT - 8, x_label, "middle")),
        turned.format(y, _text(0, 0, y_label, "middle")),
    ]


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(x, y, anchor, shown(text))
