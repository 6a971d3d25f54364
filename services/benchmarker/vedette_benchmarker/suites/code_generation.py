"""Small Python functions to be written. Their tests judge them where they can be run; else their shape does."""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from msgspec import Struct

from vedette_benchmarker.suites import Item, Suite
from vedette_benchmarker.suites.programs import function
from vedette_benchmarker.suites.rounds import Maker, rounds
from vedette_benchmarker.suites.words import NOUNS

_LOOPS = frozenset({"for", "while", "map()", "filter()"})
_COMPARISONS = frozenset({"<", "<=", ">", ">="})


class _Task(Struct, frozen=True, kw_only=True):
    """A function to write: what it does, what it cannot do without, how to write it, and what it gives for what."""

    parameters: tuple[str, ...]
    does: str
    needs: tuple[frozenset[str], ...]
    body: str  # of one right answer, without indentation
    gives: Callable[..., Any]
    cases: Sequence[tuple[Any, ...]]


def _one_of(*features: str) -> frozenset[str]:
    return frozenset(features)


def _const(*values: object) -> frozenset[str]:
    return frozenset(map(repr, values))


def _linear(rng: Random) -> _Task:
    factor, plus = rng.randint(2, 30), rng.randint(2, 99)
    return _Task(
        parameters=("value",),
        does=f"returns value times {factor}, plus {plus}",
        needs=(_one_of("*"), _one_of("+"), _const(factor), _const(plus)),
        body=f"return value * {factor} + {plus}",
        gives=lambda value: value * factor + plus,
        cases=[(0,), (1,), (-3,), (rng.randint(4, 99),)],
    )


def _multiple(rng: Random) -> _Task:
    by = rng.randint(3, 40)
    return _Task(
        parameters=("number",),
        does=f"returns True if number can be divided by {by} without remainder, else False",
        needs=(_one_of("%", "divmod()", "//"), _const(by)),
        body=f"return number % {by} == 0",
        gives=lambda number: number % by == 0,
        cases=[(0,), (by,), (by + 1,), (by * rng.randint(2, 9),), (by * 7 - 1,)],
    )


def _larger(rng: Random) -> _Task:
    plus = rng.randint(2, 50)
    return _Task(
        parameters=("a", "b"),
        does=f"returns the larger of the two numbers a and b, plus {plus}",
        needs=(_COMPARISONS | _one_of("max()", "sorted()"), _one_of("+"), _const(plus)),
        body=f"return max(a, b) + {plus}",
        gives=lambda a, b: max(a, b) + plus,
        cases=[(1, 2), (2, 1), (-5, -9), (4, 4)],
    )


def _above(rng: Random) -> _Task:
    limit = rng.randint(2, 60)
    return _Task(
        parameters=("numbers",),
        does=f"returns how many of the whole numbers in the list numbers are greater than {limit}",
        needs=(_LOOPS, _COMPARISONS, _const(limit, limit + 1)),
        body=f"return sum(1 for number in numbers if number > {limit})",
        gives=lambda numbers: sum(1 for number in numbers if number > limit),
        cases=[([],), ([limit, limit + 1],), ([limit - 1, limit + 5, limit + 9],), ([1, 2 * limit, 3],)],
    )


def _powers(rng: Random) -> _Task:
    power = rng.randint(2, 5)
    return _Task(
        parameters=("numbers",),
        does=f"returns the sum of all numbers in the list numbers, each raised to the power {power} first",
        needs=(_LOOPS, _one_of("**", "*", "pow()"), _one_of("sum()", "+")),
        body=f"return sum(number ** {power} for number in numbers)",
        gives=lambda numbers: sum(number**power for number in numbers),
        cases=[([],), ([1, 2, 3],), ([-2, 2],), ([rng.randint(4, 9)],)],
    )


def _letters(rng: Random) -> _Task:
    letter = rng.choice("abcdeghilmnoprstu")
    word = rng.choice(NOUNS)
    return _Task(
        parameters=("text",),
        does=f"returns how often the letter '{letter}' occurs in the string text, upper and lower case alike",
        needs=(
            _LOOPS | _one_of(".count()"),
            _const(letter, letter.upper(), letter + letter.upper(), letter.upper() + letter),
        ),
        body=f"return text.lower().count({letter!r})",
        gives=lambda text: text.lower().count(letter),
        cases=[("",), (word,), (word.upper() + " " + letter,), (letter.upper() * 3 + "x",)],
    )


def _backwards(rng: Random) -> _Task:
    joint = rng.choice(("-", "_", "/", "+", ", "))
    words = rng.sample(NOUNS, 3)
    return _Task(
        parameters=("sentence",),
        does=f"returns the words of the string sentence in reverse order, joined by '{joint}'",
        needs=(
            _one_of(".split()", "for", "while"),
            _one_of(".join()", "+"),
            _one_of("slice", "reversed()", ".reverse()", ".insert()", ".pop()", "range()", "for", "while"),
            _const(joint),
        ),
        body=f"return {joint!r}.join(reversed(sentence.split()))",
        gives=lambda sentence: joint.join(reversed(sentence.split())),
        cases=[(words[0],), (" ".join(words),), (" ".join(words[:2]),)],
    )


def _clamp(rng: Random) -> _Task:
    low = rng.randint(2, 40)
    high = low + rng.randint(5, 60)
    return _Task(
        parameters=("number",),
        does=f"returns number itself, but {low} if it is less than {low}, and {high} if it is more than {high}",
        needs=(_COMPARISONS | _one_of("min()", "max()", "sorted()"), _const(low), _const(high)),
        body=f"return max({low}, min({high}, number))",
        gives=lambda number: max(low, min(high, number)),
        cases=[(low - 1,), (low,), (low + 2,), (high,), (high + 50,), (-1,)],
    )


def _without_repeats(rng: Random) -> _Task:
    most = rng.randint(3, 9)
    return _Task(
        parameters=("items",),
        does=f"returns a list of the different elements of the list items, in the order of their first occurrence, "
        f"but never more than the first {most} of them",
        needs=(_LOOPS | _one_of(".fromkeys()"), _one_of("not in", "in", ".fromkeys()"), _const(most)),
        body=f"return list(dict.fromkeys(items))[:{most}]",
        gives=lambda items: list(dict.fromkeys(items))[:most],
        cases=[([],), ([3, 1, 3, 2, 1],), (list(range(20)),), (["b", "a", "b"],)],
    )


def _frequencies(rng: Random) -> _Task:
    least = rng.randint(2, 4)
    words = rng.sample(NOUNS, 3)
    many = [words[0]] * (least + 1) + [words[1]] * least + [words[2]]
    return _Task(
        parameters=("words",),
        does=f"returns a dictionary from each word in the list words that occurs at least {least} times to its count",
        needs=(_LOOPS, _one_of("{}", "dict()", ".fromkeys()"), _const(least, least - 1)),
        body=f"return {{word: words.count(word) for word in words if words.count(word) >= {least}}}",
        gives=lambda words: {word: words.count(word) for word in words if words.count(word) >= least},
        cases=[([],), (words,), (many,), (many[::-1],)],
    )


def _sequence(rng: Random) -> _Task:
    first, second = rng.randint(1, 9), rng.randint(1, 9)

    def gives(n: int) -> int:
        one, other = first, second
        for _ in range(n):
            one, other = other, one + other
        return one

    return _Task(
        parameters=("n",),
        does=f"returns element n, counted from 0, of the sequence that begins with {first}, {second} and in which "
        "every later element is the sum of the two before it",
        needs=(_LOOPS | _one_of("if"), _one_of("+", "sum()"), _const(first), _const(second)),
        body=f"one, other = {first}, {second}\nfor _ in range(n):\n    one, other = other, one + other\nreturn one",
        gives=gives,
        cases=[(0,), (1,), (2,), (3,), (rng.randint(6, 15),)],
    )


def _mirrored(rng: Random) -> _Task:
    sign = rng.choice((" ", "-", "_", ".", ","))
    return _Task(
        parameters=("text",),
        does=f"returns True if the string text reads the same backwards, where case and the sign '{sign}' do not "
        "count, else False",
        needs=(
            _one_of("slice", "reversed()", "for", "while"),
            _one_of(".lower()", ".casefold()", ".upper()"),
            _one_of("==", "!="),
            _const(sign),
        ),
        body=f"kept = text.lower().replace({sign!r}, '')\nreturn kept == kept[::-1]",
        gives=lambda text: (kept := text.lower().replace(sign, "")) == kept[::-1],
        cases=[("",), ("Level",), (f"Ne{sign}ver",), (f"Ab{sign}cba",), ("abca",), (f"a{sign}",)],
    )


def _running(rng: Random) -> _Task:
    start = rng.randint(2, 99)
    return _Task(
        parameters=("numbers",),
        does=f"returns a list as long as the list numbers, whose every element is {start} plus the sum of all numbers "
        "up to and with the one at its place",
        needs=(_LOOPS, _one_of("+", "sum()"), _const(start)),
        body=f"total, found = {start}, []\nfor number in numbers:\n    total += number\n    found.append(total)\n"
        "return found",
        gives=lambda numbers: [start + sum(numbers[: index + 1]) for index in range(len(numbers))],
        cases=[([],), ([1, 2, 3],), ([-5, 5, 10],), ([rng.randint(3, 50)],)],
    )


def _takes_list(task: _Task) -> bool:
    return isinstance(task.cases[0][0], list)


def _tests(name: str, task: _Task) -> Iterator[str]:
    """Yield a test for each case, and one that a list given to the function stays as it was."""
    for case in task.cases:
        yield f"assert {name}({', '.join(map(repr, case))}) == {task.gives(*case)!r}"
    if _takes_list(task):
        (given,) = task.cases[1]
        yield f"assert (lambda value: ({name}(value), value))({given!r}) == {(task.gives(given), given)!r}"


def _maker(draw: Callable[[Random], _Task]) -> Maker:
    def make(rng: Random) -> Item:
        task = draw(rng)
        name = f"{rng.choice(NOUNS)}_{rng.choice(NOUNS)}"
        signature = f"{name}({', '.join(task.parameters)})"
        unchanged = f"Do not change {task.parameters[0]}. " if _takes_list(task) else ""
        body = "".join(f"    {line}\n" for line in task.body.splitlines())
        return Item(
            prompt=f"Write a Python function `{signature}` that {task.does}. {unchanged}Answer with the code only.",
            check=function(name, task.parameters, task.needs),
            truth=f"def {signature}:\n{body}",
            max_tokens=320,
            program_tests=tuple(_tests(name, task)),
        )

    return make


_MAKERS = tuple(
    _maker(draw)
    for draw in (
        _linear,
        _above,
        _backwards,
        _multiple,
        _powers,
        _sequence,
        _larger,
        _letters,
        _frequencies,
        _clamp,
        _without_repeats,
        _mirrored,
        _running,
    )
)


def items(rng: Random) -> Iterator[Item]:
    """Yield functions to write, of one line and more."""
    return rounds(rng, _MAKERS)


SUITE = Suite(kind="code_generation", version=2, items=items)
