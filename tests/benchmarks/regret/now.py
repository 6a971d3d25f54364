"""How soon answers follow what changes, and what a crowd gets: this version, and an earlier one.

`python -m benchmarks.regret.now RUNS` prints the figures of whatever checkout is imported, as JSON.
"""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from benchmarks.regret import crowds, hours

Figures = Mapping[str, Mapping[str, float]]
_TESTS: Final = Path(__file__).parents[2]


def measure(runs: int) -> Figures:
    """Return every figure, by what happens; seconds without an end are infinite."""
    return {**hours.measure(runs), **crowds.crowd(runs)}


def measure_in(checkout: Path, runs: int) -> Figures:
    """Return the figures of another *checkout*."""
    command = ["uv", "run", "--quiet", "--project", str(checkout), "python", "-m", __name__, str(runs)]
    told = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        check=True,
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(_TESTS)},
    )
    found: Figures = json.loads(told.stdout)
    return found


def lines(figures: Mapping[str, Figures]) -> Iterator[str]:
    """Yield the tables as Markdown, a column for each version."""
    versions = list(figures)
    first = figures[versions[0]]
    yield f"| what happens | figure | {' | '.join(versions)} |"
    yield "|---|---|" + "---:|" * len(versions)
    for what, found in first.items():
        for name in found:
            shown = (_shown(name, figures[version][what][name]) for version in versions)
            yield f"| {what} | {name} | {' | '.join(shown)} |"


def _shown(name: str, value: float) -> str:
    if not math.isfinite(value):
        return "never"
    return f"{value:,.0f} s" if name.endswith("_s") else f"{value:.2f}"


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
