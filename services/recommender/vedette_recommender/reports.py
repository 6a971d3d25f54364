"""Callers' reports of models: counted within limits, summed over a window, folded into `Reported`. Pure.

Reports cannot be verified, so limits keep the effect of each account small. Callers choose their own names, so another
name does not raise a limit. A latency counts as a logarithm within fixed limits, so that one absurd figure hardly
moves the mean.
"""

import math
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from vedette.messages.events import ModelReported
from vedette.messages.queries import ReportRequest
from vedette.messages.tolerance import is_future
from vedette.types import NOT_DOWNTIME, ModelRef, Outcome, Performance, Reported, Signal, Watch
from vedette_recommender.changes import (
    GATEWAY,
    Deviations,
    account_key,
    added,
    by_gateway,
    deviations,
    watched,
)

N = TypeVar("N", int, float)
MAX_PER_ASKER: Final = 20  # counted reports of one account on one model, in a window, whatever names it gives
MAX_PER_MODEL: Final = 200  # counted reports of one model, in a window
MAX_MEASURED_PER_MODEL: Final = 5000  # counted calls of one model by the gateway, in a window
MAX_HELD: Final = 10_000  # models with an account and a caller's name, in a window
MIN_RATE_TOKENS: Final = 8  # fewer output tokens show no rate
MIN_DECODE_MS: Final = 1.0  # tokens that come all at once were buffered on the way
TTFT_MS_LIMITS: Final = (1.0, 600_000.0)
OUTPUT_TPS_LIMITS: Final = (0.01, 10_000.0)
# The caller's key, question, size or haste is at fault, not the model: the call says nothing of the model.
CALLERS_OWN: Final = NOT_DOWNTIME | {
    Outcome.AUTH_FAILED,
    Outcome.NO_CREDIT,
    Outcome.FORBIDDEN,
    Outcome.TOO_LARGE,
}


class Sums(Struct, frozen=True, kw_only=True):
    """The sums of all reports on one model with the weights `digest`, from `since` to `until`. See `ModelReported`."""

    since: datetime
    until: datetime
    digest: str | None = None
    calls: int = 0
    succeeded: int = 0
    failures: Mapping[str, int] = {}
    callers: int = 0
    uncounted: int = 0
    use_cases: Mapping[str, int] = {}
    prompt_tokens: int = 0
    output_tokens: int = 0
    ttft_n: int = 0
    ttft_log_sum: float = 0.0
    output_tps_n: int = 0
    output_tps_log_sum: float = 0.0
    accounts: Mapping[str, Deviations] = {}  # for the change detectors

    def __add__(self, other: "Sums") -> "Sums":
        """Return both together; `callers` stays a lower bound."""
        if self.digest != other.digest:
            return self if self.until > other.until else other  # the weights that are gone do not matter
        return Sums(
            since=min(self.since, other.since),
            until=max(self.until, other.until),
            digest=self.digest,
            calls=self.calls + other.calls,
            succeeded=self.succeeded + other.succeeded,
            failures=_added(self.failures, other.failures),
            callers=max(self.callers, other.callers),
            uncounted=self.uncounted + other.uncounted,
            use_cases=_added(self.use_cases, other.use_cases),
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            ttft_n=self.ttft_n + other.ttft_n,
            ttft_log_sum=self.ttft_log_sum + other.ttft_log_sum,
            output_tps_n=self.output_tps_n + other.output_tps_n,
            output_tps_log_sum=self.output_tps_log_sum + other.output_tps_log_sum,
            accounts=added(self.accounts, other.accounts),
        )

    @property
    def ttft_ms(self) -> float | None:
        """The geometric mean of the reported times to the first token."""
        return math.exp(self.ttft_log_sum / self.ttft_n) if self.ttft_n else None

    @property
    def output_tps(self) -> float | None:
        """The geometric mean of the reported rates."""
        return math.exp(self.output_tps_log_sum / self.output_tps_n) if self.output_tps_n else None


def sums_of(
    report: ReportRequest,
    digest: str | None,
    now: datetime,
    *,
    asker: str | None = None,
    rest: Performance | None = None,
    measured: bool = False,
) -> Sums:
    """Return the sums that one *report* of a model with *rest* adds. Only successful calls have latencies that count.

    A report that the gateway *measured* counts as two accounts, so that no second one must agree.
    """
    ok = report.outcome is Outcome.OK
    ttft_ms, output_tps = (report.ttft_ms, output_tps_of(report)) if ok else (None, None)
    said = deviations(report, output_tps, counts=report.outcome not in CALLERS_OWN, rest=rest)
    return Sums(
        since=now,
        until=now,
        digest=digest,
        calls=int(report.outcome not in CALLERS_OWN),
        succeeded=int(ok),
        failures={} if ok else {str(report.outcome): 1},
        callers=1,
        use_cases={report.use_case: 1} if report.use_case else {},
        prompt_tokens=report.prompt_tokens or 0,
        output_tokens=report.output_tokens or 0,
        ttft_n=int(ttft_ms is not None),
        ttft_log_sum=_log(ttft_ms, TTFT_MS_LIMITS),
        output_tps_n=int(output_tps is not None),
        output_tps_log_sum=_log(output_tps, OUTPUT_TPS_LIMITS),
        accounts=by_gateway(said) if measured else {account_key(asker): said},
    )


def output_tps_of(report: ReportRequest) -> float | None:
    """Return the output tokens per second after the first, or None when *report* does not have them."""
    tokens, first, last = report.output_tokens, report.ttft_ms, report.e2e_ms
    if tokens is None or first is None or last is None:
        return None
    if tokens < MIN_RATE_TOKENS or last - first < MIN_DECODE_MS:
        return None
    return (tokens - 1) / ((last - first) / 1000)


def watch(
    previous: ModelReported | None, sums: Sums, now: datetime, digest: str | None
) -> dict[Signal, Watch]:
    """Return the change detectors after *sums*, of a model whose present weights are *digest*. Others start again."""
    before = previous.watches if previous and previous.reported.digest == digest else {}
    before = {
        signal: one for signal, one in before.items() if not (one.heard_at and is_future(one.heard_at, now))
    }
    return watched(before, sums.accounts, now) if sums.digest == digest else before


def fold(previous: Reported | None, sums: Sums, now: datetime, digest: str | None) -> Reported:
    """Return the state after *sums*, as of *now*, of a model whose present weights are *digest*.

    With other weights, the state starts again, and reports of the old weights do not count. Reports with a date from a
    wrong clock do not count either.
    """
    if previous is None or previous.digest != digest or is_future(previous.as_of, now):
        previous = Reported(as_of=now, digest=digest)
    before = previous.at(now)
    if sums.digest != digest:
        return before
    new = Reported(
        as_of=sums.until,
        calls=sums.calls,
        succeeded=sums.succeeded,
        failures=dict(sums.failures),
        ttft_n=sums.ttft_n,
        ttft_log_sum=sums.ttft_log_sum,
        output_tps_n=sums.output_tps_n,
        output_tps_log_sum=sums.output_tps_log_sum,
    ).at(before.as_of)
    return Reported(
        as_of=before.as_of,
        digest=digest,
        calls=before.calls + new.calls,
        succeeded=before.succeeded + new.succeeded,
        failures=_added(before.failures, new.failures),
        ttft_n=before.ttft_n + new.ttft_n,
        ttft_log_sum=before.ttft_log_sum + new.ttft_log_sum,
        output_tps_n=before.output_tps_n + new.output_tps_n,
        output_tps_log_sum=before.output_tps_log_sum + new.output_tps_log_sum,
    )


class Reports:
    """The reports of one window: added one by one, and removed all at once."""

    def __init__(self) -> None:
        self._sums: dict[ModelRef, Sums] = {}
        # Counted reports by account and by the caller's name; None: no server vouches for it, or no name is given.
        self._counted: dict[ModelRef, dict[str | None, Counter[str | None]]] = {}
        self._held = 0  # names in it

    def add(
        self,
        model: ModelRef,
        report: ReportRequest,
        digest: str | None,
        now: datetime,
        asker: str | None = None,
        rest: Performance | None = None,
        *,
        measured: bool = False,
    ) -> str | None:
        """Count *report* by *asker*, of a *model* that exists; return None, or why it is not counted."""
        asker = GATEWAY if measured else asker
        refusal = self._refusal(self._counted.get(model, {}), asker, report.caller)
        if refusal is None:
            callers = self._counted.setdefault(model, {}).setdefault(asker, Counter())
            self._held += report.caller not in callers
            callers[report.caller] += 1
            new = sums_of(report, digest, now, asker=asker, rest=rest, measured=measured)
        else:
            new = Sums(since=now, until=now, digest=digest, uncounted=1)
        self._sums[model] = self._sums[model] + new if model in self._sums else new
        return refusal

    def _refusal(
        self, counted: Mapping[str | None, Counter[str | None]], asker: str | None, caller: str | None
    ) -> str | None:
        callers = counted.get(asker, Counter())
        if asker == GATEWAY:
            if callers.total() >= MAX_MEASURED_PER_MODEL:
                return f"more than {MAX_MEASURED_PER_MODEL} calls of this model, in too short a time"
        elif callers.total() >= MAX_PER_ASKER:
            return f"more than {MAX_PER_ASKER} reports of one account about this model, in too short a time"
        elif sum(one.total() for asked, one in counted.items() if asked != GATEWAY) >= MAX_PER_MODEL:
            return f"more than {MAX_PER_MODEL} reports about this model, in too short a time"
        if caller not in callers and self._held >= MAX_HELD:
            return "too many models and callers, in too short a time"
        return None

    def take(self) -> dict[ModelRef, Sums]:
        """Return the sums by model, and begin a new window."""
        taken = self._with_callers(self._sums)
        self._sums, self._counted, self._held = {}, {}, 0
        return taken

    def take_measured(self) -> dict[ModelRef, Sums]:
        """Return the sums of the models that the gateway has reported. What is counted of the window stays so."""
        measured = {
            model: sums for model, sums in self._sums.items() if GATEWAY in self._counted.get(model, {})
        }
        for model in measured:
            del self._sums[model]
        return self._with_callers(measured)

    def _with_callers(self, sums: Mapping[ModelRef, Sums]) -> dict[ModelRef, Sums]:
        return {
            model: msgspec.structs.replace(one, callers=sum(map(len, self._counted.get(model, {}).values())))
            for model, one in sums.items()
        }


def _added(one: Mapping[str, N], other: Mapping[str, N]) -> dict[str, N]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


def _log(value: float | None, limits: tuple[float, float]) -> float:
    low, high = limits
    return 0.0 if value is None else math.log(min(max(value, low), high))
