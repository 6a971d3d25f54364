"""Counts the requests that a task sends to model servers. The HTTP layer counts, jobs read the counts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from msgspec import Struct

from vedette.types import Use


class Sent(Struct):
    """Requests sent so far, including retries, pages of a listing and optional requests."""

    requests: int = 0
    bytes: int = 0  # of replies that were read whole; streams are not counted
    in_flight: int = 0  # requests with a body that have no complete reply yet
    began_at: float | None = None  # monotonic seconds: when the last request with a body was sent
    ended_at: float | None = None  # monotonic seconds: when a request with a body last ended
    seconds: float = 0.0  # sum of the durations of all requests, each until its reply was complete

    @property
    def use(self) -> Use:
        """The requests as usage of the endpoint, without tokens, which only the caller knows."""
        return Use(requests=self.requests, seconds=round(self.seconds, 3))


_counters: ContextVar[tuple[Sent, ...]] = ContextVar("counters", default=())


@contextmanager
def counting() -> Iterator[Sent]:
    """Count all requests that this context sends, including its child tasks."""
    sent = Sent()
    token = _counters.set((*_counters.get(), sent))
    try:
        yield sent
    finally:
        _counters.reset(token)


def count() -> None:
    """Count one request."""
    for sent in _counters.get():
        sent.requests += 1


def count_bytes(size: int) -> None:
    """Add the *size* of a reply (bytes)."""
    for sent in _counters.get():
        sent.bytes += size


def count_seconds(seconds: float) -> None:
    """Add the duration of a request (s)."""
    for sent in _counters.get():
        sent.seconds += seconds


@contextmanager
def in_flight(monotonic: Callable[[], float]) -> Iterator[None]:
    """Count a request with a body as in flight while this context is open."""
    counters = _counters.get()
    for sent in counters:
        sent.in_flight += 1
        sent.began_at = monotonic()
    try:
        yield
    finally:
        for sent in counters:
            sent.in_flight -= 1
            sent.ended_at = monotonic()
