"""The processor time of one answer in process, and the memory of the process: this version and an earlier one.

`python -P answering.py MODELS` answers in a process of its own: a thousand queries each time a line comes on its input,
no two of them answered alike. It prints the microseconds of processor time for one of them, and its peak memory (MB).
"""

import gc
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

_HERE = Path(__file__).parents[2]
_QUERIES = 1000
_FIRST = 2000


def measure(before: Path, models: int, rounds: int) -> Iterator[str]:
    """Yield the table of docs/benchmarks.md."""
    with ExitStack() as stack:
        asked = [stack.enter_context(_answering(checkout, models)) for checkout in (before, _HERE)]
        took_us: list[list[float]] = [[], []]
        memory_mb = [0.0, 0.0]
        for turn in range(rounds):
            for one in (0, 1) if turn % 2 == 0 else (1, 0):
                us, memory_mb[one] = _round(asked[one])
                took_us[one].append(us)
    low, middle, high = statistics.quantiles((now / was for was, now in zip(*took_us, strict=True)), n=4)
    was_us, now_us = map(statistics.median, took_us)
    yield "| models | before, µs | this version, µs | ratio (quartiles) | pairs | before, MB | this version, MB |"
    yield "|---|---|---|---|---|---|---|"
    times = f"{was_us:.0f} | {now_us:.0f} | **{middle:.2f}** ({low:.2f} to {high:.2f}) | {rounds}"
    yield f"| {models} | {times} | {memory_mb[0]:.0f} | {memory_mb[1]:.0f} |"


@contextmanager
def _answering(checkout: Path, models: int) -> Iterator[Popen[str]]:
    """Run this module on the packages and the population of *checkout*; yield it when it has answered some."""
    command = ["uv", "run", "--quiet", "--project", str(checkout), "python", "-P", __file__, str(models)]
    environment = {**os.environ, "PYTHONPATH": str(checkout / "tests")}
    environment.pop("VIRTUAL_ENV", None)
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True, cwd=checkout, env=environment) as process:
        _round(process)
        yield process
        assert process.stdin is not None
        process.stdin.close()


def _round(process: Popen[str]) -> tuple[float, float]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise subprocess.CalledProcessError(process.wait(), process.args)
    us, memory_mb = map(float, line.split())
    return us, memory_mb


def _answer(models: int) -> None:
    from benchmarks import inprocess, questions

    made, _ = inprocess.filled(models)
    payloads = questions.unlike(seed=7, models=models)
    gc.collect()
    gc.freeze()
    for _ in range(_FIRST):
        made.answers.answer("recommend.best", next(payloads))
    for _ in sys.stdin:
        asked = [next(payloads) for _ in range(_QUERIES)]
        began = time.process_time()
        for payload in asked:
            made.answers.answer("recommend.best", payload)
        us = (time.process_time() - began) / _QUERIES * 1e6
        print(us, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)


if __name__ == "__main__":
    _answer(int(sys.argv[1]))
