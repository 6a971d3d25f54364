"""Checkers: whether an answer says what is true. Pure; none raises, whatever the answer.

They are strict about what is said and lenient about how it is wrapped: Markdown, quotation marks, a code fence, a
line that leads up to the answer, "The answer is …", a full stop. An answer gets one guess: one that names two
things names neither.
"""

import json as _json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from operator import mul
from typing import Any

from vedette.providers import ToolCall
from vedette.text.normalizing import normalized
from vedette_benchmarker.answered import Answered
from vedette_benchmarker.suites import Verdict

MOST_CHARS = 20_000  # no question asks for as much; more is a model that does not stop
MOST_MATCHED_CHARS = 256
MOST_PATTERN_CHARS = 200
MOST_WAYS = MOST_MATCHED_CHARS**3  # three open repetitions: a tenth of a second at worst (CPython 3.11, 2026)
MOST_WORDS_CHARS = 500  # numbers are looked for as words only in answers this short

Check = Callable[[Answered], Verdict]
VectorCheck = Callable[[Sequence[Sequence[float]]], Verdict]

_RIGHT = Verdict(correct=True)
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
_BULLET = re.compile(r"(?:[-*+>\u2022]|[0-9]{1,2}[.)])\s+")
_SENTENCE_END = re.compile(r"(?<=[.!?\u3002])\s+|\n+")
_SAYING = re.compile(r"\b(?:answer|output|result)\s*(?::|(?:is|was|would be)\b:?)", re.IGNORECASE)
_CLAIM = re.compile(r"\banswer\s*(?::|(?:is|was|would be)\b)", re.IGNORECASE)
_REASON = re.compile(r"\b(?:because|since)\b", re.IGNORECASE)
_DENIAL = re.compile(r"\b(?:not|never|neither|cannot|unable)\b|n't\b", re.IGNORECASE)
_REFUSAL = re.compile(
    r"\s*(?:i'm sorry|i am sorry|sorry,|i can(?:'t|not)\b|i won't\b|as an ai\b)", re.IGNORECASE
)
_HEDGE = re.compile(r"\bor\b", re.IGNORECASE)
_NUMBER = re.compile(
    r"(?<![\w])(?<![0-9][.,])(?:(?<![\w)])[-+])?(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?"
)
_MARK = re.compile(
    r"[=\u2248:\u2192]|->|\b(?:is|are|was|were|equals?|makes?|gives?|leaves?|prints?|outputs?|returns?|has|have|"
    r"gets?|so|totals?)\b",
    re.IGNORECASE,
)
_NO_SPACES = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")  # kana and Han are written without spaces


def by_text(judge: Callable[[str], str], *, raw: bool = False) -> Check:
    """Return a check of the answer's text by *judge*, which says what is wrong with it, or nothing.

    The text has been made `plain` unless *raw*. One that is empty, or far too long, is wrong unread.
    """

    def check(answered: Answered) -> Verdict:
        if len(answered.text) > MOST_CHARS:
            return _wrong("far too long")
        text = answered.text.strip() if raw else plain(answered.text)
        return _verdict(judge(text) if text else "no answer")

    return check


def every(*checks: Check) -> Check:
    """Return a check that an answer passes all of *checks*."""

    def check(answered: Answered) -> Verdict:
        return next((verdict for one in checks if not (verdict := one(answered)).correct), _RIGHT)

    return check


def _verdict(why: str) -> Verdict:
    return _wrong(why) if why else _RIGHT


def _wrong(why: str) -> Verdict:
    return Verdict(correct=False, why=why)


# What an answer says, out of how it says it


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
    """Return what stands in the one code fence of *text*, or the text without the line that leads up to it."""
    fenced: list[str] = _FENCE.findall(text)
    if len(fenced) == 1:
        return fenced[0].strip()
    return without_lead(text)


def alone(text: str) -> str:
    """Return *text* without marks around it. Words around the answer stay: they were forbidden."""
    fence = _FENCE.fullmatch(text.strip())
    return (fence[1] if fence else text).strip(_QUOTES)


def without_lead(text: str) -> str:
    """Return *text* without the line that leads up to it."""
    lines = text.strip().splitlines()
    if len(lines) > 1 and (lines[0].rstrip().endswith(":") or _OPENING.match(lines[0])):
        lines = lines[1:]
    return "\n".join(lines).strip(_QUOTES)


def without_notes(text: str) -> str:
    """Return *text* without the notes below it: the last paragraphs that speak of the answer or to the reader."""
    paragraphs = re.split(r"\n\s*\n", text)
    while len(paragraphs) > 1 and _NOTE.match(paragraphs[-1]):
        paragraphs.pop()
    return "\n\n".join(paragraphs)


def bare(text: str) -> str:
    """Return *text* without anything that may stand around an answer: "The result is `4`." is "4"."""
    return _stripped(text[_lead(text) :])


def _lead(text: str) -> int:
    found = _LEAD.match(text)
    return found.end() if found else 0


def _stripped(text: str) -> str:
    return text.strip(_QUOTES).rstrip(" .!\u3002").strip(_QUOTES)


def fold(text: str) -> str:
    """Return *text* for comparison: case, hyphens and the amount of space do not count."""
    return " ".join(text.casefold().replace("-", " ").split())


def sentences(text: str) -> list[str]:
    """Return the sentences of *text*: they end at a line's end, or at `.`, `!` or `?` before a space."""
    return [sentence for sentence in _SENTENCE_END.split(text) if sentence.strip()]


def _claims(text: str, saying: re.Pattern[str] = _CLAIM) -> list[str]:
    """Return what follows "answer is" or "answer:" in each sentence that has it, up to a reason; else *text*."""
    claimed = [
        _REASON.split(sentence[found.end() :])[0]
        for sentence in sentences(text)
        if (found := saying.search(sentence))
    ]
    return [claim for claim in claimed if claim.strip(" :.")] or [text]


def _whole(words: str) -> str:
    """Return a pattern for *words* that are not part of longer ones."""
    return _left(words) + _ended(words)


def _any_of(names: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern for any of *names* as whole words, those named first before the others.

    What must stand to the left is tested once for all: `re` then skips by first characters, five times as fast.
    """
    lefts = sorted({_left(name) for name in names})
    parts = ("|".join(_ended(name) for name in names if _left(name) == left) for left in lefts)
    return re.compile("|".join(f"{left}(?:{part})" for left, part in zip(lefts, parts, strict=True)))


def _left(words: str) -> str:
    return "" if _NO_SPACES.match(words[:1]) else r"(?<!\w)"


def _ended(words: str) -> str:
    return re.escape(words) + ("" if _NO_SPACES.match(words[-1:]) else r"(?!\w)")


# Words


def exact(*expected: str, case: bool = False, only: bool = False) -> Check:
    """Return a check that the answer is one of *expected*; upper and lower *case* may count.

    A lead, a note below and "the answer is" may stand around it, unless the question forbids them (*only*).
    """

    def shape(text: str) -> str:
        return " ".join(text.split()) if case else fold(text)

    wanted = {shape(_stripped(plain(text))) for text in expected}

    def judge(text: str) -> str:
        found = [_stripped(alone(text))] if only else _readings(text)
        return "" if any(shape(one) in wanted for one in found) else f"not {expected[0]!r}"

    return by_text(judge)


def _readings(text: str) -> list[str]:
    """Return how the answer in *text* may be meant; what it says twice, and differently, is none."""
    given = unwrapped(without_notes(text))
    said = {_stripped(one) for one in _claims(given, _SAYING)} if _SAYING.search(given) else set()
    if len(said) > 1:
        return []
    first = _BULLET.match(given)
    return [_stripped(given), bare(given), *said, *((_stripped(given[first.end() :]),) if first else ())]


def contains(*expected: str) -> Check:
    """Return a check that the answer has all of *expected* in it, each as whole words."""
    patterns = {words: re.compile(_whole(fold(plain(words)))) for words in expected}

    def judge(text: str) -> str:
        folded = fold(text)
        return next(
            (f"{words!r} is missing" for words, one in patterns.items() if not one.search(folded)), ""
        )

    return by_text(judge)


def choice(right: Sequence[str], wrong: Sequence[str]) -> Check:
    """Return a check that the answer names what is *right*, by any of its names, and nothing that is *wrong*.

    Where a sentence says "answer is" or "answer:", only what follows counts, up to its end or a "because". Names are
    whole words, the longest first. An answer that denies something names nothing.
    """

    @cache
    def read() -> tuple[dict[str, bool], re.Pattern[str]]:
        # With the first answer: hundreds of names take some ms, and most items are made to be counted or skipped.
        names = {fold(plain(name)): False for name in wrong} | {fold(plain(name)): True for name in right}
        return names, _any_of(sorted(names, key=len, reverse=True))

    def judge(text: str) -> str:
        names, named = read()
        claims = _claims(unwrapped(text))
        if any(_DENIAL.search(claim) for claim in claims):
            return "denies instead of answering"
        found = {name for claim in claims for name in named.findall(fold(claim))}
        if not found:
            return "names none of the answers"
        if all(names[name] for name in found):
            return ""
        return f"says {', '.join(sorted(found)[:3])}"

    return by_text(judge)


# Numbers


def number(expected: float | Decimal, given: Sequence[float] = ()) -> Check:
    r"""Return a check that the answer states the number *expected*.

    What counts is each sentence with "answer is" or "answer:" and a number; where there is none, the last sentence
    with a number. Of a sentence counts what follows its last sign of a result (`=`, `:`, "is", "makes", …) that still
    has a number behind it; all of it where there is no such sign. There, one value must stand, or one besides
    those *given* in the question, and all that counts must say the same. Two values with "or" between them, a
    denial, and a number at which the answer was cut off are wrong. `1,234`, `1 234` (no-break space), `42.0` and
    `\u22125` are read as one would; a unit may follow. "forty-two" counts where there are no digits at all.
    """
    wanted, passed_over = Decimal(str(expected)), {Decimal(str(value)) for value in given}

    def judge(text: str) -> str:
        counting = _counting(_with_digits(text))
        if not counting:
            return "no number"
        stated: set[Decimal] = set()
        for sentence in counting:
            if _DENIAL.search(sentence) or _hedged(sentence):
                return "no one number is stated"
            values = _stated(sentence)
            stated |= values - passed_over or values
        if len(stated) != 1:
            return "more than one number is stated"
        (value,) = stated
        return "" if value == wanted else f"{value}, not {wanted}"

    read = by_text(judge)

    def check(answered: Answered) -> Verdict:
        if answered.finished.reason == "length" and answered.text.rstrip()[-1:].isdigit():
            return _wrong("cut off at a number")
        return read(answered)

    return check


def _counting(text: str) -> list[str]:
    numbered = [sentence for sentence in sentences(text) if _NUMBER.search(sentence)]
    return [sentence for sentence in numbered if _CLAIM.search(sentence)] or numbered[-1:]


def _stated(sentence: str) -> set[Decimal]:
    numbers = [(found.start(), _value(found[0])) for found in _NUMBER.finditer(sentence)]
    last = numbers[-1][0]
    start = max((mark.end() for mark in _MARK.finditer(sentence) if mark.end() <= last), default=0)
    return {value for at, value in numbers if at >= start}


def _hedged(sentence: str) -> bool:
    starts = [found.start() for found in _NUMBER.finditer(sentence)]
    return any(starts[0] < hedge.start() < starts[-1] for hedge in _HEDGE.finditer(sentence))


def _value(digits: str) -> Decimal:
    return Decimal(digits.replace(",", ""))


_UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ENGLISH = {word: value for value, word in enumerate(_UNITS)} | {
    f"{ten} {_UNITS[unit]}" if unit else ten: 20 + 10 * index + unit
    for index, ten in enumerate(_TENS)
    for unit in range(10)
}
_ENGLISH_NUMBER = re.compile(
    r"\b(?:" + "|".join(sorted(_ENGLISH, key=len, reverse=True)).replace(" ", "[ -]") + r")\b", re.IGNORECASE
)


def _with_digits(text: str) -> str:
    if len(text) > MOST_WORDS_CHARS or re.search(r"[0-9]", text):
        return text
    return _ENGLISH_NUMBER.sub(lambda found: str(_ENGLISH[found[0].lower().replace("-", " ")]), text)


# Patterns


def regex(pattern: str) -> Check:
    """Return a check that the bare answer matches *pattern* as a whole.

    Raises ValueError for a pattern that is not one, or that could take long: only `(…)`, `(?:…)` and `(?i)` are
    understood, what is repeated must have one length only, and there may be three open repetitions at most.
    """
    if len(pattern) > MOST_PATTERN_CHARS:
        raise ValueError(f"longer than {MOST_PATTERN_CHARS} characters")
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {error}") from error
    if _ways(pattern) > MOST_WAYS:
        raise ValueError("could take very long to match; use fewer repetitions and alternatives")

    def judge(text: str) -> str:
        given = unwrapped(text)
        if len(given) > MOST_MATCHED_CHARS:
            return "too long to match"
        matched = any(compiled.fullmatch(one) for one in (given, _stripped(given), bare(given)))
        return "" if matched else f"does not match {pattern}"

    return by_text(judge)


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


def _ways(pattern: str) -> int:
    """Return in how many ways *pattern* can be laid over a text at most: what a backtracking matcher may try.

    Raises ValueError where that is not known.
    """
    outer: list[tuple[int, int]] = []
    ways, last = 1, 1
    for token in _TOKEN.finditer(pattern):
        if token["reference"] or token["odd"]:
            raise ValueError(f"{token[0]!r} is not supported")
        if token["open"]:
            outer.append((ways * last, 1))
            ways, last = 1, 1
        elif token["close"]:
            (before, _), inside = outer.pop(), ways * last
            ways, last = before, inside
        elif token["alternative"]:
            ways, last = ways * last + 1, 1
        elif token["repeat"]:
            last = _repeated(token, last)
        elif token["atom"]:
            ways, last = ways * last, 1
    return ways * last


def _repeated(token: re.Match[str], inside: int) -> int:
    sign, least, most = token[0], token["least"], token["most"]
    if sign == "?":
        return inside + 1
    if sign == "{}":
        return inside
    if inside > 1:
        raise ValueError("a repetition of what can match in more than one way could take very long")
    if sign in "*+" or (token["comma"] and not most):
        return MOST_MATCHED_CHARS
    return max(int(most) - int(least or 0) + 1, 1) if token["comma"] else 1


# Structured answers


def fences(text: str) -> list[str]:
    """Return what the code fences of *text* hold, thoughts left out."""
    return _FENCE.findall(_THOUGHT.sub("", text.replace("\r\n", "\n")))


def outside_thoughts(text: str) -> str:
    """Return *text* without the thoughts before it, and with the line ends of Unix."""
    return _THOUGHT.sub("", text.replace("\r\n", "\n"))


def json(expected: Any) -> Check:
    """Return a check that the answer has one JSON value, equal to *expected*; words and a fence may stand around it."""

    def judge(text: str) -> str:
        try:
            found = _json_in(text)
        except (ValueError, RecursionError):
            return "not JSON"
        try:
            return "" if _same(found, expected) else "JSON, but not what was asked for"
        except RecursionError:
            return "JSON, but not what was asked for"

    return by_text(judge, raw=True)


def _json_in(text: str) -> Any:
    """Return the one JSON value in *text*: in a fence, in a box of LaTeX, or with words around it.

    Raises ValueError for none, for two, and for one that a refusal quotes.
    """
    text = outside_thoughts(text).lstrip("\ufeff")
    if _REFUSAL.match(text):
        raise ValueError("a refusal")
    fenced = [one for one in fences(text) if one.lstrip()[:1] in ("{", "[")]
    if len(fenced) == 1:
        return _JSON.decode(fenced[0])
    box = text.find("\\boxed{")
    if box >= 0:
        text = text[box + len("\\boxed{") : text.rfind("}")]
    starts = [at for at in (text.find("{"), text.find("[")) if at >= 0]
    if not starts:
        return _JSON.decode(text.strip())
    found, end = _JSON.raw_decode(text, min(starts))
    if "{" in text[end:] or (text[: min(starts)] + text[end:]).strip() == '""':
        raise ValueError("more than one value")
    return found


_JSON = _json.JSONDecoder()


def _same(found: Any, expected: Any) -> bool:
    if isinstance(expected, Mapping):
        return (
            isinstance(found, Mapping)
            and found.keys() == expected.keys()
            and all(_same(found[key], value) for key, value in expected.items())
        )
    if isinstance(expected, (list, tuple)):
        return (
            isinstance(found, (list, tuple))
            and len(found) == len(expected)
            and all(map(_same, found, expected))
        )
    if isinstance(expected, bool) or isinstance(found, bool):
        return found is expected
    if isinstance(expected, str) and isinstance(found, str):
        return plain(found) == plain(expected)
    return bool(found == expected)


def calls(*expected: ToolCall) -> Check:
    """Return a check that exactly the calls *expected* are made, in any order; case in texts does not count."""
    wanted = [_call(call) for call in expected]

    def check(answered: Answered) -> Verdict:
        made = [_call(call) for call in answered.finished.tool_calls]
        if not made:
            return _wrong("called nothing")
        if len(made) != len(wanted):
            return _wrong(f"made {len(made)} calls for {len(wanted)}")
        if {name for name, _ in made} != {name for name, _ in wanted}:
            return _wrong(f"called {made[0][0]}")
        left = list(made)
        for name, arguments in wanted:
            fitting = [one for one in left if one[0] == name and _same(one[1], arguments)]
            if not fitting:
                return _wrong(f"called {name} with other arguments")
            left.remove(fitting[0])
        return _RIGHT

    return check


def _call(call: ToolCall) -> tuple[str, Any]:
    if call.arguments is None:
        return call.name, None
    return call.name, {
        key: fold(plain(value)) if isinstance(value, str) else value for key, value in call.arguments.items()
    }


def uncalled(check: Check) -> Check:
    """Return *check*, for an answer that calls no tool."""

    def judge(answered: Answered) -> Verdict:
        made = answered.finished.tool_calls
        return _wrong(f"called {made[0].name} without need") if made else check(answered)

    return judge


# Vectors

MAX_DIMENSIONS = 16_384  # four times as many as any model has (2026)
_LEAST_LEAD = 1e-6  # between two cosines; below it they are one number, rounded


def nearest(partner: Mapping[int, int], among: Sequence[int]) -> VectorCheck:
    """Return a check that each text's *partner* is the nearest to it of *among*, by cosine, with none as near."""

    def check(vectors: Sequence[Sequence[float]]) -> Verdict:
        if max(map(len, vectors), default=0) > MAX_DIMENSIONS:
            return _wrong("too many dimensions")
        units = [_unit(vector) for vector in vectors]
        if any(unit is None for unit in units) or len({len(unit) for unit in units if unit}) != 1:
            return _wrong("not vectors of one length that have a direction")
        if len(units) <= max((*partner, *partner.values(), *among)):
            return _wrong("too few vectors")
        whole = [unit for unit in units if unit is not None]
        for text, right in partner.items():
            others = [_dot(whole[text], whole[other]) for other in among if other not in (text, right)]
            if _dot(whole[text], whole[right]) - max(others, default=-1.0) <= _LEAST_LEAD:
                return _wrong(f"text {text + 1} is nearer to another than to text {right + 1}")
        return _RIGHT

    return check


def _unit(vector: Sequence[float]) -> list[float] | None:
    length = math.sqrt(_dot(vector, vector))
    if not math.isfinite(length) or length == 0:
        return None
    return [value / length for value in vector]


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(map(mul, one, other), 0.0)


# By name, for suites of one's own


def _texts(expected: Any) -> tuple[str, ...]:
    texts = (
        (expected,) if isinstance(expected, str) else tuple(expected) if isinstance(expected, list) else ()
    )
    if not texts or not all(isinstance(text, str) and fold(plain(text)) for text in texts):
        raise ValueError("must be a text, or a list of texts, that are not empty")
    return texts


def _number(expected: Any) -> Check:
    if isinstance(expected, bool) or not isinstance(expected, (int, float)) or not math.isfinite(expected):
        raise ValueError("must be a number")
    return number(expected)


def _regex(expected: Any) -> Check:
    if not isinstance(expected, str):
        raise ValueError("must be a regular expression, as text")
    return regex(expected)


def _choice(expected: Any) -> Check:
    if not isinstance(expected, Mapping) or expected.keys() != {"right", "wrong"}:
        raise ValueError('must be a table with "right" and "wrong"')
    right, wrong = _texts(expected["right"]), _texts(expected["wrong"])
    if {fold(plain(text)) for text in right} & {fold(plain(text)) for text in wrong}:
        raise ValueError("has the same text as right and as wrong")
    return choice(right, wrong)


# Each makes a check of what a file says under "expected". Raises ValueError where that is not what it needs.
CHECKERS: Mapping[str, Callable[[Any], Check]] = {
    "exact": lambda expected: exact(*_texts(expected)),  # one of them
    "contains": lambda expected: contains(*_texts(expected)),  # all of them
    "number": _number,
    "regex": _regex,
    "json": json,
    "choice": _choice,
}
