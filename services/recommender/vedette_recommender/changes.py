"""Whether a model changed within minutes, by the reports of callers: a change detector for each signal. Pure.

A two-sided CUSUM [Page 1954] of the difference between each report and the usual reports. A latency counts as the
logarithm of "times slower than measured at rest, for a prompt of this length", so that long prompts and answers count
like short ones. Each account adds at most half of the threshold, so two accounts must agree. The detected change is
one that at least two accounts reach. So a single account changes nothing.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import blake2s
from typing import Final, NamedTuple

from msgspec.structs import replace

from vedette.messages.queries import ReportRequest
from vedette.types import REPORTS_HALF_LIFE_S, Deviation, Outcome, Performance, Signal, Watch
from vedette_recommender.candidate import median
from vedette_recommender.constants import USUAL_OUTPUT_TPS, USUAL_TTFT_MS

# By signal: how many reports there are of it, and the sum of what they say. See `Watch`.
Deviations = Mapping[Signal, Deviation]

GATEWAY: Final = "$GATEWAY"  # no account of NATS begins so
MAX_ACCOUNTS: Final = 8  # counted one by one; all further ones together count as one
_OTHERS: Final = ""
_SHORT_TOKENS, _LONG_TOKENS = 100.0, 1000.0  # the prompts of a benchmark
_FARTHEST: Final = math.log(
    30.0
)  # of one report; a value beyond it comes from a broken clock or a false report
_FORGET_S: Final = 600.0  # sums that were not added to for so long are of another time
_MIN_USUAL: Final = 8.0  # reports, before which there is no usual value to change from
_SUSPICIOUS: Final = 1 / 3  # of the threshold: one account alone can reach it
_FAILING_PRIOR: Final = (10.0, 0.2)  # reports, of them failed


class Tuning(NamedTuple):
    """The settings of a detector, in the unit of its signal. Chosen by `python -m benchmarks now`."""

    allowance: float  # half of the change that is worth detecting
    threshold: float  # by how much all reports together must exceed the allowance
    farthest: float  # maximum deviation of one report
    settles: (
        float  # a level nearer to zero than this is zero: less than what began it, so that it does not flap
    )


_LATENCY: Final = Tuning(allowance=0.3, threshold=6.0, farthest=2.5, settles=math.log(1.25))
TUNINGS: Final[Mapping[Signal, Tuning]] = {
    "ttft": _LATENCY,
    "speed": _LATENCY,
    "reliability": Tuning(allowance=0.2, threshold=3.0, farthest=1.0, settles=0.1),
}


def account_key(asker: str | None) -> str:
    """Return a short digest for the account *asker*; all that no server vouches for are one account."""
    return blake2s((asker or "").encode(), digest_size=4).hexdigest()


def by_gateway(said: Deviations) -> dict[str, Deviations]:
    """Return the part of a report that the gateway measured: half of it for each of two accounts, which then agree."""
    half = {signal: Deviation(n=one.n / 2, total=one.total / 2) for signal, one in said.items()}
    return {account_key(f"{GATEWAY}{number}"): half for number in (1, 2)}


def deviations(
    report: ReportRequest, output_tps: float | None, *, counts: bool, rest: Performance | None
) -> dict[Signal, Deviation]:
    """Return the deviations of *report* from the figures *rest*; *counts* is whether its call counts for the model."""
    ok, said = report.outcome is Outcome.OK, dict[Signal, Deviation]()
    if counts:
        said["reliability"] = Deviation(n=1.0, total=float(not ok))
    if ok and report.ttft_ms is not None:
        said["ttft"] = _slower(report.ttft_ms / _ttft_at_rest(rest, report.prompt_tokens))
    if ok and output_tps is not None:
        at_rest = median(rest.output_tps) if rest else None
        said["speed"] = _slower((at_rest or USUAL_OUTPUT_TPS) / output_tps)
    return said


def _slower(times: float) -> Deviation:
    return Deviation(n=1.0, total=max(-_FARTHEST, min(_FARTHEST, math.log(max(times, 1e-9)))))


def _ttft_at_rest(rest: Performance | None, prompt_tokens: int | None) -> float:
    """Return the time to the first token at rest after a prompt of that length, by benchmarks of two lengths."""
    short = (median(rest.ttft_ms) if rest else None) or USUAL_TTFT_MS
    long = median(rest.ttft_long_ms) if rest else None
    if prompt_tokens is None or long is None or long <= short:
        return short
    return short + (long - short) * max(0.0, prompt_tokens - _SHORT_TOKENS) / (_LONG_TOKENS - _SHORT_TOKENS)


def added(one: Mapping[str, Deviations], other: Mapping[str, Deviations]) -> dict[str, Deviations]:
    """Return both, by account."""
    return {
        account: {
            signal: one.get(account, {}).get(signal, Deviation())
            + other.get(account, {}).get(signal, Deviation())
            for signal in TUNINGS
            if signal in one.get(account, {}) or signal in other.get(account, {})
        }
        for account in {**one, **other}
    }


def watched(
    before: Mapping[Signal, Watch], accounts: Mapping[str, Deviations], now: datetime
) -> dict[Signal, Watch]:
    """Return the detectors after what *accounts* reported until *now*."""
    after = dict(before)
    for signal, tuning in TUNINGS.items():
        said = {account: one[signal] for account, one in accounts.items() if signal in one}
        if said:
            after[signal] = _after(signal, tuning, before.get(signal, Watch()), said, now)
    return after


def _after(
    signal: Signal, tuning: Tuning, before: Watch, said: Mapping[str, Deviation], now: datetime
) -> Watch:
    watch = _aged(before, now)
    usual = _usual(signal, watch)
    if usual is None:
        return _learnt(replace(watch, heard_at=now), said.values(), 0.0)
    middle = usual + watch.level
    deviations = {account: _clipped(one, middle, tuning.farthest) for account, one in said.items()}
    worse = _joined(watch.worse, deviations, 1.0)
    better = _joined(watch.better, deviations, -1.0)
    sums = _sum(worse, tuning), _sum(better, tuning)
    were = max(_sum(watch.worse, tuning), _sum(watch.better, tuning))
    changed = tuning.threshold - 1e-9
    watch = replace(
        watch, heard_at=now, worse=worse if sums[0] > 0 else {}, better=better if sums[1] > 0 else {}
    )
    if sums[0] >= changed:
        return _moved(watch, tuning, _agreed(worse), now)
    if sums[1] >= changed:
        return _moved(watch, tuning, -_agreed(better), now)
    if max(sums) >= changed * _SUSPICIOUS > were:
        watch = replace(watch, suspected_at=now)
    return watch if watch.level else _learnt(watch, _usual_of(deviations, tuning.allowance), middle)


def _usual_of(deviations: Mapping[str, Deviation], allowance: float) -> list[Deviation]:
    """Return which of the *deviations* are usual values: those near zero, and those that two accounts agree on.

    Otherwise one account alone could shift the usual value, and the reports of all others would look like a change.
    """
    means = {account: one.total / one.n for account, one in deviations.items()}
    return [
        one
        for account, one in deviations.items()
        if abs(means[account]) <= allowance
        or any(abs(means[account] - mean) <= allowance for other, mean in means.items() if other != account)
    ]


def _aged(watch: Watch, now: datetime) -> Watch:
    """Return *watch* as it counts at *now*, when nothing came since its last report."""
    gap_s = max(0.0, (now - watch.heard_at).total_seconds()) if watch.heard_at else 0.0
    left = 2.0 ** -(gap_s / REPORTS_HALF_LIFE_S)
    stale = gap_s > _FORGET_S
    return replace(
        watch,
        level=watch.level_at(now),
        usual_n=watch.usual_n * left,
        usual_total=watch.usual_total * left,
        worse={} if stale else watch.worse,
        better={} if stale else watch.better,
    )


def _usual(signal: Signal, watch: Watch) -> float | None:
    """Return the usual value; None where there are too few reports."""
    if signal == "reliability":
        n, failed = _FAILING_PRIOR
        return (watch.usual_total + failed) / (watch.usual_n + n)
    return watch.usual_total / watch.usual_n if watch.usual_n >= _MIN_USUAL else None


def _learnt(watch: Watch, said: Iterable[Deviation], middle: float) -> Watch:
    new = sum(said, Deviation())
    total = watch.usual_total + middle * new.n + new.total
    return replace(watch, usual_n=watch.usual_n + new.n, usual_total=total)


def _clipped(one: Deviation, middle: float, farthest: float) -> Deviation:
    mean = max(-farthest, min(farthest, one.total / one.n - middle))
    return Deviation(n=one.n, total=mean * one.n)


def _joined(
    held: Mapping[str, Deviation], said: Mapping[str, Deviation], sign: float
) -> dict[str, Deviation]:
    """Return *held* plus *said*, by account. Beyond MAX_ACCOUNTS, further accounts share one sum."""
    joined = dict(held)
    for account in sorted(said):
        key = account if account in joined or len(joined) < MAX_ACCOUNTS else _OTHERS
        one = said[account]
        joined[key] = joined.get(key, Deviation()) + Deviation(n=one.n, total=sign * one.total)
    return joined


def _sum(side: Mapping[str, Deviation], tuning: Tuning) -> float:
    """Return the evidence of all accounts for a change; each adds or removes at most half of the threshold."""
    most = tuning.threshold / 2
    return math.fsum(max(-most, min(most, one.total - one.n * tuning.allowance)) for one in side.values())


def _agreed(side: Mapping[str, Deviation]) -> float:
    """Return the mean deviation that at least two accounts reach."""
    means = sorted((one.total / one.n for one in side.values() if one.n), reverse=True)
    return means[1] if len(means) > 1 else 0.0


def _moved(watch: Watch, tuning: Tuning, by: float, now: datetime) -> Watch:
    level = watch.level + by
    return replace(
        watch,
        level=0.0 if abs(level) < tuning.settles else level,
        changed_at=now,
        worse={},
        better={},
    )
