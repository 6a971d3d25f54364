"""The text of a request: the question, pasted text, and whether there is code. Pure.

Only both ends of a long text are read, because people ask before or after the text that they paste.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw, Struct

from vedette.providers.observing import Api

_END_BYTES: Final = 2000  # of each end of a long text
_LONG_BYTES: Final = 3 * _END_BYTES
_MAX_ESCAPE: Final = 12  # bytes: two surrogates
_SYSTEM_CHARACTERS: Final = 800
_MAX_LINES: Final = 60  # of each end
_MAX_ASKED: Final = 320  # characters of a question; a longer paragraph counts as pasted text
_EDGE: Final = 160  # characters at each end of a pasted text, where a question may be
_FENCE: Final = "```"
# How lines of code begin and end in the languages that people paste.
_CODE_BEGINS: Final = (
    *(
        "def ",
        "class ",
        "import ",
        "func ",
        "fn ",
        "#include",
        "return ",
        "const ",
        "let ",
        "var ",
        "public ",
    ),
    *("private ", "static ", "SELECT ", "select ", "FROM ", "WHERE ", "export ", "async ", "function ", "@"),
    *("diff --git", "+++ ", "--- a/", "@@ ", "if (", "for (", "while (", "#!/", "package ", "use ", "int "),
    *("Traceback (most", 'File "', "goroutine ", "panic: ", "template <", "struct ", "impl ", "type "),
)
_CODE_ENDS: Final = (";", "{", "}", "):", "};", "},", "->", "});", "=>", ") {")
_SIGNS: Final = re.compile(r"[{}\[\];<>|$\\&_=]")
_MIN_SIGNS: Final = 3  # in a line that is code, and at least one in _CHARACTERS_A_SIGN
_CHARACTERS_A_SIGN: Final = 14
_MIN_WORDS: Final = 5  # of a line with signs that still counts as prose
_MARKS: Final = "?!.,:'\"()"
_QUOTED: Final = ">"  # how mail begins the lines of others
_MAX_LINE: Final = 200
_DIFF: Final = ("diff --git ", "\n@@ -", "\n+++ ")
_STACK: Final = (
    "Traceback (most recent",
    "goroutine 1 ",
    "Exception in thread",
    "\n    at ",
    "\n\tat ",
    "panic: ",
)
_INLINE: Final = re.compile(r"`[^`\n]{3,200}`")


class _Message(Struct):
    role: str = ""
    content: Raw = Raw(b"null")
    text: Raw = Raw(b"null")


class _Part(Struct):
    text: str = ""


class Said(Struct, frozen=True, kw_only=True):
    """A request in words."""

    system: str = ""  # the beginning of the system message
    asked: str = ""  # the question in the last message of the user
    edges: str = ""  # the ends of pasted text in that message, where a question may be, too
    before: str = ""  # the question in the message of the user before
    length: int = 0  # of the last message, in bytes
    code: int = 0  # lines of code in it, among the lines read
    prose: int = 0  # other lines
    has_inline: bool = False  # code within a line
    has_diff: bool = False
    has_stack: bool = False

    @property
    def pasted(self) -> int:
        """The length of the text around the question, in bytes."""
        return max(0, self.length - len(self.asked.encode()))


def said(api: Api, fields: Mapping[str, Raw]) -> Said:
    """Return the text in the *fields* of a request; nothing if they have a wrong shape."""
    system, users = "", []
    for role, text in _messages(api, fields):
        if role in ("system", "developer"):
            system = system or _ends(text)
        elif role == "user":
            users.append(text)
    if not users:
        return Said(system=system[:_SYSTEM_CHARACTERS])
    before = _read(_ends(users[-2])).asked if len(users) > 1 else ""
    found = _read(_ends(users[-1]))
    return msgspec.structs.replace(
        found, system=system[:_SYSTEM_CHARACTERS], before=before, length=len(users[-1])
    )


def _messages(api: Api, fields: Mapping[str, Raw]) -> Iterator[tuple[str, Raw]]:
    if raw := fields.get("instructions"):
        yield "system", raw
    name = {"chat/completions": "messages", "completions": "prompt"}.get(api, "input")
    raw = fields.get(name, Raw(b"null"))
    try:
        messages = msgspec.json.decode(raw, type=list[_Message])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        yield "user", raw
        return
    for message in messages:
        yield message.role or "user", message.content


def _ends(raw: Raw) -> str:
    """Return the text of *raw*, a JSON string or a list of parts; only both ends of a long text."""
    held = bytes(raw).strip()
    if held.startswith(b"["):
        try:
            parts = msgspec.json.decode(held, type=list[_Part])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ""
        return _cut("\n\n".join(part.text for part in parts))
    if not held.startswith(b'"'):
        return ""
    if len(held) > _LONG_BYTES:
        return "\n\n".join((_begin(held), _end(held)))
    return _cut(_text(held))


def _begin(held: bytes) -> str:
    """Return the beginning of the JSON string *held*. It is not cut within an escape."""
    return next(filter(None, (_text(held[: _END_BYTES - back] + b'"') for back in range(_MAX_ESCAPE))), "")


def _end(held: bytes) -> str:
    """Return the end of the JSON string *held*. If it is cut within an escape, the rest of the escape comes first."""
    return next(filter(None, (_text(b'"' + held[on - _END_BYTES :]) for on in range(_MAX_ESCAPE))), "")


def _text(held: bytes) -> str:
    try:
        return msgspec.json.decode(held, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _cut(text: str) -> str:
    return text if len(text) <= _LONG_BYTES else f"{text[:_END_BYTES]}\n\n{text[-_END_BYTES:]}"


def _read(text: str) -> Said:
    """Split *text* into code, questions and pasted text."""
    lines = text.splitlines()
    if len(lines) > 2 * _MAX_LINES:
        lines = [*lines[:_MAX_LINES], "", *lines[-_MAX_LINES:]]
    code, is_fenced, has_inline = 0, False, _INLINE.search(text, 0, _END_BYTES) is not None
    paragraphs, current = list[str](), list[str]()

    def end_paragraph() -> None:
        if current:
            paragraphs.append("\n".join(current))
            current.clear()

    for line in map(str.strip, lines):
        if line.startswith(_FENCE):
            is_fenced = not is_fenced
            end_paragraph()
        elif is_fenced or is_code(line):
            code += bool(line)
            end_paragraph()
            if len(line) > _MAX_ASKED:
                paragraphs.append(line)  # a question may stand at its ends
        elif not line or line.startswith(_QUOTED):
            end_paragraph()
        else:
            current.append(line)
            has_inline = has_inline or has_signs(line)
            if line.endswith((":", "\uff1a")):
                end_paragraph()
    end_paragraph()
    if code == 1 and not paragraphs and len(text) <= _MAX_ASKED:
        code, has_inline, paragraphs = 0, True, [text]  # what is asked in one line stands next to its code
    asked, edges = _asked(paragraphs)
    return Said(
        asked=asked,
        edges=edges,
        code=code,
        prose=sum(paragraph.count("\n") + 1 for paragraph in paragraphs),
        has_inline=has_inline,
        has_diff=any(sign in text for sign in _DIFF),
        has_stack=any(sign in text for sign in _STACK),
    )


def _asked(paragraphs: Sequence[str]) -> tuple[str, str]:
    """Return the question in *paragraphs*, and the ends of pasted text.

    Few paragraphs are a question as a whole. Otherwise the first and the last are, unless they are long.
    """
    if sum(map(len, paragraphs)) <= _MAX_ASKED:
        return "\n".join(paragraphs), ""
    first, last = paragraphs[0], paragraphs[-1]
    asked = [one for one in dict.fromkeys((first, last)) if len(one) <= _MAX_ASKED]
    edges = [
        first[:_EDGE] if len(first) > _MAX_ASKED else "",
        last[-_EDGE:] if len(last) > _MAX_ASKED else "",
    ]
    return "\n".join(asked), "\n".join(edges)


def is_code(line: str) -> bool:
    """Return whether the stripped *line* looks like one of a program, a diff or a stack."""
    if line.startswith(_CODE_BEGINS) or line.endswith(_CODE_ENDS):
        return _SIGNS.search(line) is not None or line.endswith(":")
    return has_signs(line) and sum(word.strip(_MARKS).isalpha() for word in line.split()) < _MIN_WORDS


def has_signs(line: str) -> bool:
    """Return whether *line* has enough of the signs of code, such as braces and semicolons."""
    begin = line[:_MAX_LINE]
    signs = len(_SIGNS.findall(begin))
    return signs >= _MIN_SIGNS and signs * _CHARACTERS_A_SIGN >= len(begin)
