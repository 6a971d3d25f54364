"""Checks: strict about the answer, lenient about what stands around it, and never surprised."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.errors import ConfigurationError
from vedette.providers import Finished
from vedette_benchmarker.answered import Answered
from vedette_benchmarker.suites import Verdict
from vedette_benchmarker.suites.checks import CHECKERS, choice, contains, exact, json, nearest, number, regex
from vedette_benchmarker.suites.choosing import suites
from vedette_benchmarker.suites.own import parse
from vedette_benchmarker.suites.registry import SUITES

Check = Callable[[Answered], Verdict]
WRAPPINGS = (
    "{}",
    "{}.",
    "  {}\n",
    "**{}**",
    "`{}`",
    '"{}"',
    "\u201c{}\u201d",
    "The answer is {}.",
    "Answer: {}",
    "```\n{}\n```",
    "<think>perhaps 7, or 8?</think>\n{}",
)
EXAMPLES: dict[str, tuple[object, str]] = {
    "exact": ("Arvo", "Arvo"),
    "contains": (["north", "south"], "from north to south"),
    "number": (42, "42"),
    "regex": (r"[a-z]{3}-\d+", "abc-12"),
    "json": ({"a": [1, 2]}, '{"a": [1, 2]}'),
    "choice": ({"right": ["red"], "wrong": ["blue", "green"]}, "red"),
}


def right(check: Check, text: str, *, reason: str = "stop") -> bool:
    return check(Answered(text=text, finished=Finished(at=0, reason=reason))).correct


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("check", [exact("42"), number(42), choice(["42"], ["41", "43"])])
def test_what_stands_around_an_answer_does_not_matter(check: Check, wrapping: str) -> None:
    """The same wrapping makes a wrong answer no better."""
    assert right(check, wrapping.format("42"))
    assert not right(check, wrapping.format("43"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "42 or 43",
        "It is 42. The answer is 43.",
        "not 42",
        "1, 2, 42, 50",
        "forty-three",
        "4 2",
        "-42",
        "42%3",
    ],
)
def test_a_number_must_be_stated_alone(text: str) -> None:
    """No hedge, no list, no contradiction, no denial."""
    assert not right(number(42), text)


@pytest.mark.parametrize(
    "text", ["42", "42.0", "forty-two", "12 + 30 = 42", "First 12, then 30 more makes 42."]
)
def test_a_number_may_be_reasoned_out(text: str) -> None:
    assert right(number(42), text)


def test_thousands_may_be_marked() -> None:
    for text in ("1234", "1,234", "1\u00a0234"):
        assert right(number(1234), text)


def test_an_answer_cut_off_at_a_number_is_none() -> None:
    """Its next digit is not known."""
    assert not right(number(42), "42", reason="length")


def test_all_options_at_once_are_no_choice() -> None:
    colours = choice(["red"], ["blue", "green"])
    assert not right(colours, "red, blue and green")
    assert not right(colours, "It could be red or blue.")
    assert not right(colours, "not red")
    assert not right(colours, "purple")


def test_words_are_whole() -> None:
    assert not right(contains("art"), "a party")
    assert right(contains("art", "craft"), "arts no; art and craft yes")


def test_json_is_compared_by_value() -> None:
    """Order of keys does not count, order of a list does; true is not 1; nothing may be added."""
    check = json({"a": 1, "b": [True, "x"]})
    assert right(check, 'Here it is:\n```json\n{"b": [true, "x"], "a": 1.0}\n```')
    for wrong in (
        '{"a": 1}',
        '{"a": 1, "b": ["x", true]}',
        '{"a": 1, "b": [1, "x"]}',
        '{"a": 1, "b": [true, "x"], "c": 2}',
        '{"a": 1, "b": [true, "x"]',
        "a: 1",
    ):
        assert not right(check, wrong)


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|aa)+c", "(.*)*x", "(", "a{1,100000}{1,1000}", "x" * 2000])
def test_a_pattern_that_could_take_for_ever_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        regex(pattern)


def test_vectors_must_be_nearest_with_a_lead() -> None:
    """A constant, a zero, a gap and garbage win nothing."""
    check = nearest({0: 1}, [1, 2])
    assert check([[1, 0], [1, 0.1], [0, 1]]).correct
    for vectors in (
        [[1, 0], [0, 1], [1, 0.1]],
        [[1, 1]] * 3,
        [[0, 0]] * 3,
        [[1, 0], [1, 0]],
        [[float("nan"), 1]] * 3,
        [[1], [1, 0], [0]],
        [],
    ):
        assert not check(vectors).correct


@pytest.mark.parametrize("name", CHECKERS)
def test_every_checker_takes_its_example(name: str) -> None:
    expected, answer = EXAMPLES[name]
    check = CHECKERS[name](expected)
    assert right(check, answer)
    assert not right(check, "")
    assert not right(check, "something else")


@pytest.mark.parametrize("name", CHECKERS)
@given(text=st.text(max_size=300))
def test_no_text_surprises_a_checker(name: str, text: str) -> None:
    CHECKERS[name](EXAMPLES[name][0])(Answered(text=text, finished=Finished(at=0)))


@pytest.mark.parametrize("name", CHECKERS)
@pytest.mark.parametrize(
    "text", ["x" * 200_000, "[" * 50_000, "42 " * 50_000, "\ud800", "a-" * 50_000, "\x00"]
)
def test_absurd_answers_are_wrong_and_soon(name: str, text: str) -> None:
    assert not right(CHECKERS[name](EXAMPLES[name][0]), text)


# Suites of one's own

OWN = '[[item]]\nprompt = "Winter?"\nchecker = "exact"\nexpected = "Arvo"\n'


def test_a_file_is_a_suite() -> None:
    """Its version follows its text; its items end."""
    suite = parse("products.toml", OWN)
    assert suite.kind == "products"
    assert parse("products.toml", OWN + "\n").version != suite.version
    line = '{"prompt": "Winter?", "checker": "exact", "expected": "Arvo", "max_tokens": 8}\n'
    from random import Random

    (item,) = parse("products.jsonl", line).items(Random(1))
    assert (item.prompt, item.max_tokens) == ("Winter?", 8)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("p.toml", "", "has no item"),
        ("p.toml", "[[item", "not TOML"),
        ("p.toml", OWN.replace("exact", "exacct"), 'item 1: checker: unknown checker .*did you mean "exact"'),
        ("p.toml", OWN.replace("prompt", "promt"), 'promt: unknown key; did you mean "prompt"'),
        ("p.toml", OWN.replace('expected = "Arvo"', ""), "expected: is missing"),
        ("p.toml", OWN.replace('"Arvo"', '"Winter?"'), "only repeats the prompt"),
        ("p.toml", OWN + "max_tokens = 0\n", "max_tokens"),
        ("p.jsonl", "{", "line 1: not JSON"),
        ("tools.toml", OWN, "already"),
        ("P .toml", OWN, "only a-z, 0-9"),
    ],
)
def test_a_mistake_in_it_is_named(name: str, text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        parse(name, text)


def test_a_folder_adds_to_the_built_in_suites(tmp_path: Path) -> None:
    """Other files in it are left alone; two of one name are refused."""
    (tmp_path / "products.toml").write_text(OWN)
    (tmp_path / "notes.md").write_text("x")
    assert [suite.kind for suite in suites(str(tmp_path))] == [*(s.kind for s in SUITES), "products"]
    assert suites(None) == SUITES
    (tmp_path / "products.jsonl").write_text('{"prompt": "a?", "checker": "exact", "expected": "b"}')
    with pytest.raises(ConfigurationError, match="same name"):
        suites(str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"evaluating\.suites"):
        suites(str(tmp_path / "none"))
