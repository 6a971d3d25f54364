"""When an endpoint's load is read, by which replica, and what is said of it."""

from collections.abc import Iterable, Iterator
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from vedette.endpoints import own
from vedette.endpoints.budget import with_load
from vedette.errors import ConfigurationError
from vedette.messages.events import EndpointLoad
from vedette.messages.queries import OwnReply
from vedette.providers import Activity, ModelActivity
from vedette.providers.counting import Sent
from vedette.settings import Budget, EndpointSettings, Load, parse
from vedette.testing import EPOCH
from vedette.types import Ledger, ModelLoad, Outcome, Residency, Use
from vedette_prober.load import (
    Reading,
    due_at,
    event,
    interval_s,
    is_news,
    is_suspicious,
    lasting,
    look_s,
    next_every_s,
    silence,
)

BOX = EndpointSettings(url="http://box:8000")
LAST = EndpointLoad(
    id="1", at=EPOCH, endpoint="box", every_s=10.0, source="vllm metrics", elapsed_ms=1.0, bytes=900
)
READING = Reading(
    began=100.0, outcome=Outcome.OK, activity=Activity(), elapsed_ms=2.0, bytes=900, use=Use(requests=1)
)
shares = st.floats(0, 1)


def seconds_until(due: object) -> float:
    return (due - EPOCH).total_seconds()  # type: ignore[operator, no-any-return]


@given(shares, shares)
def test_who_read_last_goes_on_and_the_others_wait_until_it_is_overdue(share: float, other: float) -> None:
    """Whatever the jitter: no other replica reads before the one that did would have read twice."""
    known = {"started": EPOCH - timedelta(days=1), "every_s": 10.0, "now": EPOCH}
    mine = seconds_until(due_at(LAST, mine=True, share=share, **known))  # type: ignore[arg-type]
    others = seconds_until(due_at(LAST, mine=False, share=other, **known))  # type: ignore[arg-type]
    assert 9.0 <= mine <= 11.0
    assert 25.0 <= others <= 30.0


def test_at_a_start_readings_are_spread_over_the_interval() -> None:
    """Nothing was ever read, or what was is old: a thousand endpoints are not all asked at once."""
    started = EPOCH + timedelta(hours=1)
    for last in (None, LAST):
        due = [
            due_at(last, mine=False, started=started, every_s=10.0, share=share, now=started)
            for share in (0.0, 0.5, 1.0)
        ]
        assert due == sorted(set(due))
        assert due[0] == started


def test_the_mean_of_the_running_requests_follows_from_the_event_before() -> None:
    """Whichever replica reads next. A reading of 30 s ago counts half as much as this one."""
    last = replace(LAST, mean_running=2.0, lasting=2.0)
    means = {s: lasting(0, last, EPOCH + timedelta(seconds=s))[0] for s in (0, 30, 60, 300)}
    assert means == {0: 2.0, 30: 1.0, 60: 0.5, 300: 0.0}
    assert lasting(0, last, EPOCH - timedelta(days=1)) == (0, 0)
    assert lasting(3, LAST, EPOCH) == lasting(3, None, EPOCH) == (3, 3)
    assert lasting(None, last, EPOCH) == (None, None)


def after(readings: Iterable[int]) -> Iterator[float]:
    """Yield what lasts after each of the *readings*, one every ten seconds."""
    last = replace(LAST, mean_running=0.0, lasting=0.0)
    for n, running in enumerate(readings):
        at = EPOCH + timedelta(seconds=10 * n)
        mean, lasts = lasting(running, last, at)
        last = replace(last, at=at, mean_running=mean, lasting=lasts)
        assert lasts is not None
        yield lasts


def test_requests_that_come_and_go_do_not_change_what_lasts() -> None:
    """However often they do: two of a slot's requests for ten seconds, then none."""
    assert len(set(list(after([1, 0, 2, 1, 0, 1, 2, 0, 1] * 20))[60:])) <= 2


def test_what_lasts_follows_requests_that_stay_and_forgets_those_that_ended() -> None:
    found = list(after([2] * 18 + [0] * 60))
    assert found[17] == pytest.approx(1.2, abs=0.03)
    assert found[:18] == sorted(found[:18])
    assert found[-1] == 0.0


def test_a_server_that_is_too_busy_to_show_its_load_is_as_busy_as_before() -> None:
    last = replace(LAST, mean_running=2.0, lasting=1.5)
    late = replace(READING, activity=None, outcome=Outcome.TIMEOUT)
    gone = replace(READING, activity=None, outcome=Outcome.REFUSED)
    known = {"last": last, "before": None, "every_s": 10.0, "now": EPOCH, "seed": "x"}
    after_late, after_gone = (event("box", one, **known) for one in (late, gone))  # type: ignore[arg-type]
    assert (after_late.mean_running, after_late.lasting, after_late.running) == (2.0, 1.5, None)
    assert after_gone.lasting is None


@pytest.mark.fault("the load that was read last has a wrong date", "I5")
def test_a_load_of_the_future_holds_nobody_back() -> None:
    late = replace(LAST, at=EPOCH + timedelta(days=1))
    due = due_at(late, mine=False, started=EPOCH, every_s=10.0, share=0.5, now=EPOCH)
    assert seconds_until(due) == 5.0


def test_what_tells_nothing_is_asked_less_and_less() -> None:
    """Up to five minutes; as soon as it tells, as often as configured."""
    nothing, last, intervals = replace(READING, activity=None, outcome=Outcome.UNSUPPORTED), None, []
    for _ in range(7):
        every_s = next_every_s(last, nothing, 10.0)
        intervals.append(every_s)
        last = replace(LAST, source="", every_s=every_s)
    assert intervals == [20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0]
    assert next_every_s(last, READING, 10.0) == 10.0
    assert next_every_s(None, nothing, 3600.0) == 3600.0
    down = replace(nothing, outcome=Outcome.REFUSED)
    assert [next_every_s(LAST, down, 10.0), next_every_s(last, down, 10.0)] == [20.0, 30.0]


OK, REFUSED, LOADING = Outcome.OK, Outcome.REFUSED, Outcome.LOADING


@pytest.mark.parametrize(
    ("reading", "last", "contact", "news"),
    [
        (REFUSED, OK, OK, True),  # it was killed
        (Outcome.UNREACHABLE, OK, OK, True),  # its machine sleeps
        (REFUSED, None, OK, True),
        (REFUSED, REFUSED, OK, True),  # it was back for a moment, when it was probed
        (REFUSED, OK, REFUSED, False),  # a probe saw it first
        (Outcome.TIMEOUT, OK, OK, False),  # busy, perhaps
        (LOADING, REFUSED, REFUSED, False),  # soon
        (OK, LOADING, LOADING, True),
        (OK, REFUSED, REFUSED, True),
        (Outcome.UNSUPPORTED, REFUSED, REFUSED, True),  # another server, which shows no load
        (OK, OK, REFUSED, True),  # it was away for a moment, when it was probed
        (OK, None, REFUSED, True),  # nothing was read while it was away
        (OK, OK, LOADING, False),
        (OK, None, LOADING, False),
        (OK, OK, Outcome.TIMEOUT, False),  # its listing is slow, and its load is not
        (OK, REFUSED, OK, False),
    ],
)
def test_a_server_that_went_or_came_back_is_probed_at_once(
    reading: Outcome, last: Outcome | None, contact: Outcome, news: bool
) -> None:
    """Readings that agree with the last contact ask for nothing."""
    assert is_news(reading, last, contact) is news


def suspicious(first: Activity | None, outcomes: str, *, ours: int = 0) -> list[int]:
    """Return which readings after one that said *first* ask for a probe: "t" is late, "o" is in time.

    *ours*: the requests that Vedette has there.
    """
    before, asking = replace(READING, activity=first), []
    for n, one in enumerate(outcomes, start=1):
        outcome, own_then = Outcome.TIMEOUT if one == "t" else OK, OwnReply(requests=ours)
        now = silence(outcome, own_then, before)
        if is_suspicious(now, before.silence, outcome):
            asking.append(n)
        activity = None if one == "t" else Activity()
        before = replace(READING, outcome=outcome, activity=activity, silence=now)
    return asking


@pytest.mark.fault("a server accepts connections and answers nothing", "I9")
def test_a_server_that_falls_silent_is_probed_twice() -> None:
    """Two probes decide. Then no more, until it answers. One late reading says nothing."""
    assert suspicious(Activity(running=0), "ototooto") == []
    assert suspicious(Activity(loaded={}), "tttttttttt") == [2, 3]
    assert suspicious(Activity(running=0), "tttttttoottt") == [2, 3, 8, 11, 12]


def test_a_server_at_work_may_be_silent_for_longer() -> None:
    """Vedette's own work too. One that never showed its load may reply to nothing while it computes."""
    assert suspicious(Activity(running=1), "tttttttttto") == [6, 7, 11]
    assert suspicious(Activity(running=1), "tttttoo") == []
    assert suspicious(Activity(running=0), "tttttttttt", ours=1) == [6, 7]
    assert suspicious(None, "tttttttttt") == []


def test_a_late_server_is_read_soon_again() -> None:
    """Until it is suspicious; then as one that is down."""
    before, last, intervals = READING, LAST, []
    for _ in range(5):
        now = silence(Outcome.TIMEOUT, OwnReply(requests=0), before)
        before = replace(READING, outcome=Outcome.TIMEOUT, activity=None, silence=now)
        intervals.append(next_every_s(last, before, 10.0))
        last = replace(LAST, source="", every_s=intervals[-1])
    assert intervals == [10.0, 10.0, 20.0, 30.0, 30.0]


@pytest.mark.parametrize(
    ("endpoint", "requests", "expected"),
    [
        (BOX, 1, 10.0),
        (replace(BOX, load=Load(every_s=30)), 1, 30.0),
        (replace(BOX, load=Load(every_s=0)), 1, None),
        (replace(BOX, budget=Budget(requests_per_day=1728)), 1, 100.0),
        (replace(BOX, budget=Budget(requests_per_day=1728)), 2, 200.0),
        (replace(BOX, budget=Budget(requests_per_day=10**6)), 1, 10.0),
        (replace(BOX, budget=Budget(requests_per_day=0)), 1, None),
    ],
)
def test_a_budget_of_requests_stretches_the_interval(
    endpoint: EndpointSettings, requests: int, expected: float | None
) -> None:
    """Readings take half of it at most."""
    assert interval_s(endpoint, 10.0, requests=requests) == expected
    assert interval_s(endpoint, 0.0) == (30.0 if endpoint.load.every_s == 30 else None)


def test_what_is_due_about_now_is_read_together() -> None:
    """Within a tenth of the interval before or after its time, as the jitter."""
    assert look_s([10.0, None, 300.0]) == look_s([]) == 2.0
    assert look_s([10.0, 1.0]) == 0.2


def told(now: Activity, before: Activity | None = None, *, last: EndpointLoad | None = None) -> EndpointLoad:
    """Return what is published of *now*, ten seconds after *before*."""
    earlier = replace(READING, began=90.0, activity=before) if before else None
    return event(
        "box",
        replace(READING, activity=now),
        last=last,
        before=earlier,
        every_s=10.0,
        now=EPOCH,
        seed="a",
    )


def test_tokens_per_second_are_those_counted_since_the_reading_before() -> None:
    """Of the server and of each model; not where a counter went back, nor where it counts at the end of requests."""
    before = Activity(generated_tokens=1000, models={"m": ModelActivity(generated_tokens=900)})
    now = Activity(generated_tokens=1500, models={"m": ModelActivity(generated_tokens=1000)})
    seen = told(now, before)
    assert (seen.output_tps, seen.models["m"].output_tps) == (50.0, 10.0)
    assert told(now).output_tps is None
    assert told(replace(now, generated_tokens=900), before).output_tps is None
    assert told(replace(now, counts_live=False), before).output_tps is None
    assert told(replace(now, counts_live=False, output_tps=81.5), before).output_tps == 81.5


def test_an_event_says_what_was_told_and_nothing_more() -> None:
    now = Activity(
        running=3,
        loaded={"m": Residency(resident=True)},
        models={f"m{n}": ModelActivity(running=n) for n in range(100)},
        source="vllm metrics",
    )
    seen = told(now)
    assert (seen.running, seen.waiting, seen.slots, seen.cache_use) == (3, None, None, None)
    assert seen.loaded == now.loaded
    assert len(seen.models) == 64
    assert seen.models["m99"] == ModelLoad(running=99)
    assert told(replace(now, loaded=None)).loaded is None


def test_what_readings_use_is_counted_by_the_day() -> None:
    """The next replica goes on where the last one ended; the ledger of the endpoint takes the count of its day."""
    seen = told(Activity(), last=replace(LAST, day=str(EPOCH.date()), used=Use(requests=4, seconds=0.5)))
    assert (seen.day, seen.used) == (str(EPOCH.date()), Use(requests=5, seconds=0.5))
    assert told(Activity(), last=replace(LAST, day="2020-01-01", used=Use(requests=4))).used.requests == 1
    ledger = Ledger(day=seen.day, by={"probe": Use(requests=1), "load": Use(requests=3)})
    entered = with_load(ledger, seen)
    assert entered is not None
    assert entered.by == {"probe": Use(requests=1), "load": seen.used}
    assert with_load(replace(ledger, day="2020-01-01"), seen) == replace(ledger, day="2020-01-01")
    assert with_load(None, seen) is None


@pytest.mark.parametrize(
    ("load", "problem"),
    [
        ({"prometheus": "http://p:9090"}, 'queries: need one for "running"'),
        ({"queries": {"running": "x"}}, "need the URL of a Prometheus"),
        ({"metrics": "ftp://x"}, "load.metrics"),
        ({"metrics": "http://a/m", "prometheus": "http://p", "queries": {"running": "x"}}, "load.metrics"),
        ({"api_key": {"env": "KEY"}}, "load.api_key"),
        ({"every_s": -1}, "every_s"),
        ({"prometheus": "http://p", "queries": {"run": "x"}}, "queries"),
    ],
)
def test_a_wrong_place_of_the_load_is_named(load: object, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        parse({"endpoints": {"gpu": {"url": "http://gpu:8000", "load": load}}}, where="f", environ={})


def test_the_load_may_be_elsewhere() -> None:
    load = {"prometheus": "http://p:9090", "queries": {"running": "x"}, "every_s": 30}
    document = {"endpoints": {"gpu": {"url": "http://gpu:8000", "load": load}}}
    configured = parse(document, where="f", environ={}).endpoints["gpu"].load
    assert (configured.url, configured.every_s) == ("http://p:9090", 30.0)


BUSY = Activity(
    running=2,
    waiting=3,
    models={"m": ModelActivity(running=1, waiting=3), "n": ModelActivity(running=1)},
)


@pytest.mark.parametrize(
    ("ours", "whole", "m", "n"),
    [
        (OwnReply(requests=0), (2, 3), (1, 3), (1, None)),
        (OwnReply(requests=1, model="n"), (1, 3), (1, 3), (0, None)),
        (OwnReply(requests=1), (1, 3), (0, 3), (1, None)),  # of the busiest
        (OwnReply(requests=3, model="m"), (0, 2), (0, 1), (1, None)),  # those that wait come last
        (OwnReply(requests=9, model="gone"), (0, 0), (0, 0), (1, None)),
    ],
)
def test_requests_of_vedette_itself_are_no_load(ours: OwnReply, whole: object, m: object, n: object) -> None:
    read = replace(READING, activity=BUSY, own=ours)
    told = event("box", read, last=None, before=None, every_s=10.0, now=EPOCH, seed="s")
    assert (told.running, told.waiting) == whole
    models = {name: (one.running, one.waiting) for name, one in told.models.items()}
    assert models == {"m": m, "n": n}
    assert told.own == min(ours.requests, 5)


def test_a_load_that_says_nothing_of_requests_has_none_of_ours() -> None:
    read = replace(READING, activity=Activity(loaded={}), own=OwnReply(requests=1))
    told = event("box", read, last=None, before=None, every_s=10.0, now=EPOCH, seed="s")
    assert (told.running, told.waiting, told.own) == (None, None, 0)


def test_a_request_that_just_ended_may_still_run_at_the_server() -> None:
    assert own.running(Sent(), 100.0) == 0
    assert own.running(Sent(in_flight=4, ended_at=99.0), 100.0) == 4
    assert own.running(Sent(ended_at=99.0), 100.0) == 1
    assert own.running(Sent(ended_at=97.0), 100.0) == 0
