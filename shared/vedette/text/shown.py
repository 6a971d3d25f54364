r"""Escapes text from outside for people and models: nothing invisible, nothing that reorders a line.

Events, replies and JSON keep every name unchanged. Only shown text is escaped, with Python's escapes (`\u202e`), so
that two different names also look different. Both functions may be applied twice.
"""

import re
import unicodedata

MAX_NAME_COLUMNS = 72
MAX_PROSE_COLUMNS = 32  # a name with many spaces is a sentence: this is too short for an instruction
_MAX_SPACES = 4
_MAX_MARKS = 2  # on one character; more would cover other lines
_PLAIN = re.compile(r"[\x20-\x7e\n\t]*\Z")
# Printable by Unicode's categories, but blank on a screen: fillers, joiners and the empty Braille pattern.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
# Characters that start a formula in a spreadsheet, after characters that it skips; with their wide and small forms.
_FORMULA = re.compile(
    r"""[\t\r\n]|[\s"'\u200b-\u200f\u2060-\u2064\ufeff]*"""
    r"[=+\-@\u2212\ufe62\ufe63\ufe66\ufe6b\uff0b\uff0d\uff1d\uff20]"
)
_LOOSE_SPACE = re.compile(r"^ +| +$|(?<=[ /]) +| +(?= )")


def shown(text: str) -> str:
    """Return *text* with all invisible, reordering and control characters escaped; line ends and tabs stay."""
    if _PLAIN.match(text):
        return text
    pieces, before, marks = [], "", 0
    for character in text:
        marks = marks + 1 if _is_mark(character) else 0
        pieces.append(_escaped(character) if _is_hidden(character, before, marks) else character)
        before = character
    return "".join(pieces)


def shown_json(document: str) -> str:
    """Return the JSON text *document* with these characters as JSON escapes; its value stays the same."""
    if _PLAIN.match(document):
        return document
    return "".join(
        _json_escaped(character) if _is_hidden(character, "a", 0) else character for character in document
    )


def shown_name(name: object, most: int = MAX_NAME_COLUMNS) -> str:
    """Return a model's name for a table: escaped, cut in the middle, and with `␣` for spaces that are easily missed."""
    text = str(name)
    if text.count(" ") > _MAX_SPACES:
        text, most = text.replace(" ", "␣"), min(most, MAX_PROSE_COLUMNS)
    else:
        text = _LOOSE_SPACE.sub(lambda found: "␣" * len(found[0]), text)
    return shortened(shown(text), most)


def quoted_name(name: object) -> str:
    """Return a model's name for a sentence: as in a table, in quotation marks if it has spaces."""
    text = shown_name(name)
    return f'"{text}"' if " " in text or "␣" in text else text


def shortened(text: str, most: int, end: float = 1 / 2) -> str:
    """Return *text* in at most *most* characters, cut in the middle; *end* is the share of the rest that is its end."""
    if len(text) <= most:
        return text
    tail = int((most - 1) * end)
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"


def csv_cell(text: str) -> str:
    """Return *text* as a CSV cell that no spreadsheet takes for a formula: after an apostrophe if needed."""
    return f"'{text}" if _FORMULA.match(text) else text


def hidden(text: str) -> tuple[str, ...]:
    """Return the characters of *text* that `shown` escapes, each once, in escaped form."""
    found: dict[str, None] = {}
    before, marks = "", 0
    for character in () if _PLAIN.match(text) else text:
        marks = marks + 1 if _is_mark(character) else 0
        if _is_hidden(character, before, marks):
            found[_escaped(character)] = None
        before = character
    return tuple(found)


def _is_hidden(character: str, before: str, marks: int) -> bool:
    if character.isascii():
        return not character.isprintable() and character not in "\n\t"
    # not printable: controls, format characters, line ends, spaces except U+0020, private and unassigned
    if not character.isprintable() or character in _BLANK:
        return True
    if "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef":
        return (
            not before or unicodedata.category(before) != "So"
        )  # after a symbol it selects the look of an emoji
    return marks > 0 and (marks > _MAX_MARKS or (marks == 1 and not before.isalpha()))


def _is_mark(character: str) -> bool:
    return not character.isascii() and unicodedata.category(character)[0] == "M"


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _json_escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
