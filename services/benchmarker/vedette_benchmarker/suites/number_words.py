"""Numbers below a hundred that an answer writes as English words. Pure."""

import re
from typing import Final

_MAX_CHARS: Final = 500  # only in answers up to this length
_UNITS: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS: Final = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ENGLISH = {word: value for value, word in enumerate(_UNITS)} | {
    f"{ten} {_UNITS[unit]}" if unit else ten: 20 + 10 * index + unit
    for index, ten in enumerate(_TENS)
    for unit in range(10)
}
_ENGLISH_NUMBER = re.compile(
    r"\b(?:" + "|".join(sorted(_ENGLISH, key=len, reverse=True)).replace(" ", "[ -]") + r")\b", re.IGNORECASE
)


def with_digits(text: str) -> str:
    """Return *text* with its numbers as digits; unchanged if it is long or has digits already."""
    if len(text) > _MAX_CHARS or re.search(r"[0-9]", text):
        return text
    return _ENGLISH_NUMBER.sub(lambda found: str(_ENGLISH[found[0].lower().replace("-", " ")]), text)
