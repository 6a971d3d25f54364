"""What documents, docstrings and comments name in backticks exists."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ROOT / "shared", ROOT / "services"
MODULES = [path for folder in PACKAGES for path in sorted(folder.rglob("*.py"))]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("services/*/*.md")),
]
FILE = re.compile(r"[\w./]+/\w+\.py")
MEMBER = re.compile(r"([A-Z]\w+)\.(\w+)(?:\(.*\))?")


def members() -> dict[str, set[str]]:
    """Return by class what its body names: methods, fields, and the attributes that its methods set."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                found[node.name] |= set(named(node))
    return found


def named(node: ast.ClassDef) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            yield each.name
        elif isinstance(each, ast.Name | ast.Attribute) and isinstance(each.ctx, ast.Store):
            yield each.id if isinstance(each, ast.Name) else each.attr


def quoted() -> Iterator[tuple[str, str]]:
    """Yield what stands in backticks, and where."""
    for path in (*PAGES, *MODULES):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for words in re.findall(r"`([^`]+)`", line):
                yield f"{path.relative_to(ROOT)}:{number}", words


def test_files() -> None:
    """A module that is named with its folder is there."""
    there = [
        f"/{path.relative_to(ROOT)}"
        for folder in (*PACKAGES, ROOT / "tests", ROOT / "examples")
        for path in folder.rglob("*.py")
    ]
    gone = [
        f"{where} {words}"
        for where, words in quoted()
        if FILE.fullmatch(words) and not any(path.endswith(f"/{words}") for path in there)
    ]
    assert not gone


def test_members() -> None:
    """A class of ours has the member that is named."""
    classes = members()
    gone = [
        f"{where} {words}"
        for where, words in quoted()
        if (match := MEMBER.fullmatch(words)) and match[1] in classes and match[2] not in classes[match[1]]
    ]
    assert not gone


def test_no_design() -> None:
    """What a module cites is in the repository."""
    assert not [str(path) for path in (*PAGES, *MODULES) if re.search(r"\bDESIGN\b", path.read_text())]
