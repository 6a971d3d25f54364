"""The grading process: what it grades, and what becomes of an answer that it cannot grade."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from eventually import eventually
from vedette.errors import NotGraded
from vedette.providers import Finished
from vedette_benchmarker.answered import Answered
from vedette_benchmarker.grader import Answer, Given, Grader
from vedette_benchmarker.suites import Item, VectorItem, arithmetic, paraphrase
from vedette_benchmarker.suites.choosing import suites

SUITE = arithmetic.SUITE


def items(seed: str) -> Iterator[Item]:
    return (item for item in SUITE.items(Random(seed)) if isinstance(item, Item))


def given(answer: str | Answer | None = None, *, place: int = 0, seed: str = "1") -> Given:
    """Return *answer*, or the right one, to the question at *place*."""
    item = next(islice(items(seed), place, None))
    text = item.truth if answer is None else answer
    answered = Answered(text=text, finished=Finished(at=0.0)) if isinstance(text, str) else text
    return Given(suite=SUITE.name, seed=seed, place=place, prompt=item.prompt, answer=answered)


@asynccontextmanager
async def grader(folder: str | None = None, *, deadline_s: float = 60.0) -> AsyncIterator[Grader]:
    one = Grader(folder, deadline_s=deadline_s)
    try:
        yield one
    finally:
        await one.close()


def processes(parent: int) -> list[int]:
    """Return the grading processes of the process *parent*."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            command = (process / "cmdline").read_bytes().split(b"\0") if process.name.isdigit() else []
        except (FileNotFoundError, ProcessLookupError):
            continue
        if b"vedette_benchmarker.grader_process" in command and str(parent).encode() in command:
            found.append(int(process.name))
    return found


async def test_answers_are_graded_whatever_their_order() -> None:
    """One process grades them all, makes each question again from the seed, and ends with its grader."""
    async with grader() as one:
        for place, seed in ((0, "1"), (1, "1"), (5, "1"), (2, "1"), (0, "2")):
            assert (await one.verdict(given(place=place, seed=seed))).correct
            assert not (await one.verdict(given("no idea", place=place, seed=seed))).correct
        assert len(processes(os.getpid())) == 1
    assert processes(os.getpid()) == []


async def test_vectors_are_graded() -> None:
    item = next(paraphrase.SUITE.items(Random("1")))
    assert isinstance(item, VectorItem)
    right = [[float(meaning == one) for one in range(len(item.texts))] for meaning in item.truth]
    asked = "\n".join(item.texts)
    async with grader() as one:
        for vectors, correct in ((right, True), ([[1.0]] * len(right), False), ([[0.5] * 20_000], False)):
            answer = Given(suite=paraphrase.SUITE.name, seed="1", place=0, prompt=asked, answer=vectors)
            assert (await one.verdict(answer)).correct is correct


async def test_suites_of_ones_own_are_graded(tmp_path: Path) -> None:
    """They are read from the same folder; a question that has changed since is not graded by the new answer."""
    own = tmp_path / "own.jsonl"
    own.write_text('{"prompt": "1+1?", "checker": "number", "expected": 2}\n')
    suite = next(suite.name for suite in suites(str(tmp_path)) if suite.kind == "own")
    async with grader(str(tmp_path)) as one:
        answer = Answered(text="2", finished=Finished(at=0.0))
        asked = Given(suite=suite, seed="1", place=0, prompt="1+1?", answer=answer)
        verdict = await one.verdict(asked)
        assert verdict.correct, verdict
        changed = Given(suite=suite, seed="1", place=0, prompt="1+2?", answer=answer)
        with pytest.raises(NotGraded, match="changed since the service started"):
            await one.verdict(changed)


@pytest.mark.fault("grading an answer takes too long", "I5", "I13")
async def test_an_answer_over_the_deadline_is_not_graded() -> None:
    """It is neither right nor wrong, the loop is free meanwhile, and the next answer is graded."""
    async with grader() as one:
        await one.verdict(given())
    async with grader(deadline_s=0.5) as one:
        while True:  # on a busy machine even a short grading may be late
            try:
                await one.verdict(given())
                break
            except NotGraded:
                continue
        (process,) = processes(os.getpid())
        os.kill(process, signal.SIGSTOP)
        with pytest.raises(NotGraded, match="grading took longer"):
            await one.verdict(given())
        assert process not in processes(os.getpid())


@pytest.mark.lane("faults")
@pytest.mark.fault("grading an answer takes too much memory", "I6", "I13")
async def test_an_answer_over_the_memory_limit_is_not_graded() -> None:
    async with grader() as one:
        with pytest.raises(NotGraded):
            await one.verdict(given("1" * 300_000_000))
        assert (await one.verdict(given())).correct


@pytest.mark.fault("the grading process is killed", "I5", "I13")
async def test_the_next_answer_has_a_new_process() -> None:
    async with grader() as one:
        await one.verdict(given())
        (process,) = processes(os.getpid())
        os.kill(process, signal.SIGKILL)
        with pytest.raises(NotGraded, match="killed by signal 9"):
            await one.verdict(given())
        assert (await one.verdict(given())).correct


async def test_a_grading_given_up_leaves_no_reply_behind() -> None:
    """A reply that nobody waits for must not become the verdict on the next answer."""
    async with grader() as one:
        await one.verdict(given())
        (process,) = processes(os.getpid())
        os.kill(process, signal.SIGSTOP)
        late = asyncio.create_task(one.verdict(given("wrong")))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(late, 0.2)
        assert (await one.verdict(given())).correct


@pytest.mark.fault("the benchmarker is killed while it grades", "I6")
@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
async def test_the_process_ends_with_its_parent() -> None:
    """Also when it is not waiting for the next answer: stopped, it reads nothing."""
    program = (
        "import asyncio, sys\n"
        "from test_grader import given\n"
        "from vedette_benchmarker.grader import Grader\n"
        "async def main():\n"
        "    await Grader().verdict(given())\n"
        "    print('graded', flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{Path(__file__).parents[1]}:{Path(__file__).parent}"}
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=subprocess.PIPE, env=environment
    )
    try:
        assert parent.stdout is not None
        await parent.stdout.readline()
        (process,) = processes(parent.pid)
        os.kill(process, signal.SIGSTOP)
    finally:
        parent.kill()
        await parent.communicate()

    async def gone() -> bool:
        return not processes(parent.pid)

    await eventually(gone)
