"""Windows, buckets and medians of history."""

from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vedette.errors import RequestError
from vedette.types import ModelRef, Outcome
from vedette_recorder.history import (
    Benchmark,
    Window,
    availability,
    performance,
    window,
)
from vedette_recorder.probes import ENDED, Probes, microseconds, pack, unpack

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MODEL = ModelRef("local", "m")
Row = dict[str, Any]


def values(rows: list[Row]) -> list[tuple[Any, ...]]:
    """Return *rows* as `Probes` takes them."""
    return [tuple(row[name] for name in ("measured_at", "outcome", "cause", "latency_ms")) for row in rows]


HOUR = timedelta(hours=1)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Draw windows of a microsecond to ten years."""
    length = draw(st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=3650)))
    return Window(since=NOW - length, until=NOW, buckets=draw(st.integers(1, 500)))


@st.composite
def probed(draw: st.DrawFn) -> tuple[Window, list[Row]]:
    """Draw a window and probes in it."""
    chosen = draw(windows())
    last = chosen.until - timedelta(microseconds=1)
    probe = st.fixed_dictionaries(
        {
            "measured_at": st.datetimes(
                chosen.since.replace(tzinfo=None), last.replace(tzinfo=None), timezones=st.just(UTC)
            ),
            "outcome": st.sampled_from(Outcome),
            "cause": st.sampled_from(["model", "endpoint"]),
            "latency_ms": st.none() | st.floats(0, 1e6),
        }
    )
    return chosen, draw(st.lists(probe, max_size=20))


def probe(at: datetime, outcome: Outcome = Outcome.OK, latency_ms: float | None = None) -> Row:
    """Return a probe whose failure is the endpoint's."""
    return {"measured_at": at, "outcome": outcome, "cause": "endpoint", "latency_ms": latency_ms}


def benchmark(at: datetime, output_tps: float | None, outcome: Outcome = Outcome.OK) -> Benchmark:
    """Return a benchmark of which only the rate is known."""
    return Benchmark(
        measured_at=at,
        outcome=outcome,
        n=6,
        contended=1,
        output_tps=output_tps,
        ttft_ms=None,
        ttft_cold_ms=None,
        load_ms=None,
        texts_per_s=None,
    )


@given(probed())
def test_counts_add_up(drawn: tuple[Window, list[Row]]) -> None:
    """Every probe is in one bucket and under one outcome, and uptime follows from the counts."""
    chosen, rows = drawn
    told = availability(MODEL, chosen, Probes.of(values(rows)))
    assert len(told.buckets) == chosen.buckets
    assert sum(bucket.probes for bucket in told.buckets) == told.probes == len(rows)
    for bucket in told.buckets:
        assert sum(bucket.counts.values()) == bucket.probes
        assert bucket.uptime is None or 0 <= bucket.uptime <= 1
    assert sum(told.down_by_cause.values()) <= told.probes


@given(probed())
def test_latencies_are_bounded(drawn: tuple[Window, list[Row]]) -> None:
    """Percentiles are ordered, lie between the extremes, and are there when a latency is."""
    chosen, probes = drawn
    for n, bucket in enumerate(availability(MODEL, chosen, Probes.of(values(probes))).buckets):
        known = [
            probe["latency_ms"]
            for probe in probes
            if chosen.start(n) <= probe["measured_at"] < chosen.start(n + 1)
            and probe["outcome"] in (Outcome.OK, Outcome.BUSY, Outcome.LOADING)
            and probe["latency_ms"] is not None
        ]
        p50, p95 = bucket.latency_p50_ms, bucket.latency_p95_ms
        if not known:
            assert (p50, p95) == (None, None)
            continue
        assert p50 is not None
        assert p95 is not None
        assert min(known) <= p50 <= max(known)
        assert p50 <= p95 * (1 + 1e-12)
        assert p95 <= max(known)


@given(probed(), st.integers(0, 20))
def test_what_is_packed_tells_the_same(drawn: tuple[Window, list[Row]], first: int) -> None:
    """In however many parts, whatever outcomes those have."""
    chosen, rows = drawn
    parts = [pack(Probes.of(values(some))) for some in (rows[:first], rows[first:])]
    assert availability(MODEL, chosen, unpack(parts)) == availability(MODEL, chosen, Probes.of(values(rows)))


def test_what_an_earlier_version_packed_is_read() -> None:
    """Databases hold it for a month, and for years if they are told to."""
    packed = (
        "949292a26f6ba56d6f64656c92a774696d656f7574a8656e64706f696e74c4100040e2b52b5f06000140e2b52b5f0600"
        "c4020001c4100000000000002940000000000000f87f"
    )
    at = datetime(2026, 11, 1, tzinfo=UTC)
    probes = unpack([bytes.fromhex(packed)])
    assert probes.at.tolist() == [microseconds(at), microseconds(at) + 1]
    assert [ENDED[place] for place in probes.ended] == [(Outcome.OK, "model"), (Outcome.TIMEOUT, "endpoint")]
    assert probes.latency_ms[0] == 12.5
    assert probes.timed.tolist() == [True, False]
    assert pack(probes).hex() == packed


@given(windows(), st.integers(0, 499))
def test_buckets_are_half_open(chosen: Window, n: int) -> None:
    """A bucket begins at its start, and the microsecond before belongs to the one before."""
    assume(n < chosen.buckets)
    assume(chosen.until - chosen.since >= timedelta(microseconds=chosen.buckets))
    start, instant = chosen.start(n), timedelta(microseconds=1)
    at = (start, start - instant, chosen.until - instant)
    places = chosen.places(Probes.of(values([probe(one) for one in at])))
    assert places.tolist() == [n, n - 1, chosen.buckets - 1]


@given(probed())
def test_benchmarks_and_probes_have_the_same_buckets(drawn: tuple[Window, list[Row]]) -> None:
    """What comes at one time is in one bucket, whichever it is."""
    chosen, rows = drawn
    at = sorted(row["measured_at"] for row in rows)
    places = Counter(chosen.places(Probes.of(values(rows))).tolist())
    split = chosen.split([benchmark(one, None) for one in at])
    assert [len(group) for group in split] == [places[n] for n in sorted(places)]
    assert [one.measured_at for group in split for one in group] == at


def test_an_empty_bucket_knows_nothing() -> None:
    """Not zero, not one: None; and a probe that tells nothing is counted all the same."""
    chosen = Window(since=NOW - 4 * HOUR, until=NOW, buckets=4)
    told = availability(
        MODEL,
        chosen,
        Probes.of(
            values(
                [
                    probe(NOW - 4 * HOUR, latency_ms=10),
                    probe(NOW - 4 * HOUR, Outcome.REFUSED, latency_ms=9000),
                    probe(NOW - 2 * HOUR, Outcome.RATE_LIMITED),
                ]
            )
        ),
    )
    assert [bucket.uptime for bucket in told.buckets] == [0.5, None, None, None]
    assert [bucket.probes for bucket in told.buckets] == [2, 0, 1, 0]
    assert [bucket.start for bucket in told.buckets] == [NOW - n * HOUR for n in (4, 3, 2, 1)]
    assert told.buckets[0].latency_p95_ms == 10
    assert told.buckets[0].counts == {Outcome.OK: 1, Outcome.REFUSED: 1}
    assert (told.uptime, told.down_by_cause) == (0.5, {"endpoint": 1})


def test_few_benchmarks_are_told_one_by_one() -> None:
    """Even in the same bucket; one that failed has no figures, though its row has those before it."""
    chosen = Window(since=NOW - HOUR, until=NOW, buckets=2)
    told = performance(MODEL, chosen, [benchmark(NOW - HOUR, 10), benchmark(NOW - HOUR, 10, Outcome.TIMEOUT)])
    assert [(point.output_tps, point.n, point.failed) for point in told.points] == [(10, 6, 0), (None, 0, 1)]


def test_many_benchmarks_become_medians() -> None:
    """Of those in a bucket that know the figure; buckets without any are left out."""
    chosen = Window(since=NOW - 3 * HOUR, until=NOW, buckets=3)
    early = [
        benchmark(NOW - 3 * HOUR + n * timedelta(minutes=1), tps) for n, tps in enumerate((1, 4, 8, None))
    ]
    late = [benchmark(NOW - HOUR, 7), benchmark(NOW - HOUR, 99, Outcome.TIMEOUT)]
    first, last = performance(MODEL, chosen, [*early, *late]).points
    assert (first.output_tps, first.benchmarks, first.measured_at) == (4, 4, early[-1].measured_at)
    assert (last.output_tps, last.benchmarks, last.failed, last.outcome) == (7, 2, 1, Outcome.TIMEOUT)
    assert first.ttft_ms is None


@given(
    st.lists(st.timedeltas(timedelta(), HOUR - timedelta(microseconds=1)), max_size=30), st.integers(1, 20)
)
def test_points_are_few_in_order_and_complete(ages: list[timedelta], buckets: int) -> None:
    """However many benchmarks there were."""
    chosen = Window(since=NOW - HOUR, until=NOW, buckets=buckets)
    told = performance(MODEL, chosen, [benchmark(chosen.since + age, 1.0) for age in sorted(ages)])
    times = [point.measured_at for point in told.points]
    assert times == sorted(times)
    assert len(told.points) <= buckets
    assert sum(point.benchmarks for point in told.points) == told.benchmarks == len(ages)


def test_a_window_ends_now_and_is_as_long_as_usual() -> None:
    """Unless the request says otherwise, in whatever zone."""
    usual = window(None, None, 60, now=NOW, usual=HOUR)
    assert usual == Window(since=NOW - HOUR, until=NOW, buckets=60)
    east = datetime(2026, 11, 23, 12, tzinfo=timezone(2 * HOUR))
    told = window(None, east, 7, now=NOW, usual=HOUR)
    assert told == Window(since=NOW - 3 * HOUR, until=NOW - 2 * HOUR, buckets=7)
    assert told.since.tzinfo is UTC


@pytest.mark.parametrize(
    ("since", "until", "says"),
    [
        (NOW, NOW, "not before the end"),
        (NOW + HOUR, None, "not before the end"),
        (NOW - timedelta(days=3651), None, "3650 days"),
        (datetime(1, 1, 1, tzinfo=timezone(HOUR)), None, "not a valid date in UTC"),
        (None, datetime(1, 1, 1, tzinfo=UTC), "not a valid date in UTC"),
    ],
)
def test_a_window_that_is_none_is_refused(since: datetime | None, until: datetime | None, says: str) -> None:
    """With the field that is wrong."""
    with pytest.raises(RequestError, match=says) as caught:
        window(since, until, now=NOW, usual=HOUR)
    assert (caught.value.code, caught.value.field) == ("invalid_value", "since")
