"""What a short Python program prints. The truth is computed next to each template; no program is run."""

import re
from collections.abc import Callable, Iterator
from random import Random

from vedette_benchmarker.suites import Item, Suite
from vedette_benchmarker.suites.checks import exact, number
from vedette_benchmarker.suites.rounds import Maker, rounds
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


def _maker(draw: Callable[[Random], tuple[str, Printed]]) -> Maker:
    """Return a maker from *draw*, which gives program and output; the output is never a word of its program."""

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


SUITE = Suite(kind="code_understanding", version=2, items=items)
