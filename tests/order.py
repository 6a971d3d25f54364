"""The order of the tests: the longest begin, and each worker collects in an order of its own."""

import os
from collections.abc import Generator

import pytest

from lanes import chosen

# What takes long begins, so that no worker is left alone with it at the end: what computes among what waits.
_LONGEST = (
    "test_quality.py",
    "test_kill.py",
    "test_demo.py",
    "test_disk.py",
    "test_up.py",
    "test_cluster.py",
    "test_snippets.py",
    "test_clock.py",
    "test_console.py",
    "test_broker.py",
    "test_rolling.py",
    "test_recorder.py",
    "test_hostile_bus.py",
    "test_costs.py",
    "test_secrets.py",
    "test_apart.py",
    "test_json.py",
    "test_commands.py",
    "test_recommending.py",
    "test_webhooks.py",
    "test_gate.py",
    "test_client.py",
    "test_lifecycle.py",
    "test_recording.py",
    "test_gateway_keys.py",
    "test_endpoints.py",
    "test_doctor.py",
    "test_counting.py",
    "test_spending.py",
    "test_reloading.py",
    "test_stopping.py",
)


# Which of how many workers this is.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Have each worker begin a folder elsewhere.

    Each imports all tests, and on a fresh clone most of that is compiling: it then finds what others have compiled.
    """
    report = yield
    if isinstance(collector, pytest.Directory) and report.passed:
        first = len(report.result) * _WORKER // _WORKERS
        report.result = [*report.result[first:], *report.result[:first]]
    return report


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest tests first; all else is in the same order in each worker."""
    if _WORKERS > 1:
        items.sort(key=lambda item: str(item.path))
    names = [item.path.name for item in items]
    known = [
        (_LONGEST.index(name), item) for name, item in zip(names, items, strict=True) if name in _LONGEST
    ]
    longest = [item for _, item in sorted(known, key=lambda one: one[0])]
    rest = [item for name, item in zip(names, items, strict=True) if name not in _LONGEST]
    # With `fast`, workers get equal parts, in order (worksteal); else each gets one test at a time (.ci/run).
    parts = _WORKERS if "fast" in chosen(config.option.lane) else 1
    each = len(items) // parts
    items.clear()
    for number in range(parts):
        begins = longest[number::parts]
        goes_on = max(0, each - len(begins))
        items += [*begins, *rest[:goes_on]]
        del rest[:goes_on]
    items += rest
