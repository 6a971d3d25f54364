"""Unrecorded messages of a stream, how near they are to being dropped, and gaps. Pure."""

from datetime import datetime

from msgspec import Struct

from vedette_recorder.record import Gap

# Of the room before the stream drops something unrecorded; above the one it is said, below the other taken back.
NEAR_LOSS = 0.5
FAR_FROM_LOSS = 0.25


class ConsumerLag(Struct, frozen=True, kw_only=True):
    """How far a durable has come in its stream, as the broker reports it; 0 is before the first message."""

    created_at: datetime  # of the stream: sequences start at 1 again when it is recreated
    first: int
    last: int
    messages: int
    bytes: int
    delivered: int  # everything up to here was delivered at least once
    settled: int  # everything up to here was acknowledged
    waiting: int  # messages after `delivered` that the stream still has
    in_hand: int
    most_per_subject: int | None
    most_bytes: int | None  # if reaching it deletes the oldest messages
    longest_s: float | None


class Oldest(Struct, frozen=True, kw_only=True):
    """The oldest message that is not recorded, and what its subject holds."""

    age_s: float
    on_subject: int | None = None  # messages on its subject; None where it was not looked at
    subject_age_s: float = 0.0  # of the first of these


class Backlog(Struct, frozen=True, kw_only=True):
    """Messages that wait to be recorded. `used` is the used part of their room: at 1, messages are lost."""

    messages: int
    oldest_s: float
    used: float
    limit: str  # the one that is nearest


def unrecorded(lag: ConsumerLag) -> int:
    """Return how many messages wait to be recorded."""
    return lag.waiting + lag.in_hand


def is_doubtful(lag: ConsumerLag) -> bool:
    """Return whether a subject may be short of room, because more wait than half of what any one can hold."""
    most = lag.most_per_subject
    return most is not None and unrecorded(lag) > NEAR_LOSS * most


def backlog(lag: ConsumerLag, oldest: Oldest | None) -> Backlog:
    """Return the waiting messages, by their *oldest* one; None without any."""
    if oldest is None:
        return Backlog(messages=unrecorded(lag), oldest_s=0.0, used=0.0, limit="")
    room = {
        "messages per subject": _of_subject(lag, oldest),
        "bytes": _of_bytes(lag),
        "age": oldest.age_s / lag.longest_s if lag.longest_s else 0.0,
    }
    limit = max(room, key=lambda name: room[name])
    return Backlog(messages=unrecorded(lag), oldest_s=oldest.age_s, used=min(1.0, room[limit]), limit=limit)


def _of_subject(lag: ConsumerLag, oldest: Oldest) -> float:
    """Return the unrecorded share of the limit of one subject: that of the oldest unrecorded message.

    If the subject was not read, all unrecorded messages count as messages of it. Otherwise their number is estimated:
    the messages of the subject count as spread evenly over the time that it covers.
    """
    if not lag.most_per_subject:
        return 0.0
    if oldest.on_subject is None:
        return unrecorded(lag) / lag.most_per_subject
    part = min(1.0, oldest.age_s / oldest.subject_age_s) if oldest.subject_age_s > 0 else 1.0
    return oldest.on_subject * part / lag.most_per_subject


def _of_bytes(lag: ConsumerLag) -> float:
    # A stream whose history is full drops its oldest all the time; what counts is how much of it is unrecorded.
    if not lag.most_bytes or not lag.messages:
        return 0.0
    return lag.bytes / lag.most_bytes * unrecorded(lag) / lag.messages


def gap(stream: str, lag: ConsumerLag, *, known: int, at: datetime) -> Gap | None:
    """Return the messages that *stream* dropped before any recorder got them, if any; *known* was recorded before.

    Sequences after the last delivered one are lost if they neither wait nor are in the stream. Each of several
    recorders can see this. A jump in the sequences that one recorder reads shows nothing, because others read the rest.
    """
    if lag.delivered < known:
        return None  # read again from the start, where holes are what was recorded and then aged
    missing = lag.last - lag.delivered - lag.waiting
    if missing <= 0:
        return None
    return Gap(
        stream=stream,
        stream_created_at=lag.created_at,
        first_sequence=lag.delivered + 1,
        last_sequence=lag.last,
        missing=missing,
        at=at,
    )
