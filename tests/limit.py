"""A time limit for each test, and where it waited: a test that hangs fails with its name, and the next one runs."""

import asyncio
import signal
from collections.abc import Generator, Iterator
from types import CoroutineType, FrameType, GeneratorType
from typing import NoReturn

import pytest

from lanes import lane_of

# Longer than `eventually` waits, which says what for.
_MAX_S = {"fast": 700}
_MAX_SLOW_S = 1200


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Fail the test, or its set-up or clearing up, if it takes too long; not with `-n 0`, where a debugger may wait."""
    if not hasattr(item.config, "workerinput"):
        return (yield)
    limit_s = _MAX_S.get(lane_of(item), _MAX_SLOW_S)

    def late(_number: int, _frame: FrameType | None) -> NoReturn:
        pytest.fail("\n".join([f"not done within {limit_s} s", *_waiting()]))

    previous = signal.signal(signal.SIGALRM, late)
    signal.alarm(limit_s)
    try:
        return (yield)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def _waiting() -> Iterator[str]:
    """Yield where each task of the running loop waits, innermost last; nothing without a loop (pytest says where)."""
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:
        return
    for task in tasks:
        yield f"{task.get_name()} waits in:"
        awaited: object = task.get_coro()
        while awaited is not None:
            match awaited:
                case CoroutineType(cr_frame=FrameType() as at):
                    awaited = awaited.cr_await
                case GeneratorType(gi_frame=FrameType() as at):
                    awaited = awaited.gi_yieldfrom
                case other:
                    yield f"  {other!r}"
                    break
            yield f"  {at.f_code.co_filename}:{at.f_lineno} {at.f_code.co_qualname}"
