"""An event loop in a thread of its own, for programs that have none: scripts, notebooks, several threads."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
_CLOSE_TIMEOUT_S = 10.0


class LoopThread:
    """Runs coroutines for callers that wait for them. The thread starts with the first coroutine."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of *work*."""
        future = asyncio.run_coroutine_threadsafe(work, self._running())
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C, say, while it waited
            raise

    def iterate(self, source: AsyncIterator[T]) -> Iterator[T]:
        """Yield what *source* yields; close it at its end, or when the caller stops."""

        async def following() -> T:
            return await anext(source)

        try:
            while True:
                try:
                    one = self.wait(following())
                except StopAsyncIteration:
                    return
                yield one
        finally:
            close = getattr(source, "aclose", None) or getattr(source, "close", None)
            if close is not None and self._loop is not None:
                self.wait(close())

    def end(self, last: Coroutine[Any, Any, None]) -> None:
        """Run *last*, then end the thread, if it was started. Raises TimeoutError if *last* takes longer than 10 s."""
        with self._starting:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None:
            last.close()
            return
        asyncio.run_coroutine_threadsafe(last, loop).result(_CLOSE_TIMEOUT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_CLOSE_TIMEOUT_S)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_run, args=(self._loop,), name="vedette-client", daemon=True
                )
                self._thread.start()
            return self._loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    """Run *loop* until it is stopped, then end what still runs in it."""
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(asyncio.sleep(0))  # transports that were closed say so in the next turn
    finally:
        loop.close()
