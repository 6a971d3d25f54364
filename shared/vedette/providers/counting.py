"""How many requests a task has sent to model servers. HTTP counts them; who does a job asks for the count."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from msgspec import Struct


class Sent(Struct):
    """Requests sent so far: retries, pages of a listing and optional questions too."""

    requests: int = 0


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
