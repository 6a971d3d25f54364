"""The grading process: reads answers from standard input, writes a verdict on each to standard output.

It runs with `python -m vedette_benchmarker.grader_process PARENT [FOLDER]`; `grader.py` starts it and keeps the
deadline. It ends with its parent, when its input ends, and at its limits of memory and CPU time.
"""

import ctypes
import math
import os
import pickle
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from random import Random
from typing import Any, BinaryIO

import msgspec

from vedette_benchmarker.grader import LENGTH_BYTES, Given, Reply, asked
from vedette_benchmarker.suites import Item, Suite, VectorItem, Verdict
from vedette_benchmarker.suites.choosing import suites

CPU_S = 5  # for one grading, which takes milliseconds
MEMORY_BYTES = 256 * 1024 * 1024  # of address space
_MAX_WHY_CHARS = 2000
_NICENESS = 10  # a grading can wait, a recommendation cannot
_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str]) -> int:
    """Grade until the input ends. Returns the exit status."""
    parent, *folder = arguments
    _end_with(int(parent))
    _limit()
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # no suite can write among the replies
    graded = Suites(suites(folder[0] if folder else None))
    _reply(replies, Reply())
    while header := sys.stdin.buffer.read(LENGTH_BYTES):
        request = sys.stdin.buffer.read(int.from_bytes(header, "big"))
        _limit_cpu()
        _reply(replies, graded.reply(pickle.loads(request)))  # noqa: S301 - our parent wrote it
    return 0


class Suites:
    """The suites, and the position of the last graded item of the current suite."""

    def __init__(self, found: Sequence[Suite]) -> None:
        self._suites: Mapping[str, Suite] = {
            level.name: level for suite in found for level in suite.asked.values()
        }
        self._at: tuple[str, str, int] = ("", "", 0)
        self._items: Iterator[Item | VectorItem] = iter(())

    def reply(self, given: Given) -> Reply:
        """Return the verdict on an answer, or why there is none."""
        try:
            item = self._item(given)
            if item is None or asked(item) != given.prompt:
                return Reply(problem=f"suite {given.suite} changed since the service started; restart it")
            check: Callable[[Any], Verdict] = item.check  # for an item with vectors, the answer is vectors
            verdict = check(given.answer)
        except (Exception, RecursionError, MemoryError) as error:  # noqa: BLE001 - said, and the next is graded
            return Reply(problem=f"{type(error).__name__} while grading")
        return Reply(verdict=msgspec.structs.replace(verdict, why=verdict.why[:_MAX_WHY_CHARS]))

    def _item(self, given: Given) -> Item | VectorItem | None:
        suite, seed, at = self._at
        if (suite, seed) != (given.suite, given.seed) or at > given.place:
            found, at = self._suites.get(given.suite), 0
            self._items = found.items(Random(given.seed)) if found else iter(())  # noqa: S311
        item = next(islice(self._items, given.place - at, None), None)
        self._at = (given.suite, given.seed, given.place + 1)
        return item


def _end_with(parent: int) -> None:
    """Make the kernel kill this process when *parent* dies, also if it died already [PR_SET_PDEATHSIG(2const)]."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)


def _limit() -> None:
    os.nice(_NICENESS)
    for limited, most in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CORE, 0)):
        with suppress(ValueError, OSError):  # macOS does not limit address space; the deadline stays
            _, hard = resource.getrlimit(limited)
            resource.setrlimit(limited, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _limit_cpu() -> None:
    """Allow the next grading its CPU time; over it the kernel ends this process."""
    most = math.ceil(time.process_time()) + CPU_S
    with suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (most, hard))


def _reply(replies: BinaryIO, reply: Reply) -> None:
    text = msgspec.json.encode(reply)
    replies.write(len(text).to_bytes(LENGTH_BYTES, "big") + text)
    replies.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
