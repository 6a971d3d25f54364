"""Formats numbers for people; two numbers in one sentence so that a difference stays visible. Pure."""

import math

_MAX_DIGITS = 17  # of a float: enough to distinguish any two
_UNITS = (("d", 86_400), ("h", 3600), ("min", 60))


def apart(one: float, other: float, digits: int, *, fixed: bool = False) -> tuple[str, str]:
    """Return both numbers with *digits* digits, or with more if that is needed to distinguish them.

    The digits are significant digits, or those after the point if *fixed*.
    """
    kind = "f" if fixed else "g"
    for precision in range(digits, _MAX_DIGITS + 1):
        texts = f"{one:,.{precision}{kind}}", f"{other:,.{precision}{kind}}"
        if texts[0] != texts[1] or one == other:
            return texts
    return repr(one), repr(other)


def number(value: float | None, digits: int = 0) -> str:
    """Return *value* for people, with grouped digits; a dash if unknown."""
    return "-" if value is None else f"{value:,.{digits}f}"


def ms(value: float | None) -> str:
    """Return milliseconds for people; from ten seconds on, in seconds."""
    if value is None:
        return "-"
    return f"{value / 1000:,.1f} s" if value >= 10_000 else f"{value:,.0f} ms"


def percent(value: float | None) -> str:
    """Return a fraction as a percentage for people. Just below 100 % it has one more digit."""
    if value is None:
        return "-"
    return f"{math.floor(1000 * value) / 10} %" if 0.995 <= value < 1 else f"{100 * value:.0f} %"


def plural(count: int, noun: str, several: str = "") -> str:
    """Return *noun* for a *count* of 1, else the plural: *several*, or *noun* with an s."""
    return noun if count == 1 else several or f"{noun}s"


def counted(count: int, noun: str, several: str = "") -> str:
    """Return *count* with its noun: "1 model", "1,024 models", "2 replies"."""
    return f"{count:,} {plural(count, noun, several)}"


def times(count: int) -> str:
    """Return the number of measurements for people."""
    return "once" if count == 1 else f"{count:,} times"


def duration(seconds: float) -> str:
    """Return a duration for people, in the largest unit with at least two of it; at least 1 s."""
    for unit, length in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(1.0, seconds):.0f} s"


def ago(seconds: float | None) -> str:
    """Return an age for people, in the largest unit with at least two of it."""
    return "just now" if seconds is None or seconds < 120 else f"{duration(seconds)} ago"


def size(value: int | None) -> str:
    """Return a parameter count for people: 135M, 7.2B."""
    if value is None:
        return "-"
    return f"{value / 1e9:.1f}B" if value >= 1e9 else f"{value / 1e6:.0f}M"


def tokens(value: int | None) -> str:
    """Return a context length for people: 4k, 128k."""
    if value is None:
        return "-"
    return f"{value / 1024:.0f}k" if value >= 1024 else str(value)
