"""Runs a program that a model wrote in isolation, and judges its results outside.

The program runs in separate processes (`sandboxed.py`). It sees only the files of the standard library, no network, no
other process and no environment, and has little memory and time. Its process gets only the arguments of calls; the
results are compared here. The right values never enter its process, so it cannot fake a right answer by its output, by
patches or by its exit status. If a protection is missing, nothing runs.
"""

import ast
import asyncio
import itertools
import json
import math
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from vedette.errors import NoSandbox
from vedette_benchmarker import sandboxed

_OUTPUT_BYTES = 65536  # answers and printed text together
MAX_VALUE_BYTES = 4096  # of one answer; decoding larger ones could be slow (equal hashes, deep nesting)
_START_S = 20.0  # to start the interpreter and build the isolation, on a busy machine
_STOP_TIMEOUT_S = 2.0
_CPU_S = (2, 5)
_WHY_CHARACTERS = 200
# -I and -S: no code of the user or of installed packages runs in the process that is still privileged.
_COMMAND = (sys.executable, "-I", "-S", "-B", "-X", "utf8", str(Path(sandboxed.__file__).resolve()))


class Ran(Struct, frozen=True):
    """Whether every test passed; if not, *why* is the reason in a few words, which may come from the program."""

    ok: bool
    why: str = ""


class Case(Struct, frozen=True, kw_only=True):
    """A call, and the expected result."""

    call: str
    expected: Any


class _Ended(Struct, frozen=True, kw_only=True):
    status: int
    said: bytes
    printed: bytes


async def run(program: str, tests: Sequence[str], *, timeout_s: float = 5.0) -> Ran:
    """Return whether *program* passes *tests*: lines `assert call(…) == literal`, run in order.

    Values have the plain types of literals, and compare as in Python (`5 == 5.0`), except that 1 is not True. Raises
    ValueError for a test of another form, and NoSandbox if a protection is missing, which is not the program's fault.
    """
    cases = [parsed(line) for line in tests]
    ended = await _run(_request(program, cases, timeout_s), patience_s=timeout_s + _START_S)
    return _judged(ended, cases)


def parsed(test: str) -> Case:
    """Return call and expected result of *test*. Raises ValueError unless it is `assert call(…) == literal`."""
    try:
        statements = ast.parse(test).body
        match statements:
            case [ast.Assert(ast.Compare(ast.Call() as call, [ast.Eq()], [literal]), msg=None)]:
                return Case(call=ast.unparse(call), expected=ast.literal_eval(literal))
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{test!r}: {error}") from error
    raise ValueError(f"{test!r} is not of the form: assert call(…) == literal")


def _request(program: str, cases: Sequence[Case], timeout_s: float) -> bytes:
    if not cases:
        raise ValueError("a program without tests cannot be graded")
    shortest, longest = _CPU_S
    request = {
        "parent": os.getpid(),
        "program": program,
        "calls": [case.call for case in cases],
        "timeout_s": timeout_s,
        "cpu_s": max(shortest, min(longest, math.ceil(timeout_s))),
    }
    return json.dumps(request).encode()


async def _run(request: bytes, *, patience_s: float) -> _Ended:
    _need_linux()
    process = await asyncio.create_subprocess_exec(
        *_COMMAND, stdin=PIPE, stdout=PIPE, stderr=PIPE, env={}, cwd="/", start_new_session=True
    )
    try:
        async with asyncio.timeout(patience_s):
            _, said, printed, status = await asyncio.gather(
                _send(process, request),
                _read(process, process.stdout),
                _read(process, process.stderr),
                process.wait(),
            )
            return _Ended(status=status, said=said, printed=printed)
    except TimeoutError as error:
        raise NoSandbox(problem=f"it did not end within {patience_s:g} s") from error
    finally:
        await _stop(process)


def _need_linux() -> None:
    if sys.platform != "linux":
        raise NoSandbox(problem=f"the sandbox needs Linux; this is {sys.platform}")


async def _send(process: Process, request: bytes) -> None:
    if process.stdin is None:
        return
    with suppress(BrokenPipeError, ConnectionResetError):  # the process ended: its exit status says why
        process.stdin.write(request)
        await process.stdin.drain()
    process.stdin.close()


async def _read(process: Process, stream: asyncio.StreamReader | None) -> bytes:
    """Return the content of *stream*, at most one byte over the limit; then the program is stopped."""
    if stream is None:
        return b""
    try:
        flood = await stream.readexactly(_OUTPUT_BYTES + 1)
    except asyncio.IncompleteReadError as ended:
        return ended.partial
    _terminate(process)
    while await stream.read(_OUTPUT_BYTES):
        pass
    return flood


def _terminate(process: Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.terminate()


async def _stop(process: Process) -> None:
    """Ask the supervisor to end everything, else kill it. Keeps reading, because asyncio waits for the pipes to end."""
    _terminate(process)
    try:
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()


def _judged(ended: _Ended, cases: Sequence[Case]) -> Ran:
    if max(len(ended.said), len(ended.printed)) > _OUTPUT_BYTES:
        return Ran(ok=False, why=f"wrote more than {_OUTPUT_BYTES // 1024} KiB")
    if ended.status == sandboxed.TIMED_OUT:
        return Ran(ok=False, why="took too long")
    if ended.status > sandboxed.KILLED_BY:
        return Ran(ok=False, why=f"was killed by {_signal_name(ended.status - sandboxed.KILLED_BY)}")
    if ended.status != sandboxed.ENDED:
        raise NoSandbox(problem=_failure(ended))
    for case, line in itertools.zip_longest(cases, ended.said.splitlines()):
        if why := _wrong(case, line):
            return Ran(ok=False, why=_printable(why))
    return Ran(ok=True)


def _failure(ended: _Ended) -> str:
    """Return the supervisor's message. Only with its own exit status it cannot be the program's."""
    words = ended.printed.decode(errors="replace") if ended.status == sandboxed.UNISOLATED else ""
    return _printable(words) or f"the supervisor ended with status {ended.status}"


def _wrong(case: Case | None, line: bytes | None) -> str:
    """Return the problem of the answer *line* to *case*; empty if it is right. The line is not trusted."""
    if case is None:
        return "answered more calls than it got"
    if line is None:
        return f"{case.call}: ended without an answer"
    if len(line) > MAX_VALUE_BYTES:
        return f"{case.call}: answered with more than {MAX_VALUE_BYTES} bytes"
    try:
        match json.loads(line):
            case {"error": str(error)}:
                return error
            case {"value": value}:
                got = decoded(value)
                right = got == case.expected and isinstance(got, bool) is isinstance(case.expected, bool)
                return "" if right else f"{case.call}: {got!r}, not {case.expected!r}"
    except (ValueError, TypeError, RecursionError):
        pass
    return f"{case.call}: answered with no plain value"


def decoded(value: Any) -> Any:
    """Return the value that `sandboxed.encoded` wrote as JSON. Raises ValueError or TypeError for other values."""
    match value:
        case ["list", *items]:
            return [decoded(item) for item in items]
        case ["tuple", *items]:
            return tuple(decoded(item) for item in items)
        case ["set", *items]:
            return {decoded(item) for item in items}
        case ["frozenset", *items]:
            return frozenset(decoded(item) for item in items)
        case ["dict", *pairs]:
            return {decoded(key): decoded(item) for key, item in pairs}
        case ["bytes", str(digits)]:
            return bytes.fromhex(digits)
        case None | bool() | int() | float() | str():
            return value
    raise ValueError(f"{value!r} has no kind")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _printable(text: str) -> str:
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return shown if len(shown) <= _WHY_CHARACTERS else f"{shown[: _WHY_CHARACTERS - 1]}…"
