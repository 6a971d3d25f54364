"""Evaluations of real models: whether a stronger one scores higher beyond the intervals, and two seeds agree."""

import time
from pathlib import Path

from benchmarks.fidelity import opened
from pruned import prune
from vedette.demo.server import serving, weights
from vedette.providers import Endpoint
from vedette.settings import Evaluating
from vedette.types import Capability, ModelInfo, ModelRef, Score
from vedette_benchmarker.asking import Asker
from vedette_benchmarker.grader import open_grader
from vedette_benchmarker.grading import Graded
from vedette_benchmarker.suites import Suite
from vedette_benchmarker.suites.registry import SUITES

BLOCKS = 3  # of SmolLM2's thirty
REPEATED = "arithmetic"  # the suite whose seeds are compared: short answers, some of them right


async def measure(directory: Path, *, items: int, repetitions: int) -> None:
    """Print the scores of SmolLM2-135M, whole and pruned, unless *items* is 0, and how often two seeds agree."""
    pruned = prune(weights(), directory / "pruned.gguf", keep=BLOCKS)
    async with (
        serving(directory, model=pruned, name="m") as weak,
        serving(directory, name="m") as strong,
        opened(weak) as pruned_one,
        opened(strong) as whole_one,
    ):
        if items:
            await _compare(pruned_one.endpoint, whole_one.endpoint, items)
        await _repeat(whole_one.endpoint, repetitions)


async def _compare(weak: Endpoint, strong: Endpoint, items: int) -> None:
    print("| suite | pruned | 95 % | whole | 95 % | disjoint | requests | tokens out | s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for suite in SUITES:
        if suite.needs is Capability.EMBEDDING:
            continue
        began = time.perf_counter()
        low, _ = await _grade(weak, suite, seed=1, items=items)
        high, asker = await _grade(strong, suite, seed=1, items=items)
        apart = "yes" if low.interval[1] < high.interval[0] else ""
        print(
            f"| {suite.name} | {_rate(low)} | {_interval(low)} | {_rate(high)} | {_interval(high)} | {apart} | "
            f"{asker.spent.requests} | {asker.spent.output_tokens} | {time.perf_counter() - began:.0f} |",
            flush=True,
        )


async def _repeat(endpoint: Endpoint, repetitions: int) -> None:
    (suite,) = [suite for suite in SUITES if suite.kind == REPEATED]
    agreed = 0
    for repetition in range(repetitions):
        one, _ = await _grade(endpoint, suite, seed=1000 + 2 * repetition, items=20)
        other, _ = await _grade(endpoint, suite, seed=1001 + 2 * repetition, items=20)
        agreed += one.interval[0] <= other.interval[1] and other.interval[0] <= one.interval[1]
    print(f"\n{suite.name}, 20 items: two seeds agree within their intervals in {agreed} of {repetitions}")


async def _grade(endpoint: Endpoint, suite: Suite, *, seed: int, items: int) -> tuple[Score, Asker]:
    info = ModelInfo(model=ModelRef("here", "m"), provider="", url="", api="", kind="chat")

    async def on_trial(graded: Graded) -> None:
        """Say nothing."""

    async with open_grader(None) as grader:
        asker = Asker(endpoint, info, Evaluating(items=items, least=items), grader)
        return (await asker.grade(suite, str(seed), on_trial)).score, asker


def _rate(score: Score) -> str:
    return f"{score.successes}/{score.trials}"


def _interval(score: Score) -> str:
    low, high = score.interval
    return f"{100 * low:.0f}-{100 * high:.0f} %"
