"""Which failed calls count against their models, and not against the request. Pure, except for its memory.

Otherwise one bad request that a client repeats would make the best model look broken for all callers, because a few
failures within seconds count as a change of the model.
"""

from collections.abc import Sequence
from hashlib import blake2s
from typing import Final

from vedette.types import ModelRef, Outcome
from vedette_gateway.calling import Attempt
from vedette_gateway.wanted import Wanted

_REMEMBERED_S: Final = 60.0
_MAX_REMEMBERED: Final = 10_000
_AGREED: Final = 2  # models that must fail with a server error before the request counts as the cause


class Blame:
    """Remembers for a minute which request failed at which model."""

    def __init__(self) -> None:
        self._failed: set[tuple[bytes, ModelRef]] = set()
        self._since = 0.0

    def of(self, wanted: Wanted, tried: Sequence[Attempt], *, replied: bool, now: float) -> list[Attempt]:
        """Return which calls in *tried* count against their model at *now* (monotonic seconds).

        *replied* is whether another model replied to the request.
        """
        broken = sum(attempt.called and _may_be_by_request(attempt) for attempt in tried)
        by_request = broken >= _AGREED and not replied
        counting = [
            attempt
            for attempt in tried
            if attempt.called
            and not (by_request and _may_be_by_request(attempt))
            # This server does not have the API; the model at other servers is not affected.
            and not (wanted.api == "responses" and attempt.outcome is Outcome.NOT_FOUND)
        ]
        if not counting:
            return []
        if now - self._since > _REMEMBERED_S or len(self._failed) > _MAX_REMEMBERED:
            self._failed.clear()
            self._since = now
        request = _digest(wanted)
        found = [attempt for attempt in counting if (request, attempt.model) not in self._failed]
        self._failed |= {(request, attempt.model) for attempt in found}
        return found


def _may_be_by_request(attempt: Attempt) -> bool:
    """Return whether the request may have caused the server error.

    A server error with status 503 means that no server runs there.
    """
    is_absent = attempt.refusal is not None and attempt.refusal.status == 503
    return attempt.outcome is Outcome.SERVER_ERROR and not is_absent


def _digest(wanted: Wanted) -> bytes:
    hashed = blake2s(wanted.api.encode(), digest_size=16)
    for name, value in wanted.fields.items():
        hashed.update(name.encode(errors="replace"))
        hashed.update(memoryview(value))
    return hashed.digest()
