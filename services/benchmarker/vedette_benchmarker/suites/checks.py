"""Checkers: whether an answer is right. Pure; none raises for any answer.

They are strict about the content of an answer, and lenient about the text around it: Markdown, quotation marks, a code
fence, an introductory line, "The answer is …", a full stop. An answer that names two things is wrong.
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
from vedette_benchmarker.answered import Answered
from vedette_benchmarker.suites import Verdict
from vedette_benchmarker.suites.number_words import with_digits
from vedette_benchmarker.suites.patterns import MAX_MATCHED_CHARS, MAX_PATTERN_CHARS, MAX_WAYS, ways
from vedette_benchmarker.suites.wrapping import (
    alone,
    bare,
    fences,
    fold,
    outside_thoughts,
    plain,
    sentences,
    stripped,
    unwrapped,
    without_notes,
)

MAX_CHARS = 20_000  # no question needs more; a longer answer is from a model that does not stop

Check = Callable[[Answered], Verdict]
VectorCheck = Callable[[Sequence[Sequence[float]]], Verdict]

_RIGHT = Verdict(correct=True)
_BULLET = re.compile(r"(?:[-*+>\u2022]|[0-9]{1,2}[.)])\s+")
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
    """Return a check of the answer's text by *judge*, which returns the problem, or an empty text.

    The text is made `plain` first, unless *raw*. An empty text, and one that is far too long, is wrong without a check.
    """

    def check(answered: Answered) -> Verdict:
        if len(answered.text) > MAX_CHARS:
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


def _claims(text: str, saying: re.Pattern[str] = _CLAIM) -> list[str]:
    """Return the text after "answer is" or "answer:" in each sentence that has it, up to a reason; else *text*."""
    claimed = [
        _REASON.split(sentence[found.end() :])[0]
        for sentence in sentences(text)
        if (found := saying.search(sentence))
    ]
    return [claim for claim in claimed if claim.strip(" :.")] or [text]


def _whole(words: str) -> str:
    """Return a pattern for *words* that are not part of longer words."""
    return _left(words) + _ended(words)


def _any_of(names: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern for any of *names* as whole words; earlier names match first.

    The condition on the left is tested once for all names: so `re` can skip by first characters, which is five times as
    fast.
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
    """Return a check that the answer is one of *expected*. *case*: upper and lower case matter.

    An introduction, a note below, and "the answer is" are allowed around it, unless *only* (the question forbids them).
    """

    def shape(text: str) -> str:
        return " ".join(text.split()) if case else fold(text)

    wanted = {shape(stripped(plain(text))) for text in expected}

    def judge(text: str) -> str:
        found = [stripped(alone(text))] if only else _readings(text)
        return "" if any(shape(one) in wanted for one in found) else f"not {expected[0]!r}"

    return by_text(judge)


def _readings(text: str) -> list[str]:
    """Return the possible meanings of the answer in *text*; empty for two different answers."""
    given = unwrapped(without_notes(text))
    said = {stripped(one) for one in _claims(given, _SAYING)} if _SAYING.search(given) else set()
    if len(said) > 1:
        return []
    first = _BULLET.match(given)
    return [stripped(given), bare(given), *said, *((stripped(given[first.end() :]),) if first else ())]


def contains(*expected: str) -> Check:
    """Return a check that the answer contains all of *expected*, each as whole words."""
    patterns = {words: re.compile(_whole(fold(plain(words)))) for words in expected}

    def judge(text: str) -> str:
        folded = fold(text)
        return next(
            (f"{words!r} is missing" for words, one in patterns.items() if not one.search(folded)), ""
        )

    return by_text(judge)


def choice(right: Sequence[str], wrong: Sequence[str]) -> Check:
    """Return a check that the answer contains one of the names in *right*, and no name in *wrong*.

    If a sentence contains "answer is" or "answer:", only the text after it counts, up to the end of the sentence or a
    "because". Names match as whole words, the longest first. An answer with a negation names nothing.
    """

    @cache
    def read() -> tuple[dict[str, bool], re.Pattern[str]]:
        # Made at the first answer: hundreds of names take some ms, and most items are only counted or skipped.
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

    The sentences with "answer is" or "answer:" and a number count; if there are none, the last sentence with a number.
    Of each sentence, the part after the last sign of a result (`=`, `:`, "is", "makes", …) with a number after it
    counts; without such a sign, the whole sentence. This part must contain one value, not counting values *given* in
    the question, and all parts must contain the same value. Two values with "or" between them are wrong, and so are a
    negation and a number at which the answer was cut off. `1,234`, `1 234` (no-break space), `42.0` and `\u22125`
    are numbers as usual; a unit may follow. "forty-two" counts if the answer has no digits.
    """
    wanted, passed_over = Decimal(str(expected)), {Decimal(str(value)) for value in given}

    def judge(text: str) -> str:
        counting = _counting(with_digits(text))
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


# Patterns


def regex(pattern: str) -> Check:
    """Return a check that the bare answer matches *pattern* as a whole.

    Raises ValueError for an invalid pattern, and for a pattern that could take long: only the groups `(…)`, `(?:…)`
    and `(?i)` are allowed, a repeated part must have a fixed length, and at most three repetitions may be open.
    """
    if len(pattern) > MAX_PATTERN_CHARS:
        raise ValueError(f"longer than {MAX_PATTERN_CHARS} characters")
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {error}") from error
    if ways(pattern) > MAX_WAYS:
        raise ValueError("could take very long to match; use fewer repetitions and alternatives")

    def judge(text: str) -> str:
        given = unwrapped(text)
        if len(given) > MAX_MATCHED_CHARS:
            return "too long to match"
        matched = any(compiled.fullmatch(one) for one in (given, stripped(given), bare(given)))
        return "" if matched else f"does not match {pattern}"

    return by_text(judge)


# Structured answers


def json(expected: Any) -> Check:
    """Return a check that the answer has one JSON value, equal to *expected*; text or a fence may be around it."""

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

    Raises ValueError if there is none or more than one, and if a refusal quotes it.
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
    """Return *check* for an answer without tool calls; an answer with one is wrong."""

    def judge(answered: Answered) -> Verdict:
        made = answered.finished.tool_calls
        return _wrong(f"called {made[0].name} without need") if made else check(answered)

    return judge


# Vectors

MAX_DIMENSIONS = 16_384  # four times as many as any model has (2026)
_MIN_LEAD = 1e-6  # between two cosines; below it they are one number, rounded


def nearest(partner: Mapping[int, int], among: Sequence[int]) -> VectorCheck:
    """Return a check that each text's *partner* is its nearest text of *among* by cosine, with no other as near."""

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
            if _dot(whole[text], whole[right]) - max(others, default=-1.0) <= _MIN_LEAD:
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


# By name, for your own suites


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


# Each makes a check from "expected" in a file. Raises ValueError for a value that it cannot use.
CHECKERS: Mapping[str, Callable[[Any], Check]] = {
    "exact": lambda expected: exact(*_texts(expected)),  # any of them
    "contains": lambda expected: contains(*_texts(expected)),  # all of them
    "number": _number,
    "regex": _regex,
    "json": json,
    "choice": _choice,
}
