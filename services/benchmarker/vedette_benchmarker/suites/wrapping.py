"""The content of an answer, without thoughts, Markdown, LaTeX, quotation marks, introductions and notes. Pure.

Linear in the length of the text, because a model may answer anything.
"""

import re

from vedette.text.normalizing import normalized

_SIGNS = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u2032\u00b4", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u2033\u00ab\u00bb\u300c\u300d", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"),
        **dict.fromkeys("\u00a0\u2007\u2009\u202f\u3000", " "),
        **dict.fromkeys("\u200b\u200c\u200d\ufeff\u2060"),
    }
)
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_THOUSANDS = re.compile(r"(?<=[0-9])[\u00a0\u2009\u202f](?=[0-9]{3}(?![0-9]))")
_LATEX = re.compile(r"\\(?:boxed|fbox|text|textbf|mathrm|mathbf)\s?\{|[{}]")
_LATEX_SIGNS = re.compile(r"\\[()\[\]]|</?answer>")
_LATEX_THOUSANDS = re.compile(r"(?<=[0-9])(?:\{,\}|\\[,;!])(?=[0-9]{3}(?![0-9]))")
_DOLLARS = re.compile(r"\$\$?([^$\n]{1,200})\$\$?")
_MARKDOWN = re.compile(r"\*\*|__|^[ \t]*#{1,6}[ \t]+", re.MULTILINE)
_FENCE = re.compile(r"(?:```|~~~)[^\n`~]*\n(.*?)(?:```|~~~|\Z)", re.DOTALL)
_PLEASANTRY = r"(?:sure|certainly|of course|okay|ok|absolutely)[!,.:]"
_OPENING = re.compile(
    rf"(?:{_PLEASANTRY}|here (?:is|are)\b|here's\b|(?:final )?(?:answer|output|result|solution)\W*\Z)",
    re.IGNORECASE,
)
_NOTE = re.compile(
    r"\W*(?:note\b|let me know|i hope|hope (?:this|that)|explanation\b|feel free|this (?:sentence|answer|is|list)\b|"
    r"please\b.*\bknow|word count|if you\b|i kept\b)|\(.*\)\W*\Z",
    re.IGNORECASE,
)
_LEAD = re.compile(
    rf"(?:{_PLEASANTRY}\s*)?"
    r"(?:here\b[^:.\n]{0,100}:\s*"
    r"|(?:(?:so|therefore|thus),?\s+)?(?:the|my|this|that|it|your)\b[^:.]{0,100}\b(?:is|was|are|prints|outputs)\b:?\s+"
    r"|(?:final\s+)?(?:answer|output|result)\s*:\s*)?",
    re.IGNORECASE,
)
_QUOTES = " \t\r\n\"'`*_"
_SENTENCE_END = re.compile(r"(?<=[.!?\u3002])\s+|\n+")


def plain(text: str) -> str:
    """Return *text* without thoughts, Markdown, LaTeX and typography."""
    text = _THOUSANDS.sub(",", _THOUGHT.sub("", text)).translate(_SIGNS)
    return _MARKDOWN.sub("", _without_latex(normalized(text, "NFC"))).strip()


def _without_latex(text: str) -> str:
    r"""Return *text* without `$`, `\(` and `\[` around formulas, and without `\boxed{}` and its like around words."""
    if "\\" in text:
        text = _uncommanded(_LATEX_SIGNS.sub("", _LATEX_THOUSANDS.sub(",", text)))
    elif "<" in text or "{,}" in text:
        text = _LATEX_SIGNS.sub("", _LATEX_THOUSANDS.sub(",", text))
    return _DOLLARS.sub(r"\1", text)


def _uncommanded(text: str) -> str:
    """Return *text* without the commands of LaTeX and the braces that belong to them; in one pass."""
    kept: list[str] = []
    ours: list[bool] = []  # for each open brace, whether a command opened it
    place = 0
    for found in _LATEX.finditer(text):
        if found[0] == "}":
            dropped = bool(ours) and ours.pop()
        else:
            dropped = len(found[0]) > 1
            ours.append(dropped)
        if dropped:
            kept.append(text[place : found.start()])
            place = found.end()
    return "".join((*kept, text[place:]))


def unwrapped(text: str) -> str:
    """Return the content of the one code fence in *text*, else the text without its introduction line."""
    fenced: list[str] = _FENCE.findall(text)
    if len(fenced) == 1:
        return fenced[0].strip()
    return without_lead(text)


def alone(text: str) -> str:
    """Return *text* without marks around it. Words around the answer stay, because the question forbade them."""
    fence = _FENCE.fullmatch(text.strip())
    return (fence[1] if fence else text).strip(_QUOTES)


def without_lead(text: str) -> str:
    """Return *text* without its introduction line."""
    lines = text.strip().splitlines()
    if len(lines) > 1 and (lines[0].rstrip().endswith(":") or _OPENING.match(lines[0])):
        lines = lines[1:]
    return "\n".join(lines).strip(_QUOTES)


def without_notes(text: str) -> str:
    """Return *text* without notes below it: last paragraphs about the answer, or to the reader."""
    paragraphs = re.split(r"\n\s*\n", text)
    while len(paragraphs) > 1 and _NOTE.match(paragraphs[-1]):
        paragraphs.pop()
    return "\n\n".join(paragraphs)


def bare(text: str) -> str:
    """Return *text* without everything that is allowed around an answer: "The result is `4`." becomes "4"."""
    return stripped(text[_lead(text) :])


def _lead(text: str) -> int:
    found = _LEAD.match(text)
    return found.end() if found else 0


def stripped(text: str) -> str:
    """Return *text* without quotation marks and a full stop around it."""
    return text.strip(_QUOTES).rstrip(" .!\u3002").strip(_QUOTES)


def fold(text: str) -> str:
    """Return *text* for comparison, without differences in case, hyphens and spaces."""
    return " ".join(text.casefold().replace("-", " ").split())


def sentences(text: str) -> list[str]:
    """Return the sentences of *text*: they end at a line's end, or at `.`, `!` or `?` before a space."""
    return [sentence for sentence in _SENTENCE_END.split(text) if sentence.strip()]


def fences(text: str) -> list[str]:
    """Return the contents of the code fences in *text*, without reasoning."""
    return _FENCE.findall(_THOUGHT.sub("", text.replace("\r\n", "\n")))


def outside_thoughts(text: str) -> str:
    """Return *text* without the reasoning before it, and with Unix line ends."""
    return _THOUGHT.sub("", text.replace("\r\n", "\n"))
