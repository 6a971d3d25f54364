"""Tests wait for conditions, put nothing else in a place of the product's, and see it from outside.

What still does otherwise is listed with how often: a number may go down, and then it is to be changed here.
"""

import ast
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
# Programs that make load and faults in time, and measure: they are no tests.
PROGRAMS = {
    "benchmarks",
    "soak.py",
    "growth.py",
    "fleet.py",
    "storm.py",
    "asking.py",
    "publishing.py",
    "replicas.py",
}

SLEEPS = {
    "eventually.py": 1,  # the one that all others wait by
    "faults/breaking.py": 3,  # how long something is broken is what these try
    "faults/proxy.py": 1,
    "faults/test_broker.py": 6,
    "faults/test_clock.py": 1,
    "faults/test_hostile_bus.py": 1,
    "faults/test_kill.py": 1,
    "faults/test_recorder.py": 1,
    "faults/test_rolling.py": 1,
    "integration/test_waiting.py": 1,
    "providers/replay.py": 2,  # a server that is slow
    "providers/test_hostile.py": 1,
}
PATCHES = {
    "docs/test_pages.py": 2,
    "faults/table.py": 1,  # --unprotected
    "integration/test_announcing.py": 1,
    "integration/test_asof.py": 1,
    "integration/test_bus.py": 2,
    "integration/test_days.py": 1,
    "integration/test_history.py": 1,
    "integration/test_recording.py": 1,
    "integration/test_store.py": 2,
    "preloaded.py": 3,  # the arguments and streams of a new process
    "providers/test_hostile.py": 1,  # of Python's: which certificates are read
    "providers/test_listings.py": 2,  # of the event loop: what a name resolves to
    "providers/test_outbound.py": 1,
    "unit/test_top.py": 2,  # a package that is not installed
}
PRIVATE = {
    "integration/test_announcing.py": 6,
    "integration/test_client.py": 3,
    "integration/test_reports.py": 7,
    "integration/test_watching.py": 6,
    "providers/test_refusals.py": 1,
}


def _sleeps(node: ast.AST) -> bool:
    """Return whether *node* sleeps; giving others a turn is no sleep."""
    return (
        isinstance(node, ast.Call)
        and _last(node.func) == "sleep"
        and ast.unparse(node.func) in ("asyncio.sleep", "time.sleep", "sleep")
        and not (isinstance(node.args[0], ast.Constant) and node.args[0].value == 0)
    )


def _last(named: ast.AST) -> str:
    """Return the last name of *named*, or "": to write out every call as source takes seconds."""
    return named.attr if isinstance(named, ast.Attribute) else named.id if isinstance(named, ast.Name) else ""


def _patches(node: ast.AST) -> bool:
    """Return whether *node* puts something else in the place of an attribute."""
    if isinstance(node, ast.ImportFrom | ast.Import):
        return "mock" in ast.unparse(node)
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Name):
        return node.func.id in ("setattr", "delattr")
    return (
        isinstance(node.func, ast.Attribute)
        and node.func.attr in ("setattr", "delattr", "setitem", "delitem")
        and ast.unparse(node.func.value) in ("monkeypatch", "patch", "object")
    )


def _assigned(tree: ast.AST) -> int:
    """Return how many attributes of imported modules and classes *tree* assigns or deletes: a patch without a name."""
    imported = {
        (name.asname or name.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    return sum(
        isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store | ast.Del)
        and ast.unparse(node.value).partition(".")[0] in imported
        for node in ast.walk(tree)
    )


def _reaches_inside(node: ast.AST) -> bool:
    """Return whether *node* takes a private member of another object or module."""
    if isinstance(node, ast.ImportFrom):
        return any(_private(name.name) for name in node.names)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
        return isinstance(node.args[1], ast.Constant) and _private(str(node.args[1].value))
    return (
        isinstance(node, ast.Attribute)
        and _private(node.attr)
        and ast.unparse(node.value) not in ("self", "cls", "os")
    )


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in _OF_TUPLES


# Public members of named tuples, whose names begin so that no field has the same.
_OF_TUPLES = ("_replace", "_asdict", "_fields")


@cache
def _found() -> dict[Callable[[ast.AST], bool], Counter[str]]:
    """Return for each habit how often each module has it: every module is read once."""
    found = {bad: Counter[str]() for bad in (_sleeps, _patches, _reaches_inside)}
    for file in TESTS.rglob("*.py"):
        name = file.relative_to(TESTS)
        if PROGRAMS.intersection(name.parts):
            continue
        tree = ast.parse(file.read_text())
        if assigned := _assigned(tree):
            found[_patches][str(name)] += assigned
        for node in ast.walk(tree):
            for bad, count in found.items():
                if bad(node):
                    count[str(name)] += 1
    return found


@pytest.mark.parametrize(
    ("bad", "known"),
    [(_sleeps, SLEEPS), (_patches, PATCHES), (_reaches_inside, PRIVATE)],
    ids=["sleep", "patch", "reach inside"],
)
def test_tests_do_not(bad: Callable[[ast.AST], bool], known: dict[str, int]) -> None:
    found = _found()[bad]
    assert {name: count for name, count in found.items() if known.get(name) != count} == {}
    assert known.keys() <= found.keys()


@pytest.mark.parametrize(
    ("code", "bad"),
    [
        ("await asyncio.sleep(0.1)", _sleeps),
        ("time.sleep(one)", _sleeps),
        ("from unittest import mock", _patches),
        ("monkeypatch.setattr(bus, 'publish', away)", _patches),
        ("monkeypatch.setitem(sys.modules, 'textual', None)", _patches),
        ("setattr(bus, 'publish', away)", _patches),
        ("client._connection", _reaches_inside),
        ("from vedette.bus import _deep", _reaches_inside),
        ("getattr(process, '_transport', None)", _reaches_inside),
    ],
)
def test_each_is_found(code: str, bad: Callable[[ast.AST], bool]) -> None:
    tree = ast.parse(code, mode="exec")
    assert any(bad(node) for node in ast.walk(tree))


@pytest.mark.parametrize(
    "code", ["await asyncio.sleep(0)", "self._x", "module.__version__", "monkeypatch.setenv('A', 'b')"]
)
def test_what_is_allowed_is_not_found(code: str) -> None:
    assert not any(
        bad(node) for node in ast.walk(ast.parse(code)) for bad in (_sleeps, _patches, _reaches_inside)
    )


def test_an_attribute_of_a_module_that_is_assigned_is_found() -> None:
    assert _assigned(ast.parse("from vedette import bus\nbus.publishing.TIMEOUT_S = 1\ndel bus.x")) == 2
    assert not _assigned(ast.parse("from vedette import bus\none = bus.Bus()\none.x = 1"))
