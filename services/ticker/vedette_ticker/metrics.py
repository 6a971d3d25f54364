"""The metrics of the ticker."""

from prometheus_client import Gauge

TICK_DUE = Gauge(
    "vedette_tick_due_timestamp_seconds",
    "When the next tick of a schedule is due, by the last one that is known, in seconds since 1970.",
    ["schedule"],
)
