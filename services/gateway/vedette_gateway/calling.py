"""One request to one model after the other, until one begins to reply: attempts, fallbacks, deadlines.

Until the first byte of the reply, the next model may be tried. After it, the caller gets this model's reply.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Final

from msgspec import Struct

from vedette.clock import Clock
from vedette.errors import ProviderError
from vedette.providers.observing import Account, Observed
from vedette.providers.passing import Refusal, Reply
from vedette.remedies import remedy_for
from vedette.settings import Gateway
from vedette.types import ModelRef, Outcome, Price
from vedette_gateway.fitting import AGAIN_S, REFUSED_CODE, REFUSED_STATUS
from vedette_gateway.problems import Problem
from vedette_gateway.upstreams import Aside, Upstream, Upstreams, is_of_the_request
from vedette_gateway.wanted import Wanted

_SLOWER: Final = 5.0  # times the expected duration, before the next model is tried
_USUAL_OUTPUT_TOKENS: Final = 2048  # of a reply in one piece, if the request has no limit
_MAX_PRELUDE_BYTES: Final = 64 * 1024
_MAX_DETAIL: Final = 200
# Statuses of refusals that are passed on. Clients would retry after others, such as 501 for a missing API.
_REFUSALS: Final = frozenset({400, 403, 404, 405, 413, 415, 422})
_AGREED: Final = 2  # servers that must refuse a request before it counts as wrong


class Candidate(Struct, frozen=True, kw_only=True):
    """A model that a request may go to, and its expected latency."""

    model: ModelRef
    base_url: str
    score: float | None = None
    ttft_ms: float | None = None
    output_tps: float | None = None
    price: Price | None = None
    equivalent: bool = False  # not distinguishable from the best by its score


class Attempt(Struct, frozen=True, kw_only=True):
    """A failed call of one model: its outcome, and the server's message."""

    model: ModelRef
    outcome: Outcome
    detail: str = ""
    refusal: Refusal | None = None
    retry_after_s: float | None = None
    called: bool = True  # False: the endpoint had no free slot, so the model did not fail

    def __str__(self) -> str:
        detail = f" ({self.detail[:_MAX_DETAIL]})" if self.detail else ""
        return f"{self.model}: {self.outcome.replace('_', ' ')}{detail}"


class Begun:
    """A reply that has begun: its first bytes have arrived, the others follow."""

    def __init__(
        self,
        candidate: Candidate,
        reply: Reply,
        observed: Observed,
        *,
        stream: bool,
        sent_at: float,
        failed: Sequence[Attempt],
        ends_at: float,
        stall_s: float,
    ) -> None:
        self.candidate = candidate
        self.failed = tuple(failed)
        self.reply = reply
        self.is_stream = stream
        self.sent_at = sent_at
        self.ended_at: float | None = None
        self.outcome: Outcome | None = None  # None: in progress, or the caller disconnected
        self._observed = observed
        self._account: Account | None = None  # of a reply that has ended
        self._prelude: list[bytes] = []
        self._chunks = reply.chunks()
        self._ends_at = ends_at
        self._stall_s = stall_s

    async def first(self) -> None:
        """Read until the first event of a stream, or the first bytes of another reply. Raises ProviderError."""
        size = 0
        async for chunk in self._chunks:
            self._observed.take(time.monotonic(), chunk)
            self._prelude.append(chunk)
            size += len(chunk)
            if error := self._observed.failed:
                raise error
            if not self.is_stream or self._observed.begun or size > _MAX_PRELUDE_BYTES:
                break
        if not self._prelude:
            raise ProviderError(Outcome.INCOMPLETE, "the reply is empty")
        if self.is_stream and not self._observed.begun and (unread := self.account().error):
            raise unread
        if not self.is_stream and self._prelude[0].lstrip().startswith(b'{"error"'):
            await self._rest()
            if error := self.account().error:
                raise error

    async def _rest(self) -> None:
        """Read the rest of a reply in one piece. Its beginning is an error, whatever its status."""
        async for chunk in self._chunks:
            self._observed.take(time.monotonic(), chunk)
            self._prelude.append(chunk)

    async def pass_to(self, send: Callable[[bytes], Awaitable[None]], *, read_within_s: float) -> None:
        """Pass the reply to *send* as it comes.

        Raises ProviderError if the reply breaks off, stalls or takes too long, and ConnectionError if *send* takes
        longer than *read_within_s*.
        """
        try:
            await self._pass_all(send, read_within_s)
        except ProviderError as error:
            self.outcome = error.outcome
            raise
        self.ended_at = time.monotonic()
        self._account = account = self._observed.account()
        self.outcome = account.error.outcome if account.error else Outcome.OK
        if account.error is None and not account.whole and self.is_stream:
            self.outcome = Outcome.INCOMPLETE
            raise ProviderError(Outcome.INCOMPLETE, "the stream ended before the answer did")

    async def _pass_all(self, send: Callable[[bytes], Awaitable[None]], read_within_s: float) -> None:
        now, sends = asyncio.get_running_loop().time, True
        try:
            async with asyncio.timeout(read_within_s) as deadline:
                for chunk in self._prelude:
                    await send(chunk)
                while True:
                    sends = False
                    deadline.reschedule(min(now() + self._stall_s, self._ends_at))
                    chunk = await anext(self._chunks, b"")
                    if not chunk:
                        return
                    at, sends = time.monotonic(), True
                    deadline.reschedule(now() + read_within_s)
                    try:
                        await send(chunk)
                    finally:
                        self._observed.take(at, chunk)  # after the caller has it
        except TimeoutError:
            if sends:
                problem = f"the caller read nothing for {read_within_s:g} s"
                raise ConnectionError(problem) from None
            raise ProviderError(Outcome.TIMEOUT, "nothing more came in time") from None

    def account(self) -> Account:
        """Return what was measured of the reply so far: times, tokens, and its error."""
        return self._account or self._observed.account()


class Calls:
    """Calls models at the configured endpoints for requests."""

    def __init__(self, upstreams: Upstreams, aside: Aside, settings: Gateway, clock: Clock) -> None:
        self.settings = settings
        self._upstreams = upstreams
        self._aside = aside
        self._clock = clock

    async def begin(
        self,
        stack: AsyncExitStack,
        wanted: Wanted,
        candidates: Sequence[Candidate],
        failed: list[Attempt],
        *,
        may_lack: bool = False,
    ) -> Begun:
        """Return the first reply that begins; *stack* closes it. Failed attempts are added to *failed*.

        After two refusals, the request itself counts as wrong, unless candidates *may_lack* a capability. Raises
        Problem if no model took the request.
        """
        ordered = self._ordered(candidates, keep_order=wanted.wishes.session is not None)
        agreed = len(ordered) if may_lack else _AGREED
        for number, (candidate, upstream) in enumerate(ordered):
            is_last = number == len(ordered) - 1
            if not await upstream.room(self.settings.queue_s if is_last else 0.0):
                failed.append(
                    Attempt(model=candidate.model, outcome=Outcome.BUSY, detail="no room", called=False)
                )
                continue
            attempt = await self._attempt(stack, wanted, candidate, upstream, failed, is_last=is_last)
            if isinstance(attempt, Begun):
                self._aside.succeeded(candidate.model)
                return attempt
            failed.append(attempt)
            self._aside.failed(candidate.model, attempt.outcome, attempt.retry_after_s)
            if sum(is_of_the_request(one.outcome) for one in failed) >= agreed:
                break
        raise problem_of(failed)

    def settle(self, begun: Begun) -> None:
        """Set the model aside if its reply failed after the first byte."""
        if begun.outcome not in (None, Outcome.OK):
            self._aside.failed(begun.candidate.model, begun.outcome)

    def _ordered(
        self, candidates: Sequence[Candidate], *, keep_order: bool
    ) -> list[tuple[Candidate, Upstream]]:
        """Return the candidates that this gateway can call: first those with a free slot and without a recent failure.

        Among models as good as the first, the one whose endpoint has the fewest requests in progress comes first,
        unless a conversation stays with its model.
        """
        known = [
            (one, upstream)
            for one in candidates
            if (upstream := self._upstreams.get(one.model.endpoint)) and upstream.reaches(one.base_url)
        ]

        def place(number: int) -> tuple[bool, bool, bool, int, int]:
            candidate, upstream = known[number]
            equal = not keep_order and (number == 0 or candidate.equivalent)
            in_progress = upstream.running if equal else 0
            return (
                self._aside.is_aside(candidate.model),
                not upstream.has_room,
                not equal,
                in_progress,
                number,
            )

        known = [known[number] for number in sorted(range(len(known)), key=place)]
        return known[: self.settings.attempts]

    async def _attempt(
        self,
        stack: AsyncExitStack,
        wanted: Wanted,
        candidate: Candidate,
        upstream: Upstream,
        failed: Sequence[Attempt],
        *,
        is_last: bool,
    ) -> Begun | Attempt:
        deadline_s = self.settings.timeout_s if is_last else self._begins_within_s(wanted, candidate)
        ends_at = asyncio.get_running_loop().time() + self.settings.timeout_s
        async with AsyncExitStack() as attempt:
            await attempt.enter_async_context(upstream.one_more())
            try:
                async with asyncio.timeout(deadline_s):
                    sent_at = time.monotonic()
                    url = f"{candidate.base_url.rstrip('/')}/{wanted.api}"
                    reply = await attempt.enter_async_context(
                        upstream.passing.post(url, wanted.body(candidate.model.name))
                    )
                    if refusal := await reply.refusal(self._clock.now()):
                        return _refused(candidate.model, refusal)
                    stream = reply.is_stream or (wanted.stream and not reply.is_json)
                    begun = Begun(
                        candidate,
                        reply,
                        Observed(wanted.api, candidate.model.name, stream=stream),
                        stream=stream,
                        sent_at=sent_at,
                        failed=failed,
                        ends_at=ends_at,
                        stall_s=self.settings.stall_s if stream else self.settings.timeout_s,
                    )
                    await begun.first()
            except TimeoutError:
                detail = f"no reply within {deadline_s:.0f} s"
                return Attempt(model=candidate.model, outcome=Outcome.TIMEOUT, detail=detail)
            except ProviderError as error:
                return Attempt(
                    model=candidate.model,
                    outcome=error.outcome,
                    detail=error.detail,
                    retry_after_s=error.retry_after_s,
                )
            stack.push_async_exit(attempt.pop_all())
            return begun
        raise AssertionError("an attempt always ends in a reply or a failure")

    def _begins_within_s(self, wanted: Wanted, candidate: Candidate) -> float:
        """Return the seconds within which the reply of *candidate* must begin, if another candidate is left."""
        expected_s = (candidate.ttft_ms or 0.0) / 1000
        if not wanted.stream and candidate.output_tps and wanted.api != "embeddings":
            expected_s += (wanted.max_tokens or _USUAL_OUTPUT_TOKENS) / candidate.output_tps
        return min(self.settings.timeout_s, max(self.settings.first_byte_s, _SLOWER * expected_s))


def _refused(model: ModelRef, refusal: Refusal) -> Attempt:
    return Attempt(
        model=model,
        outcome=refusal.outcome,
        detail=f"HTTP {refusal.status}{f': {refusal.said}' if refusal.said else ''}",
        refusal=refusal,
        retry_after_s=refusal.retry_after_s,
    )


def problem_of(failed: Sequence[Attempt]) -> Problem:
    """Return the reply to the caller when no model took the request."""
    if not failed:
        problem = "no model that fits is at an endpoint that this gateway can call"
        return Problem(503, "no_model", problem, retry_after_s=AGAIN_S)
    calls = "; ".join(map(str, failed))
    outcomes = {one.outcome for one in failed}
    if all(is_of_the_request(one) or one is Outcome.NOT_FOUND for one in outcomes):
        own = next((one.refusal for one in failed if is_of_the_request(one.outcome) and one.refusal), None)
        if own is None:
            return Problem(404, "not_found_by_model", f"no server has this model or this API: {calls}")
        return Problem(own.status if own.status in _REFUSALS else 400, "refused_by_model", calls)
    if outcomes <= {Outcome.RATE_LIMITED, Outcome.BUSY, Outcome.LOADING, Outcome.QUOTA_USED}:
        waits = [one.retry_after_s for one in failed if one.retry_after_s is not None]
        return Problem(
            429, "all_busy", f"every model is busy: {calls}", retry_after_s=min(waits, default=1.0)
        )
    if outcomes <= {Outcome.AUTH_FAILED, Outcome.NO_CREDIT}:
        remedies = "; ".join(dict.fromkeys(remedy_for(one.outcome, None) for one in failed))
        return Problem(REFUSED_STATUS, REFUSED_CODE, f"{calls}; {remedies}")
    if outcomes == {Outcome.TIMEOUT}:
        return Problem(504, "all_timed_out", calls)
    return Problem(502, "all_failed", f"no model could take the request: {calls}")
