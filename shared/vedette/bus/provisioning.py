"""Creates or changes the streams and their durable consumers. Safe to repeat."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import nats.js.errors
from nats.aio.client import Client as NatsClient
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    RePublish,
    StorageType,
    StreamConfig,
    StreamInfo,
)

from vedette.bus.stream_configs import MIB, reserved_bytes, stream_names, streams
from vedette.errors import JetStreamOff, ProvisioningError, StorageTooSmall
from vedette.messages.channels import DURABLES
from vedette.messages.consumers import Durable
from vedette.settings import Settings

ACK_WAIT_S = 60.0
# JetStream reserves a stream's limit when the stream is created, so the limits must fit the storage. They are tried
# whole, then halved: a stream needs its whole limit only with [nats] expected_models models.
_SHARES = tuple(0.5**halvings for halvings in range(14))
# Seen on 2.15: the description of a refusal for lack of storage (err_code 10047, 10002, 10005, 10028).
_TOO_LITTLE_STORAGE = ("insufficient", "resource limits", "exceed")
_SUBJECTS_OVERLAP = 10065
_NAME_TAKEN = 10058
_STREAM_TOO_LARGE = 10122
# The description of a refusal because the store could not be created. Its code (10049) has other meanings too.
_STORE_NOT_MADE = "creating store for stream"
_STORE_WITHIN_S = 5.0
_TRIAL = "VEDETTE_TRIAL"
# The servers of a cluster learn of a reservation, and of its end, within two seconds (server/events.go, 2.15.3).
_COUNTED_WITHIN_S = 10.0
_TRY_AGAIN_S = 0.5
_NOT_FOR_ACCOUNT = 10039
_APART = "Give Vedette a NATS account of its own (vedette contracts --accounts writes one), or move the other stream"


async def provision(
    connection: NatsClient, settings: Settings, *, room_bytes: int | None = None
) -> list[str]:
    """Create or change every stream and durable; return one line for each change. Repeating it changes nothing.

    Limits (bytes) are as large as the server's storage allows, and together at most *room_bytes*, if given. Raises
    ProvisioningError with the stream and the server's reason, and JetStreamOff if the server has no JetStream.
    """
    await require_jetstream(connection)
    js = connection.jetstream(timeout=10)
    done: dict[str, str] = {}
    present = await _present(js, settings)
    limits = {name: one.config.max_bytes or 0 for name, one in present.items()}
    *attempts, last = _attempts(limits, _shares(settings, room_bytes))
    for share, before in attempts:
        with suppress(StorageTooSmall):
            await _provision_whole(js, settings, share, before, present, done)
            break
    else:
        await _provision_whole(js, settings, *last, present, done)
    for durable in DURABLES:
        await ensure_durable(connection, durable)
    if not limits:
        return list(done.values())
    # A limit that was tried without success is unchanged.
    same = {
        f"altered {name} (max_bytes)"
        for name, one in (await _present(js, settings)).items()
        if limits.get(name) == (one.config.max_bytes or 0)
    }
    return [line for line in done.values() if line not in same]


def _attempts(
    before: Mapping[str, int], shares: Sequence[float]
) -> Iterator[tuple[float, Mapping[str, int]]]:
    """Yield shares to try, each with the earlier limits (*before*) that streams keep.

    If even the smallest share does not fit with them, the earlier limits are dropped: streams may then shrink.
    """
    yield from ((share, before) for share in shares)
    yield from ((share, {}) for share in shares if before)


async def _present(js: Any, settings: Settings) -> dict[str, StreamInfo]:
    """Return the existing streams by name."""
    present = {}
    for name in stream_names(settings):
        with suppress(nats.js.errors.NotFoundError):
            present[name] = await js.stream_info(name)
    return present


async def _provision_whole(
    js: Any,
    settings: Settings,
    share: float,
    before: Mapping[str, int],
    present: Mapping[str, StreamInfo],
    done: dict[str, str],
) -> None:
    """Provision all streams at *share*, if there is storage for all of them. Raises StorageTooSmall."""
    wanted_bytes = growth_bytes(settings, share, before, present)
    # A single server counts a reservation at once, and refuses the stream that does not fit.
    in_cluster = wanted_bytes > 0 and settings.nats.replicas > 1
    if in_cluster:
        try:
            await require_room(js, wanted_bytes, settings.nats.replicas)
        except nats.js.errors.APIError as error:
            raise _refused(error, "MODELS and the others", wanted_bytes, settings) from error
    until = time.monotonic() + (_COUNTED_WITHIN_S if in_cluster else 0)
    while True:
        try:
            return await _provision_streams(js, settings, share, before, done)
        except StorageTooSmall as error:
            if too_large_for_one(error.__cause__) or time.monotonic() >= until:
                raise
        await asyncio.sleep(_TRY_AGAIN_S)  # the server may still count the trial stream


def growth_bytes(
    settings: Settings, share: float, before: Mapping[str, int], present: Mapping[str, StreamInfo]
) -> int:
    """Return how many more bytes all streams would reserve on a server than the *present* ones. Pure."""
    growth = 0
    for config, whole in zip(streams(settings, share=share), streams(settings), strict=True):
        name = config.name or ""
        there = present.get(name)
        held = there.state.bytes if there else 0
        limit = _kept_limit(config.max_bytes, whole.max_bytes, before.get(name), held=held) or 0
        growth += limit - max(0, (there.config.max_bytes or 0) if there else 0)
    return max(0, growth)


async def require_room(js: Any, size_bytes: int, replicas: int) -> None:
    """Raise APIError unless *replicas* servers can reserve *size_bytes* more. A trial stream of that size shows this.

    The servers of a cluster publish their reservations once a second. Streams created within that second are each
    compared with the earlier state, so together they may reserve more than a server has. After a restart, that server
    refuses its streams and is never ready (tried on nats-server 2.15.3).
    """
    trial = StreamConfig(
        name=_TRIAL,
        subjects=[f"{_TRIAL}.none"],
        storage=StorageType.FILE,
        num_replicas=replicas,
        max_bytes=size_bytes,
    )
    until = time.monotonic() + _COUNTED_WITHIN_S
    while True:
        try:
            await js.add_stream(trial)
        except nats.js.errors.APIError as error:
            if too_large_for_one(error):
                return  # creating the streams will show whether all fit
            if error.err_code != _NAME_TAKEN:
                raise
        else:
            await _delete(js, _TRIAL)
            return
        if time.monotonic() < until:  # another process runs the same trial
            await asyncio.sleep(_TRY_AGAIN_S)
        else:  # a process ended during its trial
            await _delete(js, _TRIAL)


async def _delete(js: Any, name: str) -> None:
    with suppress(nats.js.errors.NotFoundError):
        await js.delete_stream(name)


async def require_jetstream(connection: NatsClient) -> None:
    """Raise JetStreamOff if the server, or this account on it, has no JetStream."""
    try:
        await connection.jetstream(timeout=10).account_info()
    except nats.js.errors.ServiceUnavailableError as error:
        url = connection.connected_url
        where = f"NATS server {url.netloc.rpartition('@')[2]}" if url else "NATS server"
        if error.err_code == _NOT_FOR_ACCOUNT:
            remedy = "Add jetstream: enabled to the account in the server's configuration"
            raise JetStreamOff(where=f"this account of the {where}", remedy=remedy) from error
        if error.err_code is None:  # no part of the server answered the request
            remedy = (
                'Add jetstream { store_dir: "/data" } to its configuration, or start it with -js -sd /data'
            )
            raise JetStreamOff(where=where, remedy=remedy) from error
        raise


def _shares(settings: Settings, room_bytes: int | None) -> tuple[float, ...]:
    """Return the shares to try, largest first: those that fit *room_bytes*, and always the smallest."""
    if room_bytes is None:
        return _SHARES
    fitting = (share for share in _SHARES[:-1] if reserved_bytes(settings, share=share) <= room_bytes)
    return (*fitting, _SHARES[-1])


async def _provision_streams(
    js: Any, settings: Settings, share: float, before: Mapping[str, int], done: dict[str, str]
) -> None:
    """Provision all streams at *share*; add a line for each change to *done*, unless *done* has one for that stream."""
    for config, whole in zip(streams(settings, share=share), streams(settings), strict=True):
        name = config.name or ""
        try:
            line = await provision_stream(
                js, config, most_bytes=whole.max_bytes, before_bytes=before.get(name)
            )
            if line:
                done.setdefault(name, line)
        except nats.js.errors.APIError as error:
            if error.err_code == _SUBJECTS_OVERLAP:
                problem = await _in_the_way(js, config)
                raise ProvisioningError(stream=config.name, problem=problem) from error
            raise _refused(error, name, config.max_bytes, settings) from error


def too_large_for_one(error: BaseException | None) -> bool:
    """Return whether a stream exceeds the account's maximum for one stream.

    Waiting does not help; a smaller stream may fit.
    """
    return isinstance(error, nats.js.errors.APIError) and error.err_code == _STREAM_TOO_LARGE


def is_for_storage(error: nats.js.errors.APIError) -> bool:
    """Return whether the server refused for lack of storage."""
    return any(sign in (error.description or "") for sign in _TOO_LITTLE_STORAGE)


def _refused(
    error: nats.js.errors.APIError, stream: str, size_bytes: int | None, settings: Settings
) -> ProvisioningError:
    """Return the ProvisioningError for *error*, the refusal of a stream of *size_bytes*."""
    reason = error.description or str(error)
    if not is_for_storage(error):
        return ProvisioningError(stream=stream, problem=reason)
    return StorageTooSmall(
        stream=stream,
        problem=f"the NATS server refuses {_mib(size_bytes)} MiB of JetStream storage ({reason}). "
        f"All streams need {_mib(reserved_bytes(settings, share=_SHARES[-1]))} MiB at least. "
        "Give the server more storage (free disk, max_file_store, the account's limit), or lower "
        "[nats] expected_models",
    )


async def _in_the_way(js: Any, wanted: StreamConfig) -> str:
    """Return a sentence about the foreign stream that uses subjects of *wanted*."""
    for subject in wanted.subjects or ():
        with suppress(nats.js.errors.NotFoundError):
            other = await js.find_stream_name_by_subject(subject)
            return f"the stream {other}, which is not Vedette's, already has messages on {subject}. {_APART}"
    return f"its subjects ({', '.join(wanted.subjects or ())}) overlap with another stream. {_APART}"


def _mib(size: int | None) -> int:
    return (size or 0) // MIB


async def provision_stream(
    js: Any, wanted: StreamConfig, *, most_bytes: int | None, before_bytes: int | None = None
) -> str:
    """Create the stream *wanted*, or change the existing one; return what was done. Raises ProvisioningError.

    The earlier limit *before_bytes* is kept if it is higher than that of *wanted*, up to *most_bytes*.
    """
    try:
        present = await js.stream_info(wanted.name)
    except nats.js.errors.NotFoundError:
        await _make(js, wanted)
        return f"made {wanted.name}"
    if not set(present.config.subjects or ()) & set(wanted.subjects or ()):
        has = ", ".join(present.config.subjects or ()) or "no subjects"
        problem = f"a stream of this name with {has} is there already and is not Vedette's. {_APART}"
        raise ProvisioningError(stream=wanted.name, problem=problem)
    limit = _kept_limit(wanted.max_bytes, most_bytes, before_bytes, held=present.state.bytes)
    wanted = wanted.evolve(max_bytes=limit, storage=present.config.storage)  # no server changes storage
    has = present.config.as_dict()
    differing = {
        key: value
        for key, value in wanted.as_dict().items()
        if value is not None and _plain(has.get(key)) != _plain(value)
    }
    if not differing:
        return ""
    await js.update_stream(wanted)
    return f"altered {wanted.name} ({', '.join(sorted(differing))})"


async def _make(js: Any, wanted: StreamConfig) -> None:
    """Create a stream. If memory is wanted but the server has none for streams, create it on disk.

    A server removes its empty streams directory after the last stream is gone, and may do so while the next stream is
    created (seen on nats-server 2.15.1). So a store that cannot be created is retried for a while.
    """
    until = time.monotonic() + _STORE_WITHIN_S
    while True:
        try:
            await js.add_stream(wanted)
            return
        except nats.js.errors.APIError as error:
            if _STORE_NOT_MADE not in (error.description or "") or time.monotonic() >= until:
                if wanted.storage is not StorageType.MEMORY:
                    raise
                await js.add_stream(wanted.evolve(storage=StorageType.FILE))
                return
        await asyncio.sleep(_TRY_AGAIN_S)


def _kept_limit(least: int | None, most: int | None, before: int | None, *, held: int) -> int | None:
    """Return the limit in bytes for a stream that had the limit *before* and holds *held* bytes.

    The limit grows to *least*, the available size. It shrinks to *most*, the wanted size, but never below twice what
    the stream holds, because a full stream refuses new messages.
    """
    if least is None or most is None:
        return least
    if before is None or before <= 0:
        return max(least, 2 * held)
    return max(least, min(before, max(most, 2 * held)))


def _plain(value: Any) -> Any:
    if isinstance(value, RePublish):
        return {"src": value.src, "dest": value.dest}
    if isinstance(value, dict) and {"src", "dest"} <= value.keys():
        return {"src": value["src"], "dest": value["dest"]}
    # The server reports unlimited as -1, and leaves out durations of zero.
    return None if value in (0, -1, "") else value


async def ensure_durable(connection: NatsClient, durable: Durable) -> None:
    """Create *durable* unless it exists. One of an earlier version gets the new subjects and keeps its position."""
    js = connection.jetstream(timeout=10)
    filters = list(durable.filters)
    with suppress(nats.js.errors.NotFoundError):
        config = (await js.consumer_info(durable.stream, durable.name)).config
        had = config.filter_subjects or ([config.filter_subject] if config.filter_subject else [])
        if sorted(had) != sorted(filters):
            one, several = _filters(filters)
            await js.add_consumer(durable.stream, config.evolve(filter_subject=one, filter_subjects=several))
        return
    one, several = _filters(filters)
    await js.add_consumer(
        durable.stream,
        ConsumerConfig(
            durable_name=durable.name,
            filter_subject=one,
            filter_subjects=several,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            max_ack_pending=durable.max_ack_pending,
            deliver_policy=DeliverPolicy.ALL,
        ),
    )


def _filters(subjects: list[str]) -> tuple[str | None, list[str] | None]:
    """Return *subjects* as the two filter fields of a consumer: for one subject, or for several."""
    return (subjects[0], None) if len(subjects) == 1 else (None, subjects or None)
