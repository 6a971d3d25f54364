"""The table of faults: what was broken, what had to hold then, how often it was tried, and how often it did not hold.

A test that breaks something says so by `@pytest.mark.fault(what, *invariants)`; one test is
one trial, unless the mark says `trials` or the test records them. `--faults` prints the table of those
that ran. `--unprotected` runs those that name what protects against their fault (`without`, as `module:name`, and what
to put in its place) with that taken away: each must fail then, or it would have shown nothing.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import Struct

# What must hold, whatever breaks. The invariants of docs/faults.md.
INVARIANTS = {
    "I1": "every acknowledged event is in the database, once",
    "I2": "the database contains only published events",
    "I3": "no acknowledgement before the commit",
    "I4": "every request gets a reply or a typed error in time",
    "I5": "a live process receives messages; otherwise it is not ready, stopped, or busy with work",
    "I6": "memory is bounded",
    "I7": "secrets stay where they belong",
    "I8": "no connection to an address that is not allowed",
    "I9": "a status changes after K results, in one event",
    "I10": "a reply states what it includes, and the statement is true",
    "I11": "SIGTERM stops a process in time; its work is finished or returned",
    "I12": "one replica, any one, does each job once",
    "I13": "one client or server does not harm others",
}


class Fault(Struct, frozen=True, order=True):
    """What a test breaks, and the invariants that have to hold."""

    what: str
    invariants: tuple[str, ...]

    @classmethod
    def of(cls, mark: pytest.Mark) -> "Fault":
        """Return the fault that *mark* names. Raises KeyError for an invariant that there is none."""
        what, *invariants = mark.args
        for invariant in invariants:
            INVARIANTS[invariant]
        return cls(what, tuple(invariants))


class Tried(Struct):
    """How often a fault was tried, and how often something did not hold."""

    trials: int = 0
    violations: int = 0


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the two options."""
    group = parser.getgroup("faults")
    group.addoption("--faults", action="store_true", help="run the tests that break something; print a table")
    group.addoption(
        "--unprotected",
        action="store_true",
        help="run those that name their protection without it: each must fail",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known, and the table's place."""
    config.addinivalue_line(
        "markers", "fault(what, *invariants, trials, without): breaks something; see faults/table.py"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what breaks nothing, when asked for what does."""
    if not (config.getoption("faults") or config.getoption("unprotected")):
        return
    chosen = []
    for item in items:
        mark = item.get_closest_marker("fault")
        unprotected = config.getoption("unprotected")
        if mark is None or (unprotected and "without" not in mark.kwargs):
            continue
        if unprotected:
            item.add_marker(pytest.mark.xfail(reason="its protection is taken away", strict=True))
        chosen.append(item)
    items[:] = chosen


@pytest.fixture(autouse=True)
def _unprotected(request: pytest.FixtureRequest) -> Iterator[None]:
    """Take away what protects against the fault of this test, when asked to."""
    mark = request.node.get_closest_marker("fault")
    if mark is None or not request.config.getoption("unprotected"):
        yield
        return
    place, value = mark.kwargs["without"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place.replace(":", "."), value)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Have the report say which fault was tried: it may come from another process."""
    report = yield
    mark = item.get_closest_marker("fault")
    if mark is not None:
        fault = Fault.of(mark)
        report.user_properties.append(
            ("fault", [fault.what, list(fault.invariants), mark.kwargs.get("trials", 1)])
        )
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table, or which faults were seen to bite."""
    write = terminalreporter.write_line
    for report in terminalreporter.stats.get("xfailed", ()) if config.getoption("unprotected") else ():
        write(f"bites without its protection: {dict(report.user_properties)['fault'][0]} ({report.nodeid})")
    if not config.getoption("faults"):
        return
    tried = _tried(
        (outcome, report)
        for outcome in ("passed", "failed", "error", "skipped")
        for report in terminalreporter.stats.get(outcome, ())
    )
    write("")
    write("| fault | what has to hold | trials | violations |")
    write("|---|---|---|---|")
    for fault, count in sorted(tried.items()):
        held = "; ".join(INVARIANTS[invariant] for invariant in fault.invariants)
        shown = "not tried here" if not count.trials else f"{count.trials:,}"
        write(f"| {fault.what} | {' '.join(fault.invariants)}: {held} | {shown} | {count.violations} |")
    total = Tried(
        trials=sum(count.trials for count in tried.values()),
        violations=sum(count.violations for count in tried.values()),
    )
    ran = sum(count.trials > 0 for count in tried.values())
    write("")
    write(f"{ran} faults, {total.trials:,} trials, {total.violations} violations")


def _tried(reports: Iterator[tuple[str, Any]]) -> dict[Fault, Tried]:
    tried: dict[Fault, Tried] = defaultdict(Tried)
    for outcome, report in reports:
        noted = dict(getattr(report, "user_properties", ()))
        if "fault" not in noted or (report.when != "call" and outcome == "passed"):
            continue
        what, invariants, trials = msgspec.convert(noted["fault"], tuple[str, tuple[str, ...], int])
        count = tried[Fault(what, invariants)]
        if outcome != "skipped":
            count.trials += int(noted.get("trials", trials))
            count.violations += outcome != "passed"
    return tried
