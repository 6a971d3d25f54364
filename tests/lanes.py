"""The lanes of the tests: what `uv run pytest` runs, and what waits for `--lane`.

A test is in the lane of its mark, `@pytest.mark.lane("real")`; else in that of what it uses or where it stands; else in
`fast`. Without `--lane`, `fast` is run; all lanes when files or tests are named, or with `--faults`.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

LANES = {
    "fast": "all that follows is not in it: every service, provider and command, on scripted model servers",
    "faults": "breaks brokers, databases, clocks and processes, and waits until they are well again",
    "real": "measures real models",
    "snippets": "runs the code of the documents, and reads the contracts with other programs (npm)",
    "browser": "opens the console in a real browser",
    "image": "needs a Docker engine with the image",
}
_BY_FIXTURE = {"model_server": "real"}
_SIGNS = ("mark.lane(", *_BY_FIXTURE)
_BY_FOLDER = {Path(__file__).parent / name: name for name in ("faults", "browser")}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("lanes").addoption(
        "--lane",
        metavar="NAMES",
        help=f"which tests to run, separated by commas: {', '.join(LANES)}; all; slow (all but fast)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known, and decide what is run, once: a worker gets the options and not how they came about."""
    config.addinivalue_line("markers", "lane(name): when it is run; see lanes.py")
    if config.option.lane is None:
        named = config.args_source is config.ArgsSource.ARGS
        broad = named or config.getoption("faults") or config.getoption("unprotected")
        config.option.lane = "all" if broad else "fast"
    chosen(config.option.lane)


def chosen(option: str) -> set[str]:
    """Return the lanes that *option* names. Raises UsageError for one that there is none."""
    names = set(option.split(","))
    if "all" in names:
        return set(LANES)
    if "slow" in names:
        names = names - {"slow"} | LANES.keys() - {"fast"}
    if unknown := names - LANES.keys():
        raise pytest.UsageError(f"--lane: no lane {', '.join(unknown)}; there are {', '.join(LANES)}")
    return names


def lane_of(item: pytest.Item) -> str:
    """Return the lane of a test."""
    if mark := item.get_closest_marker("lane"):
        (name,) = mark.args
        assert name in LANES, f"{item.nodeid}: no lane {name}"
        return str(name)
    fixtures: Sequence[str] = getattr(item, "fixturenames", ())
    if used := [_BY_FIXTURE[name] for name in fixtures if name in _BY_FIXTURE]:
        return used[0]
    return _lane_of_folder(item.path)


@cache
def _lane_of_folder(file: Path) -> str:
    return next((lane for folder, lane in _BY_FOLDER.items() if file.is_relative_to(folder)), "fast")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not import files that have no test in the chosen lanes: to import all of them takes each process seconds."""
    wanted = chosen(config.option.lane)
    if wanted == {"fast"} and collection_path in _BY_FOLDER:
        return True
    if "fast" not in wanted and collection_path.match("test_*.py") and not _has_slow(collection_path):
        return True
    return None


@cache
def _has_slow(file: Path) -> bool:
    """Return whether tests of *file* may be in other lanes than `fast`: by its folder, or by what it says."""
    return any(map(file.is_relative_to, _BY_FOLDER)) or any(sign in file.read_text() for sign in _SIGNS)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is in other lanes."""
    wanted = chosen(config.option.lane)
    lanes = [lane_of(item) for item in items]
    slow = [item for item, lane in zip(items, lanes, strict=True) if lane != "fast"]
    missed = {item.nodeid for item in slow if not _has_slow(item.path)}
    assert not missed, f"no slow lane would find {missed}"
    left_out = [item for item, lane in zip(items, lanes, strict=True) if lane not in wanted]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item, lane in zip(items, lanes, strict=True) if lane in wanted]
