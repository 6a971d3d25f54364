"""The client for programs without an event loop: each method waits for what the async client's returns.

    with SyncClient() as vedette:
        best = vedette.best("chat").recommendation

It runs an event loop in a thread of its own, so it may be used from scripts, notebooks and several threads.
"""

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from vedette.client import Client
from vedette.client.model_feed import Followed
from vedette.messages.events import Event

P = ParamSpec("P")
T = TypeVar("T")
_CLOSE_TIMEOUT_S = 10.0


def _waits(
    method: Callable[Concatenate[Client, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate["SyncClient", P], T]:
    """Return *method* of the async client as one that returns its result."""

    @functools.wraps(method)
    def wait(self: "SyncClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._wait(method(self._client, *args, **kwargs))

    return wait


class SyncClient:
    """A connection to Vedette. Use it as a context manager, or call `connect` and `close`.

    It takes what `Client` takes, and has its methods.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        credentials: str | None = None,
        ca_file: str | None = None,
        state_dir: str | None = None,
        timeout_s: float = 2.0,
    ) -> None:
        self._client = Client(
            url, credentials=credentials, ca_file=ca_file, state_dir=state_dir, timeout_s=timeout_s
        )
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    connect = _waits(Client.connect)
    best = _waits(Client.best)
    top = _waits(Client.top)
    explain = _waits(Client.explain)
    models = _waits(Client.models)
    model = _waits(Client.model)
    endpoints = _waits(Client.endpoints)
    history_availability = _waits(Client.history_availability)
    history_performance = _waits(Client.history_performance)
    history_models = _waits(Client.history_models)
    history_asof = _waits(Client.history_asof)
    asof = _waits(Client.asof)
    models_asof = _waits(Client.models_asof)
    report = _waits(Client.report)

    def watch(self, *, events: Sequence[str] = (), use_cases: Sequence[str] = ()) -> Iterator[Event]:
        """Yield what happens, as `Client.watch` does, from when the first is asked for."""
        return self._iterate(self._client.watch(events=events, use_cases=use_cases))

    def follow_models(self) -> Iterator[Followed]:
        """Yield every model that is there, then what becomes of them, as `Client.follow_models` does."""
        return self._iterate(self._client.follow_models())

    def close(self) -> None:
        """Close the connection and end the thread. Its subscriptions end."""
        with self._starting:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._client.close(), loop).result(_CLOSE_TIMEOUT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_CLOSE_TIMEOUT_S)

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._running())
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C, say, while it waited
            raise

    def _iterate(self, source: AsyncIterator[T]) -> Iterator[T]:
        async def following() -> T:
            return await anext(source)

        try:
            while True:
                try:
                    one = self._wait(following())
                except StopAsyncIteration:
                    return
                yield one
        finally:
            close = getattr(source, "aclose", None) or getattr(source, "close", None)
            if close is not None and self._loop is not None:
                self._wait(close())

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
