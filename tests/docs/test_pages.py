"""Pages that show what the code computes show what it computes today."""

import ast
import io
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import casebook
import lanes
from faults.table import INVARIANTS
from vedette.cli import output, showing
from vedette.messages.events import ModelChanged, ModelFound, ModelLost
from vedette.usecases import BUILT_IN

ROOT = Path(__file__).parents[2]
LEVELS = ("debug", "info", "warning", "error", "critical")
EVENT = re.compile(r"[a-z_]+\.[a-z_]+")
COLUMNS = ("quality", "speed", "ttft", "reliability", "context", "price")


def test_the_worked_example_is_what_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "scores.md").read_text()
    match = re.search(r"<!-- explained: (.*?) -->\n```text\n(.*?)\n```", page, re.DOTALL)
    assert match is not None
    written = io.StringIO()
    screen = output.Screen(file=written, width=170)
    monkeypatch.setattr(showing, "out", screen)
    monkeypatch.setattr(output, "out", screen)
    showing.show_explanation(casebook.explain(casebook.read((ROOT / match[1]).read_text())))
    assert [line.rstrip() for line in written.getvalue().strip().splitlines()] == match[2].splitlines()


def test_the_invariants_are_those_that_tests_name() -> None:
    page = (ROOT / "docs" / "faults.md").read_text()
    assert dict(re.findall(r"^\| (I\d+) \| (.*) \|$", page, re.MULTILINE)) == INVARIANTS


def test_the_table_of_faults_has_each_fault_of_the_tests() -> None:
    """With its invariants. Only a test that names a protection can fail without it."""
    page = (ROOT / "docs" / "faults.md").read_text()
    table = page.partition("\n| fault | what has to hold | trials | bites |\n|---|---|---|---|\n")[2]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.partition("\n\n")[0].splitlines()
    ]
    faults = list(_faults())
    assert {(what, frozenset(held.split())) for what, held, *_ in rows} == {fault for fault, _ in faults}
    protected = {what for (what, _), has_protection in faults if has_protection}
    assert {what for what, _, _, bites in rows if bites} <= protected


def _faults() -> Iterator[tuple[tuple[str, frozenset[str]], bool]]:
    """Yield each fault that a test causes, with its invariants, and whether the test names a protection."""
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("pytest.mark.fault", "_fault"):
                said = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
                if said:  # else a function that gets them as arguments
                    what, *held = map(str, said)
                    yield (what, frozenset(held)), any(one.arg == "without" for one in node.keywords)


def test_contributors_see_every_lane_of_the_tests() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    table = page.partition("\n| lane |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == lanes.LANES.keys()


def test_the_table_of_use_cases_is_the_code_s() -> None:
    page = (ROOT / "docs" / "use-cases.md").read_text()
    assert _rows(page, "use cases") == [
        [
            name,
            *(f"{use_case.weights[signal]:.2f}" for signal in COLUMNS),
            ", ".join(use_case.requires),
        ]
        for name, use_case in BUILT_IN.items()
    ]


def test_the_table_of_bounds_is_the_code_s() -> None:
    page = (ROOT / "docs" / "use-cases.md").read_text()
    assert _rows(page, "bounds") == [
        [
            name,
            " + ".join(f"{tokens:,}" for tokens in use_case.tokens),
            *("-" if bound is None else f"{bound:g}" for bound in msgspec.structs.astuple(use_case.bounds)),
        ]
        for name, use_case in BUILT_IN.items()
    ]


def test_the_tables_of_the_log_are_the_code_s() -> None:
    """Every event that a service logs, with its level; those of models are the lifecycle's."""
    page = (ROOT / "docs" / "logs.md").read_text()
    documented = re.findall(r"^\| `([\w.]+)` \| (\w+) \|", page, re.MULTILINE)
    lifecycle = [(kind.TYPE, "info") for kind in (ModelFound, ModelChanged, ModelLost)]
    assert sorted(documented) == sorted({*_logged(), *lifecycle})


def _logged() -> Iterator[tuple[str, str]]:
    """Yield name and level of each event that the code logs."""
    for folder in ("shared", "services"):
        for path in (ROOT / folder).rglob("*.py"):
            source = path.read_text()
            if not any(f".{level}(" in source for level in LEVELS):
                continue
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                    name, level = node.args[0], node.func.attr
                    if (
                        level in LEVELS
                        and isinstance(name, ast.Constant)
                        and EVENT.fullmatch(str(name.value))
                    ):
                        yield str(name.value), level


def _rows(page: str, name: str) -> list[list[str]]:
    table = page.partition(f"<!-- table: {name} -->\n")[2].partition("\n<!-- end -->")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
