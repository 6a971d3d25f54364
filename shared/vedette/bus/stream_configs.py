"""Every stream: its subjects, how much it keeps and for how long. Pure."""

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
    """Return how many messages a model's subject keeps for a recorder that is behind.

    Seven days of the shortest interval, at most a thousand messages, at least 200. Intervals under a minute are for
    trials: they get the least, so that a stream levels off within the hour.
    """
    schedule = settings.schedule
    every = [v for v in (schedule.availability, schedule.performance) if not is_cron(v)]
    shortest = min((seconds(v) for v in every), default=1800.0)
    if shortest < _TRIAL_INTERVAL_S:
        return _MIN_KEPT
    return max(_MIN_KEPT, min(_MAX_KEPT, int(7 * _DAY_S / shortest)))


def _compression(replicas: int) -> StoreCompression:
    """Return how a stream of *replicas* is compressed on disk.

    nats-server 2.15.1 loses a compressed stream of several replicas when all its servers are killed at once
    (docs/adr/0014-replicated-streams-are-not-compressed.md).
    """
    return StoreCompression.S2 if replicas == 1 else StoreCompression.NONE


def _unsynced(replicas: int) -> dict[str, Any]:
    """Return how a stream of *replicas* is kept whose messages no disk has to take: the next ones come in seconds.

    A single server forgets streams in memory when it is restarted, and a replicated stream has no `async`
    (measured on nats-server 2.15.1).
    """
    return {"persist_mode": PersistMode.ASYNC} if replicas == 1 else {"storage": StorageType.MEMORY}


def streams(settings: Settings, *, share: float = 1.0) -> list[StreamConfig]:
    """Return every stream, as `provision` makes it where *share* of the wanted storage is to be had."""

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
            discard_new_per_subject=False,  # a job is replaced in one step when it moves back in its queue
            max_msgs_per_subject=1,
            max_age=_DAY_S,
            max_bytes=limit(64 * MIB),  # 150,000 jobs; an endpoint's names are bounded
            **common,
        ),
        StreamConfig(
            name="ENDPOINTS",
            subjects=["endpoint.observed.*"],
            max_msgs_per_subject=200,
            max_bytes=limit(512 * MIB),  # three endpoints whose every observation is as large as one may be
            **common,
        ),
        StreamConfig(
            name="DEFINITIONS",
            subjects=["endpoint.defined.*"],
            max_msgs_per_subject=100,  # the record of who changed what
            # Room would come from an endpoint that was not changed for long: a full stream refuses instead.
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
    """Return how many bytes the limits of all streams come to."""
    return sum(max(0, config.max_bytes or 0) for config in streams(settings, share=share))
