"""The tables of published facts: how they are made, that they follow from their facts, and an operator's own."""

import csv
import functools
import io
from pathlib import Path

import pytest

from commands import vedette
from vedette.errors import ConfigurationError
from vedette.knowledge import Known, bundled, own, table
from vedette.knowledge.build import build, rows_of
from vedette.knowledge.knowing import of_name
from vedette.knowledge.own import OwnFact
from vedette.local import facts
from vedette.settings import Recommend, Settings

SAMPLE = Path(__file__).parents[1] / "knowledge_sample"
HEADER = "model,mode,fact,value,date,source\n"
LINKS = table.links(table.read(table.BENCHMARKS))


def cells(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def alike(one: str, other: str) -> bool:
    """Whether two cells hold the same, figures to three digits: processors round differently."""
    parts = [text.replace(":", ";").split(";") for text in (one, other)]
    if len(parts[0]) != len(parts[1]):
        return False
    for first, second in zip(*parts, strict=True):
        try:
            same = float(first) == pytest.approx(float(second), rel=2e-3, abs=2e-3)
        except ValueError:
            same = first == second
        if not same:
            return False
    return True


@functools.cache
def made() -> dict[str, str]:
    return build(*rows_of(SAMPLE))[0]


def test_a_sample_of_published_facts_gives_the_tables_that_are_kept() -> None:
    """`python -m vedette.knowledge.build tests/knowledge_sample tests/knowledge_sample/expected` renews them."""
    texts = made()
    assert {path.name for path in (SAMPLE / "expected").iterdir()} == set(texts)
    for name, text in texts.items():
        built, kept = cells(text), cells((SAMPLE / "expected" / name).read_text())
        assert len(built) == len(kept), name
        for row, wanted in zip(built, kept, strict=True):
            assert all(map(alike, row, wanted)), (name, row, wanted)


def test_the_same_facts_give_the_same_tables() -> None:
    """Byte for byte."""
    assert build(*rows_of(SAMPLE))[0] == made()


def recomputed(model: str) -> tuple[Known, Known]:
    """Return what the package says of a model, and what follows from its facts.csv."""
    nothing_new = OwnFact(model=model, mode="", fact=own.SPELLING, value=model, date="", source="here")
    again = own.merged(bundled(), [nothing_new], table.read(table.FACTS), LINKS)
    return of_name(model), of_name(model, again)


@pytest.mark.parametrize(
    "model",
    [
        "llama-3.1-8b",
        "gpt-4o-2024-08-06",
        "smollm2-135m",
        "qwen3-8b",
        "claude-opus-4.5",
        "bge-m3",
        "deepseek-r1",
    ],
)
def test_the_tables_of_the_package_follow_from_its_facts(model: str) -> None:
    """Nothing in the package's tables is without a fact: from the facts the same expectations come."""
    kept, again = recomputed(model)
    assert again.sources == kept.sources
    for use_case, expected in kept.expectations.items():
        assert again.expectations[use_case].quality == pytest.approx(expected.quality, abs=0.015)


def test_each_fact_has_a_source() -> None:
    """With its licence; and each benchmark is described."""
    sources = {row[0]: row for row in cells(table.read(table.SOURCES))[1:]}
    benchmarks = {row[0] for row in cells(table.read(table.BENCHMARKS))[1:]}
    rows = cells(table.read(table.FACTS))[1:]
    assert {row[5] for row in rows} <= set(sources)
    assert all(row[2] for row in sources.values())
    assert {row[2] for row in rows} <= benchmarks | {own.RELEASED, own.SHUTDOWN}


BAD = """acme,instruct,Arena txt,85,2026-09-01,a
acme,tuned,Arena text,85,2026-09-01,a
acme,instruct,Arena text,185,2026-09-01,a
acme,instruct,Arena text,nan,2026-09-01,a
acme,instruct,Arena text,85,last week,a
acme,,released,2026-13-01,,a
acme,,total_b,-3,,a
acme,instruct,Arena text,85,2026-09-01,
,instruct,Arena text,85,2026-09-01,a
acme|other,instruct,Arena text,85,2026-09-01,a
acme,instruct
acme,instruct,Arena text,85,2026-09-01,a,b
"""


def test_every_bad_line_is_named() -> None:
    """With its number, what is wrong, and what to do."""
    taken, problems = own.read(HEADER + BAD, LINKS)
    assert taken == []
    assert [problem.partition(":")[0] for problem in problems] == [f"line {n}" for n in range(2, 14)]
    assert "did you mean 'Arena text'?" in problems[0]
    assert own.read("model,score\nacme,1\n", LINKS)[1] == [
        "line 1: the columns must be model,mode,fact,value,date,source"
    ]


@pytest.mark.fault("a file of facts with bad lines", "I10")
def test_a_bad_line_changes_nothing(tmp_path: Path) -> None:
    """The table stays as it was, and a bad table is refused as a whole."""
    mine = tmp_path / "state" / "facts.csv"
    good = OwnFact(
        model="acme", mode="instruct", fact="Arena text", value="85", date="2026-09-01", source="a"
    )
    assert facts.add(mine, [good]) == 1
    before = mine.read_text()
    given = tmp_path / "given.csv"
    given.write_text(HEADER + "acme,instruct,Arena text,90,2026-09-02,a\n" + BAD)
    with pytest.raises(ConfigurationError, match=r"nothing was taken; bad lines: 12\. line 3: "):
        facts.facts_in(given)
    assert mine.read_text() == before
    mine.write_text(before + BAD)
    with pytest.raises(ConfigurationError, match="line 3"):
        facts.load(mine)


def test_own_facts_move_the_expectation(tmp_path: Path) -> None:
    """Of a model that nobody lists, and of a listed one; a newer value takes the place of an older one."""
    mine = tmp_path / "facts.csv"
    assert facts.load(mine) is bundled()
    assert of_name("acme-chat-30b").basis == "size"
    facts.add(mine, own.read(
        HEADER
        + "acme-chat-30b,instruct,Arena text,60,2026-09-01,Arena 2026-09\n"
        + "acme-chat-30b,instruct,released,2026-08-01,,acme.example\n"
        + "acme-chat-30b,,total_b,30,,acme.example\n"
        + "acme-chat-30b,,spelling,acme/chat-large,,acme.example\n"
        + "gpt-5,,shutdown,2027-03-01,,openai.com\n",
        LINKS,
    )[0])  # fmt: skip
    low = of_name("acme/chat-large", facts.load(mine))
    assert (low.name, low.basis, low.sources) == ("acme-chat-30b", "model", ("Arena 2026-09",))
    new = own.read(HEADER + "acme-chat-30b,instruct,Arena text,88,2026-09-20,Arena 2026-09\n", LINKS)[0]
    assert facts.add(mine, new) == 5
    high = of_name("acme/chat-large", facts.load(mine))
    assert high.expectations["chat"].quality > low.expectations["chat"].quality + 0.1
    assert str(of_name("gpt-5", facts.load(mine)).shutdown) == "2027-03-01"
    assert of_name("gpt-5", facts.load(mine)).expectations["chat"].quality == pytest.approx(
        of_name("gpt-5").expectations["chat"].quality, abs=0.01
    )


def test_the_place_of_own_facts(tmp_path: Path) -> None:
    """As configured, else in the state directory."""
    assert facts.place(Settings(), tmp_path) == tmp_path / "facts.csv"
    configured = Settings(recommend=Recommend(facts=str(tmp_path / "mine.csv")))
    assert facts.place(configured, Path("/nowhere")) == tmp_path / "mine.csv"


async def test_the_commands(tmp_path: Path) -> None:
    """`knowledge show` says what is expected and why, `knowledge update` takes facts or says what is wrong."""
    place = ("--state-dir", str(tmp_path))
    shown = await vedette("knowledge", "show", "llama3.1:8b", *place)
    assert shown.code == 0, shown.err
    assert "llama3.1:8b: recognised as llama-3.1-8b" in shown.out
    assert "Arena 2025-12" in shown.out
    told = (await vedette("knowledge", "show", "gpt-4o-2024-08-06", "--json", *place)).json()
    assert told["recognised_as"] == "gpt-4o-2024-08-06"
    assert told["expectations"]["chat"]["quality"] == known_quality("gpt-4o-2024-08-06")
    assert {"fact", "value", "date", "source"} <= set(told["facts"][0])
    ended = await vedette("knowledge", "show", "gpt-4o-2024-08-06", *place)
    assert "warning: its service ended on 2026-02-27" in ended.out
    given = tmp_path / "given.csv"
    given.write_text(HEADER + "acme-1b,instruct,Arena text,60,2026-09-01,Arena 2026-09\n")
    taken = await vedette("knowledge", "update", str(given), "--json", *place)
    assert taken.json() == {"taken": 1, "models": ["acme-1b"], "file": str(tmp_path / "facts.csv"), "held": 1}
    assert "acme-1b: recognised as acme-1b" in (await vedette("knowledge", "show", "acme-1b", *place)).out
    given.write_text(HEADER + BAD)
    refused = await vedette("knowledge", "update", str(given), *place)
    assert (refused.code, refused.out) == (2, "")
    assert "line 2: fact 'Arena txt': no benchmark of that name is known" in refused.err
    missing = await vedette("knowledge", "update", str(tmp_path / "none.csv"), *place)
    assert (missing.code, "cannot be read: No such file" in missing.err) == (2, True)


def known_quality(name: str) -> float:
    return of_name(name).expectations["chat"].quality
