"""Answers as models write them: right ones in many shapes, wrong ones that look right, and what a fair person says."""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from random import Random

from msgspec import Struct

from vedette_benchmarker.suites import Item, Suite

ITEMS = 13  # of each suite: every template of the longest once
_FORBIDS = re.compile(r"nothing else|Write only", re.IGNORECASE)
_JSON = ("json_words", "json_schema")

# What an item asks for decides what may stand around the answer.
SHORT, CODE, JSON, STRICT, SENTENCE = "short", "code", "json", "strict", "sentence"
WORDS = (SHORT, STRICT, SENTENCE)
FREE = (SHORT, SENTENCE)
ALL = (SHORT, CODE, JSON, STRICT, SENTENCE)


class Shape(Struct, frozen=True, kw_only=True):
    """A way to write an answer: for which kinds of item it is right, and for which wrong."""

    name: str
    wrap: Callable[[str], str]
    right: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()


class Answer(Struct, frozen=True, kw_only=True):
    """An answer to an item, and what a fair person says of it."""

    suite: str
    shape: str
    item: Item
    text: str
    right: bool


def category(suite: Suite, item: Item) -> str:
    """Return what *item* asks for."""
    if suite.kind == "code_generation":
        return CODE
    if suite.kind in _JSON:
        return JSON
    if suite.kind == "instructions":
        return STRICT if _FORBIDS.search(item.prompt) else SENTENCE
    return SHORT


def _in(template: str) -> Callable[[str], str]:
    return lambda answer: template.replace("{}", answer)


def _fenced(answer: str, language: str = "") -> str:
    return f"```{language}\n{answer.strip()}\n```"


_NAMED = re.compile(r"def (\w+)\(")


def _function(answer: str) -> str:
    found = _NAMED.search(answer)
    return found[1] if found else "f"


def _example(answer: str) -> str:
    """Return a line that calls the function of *answer* with nothing that fits."""
    return f"print({_function(answer)}(*[1, 2][:{answer.splitlines()[0].count(',') + 1}]))"


def _thousands(mark: str) -> Callable[[str], str]:
    return lambda answer: f"{int(answer):,}".replace(",", mark) if answer.isdigit() else answer


def _typographic(answer: str) -> str:
    return answer.replace("'", "\u2019").replace("-", "\u2011").replace(" ", "\u00a0")


SHAPES: tuple[Shape, ...] = (
    Shape(name="as it is", wrap=_in("{}"), right=ALL),
    Shape(name="spaces around", wrap=_in("\n\n  {}  \n"), right=WORDS),
    Shape(name="blank lines around", wrap=_in("\n\n{}\n\n"), right=ALL),
    Shape(name="CRLF", wrap=lambda answer: answer.replace("\n", "\r\n") + "\r\n", right=ALL),
    Shape(name="byte order mark", wrap=_in("\ufeff{}"), right=ALL),
    Shape(name="bold", wrap=_in("**{}**"), right=WORDS),
    Shape(name="bold, underscores", wrap=_in("__{}__"), right=WORDS),
    Shape(name="italic", wrap=_in("*{}*"), right=WORDS),
    Shape(name="inline code", wrap=_in("`{}`"), right=WORDS),
    Shape(name="quotes", wrap=_in('"{}"'), right=WORDS),
    Shape(name="smart quotes", wrap=_in("\u201c{}\u201d"), right=WORDS),
    Shape(name="guillemets", wrap=_in("\u00ab{}\u00bb"), right=WORDS),
    Shape(name="no-break spaces and typography", wrap=_typographic, right=WORDS),
    Shape(name="full stop", wrap=lambda answer: answer.rstrip(".") + ".", right=WORDS),
    Shape(name="thinking block", wrap=_in("<think>First 7, no: 8. Or not?</think>\n\n{}"), right=ALL),
    Shape(name="empty thinking block", wrap=_in("<think>\n\n</think>\n\n{}"), right=ALL),
    Shape(name="fence", wrap=_fenced, right=ALL),
    Shape(name="fence, text", wrap=lambda answer: _fenced(answer, "text"), right=WORDS),
    Shape(name="fence, tildes", wrap=lambda answer: f"~~~\n{answer.strip()}\n~~~", right=ALL),
    Shape(
        name="fence of its language, indented in a list",
        wrap=lambda answer: (
            "1. Here it is:\n\n"
            + "\n".join(
                f"   {line}"
                for line in _fenced(answer, "json" if answer.startswith("{") else "python").splitlines()
            )
        ),
        right=(CODE, JSON),
    ),
    Shape(name="unclosed fence", wrap=lambda answer: f"```\n{answer.strip()}", right=ALL),
    Shape(name="LaTeX box", wrap=_in(r"\boxed{{}}"), right=(SHORT, STRICT, JSON)),
    Shape(name="LaTeX box of text", wrap=_in(r"\boxed{\text{{}}}"), right=(SHORT, STRICT)),
    Shape(name="LaTeX box in dollars", wrap=_in(r"$\boxed{{}}$"), right=(SHORT, STRICT, JSON)),
    Shape(name="LaTeX box, displayed", wrap=_in("\\[\n\\boxed{{}}\n\\]"), right=(SHORT, STRICT, JSON)),
    Shape(name="dollars", wrap=_in("${}$"), right=(SHORT,)),
    Shape(name="LaTeX brackets", wrap=_in(r"\({}\)"), right=(SHORT,)),
    Shape(name="LaTeX text", wrap=_in(r"$\text{{}}$"), right=(SHORT,)),
    Shape(name="heading", wrap=_in("### {}"), right=WORDS),
    Shape(name="bullet", wrap=_in("- {}"), right=(SHORT, SENTENCE)),
    Shape(name="star", wrap=_in("* {}"), right=(SHORT, SENTENCE)),
    Shape(name="block quote", wrap=_in("> {}"), right=(SHORT, SENTENCE)),
    Shape(name="upper case", wrap=str.upper, right=(), wrong=(JSON, CODE)),
    Shape(name="answer tag", wrap=_in("<answer>{}</answer>"), right=(SHORT,)),
    # A lead: right where nothing forbids it.
    Shape(name="answer:", wrap=_in("Answer: {}"), right=(SHORT,), wrong=(STRICT,)),
    Shape(name="bold answer:", wrap=_in("**Answer:** {}"), right=(SHORT,), wrong=(STRICT,)),
    Shape(name="final answer", wrap=_in("Final answer: {}"), right=(SHORT,), wrong=(STRICT,)),
    Shape(name="heading Answer", wrap=_in("### Answer\n\n{}"), right=(SHORT,), wrong=(STRICT,)),
    Shape(name="the answer is", wrap=_in("The answer is {}."), right=(SHORT,), wrong=(STRICT,)),
    Shape(name="the answer is, bold", wrap=_in("The answer is **{}**."), right=(SHORT,), wrong=(STRICT,)),
    Shape(
        name="sure, colon", wrap=_in("Sure, here it is: {}"), right=(SHORT, JSON, SENTENCE), wrong=(STRICT,)
    ),
    Shape(
        name="sure, here you go",
        wrap=_in("Sure! Here you go:\n\n{}"),
        right=(*FREE, CODE, JSON),
        wrong=(STRICT,),
    ),
    Shape(
        name="sure, a sentence",
        wrap=_in("Sure, I can do that.\n\n{}"),
        right=(*FREE, CODE, JSON),
        wrong=(STRICT,),
    ),
    Shape(name="certainly", wrap=_in("Certainly!\n\n{}"), right=(*FREE, CODE, JSON), wrong=(STRICT,)),
    Shape(name="of course, one line", wrap=_in("Of course! {}"), right=FREE, wrong=(STRICT,)),
    Shape(
        name="lead of two sentences",
        wrap=_in("Okay. I looked at it carefully.\n\nAnswer: {}"),
        right=(SHORT,),
    ),
    Shape(
        name="thought aloud",
        wrap=_in("Let me go through it step by step, so that nothing is missed.\n\nSo the answer is {}."),
        right=(SHORT,),
    ),
    # A note: right where nothing forbids it.
    Shape(
        name="note",
        wrap=_in("{}\n\nNote: I kept to what was asked."),
        right=(*FREE, CODE, JSON),
        wrong=(STRICT,),
    ),
    Shape(
        name="offer",
        wrap=_in("{}\n\nLet me know if you need anything else!"),
        right=(*FREE, CODE, JSON),
        wrong=(STRICT,),
    ),
    Shape(name="hope", wrap=_in("{}\n\nI hope this helps!"), right=(*FREE, CODE, JSON), wrong=(STRICT,)),
    Shape(
        name="note in brackets",
        wrap=_in("{}\n\n(This is what you asked for.)"),
        right=(*FREE, JSON),
        wrong=(STRICT,),
    ),
    Shape(
        name="sure and note",
        wrap=_in("Sure! Here you go:\n\n{}\n\nLet me know if you need anything else!"),
        right=(*FREE, CODE, JSON),
        wrong=(STRICT,),
    ),
    Shape(
        name="fence with lead and note",
        wrap=lambda answer: f"Here is the result:\n\n{_fenced(answer)}\n\nI hope this helps!",
        right=(*FREE, CODE, JSON),
        wrong=(STRICT,),
    ),
    Shape(
        name="explanation before",
        wrap=lambda answer: f"I went through the text and took each value from it.\n\n{answer}",
        right=(JSON, CODE),
        wrong=(STRICT,),
    ),
    Shape(
        name="explanation after a fence",
        wrap=lambda answer: f"{_fenced(answer)}\n\n**Explanation:** each value is taken from the question.",
        right=(*FREE, JSON, CODE),
        wrong=(STRICT,),
    ),
    # Programs.
    Shape(name="python fence", wrap=lambda answer: _fenced(answer, "python"), right=(CODE,)),
    Shape(name="py fence, spaced", wrap=lambda answer: _fenced(answer, " python3 "), right=(CODE,)),
    Shape(
        name="bold heading",
        wrap=lambda answer: f"**Solution:**\n\n{_fenced(answer, 'python')}",
        right=(CODE,),
    ),
    Shape(name="bold around", wrap=lambda answer: f"**{answer.strip()}**", right=(CODE,)),
    Shape(name="bold fence", wrap=lambda answer: f"**\n{_fenced(answer, 'python')}\n**", right=(CODE,)),
    Shape(
        name="usage in the fence",
        wrap=lambda answer: _fenced(f"{answer}\n\n# Example\n{_example(answer)}", "python"),
        right=(CODE,),
    ),
    Shape(
        name="usage without a fence", wrap=lambda answer: f"{answer}\n\n{_example(answer)}\n", right=(CODE,)
    ),
    Shape(
        name="usage in a second fence",
        wrap=lambda answer: (
            f"{_fenced(answer, 'python')}\n\nExample:\n\n{_fenced(_example(answer), 'python')}"
        ),
        right=(CODE,),
    ),
    Shape(
        name="second fence with output",
        wrap=lambda answer: f"{_fenced(answer, 'python')}\n\nOutput:\n\n{_fenced('42')}",
        right=(CODE,),
    ),
    Shape(
        name="doctest in a second fence",
        wrap=lambda answer: (
            f"{_fenced(answer, 'python')}\n\n{_fenced(f'>>> {_function(answer)}(1)' + chr(10) + '2')}"
        ),
        right=(CODE,),
    ),
    Shape(
        name="doctest below",
        wrap=lambda answer: f"{answer}\n\n>>> {_function(answer)}(1)\n2\n",
        right=(CODE,),
    ),
    Shape(
        name="main guard",
        wrap=lambda answer: _fenced(
            f'{answer}\n\nif __name__ == "__main__":\n    {_example(answer)}', "python"
        ),
        right=(CODE,),
    ),
    Shape(
        name="typing import",
        wrap=lambda answer: _fenced(f"from typing import Any, List\n\n\n{answer}", "python"),
        right=(CODE,),
    ),
    Shape(
        name="annotated",
        wrap=lambda answer: _fenced(
            "from typing import Any\n\n"
            + re.sub(r"\)(?=:$)", ") -> Any", answer, count=1, flags=re.MULTILINE),
            "python",
        ),
        right=(CODE,),
    ),
    Shape(name="import of math", wrap=lambda answer: f"import math\n\n{answer}", right=(CODE,)),
    Shape(
        name="shebang and comment",
        wrap=lambda answer: f"#!/usr/bin/env python3\n# {1}\n{answer}",
        right=(CODE,),
    ),
    Shape(
        name="docstring",
        wrap=lambda answer: answer.replace(":\n", ':\n    """Do what was asked."""\n', 1),
        right=(CODE,),
    ),
    Shape(
        name="helper first",
        wrap=lambda answer: f"def helper(value):\n    return value\n\n\n{answer}",
        right=(CODE,),
    ),
    Shape(
        name="helper in its own fence",
        wrap=lambda answer: (
            f"First a helper:\n\n{_fenced('def helper(value):' + chr(10) + '    return value', 'python')}\n\n"
            f"Then the function:\n\n{_fenced(answer, 'python')}"
        ),
        right=(CODE,),
    ),
    Shape(
        name="asserts below",
        wrap=lambda answer: f"{answer}\n\nassert callable({_function(answer)})\n",
        right=(CODE,),
    ),
    Shape(
        name="an example that asks for input",
        wrap=lambda answer: f"{answer}\n\nvalue = {_function(answer)}(input())\nprint(value)\n",
        right=(CODE,),
    ),
    Shape(
        name="explained line by line",
        wrap=lambda answer: (
            f"{_fenced(answer, 'python')}\n\n1. The function takes its arguments.\n2. It returns the result."
        ),
        right=(CODE,),
    ),
    Shape(name="tabs", wrap=lambda answer: answer.replace("    ", "\t"), right=(CODE,)),
    Shape(name="no-break spaces", wrap=lambda answer: answer.replace("    ", "\u00a0" * 4), right=(CODE,)),
    Shape(name="json fence", wrap=lambda answer: _fenced(answer, "json"), right=(JSON,)),
    Shape(name="as a string", wrap=lambda answer: '"' + answer.replace('"', '\\"') + '"', wrong=(JSON,)),
    Shape(name="single quotes", wrap=lambda answer: answer.replace('"', "'"), wrong=(JSON,)),
    Shape(name="trailing comma", wrap=lambda answer: answer[:-1] + ",}", wrong=(JSON,)),
    Shape(name="cut off", wrap=lambda answer: answer[: len(answer) * 2 // 3], wrong=(JSON, CODE)),
    Shape(name="one key more", wrap=lambda answer: answer[:-1] + ', "note": "ok"}', wrong=(JSON,)),
    Shape(name="in a list", wrap=_in("[{}]"), wrong=(JSON,)),
    Shape(name="under a key", wrap=_in('{"result": {}}'), wrong=(JSON,)),
    Shape(name="twice, once changed", wrap=lambda answer: f'{answer}\n{{"a": 1}}', wrong=(JSON,)),
    Shape(name="a comment in it", wrap=lambda answer: answer[:-1] + " // done\n}", wrong=(JSON,)),
    # A right answer and something that takes it back.
    Shape(name="denied", wrap=_in("It is not {}."), wrong=(SHORT,)),
    Shape(
        name="refused, quoting it",
        wrap=_in('I cannot say whether "{}" is right, sorry.'),
        wrong=(SHORT, STRICT),
    ),
    Shape(
        name="guessed twice", wrap=_in("It is {} or something else, 12345 or 77 perhaps."), wrong=(STRICT,)
    ),
    Shape(name="nothing", wrap=lambda _: "", wrong=ALL),
    Shape(name="only a thought", wrap=_in("<think>{}</think>"), wrong=ALL),
)


def right_and_wrong(suite: Suite, *, seed: int = 7, count: int = ITEMS, thinned: int = 1) -> Iterator[Answer]:
    """Yield answers to items of *suite* in every shape that says something of it; *thinned*, to fewer items each."""
    for place, item in enumerate(_items(suite, seed, count)):
        kind = category(suite, item)
        for index, shape in enumerate(SHAPES):
            if (place - index) % thinned != 0:
                continue
            if kind in shape.right or kind in shape.wrong:
                yield Answer(
                    suite=suite.kind,
                    shape=shape.name,
                    item=item,
                    text=shape.wrap(item.truth),
                    right=kind in shape.right,
                )
        if suite.kind == "arithmetic":
            for name, wrap in NUMBERS.items():
                yield Answer(suite=suite.kind, shape=name, item=item, text=wrap(item.truth), right=True)


def wrong(suite: Suite, *, seed: int = 7, count: int = ITEMS) -> Iterator[Answer]:
    """Yield wrong answers that a lenient grader could take for right."""
    items = list(_items(suite, seed, count))
    others = list(_items(suite, seed + 1, count))
    for item, other in zip(items, others, strict=True):
        if item.truth == other.truth or not item.truth:
            continue
        lure = _lure(item) or other.truth
        kind = category(suite, item)
        if kind != CODE:
            for name, tell in LURES.items():
                text = tell(item.truth, lure)
                if text and (kind in (SHORT, STRICT) or name in _WRONG_ANYWHERE):
                    yield Answer(suite=suite.kind, shape=name, item=item, text=text, right=False)
        if item.truth.isdigit():
            for name, tell in NUMBER_LURES.items():
                yield Answer(suite=suite.kind, shape=name, item=item, text=tell(item.truth), right=False)


_ALIKE = (
    r"\d{5}",
    r"[A-Z]{2}-\d{4}",
    r"\d{1,2} [A-Z][a-z]+ \d{4}",
    r"\d,\d{3}",
    r"[A-Z][a-z]+ [A-Z][a-z]+",
)
_ALIKE_ALL = "|".join(_ALIKE)


def _lure(item: Item) -> str:
    """Return what else in the prompt of *item* could be its answer: an option, or something of the same form."""
    if listed := re.search(r"(?:Options|alphabet): ([^.?]*)[.?]", item.prompt):
        return next(one for one in listed[1].split(", ") if one != item.truth)
    forms = sorted(_ALIKE, key=lambda form: not re.fullmatch(form, item.truth))
    for form in forms if "box" not in item.prompt else ():
        for one in re.findall(rf"\b{form}\b", item.prompt):
            if one not in item.truth and item.truth not in one and re.fullmatch(_ALIKE_ALL, item.truth):
                return str(one)
    boxed = re.search(r"the (\w+) (?:is )?in the (?:blue|green) box", item.prompt)
    return boxed[1] if boxed else ""


def _items(suite: Suite, seed: int, count: int) -> Iterator[Item]:
    return (item for item in islice(suite.items(Random(seed)), count) if isinstance(item, Item))


NUMBERS: Mapping[str, Callable[[str], str]] = {
    "thousands, comma": _thousands(","),
    "thousands, no-break space": _thousands("\u00a0"),
    "thousands, thin space": _thousands("\u2009"),
    "thousands, LaTeX": _thousands("{,}"),
    "a unit": lambda answer: f"{answer} units",
    "decimal zero": lambda answer: f"{answer}.0",
    "equals": lambda answer: f"= {answer}",
}
LURES: Mapping[str, Callable[[str, str], str]] = {
    "another answer": lambda right, other: other,
    "another answer, bold": lambda right, other: f"**{other}**",
    "another answer, boxed": lambda right, other: rf"\boxed{{{other}}}",
    "another answer, fenced": lambda right, other: _fenced(other),
    "another answer, after a lead": lambda right, other: f"Sure! Here you go:\n\n{other}",
    "right thought, another said": lambda right, other: f"<think>{right}</think>\n{other}",
    "both": lambda right, other: f"{right} or {other}",
    "both, each on its line": lambda right, other: f"{right}\n{other}",
    "both, as the answer": lambda right, other: f"The answer is {right}. The answer is {other}.",
    "right, then taken back": lambda right, other: f"The answer is {right}. No, the answer is {other}.",
    "right in a fence, another said": lambda right, other: f"{_fenced(right)}\n\n{_fenced(other)}",
    "refused": lambda right, other: (
        f"I'm sorry, but I can't help with that. {right} is not something I may say."
    ),
    "part of it": lambda right, other: right[: len(right) // 2],
}
_WRONG_ANYWHERE = ("another answer", "another answer, fenced", "refused", "right thought, another said")
NUMBER_LURES: Mapping[str, Callable[[str], str]] = {
    "inside a longer number": lambda answer: f"1{answer}7",
    "a digit more": lambda answer: f"{answer}3",
    "negative": lambda answer: f"-{answer}",
    "with a fraction": lambda answer: f"{answer}.5",
    "one too many": lambda answer: str(int(answer) + 1),
    "two numbers": lambda answer: f"{answer} or {int(answer) + 2}",
    "a range": lambda answer: f"between {answer} and {int(answer) + 10}",
    "spaced digits": lambda answer: " ".join(answer) if len(answer) > 1 else f"{answer} 4",
    "in a code": lambda answer: f"AB{answer}X",
}

# Wrong programs.


class _Task(Struct, frozen=True, kw_only=True):
    """How a right program of one task is spoilt: `says` is in its prompt, `spoilt` are replacements by pattern."""

    says: str
    spoilt: tuple[tuple[str, str], ...]


TASKS: tuple[_Task, ...] = (
    _Task(
        says="returns value times",
        spoilt=((r" \* ", " + "), (r" \+ ", " - "), (r" \+ \d+", ""), (r"\* (\d+)", r"* (\1 + 1)")),
    ),
    _Task(
        says="can be divided by",
        spoilt=(("== 0", "!= 0"), ("%", "//"), ("== 0", "== 1"), ("number % ", "(number + 1) % ")),
    ),
    _Task(
        says="the larger of",
        spoilt=(("max", "min"), (r" \+ ", " - "), (r"max\(a, b\)", "a"), (r" \+ (\d+)", r" + \1 + 1")),
    ),
    _Task(
        says="how many of the whole numbers",
        spoilt=((" > ", " >= "), (" > ", " < "), (r"sum\(1", "sum(number"), (r"> (\d+)", r"> \1 + 1")),
    ),
    _Task(
        says="raised to the power",
        spoilt=(
            (r"\*\*", "*"),
            (r"\*\* (\d+)", r"** (\1 + 1)"),
            ("sum", "max"),
            (r"sum\((.*)\)", r"sum(\1) + 1"),
        ),
    ),
    _Task(
        says="how often the letter",
        spoilt=(
            (r"\.lower\(\)", ""),
            ("count", "find"),
            (r"lower", "upper"),
            (r"\.count\((.*)\)", r".count(\1) - 1"),
        ),
    ),
    _Task(
        says="in reverse order",
        spoilt=(
            (r"reversed\((.*)\)\)", r"\1)"),
            (r"sentence\.split\(\)", "sentence"),
            (r"return '", "return '*"),
            (r"reversed\(sentence\.split\(\)\)", "sorted(sentence.split())"),
        ),
    ),
    _Task(
        says="number itself, but",
        spoilt=(
            (r"max\((\d+), min\((\d+)", r"min(\1, max(\2"),
            (r"max\((\d+)", r"max(\1 + 1"),
            (r"min\((\d+)", r"min(\1 - 1"),
            (r"return max\(\d+, (.*)\)", r"return \1"),
        ),
    ),
    _Task(
        says="the different elements",
        spoilt=(
            (r":(\d+)\]", r":\1 + 1]"),
            (r"dict\.fromkeys\(items\)", "items"),
            (r"dict\.fromkeys\(items\)", "sorted(dict.fromkeys(items))"),
            (r"\[:\d+\]", ""),
            (r"return list\((.*)\)(\[.*)", r"return tuple(\1)\2"),
        ),
    ),
    _Task(
        says="a dictionary from each word",
        spoilt=((">=", ">"), (">=", "=="), (r" if .*\}", "}"), ("word: words", "word: 1 + words")),
    ),
    _Task(
        says="element n, counted from 0",
        spoilt=(
            ("return one", "return other"),
            ("range\\(n\\)", "range(n - 1)"),
            (r"one \+ other", "one + other + 1"),
        ),
    ),
    _Task(
        says="reads the same backwards",
        spoilt=((r"\.lower\(\)", ""), (r"\.replace\(.*\)", ""), ("==", "!="), (r"return .*", "return True")),
    ),
    _Task(
        says="a list as long as the list",
        spoilt=(
            (r"total, found = \d+", "total, found = 0"),
            ("return found", "return total"),
            ("found.append\\(total\\)", "found.insert(0, total)"),
            ("return found", "return found[:-1]"),
        ),
    ),
)


def _around(body: str) -> Callable[[str], str]:
    """Return a spoiler that keeps the right function as `right` beside one that says *body* of its value."""

    def spoil(program: str) -> str:
        name, parameters = re.findall(r"def (\w+)\((.*)\):", program)[0]
        filled = body.replace("VALUE", f"right({parameters})").replace("ARGUMENT", parameters.split(",")[0])
        return f"{program.replace(name, 'right', 1)}\n\ndef {name}({parameters}):\n    {filled}\n"

    return spoil


SPOILERS: Mapping[str, Callable[[str], str]] = {
    "does nothing": _around("pass"),
    "is empty": _around("..."),
    "prints instead of returning": _around("print(VALUE)"),
    "returns text": _around("return str(VALUE) + ' '"),
    "returns a list of it": _around("return [VALUE]"),
    "returns a pair": _around("return VALUE, True"),
    "returns the argument": _around("return ARGUMENT if isinstance(ARGUMENT, dict) else [ARGUMENT]"),
    "raises": _around("raise NotImplementedError"),
    "asks for input": _around("return input(VALUE)"),
    "leaves the process": _around("exit(0)"),
    "yields": _around("yield VALUE"),
    "has another name": lambda program: re.sub(r"def (\w+)\(", r"def \1_2(", program),
    "is a method": lambda program: (
        "class Solution:\n" + "".join(f"    {line}\n" for line in program.splitlines())
    ),
    "is a coroutine": lambda program: f"async {program}",
    "does not parse": lambda program: program.replace("):", ")", 1),
    "takes one argument more": lambda program: program.replace("):", ", other):", 1),
    "is spelt wrongly": lambda program: program.replace("return", "retrun", 1),
    "uses a name that is not there": _around("return VALUE + undefined"),
    "equals everything": _around("return type('Any', (), {'__eq__': lambda *_: True})()"),
    "knows the first answer only": lambda program: f"{program.partition(':')[0]}:\n    return 0\n",
    "returns a lambda": _around("return lambda: VALUE"),
    "imports what is not there": _around("import numpy as np; return np.array(VALUE)"),
    "never ends": _around("while True: pass"),
}
CHANGES_INPUT = _around("value = VALUE; ARGUMENT.append(0); return value")
_PER_TASK = 6  # spoilers; each is used on several tasks


def wrong_programs(suite: Suite, *, seed: int = 7) -> Iterator[Answer]:
    """Yield a wrong program of each kind for the tasks of *suite*."""
    names = list(SPOILERS)
    for place, item in enumerate(_items(suite, seed, ITEMS)):
        (task,) = [one for one in TASKS if one.says in item.prompt]
        for pattern, instead in task.spoilt:
            text = re.sub(pattern, instead, item.truth, count=1)
            if text == item.truth:
                raise AssertionError(f"{pattern} is not in {item.truth}")
            yield _spoilt(suite, item, f"{pattern} -> {instead}", text)
        for name in (names[(place * _PER_TASK + at) % len(names)] for at in range(_PER_TASK)):
            yield _spoilt(suite, item, name, SPOILERS[name](item.truth))
        if re.search(r"\b(numbers|items|words)\):", item.truth):
            yield _spoilt(suite, item, "changes its input", CHANGES_INPUT(item.truth))


def _spoilt(suite: Suite, item: Item, name: str, program: str) -> Answer:
    return Answer(suite=suite.kind, shape=name, item=item, text=_fenced(program, "python"), right=False)
