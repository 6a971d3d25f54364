"""Counts the requests that a task has sent to model servers. The HTTP layer counts, a job reads the count."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from msgspec import Struct

from vedette.types import Use


class Sent(Struct):
    """Requests sent so far: retries, pages of a listing and optional questions too."""

    requests: int = 0
    bytes: int = 0  # of whole replies that were read; streamed ones are not counted
    in_flight: int = 0  # requests with a body that have no complete reply yet
    began_at: float | None = None  # monotonic seconds: when the last of these was sent
    ended_at: float | None = None  # monotonic seconds: when the last of these ended
    seconds: float = 0.0  # that requests took until their replies were complete, all together

    @property
    def use(self) -> Use:
        """The requests as usage of the endpoint: without tokens, which only the caller knows."""
        return Use(requests=self.requests, seconds=round(self.seconds, 3))


_counters: ContextVar[tuple[Sent, ...]] = ContextVar("counters", default=())


@contextmanager
def counting() -> Iterator[Sent]:
    """Count what is sent inside, also by the tasks that are started there."""
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
    """Count the *size* of a reply in bytes."""
    for sent in _counters.get():
        sent.bytes += size


def count_seconds(seconds: float) -> None:
    """Count how long a request took."""
    for sent in _counters.get():
        sent.seconds += seconds


@contextmanager
def in_flight(monotonic: Callable[[], float]) -> Iterator[None]:
    """Count a request with a body as in flight inside."""
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
