"""Explains why no model is a candidate, if relaxing one constraint does not help. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from vedette.text.figures import plural


class _Why(NamedTuple):
    """A reason that no constraint removes: the code of its rejections, and its texts for one, several, all."""

    code: str
    one: str
    many: str
    each: str


_WHY = (
    _Why(
        "never_answered",
        "never answered a call",
        "never answered a call",
        "None of them has answered a call.",
    ),
    _Why(
        "endpoint_closed",
        "is at an endpoint that is paused or asleep",
        "are at an endpoint that is paused or asleep",
        "Each of them is at an endpoint that is paused or asleep.",
    ),
    _Why(
        "retired",
        "was ended by its service",
        "were ended by their services",
        "Each of them was ended by its service.",
    ),
)


def in_words(code: str) -> str:
    """Return the *code* of rejections in the words of a user, who pauses an endpoint and never closes it."""
    return "endpoint paused or asleep" if code == "endpoint_closed" else code.replace("_", " ")


def why_none(rejected: Mapping[str, int], considered: int) -> str:
    """Return a sentence why none of the *considered* models is a candidate, by the number *rejected* for each code."""
    if not considered:
        return "The catalogue is empty."
    found = [(n, why) for why in _WHY if (n := rejected.get(why.code, 0))]
    # A model that is not available may have the capability, but has answered no call.
    others = "every capability needed" + (" and answers calls" if rejected.get("status") else "")
    if not found:
        return f"None of them has {others}."
    if found[0][0] == considered:
        return found[0][1].each
    said = [f"{n:,} {plural(n, why.one, why.many)}" for n, why in found]
    said[0] = said[0].replace(" ", " of them ", 1)
    if sum(n for n, _ in found) < considered:
        said.append(f"no other has {others}")
    *before, last = said
    return f"{', '.join(before)}{',' if len(before) > 1 else ''} and {last}." if before else f"{last}."
