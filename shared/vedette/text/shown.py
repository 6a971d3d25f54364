r"""Escapes text from outside for people and models: nothing invisible, nothing that reorders a line.

Events, replies and JSON keep every name as it is. Only what is shown is escaped, with Python's own escapes
(`\u202e`), so that two names that differ also look different. Both functions may be applied twice.
"""

import re
import unicodedata

MAX_NAME_COLUMNS = 72
MAX_PROSE_COLUMNS = 32  # a name with many spaces is a sentence: too short to carry an instruction
_MAX_SPACES = 4
_MAX_MARKS = 2  # on one character; more of them paint over other lines
_PLAIN = re.compile(r"[\x20-\x7e\n\t]*\Z")
# Printable by Unicode's categories, and yet blank on a screen: fillers, joiners and the empty Braille pattern.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
# What a spreadsheet runs a cell for, behind whatever it skips, and the wide and small forms that it folds to them.
_FORMULA = re.compile(
    r"""[\t\r\n]|[\s"'\u200b-\u200f\u2060-\u2064\ufeff]*"""
    r"[=+\-@\u2212\ufe62\ufe63\ufe66\ufe6b\uff0b\uff0d\uff1d\uff20]"
)
_LOOSE_SPACE = re.compile(r"^ +| +$|(?<=[ /]) +| +(?= )")


def shown(text: str) -> str:
    """Return *text* with every invisible, reordering or control character escaped; line ends and tabs stay."""
    if _PLAIN.match(text):
        return text
    pieces, before, marks = [], "", 0
    for character in text:
        marks = marks + 1 if _is_mark(character) else 0
        pieces.append(_escaped(character) if _is_hidden(character, before, marks) else character)
        before = character
    return "".join(pieces)


def shown_json(document: str) -> str:
    """Return *document*, which is JSON of the same value, with those characters in JSON's own escapes."""
    if _PLAIN.match(document):
        return document
    return "".join(
        _json_escaped(character) if _is_hidden(character, "a", 0) else character for character in document
    )


def shown_name(name: object, most: int = MAX_NAME_COLUMNS) -> str:
    """Return a model's name as a table shows it: escaped, spaces that are easily missed as `␣`, cut in the middle."""
    text = str(name)
    if text.count(" ") > _MAX_SPACES:
        text, most = text.replace(" ", "␣"), min(most, MAX_PROSE_COLUMNS)
    else:
        text = _LOOSE_SPACE.sub(lambda found: "␣" * len(found[0]), text)
    return shortened(shown(text), most)


def quoted_name(name: object) -> str:
    """Return a model's name for a sentence: as in a table, and in quotation marks if it has spaces."""
    text = shown_name(name)
    return f'"{text}"' if " " in text or "␣" in text else text


def shortened(text: str, most: int, end: float = 1 / 2) -> str:
    """Return *text* in at most *most* characters: what does not fit is left out, *end* of the rest is its end."""
    if len(text) <= most:
        return text
    tail = int((most - 1) * end)
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"


def csv_cell(text: str) -> str:
    """Return *text* as a cell of CSV that no spreadsheet takes for a formula: behind an apostrophe if need be."""
    return f"'{text}" if _FORMULA.match(text) else text


def hidden(text: str) -> tuple[str, ...]:
    """Return the characters of *text* that `shown` escapes, each once, as it escapes them."""
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
    # Not printable: controls, format characters, line ends, spaces other than U+0020, private and unassigned.
    if not character.isprintable() or character in _BLANK:
        return True
    if "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef":
        return not before or unicodedata.category(before) != "So"  # after a symbol: how an emoji looks
    return marks > 0 and (marks > _MAX_MARKS or (marks == 1 and not before.isalpha()))


def _is_mark(character: str) -> bool:
    return not character.isascii() and unicodedata.category(character)[0] == "M"


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _json_escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
