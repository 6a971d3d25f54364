"""A limit for waiting second probes of slow models: if a whole network is slow, not all models are probed twice."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

MAX_CONFIRMING: Final = 20  # of this prober; the next tick makes up for the others
MAX_CONFIRMING_AT_HOST: Final = 4


class Confirming:
    """The second probes that wait, by host."""

    def __init__(self) -> None:
        self._waiting: Counter[str] = Counter()

    @contextmanager
    def place(self, host: str) -> Iterator[bool]:
        """Yield whether one more may wait for *host*; it counts until the context is left."""
        may = self._waiting[host] < MAX_CONFIRMING_AT_HOST and self._waiting.total() < MAX_CONFIRMING
        self._waiting[host] += may
        try:
            yield may
        finally:
            self._waiting[host] -= may
            if not self._waiting[host]:
                del self._waiting[host]
