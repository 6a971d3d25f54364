"""Questions about the output of short Python programs. Each template computes the answer; no program runs."""

import re
from collections.abc import Callable, Iterator
from random import Random

from vedette_benchmarker.suites import Item, Suite
from vedette_benchmarker.suites.checks import exact, number
from vedette_benchmarker.suites.rounds import Maker, of, rounds
from vedette_benchmarker.suites.words import NOUNS

_VARIABLES = ("total", "result", "value", "amount", "score", "count")
_TOKEN = re.compile(r"\w+")

Printed = int | str | list[int] | list[str]


def _sum(rng: Random) -> tuple[str, Printed]:
    one, other, name = rng.randint(2, 70), rng.randint(2, 70), rng.choice(_VARIABLES)
    return f"a = {one}\nb = {other}\n{name} = a + b\nprint({name})", one + other


def _length(rng: Random) -> tuple[str, Printed]:
    (one, other), plus = rng.sample(NOUNS, 2), rng.randint(2, 60)
    return f'word = "{one}" + "{other}"\nprint(len(word) + {plus})', len(one) + len(other) + plus


def _joined(rng: Random) -> tuple[str, Printed]:
    one, other, times = *rng.sample(NOUNS, 2), rng.randint(1, 3)
    return f'first = "{one}"\nsecond = "{other}"\nprint(first * {times} + second)', one * times + other


def _loop(rng: Random) -> tuple[str, Printed]:
    name, stop, step = rng.choice(_VARIABLES), rng.randint(4, 9), rng.randint(2, 60)
    source = f"{name} = {step}\nfor i in range({stop}):\n    {name} = {name} + i\nprint({name})"
    return source, step + sum(range(stop))


def _halving(rng: Random) -> tuple[str, Printed]:
    name, start, step, weight = (
        rng.choice(_VARIABLES),
        rng.randint(40, 300),
        rng.randint(3, 9),
        rng.randint(11, 60),
    )
    left, rounds_made = start, 0
    while left > step:
        left, rounds_made = left // 2, rounds_made + 1
    source = (
        f"{name} = {start}\nsteps = 0\nwhile {name} > {step}:\n    {name} = {name} // 2\n    steps = steps + 1\n"
        f"print({name} * {weight} + steps)"
    )
    return source, left * weight + rounds_made


def _index(rng: Random) -> tuple[str, Printed]:
    values = rng.sample(range(10, 100), 5)
    one, other = rng.sample(range(5), 2)
    return f"values = {values}\nprint(values[{one}] + values[{other}])", values[one] + values[other]


def _filtered(rng: Random) -> tuple[str, Printed]:
    values, by = rng.sample(range(5, 60), 6), rng.randint(2, 4)
    source = f"values = {values}\nprint([v * 2 for v in values if v % {by} == 0])"
    return source, [value * 2 for value in values if value % by == 0]


def _sliced(rng: Random) -> tuple[str, Printed]:
    word = "".join(rng.sample(NOUNS, 2))
    start, stop = rng.randint(1, 4), rng.randint(5, 8)
    return f'text = "{word}"\nprint(text[{start}:{stop}].upper())', word[start:stop].upper()


def _counted(rng: Random) -> tuple[str, Printed]:
    kinds, weight = rng.sample(NOUNS, 3), rng.randint(11, 30)
    words = [rng.choice(kinds) for _ in range(7)] + kinds
    rng.shuffle(words)
    source = (
        f"words = {words}\nseen = {{}}\nfor word in words:\n    seen[word] = seen.get(word, 0) + 1\n"
        f'print(seen["{kinds[0]}"] * {weight})'
    )
    return source, words.count(kinds[0]) * weight


def _function(rng: Random) -> tuple[str, Printed]:
    factor, plus, one, other = (rng.randint(2, 12) for _ in range(4))
    source = (
        f"def change(x, y={plus}):\n    if x > y:\n        return x * {factor}\n    return x + y\n\n"
        f"print(change({one}) + change({other}, {one}))"
    )

    def change(x: int, y: int = plus) -> int:
        return x * factor if x > y else x + y

    return source, change(one) + change(other, one)


def _shared_list(rng: Random) -> tuple[str, Printed]:
    values, more, last = rng.sample(range(1, 50), 3), rng.randint(50, 99), rng.randint(50, 99)
    source = (
        f"first = {values}\nsecond = first\nthird = first[:]\nsecond.append({more})\nthird.append({last})\n"
        "print(first)"
    )
    return source, [*values, more]


def _ordered(rng: Random) -> tuple[str, Printed]:
    words = rng.sample(NOUNS, 4)
    source = f"words = {words}\nprint(sorted(words, key=lambda w: (len(w), w)))"
    return source, sorted(words, key=lambda word: (len(word), word))


def _recursive(rng: Random) -> tuple[str, Printed]:
    start, plus = rng.randint(5, 12), rng.randint(2, 7)
    source = (
        f"def down(n):\n    if n <= 1:\n        return {plus}\n    return down(n - 2) + n\n\n"
        f"print(down({start}))"
    )
    found, left = plus, start
    while left > 1:
        found, left = found + left, left - 2
    return source, found


def _nested_loops(rng: Random) -> tuple[str, Printed]:
    rows, columns, by, start = rng.randint(4, 6), rng.randint(4, 6), rng.randint(2, 4), rng.randint(50, 99)
    source = (
        f"total = {start}\nfor i in range(1, {rows}):\n    for j in range(i, {columns}):\n"
        f"        if (i + j) % {by} == 0:\n            continue\n        total += i * j\nprint(total)"
    )
    found = start
    for one in range(1, rows):
        found += sum(one * other for other in range(one, columns) if (one + other) % by)
    return source, found


def _kept_between_calls(rng: Random) -> tuple[str, Printed]:
    first, second, third, times = (rng.randint(11, 60) for _ in range(4))
    source = (
        f"def keep(x, seen=[]):\n    seen.append(x)\n    return sum(seen) * len(seen)\n\n"
        f"a = keep({first})\nb = keep({second}, [{times}])\nc = keep({third})\nprint(a + b * 2 + c)"
    )
    return source, first + 4 * (times + second) + 2 * (first + third)


def _sorted_pairs(rng: Random) -> tuple[str, Printed]:
    words, numbers = rng.sample(NOUNS, 5), [rng.randint(1, 3) for _ in range(5)]
    pairs = list(zip(words, numbers, strict=True))
    source = (
        f"pairs = {pairs}\npairs.sort(key=lambda p: (-p[1], p[0][-1], p[0]))\n"
        "print([w[:2] + str(n) for w, n in pairs[1:4]])"
    )
    ordered = sorted(pairs, key=lambda pair: (-pair[1], pair[0][-1], pair[0]))
    return source, [word[:2] + str(number) for word, number in ordered[1:4]]


def _swapped(rng: Random) -> tuple[str, Printed]:
    values, steps = rng.sample(range(10, 99), 6), rng.randint(4, 6)
    source = (
        f"v = {values}\nfor i in range({steps}):\n    a, b = i % 6, (i * i + 1) % 6\n    v[a], v[b] = v[b], v[a]\n"
        "print(v[0] * 10 + v[3])"
    )
    left = list(values)
    for one in range(steps):
        here, there = one % 6, (one * one + 1) % 6
        left[here], left[there] = left[there], left[here]
    return source, left[0] * 10 + left[3]


def _generator(rng: Random) -> tuple[str, Printed]:
    factor, plus, by, start = rng.randint(3, 9), rng.randint(11, 29), rng.randint(41, 97), rng.randint(2, 30)
    steps = rng.randint(9, 13)
    source = (
        f"x = {start}\nseen = []\nfor _ in range({steps}):\n    x = (x * {factor} + {plus}) % {by}\n"
        "    if x % 2:\n        seen.append(x)\n    elif seen:\n        seen[-1] += x\nprint(sum(seen[-3:]) + x)"
    )
    seen: list[int] = []
    value = start
    for _ in range(steps):
        value = (value * factor + plus) % by
        if value % 2:
            seen.append(value)
        elif seen:
            seen[-1] += value
    return source, sum(seen[-3:]) + value


def _two_stacks(rng: Random) -> tuple[str, Printed]:
    values, by = rng.sample(range(10, 99), 9), rng.randint(3, 5)
    source = (
        f"one, two = [], []\nfor n in {values}:\n    if n % {by} == 0 and one:\n        two.append(one.pop() - n)\n"
        "    elif len(two) > 1 and n > 50:\n        one.append(two.pop() + two.pop())\n    else:\n"
        "        one.append(n)\nprint(sum(one) - 3 * sum(two))"
    )
    one: list[int] = []
    two: list[int] = []
    for value in values:
        if value % by == 0 and one:
            two.append(one.pop() - value)
        elif len(two) > 1 and value > 50:
            one.append(two.pop() + two.pop())
        else:
            one.append(value)
    return source, sum(one) - 3 * sum(two)


def _memo(rng: Random) -> tuple[str, Printed]:
    start, first, second, by = rng.randint(9, 13), rng.randint(2, 9), rng.randint(2, 9), rng.randint(53, 97)
    source = (
        f"def f(n, memo={{}}):\n    if n < 2:\n        return {first} if n else {second}\n    if n not in memo:\n"
        f"        memo[n] = (2 * f(n - 1) + 3 * f(n - 2) + n) % {by}\n    return memo[n]\n\nprint(f({start}) * 7)"
    )
    one, other = second, first
    for n in range(2, start + 1):
        one, other = other, (2 * other + 3 * one + n) % by
    return source, other * 7


def _maker(draw: Callable[[Random], tuple[str, Printed]]) -> Maker:
    """Return a maker of items from *draw*, which returns program and output.

    The output never is a word of its program.
    """

    def make(rng: Random) -> Item:
        source, printed = draw(rng)
        while str(printed) in _TOKEN.findall(source) or str(printed) in source or not printed:
            source, printed = draw(rng)
        truth = str(printed)
        given = [int(digits) for digits in re.findall(r"[0-9]+", source)]
        if isinstance(printed, int):
            check = number(printed, given)
        else:
            check = exact(truth, truth.replace(" ", ""), truth.replace("'", '"'), case=True)
        return Item(
            prompt=f"What does this Python program print?\n\n```python\n{source}\n```\n\nAnswer with the output only.",
            check=check,
            truth=truth,
            max_tokens=96,
        )

    return make


_MAKERS = tuple(
    _maker(draw)
    for draw in (
        _sum,
        _loop,
        _filtered,
        _joined,
        _index,
        _function,
        _length,
        _sliced,
        _halving,
        _counted,
        _ordered,
        _shared_list,
        _recursive,
    )
)


def items(rng: Random) -> Iterator[Item]:
    """Yield programs of two to eight lines."""
    return rounds(rng, _MAKERS)


SUITE = Suite(
    kind="code_understanding",
    version=2,
    items=items,
    levels=(
        ("easy", of(_maker(_sum), _maker(_index), _maker(_length))),
        (
            "hard",
            of(*map(_maker, (_nested_loops, _sorted_pairs, _kept_between_calls, _swapped))),
        ),
        ("hardest", of(*map(_maker, (_generator, _two_stacks, _memo)))),
    ),
)
