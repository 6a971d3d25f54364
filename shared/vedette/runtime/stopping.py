"""Handles signals that stop a process: Ctrl-C, SIGTERM, a closed terminal; and a second signal."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from vedette.errors import Interrupted
from vedette.runtime.subprocesses import kill_all

# How long the clean-up may still take after a second signal.
_HURRIED_S = 2.0


class Stopped(asyncio.Event):
    """Set by Ctrl-C, by SIGTERM, and when the terminal of this process closes. Any other SIGHUP sets `hung_up`."""

    def __init__(self) -> None:
        super().__init__()
        self.hung_up = asyncio.Event()
        self.number: int | None = None  # of the first signal that stopped it

    @asynccontextmanager
    async def interrupting(self) -> AsyncIterator[None]:
        """Cancel the work in this context when the process must stop, and then raise Interrupted."""
        async with AsyncExitStack() as stack:
            # The deadline moves from never to now, which cancels the body and no other task.
            scope = asyncio.timeout(None)
            watching = asyncio.create_task(self._end(scope))
            stack.callback(watching.cancel)
            try:
                async with scope:
                    yield
            except TimeoutError:
                if not scope.expired():
                    raise
        self.check()

    def check(self) -> None:
        """Raise Interrupted if the process must stop."""
        if self.number is not None:
            raise Interrupted(number=signal.Signals(self.number))

    async def _end(self, scope: asyncio.Timeout) -> None:
        await self.wait()
        scope.reschedule(asyncio.get_running_loop().time())


@asynccontextmanager
async def stop_signals(*, hang_up_stops: bool = False) -> AsyncIterator[Stopped]:
    """Yield an event that signals set. A second signal cancels the waiting of the clean-up, but not the clean-up.

    After a second signal the clean-up has a little more time. Then the process and its children end, even if a server
    has not replied yet. A third signal ends the process at once.

    With *hang_up_stops*, SIGHUP always stops it, else only if the terminal of this process is closed. Raises
    Interrupted after a second signal.
    """
    loop, stopped, attended = asyncio.get_running_loop(), Stopped(), _has_terminal()
    terminals = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]
    task, hurried = asyncio.current_task(), False

    def stop(number: int) -> None:
        nonlocal hurried
        if stopped.number is None:
            stopped.number = number
            stopped.set()
        elif hurried or task is None:
            _end_now(stopped.number)
        else:
            hurried = True
            task.cancel()
            loop.call_later(_HURRIED_S, _end_now, stopped.number)

    def hang_up() -> None:
        closed = attended and not _has_terminal()
        if closed:
            _mute(terminals)
        if closed or hang_up_stops:
            # A closed terminal sends SIGHUP twice: to the leader of its session, and to the foreground group.
            if stopped.number is None:
                stop(signal.SIGHUP)
        else:
            stopped.hung_up.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    try:
        yield stopped
    except asyncio.CancelledError:
        if not hurried or task is None or task.uncancel():
            raise
        stopped.check()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with suppress(ValueError):
                loop.remove_signal_handler(number)
        if stopped.is_set():
            # The clean-up is done and the process ends: a further signal must not change its exit code.
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)


def _end_now(number: int) -> None:
    """End this process and its children without clean-up, like kill -9, and print which signal it was."""
    kill_all()
    with suppress(OSError):
        os.write(2, f"vedette: {Interrupted(number=signal.Signals(number))}\n".encode())
    os._exit(128 + number)


def _mute(descriptors: Iterable[int]) -> None:
    """Redirect *descriptors* to /dev/null: each write to a closed terminal would fail, also those of the clean-up."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in descriptors:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
