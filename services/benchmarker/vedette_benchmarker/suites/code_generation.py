"""Small Python functions to write. Their tests judge them if they can be run; otherwise their shape does."""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from msgspec import Struct

from vedette_benchmarker.suites import Item, Suite
from vedette_benchmarker.suites.programs import function
from vedette_benchmarker.suites.rounds import Maker, of, rounds
from vedette_benchmarker.suites.words import NOUNS

_LOOPS = frozenset({"for", "while", "map()", "filter()"})
_COMPARISONS = frozenset({"<", "<=", ">", ">="})


class _Task(Struct, frozen=True, kw_only=True):
    """A function to write: its description, required features, a solution, and results for given arguments."""

    parameters: tuple[str, ...]
    does: str
    needs: tuple[frozenset[str], ...]
    body: str  # of one right answer, without indentation
    gives: Callable[..., Any]
    cases: Sequence[tuple[Any, ...]]

    @property
    def max_tokens(self) -> int:
        """The token limit: room for a longer right answer, and some words."""
        return 320 if len(self.body) < 300 else 640


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


def _merged(rng: Random) -> _Task:
    gap = rng.randint(1, 9)

    def gives(spans: list[list[int]]) -> list[list[int]]:
        found: list[list[int]] = []
        for first, last in sorted(spans):
            if found and first - found[-1][1] <= gap:
                found[-1][1] = max(found[-1][1], last)
            else:
                found.append([first, last])
        return found

    return _Task(
        parameters=("spans",),
        does="takes a list of pairs [first, last] in any order and returns a sorted list of pairs, in which those were "
        "joined into one that overlap or whose distance (first of the later minus last of the earlier) is "
        f"{gap} or less",
        needs=(_LOOPS, _COMPARISONS, _one_of("sorted()", ".sort()", "min()", "max()")),
        body="found = []\nfor first, last in sorted(spans):\n"
        f"    if found and first - found[-1][1] <= {gap}:\n"
        "        found[-1] = [found[-1][0], max(found[-1][1], last)]\n"
        "    else:\n        found.append([first, last])\nreturn found",
        gives=gives,
        cases=[
            ([],),
            ([[50, 60], [1, 5], [5 + gap, 20]],),
            ([[1, 5], [6 + gap, 20]],),
            ([[1, 90], [2, 3], [95 + gap, 99 + gap]],),
        ],
    )


def _brackets(rng: Random) -> _Task:
    most = rng.randint(3, 9)

    def gives(text: str) -> bool:
        inside: list[str] = []
        for sign in text:
            if sign in "([{":
                inside.append(sign)
                if len(inside) > most:
                    return False
            elif sign in ")]}" and (not inside or "([{".index(inside.pop()) != ")]}".index(sign)):
                return False
        return not inside

    return _Task(
        parameters=("text",),
        does="returns True if every bracket in the string text, of the kinds (), [] and {}, is closed by one of its "
        f"kind in the right order and never more than {most} are open at once, else False; other signs do not count",
        needs=(_LOOPS, _one_of("if"), _const(most, most + 1)),
        body="inside = []\nfor sign in text:\n    if sign in '([{':\n        inside.append(sign)\n"
        f"        if len(inside) > {most}:\n            return False\n    elif sign in ')]}}':\n"
        "        if not inside or '([{'.index(inside.pop()) != ')]}'.index(sign):\n            return False\n"
        "return not inside",
        gives=gives,
        cases=[
            ("",),
            ("(a[b]{c})",),
            ("([)]",),
            ("(" * most + ")" * most,),
            ("[" * (most + 1) + "]" * (most + 1),),
            ("}",),
        ],
    )


def _runs(rng: Random) -> _Task:
    least = rng.randint(2, 5)

    def gives(text: str) -> str:
        found, place = "", 0
        while place < len(text):
            end = place
            while end < len(text) and text[end] == text[place]:
                end += 1
            found += text[place] + str(end - place) if end - place >= least else text[place:end]
            place = end
        return found

    return _Task(
        parameters=("text",),
        does=f"returns the string text with every run of {least} or more equal letters in a row replaced by the letter "
        "and the length of the run ('aaaaaaa' becomes 'a7'), while shorter runs stay as they are",
        needs=(_LOOPS | _one_of("groupby()"), _one_of("str()", ".join()", "+"), _const(least, least - 1)),
        body="found, place = '', 0\nwhile place < len(text):\n    end = place\n"
        "    while end < len(text) and text[end] == text[place]:\n        end += 1\n"
        f"    found += text[place] + str(end - place) if end - place >= {least} else text[place:end]\n"
        "    place = end\nreturn found",
        gives=gives,
        cases=[
            ("",),
            ("abc",),
            ("a" * least + "b",),
            ("x" * (least - 1) + "y" * 12,),
            ("zz" + "q" * least + "zz",),
        ],
    )


def _rotated(rng: Random) -> _Task:
    by = rng.randint(2, 60)
    return _Task(
        parameters=("rows",),
        does="takes a list of rows (lists of whole numbers of the same length) and returns it turned by 90 degrees "
        f"clockwise, with {by} added to every number on the main diagonal of the result",
        needs=(_LOOPS, _one_of("+"), _const(by)),
        body="turned = [list(row) for row in zip(*rows[::-1])]\n"
        f"return [[v + {by} if i == j else v for j, v in enumerate(row)] for i, row in enumerate(turned)]",
        gives=lambda rows: [
            [value + by if i == j else value for j, value in enumerate(row)]
            for i, row in enumerate(map(list, zip(*rows[::-1], strict=True)))
        ],
        cases=[
            ([],),
            ([[1, 2], [3, 4]],),
            ([[1, 2, 3]],),
            ([[1], [2], [3]],),
            ([[1, 2, 3], [4, 5, 6], [7, 8, 9]],),
        ],
    )


def _distance(rng: Random) -> _Task:
    change, other = rng.sample(range(2, 9), 2)

    def gives(a: str, b: str) -> int:
        row = [other * place for place in range(len(b) + 1)]
        for i, one in enumerate(a, 1):
            above, row = row, [other * i]
            for j, two in enumerate(b, 1):
                kept = above[j - 1] + (0 if one == two else change)
                row.append(min(kept, above[j] + other, row[j - 1] + other))
        return row[-1]

    return _Task(
        parameters=("a", "b"),
        does="returns the lowest cost of turning the string a into the string b, where replacing a letter by another "
        f"costs {change}, and inserting or deleting one costs {other}",
        needs=(_LOOPS, _one_of("min()", "<", "<="), _const(change), _const(other)),
        body=f"row = [{other} * place for place in range(len(b) + 1)]\nfor i, one in enumerate(a, 1):\n"
        f"    above, row = row, [{other} * i]\n    for j, two in enumerate(b, 1):\n"
        f"        kept = above[j - 1] + (0 if one == two else {change})\n"
        f"        row.append(min(kept, above[j] + {other}, row[j - 1] + {other}))\nreturn row[-1]",
        gives=gives,
        cases=[
            ("", ""),
            ("", "abc"),
            ("kitten", "sitting"),
            ("abc", "cab"),
            ("flaw", "lawn"),
            ("xyz", "abcxy"),
        ],
    )


def _evaluated(rng: Random) -> _Task:
    start = rng.randint(2, 60)

    def gives(text: str) -> int:
        stack: list[int] = [start]
        for word in text.split():
            if word in ("+", "-", "*", "dup", "swap"):
                if word == "dup":
                    stack.append(stack[-1])
                    continue
                two, one = stack.pop(), stack.pop()
                if word == "swap":
                    stack += [two, one]
                    continue
                stack.append(one + two if word == "+" else one - two if word == "-" else one * two)
            else:
                stack.append(int(word))
        return stack[-1]

    return _Task(
        parameters=("text",),
        does=f"runs the commands in the string text, separated by spaces, on a stack that at first holds only {start}, "
        "and returns what is on top at the end: a whole number is pushed; +, - and * replace the two topmost by their "
        "result, the upper one as the second operand; dup pushes the topmost again; swap exchanges the two topmost",
        needs=(_LOOPS, _one_of("int()"), _one_of("+"), _one_of("*"), _const(start)),
        body=f"stack = [{start}]\nfor word in text.split():\n    if word == 'dup':\n        stack.append(stack[-1])\n"
        "    elif word in ('+', '-', '*', 'swap'):\n        two, one = stack.pop(), stack.pop()\n"
        "        if word == 'swap':\n            stack += [two, one]\n        elif word == '+':\n"
        "            stack.append(one + two)\n        elif word == '-':\n            stack.append(one - two)\n"
        "        else:\n            stack.append(one * two)\n    else:\n        stack.append(int(word))\n"
        "return stack[-1]",
        gives=gives,
        cases=[("",), ("3 -",), ("dup *",), ("-7 swap -",), ("2 3 4 * + +",), ("5 dup swap - +",)],
    )


def _ordered(rng: Random) -> _Task:
    most = rng.randint(4, 40)

    def gives(needs: dict[str, list[str]]) -> list[str]:
        left = {
            name: set(needs.get(name, ())) for name in {*needs, *(one for of in needs.values() for one in of)}
        }
        found: list[str] = []
        while left and len(found) < most:
            ready = sorted(name for name, needed in left.items() if not needed)
            if not ready:
                return []
            found.append(ready[0])
            del left[ready[0]]
            for needed in left.values():
                needed.discard(ready[0])
        return found

    return _Task(
        parameters=("needs",),
        does="takes a dictionary from a task to the list of tasks that must be done before it (tasks may occur in "
        "these lists alone) and returns the order in which to do all tasks, of those that can be done next always the "
        f"first by alphabet, but at most the first {most} tasks; an empty list if the tasks wait for each other "
        "in a circle before that",
        needs=(_LOOPS, _one_of("sorted()", "min()", ".sort()", "heappop()", ".heappop()"), _const(most)),
        body="left = {}\nfor name, before in needs.items():\n    left.setdefault(name, set()).update(before)\n"
        "    for one in before:\n        left.setdefault(one, set())\nfound = []\n"
        f"while left and len(found) < {most}:\n    ready = sorted(name for name in left if not left[name])\n"
        "    if not ready:\n        return []\n    found.append(ready[0])\n    del left[ready[0]]\n"
        "    for name in left:\n        left[name].discard(ready[0])\nreturn found",
        gives=gives,
        cases=[
            ({},),
            ({"b": ["a"]},),
            ({"d": ["b", "c"], "b": ["a"], "c": ["a"]},),
            ({"x": ["z"], "y": ["x"], "z": ["y"]},),
            ({"m": [], "c": ["k"], "k": []},),
        ],
    )


def _takes_list(task: _Task) -> bool:
    return isinstance(task.cases[0][0], list)


def _tests(name: str, task: _Task) -> Iterator[str]:
    """Yield a test for each case, and one that a list argument was not changed."""
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
            max_tokens=task.max_tokens,
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
    """Yield functions to write, of one or more lines."""
    return rounds(rng, _MAKERS)


SUITE = Suite(
    kind="code_generation",
    version=2,
    items=items,
    levels=(
        ("easy", of(_maker(_linear), _maker(_larger))),
        ("hard", of(*map(_maker, (_merged, _brackets, _runs, _rotated)))),
        ("hardest", of(*map(_maker, (_distance, _evaluated, _ordered)))),
    ),
)
