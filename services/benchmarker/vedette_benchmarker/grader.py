"""Grades answers in a separate process, so that no answer can delay the service.

A check is linear in an answer's length, but reading hostile text can still take long, or much memory. The grading
process has a deadline and limits. If an answer exceeds one of them, it is not graded: neither right nor wrong. The
next answer starts a new process. See docs/adr/0016.
"""

import asyncio
import os
import pickle
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import msgspec
from msgspec import Struct

from vedette.errors import NotGraded
from vedette_benchmarker.answered import Answered
from vedette_benchmarker.suites import Item, VectorItem, Verdict

DEADLINE_S = 15.0  # a grading takes milliseconds; its CPU time has its own limit (grader_process.py)
_START_S = 60.0
MAX_REPLY_BYTES = 64 * 1024
LENGTH_BYTES = 4

Answer = Answered | Sequence[Sequence[float]]  # a text, or the vectors of texts


class Given(Struct, frozen=True, kw_only=True):
    """An answer, and its question: the item at `place` of the suite with the seed.

    Checks are functions, which cannot be sent to a process, so the grading process makes the item again. `prompt`
    shows whether it made the same item.
    """

    suite: str
    seed: str
    place: int
    prompt: str
    answer: Answer


class Reply(Struct, frozen=True, kw_only=True):
    """The reply of the grading process: a verdict, or why there is none."""

    verdict: Verdict | None = None
    problem: str = ""


class Grading(Protocol):
    """A grader of answers."""

    async def verdict(self, given: Given) -> Verdict:
        """Return whether the answer is right. Raises NotGraded."""
        ...


def asked(item: Item | VectorItem) -> str:
    """Return the question of *item*."""
    return item.prompt if isinstance(item, Item) else "\n".join(item.texts)


class Grader:
    """Owns one grading process, which starts with the first answer and grades one answer at a time."""

    def __init__(self, folder: str | None = None, *, deadline_s: float = DEADLINE_S) -> None:
        self._folder = folder
        self._deadline_s = deadline_s
        self._process: Process | None = None
        self._turn = asyncio.Lock()

    async def verdict(self, given: Given) -> Verdict:
        """Return whether the answer is right. Raises NotGraded."""
        request = pickle.dumps(given)
        async with self._turn:
            reply = await self._exchange(request)
        if reply.verdict is None:
            raise NotGraded(problem=reply.problem)
        return reply.verdict

    async def close(self) -> None:
        """Stop the grading process."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()

    async def _exchange(self, request: bytes) -> Reply:
        """Send *request* and return the reply. After any failure, the process is not used again."""
        done = False
        try:
            process = self._process or await self._started()
            async with asyncio.timeout(self._deadline_s):
                reply = await _asked(process, request)
            done = True
        except TimeoutError as error:
            raise NotGraded(problem=f"grading took longer than {self._deadline_s:g} s") from error
        except (OSError, EOFError, msgspec.DecodeError) as error:
            raise NotGraded(problem=f"the grading process {await self._ending()}") from error
        finally:
            if not done:
                await self.close()
        return reply

    async def _started(self) -> Process:
        command = (sys.executable, "-P", "-X", "utf8", "-m", "vedette_benchmarker.grader_process")
        self._process = await asyncio.create_subprocess_exec(
            *command,
            str(os.getpid()),
            *((self._folder,) if self._folder else ()),
            stdin=PIPE,
            stdout=PIPE,
            env={},  # without the credentials in our environment
            start_new_session=True,  # Ctrl-C goes to the service only
        )
        async with asyncio.timeout(_START_S):
            await _reply_of(self._process)
        return self._process

    async def _ending(self) -> str:
        process = self._process
        if process is None:
            return "could not be started"
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await process.wait()
        code = process.returncode
        if code is None:
            return "sent no valid reply"
        return (
            f"was killed by signal {-code}: it reached a limit" if code < 0 else f"ended with status {code}"
        )


@asynccontextmanager
async def open_grader(folder: str | None) -> AsyncIterator[Grader]:
    """Open a grader for the built-in suites and those in *folder*."""
    grader = Grader(folder)
    try:
        yield grader
    finally:
        await grader.close()


async def _asked(process: Process, request: bytes) -> Reply:
    if process.stdin is None:
        raise EOFError
    process.stdin.write(len(request).to_bytes(LENGTH_BYTES, "big") + request)
    await process.stdin.drain()
    return await _reply_of(process)


async def _reply_of(process: Process) -> Reply:
    """Return the next reply. Raises EOFError or msgspec.DecodeError."""
    if process.stdout is None:
        raise EOFError
    length = int.from_bytes(await process.stdout.readexactly(LENGTH_BYTES), "big")
    if length > MAX_REPLY_BYTES:
        raise EOFError
    return msgspec.json.decode(await process.stdout.readexactly(length), type=Reply)
