"""Which rows a message becomes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.errors import UndecodableMessage
from vedette.messages import ids
from vedette.messages.codec import decode_event, encode
from vedette.messages.events import (
    EndpointObserved,
    Event,
    ModelBenchmarked,
    ModelChanged,
    ModelEvaluated,
    ModelFound,
    ModelJudged,
    ModelLost,
    ModelProbed,
    ModelReported,
)
from vedette.types import (
    EndpointState,
    FieldChange,
    Figure,
    Health,
    Judged,
    Level,
    Listed,
    ModelInfo,
    ModelRef,
    Outcome,
    Performance,
    ProbeSample,
    Prose,
    Quality,
    Reported,
    Residency,
    RunSample,
    Score,
    Status,
)
from vedette_recorder import tables
from vedette_recorder.record import Gap, Message, dead_letter, rows_of

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CREATED = NOW - timedelta(days=1)
MODEL = ModelRef("local", "llama3.1:8b")
INFO = ModelInfo(
    model=MODEL, provider="ollama", url="http://localhost", api="ollama", digest="d1", kind="chat"
)
ID = ids.derive(NOW, "event")
FIGURE = Figure(n=5, median=42.0, p95=50.0, min=40.0, max=51.0, spread=0.1)
RUN = RunSample(job_id="j", at=NOW, prompt="short", cold=False, output_tps=42.0)


def probed(outcome: Outcome = Outcome.OK) -> ModelProbed:
    """Return a probe of the model that ended in *outcome*."""
    sample = ProbeSample(job_id="j", at=NOW, outcome=outcome, level=Level.ANSWER, latency_ms=12.5)
    health = Health(
        status=Status.AVAILABLE,
        since=NOW - timedelta(hours=1),
        checked_at=NOW,
        outcomes=(sample,),
        residency=Residency(resident=True),
    )
    return ModelProbed(id=ID, at=NOW, model=MODEL, sample=sample, health=health)


def benchmarked() -> ModelBenchmarked:
    """Return a benchmark of one run, after an earlier one."""
    performance = Performance(measured_at=NOW, n=5, digest="d1", output_tps=FIGURE, samples=(RUN, RUN))
    return ModelBenchmarked(
        id=ID,
        at=NOW,
        model=MODEL,
        job_id="j",
        outcome=Outcome.OK,
        samples=(RUN,),
        resident_before=True,
        performance=performance,
    )


def observed() -> EndpointObserved:
    """Return an observation that lists one model and misses another."""
    listing = (Listed(name="a"), Listed(name="b", misses=1))
    state = EndpointState(
        url="http://localhost",
        provider="ollama",
        fingerprint="f",
        checked_at=NOW,
        outcome=Outcome.OK,
        latency_ms=3.0,
        listing=listing,
    )
    return EndpointObserved(id=ID, at=NOW, endpoint="local", state=state)


FOUND = ModelFound(id=ID, at=NOW, model=MODEL, info=INFO, revision=1)
CHANGED = ModelChanged(
    id=ID, at=NOW, model=MODEL, info=INFO, revision=2, changes=(FieldChange(field="digest", new="d1"),)
)
LOST = ModelLost(id=ID, at=NOW, model=MODEL, info=INFO, revision=3, reason="absent")
EVALUATED = ModelEvaluated(
    id=ID,
    at=NOW,
    model=MODEL,
    job_id="j",
    outcome=Outcome.OK,
    quality=Quality(measured_at=NOW, digest="d1", scores={"code": Score(successes=3, trials=4, suite="1")}),
)
JUDGED = ModelJudged(
    id=ID,
    at=NOW,
    model=MODEL,
    job_id="j",
    judged=Judged(digest="d1", texts={"chat": (Prose(place=0, text="Hello."),)}),
)
REPORTED = ModelReported(
    id=ID,
    at=NOW,
    model=MODEL,
    since=NOW - timedelta(seconds=10),
    calls=5,
    failures={"timeout": 2, "rate_limited": 4},
    ttft_ms=120.0,
    included={"replica": 3},
    reported=Reported(as_of=NOW, digest="d1", calls=5, succeeded=3),
)
ALL = (FOUND, CHANGED, LOST, probed(), benchmarked(), EVALUATED, JUDGED, observed(), REPORTED)


def message(event: Event, sequence: int = 7) -> Message:
    """Return *event* as it arrives at *sequence*."""
    return Message(
        stream="MODELS",
        stream_created_at=CREATED,
        sequence=sequence,
        at=NOW,
        subject=event.subject,
        payload=encode(event),
        headers={"ce-id": event.id},
    )


def values(event: Event, table: str) -> dict[str, Any]:
    """Return the one row of *event* in *table*."""
    (found,) = (row.values for row in rows_of(event, message(event)) if row.table == table)
    return found


@pytest.mark.parametrize("event", ALL, ids=lambda event: event.TYPE)
def test_every_row_fills_exactly_the_columns_of_its_table(event: Event) -> None:
    """A row has a value for each column of its table, and none besides."""
    for row in rows_of(event, message(event)):
        if row.table != "model_seen":
            assert row.values.keys() == set(tables.metadata.tables[row.table].columns.keys())


@pytest.mark.parametrize("event", ALL, ids=lambda event: event.TYPE)
def test_a_redelivered_message_gives_the_same_rows(event: Event) -> None:
    """Decoding and recording the same bytes again changes nothing."""
    arrived = message(event)
    again = decode_event(arrived.subject, arrived.payload)
    assert rows_of(event, arrived) == rows_of(again, arrived)


@pytest.mark.parametrize("event", ALL, ids=lambda event: event.TYPE)
def test_current_state_keeps_the_message_as_it_came(event: Event) -> None:
    """The raw bytes and headers are there to restore the stream from."""
    state = values(event, "current_state")
    assert state["payload"] == encode(event)
    assert state["headers"] == {"ce-id": ID}
    assert (state["subject"], state["sequence"], state["event_id"]) == (event.subject, 7, ID)


@pytest.mark.parametrize(
    ("event", "table"),
    [
        (FOUND, "model_info_history"),
        (CHANGED, "model_info_history"),
        (LOST, "model_info_history"),
        (probed(), "model_availability_history"),
        (benchmarked(), "model_performance_history"),
        (EVALUATED, "model_quality_history"),
        (JUDGED, "model_judgement_history"),
        (observed(), "endpoint_history"),
        (REPORTED, "model_reports"),
    ],
)
def test_each_event_has_one_row_of_history_under_its_id(event: Event, table: str) -> None:
    """The event id is the key of the row, the event's own time its time."""
    row = values(event, table)
    assert (row["event_id"], row["measured_at"], row["endpoint"]) == (ID, NOW, "local")


def test_a_loss_is_dated_and_is_no_sign_of_life() -> None:
    """`lost_at` is set by `lost` alone, which does not count as having seen the model."""
    assert (values(LOST, "model_info")["lost_at"], values(LOST, "model_info")["last_seen_at"]) == (NOW, None)
    assert (values(FOUND, "model_info")["lost_at"], values(FOUND, "model_info")["last_seen_at"]) == (
        None,
        NOW,
    )


@pytest.mark.parametrize(
    ("outcome", "seen"), [(Outcome.OK, 1), (Outcome.BUSY, 1), (Outcome.TIMEOUT, 0), (Outcome.NOT_FOUND, 0)]
)
def test_a_model_is_seen_when_a_probe_finds_it_up(outcome: Outcome, seen: int) -> None:
    """A probe that failed does not move `last_seen_at`."""
    event = probed(outcome)
    assert [row.table for row in rows_of(event, message(event))].count("model_seen") == seen


@pytest.mark.fault(
    "a wrong clock dated an event", "I2", without=("vedette_recorder.record:is_future", lambda *_: False)
)
@pytest.mark.parametrize("event", ALL, ids=lambda event: event.TYPE)
def test_an_event_of_the_future_happened_when_it_was_stored(event: Event) -> None:
    """The broker's time holds where a publisher's clock was ahead; an event is never recorded before it happened."""
    stored = NOW - timedelta(days=31)
    early = msgspec.structs.replace(message(event), at=stored)
    for row in rows_of(event, early):
        for column in (
            "at",
            "measured_at",
            "first_seen_at",
            "last_seen_at",
            "lost_at",
            "seen_at",
            "status_since",
        ):
            assert row.values.get(column) in (None, stored), column


def test_medians_are_columns_and_rolling_samples_are_left_out() -> None:
    """The run's own samples are kept; those of earlier runs are in earlier rows."""
    row = values(benchmarked(), "model_performance_history")
    assert (row["output_tps"], row["ttft_ms"], row["n"]) == (42.0, None, 5)
    assert row["samples"] == (RUN,)
    assert msgspec.to_builtins(row["figures"]).get("samples") is None


def test_reports_are_summed_and_the_rest_is_kept() -> None:
    """Failures of all kinds are one column; by outcome, with the means, they are among the figures."""
    row = values(REPORTED, "model_reports")
    assert (row["calls"], row["failures"]) == (5, 6)
    figures = msgspec.to_builtins(row["figures"])
    assert (figures["failures"], figures["ttft_ms"]) == ({"timeout": 2, "rate_limited": 4}, 120.0)
    assert figures["reported"]["succeeded"] == 3
    assert figures.keys().isdisjoint({"included", "model", "calls"})
    assert (values(REPORTED, "current_state")["endpoint"], values(REPORTED, "current_state")["model"]) == (
        MODEL.endpoint,
        MODEL.name,
    )


def test_an_endpoints_missing_models_are_not_counted() -> None:
    """`models` counts what the last listing had; the listing itself is left out."""
    row = values(observed(), "endpoint_history")
    assert row["models"] == 1
    assert row["state"].listing == ()


def test_a_payload_on_anothers_subject_is_refused() -> None:
    """An event that contradicts its subject is no event."""
    stray = msgspec.structs.replace(message(FOUND), subject="model.found.other.x")
    with pytest.raises(UndecodableMessage, match=r"model\.found\.other\.x"):
        rows_of(FOUND, stray)


def test_a_dead_letter_escapes_what_no_database_stores() -> None:
    """NUL and lone surrogates are escaped in texts, and the payload stays as it was."""
    arrived = msgspec.structs.replace(message(FOUND), headers={"k\x00": "\ud800"}, payload=b"\x00\xff")
    dead = dead_letter(arrived, "bad\x00 \udfff")
    assert dead.values["headers"] == {"k\\x00": "\\ud800"}
    assert dead.values["reason"] == "bad\\x00 \\udfff"
    assert dead.values["payload"] == b"\x00\xff"
    assert dead.values.keys() == set(tables.dead_letters.columns.keys())


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 9), st.integers(1, 9)), min_size=1))
def test_gaps_that_overlap_are_one_that_covers_them(spans: list[tuple[int, int, int]]) -> None:
    """And at least as many are missing as in the worst of them: some may be the same messages."""
    gaps = [
        Gap(
            stream="MODELS",
            stream_created_at=CREATED,
            first_sequence=first,
            last_sequence=first + length,
            missing=missing,
            at=NOW,
        )
        for first, length, missing in spans
    ]
    merged = gaps[0].with_all(gaps[1:])
    assert all(merged.first_sequence <= gap.first_sequence for gap in gaps)
    assert all(merged.last_sequence >= gap.last_sequence for gap in gaps)
    assert merged.missing == max(missing for _, _, missing in spans)
    assert merged.with_all(gaps) == merged
