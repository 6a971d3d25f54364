"""The metrics of the recorder."""

from prometheus_client import Counter, Gauge

RECORDED = Counter(
    "vedette_recorded_total",
    "Messages that the recorder has stored, as history or as dead letters.",
    ["stream", "outcome"],
)
LAG_MESSAGES = Gauge("vedette_lag_messages", "Messages of a stream that are not recorded yet.", ["stream"])
LAG_SECONDS = Gauge("vedette_lag_seconds", "Age of the oldest message that is not recorded yet.", ["stream"])
LAG_ROOM_USED = Gauge(
    "vedette_lag_room_used",
    "Share of a stream that unrecorded messages use; at 1, the stream drops them.",
    ["stream"],
)
STREAM_USED = Gauge(
    "vedette_stream_used",
    "Used share of a stream's limit in bytes or in messages, the larger of the two.",
    ["stream"],
)
LAST_LOSS = Gauge(
    "vedette_last_loss_timestamp_seconds",
    "When the recorder noticed the last gap in a stream, in seconds since 1970.",
    ["stream"],
)
LOST = Gauge(
    "vedette_lost_messages", "Messages in the last gap: dropped before they were recorded.", ["stream"]
)
DATABASE_WAITING = Gauge("vedette_database_waiting", "1 while messages wait for the database.", ["stream"])
RETENTION_REFUSED = Gauge(
    "vedette_retention_refused", "1 while no history is deleted, because history does not confirm the clock."
)
