"""Names that a reader takes for others."""

import time

import pytest

from vedette.text.lookalikes import meant, notes
from vedette.types import ModelRef

CYRILLIC = "gpt-4\u043e"


def said(*names: str, endpoint: str = "evil") -> dict[str, str]:
    """Return the notes of models with these names at one endpoint, by name."""
    found = notes(ModelRef(endpoint, name) for name in names)
    return {model.name: "; ".join(told) for model, told in found.items()}


@pytest.mark.fault(
    "a model's name looks like another's",
    "I13",
    without=("vedette.text.lookalikes:_shape", lambda name: name),
)
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("gpt-4o", CYRILLIC),
        ("\u00e9", "e\u0301"),  # NFC and NFD
        ("fi", "\ufb01"),  # a ligature
        ("lead", " lead"),
        ("trail", "trail "),
        ("zero", "ze\u200bro"),
        ("a-b", "a\u2011b"),
        ("opus", "\u03bf\u03c1us"),
        ("A1", "\uff21\uff11"),  # full width
    ],
)
def test_twins_know_of_each_other(one: str, other: str) -> None:
    told = said(one, other, "else")
    assert "looks like evil/" in told[one]
    assert "looks like evil/" in told[other]
    assert "else" not in told


def test_a_twin_is_named_so_that_it_differs() -> None:
    assert said("gpt-4o", CYRILLIC)["gpt-4o"] == r"looks like evil/gpt-4\u043e"


def test_a_twin_may_be_at_another_endpoint() -> None:
    """But case is each endpoint's own affair, and the same name is the same model elsewhere."""
    here, there = ModelRef("a", "gpt-4o"), ModelRef("b", CYRILLIC)
    assert "looks like b/" in notes([here, there])[here][0]
    assert not notes([ModelRef("a", "Qwen"), ModelRef("b", "qwen"), ModelRef("c", "qwen")])
    assert said("A", "a") == {
        "A": "differs only in case from evil/a",
        "a": "differs only in case from evil/A",
    }


def test_a_strange_name_is_told_without_a_twin() -> None:
    assert said(CYRILLIC) == {CYRILLIC: "mixes letters of Cyrillic and Latin"}
    assert said("llama3\u202e:b7")["llama3\u202e:b7"] == r"holds invisible characters: \u202e"
    assert said(" x") == {" x": "begins or ends with a space"}


@pytest.mark.parametrize(
    "name",
    ["qwen3:8b", "\u5343\u95ee-7b", "\u30e9\u30de-7b", "caf\u00e9", "\u0441\u0430\u0439\u0433\u0430", "a b"],
)
def test_usual_names_have_no_notes(name: str) -> None:
    """Also in other scripts, and in those that are often mixed with Latin."""
    assert not said(name, "else")


def test_which_name_is_meant() -> None:
    """Itself first; else the one of the same letters, if there is one only."""
    both = ["\u00e9", "e\u0301"]
    assert [meant(name, both) for name in both] == both
    assert meant("e\u0301", ["\u00e9", "e"]) == "\u00e9"
    assert meant("\u00e9", ["e\u0301", "e"]) == "e\u0301"
    assert meant("E", ["e"]) is None
    assert meant("o\u0323\u0302", ["\u1ed9", "o\u0302\u0323"]) is None  # two are the same letters


@pytest.mark.parametrize("name", ["\u043e{}", "\u0301{}", "a{}", "\u202e{}"])
def test_many_names_take_no_time(name: str) -> None:
    """Each of 2,000 takes about as long as each of 200."""

    def each(count: int) -> float:
        models = [ModelRef("evil", name.format(n) * 20) for n in range(count)]
        began = time.process_time()
        notes(models)
        return (time.process_time() - began) / count

    assert min(each(2_000), each(2_000)) < 4 * each(200)
