"""When an endpoint's load is read, by which replica, and the event that follows. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from vedette.endpoints.budget import LOAD, charge, of_load
from vedette.messages import ids
from vedette.messages.events import MISSED_READINGS, EndpointLoad
from vedette.messages.queries import OwnReply
from vedette.messages.tolerance import is_future
from vedette.providers import Activity, ModelActivity
from vedette.settings import EndpointSettings
from vedette.types import ModelLoad, Outcome, Residency, Use

# An endpoint that reports nothing, or fails, is asked less and less often, until it is asked this often.
MAX_EVERY_S: Final = 300.0
# One that is down or starts is asked this often: agents wait for it.
MAX_AWAY_S: Final = 30.0
_AWAY: Final = frozenset({Outcome.REFUSED, Outcome.UNREACHABLE})
_DOWN_OR_STARTING: Final = _AWAY | {Outcome.RESET, Outcome.TIMEOUT, Outcome.LOADING}
_WELL: Final = frozenset({Outcome.OK, Outcome.UNSUPPORTED})
# Late readings in a row of a server that showed its load before, until it is probed. One at work may compute so long.
_LATE_AT_REST: Final = 2
_LATE_AT_WORK: Final = 6
JITTER: Final = 0.1
# What is due is read together, so that the processor's caches stay warm: each reading takes three quarters of the time.
_MAX_LOOK_S: Final = 2.0
_LOOK_SHARE: Final = 0.2  # of the shortest interval
# Of a budget of requests, this share at most goes into readings of the load.
SHARE_OF_BUDGET: Final = 0.5
_MAX_NAMES: Final = 64
_MEAN_HALF_LIFE_S: Final = 30.0  # in the mean of the running requests
_NEARLY: Final = 0.01  # requests: a mean that is nearer to the reading equals it
_BAND: Final = 0.4  # of the mean, to both sides: within it, the requests that last stay as they are
_DAY_S: Final = 86_400.0


class Silence(Struct, frozen=True, kw_only=True):
    """How many readings in a row timed out, and whether the server was busy before or meanwhile."""

    late: int
    at_work: bool

    @property
    def explained(self) -> int:
        """How many late readings in a row are no reason for suspicion."""
        return (_LATE_AT_WORK if self.at_work else _LATE_AT_REST) - 1


class Reading(Struct, frozen=True, kw_only=True):
    """One reading of an endpoint's load at `began` (monotonic seconds), which took `elapsed_ms` and what it used."""

    began: float
    outcome: Outcome
    activity: Activity | None
    elapsed_ms: float
    bytes: int
    use: Use
    own: OwnReply = OwnReply(requests=0)  # Vedette's own part of it
    silence: Silence | None = None  # of a server that showed its load before


def interval_s(endpoint: EndpointSettings, default_s: float, *, requests: int = 1) -> float | None:
    """Return the seconds between readings that take this number of *requests* each, or None where there are none.

    A budget of requests stretches the interval, so that readings take half of it at most.
    """
    every_s = default_s if endpoint.load.every_s is None else endpoint.load.every_s
    limit = endpoint.budget.requests_per_day
    if every_s <= 0 or limit == 0:
        return None
    return every_s if limit is None else max(every_s, requests * _DAY_S / (limit * SHARE_OF_BUDGET))


def look_s(intervals: Iterable[float | None]) -> float:
    """Return how often to look for readings that are due, where endpoints are read at these *intervals*."""
    return min([_MAX_LOOK_S, *(_LOOK_SHARE * every_s for every_s in intervals if every_s is not None)])


def due_at(
    last: EndpointLoad | None, *, mine: bool, started: datetime, every_s: float, share: float, now: datetime
) -> datetime:
    """Return when this replica reads next. *share*, from 0 to 1, is a new random number for each reading.

    The replica that read *last* goes on. The others wait until it is overdue, and then one of them is first.
    """
    if last is None or is_future(last.at, now):
        return started + timedelta(seconds=share * every_s)
    if mine:
        return last.at + timedelta(seconds=min(last.every_s, _DAY_S) * (1 + JITTER * (2 * share - 1)))
    overdue = last.at + timedelta(seconds=MISSED_READINGS * min(last.every_s, _DAY_S))
    return max(overdue, started) + timedelta(seconds=share * every_s / 2)


def next_every_s(last: EndpointLoad | None, reading: Reading, every_s: float) -> float:
    """Return after how many seconds to read again: later each time where the endpoint reports nothing."""
    if reading.activity is not None or (reading.silence and reading.silence.late <= _LATE_AT_REST):
        return every_s
    before = last.every_s if last is not None and last.source == "" else every_s
    most = MAX_AWAY_S if reading.outcome in _DOWN_OR_STARTING else MAX_EVERY_S
    return max(every_s, min(most, 2 * before))


def silence(outcome: Outcome, own: OwnReply, before: Reading | None) -> Silence | None:
    """Return the silence of a server that showed its load *before*, where a reading ended with *outcome*.

    *own* are Vedette's own requests there.
    """
    if outcome is not Outcome.TIMEOUT or before is None:
        return None
    if before.silence is not None:
        late, at_work = before.silence.late, before.silence.at_work
    elif before.activity is not None:
        late, at_work = 0, bool(before.activity.requests)
    else:
        return None  # it may have no reply for anything while it computes
    return Silence(late=late + 1, at_work=at_work or own.requests > 0)


def is_suspicious(now: Silence | None, before: Silence | None, outcome: Outcome) -> bool:
    """Return whether a server is silent for longer than work explains, or replies again after such a silence.

    Of a long silence, two readings say so: a status changes when two probes agree.
    """
    if now is not None:
        return now.explained < now.late <= now.explained + 2
    return before is not None and before.late > before.explained and outcome in _WELL


def is_news(reading: Outcome, last: Outcome | None, contact: Outcome) -> bool:
    """Return whether a *reading* after the *last* one says that the server went or came back.

    *contact* is how the last contact with the endpoint ended. Whether a server is there, both see at the same port.
    """
    gone = reading in _AWAY and contact not in _AWAY
    was_ill = last is not None and last not in _WELL and contact is not Outcome.OK
    return gone or (reading in _WELL and (was_ill or contact in _AWAY))


def event(
    endpoint: str,
    reading: Reading,
    *,
    last: EndpointLoad | None,
    before: Reading | None,
    every_s: float,
    now: datetime,
    seed: str,
) -> EndpointLoad:
    """Return the event for *reading*; *before* is this replica's own earlier reading, if there is one."""
    tally = charge(of_load(last), LOAD, reading.use, now)
    load = EndpointLoad(
        id=ids.derive(now, "endpoint.load", endpoint, seed),
        at=now,
        endpoint=endpoint,
        outcome=reading.outcome,
        every_s=round(every_s, 3),
        source="",
        day=tally.day,
        used=tally.by[LOAD],
        elapsed_ms=round(reading.elapsed_ms, 3),
        bytes=reading.bytes,
    )
    if reading.activity is None:
        if reading.outcome is Outcome.TIMEOUT and last is not None:  # too busy to reply: as busy as before
            return replace(load, mean_running=last.mean_running, lasting=last.lasting)
        return load
    seen = without(reading.own, reading.activity)
    passed_s, earlier = (reading.began - before.began, before.activity) if before else (0.0, None)
    mean_running, lasts = lasting(seen.running, last, now)
    return replace(
        load,
        source=seen.source,
        running=seen.running,
        mean_running=mean_running,
        lasting=lasts,
        waiting=seen.waiting,
        own=(reading.activity.requests or 0) - (seen.requests or 0),
        slots=seen.slots,
        cache_use=_rounded(seen.cache_use),
        output_tps=_rate(seen, earlier, passed_s, is_live=seen.counts_live),
        loaded=_loaded(seen),
        models=_of_models(seen, earlier, passed_s),
    )


def lasting(
    running: int | None, last: EndpointLoad | None, now: datetime
) -> tuple[float | None, float | None]:
    """Return the mean of the running requests and those that last, after a reading of *running*.

    Both follow from the reading and the event before (*last*), so another replica that goes on reading goes on with
    them. What lasts changes only where the mean leaves a band around it: it moves no further than to the band's edge,
    so a mean that varies within the band changes nothing.
    """
    if running is None:
        return None, None
    if last is None or last.mean_running is None or last.lasting is None or is_future(last.at, now):
        return running, running
    kept: float = 0.5 ** (max(0.0, (now - last.at).total_seconds()) / _MEAN_HALF_LIFE_S)
    mean = round(running + (last.mean_running - running) * kept, 3)
    if abs(mean - running) < _NEARLY:
        mean = float(running)
    return mean, round(min(max(last.lasting, (1.0 - _BAND) * mean), (1.0 + _BAND) * mean), 3)


def _of_models(seen: Activity, earlier: Activity | None, passed_s: float) -> dict[str, ModelLoad]:
    """Return the load of single models in *seen*; of many models, the busiest ones."""
    busiest = sorted(seen.models.items(), key=lambda item: -_requests(item[1]))[:_MAX_NAMES]
    before = earlier.models if earlier else {}
    return {
        name: ModelLoad(
            running=one.running,
            waiting=one.waiting,
            slots=one.slots,
            cache_use=_rounded(one.cache_use),
            output_tps=_rate(one, before.get(name), passed_s, is_live=seen.counts_live),
        )
        for name, one in busiest
    }


def without(own: OwnReply, seen: Activity) -> Activity:
    """Return *seen* without the requests that are Vedette's *own*: of their model, else of the busiest."""
    if not own.requests:
        return seen
    running, waiting = _less(seen.running, seen.waiting, own.requests)
    models = dict(seen.models)
    if models:
        name = own.model if own.model in models else max(models, key=lambda one: _requests(models[one]))
        model = models[name or ""]
        left = _less(model.running, model.waiting, own.requests)
        models[name or ""] = replace(model, running=left[0], waiting=left[1])
    return replace(seen, running=running, waiting=waiting, models=models)


def _less(running: int | None, waiting: int | None, own: int) -> tuple[int | None, int | None]:
    """Return running and waiting requests without *own* ones, which are subtracted from the running first."""
    run = min(own, running or 0)
    wait = min(own - run, waiting or 0)
    return None if running is None else running - run, None if waiting is None else waiting - wait


def _requests(model: ModelActivity) -> int:
    return (model.running or 0) + (model.waiting or 0)


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(min(1.0, max(0.0, share)), 4)


def _rate(
    seen: Activity | ModelActivity,
    earlier: Activity | ModelActivity | None,
    passed_s: float,
    *,
    is_live: bool,
) -> float | None:
    """Return output tokens per second: as the server says, else of its counter, where that counts as it writes."""
    if seen.output_tps is not None:
        return round(seen.output_tps, 2)
    if not is_live or earlier is None or passed_s <= 0:
        return None
    now, then = seen.generated_tokens, earlier.generated_tokens
    # A counter that went back is another server's.
    return None if now is None or then is None or now < then else round((now - then) / passed_s, 2)


def _loaded(seen: Activity) -> dict[str, Residency] | None:
    return None if seen.loaded is None else dict(list(seen.loaded.items())[:_MAX_NAMES])
