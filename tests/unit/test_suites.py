"""Every suite: who knows the truth gets all of it, who only guesses gets next to nothing."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import islice
from random import Random

import pytest

from vedette.providers import Finished, ToolCall
from vedette.types import Capability
from vedette.usecases.levels import split
from vedette_benchmarker.answered import Answered
from vedette_benchmarker.suites import Item, Suite, VectorItem, estimated_tokens
from vedette_benchmarker.suites.languages import LANGUAGES
from vedette_benchmarker.suites.needle import LENGTHS
from vedette_benchmarker.suites.registry import SUITES

SEEDS = range(5)
PER_SEED = 44
GUESSED = 0.02  # what a guess may get right, beyond what is said where it may get more
TEXT_SUITES = [suite for suite in SUITES if suite.needs is not Capability.EMBEDDING]
VECTOR_SUITES = [suite for suite in SUITES if suite.needs is Capability.EMBEDDING]
BY_KIND = {suite.kind: suite for suite in SUITES}
LEVELS = [level for suite in SUITES for name, level in suite.asked.items() if name != suite.kind]

Answerer = Callable[[Item, Random], Answered]
Embedder = Callable[[VectorItem, Random], Sequence[Sequence[float]]]


@cache
def taken(suite: Suite, seed: int = 0, count: int = PER_SEED) -> Sequence[Item]:
    """Return the first items of *suite*, of those with text."""
    return [item for item in islice(suite.items(Random(seed)), count) if isinstance(item, Item)]


def vectors_taken(suite: Suite, seed: int = 0, count: int = PER_SEED) -> list[VectorItem]:
    return [item for item in islice(suite.items(Random(seed)), count) if isinstance(item, VectorItem)]


def said(text: str, *calls: ToolCall, reason: str = "stop") -> Answered:
    """Return *text* and *calls* as a whole answer."""
    return Answered(text=text, finished=Finished(at=0.0, reason=reason, tool_calls=calls))


def score(suite: Suite, answer: Answerer) -> float:
    """Return which fraction of the items of several seeds *answer* gets right."""
    rng = Random(99)
    items = [item for seed in SEEDS for item in taken(suite, seed)]
    return sum(item.check(answer(item, rng)).correct for item in items) / len(items)


def vector_score(suite: Suite, embed: Embedder) -> float:
    rng = Random(99)
    items = [item for seed in SEEDS for item in vectors_taken(suite, seed)]
    return sum(item.check(embed(item, rng)).correct for item in items) / len(items)


def words(prompt: str) -> list[str]:
    return re.findall(r"\S+", prompt)


def shuffled(item: Item, rng: Random) -> Answered:
    told = words(item.prompt)
    rng.shuffle(told)
    return said(" ".join(told))


def options(item: Item) -> list[str]:
    """Return the options that the prompt of *item* lists, or all that could be one: names, codes and numbers."""
    listed = re.search(r"^Options: (.*)\.$", item.prompt, re.MULTILINE)
    if listed:
        return listed[1].split(", ")
    return re.findall(r"\b(?:[A-Z]{2}-\d+|[A-Z]\w+|\d[\d,.]*\d|\d)\b", item.prompt)


def stub(body: str) -> Answerer:
    """Return who defines the function that the prompt names, with one line as its *body*."""

    def answer(item: Item, rng: Random) -> Answered:
        named = re.search(r"`(\w+)\(([^)]*)\)`", item.prompt)
        name, parameters = named.groups() if named else ("f", "x")
        return said(f"def {name}({parameters}):\n    {body.format(parameters.split(',')[0], parameters)}\n")

    return answer


def call_all(item: Item, rng: Random) -> Answered:
    return said("", *(ToolCall(name=tool.name, arguments={}) for tool in item.tools))


def call_first(item: Item, rng: Random) -> Answered:
    return said("", *(ToolCall(name=tool.name, arguments={}) for tool in item.tools[:1]))


def call_with_prompt_words(item: Item, rng: Random) -> Answered:
    """Call a tool at random, each argument a word of the prompt or the easiest value of its type."""
    if not item.tools:
        return said("")
    tool = rng.choice(item.tools)
    easy = {"integer": 1, "boolean": True, "string": rng.choice(words(item.prompt))}
    properties = tool.parameters["properties"]
    return said(
        "", ToolCall(name=tool.name, arguments={key: easy[of["type"]] for key, of in properties.items()})
    )


CONSTANTS = (
    "",
    " \n",
    "42",
    "0",
    "1",
    "10",
    "yes",
    "no",
    "Yes.",
    "True",
    "A",
    "B",
    "Monday",
    "Paris",
    "Ada",
    "amber",
    "I do not know.",
    "I'm sorry, but I can't help with that.",
    "{}",
    "[]",
    "null",
    "def f(): pass",
    "def f(x):\n    return x",
    "print(42)",
    "```\n```",
    "[1, 2, 3]",
    '{"name": "Ada", "age": 36, "town": "Fernley"}',
    "The answer is",
    "answer: 1 or 2",
    "The quick brown fox jumps over the lazy dog.",
    "2024-01-01",
    ", ".join(map(str, range(200))),
    "\n".join("ABCDEFGH"),
)

GUESSERS: dict[str, Answerer] = {
    "echo of the prompt": lambda item, _: said(item.prompt),
    "the prompt in capitals": lambda item, _: said(item.prompt.upper()),
    "the prompt's words, shuffled": shuffled,
    "all options": lambda item, _: said(", ".join(options(item))),
    "all options, each on its line": lambda item, _: said("\n".join(options(item))),
    "all options, each as the answer": lambda item, _: said(
        " ".join(f"The answer is {one}." for one in options(item))
    ),
    "the last line of the prompt": lambda item, _: said(item.prompt.splitlines()[-1]),
    "the schema": lambda item, _: said(str(dict(item.schema or {}))),
    "what is quoted": lambda item, _: said(" ".join(re.findall(r"'([^']*)'", item.prompt))),
    "a call of every tool": call_all,
    "a call of the first tool": call_first,
    "a call with words of the prompt": call_with_prompt_words,
    "a function that passes": stub("pass"),
    "a function that returns 42": stub("return 42"),
    "a function that returns its argument": stub("return {0}"),
    "a function that returns its arguments": stub("return [{1}]"),
}


@pytest.mark.parametrize("suite", TEXT_SUITES, ids=lambda suite: suite.kind)
def test_who_knows_the_truth_gets_everything_right(suite: Suite) -> None:
    """An item's own truth passes its check, over all seeds."""
    for seed in SEEDS:
        for item in taken(suite, seed):
            verdict = item.check(said(item.truth, *item.truth_calls))
            assert verdict.correct, (item.prompt, item.truth, verdict.why)


@pytest.mark.parametrize("suite", TEXT_SUITES, ids=lambda suite: suite.kind)
def test_who_guesses_gets_nothing(suite: Suite) -> None:
    """Not by repeating the question, not by naming everything, not by an empty shell."""
    found = {name: score(suite, answer) for name, answer in GUESSERS.items()}
    assert {name: right for name, right in found.items() if right > GUESSED} == {}


@pytest.mark.parametrize("suite", TEXT_SUITES, ids=lambda suite: suite.kind)
def test_who_always_says_the_same_gets_nothing(suite: Suite) -> None:
    """No answer is right so often that it pays to give it always."""
    found = {constant: score(suite, lambda _, __, told=constant: said(told)) for constant in CONSTANTS}
    assert {told: right for told, right in found.items() if right > GUESSED} == {}


@pytest.mark.parametrize("suite", TEXT_SUITES, ids=lambda suite: suite.kind)
def test_the_commonest_answer_is_rare(suite: Suite) -> None:
    """Who has seen thousands of items and always gives what was right most often still gets next to nothing."""
    truths = Counter((item.truth, str(item.truth_calls)) for seed in range(20) for item in taken(suite, seed))
    (_, count) = truths.most_common(1)[0]
    assert count / truths.total() < 0.06


@pytest.mark.parametrize("suite", TEXT_SUITES, ids=lambda suite: suite.kind)
def test_a_random_word_of_the_prompt_is_hardly_ever_right(suite: Suite) -> None:
    """But where the answer stands in the prompt: there it is one guess of some dozens."""
    right = score(suite, lambda item, rng: said(rng.choice(words(item.prompt)).strip(".,:;?!\"'()")))
    assert right <= {"choice": 0.12, "tool_restraint": 0.06}.get(suite.kind, GUESSED)


def test_a_fixed_place_among_the_options_is_right_by_chance_only() -> None:
    """The options of a choice are four or five, and shuffled; nor is who is named first or most often the answer."""
    suite = BY_KIND["choice"]
    for place in (0, 1, 2, 3, -1):
        assert score(suite, lambda item, _, at=place: said(options(item)[at])) <= 0.25 + 0.07
    assert score(suite, lambda item, rng: said(rng.choice(options(item)))) <= 0.25 + 0.07

    def first_named(item: Item, _: Random) -> Answered:
        told, _, _ = item.prompt.partition("Options")
        return said(
            min(options(item), key=lambda one: told.lower().find(one.removeprefix("the ").lower()) % 10_000)
        )

    def most_named(item: Item, _: Random) -> Answered:
        return said(max(options(item), key=lambda one: item.prompt.count(one.removeprefix("the "))))

    assert score(suite, first_named) <= 0.4
    assert score(suite, most_named) <= 0.3


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.kind)
def test_a_seed_makes_the_items(suite: Suite) -> None:
    """The same seed the same, others others, and forty of one seed are all different."""

    def shown(seed: int) -> list[object]:
        return [
            (item.prompt, item.truth, item.truth_calls, item.tools, item.schema, item.program_tests)
            if isinstance(item, Item)
            else (item.texts, item.truth)
            for item in islice(suite.items(Random(seed)), 40)
        ]

    assert shown(7) == shown(7)
    asked = [one[0] for one in map(tuple, shown(7))]  # type: ignore[call-overload]
    assert len(set(asked)) == 40
    others = {one[0] for one in map(tuple, shown(8))}  # type: ignore[call-overload]
    assert len(others & set(asked)) < 20


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.kind)
def test_there_are_thousands_of_items(suite: Suite) -> None:
    """From thirty seeds come a thousand different questions at least; of a finite table, most of them."""
    asked = {
        item.prompt if isinstance(item, Item) else item.texts
        for seed in range(30)
        for item in islice(suite.items(Random(seed)), 50)
    }
    assert len(asked) > {
        "multilingual": 700,
        "general_knowledge": 900,
        "tool_restraint": 700,
        "tools": 900,
    }.get(suite.kind, 1000)


@pytest.mark.parametrize("suite", TEXT_SUITES, ids=lambda suite: suite.kind)
def test_prompts_and_answers_are_bounded(suite: Suite) -> None:
    """A question is never longer than its suite says, and there is room for its right answer."""
    most = 2300 if suite.kind == "needle" else 900
    for seed in SEEDS:
        for item in taken(suite, seed):
            assert 4 <= item.prompt_tokens <= most
            assert 16 <= item.max_tokens <= 400
            assert estimated_tokens(item.truth) <= item.max_tokens


@pytest.mark.parametrize("suite", VECTOR_SUITES, ids=lambda suite: suite.kind)
def test_texts_are_bounded(suite: Suite) -> None:
    for item in vectors_taken(suite, count=200):
        assert len(item.texts) == len(item.truth) == 8
        assert all(4 <= estimated_tokens(text) <= 60 for text in item.texts)
        assert len(set(item.texts)) == 8


def test_kinds_are_named_once() -> None:
    """By small letters; a suite whose pass says something of an interface asks for nothing else."""
    assert len(BY_KIND) == len(SUITES)
    assert all(re.fullmatch(r"[a-z][a-z_]+", suite.kind) and suite.version >= 1 for suite in SUITES)
    proving = {suite.kind: suite.capability for suite in SUITES if suite.capability}
    assert proving == {
        "tools": Capability.TOOLS,
        "json_schema": Capability.JSON_SCHEMA,
        "paraphrase": Capability.EMBEDDING,
        "retrieval": Capability.EMBEDDING,
    }
    for suite in TEXT_SUITES:
        items = taken(suite)
        assert all(bool(item.schema) == (suite.kind == "json_schema") for item in items)
        assert all(bool(item.tools) == (suite.kind in ("tools", "tool_restraint")) for item in items)


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.kind)
def test_a_level_is_as_fair_as_its_suite(level: Suite) -> None:
    """Who knows the truth gets everything, who guesses nearly nothing; questions differ, and are bounded."""
    kind, _ = split(level.kind)
    items = taken(level)
    for item in items:
        verdict = item.check(said(item.truth, *item.truth_calls))
        assert verdict.correct, (item.prompt, item.truth, verdict.why)
        assert 4 <= item.prompt_tokens <= 1000
        assert estimated_tokens(item.truth) <= item.max_tokens <= 640
    rng = Random(9)
    guesses = [*GUESSERS.values(), *(lambda _, __, told=constant: said(told) for constant in CONSTANTS)]
    for guess in guesses:
        right = sum(item.check(guess(item, rng)).correct for item in items)
        assert right <= 3  # of 44
    assert len({item.prompt for item in items}) >= 40
    truths = Counter((item.truth, str(item.truth_calls)) for seed in range(5) for item in taken(level, seed))
    assert truths.most_common(1)[0][1] / truths.total() < 0.06
    assert all(bool(item.schema) == (kind == "json_schema") for item in items)
    assert all(bool(item.tools) == (kind in ("tools", "tool_restraint")) for item in items)


# What is peculiar to a kind


def test_programs_print_what_is_said_of_them() -> None:
    """Run, our own templates print their truths."""
    for level in BY_KIND["code_understanding"].asked.values():
        for item in taken(level):
            printed: list[str] = []
            source = re.search(r"```python\n(.*?)```", item.prompt, re.DOTALL)
            assert source
            exec(source[1], {"print": lambda value, to=printed: to.append(str(value))})
            assert printed == [item.truth]


def test_functions_keep_their_tests_and_shells_do_not() -> None:
    """The right answer, run, keeps every assertion; one that gives back a constant keeps not all of them."""
    for level in BY_KIND["code_generation"].asked.values():
        for item in taken(level):
            made: dict[str, object] = {}
            exec(item.truth, made)
            for test in item.program_tests:
                exec(test, made)
            assert len(item.program_tests) >= 3
            assert len({test.partition(" == ")[2] for test in item.program_tests}) > 1


def test_needles_are_as_long_as_they_say_and_lie_at_every_depth() -> None:
    """Within a tenth and a sentence of the lengths; the fact is found from beginning to end."""
    depths: set[int] = set()
    for seed in SEEDS:
        for index, item in enumerate(taken(BY_KIND["needle"], seed)):
            assert item.prompt_tokens == pytest.approx(LENGTHS[index % len(LENGTHS)], rel=0.1, abs=40)
            depths.add(round(4 * item.prompt.index(item.truth) / len(item.prompt)))
    assert depths == {0, 1, 2, 3, 4}


def test_answers_in_another_language_are_wrong() -> None:
    """English capitals and digits are not what was asked for, where they differ."""
    wrong = 0
    for item in taken(BY_KIND["multilingual"], count=200):
        for other in ("Rome", "Warsaw", "cold", "dog", "7", "twenty-four"):
            wrong += item.check(said(other)).correct
    assert wrong == 0


def test_a_language_spells_every_number_differently() -> None:
    for language in LANGUAGES:
        spelt = [name for value in range(100) for name in language.spelt(value)]
        assert len(set(spelt)) == len(spelt)


@pytest.mark.parametrize(
    ("language", "numbers"),
    [
        ("German", {21: "einundzwanzig", 17: "siebzehn", 76: "sechsundsiebzig", 30: "dreißig"}),
        (
            "French",
            {21: "vingt et un", 71: "soixante et onze", 80: "quatre-vingts", 99: "quatre-vingt-dix-neuf"},
        ),
        ("Spanish", {16: "dieciséis", 22: "veintidós", 31: "treinta y uno", 85: "ochenta y cinco"}),
        ("Italian", {21: "ventuno", 28: "ventotto", 33: "trentatré", 90: "novanta"}),
        ("Portuguese", {19: "dezenove", 41: "quarenta e um", 14: "catorze"}),
        ("Russian", {40: "сорок", 92: "девяносто два", 11: "одиннадцать"}),
        ("Japanese", {10: "十", 20: "二十", 47: "四十七"}),
        ("Chinese", {15: "十五", 99: "九十九"}),
    ],
)
def test_numbers_are_spelt_by_the_language_s_rules(language: str, numbers: dict[int, str]) -> None:
    (spoken,) = [one for one in LANGUAGES if one.english == language]
    assert {value: spoken.spelt(value)[0] for value in numbers} == numbers


def test_forty_items_ask_in_every_language() -> None:
    prompts = " ".join(item.prompt for item in taken(BY_KIND["multilingual"], count=40))
    for mark in ("Deutsch", "français", "español", "italiano", "português", "по-русски", "日本語", "中文"):
        assert mark in prompts


# Vectors


def by_meaning(item: VectorItem, rng: Random) -> list[list[float]]:
    """Return a direction for each meaning, hardly disturbed."""
    return [
        [float(meaning == axis) + rng.gauss(0, 0.02) for axis in range(max(item.truth) + 1)]
        for meaning in item.truth
    ]


def by_letters(item: VectorItem, rng: Random) -> list[list[float]]:
    counts = [Counter(text.lower()) for text in item.texts]
    return [[float(count[letter]) for letter in "abcdefghijklmnopqrstuvwxyz ,.?"] for count in counts]


def by_words(item: VectorItem, rng: Random) -> list[list[float]]:
    counts = [Counter(re.findall(r"\w+", text.lower())) for text in item.texts]
    known = sorted({word for count in counts for word in count})
    return [[float(count[word]) for word in known] for count in counts]


SHALLOW: dict[str, tuple[Embedder, float]] = {
    "the same for all": (lambda item, _: [[0.5, 0.25, 1.0]] * len(item.texts), 0.0),
    "nothing": (lambda item, _: [[0.0] * 3] * len(item.texts), 0.0),
    "no number": (lambda item, _: [[float("nan")] * 3] * len(item.texts), 0.0),
    "too large": (lambda item, _: [[float("inf"), 1e308]] * len(item.texts), 0.0),
    "empty": (lambda item, _: [[]] * len(item.texts), 0.0),
    "too few": (lambda item, _: [[1.0, 0.0]], 0.0),
    "none": (lambda item, _: [], 0.0),
    "of unlike lengths": (lambda item, _: [[1.0] * (1 + at) for at in range(len(item.texts))], 0.0),
    "lengths of texts": (lambda item, _: [[float(len(text)), 1.0] for text in item.texts], 0.06),
    "random": (lambda item, rng: [[rng.gauss(0, 1) for _ in range(64)] for _ in item.texts], 0.06),
    "letters": (by_letters, 0.15),
    "words": (by_words, 0.25),
}


@pytest.mark.parametrize("suite", VECTOR_SUITES, ids=lambda suite: suite.kind)
def test_vectors_by_meaning_are_right_and_shallow_ones_are_not(suite: Suite) -> None:
    """Nearness must come from what the texts say; letters and single words do not carry it."""
    assert vector_score(suite, by_meaning) == 1.0
    found = {name: vector_score(suite, embed) for name, (embed, _) in SHALLOW.items()}
    assert {name: right for name, right in found.items() if right > SHALLOW[name][1]} == {}


def test_items_do_not_end() -> None:
    """Long after the templates have said everything, they go on."""
    items: Iterator[Item | VectorItem] = iter(BY_KIND["tool_restraint"].items(Random(0)))
    assert len(list(islice(items, 3000))) == 3000
