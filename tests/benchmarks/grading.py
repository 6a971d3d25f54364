"""How fairly answers are graded: right ones in many shapes, wrong ones that look right, programs run and read."""

import asyncio
from collections.abc import Sequence

from answer_shapes import Answer, right_and_wrong, wrong, wrong_programs
from vedette.providers import Delta, Finished
from vedette_benchmarker import sandbox
from vedette_benchmarker.answered import whole
from vedette_benchmarker.suites import Suite
from vedette_benchmarker.suites.registry import SUITES

AT_ONCE = 2
WITHOUT_TEXT = ("tools", "paraphrase", "retrieval")


async def measure(*, run: bool) -> None:
    """Print, by suite, how many right and wrong answers are graded so; programs are read only without *run*."""
    print("| suite | right answers graded right | wrong answers graded wrong |")
    print("|---|---|---|")
    for suite in SUITES:
        if suite.kind not in WITHOUT_TEXT:
            answers = [*right_and_wrong(suite), *wrong(suite)]
            if suite.kind == "code_generation":
                answers += wrong_programs(suite)
            print(await _row(suite, answers, run=run), flush=True)


async def _row(suite: Suite, answers: Sequence[Answer], *, run: bool) -> str:
    turn = asyncio.Semaphore(AT_ONCE)

    async def graded(answer: Answer) -> bool:
        text = [Delta(at=0.0, text=answer.text), Finished(at=1.0, reason="stop")]
        verdict = answer.item.check(whole(text))
        if not (run and answer.item.program_tests and verdict.program):
            return verdict.correct
        async with turn:
            return (await sandbox.run(verdict.program, answer.item.program_tests)).ok

    verdicts = list(zip(answers, await asyncio.gather(*map(graded, answers)), strict=True))
    sides = (
        _share([found is right for answer, found in verdicts if answer.right is right])
        for right in (True, False)
    )
    return f"| `{suite.kind}` | {' | '.join(sides)} |"


def _share(agreed: Sequence[bool]) -> str:
    return f"{sum(agreed)} of {len(agreed)}"
