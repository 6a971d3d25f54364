"""The streams, and making them and their durable consumers, as often as one likes."""

from contextlib import suppress
from typing import Any

import nats.js.errors
from nats.aio.client import Client as NatsClient
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RePublish,
    RetentionPolicy,
    StorageType,
    StoreCompression,
    StreamConfig,
)

from vedette.durables import DURABLES, Durable
from vedette.errors import ProvisioningError
from vedette.settings import Settings, is_cron, seconds

ACK_WAIT_S = 60.0
_DAY_S = 86_400.0


def _history_per_subject(settings: Settings) -> int:
    """Return how many messages a model's subject keeps: seven days of the shortest interval, at least 200."""
    schedule = settings.schedule
    every = [v for v in (schedule.availability, schedule.performance) if not is_cron(v)]
    shortest = min((seconds(v) for v in every), default=1800.0)
    return max(200, min(10_000, int(7 * _DAY_S / shortest)))


def streams(settings: Settings) -> list[StreamConfig]:
    """Return every stream, as `provision` makes it."""
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
            discard_new_per_subject=True,
            max_msgs_per_subject=1,
            max_age=_DAY_S,
            **common,
        ),
        StreamConfig(name="ENDPOINTS", subjects=["endpoint.observed.*"], max_msgs_per_subject=200, **common),
        StreamConfig(
            name="MODELS",
            subjects=["model.*.*.*"],
            compression=StoreCompression.S2,
            discard=DiscardPolicy.NEW,
            max_msgs_per_subject=kept,
            # Measured: a probed event with full tallies is 4 to 6 KB, a third of that after S2.
            max_bytes=max(256 * 2**20, settings.nats.expected_models * kept * 4096),
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
            name="REPORTS", subjects=["report.*.*"], max_age=30 * _DAY_S, max_bytes=256 * 2**20, **common
        ),
        StreamConfig(name="DEAD", subjects=["dead.*"], max_age=30 * _DAY_S, max_bytes=256 * 2**20, **common),
    ]


async def provision(connection: NatsClient, settings: Settings) -> list[str]:
    """Make or alter every stream and durable; return what was done, a line each. Doing it twice does nothing.

    Raises ProvisioningError with the stream and the server's reason.
    """
    js = connection.jetstream(timeout=10)
    done = []
    for config in streams(settings):
        try:
            done.append(await _provision_stream(js, config))
        except nats.js.errors.APIError as error:
            raise ProvisioningError(stream=config.name, problem=_remedy(error, config)) from error
    for durable in DURABLES:
        await ensure_durable(connection, durable)
    return [line for line in done if line]


async def _provision_stream(js: Any, wanted: StreamConfig) -> str:
    try:
        present = (await js.stream_info(wanted.name)).config.as_dict()
    except nats.js.errors.NotFoundError:
        await js.add_stream(wanted)
        return f"made {wanted.name}"
    differing = {
        key: value
        for key, value in wanted.as_dict().items()
        if value is not None and _plain(present.get(key)) != _plain(value)
    }
    if not differing:
        return ""
    await js.update_stream(wanted)
    return f"altered {wanted.name} ({', '.join(sorted(differing))})"


def _plain(value: Any) -> Any:
    if isinstance(value, RePublish):
        return {"src": value.src, "dest": value.dest}
    if isinstance(value, dict) and {"src", "dest"} <= value.keys():
        return {"src": value["src"], "dest": value["dest"]}
    # The server reports limits that are off as -1, and leaves durations out that are zero.
    return None if value in (0, -1, "") else value


def _remedy(error: nats.js.errors.APIError, config: StreamConfig) -> str:
    reason = error.description or str(error)
    if "storage" in reason or "insufficient" in reason:
        return (
            f"{reason}; it asks for {config.max_bytes} bytes: lower [nats] expected_models "
            "or give the NATS server more JetStream storage"
        )
    return reason


async def ensure_durable(connection: NatsClient, durable: Durable) -> None:
    """Create *durable* unless it is there."""
    js = connection.jetstream(timeout=10)
    with suppress(nats.js.errors.NotFoundError):
        await js.consumer_info(durable.stream, durable.name)
        return
    await js.add_consumer(
        durable.stream,
        ConsumerConfig(
            durable_name=durable.name,
            filter_subject=durable.filters[0] if len(durable.filters) == 1 else None,
            filter_subjects=list(durable.filters) if len(durable.filters) > 1 else None,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            max_ack_pending=durable.max_ack_pending,
            deliver_policy=DeliverPolicy.ALL,
        ),
    )
