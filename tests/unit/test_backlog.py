"""How near unrecorded messages are to being lost, and what was lost."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.js.api import ConsumerConfig, ConsumerInfo, SequenceInfo, StreamConfig, StreamInfo, StreamState

from leaping import leaping
from vedette.messages.consumers import recording
from vedette_recorder import streams
from vedette_recorder.backlog import ConsumerLag, Oldest, backlog, gap, is_doubtful

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY_S = 86_400.0
MODELS = recording("MODELS")
LIMITED = ConsumerLag(
    created_at=NOW,
    first=1,
    last=1000,
    messages=1000,
    bytes=0,
    delivered=1000,
    settled=1000,
    waiting=0,
    in_hand=0,
    most_per_subject=200,
    most_bytes=None,
    longest_s=None,
)


def lag(**changes: object) -> ConsumerLag:
    """Return a stream of a thousand messages, 200 of a subject, with *changes*."""
    return msgspec.structs.replace(LIMITED, **changes)


class _Broker:
    """Says of a stream that it has messages up to *last*, and of its consumer one of *infos* after the other."""

    def __init__(self, last: int, *infos: tuple[int, int, int]) -> None:
        self.js = self
        self._last, self._infos = last, list(infos)

    async def stream_info(self, name: str) -> StreamInfo:
        state = StreamState(messages=self._last, bytes=0, first_seq=1, last_seq=self._last, consumer_count=1)
        return StreamInfo(config=StreamConfig(name=name), state=state)

    async def consumer_info(self, stream: str, name: str) -> ConsumerInfo:
        consumer_seq, stream_seq, waiting = self._infos.pop(0)
        return ConsumerInfo(
            name=name,
            stream_name=stream,
            config=ConsumerConfig(),
            created=NOW,
            delivered=SequenceInfo(consumer_seq=consumer_seq, stream_seq=stream_seq),
            num_pending=waiting,
        )


@pytest.mark.parametrize(
    ("infos", "missing"),
    [
        ([(10, 20, 5)], 0),
        ([(10, 20, 4), (10, 20, 5)], 0),  # the last one was stored a moment ago
        ([(10, 20, 4), (13, 23, 2)], 0),  # and meanwhile three were delivered
        ([(10, 20, 2), (10, 20, 2)], 3),
        ([(10, 20, 2), (12, 25, 0)], 3),  # the two that are left were delivered, and the lost ones skipped
        ([(10, 20, 2), (10, 20, 9)], 0),  # so many came meanwhile that it cannot be known now
    ],
)
@leaping
async def test_what_the_broker_has_not_counted_yet_is_not_lost(
    infos: list[tuple[int, int, int]], missing: int
) -> None:
    """It counts what it stored for a consumer a moment later. What was lost stays missing at a second look."""
    broker: Any = _Broker(25, *infos)
    seen = await streams.lag(broker, MODELS)
    lost = gap("MODELS", seen, known=0, at=NOW)
    assert (lost.missing if lost else 0) == missing


def test_nothing_waiting_is_no_backlog() -> None:
    waiting = backlog(lag(), None)
    assert (waiting.messages, waiting.oldest_s, waiting.used) == (0, 0.0, 0.0)


def test_few_waiting_cannot_be_near_loss_whichever_subject_they_are_on() -> None:
    """As many as wait in all bound what waits on one subject, without a closer look."""
    few = lag(waiting=40, in_hand=10)
    assert not is_doubtful(few)
    waiting = backlog(few, Oldest(age_s=60))
    assert (waiting.messages, waiting.used, waiting.limit) == (50, 0.25, "messages per subject")


@pytest.mark.parametrize(
    ("on_subject", "age_s", "used"), [(200, 3500, 0.5), (200, 7000, 1.0), (20, 7000, 0.1), (200, 0, 0.0)]
)
def test_many_waiting_are_judged_by_the_subject_of_the_oldest(
    on_subject: int, age_s: float, used: float
) -> None:
    """A thousand over many subjects are no danger while the part of one that is unrecorded is small."""
    many = lag(waiting=1000)
    assert is_doubtful(many)
    oldest = Oldest(age_s=age_s, on_subject=on_subject, subject_age_s=7000)
    assert backlog(many, oldest).used == pytest.approx(used)


def test_age_and_bytes_are_limits_too() -> None:
    """Of a full stream that drops its oldest, what counts is how much of it is unrecorded."""
    reports = lag(most_per_subject=None, longest_s=30 * DAY_S, most_bytes=1000, bytes=1000, waiting=100)
    young = backlog(reports, Oldest(age_s=DAY_S))
    assert (young.used, young.limit) == (pytest.approx(0.1), "bytes")
    old = backlog(reports, Oldest(age_s=27 * DAY_S))
    assert (old.used, old.limit) == (pytest.approx(0.9), "age")


@given(st.integers(0, 50), st.integers(0, 50), st.sets(st.integers(1, 100)))
def test_what_is_neither_waiting_nor_there_is_lost(delivered: int, known: int, dropped: set[int]) -> None:
    """Exactly the dropped ones after the last delivered, unless the stream is being read again."""
    waiting = len([n for n in range(delivered + 1, 101) if n not in dropped])
    found = gap("MODELS", lag(last=100, delivered=delivered, waiting=waiting), known=known, at=NOW)
    lost = [n for n in dropped if n > delivered]
    if not lost or delivered < known:
        assert found is None
    else:
        assert found is not None
        assert (found.first_sequence, found.last_sequence, found.missing) == (delivered + 1, 100, len(lost))
        assert all(found.first_sequence <= n <= found.last_sequence for n in lost)


def test_messages_that_come_between_the_two_looks_are_not_missed() -> None:
    """The stream is asked first, so the consumer may know of more than the stream has."""
    assert gap("MODELS", lag(last=100, delivered=90, waiting=15), known=0, at=NOW) is None
