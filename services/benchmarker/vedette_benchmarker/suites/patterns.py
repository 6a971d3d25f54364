"""Estimates how long a regular expression from outside may take to match. Pure."""

import re
from typing import Final

MAX_MATCHED_CHARS: Final = 256
MAX_PATTERN_CHARS: Final = 200
MAX_WAYS: Final = (
    MAX_MATCHED_CHARS**3
)  # three open repetitions: a tenth of a second at worst (CPython 3.11, 2026)

_TOKEN = re.compile(
    r"(?P<reference>\\[1-9]|\(\?P=)"
    r"|(?P<open>\((?:\?:)?(?!\?))"
    r"|(?P<flag>\(\?i\))"
    r"|(?P<odd>\(\?)"
    r"|(?P<close>\))"
    r"|(?P<alternative>\|)"
    r"|(?P<repeat>[*+?]|\{(?P<least>[0-9]*)(?P<comma>,?)(?P<most>[0-9]*)\})"
    r"|(?P<atom>\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.)",
    re.DOTALL,
)


def ways(pattern: str) -> int:
    """Return the maximum number of ways in which a backtracking matcher may try *pattern* on a text.

    Raises ValueError if it is unknown.
    """
    outer: list[tuple[int, int]] = []
    found, last = 1, 1
    for token in _TOKEN.finditer(pattern):
        if token["reference"] or token["odd"]:
            raise ValueError(f"{token[0]!r} is not supported")
        if token["open"]:
            outer.append((found * last, 1))
            found, last = 1, 1
        elif token["close"]:
            (before, _), inside = outer.pop(), found * last
            found, last = before, inside
        elif token["alternative"]:
            found, last = found * last + 1, 1
        elif token["repeat"]:
            last = _repeated(token, last)
        elif token["atom"]:
            found, last = found * last, 1
    return found * last


def _repeated(token: re.Match[str], inside: int) -> int:
    sign, least, most = token[0], token["least"], token["most"]
    if sign == "?":
        return inside + 1
    if sign == "{}":
        return inside
    if inside > 1:
        raise ValueError("a repetition of what can match in more than one way could take very long")
    if sign in "*+" or (token["comma"] and not most):
        return MAX_MATCHED_CHARS
    return max(int(most) - int(least or 0) + 1, 1) if token["comma"] else 1
