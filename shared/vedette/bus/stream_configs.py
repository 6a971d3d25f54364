"""The configuration of every stream: its subjects, its limits, and how long it keeps messages. Pure."""

from typing import Any

from nats.js.api import (
    DiscardPolicy,
    PersistMode,
    RePublish,
    RetentionPolicy,
    StorageType,
    StoreCompression,
    StreamConfig,
)

from vedette.settings import Settings, is_cron, seconds

MIB = 2**20
_DAY_S = 86_400.0
_HOUR_S = 3_600.0
_MIN_KEPT, _MAX_KEPT = 200, 1000
_TRIAL_INTERVAL_S = 60.0
_MIN_BYTES = 4 * MIB


def _history_per_subject(settings: Settings) -> int:
    """Return how many messages of a model's subject are kept for a recorder that lags behind.

    Seven days of the shortest interval, at most 1,000 messages, at least 200. Intervals under a minute are for trials:
    they get the minimum, so that a stream stops growing within an hour.
    """
    schedule = settings.schedule
    every = [v for v in (schedule.availability, schedule.performance) if not is_cron(v)]
    shortest = min((seconds(v) for v in every), default=1800.0)
    if shortest < _TRIAL_INTERVAL_S:
        return _MIN_KEPT
    return max(_MIN_KEPT, min(_MAX_KEPT, int(7 * _DAY_S / shortest)))


def _compression(replicas: int) -> StoreCompression:
    """Return the compression of a stream with *replicas* replicas.

    nats-server 2.15.1 loses a compressed, replicated stream if all its servers are killed at the same time
    (docs/adr/0014-replicated-streams-are-not-compressed.md).
    """
    return StoreCompression.S2 if replicas == 1 else StoreCompression.NONE


def _unsynced(replicas: int) -> dict[str, Any]:
    """Return the storage of a stream whose messages may be lost, because the next ones come in seconds.

    A single server loses streams in memory at a restart, and a replicated stream has no `async` mode (measured on
    nats-server 2.15.1).
    """
    return {"persist_mode": PersistMode.ASYNC} if replicas == 1 else {"storage": StorageType.MEMORY}


def streams(settings: Settings, *, share: float = 1.0) -> list[StreamConfig]:
    """Return the configuration of every stream. *share* is the share of the wanted storage that is available."""

    def limit(wanted_bytes: int) -> int:
        return max(_MIN_BYTES, int(wanted_bytes * share))

    kept = _history_per_subject(settings)
    common: dict[str, Any] = {
        "storage": StorageType.FILE,
        "num_replicas": settings.nats.replicas,
        "allow_direct": True,
        "max_msg_size": 1024 * 1024,
        "duplicate_window": 120,
    }
    return [
        StreamConfig(name="SCHEDULE", subjects=["schedule.*"], max_msgs_per_subject=1, **common),
        StreamConfig(
            name="JOBS",
            subjects=["job.>"],
            retention=RetentionPolicy.WORK_QUEUE,
            discard=DiscardPolicy.NEW,
            discard_new_per_subject=False,  # moving a job back in its queue replaces it in one step
            max_msgs_per_subject=1,
            max_age=_DAY_S,
            max_bytes=limit(64 * MIB),  # 150,000 jobs; the names of an endpoint are limited
            **common,
        ),
        StreamConfig(
            name="ENDPOINTS",
            subjects=["endpoint.observed.*"],
            max_msgs_per_subject=200,
            max_bytes=limit(512 * MIB),  # three endpoints with observations of the maximum size
            **common,
        ),
        StreamConfig(
            name="DEFINITIONS",
            subjects=["endpoint.defined.*"],
            max_msgs_per_subject=100,  # the history of changes
            # A full stream refuses new messages: else it would drop an endpoint that was not changed for a long time.
            discard=DiscardPolicy.NEW,
            max_bytes=limit(32 * MIB),
            **{**common, "max_msg_size": 64 * 1024},
        ),
        StreamConfig(
            name="APPEARED",
            subjects=["endpoint.appeared.*.*"],
            max_msgs_per_subject=10,
            discard=DiscardPolicy.NEW,
            max_bytes=limit(32 * MIB),
            **{**common, "max_msg_size": 64 * 1024},
        ),
        StreamConfig(
            name="LOADS",
            subjects=["endpoint.load.*"],
            max_msgs_per_subject=1,
            max_age=_HOUR_S,
            max_bytes=limit(16 * MIB),  # ten thousand endpoints
            republish=RePublish(src="endpoint.load.*", dest="endpoint.load"),
            **{**common, "max_msg_size": 64 * 1024} | _unsynced(settings.nats.replicas),
        ),
        StreamConfig(
            name="MODELS",
            subjects=["model.*.*.*"],
            compression=_compression(settings.nats.replicas),
            discard=DiscardPolicy.NEW,
            max_msgs_per_subject=kept,
            # Measured: a probed event with full tallies is 4 to 6 KB, a third of that after S2.
            max_bytes=limit(max(256 * MIB, settings.nats.expected_models * kept * 4096)),
            republish=RePublish(src="model.*.*.*", dest="model.{{wildcard(1)}}"),
            **common,
        ),
        StreamConfig(
            name="ANSWERS",
            subjects=["answer.*"],
            max_msgs_per_subject=10,
            republish=RePublish(src="answer.*", dest="recommend.changed.{{wildcard(1)}}"),
            **common,
        ),
        StreamConfig(
            name="DELIVERIES",
            subjects=["delivery.*"],
            retention=RetentionPolicy.WORK_QUEUE,
            # An unreachable receiver fills only its own part: then its next events become dead letters.
            discard=DiscardPolicy.NEW,
            discard_new_per_subject=True,
            max_msgs_per_subject=5000,
            max_age=7 * _DAY_S,
            max_bytes=limit(128 * MIB),
            **common,
        ),
        StreamConfig(name="WEBHOOKS", subjects=["webhook.*"], max_msgs_per_subject=5, **common),
        StreamConfig(name="CANARY", subjects=["canary.*"], max_msgs_per_subject=1, max_bytes=MIB, **common),
        StreamConfig(
            name="REPORTS",
            subjects=["report.*.*"],
            max_age=30 * _DAY_S,
            max_bytes=limit(256 * MIB),
            **common,
        ),
        StreamConfig(
            name="USAGE",
            subjects=["usage.*.*"],
            max_msgs_per_subject=1,
            max_age=2 * _DAY_S,
            max_bytes=limit(16 * MIB),  # a hundred starts in two days, with 300 callers each
            **common,
        ),
        StreamConfig(
            name="DEAD", subjects=["dead.*"], max_age=30 * _DAY_S, max_bytes=limit(256 * MIB), **common
        ),
    ]


def stream_names(settings: Settings) -> list[str]:
    """Return the names of all streams."""
    return [config.name or "" for config in streams(settings)]


def reserved_bytes(settings: Settings, *, share: float = 1.0) -> int:
    """Return the sum of the limits of all streams (bytes)."""
    return sum(max(0, config.max_bytes or 0) for config in streams(settings, share=share))
