"""Outcome reports of the calls that the gateway made: collected, and sent together every half second."""

import asyncio
from collections import deque
from typing import Any, Final

import nats.errors
from nats.aio.client import Client as Connection

from vedette.client import ask
from vedette.errors import RequestError
from vedette.messages.codec import encode
from vedette.messages.queries import MAX_MEASURED, MeasuredReply, MeasuredRequest, ReportRequest
from vedette.types import Outcome
from vedette_gateway.calling import Attempt, Begun

_EVERY_S: Final = 0.5
_TIMEOUT_S: Final = 2.0
_MAX_WAITING: Final = 10_000  # while no recommender replies; older ones are dropped first


class Reporting:
    """Collects outcome reports, and sends them while `run` is running."""

    def __init__(self, connection: Connection, log: Any) -> None:
        self._connection = connection
        self._log = log
        self._waiting: deque[ReportRequest] = deque(maxlen=_MAX_WAITING)
        self._failing = False

    def failed(self, attempt: Attempt, use_case: str | None, caller: str) -> None:
        """Report a call that failed before its reply began."""
        self._waiting.append(
            ReportRequest(model=attempt.model, outcome=attempt.outcome, use_case=use_case, caller=caller)
        )

    def ended(self, begun: Begun, use_case: str | None, caller: str) -> None:
        """Report a call whose reply began. If its caller disconnected, nothing is reported."""
        if begun.outcome is None:
            return
        account = begun.account()
        ok, ended = begun.outcome is Outcome.OK, begun.ended_at
        # A stream has the times of its first and last token; a reply in one piece has only its end.
        last = account.last_at if account.first_at is not None else ended
        self._waiting.append(
            ReportRequest(
                model=begun.candidate.model,
                outcome=begun.outcome,
                use_case=use_case,
                caller=caller,
                ttft_ms=_ms(begun.sent_at, account.first_at) if ok else None,
                e2e_ms=_ms(begun.sent_at, last) if ok else None,
                prompt_tokens=account.prompt_tokens or None,
                output_tokens=account.output_tokens or None,
            )
        )

    async def run(self) -> None:
        """Send waiting reports, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            await self.flush()

    async def flush(self) -> None:
        """Send waiting reports. If no recommender accepts them, they continue to wait."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(MAX_MEASURED, len(self._waiting)))]
            request = encode(MeasuredRequest(reports=tuple(batch)))
            try:
                await ask(
                    self._connection,
                    "report.measured",
                    request,
                    MeasuredReply,
                    timeout_s=_TIMEOUT_S,
                )
            except (RequestError, nats.errors.Error) as error:
                self._waiting.extendleft(reversed(batch))
                if not self._failing:
                    self._log.warning("reports.deferred", error=f"{type(error).__name__}: {error}")
                self._failing = True
                return
            self._failing = False


def _ms(begin: float, end: float | None) -> float | None:
    return None if end is None else max(0.001, (end - begin) * 1000)
